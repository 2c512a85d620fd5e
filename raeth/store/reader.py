"""Connections that can only read, and the small ways in which the queries use them.

Must not know any table. Reads never wait for the writer and see only what is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Executable, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

CONNECTIONS: Final = 4
"""Reads at once; on SQLite each is a thread."""

WAIT_S: Final = 10.0
"""Longest a read waits for a free connection."""

SCAN_ROWS: Final = 20_000
"""Most rows one call looks at to find those that pass a filter for which there is no index."""

LIMIT_MAX: Final = 5_000
"""Most rows one call hands out."""

Row = Sequence[Any]


def sqlite_url(path: Path) -> URL:
    """The address of a SQLite file, for `Store` and for `migrate.upgrade`."""
    return URL.create("sqlite+aiosqlite", database=str(path))


class Reader:
    """Base of the queries: owns the pool. `close` it before the loop ends."""

    def __init__(self, url: str | URL) -> None:
        address = make_url(url)
        # Each statement is its own transaction; a read that were left open would sit on an old moment, and the
        # roll-backs that could end it cost a hop each.
        self._engine = create_async_engine(
            address,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            pool_reset_on_return=None,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=WAIT_S,
        )
        if address.get_backend_name() == "sqlite":
            event.listen(self._engine.sync_engine, "connect", _read_only)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _all(self, statement: Executable) -> Sequence[Row]:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).all()

    async def _first(self, statement: Executable) -> Row | None:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).first()


def _read_only(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()
