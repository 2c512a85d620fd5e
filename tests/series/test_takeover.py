"""Who takes the reference over: what the journal holds stands in for what only the one before had seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.audit import audit_file
from raeth.clock import ManualClock
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import new_state
from raeth.engine.types import Input
from raeth.reference import ReferenceSettings, open_source
from raeth.sequencer import Sequencer
from raeth.series.feeder import Feeder
from raeth.series.journaled import JournaledIndex
from tests.sequencer.node import OPEN_AT, running, until
from tests.series.test_scheduler import Script

BTC = 9_400_000
MAX_AGE_MS = 5_000


class Fact(NamedTuple):
    seq: int
    command: cmd.Command
    events: list[ev.Event]


def index(sequencer: Sequencer | None = None) -> JournaledIndex:
    state = new_state()
    found = JournaledIndex(
        lambda: state if sequencer is None else sequencer.state, stale_after_ms=3_000, down_after_ms=10_000
    )
    if sequencer is not None:
        sequencer.listeners.append(found.heard)
    return found


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 99)), max_size=60),
    st.integers(0, 40_000),
    st.integers(1, 6_000),
)
def test_the_print_is_the_last_tick_at_or_before_the_boundary_that_is_young_enough(
    steps: list[tuple[int, int]], boundary: int, max_age_ms: int
) -> None:
    ticks: list[tuple[int, int, int]] = []
    for seq, (step, price) in enumerate(steps, 1):
        ticks.append(((ticks[-1][0] if ticks else 1_000) + step, price, seq))
    journaled = index()
    journaled.heard(
        Fact(seq, cmd.IndexTick(price, ts, "simulated"), [ev.IndexMoved(price, ts, "simulated", ts)])
        for ts, price, seq in ticks
    )
    found = journaled.print_at(boundary, max_age_ms)
    known = [tick for tick in ticks if tick[0] <= boundary]
    if not known or boundary - known[-1][0] > max_age_ms:
        assert found is None
        return
    ts, price, seq = known[-1]
    assert found is not None
    assert (found.boundary, found.price_cents, found.source_ts, found.source) == (boundary, price, ts, "simulated")
    assert found.inputs == (Input("journal", price, ts, True, f"used: journal seq {seq}"),)
    assert "journal" in found.rule and str(max_age_ms) in found.rule


class Taken:
    """A venue whose reference is taken over by one feeder after another."""

    def __init__(self, sequencer: Sequencer, clock: ManualClock) -> None:
        self.sequencer = sequencer
        self.clock = clock
        self.journaled = index(sequencer)
        self.sure = asyncio.Event()
        self.sure.set()

    def feeder(self) -> Feeder:
        settings = ReferenceSettings()
        return Feeder(
            open_source("simulated", settings, self.clock),
            self.clock,
            self.sequencer,
            self.journaled,
            again=lambda cents: open_source("simulated", settings, self.clock, start_price_cents=cents),
            alone=False,
        )

    async def confirmed(self) -> None:
        await self.sure.wait()

    @asynccontextmanager
    async def fed(self) -> AsyncIterator[Feeder]:
        feeder = self.feeder()
        task = asyncio.create_task(feeder.feed(self.confirmed))
        try:
            yield feeder
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def walk(self, ts: int, step: int = 250) -> None:
        while self.clock.now_ms() < ts:
            self.clock.set(min(ts, self.clock.now_ms() + step))
            await asyncio.sleep(0.002)
            await self.sequencer.submit(cmd.Tick())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raeth.db"


@asynccontextmanager
async def taken(path: Path) -> AsyncIterator[Taken]:
    clock = ManualClock(OPEN_AT - 10_000)
    async with running(path, clock) as sequencer:
        yield Taken(sequencer, clock)


async def test_a_boundary_between_two_feeders_gets_its_print_from_the_journal(path: Path) -> None:
    async with taken(path) as venue:
        state = venue.sequencer.state
        async with venue.fed():
            await venue.walk(OPEN_AT - 500)
            await until(lambda: state.reference_price is not None)
        last = (state.reference_ts, state.reference_price)
        await venue.walk(OPEN_AT + 2_000)
        assert OPEN_AT in state.unprinted, "nobody fed it"
        async with venue.fed():
            await until(lambda: OPEN_AT not in state.unprinted)
            opened = state.live
            assert opened is not None and opened.open_print is not None and not opened.halted
            fact = opened.open_print
            assert (fact.source_ts, fact.price_cents) == last
            assert [used.venue for used in fact.inputs] == ["journal"]
            assert "journal" in fact.rule
            await venue.walk(OPEN_AT + 61_000, step=500)
            await until(lambda: OPEN_AT + 60_000 not in state.unprinted)
            closed = state.live
            assert closed is not None and closed.open_print is not None
            assert len(closed.open_print.inputs) == 5, "what it saw itself has its own evidence"
            assert closed.open_print.price_cents is not None and last[1] is not None
            assert abs(closed.open_print.price_cents - last[1]) < last[1] // 50, "the price went on from there"
    audit_file(path)


async def test_without_a_young_tick_in_the_journal_the_window_is_void(path: Path) -> None:
    async with taken(path) as venue:
        state = venue.sequencer.state
        async with venue.fed():
            await venue.walk(OPEN_AT - 7_000)
            await until(lambda: state.reference_price is not None)
        await venue.walk(OPEN_AT + 1_000)
        async with venue.fed():
            await venue.walk(OPEN_AT + 3_000)
            await until(lambda: OPEN_AT not in state.unprinted)
            assert state.live is not None and state.live.unusable, "nobody had a price, and none is made up afterwards"


async def test_a_node_shows_the_journal_until_it_feeds(path: Path) -> None:
    async with taken(path) as venue:
        standby = venue.feeder()
        assert standby.current(venue.clock.now_ms()).status == "DOWN"
        async with venue.fed() as feeder:
            await venue.walk(OPEN_AT - 8_000)
            await until(lambda: venue.sequencer.state.reference_price is not None)
            shown = standby.current(venue.clock.now_ms())
            assert (shown.price_cents, shown.status) == (venue.sequencer.state.reference_price, "LIVE")
            assert (shown.source, shown.synthetic, shown.venues) == ("simulated", True, ())
            assert len(feeder.current(venue.clock.now_ms()).venues) == 5
        now = venue.clock.now_ms()
        assert standby.current(now + 5_000).status == feeder.current(now + 5_000).status == "STALE"
        assert standby.current(now + 20_000).status == "DOWN"


async def test_a_source_that_was_kept_warm_has_seen_the_boundary_itself(path: Path) -> None:
    async with taken(path) as venue:
        script = Script([(OPEN_AT - 300, BTC), (OPEN_AT + 100, BTC + 7)], venue.clock)
        feeder = Feeder(script, venue.clock, venue.sequencer, venue.journaled, warm=True, alone=False)
        tasks = [asyncio.create_task(feeder.watch())]
        await asyncio.sleep(0)
        moved = ev.IndexMoved(BTC - 9, OPEN_AT - 900, "scripted", OPEN_AT - 800)
        venue.journaled.heard([Fact(0, cmd.IndexTick(BTC - 9, OPEN_AT - 900, "scripted"), [moved])])
        await venue.walk(OPEN_AT + 1_000)
        assert OPEN_AT in venue.sequencer.state.unprinted, "it only watches"
        tasks.append(asyncio.create_task(feeder.feed(venue.confirmed)))
        await until(lambda: OPEN_AT not in venue.sequencer.state.unprinted)
        opened = venue.sequencer.state.live
        assert opened is not None and opened.open_print is not None
        assert (opened.open_print.rule, opened.open_print.price_cents) == ("SCRIPT", BTC)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_nothing_is_brought_while_the_role_is_in_doubt(path: Path) -> None:
    async with taken(path) as venue, venue.fed():
        await venue.walk(OPEN_AT - 8_000)
        await until(lambda: venue.sequencer.state.reference_price is not None)
        venue.sure.clear()
        await venue.walk(OPEN_AT - 7_500)
        held = venue.sequencer.state.reference_ts
        await venue.walk(OPEN_AT - 5_000)
        assert venue.sequencer.state.reference_ts == held
        venue.sure.set()
        await until(lambda: venue.sequencer.state.reference_ts > held)
