"""The write-ahead log of a SQLite file: whether it holds all that was committed to it, and cutting off what was not.

SQLite reads its log up to the first frame that does not fit and takes the rest for a commit that a crash cut short. A
frame that went bad later looks the same, and all that was committed behind it would be gone without a word. Two things
tell the difference: the index of the log (`-shm`) that a killed process leaves says how many frames were durable, and a
frame that continues a commit was written after that commit's fsync. Must not know what is in the rows.

The layouts are those of SQLite's "WAL-mode File Format". Where there is no `-shm`, damage to the newest commit cannot
be told from a torn one, nor can a log that was cut off, or taken away.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing, suppress
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from raeth.journal.base import JournalDamaged

_HEADER_BYTES = 32
_FRAME_BYTES = 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""The first number of the log, and the byte order of its checksums."""
_INDEX_BYTES = 48
_INDEX_VERSION = 3_007_000


class _Log(NamedTuple):
    """The log's header, if it is whole."""

    order: str
    page_bytes: int
    salts: bytes


class _Index(NamedTuple):
    """The head of `-shm`: how many frames are committed, and to which generation of the log they belong."""

    frames: int
    salts: bytes


def check_log(path: Path) -> None:
    """Raise JournalDamaged if transactions that were durable can no longer be read from the log beside `path`.

    `seq` is the first row that is missing (0 if nothing can be read). Changes neither the file nor its log. Harmless
    while other processes use the file; this one must not have it open, for its locks would be lost (see `open_index`).
    """
    log_path = path.with_name(path.name + "-wal")
    try:
        if not path.stat().st_size or log_path.stat().st_size <= _HEADER_BYTES:
            return
    except FileNotFoundError:
        return
    known = _index(path)
    with log_path.open("rb", buffering=0) as file:
        start = file.read(_HEADER_BYTES)
        log = _log(start)
        if log is None and not any(start) and known is None:
            return  # never written: the system lengthened the file before it lost power
        # Opened to be read only, the last connection to close leaves the log as it is.
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)) as database:
            seq = _first_missing(database)
            found = _index(path)
            # Without an index SQLite has not read the log: whoever opens the file next is told why. An index of another
            # generation means that a process at work has just begun the log anew.
            read = found is not None and (log is None or found.salts == log.salts)
            why = _lost(file, log, known, found.frames) if read and found is not None else None
            file.seek(0)
            unchanged = found == _index(path) and file.read(_HEADER_BYTES) == start
            if why is not None and unchanged:
                raise JournalDamaged(seq, f"the write-ahead log is damaged: {why}")


def cut_log(path: Path, index_descriptor: int) -> None:
    """Cut off, durably, what lies behind the last commit in the log beside `path`, so that nothing of it can land.

    Only for whoever holds the write lock; `index_descriptor` is from `open_index`. Needs no room on the disk. Raises
    OSError.
    """
    index = _parsed(os.pread(index_descriptor, 2 * _INDEX_BYTES, 0))
    if index is None:
        raise OSError("the index of the write-ahead log cannot be read")
    with path.with_name(path.name + "-wal").open("r+b") as file:
        log = _log(file.read(_HEADER_BYTES).ljust(_HEADER_BYTES, b"\0"))
        end = 0  # a generation without a commit: all of the one before was copied into the file
        if index.frames:
            if log is None or log.salts != index.salts:
                raise OSError("the write-ahead log and its index do not belong together")
            end = _HEADER_BYTES + index.frames * (_FRAME_BYTES + log.page_bytes)
        size = file.seek(0, os.SEEK_END)
        os.ftruncate(file.fileno(), min(size, end))
        os.fsync(file.fileno())


def open_index(path: Path) -> int:
    """A descriptor of the log's index that must stay open for as long as the process lives.

    To close any descriptor of a file gives up all locks that the process has on it, those of SQLite too, and without
    them the next process to come would begin the index anew under our feet. Raises OSError.
    """
    return os.open(path.with_name(path.name + "-shm"), os.O_RDONLY | os.O_CLOEXEC)


def _lost(file: FileIO, log: _Log | None, known: _Index | None, frames: int) -> str | None:
    """What shows that more than `frames` frames were durable; None if nothing does."""
    if log is None:
        return "its header cannot be read"
    if known is not None and known.salts == log.salts and frames < known.frames:
        return f"{known.frames} pages were committed to it, {frames} can be read"
    number = _continued_commit(file, log, frames)
    return None if number is None else f"{frames} pages can be read, but page {number} was committed behind them"


def _first_missing(database: sqlite3.Connection) -> int:
    try:
        (last,) = database.execute("SELECT max(seq) FROM journal").fetchone()
    except (sqlite3.Error, UnicodeDecodeError):  # a message may quote the damage
        return 0
    return last + 1 if isinstance(last, int) else 1


def _index(path: Path) -> _Index | None:
    """The head of the log's index, if both its copies agree."""
    content = b""
    with suppress(OSError), path.with_name(path.name + "-shm").open("rb") as file:
        content = file.read(2 * _INDEX_BYTES)
    return _parsed(content)


def _parsed(content: bytes) -> _Index | None:
    first, second = content[:_INDEX_BYTES], content[_INDEX_BYTES:]
    if len(first) < _INDEX_BYTES or first != second:
        return None
    version, initialised, frames = struct.unpack_from("=I8xB3xI", first)
    if version != _INDEX_VERSION or not initialised or not _sums_to("=", first[:40], (0, 0), first[40:48]):
        return None
    return _Index(frames, first[32:40])


def _log(start: bytes) -> _Log | None:
    magic, page_bytes = struct.unpack_from(">I4xI", start)
    order = _MAGIC.get(magic)
    if order is None or not _sums_to(order, start[:24], (0, 0), start[24:32], stored=">"):
        return None
    return _Log(order, page_bytes, start[16:24])


def _continued_commit(file: FileIO, log: _Log, after: int) -> int | None:
    """The first frame behind number `after` that ends a commit and is continued by the next frame.

    Left-overs of commits that failed are of this generation too, but none of them goes on where another ended.
    """
    frame_bytes = _FRAME_BYTES + log.page_bytes
    number = after
    file.seek(_HEADER_BYTES + after * frame_bytes)
    frame = file.read(frame_bytes)
    while len(following := file.read(frame_bytes)) == frame_bytes:
        number += 1
        ends_commit = frame[4:8] != b"\0\0\0\0"
        if ends_commit and frame[8:16] == following[8:16] == log.salts:
            seed = struct.unpack_from(">II", frame, 16)
            if _sums_to(log.order, following[:8] + following[_FRAME_BYTES:], seed, following[16:24], stored=">"):
                return number
        frame = following
    return None


def _sums_to(order: str, content: bytes, seed: tuple[int, int], expected: bytes, stored: str | None = None) -> bool:
    """SQLite's checksum of `content`, continued from `seed`, against the eight bytes `expected`."""
    one, two = seed
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return struct.pack(f"{stored or order}II", one, two) == expected
