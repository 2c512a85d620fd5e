"""`agent-context`: everything needed to decide about a market, in one bounded document (contract, section 7).

It degrades part by part: what cannot be had is null and logged, and the call never answers 5xx.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import msgspec
import structlog

from raeth.api import fair
from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.lookup import FoundMarket, find_market, market_row, now_ms
from raeth.api.recent import TRADES
from raeth.api.routes.reference import reference_body
from raeth.api.routing import VenueRouter
from raeth.api.schemas.account import AgentContext
from raeth.api.views import account as show_account
from raeth.api.views import markets as show
from raeth.api.views.names import Names, iso
from raeth.api.views.orders import encode, order_body
from raeth.errors import Code, RaethError
from raeth.sequencer import Sequencer
from raeth.store.rows import TradeRow

log = structlog.get_logger("raeth.api.context")
router = VenueRouter("market data")

DEPTH: Final = 10
OPEN_ORDERS: Final = 50
YEAR_S: Final = 31_557_600

_estimates: WeakKeyDictionary[Sequencer, tuple[int, fair.Volatility | None]] = WeakKeyDictionary()

T = TypeVar("T")


async def part(name: str, make: Callable[[], Awaitable[T]]) -> T | None:
    """A part of the document, or None when it cannot be had, whatever the reason."""
    try:
        return await make()
    except Exception as error:  # a document for decisions must arrive, with what there is
        log.warning("part of agent-context failed", part=name, kind=type(error).__name__)
        return None


@router.get(
    "/markets/{market_id}/agent-context",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_agent_context",
    summary="Read everything needed to decide about a market",
    response_model=AgentContext,
    errors=(Code.UNKNOWN_MARKET,),
)
async def get_agent_context(call: Call, market_id: str) -> dict[str, Any]:
    """Market, rules, top of the book, recent trades, reference, fair value; with a key also the agent's own part.

    A part that cannot be had right now is null.
    """
    names = call.names
    found = await _found(call, names, market_id)
    venue = call.venue
    now = venue.clock.now_ms() if found is None else now_ms(call, found.state)
    context: dict[str, Any] = dict.fromkeys(AgentContext.model_fields)
    context["server_time"] = iso(now)
    if found is not None:
        _from_state(call, names, found, now, context)
    else:
        row = await part("market", lambda: market_row(call, names, market_id))
        if row is not None:
            context["market"] = show.ended_market(names, row, now)

    async def reference() -> dict[str, Any]:
        return reference_body(venue.reference.current(now))

    async def trades(found: FoundMarket) -> list[msgspec.Raw]:
        if found.live is not None:
            newest = await venue.recent.trades(found.id)
        else:
            newest = (await venue.store.market_trades(found.id, limit=TRADES)).items
        return [_trade(names, trade) for trade in newest]

    context["reference"] = await part("reference", reference)
    if found is not None:
        context["recent_trades"] = await part("trades", lambda: trades(found))
    if context["market"] is not None:
        context["seconds_to_close"] = context["market"]["seconds_to_close"]
        await part("fair value", lambda: _fair(call, context, found, now))
    return context


@lru_cache(maxsize=1_024)
def _trade(names: Names, trade: TradeRow) -> msgspec.Raw:
    """A trade as JSON, made once: everybody who asks is shown the same twenty."""
    return msgspec.Raw(encode(show.trade_body(names, trade)))


async def _found(call: Call, names: Names, market_id: str) -> FoundMarket | None:
    """The market on settled state; None while the venue cannot tell. Raises UNKNOWN_MARKET."""
    try:
        return await find_market(call, names, market_id)
    except RaethError as error:
        if error.code is Code.UNKNOWN_MARKET:
            raise
        log.warning("part of agent-context failed", part="state", kind=error.code.value)
    except Exception as error:
        log.warning("part of agent-context failed", part="state", kind=type(error).__name__)
    return None


def _from_state(call: Call, names: Names, found: FoundMarket, now: int, context: dict[str, Any]) -> None:
    """What the engine knows, all of it at one `seq`: nothing here waits."""
    state, market = found.state, found.live
    if market is not None:
        context["market"] = show.live_market(names, state, market, now)
    elif found.row is not None:
        context["market"] = show.ended_market(names, found.row, now)
    context["book"] = show.book_body(names, state, found.id, market, DEPTH)
    context["frozen"] = state.frozen
    context["seq"] = state.seq
    agent = state.agents.get(call.agent.id) if call.agent is not None else None
    if agent is None:
        return
    position = None if market is None else market.positions.get(agent.id)
    newest = [] if position is None else list(position.orders.values())[: -OPEN_ORDERS - 1 : -1]
    meter = call.meter
    context["own"] = {
        "position": None if market is None or position is None else show_account.position_body(names, market, position),
        "open_orders": [order_body(names, names.market(found.id), order) for order in newest],
        "cash_cents": agent.cash,
        "locked_cents": agent.locked,
        "free_cash_cents": agent.free,
        "budget": None
        if meter is None
        else {"limit": meter.limit, "remaining": max(0, meter.limit - meter.used), "reset_at_ms": meter.reset_ms},
    }


async def _volatility(call: Call, now: int) -> fair.Volatility | None:
    """The estimate of this second of venue time, made once for everybody: it goes over a thousand moves."""
    second, estimate = _estimates.get(call.venue.sequencer, (-1, None))
    if second != now // 1000:
        estimate = fair.volatility(await call.venue.recent.moves(now))
        _estimates[call.venue.sequencer] = (now // 1000, estimate)
    return estimate


async def _fair(call: Call, context: dict[str, Any], found: FoundMarket | None, now: int) -> None:
    """Fair value and the volatility behind it; stays null without strike, price or enough history."""
    strike = context["market"]["reference"]["open_price_cents"]
    price = (context["reference"] or {}).get("price_cents")
    estimate = await _volatility(call, now)
    if estimate is None:
        return
    annual = round(estimate.per_sqrt_s * math.sqrt(YEAR_S) * 10_000)
    context["volatility"] = {"annual_bps": annual, "samples": estimate.samples}
    if strike and price and found is not None and found.live is not None:
        left_ms = found.live.close_at - now
        context["fair_value_cents"] = fair.fair_value_cents(price, strike, left_ms, estimate.per_sqrt_s)
