"""The engine's full pipeline, and the bare book alone, on one seeded workload and one core.

Times are of the process's own CPU. Each run starts a fresh venue or book; a figure is the median of the runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.workload import CANCEL, PASSIVE, Op
from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.engine.book import Book
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import State
from raeth.engine.types import KeySpec, Order, Settings

START_MS = 1_763_700_000_000


class Figure(NamedTuple):
    """Operations a second: median, lowest and highest of the runs."""

    median: float
    low: float
    high: float


def figure(run: Callable[[], float], runs: int) -> Figure:
    run()  # warm-up
    rates = [run() for _ in range(runs)]
    return Figure(statistics.median(rates), min(rates), max(rates))


def open_venue(agents: int = 20) -> tuple[State, int, int, list[tuple[int, str]]]:
    """A venue with an open window and funded agents: `(state, seq, ts, [(agent, key)])`."""
    settings = Settings(
        reference_kind="simulated",
        signup_grant_cents=10**9,
        position_cap=10**6,
        open_orders_per_market=10**5,
        gap_ms=10**9,
    )
    state, seq = new_state(), 1
    apply(state, cmd.Configure(1, settings), seq, START_MS)
    for place in range(agents):
        seq += 1
        key = KeySpec(f"key{place}", "", "bench", ("read", "trade"))
        apply(state, cmd.Signup(f"digest{place}", f"agent{place}", key), seq, START_MS)
    pending = state.pending
    assert pending is not None
    seq += 1
    apply(state, cmd.Tick(), seq, pending.open_at)
    return state, seq, pending.open_at + 1, [(a.id, a.keys[0]) for a in state.agents.values()]


def commands_of(ops: list[Op], market: int, agents: list[tuple[int, str]], first_seq: int) -> list[cmd.Command]:
    """The operations as commands. An order's id follows from the `seq` it will get, so cancels are made beforehand."""
    made: list[cmd.Command] = []
    for op in ops:
        agent, key = agents[op.agent]
        if op.kind == CANCEL:
            made.append(cmd.CancelOrder(agent, key, (first_seq + op.target) << 20))
        else:
            tif = "GTC" if op.kind == PASSIVE else "IOC"
            made.append(cmd.PlaceOrder(agent, key, cmd.OrderSpec(market, op.side, "LIMIT", tif, op.price, op.qty)))
    return made


def pipeline(ops: list[Op], encode: bool = False) -> float:
    """One run of everything an order passes: key, risk chain, collateral, matching, fees, events (and their bytes)."""
    state, seq, ts, agents = open_venue()
    assert state.live is not None
    commands = commands_of(ops, state.live.id, agents, seq + 1)
    began = time.process_time()
    for command in commands:
        seq += 1
        events = apply(state, command, seq, ts)
        if encode:
            codec.encode_command(command)
            codec.encode_events(events)
    return len(ops) / (time.process_time() - began)


def bare_book(ops: list[Op]) -> float:
    """One run of the book alone: rest, take from the best level, remove. No agents, cash, fees or events."""
    orders = [
        Order(
            place,
            op.agent,
            op.agent,
            1,
            op.side,
            "LIMIT",
            "GTC",
            op.price,
            op.qty,
            op.qty,
            False,
            "",
            None,
            None,
            None,
            0,
            0,
            0,
        )
        for place, op in enumerate(ops)
    ]
    steps = [
        (op.kind, order, op.price if op.side == 0 else 100 - op.price, op.target)
        for op, order in zip(ops, orders, strict=True)
    ]
    book = Book()
    add, remove, take = book.add, book.remove, _take
    began = time.process_time()
    for kind, order, level, target in steps:
        if kind == PASSIVE:
            add(order, level)
        elif kind == CANCEL:
            gone = orders[target]
            if gone.remaining:
                remove(gone, gone.price if gone.side == 0 else 100 - gone.price)
                gone.remaining = 0
        else:
            take(book, order, level)
    return len(ops) / (time.process_time() - began)


def _take(book: Book, order: Order, limit: int) -> None:
    """Fill an incoming order against the other side, as far as its limit level reaches."""
    other = 1 - order.side
    left = order.remaining
    levels, masks = book.levels[other], book.masks
    while left:
        best = masks[other].bit_length() - 1
        if limit + best < 100:
            break
        maker = next(iter(levels[best].values()))
        qty = maker.remaining if maker.remaining < left else left
        book.fill(maker, best, qty)
        left -= qty
    order.remaining = left
