"""The reference room: the BTC price that windows open and close on.

`open_source` gives one of three sources behind one protocol: `simulated`, `live` or `replay:FILE`. The room
knows nothing of markets, books, accounts or the journal. A source never falls back from real to synthetic.
"""

from raeth.reference.factory import open_source
from raeth.reference.record import record
from raeth.reference.replay import first_ts_ms
from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import (
    Print,
    Rate,
    Reading,
    ReferenceSource,
    SourceError,
    Tick,
    VenueInput,
)

__all__ = [
    "Print",
    "Rate",
    "Reading",
    "ReferenceSettings",
    "ReferenceSource",
    "SourceError",
    "Tick",
    "VenueInput",
    "first_ts_ms",
    "open_source",
    "record",
]
