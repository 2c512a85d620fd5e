"""What an order looks like on its way to the venue: request bodies, and the ids that make sending one twice harmless.

Shared by the request side and the streams. Must not know how anything is sent.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict

import msgspec

from raeth.client.models import Market, Side

Tif = Literal["GTC", "IOC", "FOK", "POST_ONLY"]
Stp = Literal["CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"]

MarketRef = str | Market
"""A market: its UUID, its symbol, or the Market itself."""

Levels = Iterable[tuple[int, int]]
"""`(price, qty)` of each level: cents of YES, contracts."""

Body = dict[str, Any]


class OrderOptions(TypedDict, total=False):
    """What an order may have besides market, side, quantity and price.

    `tif` — LIMIT defaults to GTC; a MARKET order (no price) is IOC, or FOK if so asked.
    `reduce_only` — decline it rather than open or turn a position.
    `client_order_id` — own idempotency key, 1-128 of `[A-Za-z0-9_:.-]`; made up if not given.
    `slippage_cap_cents` — MARKET only: fill no further than the touch at arrival plus this.
    `recv_window_ms` — decline it (STALE_REQUEST) if it arrives more than this (1-60000) from `timestamp_ms`, epoch
    milliseconds of venue time; without `timestamp_ms` the client asks the venue for its clock. Renewed at every send.
    `expires_at_ms` — epoch milliseconds of venue time at which the order ends.
    `stp` — self-trade prevention over all agents of the account; default CANCEL_MAKER.
    `confirm_fat_finger` — True skips the fat-finger check, and only that.
    """

    tif: Tif | None
    reduce_only: bool
    client_order_id: str | None
    slippage_cap_cents: int | None
    timestamp_ms: int | None
    recv_window_ms: int | None
    expires_at_ms: int | None
    stp: Stp | None
    confirm_fat_finger: bool


class NewOrder(msgspec.Struct, frozen=True):
    """One leg of a batch. `price` in cents of YES, None for MARKET; the rest as in `OrderOptions`."""

    market: MarketRef
    side: Side
    qty: int
    price: int | None = None
    tif: Tif | None = None
    reduce_only: bool = False
    client_order_id: str | None = None
    slippage_cap_cents: int | None = None
    timestamp_ms: int | None = None
    recv_window_ms: int | None = None
    expires_at_ms: int | None = None
    stp: Stp | None = None
    confirm_fat_finger: bool = False

    def body(self) -> Body:
        """The request body, without what was not given."""
        body: Body = {"market_id": market_id(self.market), "side": self.side, "qty": _integer("qty", self.qty)}
        if self.price is None:
            body["type"] = "MARKET"
        else:
            body["type"] = "LIMIT"
            body["price"] = _integer("price", self.price)
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None and value is not False:
                body[name] = value
        return body


_OPTIONAL = tuple(OrderOptions.__annotations__)


def market_id(market: MarketRef) -> str:
    """What names a market on the wire. Raises TypeError for what is none."""
    if isinstance(market, Market):
        return market.id
    if not isinstance(market, str):
        raise TypeError(f"a market is a UUID, a symbol or a Market, not {type(market).__name__}")
    return market


def order_body(
    market: MarketRef, side: Side, qty: int, price: int | None = None, options: Mapping[str, Any] | None = None
) -> Body:
    """The body of `POST /orders`. Raises TypeError for an unknown option, or a price or quantity that is no integer."""
    return NewOrder(market, side, qty, price, **(options or {})).body()


def quotes_body(market: MarketRef, quote_id: str, bids: Levels, asks: Levels) -> Body:
    """The body of `PUT /quotes`: the whole quote as it is to be from now on."""
    return {
        "market_id": market_id(market),
        "quote_id": quote_id,
        "bids": [{"price": _integer("price", price), "qty": _integer("qty", qty)} for price, qty in bids],
        "asks": [{"price": _integer("price", price), "qty": _integer("qty", qty)} for price, qty in asks],
    }


def amend_body(price: int | None, qty: int | None) -> Body:
    """The body of `PATCH /orders/{id}`. Raises ValueError when nothing is to change."""
    given = {"price": price, "qty": qty}
    body = {name: _integer(name, value) for name, value in given.items() if value is not None}
    if not body:
        raise ValueError("give a price, a qty, or both")
    return body


def cancel_body(
    market: MarketRef | None = None,
    side: Side | None = None,
    quote_id: str | None = None,
    client_order_ids: Iterable[str] | None = None,
) -> Body:
    """The body of `POST /orders/cancel` as a filter; empty is everything."""
    body: Body = {"side": side, "quote_id": quote_id}
    body["market_id"] = None if market is None else market_id(market)
    body["client_order_ids"] = None if client_order_ids is None else list(client_order_ids)
    return {name: value for name, value in body.items() if value is not None}


def _integer(name: str, value: Any) -> int:
    """Refuse floats and booleans here, where the traceback still shows whose they are."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is a whole number, not {value!r}")
    return int(value.__index__())


class OrderIds:
    """Unique ids that nobody can guess: a random prefix of this client and a counter. Safe in threads and forks."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._prefix = secrets.token_hex(10)
        self._next = itertools.count(1)

    def __call__(self) -> str:
        if os.getpid() != self._pid:  # a forked child would go on with its parent's ids
            self._begin()
        return f"{self._prefix}-{next(self._next)}"
