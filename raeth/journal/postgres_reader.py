"""The reading side of a PostgreSQL journal: a few sessions that only read, and keep the snapshots.

Must not know what a command means. Each call sees what is durable when it starts and waits for no lock. A session that
was lost is made again, and what it was asked is asked once more.
"""

from __future__ import annotations

import logging
from typing import Any

import asyncpg

from raeth.journal.base import SNAPSHOTS_KEPT, JournalDamaged, JournalRefused, JournalUnavailable, Key, Row, Snapshot
from raeth.journal.checks import snapshot_checksum
from raeth.journal.postgres_session import connect, describe, lost, translate, unreadable

log = logging.getLogger(__name__)

SESSIONS = 3
WAIT_S = 10.0
"""For a session to become free; all of them busy this long means that the database does not answer."""
SNAPSHOT_TIMEOUT_S = 120.0

_ROWS = "SELECT seq, ts, command, events, hash FROM journal WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3"
_KEY = "SELECT owner, key, seq, place, fingerprint FROM journal_keys WHERE owner = $1 AND key = $2"
_PROJECTED = "SELECT projected_seq FROM journal_meta ORDER BY transactions DESC LIMIT 1"
_SNAPSHOT_SEQS = "SELECT seq FROM snapshots ORDER BY seq DESC"
_SNAPSHOT = """
SELECT seq, hash, engine_version, blob, checksum, (SELECT hash FROM journal WHERE journal.seq = snapshots.seq)
FROM snapshots WHERE seq = $1
"""
_ADD_SNAPSHOT = """
INSERT INTO snapshots (seq, hash, engine_version, blob, checksum)
SELECT $1::bigint, $2::bytea, $3, $4, $5 FROM journal WHERE journal.seq = $1::bigint AND journal.hash = $2::bytea
ON CONFLICT (seq) DO UPDATE SET hash = excluded.hash, engine_version = excluded.engine_version, blob = excluded.blob,
    checksum = excluded.checksum
"""
_FORGET_SNAPSHOTS = "DELETE FROM snapshots WHERE seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT $1)"


class PostgresReader:
    """Up to `SESSIONS` sessions, made when they are needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: Any = None

    async def open(self) -> None:
        """Make the first session. Raises JournalUnavailable."""
        # With a floor the pool itself would try again and again while the database is away, with a traceback each time.
        pool = asyncpg.create_pool(
            init_size=1,
            min_size=0,
            max_size=SESSIONS,
            max_inactive_connection_lifetime=0,
            connect=self._connect,
            reset=_leave_as_is,
        )
        try:
            self._pool = await pool
        except Exception as error:
            raise unreadable(error) from error

    async def read(self, after_seq: int, limit: int, to_seq: int) -> list[Row]:
        """See `Journal.read`."""
        try:
            return await self._rows(after_seq, limit, to_seq)
        except Exception as error:
            known = unreadable(error, after_seq + 1)
            if isinstance(known, JournalDamaged):
                await self._name_unreadable(after_seq, limit, to_seq)
            raise known from error

    async def key(self, owner: int, key: str) -> Key | None:
        """See `Journal.key`."""
        try:
            found = await self._fetch(_KEY, owner, key)
        except Exception as error:
            raise translate(error) from error
        return Key._make(found[0]) if found else None

    async def projected(self) -> int:
        """See `Journal.projected`."""
        try:
            found = await self._fetch(_PROJECTED)
        except Exception as error:
            raise translate(error) from error
        return int(found[0][0]) if found else 0

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `Journal.save_snapshot`. Needs no lock: a row never changes, and what is kept is whole at any moment."""
        checksum = snapshot_checksum(snapshot)
        try:
            async with self._open_pool().acquire(timeout=WAIT_S) as session:
                done = await session.execute(_ADD_SNAPSHOT, *snapshot, checksum, timeout=SNAPSHOT_TIMEOUT_S)
                await session.execute(_FORGET_SNAPSHOTS, SNAPSHOTS_KEPT)
        except Exception as error:
            raise translate(error, about="snapshot") from error
        if done != "INSERT 0 1":
            raise JournalRefused(f"the snapshot at {snapshot.seq} is not of this journal")

    async def latest_snapshot(self) -> Snapshot | None:
        """See `Journal.latest_snapshot`."""
        try:
            seqs = [seq for (seq,) in await self._fetch(_SNAPSHOT_SEQS)]
        except Exception as error:
            log.warning("no snapshot can be read, everything is replayed: %s", describe(error))
            return None
        for seq in seqs:
            snapshot = await self._snapshot(seq)
            if snapshot is not None:
                return snapshot
            log.warning("the snapshot at seq %d is damaged and was skipped", seq)
        return None

    async def close(self) -> None:
        """End all sessions, whatever they do."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    def _open_pool(self) -> Any:
        if self._pool is None:
            raise JournalUnavailable("the journal is not open")
        return self._pool

    async def _connect(self, *_: Any, **__: Any) -> Any:
        return await connect(self._url, "raeth-journal-reader")

    async def _fetch(self, sql: str, *parameters: Any, timeout_s: float | None = None) -> list[Any]:
        """Once more for each session that was lost while nobody used it."""
        for tries_left in reversed(range(SESSIONS + 1)):
            try:
                async with self._open_pool().acquire(timeout=WAIT_S) as session:
                    found: list[Any] = await session.fetch(sql, *parameters, timeout=timeout_s)
                    return found
            except Exception as error:
                if not tries_left or not lost(error) or isinstance(error, TimeoutError):
                    raise
        raise AssertionError

    async def _rows(self, after_seq: int, limit: int, to_seq: int) -> list[Row]:
        return list(map(Row._make, await self._fetch(_ROWS, after_seq, to_seq, limit)))

    async def _name_unreadable(self, after_seq: int, limit: int, to_seq: int) -> None:
        """Find the row because of which a range cannot be read, and raise."""
        for seq in range(after_seq + 1, min(to_seq, after_seq + limit) + 1):
            try:
                await self._rows(seq - 1, 1, seq)
            except Exception as error:
                raise unreadable(error, seq) from error

    async def _snapshot(self, seq: int) -> Snapshot | None:
        """The snapshot at `seq` if it is whole and its row is in the chain."""
        try:
            ((*fields, checksum, row_hash),) = await self._fetch(_SNAPSHOT, seq, timeout_s=SNAPSHOT_TIMEOUT_S)
            snapshot = Snapshot._make(fields)
            whole = snapshot_checksum(snapshot) == checksum
        except JournalUnavailable:
            raise
        except Exception:  # whatever is stored there, it is of no use
            return None
        return snapshot if whole and row_hash == snapshot.hash else None


async def _leave_as_is(session: Any) -> None:
    """What a session is put back with: these never change their settings."""
