"""`kill -9` of a node at any moment loses nothing that was reported as durable, and leaves no half of a batch."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raeth.journal.base import EMPTY_HEAD
from raeth.journal.scrub import verify_tail
from tests.journal.conftest import Store

KILLS = 5
MOST_BATCHES = 150
APPENDER = Path(__file__).with_name("appender.py")
ROOT = APPENDER.parents[2]


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
    for seed in range(KILLS):
        reported = reported_before_the_kill(store.place, seed)
        assert reported, "the child failed; see its stderr"
        seq, row_hash = reported[-1].split()

        journal = store.journal()
        head = await journal.open()
        row = await journal.row(int(seq))
        assert row is not None and row.hash.hex() == row_hash
        assert await verify_tail(journal, EMPTY_HEAD) == head
        for table in ("journal_keys", "projected"):
            assert sql(f"SELECT count(*), max(seq) FROM {table}") == [(head.seq, head.seq)]
        await journal.close()
