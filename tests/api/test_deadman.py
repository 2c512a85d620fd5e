"""The dead-man switch from outside: its answers, the account, the private channel, and what a restart does to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raeth.client import AsyncClient
from raeth.clock import iso_ms
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.journal.base import JournalUnavailable
from raeth.journal.sqlite import SqliteJournal
from raeth.sequencer import Sequencer
from raeth.store.projector import Projector
from tests.api.harness import RULES, Desk, Trader
from tests.streams.harness import serving, until


@pytest.fixture
async def alice(desk: Desk) -> Trader:
    return await desk.trader("alice")


async def arm(trader: Trader, timeout_ms: int, **more: Any) -> Any:
    return await trader.ask("POST", "/deadman", json={"timeout_ms": timeout_ms, **more})


def from_now(desk: Desk, by_ms: int) -> str:
    return iso_ms(desk.clock.now_ms() + by_ms)


async def test_orders_go_unless_it_is_called_in_time(desk: Desk, alice: Trader) -> None:
    bob = await desk.trader("bob")
    mine, theirs = await alice.place("BUY", 40, 1), await bob.place("BUY", 40, 1)
    due = from_now(desk, 1_000)
    assert await arm(alice, 1_000) == {"armed_until": due, "last_action": None}
    assert (await alice.get("/account"))["deadman"] == {"armed_until": due, "last_action": None, "markets": []}
    desk.clock.advance(999)
    assert await arm(alice, 1_000) == {"armed_until": from_now(desk, 1_000), "last_action": None}
    desk.clock.advance(999)
    assert (await alice.get(f"/orders/{mine['order_id']}"))["status"] == "OPEN"
    desk.clock.advance(1)
    fired = iso_ms(desk.clock.now_ms())
    # A read finds it, with no command to bring it out.
    deadman = (await alice.get("/account"))["deadman"]
    assert deadman == {"armed_until": None, "last_action": {"ts": fired, "cancelled": 1}, "markets": []}
    gone = await alice.get(f"/orders/{mine['order_id']}")
    assert (gone["status"], gone["cancel_reason"], gone["updated_at"]) == ("CANCELLED", "DEAD_MAN", fired)
    assert (await bob.get(f"/orders/{theirs['order_id']}"))["status"] == "OPEN"
    assert await arm(alice, 0) == {"armed_until": None, "last_action": {"ts": fired, "cancelled": 1}}


async def test_a_timer_for_one_market_by_id_or_symbol(desk: Desk, alice: Trader) -> None:
    await alice.place("BUY", 40, 1)
    first = await arm(alice, 5_000, scope=desk.symbol)
    assert await arm(alice, 5_000, scope=desk.market_id) == first
    pending = desk.sequencer.state.pending
    assert pending is not None
    await arm(alice, 60_000, scope=pending.symbol)
    await arm(alice, 30_000)
    shown = (await alice.get("/account"))["deadman"]
    assert [market["symbol"] for market in shown["markets"]] == [desk.symbol, pending.symbol]
    assert shown["markets"][0] == {"market_id": desk.market_id, "symbol": desk.symbol, **first}
    await desk.advance(5_000)
    shown = (await alice.get("/account"))["deadman"]
    assert shown["markets"][0]["last_action"]["cancelled"] == 1 and shown["armed_until"] is not None
    ended = desk.symbol
    await desk.next_window()
    assert [m["symbol"] for m in (await alice.get("/account"))["deadman"]["markets"]] == [desk.symbol]
    await alice.refused("MARKET_CLOSED", 409, "POST", "/deadman", json={"timeout_ms": 1_000, "scope": ended})
    assert await arm(alice, 0, scope=ended) == {"armed_until": None, "last_action": None}
    unknown = {"timeout_ms": 1_000, "scope": "BTC-1M-20990101T0000Z"}
    await alice.refused("UNKNOWN_MARKET", 404, "POST", "/deadman", json=unknown)


REFUSED_BODIES: list[tuple[Any, int]] = [
    ({}, 400),
    ({"timeout_ms": "1000"}, 400),
    ({"timeout_ms": 1000.0}, 400),
    ({"timeout_ms": True}, 400),
    ({"timeout_ms": None}, 400),
    ({"timeout_ms": 1_000, "scop": "x"}, 400),
    ({"timeout_ms": 1_000, "scope": 5}, 400),
    ({"timeout_ms": 1}, 422),
    ({"timeout_ms": 999}, 422),
    ({"timeout_ms": -1}, 422),
    ({"timeout_ms": 60_001}, 422),
    ({"timeout_ms": 10**30}, 422),
]


async def test_what_it_does_not_take(desk: Desk, alice: Trader) -> None:
    for body, status in REFUSED_BODIES:
        code = "BAD_REQUEST" if status == 400 else "VALIDATION_FAILED"
        error = await alice.refused(code, status, "POST", "/deadman", json=body)
        assert error["details"][0]["field"] in {"timeout_ms", "scop", "scope"}
    assert not desk.sequencer.state.timers


async def test_the_bounds_themselves_and_null_for_absent(desk: Desk, alice: Trader) -> None:
    for timeout_ms in (1_000, 60_000):
        assert (await arm(alice, timeout_ms, scope=None))["armed_until"] == from_now(desk, timeout_ms)


async def test_who_may_call(desk: Desk, alice: Trader) -> None:
    body = {"json": {"timeout_ms": 5_000}}
    reader = await desk.with_key(alice, ("read",))
    await reader.refused("SCOPE_REQUIRED", 403, "POST", "/deadman", **body)
    canceller, seller = await desk.with_key(alice, ("cancel",)), await desk.with_key(alice, ("trade",))
    for trader in (canceller, seller):
        await trader.ask("POST", "/deadman", **body)
    assert (await desk.http.post("/api/v1/deadman", **body)).json()["code"] == "AUTH_MISSING"
    assert (await desk.http.post("/api/deadman", **body)).status_code == 401, "the alias of the base path"


async def test_it_draws_on_the_budget_of_cancels(desk: Desk, alice: Trader) -> None:
    before = await alice.call("POST", "/orders/cancel", json={})
    after = await alice.call("POST", "/deadman", json={"timeout_ms": 5_000})
    left = [int(response.headers["x-ratelimit-remaining"]) for response in (before, after)]
    assert left[1] == left[0] - 1


async def test_it_works_while_frozen_and_for_the_suspended(desk: Desk, alice: Trader) -> None:
    await alice.place("BUY", 40, 1)
    await desk.submit(cmd.Freeze("ops", "why"))
    await arm(alice, 1_000)
    await desk.advance(1_000)
    assert (await alice.get("/orders"))["items"][0]["cancel_reason"] == "DEAD_MAN"
    await desk.submit(cmd.SuspendAgent("ops", alice.agent, "why"))
    assert (await arm(alice, 1_000))["armed_until"] is not None


async def test_the_private_channel_tells_it_live_and_once_more(desk: Desk, alice: Trader) -> None:
    async with serving(desk) as hall:
        peer, channel = await hall.peer(alice), f"private.{alice.uuid}"
        await peer.subscribe(channel)
        begun = peer.heard[channel][0]
        assert begun["data"]["account"]["deadman"] == {"armed_until": None, "last_action": None, "markets": []}
        order = await alice.place("BUY", 40, 1)
        due = (await arm(alice, 1_000))["armed_until"]
        await desk.submit(cmd.Resurface())
        desk.clock.advance(600)
        await desk.submit(cmd.Resurface())
        moved = (await alice.get("/account"))["deadman"]["armed_until"]
        await desk.advance(1_000)
        await arm(alice, 9_000, scope=desk.symbol)
        await arm(alice, 0, scope=desk.symbol)
        await hall.quiet(peer)
        told = [event["data"] for event in peer.heard[channel][1:]]
        timers = [data for data in told if data["kind"] == "deadman"]
        nowhere = {"kind": "deadman", "market_id": None, "symbol": None, "cancelled": None}
        assert timers[:2] == [
            {**nowhere, "event": "ARMED", "armed_until": due},
            {**nowhere, "event": "MOVED", "armed_until": moved},
        ]
        assert timers[2] == {**nowhere, "event": "FIRED", "armed_until": None, "cancelled": 1}
        assert [(data["event"], data["symbol"]) for data in timers[3:]] == [
            ("ARMED", desk.symbol),
            ("DISARMED", desk.symbol),
        ]
        ended = next(data["order"] for data in told if data["kind"] == "order" and data["order"]["cancel_reason"])
        assert (ended["order_id"], ended["cancel_reason"]) == (order["order_id"], "DEAD_MAN")
        again = await hall.peer(alice)
        await again.subscribe(channel, from_seq=begun["seq"] + 1)
        await again.event(channel, len(told))
        assert json.dumps([event["data"] for event in again.heard[channel]]) == json.dumps(told)


async def test_the_sdk(desk: Desk, alice: Trader) -> None:
    transport: Any = desk.http._transport
    async with AsyncClient("http://venue", alice.key, transport=transport) as client:
        armed = await client.deadman(5_000)
        assert armed.armed_until == from_now(desk, 5_000) and armed.last_action is None
        market = await client.market(desk.symbol)
        scoped = await client.deadman(7_000, market)
        account = await client.account()
        assert account.deadman is not None and account.deadman.armed_until == armed.armed_until
        assert [(m.market_id, m.armed_until) for m in account.deadman.markets] == [(market.id, scoped.armed_until)]
        assert (await client.deadman(0)).armed_until is None


@pytest.mark.parametrize("away_ms", [400, 4_000, 200_000])
async def test_a_restart_moves_it_by_its_length(desk: Desk, alice: Trader, tmp_path: Path, away_ms: int) -> None:
    """Nobody can call while the venue is down: three seconds to go are three seconds to go afterwards."""
    order = await alice.place("BUY", 40, 1)
    await arm(alice, 3_000)
    before = desk.sequencer.state
    await desk.sequencer.stop()
    desk.clock.advance(away_ms)
    again = Sequencer(SqliteJournal(tmp_path / "raeth.db"), desk.clock, RULES, Projector())
    heard: list[ev.Event] = []
    again.listeners.append(lambda facts: heard.extend(event for fact in facts for event in fact.events))
    await again.start()
    try:
        moved = next(event for event in heard if isinstance(event, ev.DeadmanMoved))
        assert moved == ev.DeadmanMoved(alice.agent, None, before.ts + away_ms + 3_000, before.ts + away_ms)
        desk.clock.advance(2_999)
        await again.submit(cmd.Tick())
        assert not any(isinstance(event, ev.DeadmanFired) for event in heard)
        desk.clock.advance(1)
        outcome = await again.settled()
        assert not outcome.orders
        reasons = [e.order.cancel_reason for e in heard if isinstance(e, ev.OrderEnded)]
        assert reasons == (["DEAD_MAN"] if away_ms < 50_000 else ["MARKET_CLOSED"]), order
        fired = next(event for event in heard if isinstance(event, ev.DeadmanFired))
        assert fired.ts == before.ts + away_ms + 3_000
    finally:
        await again.stop()


async def test_a_quiet_venue_fires_by_itself(desk: Desk, alice: Trader) -> None:
    """No reader, no command: the pacemaker wakes for it."""
    await alice.place("BUY", 40, 1)
    await arm(alice, 1_000)
    fired: list[int] = []

    def hear(facts: Any) -> None:
        fired.extend(event.ts for fact in facts for event in fact.events if isinstance(event, ev.DeadmanFired))

    desk.sequencer.listeners.append(hear)
    due = desk.clock.now_ms() + 1_000
    desk.clock.advance(1_000)
    await until(lambda: fired == [due])


async def test_a_journal_that_cannot_be_written_stops_it_too(
    desk: Desk, alice: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile every call is a 503: that its agent was silent proves nothing."""
    order = await alice.place("BUY", 40, 1)
    await arm(alice, 2_000)
    before = desk.sequencer.state.ts

    async def full(*_: Any) -> None:
        raise JournalUnavailable("no room")

    for way in ("append", "commit"):
        monkeypatch.setattr(desk.sequencer.journal, way, full)
    await alice.refused("SERVICE_DEGRADED", 503, "POST", "/deadman", json={"timeout_ms": 2_000})
    desk.clock.advance(4_000)
    await until(lambda: desk.sequencer.health.mode == "retrying")
    monkeypatch.undo()
    await until(lambda: desk.sequencer.health.mode == "ok")
    deadman = (await alice.get("/account"))["deadman"]
    assert (deadman["armed_until"], deadman["last_action"]) == (iso_ms(before + 6_000), None)
    assert (await alice.get(f"/orders/{order['order_id']}"))["status"] == "OPEN"
    await desk.advance(2_000)
    assert (await alice.get(f"/orders/{order['order_id']}"))["cancel_reason"] == "DEAD_MAN"
