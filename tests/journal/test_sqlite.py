"""What the SQLite journal promises: what was committed is there, what was not is not, and nothing else gets in."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raeth.journal.base import (
    EMPTY_HEAD,
    GENESIS_HASH,
    MAX_BEHIND,
    Begun,
    Head,
    Journal,
    JournalDamaged,
    JournalForeign,
    JournalRefused,
    JournalUnavailable,
    Key,
    Row,
    Write,
)
from raeth.journal.chain import head_of, next_row, verify
from raeth.journal.scrub import verify_tail
from raeth.journal.sqlite import SqliteJournal

MakeChain = Callable[..., list[Row]]
Append = Callable[..., Any]
Sql = Callable[..., list[Any]]

KEY = Key(7, "order-1", 1, 0, b"fingerprint")


def test_it_is_a_journal(path: Path) -> None:
    journal: Journal = SqliteJournal(path)
    assert journal.backend == "sqlite"


# ---- what was committed is there ----


async def test_an_empty_journal(journal: SqliteJournal) -> None:
    assert await journal.begin(0) == Begun(Head(0, 0, GENESIS_HASH), [], {}, None)
    await journal.commit([])
    assert await journal.read(0) == []
    assert await journal.row(1) is None
    assert await journal.key(7, "order-1") is None


async def test_rows_keys_and_projections_come_back_after_a_restart(
    path: Path, journal: SqliteJournal, make_chain: MakeChain, sql: Sql
) -> None:
    sql("CREATE TABLE fills (seq INTEGER PRIMARY KEY, qty INTEGER)")
    rows = make_chain(20)
    await journal.begin(0)
    await journal.commit(rows, [KEY], [Write("INSERT INTO fills VALUES (?, ?)", [(1, 10), (2, 20)])])
    await journal.close()

    again = SqliteJournal(path)
    assert await again.open() == head_of(rows[-1])
    assert await again.read(0) == rows
    assert await again.read(3, 4) == rows[3:7]
    assert await again.read(3, 100, 5) == rows[3:5]
    assert await again.row(20) == rows[19]
    assert await again.key(7, "order-1") == KEY
    assert sql("SELECT sum(qty) FROM fills") == [(30,)]
    await again.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=9_000)), max_size=4), max_size=5)
)
def test_any_bytes_in_any_batches_come_back(tmp_path_factory: Any, batches: list[list[tuple[bytes, bytes]]]) -> None:
    async def write_and_read() -> None:
        journal = SqliteJournal(tmp_path_factory.mktemp("journal") / "journal.db")
        head, written = await journal.open(), []
        for batch in batches:
            assert (await journal.begin(head.seq)).head == head
            rows = []
            for command, events in batch:
                rows.append(next_row(head, head.ts, command, events))
                head = head_of(rows[-1])
            await journal.commit(rows)
            written += rows
        assert await journal.read(0) == written
        assert verify(written, EMPTY_HEAD) == head
        await journal.close()

    asyncio.run(write_and_read())


async def test_begin_finds_the_keys_that_exist(journal: SqliteJournal, append: Append) -> None:
    await append(journal, 1, keys=[KEY])
    begun = await journal.begin(1, [(7, "order-1"), (7, "order-2"), (8, "order-1")])
    assert begun.hits == {(7, "order-1"): KEY}
    await journal.rollback()


async def test_begin_hands_over_a_bounded_number_of_rows(journal: SqliteJournal, append: Append) -> None:
    rows = await append(journal, MAX_BEHIND + 2)
    begun = await journal.begin(1)
    assert begun.behind == rows[1 : MAX_BEHIND + 1]
    assert begun.head == head_of(rows[-1])
    await journal.rollback()
    assert (await journal.begin(MAX_BEHIND)).behind == rows[MAX_BEHIND:]
    await journal.rollback()


async def test_tables_have_small_transactions_of_their_own(journal: SqliteJournal, sql: Sql) -> None:
    sql("CREATE TABLE sessions (token TEXT PRIMARY KEY)")
    await journal.execute([Write("INSERT INTO sessions VALUES (?)", [("a",), ("b",)])])
    with pytest.raises(JournalRefused):
        await journal.execute([Write("INSERT INTO sessions VALUES (?)", [("c",), ("a",)])])
    assert sql("SELECT token FROM sessions ORDER BY 1") == [("a",), ("b",)]


# ---- what was not committed is not ----


async def test_rollback_leaves_nothing(journal: SqliteJournal) -> None:
    await journal.begin(0)
    await journal.rollback()
    await journal.rollback()
    assert (await journal.begin(0, [(7, "order-1")])).head == EMPTY_HEAD
    await journal.rollback()


async def test_closing_inside_a_transaction_rolls_it_back(path: Path, journal: SqliteJournal) -> None:
    await journal.begin(0)
    await journal.close()
    await journal.close()
    again = SqliteJournal(path)
    assert await again.open() == EMPTY_HEAD
    await again.close()
    with pytest.raises(JournalUnavailable):
        await journal.begin(0)
    with pytest.raises(JournalUnavailable):
        await journal.read(0)


async def test_nothing_of_an_uncommitted_batch_can_be_read(
    path: Path, journal: SqliteJournal, make_chain: MakeChain
) -> None:
    await journal.begin(0)
    assert await journal.read(0) == []  # a read does not wait for the lock
    await journal.commit(make_chain(1))
    assert len(await journal.read(0)) == 1


# ---- nothing else gets in ----


def refused_batches() -> dict[str, Callable[[list[Row]], dict[str, Any]]]:
    """Each takes three good rows (after a journal of two) and makes a transaction that must be refused as a whole."""
    insert = "INSERT INTO journal_keys VALUES (?, ?, ?, ?, ?)"
    return {
        "a gap": lambda rows: {"rows": rows[1:]},
        "a gap inside": lambda rows: {"rows": [rows[0], rows[2]]},
        "a row twice": lambda rows: {"rows": [rows[0], rows[0]]},
        "another chain": lambda rows: {"rows": [rows[0]._replace(hash=bytes(32))]},
        "a short hash": lambda rows: {"rows": [rows[0], rows[1]._replace(hash=b"short")]},
        "time backwards": lambda rows: {"rows": [rows[0], rows[1]._replace(ts=0)]},
        "a key twice": lambda rows: {"rows": rows, "keys": [KEY._replace(key="new"), KEY._replace(key="new")]},
        "a key that exists": lambda rows: {"rows": rows, "keys": [KEY._replace(seq=3)]},
        "a failing projection": lambda rows: {
            "rows": rows,
            "writes": [Write("INSERT INTO nowhere VALUES (?)", [(1,)])],
        },
        "a wrong binding": lambda rows: {"rows": rows, "writes": [Write(insert, [(1, "a")])]},
        "a number too large": lambda rows: {"rows": rows, "writes": [Write(insert, [(1 << 70, "a", 1, 1, b"")])]},
        "not bytes": lambda rows: {"rows": [rows[0], rows[1]._replace(events="text")]},
    }


@pytest.mark.parametrize("name", refused_batches())
async def test_a_contradiction_is_refused_as_a_whole(
    name: str, journal: SqliteJournal, append: Append, make_chain: MakeChain
) -> None:
    old = await append(journal, 2, keys=[KEY])
    new = make_chain(3, head_of(old[-1]))
    await journal.begin(2)
    with pytest.raises(JournalRefused) as caught:
        await journal.commit(**refused_batches()[name](new))
    assert not caught.value.outcome_unknown

    assert await journal.read(0) == old
    assert await journal.key(7, "new") is None
    await journal.begin(2)  # the lock is free and the connection usable
    await journal.commit(new)
    assert await verify_tail(journal, EMPTY_HEAD) == head_of(new[-1])


async def test_a_key_nobody_can_have_is_refused_and_the_lock_let_go(journal: SqliteJournal) -> None:
    for key in [(1 << 70, "a"), (1, "\ud800")]:
        with pytest.raises(JournalRefused):
            await journal.begin(0, [key])
    await journal.begin(0)
    await journal.rollback()


# ---- the file ----


async def test_the_files_are_private(path: Path, journal: SqliteJournal, append: Append) -> None:
    await append(journal, 1)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}


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


async def test_a_newer_format_is_refused(path: Path, journal: SqliteJournal, sql: Sql) -> None:
    await journal.close()
    sql("UPDATE journal_meta SET format = 3")
    with pytest.raises(JournalForeign, match="format 3"):
        await SqliteJournal(path).open()


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
    assert os.listdir(path.parent) == ["journal.db"]
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM journal").fetchone() == (len(rows),)
    db.close()
