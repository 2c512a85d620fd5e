"""The journal in one SQLite file: the async face over a writing thread and a reading thread.

Must not know what a command means. A batch costs one hop to the writing thread, `append`, or two, `begin` and `commit`;
reads go to a thread and a connection of their own, so they never wait for the lock or for a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from raeth.journal.base import Begun, Head, JournalDamaged, JournalUnavailable, Key, Known, Row, Snapshot, Write
from raeth.journal.sqlite_file import CHECKPOINT_PAGES, Checkpointer
from raeth.journal.sqlite_reader import SqliteReader
from raeth.journal.sqlite_writer import SqliteWriter
from raeth.journal.worker import Worker

SEQ_MAX = (1 << 63) - 1

CHECKPOINT_S = 0.5
"""How often the write-ahead log is looked after …"""
CHECKPOINT_TRANSACTIONS = 32
"""… if so many transactions have come meanwhile. An order then seldom waits for megabytes to be copied."""

WATCH_S = 0.005
"""How often a shared file is asked whether another process has written: what a follower is behind, on average, is half
of it."""


class SqliteJournal:
    """`Journal` in the file at `path`. Several processes may open one file; they share the lock."""

    backend = "sqlite"

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._writing: Worker | None = None
        self._reading: Worker | None = None
        self._writer: SqliteWriter | None = None
        self._reader: SqliteReader | None = None
        self._watching: asyncio.Task[None] | None = None
        self._copying: asyncio.Task[None] | None = None

    async def open(self) -> Head:
        """See `Journal.open`. The file is created with mode 0600 if it is missing or empty."""
        assert self._writing is None, "open twice"
        self._writing = Worker("journal-writer")
        self._reading = Worker("journal-reader")
        try:
            self._writer = await self._writing.run(SqliteWriter, self.path)
            head = await self._writing.run(self._writer.open)
            self._reader = await self._reading.run(SqliteReader, self.path)
        except BaseException:
            await self.close()
            raise
        self._copying = asyncio.create_task(self._checkpoint(), name="journal checkpoints")
        return head

    async def _checkpoint(self) -> None:
        """Keep the write-ahead log short: most of a copy runs beside the commits, on a thread of its own."""
        copying, checkpointer = Worker("journal-checkpoints"), Checkpointer(self.path)
        try:
            await copying.stand_back()
            await copying.run(checkpointer.open)
            copied = 0
            while True:
                await asyncio.sleep(CHECKPOINT_S)
                worker, writer = self._write_side()
                if writer.transactions - copied >= CHECKPOINT_TRANSACTIONS:
                    copied = writer.transactions
                    if await copying.run(checkpointer.copy) > CHECKPOINT_PAGES // 2:
                        worker.post(writer.finish_checkpoint)
        except (JournalDamaged, JournalUnavailable):
            return  # commits do it themselves, further apart
        finally:
            # After an opening that nobody waited for, too: the last connection to close folds the log into the file.
            copying.post(checkpointer.close)
            copying.stop()

    @property
    def tight(self) -> bool:
        """See `Journal.tight`. As of the last transaction that wrote to tables."""
        return self._writer is not None and self._writer.tight

    async def begin(self, known_seq: Known, keys: Sequence[tuple[int, str]] = ()) -> Begun:
        """See `Journal.begin`. `now_ms` is None: the machine's clock is the database's."""
        worker, writer = self._write_side()
        try:
            return await worker.run(writer.begin, known_seq, keys)
        except asyncio.CancelledError:
            # The lock may be taken by now or a moment later, and nobody is left to let it go.
            worker.post(writer.rollback)
            raise

    async def commit(
        self,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        """See `Journal.commit`."""
        worker, writer = self._write_side()
        await worker.run(writer.commit, rows, keys, writes, projected)

    async def append(
        self,
        after_seq: int,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        """See `Journal.append`."""
        worker, writer = self._write_side()
        await worker.run(writer.append, after_seq, rows, keys, writes, projected)

    async def rollback(self) -> None:
        """See `Journal.rollback`."""
        worker, writer = self._write_side()
        await worker.run(writer.rollback)

    async def watch(self, heard: Callable[[], None]) -> None:
        """See `Journal.watch`. SQLite tells nobody of a commit, but a connection can ask whether there was one."""
        assert self._watching is None, "watched twice"
        self._watching = asyncio.create_task(self._look(heard), name="journal watcher")

    async def _look(self, heard: Callable[[], None]) -> None:
        worker, reader = self._read_side()
        seen = -1
        while True:
            with suppress(JournalUnavailable):
                version = await worker.run(reader.version)
                if version != seen:
                    seen = version
                    heard()
            await asyncio.sleep(WATCH_S)

    async def execute(self, writes: Sequence[Write]) -> None:
        """See `Journal.execute`."""
        worker, writer = self._write_side()
        await worker.run(writer.execute, writes)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `Journal.save_snapshot`."""
        worker, writer = self._write_side()
        await worker.run(writer.save_snapshot, snapshot)

    async def read(self, after_seq: int, limit: int = 5_000, to_seq: int | None = None) -> list[Row]:
        """See `Journal.read`."""
        worker, reader = self._read_side()
        return await worker.run(reader.read, after_seq, limit, SEQ_MAX if to_seq is None else to_seq)

    async def row(self, seq: int) -> Row | None:
        """See `Journal.row`."""
        rows = await self.read(seq - 1, 1, seq)
        return rows[0] if rows else None

    async def key(self, owner: int, key: str) -> Key | None:
        """See `Journal.key`."""
        worker, reader = self._read_side()
        return await worker.run(reader.key, owner, key)

    async def projected(self) -> int:
        """See `Journal.projected`."""
        worker, reader = self._read_side()
        return await worker.run(reader.projected)

    async def latest_snapshot(self) -> Snapshot | None:
        """See `Journal.latest_snapshot`."""
        worker, reader = self._read_side()
        return await worker.run(reader.latest_snapshot)

    async def close(self) -> None:
        """See `Journal.close`."""
        for task in (self._watching, self._copying):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._watching = self._copying = None
        writing, self._writing, writer, self._writer = self._writing, None, self._writer, None
        reading, self._reading, reader, self._reader = self._reading, None, self._reader, None
        # The reader first: the last connection to close folds the write-ahead log into the file.
        try:
            await _end(reading, reader)
        finally:
            await _end(writing, writer)

    def _write_side(self) -> tuple[Worker, SqliteWriter]:
        if self._writing is None or self._writer is None:
            raise JournalUnavailable("the journal is not open")
        return self._writing, self._writer

    def _read_side(self) -> tuple[Worker, SqliteReader]:
        if self._reading is None or self._reader is None:
            raise JournalUnavailable("the journal is not open")
        return self._reading, self._reader


async def _end(worker: Worker | None, side: SqliteReader | SqliteWriter | None) -> None:
    if worker is None:
        return
    try:
        if side is not None:
            await worker.run(side.close)
    finally:
        worker.stop()
