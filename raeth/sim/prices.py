"""Where the bitcoin price of a simulation comes from: the project's simulated reference, a recording, or any series.

All end in a feed of the reference room, so index and prints follow the venue's own rules; only the waiting is left out.
Must not know markets, agents or the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from raeth.reference.feed import Feed, StreamFeed, VenueIndex
from raeth.reference.recording import Recording
from raeth.reference.settings import ReferenceSettings
from raeth.reference.simulated import VENUES, synthetic_ticks
from raeth.reference.types import Rate, Tick

START_MS = 1_767_225_585_000
"""When a made-up day begins, unless the caller says otherwise: 15 s before 2026-01-01T00:00Z, so that the first window
opens with some price history."""
START_PRICE_CENTS = 9_500_000
SERIES = "series"

Delivery = tuple[int, list[Tick | Rate]]
"""Prices and the time at which they become known; that time never falls."""
PriceSeries = Iterable[tuple[int, int]]
"""`(ts_ms, price_cents)`, oldest first: each is known at its own time. Rows of an integer array will do."""
PricePath = str | Path | Recording | PriceSeries | None


@dataclass(slots=True)
class Prices:
    """An opened path. `kind` is the engine's `reference_kind`; `synthetic` says that the price was made up."""

    name: str
    kind: str
    synthetic: bool
    feed: Feed
    deliveries: Iterator[Delivery]
    first_ms: int


def open_prices(
    path: PricePath,
    *,
    seed: int,
    start_ms: int | None = None,
    start_price_cents: int = START_PRICE_CENTS,
    print_max_age_ms: int = 5_000,
) -> Prices:
    """Open a price path: None for the simulated reference, a file's path or `Recording`, or a series.

    `seed`, `start_ms` and `start_price_cents` belong to the simulated one. Raises SourceError for a file that cannot
    be replayed, ValueError for an empty series, and, while it runs, for one that goes back in time.
    """
    settings = ReferenceSettings(print_max_age_ms=print_max_age_ms, start_price_cents=start_price_cents)
    if path is None:
        return _simulated(settings, seed, START_MS if start_ms is None else start_ms)
    if isinstance(path, str | Path | Recording):
        return _recorded(path if isinstance(path, Recording) else Recording.open(path), settings)
    return _series(iter(path), settings)


def _simulated(settings: ReferenceSettings, seed: int, start_ms: int) -> Prices:
    feed = VenueIndex("simulated", True, VENUES, settings)
    ticks = synthetic_ticks(seed, start_ms, settings.start_price_cents)
    return Prices("simulated", "simulated", True, feed, ((tick.recv_ts, [tick]) for tick in ticks), start_ms)


def _recorded(recording: Recording, settings: ReferenceSettings) -> Prices:
    name = f"replay:{recording.path.name}"
    feed: Feed
    if recording.kind == "venues":
        feed = VenueIndex(name, False, recording.venues, settings)
    else:
        feed = StreamFeed(name, recording.venues[0], settings)
    deliveries = ((record.due_ms, record.items) for record in recording.records())
    return Prices(name, "replay", False, feed, deliveries, recording.first_ms)


def _series(series: Iterator[tuple[int, int]], settings: ReferenceSettings) -> Prices:
    first = next(series, None)
    if first is None:
        raise ValueError("the price series is empty")
    feed = StreamFeed(SERIES, SERIES, settings)
    return Prices(SERIES, "replay", False, feed, _deliver(chain([first], series)), int(first[0]))


def _deliver(series: Iterable[tuple[int, int]]) -> Iterator[Delivery]:
    last_ms = 0
    for ts, price in series:
        ts_ms, price_cents = int(ts), int(price)  # numpy's integers are not the journal's
        if ts_ms != ts or price_cents != price or price_cents <= 0:
            raise ValueError(f"a price series holds whole milliseconds and whole cents above 0, not {(ts, price)}")
        if ts_ms < last_ms:
            raise ValueError(f"the price series goes back in time, from {last_ms} to {ts_ms}")
        last_ms = ts_ms
        yield ts_ms, [Tick(SERIES, price_cents, ts_ms, ts_ms)]
