"""From a declined order to the fields that would pass: the venue's numbers, turned into arguments of `place_order`.

A suggestion repairs the check that declined; another check may still object. Nothing is suggested that would switch a
check off. Must not know how orders are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raeth.client.models import Repair
from raeth.errors import CATALOGUE, Code
from raeth.mcp.results import Decline

Arguments = dict[str, Any]
Change = Callable[[Repair, Arguments], Arguments | None]


def _smaller(repair: Repair, sent: Arguments) -> Arguments | None:
    """The largest quantity that passes, if any does."""
    if repair.max_qty is None or repair.max_qty < 1:
        return None
    return {"qty": min(repair.max_qty, sent["qty"])}


def _nearer(repair: Repair, sent: Arguments) -> Arguments | None:
    """Too large an order becomes smaller, a price too far away the nearest that passes."""
    smaller = _smaller(repair, sent)
    if smaller is not None and smaller["qty"] < sent["qty"]:
        return smaller
    return _inside(repair, sent)


def _inside(repair: Repair, sent: Arguments) -> Arguments | None:
    price = sent.get("price")
    if price is None or repair.price_min is None or repair.price_max is None:
        return None
    return {"price": min(max(price, repair.price_min), repair.price_max)}


def _behind(repair: Repair, sent: Arguments) -> Arguments | None:
    return None if repair.best_non_crossing_price is None else {"price": repair.best_non_crossing_price}


def _partly(repair: Repair, sent: Arguments) -> Arguments | None:
    """What is there, all of it or nothing; without any, take what comes or wait in the book."""
    return _smaller(repair, sent) or (None if sent.get("price") is None else {"tif": "GTC"})


def _one(repair: Repair, sent: Arguments) -> Arguments | None:
    return {"qty": 1}


def _not_resting(repair: Repair, sent: Arguments) -> Arguments | None:
    return {"tif": "IOC"}


_CHANGES: dict[str, Change] = {
    Code.FAT_FINGER: _nearer,
    Code.POSITION_CAP: _smaller,
    Code.INVALID_QTY: _one,
    Code.PRICE_OUT_OF_RANGE: _inside,
    Code.REDUCE_ONLY_VIOLATION: _smaller,
    Code.POST_ONLY_WOULD_CROSS: _behind,
    Code.FOK_NOT_FILLABLE: _partly,
    Code.INSUFFICIENT_MARGIN: _smaller,
    Code.OPEN_ORDERS_CAP: _not_resting,
}

ELSEWHERE = frozenset({Code.UNKNOWN_MARKET, Code.MARKET_CLOSED, Code.MARKET_NOT_OPEN})
"""Declines whose repair is another window."""


def explain(
    code: str | None, message: str | None, repair: Repair, sent: Arguments, open_market: str | None = None
) -> Decline:
    """The decline of the order that `sent` describes; `open_market` is the window to go to, if one is open."""
    code = code or "REJECTED"
    entry = CATALOGUE[Code(code)] if code in Code.__members__ else None
    change = _CHANGES.get(code)
    suggested = change(repair, sent) if change is not None else None
    if code in ELSEWHERE and open_market is not None and open_market != sent.get("market"):
        suggested = {"market": open_market}
    wait_s = None if repair.retry_after_ms is None else -(-repair.retry_after_ms // 1000)
    kept = {name: value for name, value in sent.items() if value is not None and name != "client_order_id"}
    retry_with = {**kept, **suggested} if suggested else (kept if wait_s is not None else None)
    numbers = {name: value for name, value in repair.given().items() if name != "retryable"}
    return Decline(
        code=code,
        message=message or (entry.message if entry is not None else code),
        fix=entry.fix if entry is not None else None,
        retryable=repair.retryable,
        retry_in_s=wait_s,
        numbers=numbers,
        suggested=suggested,
        retry_with=retry_with,
    )
