"""Runs the measurements and prints one table; `--write` puts it into the README.

Everything runs on the loopback address and ends by itself in less than three minutes. `--only NAME` measures one row,
or several; `--memory` adds a million orders over HTTP, which takes some minutes more; rows that were not measured stay
in the README as they were. Tables of their own: `--scale`, several processes on one database; `--crowd`, agents at
their full write budget, a minute for each size of the crowd; `--paper`, which measures nothing: what many nodes could
do by the README's figures.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable

from benchmarks import crowd, engine, entry, journals, memory, paper, restart, scale, streams
from benchmarks.servers import Stage
from benchmarks.table import README, SPEED, TITLES, Line, between, put, render

BENCH = "<!-- bench: begin -->", "<!-- bench: end -->"
CROWD = "<!-- crowd: begin -->", "<!-- crowd: end -->"
SCALE = "<!-- scale: begin -->", "<!-- scale: end -->"
PAPER = "<!-- paper: begin -->", "<!-- paper: end -->"

Part = Callable[[Stage, set[str], bool], list[Line]]
"""Measures the rows that are wanted; quickly, if only to see that it works."""

ENGINE = {"engine", "encoded", "book-alone", *(name for name in TITLES if name.startswith("peer-"))}
PARTS: tuple[tuple[set[str], Part], ...] = (
    (ENGINE, lambda _, wanted, quick: engine.measure(wanted, 2 if quick else 7)),
    (
        {"sqlite-1", "sqlite-100", "postgres-1", "postgres-100"},
        lambda _, wanted, quick: journals.measure(wanted, 4 if quick else 15, 0.1),
    ),
    (
        {"bare", "orders", "orders-ratio", "half", "sockets", "sockets-ratio", "naive"},
        lambda stage, wanted, quick: entry.measure(stage, wanted, *((2, 1.0) if quick else (7, 1.2))),
    ),
    (
        {"book", "context", "account"},
        lambda stage, _, quick: entry.measure_reads(stage, *((1, 0.5) if quick else (4, 0.7))),
    ),
    ({"told", "told-cost"}, lambda stage, _, quick: streams.measure(stage, *((1, 2.0) if quick else (3, 2.5)))),
    ({"memory"}, lambda stage, *_: memory.measure(stage)),
    ({"restart"}, lambda stage, _, quick: restart.measure(stage, 1 if quick else 3)),
)
"""In this order: the first two need no server while the venue waits for its first window, the last one kills it."""

SERVED = set().union(*(names for names, _ in PARTS[2:]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: to see that it works")
    parser.add_argument("--only", action="append", choices=list(TITLES), metavar="NAME", help=", ".join(TITLES))
    parser.add_argument("--memory", action="store_true", help="also a million orders over HTTP, with memory")
    parser.add_argument("--scale", action="store_true", help="only: several processes on one database")
    parser.add_argument("--crowd", action="store_true", help="only: hundreds of agents at their full write budget")
    parser.add_argument(
        "--paper", action="store_true", help="only: what many nodes could do, from the README's figures"
    )
    parser.add_argument("--write", action="store_true", help="put the table into the README (--paper: docs/speed.md)")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order, so that the servers end too
    page = SPEED if asked.paper else README
    if asked.paper:
        marks, table = PAPER, paper.tell()
    elif asked.crowd or asked.scale:
        marks, tell = (CROWD, crowd.tell) if asked.crowd else (SCALE, scale.tell)
        table = tell(asked.quick)
    else:
        marks = BENCH
        wanted = set(asked.only or set(TITLES) - {"memory"}) | ({"memory"} if asked.memory else set())
        lines = run(wanted, asked.quick)
        # Without --write only what was measured is shown.
        table = render(lines, between(*marks) if asked.write else "")
    print(table)
    if asked.write:
        put(table, *marks, page)


def run(wanted: set[str], quick: bool) -> list[Line]:
    """Measure what is wanted, and say on the way how long each part took."""
    lines: list[Line] = []
    first = time.monotonic()
    with Stage() as stage:
        if wanted & SERVED:
            stage.venue  # noqa: B018, its first window may take a while; the parts without servers come first
        for names, measure in PARTS:
            if not names & wanted:
                continue
            began = time.monotonic()
            found = measure(stage, wanted, quick)
            lines += [line for line in found if line.name in wanted]
            for line in found:
                print(f"  {line.name}: {line.result}", file=sys.stderr)
            print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{time.monotonic() - first:.0f} s in all", file=sys.stderr)
    return lines


if __name__ == "__main__":
    main()
