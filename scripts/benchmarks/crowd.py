"""A crowd at its full write budget: agents with a key and a connection of their own, ten orders a second each.

An order is sent when it is due, whether or not the one before was answered in time, and its latency counts from when
it was due: a venue that falls behind cannot hide it. The budgets are the venue's own.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from typing import NamedTuple

import httpx2
import uvloop

from benchmarks.load import Connection, connect, cycle, order_bodies, request
from benchmarks.servers import ROOMY, resident_mb, sign_up, split_cores, venue_server
from benchmarks.table import machine

ORDERS_PER_S = 9.9
"""Each. A tenth of an order below the budget of 600 a minute, so that no clock's jitter is a 429."""

CARRIED = 0.99
"""Of the orders that fell due, so many must be answered when the time is over for the crowd to count as carried."""

SETTINGS = {
    **{name: value for name, value in ROOMY.items() if "WRITES_PER_MINUTE" not in name},
    "RAETH_SERIES__WINDOW_MS": "60000",
    "RAETH_LIMITS__OPEN_ORDERS_PER_MARKET": "200",
}


class Crowd(NamedTuple):
    """Latencies are milliseconds from due to answered, `memory_mb` pairs of seconds and resident MiB."""

    agents: int
    due: int
    answered: int
    statuses: dict[int, int]
    declined: int
    p50_ms: float
    p99_ms: float
    by_slice: list[tuple[float, float]]
    """(p50, p99) of each third of the time."""
    memory_mb: list[tuple[int, float]]

    @property
    def carried(self) -> bool:
        return self.answered >= CARRIED * self.due and set(self.statuses) == {200}


async def _market(port: int) -> str:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
        while not (items := (await client.get("/markets", params={"status": "OPEN"})).json()["items"]):
            await asyncio.sleep(0.05)
        return str(items[0]["id"])


async def _trade(port: int, pid: int, keys: list[str], seconds: float) -> Crowd:
    found: list[tuple[float, float]] = []
    statuses: Counter[int] = Counter()
    declined = 0
    memory: list[tuple[int, float]] = []

    def heard(_: Connection, status: int, body: bytes, due: float) -> None:
        nonlocal declined
        found.append((due, time.perf_counter() - due))
        statuses[status] += 1
        declined += b'"REJECTED"' in body

    await _market(port)  # a connection that says nothing for long is ended
    members = await connect(port, [bytes] * len(keys), heard)
    known = ""

    async def follow() -> None:
        """Everybody trades the window that is open."""
        nonlocal known
        while True:
            market = await _market(port)
            if market != known:
                bodies = [order_bodies(market, seed, 64) for seed in range(16)]
                for place, member in enumerate(members):
                    key = keys[place]
                    member.source = cycle([request("/api/v1/orders", body, key) for body in bodies[place % 16]])
                known = market
            await asyncio.sleep(0.5)

    following = asyncio.create_task(follow())
    while not known:
        await asyncio.sleep(0.05)
    began = time.perf_counter()
    total = int(seconds * ORDERS_PER_S * len(members))
    gap_s = 1 / (ORDERS_PER_S * len(members))
    next_look = 0.0
    sent = 0
    while sent < total:
        passed = time.perf_counter() - began
        while sent < total and sent * gap_s <= passed:
            members[sent % len(members)].order(began + sent * gap_s)
            sent += 1
        if passed >= next_look:
            memory.append((int(passed), resident_mb(pid)))
            next_look += seconds / 6
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.5)
    answered = list(found)
    memory.append((int(seconds), resident_mb(pid)))
    following.cancel()
    for member in members:
        member.transport.close()
    slices = []
    for third in range(3):
        since, until = began + third * seconds / 3, began + (third + 1) * seconds / 3
        slices.append(_p50_p99([took for due, took in answered if since <= due < until]))
    return Crowd(
        len(keys),
        total,
        len(answered),
        dict(statuses),
        declined,
        *_p50_p99([took for _, took in answered]),
        slices,
        memory,
    )


def _p50_p99(seconds: list[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    if not ordered:
        return float("inf"), float("inf")
    return ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000


def measure(agents: int, seconds: float) -> Crowd:
    """One venue with the server on one core, the crowd on the other."""
    _, load_core = split_cores()
    os.sched_setaffinity(0, load_core)
    with tempfile.TemporaryDirectory() as folder, venue_server(folder, SETTINGS) as (port, pid):
        keys = sign_up(port, agents)
        return uvloop.run(_trade(port, pid, keys, seconds))


def tell(quick: bool) -> str:
    """The table of crowds of several sizes."""
    seconds = 10.0 if quick else 60.0
    lines = [
        "| agents, ten orders a second each | answered | declined | p50, p99 | p99 of each third | resident MiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size in (100, 300, 500):
        found = measure(size, seconds)
        others = {status: count for status, count in found.statuses.items() if status != 200}
        lines.append(
            f"| {size} ({found.due / seconds:,.0f} orders/s) | {found.answered / found.due:.1%} of {found.due:,}"
            f"{f', others {others}' if others else ''} | {found.declined:,} | "
            f"{found.p50_ms:.0f}, {found.p99_ms:.0f} ms | "
            f"{', '.join(f'{p99:.0f}' for _, p99 in found.by_slice)} ms | "
            f"{found.memory_mb[0][1]:.0f} to {found.memory_mb[-1][1]:.0f} |"
        )
    return "\n".join([*lines, "", f"`./scripts/bench --crowd` on {machine()}; {seconds:.0f} s each."])
