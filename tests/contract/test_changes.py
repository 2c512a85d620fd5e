"""Section 6: amends, cancels, quotes and batches."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.contract.desk import Agent, Desk, leave, taker_fee
from tests.contract.test_trading import books_agree


def amend(agent: Agent, order: dict[str, Any], expect: int | str = 200, **change: Any) -> dict[str, Any]:
    return agent.ask("PATCH", f"/orders/{order['order_id']}", expect, json=change)


def first_filled(desk: Desk, side: str, orders: list[tuple[Agent, dict[str, Any]]]) -> int:
    """Which of them a small taker meets first."""
    desk.signup().order("SELL" if side == "BUY" else "BUY", None, 1)
    before = [order["filled_qty"] for _, order in orders]
    after = [agent.now(order)["filled_qty"] for agent, order in orders]
    return next(n for n, (was, is_) in enumerate(zip(before, after, strict=True)) if is_ > was)


# amends


@pytest.mark.parametrize(
    ("change", "keeps"),
    [
        ({"qty": 3}, True),
        ({"qty": 5}, False),
        ({"qty": 9}, False),
        ({"price": 40}, False),
        ({"price": 40, "qty": 3}, True),
    ],
    ids=str,
)
def test_amends_and_the_place_in_the_queue(calm: Desk, change: dict[str, int], keeps: bool) -> None:
    one, two = calm.signup(), calm.signup()
    a, b = one.rests("BUY", 40, 5), two.rests("BUY", 40, 5)
    amended = amend(one, a, **change)
    assert (amended["order_id"], amended["status"]) == (a["order_id"], "OPEN")
    assert amended["qty"] == change.get("qty", 5) and amended["seq"] > a["seq"]
    assert first_filled(calm, "BUY", [(one, a), (two, b)]) == (0 if keeps else 1)
    books_agree(one)


def test_the_amended_quantity_includes_the_fills(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    order = agent.rests("BUY", 40, 10)
    other.sell(40, 4)
    less = amend(agent, order, qty=6)
    assert (less["qty"], less["filled_qty"], less["remaining_qty"], less["status"]) == (6, 4, 2, "PARTIALLY_FILLED")
    for qty in (4, 3, 0, -1):
        amend(agent, order, "AMEND_CONFLICT", qty=qty)
    more = amend(agent, order, qty=12)
    assert (more["qty"], more["remaining_qty"]) == (12, 8)


def test_an_amend_may_trade_and_costs_the_taker_fee(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("SELL", 45, 3)
    order = agent.rests("BUY", 40, 5)
    amended = amend(agent, order, price=45)
    assert (amended["status"], amended["filled_qty"], amended["price"]) == ("PARTIALLY_FILLED", 3, 45)
    assert amended["fills"][0]["liquidity"] == "TAKER" and amended["fee_cents"] == taker_fee([(45, 3)])
    books_agree(agent)


def test_a_declined_amend_leaves_the_order_alone(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    order = agent.rests("BUY", 40, 5)
    post_only = agent.rests("BUY", 41, 5, tif="POST_ONLY")
    other.rests("SELL", 50, 5)
    cases = [
        (order, {"price": 0}, "PRICE_OUT_OF_RANGE"),
        (order, {"price": 100}, "PRICE_OUT_OF_RANGE"),
        (order, {"qty": 2_001}, "FAT_FINGER"),
        (post_only, {"price": 50}, "POST_ONLY_WOULD_CROSS"),
    ]
    for which, change, code in cases:
        answer = amend(agent, which, **change)
        assert (answer["status"], answer["reject_reason"]) == ("REJECTED", code), answer
        assert answer["order"] == agent.now(which) and answer["order"]["status"] == "OPEN"
    assert amend(agent, post_only, price=49)["status"] == "OPEN"


def test_amends_of_what_is_done_or_unknown(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    filled, cancelled = agent.rests("BUY", 40, 1), agent.rests("BUY", 39, 1)
    other.sell(40, 1)
    agent.ask("DELETE", f"/orders/{cancelled['order_id']}")
    rejected = agent.buy(40, 0)
    amend(agent, filled, "ORDER_ALREADY_FILLED", qty=5)
    amend(agent, cancelled, "ORDER_NOT_OPEN", qty=5)
    amend(agent, rejected, "ORDER_NOT_OPEN", qty=5)
    amend(agent, {"order_id": str(uuid.uuid4())}, "ORDER_NOT_FOUND", qty=5)
    live = agent.rests("BUY", 40, 5)
    amend(agent, live, "BAD_REQUEST", qty="5")
    amend(agent, live, "BAD_REQUEST", tif="IOC")
    assert agent.raw("PATCH", f"/orders/{live['order_id']}", json={}).status_code in (400, 422)


def test_a_pure_decrease_skips_the_chain(calm: Desk) -> None:
    agent = calm.signup()
    order = agent.rests("BUY", 40, 500)
    calm.admin.post(f"/admin/markets/{calm.market}/halt", {"reason": "look"})
    grown = amend(agent, order, qty=600)
    shrunk = amend(agent, order, qty=400)
    calm.admin.post(f"/admin/markets/{calm.market}/resume", {})
    assert grown["reject_reason"] == "MARKET_HALTED"
    assert shrunk["status"] in ("OPEN", "REJECTED")


# cancels


def test_cancel_one(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    order, filled = agent.rests("BUY", 40, 5), agent.rests("BUY", 41, 1)
    other.sell(41, 1)
    gone = agent.ask("DELETE", f"/orders/{order['order_id']}")
    assert (gone["status"], gone["cancel_reason"], gone["filled_qty"]) == ("CANCELLED", "USER", 0)
    agent.ask("DELETE", f"/orders/{order['order_id']}", "ORDER_NOT_OPEN")
    agent.ask("DELETE", f"/orders/{filled['order_id']}", "ORDER_ALREADY_FILLED")
    agent.ask("DELETE", f"/orders/{uuid.uuid4()}", "ORDER_NOT_FOUND")
    agent.ask("DELETE", "/orders/none", "ORDER_NOT_FOUND")


def test_cancel_by_list(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    mine = [agent.rests("BUY", 40 + n, 1)["order_id"] for n in range(3)]
    theirs = other.rests("BUY", 30, 1)["order_id"]
    unknown = str(uuid.uuid4())
    answer = agent.post("/orders/cancel", {"order_ids": [*mine[:2], theirs, unknown]})
    assert answer["cancelled"] == 2
    assert [result["order_id"] for result in answer["results"]] == [*mine[:2], theirs, unknown]
    assert [result.get("code") for result in answer["results"]] == [None, None, "FORBIDDEN", "ORDER_NOT_FOUND"]
    assert len(agent.open_orders()) == 1 and len(other.open_orders()) == 1
    agent.post("/orders/cancel", {"order_ids": [unknown] * 101}, "BATCH_SIZE_EXCEEDED")


def test_cancel_by_filter(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("BUY", 20, 1)
    for key, side, price in (("a", "BUY", 30), ("b", "BUY", 31), ("c", "SELL", 60), ("d", "SELL", 61)):
        agent.rests(side, price, 1, client_order_id=key)
    quote = {"market_id": calm.market, "quote_id": "q", "bids": [{"price": 10, "qty": 1}], "asks": []}
    agent.ask("PUT", "/quotes", json=quote)
    assert agent.post("/orders/cancel", {"client_order_ids": ["a", "never"]})["cancelled"] == 1
    assert agent.post("/orders/cancel", {"quote_id": "q"})["cancelled"] == 1
    assert agent.post("/orders/cancel", {"side": "SELL", "market_id": calm.market})["cancelled"] == 2
    assert [o["client_order_id"] for o in agent.open_orders()] == ["b"]
    everything = agent.post("/orders/cancel", {})
    assert everything["cancelled"] == 1 and everything["results"][0]["cancel_reason"] == "USER"
    assert agent.post("/orders/cancel", {}) == {"results": [], "cancelled": 0}
    assert len(other.open_orders()) == 1
    agent.post("/orders/cancel", {"markt_id": calm.market}, "BAD_REQUEST")
    agent.post("/orders/cancel", {"side": "LONG"}, "VALIDATION_FAILED")
    assert agent.raw("POST", "/orders/cancel", json={"market_id": "none"}).status_code == 404


# quotes


def put(agent: Agent, bids: list[tuple[int, int]], asks: list[tuple[int, int]], quote_id: str = "q") -> Any:
    body = {"market_id": agent.desk.market, "quote_id": quote_id}
    body |= {"bids": [{"price": p, "qty": q} for p, q in bids], "asks": [{"price": p, "qty": q} for p, q in asks]}
    return agent.ask("PUT", "/quotes", json=body)["results"]


def test_quotes_are_replaced_as_a_whole(calm: Desk) -> None:
    agent = calm.signup()
    results = put(agent, [(40, 5), (39, 6)], [(60, 7)])
    assert [(r["side"], r["price"], r["qty"], r["tif"], r["status"]) for r in results] == [
        ("BUY", 40, 5, "POST_ONLY", "OPEN"), ("BUY", 39, 6, "POST_ONLY", "OPEN"), ("SELL", 60, 7, "POST_ONLY", "OPEN"),
    ]  # fmt: skip
    put(agent, [(20, 1)], [], quote_id="other")
    put(agent, [(41, 5)], [(59, 1), (60, 9)])
    assert calm.book() == ([[41, 5, 1], [20, 1, 1]], [[59, 1, 1], [60, 9, 1]])
    assert agent.now(results[0])["cancel_reason"] == "REPLACED"
    put(agent, [], [])
    assert calm.book() == ([[20, 1, 1]], [])
    books_agree(agent)


@pytest.mark.parametrize(("qty", "keeps"), [(5, True), (3, True), (6, False)])
def test_kept_levels_keep_their_place(calm: Desk, qty: int, keeps: bool) -> None:
    one, two = calm.signup(), calm.signup()
    put(one, [(40, 5)], [])
    b = two.rests("BUY", 40, 5)
    (level,) = put(one, [(40, qty)], [])
    assert level["status"] == "OPEN" and level["remaining_qty"] == qty
    assert calm.book()[0] == [[40, 5 + qty, 2]]
    assert first_filled(calm, "BUY", [(one, level), (two, b)]) == (0 if keeps else 1)


def test_quote_levels_have_results_of_their_own(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("SELL", 45, 5)
    old = put(agent, [(40, 5)], [(60, 5)])
    results = put(agent, [(45, 5), (38, 5)], [(61, 0)])
    assert [(r["status"], r["reject_reason"]) for r in results] == [
        ("REJECTED", "POST_ONLY_WOULD_CROSS"), ("OPEN", None), ("REJECTED", "INVALID_QTY"),
    ]  # fmt: skip
    assert agent.now(old[0])["status"] == agent.now(old[1])["status"] == "CANCELLED", "a decline brings nothing back"
    assert results[0]["reject_details"]["best_non_crossing_price"] == 44
    assert calm.book()[0] == [[38, 5, 1]]


def test_quotes_that_are_refused_as_a_whole(calm: Desk) -> None:
    agent = calm.signup()
    put(agent, [(40, 5)], [])

    def body(bids: list[tuple[Any, Any]], asks: list[tuple[Any, Any]], **more: Any) -> dict[str, Any]:
        sides = {"bids": [{"price": p, "qty": q} for p, q in bids], "asks": [{"price": p, "qty": q} for p, q in asks]}
        return {"market_id": calm.market, "quote_id": "q", **sides, **more}

    for bad, code in (
        (body([(40, 1)], [(40, 1)]), "VALIDATION_FAILED"),
        (body([(41, 1)], [(40, 1)]), "VALIDATION_FAILED"),
        (body([(40, 1), (40, 2)], []), "VALIDATION_FAILED"),
        (body([], [(60, 1), (60, 1)]), "VALIDATION_FAILED"),
        (body([(n, 1) for n in range(1, 22)], []), "BATCH_SIZE_EXCEEDED"),
        (body([("40", 1)], []), "BAD_REQUEST"),
        (body([(40, 1.0)], []), "BAD_REQUEST"),
        (body([], [], quote_id=""), "VALIDATION_FAILED"),
        (body([], [], unknown=1), "BAD_REQUEST"),
    ):
        agent.ask("PUT", "/quotes", code, json=bad)
    assert calm.book()[0] == [[40, 5, 1]]
    full = put(agent, [(n, 1) for n in range(1, 21)], [(n, 1) for n in range(60, 80)])
    assert len(full) == 40 and all(r["status"] == "OPEN" for r in full)


# batches


def test_a_batch_is_answered_in_request_order(calm: Desk) -> None:
    agent = calm.signup()
    orders = [agent.body("BUY", 40, 1), agent.body("BUY", 0, 1), agent.body("SELL", 60, 2), agent.body("BUY", 60, 1)]
    results = agent.post("/orders/batch", {"orders": orders})["results"]
    assert [r["status"] for r in results] == ["OPEN", "REJECTED", "OPEN", "OPEN"]
    assert results[3]["seq"] >= results[0]["seq"] and agent.now(results[2])["cancel_reason"] == "SELF_TRADE"
    agent.post("/orders/batch", {"orders": [agent.body("BUY", 1, 1)] * 16}, "BATCH_SIZE_EXCEEDED")
    assert len(agent.post("/orders/batch", {"orders": [agent.body("BUY", 1, 1)] * 15})["results"]) == 15
    assert agent.raw("POST", "/orders/batch", json={"orders": []}).status_code in (400, 422)
    agent.post("/orders/batch", {"orders": orders, "atomic": "true"}, "BAD_REQUEST")


def test_an_atomic_batch_fills_in_full(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("SELL", 50, 5)
    other.rests("BUY", 45, 5)
    legs = [agent.body("BUY", 50, 3), agent.body("SELL", 45, 5), agent.body("BUY", None, 2)]
    results = agent.post("/orders/batch", {"orders": legs, "atomic": True})["results"]
    assert [(r["status"], r["filled_qty"]) for r in results] == [("FILLED", 3), ("FILLED", 5), ("FILLED", 2)]
    assert agent.position()["net_qty"] == 0
    books_agree(agent)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (("BUY", 50, 6), "FOK_NOT_FILLABLE"),
        (("BUY", 0, 1), "PRICE_OUT_OF_RANGE"),
        (("BUY", 50, 0), "INVALID_QTY"),
        (("BUY", 50, 2500), "FAT_FINGER"),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_an_atomic_batch_does_all_or_nothing(calm: Desk, bad: Any, code: str, place: int) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("SELL", 50, 5)
    legs = [agent.body("BUY", 50, 1)]
    legs.insert(place, agent.body(*bad))
    results = agent.post("/orders/batch", {"orders": legs, "atomic": True})["results"]
    assert results[place]["reject_reason"] == code and results[1 - place]["reject_reason"] == "STRATEGY_NOT_FILLED"
    assert calm.book()[1] == [[50, 5, 1]] and agent.position()["net_qty"] == 0
    books_agree(agent)


def test_an_atomic_batch_is_charged_once_at_the_end(calm: Desk) -> None:
    """Each leg alone would be too dear; together they lock little."""
    _, (_, poor) = calm.owner(2)
    leave(calm, poor, 6_000)
    other = calm.signup()
    other.rests("SELL", 50, 1000)
    other.rests("BUY", 49, 1000)
    assert poor.declined("INSUFFICIENT_MARGIN", "BUY", 50, 1000)["max_qty"] < 1000
    legs = [poor.body("BUY", 50, 1000), poor.body("SELL", 49, 1000)]
    results = poor.post("/orders/batch", {"orders": legs, "atomic": True})["results"]
    assert [r["status"] for r in results] == ["FILLED", "FILLED"]
    cost = 1000 + taker_fee([(50, 1000)]) + taker_fee([(49, 1000)])
    assert poor.account()["locked_cents"] == cost
    again = poor.post("/orders/batch", {"orders": legs, "atomic": True})["results"]
    assert {r["status"] for r in again} == {"REJECTED"}, "the book is empty now"
    books_agree(poor)
