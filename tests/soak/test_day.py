"""A day of the venue in simulated time: real engine, sequencer, SQLite, tables, scheduler and reference; only the clock
is moved by hand.

The house quotes, some agents trade, the reference fails now and then, and the process restarts. A witness follows every
event as it becomes durable: one window is open at every instant, none settles twice or without evidence, no cent is
made or lost, nothing grows. The ordinary run is two hours of it; `--long` is the day.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from raeth.audit import audit_file
from raeth.client.strategy import Outcome, Quotes
from raeth.clock import Clock, ManualClock
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine import invariants
from raeth.engine.exchange import new_state
from raeth.engine.snapshot import state_hash
from raeth.engine.state import Agent, State
from raeth.engine.types import REJECTED, VOID, KeySpec, PrintFact
from raeth.liquidity.policy import HousePolicy
from raeth.liquidity.settings import HouseSettings
from raeth.reference.settings import ReferenceSettings
from raeth.reference.simulated import SimulatedSource, synthetic_ticks
from raeth.sequencer import Committed, Sequencer
from raeth.series.scheduler import Scheduler
from raeth.sim.view import PriceMemory, SimView, limits_of
from tests.golden.busy import Crowd, signups
from tests.sequencer.node import OPEN_AT, new_sequencer, prepare, until

MINUTE = 60_000
HOUR = 60
STEP_MS = (500, 4_500)
AGENTS = 5
DARK_EVERY, DARK_MS = 37, 20_000
"""Every so many windows the reference is dark for so long, around a boundary."""

DUE_MS = (1_500, 4_000)
"""When the evidence of a print is in, counted from its boundary; and when it is taken without."""

YIELDS = 5
ROOM_BYTES = 1 << 30
MOST_KIB = 128 * 1024
"""What the process may grow by: the database's page cache, which fills up, and about as much again."""

WAIT_S = 60.0
"""For a print, on a machine that is busy with something else."""


