"""Orders and fills as they are shown: the same shape wherever an order appears (contract, section 4)."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from raeth.api.schemas.common import Answer, Cents, Price, Seq, Symbol, Time, Uuid
from raeth.api.schemas.orders import OrderType, Side, Tif

OrderStatus = Literal["OPEN", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED", "REJECTED"]
CancelReason = Literal[
    "USER",
    "IOC_REMAINDER",
    "MARKET_CLOSED",
    "SELF_TRADE",
    "REDUCE_ONLY",
    "DEAD_MAN",
    "DISCONNECT",
    "REPLACED",
    "ADMIN",
]
Liquidity = Literal["MAKER", "TAKER"]


class OrderFill(Answer):
    """One execution of the order it is shown in."""

    trade_id: Uuid
    price: Price
    qty: int = Field(description="Contracts.")
    liquidity: Liquidity
    fee_cents: Cents = Field(description="Fee in cents; a maker's rebate is negative.")
    ts: Time


class RejectDetails(Answer):
    """The repair as numbers. `retryable` is always there, the rest where it applies."""

    model_config = {"extra": "allow", "json_schema_serialization_defaults_required": False}

    retryable: bool = Field(description="Whether the same order can succeed later although nothing is repaired.")
    retry_after_ms: int | None = Field(None, description="Milliseconds of venue time to wait.")
    max_qty: int | None = Field(None, description="The largest quantity that would have passed this check.")
    min_qty: int | None = None
    best_non_crossing_price: int | None = Field(None, description="Cents of YES: the best price that would rest.")
    price_min: int | None = None
    price_max: int | None = None
    required_cents: int | None = Field(None, description="Additional collateral the order needs.")
    free_cash_cents: int | None = None
    position_cap: int | None = None
    open_orders_cap: int | None = None
    cooldown_ends_at: str | None = Field(None, description="ISO-8601, venue time.")
    mark_price: int | None = None
    max_leverage: int | None = None
    late_by_ms: int | None = Field(None, description="Arrival after the bound; negative when early.")
    recv_window_ms: int | None = None
    confirm_field: str | None = Field(None, description="The field that, set to true, skips this check.")


_OPEN: Final[dict[str, Any]] = {
    "order_id": "0193b2c4-7d10-8000-8000-000001fbb001",
    "client_order_id": None,
    "market_id": "0193b2c4-7d10-8000-8000-000000500000",
    "symbol": "BTC-1M-20261120T1031Z",
    "agent_id": "0193b2c4-7d10-8000-8000-000000200001",
    "side": "BUY",
    "type": "LIMIT",
    "tif": "GTC",
    "price": 55,
    "qty": 10,
    "reduce_only": False,
    "status": "PARTIALLY_FILLED",
    "filled_qty": 4,
    "remaining_qty": 6,
    "filled_notional_cents": 216,
    "fee_cents": 7,
    "reject_reason": None,
    "reject_message": None,
    "reject_details": None,
    "cancel_reason": None,
    "fills": [
        {
            "trade_id": "0193b2c4-7d10-8000-8000-000001fbb002",
            "price": 54,
            "qty": 4,
            "liquidity": "TAKER",
            "fee_cents": 7,
            "ts": "2026-11-20T10:30:12.345Z",
        }
    ],
    "created_at": "2026-11-20T10:30:12.345Z",
    "updated_at": "2026-11-20T10:30:12.345Z",
    "seq": 8123,
    "replayed": False,
}

DECLINED_EXAMPLE: Final[dict[str, Any]] = {
    **_OPEN,
    "tif": "POST_ONLY",
    "status": "REJECTED",
    "filled_qty": 0,
    "remaining_qty": 0,
    "filled_notional_cents": 0,
    "fee_cents": 0,
    "reject_reason": "POST_ONLY_WOULD_CROSS",
    "reject_message": "The order would take liquidity at once, and it is post-only.",
    "reject_details": {"best_non_crossing_price": 53, "retryable": True},
    "fills": [],
}

QUOTE_EXAMPLE: Final[dict[str, Any]] = {
    "results": [
        {
            **_OPEN,
            "tif": "POST_ONLY",
            "status": "OPEN",
            "filled_qty": 0,
            "remaining_qty": 10,
            "filled_notional_cents": 0,
            "fee_cents": 0,
            "fills": [],
        }
    ]
}


class OrderView(Answer):
    """An order: accepted, ended or declined. A declined one is a 200 with `status: "REJECTED"`."""

    model_config = {"json_schema_extra": {"examples": [_OPEN, DECLINED_EXAMPLE]}}

    order_id: Uuid
    client_order_id: str | None
    market_id: Uuid | None = Field(description="null when the order named a market nobody knows.")
    symbol: Symbol | None
    agent_id: Uuid
    side: Side
    type: OrderType
    tif: Tif
    price: int | None = Field(description="Cents of the YES contract; null for MARKET.")
    qty: int = Field(description="Contracts asked for, what has filled included.")
    reduce_only: bool
    status: OrderStatus
    filled_qty: int
    remaining_qty: int = Field(description="What may still trade; 0 once the order has ended.")
    filled_notional_cents: int = Field(description="Sum of price times quantity over the fills.")
    fee_cents: int = Field(description="Fees less rebates so far; negative when rebates were more.")
    reject_reason: str | None = Field(description="A decline code of the catalogue, see `GET /meta/errors`.")
    reject_message: str | None
    reject_details: RejectDetails | None
    cancel_reason: CancelReason | None
    fills: list[OrderFill]
    created_at: Time
    updated_at: Time
    seq: Seq = Field(description="Journal sequence number of the order's last change.")
    replayed: bool = Field(description="true when this is the first result again, found by its client_order_id.")


class AmendedOrderView(OrderView):
    """The order after an amend; if the venue declined it, `status` REJECTED and the untouched order under `order`."""

    model_config = {"json_schema_serialization_defaults_required": False}

    order: OrderView | None = Field(None, description="Only in a declined amend: the order, unchanged.")


class OrderPage(Answer):
    items: list[OrderView]
    next_cursor: str | None


class BatchView(Answer):
    """One result an order, in request order."""

    model_config = {"json_schema_extra": {"examples": [{"results": [_OPEN]}]}}

    results: list[OrderView]


class NotCancelled(Answer):
    """A listed id that was not open."""

    order_id: str
    code: Literal["ORDER_NOT_FOUND", "FORBIDDEN", "ORDER_ALREADY_FILLED", "ORDER_NOT_OPEN"]
    message: str


class CancelView(Answer):
    """What a mass cancel did; for a list of ids the results come in its order."""

    results: list[OrderView | NotCancelled]
    cancelled: int = Field(description="How many orders this call cancelled.")


class FillView(Answer):
    """One own execution."""

    trade_id: Uuid
    order_id: Uuid
    market_id: Uuid
    symbol: Symbol
    side: Side
    price: Price
    qty: int = Field(description="Contracts.")
    liquidity: Liquidity
    fee_cents: int = Field(description="Fee in cents; a maker's rebate is negative.")
    ts: Time


class FillPage(Answer):
    items: list[FillView]
    next_cursor: str | None


class PreviewFill(Answer):
    price: Price
    qty: int = Field(description="Contracts.")


class PreviewView(Answer):
    """What the order would do if it arrived now; nothing is promised. Of one that would be declined: what is."""

    would: Literal["ACCEPT", "REJECT"]
    reject_reason: str | None
    reject_message: str | None
    reject_details: RejectDetails | None
    fills: list[PreviewFill] = Field(description="One entry a price, best first.")
    fee_cents: Cents = Field(description="Taker fee of the fills.")
    required_cents: int = Field(description="Additional collateral; negative when the order frees some.")
    free_cash_after_cents: int
    position_after: int = Field(description="Contracts: positive YES, negative NO.")
    worst_case_loss_cents: int = Field(
        description="What this market can still cost after the order, if all that rests fills: the collateral."
    )
    as_of_seq: Seq
