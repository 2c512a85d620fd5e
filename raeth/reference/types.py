"""What the reference room hands out: ticks, prices, readings and the evidence of a print.

Knows nothing of venues' wire formats, of markets or of what a price is used for. Every price is integer
cents of US dollars for one bitcoin; every time is integer milliseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

INDEX = "index"
"""The `venue` of a tick that carries the reference price itself."""

Status = Literal["LIVE", "STALE", "DOWN"]
Reason = Literal["no_price", "too_old", "no_quorum"]


class SourceError(Exception):
    """The reference cannot be had as asked: an unknown spec, an unreadable or malformed file."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One price. `source_ts` is the venue's own time of it, `recv_ts` the injected clock's at arrival."""

    venue: str
    price_cents: int
    source_ts: int
    recv_ts: int


@dataclass(frozen=True, slots=True)
class Rate:
    """One USDT price in dollars, times 10**8, as a venue quoted it. Only used to convert USDT pairs."""

    venue: str
    rate_e8: int
    source_ts: int
    recv_ts: int


@dataclass(frozen=True, slots=True)
class VenueInput:
    """What one venue contributed to a price, and why it was used or not.

    `price_cents` is in dollars. For a USDT pair it is `quote_price_cents * rate_e8 / 10**8`, rounded down.
    """

    venue: str
    price_cents: int | None
    source_ts: int | None
    age_ms: int | None
    used: bool
    why: str
    quote_price_cents: int | None = None
    rate_e8: int | None = None
    rate_source_ts: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; the conversion's fields appear only where there was a conversion."""
        # Not `asdict`: every reading shows every venue, and a deep copy of plain values costs more than the reading.
        names = _UNCONVERTED if self.quote_price_cents is None else _CONVERTED
        return {name: getattr(self, name) for name in names}


_CONVERTED: Final = tuple(VenueInput.__dataclass_fields__)
_UNCONVERTED: Final = _CONVERTED[:-3]


@dataclass(frozen=True, slots=True)
class Print:
    """The answer to "what was the reference price at `boundary_ms`?", with its evidence.

    Usable: `price_cents` and `source_ts <= boundary_ms` are set, `age_ms = boundary_ms - source_ts`.
    Unusable: `price_cents` is None and `reason` says why; `inputs` still show what there was.
    """

    boundary_ms: int
    price_cents: int | None
    source_ts: int | None
    age_ms: int | None
    rule: str
    reason: Reason | None
    source: str
    synthetic: bool
    inputs: tuple[VenueInput, ...]

    @property
    def usable(self) -> bool:
        return self.price_cents is not None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, in a stable order: fit for a journal."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "inputs"}
        return {**fields, "inputs": [item.as_dict() for item in self.inputs]}


@dataclass(frozen=True, slots=True)
class Reading:
    """The last reference price as of now. A price may be old: `status` and `age_ms` say how old."""

    price_cents: int | None
    source_ts: int | None
    age_ms: int | None
    status: Status
    source: str
    synthetic: bool
    venues: tuple[dict[str, Any], ...]


TickCallback = Callable[[Tick], None]


class ShownReference(Protocol):
    """What a venue shows of the BTC price, wherever it is fed."""

    @property
    def name(self) -> str:
        """`simulated`, `live` or `replay:<file name>`."""
        ...

    @property
    def synthetic(self) -> bool:
        """True only if the price was made up. It is shown wherever the price is."""
        ...

    def current(self, now_ms: int) -> Reading:
        """The last reference price, at most as new as `now_ms`. Never raises."""
        ...


class ReferenceSource(ShownReference, Protocol):
    """Where the BTC price comes from. All methods belong to one event loop; only `run` waits."""

    async def run(self) -> None:
        """Deliver ticks until cancelled. One bad message, venue or socket never ends it."""
        ...

    def on_tick(self, callback: TickCallback) -> None:
        """Call `callback` for every undecimated tick of the index, in order. It must be quick and not raise."""
        ...

    def print_at(self, boundary_ms: int, now_ms: int) -> Print | None:
        """The print at a boundary once it can no longer change by waiting; None while it still may."""
        ...

    def final_print_at(self, boundary_ms: int, now_ms: int) -> Print:
        """The print that the evidence gives by now: for the deadline, after which nobody waits."""
        ...