def dark(ts: int) -> bool:
    minute, within = divmod(ts + DARK_MS // 2, MINUTE)
    return within < DARK_MS and (minute - OPEN_AT // MINUTE) % DARK_EVERY == DARK_EVERY // 2


class FailingSource(SimulatedSource):
    """The simulated reference, of which nothing arrives while it is dark."""

    def __init__(self, settings: ReferenceSettings, clock: Clock, start_price_cents: int | None) -> None:
        super().__init__(settings, clock, start_price_cents)
        self._start = synthetic_ticks(settings.seed, clock.now_ms(), start_price_cents or settings.start_price_cents)

    async def run(self) -> None:
        for number, tick in enumerate(self._start):
            await self._clock.sleep_until(tick.recv_ts)
            if not dark(tick.source_ts):
                self._feed.add(tick)
            if number % 64 == 0:
                await asyncio.sleep(0)


class Witness:
    """Follows the journal from its first event on. A listener may not raise, so what is wrong is collected."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.open: int | None = None
        self.last_boundary = 0
        self.opened: Counter[int] = Counter()
        self.waiting: dict[int, list[PrintFact | None]] = {}
        """Windows that have opened and not settled: their open and close prints."""
        self.outcomes: Counter[str] = Counter()
        self.settled: set[int] = set()
        self.commands = self.orders = self.declined = self.trades = 0
        self.memory = PriceMemory()

    def demand(self, holds: bool, fact: Committed, what: str) -> None:
        if not holds:
            self.faults.append(f"seq {fact.seq}: {what}")

    def see(self, facts: list[Committed]) -> None:
        for fact in facts:
            self.commands += 1
            for event in fact.events:
                self._event(fact, event)
            self.demand(self.open is not None or not self.opened, fact, "no window is open")

    def _event(self, fact: Committed, event: ev.Event) -> None:
        match event:
            case ev.MarketOpened():
                self.demand(self.open is None, fact, "two windows are open")
                self.demand(not self.opened or event.ts == self.last_boundary, fact, "nothing was open for a while")
                self.open, self.waiting[event.market] = event.market, [None, None]
                self.opened[event.market] += 1
            case ev.MarketExpired():
                self.demand(self.open == event.market, fact, "a window expires that was not open")
                self.open, self.last_boundary = None, event.ts
            case ev.Printed():
                self._printed(fact, event)
            case ev.MarketResolved():
                self._resolved(fact, event)
            case ev.IndexMoved():
                self.memory.add(event.ts, event.price_cents)
            case ev.OrderPlaced():
                self.orders += 1
                self.declined += event.order.status == REJECTED
            case ev.Traded():
                self.trades += 1

    def _printed(self, fact: Committed, event: ev.Printed) -> None:
        taken = event.fact
        if taken.price_cents is None:
            self.demand(bool(taken.reason), fact, "a missing print without a reason")
        else:
            used = [i for i in taken.inputs if i.used]
            self.demand(len(used) >= 3, fact, "a print without a quorum of evidence")
            late = [i for i in used if i.source_ts is None or i.source_ts > taken.boundary]
            self.demand(not late, fact, "evidence from after the boundary")
            prices = sorted(i.price_cents for i in used if i.price_cents is not None)
            self.demand(bool(prices) and prices[0] <= taken.price_cents <= prices[-1], fact, "not what was seen")
        for market, place in ((event.opens, 0), (event.closes, 1)):
            if market is not None and market in self.waiting:
                self.demand(self.waiting[market][place] is None, fact, "a second print for one boundary")
                self.waiting[market][place] = taken

    def _resolved(self, fact: Committed, event: ev.MarketResolved) -> None:
        self.demand(event.market not in self.settled, fact, "a window settles twice")
        self.demand(event.market != self.open, fact, "a window settles while it is open")
        self.settled.add(event.market)
        self.outcomes[f"{event.outcome} {event.reason}"] += 1
        opens, closes = self.waiting.pop(event.market, [None, None])
        if opens is None or opens.price_cents is None:
            # The void of an unusable open print comes at the close, before the close print.
            self.demand(event.reason == "OPEN_PRINT_UNUSABLE" and opens is not None, fact, "settled without evidence")
        elif closes is None or closes.price_cents is None:
            self.demand(event.reason == "NO_CLOSE_PRINT" and closes is not None, fact, "settled without evidence")
        else:
            up = closes.price_cents - opens.price_cents
            right = VOID if not up else "YES" if up > 0 else "NO"
            self.demand(event.outcome == right, fact, f"{event.outcome}, but its prints say {right}")


class Shift:
    """The venue from one start of the process to its stop."""

    def __init__(self, node: Sequencer, scheduler: Scheduler, clock: ManualClock, witness: Witness) -> None:
        self.node = node
        self.scheduler = scheduler
        self.clock = clock
        self.witness = witness
        self.policy = HousePolicy(HouseSettings())

    async def run_to(self, ts: int, random: Random, crowd: Crowd) -> None:
        """Let the venue live until `ts`, a moment within a window."""
        while (now := self.clock.now_ms()) < ts:
            self.clock.set(self._next_moment(now, min(ts, now + random.randint(*STEP_MS))))
            for _ in range(YIELDS):
                await asyncio.sleep(0)  # the feed and the index hear of the new moment before anybody trades on it
            await self.node.submit(cmd.Tick())
            state = await self.node.settled()
            quotes = self._quotes(state)
            commands: list[cmd.Command] = [] if quotes is None else [quotes]
            if random.random() < 0.4 and state.live is not None:
                crowd.fair = state.live.mark() or 50
                commands += filter(None, (crowd.next(state) for _ in range(random.randint(1, 3))))
            done = await asyncio.gather(*map(self.node.enqueue, commands))
            if quotes is not None:
                self._told(done[0].events)
            await self._printed()

    def _next_moment(self, now: int, wanted: int) -> int:
        """`wanted`, but not past the moments at which a print is due: its evidence is in, or nobody may wait longer."""
        state = self.node.state
        boundaries = list(state.unprinted) + [m.open_at for m in (state.pending,) if m]
        return min([wanted, *(at + due for at in boundaries for due in DUE_MS if at + due > now)])

    async def _printed(self) -> None:
        """Time may not run on while a print is under way: its evidence is in, or nobody may wait for more."""
        now = self.clock.now_ms()
        for boundary in list(self.node.state.unprinted):
            if now >= boundary + DUE_MS[1] or self.scheduler.source.print_at(boundary, now) is not None:
                await until(lambda boundary=boundary: boundary not in self.node.state.unprinted, WAIT_S)  # type: ignore[misc]

    def _quotes(self, state: State) -> cmd.PutQuotes | None:
        market = state.live
        if market is None:
            return None
        house = named(state, "house")
        recent, now = self.witness.memory.recent, self.clock.now_ms()
        view = SimView(state, market, house, limits_of(market.settings), recent, now, 0)
        for action in self.policy.decide(view):
            assert isinstance(action, Quotes)
            self._action = action
            return cmd.PutQuotes(house.id, house.keys[0], market.id, action.quote_id, action.bids, action.asks)
        return None

    def _told(self, events: list[ev.Event]) -> None:
        declined = [e.order for e in events if isinstance(e, ev.OrderPlaced) and e.order.status == REJECTED]
        if declined:
            reason, details = declined[0].reject_reason, declined[0].reject_details or {}
            self.policy.told(Outcome(self._action, False, reason, details))
        else:
            self.policy.told(Outcome(self._action, True))

    async def top_up(self) -> None:
        """Fees drain the agents; a day is long."""
        state = await self.node.settled()
        for agent in list(state.agents.values()):
            if agent.free < 20_000:
                await self.node.submit(cmd.GrantCash("op", agent.id, 50_000, "to go on"))

    def check(self) -> None:
        invariants.check(self.node.state)
        markets = self.node.state.markets.values()
        assert sum(market.status == "OPEN" for market in markets) == 1
        assert len(markets) <= 3, "ended windows are forgotten"
        assert not self.witness.faults, self.witness.faults[:5]

    def weight(self) -> int:
        """Things that the venue holds in memory."""
        return weigh([self.node.state, self.node._following._projector, self.node._queue, self.scheduler.source])


def named(state: State, name: str) -> Agent:
    return state.agents[state.names[name]]


def weigh(roots: Iterable[object]) -> int:
    """How many things the venue's own objects and containers hold, all the way down."""
    seen: set[int] = set()
    held = 0
    todo = list(roots)
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        parts: list[object]
        if isinstance(thing, dict):
            parts = [*thing.keys(), *thing.values()]
        elif isinstance(thing, list | tuple | set | frozenset | deque):
            parts = list(thing)
        elif type(thing).__module__.startswith("raeth."):
            names = {name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())}
            names |= set(getattr(thing, "__dict__", ())) | set(getattr(thing, "__struct_fields__", ()))
            parts = [getattr(thing, name) for name in names if hasattr(thing, name)]
        else:
            continue
        seen.add(id(thing))
        held += len(parts)
        todo += parts
    return held


@asynccontextmanager
async def venue(path: Path, clock: ManualClock, witness: Witness, price_cents: int | None) -> AsyncIterator[Shift]:
    """A process of the venue, from start to orderly stop."""
    node = new_sequencer(path, clock)
    node.listeners.append(witness.see)
    await node.start()
    source = FailingSource(ReferenceSettings(), clock, price_cents)
    scheduler = Scheduler(source, clock, node.submit, lambda: node.state)
    task = asyncio.create_task(scheduler.run())
    try:
        yield Shift(node, scheduler, clock, witness)
        assert not task.done(), "the scheduler never ends by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await node.stop()


async def live(path: Path, windows: int, restart_every: int) -> tuple[Witness, str, list[int]]:
    """Run so many windows from the genesis on; the witness, the state's digest, and the most weight of each hour."""
    await prepare(path)
    clock, witness = ManualClock(OPEN_AT - 2_000), Witness()
    random = Random(24)
    crowd = Crowd(random)
    peaks: list[int] = []
    price: int | None = None
    state = new_state()
    for start in range(0, windows, restart_every):
        async with venue(path, clock, witness, price) as shift:
            if not start:
                await found(shift.node)
            for window in range(start, min(windows, start + restart_every)):
                await shift.run_to(OPEN_AT + (window + 1) * MINUTE + 30_000, random, crowd)
                await shift.top_up()
                shift.check()
                hour = window // HOUR
                peaks += [0] * (hour + 1 - len(peaks))
                peaks[hour] = max(peaks[hour], shift.weight())
        state = shift.node.state
        price = state.reference_price
    return witness, state_hash(state), peaks


async def found(node: Sequencer) -> None:
    """The agents and the house, as they sign up."""
    for command in signups(AGENTS):
        await node.submit(command)
    await node.submit(cmd.Signup("digest-house", "house", KeySpec("key-house", "00", "key", ("read", "trade"))))
    grant = HouseSettings().grant_cents
    await node.submit(cmd.GrantCash("venue", named(node.state, "house").id, grant, "capital"))


def judge(path: Path, windows: int, witness: Witness, digest: str, peaks: list[int]) -> None:
    assert not witness.faults, witness.faults[:5]
    # Each run ends half a minute into a window of which only the opening was seen.
    assert len(witness.opened) == windows + 1 == len(witness.settled) + len(witness.waiting)
    assert len(witness.waiting) == 1 and set(witness.opened.values()) == {1}
    assert witness.outcomes["YES UP"] > windows // 4 and witness.outcomes["NO DOWN"] > windows // 4
    darkened = sum(w % DARK_EVERY == DARK_EVERY // 2 for w in range(1, windows))
    assert witness.outcomes["VOID NO_CLOSE_PRINT"] == witness.outcomes["VOID OPEN_PRINT_UNUSABLE"] >= darkened > 0
    assert witness.trades > windows, "somebody traded"
    assert peaks[-1] <= peaks[0] * 1.25, f"it grows: {peaks}"
    report = audit_file(path)
    assert report.state_hash == digest
    assert report.windows_resolved + report.windows_void == windows
    assert report.agents_cents + report.masters_cents + report.fees_cents == report.granted_cents
    print(
        f"{windows} windows {dict(witness.outcomes)}, {report.commands} commands, {witness.orders} orders"
        f" ({witness.declined} declined), {witness.trades} trades,"
        f" weight by hour {peaks}, audit {report.seconds:.1f} s"
    )


async def run(path: Path, windows: int, restart_every: int) -> None:
    gc.collect()
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lived = await live(path, windows, restart_every)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    judge(path, windows, *lived)
    assert after - before < MOST_KIB
    size = path.stat().st_size
    print(f"lived in {seconds:.1f} s, memory {before // 1024} to {after // 1024} MiB, file {size / 1e6:.0f} MB")


def test_the_scales_weigh() -> None:
    light, heavy = State(), State()
    heavy.names = {str(n): n for n in range(1_000)}
    assert weigh([heavy]) == weigh([light]) + 2_000
    assert weigh([deque([[1, 2], (3,)])]) == 5


def test_the_witness_would_see_it() -> None:
    opened, expired = ev.MarketOpened(1, OPEN_AT), ev.MarketExpired(1, OPEN_AT + MINUTE)
    ended = ev.MarketResolved(1, "YES", "UP", 0, OPEN_AT + MINUTE)
    bare = ev.Printed(PrintFact(OPEN_AT, 100, OPEN_AT, "x", "LAST", None, (), 1, OPEN_AT), 1, None)
    for events, fault in (
        ([opened, ev.MarketOpened(2, OPEN_AT)], "two windows are open"),
        ([opened, expired], "no window is open"),
        ([opened, expired, ev.MarketOpened(2, OPEN_AT + MINUTE + 1)], "nothing was open for a while"),
        ([opened, ended], "settles while it is open"),
        ([opened, expired, ended], "settled without evidence"),
        ([opened, expired, ended, ended], "settles twice"),
        ([opened, bare], "without a quorum"),
        ([opened, bare, bare], "a second print"),
    ):
        witness = Witness()
        witness.see([Committed(1, OPEN_AT, cmd.Tick(), list(events))])
        assert any(fault in said for said in witness.faults), (fault, witness.faults)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is room: what an fsync costs is not the question here."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES
    with tempfile.TemporaryDirectory(prefix="raeth-day-", dir=memory if roomy else tmp_path) as folder:
        yield Path(folder, "raeth.db")


async def test_two_hours(path: Path) -> None:
    await run(path, 2 * HOUR, restart_every=50)


@pytest.mark.long
@pytest.mark.timeout(3_600)
async def test_a_day(path: Path) -> None:
    await run(path, 24 * HOUR, restart_every=7 * HOUR)
