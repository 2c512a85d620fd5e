"""A process to be killed: appends batches to the journal at the place it is given, and says each seq once durable."""

from __future__ import annotations

import asyncio
import random
import sys

from raeth.journal.base import Journal, Key, Write
from raeth.journal.chain import head_of, next_row
from raeth.journal.postgres import PostgresJournal
from raeth.journal.sqlite import SqliteJournal


async def main(place: str, seed: int) -> None:
    dice = random.Random(seed)
    journal: Journal = PostgresJournal(place) if "://" in place else SqliteJournal(place)
    await journal.open()
    known_seq = 0
    while True:
        begun = await journal.begin(known_seq)
        head, rows = begun.head, []
        for _ in range(dice.randint(1, 20)):
            rows.append(next_row(head, head.ts + 1, b"command", bytes(dice.randint(0, 6_000))))
            head = head_of(rows[-1])
        await journal.commit(
            rows,
            [Key(1, str(row.seq), row.seq, 0, b"") for row in rows],
            [Write("INSERT INTO projected VALUES (?)", [(row.seq,) for row in rows])],
            projected=head.seq,
        )
        known_seq = head.seq
        print(head.seq, head.hash.hex(), flush=True)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
