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
from raeth.engine.types import Input
from raeth.errors import RaethError
from raeth.reference.types import Print as SourcePrint
from raeth.reference.types import ReferenceSource, Tick

log = structlog.get_logger("raeth.series")

INDEX_INTERVAL_MS: Final = 250
"""At most four index ticks a second of venue time go into the journal; prints use the undecimated feed."""

POLL_S: Final = 0.01
"""How often a boundary that waits for its print is looked at, in real seconds."""


class Scheduler:
    """Runs one reference source for one venue. `submit` journals a command; `state` gives the engine's state."""

    def __init__(
        self,
        source: ReferenceSource,
        clock: Clock,
        submit: Callable[[Command], Awaitable[object]],
        state: Callable[[], State],
    ) -> None:
        self.source = source
        self.clock = clock
        self._submit = submit
        self._state = state
        self._latest: Tick | None = None
        self._fresh = asyncio.Event()
        source.on_tick(self._on_tick)

    def _on_tick(self, tick: Tick) -> None:
        self._latest = tick
        self._fresh.set()

    async def run(self) -> None:
        """Until cancelled: the feed, the index and the prints."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.source.run(), name="reference")
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
            now = self.clock.now_ms()
            # The last fifth of the grace is left for the journey into the journal.
            last_call = boundary + market.settings.print_grace_ms * 4 // 5
            found = self.source.print_at(boundary, now)
            if found is None and now >= last_call:
                found = self.source.final_print_at(boundary, now)
            if found is None or not await self._try(print_command(found)):
                await asyncio.sleep(POLL_S)

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
