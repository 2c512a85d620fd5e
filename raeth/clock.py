"""Injected time. Nothing else in the venue may ask the machine what time it is.

Two clocks exist (contract, section 1): *venue time* rules markets, orders and cool-downs and may be
recorded time in a replay; *real time* rules budgets, sessions and key expiry. All values are integer
milliseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What every room may know of time."""

    speed: float
    """Venue seconds per real second; 1.0 unless a recording is being replayed."""

    def now_ms(self) -> int:
        """Venue time now, in milliseconds. Never goes backwards in a replay; may in a real clock."""
        ...

    async def sleep_until(self, ts_ms: int) -> None:
        """Return once `now_ms() >= ts_ms`; at once if that is already so."""
        ...


class RealClock:
    """The machine's clock: venue time is real time."""

    speed = 1.0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_until(self, ts_ms: int) -> None:
        while (left_ms := ts_ms - self.now_ms()) > 0:
            await asyncio.sleep(left_ms / 1000)


class JumpGuard:
    """Notices a machine clock that runs ahead of the time that has really passed: it is wrong, or was set.

    A suspended machine's sleep counts as time that has passed, where the system can tell: that is a gap, not a jump.
    """

    LIMIT_MS = 5_000
    _UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def __init__(self) -> None:
        self._believed: tuple[int, float] | None = None

    def jumped(self, now_ms: int) -> bool:
        """Whether `now_ms` is more than `LIMIT_MS` ahead. If not, it is believed, and the next is judged from it."""
        passed = time.clock_gettime(self._UPTIME)
        if self._believed is not None:
            then_ms, then = self._believed
            if now_ms - then_ms - (passed - then) * 1000 > self.LIMIT_MS:
                return True
        self._believed = (now_ms, passed)
        return False


class ReplayClock:
    """Recorded time: runs `speed` times as fast as the machine's monotonic clock, from `start_ms` on.

    It stands there until it is first asked: what a venue does before it asks, as reading a long journal again, takes no
    recorded time.
    """

    def __init__(self, start_ms: int, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError("speed must be above zero")
        self.start_ms = start_ms
        self.speed = float(speed)
        self._origin_ns: int | None = None

    def now_ms(self) -> int:
        if self._origin_ns is None:
            self._origin_ns = time.monotonic_ns()
        return self.start_ms + int((time.monotonic_ns() - self._origin_ns) * self.speed) // 1_000_000

    async def sleep_until(self, ts_ms: int) -> None:
        while (left_ms := ts_ms - self.now_ms()) > 0:
            await asyncio.sleep(left_ms / 1000 / self.speed)


class ManualClock:
    """A clock that moves only when told to: for tests and for simulated time."""

    speed = 1.0

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return self._now_ms

    def set(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._moved.set()
        self._moved = asyncio.Event()

    def advance(self, by_ms: int) -> None:
        self.set(self._now_ms + by_ms)

    async def sleep_until(self, ts_ms: int) -> None:
        while self._now_ms < ts_ms:
            await self._moved.wait()


def real_now_ms() -> int:
    """Real time, for budgets, sessions, tickets and key expiry (contract, section 1)."""
    return time.time_ns() // 1_000_000


def iso_ms(ts_ms: int) -> str:
    """`2026-11-20T10:30:00.123Z`: the one form of a time on the wire."""
    seconds, ms = divmod(ts_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
