"""Dead-man timers: exactly on time, each in its scope, and standing still while nobody can call."""

from __future__ import annotations

from typing import Any

import msgspec

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import apply, new_state
from raeth.engine.snapshot import dump, load, state_hash
from tests.engine.venue import MINUTE, OPEN_AT, Venue, key_spec, of_kind


def call(venue: Venue, agent: int, timeout_ms: int, market: int | None = None, key: str | None = None) -> ev.Event:
    return venue.apply(cmd.CallDeadman(agent, key or venue.key(agent), timeout_ms, market))[-1]


def ended(events: list[ev.Event]) -> list[tuple[int, str | None, int]]:
    return [(e.order.id, e.order.cancel_reason, e.order.updated_ts) for e in of_kind(events, ev.OrderEnded)]


def test_it_fires_at_its_moment_and_not_a_millisecond_before() -> None:
    venue = Venue()
    a, b, _ = venue.agents
    mine, theirs = venue.buy(a, 40, 5), venue.buy(b, 40, 5)
    due = venue.ts + 1_000
    assert call(venue, a, 1_000) == ev.DeadmanSet(a, None, due, None, 0, venue.ts)
    assert venue.state.next_due == due
    assert venue.at(due - 1) == []
    venue.ts = due + 700
    late = venue.buy(b, 30, 1)
    assert ended(venue.events) == [(mine.id, "DEAD_MAN", due)], "the stamp of the next command finds it, in its moment"
    assert of_kind(venue.events, ev.DeadmanFired) == [ev.DeadmanFired(a, None, 1, due)]
    assert set(venue.state.orders) == {theirs.id, late.id}
    venue.buy(a, 40, 1)
    assert venue.at(venue.ts + 4_000) == [], "once: it is not armed any more"
    assert call(venue, a, 0) == ev.DeadmanSet(a, None, None, due, 1, venue.ts)


def test_a_call_at_the_very_moment_is_too_late_and_arms_it_anew() -> None:
    venue = Venue()
    a = venue.agents[0]
    order = venue.buy(a, 40, 5)
    call(venue, a, 1_000)
    venue.ts += 1_000
    told = call(venue, a, 2_000)
    assert ended(venue.events) == [(order.id, "DEAD_MAN", venue.ts)]
    assert told == ev.DeadmanSet(a, None, venue.ts + 2_000, venue.ts, 1, venue.ts)


def test_calling_in_time_keeps_the_orders_for_as_long_as_one_likes_and_leaves_no_trail() -> None:
    venue = Venue()
    a = venue.agents[0]
    order = venue.buy(a, 40, 5)
    for _ in range(50):
        call(venue, a, 1_000)
        venue.ts += 999
    assert order.id in venue.state.orders
    assert len(venue.state.timers) <= 2
    call(venue, a, 0)
    assert venue.at(venue.ts + 3_000) == [] and order.id in venue.state.orders


def test_a_sooner_moment_counts_at_once() -> None:
    venue = Venue()
    a = venue.agents[0]
    order = venue.buy(a, 40, 5)
    for timeout_ms in (60_000, 1_000, 30_000, 2_000):
        call(venue, a, timeout_ms)
    due = venue.ts + 2_000
    assert ended(venue.at(due)) == [(order.id, "DEAD_MAN", due)]
    assert of_kind(venue.stroll(OPEN_AT + MINUTE - 1), ev.DeadmanFired) == [], "what was called off stays so"


def test_each_timer_cancels_in_its_own_scope_and_ends_with_its_market() -> None:
    venue = Venue()
    a = venue.agents[0]
    live, pending = venue.live.id, venue.pending.id
    order = venue.buy(a, 40, 5)
    call(venue, a, 1_000, pending)
    assert venue.at(venue.ts + 1_000) == [ev.DeadmanFired(a, pending, 0, venue.ts)]
    assert order.id in venue.state.orders
    call(venue, a, 1_000, live)
    assert ended(venue.at(venue.ts + 1_000)) == [(order.id, "DEAD_MAN", venue.ts)]
    call(venue, a, 60_000, live)
    call(venue, a, 60_000)
    everywhere = venue.ts + 60_000
    venue.stroll(OPEN_AT + MINUTE)
    venue.print(OPEN_AT + MINUTE)
    assert live not in venue.state.markets
    other = venue.buy(a, 40, 5)
    fired = of_kind(venue.stroll(everywhere + 2_000), ev.DeadmanFired)
    assert fired == [ev.DeadmanFired(a, None, 1, everywhere)]
    assert other.id not in venue.state.orders


def test_a_market_that_has_closed_cannot_be_watched_over() -> None:
    venue = Venue()
    a = venue.agents[0]
    closed = venue.live.id
    call(venue, a, 60_000, closed)
    venue.stroll(OPEN_AT + MINUTE)
    assert not venue.state.markets[closed].deadmen
    assert call(venue, a, 1_000, closed) == ev.Refused("MARKET_CLOSED")
    assert call(venue, a, 0, closed) == ev.DeadmanSet(a, closed, None, None, 0, venue.ts)
    assert call(venue, a, 1_000, 0) == ev.Refused("MARKET_CLOSED")


def test_before_the_close_at_one_moment_and_after_an_expiry() -> None:
    venue = Venue()
    a = venue.agents[0]
    close = OPEN_AT + MINUTE
    venue.stroll(close - 1_000)
    rests, expires = venue.buy(a, 40, 5), venue.buy(a, 41, 5, expires_at=close)
    call(venue, a, 1_000)
    found = [e for e in venue.at(close) if isinstance(e, ev.OrderEnded | ev.DeadmanFired | ev.MarketExpired)]
    assert [type(e) for e in found] == [ev.OrderEnded, ev.OrderEnded, ev.DeadmanFired, ev.MarketExpired]
    assert [(o.id, o.status, o.cancel_reason) for o in (e.order for e in found if isinstance(e, ev.OrderEnded))] == [
        (expires.id, "EXPIRED", None),
        (rests.id, "CANCELLED", "DEAD_MAN"),
    ]


