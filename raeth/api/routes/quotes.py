"""Two-sided quotes: one call replaces all resting orders of a `quote_id` (contract, section 6)."""

from __future__ import annotations

from typing import Any, Final

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.intake import resolve
from raeth.api.routes.orders import PLACE_DECLINES, WRITE_ERRORS, at_most
from raeth.api.routing import VenueRouter
from raeth.api.schemas.order_views import QUOTE_EXAMPLE, BatchView
from raeth.api.schemas.orders import QuoteLevel, QuotesRequest
from raeth.api.views.orders import order_body
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import Order
from raeth.errors import Code

router = VenueRouter("orders")

_NEVER_OF_A_QUOTE: Final = frozenset(
    {
        Code.NO_REFERENCE_PRICE,
        Code.MARKET_NO_LIQUIDITY,
        Code.FOK_NOT_FILLABLE,
        Code.REDUCE_ONLY_VIOLATION,
        Code.STALE_REQUEST,
        Code.ORDER_EXPIRED,
        Code.INVALID_LEVERAGE,
        Code.INVALID_MARGIN_MODE,
    }
)


@router.put(
    "/quotes",
    access=Access.AGENT_TRADE,
    budget=Budget.WRITE,
    name="put_quotes",
    summary="Replace a two-sided quote atomically",
    response_model=BatchView,
    errors=(Code.BATCH_SIZE_EXCEEDED, *WRITE_ERRORS),
    declines=tuple(code for code in PLACE_DECLINES if code not in _NEVER_OF_A_QUOTE),
    answer_examples={"success": QUOTE_EXAMPLE},
)
async def put_quotes(call: Call, body: QuotesRequest) -> dict[str, Any]:
    """Every level is a POST_ONLY order. Levels kept at the same price and no larger size keep their place in the queue.

    Old levels go first, new ones are judged best first; results come in request order, bids before asks. A decline does
    not bring the old level back. Without any level the quote is pulled, also while the venue is frozen.
    """
    at_most(call.venue.settings.limits.quote_levels, body.bids, body.asks)
    agent, key_id, names = call.the_agent.id, call.key_id, call.names
    market, name = await resolve(call, names, body.market_id)
    command = cmd.PutQuotes(agent, key_id, market, body.quote_id, pairs(body.bids), pairs(body.asks))
    orders = quoted((await call.submit(command)).events)
    return {"results": [order_body(names, name, order) for order in orders]}


def pairs(levels: list[QuoteLevel] | None) -> tuple[tuple[int, int], ...]:
    return tuple((level.price, level.qty) for level in levels or ())


def quoted(events: list[ev.Event]) -> list[Order]:
    """The orders a quote consists of now, kept ones and new ones, in request order."""
    last = events[-1]
    assert isinstance(last, ev.QuotesPut)
    orders = {order.id: order for order in last.kept}
    orders |= {event.order.id: event.order for event in events if isinstance(event, ev.OrderPlaced)}
    return [orders[order_id] for order_id in last.results]
