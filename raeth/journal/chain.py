"""The hash chain: each row's hash covers its content and the hash before it, so any change breaks it from there on.

Must not know databases or what a command means. The chain proves that rows are unchanged, in order and complete up
to a head that is known from elsewhere; it cannot show that rows are missing after the last one.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct
from struct import error as StructError

from raeth.journal.base import Head, JournalDamaged, Row

# Fixed widths and both lengths, so that no two different rows share an encoding.
_HEADER = Struct(">32sQqQQ")
_pack = _HEADER.pack


def chain_hash(previous: bytes, seq: int, ts: int, command: bytes, events: bytes) -> bytes:
    """SHA-256 of the row's encoding: `previous` (32 bytes), `seq`, `ts`, both lengths (8 bytes each, big-endian),
    then `command` and `events`."""
    return sha256(_pack(previous, seq, ts, len(command), len(events)) + command + events).digest()


def next_row(last: Head | Row, ts: int, command: bytes, events: bytes) -> Row:
    """The row that follows `last`; its `ts` must not be before that one's."""
    assert ts >= last.ts
    seq = last.seq + 1
    return Row(seq, ts, command, events, chain_hash(last.hash, seq, ts, command, events))


def head_of(row: Row) -> Head:
    """The head of a journal that ends with `row`."""
    return Head(row.seq, row.ts, row.hash)


def verify(rows: Iterable[Row], head: Head) -> Head:
    """Check that `rows` continue `head` without a gap, and return the new head.

    Raises JournalDamaged naming the first `seq` that is missing, changed, or stamped before the row it follows.
    """
    last_seq, last_ts, last_hash = head
    for seq, ts, command, events, stored in rows:
        if seq != last_seq + 1:
            raise JournalDamaged(last_seq + 1, f"the row is missing; the next one found is {seq}")
        try:
            expected = chain_hash(last_hash, seq, ts, command, events)
        except (TypeError, StructError) as error:  # a damaged page may hand out a column as any type
            raise JournalDamaged(seq, f"the row is unreadable: {error}") from error
        if expected != stored:
            raise JournalDamaged(seq, "the row or its link to the one before it was changed: the hash does not match")
        if ts < last_ts:
            raise JournalDamaged(seq, f"its time {ts} is before {last_ts}, the time of the row it follows")
        last_seq, last_ts, last_hash = seq, ts, stored
    return Head(last_seq, last_ts, last_hash)
