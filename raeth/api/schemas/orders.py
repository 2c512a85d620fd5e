"""What agents ask of the book: order, batch, quotes, amend, cancel (contract, sections 4 and 6).

Only the form is judged here. `qty` at or below zero, a `price` outside the band, a `leverage`: those are the engine's
to decline, with numbers to repair them by.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from raeth.api.schemas.common import ClientName, Int, MarketRef, Natural, Request, fault

Side = Literal["BUY", "SELL"]
OrderType = Literal["LIMIT", "MARKET"]
Tif = Literal["GTC", "IOC", "FOK", "POST_ONLY"]
Stp = Literal["CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"]

OrderRef = Annotated[str, Field(min_length=1, max_length=64, examples=["0193b2c4-7d10-8000-8000-000001fbb001"])]


def _is_json(value: Any) -> Any:
    """NaN and Infinity pass the parser of an untyped field, but are no JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticKnownError("json_invalid", {"error": "NaN and Infinity are not JSON"})
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _is_json(inner)
    return value


AnyJson = Annotated[Any, AfterValidator(_is_json)]


class OrderRequest(Request):
    """A new order."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"market_id": "BTC-1M-20261120T1031Z", "side": "BUY", "type": "LIMIT", "price": 55, "qty": 10},
                {"market_id": "BTC-1M-20261120T1031Z", "side": "SELL", "type": "MARKET", "qty": 5},
            ]
        }
    }

    market_id: MarketRef
    side: Side = Field(description="Of the YES contract. Buying NO at 40 is selling YES at 60: there is one book.")
    type: OrderType
    tif: Tif | None = Field(
        None,
        description="LIMIT defaults to GTC. MARKET acts as IOC, or as FOK if so asked; MARKET with POST_ONLY is a 422.",
    )
    price: Int | None = Field(
        None,
        description="Cents of YES. Needed for LIMIT, refused for MARKET. Outside 1-99: PRICE_OUT_OF_RANGE.",
        examples=[55],
    )
    qty: Int = Field(description="Contracts. Zero or less is declined as INVALID_QTY.", examples=[10])
    slippage_cap_cents: Natural | None = Field(
        None, description="MARKET only: fill no further than the touch at arrival plus this many cents."
    )
    reduce_only: bool | None = Field(
        None,
        description="Declined unless qty plus own resting reduce-only orders of that side is at most what there is to "
        "reduce; should the position shrink later, the excess is cancelled.",
    )
    client_order_id: ClientName | None = Field(
        None, description="Idempotency key, unique per agent: the same body under it is executed once."
    )
    timestamp_ms: Int | None = Field(
        None, description="Epoch milliseconds of venue time at sending; goes with recv_window_ms."
    )
    recv_window_ms: Annotated[int, Field(ge=1, le=60_000)] | None = Field(
        None, description="Milliseconds. Further from timestamp_ms on arrival, early or late: STALE_REQUEST."
    )
    expires_at_ms: Int | None = Field(
        None, description="Epoch milliseconds of venue time at which the order ends EXPIRED."
    )
    stp: Stp | None = Field(
        None, description="Self-trade prevention over all agents of the account; default CANCEL_MAKER."
    )
    confirm_fat_finger: bool | None = Field(None, description="true skips the fat-finger check, and only that.")
    leverage: AnyJson = Field(None, description="There is no leverage: anything but 1 is declined as INVALID_LEVERAGE.")
    margin_mode: AnyJson = Field(
        None, description="There are no margin modes: anything but null is declined as INVALID_MARGIN_MODE."
    )

    @model_validator(mode="after")
    def _fields_agree(self) -> OrderRequest:
        if self.type == "LIMIT":
            if self.price is None:
                fault("price", "limit_needs_price", "A LIMIT order needs a price")
            if self.slippage_cap_cents is not None:
                fault("slippage_cap_cents", "market_only", "Only a MARKET order has a slippage cap")
        elif self.price is not None:
            fault("price", "market_has_no_price", "A MARKET order has no price")
        elif self.tif == "POST_ONLY":
            fault("tif", "market_cannot_post", "A MARKET order cannot be POST_ONLY")
        if self.timestamp_ms is None:
            if self.recv_window_ms is not None:
                fault("timestamp_ms", "both_or_neither", "recv_window_ms goes with timestamp_ms")
        elif self.recv_window_ms is None:
            fault("recv_window_ms", "both_or_neither", "timestamp_ms goes with recv_window_ms")
        return self


class BatchRequest(Request):
    """Up to 15 orders, judged in this order. With `atomic` all fill in full or none does."""

    orders: list[OrderRequest] = Field(min_length=1, description="1 to `batch_size` (15) orders.")
    atomic: bool | None = Field(
        None,
        description="Legs act as FOK, collateral is tested once at the end: all legs fill in full or all are declined.",
    )

    @model_validator(mode="after")
    def _legs_agree(self) -> BatchRequest:
        if self.atomic and any(leg.tif == "POST_ONLY" for leg in self.orders):
            fault("orders", "atomic_cannot_post", "Legs of an atomic batch act as FOK, which POST_ONLY contradicts")
        return self


class QuoteLevel(Request):
    """One level of a quote."""

    price: Int = Field(description="Cents of the YES contract.", examples=[54])
    qty: Int = Field(description="Contracts that are to rest here.", examples=[20])


class QuotesRequest(Request):
    """The whole quote as it is to be from now on; what is not in it goes."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "market_id": "BTC-1M-20261120T1031Z",
                    "quote_id": "mm-1",
                    "bids": [{"price": 53, "qty": 20}, {"price": 52, "qty": 40}],
                    "asks": [{"price": 56, "qty": 20}],
                }
            ]
        }
    }

    market_id: MarketRef
    quote_id: ClientName = Field(description="Names the quote; an agent may have several in one market.")
    bids: list[QuoteLevel] | None = Field(None, description="At most 20 levels. Empty on both sides pulls the quote.")
    asks: list[QuoteLevel] | None = Field(None, description="At most 20 levels.")

    @model_validator(mode="after")
    def _levels_agree(self) -> QuotesRequest:
        bids = [level.price for level in self.bids or ()]
        asks = [level.price for level in self.asks or ()]
        for field, prices in (("bids", bids), ("asks", asks)):
            if len(set(prices)) != len(prices):
                fault(field, "duplicate_level", "Two levels of one side have the same price")
        if bids and asks and max(bids) >= min(asks):
            fault("bids", "crossed_quote", "The best bid is not below the best ask")
        return self


