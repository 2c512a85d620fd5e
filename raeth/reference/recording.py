"""Recorded prices in a file: which kind it is, and its records one by one, read as they are needed.

Kinds: CSV `ts_ms,price_cents[,…]` with a header; frames of Binance's socket, `recv_ns JSON` a line; frames
of several venues as `record` writes them, `recv_ns {"venue": …, "frame": …}`. Any may be gzipped. The start
of a file is checked strictly when it is opened; a bad line further on is logged, counted and skipped.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import structlog

from raeth.reference import numbers
from raeth.reference.types import Rate, SourceError, Tick
from raeth.reference.venues import ADAPTERS, Adapter, Binance, MessageError, ReconnectRequested

log = structlog.get_logger("raeth.reference")

MAX_LINE_BYTES = 8 * 1024 * 1024
CHECKED_LINES = 10_000
"""So many lines are read, and must be good, when a file is opened."""
HEADER_KEY = "raeth_recording"
CSV_VENUE = "recording"
GZIP_MAGIC = b"\x1f\x8b"

Kind = Literal["csv", "trades", "quotes", "venues"]


@dataclass(frozen=True, slots=True)
class Record:
    """Prices that become known at `due_ms` of recorded time."""

    due_ms: int
    items: list[Tick | Rate]


class BadLine(ValueError):
    """One line does not have the form of its file."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A checked file. `venues`: whose prices are in it, in order of the header or of appearance."""

    path: Path
    kind: Kind
    venues: tuple[str, ...]
    first_ms: int

    @classmethod
    def open(cls, path: str | Path) -> Recording:
        """Check the file's start. Raises SourceError, naming file and line, if it cannot be replayed."""
        path = Path(path)
        try:
            lines = list(islice(_numbered_lines(path), CHECKED_LINES))
        except (OSError, *_DAMAGED) as error:
            raise SourceError(f"{path}: cannot be read: {error}") from None
        kind, venues = _recognise(path, lines)
        found = cls(path, kind, venues, 0)
        checked = list(found._records(iter(lines), strict=True))
        first = checked[0] if checked else next(found.records(), None)
        if first is None:
            raise SourceError(f"{path}: holds no price")
        return cls(path, kind, venues, first.due_ms)

    def records(self) -> Iterator[Record]:
        """All records with a price, in the file's order, `due_ms` never falling. Damage ends or thins it, logged."""
        try:
            yield from self._records(_numbered_lines(self.path), strict=False)
        except (OSError, *_DAMAGED) as error:
            log.error("recording_unreadable", file=str(self.path), why=str(error))

    def _records(self, lines: Iterator[tuple[int, bytes]], strict: bool) -> Iterator[Record]:
        parse = self._parser()
        due_ms = skipped = 0
        for number, line in lines:
            try:
                record = parse(number, line)
            except (BadLine, *_MALFORMED) as error:
                if not line.endswith(b"\n"):
                    continue  # The last line of a recorder that was killed.
                if strict:
                    raise SourceError(f"{self.path}, line {number}: {error}") from None
                skipped += 1
                if skipped % CHECKED_LINES == 1:
                    log.warning("recording_line_skipped", file=str(self.path), line=number, count=skipped)
                continue
            if record is not None and record.items:
                due_ms = max(due_ms, record.due_ms)
                yield Record(due_ms, record.items)

    def _parser(self) -> Callable[[int, bytes], Record | None]:
        if self.kind == "csv":
            return _parse_csv
        if self.kind == "venues":
            return VenueLines()
        return BinanceLines(self.kind)


_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
_MALFORMED = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError)


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as plain:
        zipped = plain.read(2) == GZIP_MAGIC
        plain.seek(0)
        file = cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if zipped else cast(BinaryIO, plain)
        number = 0
        try:
            while line := _read_line(file):
                number += 1
                if line.strip():
                    yield number, line
        except _DAMAGED as error:
            # A recorder that was killed leaves a gzip stream without its end: everything before it is good.
            if number == 0:
                raise
            log.warning("recording_cut", file=str(path), after_line=number, why=str(error))


def _read_line(file: BinaryIO) -> bytes:
    line = file.readline(MAX_LINE_BYTES)
    if len(line) == MAX_LINE_BYTES:
        raise OSError(f"a line is longer than {MAX_LINE_BYTES} bytes")
    return line


