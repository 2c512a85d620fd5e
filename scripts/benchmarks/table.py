"""The rows of the benchmark's table: what each is called, and how they get into the README.

A row keeps its title, so a run that measured only some of them replaces those and leaves the others as they were.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.peers import PEERS
from benchmarks.servers import ROOT

README = ROOT / "README.md"
SPEED = ROOT / "docs" / "speed.md"
HEAD = ["| what | result | spread and notes |", "| --- | --- | --- |"]

TITLES = {
    "engine": "engine, full pipeline (keys, risk, collateral, matching, fees, events), fresh book every 2,000 ops",
    "encoded": "the same, with commands and events encoded for the journal",
    "book-alone": "the bare book",
    **{f"peer-{name}": f"the full pipeline as a ratio to `{name}`, a book alone" for name in PEERS},
    "bare": "bare FastAPI endpoint, same body validated, 64 connections",
    "orders": "`POST /orders`, durable (fsync), 64 connections, one process",
    "orders-ratio": "… as a ratio to the yardstick",
    "half": "`POST /orders` at half of that load, evenly spaced",
    "sockets": "orders over 16 sockets, durable, 16 in flight on each",
    "sockets-ratio": "… over sockets, as a ratio to the yardstick",
    "naive": "`POST /orders` as a ratio to a naive exchange (FastAPI, SQLAlchemy, aiosqlite, a commit an order)",
    "book": "`GET /markets/{id}/book` as a ratio to the yardstick, 200 orders/s changing it",
    "context": "`GET /markets/{id}/agent-context` likewise, with a key",
    "account": "`GET /account` likewise, with a key",
    "told": "book told to 500 subscribers at 500 orders/s: stamp to receipt",
    "told-cost": "… order latency with them, as a ratio to without",
    "sqlite-1": "journal on SQLite, commits of one command, as a ratio to a bare SQLite append",
    "sqlite-100": "journal on SQLite, commits of 100 commands, likewise",
    "postgres-1": "journal on PostgreSQL, commits of one command, as a ratio to a bare append there",
    "postgres-100": "journal on PostgreSQL, commits of 100 commands, likewise",
    "restart": "restart without a snapshot: read, verify, decode and execute again",
    "memory": "resident memory over a million orders over HTTP",
}
"""In the order of the table."""


class Line(NamedTuple):
    """One row: which of `TITLES`, the result, and what is to be said of it."""

    name: str
    result: str
    notes: str

    def render(self) -> str:
        return f"| {TITLES[self.name]} | {self.result} | {self.notes} |"


line = Line


def ratio_line(name: str, ours: Sequence[float], theirs: Sequence[float], notes: str = "") -> Line:
    """The median of the ratios of pairs that were measured one after the other, with their spread."""
    ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    spread = f"{shown(ratios[0])} to {shown(ratios[-1])} over {len(ratios)} paired rounds"
    return Line(name, shown(median(ratios)), f"{spread}; {notes}" if notes else spread)


def shown(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()}, CPython {platform.python_version()}"


def render(lines: Iterable[Line], old: str = "") -> str:
    """The whole table; rows that were not measured now come from the `old` one, if it has them."""
    new = {TITLES[one.name]: one.render() for one in lines}
    before = {row.split(" | ")[0][2:]: row for row in old.splitlines() if row.startswith("| ")}
    rows = [new.get(title) or before.get(title) for title in TITLES.values()]
    return "\n".join([*HEAD, *filter(None, rows), "", f"`./scripts/bench` on {machine()}; medians."])


def between(begin: str, end: str) -> str:
    """What the README has between two marks."""
    return README.read_text().split(begin, 1)[1].split(end, 1)[0].strip("\n")


def put(table: str, begin: str, end: str, page: Path = README) -> None:
    """Replace what a page has between two marks."""
    text = page.read_text()
    head, rest = text.split(begin, 1)
    page.write_text(f"{head}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}")
