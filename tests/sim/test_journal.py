"""A simulated run as a data directory: audited, re-executed and read like any venue's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from raeth.audit import AuditFailed, audit_file
from raeth.data_dir import DataDir
from raeth.engine import commands as cmd
from raeth.sim import Simulation
from tests.sim.agents import Restless


def simulate(directory: Path, seed: int = 1) -> tuple[Simulation, Path]:
    agents = {f"agent-{place}": Restless(seed * 10 + place) for place in range(3)}
    with DataDir(directory) as journal:
        simulation = Simulation(agents, seed=seed, journal=journal)
        first = simulation.start_ms + 60_000
        simulation.schedule(first, cmd.Freeze("operator", "test"))
        simulation.schedule(first + 5_000, cmd.Unfreeze("operator", None))
        simulation.run(windows=3)
    return simulation, journal.path


def test_a_simulated_journal_passes_the_audit(tmp_path: Path) -> None:
    simulation, path = simulate(tmp_path)
    result = simulation.result()
    report = audit_file(path)
    assert report.chain_head == result.chain_head
    assert report.state_hash == result.state_hash
    assert (report.commands, report.orders, report.trades) == (result.commands, result.orders_entered, result.trades)
    assert report.commands > 1_000 and report.trades > 50, "enough for more than one transaction"
    assert report.windows_resolved + report.windows_void == 3


def test_the_audit_notices_a_simulated_journal_that_was_changed(tmp_path: Path) -> None:
    _, path = simulate(tmp_path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE fills SET qty = qty + 1")
    with pytest.raises(AuditFailed, match="fills"):
        audit_file(path)


def test_a_directory_with_a_journal_is_left_alone(tmp_path: Path) -> None:
    _, path = simulate(tmp_path)
    before = audit_file(path).chain_head
    with pytest.raises(ValueError, match="already holds"):
        DataDir(tmp_path)
    assert audit_file(path).chain_head == before
