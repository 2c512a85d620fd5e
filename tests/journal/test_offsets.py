"""Damage at random places of every file of a venue's journal: refused and named, or without any effect.

A small venue leaves its files in three ways: closed in order, killed with everything in the write-ahead log, and killed
behind a snapshot. Then a bit is flipped, a sector is zeroed or the file is cut, anywhere: rows, tables, keys, indexes,
free pages, headers, the log. Whoever starts on it must either be refused, naming the `seq` (0: the file as a whole), or
be stopped by the scrubber, or have exactly the state and the rows that were written.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from raeth.audit import AuditFailed, audit_file
from raeth.clock import ManualClock
from raeth.engine import commands as cmd
from raeth.engine.snapshot import state_hash
from raeth.journal.base import EMPTY_HEAD, JournalDamaged, JournalUnavailable, Row
from raeth.journal.chain import verify
from raeth.journal.scrub import scrub
from raeth.journal.sqlite import SqliteJournal
from raeth.sequencer import Sequencer
from tests.sequencer.node import OPEN_AT, key, new_sequencer, order, prepare, trader

BTC = 10_000_000
DATABASE = "raeth.db"
LOG = "raeth.db-wal"
INDEX = "raeth.db-shm"
SECTOR = 512

NAMED = "refused, naming the seq"
WHOLE = "refused as a damaged file"
UNAVAILABLE = "refused, it cannot be opened"
SCRUBBED = "stopped by the scrubber, naming the seq"
TABLE = "state and rows whole, a table differs: the audit names it"
HARMLESS = "harmless"

SCALE = [
    pytest.param(500, marks=pytest.mark.timeout(300)),
    pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
]


class Original(NamedTuple):
    """What a venue left behind, and what it was."""

    folder: Path
    now_ms: int
    state_hash: str
    rows: list[Row]


async def trade(node: Sequencer, clock: ManualClock, with_snapshot: bool) -> None:
    """Two agents, orders with keys, a window that resolves and one that is open."""
    agents = [await trader(node, n) for n in range(2)]
    clock.set(OPEN_AT)
    await node.submit(cmd.IndexTick(BTC, OPEN_AT, "test"))
    await node.submit(cmd.Print(OPEN_AT, BTC, OPEN_AT, "test", "LAST", None, ()))
    for number in range(40):
        n = number % 2
        command = order(node, agents[n], 45 + number % 7 + 3 * n, 1 + number % 5, n=n, side=n)
        await node.submit(command, [key(agents[n], f"key-{number}")])
        if number == 20 and with_snapshot:
            await node._save_snapshot()
    for ts in range(OPEN_AT + 4_000, OPEN_AT + 60_001, 4_000):
        clock.set(ts)
        await node.submit(cmd.Tick())
    await node.submit(cmd.Print(OPEN_AT + 60_000, BTC + 1, OPEN_AT + 60_000, "test", "LAST", None, ()))
    await node.submit(order(node, agents[0], 50, 3, n=0))


async def leave(folder: Path, how: str) -> Original:
    """A venue's life in `folder`, ended in one of the three ways."""
    live = folder / "live"
    path = live / DATABASE
    clock = ManualClock(OPEN_AT - 1_000)
    await prepare(path)
    node = new_sequencer(path, clock)
    await node.start()
    left = folder / "left"
    left.mkdir()
    try:
        await trade(node, clock, how == "behind a snapshot")
        known = state_hash(node.state), await node.journal.read(0)
        if how != "closed":
            # As a kill leaves them: what is in the files now.
            for name in (DATABASE, LOG, INDEX):
                shutil.copy(live / name, left / name)
    finally:
        await node.stop()
    if how == "closed":
        assert not (live / LOG).exists()
        shutil.copy(path, left / DATABASE)
    return Original(left, clock.now_ms(), *known)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Original]:
    ways = ("closed", "killed", "behind a snapshot")
    return {how: asyncio.run(leave(tmp_path_factory.mktemp("original"), how)) for how in ways}


def damage(file: Path, rng: random.Random, kind: str) -> str:
    """Damage one place of a file; says where."""
    size = file.stat().st_size
    offset = rng.randrange(size)
    with file.open("r+b") as opened:
        if kind == "cut":
            opened.truncate(offset)
        elif kind == "zero":
            opened.seek(offset - offset % SECTOR)
            opened.write(bytes(SECTOR))
        else:
            opened.seek(offset)
            (byte,) = opened.read(1)
            opened.seek(offset)
            opened.write(bytes([byte ^ 1 << rng.randrange(8)]))
    return f"{kind} at {offset} of {size} in {file.name}"


