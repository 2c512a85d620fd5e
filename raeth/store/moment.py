"""A whole database as it was at one moment, for whoever compares it: plain rows, read one after the other.

Must not know what is in the tables, except where the journal's mark stands. Nothing is written, nothing waits for a
writer, and memory stays flat however long the tables are.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from raeth.journal.base import JournalDamaged

ROWS: Final = 2_000
"""Rows fetched at once from PostgreSQL."""


Execute = Callable[[str], Iterable[Sequence[Any]]]
"""Runs one SELECT and yields its rows: `sqlite3.Connection.execute` is one."""


class Moment(Protocol):
    """One read transaction. Ids are whole numbers, text is text and bytes are bytes on every database."""

    def execute(self, sql: str) -> Iterable[Sequence[Any]]:
        """The rows of a SELECT; those of one statement at a time."""
        ...


def head_and_mark(execute: Execute) -> tuple[int, int]:
    """The `seq` at which the journal says that it ends, and the one up to which the derived tables follow it.

    Raises JournalDamaged if it does not say so.
    """
    rows = list(execute("SELECT * FROM journal_meta"))
    if len(rows) != 1:
        raise JournalDamaged(0, "the database does not say where its journal ends")
    # `(id, format, head, transactions, mark)`. Format 1 had no mark: its tables were written with every row.
    _id, _format, head, _transactions, *mark = rows[0]
    return int(head), int(mark[0]) if mark else int(head)


@contextmanager
def sqlite_moment(path: Path) -> Iterator[Moment]:
    """The SQLite file at `path`. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, isolation_level=None)) as one:
        # The moment is that of the first SELECT.
        one.execute("BEGIN")
        yield one


@contextmanager
def postgres_moment(url: str) -> Iterator[Moment]:
    """The PostgreSQL database at `url`. Blocks, and runs a loop of its own: in a running loop, give it a thread.

    Raises the driver's errors and OSError.
    """
    with asyncio.Runner() as runner:
        reading = runner.run(_Reading.begin(url))
        try:
            yield _Postgres(runner, reading)
        finally:
            runner.run(reading.end())


class _Reading:
    """The asynchronous half: a session in one transaction."""

    def __init__(self, session: Any) -> None:
        self._session = session

    @classmethod
    async def begin(cls, url: str) -> _Reading:
        from raeth.store.postgres import connect  # only here: whoever audits a file needs no driver

        # It may take its time between two statements, while what they gave is compared.
        patient = {"idle_in_transaction_session_timeout": "0", "statement_timeout": "0"}
        session = await connect(url, {"application_name": "raeth-audit", **patient})
        await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return cls(session)

    async def cursor(self, sql: str) -> Any:
        return await self._session.cursor(sql)

    async def end(self) -> None:
        await self._session.close()


class _Postgres:
    """The plain half."""

    def __init__(self, runner: asyncio.Runner, reading: _Reading) -> None:
        self._runner = runner
        self._reading = reading

    def execute(self, sql: str) -> Iterator[Sequence[Any]]:
        cursor = self._runner.run(self._reading.cursor(sql))
        while rows := self._runner.run(cursor.fetch(ROWS)):
            yield from map(tuple, rows)
