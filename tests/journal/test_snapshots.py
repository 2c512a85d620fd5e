"""Snapshots: the newest one that is whole and fits the chain, or none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from raeth.journal.base import SNAPSHOTS_KEPT, JournalRefused, Row, Snapshot
from raeth.journal.sqlite import SqliteJournal

Append = Callable[..., Any]
Sql = Callable[..., list[Any]]


def snapshot_at(row: Row) -> Snapshot:
    return Snapshot(row.seq, row.hash, 3, f"state after {row.seq}".encode() * 1_000)


@pytest.fixture
async def rows(journal: SqliteJournal, append: Append) -> list[Row]:
    written: list[Row] = await append(journal, 10)
    return written


async def test_none_at_first(journal: SqliteJournal) -> None:
    assert await journal.latest_snapshot() is None


async def test_the_newest_comes_back_and_the_oldest_go(journal: SqliteJournal, rows: list[Row], sql: Sql) -> None:
    for row in rows:
        await journal.save_snapshot(snapshot_at(row))
        assert await journal.latest_snapshot() == snapshot_at(row)
    assert sql("SELECT seq FROM snapshots ORDER BY seq") == [(row.seq,) for row in rows[-SNAPSHOTS_KEPT:]]
    await journal.save_snapshot(snapshot_at(rows[-1]))  # the same again is harmless


@pytest.mark.parametrize(
    "change",
    ["blob = CAST('x' || substr(blob, 2) AS BLOB)", "hash = zeroblob(32)", "checksum = x''", "engine_version = 4"],
)
async def test_a_damaged_one_is_skipped_for_the_next_older(
    change: str, journal: SqliteJournal, rows: list[Row], sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    await journal.save_snapshot(snapshot_at(rows[4]))
    await journal.save_snapshot(snapshot_at(rows[8]))
    sql(f"UPDATE snapshots SET {change} WHERE seq = ?", 9)
    with caplog.at_level(logging.WARNING):
        assert await journal.latest_snapshot() == snapshot_at(rows[4])
    assert "seq 9" in caplog.text
    sql(f"UPDATE snapshots SET {change}")
    assert await journal.latest_snapshot() is None


async def test_one_whose_row_was_changed_is_skipped(journal: SqliteJournal, rows: list[Row], sql: Sql) -> None:
    await journal.save_snapshot(snapshot_at(rows[4]))
    sql("UPDATE journal SET hash = zeroblob(32) WHERE seq = 5")
    assert await journal.latest_snapshot() is None


async def test_one_of_another_journal_is_refused(journal: SqliteJournal, rows: list[Row]) -> None:
    for stranger in (snapshot_at(rows[4])._replace(hash=bytes(32)), snapshot_at(rows[4])._replace(seq=11)):
        with pytest.raises(JournalRefused):
            await journal.save_snapshot(stranger)
    assert await journal.latest_snapshot() is None
    await journal.begin(10)  # the lock was let go
    await journal.rollback()
