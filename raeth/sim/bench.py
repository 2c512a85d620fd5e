"""How fast the simulation is on this machine: `python -m raeth.sim.bench [orders]`, a million by default.

Three rates of one seeded kind of workload (60 % resting, 40 % crossing orders, prices 40-60): the engine alone; a
hundred cheap strategies without the journal's bytes; the same with hash chain, tables and samples. Times are of the
process's own CPU; settlements, their checks, prints and the simulated price are included.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence

import msgspec

from raeth.client.strategy import Action, Place, StrategyBase, View
from raeth.engine.commands import OrderSpec
from raeth.engine.types import BUY, GTC, IOC, LIMIT, SELL
from raeth.sim.prices import START_PRICE_CENTS
from raeth.sim.raw import RAW_RULES, Entry, RawVenue
from raeth.sim.simulation import Simulation

AGENTS = 100
WAKE_MS = 100
A_WINDOW = 50_000
"""Orders of a window, as many as the hundred strategies enter."""


class Cheap(StrategyBase):
    """One order each time it is asked, chosen with one random number and without a look at the book."""

    def __init__(self, seed: int) -> None:
        self.wake_every_ms = WAKE_MS
        self._random = random.Random(f"cheap/{seed}")

    def decide(self, view: View) -> Sequence[Action]:
        dice = self._random.randrange(10_000)
        low, crossing = dice % 10, dice < 4_000
        if dice & 1:
            return [Place("BUY", 1 + dice % 7, 51 + low // 2 if crossing else 40 + low, "IOC" if crossing else "GTC")]
        return [Place("SELL", 1 + dice % 7, 49 - low // 2 if crossing else 51 + low, "IOC" if crossing else "GTC")]


def engine_alone(orders: int) -> float:
    """Orders a second through the raw driver, windows settled; the orders are made beforehand."""
    venue = RawVenue(AGENTS)
    rnd, price_cents, spent = random.Random(7), START_PRICE_CENTS, 0.0
    for _ in range(orders // A_WINDOW):
        entries = [_entry(rnd, venue.market.id) for _ in range(A_WINDOW)]
        price_cents += rnd.choice((-1, 1))
        began = time.process_time()
        venue.feed(entries)
        venue.settle(price_cents)
        spent += time.process_time() - began
    return orders // A_WINDOW * A_WINDOW / spent


def _entry(rnd: random.Random, market: int) -> Entry:
    dice = rnd.randrange(10_000)
    low, crossing, side = dice % 10, dice < 4_000, BUY if dice & 1 else SELL
    level = 51 + low // 2 if crossing else 40 + low
    price = level if side == BUY else 100 - level
    return rnd.randrange(AGENTS), OrderSpec(market, side, LIMIT, IOC if crossing else GTC, price, 1 + dice % 7)


def with_strategies(orders: int, *, everything: bool) -> float:
    """Orders a second of simulated agents without budgets, with windows, prints and settlements."""
    simulation = Simulation(
        {f"cheap-{place}": Cheap(place) for place in range(AGENTS)},
        rules=msgspec.structs.replace(RAW_RULES, gap_ms=5_000),  # wide bounds: declines would be cheaper than orders
        writes_per_minute=None,
        chained=everything,
        keep=("fills", "orders") if everything else (),
        sample_ms=1_000 if everything else None,
    )
    entered, spent = 0, 0.0
    while entered < orders:
        began = time.process_time()
        simulation.run_until(simulation.now_ms + 20_000)
        spent += time.process_time() - began
        entered = simulation.result().orders_entered
    return entered / spent


def main() -> None:
    orders = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 1_000_000
    for name, rate in (
        ("engine alone", lambda: engine_alone(orders)),
        (f"{AGENTS} strategies", lambda: with_strategies(orders, everything=False)),
        (f"{AGENTS} strategies, chain and tables", lambda: with_strategies(orders, everything=True)),
    ):
        rate_per_s = rate()
        print(f"{name:<36}{rate_per_s:>10,.0f} orders/s   {orders / rate_per_s:5.1f} s for {orders:,}", flush=True)


if __name__ == "__main__":
    main()
