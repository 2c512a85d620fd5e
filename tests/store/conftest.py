"""Databases for the store's tests: an empty one a test, and one full of history that nobody may change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from raeth.store.queries import Store
from raeth.store.reader import sqlite_url
from tests.store.venue import history, new_database, project


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return new_database(tmp_path / "raeth.db")


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole history, written in batches of uneven length."""
    path = new_database(tmp_path_factory.mktemp("store") / "raeth.db")
    journal, _ = history()
    project(path, journal, Random(1).sample(range(1, len(journal)), 60))
    return path


@pytest.fixture
async def store(full: Path) -> AsyncIterator[Store]:
    reads = Store(sqlite_url(full))
    yield reads
    await reads.close()
