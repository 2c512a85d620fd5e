"""A made-up bitcoin: seeded, and synthetic wherever it appears.

One hidden price follows GARCH(1,1) with Student-t(5) returns and rare jumps; five synthetic venues see it
four times a second each, with their own noise, lag and drop-outs, and the index of them is the reference:
so what a live venue goes through, a venue without a network goes through too. Floats live in here only;
what leaves is integer cents, and the same seed, start and price give the same ticks.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Iterator
from itertools import count

from raeth.clock import Clock
from raeth.reference.feed import VenueIndex
from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import Print, Reading, Tick, TickCallback

STEPS_PER_SECOND = 4
STEP_MS = 1000 // STEPS_PER_SECOND
ANNUAL_VOLATILITY = 0.5
SECONDS_PER_YEAR = 365.25 * 86_400
VARIANCE = ANNUAL_VOLATILITY**2 / SECONDS_PER_YEAR
"""Long-run variance of a one-second return."""
ALPHA, BETA = 0.05, 0.94
DEGREES = 5
JUMPS_PER_HOUR = 2
JUMP_DEVIATIONS = 8
MAX_VARIANCE = 100 * VARIANCE  # With these weights the fourth moment is infinite; a test run must not meet it.
LEAST_PRICE_CENTS = 100

VENUES = ("sim-1", "sim-2", "sim-3", "sim-4", "sim-5")
NOISE_MEMORY = 0.98
"""A venue's deviation fades slowly: independent noise would swamp the price from one tick to the next."""
DROPOUTS_PER_HOUR = 4
DROPOUT_S = (2, 10)
TICK_JITTER_MS = 199
LAG_MS = (50, 350)
LAG_JITTER_MS = 49  # Below the least spacing of a venue's ticks, so a venue's ticks arrive in order.
YIELD_EVERY = 64
PAST_S = 8
"""How long a new price has been there when a source begins, so that a window that opens at once has a print."""


class SyntheticPrice:
    """The hidden price, a second at a time."""

    def __init__(self, start_price_cents: int) -> None:
        self.price_cents = float(start_price_cents)
        self._variance = VARIANCE

    def second(self, rng: random.Random) -> list[float]:
        """The prices at the steps of the next second; the variance then learns from the second's return."""
        before_jumps = 0.0
        prices = []
        scale = (self._variance / STEPS_PER_SECOND) ** 0.5
        for _ in range(STEPS_PER_SECOND):
            diffusion = scale * _student_t(rng)
            before_jumps += diffusion
            moved = self.price_cents * (1.0 + diffusion + _jump(rng))
            self.price_cents = max(moved, float(LEAST_PRICE_CENTS))
            prices.append(self.price_cents)
        learned = (1 - ALPHA - BETA) * VARIANCE + ALPHA * before_jumps**2 + BETA * self._variance
        self._variance = min(learned, MAX_VARIANCE)
        return prices


def _student_t(rng: random.Random) -> float:
    """Student-t with five degrees of freedom, scaled to variance one."""
    chi_squared = rng.gammavariate(DEGREES / 2, 2)
    return float(rng.gauss(0, 1) / (chi_squared / DEGREES) ** 0.5 * ((DEGREES - 2) / DEGREES) ** 0.5)


def _jump(rng: random.Random) -> float:
    if rng.random() >= JUMPS_PER_HOUR / (3600 * STEPS_PER_SECOND):
        return 0.0
    return float(rng.choice((-1, 1)) * JUMP_DEVIATIONS * VARIANCE**0.5)


class SyntheticVenue:
    """One venue's view: a deviation of its own, a lag, and now and then nothing for some seconds."""

    def __init__(self, name: str, seed: int) -> None:
        rng = random.Random(f"{seed}/{name}")
        self.name = name
        self._noise = rng.uniform(0.5e-4, 1e-4)
        self._lag_ms = rng.randint(*LAG_MS)
        self._deviation = 0.0
        self._silent_until_s = 0

    def second(self, second: int, prices: list[float], rng: random.Random) -> Iterator[Tick]:
        """Its ticks of one second, in order of source time and of arrival."""
        if rng.random() < DROPOUTS_PER_HOUR / 3600:
            self._silent_until_s = second + rng.randint(*DROPOUT_S)
        for step, price in enumerate(prices):
            fresh = self._noise * (1 - NOISE_MEMORY**2) ** 0.5 * rng.gauss(0, 1)
            self._deviation = NOISE_MEMORY * self._deviation + fresh
            source_ts = second * 1000 + step * STEP_MS + rng.randint(0, TICK_JITTER_MS)
            recv_ts = source_ts + self._lag_ms + rng.randint(0, LAG_JITTER_MS)
            if second >= self._silent_until_s:
                yield Tick(self.name, max(1, round(price * (1 + self._deviation))), source_ts, recv_ts)


def synthetic_ticks(seed: int, start_ms: int, start_price_cents: int) -> Iterator[Tick]:
    """Every synthetic tick from the second of `start_ms` on, for ever, in order of arrival."""
    price = SyntheticPrice(start_price_cents)
    venues = [SyntheticVenue(name, seed) for name in VENUES]
    pending: list[tuple[int, str, int, Tick]] = []
    for second in count(start_ms // 1000):
        # Seeded by text: the same on every machine and for every PYTHONHASHSEED.
        prices = price.second(random.Random(f"{seed}/price/{second}"))
        for venue in venues:
            for tick in venue.second(second, prices, random.Random(f"{seed}/{venue.name}/{second}")):
                heapq.heappush(pending, (tick.recv_ts, tick.venue, tick.source_ts, tick))
        while pending and pending[0][0] < (second + 1) * 1000:
            yield heapq.heappop(pending)[-1]


class SimulatedSource:
    """`ReferenceSource` over the synthetic venues, in the injected clock's time."""

    name = "simulated"
    synthetic = True

    def __init__(self, settings: ReferenceSettings, clock: Clock, start_price_cents: int | None = None) -> None:
        """`start_price_cents`: where to go on after a restart, from then on; else a new price from the configured
        start, which has been there for a while."""
        settings = settings.model_copy(update={"quorum": min(settings.quorum, len(VENUES))})
        self._clock = clock
        self._seed = settings.seed
        self._start_price_cents = start_price_cents or settings.start_price_cents
        self._past_ms = 0 if start_price_cents else PAST_S * 1000
        self._feed = VenueIndex(self.name, self.synthetic, VENUES, settings)

    async def run(self) -> None:
        began_ms = self._clock.now_ms()
        ticks = synthetic_ticks(self._seed, began_ms - self._past_ms, self._start_price_cents)
        for number, tick in enumerate(ticks):
            if tick.recv_ts < began_ms:
                self._feed.add(tick, quiet=True)
                continue
            await self._clock.sleep_until(tick.recv_ts)
            self._feed.add(tick)
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)  # After a long suspension everything is due at once.

    def on_tick(self, callback: TickCallback) -> None:
        self._feed.on_tick(callback)

    def current(self, now_ms: int) -> Reading:
        return self._feed.current(now_ms)

    def print_at(self, boundary_ms: int, now_ms: int) -> Print | None:
        return self._feed.print_at(boundary_ms)

    def final_print_at(self, boundary_ms: int, now_ms: int) -> Print:
        return self._feed.final_print_at(boundary_ms)
