"""The simulated journal is a journal: every call of a script is answered as the SQLite journal answers it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raeth.journal.sqlite import SqliteJournal
from tests.simulation.disk import Disk, SimJournal, Trouble, Weather
from tests.simulation.loop import SimLoop
from tests.simulation.scripts import NOTES, Script

CALLS = 90


def on_sqlite(seed: int, path: Path) -> list[Any]:
    async def play() -> list[Any]:
        first = SqliteJournal(path)
        await first.open()
        await first.close()
        with closing(sqlite3.connect(path)) as database:
            database.execute(NOTES)
        return await Script(seed, SqliteJournal(path), lambda: SqliteJournal(path)).play(CALLS)

    return asyncio.run(play())


def in_simulation(seed: int) -> list[Any]:
    tables = sqlite3.connect(":memory:", isolation_level=None)
    tables.execute(NOTES)
    disk = Disk(tables)
    loop = SimLoop(Random(seed), 0.0, shuffled=False)
    try:
        return loop.run_until_complete(Script(seed, SimJournal(disk), lambda: SimJournal(disk)).play(CALLS))
    finally:
        loop.close()
        tables.close()


@pytest.mark.parametrize("seed", range(25))
def test_both_journals_answer_alike(seed: int, tmp_path: Path) -> None:
    real = on_sqlite(seed, tmp_path / "journal.db")
    simulated = in_simulation(seed)
    for number, (expected, found) in enumerate(zip(real, simulated, strict=True)):
        assert found == expected, f"call {number}"


def test_the_scripts_meet_what_matters(tmp_path: Path) -> None:
    said = [entry for seed in range(25) for entry in in_simulation(seed)]
    kinds = {(name, answer[0]) for name, answer in said if isinstance(answer, tuple) and isinstance(answer[0], str)}
    assert {
        ("begin", "AssertionError"),
        ("begin", "JournalDamaged"),
        ("begin", "JournalUnavailable"),
        ("commit", "AssertionError"),
        ("commit", "JournalRefused"),
        ("execute", "JournalRefused"),
        ("save_snapshot", "JournalRefused"),
    } <= kinds
    assert any(name == "begin" and getattr(answer, "hits", None) for name, answer in said)
    assert ("waits", True) in said


class Doubt(Weather):
    """The first commit fails in doubt; `landed` is what becomes of it."""

    def __init__(self, landed: bool) -> None:
        self.landed = landed
        self.struck = False

    def strike(self, operation: str) -> None:
        if operation == "commit" and not self.struck:
            self.struck = True
            raise Trouble("I/O error", unknown=True)

    def lands(self, moment: str) -> bool:
        return self.landed


@pytest.mark.parametrize("landed", [True, False])
@pytest.mark.parametrize("crashed", [True, False])
def test_a_commit_in_doubt_is_settled_whole_by_the_next_lock_or_the_crash(landed: bool, crashed: bool) -> None:
    disk = Disk()
    journal = SimJournal(disk, Doubt(landed))
    loop = SimLoop(Random(1), 0.0, shuffled=False)

    async def play() -> None:
        script = Script(1, journal, lambda: journal)
        await journal.open()
        await journal.begin(0)
        rows = script.rows(3)
        await script.say("commit", lambda: journal.commit(rows))
        assert script.said == [("commit", ("JournalUnavailable", None, True))]
        assert await journal.read(0) == [], "nothing shows before it is settled"
        if crashed:
            journal.kill()
        else:
            assert (await journal.begin(0)).behind == (rows if landed else [])
        assert disk.rows == (rows if landed else [])

    loop.run_until_complete(play())
    loop.close()