def _recognise(path: Path, lines: list[tuple[int, bytes]]) -> tuple[Kind, tuple[str, ...]]:
    if not lines:
        raise SourceError(f"{path}: is empty")
    number, first = lines[0]
    if first.startswith(b"ts_ms,price_cents"):
        return "csv", (CSV_VENUE,)
    try:
        _, message = _split_frame(first)
    except (BadLine, *_MALFORMED):
        raise SourceError(
            f"{path}, line {number}: neither the CSV header `ts_ms,price_cents[,…]` nor a frame `recv_ns JSON`"
        ) from None
    if isinstance(message, dict) and (HEADER_KEY in message or "venue" in message):
        return "venues", _venues_in(path, lines)
    # Trades have the venue's own time, quotes only the recorder's: quotes are used where there is nothing better.
    has_trades = any(b'"trade"' in line for _, line in lines)
    return ("trades" if has_trades else "quotes"), (Binance.name,)


def _venues_in(path: Path, lines: list[tuple[int, bytes]]) -> tuple[str, ...]:
    number, first = lines[0]
    _, message = _split_frame(first)
    if HEADER_KEY in message:
        names = message.get("venues")
    else:  # A part of a recording: whoever speaks at its start.
        names = [name for name in ADAPTERS if any(b'"venue":"%s"' % name.encode() in line for _, line in lines)]
    if not isinstance(names, list) or not names or any(name not in ADAPTERS for name in names):
        raise SourceError(f"{path}, line {number}: names no venue known here ({', '.join(ADAPTERS)})")
    return tuple(names)


def _split_frame(line: bytes) -> tuple[int, Any]:
    stamp, space, text = line.partition(b" ")
    if not space or not stamp.isdigit() or len(stamp) > 20:
        raise BadLine("expected `recv_ns JSON`: a time in nanoseconds, a space, a JSON document")
    try:
        return int(stamp), numbers.decode(text.strip())
    except (ValueError, RecursionError):
        raise BadLine("expected `recv_ns JSON`: what follows the time is not JSON") from None


def _parse_csv(number: int, line: bytes) -> Record | None:
    if number == 1:
        return None
    fields = line.split(b",", 2)
    if len(fields) < 2 or not fields[0].strip().isdigit() or not fields[1].strip().isdigit():
        raise BadLine("expected `ts_ms,price_cents[,…]`: two whole numbers first")
    ts_ms, price_cents = int(fields[0]), int(fields[1])
    if not 0 < price_cents <= numbers.MAX_PRICE_CENTS or not 0 < ts_ms < 10**14:
        raise BadLine("time or price out of range")
    return Record(ts_ms, [Tick(CSV_VENUE, price_cents, ts_ms, ts_ms)])


class BinanceLines:
    """Lines of Binance's combined streams. The price is the recorded one, in USDT: there is no rate to convert by.

    The recorder's clock may be behind the venue's: a price is due when both times have come.
    """

    def __init__(self, kind: Kind) -> None:
        self._wanted = b'"trade"' if kind == "trades" else b'"b"'
        self._adapter: Adapter = Binance()

    def __call__(self, number: int, line: bytes) -> Record | None:
        if number > CHECKED_LINES and self._wanted not in line:
            return None  # Four frames of five: decoding them would halve the speed.
        recv_ns, message = _split_frame(line)
        if not isinstance(message, dict):
            raise BadLine("expected a JSON object after the time")
        if self._wanted not in line:
            return None
        recv_ms = recv_ns // 1_000_000
        found = self._adapter.read(message, recv_ms)
        due_ms = max([recv_ms, *(item.source_ts for item in found)])
        return Record(due_ms, [Tick(i.venue, i.price_cents, i.source_ts, due_ms) for i in found if isinstance(i, Tick)])


class VenueLines:
    """Lines as `record` writes them. A frame the venue garbled is skipped, as it was when it arrived."""

    def __init__(self) -> None:
        self._adapters = {name: adapter() for name, adapter in ADAPTERS.items()}

    def __call__(self, number: int, line: bytes) -> Record | None:
        recv_ns, message = _split_frame(line)
        if HEADER_KEY in message:
            return None
        adapter = self._adapters.get(message.get("venue"))
        if adapter is None or "frame" not in message:
            raise BadLine('expected {"venue": …, "frame": …} after the time')
        recv_ms, frame = recv_ns // 1_000_000, message["frame"]
        try:
            found = adapter.parse(frame, recv_ms) if isinstance(frame, str) else adapter.parse_message(frame, recv_ms)
        except (MessageError, ReconnectRequested):
            return None
        return Record(recv_ms, found)
