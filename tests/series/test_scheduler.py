"""The scheduler between a scripted reference and a real sequencer: prints with evidence, index ticks, the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from raeth.audit import audit_file
from raeth.clock import ManualClock
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import Input, PrintFact
from raeth.reference.types import INDEX, Print, Reading, Tick, TickCallback, VenueInput
from raeth.sequencer import Committed, Sequencer
from raeth.series.scheduler import INDEX_INTERVAL_MS, Scheduler, print_command
from tests.sequencer.node import OPEN_AT, running, until

MINUTE = 60_000
BTC = 10_000_000


class Script:
    """A reference that knows its ticks beforehand; `quorum_ms` after a boundary its evidence is complete."""

    name = "scripted"
    synthetic = True

    def __init__(self, ticks: list[tuple[int, int]], clock: ManualClock, quorum_ms: int | None = 0) -> None:
        self.ticks = ticks
        self.clock = clock
        self.quorum_ms = quorum_ms
        self.callbacks: list[TickCallback] = []

    def on_tick(self, callback: TickCallback) -> None:
        self.callbacks.append(callback)

    async def run(self) -> None:
        for ts, price in self.ticks:
            await self.clock.sleep_until(ts)
            for callback in self.callbacks:
                callback(Tick(INDEX, price, ts, ts))
        await asyncio.Event().wait()

    def current(self, now_ms: int) -> Reading:
        known = [t for t in self.ticks if t[0] <= now_ms]
        ts, price = known[-1] if known else (None, None)
        return Reading(price, ts, None if ts is None else now_ms - ts, "LIVE", self.name, True, ())

    def print_at(self, boundary_ms: int, now_ms: int) -> Print | None:
        if self.quorum_ms is None or now_ms < boundary_ms + self.quorum_ms:
            return None
        return self.final_print_at(boundary_ms, now_ms)

    def final_print_at(self, boundary_ms: int, now_ms: int) -> Print:
        known = [t for t in self.ticks if t[0] <= min(boundary_ms, now_ms)]
        if not known:
            return Print(boundary_ms, None, None, None, "SCRIPT", "no_price", self.name, True, ())
        ts, price = known[-1]
        inputs = (VenueInput("a", price, ts, boundary_ms - ts, True, "used", price * 2, 50_000_000, ts - 1),)
        return Print(boundary_ms, price, ts, boundary_ms - ts, "SCRIPT", None, self.name, True, inputs)


class Run:
    """A venue under a scheduler. `walk` moves venue time in small steps and lets everything settle after each."""

    def __init__(self, node: Sequencer, clock: ManualClock) -> None:
        self.node = node
        self.clock = clock
        self.facts: list[Committed] = []
        node.listeners.append(self.facts.extend)

    async def walk(self, ts: int, step: int = 500) -> None:
        while self.clock.now_ms() < ts:
            self.clock.set(min(ts, self.clock.now_ms() + step))
            await until(lambda: self.node.state.next_due > self.clock.now_ms())
            await self.node.submit(cmd.Tick())

    def prints(self) -> list[PrintFact]:
        return [e.fact for f in self.facts for e in f.events if isinstance(e, ev.Printed)]

    def outcomes(self) -> list[tuple[str, str]]:
        return [(e.outcome, e.reason) for f in self.facts for e in f.events if isinstance(e, ev.MarketResolved)]

    def index(self) -> list[tuple[int, int]]:
        return [(f.ts, f.command.source_ts) for f in self.facts if isinstance(f.command, cmd.IndexTick)]


@asynccontextmanager
async def venue(path: Path, ticks: list[tuple[int, int]], quorum_ms: int | None = 0) -> AsyncIterator[Run]:
    clock = ManualClock(OPEN_AT - 2_000)
    async with running(path, clock) as node:
        run = Run(node, clock)
        scheduler = Scheduler(Script(ticks, clock, quorum_ms), clock, node.submit, lambda: node.state)
        task = asyncio.create_task(scheduler.run())
        try:
            yield run
            assert not task.done(), "the scheduler never ends by itself"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raeth.db"


def every_second(start: int, end: int) -> list[tuple[int, int]]:
    """A tick at 300 ms past every second, a dollar dearer each."""
    return [(ts, BTC + 100 * n) for n, ts in enumerate(range(start + 300, end, 1_000))]


async def test_every_boundary_gets_its_print_with_its_evidence(path: Path) -> None:
    async with venue(path, every_second(OPEN_AT - 2_000, OPEN_AT + 3 * MINUTE)) as run:
        for n in range(3):
            await run.walk(OPEN_AT + n * MINUTE)
            await until(lambda n=n: len(run.prints()) == n + 1)  # type: ignore[misc]
        for n, fact in enumerate(run.prints()):
            boundary = OPEN_AT + n * MINUTE
            price = BTC + 100 * (1 + 60 * n)
            assert (fact.boundary, fact.price_cents, fact.source_ts) == (boundary, price, boundary - 700)
            assert (fact.source, fact.rule, fact.reason) == ("scripted", "SCRIPT", None)
            used = Input("a", price, boundary - 700, True, "used", price * 2, 50_000_000, boundary - 701)
            assert fact.inputs == (used,)
        await until(lambda: run.outcomes() == [("YES", "UP"), ("YES", "UP")])
    audit_file(path)


async def test_at_most_four_index_ticks_a_second_of_venue_time(path: Path) -> None:
    ticks = [(OPEN_AT - 1_500 + 20 * n, BTC + n) for n in range(200)]
    async with venue(path, ticks) as run:
        await run.walk(OPEN_AT + 2_500, step=20)
        index = run.index()
        stamps = [ts for ts, _ in index]
        assert all(b - a >= INDEX_INTERVAL_MS for a, b in pairwise(stamps))
        assert 12 <= len(index) <= 17, "and not many fewer"
        assert all(0 <= ts - source_ts <= 40 for ts, source_ts in index), "each the newest of its moment"


async def test_a_quiet_feed_is_journaled_as_it_comes(path: Path) -> None:
    ticks = every_second(OPEN_AT - 2_000, OPEN_AT + 3_000)
    async with venue(path, ticks) as run:
        await run.walk(OPEN_AT + 3_000, step=100)
        assert [source for _, source in run.index()] == [ts for ts, _ in ticks]


async def test_without_a_quorum_the_deadline_decides_with_what_there_is(path: Path) -> None:
    async with venue(path, every_second(OPEN_AT - 2_000, OPEN_AT + 9_000), quorum_ms=None) as run:
        await run.walk(OPEN_AT + 3_900, step=300)
        await asyncio.sleep(0.03)  # two polls: it could have been printed by now, and was not
        assert run.prints() == []
        await run.walk(OPEN_AT + 4_000)
        await until(lambda: len(run.prints()) == 1)
        [fact] = run.prints()
        assert (fact.boundary, fact.source_ts, fact.ts) == (OPEN_AT, OPEN_AT - 700, OPEN_AT + 4_000)


async def test_no_tick_at_all_is_an_unusable_print(path: Path) -> None:
    async with venue(path, [(OPEN_AT + 1_000, BTC)]) as run:
        await run.walk(OPEN_AT)
        await until(lambda: len(run.prints()) == 1)
        [fact] = run.prints()
        assert (fact.price_cents, fact.reason) == (None, "no_price")
        assert run.node.state.live is not None and run.node.state.live.unusable


async def test_a_tick_after_the_print_changes_nothing(path: Path) -> None:
    """The evidence is complete at the boundary; what arrives later is for the next one."""
    async with venue(path, [(OPEN_AT - 100, BTC), (OPEN_AT + 1, BTC + 5_000)]) as run:
        await run.walk(OPEN_AT)
        await until(lambda: len(run.prints()) == 1)
        await run.walk(OPEN_AT + 6_000)
        assert [f.price_cents for f in run.prints()] == [BTC]


def test_the_journals_form_keeps_every_field() -> None:
    script = Script([(OPEN_AT - 5, BTC)], ManualClock(OPEN_AT))
    command = print_command(script.final_print_at(OPEN_AT, OPEN_AT))
    used = Input("a", BTC, OPEN_AT - 5, True, "used", BTC * 2, 50_000_000, OPEN_AT - 6)
    assert command == cmd.Print(OPEN_AT, BTC, OPEN_AT - 5, "scripted", "SCRIPT", None, (used,))
