"""Two-sided quotes over HTTP (contract, section 6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.harness import Desk, Trader

Levels = list[tuple[int, int]]


def quote(desk: Desk, bids: Levels, asks: Levels, quote_id: str = "q", **fields: Any) -> dict[str, Any]:
    sides = {name: [{"price": p, "qty": q} for p, q in levels] for name, levels in (("bids", bids), ("asks", asks))}
    return {"market_id": desk.symbol, "quote_id": quote_id} | sides | fields


async def put(trader: Trader, bids: Levels, asks: Levels, **fields: Any) -> list[dict[str, Any]]:
    return (await trader.ask("PUT", "/quotes", json=quote(trader.desk, bids, asks, **fields)))["results"]


async def ladder(desk: Desk) -> tuple[Any, Any]:
    book = await desk.read(f"/markets/{desk.symbol}/book")
    return book["bids"], book["asks"]


async def test_a_quote_is_replaced_as_a_whole(desk: Desk) -> None:
    a = await desk.trader("alice")
    first = await put(a, [(50, 10), (49, 20)], [(55, 10)])
    assert [(o["side"], o["price"], o["qty"], o["tif"], o["status"]) for o in first] == [
        ("BUY", 50, 10, "POST_ONLY", "OPEN"),
        ("BUY", 49, 20, "POST_ONLY", "OPEN"),
        ("SELL", 55, 10, "POST_ONLY", "OPEN"),
    ]
    second = await put(a, [(51, 5)], [(55, 4), (56, 6)])
    assert await ladder(desk) == ([[51, 5, 1]], [[55, 4, 1], [56, 6, 1]])
    assert second[1]["order_id"] == first[2]["order_id"]
    old = await a.get(f"/orders/{first[0]['order_id']}")
    assert (old["status"], old["cancel_reason"]) == ("CANCELLED", "REPLACED")
    assert await put(a, [], []) == []
    assert await ladder(desk) == ([], [])
    assert (await a.get(f"/orders/{second[0]['order_id']}"))["cancel_reason"] == "USER"


async def test_kept_levels_keep_their_place(desk: Desk) -> None:
    a, b, c = [await desk.trader(name) for name in ("alice", "bob", "carol")]
    (mine,) = await put(a, [(50, 10)], [])
    await b.place("BUY", 50, 10)
    (mine,) = await put(a, [(50, 4)], [])
    await c.place("SELL", 50, 1)
    assert (await a.get(f"/orders/{mine['order_id']}"))["filled_qty"] == 1
    (grown,) = await put(a, [(50, 9)], [])  # a larger size is a new order, at the back
    assert grown["order_id"] != mine["order_id"]
    await c.place("SELL", 50, 10)
    assert (await a.get(f"/orders/{grown['order_id']}"))["filled_qty"] == 0


async def test_quotes_of_other_names_and_orders_stay(desk: Desk) -> None:
    a = await desk.trader("alice")
    await put(a, [(50, 1)], [], quote_id="one")
    await put(a, [(49, 1)], [], quote_id="two")
    await a.place("BUY", 48, 1)
    await put(a, [], [], quote_id="one")
    assert (await ladder(desk))[0] == [[49, 1, 1], [48, 1, 1]]


async def test_each_level_is_judged_alone_and_the_best_first(desk: Desk) -> None:
    a, b = await desk.trader("alice", cash_cents=950), await desk.trader("bob")
    await b.place("SELL", 53, 1)
    results = await put(a, [(40, 10), (50, 12), (53, 1), (0, 1), (45, 0)], [(60, 5)])
    told = [o["reject_reason"] or o["status"] for o in results]
    # 50 comes before 40 although it was sent after it, so it gets the cash; the ask is covered by the bids' collateral.
    expected = ["INSUFFICIENT_MARGIN", "OPEN", "POST_ONLY_WOULD_CROSS", "PRICE_OUT_OF_RANGE", "INVALID_QTY", "OPEN"]
    assert told == expected
    assert results[2]["reject_details"] == {"best_non_crossing_price": 52, "retryable": True}
    # A decline does not bring the old level back.
    (declined,) = await put(a, [(50, 100)], [])
    assert declined["reject_reason"] == "INSUFFICIENT_MARGIN"
    assert (await ladder(desk))[0] == []


async def test_two_sides_cost_one(desk: Desk) -> None:
    a = await desk.trader("alice")
    await put(a, [(50, 10)], [(60, 10)])
    assert (await a.get("/account"))["locked_cents"] == max(50 * 10, 40 * 10)


async def test_a_quote_names_its_market(desk: Desk) -> None:
    a = await desk.trader("alice")
    results = await put(a, [(50, 1)], [(60, 1)], market_id="none")
    assert [o["reject_reason"] for o in results] == ["UNKNOWN_MARKET"] * 2
    assert await put(a, [], [], market_id="none") == []
    old = desk.symbol
    await desk.next_window()
    (order,) = await put(a, [(50, 1)], [], market_id=old)
    assert (order["reject_reason"], order["symbol"]) == ("MARKET_CLOSED", old)
    assert order["reject_details"] == {"retryable": False}


@pytest.mark.parametrize(
    ("bids", "asks", "code", "field"),
    [
        ([(50, 1), (50, 2)], [], "VALIDATION_FAILED", "bids"),
        ([], [(60, 1), (60, 1)], "VALIDATION_FAILED", "asks"),
        ([(60, 1)], [(60, 1)], "VALIDATION_FAILED", "bids"),
        ([(61, 1), (40, 1)], [(70, 1), (60, 1)], "VALIDATION_FAILED", "bids"),
        ([(n, 1) for n in range(1, 22)], [], "BATCH_SIZE_EXCEEDED", None),
        ([], [(n, 1) for n in range(60, 81)], "BATCH_SIZE_EXCEEDED", None),
    ],
)
async def test_the_form_of_a_quote(desk: Desk, bids: Levels, asks: Levels, code: str, field: str | None) -> None:
    a = await desk.trader("alice")
    await put(a, [(30, 1)], [])
    error = await a.refused(code, 422, "PUT", "/quotes", json=quote(desk, bids, asks))
    if field is not None:
        assert error["details"][0]["field"] == field
    assert (await ladder(desk))[0] == [[30, 1, 1]]
    assert len(await put(a, [(n, 1) for n in range(1, 21)], [(n, 1) for n in range(60, 80)])) == 40


async def test_a_fat_fingered_level_cannot_be_confirmed(desk: Desk) -> None:
    a = await desk.trader("alice")
    (order,) = await put(a, [(1, 2_001)], [])
    assert order["reject_details"] == {"max_qty": 2_000, "retryable": False}
