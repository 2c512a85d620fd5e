"""A venue's journal for the store's tests, and the plain ways to put it into tables and look at them.

The tables are in one of the databases of `tests.store.databases`; here nobody knows in which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import apply, new_state
from raeth.engine.ids import N_MAX, seq_of
from raeth.engine.state import State
from raeth.journal.base import Write
from raeth.store.projector import Projector
from raeth.store.rebuild import Journaled
from raeth.store.tables import DERIVED
from tests.engine.workloads import generate
from tests.store.databases import Database

Tables = dict[str, list[tuple[Any, ...]]]


@cache
def history(seed: int = 7, steps: int = 900) -> tuple[list[Journaled], State]:
    """A busy venue: what its engine did to a seeded workload, and the state it ended in. Do not change either.

    It ends soon after a trade, so that there is a window with trades in it that has not ended.
    """
    traded, pair = 0, None
    for pair, _step, outcome in generate(seed, steps):
        if any(isinstance(event, ev.Traded) for event in outcome.events):
            traded = len(pair.journal)
    assert pair is not None
    commands: list[tuple[int, cmd.Command]] = pair.journal[:traded]
    last = commands[-1][0]
    commands += [
        (last, cmd.Broadcast("ops", "back at noon")),
        (last, cmd.AdminRevokeKey("ops", "nobody", None)),
    ]
    state = new_state()
    journal = [(seq, ts, c, apply(state, c, seq, ts)) for seq, (ts, c) in enumerate(commands, 1)]
    return journal, state


def batches(journal: Sequence[Journaled], cuts: Iterable[int]) -> Iterator[list[Write]]:
    """What to write for the journal in batches that end at each of `cuts`, and at its end."""
    projector = Projector()
    start = 0
    for end in [*sorted(set(cuts)), len(journal)]:
        for row in journal[start:end]:
            projector.add(*row)
        start = end
        yield projector.take()


def project(database: Database, journal: Sequence[Journaled], cuts: Iterable[int]) -> None:
    """Write the journal's tables in batches that end at each of `cuts`, and at its end; before them its keys."""
    database.make_keys()
    database.write_all([[Write(ADD_KEY, keys)] for keys in [list(keys_of(journal))] if keys])
    database.write_all(batches(journal, cuts))


ADD_KEY = "INSERT INTO journal_keys (owner, key, seq, place) VALUES (?, ?, ?, ?)"


def keys_of(journal: Iterable[Journaled]) -> Iterator[tuple[int, str, int, int]]:
    """The key of every order that came with one."""
    for _seq, _ts, _command, events in journal:
        for event in events:
            if isinstance(event, ev.OrderPlaced) and event.order.client_order_id is not None:
                order = event.order
                yield order.agent, order.client_order_id, seq_of(order.id), order.id & N_MAX


def tables(database: Database) -> Tables:
    """Every derived table, in the order of its key."""
    found = {}
    for table in DERIVED:
        keys = ", ".join(column.name for column in table.primary_key)
        names = ", ".join(table.columns.keys())
        found[table.name] = database.query(f"SELECT {names} FROM {table.name} ORDER BY {keys}")
    return found


def row_dicts(database: Database, name: str) -> list[dict[str, Any]]:
    names = next(table for table in DERIVED if table.name == name).columns.keys()
    return [dict(zip(names, row, strict=True)) for row in tables(database)[name]]
