"""The reading side of a SQLite journal, in plain synchronous code for one thread.

Must not know asyncio, nor what a command means. Each call sees what is durable when it starts, waits for no lock, and
leaves no transaction open, which would keep the write-ahead log from being folded into the file.
"""

from __future__ import annotations

import logging
import sqlite3
from functools import partial
from pathlib import Path

from raeth.journal.base import Key, Row, Snapshot
from raeth.journal.checks import snapshot_checksum
from raeth.journal.sqlite_file import open_reader, translate, unreadable

log = logging.getLogger(__name__)

_ROWS = "SELECT seq, ts, command, events, hash FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
_KEY = "SELECT owner, key, seq, place, fingerprint FROM journal_keys WHERE owner = ? AND key = ?"
_SNAPSHOT_SEQS = "SELECT seq FROM snapshots ORDER BY seq DESC"
_SNAPSHOT = "SELECT seq, hash, engine_version, blob, checksum FROM snapshots WHERE seq = ?"


class SqliteReader:
    """One connection that only reads, for one thread."""

    def __init__(self, path: Path) -> None:
        self._db = open_reader(path)

    def read(self, after_seq: int, limit: int, to_seq: int) -> list[Row]:
        """See `Journal.read`."""
        return fetch_rows(self._db, after_seq, to_seq, limit)

    def key(self, owner: int, key: str) -> Key | None:
        """See `Journal.key`."""
        try:
            return fetch_key(self._db, owner, key)
        except sqlite3.Error as error:
            raise translate(error) from error

    def latest_snapshot(self) -> Snapshot | None:
        """See `Journal.latest_snapshot`."""
        try:
            seqs = [seq for (seq,) in self._db.execute(_SNAPSHOT_SEQS)]
        except sqlite3.Error as error:
            log.warning("no snapshot can be read, everything is replayed: %s", error)
            return None
        for seq in seqs:
            snapshot = self._snapshot(seq)
            if snapshot is not None:
                return snapshot
            log.warning("the snapshot at seq %d is damaged and was skipped", seq)
        return None

    def projected(self) -> int:
        """See `Journal.projected`."""
        try:
            (mark,) = self._db.execute("SELECT projected_seq FROM journal_meta").fetchone()
        except sqlite3.Error as error:
            raise translate(error) from error
        return int(mark)

    def version(self) -> int:
        """A number that is another one after each commit of any connection but this one."""
        try:
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            raise translate(error) from error
        return int(version)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _snapshot(self, seq: int) -> Snapshot | None:
        """The snapshot at `seq` if it is whole and its row is in the chain."""
        try:
            *fields, checksum = self._db.execute(_SNAPSHOT, (seq,)).fetchone()
            snapshot = Snapshot._make(fields)
            whole = snapshot_checksum(snapshot) == checksum
            rows = self.read(seq - 1, 1, seq)
        except Exception:  # whatever a damaged page brings about, the snapshot is of no use
            return None
        return snapshot if whole and rows and rows[0].hash == snapshot.hash else None


_row = partial(tuple.__new__, Row)
"""As `Row._make`, without a call of Python's own for each row of a long history."""


def fetch_rows(connection: sqlite3.Connection, after_seq: int, to_seq: int, limit: int) -> list[Row]:
    """Rows with `after_seq < seq <= to_seq`, oldest first; JournalDamaged names the first that cannot be read."""
    rows: list[Row] = []
    try:
        rows.extend(map(_row, connection.execute(_ROWS, (after_seq, to_seq, limit))))
    except sqlite3.Error as error:
        seq = rows[-1].seq + 1 if rows else after_seq + 1
        raise unreadable(error, seq) from error
    return rows


def fetch_key(connection: sqlite3.Connection, owner: int, key: str) -> Key | None:
    """The idempotency key, if it exists. Raises sqlite3.Error."""
    found = connection.execute(_KEY, (owner, key)).fetchone()
    return None if found is None else Key._make(found)
