"""Several journals on one file, and tasks that are cancelled: the lock is held by one, and never by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from raeth.journal import sqlite_file
from raeth.journal.base import EMPTY_HEAD, JournalUnavailable, Row
from raeth.journal.chain import head_of, next_row
from raeth.journal.scrub import verify_tail
from raeth.journal.sqlite import SqliteJournal

Append = Callable[..., Any]
MakeChain = Callable[..., list[Row]]


@pytest.fixture
async def other(path: Path, journal: SqliteJournal) -> AsyncIterator[SqliteJournal]:
    opened = SqliteJournal(path)
    await opened.open()
    yield opened
    await opened.close()


async def test_each_sees_what_the_other_appended(
    journal: SqliteJournal, other: SqliteJournal, append: Append, make_chain: MakeChain
) -> None:
    first = await append(journal, 3)
    begun = await other.begin(1)
    assert (begun.head, begun.behind) == (head_of(first[-1]), first[1:])
    second = make_chain(2, begun.head, tag="other ")
    await other.commit(second)
    assert (await journal.begin(3)).behind == second
    await journal.rollback()
    assert await journal.read(0) == first + second


async def test_the_second_waits_until_the_first_lets_go(
    journal: SqliteJournal, other: SqliteJournal, make_chain: MakeChain
) -> None:
    await journal.begin(0)
    waiting = asyncio.create_task(other.begin(0))
    assert await other.read(0) == []  # reads do not wait, although the lock is asked for
    assert not waiting.done()
    rows = make_chain(2)
    await journal.commit(rows)
    assert (await waiting).behind == rows
    await other.rollback()


async def test_waiting_has_an_end(
    journal: SqliteJournal, other: SqliteJournal, append: Append, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "LOCK_TIMEOUT_S", 0.01)
    await journal.begin(0)
    with pytest.raises(JournalUnavailable) as caught:
        await other.begin(0)
    assert not caught.value.outcome_unknown
    await journal.rollback()
    await append(other, 1)


async def test_many_writers_make_one_chain(path: Path, journal: SqliteJournal) -> None:
    """Four journals, each in a thread with a loop of its own, all opening at once and appending as fast as they can."""

    async def write(tag: str) -> None:
        own = SqliteJournal(path)
        await own.open()
        known = 0
        for n in range(25):
            begun = await own.begin(known)
            row = next_row(begun.head, n, f"{tag} {n}".encode(), b"") if begun.head.ts <= n else None
            await own.commit([row or next_row(begun.head, begun.head.ts, f"{tag} {n}".encode(), b"")])
            known = begun.head.seq + 1
        await own.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(lambda tag=tag: asyncio.run(write(tag))) for tag in "abcd"]:  # type: ignore[misc]
            done.result()
    assert (await verify_tail(journal, EMPTY_HEAD)).seq == 100
    commands = [row.command.decode() for row in await journal.read(0)]
    for tag in "abcd":
        assert [command for command in commands if command[0] == tag] == [f"{tag} {n}" for n in range(25)]


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    async def open_and_close(path: Path) -> None:
        journal = SqliteJournal(path)
        assert await journal.open() == EMPTY_HEAD
        await journal.close()

    with ThreadPoolExecutor(4) as pool:
        for attempt in range(10):
            path = tmp_path / str(attempt) / "journal.db"
            for done in [pool.submit(lambda: asyncio.run(open_and_close(path))) for _ in range(4)]:  # noqa: B023
                done.result()


# ---- cancellation ----


async def cancel_in_the_hop(task: asyncio.Task[Any]) -> None:
    await asyncio.sleep(0)  # the job is handed over now, and nobody can take it back
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_begin_lets_the_lock_go(journal: SqliteJournal, other: SqliteJournal, append: Append) -> None:
    await cancel_in_the_hop(asyncio.create_task(journal.begin(0)))
    await append(other, 1)
    await append(journal, 1)


async def test_a_begin_cancelled_while_it_waits_lets_the_lock_go_once_it_has_it(
    journal: SqliteJournal, other: SqliteJournal, append: Append
) -> None:
    await other.begin(0)
    await cancel_in_the_hop(asyncio.create_task(journal.begin(0)))
    await other.rollback()
    await append(journal, 1)
    await append(other, 1)


async def test_a_cancelled_commit_commits(journal: SqliteJournal, make_chain: MakeChain) -> None:
    rows = make_chain(3)
    await journal.begin(0)
    await cancel_in_the_hop(asyncio.create_task(journal.commit(rows)))
    assert (await journal.begin(0)).behind == rows
    await journal.rollback()


async def test_a_cancelled_rollback_rolls_back(journal: SqliteJournal, other: SqliteJournal, append: Append) -> None:
    await journal.begin(0)
    await cancel_in_the_hop(asyncio.create_task(journal.rollback()))
    await append(other, 1)
