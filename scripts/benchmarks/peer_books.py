"""Runs in the peers' own environment: `python -m benchmarks.peer_books NAME`.

Loads one peer. For every line on standard input, which says how many books, it puts that much of the workload through
it once and answers with one line of JSON: operations a second of the process's own time, and the contracts that traded.
Knows nothing of the venue. A crossing order of the workload takes what it can and the rest of it goes: peers without
such orders get a limit order whose rest is cancelled. Orders are made before the clock starts where a peer takes ready
ones.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from benchmarks.workload import CANCEL, CROSSING, Op, books

Runner = Callable[[list[Op]], tuple[float, int]]
"""One fresh book: seconds taken, contracts traded."""


def lightmatchingengine(ops: list[Op]) -> tuple[float, int]:
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine

    engine, made, traded = LightMatchingEngine(), [None] * len(ops), 0
    add, cancel = engine.add_order, engine.cancel_order
    began = time.process_time()
    for place, op in enumerate(ops):
        if op.kind == CANCEL:
            gone: Any = made[op.target]
            if gone.leaves_qty:
                cancel(gone.order_id, "m")
            continue
        order, _ = add("m", op.price, op.qty, op.side + 1)
        made[place] = order
        traded += order.cum_qty
        if op.kind == CROSSING and order.leaves_qty:
            cancel(order.order_id, "m")
    return time.process_time() - began, traded


def pyorderbook(ops: list[Op]) -> tuple[float, int]:
    from pyorderbook import Book, Order, Side

    sides = (Side.BID, Side.ASK)
    orders = [
        None if op.kind == CANCEL else Order(price=Decimal(op.price), quantity=op.qty, symbol="m", side=sides[op.side])
        for op in ops
    ]
    book, traded = Book(), 0
    began = time.process_time()
    for op, order in zip(ops, orders, strict=True):
        if op.kind == CANCEL:
            gone = orders[op.target]
            if gone.quantity:
                book.cancel(gone)
            continue
        book.match(order)
        traded += op.qty - order.quantity
        if op.kind == CROSSING and order.quantity:
            book.cancel(order)
    return time.process_time() - began, traded


def order_matching(ops: list[Op]) -> tuple[float, int]:
    from loguru import logger
    from order_matching.enums import Side
    from order_matching.matching_engine import MatchingEngine
    from order_matching.order import LimitOrder
    from order_matching.orders import Orders

    logger.remove()
    sides, start = (Side.BUY, Side.SELL), datetime(2026, 1, 1)  # noqa: DTZ001, it compares them with its own
    stamps = [start + timedelta(milliseconds=place) for place in range(len(ops))]
    orders = [
        None
        if op.kind == CANCEL
        else LimitOrder(
            side=sides[op.side],
            price=float(op.price),
            size=float(op.qty),
            timestamp=stamps[place],
            order_id=str(place),
            trader_id=str(op.agent),
        )
        for place, op in enumerate(ops)
    ]
    engine, traded = MatchingEngine(seed=1), 0.0
    began = time.process_time()
    for place, (op, order) in enumerate(zip(ops, orders, strict=True)):
        if op.kind == CANCEL:
            if orders[op.target].size:
                engine.cancel_order(str(op.target))
            continue
        engine.place(Orders([order]))
        engine.match(stamps[place])
        traded += op.qty - order.size
        if op.kind == CROSSING and order.size:
            engine.cancel_order(str(place))
    return time.process_time() - began, int(traded)


RUNNERS: dict[str, Runner] = {
    "lightmatchingengine": lightmatchingengine,
    "pyorderbook": pyorderbook,
    "order-matching": order_matching,
}


def main() -> None:
    run = RUNNERS[sys.argv[1]]
    gc.set_threshold(50_000, 50, 1000)  # as for the venue's engine
    for request in sys.stdin:
        workload = books(int(request))
        found = [run(ops) for ops in workload]
        seconds = sum(took for took, _ in found)
        rate = sum(len(ops) for ops in workload) / seconds
        print(json.dumps({"rate": rate, "traded": sum(traded for _, traded in found)}), flush=True)


if __name__ == "__main__":
    main()
