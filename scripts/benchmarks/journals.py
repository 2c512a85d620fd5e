"""What one commit of the journal costs, against the least that could be written instead: an append to one table.

Both write the same commands and events, and both end in a real fsync. The journal locks its head, hashes and checks the
chain, moves its marks, and is asked from an event loop through a thread or a connection.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from benchmarks.engine import START_MS, commands_of, open_venue
from benchmarks.servers import ALL_CORES
from benchmarks.table import Line, line, ratio_line
from benchmarks.workload import mix
from raeth.engine import codec
from raeth.engine.exchange import apply
from raeth.journal.base import EMPTY_HEAD, Journal
from raeth.journal.chain import head_of, next_row
from raeth.journal.sqlite import SqliteJournal

GROUPS = (1, 100)
COMMANDS = 4_000
"""So many different ones, over and over."""

CREATE = "CREATE TABLE append (seq {integer} PRIMARY KEY, command {bytes} NOT NULL, events {bytes} NOT NULL)"

Payload = tuple[bytes, bytes]
"""A command and its events, encoded."""

Append = Callable[[list[Payload]], Awaitable[None]]
"""Writes a group durably, in one transaction."""


def payloads() -> list[Payload]:
    """What orders leave behind."""
    state, seq, ts, agents = open_venue()
    assert state.live is not None
    found: list[Payload] = []
    for command in commands_of(mix(COMMANDS), state.live.id, agents, seq + 1):
        seq += 1
        events = apply(state, command, seq, ts)
        found.append((codec.encode_command(command), codec.encode_events(events)))
    return found


def measure(wanted: set[str], rounds: int, seconds: float) -> list[Line]:
    found = payloads()
    lines = []
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ALL_CORES)  # the journal's thread and the event loop may run beside each other
    for name, contest in (("sqlite", on_sqlite), ("postgres", on_postgres)):
        if any(f"{name}-{size}" in wanted for size in GROUPS):
            lines += uvloop.run(_compare(name, contest, found, rounds, seconds))
    os.sched_setaffinity(0, cores)
    return lines


async def _compare(
    name: str, contest: Callable[[], Any], found: list[Payload], rounds: int, seconds: float
) -> list[Line]:
    async with contextlib.AsyncExitStack() as stack:
        try:
            ours, theirs = await stack.enter_async_context(contest())
        except ImportError as missing:
            return [line(f"{name}-{size}", "not there", str(missing)) for size in GROUPS]
        pairs: dict[int, list[tuple[float, float]]] = {size: [] for size in GROUPS}
        for _ in range(rounds):
            for size in GROUPS:
                groups = itertools.cycle([found[at : at + size] for at in range(0, len(found), size)])
                bare = await _timed(theirs, groups, seconds)
                pairs[size].append((await _timed(ours, groups, seconds), bare))
        return [_line(f"{name}-{size}", size, measured) for size, measured in pairs.items()]


def _line(name: str, size: int, pairs: list[tuple[float, float]]) -> Line:
    ours, theirs = ([pair[k] for pair in pairs] for k in (0, 1))
    per_s = f"{median(ours) * size:,.0f} commands/s against {median(theirs) * size:,.0f}"
    return ratio_line(
        name, ours, theirs, f"{1000 / median(ours):.2f} ms a commit against {1000 / median(theirs):.2f}, {per_s}"
    )


async def _timed(append: Append, groups: Iterator[list[Payload]], seconds: float) -> float:
    """Commits a second."""
    commits = 0
    began = now = time.perf_counter()
    while now < began + seconds:
        await append(next(groups))
        commits += 1
        now = time.perf_counter()
    return commits / (now - began)


def _through(journal: Journal) -> Append:
    head = EMPTY_HEAD

    async def append(group: list[Payload]) -> None:
        nonlocal head
        await journal.begin(head.seq)
        rows = []
        for command, events in group:
            row = next_row(head, START_MS, command, events)
            rows.append(row)
            head = head_of(row)
        await journal.commit(rows)

    return append


def _numbered(group: list[Payload], seqs: Iterator[int]) -> list[tuple[int, bytes, bytes]]:
    return [(next(seqs), *payload) for payload in group]


@contextlib.asynccontextmanager
async def on_sqlite() -> AsyncIterator[tuple[Append, Append]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        journal = SqliteJournal(Path(folder) / "journal.db")
        await journal.open()
        bare = sqlite3.connect(f"{folder}/bare.db", isolation_level=None)
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = FULL")
        bare.execute(CREATE.format(integer="INTEGER", bytes="BLOB"))

        seqs = itertools.count(1)

        async def append(group: list[Payload]) -> None:
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany("INSERT INTO append VALUES (?, ?, ?)", _numbered(group, seqs))
            bare.execute("COMMIT")

        try:
            yield _through(journal), append
        finally:
            await journal.close()
            bare.close()


@contextlib.asynccontextmanager
async def on_postgres() -> AsyncIterator[tuple[Append, Append]]:
    """Raises ImportError where there is no PostgreSQL to be had."""
    import asyncpg

    from raeth.journal.postgres import PostgresJournal
    from tests.postgres import fresh_database

    journal = PostgresJournal(fresh_database())
    await journal.open()
    bare = await asyncpg.connect(fresh_database())
    await bare.execute("SET synchronous_commit = on")
    await bare.execute(CREATE.format(integer="bigint", bytes="bytea"))

    seqs = itertools.count(1)

    async def append(group: list[Payload]) -> None:
        # One statement, and so one transaction, however many rows.
        columns = zip(*_numbered(group, seqs), strict=True)
        await bare.execute("INSERT INTO append SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[])", *columns)

    try:
        yield _through(journal), append
    finally:
        await journal.close()
        await bare.close()
