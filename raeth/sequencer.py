"""The one writer: puts commands in order, stamps and applies them, commits, and only then answers and publishes.

Whoever arrives while a batch commits is the next batch: group commit without timers. Between apply and commit the state
in memory is ahead of what is durable, so reads go through `settled`, which waits. If a commit fails or its outcome is
unknown, the state is thrown away and rebuilt from the journal. This module must not know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from raeth.clock import Clock, JumpGuard, RealClock
from raeth.engine import codec, snapshot
from raeth.engine.commands import Command, Configure, Resurface, Tick
from raeth.engine.events import Event
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import State
from raeth.engine.types import ENGINE_VERSION, Settings
from raeth.errors import Code, RaethError
from raeth.idempotency import IdemKey, Outcome, Request
from raeth.journal.base import (
    EMPTY_HEAD,
    Begun,
    Head,
    Journal,
    JournalDamaged,
    JournalUnavailable,
    Key,
    Row,
    Snapshot,
    Write,
)
from raeth.journal.chain import head_of, next_row, verify

log = structlog.get_logger("raeth.sequencer")

MAX_BATCH: Final = 512
"""Commands in one transaction: bounds how long a read can wait for a commit."""

MAX_QUEUE: Final = 10_000
"""Commands waiting; beyond it the venue says 503 rather than let latency grow without bound."""

SNAPSHOT_EVERY: Final = 50_000
"""Commands between snapshots: bounds what a restart has to replay."""

QUIET_MS: Final = 1_000
"""A quiet venue still moves at least this often, in venue milliseconds at speed 1."""

STOP_S: Final = 3.0
"""What was accepted may take this long to be written after the order to stop."""

WRITE_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds by which the journal's writes are counted."""

RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts to write again after the journal failed; the last one repeats."""


class SettingsDiffer(Exception):
    """The node's rules are not those of the journal's head. `differences` maps a name to (journal's, node's)."""

    def __init__(self, differences: dict[str, tuple[object, object]]) -> None:
        lines = [f"{name}: journal {old!r}, here {new!r}" for name, (old, new) in differences.items()]
        super().__init__("; ".join(lines))
        self.differences = differences


@dataclass(slots=True)
class Committed:
    """One durable command, as listeners see it."""

    seq: int
    ts: int
    command: Command
    events: list[Event]


@dataclass(slots=True)
class Health:
    """`mode`: ok, retrying (the journal failed and is being tried again), backpressured or stopped."""

    backend: str
    mode: str = "ok"
    queue_depth: int = 0
    last_error: str | None = None
    commits: int = 0
    commands: int = 0
    commit_seconds: float = 0.0
    writes: list[int] = field(default_factory=lambda: [0] * (len(WRITE_BUCKETS_S) + 1))
    """How many inserts with their fsync took how long, by `WRITE_BUCKETS_S`."""
    write_seconds: float = 0.0

    def note_write(self, seconds: float) -> None:
        """Count one insert and fsync. Once a batch."""
        self.writes[bisect_left(WRITE_BUCKETS_S, seconds)] += 1
        self.write_seconds += seconds


class Projects(Protocol):
    """What turns a batch into rows of the tables; see `raeth.store.projector`."""

    def add(self, seq: int, ts: int, command: Command, events: Sequence[Event]) -> None: ...

    def take(self) -> list[Write]: ...


Writes = Sequence[Write] | Callable[[list[Event]], Sequence[Write]]


@dataclass(slots=True)
class _Item:
    """One waiting command. `writes` may be a function of the command's events (ids are only known then)."""

    request: Request
    writes: Writes
    done: asyncio.Future[Outcome]
    outcome: Outcome | None = None
    error: RaethError | None = None


