"""Sections 3, 4, 5 and 9: the order of judgement, idempotency, and what a freeze stops."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.desk import Agent, Caller, Desk


@pytest.fixture
def frozen(calm: Desk) -> Iterator[Desk]:
    """Agents of the test trade first and call `freeze`; afterwards the venue thaws whatever happened."""
    yield calm
    calm.admin.post("/admin/unfreeze", {})


def freeze(desk: Desk) -> None:
    assert desk.admin.post("/admin/freeze", {"reason": "drill"})["frozen"] is True


def without(order: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name not in names}


# idempotency


@pytest.mark.parametrize("kind", ["open", "filled", "partial", "rejected", "ioc"])
def test_the_first_result_again(calm: Desk, kind: str) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("SELL", 50, 2)
    body = {
        "open": agent.body("BUY", 40, 5),
        "filled": agent.body("BUY", 50, 2),
        "partial": agent.body("BUY", 50, 5),
        "rejected": agent.body("BUY", 50, 0),
        "ioc": agent.body("BUY", 50, 5, tif="IOC"),
    }[kind] | {"client_order_id": "key"}
    first = agent.post("/orders", body)
    before = calm.book()
    again = agent.post("/orders", dict(reversed(body.items())))
    assert not first["replayed"] and again["replayed"]
    assert without(again, "replayed") == without(first, "replayed")
    assert calm.book() == before and len(agent.get("/orders")["items"]) == 1


def test_a_replay_is_the_first_result_and_a_lookup_the_present(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    first = agent.rests("BUY", 40, 5, client_order_id="key")
    other.sell(40, 2)
    assert without(agent.buy(40, 5, client_order_id="key"), "replayed") == without(first, "replayed")
    present = agent.get("/orders/by-client-id/key")
    assert (present["status"], present["filled_qty"]) == ("PARTIALLY_FILLED", 2)
    agent.ask("DELETE", f"/orders/{first['order_id']}")
    assert agent.buy(40, 5, client_order_id="key")["status"] == "OPEN"
    agent.get("/orders/by-client-id/never", "ORDER_NOT_FOUND")
    other.get("/orders/by-client-id/key", "ORDER_NOT_FOUND")


@pytest.mark.parametrize(
    "change",
    [
        {"qty": 6},
        {"price": 41},
        {"side": "SELL"},
        {"tif": "IOC"},
        {"reduce_only": True},
        {"stp": "CANCEL_BOTH"},
        {"expires_at_ms": 9**15},
    ],
    ids=str,
)
def test_another_body_is_a_conflict(calm: Desk, change: dict[str, Any]) -> None:
    agent = calm.signup()
    first = agent.rests("BUY", 40, 5, client_order_id="key")
    agent.post("/orders", agent.body("BUY", 40, 5, client_order_id="key") | change, "IDEMPOTENCY_CONFLICT")
    assert agent.now(first) == first | {"replayed": agent.now(first)["replayed"]}
    assert calm.signup().buy(39, 5, client_order_id="key")["status"] == "OPEN", "keys are an agent's own"


def test_bodies_are_compared_as_parsed_without_their_time(calm: Desk) -> None:
    agent = calm.signup()
    now = calm.now_ms()
    agent.rests("BUY", 40, 5, client_order_id="key", timestamp_ms=now, recv_window_ms=60_000)
    assert agent.buy(40, 5, client_order_id="key", timestamp_ms=1, recv_window_ms=5)["replayed"]
    assert agent.buy(40, 5, client_order_id="key", stp=None, tif=None)["replayed"]


@pytest.mark.parametrize("qty", [3, 0])
def test_the_same_key_at_once(calm: Desk, qty: int) -> None:
    agent = calm.signup()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: agent.buy(40, qty, client_order_id="key"), range(16)))
    assert sum(not answer["replayed"] for answer in answers) == 1
    assert len({answer["order_id"] for answer in answers}) == 1
    assert calm.book()[0] == ([[40, 3, 1]] if qty else [])


def test_two_bodies_under_one_key_at_once(calm: Desk) -> None:
    agent = calm.signup()
    with ThreadPoolExecutor(12) as pool:
        bodies = [agent.body("BUY", 40 + n % 2, 1, client_order_id="key") for n in range(12)]
        answers = list(pool.map(lambda body: agent.raw("POST", "/orders", json=body), bodies))
    assert sorted({answer.status_code for answer in answers}) == [200, 409]
    assert len(agent.get("/orders")["items"]) == 1


def test_keys_in_batches(calm: Desk) -> None:
    agent = calm.signup()
    agent.rests("BUY", 40, 1, client_order_id="old")
    new = agent.body("BUY", 39, 1, client_order_id="new")
    conflict = agent.body("BUY", 40, 2, client_order_id="old")
    agent.post("/orders/batch", {"orders": [new, conflict]}, "IDEMPOTENCY_CONFLICT")
    agent.post("/orders/batch", {"orders": [new, new | {"qty": 2}]}, "IDEMPOTENCY_CONFLICT")
    agent.get("/orders/by-client-id/new", "ORDER_NOT_FOUND")
    assert calm.book()[0] == [[40, 1, 1]], "nothing of a conflicting batch is done"
    known = agent.body("BUY", 40, 1, client_order_id="old")
    results = agent.post("/orders/batch", {"orders": [known, new]})["results"]
    assert [r["replayed"] for r in results] == [True, False]
    again = agent.post("/orders/batch", {"orders": [known, new]})["results"]
    assert [r["replayed"] for r in again] == [True, True] and again[1]["order_id"] == results[1]["order_id"]
    assert calm.book()[0] == [[40, 1, 1], [39, 1, 1]]


# the order of judgement


def test_credential_before_schema(calm: Desk) -> None:
    bad = {"qty": "x"}
    calm.anyone.post("/orders", bad, "AUTH_MISSING")
    Caller(calm.venue.http, "rk_live_nobody_nothing").post("/orders", bad, "AUTH_INVALID")
    calm.admin.post("/orders", bad, "FORBIDDEN")
    for header in ("Bearer", "Basic abc", "rk_live_x", "Bearer rk_live_a b"):
        answer = calm.anyone.raw("GET", "/account", headers={"Authorization": header})
        assert answer.status_code == 401, header


def test_schema_then_replay_then_freeze_then_chain(frozen: Desk) -> None:
    agent = frozen.signup()
    first = agent.rests("BUY", 40, 5, client_order_id="key")
    rejected = agent.buy(40, 0, client_order_id="bad")
    freeze(frozen)
    agent.post("/orders", agent.body("BUY", 40, 5, client_order_id="key") | {"qty": "5"}, "BAD_REQUEST")
    agent.post("/orders", agent.body("BUY", 40, 5, tif="X"), "VALIDATION_FAILED")
    assert agent.buy(40, 5, client_order_id="key")["order_id"] == first["order_id"]
    assert agent.buy(40, 0, client_order_id="bad")["order_id"] == rejected["order_id"]
    agent.post("/orders", agent.body("BUY", 40, 6, client_order_id="key"), "IDEMPOTENCY_CONFLICT")
    agent.post("/orders", agent.body("BUY", 40, 9999), "EXCHANGE_FROZEN")
    agent.post("/orders", agent.body("BUY", 40, 1) | {"market_id": "unknown"}, "EXCHANGE_FROZEN")
    known = agent.body("BUY", 40, 5, client_order_id="key")
    agent.post("/orders/batch", {"orders": [known, agent.body("BUY", 1, 1)]}, "EXCHANGE_FROZEN")
    assert agent.post("/orders/batch", {"orders": [known]})["results"][0]["replayed"]


# freeze


def test_what_a_freeze_stops_and_what_goes_on(frozen: Desk) -> None:
    session, (agent, second) = frozen.owner(2)
    order = agent.rests("BUY", 40, 5)
    spare = agent.rests("BUY", 39, 5)
    quote = {"market_id": frozen.market, "quote_id": "q", "bids": [{"price": 30, "qty": 1}], "asks": []}
    agent.ask("PUT", "/quotes", json=quote)
    freeze(frozen)
    refused: list[tuple[Caller, str, str, Any]] = [
        (agent, "POST", "/orders", agent.body("BUY", 40, 5)),
        (agent, "POST", "/orders/batch", {"orders": [agent.body("BUY", 40, 5)]}),
        (agent, "PATCH", f"/orders/{order['order_id']}", {"qty": 6}),
        (agent, "PATCH", f"/orders/{order['order_id']}", {"price": 39}),
        (agent, "PUT", "/quotes", quote),
        (agent, "POST", "/faucet", None),
        (session, "POST", "/me/transfers", {"from": agent.id, "to": "master", "amount_cents": 1}),
    ]
    for caller, method, path, body in refused:
        caller.ask(method, path, "EXCHANGE_FROZEN", **({"json": body} if body is not None else {}))
    assert frozen.book()[0] == [[40, 5, 1], [39, 5, 1], [30, 1, 1]], "resting orders stay"
    assert agent.ask("PATCH", f"/orders/{order['order_id']}", json={"qty": 4})["remaining_qty"] == 4
    assert agent.ask("PUT", "/quotes", json=quote | {"bids": []})["results"] is not None
    assert frozen.book()[0] == [[40, 4, 1], [39, 5, 1]]
    assert agent.ask("DELETE", f"/orders/{spare['order_id']}")["status"] == "CANCELLED"
    assert agent.account()["frozen"] is True and frozen.anyone.ask("GET", "//health")["frozen"] is True
    assert frozen.admin.get("/admin/state")["reason"] == "drill"
    assert agent.post("/orders/cancel", {})["cancelled"] == 1
    frozen.admin.post("/admin/unfreeze", {"reason": "over"})
    assert agent.buy(40, 1)["status"] == "OPEN" and agent.account()["frozen"] is False
    assert second.account()["free_cash_cents"] > 0


# the operator


def test_suspension(calm: Desk) -> None:
    agent = calm.signup()
    order = agent.rests("BUY", 40, 5)
    done = calm.admin.post(f"/admin/agents/{agent.id}/suspend", {"reason": "misbehaves"})
    assert done["suspended"] is True
    agent.post("/orders", agent.body("BUY", 40, 5), "AGENT_SUSPENDED")
    assert agent.account()["suspended"] and agent.now(order)["cancel_reason"] == "ADMIN"
    assert agent.post("/orders/cancel", {})["cancelled"] == 0
    calm.admin.post(f"/admin/agents/{agent.id}/reinstate", {})
    assert agent.buy(40, 5)["status"] == "OPEN"


def test_operator_calls_are_strict_and_journaled(calm: Desk) -> None:
    agent = calm.signup()
    calm.admin.post("/admin/freeze", {}, "BAD_REQUEST")
    calm.admin.post("/admin/freeze", {"reason": ""}, "VALIDATION_FAILED")
    calm.admin.post(f"/admin/agents/{agent.id}/grant", {"amount_cents": 0, "reason": "x"}, "VALIDATION_FAILED")
    calm.admin.post(f"/admin/agents/{agent.id}/grant", {"amount_cents": 1.0, "reason": "x"}, "BAD_REQUEST")
    before = agent.account()["cash_cents"]
    granted = calm.admin.post(f"/admin/agents/{agent.id}/grant", {"amount_cents": 7, "reason": "because"})
    assert granted["cash_cents"] == agent.account()["cash_cents"] == before + 7
    assert agent.get("/ledger")["items"][0]["kind"] == "GRANT"
    calm.admin.post("/admin/broadcast", {"message": "hello"})
    newest = calm.admin.get("/admin/audit")["items"]
    assert newest[0]["seq"] > newest[1]["seq"]
    assert (newest[1]["reason"], newest[1]["amount_cents"], newest[1]["target"]) == ("because", 7, agent.id)
    assert all(action["actor"] for action in newest)
    nobody = "00000000-0000-0000-0000-000000000000"
    calm.admin.post(f"/admin/agents/{nobody}/suspend", {"reason": "x"}, "NOT_FOUND")
    calm.admin.post(f"/admin/markets/{nobody}/void", {"reason": "x"}, "UNKNOWN_MARKET")
    money = calm.admin.get("/admin/state")["money"]
    assert money["conserved"] is True


def admitted(agent: Agent) -> bool:
    return agent.raw("GET", "/account").status_code == 200


def test_operator_revokes_a_key(calm: Desk) -> None:
    agent = calm.signup()
    assert admitted(agent)
    key_id = agent.made["api_key"].removeprefix("rk_live_").split("_")[0]
    answer = calm.admin.raw("POST", f"/admin/keys/{key_id}/revoke", json={"reason": "leaked"})
    assert answer.status_code == 200, answer.text
    agent.get("/account", "AUTH_REVOKED")
    calm.agents.remove(agent)
