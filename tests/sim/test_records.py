"""The files of a result hold what happened, in integers, and the same in every form."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from raeth.sim import Result, Simulation
from raeth.sim.records import TABLES
from tests.sim.agents import Restless


@pytest.fixture(scope="module")
def result() -> Result:
    agents = {f"agent-{place}": Restless(place) for place in range(3)}
    return Simulation(agents, seed=9, book_depth=3).run(windows=2)


def test_csv_holds_every_row_in_integers(result: Result, tmp_path: Path) -> None:
    files = result.to_csv(tmp_path / "new" / "folder")
    assert [path.stem for path in files] == list(TABLES)
    for path in files:
        table = result.table(path.stem)
        with path.open(newline="") as file:
            header, *rows = list(csv.reader(file))
        assert tuple(header) == table.columns
        assert rows == [["" if cell is None else str(cell) for cell in row] for row in table.rows]
        assert rows, path.stem
        assert not any("." in cell for row in rows for cell in row if cell.replace(".", "").isdigit())


def test_parquet_is_the_same_and_money_is_int64(result: Result, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="NOT TESTED: pyarrow is missing (extra: research)")
    for path in result.to_parquet(tmp_path):
        table = result.table(path.stem)
        read = parquet.read_table(path)
        assert read.column_names == list(table.columns)
        assert read.to_pylist() == table.dicts()
        for field in read.schema:
            assert str(field.type) in ("int64", "string")
            if field.name.endswith(("_cents", "_ms", "qty", "price")):
                assert str(field.type) == "int64", field.name


def test_arrays_are_columns(result: Result) -> None:
    fills = result.table("fills").arrays()
    assert fills["price"].dtype == np.int64
    assert int(fills["qty"].sum()) == 2 * sum(row["qty"] for row in result.table("fills").dicts()[::2])  # type: ignore[misc]
    assert result.table("orders").arrays()["price"].dtype == object, "MARKET orders have none"
    empty = Simulation((), seed=1).run(seconds=1).table("fills").arrays()
    assert len(empty["price"]) == 0


def test_books_are_best_first_and_never_crossed(result: Result) -> None:
    rows = result.table("books").dicts()
    assert len(rows) > 100
    for row in rows:
        bids = [row[f"bid_price_{level}"] for level in (1, 2, 3) if row[f"bid_price_{level}"] is not None]
        asks = [row[f"ask_price_{level}"] for level in (1, 2, 3) if row[f"ask_price_{level}"] is not None]
        assert bids == sorted(bids, reverse=True) and asks == sorted(asks)  # type: ignore[type-var]
        assert not bids or not asks or bids[0] < asks[0]  # type: ignore[operator]


def test_an_unknown_table_is_named(result: Result) -> None:
    with pytest.raises(ValueError, match="no table 'filles'"):
        result.table("filles")
