"""Snapshots: the newest one that is whole and fits the chain, or none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from raeth.journal.base import SNAPSHOTS_KEPT, Journal, JournalRefused, Row, Snapshot

Append = Callable[..., Any]
Sql = Callable[..., list[Any]]


def snapshot_at(row: Row) -> Snapshot:
    return Snapshot(row.seq, row.hash, 3, f"state after {row.seq}".encode() * 1_000)


@pytest.fixture
async def rows(journal: Journal, append: Append) -> list[Row]:
    written: list[Row] = await append(journal, 10)
    return written


async def test_none_at_first(journal: Journal) -> None:
    assert await journal.latest_snapshot() is None


async def test_the_newest_comes_back_and_the_oldest_go(journal: Journal, rows: list[Row], sql: Sql) -> None:
    for row in rows:
        await journal.save_snapshot(snapshot_at(row))
        assert await journal.latest_snapshot() == snapshot_at(row)
    assert sql("SELECT seq FROM snapshots ORDER BY seq") == [(row.seq,) for row in rows[-SNAPSHOTS_KEPT:]]
    await journal.save_snapshot(snapshot_at(rows[-1]))  # the same again is harmless


@pytest.mark.parametrize(
    ("column", "changed"), [("blob", b"x"), ("hash", bytes(32)), ("checksum", b""), ("engine_version", 4)]
)
async def test_a_damaged_one_is_skipped_for_the_next_older(
    column: str, changed: object, journal: Journal, rows: list[Row], sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    await journal.save_snapshot(snapshot_at(rows[4]))
    await journal.save_snapshot(snapshot_at(rows[8]))
    sql(f"UPDATE snapshots SET {column} = ? WHERE seq = ?", changed, 9)
    with caplog.at_level(logging.WARNING):
        assert await journal.latest_snapshot() == snapshot_at(rows[4])
    assert "seq 9" in caplog.text
    sql(f"UPDATE snapshots SET {column} = ?", changed)
    assert await journal.latest_snapshot() is None


async def test_one_whose_row_was_changed_is_skipped(journal: Journal, rows: list[Row], sql: Sql) -> None:
    await journal.save_snapshot(snapshot_at(rows[4]))
    sql("UPDATE journal SET hash = ? WHERE seq = 5", bytes(32))
    assert await journal.latest_snapshot() is None


async def test_one_of_another_journal_is_refused(journal: Journal, rows: list[Row]) -> None:
    for stranger in (snapshot_at(rows[4])._replace(hash=bytes(32)), snapshot_at(rows[4])._replace(seq=11)):
        with pytest.raises(JournalRefused):
            await journal.save_snapshot(stranger)
    assert await journal.latest_snapshot() is None
    await journal.begin(10)  # the lock was let go
    await journal.rollback()
