"""The reference as the journal has it: what every node knows of it, whoever feeds it.

Shown by the nodes that do not feed it, and evidence for the print of a boundary that the present feeder did not see.
Must not know where prices come from, books or agents.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from raeth.engine.commands import Command, IndexTick, Print
from raeth.engine.events import Event, IndexMoved
from raeth.engine.state import State
from raeth.engine.types import Input
from raeth.reference.types import Reading, Status

KEPT: Final = 1_024
"""Index ticks remembered: at four a second, what a print could ask for many times over."""

RULE: Final = (
    "last index tick in the journal at or before the boundary by source time, at most {max_age_ms} ms old; "
    "whoever fed the index then is gone, and what it saw since with it"
)


class Fact(Protocol):
    """A durable command as listeners see it."""

    @property
    def seq(self) -> int: ...

    @property
    def command(self) -> Command: ...

    @property
    def events(self) -> list[Event]: ...


class _Moved(NamedTuple):
    """One index tick of the journal; `seq` is None for the one that a start found in the state."""

    source_ts: int
    price_cents: int
    source: str
    seq: int | None


class JournaledIndex:
    """The index ticks of the journal, newest last. `state` gives the engine's state; ages are milliseconds."""

    def __init__(self, state: Callable[[], State], *, stale_after_ms: int, down_after_ms: int) -> None:
        self._state = state
        self._stale_after_ms = stale_after_ms
        self._down_after_ms = down_after_ms
        self._moved: deque[_Moved] = deque(maxlen=KEPT)
        known = state()
        if known.reference_price is not None:
            self._moved.append(_Moved(known.reference_ts, known.reference_price, known.reference_source or "", None))

    def heard(self, facts: Iterable[Fact]) -> None:
        """A listener of the sequencer: what became durable, here or on another node."""
        for fact in facts:
            if type(fact.command) is not IndexTick:
                continue  # nearly all are orders
            for event in fact.events:
                if isinstance(event, IndexMoved):
                    self._moved.append(_Moved(event.source_ts, event.price_cents, event.source, fact.seq))

    def current(self, now_ms: int, name: str, synthetic: bool) -> Reading:
        """The last reference price that is journaled; LIVE, STALE or DOWN by age alone."""
        state = self._state()
        if state.reference_price is None:
            return Reading(None, None, None, "DOWN", name, synthetic, ())
        age_ms = max(0, now_ms - state.reference_ts)
        source = state.reference_source or name
        return Reading(state.reference_price, state.reference_ts, age_ms, self._status(age_ms), source, synthetic, ())

    def _status(self, age_ms: int) -> Status:
        if age_ms <= self._stale_after_ms:
            return "LIVE"
        return "STALE" if age_ms <= self._down_after_ms else "DOWN"

    def print_at(self, boundary_ms: int, max_age_ms: int) -> Print | None:
        """The print that the journal's own ticks give (contract, section 7), None if none of them is young enough.

        By the same words as any print: the last reference price that is known with source time at or before the
        boundary. Where it comes from is in its rule and its inputs."""
        place = bisect_right(self._moved, boundary_ms, key=lambda moved: moved.source_ts)
        if not place:
            return None
        moved = self._moved[place - 1]
        if boundary_ms - moved.source_ts > max_age_ms:
            return None
        why = "used" if moved.seq is None else f"used: journal seq {moved.seq}"
        inputs = (Input("journal", moved.price_cents, moved.source_ts, True, why),)
        rule = RULE.format(max_age_ms=max_age_ms)
        return Print(boundary_ms, moved.price_cents, moved.source_ts, moved.source, rule, None, inputs)
