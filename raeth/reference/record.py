"""Writes what `replay` reads: every frame of every venue, as it arrived, with its time of receipt.

A line is `recv_ns {"venue": …, "frame": …}`, the first line a header with the venues' names. The file is
flushed every second so that it can be read after the recorder was killed.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, cast

from raeth.clock import Clock, RealClock
from raeth.reference import numbers
from raeth.reference.connection import VenueLink
from raeth.reference.recording import HEADER_KEY
from raeth.reference.settings import ReferenceSettings, VenueName
from raeth.reference.types import Rate, SourceError, Tick
from raeth.reference.venues import ADAPTERS

FLUSH_S = 1.0
FORMAT_VERSION = 1


class FrameFile:
    """The file being written; gzipped if its name ends in `.gz`.

    Never overwrites, and never appends either: what follows a gzip stream cut short by a kill cannot be read.
    """

    def __init__(self, path: str | Path, venues: Sequence[str], now_ms: int) -> None:
        try:
            self._plain: IO[bytes] = open(path, "xb")  # noqa: SIM115 - closed in `close`
        except FileExistsError:
            raise SourceError(f"{path}: exists already; a recording is never overwritten") from None
        except OSError as error:
            raise SourceError(f"{path}: cannot be written: {error.strerror}") from None
        self._file: IO[bytes] = self._plain
        if str(path).endswith(".gz"):
            self._file = cast(IO[bytes], gzip.GzipFile(fileobj=self._plain, mode="wb", compresslevel=6))
        self._write(now_ms, json.dumps({HEADER_KEY: FORMAT_VERSION, "venues": list(venues)}))
        self.flush()

    def add(self, venue: str, raw: str | bytes, recv_ts: int) -> None:
        """One frame. JSON is embedded as it stands; anything else as a JSON string, to be garbage again on replay."""
        text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
        try:
            numbers.decode(text)
            embedded = text if "\n" not in text and "\r" not in text else json.dumps(text)
        except (ValueError, RecursionError):
            embedded = json.dumps(text)
        self._write(recv_ts, f'{{"venue":"{venue}","frame":{embedded}}}')

    def flush(self) -> None:
        self._file.flush()
        self._plain.flush()

    def close(self) -> None:
        self._file.close()
        self._plain.close()

    def _write(self, recv_ts: int, text: str) -> None:
        self._file.write(f"{recv_ts}000000 {text}\n".encode())


async def record(
    path: str | Path,
    venues: Sequence[str],
    seconds: float | None = None,
    *,
    settings: ReferenceSettings | None = None,
    clock: Clock | None = None,
) -> dict[str, int]:
    """Record the venues into a new file for so many real seconds, or until cancelled.

    Returns the number of frames a venue sent. Raises SourceError for an unknown venue, or a file that exists
    or cannot be written (also when the disk fills up).
    """
    unknown = [name for name in venues if name not in ADAPTERS]
    if unknown or not venues:
        raise SourceError(f"unknown venues {unknown}; known are {', '.join(ADAPTERS)}")
    settings = settings or ReferenceSettings()
    clock = clock or RealClock()
    file = FrameFile(path, venues, clock.now_ms())
    frames = dict.fromkeys(venues, 0)

    def on_frame(venue: str, raw: str | bytes, recv_ts: int, found: list[Tick | Rate]) -> None:
        frames[venue] += 1
        file.add(venue, raw, recv_ts)

    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            group.create_task(_flush_regularly(file))
            for name in venues:
                adapter = ADAPTERS[name](settings.urls.get(cast(VenueName, name)))
                group.create_task(VenueLink(adapter, settings, clock, partial(on_frame, name)).run())
    except TimeoutError:
        pass
    except ExceptionGroup as failures:  # Sockets are looked after by their links: what fails here is the file.
        raise SourceError(f"{path}: cannot be written: {failures.exceptions[0]}") from None
    finally:
        file.close()
    return frames


async def _flush_regularly(file: FrameFile) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        file.flush()
