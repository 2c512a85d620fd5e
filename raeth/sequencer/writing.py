"""The writer's loop: one transaction a batch, following what other nodes commit, and recovery when the journal fails.

A batch: take the head lock, catch up with other nodes, stamp, apply, insert, commit; only then answer and publish. From
the first apply to the commit the state in memory is ahead of what is durable; if the commit fails or its outcome is
unknown, the state is thrown away and rebuilt from the journal. Must not know who calls: see `core`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from raeth.clock import Clock, JumpGuard, RealClock
from raeth.engine import codec, snapshot
from raeth.engine.commands import Command, Resurface, Tick
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import State
from raeth.engine.types import ENGINE_VERSION
from raeth.errors import Code, RaethError
from raeth.idempotency import Outcome
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
from raeth.sequencer.following import INTERVAL_S, OTHERS_S, Committed, Following, Projects
from raeth.sequencer.health import Health
from raeth.sequencer.replaying import replay, replayed
from raeth.sequencer.waiting import Item, Needed, answer, fail, item_of, join, release, unless

log = structlog.get_logger("raeth.sequencer")

MAX_BATCH: Final = 512
"""Commands in one transaction: bounds how long a read can wait for a commit."""

MAX_QUEUE: Final = 10_000
"""Commands waiting; beyond it the venue says 503 rather than let latency grow without bound."""

SNAPSHOT_EVERY: Final = 50_000
"""Commands between snapshots: bounds what a restart has to replay."""

QUIET_MS: Final = 1_000
"""A quiet venue still moves at least this often, in venue milliseconds at speed 1."""

FOLLOW_ROWS: Final = 500
"""Commands of other nodes that are applied between two breaths of the event loop."""

CLOCKS_MS: Final = 250
"""How far the machine's clock and the database's may be apart."""

EARLY_MS: Final = 5
"""A command may be stamped with a time so long before it came: the database's, read when the lock was given."""

RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts to write again after the journal failed; the last one repeats."""


class Writer:
    """What applies and commits. `shared`: other processes write to the same journal, and what they write is applied
    here as it comes."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        projector: Projects,
        *,
        shared: bool = False,
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.shared = shared
        self.state: State = new_state()
        self.health = Health(journal.backend)
        self.listeners: list[Callable[[list[Committed]], None]] = []
        self._head = EMPTY_HEAD
        self._queue: list[Item] = []
        self._wake = asyncio.Event()
        self._committing: asyncio.Future[None] | None = None
        self._following = Following(projector)
        self._behind = False
        self._news = asyncio.Event()
        self._catching: list[asyncio.Future[None]] = []
        self._running = False
        self._valid = False
        self._sure = False
        """Nobody else writes, and where the journal ends and its tables are has been seen under the lock."""
        self._closing = False
        self._snapshot_seq = 0
        self._damage: JournalDamaged | None = None
        self._guard = JumpGuard()

    def now_ms(self) -> int:
        """Venue time by this node's clock, corrected by what the database's clock is ahead of it."""
        return self.clock.now_ms() + self.health.clock_ahead_ms

    def _enqueue(self, item: Item) -> None:
        if self._closing or self.health.mode in ("retrying", "stopped"):
            raise RaethError(Code.SERVICE_DEGRADED)
        if len(self._queue) >= MAX_QUEUE:
            self.health.mode = "backpressured"
            raise RaethError(Code.SERVICE_DEGRADED)
        queue = self._queue
        if not queue:
            self._wake.set()
        queue.append(item)

    def _submit(self, command: Command, needed: Needed | None = None) -> asyncio.Future[Outcome]:
        """The venue's own commands."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._enqueue(Item(done, command, needed=needed))
        return done

    def halt(self, why: str) -> None:
        """Stop taking commands for good: the journal turned out to be damaged."""
        log.error("venue stopped", why=why)
        self.health.mode = "stopped"
        self.health.last_error = why

    # The loop

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
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            self.health.queue_depth = len(self._queue)
            if self.health.mode == "backpressured" and len(self._queue) < MAX_QUEUE // 2:
                self.health.mode = "ok"
            if self.health.mode == "stopped":
                fail(batch)  # they were waiting when the damage was found
                self._behind = self._following.asked = False
                self._release_all(RaethError(Code.SERVICE_DEGRADED))
                self._following.forget()
                self._following.tell()
                continue
            try:
                if batch or self._following.asked:
                    await self._commit_batch(batch)
                else:
                    await self._follow_others()
            except JournalDamaged as damage:
                self._valid = False
                self._damage = damage
                self.halt(str(damage))
                fail(batch)
            except Exception as trouble:
                await self._recover(batch, trouble)
            except asyncio.CancelledError:
                fail(batch)  # stopped while it was being written: nobody will say what became of it
                raise
            self._following.tell()
            if self._snapshot_due(SNAPSHOT_EVERY):
                await self._save_snapshot()

    async def _commit_batch(self, batch: list[Item]) -> None:
        """One transaction: lock, catch up, stamp, apply, insert, commit; then answer and publish.

        The one that is due brings the tables forward too: by what they lack, and by this batch. Whoever is sure of what
        the lock would show, and has no key to look up, locks with the commit: half the way to the journal's thread."""
        wanted = [(key.owner, key.key) for item in batch if item.keys for key in item.keys]
        started = time.perf_counter()
        following = self._following
        mark: int | None = None
        try:
            sure = self._sure and not wanted
            begun = Begun(self._head, [], {}, None, following.mark) if sure else await self._begin(wanted)
            self._join(batch, begun.now_ms)
            carries = self.journal.tight or following.due(asyncio.get_running_loop().time())
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
                if sure:
                    await self.journal.append(begun.head.seq, rows, keys, writes, mark)
                else:
                    await self.journal.commit(rows, keys, writes, mark)
                self.health.note_write(time.perf_counter() - written)
            elif not sure:
                await self.journal.rollback()
            if rows:
                self._head = head_of(rows[-1])
        except BaseException:
            # From the first apply on memory may be ahead of the journal: nobody may read it until it has been rebuilt.
            self._valid = self._valid and self._committing is None
            self._sure = False
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
        if facts and any(item.replays for item in batch):
            self._publish(facts)  # reading a first answer back takes a while, and whoever has been answered may read on
            await answer(batch, self.journal)
        else:
            await answer(batch, self.journal)
            self._publish(facts)

    def _join(self, batch: list[Item], stamp_ms: int | None) -> None:
        """What came while the batch waited for the lock goes with it, unless it would be stamped with a time noticeably
        before it came, or with one before something that has fallen due since."""
        if stamp_ms is not None:
            now_ms = self.now_ms()  # not asked where it is the machine's: recorded time begins with the first stamp
            if now_ms - stamp_ms > EARLY_MS or now_ms >= self.state.next_due:
                return
        self._queue = join(batch, self._queue, MAX_BATCH)

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
        for listener in self.listeners if facts else ():
            try:
                listener(facts)
            except Exception:
                log.exception("a listener failed", seq=facts[-1].seq)

    def _apply_batch(
        self, batch: list[Item], begun: Begun, ts: int
    ) -> tuple[list[Row], list[Key], list[Write], list[Committed]]:
        """What the batch does: rows, keys, rows of the private tables, and facts. Memory is ahead from here on."""
        if batch:
            self._committing = asyncio.get_running_loop().create_future()
        rows: list[Row] = []
        keys: list[Key] = []
        private: list[Write] = []
        facts: list[Committed] = []
        known = dict(begun.hits)
        last: Head | Row = self._head
        for item in batch:
            command = item.command
            if item.needed is not None and not item.needed(self.state, ts):
                item.outcome = Outcome(last.seq, ts, [])
                continue
            if item.keys:
                try:
                    command = item.without_replays(known)
                except RaethError as conflict:
                    item.error = conflict
                    continue
            if command is None:
                if item.command is None and not callable(item.writes):
                    private.extend(item.writes)
                    item.outcome = Outcome(last.seq, ts, [])
                continue
            seq = last.seq + 1
            events = apply(self.state, command, seq, ts)
            last = next_row(last, ts, codec.encode_command(command), codec.encode_events(events))
            rows.append(last)
            item.outcome = outcome = Outcome(seq, ts, events)
            if item.keys:
                keys.extend(item.book(outcome, known))
            if item.writes and outcome.refused() is None:
                private.extend(item.writes(events) if callable(item.writes) else item.writes)
            facts.append(Committed(seq, ts, command, events))
        return rows, keys, private, facts

    def _stamp(self, begun: Begun) -> int:
        """Venue time for this batch: read under the lock, never backwards, and not believed when the clock jumped."""
        now = self.clock.now_ms() if begun.now_ms is None else begun.now_ms
        if isinstance(self.clock, RealClock) and self._guard.jumped(now):
            raise JournalUnavailable("the machine's clock jumped forward")
        return max(now, self.state.ts)

    # Other nodes

    def _heard(self) -> None:
        """Another process may have written."""
        self._behind = True
        self._wake.set()
        self._news.set()

    async def _begin(self, wanted: Sequence[tuple[int, str]]) -> Begun:
        """Take the lock with this node caught up. Rows of other nodes are applied first, most outside the lock."""
        self._behind = False
        while True:
            # Recorded time begins when it is first asked for, and only a shared database has a clock to compare.
            before = self.clock.now_ms() if self.shared else 0
            begun = await self._lock(wanted)
            if begun.now_ms is not None:
                self._compare_clocks(before, begun.now_ms, self.clock.now_ms())
            self._follow([row for row in begun.behind if row.seq > self.state.seq])
            if self.state.seq == begun.head.seq:
                self._release_all()
                self._following.heard(begun.projected)
                self._sure = not self.shared
                return begun
            await self.journal.rollback()
            self._follow(await self.journal.read(self.state.seq))

    async def _lock(self, wanted: Sequence[tuple[int, str]]) -> Begun:
        """Wait for the lock, and follow meanwhile: what others wait for should not be spent on catching up."""
        if not self.shared:
            return await self.journal.begin(self.state.seq, wanted)
        locking = asyncio.ensure_future(self.journal.begin(lambda: self.state.seq, wanted))
        locking.add_done_callback(lambda _: self._news.set())
        try:
            while not locking.done():
                self._news.clear()
                if self._behind:
                    await self._follow_others(locking)
                elif not locking.done():
                    await self._news.wait()
        except BaseException:
            locking.cancel()
            await asyncio.gather(locking, return_exceptions=True)
            raise
        return locking.result()

    def _compare_clocks(self, before_ms: int, database_ms: int, after_ms: int) -> None:
        """The database's clock was read between the two. A machine whose own is elsewhere judges prices by a wrong age.

        Raises JournalUnavailable, which makes the node not ready until they agree."""
        if not before_ms - CLOCKS_MS <= database_ms <= after_ms + CLOCKS_MS:
            off_ms = database_ms - (before_ms + after_ms) // 2
            raise JournalUnavailable(f"the database's clock is {off_ms} ms ahead of the machine's")
        if after_ms - before_ms < CLOCKS_MS // 10:
            self.health.clock_ahead_ms = database_ms - (before_ms + after_ms) // 2

    async def _follow_others(self, locking: asyncio.Future[Begun] | None = None) -> None:
        """Apply what other nodes have committed, without a lock; or until `locking` has it, and with it the rest."""
        self._behind = False
        waiting, self._catching = self._catching, []  # who comes later may mean rows that were read too early
        error: RaethError | None = RaethError(Code.SERVICE_DEGRADED)
        try:
            while (rows := await unless(locking, self.journal.read(self.state.seq, FOLLOW_ROWS))) is not None:
                self._follow(rows)
                if len(rows) < FOLLOW_ROWS:
                    error = None
                    return
            self._catching, waiting = waiting + self._catching, []
        except JournalUnavailable as trouble:
            log.warning("other nodes' commands cannot be read", error=str(trouble))
        finally:
            release(waiting, error)

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
        release(waiting, error)

    def _due(self, state: State, ts: int) -> bool:
        """Whether a Tick would do anything: another node's may have come first."""
        return ts >= state.next_due or ts - state.ts >= self._quiet_ms // 2

    def _nobody_was_up(self, state: State, ts: int) -> bool:
        return ts - state.ts > 2 * self._quiet_ms

    @property
    def _quiet_ms(self) -> int:
        return int(QUIET_MS * max(1.0, self.clock.speed))

    # Trouble

    async def _recover(self, batch: list[Item], trouble: Exception) -> None:
        """The journal did not take a batch, or we have a bug; nothing of it was answered. Rebuild, then try again."""
        unexpected = not isinstance(trouble, JournalUnavailable)
        log.error("batch not written", error=str(trouble), kind=type(trouble).__name__, exc_info=unexpected)
        fail(batch)
        waiting, self._queue = self._queue, []
        fail(waiting)
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
        self._behind = self._following.asked = False  # if it is closing, it ends without last words

    def _still_retrying(self, trouble: Exception) -> None:
        if self.health.mode == "retrying":  # else it was stopped, and why matters more
            self.health.last_error = f"{type(trouble).__name__}: {trouble}"

    async def _writes_again(self) -> bool:
        """Try to write one command that does nothing else; True when it is over, one way or the other."""
        probe = item_of(Resurface() if self.state.timers else Tick())
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