class AmendRequest(Request):
    """What is to change. A pure decrease keeps the place in the queue."""

    price: Int | None = Field(None, description="New price in cents of the YES contract.", examples=[54])
    qty: Int | None = Field(
        None,
        description="New total in contracts, what has filled included; not above that: AMEND_CONFLICT.",
        examples=[8],
    )

    @model_validator(mode="after")
    def _something(self) -> AmendRequest:
        if self.price is None and self.qty is None:
            fault("qty", "nothing_to_amend", "Give a price, a qty, or both")
        return self


class CancelRequest(Request):
    """A list of orders, or a filter; an empty object cancels everything the agent has resting."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"market_id": "BTC-1M-20261120T1031Z", "side": "BUY"},
                {"client_order_ids": ["mm-7:000412"]},
                {},
            ]
        }
    }

    order_ids: list[OrderRef] | None = Field(
        None, description="At most 100 ids; goes with no other field. An empty list cancels nothing."
    )
    market_id: MarketRef | None = None
    side: Side | None = None
    quote_id: ClientName | None = None
    client_order_ids: list[ClientName] | None = Field(None, description="At most 100. An empty list matches nothing.")

    @model_validator(mode="after")
    def _list_or_filter(self) -> CancelRequest:
        others = (self.market_id, self.side, self.quote_id, self.client_order_ids)
        if self.order_ids is not None and any(other is not None for other in others):
            fault("order_ids", "list_or_filter", "order_ids goes with no other field")
        return self


def _zero_or_long_enough(timeout_ms: int) -> int:
    if 0 < timeout_ms < 1_000:
        raise PydanticCustomError("timeout_too_short", "Less than 1000, and not 0")
    return timeout_ms


DeadmanMs = Annotated[
    int,
    Field(
        ge=0, le=60_000, description="Milliseconds of venue time, 1000-60000, or 0, which disarms.", examples=[10_000]
    ),
    AfterValidator(_zero_or_long_enough),
]


class DeadmanRequest(Request):
    """How long the agent may be silent. The same call again renews it."""

    model_config = {
        "json_schema_extra": {
            "examples": [{"timeout_ms": 10_000}, {"timeout_ms": 5_000, "scope": "BTC-1M-20261120T1031Z"}]
        }
    }

    timeout_ms: DeadmanMs
    scope: MarketRef | None = Field(
        None, description="The market whose orders it is for, by UUID or symbol; without it all."
    )


class LeverageRequest(Request):
    """Contracts are fully collateralised: 1 is what there is."""

    leverage: Int = Field(description="1, the cap; anything above or below is refused.", examples=[1])
