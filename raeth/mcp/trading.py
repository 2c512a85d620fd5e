"""The tools that act: preview, place, cancel, quote, claim. Declined orders are ordinary answers with their repair."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from raeth.client import models as m
from raeth.client.errors import VenueError
from raeth.client.orders import OrderOptions
from raeth.mcp import results as r
from raeth.mcp import shapes, text
from raeth.mcp.caller import venue
from raeth.mcp.faults import ToolFault
from raeth.mcp.inputs import (
    ClientOrderId,
    Flag,
    Level,
    MarketRef,
    OrderId,
    Price,
    Qty,
    QuoteId,
    Side,
    SlippageCents,
    Tif,
)
from raeth.mcp.reading import chosen, live_windows
from raeth.mcp.repair import ELSEWHERE
from raeth.mcp.results import shown

OrderSide = Annotated[Side, Field(description="BUY or SELL of YES. To bet on NO at p, SELL YES at 100 - p.")]
LimitPrice = Annotated[Price | None, Field(description="Limit in cents of YES, 1-99. Left out: a MARKET order.")]
TimeInForce = Annotated[
    Tif | None,
    Field(
        description="With a price: GTC rests what does not fill (the default), IOC cancels it, FOK fills all or "
        "nothing, POST_ONLY never trades at once. Without a price: IOC (the default) or FOK."
    ),
]
ReduceOnly = Annotated[Flag, Field(description="true: only ever make the position smaller.")]
Confirm = Annotated[Flag, Field(description="true: meant, although so large or so far from the market.")]


def _sent(
    market: str,
    side: str,
    qty: int,
    price: int | None,
    tif: str | None,
    reduce_only: bool,
    slippage: int | None,
    confirm: bool,
) -> dict[str, Any]:
    """The order as arguments of `place_order`, without what was not given."""
    given = {"market": market, "side": side, "qty": qty, "price": price, "tif": tif, "slippage_cap_cents": slippage}
    flags = {"reduce_only": reduce_only, "confirm_fat_finger": confirm}
    return {name: value for name, value in (given | flags).items() if value is not None and value is not False}


def _options(sent: dict[str, Any]) -> OrderOptions:
    named = ("tif", "reduce_only", "slippage_cap_cents", "confirm_fat_finger", "client_order_id")
    options: OrderOptions = {name: sent[name] for name in named if name in sent}  # type: ignore[assignment]
    return options


async def _other_market(code: str | None) -> str | None:
    """Where to go when the window is the fault: the OPEN one, if there is one."""
    if code not in ELSEWHERE:
        return None
    return next((w.symbol for w in await live_windows() if w.tradeable), None)


async def preview_order(
    side: OrderSide,
    qty: Qty,
    price: LimitPrice = None,
    market: MarketRef | None = None,
    tif: TimeInForce = None,
    reduce_only: ReduceOnly = False,
    slippage_cap_cents: SlippageCents | None = None,
    confirm_fat_finger: Confirm = False,
) -> Annotated[CallToolResult, r.PreviewResult]:
    """What place_order with the same arguments would do now: fills, fee, collateral, position, worst case, or the
    decline with its repair. Costs nothing and changes nothing."""
    found = await chosen(market)
    sent = _sent(found.symbol, side, qty, price, tif, reduce_only, slippage_cap_cents, confirm_fat_finger)
    preview = await venue().preview(found.symbol, side, qty, price, **_options(sent))
    result = shapes.preview(preview, found, sent, await _other_market(preview.reject_reason))
    return shown(result, text.preview(result))


async def place_order(
    side: OrderSide,
    qty: Qty,
    price: LimitPrice = None,
    market: MarketRef | None = None,
    tif: TimeInForce = None,
    reduce_only: ReduceOnly = False,
    slippage_cap_cents: SlippageCents | None = None,
    confirm_fat_finger: Confirm = False,
    client_order_id: ClientOrderId | None = None,
) -> Annotated[CallToolResult, r.PlacedOrder]:
    """Place an order; the answer says at once what became of it. status REJECTED is an ordinary answer: nothing was
    traded, and decline.retry_with holds the repaired arguments. If a call fails without an answer, repeat it with the
    same client_order_id: it never trades twice."""
    client = venue()
    where, closes_in_s = await _where(market, client_order_id)
    sent = _sent(where, side, qty, price, tif, reduce_only, slippage_cap_cents, confirm_fat_finger)
    if client_order_id is not None:
        sent["client_order_id"] = client_order_id
    order = await client.place(where, side, qty, price, raise_on_reject=False, **_options(sent))
    other = await _other_market(order.reject_reason) if order.is_rejected else None
    result = shapes.placed(order, sent, closes_in_s, other)
    return shown(result, text.placed(result))


async def _where(market: str | None, client_order_id: str | None) -> tuple[str, int | None]:
    """The window to send to, and the seconds to its close if they were asked for anyway.

    An order that is sent again belongs where it was first sent, whichever window is open by now.
    """
    if market is not None:
        return market, None
    if client_order_id is not None:
        try:
            known = await venue().order_by_client_id(client_order_id)
        except VenueError as error:
            if error.code != "ORDER_NOT_FOUND":
                raise
        else:
            if known.symbol is not None:
                return known.symbol, None
    found = await chosen(None)
    return found.symbol, found.seconds_to_close


async def cancel_orders(
    order_ids: Annotated[
        list[OrderId] | None, Field(min_length=1, max_length=100, description="These orders; no other filter then.")
    ] = None,
    market: Annotated[MarketRef | None, Field(description="All of yours in this window. Left out: any window.")] = None,
    side: Annotated[Side | None, Field(description="Only this side.")] = None,
    quote_id: QuoteId | None = None,
) -> Annotated[CallToolResult, r.CancelResult]:
    """Cancel resting orders: those listed, or all of yours that match every filter given. Without any argument it
    cancels everything you have resting. Works also while the venue is frozen, and has a budget of its own."""
    client = venue()
    if order_ids is not None:
        if market is not None or side is not None or quote_id is not None:
            raise ToolFault("VALIDATION_FAILED", "Give order_ids or filters, not both; nothing was cancelled.")
        done = await client.cancel_orders(order_ids)
    else:
        done = await client.cancel_all(market, side, quote_id)
    result = shapes.cancelled(done)
    return shown(result, text.cancelled(result))


QuoteSide = Annotated[
    list[Level],
    Field(max_length=20, description='Levels as {"price": 45, "qty": 10}; empty: none on this side.'),
]


async def put_quotes(
    bids: QuoteSide,
    asks: QuoteSide,
    quote_id: QuoteId = "main",
    market: MarketRef | None = None,
) -> Annotated[CallToolResult, r.QuotesResult]:
    """Make a market: replace all resting orders of this quote_id by these levels in one step. Levels only rest and
    never trade at once; one that would is declined alone. Both lists empty pulls the quote. Bids must be below asks."""
    found = await chosen(market)
    levels = [[(level.price, level.qty) for level in side] for side in (bids, asks)]
    orders = await venue().put_quotes(found.symbol, quote_id, levels[0], levels[1])
    result = _quotes(quote_id, found, orders)
    return shown(result, text.quotes(result))


def _quotes(quote_id: str, market: m.Market, orders: tuple[m.Order, ...]) -> r.QuotesResult:
    return r.QuotesResult(
        quote_id=quote_id,
        market=market.symbol,
        closes_in_s=market.seconds_to_close if market.status == "OPEN" else None,
        resting_levels=sum(order.is_open for order in orders),
        declined_levels=sum(order.is_rejected for order in orders),
        levels=[shapes.quote_level(order) for order in orders],
    )


async def claim_faucet() -> Annotated[CallToolResult, r.FaucetResult]:
    """Claim free test cash. There is a pause between claims and a cap an account; the error says how long to wait."""
    claim = await venue().faucet()
    result = r.FaucetResult(
        amount_cents=claim.amount_cents, cash_cents=claim.cash_cents, next_claim_at=claim.next_claim_at
    )
    return shown(result, text.faucet(result))
