"""The engine's full pipeline, the bare book alone, and other Python books, on one seeded workload and one core.

Times are of the process's own CPU. Every book of the workload starts in a fresh venue; a round measures everything
once, and a figure is the median of the rounds.
"""

from __future__ import annotations

import gc
import time
from statistics import median

from benchmarks.peers import PEERS, Peer, Run
from benchmarks.table import Line, line, ratio_line, shown
from benchmarks.workload import CANCEL, PASSIVE, Op, books, checksum
from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.engine.book import Book
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import State
from raeth.engine.types import KeySpec, Order, Settings

START_MS = 1_763_700_000_000
BOOKS = 10


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


def pipeline(workload: list[list[Op]], encode: bool = False) -> float:
    """Operations a second of everything an order passes: key, risk chain, collateral, matching, fees, events (and their
    bytes)."""
    seconds = 0.0
    for ops in workload:
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
        seconds += time.process_time() - began
    return sum(len(ops) for ops in workload) / seconds


def bare_book(workload: list[list[Op]]) -> tuple[float, int]:
    """The book alone: rest, take from the best level, remove; no agents, cash, fees or events. Operations a second, and
    the contracts that traded."""
    found = [_one_book(ops) for ops in workload]
    return sum(len(ops) for ops in workload) / sum(took for took, _ in found), sum(traded for _, traded in found)


def _one_book(ops: list[Op]) -> tuple[float, int]:
    orders = [_order(place, op) for place, op in enumerate(ops)]
    levels = [op.price if op.side == 0 else 100 - op.price for op in ops]
    steps = [(op.kind, order, level, op.target) for op, order, level in zip(ops, orders, levels, strict=True)]
    book = Book()
    add, remove, take = book.add, book.remove, _take
    traded = 0
    began = time.process_time()
    for kind, order, level, target in steps:
        if kind == PASSIVE:
            add(order, level)
        elif kind == CANCEL:
            gone = orders[target]
            if gone.remaining:
                remove(gone, levels[target])
                gone.remaining = 0
        else:
            traded += take(book, order, level)
    return time.process_time() - began, traded


def _order(place: int, op: Op) -> Order:
    agent, qty = op.agent, op.qty
    rest = (False, "", None, None, None, 0, 0, 0)
    return Order(place, agent, agent, 1, op.side, "LIMIT", "GTC", op.price, qty, qty, *rest)


def _take(book: Book, order: Order, limit: int) -> int:
    """Fill an incoming order against the other side, as far as its limit level reaches; how much of it."""
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
    taken = order.remaining - left
    order.remaining = left
    return taken


def measure(wanted: set[str], rounds: int) -> list[Line]:
    """The rows of the engine and its peers that are `wanted`. In each round the peers follow on the engine."""
    gc.set_threshold(50_000, 50, 1000)  # as the server sets it
    workload = books(BOOKS)
    peers = [peer for peer in map(Peer, PEERS) if f"peer-{peer.name}" in wanted] if _any_peer(wanted) else []
    full, encoded, alone = [], [], []
    found: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    pipeline(workload)  # warm-up
    for _ in range(rounds):
        full.append(pipeline(workload))
        for peer in peers:
            if peer.why_not is None and (run := peer.run()) is not None:
                found[peer.name].append(run)
        if "encoded" in wanted:
            encoded.append(pipeline(workload, encode=True))
        if wanted & {"book-alone"} or peers:
            alone.append(bare_book(workload))
    for peer in peers:
        peer.close()
    name = f"workload `{checksum(workload)}`"
    lines = [_line("engine", full, name)]
    if encoded:
        lines.append(_line("encoded", encoded, name))
    if alone:
        lines.append(_line("book-alone", [rate for rate, _ in alone], name))
    return lines + [_against(peer, found[peer.name], full, alone) for peer in peers]


def _any_peer(wanted: set[str]) -> bool:
    return any(name.startswith("peer-") for name in wanted)


def _line(name: str, rates: list[float], notes: str) -> Line:
    return line(name, f"{median(rates):,.0f} ops/s", f"{min(rates):,.0f} to {max(rates):,.0f}; {notes}")


def _against(peer: Peer, runs: list[Run], full: list[float], alone: list[tuple[float, int]]) -> Line:
    """A peer is only a measure if it did the same work: as many contracts must trade as in our bare book."""
    if peer.why_not is not None:
        return line(f"peer-{peer.name}", "not installed", peer.why_not)
    _, traded = bare_book(books(peer.books))
    assert {run.traded for run in runs} == {traded}, f"{peer.name} traded {runs[0].traded}, the book {traded}"
    rates = [run.rate for run in runs]
    bare = median(ours / theirs for (ours, _), theirs in zip(alone, rates, strict=True))
    part = "" if peer.books == BOOKS else f" on {peer.books} of the {BOOKS} books"
    return ratio_line(
        f"peer-{peer.name}",
        full,
        rates,
        f"version {peer.version} ({peer.year}), {median(rates):,.0f} ops/s{part}; our bare book {shown(bare)} times",
    )
