"""The one writer: puts commands in order, stamps and applies them, commits, and only then answers and publishes.

Whoever arrives while a batch commits is the next batch: group commit without timers. Between apply and commit the state
in memory is ahead of what is durable, so reads go through `settled`, which waits. If a commit fails or its outcome is
unknown, the state is thrown away and rebuilt from the journal. Where other processes write to the same journal, their
rows are applied as they come. This module must not know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

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
    Journal,
    JournalDamaged,
    JournalUnavailable,
    Key,
    Row,
    Snapshot,
    Write,
)
from raeth.journal.chain import head_of, next_row, verify
from raeth.sequencer.following import INTERVAL_S, OTHERS_S, Committed, Following, Projects
from raeth.sequencer.health import Health
from raeth.sequencer.replaying import replay, replayed

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

FOLLOW_ROWS: Final = 500
"""Commands of other nodes that are applied between two breaths of the event loop."""

CLOCKS_MS: Final = 250
"""How far the machine's clock and the database's may be apart."""

RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts to write again after the journal failed; the last one repeats."""


class SettingsDiffer(Exception):
    """The node's rules are not those of the journal's head. `differences` maps a name to (journal's, node's)."""

    def __init__(self, differences: dict[str, tuple[object, object]]) -> None:
        lines = [f"{name}: journal {old!r}, here {new!r}" for name, (old, new) in differences.items()]
        super().__init__("; ".join(lines))
        self.differences = differences


Writes = Sequence[Write] | Callable[[list[Event]], Sequence[Write]]

Needed = Callable[[State, int], bool]
"""Whether a command still has something to do, asked under the lock with the state and the stamp it would have."""


@dataclass(slots=True)
class _Item:
    """One waiting command. `writes` may be a function of the command's events (ids are only known then)."""

    request: Request
    writes: Writes
    done: asyncio.Future[Outcome]
    needed: Needed | None = None
    outcome: Outcome | None = None
    error: RaethError | None = None


