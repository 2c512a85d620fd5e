"""What every journal promises: what was committed is there, what was not is not, and nothing else gets in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
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
    JournalForeign,
    JournalRefused,
    JournalUnavailable,
    Key,
    Row,
    Write,
)
from raeth.journal.chain import head_of, next_row, verify
from raeth.journal.scrub import verify_tail
from tests.journal.conftest import Store

MakeChain = Callable[..., list[Row]]
Append = Callable[..., Any]
Sql = Callable[..., list[Any]]

KEY = Key(7, "order-1", 1, 0, b"fingerprint")


def test_it_is_a_journal(store: Store) -> None:
    journal: Journal = store.journal()
    assert journal.backend == store.backend


# ---- what was committed is there ----


async def test_an_empty_journal(journal: Journal) -> None:
    begun = await journal.begin(0)
    assert begun == Begun(Head(0, 0, GENESIS_HASH), [], {}, begun.now_ms)
    await journal.commit([])
    assert await journal.read(0) == []
    assert await journal.row(1) is None
    assert await journal.key(7, "order-1") is None


async def test_rows_keys_and_projections_come_back_after_a_restart(
    store: Store, journal: Journal, make_chain: MakeChain, sql: Sql
) -> None:
    sql("CREATE TABLE fills (seq INTEGER PRIMARY KEY, qty INTEGER)")
    rows = make_chain(20)
    await journal.begin(0)
    await journal.commit(rows, [KEY], [Write("INSERT INTO fills VALUES (?, ?)", [(1, 10), (2, 20)])])
    await journal.close()

    again = store.journal()
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
def test_any_bytes_in_any_batches_come_back(store: Store, batches: list[list[tuple[bytes, bytes]]]) -> None:
    async def write_and_read() -> None:
        store.empty()
        journal = store.journal()
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


async def test_begin_finds_the_keys_that_exist(journal: Journal, append: Append) -> None:
    await append(journal, 1, keys=[KEY])
    begun = await journal.begin(1, [(7, "order-1"), (7, "order-2"), (8, "order-1")])
    assert begun.hits == {(7, "order-1"): KEY}
    await journal.rollback()


async def test_begin_hands_over_a_bounded_number_of_rows(journal: Journal, append: Append) -> None:
    rows = await append(journal, MAX_BEHIND + 2)
    begun = await journal.begin(1)
    assert begun.behind == rows[1 : MAX_BEHIND + 1]
    assert begun.head == head_of(rows[-1])
    await journal.rollback()
    assert (await journal.begin(MAX_BEHIND)).behind == rows[MAX_BEHIND:]
    await journal.rollback()


async def test_tables_have_small_transactions_of_their_own(journal: Journal, sql: Sql) -> None:
    sql("CREATE TABLE sessions (token TEXT PRIMARY KEY)")
    await journal.execute([Write("INSERT INTO sessions VALUES (?)", [("a",), ("b",)])])
    with pytest.raises(JournalRefused):
        await journal.execute([Write("INSERT INTO sessions VALUES (?)", [("c",), ("a",)])])
    assert sql("SELECT token FROM sessions ORDER BY 1") == [("a",), ("b",)]


# ---- what was not committed is not ----


async def test_rollback_leaves_nothing(journal: Journal) -> None:
    await journal.begin(0)
    await journal.rollback()
    await journal.rollback()
    assert (await journal.begin(0, [(7, "order-1")])).head == EMPTY_HEAD
    await journal.rollback()


async def test_closing_inside_a_transaction_rolls_it_back(store: Store, journal: Journal) -> None:
    await journal.begin(0)
    await journal.close()
    await journal.close()
    again = store.journal()
    assert await again.open() == EMPTY_HEAD
    await again.close()
    with pytest.raises(JournalUnavailable):
        await journal.begin(0)
    with pytest.raises(JournalUnavailable):
        await journal.read(0)


async def test_nothing_of_an_uncommitted_batch_can_be_read(
    store: Store, journal: Journal, make_chain: MakeChain
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
    name: str, journal: Journal, append: Append, make_chain: MakeChain
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


async def test_a_key_nobody_can_have_is_refused_and_the_lock_let_go(journal: Journal) -> None:
    for key in [(1 << 70, "a"), (1, "\ud800")]:
        with pytest.raises(JournalRefused):
            await journal.begin(0, [key])
    await journal.begin(0)
    await journal.rollback()


async def test_a_newer_format_is_refused(store: Store, journal: Journal, sql: Sql) -> None:
    await journal.close()
    sql("UPDATE journal_meta SET format = 3")
    with pytest.raises(JournalForeign, match="format 3"):
        await store.journal().open()


# ---- the mark of the tables ----


async def test_the_mark_moves_with_a_commit_and_not_without_one(journal: Journal, make_chain: MakeChain) -> None:
    rows = make_chain(5)
    assert (await journal.begin(0)).projected == 0
    await journal.commit(rows[:3], projected=2)
    assert (await journal.begin(0)).projected == 2
    await journal.commit(rows[3:])
    assert (await journal.begin(0)).projected == 2
    await journal.rollback()
    await journal.begin(0)
    await journal.commit([], projected=5)
    assert (await journal.begin(0)).projected == 5
    await journal.rollback()


@pytest.mark.parametrize("mark", [1, 4])
async def test_the_mark_goes_neither_back_nor_beyond_the_head(
    mark: int, journal: Journal, make_chain: MakeChain
) -> None:
    await journal.begin(0)
    await journal.commit(make_chain(3), projected=2)
    await journal.begin(0)
    with pytest.raises(JournalRefused):
        await journal.commit([], projected=mark)
    assert (await journal.begin(0)).projected == 2
    await journal.rollback()


# ---- the clock ----


async def test_the_databases_clock_is_read_under_the_lock(journal: Journal) -> None:
    before_ms = time.time_ns() // 1_000_000
    begun = await journal.begin(0)
    await journal.rollback()
    if journal.backend == "sqlite":
        assert begun.now_ms is None
    else:  # one machine, one clock
        assert begun.now_ms is not None and before_ms <= begun.now_ms <= time.time_ns() // 1_000_000
