"""Whether the venue's memory grows with what it has done: a million orders over HTTP."""

from __future__ import annotations

from benchmarks.entry import measure_orders
from benchmarks.servers import Stage, resident_mb
from benchmarks.table import Line, line

ORDERS, STEP = 1_000_000, 100_000


def measure(stage: Stage, orders: int = ORDERS) -> list[Line]:
    """Resident memory after every `STEP` orders."""
    found: list[tuple[int, float]] = []
    done = 0
    while done < orders:
        load = measure_orders(stage.venue, 10).load
        before, done = done, done + load.requests
        if done // STEP != before // STEP:
            found.append((done, resident_mb(stage.venue.pid)))
    # The first tenth fills caches that do not grow any more.
    settled = next((mb for count, mb in found if count >= orders // 10), found[0][1])
    series = ", ".join(f"{count // 1000}k {mb:.0f}" for count, mb in found)
    return [line("memory", f"{settled:.0f} to {found[-1][1]:.0f} MiB", f"after n orders: {series}")]
