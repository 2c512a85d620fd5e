"""A venue with a long journal that was killed takes orders again within five seconds.

A snapshot is saved every 50 000 commands, and at an orderly end; after a kill the rest is replayed. Here the journal is
as long as it can be without the second snapshot, so that the most there can be is replayed; and once more with no
snapshot at all, as after a change of the engine; that second part, and the audit of it all, run with `--long`.

What is bounded is the time from exec to the ready line less the time in which the process was ready to run and another
one had the processor: a figure of this program, not of what else the machine does. The death of the process is tested,
not that of the machine.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from raeth.sequencer import SNAPSHOT_EVERY
from tests.conftest import ROOT
from tests.e2e.long_journal import DONE
from tests.e2e.venue import Host, VenueProcess, environment, until

COMMANDS = 100_000
READY_S = 5.0

SETTINGS = {
    # Some windows have to open, trade and resolve in the seconds in which the journal is written.
    "RAETH_SERIES__WINDOW_MS": "2000",
    "RAETH_RISK__POSITION_CAP": "10000000",
    "RAETH_RISK__COOLDOWN_REJECTS": "1000000",
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "1000000000",
    "RAETH_LIMITS__OPEN_ORDERS_PER_MARKET": "100000",
}


def write_and_kill(host: Host, commands: int) -> None:
    """A data dir in which a process has written so many commands before it was killed."""
    settings = SETTINGS | {"RAETH_DATA_DIR": str(host.data_dir)}
    told = host.folder / "writer.out"
    with told.open("wb") as stdout, (host.folder / "writer.err").open("wb") as stderr:
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.long_journal", str(commands)],
            cwd=ROOT,
            env=environment(host.folder, settings),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    try:
        until("the journal", lambda: DONE in told.read_text() or writer.poll() is not None, 100)
        assert writer.poll() is None, (host.folder / "writer.err").read_text()[-2000:]
    finally:
        writer.kill()
        writer.wait(timeout=10)


def waited_s(venue: VenueProcess) -> float:
    """How long the threads of the process could have run and did not, so far; 0 where the system does not say."""
    waited_ns = 0
    for thread in Path(f"/proc/{venue.process.pid}/task").glob("*/schedstat"):
        waited_ns += int(thread.read_text().split()[1])
    return waited_ns / 1e9


def start(host: Host, what: str) -> float:
    """Seconds from exec to the ready line, of this program alone; the process is killed again."""
    venue = host.serve(**SETTINGS)
    own_s = venue.ready_after_s - waited_s(venue)
    seq = venue.get("/health")["seq"]
    print(f"{what}: ready after {venue.ready_after_s:.2f} s, {own_s:.2f} s of its own, at seq {seq}")
    assert seq >= COMMANDS - 1_000 or what == "nothing"
    venue.kill()
    return own_s


def snapshots(host: Host) -> list[int]:
    # Opened to be read only: else this connection, the last one, would fold the write-ahead log into the file.
    with closing(sqlite3.connect(f"file:{host.database}?mode=ro", uri=True)) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM snapshots ORDER BY seq")]


@pytest.mark.timeout(300)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells how long a process waited to run")
def test_a_killed_venue_with_a_long_journal_is_back_within_five_seconds(
    host: Host, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # A little short of the second snapshot, which the tail of the last transaction might reach.
    write_and_kill(host, COMMANDS - 600)
    (taken,) = snapshots(host)
    assert SNAPSHOT_EVERY <= taken < SNAPSHOT_EVERY + 1_000
    assert os.path.getsize(f"{host.database}-wal") > 0, "nobody has tidied up"
    with_snapshot_s = start(host, "from the snapshot")
    assert with_snapshot_s < READY_S
    if request.config.getoption("--long"):
        check_without_snapshots(host, tmp_path)


def check_without_snapshots(host: Host, tmp_path: Path) -> None:
    empty_dir = tmp_path / "empty"
    empty_dir.mkdir()
    with Host(empty_dir) as empty:
        bare_s = start(empty, "nothing")
    with closing(sqlite3.connect(host.database, isolation_level=None)) as connection:
        connection.execute("DELETE FROM snapshots")
    without_s = start(host, "from the first row on")
    # No bound is promised here; but a rate of replay so low that a restart would take minutes is a defect.
    assert without_s - bare_s < 4 * READY_S
    assert host.audited()["commands"] >= COMMANDS - 600
