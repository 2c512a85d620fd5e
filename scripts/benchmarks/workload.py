"""The seeded workloads that every engine and book is measured on, named and checksummed.

60 % passive limit orders, 25 % crossing ones (IOC), 15 % cancels of an order of one's own that still rests or has just
gone. Prices 40-60 around a mid of 50, quantities 1-20, twenty agents.
"""

from __future__ import annotations

import hashlib
import random
from typing import NamedTuple

PASSIVE, CROSSING, CANCEL = 0, 1, 2
SEED = 20261120
OPS_A_BOOK = 2_000


class Op(NamedTuple):
    """One operation: `kind`, who (0-19), side (0 BUY, 1 SELL), price, qty; a cancel undoes op number `target`."""

    kind: int
    agent: int
    side: int
    price: int
    qty: int
    target: int


def mix(count: int, seed: int = SEED) -> list[Op]:
    """`count` operations. The same seed gives the same list on any machine."""
    rnd = random.Random(seed)
    ops: list[Op] = []
    passive: list[int] = []
    for place in range(count):
        dice = rnd.random()
        agent, side, qty = rnd.randrange(20), rnd.randrange(2), rnd.randint(1, 20)
        if dice < 0.60 or not passive:
            price = rnd.randint(40, 49) if side == 0 else rnd.randint(51, 60)
            ops.append(Op(PASSIVE, agent, side, price, qty, -1))
            passive.append(place)
        elif dice < 0.85:
            price = rnd.randint(51, 55) if side == 0 else rnd.randint(45, 49)
            ops.append(Op(CROSSING, agent, side, price, qty, -1))
        else:
            target = passive.pop(-rnd.randint(1, min(len(passive), 200)))
            ops.append(Op(CANCEL, ops[target].agent, 0, 0, 0, target))
    return ops


def books(count: int, ops: int = OPS_A_BOOK) -> list[list[Op]]:
    """`count` workloads for one fresh book each."""
    return [mix(ops, SEED + place) for place in range(count)]


def checksum(workload: list[list[Op]]) -> str:
    """Twelve hex digits that name the workload in a table."""
    return hashlib.sha256(repr([[tuple(op) for op in ops] for ops in workload]).encode()).hexdigest()[:12]
