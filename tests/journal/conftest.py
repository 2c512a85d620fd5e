"""What the journal's tests share: a new journal in a store of its own, and rows with telling contents.

What is about the protocol runs on both databases: the fixture `backend` has a parameter for each. A module about one of
them alone overrides it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from raeth.config import DATABASE
from raeth.journal import sqlite_file
from raeth.journal.base import EMPTY_HEAD, Head, Journal, Row
from raeth.journal.chain import head_of, next_row
from raeth.journal.postgres import PostgresJournal
from raeth.journal.postgres_session import numbered
from raeth.journal.sqlite import SqliteJournal
from tests.postgres import Server, shared_server

Chain = Callable[..., list[Row]]


def chain(count: int, after: Head = EMPTY_HEAD, tag: str = "") -> list[Row]:
    """`count` rows that continue `after`; the time stands still every other row."""
    rows: list[Row] = []
    for _ in range(count):
        n = after.seq + 1
        row = next_row(after, max(after.ts, 1_000 + n // 2), f"command {tag}{n}".encode(), f"events {tag}{n}".encode())
        rows.append(row)
        after = head_of(row)
    return rows


class SqliteStore:
    """A place for one journal: a file that is not there yet."""

    backend = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.place = str(folder / "data" / DATABASE)

    def journal(self) -> Journal:
        return SqliteJournal(self.place)

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        """A statement from outside, as somebody with the file in hand would run it."""
        with closing(sqlite3.connect(self.place, isolation_level=None)) as db:
            return db.execute(statement, parameters).fetchall()

    def empty(self) -> None:
        for file in Path(self.place).parent.glob("*"):
            file.unlink()

    async def hurry(self, journal: Journal, patch: pytest.MonkeyPatch) -> None:
        """From now on `journal` waits for the lock for 10 ms only."""
        patch.setattr(sqlite_file, "LOCK_TIMEOUT_S", 0.01)


class PostgresStore:
    """A place for one journal: a database without tables. One for all tests: emptying it is quicker than a new one."""

    backend = "postgresql"

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.place = url
        self.empty()

    def journal(self) -> PostgresJournal:
        return PostgresJournal(self.place)

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        return self.server.execute(numbered(statement), *parameters, url=self.place)

    def empty(self) -> None:
        self.sql("DO 'BEGIN DROP SCHEMA public CASCADE; CREATE SCHEMA public; END'")

    async def hurry(self, journal: Journal, patch: pytest.MonkeyPatch) -> None:
        assert isinstance(journal, PostgresJournal) and journal._writer is not None
        await journal._writer._session.execute("SET lock_timeout = '10ms'")


Store = SqliteStore | PostgresStore


@pytest.fixture(scope="session")
def make_chain() -> Chain:
    return chain


@pytest.fixture(scope="session")
def one_database() -> str:
    return shared_server().fresh_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(backend: str, request: pytest.FixtureRequest) -> Store:
    if backend == "sqlite":
        return SqliteStore(request.getfixturevalue("tmp_path"))
    return PostgresStore(shared_server(), request.getfixturevalue("one_database"))


@pytest.fixture
def path(store: Store) -> Path:
    assert store.backend == "sqlite"
    return Path(store.place)


@pytest.fixture
async def journal(store: Store) -> AsyncIterator[Journal]:
    opened = store.journal()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def other(store: Store, journal: Journal) -> AsyncIterator[Journal]:
    """A second journal at the same place."""
    opened = store.journal()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def append() -> Callable[..., Any]:
    async def append_rows(journal: Journal, count: int, **kwargs: Any) -> list[Row]:
        begun = await journal.begin(0)
        rows = chain(count, begun.head)
        await journal.commit(rows, **kwargs)
        return rows

    return append_rows


@pytest.fixture
def sql(store: Store) -> Callable[..., list[Any]]:
    """Statements from outside, as somebody with the database in hand would run them."""
    return store.sql
