"""Processes on one port: started, watched, started again, and ended with their parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from raeth.server import CannotServe, listen, reserve
from tests.e2e.venue import STOP_WITHIN_S, VenueProcess, hosting, until

WITHIN_S = 30
"""For a busy machine."""


class Parent:
    """One process of `children.py`, and what became of its children."""

    def __init__(self, folder: Path, how: str = "good") -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.nodes.children", str(folder), how],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def started(self) -> list[tuple[int, str, int]]:
        """Number, whether it is one of the first, and pid of every child that was ever started."""
        path = self.folder / "started"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(int(number), first, int(pid)) for number, first, pid in lines]

    def wait_started(self, count: int) -> list[tuple[int, str, int]]:
        wait(f"{count} children", lambda: len(self.started()) >= count)
        return self.started()

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready 1\n", "the first child's word, once all are ready"


def wait(what: str, condition: Callable[[], bool]) -> None:
    until(what, condition, WITHIN_S)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    made = Parent(tmp_path)
    made.wait_ready()
    yield made
    end(made)


def end(parent: Parent) -> None:
    parent.process.kill()
    parent.process.communicate()
    for _, _, pid in parent.started():
        wait(f"the end of {pid}", lambda pid=pid: is_gone(pid))  # type: ignore[misc]


def test_a_child_that_dies_is_started_again_and_all_end_with_a_signal(parent: Parent) -> None:
    (one, _, pid), (two, _, other) = parent.started()
    assert (one, two) == (1, 2)
    os.kill(pid, signal.SIGKILL)
    again = parent.wait_started(3)[2]
    assert again[:2] == (1, "False"), "the same number, and no first start any more"
    assert not is_gone(other), "the other one never noticed"
    os.kill(other, signal.SIGSTOP)
    asked = time.monotonic()
    parent.process.send_signal(signal.SIGTERM)
    assert parent.process.wait(WITHIN_S) == 0
    assert time.monotonic() - asked < STOP_WITHIN_S + 1, "one that does not hear is killed"
    assert is_gone(other) and is_gone(again[2])


def test_a_child_that_dies_as_soon_as_it_is_there_is_started_again(parent: Parent) -> None:
    killed = {pid for _, _, pid in parent.started()}
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    listed = Path(f"/proc/{parent.process.pid}/task/{parent.process.pid}/children")
    until_s = time.monotonic() + WITHIN_S
    while len(killed) < 6:  # without a pause: they are not to get as far as to read what they are told
        assert time.monotonic() < until_s, "a child was not started again"
        for pid in set(map(int, listed.read_text().split())) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    wait("both again", lambda: len({number for number, _, pid in parent.started() if pid not in killed}) == 2)


def test_children_end_with_a_parent_that_is_killed(parent: Parent, tmp_path: Path) -> None:
    parent.process.kill()
    for _, _, pid in parent.started():
        wait("the end of an orphan", (tmp_path / f"orphan-{pid}").exists)


def test_a_child_that_cannot_begin_ends_all_with_its_code(tmp_path: Path) -> None:
    parent = Parent(tmp_path, "bad")
    try:
        assert parent.process.wait(WITHIN_S) == 7
        assert parent.process.stdout is not None and parent.process.stdout.read() == ""
        assert [number for number, _, _ in parent.started()] == [1, 2]
    finally:
        end(parent)


# ---- the real ones ----


def test_a_port_that_another_venue_s_workers_listen_on_is_taken() -> None:
    """The system would let both listen, and nobody would know whose venue answers."""
    with closing(reserve("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
        with (
            closing(listen("127.0.0.1", port, together=True)),
            closing(listen("127.0.0.1", port, together=True)),
            pytest.raises(CannotServe, match="in use"),
        ):
            reserve("127.0.0.1", port)


def names(venue: VenueProcess) -> set[str]:
    """Whoever answers: every connection may meet another worker."""
    seen = set()
    for _ in range(12):
        with httpx2.Client(base_url=venue.url, timeout=20) as http:
            seen.add(http.get("/health").json()["node"]["name"])
    return seen


def test_a_venue_of_two_workers(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        venue = host.serve("--workers", "2", RAETH_NODE="w")
        until("both answer", lambda: names(venue) == {"w-1", "w-2"}, WITHIN_S)
        agent = venue.signup("worker")
        for _ in range(8):
            assert known_everywhere(venue, agent.key)
        holder = series_of(venue)
        os.kill(holder["pid"], signal.SIGKILL)
        until("another one has the series", lambda: series_of(venue)["node"] != holder["node"], WITHIN_S)
        took_s = venue.stop()
        assert took_s < STOP_WITHIN_S
        assert venue.stdout.count("ready http") == 1
        assert "2 processes" in venue.stdout
        assert host.audited()["ok"] is True


def known_everywhere(venue: VenueProcess, key: str) -> bool:
    """On a new connection, which may be answered by another worker than the one that signed it up."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=venue.url, timeout=20, headers=headers) as http:
        return bool(http.get("/api/v1/account").json()["cash_cents"] == 100_000)


def series_of(venue: VenueProcess) -> dict[str, Any]:
    """Name and pid of the worker that feeds the reference, by what the workers say when they take the role."""
    lines = [json.loads(line) for line in venue.stderr.splitlines() if line.startswith("{")]
    taken = [line for line in lines if line["event"] == "role taken" and line["role"] == "series"][-1]
    pids = [line["pid"] for line in lines if line["event"] == "a worker is ready" and line["worker"] == taken["worker"]]
    return {"node": taken["worker"], "pid": pids[-1]}
