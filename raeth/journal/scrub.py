"""Reading the chain again to see that it still holds: slowly in the background, or all at once.

Must not know which database keeps the rows, nor what to do about damage: it names the `seq`, the caller stops the
venue.
"""

from __future__ import annotations

import asyncio

from raeth.journal.base import EMPTY_HEAD, Head, Journal, JournalDamaged
from raeth.journal.chain import head_of, verify

CHUNK_ROWS = 250
"""Rows verified in one go: about a third of a millisecond of the event loop."""
PAUSE_S = 0.01
"""Rest between chunks. With `CHUNK_ROWS` it reads at most 25 000 rows a second and leaves the loop to the orders."""

TAIL_CHUNK_ROWS = 5_000


async def scrub(
    journal: Journal,
    to_seq: int,
    from_head: Head = EMPTY_HEAD,
    *,
    chunk_rows: int = CHUNK_ROWS,
    pause_s: float = PAUSE_S,
) -> Head:
    """Verify every row after `from_head` up to `to_seq`, slowly; the head at `to_seq`.

    Raises JournalDamaged naming the first row that is missing, changed or unreadable.
    """
    head = from_head
    while head.seq < to_seq:
        rows = await journal.read(head.seq, chunk_rows, to_seq)
        if not rows:
            raise JournalDamaged(head.seq + 1, f"the rows from here to {to_seq} are missing")
        head = verify(rows, head)
        await asyncio.sleep(pause_s)
    return head


async def verify_tail(journal: Journal, snapshot_head: Head) -> Head:
    """Verify that the row at `snapshot_head` is the one the snapshot knew, and all rows after it; the last head.

    Runs at full speed, for tools: start-up verifies while it replays. Raises JournalDamaged naming the `seq`.
    """
    head = snapshot_head
    if head.seq:
        row = await journal.row(head.seq)
        if row is None or head_of(row) != head:
            raise JournalDamaged(head.seq, "the row is not the one the snapshot was taken at")
    while rows := await journal.read(head.seq, TAIL_CHUNK_ROWS):
        head = verify(rows, head)
    return head
