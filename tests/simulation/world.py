"""One seed: a venue that lives, dies and lives again on one disk, while everything that can go wrong does.

A life is one process: the real sequencer, engine, scheduler, index and projector on a loop of their own. Only the disk,
the clock of the machine and what the clients know outlive it. `simulate` raises `SimulationFailed`, which says how to
see it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from raeth.engine import codec, invariants, snapshot
from raeth.engine.exchange import apply, new_state
from raeth.journal.base import EMPTY_HEAD, Row
from raeth.journal.chain import verify
from raeth.sequencer import Sequencer
from raeth.store import rebuild
from raeth.store.tables import DERIVED
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.life import Life
from tests.simulation.loop import SimClock
from tests.simulation.machine import Log, installed
from tests.simulation.model import Model
from tests.simulation.shadow import FULL_EVERY, Shadow
from tests.simulation.trace import line
from tests.simulation.workload import Workload, rules_of

START_MS = 1_795_000_000_000
TRACE_KEPT = 400
TABLES_IN = 8
"""One seed in so many carries its projections out, in a real SQLite in memory; the others only count them."""


class SimulationFailed(AssertionError):
    """What broke, where, and how to see it again."""

    def __init__(self, why: str, seed: int, steps: int, step: int, trace: list[str]) -> None:
        again = f"python -m tests.simulation --seed {seed} --steps {steps} --trace"
        super().__init__(f"{why}\nseed {seed}, step {step} of {steps}; again: {again}\n" + "\n".join(trace))
        self.why = why
        self.seed = seed
        self.step = step


@dataclass(slots=True)
class Report:
    """What one seed did. `digest` is the same for every run of a seed on every machine."""

    seed: int
    steps: int = 0
    rows: int = 0
    lives: int = 0
    handles: int = 0
    virtual_s: float = 0.0
    trades: int = 0
    digest: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    clients: Counter[str] = field(default_factory=Counter)


def simulate(
    seed: int,
    steps: int,
    *,
    sequencer: type[Sequencer] = Sequencer,
    tell: Callable[[str], None] | None = None,
    full_every: int = FULL_EVERY,
) -> Report:
    """Run `steps` client commands under `seed`. Raises SimulationFailed. `tell` hears every line of the trace."""
    world = World(seed, steps, sequencer, tell, full_every)
    try:
        return world.run()
    except SimulationFailed:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        place = traceback.format_exc(limit=-3)
        raise SimulationFailed(why, seed, steps, world.step, [*world.told(), place]) from error


class World:
    """Everything that outlives a process."""

    def __init__(
        self,
        seed: int,
        steps: int,
        sequencer: type[Sequencer],
        tell: Callable[[str], None] | None,
        full_every: int,
    ) -> None:
        self.seed = seed
        self.steps = steps
        self.step = 0
        self.sequencer = sequencer
        self.tell = tell
        self.trace: deque[tuple[Any, ...]] = deque(maxlen=TRACE_KEPT)
        # Seeded by text: the same on every machine and for every PYTHONHASHSEED.
        self.random = Random(f"{seed}/world")
        self.order = Random(f"{seed}/order")
        self.now_s = 0.0
        self.rules = rules_of(self.random)
        # Shortly before a boundary: until the first window opens nothing can trade.
        boundary_ms = (START_MS // self.rules.window_ms + 1) * self.rules.window_ms
        self.clock = SimClock(boundary_ms - self.random.randrange(2_000))
        self.guarded = self.random.random() < 0.4
        self.shuffled = self.random.random() < 0.5
        self.faults = Faults(Random(f"{seed}/faults"), self.note)
        self.disk = Disk(_tables() if seed % TABLES_IN == 0 else None)
        self.shadow = Shadow(full_every)
        self.disk.on_durable = self._judge
        self.verdict: Exception | None = None
        self.stop_life: Callable[[], None] = lambda: None
        self.model = Model(self.disk)
        self.workload = Workload(Random(f"{seed}/workload"), self.model)
        self.log = Log(self.note, lambda: self.stop_life())
        self.report = Report(seed)
        self.machine = {
            "snapshot_every": self.random.choice((20, 60, 100_000)),
            "max_batch": self.random.choice((1, 4, 512)),
        }
        self.compared_seq = 0

    def note(self, *what: object) -> None:
        entry = (self.step, round(self.clock.monotonic_s(), 4), *what)
        self.trace.append(entry)
        if self.tell is not None:
            self.tell(line(entry))

    def _judge(self, rows: Sequence[Row]) -> None:
        if self.verdict is None:
            with self.blaming():
                self.shadow.follow(rows)

    @contextlib.contextmanager
    def blaming(self) -> Iterator[None]:
        """What fails in here ends the run: the venue, which may have called it, must not be able to swallow it."""
        try:
            yield
        except Exception as error:
            if self.verdict is None:
                self.verdict = error
                self.note("broken", error)
            self.stop_life()

    def told(self) -> list[str]:
        return [line(entry) for entry in self.trace]

    def run(self) -> Report:
        while self.step < self.steps:
            self._live(final=False)
        self.faults.healed = True
        self._live(final=True)
        self._last_checks()
        return self._reported()

    def _live(self, *, final: bool) -> None:
        self.report.lives += 1
        self.faults.renew()
        life = Life(self, final)
        with installed(self.clock, self.log, **self.machine):
            life.run()
        if not final:
            # Down for a moment, or for longer than a gap.
            self.now_s += self.random.choice((0.01, 0.1, 0.3, 2.0, 4.5, 4.9, 20.0)) * self.random.random()

    # What is checked when a life has ended, and at the end

    def compare(self, sequencer: Sequencer) -> None:
        """The live state is what the journal says, to the byte."""
        self.compared_seq = self.shadow.state.seq
        live = sequencer.state
        if self.shadow.state.seq == 0:
            return
        assert live.seq == self.disk.head.seq, f"the venue is at seq {live.seq}, the journal at {self.disk.head.seq}"
        assert snapshot.dump(live) == self.shadow.bytes(), "the live state is not what the journal's replay gives"
        invariants.check(live)

    def _last_checks(self) -> None:
        model, shadow = self.model, self.shadow
        assert not model.unknown, "a keyed request never came to an end"
        model.check_durable()
        model.check_orders(shadow.orders)
        state, head = new_state(), EMPTY_HEAD
        journaled = []
        for row in self.disk.rows:
            head = verify((row,), head)
            command = codec.decode_command(row.command)
            events = apply(state, command, row.seq, row.ts)
            assert codec.encode_events(events) == row.events, "replay from scratch gives other events"
            journaled.append((row.seq, row.ts, command, events))
        assert snapshot.dump(state) == shadow.bytes(), "replay from scratch gives another state"
        assert snapshot.dump(snapshot.load(shadow.bytes())) == shadow.bytes(), (
            "a snapshot does not survive a round trip"
        )
        if self.disk.tables is not None:
            with closing(rebuild.rebuild(journaled)) as scratch, closing(self.disk.tables) as real:
                difference = rebuild.diff(scratch.execute, real.execute)
            assert difference is None, f"a table is not what the journal says: {difference}"

    def _reported(self) -> Report:
        report, shadow = self.report, self.shadow
        report.steps = self.step
        report.rows = len(self.disk.rows)
        report.virtual_s = self.now_s
        report.trades = shadow.trades
        report.faults = self.faults.counts
        report.kinds = shadow.kinds
        report.outcomes = shadow.outcomes
        report.clients = self.model.counts
        seen = (shadow.head.hash, shadow.bytes(), sorted(self.model.counts.items()), sorted(report.faults.items()))
        report.digest = hashlib.sha256(repr((seen, report.handles)).encode()).hexdigest()
        return report


def _tables() -> sqlite3.Connection:
    """The derived tables, as the migrations leave them, in memory."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    for table in DERIVED:
        database.execute(str(CreateTable(table).compile(dialect=sqlite.dialect())))
    return database
