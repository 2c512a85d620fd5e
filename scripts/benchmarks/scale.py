"""Several processes on one database: workers on one SQLite file, nodes on one PostgreSQL. A table of its own.

Everything, load generator and database too, shares the machine's cores, so the table says who used them: processor
seconds a second, read from the system for the load, for all of the venue's processes and for the database's.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import uvloop

from benchmarks.journals import measure as measure_journals
from benchmarks.load import WARM_S, Load, cycle, order_bodies, order_sources, request, run_loads
from benchmarks.servers import (
    ALL_CORES,
    CONNECTIONS,
    ROOMY,
    children_of,
    cpu_s,
    open_window,
    plain_server,
    sign_up,
    venue_server,
)
from benchmarks.table import TITLES, machine, shown

SIZES = (1, 2, 4)
SETTINGS = {**ROOMY, "RAETH_SERIES__WINDOW_MS": "10000"}
SLACK_S = 1.0


class Used(NamedTuple):
    """Processor seconds a second."""

    load: float
    nodes: float
    database: float

    @property
    def load_share(self) -> float:
        return self.load / sum(self)


class Round(NamedTuple):
    bare: Load
    load: Load
    used: Used


class Cluster(NamedTuple):
    """Where orders are taken, the first process of every program, and of the database's, if it has any."""

    ports: list[int]
    pids: list[int]
    database_pid: int | None


@contextlib.contextmanager
def workers(count: int) -> Iterator[Cluster]:
    """Processes on one port and one SQLite file."""
    flags = ("--workers", str(count))
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        venue_server(folder, SETTINGS, *flags, cores=ALL_CORES) as (port, pid),
    ):
        yield Cluster([port], [pid], None)


@contextlib.contextmanager
def nodes(count: int) -> Iterator[Cluster]:
    """Programs with a port each on one PostgreSQL, which starts with the first of them."""
    from tests.postgres import fresh_database, shared_server

    os.sched_setaffinity(0, ALL_CORES)
    flags = ("--database-url", fresh_database())
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            found.append(stack.enter_context(venue_server(folder, SETTINGS, *flags, cores=ALL_CORES)))
        yield Cluster([port for port, _ in found], [pid for _, pid in found], shared_server().pid)


def measure(cluster: Cluster, bare_port: int, rounds: int, seconds: float) -> list[Round]:
    """Each round: the yardstick, then orders on 64 connections dealt out over the ports."""
    keys = sign_up(cluster.ports[0], CONNECTIONS)
    bodies = order_bodies("019aa4b6-4500-8000-8000-0001fbb00001", 1)
    yardstick = [cycle([request("/orders", body) for body in bodies]) for _ in range(CONNECTIONS)]
    found = []
    for _ in range(rounds):
        bare = uvloop.run(run_loads([bare_port], yardstick, seconds))
        market = open_window(cluster.ports[0], seconds + SLACK_S)
        sources = order_sources(market, "/api/v1/orders", keys, CONNECTIONS)
        before = _used(cluster)
        load = uvloop.run(run_loads(cluster.ports, sources, seconds))
        nodes_s, database_s = (now - then for now, then in zip(_used(cluster), before, strict=True))
        whole = seconds + WARM_S
        found.append(Round(bare, load, Used(load.cpu_s / load.seconds, nodes_s / whole, database_s / whole)))
    return found


def _used(cluster: Cluster) -> tuple[float, float]:
    """Processor seconds so far of the venue's processes and of the database's."""
    venue = sum(cpu_s(pid) for first in cluster.pids for pid in children_of(first))
    if cluster.database_pid is None:
        return venue, 0.0
    # The first process also answers for the sessions that have ended; those that run are its children.
    return venue, sum(cpu_s(pid) for pid in children_of(cluster.database_pid))


def tell(quick: bool) -> str:
    """The table, and what a commit costs on either database."""
    rounds, seconds = (1, 1.0) if quick else (5, 2.0)
    lines = [
        "| processes | orders/s | ratio to the yardstick | p50, p99 | cores used: load, venue, database |",
        "| --- | --- | --- | --- | --- |",
    ]
    with plain_server("bare", {}, cores=ALL_CORES) as (bare_port, _):
        for what, make in (("{} on one SQLite file", workers), ("{} on one PostgreSQL", nodes)):
            kind = "worker" if make is workers else "node"
            for size in SIZES:
                title = what.format(f"{size} {kind}{'s' if size > 1 else ''}")
                try:
                    with make(size) as cluster:
                        row = _row(measure(cluster, bare_port, rounds, seconds))
                except (ImportError, RuntimeError) as failed:
                    print(failed, file=sys.stderr)
                    row = "not there | | | |"
                print(f"  {title}: {row}", file=sys.stderr, flush=True)
                lines.append(f"| {title} | {row}")
    commits = measure_journals({"sqlite-1", "postgres-1"}, 4 if quick else 15, 0.1)
    lines += ["", "| commit | ratio | |", "| --- | --- | --- |"]
    lines += [f"| {TITLES[one.name]} | {one.result} | {one.notes} |" for one in commits]
    return "\n".join([*lines, "", f"`./scripts/bench --scale` on {machine()}; medians of {rounds} rounds."])


def _row(found: list[Round]) -> str:
    loads = [one.load for one in found]
    p50, p99 = (median(getattr(one, name) for one in loads) for name in ("p50_ms", "p99_ms"))
    ratios = sorted(one.load.rate / one.bare.rate for one in found)
    used = [one.used for one in found]
    load, venue, database = (median(getattr(one, name) for one in used) for name in ("load", "nodes", "database"))
    share = median(one.load_share for one in used)
    refused = sum(count for one in loads for status, count in one.statuses.items() if status != 200)
    others = f" ({refused} not answered with 200)" if refused else ""
    return (
        f"{median(one.rate for one in loads):,.0f}{others} | {shown(median(ratios))} "
        f"({shown(ratios[0])} to {shown(ratios[-1])}) | {p50:.1f}, {p99:.1f} ms | "
        f"{load:.2f} ({share:.0%}), {venue:.2f}, {database:.2f} |"
    )
