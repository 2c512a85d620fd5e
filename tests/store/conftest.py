"""Databases for the store's tests: an empty one a test, and one full of history that nobody may change. Both kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from raeth.store.queries import Store
from tests.store.databases import Database, PostgresDatabase, SqliteDatabase
from tests.store.venue import history, project


@pytest.fixture
def file(tmp_path: Path) -> SqliteDatabase:
    """An empty one in a file, for what concerns SQLite alone."""
    return SqliteDatabase(tmp_path / "raeth.db")


@pytest.fixture(scope="session")
def scratch_postgres() -> Iterator[PostgresDatabase]:
    """For `emptied`, which a test asks for."""
    made = PostgresDatabase()
    yield made
    made.close()


@pytest.fixture
def emptied(scratch_postgres: PostgresDatabase) -> PostgresDatabase:
    """An empty one on a PostgreSQL, for what concerns that alone."""
    return scratch_postgres.emptied()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """An empty one of either kind."""
    made: Database = request.getfixturevalue("file" if request.param == "sqlite" else "emptied")
    return made


@pytest.fixture(scope="session")
def full_file(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabase:
    """The whole history, written in batches of uneven length."""
    made = SqliteDatabase(tmp_path_factory.mktemp("store") / "raeth.db")
    _fill(made)
    return made


@pytest.fixture(scope="session")
def full_postgres() -> Iterator[PostgresDatabase]:
    """The same on a PostgreSQL."""
    made = PostgresDatabase()
    _fill(made)
    yield made
    made.close()


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def full(request: pytest.FixtureRequest) -> Database:
    """Either of them; every test run compares what they answer in `test_postgres.py`."""
    found: Database = request.getfixturevalue("full_file" if request.param == "sqlite" else "full_postgres")
    return found


def _fill(database: Database) -> None:
    journal, _ = history()
    project(database, journal, Random(1).sample(range(1, len(journal)), 60))


@pytest.fixture
async def store(full: Database) -> AsyncIterator[Store]:
    reads = Store(full.url)
    yield reads
    await reads.close()
