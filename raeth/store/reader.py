"""Connections that can only read, and the small ways in which the queries use them.

Must not know any table. Reads never wait for the writer and see only what is committed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import URL, Executable, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from raeth.errors import Code, RaethError
from raeth.journal.postgres_session import describe
from raeth.store import postgres
from raeth.store.postgres import is_postgres

if TYPE_CHECKING:
    from raeth.config import Settings

log = logging.getLogger(__name__)

CONNECTIONS: Final = 4
"""Reads at once; on SQLite each is a thread, on PostgreSQL a session."""

WAIT_S: Final = 10.0
"""Longest a read waits for a free connection."""

SCAN_ROWS: Final = 20_000
"""Most rows one call looks at to find those that pass a filter for which there is no index."""

LIMIT_MAX: Final = 5_000
"""Most rows one call hands out."""

Row = Sequence[Any]

Fresh = Callable[[], Awaitable[None]]


def sqlite_url(path: Path) -> URL:
    """The address of a SQLite file, for `Store` and for `migrate.upgrade`."""
    return URL.create("sqlite+aiosqlite", database=str(path))


def database_url(settings: Settings) -> str | URL:
    """The address of the database that these settings name, for `Store` and for `migrate.upgrade`."""
    from raeth.config import DATABASE

    return settings.database_url or sqlite_url(settings.data_dir / DATABASE)


class Reader:
    """Base of the queries: owns the pool. `close` it before the loop ends.

    `url` as `database_url` gives it, or SQLAlchemy's for SQLite. Reads raise RaethError SERVICE_DEGRADED while the
    database cannot be reached. `fresh` is awaited first: it returns once the tables hold what is durable by then.
    """

    def __init__(self, url: str | URL, fresh: Fresh | None = None) -> None:
        self._fresh = fresh
        # Each statement is its own transaction; a read that were left open would sit on an old moment, and the
        # roll-backs that could end it cost a hop each.
        options: dict[str, Any] = {
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "pool_reset_on_return": None,
            "pool_size": CONNECTIONS,
            "max_overflow": 0,
            "pool_timeout": WAIT_S,
        }
        self._engine: AsyncEngine
        if is_postgres(url):
            self._engine = postgres.engine(url, postgres.READING, command_s=WAIT_S, **options)
        else:
            self._engine = create_async_engine(url, hide_parameters=True, **options)
            event.listen(self._engine.sync_engine, "connect", _read_only)

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _connection(self, *, private: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for the statements of one read. Private tables do not follow the journal, they are with it."""
        if self._fresh is not None and not private:
            await self._fresh()
        try:
            async with self._engine.connect() as connection:
                yield connection
        except _OUR_FAULT:
            raise
        except (DBAPIError, PoolTimeout, PostgresError, InterfaceError, OSError) as error:
            log.warning("the tables cannot be read: %s", describe(postgres.cause(error)))
            raise RaethError(Code.SERVICE_DEGRADED) from error

    async def _all(self, statement: Executable) -> Sequence[Row]:
        async with self._connection() as connection:
            return (await connection.execute(statement)).all()

    async def _first(self, statement: Executable, *, private: bool = False) -> Row | None:
        async with self._connection(private=private) as connection:
            return (await connection.execute(statement)).first()


_OUR_FAULT: Final = (DataError, IntegrityError, ProgrammingError)
"""The statement is wrong: waiting would not help."""


def _read_only(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()
