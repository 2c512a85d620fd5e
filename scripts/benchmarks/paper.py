"""What ten and a hundred nodes could do, on paper: the figures of the README's table put into the formulas of
docs/speed.md. Measures nothing."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from benchmarks.table import TITLES, between

SIZES = (1, 2, 4, 10, 100)
MAX_BATCH = 512
"""Of the sequencer: commands in one transaction."""


class Figures(NamedTuple):
    """Microseconds. What a command costs where."""

    served: float
    """The node that takes an order over HTTP, all included."""
    executed: float
    """Executing and encoding it; part of `served`."""
    followed: float
    """Every other node: reading, verifying, decoding and executing it."""
    committed: float
    """A commit on PostgreSQL, but for its rows."""
    inserted: float
    """Each row of a commit."""

    def by_processor(self, nodes: int) -> float:
        """Orders a second at which every node, with a core of its own, has no time left."""
        return 1e6 / (self.served / nodes + self.followed * (nodes - 1) / nodes)

    def by_lock(self, nodes: int, batch: int = MAX_BATCH) -> float:
        """Orders a second at which the lock is always held: who gets it follows the batch before its own under it."""
        return batch * 1e6 / (self.committed + batch * self.under_lock(nodes))

    def under_lock(self, nodes: int) -> float:
        """Of each command, while its node holds the lock."""
        return self.inserted + self.executed + (self.followed if nodes > 1 else 0.0)

    def turn_ms(self, nodes: int, rate: float) -> float:
        """How long it takes until every node had the lock once, at `rate` orders a second over all of them."""
        return nodes * self.committed / (1 - rate / 1e6 * self.under_lock(nodes)) / 1000


def figures(table: str) -> Figures:
    """From the rows of the README's table. Ends the program if there is a row it needs and has not."""
    rows = {row.split(" | ")[0][2:]: row.split(" | ", 1)[1] for row in table.splitlines() if row.startswith("| ")}

    def number(name: str, pattern: str) -> float:
        found = re.search(pattern, rows.get(TITLES[name], ""))
        if found is None:
            sys.exit(f"the README has no figures of {name!r} yet: ./scripts/bench --write")
        return float(found.group(1).replace(",", ""))

    one, hundred = (number(f"postgres-{size}", r"([\d.]+) ms a commit") * 1000 for size in (1, 100))
    inserted = max(0.0, (hundred - one) / 99)
    return Figures(
        number("orders", r"server ([\d,]+) µs"),
        1e6 / number("encoded", r"([\d,]+) ops/s"),
        number("restart", r"([\d.]+) s of processor time") / number("restart", r"([\d,]+) commands in") * 1e6,
        one - inserted,
        inserted,
    )


def tell() -> str:
    """The table for docs/speed.md."""
    known = figures(between("<!-- bench: begin -->", "<!-- bench: end -->"))
    lines = [
        f"s {known.served:.0f} µs, e {known.executed:.1f} µs, f {known.followed:.1f} µs, "
        f"a {known.committed / 1000:.2f} ms, b {known.inserted:.1f} µs; orders a second over all nodes:",
        "",
        "| nodes | processors | head lock | turn at half of the least |",
        "| --- | --- | --- | --- |",
    ]
    for nodes in SIZES:
        bounds = known.by_processor(nodes), known.by_lock(nodes)
        turn_ms = known.turn_ms(nodes, min(bounds) / 2)
        lines.append(f"| {nodes} | {bounds[0]:,.0f} | {bounds[1]:,.0f} | {turn_ms:,.1f} ms |")
    return "\n".join(lines)
