"""`kill -9` of nodes at any moment loses nothing that was reported as durable, and leaves no half of a batch."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from raeth.journal.base import EMPTY_HEAD, Write
from raeth.journal.scrub import verify_tail
from tests.journal.conftest import Store

NODES = {"sqlite": [1, 1, 2], "postgresql": [4]}
"""How many processes append at once, each time until all are killed."""
MOST_BATCHES = 100
APPENDER = Path(__file__).with_name("appender.py")
ROOT = APPENDER.parents[2]
TABLE = Write("CREATE TABLE projected (seq INTEGER PRIMARY KEY)", [()])


def reported_before_the_kill(place: str, seed: int) -> list[str]:
    """Let a child append, kill it after some of its batches, and return all the lines it managed to print."""
    child = subprocess.Popen(
        [sys.executable, str(APPENDER), place, str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert child.stdout is not None
    with child, child.stdout as lines:
        reported = [lines.readline() for _ in range(random.Random(seed).randint(1, MOST_BATCHES))]
        child.kill()
        reported += lines.readlines()
    return [line for line in reported if line.endswith("\n")]


async def test_nothing_reported_is_lost(store: Store, sql: Callable[..., list[Any]]) -> None:
    journal = store.journal()
    await journal.open()
    await journal.execute([TABLE])
    await journal.close()
    for time, count in enumerate(NODES[store.backend]):
        with ThreadPoolExecutor(count) as pool:
            seeds = range(10 * time, 10 * time + count)
            reports = await asyncio.to_thread(
                lambda: list(pool.map(lambda seed: reported_before_the_kill(store.place, seed), seeds))  # noqa: B023
            )

        journal = store.journal()
        head = await journal.open()
        assert await verify_tail(journal, EMPTY_HEAD) == head
        hashes = {row.seq: row.hash.hex() for row in await journal.read(0, limit=head.seq)}
        for reported in reports:
            assert reported, "the child failed; see its stderr"
            for seq, row_hash in map(str.split, reported):
                assert hashes[int(seq)] == row_hash
        for table in ("journal_keys", "projected"):
            assert sql(f"SELECT count(*), max(seq) FROM {table}") == [(head.seq, head.seq)]
        begun = await journal.begin(0)
        assert begun.projected == head.seq
        await journal.close()
