"""From the word on the command line to a reference source."""

from __future__ import annotations

from raeth.clock import Clock
from raeth.reference.live import LiveSource
from raeth.reference.replay import ReplaySource
from raeth.reference.settings import ReferenceSettings
from raeth.reference.simulated import SimulatedSource
from raeth.reference.types import ReferenceSource, SourceError


def open_source(
    spec: str,
    settings: ReferenceSettings,
    clock: Clock,
    start_ms: int | None = None,
    *,
    start_price_cents: int | None = None,
) -> ReferenceSource:
    """The source for `simulated`, `live` or `replay:FILE`; nothing is connected or delivered before `run`.

    `start_ms` (replay): recorded time to go on from; what lies before is known already. `start_price_cents`
    (simulated): the price to go on from after a restart. Raises SourceError for an unknown spec or a file
    that cannot be replayed.
    """
    kind, _, file = spec.partition(":")
    if spec == "simulated":
        return SimulatedSource(settings, clock, start_price_cents)
    if spec == "live":
        return LiveSource(settings, clock)
    if kind == "replay" and file:
        return ReplaySource(file, settings, clock, start_ms)
    raise SourceError(f"unknown reference {spec!r}: expected simulated, live or replay:FILE")
