"""Nodes of one venue in processes of their own, and what may befall them: killed, stopped, started again.

A `Node` keeps its port and its data dir over all its lives, as behind a balancer. Must not know load or checks.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, Protocol

import httpx2

from tests.e2e.venue import PAUSE_S, Host, VenueProcess

TOKEN = "rk_admin_" + "c" * 43
START_WITHIN_S = 120.0
"""On a machine that does ten other things, with the database away meanwhile."""

SETTINGS = {
    "RAETH_ADMIN_TOKEN": TOKEN,
    # Windows so short that several settle while all goes wrong.
    "RAETH_SERIES__WINDOW_MS": "5000",
    # Declines by risk are not what is tested here; a few still happen.
    "RAETH_RISK__POSITION_CAP": "10000000",
    "RAETH_RISK__COOLDOWN_REJECTS": "1000000",
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "1000000000",
    "RAETH_LIMITS__OPEN_ORDERS_PER_MARKET": "100000",
    # Readers come and go, and a stopped node does not notice who has gone.
    "RAETH_LIMITS__SOCKETS_PER_AGENT": "10000",
    "RAETH_LIMITS__SOCKETS_PER_KEY": "10000",
    "RAETH_LIMITS__SOCKETS_PER_ADDRESS": "10000",
}


class Target(Protocol):
    """A process that faults are done to."""

    @property
    def name(self) -> str: ...

    @property
    def troubled(self) -> bool:
        """Something is being done to it."""
        ...


class Node:
    """One `raeth serve` and its lives. All methods block; call them from a thread."""

    def __init__(self, host: Host, number: int, port: int, flags: tuple[str, ...]) -> None:
        self.name = f"node {number}"
        self.troubled = False
        self.lives = 0
        self.turned_away = 0
        """Starts that ended at once because the database was away."""
        self.venue: VenueProcess
        self._host = host
        self._data_dir = host.folder / f"node-{number}"
        self._flags = ("--port", str(port), "--data-dir", str(self._data_dir), *flags)
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Until it takes orders; tried again, as whatever supervises it would, while the database is away."""
        give_up = time.monotonic() + START_WITHIN_S
        while not self._started(give_up):
            self.turned_away += 1
            assert self.venue.process.returncode == 1, self._last_words()
            assert "the database" in self._last_words() or "the journal" in self._last_words(), self._last_words()
            assert time.monotonic() < give_up, self._last_words()
            time.sleep(10 * PAUSE_S)
        self.lives += 1

    def _started(self, give_up: float) -> bool:
        self.venue = self._host.launch(*self._flags, **SETTINGS)
        return ready(self.venue, give_up)

    def _last_words(self) -> str:
        return self.venue.stderr[-3_000:]

    def kill(self) -> None:
        self.venue.kill()

    def pause(self) -> None:
        self.venue.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.venue.process.send_signal(signal.SIGCONT)

    def healthy(self) -> dict[str, Any] | None:
        """Its health, if it is there and takes orders."""
        return healthy(self.venue.http)


def ready(venue: VenueProcess, give_up: float) -> bool:
    """Wait until it takes orders; False if it ended instead."""
    while True:
        try:
            venue.wait_ready()
            return True
        except AssertionError:
            if venue.process.poll() is not None:
                return False
            assert time.monotonic() < give_up, f"it does not become ready: {venue.stderr[-3_000:]}"


def workers_ready(host: Host, count: int) -> VenueProcess:
    """A venue of several processes on this host's data dir, when all of them take orders."""
    venue = host.launch("--workers", str(count), **SETTINGS)
    assert ready(venue, time.monotonic() + START_WITHIN_S), venue.stderr
    return venue


def healthy(http: httpx2.Client) -> dict[str, Any] | None:
    try:
        ready, health = http.get("/ready"), http.get("/health")
    except httpx2.TransportError:
        return None
    return health.json() if ready.status_code == 200 else None


class Worker:
    """One child of a `raeth serve --workers N`, whichever process that is just now."""

    def __init__(self, parent: VenueProcess, number: int) -> None:
        self.name = f"worker {number}"
        self.troubled = False
        self.number = number
        self._parent = parent

    def kill(self) -> None:
        """SIGKILL the child, and wait until its parent has put another one in its place."""
        before = children(self._parent.process.pid)
        victim = before[self.number % len(before)]
        os.kill(victim, signal.SIGKILL)
        give_up = time.monotonic() + START_WITHIN_S
        while victim in children(self._parent.process.pid) or len(children(self._parent.process.pid)) < len(before):
            assert time.monotonic() < give_up, f"no other worker in place of {self.name}"
            time.sleep(PAUSE_S)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that run, eldest first."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sorted(int(child) for child in listed if not is_zombie(int(child)))


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
