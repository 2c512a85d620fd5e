"""Venue time and the age of the reference price, reckoned from what the venue tells. Pure: the clock is given.

Must not know streams. Times are epoch milliseconds of venue time; `mono_s` is a monotonic clock in real seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from raeth.client.models import Reference, epoch_ms

HISTORY_MS = 300_000

STALE_AFTER_MS, DOWN_AFTER_MS = 3_000, 10_000
"""From which age on a price is STALE or DOWN, whatever the venue last said of it: the defaults of a venue."""

WINDOW_S = 30.0


class Reckoning:
    """What time it is at the venue. The least delayed message of the last half minute or so decides, so that it neither
    jumps with every slow message nor drifts with the local clock."""

    def __init__(self, speed: Callable[[], float] = lambda: 1.0) -> None:
        self._speed = speed
        self._began_s: float | None = None
        self._offset_ms: float | None = None
        self._previous_ms: float | None = None

    def note(self, ts_ms: int, mono_s: float) -> None:
        """The venue has said `ts_ms`, which was then or earlier."""
        offset_ms = ts_ms - mono_s * 1000 * self._speed()
        if self._began_s is None or mono_s - self._began_s > WINDOW_S:
            self._began_s = mono_s
            self._previous_ms, self._offset_ms = self._offset_ms, offset_ms
        elif self._offset_ms is None or offset_ms > self._offset_ms:
            self._offset_ms = offset_ms

    def now_ms(self, mono_s: float) -> int:
        """0 before the first message."""
        known = [offset_ms for offset_ms in (self._offset_ms, self._previous_ms) if offset_ms is not None]
        return int(max(known) + mono_s * 1000 * self._speed()) if known else 0


class LiveReference(msgspec.Struct, frozen=True):
    """The reference price as of now, US cents for one bitcoin. `status`: LIVE, STALE, DOWN."""

    price_cents: int | None
    age_ms: int | None
    status: str
    synthetic: bool = False

    @classmethod
    def of(cls, told: Reference | None, now_ms: int) -> LiveReference:
        """What the venue told last, as old as it is now: it says nothing while the feed is silent."""
        if told is None or told.price_cents is None or told.source_ts is None:
            return cls(None, None, "DOWN", told.synthetic if told is not None else False)
        age_ms = max(0, now_ms - epoch_ms(told.source_ts))
        worst = "LIVE" if age_ms <= STALE_AFTER_MS else "STALE" if age_ms <= DOWN_AFTER_MS else "DOWN"
        status = max(told.status, worst, key=("LIVE", "STALE", "DOWN").index)
        return cls(told.price_cents, age_ms, status, told.synthetic)
