"""The one writer: puts commands in order, stamps and applies them, commits, and only then answers and publishes.

Whoever arrives while a batch commits is the next batch: group commit without timers. Between apply and commit the state
in memory is ahead of what is durable, so reads go through `settled`, which waits. If a commit fails or its outcome is
unknown, the state is thrown away and rebuilt from the journal. Where other processes write to the same journal, their
rows are applied as they come. This module must not know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from raeth.clock import Clock
from raeth.engine.commands import Command, Configure, Resurface, Tick
from raeth.engine.state import State
from raeth.engine.types import ENGINE_VERSION, Settings
from raeth.errors import Code, RaethError
from raeth.idempotency import IdemKey, Outcome
from raeth.journal.base import Journal, JournalUnavailable, Write
from raeth.sequencer.following import Projects
from raeth.sequencer.waiting import Item, Needed, Waits, Writes, fail
from raeth.sequencer.writing import RETRY_S, Writer

STOP_S: Final = 3.0
"""What was accepted may take this long to be written after the order to stop."""


class SettingsDiffer(Exception):
    """The node's rules are not those of the journal's head. `differences` maps a name to (journal's, node's)."""

    def __init__(self, differences: dict[str, tuple[object, object]]) -> None:
        lines = [f"{name}: journal {old!r}, here {new!r}" for name, (old, new) in differences.items()]
        super().__init__("; ".join(lines))
        self.differences = differences


class Sequencer(Writer):
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
        super().__init__(journal, clock, projector, shared=shared)
        self.settings = settings
        self.adopt = adopt
        self._ticking: asyncio.Future[Outcome] | None = None
        self._tasks: list[asyncio.Task[None]] = []

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
            await self._submit(Resurface(), needed)
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
        with contextlib.suppress(RaethError):  # a journal that cannot be written now is tried again
            await self.tabled()
        if self._damage is not None:
            raise self._damage
        self._tasks.append(asyncio.create_task(self._keep_time(), name="pacemaker"))

    async def _configure(self, *, only_if_none: bool = False) -> None:
        """Put this node's rules in force. `only_if_none`: another node of a new venue may have done it meanwhile."""
        needed: Needed | None = (lambda state, ts: state.settings is None) if only_if_none else None
        outcome = await self._submit(Configure(ENGINE_VERSION, self.settings), needed)
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
        fail(waiting)
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
            self._ticking = self._submit(Tick(), self._due if self.shared else None)
        with contextlib.suppress(RaethError):
            await asyncio.shield(self._ticking)

    async def tabled(self) -> None:
        """Return once the derived tables hold all that was durable when this was called.

        Raises SERVICE_DEGRADED when they lack something and cannot be written. A journal that is short of room puts
        nothing off, so that a full disk finds them complete; another failure may catch the last `INTERVAL_S`."""
        seq = self._head.seq
        while self._following.mark < seq and self._running:
            if self.health.mode in ("retrying", "stopped"):
                raise RaethError(Code.SERVICE_DEGRADED)
            if self.shared and await self._others_have(seq):
                return
            await self._following.asked_for(self._wake)

    async def _others_have(self, seq: int) -> bool:
        """Whether another node has brought the tables that far: to look costs no lock."""
        with contextlib.suppress(JournalUnavailable):
            self._following.heard(await self.journal.projected())
        return self._following.mark >= seq

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
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._enqueue(Item(done, command, keys, writes))
        return done

    def enqueue_for(self, done: Waits, command: Command, keys: Sequence[IdemKey] = ()) -> None:
        """`enqueue` for those who are to be told at once, without a turn of the event loop in between."""
        self._enqueue(Item(done, command, keys))

    async def _keep_time(self) -> None:
        """Move the venue when nobody asks it to: whenever something falls due, and at least once a second."""
        while True:
            due = min(self.state.next_due, self.state.ts + self._quiet_ms)
            await self.clock.sleep_until(due - self.health.clock_ahead_ms)
            if self._valid and self.now_ms() >= min(self.state.next_due, self.state.ts + self._quiet_ms):
                try:
                    await self._submit(Tick(), self._due if self.shared else None)
                except RaethError:
                    await asyncio.sleep(RETRY_S[0])
            else:
                # Without a state there is nothing to move, and what fell due must not keep the loop spinning.
                await asyncio.sleep(0 if self._valid else RETRY_S[0])


def differences(old: Settings, new: Settings) -> dict[str, tuple[object, object]]:
    """What two sets of rules do not share, by name."""
    names = Settings.__struct_fields__
    return {n: (getattr(old, n), getattr(new, n)) for n in names if getattr(old, n) != getattr(new, n)}
