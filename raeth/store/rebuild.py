"""Tables against journal: project the whole journal into a scratch database and find the first cell that differs.

Must not know how the journal is stored or verified; it is handed decoded commands and events. Memory stays flat: the
scratch database is a temporary file that SQLite deletes by itself, and both sides are read in step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from raeth.engine.commands import Command
from raeth.engine.events import Event
from raeth.engine.ids import seq_of
from raeth.store.moment import Execute
from raeth.store.projector import Projector
from raeth.store.tables import DERIVED

BATCH: Final = 1_000
"""Commands projected at once."""

Journaled = tuple[int, int, Command, Sequence[Event]]
"""`(seq, ts, command, events)`."""


class Difference(NamedTuple):
    """One cell, or a whole row, in which a table is not what the journal says.

    `key` names the row. `column` is None where the row is missing (`found` None) or too many (`expected` None).
    `seq` is the newest command known to have touched the row, None if the row does not tell.
    """

    table: str
    key: tuple[Any, ...]
    column: str | None
    expected: Any
    found: Any
    seq: int | None


def rebuild(journal: Iterable[Journaled]) -> sqlite3.Connection:
    """The derived tables of a whole journal, from its first row on. Close the connection and they are gone."""
    scratch = sqlite3.connect("", isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536", "locking_mode = EXCLUSIVE"):
        scratch.execute(f"PRAGMA {pragma}")
    for table in DERIVED:
        scratch.execute(str(CreateTable(table).compile(dialect=sqlite.dialect())))
    projector = Projector()
    rows = iter(journal)
    while batch := list(islice(rows, BATCH)):
        for seq, ts, command, events in batch:
            projector.add(seq, ts, command, events)
        scratch.execute("BEGIN")
        for sql, values in projector.take():
            scratch.executemany(sql, values)
        scratch.execute("COMMIT")
    return scratch


def diff(scratch: Execute, real: Execute) -> Difference | None:
    """The first difference between rebuilt tables and the real ones, None if they are equal in every cell.

    `real` must read at one moment, at which the tables hold what was rebuilt and nothing else: read where they are (see
    `moment.head_and_mark`) in the same transaction.
    """
    return next((found for table in DERIVED for found in _differences(table, scratch, real)), None)


def _differences(table: Table, scratch: Execute, real: Execute) -> Iterator[Difference]:
    """Differences up to the first missing or additional row, after which the two sides are out of step."""
    names = table.columns.keys()
    key_names = [column.name for column in table.primary_key]
    places = [names.index(name) for name in key_names]
    select = f"SELECT {', '.join(names)} FROM {table.name} ORDER BY {', '.join(key_names)}"  # noqa: S608

    def key_of(row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(row[place] for place in places)

    expected_rows, found_rows = iter(scratch(select)), iter(real(select))
    while True:
        expected, found = next(expected_rows, None), next(found_rows, None)
        if expected is None and found is None:
            return
        if expected is None or found is None or key_of(expected) != key_of(found):
            yield _odd_row(table, expected, found, key_of)
            return
        if tuple(expected) != tuple(found):
            for name, one, other in zip(names, expected, found, strict=True):
                if one != other:
                    yield Difference(table.name, key_of(expected), name, one, other, _seq(table, expected))


def _odd_row(
    table: Table,
    expected: Sequence[Any] | None,
    found: Sequence[Any] | None,
    key_of: Callable[[Sequence[Any]], tuple[Any, ...]],
) -> Difference:
    """Whichever of the two comes first has no counterpart on the other side."""
    if found is None or (expected is not None and _precedes(key_of(expected), key_of(found))):
        assert expected is not None
        return Difference(table.name, key_of(expected), None, tuple(expected), None, _seq(table, expected))
    return Difference(table.name, key_of(found), None, None, tuple(found), _seq(table, found))


def _precedes(expected: tuple[Any, ...], found: tuple[Any, ...]) -> bool:
    try:
        return expected < found
    except TypeError:  # a damaged page may hand out a key of any type
        return False


def _seq(table: Table, row: Sequence[Any]) -> int | None:
    values = dict(zip(table.columns.keys(), row, strict=True))
    try:
        if "seq" in values:
            return int(values["seq"])
        made = values.get("trade_id", values.get("id"))
        return None if made is None else seq_of(int(made))
    except (TypeError, ValueError):  # as above
        return None
