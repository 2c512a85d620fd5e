"""A full disk and failing writes: nothing half done, the truth about the outcome, and work goes on afterwards."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raeth.journal.base import EMPTY_HEAD, JournalUnavailable, Key, Row, Write
from raeth.journal.chain import head_of
from raeth.journal.scrub import verify_tail
from raeth.journal.sqlite import SqliteJournal

Append = Callable[..., Any]
MakeChain = Callable[..., list[Row]]
COUNTED = Write("INSERT INTO journal_keys VALUES (?, ?, ?, ?, ?)", [(1, "key", 1, 0, b"")])
FRAME_BYTES = 4096 + 24  # one page in the write-ahead log


@pytest.fixture
def backend() -> str:
    return "sqlite"


def limit_pages(journal: SqliteJournal, pages: int | None) -> None:
    """The database's own disk-full: SQLITE_FULL from the statement that needs one page more."""
    assert journal._writer is not None
    db = journal._writer._db
    (used,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {1 << 30 if pages is None else used + pages}")


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The operating system refuses to write beyond `size` bytes, which SQLite meets in the middle of COMMIT."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_database_refuses_the_whole_batch_and_recovers(
    journal: SqliteJournal, append: Append, make_chain: MakeChain
) -> None:
    old = await append(journal, 2)
    new = make_chain(50, head_of(old[-1]), tag="long " * 1_000)
    limit_pages(journal, 3)
    for _ in range(2):
        await journal.begin(2)
        with pytest.raises(JournalUnavailable, match="full") as caught:
            await journal.commit(new, [Key(1, "key", 3, 0, b"")])
        assert not caught.value.outcome_unknown
    assert await journal.read(0) == old
    assert await journal.key(1, "key") is None

    limit_pages(journal, None)
    await journal.begin(2)
    await journal.commit(new, [Key(1, "key", 3, 0, b"")])
    assert await verify_tail(journal, EMPTY_HEAD) == head_of(new[-1])


async def test_a_commit_that_fails_in_the_middle_is_known_to_be_lost_if_the_log_can_be_written(
    path: Path, journal: SqliteJournal, append: Append, make_chain: MakeChain
) -> None:
    old = await append(journal, 2)
    new = make_chain(20, head_of(old[-1]), tag="long " * 1_000)
    await journal.begin(2)
    with (
        no_file_longer_than(wal_size(path) + 3 * FRAME_BYTES),
        pytest.raises(JournalUnavailable, match="nothing was written") as caught,
    ):
        await journal.commit(new)
    assert not caught.value.outcome_unknown
    assert await journal.read(0) == old
    await journal.begin(2)
    await journal.commit(new)
    assert await verify_tail(journal, EMPTY_HEAD) == head_of(new[-1])


@pytest.mark.parametrize("with_rows", [True, False])
async def test_without_room_for_anything_the_outcome_is_known_all_the_same(
    path: Path, journal: SqliteJournal, append: Append, make_chain: MakeChain, with_rows: bool
) -> None:
    """What the commit may have left in the log is cut off, which needs no room."""
    old = await append(journal, 2)
    new = make_chain(20, head_of(old[-1]), tag="long " * 1_000)
    with no_file_longer_than(wal_size(path)):
        for _ in range(2):
            assert (await journal.begin(2)).head == head_of(old[-1])
            with pytest.raises(JournalUnavailable, match="nothing was written") as caught:
                await journal.commit(new if with_rows else [], (), [COUNTED])
            assert not caught.value.outcome_unknown
            assert await journal.read(0) == old  # reads go on
    # Nor does a crash now bring it back.
    copy = path.parent / "copy.db"
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", f"{copy}{ending}")
    crashed = SqliteJournal(copy)
    assert await crashed.open() == head_of(old[-1])
    await crashed.close()

    begun = await journal.begin(2, [(1, "key")])
    assert (begun.head, begun.behind, begun.hits) == (head_of(old[-1]), [], {})
    await journal.commit(new)
    assert await verify_tail(journal, EMPTY_HEAD) == head_of(new[-1])


@pytest.mark.parametrize("with_rows", [True, False])
async def test_the_outcome_is_unknown_while_nothing_can_be_written_and_settled_by_the_next_begin(
    path: Path,
    journal: SqliteJournal,
    append: Append,
    make_chain: MakeChain,
    with_rows: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The disk does not even take back what it has."""
    old = await append(journal, 2)
    new = make_chain(20, head_of(old[-1]), tag="long " * 1_000)
    await journal.begin(2)
    with no_file_longer_than(wal_size(path)), monkeypatch.context() as broken:
        broken.setattr(os, "ftruncate", failing_disk)
        with pytest.raises(JournalUnavailable) as caught:
            await journal.commit(new if with_rows else [], (), [COUNTED])
        assert caught.value.outcome_unknown
        with pytest.raises(JournalUnavailable):
            await journal.begin(2)
        assert await journal.read(0) == old  # reads go on

    begun = await journal.begin(2, [(1, "key")])
    assert (begun.head, begun.behind, begun.hits) == (head_of(old[-1]), [], {})
    await journal.commit(new)
    assert await verify_tail(journal, EMPTY_HEAD) == head_of(new[-1])


def failing_disk(descriptor: int, size: int) -> None:
    raise OSError(errno.EIO, "the disk does not answer")


def wal_size(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size
