"""Nasty bodies at every call that takes one: the exact code, never a 5xx, and nothing changes (contract, section 3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.harness import Desk, Trader

Order = dict[str, Any]
DEEP = 30_000


def order(desk: Desk, **fields: Any) -> Order:
    return {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 50, "qty": 10} | fields


def raw(desk: Desk, old: str, new: bytes) -> bytes:
    """A valid order's bytes with one piece replaced."""
    text = json.dumps(order(desk)).encode()
    assert text.count(old.encode()) == 1
    return text.replace(old.encode(), new)


Make = Callable[[Desk], bytes]

UNREADABLE: dict[str, Make] = {
    "empty": lambda d: b"",
    "blank": lambda d: b" \n",
    "not JSON": lambda d: b"market_id=x&side=BUY",
    "half": lambda d: b'{"market_id": "x", ',
    "NaN": lambda d: raw(d, '"qty": 10', b'"qty": NaN'),
    "Infinity": lambda d: raw(d, '"qty": 10', b'"qty": Infinity'),
    "-Infinity": lambda d: raw(d, '"qty": 10', b'"qty": -Infinity'),
    "1e400": lambda d: raw(d, '"qty": 10', b'"qty": 1e400'),
    "1e1": lambda d: raw(d, '"qty": 10', b'"qty": 1e1'),
    "5.0": lambda d: raw(d, '"qty": 10', b'"qty": 5.0'),
    "string": lambda d: raw(d, '"qty": 10', b'"qty": "5"'),
    "true": lambda d: raw(d, '"qty": 10', b'"qty": true'),
    "null": lambda d: raw(d, '"qty": 10', b'"qty": null'),
    "list": lambda d: raw(d, '"qty": 10', b'"qty": [10]'),
    "object": lambda d: raw(d, '"qty": 10', b'"qty": {}'),
    "leading zero": lambda d: raw(d, '"qty": 10', b'"qty": 010'),
    "plus": lambda d: raw(d, '"qty": 10', b'"qty": +10'),
    "hex": lambda d: raw(d, '"qty": 10', b'"qty": 0x10'),
    "10^5000": lambda d: raw(d, '"qty": 10', b'"qty": 1' + b"0" * 5_000),
    "float price": lambda d: raw(d, '"price": 50', b'"price": 0.5'),
    "false price": lambda d: raw(d, '"price": 50', b'"price": false'),
    "string bool": lambda d: raw(d, '"qty": 10', b'"qty": 10, "reduce_only": "true"'),
    "number bool": lambda d: raw(d, '"qty": 10', b'"qty": 10, "reduce_only": 1'),
    "number side": lambda d: raw(d, '"BUY"', b"0"),
    "number name": lambda d: raw(d, '"qty": 10', b'"qty": 10, "client_order_id": 5'),
    "number market": lambda d: raw(d, '"side"', b'"market_id": 5, "side"'),
    "NaN leverage": lambda d: raw(d, '"qty": 10', b'"qty": 10, "leverage": NaN'),
    "deep NaN": lambda d: raw(d, '"qty": 10', b'"qty": 10, "leverage": {"a": [-Infinity]}'),
    "unknown field": lambda d: raw(d, '"qty": 10', b'"qty": 10, "reduce_olny": true'),
    "unknown field of odd name": lambda d: raw(d, '"qty": 10', b'"qty": 10, "\\u0000\\u2028": 1'),
    "missing": lambda d: raw(d, ', "qty": 10', b""),
    "array": lambda d: b"[]",
    "array of orders": lambda d: json.dumps([order(d)]).encode(),
    "text": lambda d: b'"order"',
    "number": lambda d: b"5",
    "null body": lambda d: b"null",
    "true body": lambda d: b"true",
    "two bodies": lambda d: json.dumps(order(d)).encode() * 2,
    "trailing comma": lambda d: raw(d, '"qty": 10', b'"qty": 10,'),
    "comment": lambda d: raw(d, '"qty": 10', b'"qty": 10 /* ten */'),
    "single quotes": lambda d: json.dumps(order(d)).replace('"', "'").encode(),
    "null byte": lambda d: json.dumps(order(d)).encode() + b"\x00",
    "null byte in a string": lambda d: raw(d, '"BUY"', b'"BUY\x00"'),
    "BOM": lambda d: b"\xef\xbb\xbf" + json.dumps(order(d)).encode(),
    "UTF-16": lambda d: json.dumps(order(d)).encode("utf-16"),
    "bad UTF-8": lambda d: raw(d, '"side"', b'"client_order_id": "\xff\xfe", "side"'),
    "overlong UTF-8": lambda d: raw(d, '"side"', b'"client_order_id": "\xc0\x80", "side"'),
    "lone surrogate": lambda d: raw(d, '"side"', b'"client_order_id": "\\ud800", "side"'),
    "deep arrays": lambda d: raw(d, '"qty": 10', b'"qty": 10, "leverage": ' + b"[" * DEEP),
    "deep closed": lambda d: raw(d, '"qty": 10', b'"qty": 10, "leverage": ' + b"[" * DEEP + b"]" * DEEP),
    "deep objects": lambda d: b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}

OUTSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "10^400": ({"qty": 10**400}, "qty"),
    "2^53": ({"qty": 2**53}, "qty"),
    "-2^53": ({"price": -(2**53)}, "price"),
    "other side": ({"side": "HOLD"}, "side"),
    "lower case": ({"type": "limit"}, "type"),
    "other tif": ({"tif": "DAY"}, "tif"),
    "other stp": ({"stp": "NONE"}, "stp"),
    "no price": ({"price": None}, "price"),
    "market with a price": ({"type": "MARKET"}, "price"),
    "market that posts": ({"type": "MARKET", "price": None, "tif": "POST_ONLY"}, "tif"),
    "capped limit": ({"slippage_cap_cents": 1}, "slippage_cap_cents"),
    "negative cap": ({"type": "MARKET", "price": None, "slippage_cap_cents": -1}, "slippage_cap_cents"),
    "stamp alone": ({"timestamp_ms": 1}, "recv_window_ms"),
    "window alone": ({"recv_window_ms": 1}, "timestamp_ms"),
    "window too small": ({"timestamp_ms": 1, "recv_window_ms": 0}, "recv_window_ms"),
    "window too large": ({"timestamp_ms": 1, "recv_window_ms": 60_001}, "recv_window_ms"),
    "empty name": ({"client_order_id": ""}, "client_order_id"),
    "long name": ({"client_order_id": "x" * 129}, "client_order_id"),
    "huge name": ({"client_order_id": "x" * 60_000}, "client_order_id"),
    "null byte in the name": ({"client_order_id": "a\0b"}, "client_order_id"),
    "newline after the name": ({"client_order_id": "a\n"}, "client_order_id"),
    "emoji name": ({"client_order_id": "🚀"}, "client_order_id"),
    "empty market": ({"market_id": ""}, "market_id"),
    "long market": ({"market_id": "x" * 65}, "market_id"),
    "null byte in the market": ({"market_id": "a\0b"}, "market_id"),
    "unprintable market": ({"market_id": "a\x7fb"}, "market_id"),
}


