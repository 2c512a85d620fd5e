"""Amending and cancelling over HTTP (contract, section 6): priority, precise refusals, mass cancel."""

from __future__ import annotations

from typing import Any

import pytest

from raeth.engine import commands as cmd
from raeth.engine.ids import to_uuid
from tests.api.harness import GENESIS_MS, Desk

NOBODY = "00000000-0000-8000-8000-000000000000"
TOO_WIDE = to_uuid(GENESIS_MS, (1 << 74) - 1)
"""An id of this very venue that fits neither the journal nor a table."""

NOT_IDS = ("nonsense", NOBODY, TOO_WIDE, "%00", "ä", "x" * 200)


@pytest.mark.parametrize(
    ("change", "keeps"),
    [({"qty": 5}, True), ({"price": 50, "qty": 5}, True), ({"qty": 15}, False), ({"price": 50}, False)],
)
async def test_a_pure_decrease_keeps_the_place_in_the_queue(desk: Desk, change: dict[str, Any], keeps: bool) -> None:
    a, b, c = [await desk.trader(name) for name in ("alice", "bob", "carol")]
    first, second = await a.place("BUY", 50, 10), await b.place("BUY", 50, 10)
    amended = await a.ask("PATCH", f"/orders/{first['order_id']}", json=change)
    assert amended["qty"] == change.get("qty", 10) and amended["status"] == "OPEN"
    assert amended["seq"] > first["seq"] and "order" not in amended
    await c.place("SELL", 50, 1, tif="FOK")
    assert (await a.get(f"/orders/{first['order_id']}"))["filled_qty"] == (1 if keeps else 0)
    assert (await b.get(f"/orders/{second['order_id']}"))["filled_qty"] == (0 if keeps else 1)


