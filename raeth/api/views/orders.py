"""Orders, fills and previews as JSON (contract, section 4): one shape wherever an order appears.

On the hot path an order goes from struct to bytes in one step; the documentation of the same shape is
`schemas.order_views.OrderView`, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from raeth.api.views.names import MarketName, Names, iso
from raeth.engine.types import SIDES, Fill, Order
from raeth.errors import CATALOGUE, DECLINE_MESSAGES, Code

CONFIRM_FIELD: Final = "confirm_fat_finger"

encode = msgspec.json.encode


class FillBody(msgspec.Struct, gc=False):
    trade_id: str
    price: int
    qty: int
    liquidity: str
    fee_cents: int
    ts: str


class OrderBody(msgspec.Struct, gc=False):
    """Section 4, field by field, in its order."""

    order_id: str
    client_order_id: str | None
    market_id: str | None
    symbol: str | None
    agent_id: str
    side: str
    type: str
    tif: str
    price: int | None
    qty: int
    reduce_only: bool
    status: str
    filled_qty: int
    remaining_qty: int
    filled_notional_cents: int
    fee_cents: int
    reject_reason: str | None
    reject_message: str | None
    reject_details: dict[str, Any] | None
    cancel_reason: str | None
    fills: list[FillBody]
    created_at: str
    updated_at: str
    seq: int
    replayed: bool


class DeclinedAmendBody(OrderBody, gc=False):
    """An amend the venue declined: the answer is REJECTED, the order itself is untouched."""

    order: OrderBody


def fill_body(names: Names, fill: Fill) -> FillBody:
    return FillBody(names.uuid(fill.trade_id), fill.price, fill.qty, fill.liquidity, fill.fee_cents, iso(fill.ts))


def reject_details(code: str, details: dict[str, int] | None, *, confirmable: bool = True) -> dict[str, Any]:
    """The engine's numbers, times as ISO-8601, plus what the catalogue knows of the code.

    `confirmable`: the call has the field that skips the fat-finger check; quotes and amends have not."""
    shown: dict[str, Any] = dict(details or {})
    if "cooldown_ends_at" in shown:
        shown["cooldown_ends_at"] = iso(shown["cooldown_ends_at"])
    if confirmable and code == Code.FAT_FINGER:
        shown["confirm_field"] = CONFIRM_FIELD
    shown["retryable"] = CATALOGUE[Code(code)].retryable
    return shown


def order_body(names: Names, market: MarketName | None, order: Order, replayed: bool = False) -> OrderBody:
    """The body of an order. `market` is how its market is named now: nobody may have known it when it was placed."""
    if not order.market:
        market = None
    code = order.reject_reason
    created = iso(order.created_ts)
    fills = order.fills
    return OrderBody(
        names.uuid(order.id),
        order.client_order_id,
        market.uuid if market is not None else None,
        market.symbol if market is not None else None,
        names.agent(order.agent),
        SIDES[order.side],
        order.type,
        order.tif,
        order.price,
        order.qty,
        order.reduce_only,
        order.status,
        order.filled,
        order.remaining,
        order.notional,
        order.fee_cents,
        code,
        DECLINE_MESSAGES[Code(code)] if code is not None else None,
        reject_details(code, order.reject_details, confirmable=order.quote_id is None) if code is not None else None,
        order.cancel_reason,
        [fill_body(names, fill) for fill in fills] if fills else [],
        created,
        created if order.updated_ts == order.created_ts else iso(order.updated_ts),
        order.seq,
        replayed,
    )


def declined_amend(
    names: Names, market: MarketName | None, order: Order, code: str, details: dict[str, int]
) -> DeclinedAmendBody:
    """The answer to an amend that was declined, with the order as it still stands under `order`."""
    untouched = order_body(names, market, order)
    answer = {field: getattr(untouched, field) for field in OrderBody.__struct_fields__}
    answer |= {
        "status": "REJECTED",
        "filled_qty": 0,
        "remaining_qty": 0,
        "reject_reason": code,
        "reject_message": DECLINE_MESSAGES[Code(code)],
        "reject_details": reject_details(code, details, confirmable=False),
        "order": untouched,
    }
    return DeclinedAmendBody(**answer)


def levels(fills: Iterable[tuple[Order, int]]) -> list[dict[str, int]]:
    """A plan's fills as preview shows them: one entry a price, in the order of the walk."""
    merged: dict[int, int] = {}
    for maker, qty in fills:
        assert maker.price is not None
        merged[maker.price] = merged.get(maker.price, 0) + qty
    return [{"price": price, "qty": qty} for price, qty in merged.items()]
