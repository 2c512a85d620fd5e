"""Several journals at one place, and tasks that are cancelled: the lock is held by one, and never by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from raeth.journal.base import EMPTY_HEAD, Journal, JournalUnavailable, Row
from raeth.journal.chain import head_of, next_row
from raeth.journal.scrub import verify_tail
from tests.journal.conftest import Store

Append = Callable[..., Any]
MakeChain = Callable[..., list[Row]]


async def test_each_sees_what_the_other_appended(
    journal: Journal, other: Journal, append: Append, make_chain: MakeChain
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
    journal: Journal, other: Journal, make_chain: MakeChain
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
    store: Store, journal: Journal, other: Journal, append: Append, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hurry(other, monkeypatch)
    await journal.begin(0)
    with pytest.raises(JournalUnavailable) as caught:
        await other.begin(0)
    assert not caught.value.outcome_unknown
    await journal.rollback()
    await append(other, 1)


async def test_many_writers_make_one_chain(store: Store, journal: Journal) -> None:
    """Four journals, each in a thread with a loop of its own, all opening at once and appending as fast as they can."""

    async def write(tag: str) -> None:
        own = store.journal()
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


def test_a_new_place_may_be_opened_by_many_at_once(store: Store) -> None:
    async def open_and_close() -> None:
        journal = store.journal()
        assert await journal.open() == EMPTY_HEAD
        await journal.close()

    with ThreadPoolExecutor(4) as pool:
        for _ in range(6):
            store.empty()
            for done in [pool.submit(lambda: asyncio.run(open_and_close())) for _ in range(4)]:
                done.result()


# ---- cancellation ----


async def cancel_in_the_hop(task: asyncio.Task[Any]) -> None:
    await asyncio.sleep(0)  # the job is handed over now, and nobody can take it back
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_begin_lets_the_lock_go(journal: Journal, other: Journal, append: Append) -> None:
    await cancel_in_the_hop(asyncio.create_task(journal.begin(0)))
    await append(other, 1)
    await append(journal, 1)


async def test_a_begin_cancelled_while_it_waits_lets_the_lock_go_once_it_has_it(
    journal: Journal, other: Journal, append: Append
) -> None:
    await other.begin(0)
    await cancel_in_the_hop(asyncio.create_task(journal.begin(0)))
    await other.rollback()
    await append(journal, 1)
    await append(other, 1)


async def test_a_cancelled_commit_commits(journal: Journal, make_chain: MakeChain) -> None:
    rows = make_chain(3)
    await journal.begin(0)
    await cancel_in_the_hop(asyncio.create_task(journal.commit(rows)))
    assert (await journal.begin(0)).behind == rows
    await journal.rollback()


async def test_a_cancelled_rollback_rolls_back(journal: Journal, other: Journal, append: Append) -> None:
    await journal.begin(0)
    await cancel_in_the_hop(asyncio.create_task(journal.rollback()))
    await append(other, 1)
