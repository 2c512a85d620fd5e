"""Section 12: budgets, per agent over all its keys, and what draws on which."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest

from tests.contract.desk import Agent, Caller, Desk

SETTINGS = {
    "RAETH_LIMITS__WRITES_PER_MINUTE": "6",
    "RAETH_LIMITS__CANCELS_PER_MINUTE": "4",
    "RAETH_LIMITS__READS_PER_MINUTE": "8",
    "RAETH_LIMITS__ANONYMOUS_READS_PER_MINUTE": "700",
    "RAETH_LIMITS__SIGNUPS_PER_MINUTE": "20",
}


@pytest.fixture(autouse=True)
def away_from_the_minutes_end(desk: Desk) -> None:
    """A budget may be renewed at a fixed moment; these tests must not straddle it."""
    headers = desk.anyone.raw("GET", "/series").headers
    left = int(headers["x-ratelimit-reset"]) - time.time() * 1000
    if left < 3_000:
        time.sleep(left / 1000 + 0.05)


def remaining(answer: httpx2.Response) -> int:
    return int(answer.headers["x-ratelimit-remaining"])


def write(agent: Agent, **fields: Any) -> httpx2.Response:
    return agent.raw("POST", "/orders", json=agent.body("BUY", 10, 1, **fields))


def refused(answer: httpx2.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.json()["code"] == "RATE_LIMITED" and remaining(answer) == 0
    wait = int(answer.headers["x-ratelimit-reset"]) - time.time() * 1000
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert abs(int(answer.headers["retry-after"]) * 1000 - wait) <= 2_000
    return True


def test_writes_cancels_and_reads_are_three_budgets(desk: Desk) -> None:
    agent = desk.signup()
    answers = [write(agent) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 6 + [429] and refused(answers[-1])
    assert [remaining(answer) for answer in answers[:6]] == [5, 4, 3, 2, 1, 0]
    assert answers[0].headers["x-ratelimit-limit"] == "6"
    order_id = answers[0].json()["order_id"]
    cancel = agent.raw("DELETE", f"/orders/{order_id}")
    assert cancel.status_code == 200 and cancel.headers["x-ratelimit-limit"] == "4" and remaining(cancel) == 3
    assert agent.raw("POST", "/orders/cancel", json={}).status_code == 200
    reads = [agent.raw("GET", "/account") for _ in range(9)]
    assert [r.status_code for r in reads] == [200] * 8 + [429] and refused(reads[-1])
    assert reads[0].headers["x-ratelimit-limit"] == "8"
    assert refused(write(agent)) and agent.raw("POST", "/orders/cancel", json={}).status_code == 200


def test_cancels_run_out_too(desk: Desk) -> None:
    agent = desk.signup()
    answers = [agent.raw("POST", "/orders/cancel", json={}) for _ in range(5)]
    assert [a.status_code for a in answers] == [200] * 4 + [429] and refused(answers[-1])
    assert write(agent).status_code == 200


def test_a_batch_costs_one_an_order(desk: Desk) -> None:
    agent = desk.signup()
    orders = [agent.body("BUY", 10, 1)] * 4
    assert remaining(agent.raw("POST", "/orders/batch", json={"orders": orders})) == 2
    assert agent.raw("POST", "/orders/batch", json={"orders": orders}).status_code == 429
    assert len(agent.get("/orders")["items"]) == 4, "nothing of a refused batch is done"


def test_previews_are_reads(desk: Desk) -> None:
    agent = desk.signup()
    body = agent.body("BUY", 10, 1)
    answers = [agent.raw("POST", "/orders/preview", json=body) for _ in range(9)]
    assert [a.status_code for a in answers] == [200] * 8 + [429]
    assert remaining(write(agent)) == 5


def test_requests_that_fail_count(desk: Desk) -> None:
    agent = desk.signup()
    agent.ask("POST", "/orders", "BAD_REQUEST", content=b"{")
    agent.post("/orders", agent.body("BUY", 10, 1, tif="X"), "VALIDATION_FAILED")
    assert write(agent, reduce_only=True).json()["status"] == "REJECTED"
    agent.ask("PATCH", "/orders/none", "ORDER_NOT_FOUND", json={"qty": 1})
    assert remaining(write(agent, client_order_id="k")) == 1
    assert remaining(write(agent, client_order_id="k")) == 0, "a replay is a request too"
    agent.ask("POST", "/orders", "RATE_LIMITED", content=b"{")
    reader = desk.signup()
    for _ in range(8):
        reader.get("/orders/none", "ORDER_NOT_FOUND")
    reader.get("/account", "RATE_LIMITED")


def test_the_budget_is_the_agents_over_all_its_keys(desk: Desk) -> None:
    session, (agent,) = desk.owner(1)
    made = session.post(f"/me/agents/{agent.id}/keys", {"name": "second"}, 201)
    twin = Agent(desk, {**agent.made, **made})
    counts = [remaining(write((agent, twin)[n % 2])) for n in range(6)]
    assert counts == [5, 4, 3, 2, 1, 0]
    assert refused(write(agent)) and refused(write(twin))
    assert write(desk.signup()).status_code == 200, "another agent has its own"


def test_credential_before_budget_before_schema(desk: Desk) -> None:
    agent = desk.signup()
    for _ in range(6):
        write(agent)
    agent.post("/orders", {"x": 1}, "RATE_LIMITED")
    Caller(desk.venue.http, agent.made["api_key"] + "x").post("/orders", {"x": 1}, "AUTH_INVALID")


def test_limits_are_published(desk: Desk) -> None:
    limits = desk.anyone.get("/meta/limits")
    names = ("writes_per_minute", "cancels_per_minute", "reads_per_minute", "signups_per_minute")
    assert [limits[name] for name in names] == [6, 4, 8, 20]


def test_signups_and_logins_share_the_addresss_budget(desk: Desk) -> None:
    answers = []
    for n in range(21):
        body = {"email": f"flood{n}@example.com", "agent_name": f"flood-{n}"}
        answers.append(desk.anyone.raw("POST", "/auth/signup", json=body))
        if answers[-1].status_code == 429:
            break
    assert refused(answers[-1]) and answers[0].headers["x-ratelimit-limit"] == "20"
    assert refused(desk.anyone.raw("POST", "/auth/login", json={"email": "a@example.com", "password": "x" * 9}))


def test_anonymous_reads_run_out(desk: Desk) -> None:
    answer = desk.anyone.raw("GET", "/series")
    assert answer.headers["x-ratelimit-limit"] == "700"
    for _ in range(701):
        answer = desk.anyone.raw("GET", "/meta/version")
        if answer.status_code == 429:
            break
    assert refused(answer)
    assert desk.anyone.raw("GET", "//health").status_code == 200
