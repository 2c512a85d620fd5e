"""The recorded reference: a file's prices, delivered when the injected clock reaches their time.

With a clock that runs fast, many are due at each waking. A question about a time first delivers what is due
by then, so that an answer depends on the recording and never on how busy the machine was.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from raeth.clock import Clock
from raeth.reference.feed import Feed, StreamFeed, VenueIndex
from raeth.reference.history import HISTORY_MS
from raeth.reference.recording import Record, Recording
from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import Print, Reading, TickCallback

log = structlog.get_logger("raeth.reference")

MAX_BATCH = 500
"""Records delivered before others get a turn."""
WAKE_MS = 5
"""Real milliseconds between wakings of a clock that runs fast."""


def first_ts_ms(path: str | Path) -> int:
    """Recorded time at which the first price becomes known. Raises SourceError for a file that cannot be replayed."""
    return Recording.open(path).first_ms


class ReplaySource:
    """`ReferenceSource` over a recording. After its end the last price grows old: STALE, then DOWN."""

    synthetic = False

    def __init__(
        self, path: str | Path, settings: ReferenceSettings, clock: Clock, start_ms: int | None = None
    ) -> None:
        """Opens and checks the file. With `start_ms` everything up to then is known already, and nobody is told.

        Raises SourceError, naming file and line, for a file that cannot be replayed.
        """
        self.recording = Recording.open(path)
        self.name = f"replay:{self.recording.path.name}"
        self._clock = clock
        self._feed = self._make_feed(settings, clock.speed)
        self._records = self.recording.records()
        self._next: Record | None = next(self._records, None)
        self._delivering = False
        if start_ms is not None:
            self._deliver(start_ms, quiet=True)

    def _make_feed(self, settings: ReferenceSettings, speed: float) -> Feed:
        # A stall of the machine is `speed` times as long in recorded time, and a print must survive it.
        horizon_ms = int(HISTORY_MS * max(1.0, speed))
        if self.recording.kind == "venues":
            return VenueIndex(self.name, self.synthetic, self.recording.venues, settings, horizon_ms)
        return StreamFeed(self.name, self.recording.venues[0], settings, horizon_ms)

    async def run(self) -> None:
        while self._next is not None:
            await self._clock.sleep_until(self._next.due_ms)
            self._deliver(self._clock.now_ms(), limit=MAX_BATCH)
            await self._pause()
        log.info("recording_ended", source=self.name)
        await asyncio.Event().wait()

    def on_tick(self, callback: TickCallback) -> None:
        self._feed.on_tick(callback)

    def current(self, now_ms: int) -> Reading:
        self._deliver(now_ms)
        return self._feed.current(now_ms)

    def print_at(self, boundary_ms: int, now_ms: int) -> Print | None:
        self._deliver_around(boundary_ms, now_ms)
        return self._feed.print_at(boundary_ms)

    def final_print_at(self, boundary_ms: int, now_ms: int) -> Print:
        self._deliver_around(boundary_ms, now_ms)
        return self._feed.final_print_at(boundary_ms)

    async def _pause(self) -> None:
        if self._clock.speed > 1 and self._next is not None and self._next.due_ms > self._clock.now_ms():
            await self._clock.sleep_until(self._clock.now_ms() + int(WAKE_MS * self._clock.speed))
        else:
            await asyncio.sleep(0)

    def _deliver_around(self, boundary_ms: int, now_ms: int) -> None:
        # Not further than the memory reaches back, or a long stall would push the boundary out of it.
        self._deliver(min(now_ms, boundary_ms + HISTORY_MS // 2))

    def _deliver(self, now_ms: int, limit: int | None = None, quiet: bool = False) -> None:
        """Everything due by `now_ms`, or the next `limit` of it."""
        if self._delivering:
            return  # A callback asked a question of its own.
        self._delivering = True
        try:
            while self._next is not None and self._next.due_ms <= now_ms and limit != 0:
                record, self._next = self._next, next(self._records, None)
                limit = None if limit is None else limit - 1
                for item in record.items:
                    self._feed.add(item, quiet)
        finally:
            self._delivering = False
