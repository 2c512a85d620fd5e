"""Whole venues under everything that can go wrong, seed by seed: see `world` for what is real, `shadow` for the judge.

`python -m tests.simulation --seed N --steps M --trace` shows a seed that failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.conftest import ROOT
from tests.simulation.faults import KINDS
from tests.simulation.mutants import MUTANTS, caught
from tests.simulation.world import simulate

SEEDS = 100
LONG_SEEDS = 200
STEPS = 250
CHUNK = 25

LONG_COMMANDS = 1_000_000
LONG_STEPS = 400
LONG_SEED = 1_000_000


@pytest.mark.parametrize(
    "first",
    [*range(0, SEEDS, CHUNK), *(pytest.param(n, marks=pytest.mark.long) for n in range(SEEDS, LONG_SEEDS, CHUNK))],
)
def test_no_seed_breaks_a_promise(first: int) -> None:
    """Also that the runs are worth something: every kind of fault, windows of every end, trades, replays."""
    faults: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    trades = replays = 0
    for seed in range(first, first + CHUNK):
        report = simulate(seed, STEPS)
        faults += report.faults
        outcomes += Counter({name.split()[0]: count for name, count in report.outcomes.items()})
        trades += report.trades
        replays += report.clients["replayed"]
    missing = set(KINDS) - set(faults)
    assert len(missing) <= 3, f"{CHUNK} seeds without {missing}"
    assert trades > CHUNK and replays > CHUNK and {"VOID"} < set(outcomes)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_known_bugs_are_caught(mutant: str) -> None:
    failed = caught(mutant, range(1, 31), 300)
    assert failed is not None, "30 seeds, and nobody noticed"
    assert f"--seed {failed.seed} --steps 300 --trace" in str(failed)


def test_a_seed_is_the_same_everywhere() -> None:
    """Another process with another hash seed does exactly the same, down to the number of callbacks."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", "8", "--steps", "200"]
    told = {
        subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
        for seed in ("1", "2")
    }
    assert told == {f"digest of the last seed: {simulate(8, 200).digest}"}


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_million_commands() -> None:
    commands, seed = 0, LONG_SEED
    while commands < LONG_COMMANDS:
        commands += simulate(seed, LONG_STEPS).steps
        seed += 1
    assert seed - LONG_SEED > 1_000
