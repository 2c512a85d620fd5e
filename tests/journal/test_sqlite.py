"""What is special about the file of a SQLite journal; what it promises as any journal does is in test_journal."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raeth.config import DATABASE
from raeth.journal.base import EMPTY_HEAD, JournalDamaged, JournalUnavailable
from raeth.journal.sqlite import SqliteJournal

Append = Callable[..., Any]
Sql = Callable[..., list[Any]]


@pytest.fixture
def backend() -> str:
    return "sqlite"


async def test_the_files_are_private(path: Path, journal: SqliteJournal, append: Append) -> None:
    await append(journal, 1)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files == {f"{DATABASE}{ending}": 0o600 for ending in ("", "-wal", "-shm")}


async def test_every_commit_is_synced(journal: SqliteJournal) -> None:
    assert journal._writer is not None
    (synchronous,) = journal._writer._db.execute("PRAGMA synchronous").fetchone()
    (mode,) = journal._writer._db.execute("PRAGMA journal_mode").fetchone()
    assert (synchronous, mode) == (2, "wal")  # FULL


async def test_what_is_no_database_is_refused_and_untouched(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a letter to somebody" * 100)
    with pytest.raises(JournalDamaged, match="not a database"):
        await SqliteJournal(path).open()
    assert path.read_bytes() == b"a letter to somebody" * 100


async def test_a_strangers_database_is_refused_and_untouched(path: Path, sql: Sql) -> None:
    path.parent.mkdir()
    sql("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalDamaged, match="not a journal"):
        await SqliteJournal(path).open()
    assert path.read_bytes() == before


async def test_a_place_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable) as caught:
        await SqliteJournal(tmp_path).open()
    assert not caught.value.outcome_unknown
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnavailable):
        await SqliteJournal(tmp_path / "file" / "journal.db").open()


async def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    journal = SqliteJournal(path)
    assert await journal.open() == EMPTY_HEAD
    await journal.close()


async def test_closing_folds_everything_into_one_file(path: Path, journal: SqliteJournal, append: Append) -> None:
    rows = await append(journal, 3)
    await journal.close()
    assert os.listdir(path.parent) == [DATABASE]
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM journal").fetchone() == (len(rows),)
    db.close()
