"""What every journal checks in the same way, whichever database keeps it: rows that continue its head, snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import pack

from raeth.journal.base import Head, JournalDamaged, JournalRefused, Row, Snapshot
from raeth.journal.chain import chain_hash


def check_end(after_seq: int, head: Head) -> None:
    """The journal must end where the one who appends knows it to. Raises JournalDamaged or JournalRefused."""
    check_there(after_seq, head)
    if after_seq != head.seq:
        raise JournalRefused(f"the journal ends at {head.seq}, not at {after_seq}: somebody else has appended")


def check_there(known_seq: int, head: Head) -> None:
    """Rows that somebody knows cannot be gone. Raises JournalDamaged."""
    if known_seq > head.seq:
        raise JournalDamaged(head.seq + 1, f"the rows up to {known_seq}, which were there, are missing")


def check_order(rows: Sequence[Row], head: Head) -> None:
    """The rows must continue the head. Of the hashes only the first is computed again: it shows a wrong start.

    Raises JournalRefused."""
    if not rows:
        return
    seq, ts, _ = head
    first = rows[0]
    if chain_hash(head.hash, first.seq, first.ts, first.command, first.events) != first.hash:
        raise JournalRefused(f"row {first.seq} does not continue the chain at {seq}")
    for row in rows:
        if row.seq != seq + 1 or row.ts < ts or len(row.hash) != 32:
            raise JournalRefused(f"row {row.seq} at {row.ts} cannot follow row {seq} at {ts}")
        seq, ts = row.seq, row.ts


def new_mark(projected: int | None, known: int, head_seq: int) -> int:
    """The mark of the tables after a commit: `projected`, or where it is (`known`). Raises JournalRefused for one that
    goes back, or beyond the head."""
    mark = known if projected is None else projected
    if not known <= mark <= head_seq:
        raise JournalRefused(f"the mark of the tables cannot go from {known} to {mark}")
    return mark


def snapshot_checksum(snapshot: Snapshot) -> bytes:
    """SHA-256 over all of the snapshot."""
    seq, row_hash, engine_version, blob = snapshot
    return sha256(pack(">q32sq", seq, row_hash, engine_version) + blob).digest()
