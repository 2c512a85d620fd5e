"""Whoever watches hears of what others append, soon, and goes on hearing when a session breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from raeth.journal import postgres_watcher
from raeth.journal.base import Journal
from tests.journal.conftest import PostgresStore

Append = Callable[..., Any]
Sql = Callable[..., list[Any]]

DEADLINE_S = 30.0
WATCHERS = "application_name = 'raeth-journal-watcher' AND datname = current_database()"


async def hears(heard: asyncio.Event) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await heard.wait()
    heard.clear()


async def test_what_another_appends_is_heard(journal: Journal, other: Journal, append: Append) -> None:
    heard = asyncio.Event()
    await journal.watch(heard.set)
    for _ in range(3):
        await append(other, 1)
        await hears(heard)


async def test_closing_ends_it(journal: Journal, other: Journal, append: Append) -> None:
    heard = asyncio.Event()
    await journal.watch(heard.set)
    await hears(heard)
    await journal.close()
    heard.clear()
    await append(other, 1)
    assert not heard.is_set()


class TestNotifications:
    """With the look once a second out of the way, only the database's notifications are left."""

    @pytest.fixture
    def backend(self) -> str:
        return "postgresql"

    @pytest.fixture(autouse=True)
    def no_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgres_watcher, "LOOK_S", 3_600.0)

    async def test_one_wakes_the_watcher(self, journal: Journal, other: Journal, append: Append) -> None:
        heard = asyncio.Event()
        await journal.watch(heard.set)
        await hears(heard)  # once at the start: who listens late may have missed something
        for _ in range(3):
            await append(other, 1)
            await hears(heard)

    async def test_ones_own_commits_do_not(self, journal: Journal, other: Journal, append: Append) -> None:
        calls: list[int] = []
        heard = asyncio.Event()
        await journal.watch(lambda: (calls.append(1), heard.set())[1])
        await hears(heard)
        calls.clear()
        for _ in range(5):
            await append(journal, 1)
        await append(other, 1)
        await hears(heard)  # notifications come in order: those of the own commits would have come before
        assert len(calls) == 1

    async def test_a_broken_session_is_made_again(
        self, store: PostgresStore, journal: Journal, other: Journal, append: Append, sql: Sql
    ) -> None:
        heard = asyncio.Event()
        await journal.watch(heard.set)
        await hears(heard)
        assert sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {WATCHERS}") == [(True,)]
        await hears(heard)  # the new session looks once, too
        await append(other, 1)
        await hears(heard)