async def test_an_amend_may_cross(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await b.place("SELL", 55, 4)
    order = await a.place("BUY", 50, 10)
    amended = await a.ask("PATCH", f"/orders/{order['order_id']}", json={"price": 55})
    assert (amended["status"], amended["filled_qty"], amended["remaining_qty"]) == ("PARTIALLY_FILLED", 4, 6)
    assert amended["order_id"] == order["order_id"] and len(amended["fills"]) == 1


async def test_the_new_quantity_is_a_total(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    order = await a.place("BUY", 50, 10)
    await b.place("SELL", 50, 4)
    path = f"/orders/{order['order_id']}"
    for qty in (4, 3, 0, -1):
        error = await a.refused("AMEND_CONFLICT", 409, "PATCH", path, json={"qty": qty})
        assert error["details"] == {"filled_qty": 4}
    amended = await a.ask("PATCH", path, json={"qty": 5})
    assert (amended["qty"], amended["filled_qty"], amended["remaining_qty"]) == (5, 4, 1)


async def test_a_declined_amend_leaves_the_order_as_it_was(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await b.place("SELL", 55, 4)
    order = await a.place("BUY", 50, 10, tif="POST_ONLY", client_order_id="mine")
    path = f"/orders/{order['order_id']}"
    declined = await a.ask("PATCH", path, json={"price": 56})
    assert (declined["status"], declined["reject_reason"]) == ("REJECTED", "POST_ONLY_WOULD_CROSS")
    assert declined["reject_details"] == {"best_non_crossing_price": 54, "retryable": True}
    assert (declined["filled_qty"], declined["remaining_qty"], declined["order_id"]) == (0, 0, order["order_id"])
    assert declined["order"] == order == await a.get(path)
    declined = await a.ask("PATCH", path, json={"qty": 3_000})
    assert declined["reject_details"] == {"max_qty": 2_000, "retryable": False}  # an amend cannot confirm
    declined = await a.ask("PATCH", path, json={"price": 100})
    assert declined["reject_reason"] == "PRICE_OUT_OF_RANGE"


async def test_a_frozen_venue_lets_orders_shrink_and_go(desk: Desk) -> None:
    a = await desk.trader("alice")
    orders = [await a.place("BUY", 50, 10) for _ in range(3)]
    quote = {"market_id": desk.symbol, "quote_id": "q", "bids": [{"price": 40, "qty": 1}]}
    await a.ask("PUT", "/quotes", json=quote)
    await desk.submit(cmd.Freeze("ops", "test"))
    path = f"/orders/{orders[0]['order_id']}"
    assert (await a.ask("PATCH", path, json={"qty": 9}))["qty"] == 9
    for change in ({"qty": 11}, {"price": 49}, {"price": 49, "qty": 5}):
        await a.refused("EXCHANGE_FROZEN", 503, "PATCH", path, json=change)
    await a.refused("EXCHANGE_FROZEN", 503, "PUT", "/quotes", json=quote)
    await a.refused("EXCHANGE_FROZEN", 503, "POST", "/orders/batch", json={"orders": [limit(desk)]})
    assert (await a.ask("PUT", "/quotes", json={"market_id": desk.symbol, "quote_id": "q"}))["results"] == []
    assert (await a.ask("DELETE", path))["cancel_reason"] == "USER"
    assert (await a.ask("POST", "/orders/cancel", json={}))["cancelled"] == 2
    assert (await a.ask("POST", "/orders/preview", json=limit(desk)))["would"] == "ACCEPT"


def limit(desk: Desk) -> dict[str, Any]:
    return {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 50, "qty": 1}


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
async def test_what_is_not_open_is_told_precisely(desk: Desk, method: str) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    body = {"json": {"qty": 1}} if method == "PATCH" else {}
    for text in NOT_IDS:
        await a.refused("ORDER_NOT_FOUND", 404, method, f"/orders/{text}", **body)
    open_, filled, cancelled = [await a.place("SELL", price, 2) for price in (60, 50, 70)]
    rejected = await a.place("SELL", 60, 0)
    await b.place("BUY", 50, 2)
    await a.ask("DELETE", f"/orders/{cancelled['order_id']}")
    expired = await a.place("BUY", 1, 1, expires_at_ms=desk.clock.now_ms() + 5)
    await desk.advance(5)
    for order in (open_, filled, cancelled, rejected, expired):
        await b.refused("FORBIDDEN", 403, method, f"/orders/{order['order_id']}", **body)
        await b.refused("FORBIDDEN", 403, "GET", f"/orders/{order['order_id']}")
    await a.refused("ORDER_ALREADY_FILLED", 409, method, f"/orders/{filled['order_id']}", **body)
    for order in (cancelled, rejected, expired):
        await a.refused("ORDER_NOT_OPEN", 409, method, f"/orders/{order['order_id']}", **body)
    await desk.next_window()
    await a.refused("ORDER_NOT_OPEN", 409, method, f"/orders/{open_['order_id']}", **body)


async def test_cancelling_answers_with_the_order(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    order = await a.place("BUY", 50, 10)
    await b.place("SELL", 50, 4)
    ended = await a.ask("DELETE", f"/orders/{order['order_id']}")
    assert (ended["status"], ended["cancel_reason"]) == ("CANCELLED", "USER")
    assert (ended["filled_qty"], ended["remaining_qty"], ended["qty"]) == (4, 0, 10)
    assert ended == await a.get(f"/orders/{order['order_id']}")


async def test_a_list_of_ids_is_answered_in_its_order(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    mine = [await a.place("SELL", 60 + n, 1) for n in range(3)]
    foreign = await b.place("SELL", 70, 1)
    await b.place("BUY", 60, 1)
    ids = [mine[2]["order_id"], NOBODY, foreign["order_id"], "nonsense", mine[0]["order_id"], mine[1]["order_id"]]
    answer = await a.ask("POST", "/orders/cancel", json={"order_ids": [*ids, ids[0]]})
    assert answer["cancelled"] == 2
    assert [result["order_id"] for result in answer["results"]] == ids
    codes = [result.get("code", result.get("status")) for result in answer["results"]]
    assert codes == [
        "CANCELLED",
        "ORDER_NOT_FOUND",
        "FORBIDDEN",
        "ORDER_NOT_FOUND",
        "ORDER_ALREADY_FILLED",
        "CANCELLED",
    ]
    assert all(result["message"] for result in answer["results"] if "code" in result)
    assert await a.ask("POST", "/orders/cancel", json={"order_ids": []}) == {"results": [], "cancelled": 0}
    again = await a.ask("POST", "/orders/cancel", json={"order_ids": ids[:1]})
    assert again["results"][0]["code"] == "ORDER_NOT_OPEN"


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({}, set()),
        ({"side": "BUY"}, {"s1", "s2"}),
        ({"quote_id": "q"}, {"b1", "s1", "s2"}),
        ({"client_order_ids": ["b1", "s2", "nope"]}, {"s1", None}),
        ({"client_order_ids": []}, {"b1", "s1", "s2", None}),
        ({"side": "SELL", "client_order_ids": ["b1", "s1"]}, {"b1", "s2", None}),
        ({"quote_id": "other"}, {"b1", "s1", "s2", None}),
    ],
)
async def test_a_filter_cancels_what_matches(desk: Desk, wanted: dict[str, Any], left: set[str | None]) -> None:
    a = await desk.trader("alice")
    for side, price, name in (("BUY", 40, "b1"), ("SELL", 60, "s1"), ("SELL", 61, "s2")):
        await a.place(side, price, 1, client_order_id=name)
    quote = {"market_id": desk.symbol, "quote_id": "q", "bids": [{"price": 30, "qty": 1}]}
    await a.ask("PUT", "/quotes", json=quote)
    answer = await a.ask("POST", "/orders/cancel", json=wanted)
    assert answer["cancelled"] == len(answer["results"]) == 4 - len(left)
    assert {o["client_order_id"] for o in (await a.get("/orders", status="OPEN"))["items"]} == left


async def test_a_filter_by_market(desk: Desk) -> None:
    a = await desk.trader("alice")
    old = desk.symbol
    await desk.next_window()
    await a.place("BUY", 40, 1)
    for market in (old, desk.sequencer.state.pending.symbol):  # type: ignore[union-attr]
        assert (await a.ask("POST", "/orders/cancel", json={"market_id": market}))["cancelled"] == 0
    await a.refused("UNKNOWN_MARKET", 404, "POST", "/orders/cancel", json={"market_id": "none"})
    assert (await a.ask("POST", "/orders/cancel", json={"market_id": desk.market_id}))["cancelled"] == 1


async def test_only_what_the_call_cancelled_is_in_its_answer(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await a.place("BUY", 40, 1, expires_at_ms=desk.clock.now_ms() + 10)
    await b.place("BUY", 41, 1, expires_at_ms=desk.clock.now_ms() + 10)
    await a.place("BUY", 42, 1, client_order_id="left")
    desk.clock.advance(10)  # both fall due in the very command that cancels
    answer = await a.ask("POST", "/orders/cancel", json={})
    assert [order["client_order_id"] for order in answer["results"]] == ["left"] and answer["cancelled"] == 1
