"""A bounded memory of one stream of prices, ordered by source time.

Plain integers in parallel lists rather than objects: a busy venue sends a hundred ticks a second, and the
collector need not visit them.
"""

from __future__ import annotations

from bisect import bisect_right

HISTORY_MS = 180_000
"""How far back a print can be asked for: a window is a minute, its deadline seconds after it."""
MAX_TICKS = 100_000
"""About the most kept for one stream, whatever their age; deleting is done in lumps of `_SLACK`."""
_SLACK = 1_024  # Deleting from the front moves the rest, so it is done in lumps.


class TickHistory:
    """Values with their source times; between equal times the one added later counts as later."""

    __slots__ = ("_horizon_ms", "_times", "_values")

    def __init__(self, horizon_ms: int = HISTORY_MS) -> None:
        self._horizon_ms = horizon_ms
        self._times: list[int] = []
        self._values: list[int] = []

    def __len__(self) -> int:
        return len(self._times)

    def add(self, source_ts: int, value: int) -> bool:
        """Keep a value. True if it is now the latest, False if it came late and only fills in the past."""
        times = self._times
        if not times or source_ts >= times[-1]:
            times.append(source_ts)
            self._values.append(value)
            is_latest = True
        else:
            place = bisect_right(times, source_ts)
            times.insert(place, source_ts)
            self._values.insert(place, value)
            is_latest = False
        if len(times) % _SLACK == 0:
            self._trim()
        return is_latest

    def last(self) -> tuple[int, int] | None:
        """`(source_ts, value)` of the latest, or None."""
        return (self._times[-1], self._values[-1]) if self._times else None

    def at(self, ts_ms: int) -> tuple[int, int] | None:
        """`(source_ts, value)` of the latest with source time <= `ts_ms`, or None."""
        place = bisect_right(self._times, ts_ms)
        return (self._times[place - 1], self._values[place - 1]) if place else None

    def passed(self, ts_ms: int) -> bool:
        """True once some source time lies beyond `ts_ms`."""
        return bool(self._times) and self._times[-1] > ts_ms

    def _trim(self) -> None:
        # The one at the horizon stays: it is still the last price at that time.
        keep_from = max(bisect_right(self._times, self._times[-1] - self._horizon_ms) - 1, 0)
        keep_from = max(keep_from, len(self._times) - MAX_TICKS)
        del self._times[:keep_from]
        del self._values[:keep_from]
