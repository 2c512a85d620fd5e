"""What time it is at the venue, which in a replay is recorded time and may run faster than the clock on the wall.

Asked of the venue now and then, and carried forward in between. Must not know markets.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

RENEW_AFTER_S = 30.0


class VenueClock:
    """`ask_now_ms` and `ask_speed` are reads of the venue: its epoch milliseconds, its seconds a real second."""

    def __init__(self, ask_now_ms: Callable[[], Awaitable[int]], ask_speed: Callable[[], Awaitable[float]]) -> None:
        self._ask_now_ms = ask_now_ms
        self._ask_speed = ask_speed
        self._measured_at: float | None = None
        self._measured_ms = 0
        self.speed = 1.0

    async def measure(self) -> int:
        """Ask the venue. Epoch milliseconds of venue time; half of the round trip is taken to be the way back."""
        if self._measured_at is None:
            self.speed = await self._ask_speed()
        began = time.monotonic()
        told = await self._ask_now_ms()
        ended = time.monotonic()
        self._measured_at = ended
        self._measured_ms = told + round((ended - began) / 2 * 1000 * self.speed)
        return self._measured_ms

    async def now_ms(self) -> int:
        """Epoch milliseconds of venue time, measured within the last half minute."""
        if self._measured_at is None or time.monotonic() - self._measured_at > RENEW_AFTER_S:
            return await self.measure()
        return self.estimate_ms()

    def estimate_ms(self) -> int:
        """Carried forward from the last measurement, without asking."""
        assert self._measured_at is not None, "never measured"
        return self._measured_ms + round((time.monotonic() - self._measured_at) * 1000 * self.speed)
