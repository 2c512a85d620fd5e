"""Recorded prices through real windows: outcomes worked out from the file alone."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from raeth.examples import FairAgent, MakerAgent, RandomAgent
from raeth.reference.recording import Recording
from raeth.sim import Simulation

TRADES = "binance-spot-btcusdt-2024-08-08.trades.csv.gz"
FRAMES = "binance-spot-btcusdt-2024-08-08.frames.gz"
MINUTE = 60_000


def agents() -> dict[str, object]:
    return {"maker": MakerAgent(), "fair": FairAgent(), "random": RandomAgent(1)}


def recording(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists():
        pytest.skip(f"no {name}")
    return path


def test_a_small_recording_runs_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    start = 1_767_268_795_000
    lines = [f"{start + 500 * step},{6_000_000 + step * step % 97}" for step in range(400)]
    path.write_text("ts_ms,price_cents\n" + "\n".join(lines) + "\n")
    from_file = Simulation(agents(), price_path=path, seed=2).run()  # type: ignore[arg-type]
    from_open = Simulation(agents(), price_path=Recording.open(path), seed=2).run()  # type: ignore[arg-type]
    assert from_file.chain_head == from_open.chain_head
    assert from_file.windows_resolved == 3 and from_file.windows_void == 2
    last = from_file.table("windows").dicts()[-1]
    assert last["close_at_ms"] == from_file.end_ms, "nothing is left open"
    assert from_file.cash_cents == from_file.equity_cents


def test_recorded_minutes_settle_as_the_file_says(recorded_data: Path) -> None:
    path = recording(recorded_data, TRADES)
    with gzip.open(path, "rt") as file:
        prices = [(int(row["ts_ms"]), int(row["price_cents"])) for row in csv.DictReader(file)]
    result = Simulation(agents(), price_path=path, seed=1).run()  # type: ignore[arg-type]
    whole = [row for row in result.table("windows").dicts() if row["close_at_ms"] <= prices[-1][0]]  # type: ignore[operator]
    assert len(whole) == 10
    for row in whole:
        opened, closed = (
            [price for ts, price in prices if ts <= boundary][-1]  # type: ignore[operator]
            for boundary in (row["open_at_ms"], row["close_at_ms"])
        )
        assert (row["strike_cents"], row["close_cents"]) == (opened, closed)
        assert row["resolution"] == ("VOID" if opened == closed else "YES" if closed > opened else "NO")
    assert result.trades > 20


def test_frames_and_trades_of_the_same_minutes_agree(recorded_data: Path) -> None:
    results = [
        Simulation((), price_path=recording(recorded_data, name), seed=1).run().table("windows").dicts()
        for name in (TRADES, FRAMES)
    ]
    columns = ("close_at_ms", "strike_cents", "close_cents", "resolution")
    first, second = ([[row[name] for name in columns] for row in rows] for rows in results)
    assert first == second
