"""Stands in for the machine under the venue's own modules: its clocks, its log, and sizes that suit short runs.

Only what the modules ask the machine for is replaced, never their own code.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import raeth.clock
import raeth.sequencer.writing
import raeth.series.scheduler
from tests.simulation.loop import SimClock


class MachineTime:
    """What `raeth.clock` takes from the module `time`, in virtual time."""

    CLOCK_MONOTONIC = time.CLOCK_MONOTONIC

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock

    def time_ns(self) -> int:
        return self._clock.now_ms() * 1_000_000

    def monotonic_ns(self) -> int:
        return int(self._clock.monotonic_s() * 1e9)

    def clock_gettime(self, _which: int) -> float:
        return self._clock.monotonic_s()


class Log:
    """Takes the venue's log lines. A failure nobody planned is logged with its traceback: that ends the run."""

    def __init__(self, note: Callable[..., None], stop: Callable[[], None]) -> None:
        self._note = note
        self._stop = stop
        self.unexpected: list[str] = []
        self.deaf = False
        """The process is dead: what its unwinding says is nobody's."""

    def info(self, text: str, *args: object, **more: Any) -> None:
        if not self.deaf:
            self._note("log", text, *args, *more.items())

    warning = info

    def error(self, text: str, *args: object, **more: Any) -> None:
        self.info(text, *args, **more)
        if self.deaf:
            return
        if more.get("exc_info") or text == "venue stopped":
            self.unexpected.append(f"{text}: {more.get('kind', '')} {more.get('error', more.get('why', ''))}")
            self._stop()

    def exception(self, text: str, *args: object, **more: Any) -> None:
        if not self.deaf:
            self.unexpected.append(f"{text}: {sys.exc_info()[1]!r}")
            self._stop()


@contextlib.contextmanager
def installed(clock: SimClock, log: Log, *, snapshot_every: int, max_batch: int) -> Iterator[None]:
    """The venue's modules on this machine, and the real one back afterwards."""
    replaced: list[tuple[Any, str, Any]] = [
        (raeth.clock, "time", MachineTime(clock)),
        (raeth.sequencer.writing, "log", log),
        (raeth.series.scheduler, "log", log),
        (raeth.sequencer.writing, "SNAPSHOT_EVERY", snapshot_every),
        (raeth.sequencer.writing, "MAX_BATCH", max_batch),
    ]
    before = [getattr(module, name) for module, name, _ in replaced]
    try:
        for module, name, value in replaced:
            setattr(module, name, value)
        yield
    finally:
        for (module, name, _), value in zip(replaced, before, strict=True):
            setattr(module, name, value)
