"""Whatever happens to what is stored, the journal either returns the rows that were written or says that it cannot."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raeth.journal.base import EMPTY_HEAD, Head, Journal, JournalDamaged, JournalUnavailable, Key, Row, Snapshot
from raeth.journal.chain import chain_hash, head_of
from raeth.journal.scrub import scrub, verify_tail
from raeth.journal.sqlite import SqliteJournal
from tests.journal.conftest import Store

Append = Callable[..., Any]
Sql = Callable[..., list[Any]]
ROWS = 30
MIDDLE = 13


async def damaged_seq(journal: Journal) -> int:
    """What both readings of the chain say; they must agree."""
    with pytest.raises(JournalDamaged) as tail:
        await verify_tail(journal, EMPTY_HEAD)
    with pytest.raises(JournalDamaged) as scrubbed:
        await scrub(journal, ROWS, chunk_rows=4, pause_s=0)
    assert tail.value.seq == scrubbed.value.seq
    return tail.value.seq


@pytest.fixture
async def rows(journal: Journal, append: Append) -> list[Row]:
    written: list[Row] = await append(journal, ROWS)
    assert await scrub(journal, ROWS, chunk_rows=4, pause_s=0) == head_of(written[-1])
    return written


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("ts", lambda ts: ts + 1),
        ("command", lambda command: command.replace(b"c", b"b")),
        ("events", lambda events: events.replace(b"e", b"d")),
        ("hash", lambda _: bytes(32)),
        ("seq", lambda seq: seq + 1_000),
    ],
    ids=["ts", "command", "events", "hash", "seq"],
)
async def test_a_changed_column_of_a_middle_row_names_it(
    column: str, change: Callable[[Any], object], journal: Journal, rows: list[Row], sql: Sql
) -> None:
    changed = change(getattr(rows[MIDDLE - 1], column))
    sql(f"UPDATE journal SET {column} = ? WHERE seq = ?", changed, MIDDLE)
    assert await damaged_seq(journal) == MIDDLE


async def test_a_removed_row_is_named(journal: Journal, rows: list[Row], sql: Sql) -> None:
    sql("DELETE FROM journal WHERE seq = ?", MIDDLE)
    assert await damaged_seq(journal) == MIDDLE


async def test_swapped_rows_name_the_first(journal: Journal, rows: list[Row], sql: Sql) -> None:
    sql("UPDATE journal SET seq = -1 WHERE seq = ?", MIDDLE)
    sql("UPDATE journal SET seq = ? WHERE seq = ?", MIDDLE, MIDDLE + 3)
    sql("UPDATE journal SET seq = ? WHERE seq = -1", MIDDLE + 3)
    assert await damaged_seq(journal) == MIDDLE


async def test_a_rewritten_row_breaks_the_link_of_the_next(journal: Journal, rows: list[Row], sql: Sql) -> None:
    """Somebody who computes the hash of the row he changed is caught one row later."""
    old = rows[MIDDLE - 1]
    forged = chain_hash(rows[MIDDLE - 2].hash, old.seq, old.ts, b"forged", old.events)
    sql("UPDATE journal SET command = ?, hash = ? WHERE seq = ?", b"forged", forged, MIDDLE)
    assert await damaged_seq(journal) == MIDDLE + 1


async def test_rows_cut_off_at_the_end_are_missed(store: Store, journal: Journal, rows: list[Row], sql: Sql) -> None:
    """The chain alone cannot tell, the journal's count of its rows can: at start-up and in a running venue."""
    sql("DELETE FROM journal WHERE seq > ?", MIDDLE)
    assert await verify_tail(journal, EMPTY_HEAD) == head_of(rows[MIDDLE - 1])
    for attempt in (lambda: journal.begin(ROWS), lambda: journal.begin(0), store.journal().open):
        with pytest.raises(JournalDamaged, match="missing") as caught:
            await attempt()
        assert caught.value.seq == MIDDLE + 1
    with pytest.raises(JournalDamaged) as caught:
        await scrub(journal, ROWS, pause_s=0)
    assert caught.value.seq == MIDDLE + 1


async def test_an_end_cut_off_with_its_count_is_missed_by_whoever_knew_more(
    store: Store, journal: Journal, rows: list[Row], sql: Sql
) -> None:
    """With the count changed too, it is a valid older journal: only a node that runs, or a snapshot, can tell."""
    sql("DELETE FROM journal WHERE seq > ?", MIDDLE)
    sql("UPDATE journal_meta SET head_seq = ?", MIDDLE)
    with pytest.raises(JournalDamaged) as caught:
        await journal.begin(ROWS)
    assert caught.value.seq == MIDDLE + 1

    await journal.save_snapshot(Snapshot(MIDDLE, rows[MIDDLE - 1].hash, 1, b"state"))
    sql("DELETE FROM journal WHERE seq > ?", MIDDLE - 2)
    sql("UPDATE journal_meta SET head_seq = ?", MIDDLE - 2)
    with pytest.raises(JournalDamaged, match="snapshot") as caught:
        await store.journal().open()
    assert caught.value.seq == MIDDLE - 1


async def test_a_row_slipped_in_at_the_end_is_noticed(journal: Journal, rows: list[Row], sql: Sql) -> None:
    sql("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", ROWS + 1, 9_999, b"c", b"e", bytes(32))
    with pytest.raises(JournalDamaged) as caught:
        await journal.begin(ROWS)
    assert caught.value.seq == ROWS + 1


async def test_the_tail_must_start_at_the_snapshots_row(journal: Journal, rows: list[Row]) -> None:
    assert await verify_tail(journal, head_of(rows[4])) == head_of(rows[-1])
    for known in (head_of(rows[4])._replace(hash=bytes(32)), Head(ROWS + 5, 9_999, bytes(32))):
        with pytest.raises(JournalDamaged) as caught:
            await verify_tail(journal, known)
        assert caught.value.seq == known.seq


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, make_chain: Callable[..., list[Row]]) -> tuple[Path, list[Row]]:
    """A closed journal in one file, and its rows; some are longer than a page."""
    path = tmp_path_factory.mktemp("pristine") / "journal.db"
    rows = make_chain(ROWS, tag="long " * 300)

    async def write() -> None:
        journal = SqliteJournal(path)
        await journal.open()
        await journal.begin(0)
        await journal.commit(rows, [Key(1, "key", 1, 0, b"f")])
        await journal.save_snapshot(Snapshot(ROWS, rows[-1].hash, 1, b"state" * 2_000))
        await journal.close()

    asyncio.run(write())
    return path, rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), first_page=st.booleans(), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_file_gives_the_right_rows_or_an_error(
    tmp_path: Path, pristine: tuple[Path, list[Row]], where: float, first_page: bool, bit: int
) -> None:
    source, rows = pristine
    copy = tmp_path / "journal.db"
    for leftover in tmp_path.iterdir():
        leftover.unlink()
    shutil.copy(source, copy)
    with copy.open("r+b") as file:
        # The first page holds the header and the schema: the oddest failures are there.
        offset = int(where * (4096 if first_page else copy.stat().st_size))
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))

    async def read_all() -> None:
        journal = SqliteJournal(copy)
        try:
            head = await journal.open()
            await journal.latest_snapshot()
            assert await verify_tail(journal, EMPTY_HEAD) == head == head_of(rows[-1])
            assert await journal.read(0) == rows
        except (JournalDamaged, JournalUnavailable) as error:
            assert not getattr(error, "outcome_unknown", False)
        finally:
            await journal.close()

    asyncio.run(read_all())
