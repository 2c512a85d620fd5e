"""A venue's data directory written from a simulation: the SQLite file, journal and tables, that `raeth serve` keeps.

`raeth audit --data-dir DIR` then proves the simulated run like any other. It stands above `raeth.sim`, which must not
know tables.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final

from raeth.config import DATABASE
from raeth.engine.commands import Command
from raeth.engine.events import Event
from raeth.journal.base import EMPTY_HEAD, Row
from raeth.journal.sqlite_writer import SqliteWriter
from raeth.store.migrate import upgrade
from raeth.store.projector import Projector
from raeth.store.reader import sqlite_url

BATCH: Final = 1_000
"""Rows in one transaction."""


class DataDir:
    """A new data directory, as the `journal` of a `Simulation`. Use it in a `with`: leaving it writes what is left.

    Raises ValueError if the directory already holds a journal, JournalUnavailable if it cannot be written.
    """

    def __init__(self, directory: str | Path) -> None:
        self.path = Path(directory) / DATABASE
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._writer = SqliteWriter(self.path)
        if self._writer.open() != EMPTY_HEAD:
            self._writer.close()
            raise ValueError(f"{self.path} already holds a journal")
        # After the journal, which takes only a file for its own that holds nothing else.
        upgrade(sqlite_url(self.path))
        self._projector = Projector()
        self._rows: list[Row] = []
        self._written = 0

    def add(self, row: Row, command: Command, events: list[Event]) -> None:
        """Take the next row of the chain; it is durable with its batch."""
        self._rows.append(row)
        self._projector.add(row.seq, row.ts, command, events)
        if len(self._rows) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Make everything durable that was added."""
        if not self._rows:
            return
        self._writer.begin(self._written, ())
        self._writer.commit(self._rows, (), self._projector.take(), self._rows[-1].seq)
        self._written = self._rows[-1].seq
        self._rows = []

    def close(self) -> None:
        """Write what is left and let go of the file."""
        try:
            self.flush()
        finally:
            self._writer.close()

    def __enter__(self) -> DataDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
