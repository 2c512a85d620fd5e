"""Copying a whole venue from one journal to another, of either kind, as it was at one moment.

Must not know what a command means, nor what the tables are: it is told which tables are nobody's but the venue's, and
what statements the rows cause in those that are derived from them. Until the copy is whole no node can open it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from raeth.journal.base import EMPTY_HEAD, Head, Journal, JournalDamaged, JournalRefused, Key, Row, Snapshot, Write
from raeth.journal.chain import verify
from raeth.journal.checks import snapshot_checksum

T = TypeVar("T")

BATCH = 1_000
"""Rows written in one transaction."""

# A journal is opened only in the one format that its program knows, and no format is below zero.
_BEGIN = Write("UPDATE journal_meta SET format = -abs(format)", [()])
_FINISH = Write("UPDATE journal_meta SET format = abs(format)", [()])

_META = "SELECT head_seq FROM journal_meta"
_ROWS = "SELECT seq, ts, command, events, hash FROM journal ORDER BY seq"
_KEYS = "SELECT owner, key, seq, place, fingerprint FROM journal_keys ORDER BY seq, place, owner, key"
_SNAPSHOTS = "SELECT seq, hash, engine_version, blob, checksum FROM snapshots ORDER BY seq DESC"


class Source(Protocol):
    """The database that is copied, at one moment, whatever is written meanwhile."""

    def execute(self, sql: str) -> Iterable[Sequence[Any]]:
        """The rows of a SELECT; those of one statement at a time."""
        ...


class Copied(NamedTuple):
    """What the target holds now."""

    head: Head
    keys: int
    snapshot_seq: int
    """0: no snapshot."""
    private_rows: int


def copy(
    source: Source,
    target: Journal,
    private: Mapping[str, Sequence[str]],
    project: Callable[[Sequence[Row]], Sequence[Write]],
    *,
    prepare: Callable[[], object] = lambda: None,
) -> Copied:
    """Copy rows, keys, the newest snapshot, and the columns of the `private` tables; blocks, and opens and closes
    `target`, whose derived tables `project` fills as it would for a node.

    `prepare` creates the tables in the target, once the journal's own are there. Every row of the source is verified.
    Raises JournalRefused if the target is not empty, JournalDamaged for a source that is not whole, and whatever the
    source raises. What then is in the target cannot be opened as a journal; remove it.
    """
    with asyncio.Runner() as runner:
        try:
            if runner.run(target.open()) != EMPTY_HEAD:
                raise JournalRefused("there is a journal already, and a copy never overwrites")
            prepare()
            runner.run(target.execute([_BEGIN]))
            head = _copy_rows(source, runner, target, project)
            keys = _copy_keys(source, runner, target, head)
            snapshot_seq = _copy_snapshot(source, runner, target, head)
            private_rows = _copy_private(source, runner, target, private)
            runner.run(target.execute([_FINISH]))
        finally:
            runner.run(target.close())
    return Copied(head, keys, snapshot_seq, private_rows)


def _copy_rows(
    source: Source, runner: asyncio.Runner, target: Journal, project: Callable[[Sequence[Row]], Sequence[Write]]
) -> Head:
    counted = [seq for (seq,) in source.execute(_META)]
    if len(counted) != 1:
        raise JournalDamaged(0, "the source does not say where its journal ends")
    head = EMPTY_HEAD
    for fields in _batches(source.execute(_ROWS)):
        rows = [Row(*each) for each in fields]
        before, head = head, verify(rows, head)
        runner.run(_append(target, before, rows, (), project(rows), head.seq))
    if head.seq != counted[0]:
        raise JournalDamaged(min(head.seq, counted[0]) + 1, f"the source should end at {counted[0]}, not at {head.seq}")
    return head


def _copy_keys(source: Source, runner: asyncio.Runner, target: Journal, head: Head) -> int:
    count = 0
    for fields in _batches(source.execute(_KEYS)):
        runner.run(_append(target, head, (), [Key(*each) for each in fields], (), None))
        count += len(fields)
    return count


def _copy_snapshot(source: Source, runner: asyncio.Runner, target: Journal, head: Head) -> int:
    """The newest that is whole; a damaged one is no loss, it only saves time."""
    for *fields, checksum in source.execute(_SNAPSHOTS):
        snapshot = Snapshot(*fields)
        if snapshot.seq <= head.seq and snapshot_checksum(snapshot) == checksum:
            runner.run(target.save_snapshot(snapshot))
            return snapshot.seq
    return 0


def _copy_private(source: Source, runner: asyncio.Runner, target: Journal, private: Mapping[str, Sequence[str]]) -> int:
    count = 0
    for table, columns in private.items():
        names, places = ", ".join(columns), ", ".join("?" for _ in columns)
        insert = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608, the names are the program's own
        for fields in _batches(source.execute(f"SELECT {names} FROM {table}")):  # noqa: S608
            runner.run(target.execute([Write(insert, [tuple(each) for each in fields])]))
            count += len(fields)
    return count


async def _append(
    target: Journal,
    known: Head,
    rows: Sequence[Row],
    keys: Sequence[Key],
    writes: Sequence[Write],
    projected: int | None,
) -> None:
    begun = await target.begin(known.seq)
    if begun.head != known:
        await target.rollback()
        raise JournalRefused("somebody else writes to the target")
    await target.commit(rows, keys, writes, projected)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
