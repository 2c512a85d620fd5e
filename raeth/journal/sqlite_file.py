"""The SQLite file of a journal: creating it, recognising it, connecting to it, and what its errors mean.

Must not know what is done with the connections. Other rooms keep their tables in the same file, so that projections
commit with the rows; whoever creates the file, the journal is the first to do so.
"""

from __future__ import annotations

import os
import resource
import sqlite3
from pathlib import Path
from time import monotonic, sleep

from raeth.journal.base import JournalDamaged, JournalForeign, JournalRefused, JournalUnavailable
from raeth.journal.sqlite_log import check_log

FORMAT = 2
"""1: as 2, without `projected_seq`; its tables were written with every row. Brought up in place when it is opened."""
APPLICATION_ID = 0x72616574
"""Marks the file's header, so that a stranger's database is never written to."""

LOCK_TIMEOUT_S = 5.0
_LOCK_PAUSE_MIN_S = 0.000_1
_LOCK_PAUSE_MAX_S = 0.002

CHECKPOINT_PAGES = 16_000
"""Beyond this many pages of 4 KiB a commit copies the write-ahead log into the file itself. Usually another connection
has done so before, and no order waited for it: see `sqlite.CHECKPOINT_S`."""
WAL_KEPT_BYTES = 64 << 20
WRITER_CACHE_KIB = 32 << 10
READER_CACHE_KIB = 8 << 10
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables

_SCHEMA = """
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, ts INTEGER NOT NULL, command BLOB NOT NULL, events BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TABLE journal_keys (
    owner INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, place INTEGER NOT NULL, fingerprint BLOB NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (
    seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, engine_version INTEGER NOT NULL, checksum BLOB NOT NULL,
    blob BLOB NOT NULL
) STRICT;
CREATE TABLE journal_meta (
    id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, head_seq INTEGER NOT NULL,
    transactions INTEGER NOT NULL, projected_seq INTEGER NOT NULL
) STRICT;
"""

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the journal's file, creating it (mode 0600) if it is missing or empty; the connection that writes.

    Raises JournalDamaged for what is no journal or of another format (seq 0) and for a write-ahead log that lost what
    was committed, JournalUnavailable if it cannot be opened.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise JournalUnavailable(f"SQLite {sqlite3.sqlite_version} is too old; at least 3.37 is needed")
    try:
        _touch(path)
        check_log(path)
        connection = sqlite3.connect(
            path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except (OSError, sqlite3.Error) as error:
        raise JournalUnavailable(f"{path} cannot be opened: {error}") from error
    try:
        _recognise(connection, path)
        _tune(connection, WRITER_CACHE_KIB)
        _create_once(connection)
        _bring_up(connection)
        _check_format(connection, path)
        connection.execute("PRAGMA busy_timeout = 0")  # `lock` waits better
    except (JournalDamaged, JournalUnavailable):
        connection.close()
        raise
    except Exception as error:
        connection.close()
        raise unreadable(error) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A second connection to a file `open_writer` has opened: sees what is durable, waits for no lock, cannot write."""
    try:
        connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        _tune(connection, READER_CACHE_KIB)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise unreadable(error) from error
    return connection


class Checkpointer:
    """A third connection, which only copies the write-ahead log into the file. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Raises JournalDamaged or JournalUnavailable."""
        try:
            self._db = sqlite3.connect(
                self._path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            _tune(self._db, 0)
        except sqlite3.Error as error:
            raise unreadable(error) from error

    def copy(self) -> int:
        """See `checkpoint`."""
        return 0 if self._db is None else checkpoint(self._db)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()


def checkpoint(connection: sqlite3.Connection) -> int:
    """Copy what the log holds into the file, beside a writer that goes on; how many pages the log has.

    Whatever prevents it, the log stays good."""
    try:
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.Error:
        return 0
    return int(pages)


def lock(connection: sqlite3.Connection) -> None:
    """Begin a transaction that may write, waiting up to `LOCK_TIMEOUT_S` for other processes to end theirs.

    SQLite's own wait sleeps up to 100 ms at a time, many times longer than a batch takes. Raises sqlite3.Error.
    """
    deadline_s = monotonic() + LOCK_TIMEOUT_S
    pause_s = _LOCK_PAUSE_MIN_S
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > deadline_s:
                raise
        sleep(pause_s)
        pause_s = min(2 * pause_s, _LOCK_PAUSE_MAX_S)


def translate(error: Exception, seq: int = 0) -> JournalDamaged | JournalUnavailable:
    """What an error of the database means in the journal's terms; `seq` is the row concerned, 0 for the whole file."""
    # The low byte is the error's family; errors of the Python module itself (a wrong binding) have no code.
    family = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if family in _DAMAGED:
        return JournalDamaged(seq, str(error))
    if family in _UNAVAILABLE:
        return JournalUnavailable(f"{error} ({getattr(error, 'sqlite_errorname', 'unknown')})")
    return JournalRefused(f"{type(error).__name__}: {error}")


def unreadable(error: Exception, seq: int = 0) -> JournalDamaged | JournalUnavailable:
    """As `translate`, for reading what the journal itself wrote: nothing wrong was asked, so the bytes are wrong."""
    known = translate(error, seq)
    return JournalDamaged(seq, known.why) if isinstance(known, JournalRefused) else known


def room_bytes(path: Path) -> int:
    """By how much the journal's files may still grow: what the file system has free, and what the process may write."""
    try:
        disk = os.statvfs(path)
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        free = disk.f_bavail * disk.f_frsize
        if limit == resource.RLIM_INFINITY:
            return free
        longest = max(path.stat().st_size, path.with_name(path.name + "-wal").stat().st_size)
        return min(free, limit - longest)
    except OSError:
        return 0


def _touch(path: Path) -> None:
    """Create the file and its directory, private to this user, so that both survive a power cut."""
    for directory in reversed(path.parents):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)
            _sync_directory(directory.parent)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    """Before anything is written: an empty file may become a journal, anything else has to be one already."""
    # In this order: another worker may create the tables, and with them the mark, between the two.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if tables and application_id != APPLICATION_ID:
        raise JournalDamaged(0, f"{path} is a SQLite database, but not a journal of this venue")


