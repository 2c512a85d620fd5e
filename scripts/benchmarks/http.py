"""`POST /orders` over HTTP, durable, against the yardstick, in one run: each in a server process of its own.

The server has one core and the load generator another, where the machine has two.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from benchmarks.load import Load, cycle, order_bodies, request, run_load

CONNECTIONS = 64
HERE = Path(__file__).resolve().parent.parent
ROOMY = {
    "RAETH_LIMITS__WRITES_PER_MINUTE": "100000000",
    "RAETH_LIMITS__SIGNUPS_PER_MINUTE": "100000",
    "RAETH_LIMITS__ANONYMOUS_READS_PER_MINUTE": "1000000",
    "RAETH_LIMITS__OPEN_ORDERS_PER_MARKET": "1000000",
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "100000000000",
    "RAETH_RISK__POSITION_CAP": "10000000",
    "RAETH_RISK__COOLDOWN_REJECTS": "1000000",
    "RAETH_SERIES__WINDOW_MS": "20000",
}


def split_cores() -> tuple[set[int], set[int]]:
    """`(server's, load's)` processors; the same one twice on a machine that has only one."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[0]}, {cores[-1]}


@contextlib.contextmanager
def process(command: list[str], ready: str, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """A server on the first core: yields `(port, pid)` once a line of its output matches `ready`, and ends it after."""
    server_core, _ = split_cores()
    started = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    os.sched_setaffinity(started.pid, server_core)
    assert started.stdout is not None
    try:
        for line in started.stdout:
            if found := re.search(ready, line):
                yield int(found.group(1)), started.pid
                return
        raise RuntimeError(f"{command[0]} ended before it was ready")
    finally:
        started.terminate()
        started.communicate(timeout=15)


def bare_server() -> contextlib.AbstractContextManager[tuple[int, int]]:
    command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--port", "0", "--no-access-log"]
    return process(command, r"running on http://127\.0\.0\.1:(\d+)", {"PYTHONPATH": str(HERE)})


def venue_server(data_dir: str, settings: dict[str, str] = ROOMY) -> contextlib.AbstractContextManager[tuple[int, int]]:
    command = [str(Path(sys.executable).parent / "raeth"), "serve", "--port", "0", "--data-dir", data_dir, "--no-house"]
    return process([*command], r"ready http://127\.0\.0\.1:(\d+)", {**settings, "RAETH_LOG_LEVEL": "error"})


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
        for _ in range(600):
            items = client.get("/markets", params={"status": "OPEN"}).json()["items"]
            if items and items[0]["seconds_to_close"] >= at_least_s:
                return str(items[0]["id"])
            time.sleep(0.1)
    raise RuntimeError("no window opened")


async def measure_bare(port: int, seconds: float, connections: int = CONNECTIONS) -> Load:
    bodies = order_bodies("019aa4b6-4500-8000-8000-0001fbb00001", 1)
    sources = [cycle([request("/orders", body) for body in bodies]) for _ in range(connections)]
    return await run_load(port, sources, seconds)


async def measure_venue(
    port: int, keys: list[str], market: str, seconds: float, connections: int = CONNECTIONS
) -> Load:
    sources = [
        cycle([request("/api/v1/orders", body, keys[place % len(keys)]) for body in order_bodies(market, place)])
        for place in range(connections)
    ]
    return await run_load(port, sources, seconds)


def compare(rounds: int, seconds: float) -> list[tuple[Load, Load]]:
    """`rounds` pairs of (yardstick, venue), one right after the other, so that the machine's mood hits both."""
    _, load_core = split_cores()
    os.sched_setaffinity(0, load_core)
    pairs = []
    with tempfile.TemporaryDirectory() as folder, bare_server() as (bare, _), venue_server(folder) as (venue, _):
        keys = sign_up(venue, CONNECTIONS)
        for _ in range(rounds):
            yardstick = asyncio.run(measure_bare(bare, seconds))
            market = open_window(venue, seconds + 3)
            pairs.append((yardstick, asyncio.run(measure_venue(venue, keys, market, seconds))))
    return pairs


def resident_mb(pid: int) -> float:
    """Memory a process really holds, in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def memory(orders: int, step: int) -> list[tuple[int, float]]:
    """Resident memory of the venue after every `step` of `orders` orders over HTTP."""
    _, load_core = split_cores()
    os.sched_setaffinity(0, load_core)
    found: list[tuple[int, float]] = []
    done = 0
    with tempfile.TemporaryDirectory() as folder, venue_server(folder) as (venue, pid):
        keys = sign_up(venue, CONNECTIONS)
        while done < orders:
            market = open_window(venue, 12)
            load = asyncio.run(measure_venue(venue, keys, market, 10))
            before, done = done, done + load.requests
            if done // step != before // step:
                found.append((done, resident_mb(pid)))
    return found
