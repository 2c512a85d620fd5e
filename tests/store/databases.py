"""The two databases in which the store's tests keep its tables, behind one face."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from sqlalchemy import URL

from raeth.journal.base import Write
from raeth.journal.postgres_session import WRITER_SETTINGS, connect, numbered
from raeth.store.migrate import upgrade
from raeth.store.reader import sqlite_url
from raeth.store.tables import DERIVED, PRIVATE
from tests.postgres import shared_server

Rows = list[tuple[Any, ...]]


class Database(Protocol):
    """A database with the store's tables in it. Statements have `?` placeholders."""

    url: str | URL

    def write_all(self, batches: Iterable[Sequence[Write]]) -> None:
        """Each batch in a transaction of its own, with the statements of the journal that is kept here."""
        ...

    def make_keys(self) -> None:
        """The journal's table of keys, for which there is no journal here. Nothing if it is there."""
        ...

    def query(self, sql: str, *values: object) -> Rows: ...

    def close(self) -> None: ...


MAKE_KEYS = (
    "CREATE TABLE IF NOT EXISTS journal_keys (owner bigint NOT NULL, key text NOT NULL, seq bigint NOT NULL, "
    "place bigint NOT NULL, PRIMARY KEY (owner, key))"
)


class SqliteDatabase:
    """The tables in the file at `path`, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = sqlite_url(path)
        if not path.exists():
            upgrade(self.url)

    def write_all(self, batches: Iterable[Sequence[Write]]) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            for batch in batches:
                connection.execute("BEGIN")
                for sql, rows in batch:
                    connection.executemany(sql, rows)
                connection.execute("COMMIT")

    def make_keys(self) -> None:
        self.query(MAKE_KEYS)

    def query(self, sql: str, *values: object) -> Rows:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Nothing is open."""


_numbers = count(1)


@cache
def _template() -> str:
    """A database to copy: to make the tables takes longer."""
    server = shared_server()
    url = server.fresh_database()
    upgrade(url)
    return url.rpartition("/")[2]


class PostgresDatabase:
    """The tables in a new database of the tests' server, written in a session as the journal has it."""

    def __init__(self) -> None:
        template, name = _template(), f"store_{next(_numbers)}"
        shared_server().execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self.url = shared_server().url_of(name)
        # A thread with a loop of its own, so that a test may use this inside a running loop.
        self._thread = ThreadPoolExecutor(1)
        self._runner = self._thread.submit(asyncio.Runner).result()
        self._session: asyncpg.Connection = self._run(lambda: connect(self.url, "tests", WRITER_SETTINGS))

    def write_all(self, batches: Iterable[Sequence[Write]]) -> None:
        async def write(batch: Sequence[Write]) -> None:
            async with self._session.transaction():
                for sql, rows in batch:
                    await self._session.executemany(numbered(sql), rows)

        for batch in batches:
            self._run(lambda batch=batch: write(batch))  # type: ignore[misc]

    def make_keys(self) -> None:
        self._run(lambda: self._session.execute(MAKE_KEYS))

    def query(self, sql: str, *values: object) -> Rows:
        return [tuple(row) for row in self._run(lambda: self._session.fetch(numbered(sql), *values))]

    def emptied(self) -> PostgresDatabase:
        """Itself, with nothing in its tables: sooner had than a new one."""
        tables = (*DERIVED, *PRIVATE)
        self._run(lambda: self._session.execute("; ".join(f"DELETE FROM {table.name}" for table in tables)))
        self._run(lambda: self._session.execute("DROP TABLE IF EXISTS journal_keys"))
        return self

    def close(self) -> None:
        self._run(self._session.close)
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()
        shared_server().execute(f"DROP DATABASE {self.url.rpartition('/')[2]} WITH (FORCE)")

    def _run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self._thread.submit(lambda: self._runner.run(work())).result()
