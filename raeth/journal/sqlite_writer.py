"""The writing side of a SQLite journal: the transaction, in plain synchronous code for one thread.

Must not know asyncio, nor what a command means. Every method leaves the connection either inside the one open
transaction (`begin` succeeded) or outside of any.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from raeth.journal.base import (
    EMPTY_HEAD,
    MAX_BEHIND,
    SNAPSHOTS_KEPT,
    Begun,
    Head,
    JournalDamaged,
    JournalRefused,
    JournalUnavailable,
    Key,
    Known,
    Row,
    Snapshot,
    Write,
)
from raeth.journal.checks import check_end, check_order, check_there, new_mark, snapshot_checksum
from raeth.journal.sqlite_file import (
    checkpoint,
    lock,
    open_writer,
    room_bytes,
    translate,
    unreadable,
)
from raeth.journal.sqlite_log import cut_log, open_index
from raeth.journal.sqlite_reader import fetch_key, fetch_rows

_STATE = """
SELECT head_seq, transactions, projected_seq, last.* FROM journal_meta
LEFT JOIN (SELECT seq, ts, hash FROM journal ORDER BY seq DESC LIMIT 1) AS last
"""
_ROW_HASH = "SELECT hash FROM journal WHERE seq = ?"
_LAST_SNAPSHOT = "SELECT max(seq) FROM snapshots"

_ADD_ROW = "INSERT INTO journal (seq, ts, command, events, hash) VALUES (?, ?, ?, ?, ?)"
_ADD_KEY = "INSERT INTO journal_keys (owner, key, seq, place, fingerprint) VALUES (?, ?, ?, ?, ?)"
_ADD_SNAPSHOT = "INSERT OR REPLACE INTO snapshots (seq, hash, engine_version, blob, checksum) VALUES (?, ?, ?, ?, ?)"
_FORGET_SNAPSHOTS = "DELETE FROM snapshots WHERE seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?)"
_MOVE_HEAD = "UPDATE journal_meta SET head_seq = ?, transactions = transactions + 1, projected_seq = ?"

ROOM_BYTES = 64 << 20
"""With less than this the journal is short of room: some minutes at full load, and more than the log ever grows by."""


class SqliteWriter:
    """One connection that appends. Not safe for more than one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_writer(path)
        self._head = EMPTY_HEAD
        self._transactions = 0
        self._projected = 0
        self._doubtful = False
        self._fences = 0
        self._index: int | None = None
        self.tight = False

    def open(self) -> Head:
        """The head, after checking that nothing is missing at the end."""
        self._lock()
        with self._rollback_on_error(unreadable):
            (snapshot_seq,) = self._db.execute(_LAST_SNAPSHOT).fetchone()
            if snapshot_seq is not None and snapshot_seq > self._head.seq:
                raise JournalDamaged(self._head.seq + 1, f"the rows up to the snapshot at {snapshot_seq} are missing")
        self.rollback()
        return self._head

    def begin(self, known: Known, keys: Sequence[tuple[int, str]]) -> Begun:
        """See `Journal.begin`."""
        self._lock()
        with self._rollback_on_error(translate):
            head = self._head
            known_seq = known if isinstance(known, int) else known()
            check_there(known_seq, head)
            behind = fetch_rows(self._db, known_seq, head.seq, MAX_BEHIND) if known_seq < head.seq else []
            return Begun(head, behind, self._hits(keys), None, self._projected)

    def commit(
        self, rows: Sequence[Row], keys: Sequence[Key], writes: Sequence[Write], projected: int | None = None
    ) -> None:
        """See `Journal.commit`."""
        assert self._db.in_transaction, "commit without begin"
        last = rows[-1] if rows else None
        with self._rollback_on_error(translate):
            check_order(rows, self._head)
            if rows:
                self._db.executemany(_ADD_ROW, rows)
            if keys:
                self._db.executemany(_ADD_KEY, keys)
            for sql, parameters in writes:
                self._db.executemany(sql, parameters)
            head_seq = last.seq if last else self._head.seq
            self._db.execute(_MOVE_HEAD, (head_seq, new_mark(projected, self._projected, head_seq)))
        self._make_durable(last)
        if writes:
            self.tight = room_bytes(self._path) < ROOM_BYTES

    def append(
        self, after_seq: int, rows: Sequence[Row], keys: Sequence[Key], writes: Sequence[Write], projected: int | None
    ) -> None:
        """See `Journal.append`."""
        self._lock()
        with self._rollback_on_error(translate):
            check_end(after_seq, self._head)
        self.commit(rows, keys, writes, projected)

    def execute(self, writes: Sequence[Write]) -> None:
        """See `Journal.execute`."""
        self._lock()
        self.commit((), (), writes)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `Journal.save_snapshot`."""
        checksum = snapshot_checksum(snapshot)
        self._lock()
        with self._rollback_on_error(translate):
            stored = self._db.execute(_ROW_HASH, (snapshot.seq,)).fetchone()
            if stored is None or stored[0] != snapshot.hash:
                raise JournalRefused(f"the snapshot at {snapshot.seq} is not of this journal")
        add = Write(_ADD_SNAPSHOT, [(*snapshot, checksum)])
        self.commit((), (), (add, Write(_FORGET_SNAPSHOTS, [(SNAPSHOTS_KEPT,)])))

    @property
    def transactions(self) -> int:
        """As of the last time the lock was held: tells whether there is anything new in the log."""
        return self._transactions

    def finish_checkpoint(self) -> None:
        """Copy what little has come since another connection has copied the rest: then the log begins anew."""
        if not self._db.in_transaction:
            checkpoint(self._db)

    def rollback(self) -> None:
        """Leave the open transaction, if there is one. Never raises: SQLite may have left it already."""
        if self._db.in_transaction:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Roll back and close; the last connection to close folds the write-ahead log into the file."""
        self.rollback()
        self._db.close()

    @contextmanager
    def _rollback_on_error(self, meaning: Callable[[Exception], Exception]) -> Iterator[None]:
        """Let the lock go on any error, and raise what the error means."""
        try:
            yield
        except (JournalDamaged, JournalUnavailable):
            self.rollback()
            raise
        except Exception as error:
            self.rollback()
            raise meaning(error) from error

    def _lock(self) -> None:
        """Take the lock and read the head under it; settle first what a failed commit left in doubt."""
        assert not self._db.in_transaction, "begin inside a transaction"
        with self._rollback_on_error(unreadable):
            lock(self._db)
            if self._doubtful:
                self._fence()
                lock(self._db)
            self._read_head()

    def _fence(self) -> None:
        """Make sure that a commit which failed cannot land any more.

        Its frames may lie whole in the write-ahead log, beyond the end that SQLite knows of, and a crash now would let
        recovery find them. A transaction of our own is written over them; where there is no room for it, they are cut
        off, which takes none.
        """
        try:
            self._db.execute("UPDATE journal_meta SET transactions = transactions + 1")
            self._db.execute("COMMIT")
            self._fences += 1
        except sqlite3.Error as error:
            self.rollback()
            lock(self._db)
            try:
                if self._index is None:
                    self._index = open_index(self._path)
                cut_log(self._path, self._index)
            except OSError:
                raise error from None
            self.rollback()
        self._doubtful = False

    def _read_head(self) -> None:
        counted_seq, self._transactions, self._projected, *last = self._db.execute(_STATE).fetchone()
        head = EMPTY_HEAD if last[0] is None else Head(*last)
        if head.seq < counted_seq:
            raise JournalDamaged(head.seq + 1, f"the rows up to {counted_seq} are missing at the end")
        if head.seq > counted_seq:
            raise JournalDamaged(counted_seq + 1, "rows were added at the end by something else than the journal")
        self._head = head

    def _hits(self, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Key]:
        found = ((wanted, fetch_key(self._db, *wanted)) for wanted in keys)
        return {wanted: key for wanted, key in found if key is not None}

    def _make_durable(self, last: Row | None) -> None:
        before = self._transactions
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self.rollback()
            self._doubtful = True
            if self._landed(last, before, error):
                return
            raise JournalUnavailable(f"commit failed, nothing was written: {error}") from error

    def _landed(self, last: Row | None, transactions_before: int, error: sqlite3.Error) -> bool:
        """Whether the commit that failed with `error` is durable all the same; raises if that cannot be told now."""
        why = f"commit failed: {error}"
        fences_before = self._fences
        try:
            self._lock()
            stored = self._db.execute(_ROW_HASH, (last.seq,)).fetchone() if last else None
        except (JournalUnavailable, JournalDamaged, sqlite3.Error) as still:
            raise JournalUnavailable(f"{why}; then {still}", outcome_unknown=True) from error
        finally:
            self.rollback()
        if self._transactions == transactions_before + self._fences - fences_before:  # nothing but the fence
            return False
        if last is None:  # another process wrote in between, and nothing tells its count from ours
            raise JournalUnavailable(why, outcome_unknown=True) from error
        return stored is not None and stored[0] == last.hash