async def outcome(path: Path, original: Original) -> str:
    """What becomes of a start on these files. Fails if it goes on with anything but what was written."""
    node = new_sequencer(path, ManualClock(original.now_ms))
    try:
        try:
            await node.start()
        except JournalDamaged as refused:
            assert 0 <= refused.seq <= len(original.rows) + 1
            return NAMED if refused.seq else WHOLE
        except JournalUnavailable:
            return UNAVAILABLE
        try:
            await scrub(node.journal, node.durable_seq, pause_s=0)
        except JournalDamaged as found:
            assert 0 <= found.seq <= len(original.rows) + 1
            return SCRUBBED
        rows = await node.journal.read(0)
        assert rows == original.rows, f"{len(rows)} rows of {len(original.rows)}"
        assert verify(rows, EMPTY_HEAD).hash == original.rows[-1].hash
        assert state_hash(node.state) == original.state_hash
    finally:
        await node.journal.close()
        for task in node._tasks:
            task.cancel()
        await asyncio.gather(*node._tasks, return_exceptions=True)
    try:
        audit_file(path)
    except AuditFailed:
        return TABLE
    return HARMLESS


def cases(count: int, originals: dict[str, Original]) -> Iterator[tuple[str, str, str]]:
    """Way, file and kind of damage, in turn."""
    places = [(how, file.name) for how, original in originals.items() for file in sorted(original.folder.iterdir())]
    for number in range(count):
        yield *places[number % len(places)], ("flip", "flip", "zero", "cut")[number // len(places) % 4]


@pytest.mark.parametrize("count", SCALE)
async def test_damage_anywhere(tmp_path: Path, originals: dict[str, Original], count: int) -> None:
    rng = random.Random(count)
    seen: Counter[str] = Counter()
    for how, name, kind in cases(count, originals):
        folder = tmp_path / "copy"
        shutil.copytree(originals[how].folder, folder)
        where = damage(folder / name, rng, kind)
        try:
            seen[await outcome(folder / DATABASE, originals[how])] += 1
        except Exception as error:
            raise AssertionError(f"{how}, {where}: {type(error).__name__}: {error}") from error
        shutil.rmtree(folder)
    for what, times in seen.most_common():
        print(f"{times:6} {what}")
    assert seen[NAMED] > count // 20
    assert seen[HARMLESS] > 0


@pytest.mark.parametrize("count", [100, pytest.param(5_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
async def test_a_log_without_its_index(tmp_path: Path, originals: dict[str, Original], count: int) -> None:
    """Files that were moved without the `-shm`. What went bad in an older commit is still noticed. Damage to the newest
    commit, or a log that was cut, looks like a crash in the middle of a write: what is left is whole, and older."""
    original = originals["killed"]
    rng = random.Random(count)
    older = 0
    for number in range(count):
        folder = tmp_path / "copy"
        shutil.copytree(original.folder, folder)
        (folder / INDEX).unlink()
        kind = ("flip", "zero", "cut")[number % 3]
        where = damage(folder / LOG, rng, kind)
        rows = await rows_after(folder / DATABASE)
        if rows is not None:
            assert rows == original.rows[: len(rows)], where
            assert kind == "cut" or len(rows) >= len(original.rows) - 1, f"{where}: {len(rows)} rows are left"
            older += len(rows) < len(original.rows)
        shutil.rmtree(folder)
    assert 0 < older < count, "some were refused, some could not be"


async def rows_after(path: Path) -> list[Row] | None:
    """All rows of the journal, None if it is refused."""
    journal = SqliteJournal(path)
    try:
        await journal.open()
        return await journal.read(0)
    except JournalDamaged:
        return None
    finally:
        await journal.close()


async def test_a_damaged_log_is_named_and_left_as_it_is(tmp_path: Path, originals: dict[str, Original]) -> None:
    """Nothing is folded into the file and nothing is deleted: a person may still save what is behind the damage."""
    original = originals["killed"]
    folder = tmp_path / "copy"
    shutil.copytree(original.folder, folder)
    size = (folder / LOG).stat().st_size
    with (folder / LOG).open("r+b") as log:
        log.seek(size // 2)
        log.write(b"damaged!")
    before = {name: (folder / name).read_bytes() for name in (DATABASE, LOG)}
    seqs = set()
    for _ in range(2):
        journal = SqliteJournal(folder / DATABASE)
        with pytest.raises(JournalDamaged, match="write-ahead log") as refused:
            await journal.open()
        seqs.add(refused.value.seq)
        with pytest.raises(AuditFailed, match="write-ahead log") as failed:
            audit_file(folder / DATABASE)
        seqs.add(failed.value.seq)
        (folder / INDEX).unlink(missing_ok=True)  # the second time the log alone must tell
    (seq,) = seqs
    assert 1 < seq < len(original.rows)
    assert before == {name: (folder / name).read_bytes() for name in (DATABASE, LOG)}
    assert original.rows[seq - 1].seq == seq
