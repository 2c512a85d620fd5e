"""The journal's protocol: what a durable total order promises, whichever database keeps it.

This module must not know SQLite or PostgreSQL, nor what a command means. One writer at a time holds the head lock;
between `begin` and `commit` nobody else can append:

    begun = await journal.begin(known_seq, keys)     # lock, catch up, look up idempotency keys
    await journal.commit(rows, keys, writes)         # insert, fsync, let go; or: await journal.rollback()

Errors, one small tree:

    JournalDamaged              what is stored is not what was written: stop and say which `seq`
      JournalForeign            it is whole, and of another version of the program
    JournalUnavailable          the database did not take it: disk full, I/O error, lock timeout
      JournalRefused            the transaction itself is at fault and was rolled back: a bug above, retrying is no use
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

GENESIS_HASH = bytes(32)
"""The hash before the first row."""

MAX_BEHIND = 5_000
"""Most rows `begin` hands over while holding the lock; whoever is further behind lets go, reads, and tries again."""

SNAPSHOTS_KEPT = 3
"""Older snapshots are deleted when a new one is saved."""


class Row(NamedTuple):
    """One command of the total order and what it did. `hash` is `chain.chain_hash` over it and the row before."""

    seq: int
    """Place in the order: 1, 2, 3, … without a gap."""
    ts: int
    """Venue time in epoch milliseconds; never smaller than that of the row before."""
    command: bytes
    events: bytes
    hash: bytes
    """32 bytes."""


class Head(NamedTuple):
    """The end of the order; of an empty journal `EMPTY_HEAD`."""

    seq: int
    ts: int
    hash: bytes


EMPTY_HEAD = Head(0, 0, GENESIS_HASH)


class Key(NamedTuple):
    """An idempotency key, unique per `(owner, key)`: this request was item `place` of the command at `seq`."""

    owner: int
    key: str
    seq: int
    place: int
    fingerprint: bytes
    """Digest of the request's body as parsed, to tell a replay from a conflict."""


class Write(NamedTuple):
    """A change of tables that commits with the rows: a statement with `?` placeholders, run once for each of `rows`."""

    sql: str
    rows: Sequence[tuple[Any, ...]]


class Begun(NamedTuple):
    """What `begin` found while taking the lock."""

    head: Head
    """The durable head; nobody can move it until `commit` or `rollback`."""
    behind: list[Row]
    """Rows after `known_seq`, oldest first, at most `MAX_BEHIND`. If the last of them is not the head: roll back,
    `read` the rest outside the lock, begin again."""
    hits: dict[tuple[int, str], Key]
    """Those of the keys asked for that exist."""
    now_ms: int | None
    """The database's clock under the lock, epoch milliseconds; None where the machine's clock is the one to use."""
    projected: int = 0
    """The mark: the tables derived from the journal hold all rows up to this `seq`, and nothing of later ones."""


class Snapshot(NamedTuple):
    """The venue's state right after row `seq`, whose hash is `hash`; only `engine_version` can read `blob`."""

    seq: int
    hash: bytes
    engine_version: int
    blob: bytes


class JournalDamaged(Exception):
    """The stored order is not the one that was written. Never retried: a person has to look.

    `seq` is the first row that cannot be trusted (0: the file as a whole, for example not a journal).
    """

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"journal damaged at seq {seq}: {why}")
        self.seq = seq
        self.why = why


