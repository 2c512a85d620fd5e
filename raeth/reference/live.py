"""The live reference: the sockets of several venues, and their index.

It never invents a price: without a quorum of venues the last one grows old, then STALE, then DOWN.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from raeth.clock import Clock
from raeth.reference.connection import VenueLink
from raeth.reference.feed import VenueIndex
from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import Print, Rate, Reading, Tick, TickCallback
from raeth.reference.venues import ADAPTERS, Adapter


def adapters_of(settings: ReferenceSettings) -> list[Adapter]:
    """An adapter for each configured venue, at its configured address if there is one."""
    return [ADAPTERS[name](settings.urls.get(name)) for name in settings.venues]


class LiveSource:
    """`ReferenceSource` over the venues' public sockets."""

    name = "live"
    synthetic = False

    def __init__(self, settings: ReferenceSettings, clock: Clock) -> None:
        self._feed = VenueIndex(self.name, self.synthetic, settings.venues, settings)
        self.links = {
            adapter.name: VenueLink(adapter, settings, clock, self._on_frame) for adapter in adapters_of(settings)
        }

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for link in self.links.values():
                group.create_task(link.run(), name=f"reference-{link.adapter.name}")

    def on_tick(self, callback: TickCallback) -> None:
        self._feed.on_tick(callback)

    def current(self, now_ms: int) -> Reading:
        reading = self._feed.current(now_ms)
        return replace(reading, venues=tuple({**row, **self._health(row["venue"])} for row in reading.venues))

    def print_at(self, boundary_ms: int, now_ms: int) -> Print | None:
        return self._feed.print_at(boundary_ms)

    def final_print_at(self, boundary_ms: int, now_ms: int) -> Print:
        return self._feed.final_print_at(boundary_ms)

    def _on_frame(self, raw: str | bytes, recv_ts: int, found: list[Tick | Rate]) -> None:
        for item in found:
            self._feed.add(item)

    def _health(self, venue: str) -> dict[str, object]:
        link = self.links[venue]
        return {
            "connected": link.connected,
            "connects": link.connects,
            "errors": link.errors,
            "refused": self._feed.refused[venue],
        }
