"""A damaged journal and the real process: it does not start, or it stops, and says in one line where and what.

A few kinds of damage, as a person would meet them; a thousand random ones are tested without a process, beside the
journal.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.venue import Host, hosting, until

CHANGED_SEQ = 4


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data dir of a venue that was killed: most of its journal is still in the write-ahead log."""
    with hosting(tmp_path_factory.mktemp("killed")) as host:
        venue = host.serve()
        for number in range(8):
            venue.signup(f"agent-{number}")
        venue.kill()
        return host.data_dir


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, killed: Path) -> Path:
    """The same after an orderly end: all of it in one file, and a snapshot at its end."""
    with hosting(tmp_path_factory.mktemp("stopped")) as host:
        shutil.copytree(killed, host.data_dir)
        host.serve().stop()
        assert {path.suffix for path in host.data_dir.glob("raeth.db*")} == {".db"}
        return host.data_dir


@pytest.fixture
def on(host: Host) -> Iterator[Callable[[Path], Host]]:
    """The host, on a copy of a data dir."""

    def copied(data_dir: Path) -> Host:
        shutil.copytree(data_dir, host.data_dir)
        return host

    yield copied


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def forget_snapshots(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("DELETE FROM snapshots")


def change_a_row(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        changed = connection.execute(
            "UPDATE journal SET events = CAST(replace(CAST(events AS TEXT), '0', '1') AS BLOB) WHERE seq = ?",
            (CHANGED_SEQ,),
        )
        assert changed.rowcount == 1


def named_seq(line: str) -> int:
    found = re.search(r"journal damaged at seq (\d+): ", line)
    assert found, line
    assert "nothing was changed" in line and "raeth audit" in line, "and what to do about it"
    return int(found[1])


def test_a_changed_row_is_named(on: Callable[[Path], Host], stopped: Path) -> None:
    host = on(stopped)
    forget_snapshots(host.database)
    change_a_row(host.database)
    assert named_seq(host.refused(1)) == CHANGED_SEQ
    audit = host.run("audit", "--data-dir", str(host.data_dir))
    assert audit.returncode == 1 and f"seq {CHANGED_SEQ}" in audit.stdout + audit.stderr


def test_a_log_that_went_bad_after_a_kill_is_named(on: Callable[[Path], Host], killed: Path) -> None:
    host = on(killed)
    log = host.data_dir / "raeth.db-wal"
    overwrite(log, log.stat().st_size // 2, b"damaged!")
    before = log.read_bytes()
    assert named_seq(host.refused(1)) > 0
    assert log.read_bytes() == before, "left for a person to look at"


@pytest.mark.parametrize("how", ["its header", "cut in half"])
def test_a_file_that_is_no_database_any_more(on: Callable[[Path], Host], stopped: Path, how: str) -> None:
    host = on(stopped)
    if how == "its header":
        overwrite(host.database, 0, bytes(64))
    else:
        with host.database.open("r+b") as file:
            file.truncate(host.database.stat().st_size // 2)
    named_seq(host.refused(1))


def test_damage_behind_the_snapshot_stops_the_running_venue(on: Callable[[Path], Host], stopped: Path) -> None:
    host = on(stopped)
    change_a_row(host.database)
    venue = host.serve()

    def halted() -> bool:
        return bool(venue.get("/health")["persistence"]["mode"] == "stopped")

    until("the scrubber", halted)
    health = venue.get("/health")
    assert health["status"] == "degraded"
    assert f"seq {CHANGED_SEQ}" in health["persistence"]["last_error"]
    for response in (
        venue.http.get("/ready"),
        venue.http.post("/api/v1/auth/signup", json={"email": "late@example.com", "agent_name": "late"}),
    ):
        assert response.status_code == 503 and response.json()["code"] == "SERVICE_DEGRADED"
    venue.stop()
    forget_snapshots(host.database)
    assert named_seq(host.refused(1)) == CHANGED_SEQ, "and it made nothing of what it had found"
