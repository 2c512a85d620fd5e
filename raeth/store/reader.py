"""Connections that can only read, and the small ways in which the queries use them.

Must not know any table. Reads never wait for the writer and see only what is committed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Executable, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

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
        self._sqlite = address.get_backend_name() == "sqlite"
        self._engine = create_async_engine(address, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=WAIT_S)
        if self._sqlite:
            event.listen(self._engine.sync_engine, "connect", _read_only)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _all(self, statement: Executable) -> Sequence[Row]:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).all()

    async def _first(self, statement: Executable) -> Row | None:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).first()

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which all statements see the same moment."""
        async with self._engine.connect() as connection:
            await connection.exec_driver_sql(
                "BEGIN" if self._sqlite else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
            )
            yield connection


def _read_only(connection: Any, _record: Any) -> None:
    # Without this the driver opens transactions of its own, and a read could sit on an old moment.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()