class Still:
    """What must not change: nothing may be journaled, so neither orders nor the book can have."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def __aenter__(self) -> None:
        self.before = await self._look()

    async def __aexit__(self, *_: object) -> None:
        assert await self._look() == self.before
        self.desk.check()

    async def _look(self) -> Any:
        state = self.desk.sequencer.state
        return state.seq, len(state.orders), await self.desk.read(f"/markets/{self.desk.symbol}/book")


@pytest.fixture
async def alice(desk: Desk) -> Trader:
    trader = await desk.trader("alice")
    await trader.place("BUY", 40, 3)
    return trader


async def test_what_cannot_be_read_is_a_400(desk: Desk, alice: Trader) -> None:
    async with Still(desk):
        for name, make in UNREADABLE.items():
            body = make(desk)
            response = await alice.call("POST", "/orders", content=body)
            assert (response.status_code, response.json()["code"]) == (400, "BAD_REQUEST"), (name, response.text)
            response = await alice.call("POST", "/orders/preview", content=body)
            assert (response.status_code, response.json()["code"]) == (400, "BAD_REQUEST"), (name, response.text)


async def test_what_is_outside_the_schema_is_a_422(desk: Desk, alice: Trader) -> None:
    async with Still(desk):
        for name, (fields, field) in OUTSIDE.items():
            body = order(desk, **fields)
            error = await alice.refused("VALIDATION_FAILED", 422, "POST", "/orders", json=body)
            assert [fault["field"] for fault in error["details"]] == [field], (name, error)
            error = await alice.refused("VALIDATION_FAILED", 422, "POST", "/orders/batch", json={"orders": [body]})
            assert [fault["field"] for fault in error["details"]] == [f"orders.0.{field}"], (name, error)
            # A 400 wins over a 422 when both apply.
            await alice.refused("BAD_REQUEST", 400, "POST", "/orders", json=body | {"nonsense": 1})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/orders/batch"),
        ("PUT", "/quotes"),
        ("POST", "/orders/cancel"),
        ("PATCH", "/orders/{order}"),
        ("PUT", "/account/leverage"),
    ],
)
async def test_no_call_takes_any_of_it(desk: Desk, alice: Trader, method: str, path: str) -> None:
    resting = (await alice.get("/orders"))["items"][0]
    path = path.replace("{order}", resting["order_id"])
    async with Still(desk):
        for make in UNREADABLE.values():
            response = await alice.call(method, path, content=make(desk))
            assert (response.status_code, response.json()["code"]) == (400, "BAD_REQUEST"), response.text
        await alice.refused("BODY_TOO_LARGE", 413, method, path, content=b" " * 65_537)


@pytest.mark.parametrize(
    "body",
    [b'{"a": "' + b"x" * 60_000_000 + b'"}', b'{"a":' * 100_000, b"[" * 100_000, b"x" * 65_537],
    ids=["60 MB", "100 000 objects", "100 000 arrays", "one byte too many"],
)
async def test_what_is_too_large_is_a_413(desk: Desk, alice: Trader, body: bytes) -> None:
    async with Still(desk):
        await alice.refused("BODY_TOO_LARGE", 413, "POST", "/orders", content=body)


async def test_a_quote_is_as_strict_inside(desk: Desk, alice: Trader) -> None:
    level = {"price": 30, "qty": 1}
    async with Still(desk):
        for bad, code, status in (
            ({"price": 30}, "BAD_REQUEST", 400),
            (level | {"side": "BUY"}, "BAD_REQUEST", 400),
            (level | {"qty": 1.5}, "BAD_REQUEST", 400),
            ([30, 1], "BAD_REQUEST", 400),
            (level | {"qty": 10**30}, "VALIDATION_FAILED", 422),
        ):
            body = {"market_id": desk.symbol, "quote_id": "q", "bids": [level, bad]}
            error = await alice.refused(code, status, "PUT", "/quotes", json=body)
            assert error["details"][0]["field"].startswith("bids.1")
        for body in ({"quote_id": "q"}, {"market_id": desk.symbol}):
            await alice.refused("BAD_REQUEST", 400, "PUT", "/quotes", json=body)


async def test_cancel_and_amend_refuse_what_contradicts_itself(desk: Desk, alice: Trader) -> None:
    resting = (await alice.get("/orders"))["items"][0]
    path = f"/orders/{resting['order_id']}"
    async with Still(desk):
        for body in ({}, {"price": None, "qty": None}):
            await alice.refused("VALIDATION_FAILED", 422, "PATCH", path, json=body)
        await alice.refused("BAD_REQUEST", 400, "PATCH", path, json={"side": "SELL"})
        for filters in ({"side": "BUY"}, {"market_id": desk.symbol}, {"quote_id": "q"}, {"client_order_ids": []}):
            body = {"order_ids": [resting["order_id"]], **filters}
            await alice.refused("VALIDATION_FAILED", 422, "POST", "/orders/cancel", json=body)
        for ids in ([""], ["x" * 65]):
            await alice.refused("VALIDATION_FAILED", 422, "POST", "/orders/cancel", json={"order_ids": ids})
        await alice.refused("BAD_REQUEST", 400, "POST", "/orders/cancel", json={"order_ids": [5]})
        for field in ("order_ids", "client_order_ids"):
            body = {field: ["x"] * 101}
            await alice.refused("BATCH_SIZE_EXCEEDED", 422, "POST", "/orders/cancel", json=body)


async def test_of_two_fields_with_one_name_the_last_counts(desk: Desk, alice: Trader) -> None:
    """As every common JSON reader does; what counts is that it is one of them, and never both."""
    response = await alice.call("POST", "/orders", content=raw(desk, '"qty": 10', b'"qty": 0, "qty": 1'))
    assert (response.json()["status"], response.json()["qty"]) == ("OPEN", 1)


async def test_null_is_the_same_as_absent(desk: Desk, alice: Trader) -> None:
    optional = (
        "tif slippage_cap_cents reduce_only client_order_id timestamp_ms recv_window_ms expires_at_ms stp "
        "confirm_fat_finger leverage margin_mode"
    ).split()
    placed = await alice.ask("POST", "/orders", json=order(desk) | dict.fromkeys(optional))
    assert (placed["status"], placed["tif"]) == ("OPEN", "GTC")
    body = {"market_id": desk.symbol, "quote_id": "q", "bids": None, "asks": None}
    assert (await alice.ask("PUT", "/quotes", json=body))["results"] == []


async def test_the_input_is_never_echoed(desk: Desk, alice: Trader) -> None:
    secret = "rk_live_do_not_show"
    for fields in ({"side": secret}, {"client_order_id": secret + " "}, {"market_id": "\t" + secret}, {"qty": secret}):
        response = await alice.call("POST", "/orders", json=order(desk, **fields))
        assert response.status_code in (400, 422) and secret not in response.text
    for path in (f"/orders/{secret}", f"/orders/by-client-id/{secret}", f"/markets/{secret}"):
        assert secret not in (await alice.call("GET", path)).text


async def test_a_list_with_many_filters_goes_on_page_by_page(desk: Desk, alice: Trader) -> None:
    """The filters are part of what a cursor is bound to, however long they are."""
    for price in (30, 31):
        await alice.place("BUY", price, 1)
    every = "OPEN PARTIALLY_FILLED FILLED CANCELLED EXPIRED REJECTED".split()
    first = await alice.get("/orders", limit=2, market_id=desk.market_id, status=every)
    rest = await alice.get("/orders", limit=2, market_id=desk.market_id, status=every, cursor=first["next_cursor"])
    assert [len(page["items"]) for page in (first, rest)] == [2, 1] and rest["next_cursor"] is None
    await alice.refused("INVALID_CURSOR", 422, "GET", "/markets", params={"series": "é" * 64, "cursor": "x"})
