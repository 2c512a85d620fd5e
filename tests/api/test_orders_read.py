"""Reading orders and fills over HTTP: filters, cursors, by client id (contract, sections 1, 4 and 6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.harness import Desk, Trader


async def walk(trader: Trader, path: str, **params: Any) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await trader.get(path, **params, **cursor)
        assert len(page["items"]) <= params.get("limit", 50)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_orders_are_listed_newest_first_page_by_page(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    placed = [await a.place("BUY", 40 + n % 5, 1, client_order_id=f"c{n}") for n in range(7)]
    await b.place("BUY", 30, 1)
    ids = [order["order_id"] for order in reversed(placed)]
    for limit in (1, 3, 7, 250):
        assert [o["order_id"] for o in await walk(a, "/orders", limit=limit)] == ids
    assert await walk(a, "/orders") == list(reversed(placed))


async def test_orders_are_filtered(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    old = desk.symbol
    gone = await a.place("BUY", 40, 1, client_order_id="gone")
    await desk.next_window()
    await b.place("SELL", 50, 1)
    filled, open_, declined = [await a.place("BUY", price, 1) for price in (50, 41, 0)]

    async def ids(**params: Any) -> list[str]:
        return [order["order_id"] for order in await walk(a, "/orders", **params)]

    assert await ids(market_id=old) == await ids(client_order_id="gone") == [gone["order_id"]]
    assert await ids(market_id=desk.market_id, status="OPEN") == [open_["order_id"]]
    assert await ids(status=["FILLED", "REJECTED"]) == [declined["order_id"], filled["order_id"]]
    assert await ids(client_order_id="never") == []
    await a.refused("UNKNOWN_MARKET", 404, "GET", "/orders", params={"market_id": "none"})


async def test_cursors_belong_to_their_list(desk: Desk) -> None:
    a = await desk.trader("alice")
    for _ in range(3):
        await a.place("BUY", 40, 1)
    cursor = (await a.get("/orders", limit=1))["next_cursor"]
    assert cursor
    for path, params in (
        ("/orders", {"cursor": cursor[:-1]}),
        ("/orders", {"cursor": "nonsense"}),
        ("/orders", {"cursor": cursor, "status": "OPEN"}),
        ("/orders", {"cursor": cursor, "market_id": desk.symbol}),
        ("/fills", {"cursor": cursor}),
        ("/ledger", {"cursor": cursor}),
        ("/markets", {"cursor": cursor}),
        (f"/markets/{desk.symbol}/trades", {"cursor": cursor}),
        (f"/markets/{desk.symbol}/candles", {"cursor": cursor}),
    ):
        await a.refused("INVALID_CURSOR", 422, "GET", path, params=params)


@pytest.mark.parametrize(
    ("query", "code", "status"),
    [
        ("limit=0", "VALIDATION_FAILED", 422),
        ("limit=251", "VALIDATION_FAILED", 422),
        ("limit=-1", "VALIDATION_FAILED", 422),
        ("limit=5.0", "BAD_REQUEST", 400),
        ("limit=ten", "BAD_REQUEST", 400),
        ("limit=", "BAD_REQUEST", 400),
        ("limit=1&limit=2", "BAD_REQUEST", 400),
        ("limt=1", "BAD_REQUEST", 400),
        ("status=OPENED", "VALIDATION_FAILED", 422),
        ("market_id=", "VALIDATION_FAILED", 422),
        ("client_order_id=a%20b", "VALIDATION_FAILED", 422),
        ("market_id=%ff", "BAD_REQUEST", 400),
        ("cursor=" + "x" * 300, "INVALID_CURSOR", 422),
    ],
)
async def test_queries_are_as_strict_as_bodies(desk: Desk, query: str, code: str, status: int) -> None:
    a = await desk.trader("alice")
    await a.refused(code, status, "GET", f"/orders?{query}")


async def test_an_order_by_client_id(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    order = await a.place("BUY", 40, 1, client_order_id="A:b.c_d-1")
    assert await a.get("/orders/by-client-id/A:b.c_d-1") == order
    for trader, name in ((b, "A:b.c_d-1"), (a, "other"), (a, "%00"), (a, "a%20b"), (a, "x" * 129)):
        await trader.refused("ORDER_NOT_FOUND", 404, "GET", f"/orders/by-client-id/{name}")


async def test_fills_of_both_sides(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    first = await a.place("SELL", 55, 5)
    for _ in range(3):
        await b.place("BUY", 55, 1)
    made, taken = await walk(a, "/fills", limit=2), await walk(b, "/fills")
    assert [fill["trade_id"] for fill in made] == [fill["trade_id"] for fill in taken]
    assert {fill["order_id"] for fill in made} == {first["order_id"]}
    assert {(f["side"], f["liquidity"], f["price"], f["qty"]) for f in made} == {("SELL", "MAKER", 55, 1)}
    assert {(f["side"], f["liquidity"], f["symbol"]) for f in taken} == {("BUY", "TAKER", desk.symbol)}
    trades = (await desk.read(f"/markets/{desk.symbol}/trades"))["items"]
    assert [trade["trade_id"] for trade in trades] == [fill["trade_id"] for fill in taken]
    assert await walk(a, "/fills", market_id=desk.market_id) == made
    await desk.next_window()
    assert await walk(a, "/fills", market_id=desk.symbol) == []
    await a.refused("UNKNOWN_MARKET", 404, "GET", "/fills", params={"market_id": "none"})


async def test_reads_need_a_key(desk: Desk) -> None:
    for path in ("/orders", "/orders/x", "/orders/by-client-id/x", "/fills", "/account", "/positions", "/ledger"):
        body = await desk.read(path, 401)
        assert body["code"] == "AUTH_MISSING"
