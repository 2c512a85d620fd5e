"""Runs the measurements and prints one table; `--write` puts it into the README, `--memory` adds a million orders.

Everything runs on the loopback address and ends by itself in about five minutes (with `--memory` five more). `--crowd`
is another table, alone: agents at their full write budget, a minute for each size of the crowd.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import sys
from pathlib import Path

from benchmarks import crowd, engine, http, sockets
from benchmarks.workload import checksum, mix

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
CROWD_BEGIN, CROWD_END = "<!-- crowd: begin -->", "<!-- crowd: end -->"
OPS = 20_000


def measure_engine(runs: int) -> list[tuple[str, str, str]]:
    ops = mix(OPS)
    gc.set_threshold(50_000, 50, 1000)  # as the server sets it
    name = f"workload `{checksum(ops)}`"
    rows = []
    for what, run in (
        ("engine, full pipeline (keys, risk, collateral, matching, fees, events)", lambda: engine.pipeline(ops)),
        ("the same, with commands and events encoded for the journal", lambda: engine.pipeline(ops, encode=True)),
        ("the bare book", lambda: engine.bare_book(ops)),
    ):
        found = engine.figure(run, runs)
        rows.append((what, f"{found.median:,.0f} ops/s", f"{found.low:,.0f} to {found.high:,.0f}; {name}"))
    return rows


def measure_http(rounds: int, seconds: float) -> list[tuple[str, str, str]]:
    pairs = http.compare(rounds, seconds)
    refused = [load.statuses for pair in pairs for load in pair if set(load.statuses) != {200}]
    assert not refused, f"not everything was answered with 200: {refused}"
    bare = statistics.median(pair[0].rate for pair in pairs)
    venue = statistics.median(pair[1].rate for pair in pairs)
    ratios = sorted(pair[1].rate / pair[0].rate for pair in pairs)
    p50, p99 = (statistics.median(getattr(pair[1], name) for pair in pairs) for name in ("p50_ms", "p99_ms"))
    return [
        ("bare FastAPI endpoint, same body validated, 64 connections", f"{bare:,.0f} req/s", "the yardstick"),
        (
            "`POST /orders`, durable (fsync), 64 connections, one process",
            f"{venue:,.0f} req/s",
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        ),
        (
            "… as a ratio to the yardstick",
            f"{statistics.median(ratios):.2f}",
            f"{ratios[0]:.2f} to {ratios[-1]:.2f} over {len(ratios)} paired rounds",
        ),
    ]


def measure_entry(rounds: int, seconds: float) -> list[tuple[str, str, str]]:
    pairs = sockets.compare_entry(rounds, seconds)
    ratios = sorted(piped.rate / posted.rate for posted, piped in pairs)
    posted, piped = (statistics.median(pair[k].rate for pair in pairs) for k in (0, 1))
    p50, p99 = (statistics.median(getattr(pair[1], name) for pair in pairs) for name in ("p50_ms", "p99_ms"))
    return [
        (
            f"orders over one socket, durable, {sockets.IN_FLIGHT} in flight",
            f"{piped:,.0f} orders/s",
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        ),
        (
            "… as a ratio to `POST /orders` at 64 connections in the same run",
            f"{statistics.median(ratios):.2f}",
            f"{ratios[0]:.2f} to {ratios[-1]:.2f} over {len(ratios)} paired rounds; `POST` {posted:,.0f} req/s",
        ),
    ]


def measure_fan_out(rounds: int, seconds: float) -> list[tuple[str, str, str]]:
    found = [sockets.fan_out(seconds) for _ in range(rounds)]
    told = sorted(found, key=lambda one: one.told_p99_ms)[len(found) // 2]
    cost = sorted(one.watched_p50_ms / one.alone_p50_ms for one in found)
    alone, watched = (
        statistics.median(getattr(one, name) for one in found) for name in ("alone_p50_ms", "watched_p50_ms")
    )
    tails = [statistics.median(getattr(one, name) for one in found) for name in ("alone_p99_ms", "watched_p99_ms")]
    return [
        (
            f"book told to {told.subscribers} subscribers at {sockets.ORDERS_PER_S} orders/s: stamp to receipt",
            f"p50 {told.told_p50_ms:.1f}, p99 {told.told_p99_ms:.1f} ms",
            f"p99 of {len(found)} runs {min(one.told_p99_ms for one in found):.1f} to "
            f"{max(one.told_p99_ms for one in found):.1f} ms; changes within 30 ms are one message",
        ),
        (
            "… order latency with them, as a ratio to without",
            f"{statistics.median(cost):.2f}",
            f"{cost[0]:.2f} to {cost[-1]:.2f}; p50 {watched:.1f} against {alone:.1f} ms, "
            f"p99 {tails[1]:.1f} against {tails[0]:.1f} ms",
        ),
    ]


def measure_memory(orders: int) -> list[tuple[str, str, str]]:
    found = http.memory(orders, 100_000)
    # The first tenth fills caches that do not grow any more.
    settled = next((mb for count, mb in found if count >= orders // 10), found[0][1])
    series = ", ".join(f"{count // 1000}k {mb:.0f}" for count, mb in found)
    return [
        (
            f"resident memory over {found[-1][0]:,} orders",
            f"{settled:.0f} to {found[-1][1]:.0f} MiB",
            f"after n orders: {series}",
        )
    ]


def measure_crowds(sizes: tuple[int, ...], seconds: float) -> str:
    lines = [
        "| agents, ten orders a second each | answered | declined | p50, p99 | p99 of each third | resident MiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size in sizes:
        found = crowd.measure(size, seconds)
        others = {status: count for status, count in found.statuses.items() if status != 200}
        lines.append(
            f"| {size} ({found.due / seconds:,.0f} orders/s) | {found.answered / found.due:.1%} of {found.due:,}"
            f"{f', others {others}' if others else ''} | {found.declined:,} | "
            f"{found.p50_ms:.0f}, {found.p99_ms:.0f} ms | "
            f"{', '.join(f'{p99:.0f}' for _, p99 in found.by_slice)} ms | "
            f"{found.memory_mb[0][1]:.0f} to {found.memory_mb[-1][1]:.0f} |"
        )
    return "\n".join([*lines, "", f"`./scripts/bench --crowd` on {machine()}; {seconds:.0f} s each."])


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: to see that it works")
    parser.add_argument("--engine-only", action="store_true", help="no servers")
    parser.add_argument("--memory", action="store_true", help="also a million orders over HTTP, with memory")
    parser.add_argument("--crowd", action="store_true", help="only: hundreds of agents at their full write budget")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    asked = parser.parse_args()
    if asked.crowd:
        table = measure_crowds((100, 300, 500), 10 if asked.quick else 60)
        print(table)
        if asked.write:
            put(table, CROWD_BEGIN, CROWD_END)
        return
    rows = measure_engine(3 if asked.quick else 11)
    if not asked.engine_only:
        rows += measure_http(2, 2) if asked.quick else measure_http(5, 6)
        rows += measure_entry(2, 2) if asked.quick else measure_entry(5, 5)
        rows += measure_fan_out(1, 3) if asked.quick else measure_fan_out(3, 8)
    if asked.memory:
        rows += measure_memory(1_000_000)
    table = render(rows)
    print(table)
    if asked.write:
        put(table, BEGIN, END)


def put(table: str, begin: str, end: str) -> None:
    """Replace what the README has between two marks."""
    text = README.read_text()
    head, rest = text.split(begin, 1)
    README.write_text(f"{head}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}")


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()}, CPython {platform.python_version()}"


def render(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| what | result | spread and notes |", "| --- | --- | --- |"]
    lines += [f"| {what} | {result} | {notes} |" for what, result, notes in rows]
    return "\n".join([*lines, "", f"`./scripts/bench` on {machine()}; medians."])


if __name__ == "__main__":
    sys.exit(main())
