"""A journal as a venue's database: rows and the tables they cause, as the sequencer would have committed them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from raeth.engine import codec
from raeth.journal.base import Row
from raeth.journal.sqlite import SqliteJournal
from raeth.store.projector import Projector
from tests.sequencer.node import prepare

BATCH = 1_000


def make_database(path: Path, rows: Sequence[Row]) -> None:
    asyncio.run(_make(path, rows))


async def _make(path: Path, rows: Sequence[Row]) -> None:
    await prepare(path)
    journal, projector = SqliteJournal(path), Projector()
    await journal.open()
    try:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            for row in batch:
                projector.add(row.seq, row.ts, codec.decode_command(row.command), codec.decode_events(row.events))
            await journal.begin(start)
            await journal.commit(batch, (), projector.take(), batch[-1].seq)
    finally:
        await journal.close()