def test_a_gap_moves_it_by_its_length_whether_it_lies_within_or_beyond() -> None:
    for timeout_ms in (1_000, 60_000):
        venue = Venue()
        a = venue.agents[0]
        venue.stroll(OPEN_AT + 10_000)
        order = venue.buy(a, 40, 5)
        call(venue, a, timeout_ms)
        venue.ts += 300
        venue.apply(cmd.Tick())
        due = OPEN_AT + 10_000 + timeout_ms + 20_000
        assert venue.at(venue.ts + 20_000) == [ev.DeadmanMoved(a, None, due, venue.ts)]
        assert order.id in venue.state.orders
        if timeout_ms == 1_000:
            assert ended(venue.at(due)) == [(order.id, "DEAD_MAN", due)]


def test_what_is_no_gap_moves_nothing_unless_the_venue_says_that_it_was_away() -> None:
    venue = Venue()
    a = venue.agents[0]
    order = venue.buy(a, 40, 5)
    call(venue, a, 5_000)
    due = venue.ts + 5_000
    venue.ts += 4_999
    assert venue.apply(cmd.Resurface()) == [ev.DeadmanMoved(a, None, due + 4_999, venue.ts)]
    assert venue.apply(cmd.Resurface()) == [], "no time has passed since"
    assert ended(venue.at(venue.ts + 5_000)) == [(order.id, "DEAD_MAN", due + 4_999)]
    assert venue.apply(cmd.Resurface()) == []


def test_who_may_call() -> None:
    venue = Venue()
    a, b, _ = venue.agents
    account = venue.agent(a).account.id
    for scope, good in (("cancel", True), ("trade", True), ("read", False)):
        venue.apply(cmd.IssueKey(account, a, key_spec(f"key-{scope}", (scope,))))
        told = call(venue, a, 1_000, key=f"key-{scope}")
        assert isinstance(told, ev.DeadmanSet) if good else told == ev.Refused("SCOPE_REQUIRED")
    assert call(venue, b, 1_000, key=venue.key(a)) == ev.Refused("FORBIDDEN")
    venue.apply(cmd.RevokeKey(account, a, "key-cancel"))
    assert call(venue, a, 0, key="key-cancel") == ev.Refused("AUTH_REVOKED")
    venue.buy(a, 40, 5)
    venue.apply(cmd.Freeze("op", "why"))
    assert isinstance(call(venue, a, 1_000), ev.DeadmanSet)
    assert len(ended(venue.at(venue.ts + 1_000))) == 1, "it cancels while frozen"
    venue.apply(cmd.SuspendAgent("op", a, "why"))
    assert isinstance(call(venue, a, 1_000), ev.DeadmanSet)


def test_a_snapshot_from_before_there_were_timers_still_loads() -> None:
    venue = Venue()
    venue.buy(venue.agents[0], 40, 5)
    fields = msgspec.msgpack.decode(dump(venue.state))
    accounts, markets = fields[13], fields[14]
    for account in accounts:
        account[-1] = [agent[:-1] for agent in account[-1]]
    fields[14] = [market[:-1] for market in markets]
    assert dump(load(msgspec.msgpack.encode(fields))) == dump(venue.state)


def test_a_snapshot_keeps_timers() -> None:
    venue = Venue()
    a, b, c = venue.agents
    for agent in (a, b, c):
        venue.buy(agent, 40, 5)
    call(venue, a, 2_000)
    call(venue, b, 1_000, venue.live.id)
    call(venue, c, 1_000)
    call(venue, c, 30_000)
    venue.at(venue.ts + 1_000)
    loaded = load(dump(venue.state))
    assert dump(loaded) == dump(venue.state) and state_hash(loaded) == state_hash(venue.state)
    for ts in (venue.ts + 500, venue.ts + 1_000, venue.ts + 30_000):
        seq = loaded.seq + 1
        venue.ts = ts
        assert apply(loaded, cmd.Tick(), seq, ts) == venue.apply(cmd.Tick())
    assert dump(loaded) == dump(venue.state)


def test_the_same_journal_makes_the_same_timers() -> None:
    venue = Venue()
    for step in range(60):
        agent = venue.agents[step % 3]
        call(venue, agent, (0, 1_000, 3_000, 60_000)[step * 7 % 4], (None, venue.pending.id)[step % 2])
        if venue.state.live is not None and venue.live.trading:
            venue.buy(agent, 40, 1)
        venue.at(venue.ts + (100, 900, 2_500, 7_000)[step * 5 % 4])
    again: Any = new_state()
    for seq, (ts, command) in enumerate(venue.journal, 1):
        apply(again, command, seq, ts)
    assert dump(again) == dump(venue.state)


def test_one_that_was_disarmed_before_the_venue_was_down_works_when_armed_again() -> None:
    venue = Venue()
    a = venue.agents[0]
    order = venue.buy(a, 40, 5)
    call(venue, a, 5_000)
    call(venue, a, 0)
    venue.ts += 500
    venue.apply(cmd.Resurface())
    call(venue, a, 5_000)
    due = venue.ts + 5_000
    assert venue.state.next_due <= due
    assert ended(venue.at(due)) == [(order.id, "DEAD_MAN", due)]
