"""The servers under measurement, each in a process of its own: started when first asked for, shared by all rows.

The server has one core and the load generator another, where the machine has two.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import httpx2

CONNECTIONS = 64
WINDOW_S = 30
READY_S = 90.0
HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
ALL_CORES = os.sched_getaffinity(0)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ROOMY = {
    "RAETH_LIMITS__WRITES_PER_MINUTE": "100000000",
    "RAETH_LIMITS__READS_PER_MINUTE": "100000000",
    "RAETH_LIMITS__SIGNUPS_PER_MINUTE": "100000",
    "RAETH_LIMITS__ANONYMOUS_READS_PER_MINUTE": "100000000",
    "RAETH_LIMITS__OPEN_ORDERS_PER_MARKET": "1000000",
    "RAETH_LIMITS__SOCKETS_PER_ADDRESS": "2000",
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "100000000000",
    "RAETH_RISK__POSITION_CAP": "10000000",
    "RAETH_RISK__COOLDOWN_REJECTS": "1000000",
    "RAETH_SERIES__WINDOW_MS": str(WINDOW_S * 1000),
}


def split_cores() -> tuple[set[int], set[int]]:
    """`(server's, load's)` processors; the same one twice on a machine that has only one."""
    cores = sorted(ALL_CORES)
    return {cores[0]}, {cores[-1]}


@contextlib.contextmanager
def process(
    command: list[str], ready: str, environment: dict[str, str], cores: set[int] | None = None
) -> Iterator[tuple[int, int]]:
    """A server: yields `(port, pid)` once a line of its output matches `ready`, and ends it after."""
    started = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    os.sched_setaffinity(started.pid, cores or split_cores()[0])
    assert started.stdout is not None
    said = []
    hung = threading.Timer(READY_S, started.kill)
    hung.start()
    try:
        for line in started.stdout:
            said.append(line)
            if found := re.search(ready, line):
                hung.cancel()
                yield int(found.group(1)), started.pid
                return
        raise RuntimeError(f"{' '.join(command)} ended before it was ready:\n{''.join(said[-20:])}")
    finally:
        hung.cancel()
        started.terminate()
        started.communicate(timeout=15)


def plain_server(
    app: str, environment: dict[str, str], cores: set[int] | None = None
) -> contextlib.AbstractContextManager[tuple[int, int]]:
    """An application of this folder under uvicorn as it comes."""
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.{app}:app", "--port", "0", "--no-access-log"]
    return process(
        command, r"running on http://127\.0\.0\.1:(\d+)", {"PYTHONPATH": f"{HERE}:{ROOT}", **environment}, cores
    )


def venue_server(
    data_dir: str, settings: dict[str, str] = ROOMY, *flags: str, cores: set[int] | None = None
) -> contextlib.AbstractContextManager[tuple[int, int]]:
    """`raeth serve` without its house."""
    command = [str(Path(sys.executable).parent / "raeth"), "serve", "--port", "0", "--data-dir", data_dir, "--no-house"]
    environment = {**settings, "RAETH_LOG_LEVEL": "error"}
    return process([*command, *flags], r"ready http://127\.0\.0\.1:(\d+)", environment, cores)


def sign_up(port: int, count: int) -> list[str]:
    """Keys of `count` agents of different accounts."""
    keys = []
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as client:
        for place in range(count):
            body = {"email": f"bench{place}@example.com", "agent_name": f"bench-{place}"}
            keys.append(client.post("/auth/signup", json=body).json()["api_key"])
    return keys


def open_window(port: int, at_least_s: float) -> str:
    """Wait for a window that stays open long enough; its id."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as client:
        for _ in range(700):
            items = client.get("/markets", params={"status": "OPEN"}).json()["items"]
            if items and items[0]["seconds_to_close"] >= at_least_s:
                return str(items[0]["id"])
            time.sleep(0.1)
    raise RuntimeError("no window opened")


def cpu_s(pid: int) -> float:
    """Processor seconds that a process and all its threads have used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def children_of(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def resident_mb(pid: int) -> float:
    """Memory a process really holds, in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


class Server(NamedTuple):
    """One that answers at `port`; `keys` of as many agents as there are connections, where it knows agents."""

    port: int
    pid: int
    keys: list[str]
    folder: str = ""
    market: str = ""


class Stage:
    """All servers of a run. A context manager: whatever was started ends with it."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Stage:
        os.sched_setaffinity(0, split_cores()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        os.sched_setaffinity(0, ALL_CORES)

    def _folder(self) -> str:
        return self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))

    @cached_property
    def bare(self) -> Server:
        """The yardstick."""
        return Server(*self._stack.enter_context(plain_server("bare", {})), [])

    @cached_property
    def venue(self) -> Server:
        """The venue as it comes, on SQLite, with roomy limits."""
        folder = self._folder()
        port, pid = self._stack.enter_context(venue_server(folder))
        return Server(port, pid, sign_up(port, CONNECTIONS), folder)

    @cached_property
    def naive(self) -> Server:
        """See `benchmarks.naive`."""
        folder = self._folder()
        environment = {"NAIVE_DATABASE": f"{folder}/naive.db"}
        port, pid = self._stack.enter_context(plain_server("naive", environment))
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            market = client.post("/markets").json()["id"]
            keys = [client.post("/agents", json={"name": f"bench-{n}"}).json()["api_key"] for n in range(CONNECTIONS)]
        return Server(port, pid, keys, folder, market)
