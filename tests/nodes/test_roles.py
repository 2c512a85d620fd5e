"""Who holds a role, who gets it next, and what one that was away does: on a real PostgreSQL, and on files."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from raeth.nodes.locks import FileLocks, Lease, Locks, LocksUnavailable, SessionLocks, SoleLocks, holding
from raeth.nodes.roles import Roles
from tests.postgres import Server

WITHIN_S = 20
"""For a busy machine; what is promised is printed and about three seconds."""


class Holder:
    """One process of `holder.py`."""

    def __init__(self, url: str, log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, "-m", "tests.nodes.holder", url, "series"], stdout=out)

    def said(self, what: str) -> list[float]:
        lines = [line.split() for line in self.log.read_text().splitlines() if line.count(" ") == 1]
        return [float(at) for word, at in lines if word == what]

    def until(self, what: str, count: int = 1) -> float:
        """When it said it for the `count`th time."""
        deadline = time.monotonic() + WITHIN_S
        while len(said := self.said(what)) < count:
            assert time.monotonic() < deadline, f"never: {what} {count}"
            time.sleep(0.01)
        return said[count - 1]


@pytest.fixture
def holders(postgres_url: str, tmp_path: Path) -> Iterator[list[Holder]]:
    made = []
    try:
        for name in ("a", "b", "c"):
            made.append(Holder(postgres_url, tmp_path / name))
        yield made
    finally:
        for holder in made:
            holder.process.kill()
            holder.process.wait()


def test_the_next_one_has_it_when_one_dies_or_stops_and_one_that_was_away_does_nothing_more(
    holders: list[Holder],
) -> None:
    first = next_holder(holders)
    first.until("act", 3)
    killed = time.time()
    first.process.kill()
    second = next_holder([holder for holder in holders if holder is not first])
    (third,) = set(holders) - {first, second}
    second.until("act", 3)
    stopped = time.time()
    second.process.send_signal(signal.SIGSTOP)
    taken = third.until("held")
    third.until("act", 3)
    second.process.send_signal(signal.SIGCONT)
    second.until("lost")
    print(f"after a kill {second.said('held')[0] - killed:.2f} s, after a stop {taken - stopped:.2f} s")
    assert second.said("held")[0] > first.said("act")[-1]
    assert second.said("act")[-1] < taken, "awake again, it acts no more"
    third.process.kill()
    assert second.until("held", 2) > third.said("act")[-1], "and competes again"


def next_holder(holders: list[Holder]) -> Holder:
    """The first of them that has it; nobody else does."""
    deadline = time.monotonic() + WITHIN_S
    while not (having := [holder for holder in holders if holder.said("held")]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (one,) = having
    return one


class Worker:
    """Work that counts how often it began and ended."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, lease: Lease) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def test_work_ends_at_once_when_the_session_does(postgres_server: Server, postgres_url: str) -> None:
    roles, work = Roles(SessionLocks(postgres_url)), Worker()
    keeping = asyncio.create_task(roles.keep("series", work))
    try:
        async with asyncio.timeout(WITHIN_S):
            await work.began.wait()
            assert roles.held == ("series",)
            work.began.clear()
            await asyncio.to_thread(end_sessions, postgres_server)
            await work.ended.wait()
            await work.began.wait()
            assert roles.held == ("series",), "it is taken again"
    finally:
        await cancelled(keeping)
    assert roles.held == ()


def end_sessions(server: Server) -> None:
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'raeth series'")


async def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    locks = SessionLocks("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(LocksUnavailable):
        await locks.try_acquire("start")
    waiting = asyncio.create_task(locks.acquire("series"))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "it is tried again for ever"
    await cancelled(waiting)


@pytest.fixture(params=["file", "session"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Locks, Locks]:
    if request.param == "file":
        return FileLocks(tmp_path), FileLocks(tmp_path)
    url = request.getfixturevalue("postgres_url")
    return SessionLocks(url), SessionLocks(url)


async def test_one_at_a_time(two: tuple[Locks, Locks]) -> None:
    one, other = two
    async with asyncio.timeout(WITHIN_S):
        lease = await one.acquire("series")
        await lease.confirmed()
        assert await other.try_acquire("series") is None
        async with holding(other, "house"):
            assert await one.try_acquire("house") is None, "another name is another lock"
        waiting = asyncio.create_task(other.acquire("series"))
        await lease.release()
        await lease.release()
        taken = await waiting
        assert await one.try_acquire("series") is None
        await taken.release()
        async with holding(one, "series"):
            pass


async def test_work_that_ends_keeps_the_role_and_work_that_fails_is_heard_of(two: tuple[Locks, Locks]) -> None:
    one, other = two
    done = asyncio.Event()

    async def work(lease: Lease) -> None:
        done.set()

    keeping = asyncio.create_task(Roles(one).keep("house", work))
    async with asyncio.timeout(WITHIN_S):
        await done.wait()
        assert await other.try_acquire("house") is None
        await cancelled(keeping)
        done.clear()
        while not done.is_set():
            await Roles(other).once("house", work)

        async def fail(lease: Lease) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await Roles(one).keep("house", fail)
        async with holding(other, "house"):
            assert done.is_set()


async def test_alone_nobody_waits() -> None:
    async with asyncio.timeout(1):
        lease = await SoleLocks().acquire("series")
        await lease.confirmed()
        await lease.release()


async def cancelled(task: asyncio.Task[None] | asyncio.Task[Lease]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
