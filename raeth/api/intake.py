"""From validated order requests to the engine's commands, and to the idempotency keys that guard them.

Must not know how orders are judged: it translates, and vouches for market ids.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import msgspec

from raeth.api.call import Call
from raeth.api.lookup import market_now, market_ref
from raeth.api.schemas.orders import OrderRequest
from raeth.api.schemas.plain_orders import PlainOrderRequest
from raeth.api.views.names import MarketName, Names
from raeth.engine.commands import OrderSpec
from raeth.engine.types import BUY, CANCEL_MAKER, FOK, GTC, IOC, LIMIT, SELL
from raeth.idempotency import IdemKey

_encode = msgspec.json.Encoder(order="deterministic").encode

AnyOrder = OrderRequest | PlainOrderRequest

Placed = tuple[int, MarketName | None]


async def resolve(call: Call, names: Names, ref: str) -> Placed:
    """A market for order entry: `(0, None)` when nobody knows it; one that has ended keeps its id."""
    return market_now(call, names, ref) or await market_ref(call, names, ref) or (0, None)


def spec_of(body: AnyOrder, market: int) -> OrderSpec:
    """What the engine is asked for. A MARKET order is IOC unless it asks for FOK."""
    if type(body) is PlainOrderRequest:
        return body.spec(market)
    said = body.__dict__  # a model's attributes are looked up in Python when they are asked for one by one
    kind, tif = said["type"], said["tif"]
    if kind != LIMIT:
        tif = FOK if tif == FOK else IOC
    leverage = said["leverage"]
    return OrderSpec(
        market,
        BUY if said["side"] == "BUY" else SELL,
        kind,
        tif or GTC,
        said["price"],
        said["qty"],
        said["slippage_cap_cents"],
        said["reduce_only"] or False,
        said["client_order_id"],
        said["timestamp_ms"],
        said["recv_window_ms"],
        said["expires_at_ms"],
        said["stp"] or CANCEL_MAKER,
        said["confirm_fat_finger"] or False,
        leverage is None or (type(leverage) is int and leverage == 1),
        said["margin_mode"] is None,
    )


def _told(value: Any) -> str | None:
    """Any JSON the caller sent, as text: the standard library's knows integers of any size."""
    return None if value is None else json.dumps(value, sort_keys=True)


def fingerprint(body: AnyOrder, spec: OrderSpec, name: MarketName | None, atomic: bool = False) -> bytes:
    """What tells a replay from a conflict: the order as parsed, less `timestamp_ms` and `recv_window_ms`.

    The market goes in by its symbol, whichever way it was named; what nobody knows, by the caller's own words: so the
    digest of one body never changes, though a market may be listed later.
    """
    told = (
        name.symbol if name is not None else body.market_id,
        spec.side,
        spec.type,
        spec.tif,
        spec.price,
        spec.qty,
        spec.slippage_cap,
        spec.reduce_only,
        spec.expires_at,
        spec.stp,
        spec.confirm_fat_finger,
        _told(body.leverage),
        _told(body.margin_mode),
        atomic,
    )
    return blake2b(_encode(told), digest_size=16).digest()


def key_of(
    agent: int, body: AnyOrder, spec: OrderSpec, name: MarketName | None, place: int = 0, atomic: bool = False
) -> IdemKey | None:
    """The idempotency key of an order that has one."""
    if body.client_order_id is None:
        return None
    return IdemKey(agent, body.client_order_id, fingerprint(body, spec, name, atomic), place)