class Sequencer:
    """One venue's order of events. `settings` are this node's rules; `adopt` journals them if they are new."""

    def __init__(
        self, journal: Journal, clock: Clock, settings: Settings, projector: Projects, *, adopt: bool = False
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.settings = settings
        self.projector = projector
        self.adopt = adopt
        self.state: State = new_state()
        self.health = Health(journal.backend)
        self.listeners: list[Callable[[list[Committed]], None]] = []
        self._head = EMPTY_HEAD
        self._queue: list[_Item] = []
        self._wake = asyncio.Event()
        self._committing: asyncio.Future[None] | None = None
        self._ticking: asyncio.Future[Outcome] | None = None
        self._valid = False
        self._closing = False
        self._snapshot_seq = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._guard = JumpGuard()

    # Life

    async def start(self) -> None:
        """Open the journal, verify and replay it, journal the genesis if it is empty, and begin to take commands.

        Raises JournalDamaged, JournalUnavailable or SettingsDiffer."""
        await self.journal.open()
        await self._rebuild()
        self._tasks.append(asyncio.create_task(self._run(), name="sequencer"))
        if self.state.timers:
            await self.submit(Resurface())  # first of all: a Tick would let the timers run out that nobody could renew
        current = self.state.settings
        if current is None:
            await self._configure()
        elif current != self.settings:
            # Another kind of reference has another clock: only to be stamped, its refusal would end every window.
            if not self.adopt or current.reference_kind != self.settings.reference_kind:
                raise SettingsDiffer(differences(current, self.settings))
            await self._configure()
        elif self.state.engine_version != ENGINE_VERSION:
            await self._configure()  # from here on a predecessor must keep away
        self._tasks.append(asyncio.create_task(self._keep_time(), name="pacemaker"))

    async def _configure(self) -> None:
        outcome = await self.submit(Configure(ENGINE_VERSION, self.settings))
        if outcome.refused() is not None:
            assert self.state.settings is not None
            raise SettingsDiffer(differences(self.state.settings, self.settings))

    async def stop(self) -> None:
        """Commit what was accepted, take a snapshot, and let go of the journal. Nothing is accepted any more."""
        self._closing = True
        self._wake.set()
        for task in self._tasks:
            if task.get_name() == "sequencer":
                await asyncio.wait({task}, timeout=STOP_S)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        waiting, self._queue = self._queue, []
        _fail(waiting)
        if self._snapshot_due(1):
            await self._save_snapshot()
        await self.journal.close()

    # What callers use

    @property
    def durable_seq(self) -> int:
        """The last command known to be durable; while a batch is committed `state.seq` is ahead of it."""
        return self._head.seq

    @property
    def closing(self) -> bool:
        """Told to stop: nothing is taken any more."""
        return self._closing

    def settled_now(self) -> State | None:
        """The state if all of it is durable and nothing is due, else None: the way in for reads that may not wait."""
        if self._committing is None and self._valid and self.clock.now_ms() < self.state.next_due:
            return self.state
        return None

    async def settled(self) -> State:
        """The durable state, brought to the present. Read it before the next await.

        While the journal cannot be written, or the venue stops, this is the last durable state, and while it is being
        rebuilt a 503."""
        while True:
            if self._committing is not None:
                await asyncio.shield(self._committing)
                continue
            if not self._valid:
                raise RaethError(Code.SERVICE_DEGRADED)
            if self.clock.now_ms() < self.state.next_due or self.health.mode != "ok" or self._closing:
                return self.state
            await self._catch_up()

    async def _catch_up(self) -> None:
        """Journal one Tick for all readers that find something due at the same time."""
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.ensure_future(self.submit(Tick()))
        with contextlib.suppress(RaethError):
            await asyncio.shield(self._ticking)

    async def submit(self, command: Command, keys: Sequence[IdemKey] = (), writes: Writes = ()) -> Outcome:
        """Put a command in order; returns once it is durable.

        Raises RaethError: SERVICE_DEGRADED if it was not or may not have been written, IDEMPOTENCY_CONFLICT for a known
        key with another body. Cancelling the caller does not take the command back."""
        return await self.enqueue(command, keys, writes)

    async def write(self, writes: Sequence[Write]) -> None:
        """Rows of the private tables, without a command, in the next transaction."""
        await self.enqueue(None, (), writes)

    def enqueue(
        self, command: Command | None, keys: Sequence[IdemKey] = (), writes: Writes = ()
    ) -> asyncio.Future[Outcome]:
        """`submit` for callers that do not wait: the command has its place in the order when this returns."""
        if self._closing or self.health.mode in ("retrying", "stopped"):
            raise RaethError(Code.SERVICE_DEGRADED)
        if len(self._queue) >= MAX_QUEUE:
            self.health.mode = "backpressured"
            raise RaethError(Code.SERVICE_DEGRADED)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append(_Item(Request(command, keys), writes, done))
        self._wake.set()
        return done

    def halt(self, why: str) -> None:
        """Stop taking commands for good: the journal turned out to be damaged."""
        log.error("venue stopped", why=why)
        self.health.mode = "stopped"
        self.health.last_error = why

    # The writer

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            self.health.queue_depth = len(self._queue)
            if self.health.mode == "backpressured" and len(self._queue) < MAX_QUEUE // 2:
                self.health.mode = "ok"
            if self.health.mode == "stopped":
                _fail(batch)  # they were waiting when the damage was found
                continue
            try:
                await self._commit_batch(batch)
            except JournalDamaged as damage:
                self._valid = False
                self.halt(str(damage))
                _fail(batch)
            except Exception as trouble:
                await self._recover(batch, trouble)
            except asyncio.CancelledError:
                _fail(batch)  # stopped while it was being written: nobody will say what became of it
                raise
            if self._snapshot_due(SNAPSHOT_EVERY):
                await self._save_snapshot()

    async def _commit_batch(self, batch: list[_Item]) -> None:
        """One transaction: lock, catch up, stamp, apply, insert, commit; then answer and publish."""
        wanted = [(key.owner, key.key) for item in batch for key in item.request.keys]
        started = time.perf_counter()
        try:
            begun = await self._begin(wanted)
            ts = self._stamp(begun)
            self._committing = asyncio.get_running_loop().create_future()
            rows, keys, writes, facts = self._apply_batch(batch, begun, ts)
            if rows or writes:
                written = time.perf_counter()
                await self.journal.commit(rows, keys, writes)
                self.health.note_write(time.perf_counter() - written)
            else:
                await self.journal.rollback()
            if rows:
                self._head = head_of(rows[-1])
        except BaseException:
            # From the first apply on memory may be ahead of the journal: nobody may read it until it has been rebuilt.
            self._valid = self._valid and self._committing is None
            with contextlib.suppress(JournalUnavailable):
                await self.journal.rollback()
            raise
        finally:
            committing, self._committing = self._committing, None
            if committing is not None:
                committing.set_result(None)
        self.health.commits += 1
        self.health.commands += len(rows)
        self.health.commit_seconds += time.perf_counter() - started
        await self._answer(batch)
        if facts:
            self._publish(facts)

    def _publish(self, facts: list[Committed]) -> None:
        """Tell the listeners. One that fails has only itself to blame: what it was told is durable."""
        for listener in self.listeners:
            try:
                listener(facts)
            except Exception:
                log.exception("a listener failed", seq=facts[-1].seq)

    async def _begin(self, wanted: Sequence[tuple[int, str]]) -> Begun:
        """Take the lock with this node caught up. Rows of other nodes are applied first, most outside the lock."""
        while True:
            begun = await self.journal.begin(self.state.seq, wanted)
            self._follow(begun.behind)
            if self.state.seq == begun.head.seq:
                return begun
            await self.journal.rollback()
            self._follow(await self.journal.read(self.state.seq))

    def _follow(self, rows: Sequence[Row]) -> None:
        """Apply rows that are already durable, because another node wrote them."""
        if not rows:
            return
        self._head = verify(rows, self._head)
        self._publish([_replay(self.state, row) for row in rows])

    def _apply_batch(
        self, batch: list[_Item], begun: Begun, ts: int
    ) -> tuple[list[Row], list[Key], list[Write], list[Committed]]:
        rows: list[Row] = []
        keys: list[Key] = []
        private: list[Write] = []
        facts: list[Committed] = []
        known = dict(begun.hits)
        head = self._head
        for item in batch:
            request = item.request
            command = request.command
            if request.keys:
                try:
                    command = request.without_replays(known)
                except RaethError as conflict:
                    item.error = conflict
                    continue
            if command is None:
                if request.command is None and not callable(item.writes):
                    private.extend(item.writes)
                    item.outcome = Outcome(head.seq, ts, [])
                continue
            seq = head.seq + 1
            events = apply(self.state, command, seq, ts)
            row = next_row(head, ts, codec.encode_command(command), codec.encode_events(events))
            rows.append(row)
            head = head_of(row)
            self.projector.add(seq, ts, command, events)
            item.outcome = Outcome(seq, ts, events)
            if request.keys:
                keys.extend(request.book(item.outcome, known))
            if item.writes and item.outcome.refused() is None:
                private.extend(item.writes(events) if callable(item.writes) else item.writes)
            facts.append(Committed(seq, ts, command, events))
        return rows, keys, [*self.projector.take(), *private], facts

    def _stamp(self, begun: Begun) -> int:
        """Venue time for this batch: read under the lock, never backwards, and not believed when the clock jumped."""
        now = self.clock.now_ms() if begun.now_ms is None else begun.now_ms
        if isinstance(self.clock, RealClock) and self._guard.jumped(now):
            raise JournalUnavailable("the machine's clock jumped forward")
        return max(now, self.state.ts)

    async def _answer(self, batch: list[_Item]) -> None:
        """Give every caller its outcome; replayed orders are read back from the journal they are durable in."""
        for item in batch:
            if item.done.done():
                continue
            answer, error = None, item.error
            if error is None:
                try:
                    answer = await item.request.answer(item.outcome, self.journal)
                except (JournalUnavailable, JournalDamaged):
                    error = RaethError(Code.SERVICE_DEGRADED)
            if item.done.done():
                continue  # the caller hung up while its first answer was read back
            if answer is not None:
                item.done.set_result(answer)
            else:
                assert error is not None
                item.done.set_exception(error)

    # Trouble

    async def _recover(self, batch: list[_Item], trouble: Exception) -> None:
        """The journal did not take a batch, or we have a bug; nothing of it was answered. Rebuild, then try again."""
        unexpected = not isinstance(trouble, JournalUnavailable)
        log.error("batch not written", error=str(trouble), kind=type(trouble).__name__, exc_info=unexpected)
        _fail(batch)
        waiting, self._queue = self._queue, []
        _fail(waiting)
        if self.health.mode == "stopped":
            return  # damage was found: that is for good
        self.health.mode = "retrying"
        self._still_retrying(trouble)
        attempt = 0
        while not self._closing and self.health.mode == "retrying":  # the scrubber may stop the venue meanwhile
            try:
                # First the state, then the pause: meanwhile reads go on from what is durable.
                if not self._valid:
                    await self._rebuild()
            except JournalDamaged as damage:
                self.halt(str(damage))
                return
            except Exception as again:  # every kind of failure has one answer here: wait, and try once more
                self._still_retrying(again)
            if attempt:
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S)) - 1])
            attempt += 1
            if self._valid and self.health.mode == "retrying" and await self._writes_again():
                return

    def _still_retrying(self, trouble: Exception) -> None:
        if self.health.mode == "retrying":  # else it was stopped, and why matters more
            self.health.last_error = f"{type(trouble).__name__}: {trouble}"

    async def _writes_again(self) -> bool:
        """Try to write one command that does nothing else; True when it is over, one way or the other."""
        probe = _Item(
            Request(Resurface() if self.state.timers else Tick(), ()), (), asyncio.get_running_loop().create_future()
        )
        try:
            await self._commit_batch([probe])
        except JournalDamaged as damage:
            self._valid = False
            self.halt(str(damage))
            return True
        except Exception as again:
            self._still_retrying(again)
            return False
        if self.health.mode == "retrying":
            self.health.mode = "ok"
            self.health.last_error = None
            log.info("journal is written again", seq=self.state.seq)
        return True

    async def _rebuild(self) -> None:
        """Make the state anew from snapshot and journal, once the head lock shows that nothing more can land.

        Out of sight until it is whole: halfway through history, keys are good that were revoked later.
        """
        self._valid = False
        self.projector.take()
        await self.journal.begin(self._head.seq)
        await self.journal.rollback()
        state, head = new_state(), EMPTY_HEAD
        saved = await self.journal.latest_snapshot()
        if saved is not None and saved.engine_version == ENGINE_VERSION:
            state = snapshot.load(saved.blob)
            head = Head(saved.seq, state.ts, saved.hash)
        snapshot_seq = head.seq
        while rows := await self.journal.read(state.seq):
            head = verify(rows, head)
            for row in rows:
                _replay(state, row)
            await asyncio.sleep(0)
        self.state, self._head, self._snapshot_seq = state, head, snapshot_seq
        self._valid = True

    def _snapshot_due(self, every: int) -> bool:
        """Whether `every` commands came since the last one. None after damage: it would vouch for the damaged rows."""
        return self._valid and self.health.mode != "stopped" and self.state.seq - self._snapshot_seq >= every

    async def _save_snapshot(self) -> None:
        state = self.state
        try:
            blob = snapshot.dump(state)
            await self.journal.save_snapshot(Snapshot(state.seq, self._head.hash, ENGINE_VERSION, blob))
            self._snapshot_seq = state.seq
        except JournalUnavailable as trouble:
            # A snapshot only makes a restart quicker; the next one will do.
            self._snapshot_seq = state.seq
            log.warning("snapshot not saved", error=str(trouble))

    async def _keep_time(self) -> None:
        """Move the venue when nobody asks it to: whenever something falls due, and at least once a second."""
        quiet_ms = int(QUIET_MS * max(1.0, self.clock.speed))
        while True:
            due = min(self.state.next_due, self.state.ts + quiet_ms)
            await self.clock.sleep_until(due)
            if self._valid and self.clock.now_ms() >= min(self.state.next_due, self.state.ts + quiet_ms):
                try:
                    await self.submit(Tick())
                except RaethError:
                    await asyncio.sleep(RETRY_S[0])
            else:
                # Without a state there is nothing to move, and what fell due must not keep the loop spinning.
                await asyncio.sleep(0 if self._valid else RETRY_S[0])


def differences(old: Settings, new: Settings) -> dict[str, tuple[object, object]]:
    """What two sets of rules do not share, by name."""
    names = Settings.__struct_fields__
    return {n: (getattr(old, n), getattr(new, n)) for n in names if getattr(old, n) != getattr(new, n)}


def _replay(state: State, row: Row) -> Committed:
    """Apply a durable row. Raises JournalDamaged if it does not give the events that are stored with it."""
    try:
        command = codec.decode_command(row.command)
        events = apply(state, command, row.seq, row.ts)
    except Exception as error:
        raise JournalDamaged(row.seq, f"its command cannot be applied: {type(error).__name__}: {error}") from error
    if codec.encode_events(events) != row.events:
        raise JournalDamaged(row.seq, "this engine gives other events than the journal holds")
    return Committed(row.seq, row.ts, command, events)


def _fail(batch: list[_Item]) -> None:
    for item in batch:
        if not item.done.done():
            item.done.set_exception(RaethError(Code.SERVICE_DEGRADED))
