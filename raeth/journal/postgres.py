"""The journal in a PostgreSQL database: any number of nodes share one, and the database alone orders them.

Must not know what a command means. One session writes, a few read, and one listens once `watch` was called. What was
handed to the writing session runs to its end in the order it was handed over, even if the task that waits for it is
cancelled; both are what makes cancellation safe. Connect directly or through a pooler in session mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from raeth.journal.base import Begun, Head, JournalRefused, JournalUnavailable, Key, Known, Row, Snapshot, Write
from raeth.journal.checks import check_end
from raeth.journal.postgres_reader import PostgresReader
from raeth.journal.postgres_watcher import watch
from raeth.journal.postgres_writer import PostgresWriter

P = ParamSpec("P")
T = TypeVar("T")

SEQ_MAX = (1 << 63) - 1


class PostgresJournal:
    """`Journal` in the database at `url` (`postgresql://…`), which may be empty. All calls come from one event loop."""

    backend = "postgresql"
    tight = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._writer: PostgresWriter | None = None
        self._reader: PostgresReader | None = None
        self._watching: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    async def open(self) -> Head:
        """See `Journal.open`. Tables are created in an empty database."""
        assert self._writer is None, "open twice"
        self._writer, self._reader = PostgresWriter(self._url), PostgresReader(self._url)
        try:
            head = await self._finish(self._in_turn, self._writer.open)
            await self._reader.open()
        except BaseException:
            await self.close()
            raise
        return head

    async def begin(self, known_seq: Known, keys: Sequence[tuple[int, str]] = ()) -> Begun:
        """See `Journal.begin`. `now_ms` is the database's clock."""
        writer = self._write_side()
        try:
            return await self._finish(self._in_turn, writer.begin, known_seq, keys)
        except asyncio.CancelledError:
            # The lock may be taken by now or a moment later, and nobody is left to let it go.
            self._start(self._in_turn, writer.rollback)
            raise

    async def commit(
        self,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        """See `Journal.commit`."""
        await self._finish(self._in_turn, self._write_side().commit, rows, keys, writes, projected)

    async def append(
        self,
        after_seq: int,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        """See `Journal.append`."""
        begun = await self.begin(after_seq)
        try:
            check_end(after_seq, begun.head)
        except JournalRefused:
            await self.rollback()
            raise
        await self.commit(rows, keys, writes, projected)

    async def rollback(self) -> None:
        """See `Journal.rollback`."""
        await self._finish(self._in_turn, self._write_side().rollback)

    async def watch(self, heard: Callable[[], None]) -> None:
        """See `Journal.watch`. What this journal itself commits is not told, but by the look once a second."""
        assert self._watching is None, "watched twice"
        writer = self._write_side()
        self._watching = asyncio.create_task(watch(self._url, lambda: writer.pid, heard), name="journal watcher")

    async def execute(self, writes: Sequence[Write]) -> None:
        """See `Journal.execute`."""
        await self._finish(self._in_turn, self._write_side().execute, writes)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See `Journal.save_snapshot`."""
        await self._finish(self._read_side().save_snapshot, snapshot)

    async def read(self, after_seq: int, limit: int = 5_000, to_seq: int | None = None) -> list[Row]:
        """See `Journal.read`."""
        return await self._finish(self._read_side().read, after_seq, limit, SEQ_MAX if to_seq is None else to_seq)

    async def row(self, seq: int) -> Row | None:
        """See `Journal.row`."""
        rows = await self.read(seq - 1, 1, seq)
        return rows[0] if rows else None

    async def key(self, owner: int, key: str) -> Key | None:
        """See `Journal.key`."""
        return await self._finish(self._read_side().key, owner, key)

    async def projected(self) -> int:
        """See `Journal.projected`."""
        return await self._finish(self._read_side().projected)

    async def latest_snapshot(self) -> Snapshot | None:
        """See `Journal.latest_snapshot`."""
        return await self._finish(self._read_side().latest_snapshot)

    async def close(self) -> None:
        """See `Journal.close`."""
        watching, self._watching = self._watching, None
        writer, self._writer = self._writer, None
        reader, self._reader = self._reader, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        try:
            if writer is not None:
                await self._finish(self._in_turn, writer.close)
        finally:
            if reader is not None:
                await reader.close()

    def _write_side(self) -> PostgresWriter:
        if self._writer is None:
            raise JournalUnavailable("the journal is not open")
        return self._writer

    def _read_side(self) -> PostgresReader:
        if self._reader is None:
            raise JournalUnavailable("the journal is not open")
        return self._reader

    async def _in_turn(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """After everything handed to the writing session before."""
        async with self._turn:
            return await call(*args, **kwargs)

    def _start(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> asyncio.Task[T]:
        async def run() -> T:
            return await call(*args, **kwargs)

        task = asyncio.create_task(run(), name="journal")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _finish(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call`; cancelling gives up the wait, not the work."""
        return await asyncio.shield(self._start(call, *args, **kwargs))

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: whoever waited has it too
