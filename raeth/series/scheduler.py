"""Brings the reference into the journal: the decimated index, and the print at every boundary with its evidence.

Idempotent by boundary: a print that comes twice, or late, changes nothing. Must not know books, agents, HTTP or tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from raeth.clock import Clock
from raeth.engine.commands import Command, IndexTick, Print
from raeth.engine.state import State
from raeth.engine.types import Input, Settings
from raeth.errors import RaethError
from raeth.reference.types import Print as SourcePrint
from raeth.reference.types import ReferenceSource, Tick
from raeth.series.journaled import JournaledIndex

log = structlog.get_logger("raeth.series")

INDEX_INTERVAL_MS: Final = 250
"""At most four index ticks a second of venue time go into the journal; prints use the undecimated feed."""

POLL_S: Final = 0.01
"""How often a boundary that waits for its print is looked at, in real seconds."""


class Scheduler:
    """Runs one reference source for one venue. `submit` journals a command; `state` gives the engine's state.

    `journaled` is what the journal holds of the index: evidence for boundaries that this source was too late for.
    """

    def __init__(
        self,
        source: ReferenceSource,
        clock: Clock,
        submit: Callable[[Command], Awaitable[object]],
        state: Callable[[], State],
        journaled: JournaledIndex | None = None,
    ) -> None:
        self.source = source
        self.clock = clock
        self._submit = submit
        self._state = state
        self._journaled = journaled
        self._watched_from_ms: int | None = None
        self._latest: Tick | None = None
        self._fresh = asyncio.Event()
        source.on_tick(self._on_tick)

    def _on_tick(self, tick: Tick) -> None:
        self._latest = tick
        self._fresh.set()

    async def run(self) -> None:
        """Until cancelled: the feed, the index and the prints."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watch(), name="reference")
            group.create_task(self._index(), name="index")
            group.create_task(self._prints(), name="prints")

    async def watch(self) -> None:
        """Until cancelled: the source alone, which then knows prices from before it is needed."""
        self._watched_from_ms = self.clock.now_ms()
        await self.source.run()

    async def bring(self) -> None:
        """Until cancelled: the index and the prints, from a source that runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._index(), name="index")
            group.create_task(self._prints(), name="prints")

    async def _index(self) -> None:
        """Journal the newest tick, no more often than the interval, so the engine knows price and age."""
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            tick = self._latest
            assert tick is not None
            await self._try(IndexTick(tick.price_cents, tick.source_ts, self.source.name))
            await self.clock.sleep_until(self.clock.now_ms() + INDEX_INTERVAL_MS)

    async def _prints(self) -> None:
        """Give every boundary its print as soon as the evidence is in, at the latest shortly before the grace ends."""
        while True:
            waiting = self._state().unprinted
            if not waiting:
                await self._next_boundary()
                continue
            boundary, (closes, opens) = next(iter(waiting.items()))
            market = closes or opens
            assert market is not None
            found = self._print(boundary, market.settings)
            if found is None or not await self._try(found):
                await asyncio.sleep(POLL_S)

    def _print(self, boundary: int, rules: Settings) -> Print | None:
        """The print of a boundary, or None while it is worth waiting for."""
        now = self.clock.now_ms()
        # The last fifth of the grace is left for the journey into the journal.
        last_call = boundary + rules.print_grace_ms * 4 // 5
        found = self.source.print_at(boundary, now)
        if found is None and now >= last_call:
            found = self.source.final_print_at(boundary, now)
        return self._or_journaled(boundary, rules.print_max_age_ms, found)

    def _or_journaled(self, boundary: int, max_age_ms: int, found: SourcePrint | None) -> Print | None:
        """What the source says, or, where it came too late to know, what the journal holds of the one before it."""
        began = self._watched_from_ms
        saw_it = began is not None and began <= boundary
        own = None if found is None else print_command(found)
        if self._journaled is None or (saw_it and (found is None or found.usable)):
            return own
        if began is not None and boundary - began > max_age_ms:
            return own  # it has watched for as long as a print may be old: nobody knows better
        return self._journaled.print_at(boundary, max_age_ms) or own

    async def _next_boundary(self) -> None:
        state = self._state()
        upcoming = [m.close_at for m in (state.live,) if m] + [m.open_at for m in (state.pending,) if m]
        if upcoming and min(upcoming) > self.clock.now_ms():
            await self.clock.sleep_until(min(upcoming))
        await asyncio.sleep(POLL_S)

    async def _try(self, command: Command) -> bool:
        try:
            await self._submit(command)
        except RaethError as error:
            # The journal cannot be written just now; the next tick or poll tries again.
            log.warning("not journaled", command=type(command).__name__, code=str(error.code))
            return False
        return True


def print_command(found: SourcePrint) -> Print:
    """The journal's form of a print."""
    inputs = tuple(
        Input(i.venue, i.price_cents, i.source_ts, i.used, i.why, i.quote_price_cents, i.rate_e8, i.rate_source_ts)
        for i in found.inputs
    )
    return Print(found.boundary_ms, found.price_cents, found.source_ts, found.source, found.rule, found.reason, inputs)
