"""An injected reference: seeded venues seen through the real index, with gaps, outliers, late and future ticks.

Implements `ReferenceSource`. Must not know the engine.
"""

from __future__ import annotations

import asyncio
from random import Random

from raeth.reference.feed import VenueIndex
from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import Print, Reading, Tick, TickCallback
from tests.simulation.faults import Faults
from tests.simulation.loop import SimClock

VENUES = ("one", "two", "three")
SETTINGS = ReferenceSettings(quorum=2)
PRICE_CENTS = 10_000_000


class SimFeed:
    """Three venues, each telling its price about twice a second of real time."""

    name = "simulated"
    synthetic = True

    def __init__(self, random: Random, clock: SimClock, faults: Faults, price_cents: int | None) -> None:
        self._random = random
        self._clock = clock
        self._faults = faults
        self._price_cents = price_cents or PRICE_CENTS
        self._feed = VenueIndex(self.name, self.synthetic, VENUES, SETTINGS)
        self._silent_s = 0.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0.1, 0.3) + self._silent_s)
            self._silent_s = 0.0
            self._tell(self._random.choice(VENUES))

    def _tell(self, venue: str) -> None:
        random, faults = self._random, self._faults
        now = self._clock.now_ms()
        # Coarse steps: a tie of open and close print is then as usual as up and down.
        self._price_cents += random.choice((-200, -100, 0, 0, 100, 200))
        price, source_ts = self._price_cents, now - random.randint(5, 120)
        roll = 1.0 if faults.healed else random.random()
        if roll < 0.01:
            price = price * random.choice((90, 110)) // 100
            faults.happened("feed outlier", venue, price)
        elif roll < 0.02:
            source_ts += random.choice((-9_000, -2_000, 1_500, 9_000))
            faults.happened("feed late", venue, source_ts - now)
        elif roll < 0.03:
            self._silent_s = random.choice((1.0, 4.0, 12.0))
            faults.happened("feed gap", self._silent_s)
        self._feed.add(Tick(venue, price, source_ts, now))

    def on_tick(self, callback: TickCallback) -> None:
        self._feed.on_tick(callback)

    def current(self, now_ms: int) -> Reading:
        return self._feed.current(now_ms)

    def print_at(self, boundary_ms: int, now_ms: int) -> Print | None:
        return self._feed.print_at(boundary_ms)

    def final_print_at(self, boundary_ms: int, now_ms: int) -> Print:
        return self._feed.final_print_at(boundary_ms)