class JournalForeign(JournalDamaged):
    """The file is whole, but another version of the program has to read it. Its text names both."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why)
        self.args = (why,)


class JournalUnavailable(Exception):
    """The database could not do it now: disk full, I/O error, or the lock was not free in time.

    With `outcome_unknown` a commit may yet prove durable; the next successful `begin` settles it, for after that a
    lost transaction can no longer land. Without it, nothing was written. The journal stays usable either way.
    """

    def __init__(self, why: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(why + (" (outcome unknown)" if outcome_unknown else ""))
        self.why = why
        self.outcome_unknown = outcome_unknown


class JournalRefused(JournalUnavailable):
    """The transaction contradicts the journal or itself (a row out of order, a key twice, a failing projection).

    It was rolled back as a whole; the same transaction would fail again.
    """


Known = int | Callable[[], int]
"""A `seq`, or who tells it once the lock is held: whoever waits for the lock may learn of more rows meanwhile."""


class Journal(Protocol):
    """The durable total order. One task at a time may be between `begin` and `commit`/`rollback`: the caller
    serialises. Reads may run at any moment and never wait for the lock; they see only what is durable.

    A task cancelled inside a call does not stop it: the database finishes what it does. A cancelled `begin` lets the
    lock go by itself; a cancelled `commit` commits or rolls back as a whole, and the next `begin` shows which.
    """

    backend: str
    """Name of the database, as health reports show it, for example "sqlite"."""

    @property
    def tight(self) -> bool:
        """Little room is left to write: what can be put off should not be, or it may have to wait for an operator."""
        ...

    async def open(self) -> Head:
        """Create or open the journal; its head. Raises JournalDamaged for what is no journal, is of a newer format, or
        has lost rows at its end; JournalUnavailable if it cannot be reached."""
        ...

    async def begin(self, known_seq: Known, keys: Sequence[tuple[int, str]] = ()) -> Begun:
        """Take the head lock, say what was appended after `known_seq`, and look up idempotency keys `(owner, key)`.

        Raises JournalUnavailable if the lock was not free in time (nothing is held then), JournalDamaged if the
        journal now ends before `known_seq`."""
        ...

    async def commit(
        self,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        """Append all of it in one transaction, make it durable with a real fsync, and let the lock go.

        `rows` may be empty. `projected` moves the mark of the derived tables, which `writes` brought there; None
        leaves it. On any error the lock is let go too: see JournalUnavailable and JournalRefused."""
        ...

    async def append(
        self,
        after_seq: int,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        """`begin` and `commit` in one step, for whoever writes to this journal alone and so knows that it ends at
        `after_seq`, where the tables stand, and that no key is there yet.

        Raises like the two, and JournalRefused if somebody else has appended."""
        ...

    async def rollback(self) -> None:
        """Let the lock go and write nothing. Harmless when nothing is held."""
        ...

    async def read(self, after_seq: int, limit: int = 5_000, to_seq: int | None = None) -> list[Row]:
        """Up to `limit` durable rows with `after_seq < seq <= to_seq`, oldest first. Not verified: see `chain.verify`.
        Raises JournalDamaged where a row cannot be read at all."""
        ...

    async def row(self, seq: int) -> Row | None:
        """The durable row at `seq`, if there is one."""
        ...

    async def key(self, owner: int, key: str) -> Key | None:
        """The durable idempotency key, if there is one."""
        ...

    async def projected(self) -> int:
        """The durable mark of the derived tables, without the lock: by now it may be further on."""
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot with a checksum, and the `SNAPSHOTS_KEPT` newest of all. Takes the lock: not between
        `begin` and `commit`. JournalRefused unless `(seq, hash)` is a row of this journal."""
        ...

    async def latest_snapshot(self) -> Snapshot | None:
        """The newest snapshot that is whole and fits the chain. A damaged one is skipped for the next older and
        logged; None means: replay everything."""
        ...

    async def watch(self, heard: Callable[[], None]) -> None:
        """From now on call `heard` on this event loop whenever another process may have appended, soon after it did.

        It must be quick and not raise; a call too many does no harm. Ends with `close`."""
        ...

    async def execute(self, writes: Sequence[Write]) -> None:
        """A small transaction of the tables' own, as durable as `commit`. Takes the lock: not between `begin` and
        `commit`."""
        ...

    async def close(self) -> None:
        """Roll back what is open and let go of everything. Harmless the second time."""
        ...
