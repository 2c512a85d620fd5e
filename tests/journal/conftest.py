"""What the journal's tests share: a new journal in a directory of its own, and rows with telling contents."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from raeth.journal.base import EMPTY_HEAD, Head, Journal, Row
from raeth.journal.chain import head_of, next_row
from raeth.journal.sqlite import SqliteJournal

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


@pytest.fixture(scope="session")
def make_chain() -> Chain:
    return chain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    opened = SqliteJournal(path)
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
def sql(path: Path) -> Iterator[Callable[..., list[Any]]]:
    """Statements from outside, as somebody with the file in hand would run them."""

    def run(statement: str, *parameters: object) -> list[Any]:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            return db.execute(statement, parameters).fetchall()

    yield run
