"""Nodes of one venue in processes of their own, and what may befall them: killed, stopped, started again.

A `Node` keeps its port and its data dir over all its lives, as behind a balancer. Must not know load or checks.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
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
    """A process that faults are done to. `troubled`: something is being done to it."""

    name: str
    troubled: bool


class Node:
    """One `raeth serve` and its lives. All methods block; call them from a thread."""

    def __init__(self, host: Host, number: int, port: int, flags: tuple[str, ...]) -> None:
        self.name = f"node {number}"
        self.troubled = False
        self.lives = 0
        self.turned_away = 0
        """Starts that ended at once because the database was away."""
        self.venue: VenueProcess
        self._abandoned = False
        self._host = host
        self._data_dir = host.folder / f"node-{number}"
        self._flags = ("--port", str(port), "--data-dir", str(self._data_dir), *flags)
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Until it takes orders; tried again, as whatever supervises it would, while the database is away."""
        give_up = time.monotonic() + START_WITHIN_S
        while not self._started(give_up):
            if self._abandoned:
                return
            self.turned_away += 1
            # What is for the operator is one line; the others are the log's.
            told = [line for line in self.venue.stderr.splitlines() if line.strip() and not line.startswith("{")]
            assert self.venue.process.returncode == 1 and len(told) == 1, self._last_words()
            assert re.match(r"raeth: the (database|journal) ", told[0]), told
            assert time.monotonic() < give_up, self._last_words()
            time.sleep(10 * PAUSE_S)
        self.lives += 1

    def _started(self, give_up: float) -> bool:
        self.venue = self._host.launch(*self._flags, **SETTINGS)
        return ready(self.venue, give_up)

    def _last_words(self) -> str:
        return self.venue.stderr[-3_000:]

    def kill(self) -> None:
        self._alive()
        self.venue.kill()

    def _alive(self) -> None:
        """A node may be degraded for as long as its database is away, but never ends because of it."""
        ended = self.venue.process.poll()
        assert ended is None, f"{self.name} ended by itself with {ended}: {self._last_words()}"

    def abandon(self) -> None:
        """The test is over: whoever waits for a start of this node waits no longer."""
        self._abandoned = True
        if self.venue.process.poll() is None:
            self.venue.kill()

    def pause(self) -> None:
        self._alive()
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
    """One of the processes of a `raeth serve --workers N`, whichever that is just now. `number` begins at 1."""

    def __init__(self, parent: VenueProcess, number: int) -> None:
        self.name = f"worker {number}"
        self.troubled = False
        self._parent, self._number = parent, number

    def kill(self) -> None:
        """SIGKILL it, and wait until its parent has put another one in its place that takes orders."""
        victim = self._pids()[-1]
        os.kill(victim, signal.SIGKILL)
        give_up = time.monotonic() + START_WITHIN_S
        while self._pids()[-1] == victim:
            assert time.monotonic() < give_up, f"no other process in place of {self.name}, which was {victim}"
            time.sleep(10 * PAUSE_S)

    def _pids(self) -> list[int]:
        """Of all its lives, by what its parent says when one has become ready."""
        lines = (line for line in self._parent.stderr.splitlines() if '"a worker is ready"' in line)
        told = [json.loads(line) for line in lines]
        return [line["pid"] for line in told if line["worker"] == self._number]