def _tune(connection: sqlite3.Connection, cache_kib: int) -> None:
    """Durability and memory. No mmap: an I/O error would then be a signal that kills the venue, not an error."""
    _write_ahead(connection)
    for pragma in (
        "synchronous = FULL",
        "fullfsync = ON",  # on macOS a plain fsync does not reach the disk
        "foreign_keys = ON",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        f"journal_size_limit = {WAL_KEPT_BYTES}",
        f"cache_size = -{cache_kib}",
        "mmap_size = 0",
        "temp_store = MEMORY",
        "cell_size_check = ON",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalUnavailable(f"the file system does not support write-ahead logging (journal mode {mode})")


def _create_once(connection: sqlite3.Connection) -> None:
    """Create the tables unless they exist, under the lock: several workers may start on one new file."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            for statement in _SCHEMA.split(";")[:-1]:
                connection.execute(statement)
            connection.execute("INSERT INTO journal_meta VALUES (1, ?, 0, 0, 0)", (FORMAT,))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


_FROM_FORMAT_1 = (
    "ALTER TABLE journal_meta ADD COLUMN projected_seq INTEGER NOT NULL DEFAULT 0",
    "UPDATE journal_meta SET projected_seq = head_seq, format = 2",
)


def _bring_up(connection: sqlite3.Connection) -> None:
    """From format 1 to 2, under the lock, as several workers may start on one old file."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        row = connection.execute("SELECT format FROM journal_meta").fetchone()
        if row == (1,):
            for statement in _FROM_FORMAT_1:
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    row = connection.execute("SELECT format FROM journal_meta").fetchone()
    if row is None:
        raise JournalDamaged(0, f"{path} does not say which format it has")
    if row[0] != FORMAT:
        raise JournalForeign(f"{path} has format {row[0]}; this version reads and writes formats up to {FORMAT} only")
