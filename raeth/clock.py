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
    """Notices a clock that runs ahead of the time that has really passed: it is wrong, or was set.

    A suspended machine's sleep counts as time that has passed, where the system can tell: that is a gap, not a jump.
    A clock that stays where it jumped to was set, and is believed in the end: what it skipped is a gap then, and the
    windows in it are void (contract, section 7).
    """

    LIMIT_MS = 5_000
    AGREE_MS = 1_000
    """Readings that differ by no more, the time between them taken off, tell one time."""
    AGREE_S = 15.0
    """The new time is believed once `READINGS` readings, over at least this long, have told it."""
    READINGS = 5
    _UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def __init__(self) -> None:
        self._believed: tuple[int, float] | None = None
        self._told: tuple[int, float] | None = None
        """The first reading of a time that is not believed yet."""
        self._agreed = 0

    def jumped(self, now_ms: int) -> bool:
        """Whether `now_ms` is more than `LIMIT_MS` ahead. If not, it is believed, and the next is judged from it."""
        now = (now_ms, time.clock_gettime(self._UPTIME))
        if self._believed is not None and _ahead_ms(now, self._believed) > self.LIMIT_MS and not self._stays(now):
            return True
        self._believed, self._told = now, None
        return False

    def _stays(self, now: tuple[int, float]) -> bool:
        """Whether the clock has told this time for long enough."""
        if self._told is None or abs(_ahead_ms(now, self._told)) > self.AGREE_MS:
            self._told, self._agreed = now, 0
        self._agreed += 1
        return self._agreed >= self.READINGS and now[1] - self._told[1] >= self.AGREE_S


def _ahead_ms(now: tuple[int, float], then: tuple[int, float]) -> float:
    """How far a reading is ahead of an earlier one, the time that passed between them taken off."""
    return now[0] - then[0] - (now[1] - then[1]) * 1000


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
