"""The reference on one node of a venue: fed from here while this node has the role, shown from the journal while not.

Feeding is idempotent: a print that comes twice changes nothing, and an index tick is a price among others. So where two
nodes feed at once for a moment, as when one was stopped and wakes up, the journal has both and the venue is none the
worse. Must not know how a role is held, nor how prices are come by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from raeth.clock import Clock
from raeth.engine.commands import Command
from raeth.engine.state import State
from raeth.errors import RaethError
from raeth.reference.types import Reading, ReferenceSource
from raeth.series.journaled import JournaledIndex
from raeth.series.scheduler import Scheduler

log = structlog.get_logger("raeth.series")

RETRY_S: Final = 0.2


class Journals(Protocol):
    """What puts commands into the journal's order."""

    @property
    def state(self) -> State: ...

    async def submit(self, command: Command) -> object: ...

    async def catch_up(self) -> None: ...


class Feeder:
    """`ShownReference` of a node, and its work in the role `series`.

    `again(price_cents)` opens the source anew at a takeover, where it must go on from the journal's last price; a
    source without it is kept. `warm`: it runs on every node all the time, so that who takes over has seen what was.
    `complete`: it knows what was before it ran. `alone`: no other node is there, and what is shown is the source's own.
    """

    def __init__(
        self,
        source: ReferenceSource,
        clock: Clock,
        journal: Journals,
        journaled: JournaledIndex,
        *,
        again: Callable[[int | None], ReferenceSource] | None = None,
        warm: bool = False,
        complete: bool = False,
        alone: bool = True,
    ) -> None:
        self.name = source.name
        self.synthetic = source.synthetic
        self._clock = clock
        self._journal = journal
        self._journaled = journaled
        self._evidence = None if complete else journaled
        self._again = again
        self._warm = warm
        self._alone = alone
        self._confirmed: Callable[[], Awaitable[None]] = _at_once
        self._scheduler = self._schedule(source)
        self._feeding = alone

    def current(self, now_ms: int) -> Reading:
        if self._feeding:
            return self._scheduler.source.current(now_ms)
        return self._journaled.current(now_ms, self.name, self.synthetic)

    async def watch(self) -> None:
        """Beside everything, for ever: a source that is kept warm runs, also without the role."""
        if self._warm:
            await self._scheduler.watch()

    async def feed(self, confirmed: Callable[[], Awaitable[None]]) -> None:
        """The work of the role, until cancelled. `confirmed` returns when the role is certain to be held.

        Raises what a bug of the source raises; whatever the journal or the network do is waited out."""
        self._confirmed = confirmed
        if not self._alone:
            await self._catch_up()
            if self._again is not None:
                self._scheduler = self._schedule(self._again(self._journal.state.reference_price))
        self._feeding = True
        try:
            await (self._scheduler.bring() if self._warm else self._scheduler.run())
        finally:
            self._feeding = self._alone

    def _schedule(self, source: ReferenceSource) -> Scheduler:
        return Scheduler(source, self._clock, self._bring, lambda: self._journal.state, self._evidence)

    async def _bring(self, command: Command) -> None:
        await self._confirmed()
        await self._journal.submit(command)

    async def _catch_up(self) -> None:
        """Until all is known that the one before has journaled."""
        told = False
        while True:
            try:
                await self._journal.catch_up()
                return
            except RaethError as error:
                if not told:
                    log.warning("the reference cannot be taken over yet", code=error.code.value)
                told = True
                await asyncio.sleep(RETRY_S)


async def _at_once() -> None:
    return
