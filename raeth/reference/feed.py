"""From ticks to readings and prints: the part every source shares.

A feed is told ticks and asked for prices. It opens no file and no socket and asks no clock: the time is
always an argument. `StreamFeed` believes one stream, `VenueIndex` takes the index of several venues.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from raeth.reference.history import HISTORY_MS, TickHistory
from raeth.reference.index import IndexRule, VenueQuote, explain, index_value
from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import (
    INDEX,
    Print,
    Rate,
    Reading,
    Reason,
    Status,
    Tick,
    TickCallback,
    VenueInput,
)

USDT_VENUES = frozenset({"binance"})
"""Venues whose pair is against USDT: their prices are dollars only after conversion."""


class Feed(ABC):
    """Callbacks, the last reference price, and the shape of readings and prints."""

    def __init__(self, name: str, synthetic: bool, settings: ReferenceSettings) -> None:
        self.name = name
        self.synthetic = synthetic
        self.settings = settings
        self._callbacks: list[TickCallback] = []
        self._last: Tick | None = None
        self._read: tuple[int, Reading] | None = None

    @abstractmethod
    def add(self, item: Tick | Rate, quiet: bool = False) -> None:
        """Take one tick. `quiet` primes the memory without telling anybody."""

    @abstractmethod
    def final_print_at(self, boundary_ms: int) -> Print:
        """What the evidence gives now."""

    @abstractmethod
    def print_at(self, boundary_ms: int) -> Print | None:
        """The print, or None while waiting may still change it."""

    @abstractmethod
    def venues_at(self, now_ms: int) -> list[dict[str, Any]]:
        """Per venue what it has, for people and for `/reference`."""

    def on_tick(self, callback: TickCallback) -> None:
        self._callbacks.append(callback)

    def current(self, now_ms: int) -> Reading:
        """The last reference price with its age; LIVE, STALE or DOWN by age alone."""
        if self._read is None or self._read[0] != now_ms:
            self._read = (now_ms, self._reading(now_ms))  # whoever asks within the same millisecond gets the same
        return self._read[1]

    def _reading(self, now_ms: int) -> Reading:
        venues = tuple(self.venues_at(now_ms))
        if self._last is None:
            return Reading(None, None, None, "DOWN", self.name, self.synthetic, venues)
        age_ms = max(0, now_ms - self._last.source_ts)
        status = self._status(age_ms)
        last = self._last
        return Reading(last.price_cents, last.source_ts, age_ms, status, self.name, self.synthetic, venues)

    def _status(self, age_ms: int) -> Status:
        if age_ms <= self.settings.stale_after_ms:
            return "LIVE"
        return "STALE" if age_ms <= self.settings.down_after_ms else "DOWN"

    def _publish(self, tick: Tick, quiet: bool) -> None:
        self._last = tick
        if not quiet:
            for callback in self._callbacks:
                callback(tick)

    def _usable(
        self, boundary_ms: int, price_cents: int, source_ts: int, rule: str, inputs: tuple[VenueInput, ...]
    ) -> Print:
        age_ms = boundary_ms - source_ts
        assert 0 <= age_ms <= self.settings.print_max_age_ms, "a print from the future, or too old"
        return Print(boundary_ms, price_cents, source_ts, age_ms, rule, None, self.name, self.synthetic, inputs)

    def _unusable(self, boundary_ms: int, reason: Reason, rule: str, inputs: tuple[VenueInput, ...]) -> Print:
        return Print(boundary_ms, None, None, None, rule, reason, self.name, self.synthetic, inputs)


class StreamFeed(Feed):
    """One stream whose every tick is the reference price: a recording reduced to one price series."""

    def __init__(self, name: str, venue: str, settings: ReferenceSettings, horizon_ms: int = HISTORY_MS) -> None:
        super().__init__(name, synthetic=False, settings=settings)
        self._venue = venue
        self._history = TickHistory(horizon_ms)
        self._rule = f"last price at or before the boundary by source time, at most {settings.print_max_age_ms} ms old"

    def add(self, item: Tick | Rate, quiet: bool = False) -> None:
        self._read = None
        if isinstance(item, Tick) and self._history.add(item.source_ts, item.price_cents):
            self._publish(Tick(INDEX, item.price_cents, item.source_ts, item.recv_ts), quiet)

    def print_at(self, boundary_ms: int) -> Print | None:
        return self.final_print_at(boundary_ms) if self._history.passed(boundary_ms) else None

    def final_print_at(self, boundary_ms: int) -> Print:
        found = self._history.at(boundary_ms)
        if found is None:
            return self._unusable(boundary_ms, "no_price", self._rule, ())
        source_ts, price_cents = found
        age_ms = boundary_ms - source_ts
        too_old = age_ms > self.settings.print_max_age_ms
        why = f"older than {self.settings.print_max_age_ms} ms" if too_old else "used"
        inputs = (VenueInput(self._venue, price_cents, source_ts, age_ms, not too_old, why),)
        if too_old:
            return self._unusable(boundary_ms, "too_old", self._rule, inputs)
        return self._usable(boundary_ms, price_cents, source_ts, self._rule, inputs)

    def venues_at(self, now_ms: int) -> list[dict[str, Any]]:
        found = self._history.last()
        if found is None:
            return []
        age_ms = max(0, now_ms - found[0])
        used = age_ms <= self.settings.stale_after_ms
        return [VenueInput(self._venue, found[1], found[0], age_ms, used, "used" if used else "stale").as_dict()]


class VenueIndex(Feed):
    """The index of several venues, recomputed on every tick of any of them."""

    def __init__(
        self,
        name: str,
        synthetic: bool,
        venues: Sequence[str],
        settings: ReferenceSettings,
        horizon_ms: int = HISTORY_MS,
    ) -> None:
        super().__init__(name, synthetic, settings)
        # A recording of two venues must not need three of them.
        self._rule = IndexRule.of(settings, quorum=min(settings.quorum, len(venues)))
        self._histories = {venue: TickHistory(horizon_ms) for venue in venues}
        self._usdt_rates = TickHistory(horizon_ms)
        self.refused = dict.fromkeys(venues, 0)
        """Ticks a venue sent from the future, by venue: its clock or ours is wrong."""

    def add(self, item: Tick | Rate, quiet: bool = False) -> None:
        """Take a tick or a rate. Of a venue that is not in the index, or from the future: left out."""
        self._read = None
        too_new = item.source_ts > item.recv_ts + self.settings.max_future_ms
        if too_new:
            # Believed, it would count as having passed every boundary and would never grow old.
            self.refused[item.venue] = self.refused.get(item.venue, 0) + 1
            return
        if isinstance(item, Rate):
            self._usdt_rates.add(item.source_ts, item.rate_e8)
            return
        history = self._histories.get(item.venue)
        if history is None or not history.add(item.source_ts, item.price_cents):
            return
        value = index_value(self._quotes(None), item.recv_ts, self._rule)
        if value is not None:
            self._publish(Tick(INDEX, value[0], value[1], item.recv_ts), quiet)

    def print_at(self, boundary_ms: int) -> Print | None:
        """Decided once a quorum of usable venues has passed the boundary, if the print is usable.

        An unusable one waits for the other venues: their next tick may still bring a price from before.
        """
        passed = [venue for venue, history in self._histories.items() if history.passed(boundary_ms)]
        counted = [venue for venue in passed if self._quote(venue, boundary_ms).price_cents is not None]
        if len(counted) < self._rule.quorum and len(passed) < len(self._histories):
            return None
        result = self.final_print_at(boundary_ms)
        return result if result.usable or len(passed) == len(self._histories) else None

    def final_print_at(self, boundary_ms: int) -> Print:
        """The index at the boundary; without a quorum there, the last one before it that is young enough.

        The instants tried are the boundary and each venue's last tick before it: as one goes back in time
        a venue becomes fresh enough at its own last tick at the latest.
        """
        for at_ms in self._instants(boundary_ms):
            quotes = self._quotes(at_ms)
            value = index_value(quotes, at_ms, self._rule)
            if value is not None and boundary_ms - value[1] <= self.settings.print_max_age_ms:
                rule = str(self._rule)
                if at_ms != boundary_ms:
                    rule += f"; no quorum at the boundary, so as of {at_ms}, the last time there was one"
                return self._usable(boundary_ms, value[0], value[1], rule, explain(quotes, at_ms, self._rule))
        inputs = explain(self._quotes(boundary_ms), boundary_ms, self._rule)
        return self._unusable(boundary_ms, self._why_unusable(inputs), str(self._rule), inputs)

    def venues_at(self, now_ms: int) -> list[dict[str, Any]]:
        return [item.as_dict() for item in explain(self._quotes(None), now_ms, self._rule)]

    def _instants(self, boundary_ms: int) -> list[int]:
        oldest = boundary_ms - self.settings.print_max_age_ms
        last_ticks = {found[0] for h in self._histories.values() if (found := h.at(boundary_ms))}
        return [boundary_ms, *sorted((ts for ts in last_ticks if ts >= oldest), reverse=True)]

    def _why_unusable(self, inputs: tuple[VenueInput, ...]) -> Reason:
        ages = [item.age_ms for item in inputs if item.age_ms is not None]
        if not ages:
            return "no_price"
        return "too_old" if min(ages) > self.settings.print_max_age_ms else "no_quorum"

    def _quotes(self, at_ms: int | None) -> list[VenueQuote]:
        return [self._quote(venue, at_ms) for venue in self._histories]

    def _quote(self, venue: str, at_ms: int | None) -> VenueQuote:
        """The venue's last price at or before `at_ms`, or its last of all for None, in dollars."""
        history = self._histories[venue]
        found = history.last() if at_ms is None else history.at(at_ms)
        if found is None:
            return VenueQuote(venue, None, None)
        source_ts, price_cents = found
        if venue not in USDT_VENUES:
            return VenueQuote(venue, price_cents, source_ts)
        rate = self._usdt_rates.last() if at_ms is None else self._usdt_rates.at(at_ms)
        max_age_ms = self.settings.usdt_rate_max_age_ms
        if rate is None or (at_ms or source_ts) - rate[0] > max_age_ms:
            why = f"priced in USDT, and no USDT/USD rate younger than {max_age_ms} ms"
            return VenueQuote(venue, None, source_ts, why, quote_price_cents=price_cents)
        dollars = price_cents * rate[1] // 10**8
        return VenueQuote(venue, dollars, source_ts, "", price_cents, rate[1], rate[0])