class Sequencer:
    """One node's writer. `settings` are this node's rules; `adopt` journals them if they are new. `shared`: other
    processes write to the same journal, and what they write is applied here as it comes."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        settings: Settings,
        projector: Projects,
        *,
        adopt: bool = False,
        shared: bool = False,
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.settings = settings
        self.adopt = adopt
        self.shared = shared
        self.state: State = new_state()
        self.health = Health(journal.backend)
        self.listeners: list[Callable[[list[Committed]], None]] = []
        self._head = EMPTY_HEAD
        self._queue: list[_Item] = []
        self._wake = asyncio.Event()
        self._committing: asyncio.Future[None] | None = None
        self._ticking: asyncio.Future[Outcome] | None = None
        self._following = Following(projector)
        self._behind = False
        self._catching: list[asyncio.Future[None]] = []
        self._running = False
        self._valid = False
        self._closing = False
        self._snapshot_seq = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._guard = JumpGuard()

    # Life

    async def start(self) -> None:
        """Open the journal, verify and replay it, bring the tables up to it, journal the genesis if it is empty, and
        begin to take commands.

        Raises JournalDamaged, JournalUnavailable or SettingsDiffer."""
        await self.journal.open()
        await self._rebuild()
        self._running = True
        self._tasks.append(asyncio.create_task(self._run(), name="sequencer"))
        if self.shared:
            await self.journal.watch(self._heard)
        if self.state.timers:
            # First of all: a Tick would let the timers run out that nobody could renew. Where other nodes are up they
            # could be renewed all the time.
            needed = self._nobody_was_up if self.shared else None
            await self._enqueue(_item(Resurface(), needed=needed))
        current = self.state.settings
        if current is None:
            await self._configure(only_if_none=self.shared)
            current = self.state.settings
        if current is not None and current != self.settings:
            # Another kind of reference has another clock: only to be stamped, its refusal would end every window.
            if not self.adopt or current.reference_kind != self.settings.reference_kind:
                raise SettingsDiffer(differences(current, self.settings))
            await self._configure()
        elif self.state.engine_version != ENGINE_VERSION:
            await self._configure()  # from here on a predecessor must keep away
        await self.tabled()
        self._tasks.append(asyncio.create_task(self._keep_time(), name="pacemaker"))

    async def _configure(self, *, only_if_none: bool = False) -> None:
        """Put this node's rules in force. `only_if_none`: another node of a new venue may have done it meanwhile."""
        needed: Needed | None = (lambda state, ts: state.settings is None) if only_if_none else None
        outcome = await self._enqueue(_item(Configure(ENGINE_VERSION, self.settings), needed=needed))
        if outcome.refused() is not None:
            assert self.state.settings is not None
            raise SettingsDiffer(differences(self.state.settings, self.settings))

    async def stop(self) -> None:
        """Commit what was accepted, bring the tables up to it, take a snapshot, and let go of the journal. Nothing is
        accepted any more."""
        self._closing = True
        self._wake.set()
        for task in self._tasks:
            if task.get_name() == "sequencer":
                await asyncio.wait({task}, timeout=STOP_S)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._running = False
        self._following.stop()
        self._release_all(RaethError(Code.SERVICE_DEGRADED))
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
    def tables_seq(self) -> int:
        """The last command that the derived tables are known to hold."""
        return self._following.mark

    @property
    def closing(self) -> bool:
        """Told to stop: nothing is taken any more."""
        return self._closing

    def now_ms(self) -> int:
        """Venue time by this node's clock, corrected by what the database's clock is ahead of it."""
        return self.clock.now_ms() + self.health.clock_ahead_ms

    def settled_now(self) -> State | None:
        """The state if all of it is durable and nothing is due, else None: the way in for reads that may not wait."""
        if self._committing is None and self._valid and self.now_ms() < self.state.next_due:
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
            if self.now_ms() < self.state.next_due or self.health.mode != "ok" or self._closing:
                return self.state
            await self._tick()

    async def _tick(self) -> None:
        """Journal one Tick for all readers that find something due at the same time."""
        if self._ticking is None or self._ticking.done():
            self._ticking = self._enqueue(_item(Tick(), needed=self._due if self.shared else None))
        with contextlib.suppress(RaethError):
            await asyncio.shield(self._ticking)

    async def tabled(self) -> None:
        """Return once the derived tables hold all that was durable when this was called.

        While the journal cannot be written they cannot be brought forward: then at once, and they may lack the last
        moment before the failure, at most `INTERVAL_S` of it."""
        seq = self._head.seq
        while self._following.mark < seq and self._running and self.health.mode in ("ok", "backpressured"):
            await self._following.asked_for(self._wake)

    async def catch_up(self) -> None:
        """Return once this node knows everything that was durable when this was called: before it is said that
        something does not exist. At once where no other process writes. Raises SERVICE_DEGRADED."""
        if not self.shared:
            return
        if not self._running or self.health.mode in ("retrying", "stopped"):
            raise RaethError(Code.SERVICE_DEGRADED)
        caught: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._catching.append(caught)
        self._heard()
        await caught

    async def submit(self, command: Command, keys: Sequence[IdemKey] = (), writes: Writes = ()) -> Outcome:
        """Put a command in order; returns once it is durable.

        Raises RaethError: SERVICE_DEGRADED if it was not or may not have been written, IDEMPOTENCY_CONFLICT for a known
        key with another body. Cancelling the caller does not take the command back."""
        return await self.enqueue(command, keys, writes)

    async def write(self, writes: Sequence[Write]) -> None:
        """Rows of the private tables, without a command, in the next transaction. It knows all that was durable before
        it."""
        await self.enqueue(None, (), writes)

    def enqueue(
        self, command: Command | None, keys: Sequence[IdemKey] = (), writes: Writes = ()
    ) -> asyncio.Future[Outcome]:
        """`submit` for callers that do not wait: the command has its place in the order when this returns."""
        return self._enqueue(_Item(Request(command, keys), writes, asyncio.get_running_loop().create_future()))

    def _enqueue(self, item: _Item) -> asyncio.Future[Outcome]:
        if self._closing or self.health.mode in ("retrying", "stopped"):
            raise RaethError(Code.SERVICE_DEGRADED)
        if len(self._queue) >= MAX_QUEUE:
            self.health.mode = "backpressured"
            raise RaethError(Code.SERVICE_DEGRADED)
        self._queue.append(item)
        self._wake.set()
        return item.done

    def halt(self, why: str) -> None:
        """Stop taking commands for good: the journal turned out to be damaged."""
        log.error("venue stopped", why=why)
        self.health.mode = "stopped"
        self.health.last_error = why

    # The writer

    async def _run(self) -> None:
        last_words = False
        while True:
            if not self._queue and not self._following.asked and not self._behind:
                if not self._closing:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                if last_words or not self._valid or self._following.mark >= self._head.seq:
                    return
                last_words = self._following.asked = True  # the tables go up to the end
            if self.health.mode == "stopped":
                self._behind = self._following.asked = False
                self._release_all(RaethError(Code.SERVICE_DEGRADED))
                self._following.forget()
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            self.health.queue_depth = len(self._queue)
            if self.health.mode == "backpressured" and len(self._queue) < MAX_QUEUE // 2:
                self.health.mode = "ok"
            if self.health.mode == "stopped":
                _fail(batch)  # they were waiting when the damage was found
                self._following.tell()
                continue
            try:
                if batch or self._following.asked:
                    await self._commit_batch(batch)
                else:
                    await self._follow_others()
            except JournalDamaged as damage:
                self._valid = False
                self.halt(str(damage))
                _fail(batch)
            except Exception as trouble:
                await self._recover(batch, trouble)
            except asyncio.CancelledError:
                _fail(batch)  # stopped while it was being written: nobody will say what became of it
                raise
            self._following.tell()
            if self._snapshot_due(SNAPSHOT_EVERY):
                await self._save_snapshot()

    async def _commit_batch(self, batch: list[_Item]) -> None:
        """One transaction: lock, catch up, stamp, apply, insert, commit; then answer and publish.

        The one that is due brings the tables forward too: by what they lack, and by this batch."""
        wanted = [(key.owner, key.key) for item in batch for key in item.request.keys]
        started = time.perf_counter()
        following = self._following
        carries = following.due(asyncio.get_running_loop().time())
        mark: int | None = None
        try:
            begun = await self._begin(wanted)
            ts = self._stamp(begun)
            missing: list[Committed] = []
            if carries:
                following.asked = False
                missing = await following.missing(begun.projected, begun.head.seq, self.journal)
                mark = missing[-1].seq if missing else begun.projected
            rows, keys, writes, facts = self._apply_batch(batch, begun, ts)
            if carries and mark == begun.head.seq:
                missing += facts
            if missing:
                mark = missing[-1].seq
                writes = [*following.project(missing), *writes]
            if rows or writes:
                written = time.perf_counter()
                await self.journal.commit(rows, keys, writes, mark)
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
        self.health.commits += bool(batch)
        self.health.commands += len(rows)
        self.health.commit_seconds += time.perf_counter() - started
        following.hold(facts)
        self._note_tables(mark, len(missing))
        await self._answer(batch)
        if facts:
            self._publish(facts)

    def _note_tables(self, mark: int | None, projected: int) -> None:
        """After a commit: how far the tables are now, and when they are to be looked after next."""
        following = self._following
        if mark is not None:
            following.reached(mark)
            self.health.projections += bool(projected)
            self.health.projected += projected
            following.asked = following.asked or mark < self._head.seq
        elif following.behind:
            following.remind(INTERVAL_S, self._wake)

    def _publish(self, facts: list[Committed]) -> None:
        """Tell the listeners. One that fails has only itself to blame: what it was told is durable."""
        for listener in self.listeners:
            try:
                listener(facts)
            except Exception:
                log.exception("a listener failed", seq=facts[-1].seq)

    def _apply_batch(
        self, batch: list[_Item], begun: Begun, ts: int
    ) -> tuple[list[Row], list[Key], list[Write], list[Committed]]:
        """What the batch does: rows, keys, rows of the private tables, and facts. Memory is ahead from here on."""
        if batch:
            self._committing = asyncio.get_running_loop().create_future()
        rows: list[Row] = []
        keys: list[Key] = []
        private: list[Write] = []
        facts: list[Committed] = []
        known = dict(begun.hits)
        head = self._head
        for item in batch:
            request = item.request
            command = request.command
            if item.needed is not None and not item.needed(self.state, ts):
                item.outcome = Outcome(head.seq, ts, [])
                continue
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
            item.outcome = Outcome(seq, ts, events)
            if request.keys:
                keys.extend(request.book(item.outcome, known))
            if item.writes and item.outcome.refused() is None:
                private.extend(item.writes(events) if callable(item.writes) else item.writes)
            facts.append(Committed(seq, ts, command, events))
        return rows, keys, private, facts

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
            if error is None and not item.request.replays:
                assert item.outcome is not None
                answer = item.request.first_answer(item.outcome)
            elif error is None:
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

    # Other nodes

    def _heard(self) -> None:
        """Another process may have written."""
        self._behind = True
        self._wake.set()

    async def _begin(self, wanted: Sequence[tuple[int, str]]) -> Begun:
        """Take the lock with this node caught up. Rows of other nodes are applied first, most outside the lock."""
        self._behind = False
        while True:
            before = self.clock.now_ms()
            begun = await self.journal.begin(self.state.seq, wanted)
            if begun.now_ms is not None:
                self._compare_clocks(before, begun.now_ms, self.clock.now_ms())
            self._follow(begun.behind)
            if self.state.seq == begun.head.seq:
                self._release_all()
                return begun
            await self.journal.rollback()
            self._follow(await self.journal.read(self.state.seq))

    def _compare_clocks(self, before_ms: int, database_ms: int, after_ms: int) -> None:
        """The database's clock was read between the two. A machine whose own is elsewhere judges prices by a wrong age.

        Raises JournalUnavailable, which makes the node not ready until they agree."""
        if not before_ms - CLOCKS_MS <= database_ms <= after_ms + CLOCKS_MS:
            off_ms = database_ms - (before_ms + after_ms) // 2
            raise JournalUnavailable(f"the database's clock is {off_ms} ms ahead of the machine's")
        if after_ms - before_ms < CLOCKS_MS // 10:
            self.health.clock_ahead_ms = database_ms - (before_ms + after_ms) // 2

    async def _follow_others(self) -> None:
        """Apply what other nodes have committed, without a lock."""
        self._behind = False
        waiting, self._catching = self._catching, []  # who comes later may mean rows that were read too early
        error: RaethError | None = RaethError(Code.SERVICE_DEGRADED)
        try:
            while rows := await self.journal.read(self.state.seq, FOLLOW_ROWS):
                self._follow(rows)
            error = None
        except JournalUnavailable as trouble:
            log.warning("other nodes' commands cannot be read", error=str(trouble))
        finally:
            _release(waiting, error)

    def _follow(self, rows: Sequence[Row]) -> None:
        """Apply rows that are already durable, because another node wrote them."""
        if not rows:
            return
        head = verify(rows, self._head)
        facts = [replay(self.state, row) for row in rows]
        self._head = head
        self.health.followed += len(facts)
        if self.state.seq - self._snapshot_seq >= SNAPSHOT_EVERY:
            self._snapshot_seq = self.state.seq  # theirs to save: it was their command
        self._following.hold(facts)
        self._following.remind(OTHERS_S, self._wake)
        self._publish(facts)

    def _release_all(self, error: RaethError | None = None) -> None:
        waiting, self._catching = self._catching, []
        _release(waiting, error)

    def _due(self, state: State, ts: int) -> bool:
        """Whether a Tick would do anything: another node's may have come first."""
        return ts >= state.next_due or ts - state.ts >= self._quiet_ms // 2

    def _nobody_was_up(self, state: State, ts: int) -> bool:
        return ts - state.ts > 2 * self._quiet_ms

    @property
    def _quiet_ms(self) -> int:
        return int(QUIET_MS * max(1.0, self.clock.speed))

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
        self._following.tell()
        self._release_all(RaethError(Code.SERVICE_DEGRADED))
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
        probe = _item(Resurface() if self.state.timers else Tick())
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
        self._following.forget()
        await self.journal.begin(self._head.seq)
        await self.journal.rollback()
        self.state, self._head, self._snapshot_seq = await replayed(self.journal)
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
        while True:
            due = min(self.state.next_due, self.state.ts + self._quiet_ms)
            await self.clock.sleep_until(due - self.health.clock_ahead_ms)
            if self._valid and self.now_ms() >= min(self.state.next_due, self.state.ts + self._quiet_ms):
                try:
                    await self._enqueue(_item(Tick(), needed=self._due if self.shared else None))
                except RaethError:
                    await asyncio.sleep(RETRY_S[0])
            else:
                # Without a state there is nothing to move, and what fell due must not keep the loop spinning.
                await asyncio.sleep(0 if self._valid else RETRY_S[0])


def differences(old: Settings, new: Settings) -> dict[str, tuple[object, object]]:
    """What two sets of rules do not share, by name."""
    names = Settings.__struct_fields__
    return {n: (getattr(old, n), getattr(new, n)) for n in names if getattr(old, n) != getattr(new, n)}


def _item(command: Command, needed: Needed | None = None) -> _Item:
    return _Item(Request(command, ()), (), asyncio.get_running_loop().create_future(), needed)


def _release(waiting: list[asyncio.Future[None]], error: RaethError | None) -> None:
    for caught in waiting:
        if caught.done():
            continue
        if error is None:
            caught.set_result(None)
        else:
            caught.set_exception(error)


def _fail(batch: list[_Item]) -> None:
    for item in batch:
        if not item.done.done():
            item.done.set_exception(RaethError(Code.SERVICE_DEGRADED))
