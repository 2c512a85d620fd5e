"""An audit of the tables: silent when they are what the journal says, and not one changed cell escapes it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raeth.store.rebuild import Difference, diff, rebuild
from raeth.store.tables import DERIVED
from tests.store.databases import SqliteDatabase
from tests.store.venue import history


@pytest.fixture(scope="session")
def scratch() -> Iterator[sqlite3.Connection]:
    journal, _ = history()
    connection = rebuild(iter(journal))
    yield connection
    connection.close()


@pytest.fixture
def real(full_file: SqliteDatabase, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A copy that may be tampered with."""
    connection = sqlite3.connect(shutil.copy(full_file.path, tmp_path / "real.db"), isolation_level=None)
    yield connection
    connection.close()


def test_equal_tables_have_no_difference(scratch: sqlite3.Connection, real: sqlite3.Connection) -> None:
    assert diff(scratch.execute, real.execute) is None
    for table in DERIVED:
        assert scratch.execute(f"SELECT COUNT(*) FROM {table.name}").fetchone()[0], f"nothing tried in {table.name}"


def changed(value: Any) -> Any:
    if value is None:
        return 1
    return value + 1 if isinstance(value, int) else value + "?"


@pytest.mark.parametrize(
    ("table", "column"),
    [(table.name, column.name) for table in DERIVED for column in table.columns if not column.primary_key],
)
def test_a_changed_cell_is_found(
    scratch: sqlite3.Connection, real: sqlite3.Connection, table: str, column: str
) -> None:
    keys = [key.name for key in next(t for t in DERIVED if t.name == table).primary_key]
    middle = f"FROM {table} ORDER BY {', '.join(keys)} LIMIT 1 OFFSET (SELECT COUNT(*) / 2 FROM {table})"
    *key, old = real.execute(f"SELECT {', '.join(keys)}, {column} {middle}").fetchone()
    where = " AND ".join(f"{name} = ?" for name in keys)
    real.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (changed(old), *key))
    found = diff(scratch.execute, real.execute)
    assert found is not None
    assert (found.table, found.key, found.column) == (table, tuple(key), column)
    assert found.expected == old
    assert str(found.found) == str(changed(old))  # a number in a column of text is kept as text


@pytest.mark.parametrize("table", [table.name for table in DERIVED])
@pytest.mark.parametrize("place", ["ASC", "DESC"])
def test_a_missing_and_an_additional_row_are_found(
    scratch: sqlite3.Connection, real: sqlite3.Connection, table: str, place: str
) -> None:
    keys = [key.name for key in next(t for t in DERIVED if t.name == table).primary_key]
    order = ", ".join(f"{name} {place}" for name in keys)
    row = real.execute(f"SELECT * FROM {table} ORDER BY {order} LIMIT 1").fetchone()
    key = real.execute(f"SELECT {', '.join(keys)} FROM {table} ORDER BY {order} LIMIT 1").fetchone()
    where = " AND ".join(f"{name} = ?" for name in keys)
    real.execute(f"DELETE FROM {table} WHERE {where}", key)
    found = diff(scratch.execute, real.execute)
    assert found is not None and (found.table, found.key, found.column) == (table, key, None)
    assert found.expected is not None and found.found is None
    # The other way round the row is one too many.
    turned = diff(real.execute, scratch.execute)
    assert turned == Difference(table, key, None, None, found.expected, found.seq)
    assert len(row) == len(found.expected)


def test_a_difference_names_the_command(scratch: sqlite3.Connection, real: sqlite3.Connection) -> None:
    order_id, seq = real.execute("SELECT id, seq FROM orders ORDER BY id DESC LIMIT 1").fetchone()
    real.execute("UPDATE orders SET filled = filled + 1 WHERE id = ?", (order_id,))
    found = diff(scratch.execute, real.execute)
    assert found is not None and found.seq == seq
