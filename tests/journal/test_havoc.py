"""Nodes append while sessions are killed, requests and answers get lost and the server restarts; then every answer is
held against what is stored: what was said to be durable is there, what was said to be lost is not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from raeth.journal.base import EMPTY_HEAD, Head, JournalRefused, JournalUnavailable, Key, Row
from raeth.journal.chain import head_of, next_row, verify
from raeth.journal.postgres import PostgresJournal
from raeth.journal.scrub import verify_tail
from tests.journal.proxy import Proxy
from tests.postgres import Server

NODES = 3
DURABLE, LOST, UNKNOWN = "durable", "lost", "unknown"
DEEDS = ("lose_answer", "lose_request", "hold_request")

KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'raeth-journal%'
ORDER BY random() LIMIT 1
"""


class Node:
    """Appends small batches of its own commands and notes what it was told of each."""

    def __init__(self, number: int, url: str) -> None:
        self.number = number
        self.told: dict[Row, str] = {}
        self._dice = random.Random(number)
        self._proxy = Proxy(url)
        self._count = 0

    async def run(self, over: asyncio.Event) -> None:
        await self._proxy.start()
        journal = await self._opened()
        head = EMPTY_HEAD
        while not over.is_set():
            try:
                head = await self._append(journal, head)
            except JournalUnavailable as error:
                assert not isinstance(error, JournalRefused)
                self._proxy.refusing = False
                await asyncio.sleep(0.01)
            if self._dice.random() < 0.1:
                await self._proxy.release()
        self._proxy.refusing = False
        await self._proxy.release()
        await journal.close()
        await self._proxy.stop()

    async def _opened(self) -> PostgresJournal:
        while True:
            journal = PostgresJournal(self._proxy.url)
            try:
                await journal.open()
                return journal
            except JournalUnavailable:
                await asyncio.sleep(0.01)

    async def _append(self, journal: PostgresJournal, known: Head) -> Head:
        """One batch; the head afterwards as far as it is known. Raises JournalUnavailable where nothing was tried."""
        begun = await journal.begin(known.seq)
        known = verify(begun.behind, known)
        if known != begun.head:
            await journal.rollback()
            return verify(await journal.read(known.seq), known)
        if self._dice.random() < 0.2:
            self._proxy.at_the_next_commit(self._dice.choice(DEEDS), then_refuse=self._dice.random() < 0.3)
        rows: list[Row] = []
        for _ in range(self._dice.randint(1, 5)):
            self._count += 1
            before = head_of(rows[-1]) if rows else known
            rows.append(next_row(before, before.ts, f"{self.number} {self._count}".encode(), b"events"))
        told = await self._commit(journal, rows)
        self.told.update(dict.fromkeys(rows, told))
        return head_of(rows[-1]) if told == DURABLE else known

    async def _commit(self, journal: PostgresJournal, rows: list[Row]) -> str:
        key = Key(self.number, str(self._count), rows[0].seq, 0, b"")
        commit = asyncio.create_task(journal.commit(rows, [key]))
        if self._dice.random() < 0.05:
            await asyncio.sleep(self._dice.random() * 0.003)
            commit.cancel()
        try:
            await commit
        except asyncio.CancelledError:
            return UNKNOWN
        except JournalUnavailable as error:
            assert not isinstance(error, JournalRefused)
            self._proxy.refusing = False
            return UNKNOWN if error.outcome_unknown else LOST
        return DURABLE


async def wreak(server: Server, url: str, seconds: float) -> None:
    dice = random.Random(seconds)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        await asyncio.sleep(dice.random() * 0.3)
        if dice.random() < 0.85:
            await asyncio.to_thread(server.execute, KILL, url=url)
        else:
            await asyncio.to_thread(server.restart, crash=dice.random() < 0.7)


@pytest.fixture
def server() -> Iterator[Server]:
    own = Server()
    yield own
    own.close()


@pytest.mark.parametrize("seconds", [1.5, pytest.param(60.0, marks=pytest.mark.long)])
async def test_every_answer_is_true(seconds: float, server: Server) -> None:
    url = await asyncio.to_thread(server.fresh_database)
    nodes, over = [Node(number, url) for number in range(NODES)], asyncio.Event()
    running = [asyncio.create_task(node.run(over)) for node in nodes]
    await wreak(server, url, seconds)
    async with asyncio.timeout(60):
        while not {DURABLE, LOST} <= {what for node in nodes for what in node.told.values()}:
            await asyncio.sleep(0.05)
    over.set()
    await asyncio.gather(*running)

    journal = PostgresJournal(url)
    head = await journal.open()
    assert await verify_tail(journal, EMPTY_HEAD) == head
    stored = await journal.read(0, limit=head.seq)
    await journal.close()
    told: dict[Any, str] = {}
    for node in nodes:
        told |= node.told
    assert set(stored) <= set(told)
    assert len({row.command for row in stored}) == len(stored)
    assert {row for row, what in told.items() if what == DURABLE} <= set(stored)
    assert not {row for row, what in told.items() if what == LOST} & set(stored)
