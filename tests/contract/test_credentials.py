"""Section 2: accounts, sessions, agents, keys, transfers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.contract.desk import Agent, Caller, Desk
from tests.e2e.venue import until


def issue(desk: Desk, session: Caller, agent: Agent, **fields: Any) -> tuple[dict[str, Any], Agent]:
    made = session.post(f"/me/agents/{agent.id}/keys", {"name": "a key", **fields}, 201)
    return made, Agent(desk, {**agent.made, **made})


def test_signup_gives_everything_in_one_call(calm: Desk) -> None:
    for path in ("/auth/signup", "/auth/mcp-signup"):
        name = f"one-call-{path[-10:-7].strip('/')}x"
        made = calm.anyone.post(path, {"email": f"{name}@example.com", "agent_name": name}, 201)
        assert set(made) == set("account_id agent_id agent_name api_key scopes testnet_cash_cents".split())
        assert sorted(made["scopes"]) == ["read", "trade"] and made["testnet_cash_cents"] == 1_000_000
        assert Agent(calm, made).account()["cash_cents"] == 1_000_000
        calm.anyone.post(path, {"email": f"{name.upper()}@EXAMPLE.com", "agent_name": "another-x"}, "EMAIL_TAKEN")
        taken = {"email": f"x{name}@example.com", "agent_name": name.upper()}
        calm.anyone.post(path, taken, "AGENT_NAME_TAKEN")


@pytest.mark.parametrize("name", ["house", "HOUSE", "admin", "Admin"])
def test_reserved_names(desk: Desk, name: str) -> None:
    desk.anyone.post("/auth/signup", {"email": f"r-{name}@example.com", "agent_name": name}, "AGENT_NAME_TAKEN")


@pytest.mark.parametrize("name", ["ab", "x" * 33, "-abc", ".abc", "_abc", "a b c", "ümlaut", "abc\n", ""])
def test_names_that_are_not_allowed(desk: Desk, name: str) -> None:
    desk.anyone.post("/auth/signup", {"email": "n@example.com", "agent_name": name}, "VALIDATION_FAILED")


def test_names_that_are_allowed(desk: Desk) -> None:
    for n, name in enumerate(("abc", "A_.-", "9" * 32)):
        desk.anyone.post("/auth/signup", {"email": f"allowed{n}@example.com", "agent_name": name}, 201)


def test_login_and_logout(calm: Desk) -> None:
    calm.owner(1)
    agent = calm.agents[-1]
    email = f"{agent.made['agent_name']}@example.com"
    for wrong in ({"email": email, "password": "wrong wrong"}, {"email": "no@example.com", "password": "x" * 12}):
        calm.anyone.post("/auth/login", wrong, "INVALID_CREDENTIALS")
    passwordless = calm.signup()
    body = {"email": f"{passwordless.made['agent_name']}@example.com", "password": "anything at all"}
    calm.anyone.post("/auth/login", body, "INVALID_CREDENTIALS")
    right = {"email": email.upper(), "password": "correct horse battery"}
    answer = calm.anyone.raw("POST", "/auth/login", json=right)
    assert answer.status_code == 200 and set(answer.json()) == {"account_id", "session_token", "expires_at"}
    assert "httponly" in answer.headers["set-cookie"].lower()
    name, value = answer.headers["set-cookie"].split(";")[0].split("=", 1)
    assert calm.anyone.raw("GET", "/me", headers={"Cookie": f"{name}={value}"}).status_code == 200
    session = Caller(calm.venue.http, answer.json()["session_token"])
    assert session.get("/me")["account_id"] == agent.account_id
    session.post("/auth/logout")
    assert session.raw("GET", "/me").status_code == 401


def test_agents_and_transfers(calm: Desk) -> None:
    session, (first, second) = calm.owner(2)
    me = session.get("/me")
    assert me["master"]["cash_cents"] == 0 and len(me["agents"]) == 2
    third = session.post("/me/agents", {"name": f"{first.made['agent_name']}.3"}, 201)
    assert third["cash_cents"] == 0, "a new agent has zero cash"
    half = second.account()["cash_cents"]
    transfer = {"from": second.id, "to": "master", "amount_cents": half - 5, "client_transfer_id": "t1"}
    done = session.post("/me/transfers", transfer)
    again = session.post("/me/transfers", transfer)
    assert again["replayed"] and again["transfer_id"] == done["transfer_id"]
    session.post("/me/transfers", transfer | {"amount_cents": 1}, "IDEMPOTENCY_CONFLICT")
    assert session.get("/me")["master"]["cash_cents"] == half - 5 and second.account()["cash_cents"] == 5
    short = session.post(
        "/me/transfers", {"from": second.id, "to": "master", "amount_cents": 6}, "INSUFFICIENT_BALANCE"
    )
    assert second.id in str(short)
    session.post("/me/transfers", {"from": "master", "to": third["agent_id"], "amount_cents": 7})
    first.rests("BUY", 10, 10)
    free = first.account()["free_cash_cents"]
    over = {"from": first.id, "to": "master", "amount_cents": free + 1}
    session.post("/me/transfers", over, "INSUFFICIENT_BALANCE")
    session.post("/me/transfers", over | {"amount_cents": 0}, "VALIDATION_FAILED")
    session.post("/me/transfers", over | {"amount_cents": "1"}, "BAD_REQUEST")
    stranger = calm.signup()
    for pair in ({"from": stranger.id, "to": "master"}, {"from": "master", "to": stranger.id}):
        session.post("/me/transfers", {**pair, "amount_cents": 1}, "FORBIDDEN")
    first.post("/me/transfers", over, "FORBIDDEN")
    assert sum(e["amount_cents"] for e in second.pages("/ledger")) == 5


def test_ten_agents_an_account(calm: Desk) -> None:
    session, (first,) = calm.owner(1)
    for n in range(2, 11):
        session.post("/me/agents", {"name": f"{first.made['agent_name']}.{n}"}, 201)
    assert session.raw("POST", "/me/agents", json={"name": "one-too-many"}).status_code == 422
    names = [agent["name"] for agent in session.pages("/me/agents", limit=3)]
    assert len(names) == len(set(names)) == 10


def test_owners_read_their_agents_and_nobody_elses(calm: Desk) -> None:
    session, (first, second) = calm.owner(2)
    stranger = calm.signup()
    for path in ("/account", "/positions", "/ledger"):
        for agent in (first, second):
            assert session.get(path, agent_id=agent.id) == agent.get(path)
        session.get(path, "FORBIDDEN", agent_id=stranger.id)
        first.get(path, "FORBIDDEN", agent_id=second.id)
        assert session.raw("GET", path, params={"agent_id": "none"}).status_code in (404, 422)
    session.get(f"/me/agents/{stranger.id}/keys", "FORBIDDEN")
    session.post(f"/me/agents/{stranger.id}/keys", {"name": "x"}, "FORBIDDEN")
    first.get("/me", "FORBIDDEN")


def test_scopes(calm: Desk) -> None:
    session, (agent,) = calm.owner(1)
    order = agent.rests("BUY", 40, 5)
    _, reader = issue(calm, session, agent, scopes=["read"])
    _, canceller = issue(calm, session, agent, scopes=["cancel"])
    _, trader = issue(calm, session, agent, scopes=["trade"])
    body = agent.body("BUY", 40, 1)
    assert reader.raw("GET", "/account").status_code == 200
    reader.post("/orders", body, "SCOPE_REQUIRED")
    reader.post("/orders", {"nonsense": 1}, "SCOPE_REQUIRED")
    reader.ask("DELETE", f"/orders/{order['order_id']}", "SCOPE_REQUIRED")
    reader.ask("PATCH", f"/orders/{order['order_id']}", "SCOPE_REQUIRED", json={"qty": 1})
    canceller.post("/orders", body, "SCOPE_REQUIRED")
    canceller.get("/account", "SCOPE_REQUIRED")
    canceller.ask("PATCH", f"/orders/{order['order_id']}", "SCOPE_REQUIRED", json={"qty": 1})
    assert canceller.ask("DELETE", f"/orders/{order['order_id']}")["status"] == "CANCELLED"
    assert trader.buy(40, 1)["status"] == "OPEN"
    assert canceller.post("/orders/cancel", {})["cancelled"] == 1
    trader.get("/account", "SCOPE_REQUIRED")
    session.post(f"/me/agents/{agent.id}/keys", {"name": "x", "scopes": ["admin"]}, "VALIDATION_FAILED")


def test_deleted_and_rotated_keys(calm: Desk) -> None:
    session, (agent,) = calm.owner(1)
    made, caller = issue(calm, session, agent)
    assert caller.raw("GET", "/account").status_code == 200
    rotated = session.post(f"/me/agents/{agent.id}/keys/{made['key_id']}/rotate", None, 201)
    caller.get("/account", "AUTH_REVOKED")
    fresh = Caller(calm.venue.http, rotated["api_key"])
    assert fresh.raw("GET", "/account").status_code == 200
    session.ask("DELETE", f"/me/agents/{agent.id}/keys/{rotated['key_id']}")
    fresh.get("/account", "AUTH_REVOKED")
    fresh.post("/orders", {"nonsense": 1}, "AUTH_REVOKED")
    listed = session.get(f"/me/agents/{agent.id}/keys")
    assert "rk_live_" not in str(listed), "keys are shown once"
    session.ask("DELETE", f"/me/agents/{agent.id}/keys/none", "NOT_FOUND")


def test_expiring_keys(calm: Desk) -> None:
    session, (agent,) = calm.owner(1)
    _, caller = issue(calm, session, agent, expires_at_ms=int(time.time() * 1000) + 1_200)
    assert caller.raw("GET", "/account").status_code == 200
    until("the key's end, in real time", lambda: caller.raw("GET", "/account").status_code == 401, 5)
    caller.get("/account", "AUTH_EXPIRED")


def test_allowed_networks(calm: Desk) -> None:
    session, (agent,) = calm.owner(1)
    _, here = issue(calm, session, agent, allowed_ips=["10.0.0.0/8", "127.0.0.0/8"])
    _, elsewhere = issue(calm, session, agent, allowed_ips=["10.0.0.0/8"])
    assert here.raw("GET", "/account").status_code == 200
    elsewhere.get("/account", "IP_NOT_ALLOWED")
    forged = elsewhere.raw("GET", "/account", headers={"X-Forwarded-For": "10.1.2.3"})
    assert forged.status_code == 403, "only trusted proxies are believed"
    session.post(f"/me/agents/{agent.id}/keys", {"name": "x", "allowed_ips": ["nowhere"]}, "VALIDATION_FAILED")


def test_a_key_with_a_wrong_secret(calm: Desk) -> None:
    agent = calm.signup()
    key = agent.made["api_key"]
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    Caller(calm.venue.http, wrong).get("/account", "AUTH_INVALID")
    Caller(calm.venue.http, wrong).get("/markets", "AUTH_INVALID")


def test_tickets(calm: Desk) -> None:
    ticket = calm.signup().post("/auth/ws-ticket", None, 201)
    assert set(ticket) == {"ticket", "expires_at"}
    calm.anyone.post("/auth/ws-ticket", None, "AUTH_MISSING")
