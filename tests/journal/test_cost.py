"""What a durable batch costs on this machine: printed (run with -s), not asserted, because disks differ."""

from __future__ import annotations

import statistics
import time

import pytest

from raeth.journal.base import EMPTY_HEAD, Journal, Key
from raeth.journal.chain import chain_hash, head_of, next_row
from raeth.journal.scrub import verify_tail

ROWS = 2_000
COMMAND, EVENTS = b"c" * 150, b"e" * 400


@pytest.fixture
def backend() -> str:
    return "sqlite"


@pytest.mark.parametrize("batch", [1, 16, 64, 256])
async def test_rows_a_second(journal: Journal, batch: int) -> None:
    head, batches_ms = EMPTY_HEAD, []
    for _ in range(min(ROWS // batch, 300) + 1):
        rows = []
        for _ in range(batch):
            rows.append(next_row(head, head.ts, COMMAND, EVENTS))
            head = head_of(rows[-1])
        keys = [(1, row.hash.hex()) for row in rows]
        begun_ns = time.perf_counter_ns()
        await journal.begin(rows[0].seq - 1, keys)
        await journal.commit(rows, [Key(1, row.hash.hex(), row.seq, 0, row.hash[:16]) for row in rows])
        batches_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
    batch_ms = statistics.median(batches_ms)
    print(f"\nbatches of {batch}: median {batch_ms:.2f} ms, {batch / batch_ms * 1e3:,.0f} durable rows/s")
    assert await verify_tail(journal, EMPTY_HEAD) == head


def test_a_hash() -> None:
    count = 20_000
    started_ns = time.perf_counter_ns()
    for seq in range(count):
        chain_hash(EMPTY_HEAD.hash, seq, 0, COMMAND, EVENTS)
    print(f"\na hash of {len(COMMAND) + len(EVENTS)} bytes: {(time.perf_counter_ns() - started_ns) / count:.0f} ns")
