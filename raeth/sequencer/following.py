"""The derived tables follow the journal: what was committed is held here until one transaction brings them forward.

An order is answered when its row is durable; its place in the tables follows within `INTERVAL_S`, together with that of
all orders around it, because to touch a page once for hundreds of orders costs a fraction of touching it for each
batch. The transaction runs under the journal's head lock and moves the journal's mark, so that each row is projected
exactly once and in order, whichever node does it. Whoever reads the tables first has them brought up to date.
Must not know what the tables are: a projector turns facts into statements.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from raeth.engine import codec
from raeth.engine.commands import Command
from raeth.engine.events import Event
from raeth.journal.base import Journal, JournalDamaged, Row, Write

INTERVAL_S: Final = 0.05
"""The tables are brought forward this long after the last time, while there is anything to bring."""

OTHERS_S: Final = 2.0
"""The commands of other nodes are theirs to bring forward. If one died before it did, this is how long it is left."""

FACTS_MAX: Final = 4_000
"""Most commands one transaction projects: bounds how long the head lock is held for it."""

HELD_MAX: Final = 50_000
"""Commands held in memory; if the tables are further behind, the rest is read back from the journal."""


@dataclass(slots=True)
class Committed:
    """One durable command, as listeners see it."""

    seq: int
    ts: int
    command: Command
    events: list[Event]


class Projects(Protocol):
    """What turns facts into rows of the tables; see `raeth.store.projector`."""

    def add(self, seq: int, ts: int, command: Command, events: Sequence[Event]) -> None: ...

    def take(self) -> list[Write]: ...


class Following:
    """How far the tables are, and what they lack. `mark` is the `seq` this node last knew them to have reached."""

    def __init__(self, projector: Projects) -> None:
        self.mark = 0
        self.asked = False
        """The next transaction is to bring the tables forward, or there is to be one for it."""
        self._projector = projector
        self._held: deque[Committed] = deque()
        self._since = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def behind(self) -> int:
        """Commands held that the tables are not known to have."""
        return len(self._held)

    def due(self, now_s: float) -> bool:
        """Whether a transaction that runs now should bring the tables forward. `now_s` is the loop's time."""
        return self.asked or now_s - self._since >= INTERVAL_S

    def hold(self, facts: Sequence[Committed]) -> None:
        """Take note of what is durable and not in the tables yet."""
        self._held.extend(facts)
        if len(self._held) > HELD_MAX:
            self._held.clear()

    def remind(self, within_s: float, wake: asyncio.Event) -> None:
        """Ask for a transaction of its own if no other has come along by then, or by when one was to be asked for
        already."""
        loop = asyncio.get_running_loop()
        at = loop.time() + within_s
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()

        def ask() -> None:
            self._timer = None
            if self._held and loop.time() - self._since < INTERVAL_S:
                self.remind(INTERVAL_S, wake)  # another node has just brought them forward
            elif self._held:
                self.asked = True
                wake.set()

        self._timer = loop.call_at(at, ask)

    async def missing(self, mark: int, head_seq: int, journal: Journal) -> list[Committed]:
        """The next rows after `mark`, oldest first, at most `FACTS_MAX`: from memory, else from the journal."""
        held = self._held
        while held and held[0].seq <= mark:
            held.popleft()
        if mark >= head_seq:
            return []
        if held and held[0].seq == mark + 1:
            return [fact for fact, _ in zip(held, range(FACTS_MAX), strict=False)]
        return [_decoded(row) for row in await journal.read(mark, FACTS_MAX, head_seq)]

    def project(self, facts: Sequence[Committed]) -> list[Write]:
        """The statements that bring the tables from before the first of `facts` to the last."""
        add = self._projector.add
        for fact in facts:
            add(fact.seq, fact.ts, fact.command, fact.events)
        return self._projector.take()

    def reached(self, mark: int) -> None:
        """This node has brought the tables durably to `mark`, or found them there."""
        self._since = asyncio.get_running_loop().time()
        self.heard(mark)

    def heard(self, mark: int) -> None:
        """The tables are durably at `mark`, whoever brought them there."""
        if mark > self.mark:
            self.mark = mark
            self._since = asyncio.get_running_loop().time()
        held = self._held
        while held and held[0].seq <= mark:
            held.popleft()

    def forget(self) -> None:
        """The state is made anew: what is held may not be all there is between it and the tables."""
        self._held.clear()
        self._projector.take()

    async def asked_for(self, wake: asyncio.Event) -> None:
        """Ask for a transaction, and return when it is over, one way or the other."""
        self.asked = True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        wake.set()
        await done

    def tell(self) -> None:
        """A transaction is over: whoever waits looks again."""
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            if not done.done():
                done.set_result(None)

    def stop(self) -> None:
        """No more reminders, and nobody waits any longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.tell()


def _decoded(row: Row) -> Committed:
    try:
        return Committed(row.seq, row.ts, codec.decode_command(row.command), codec.decode_events(row.events))
    except Exception as error:
        raise JournalDamaged(row.seq, f"cannot be read: {type(error).__name__}: {error}") from error
