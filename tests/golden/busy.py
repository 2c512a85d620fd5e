"""Traffic from a seed, cheap enough for long runs: who does what next, given the state as it is.

Less inventive than the workloads of tests/engine, but without an oracle beside it: tens of thousands of commands a
second.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from raeth.engine import commands as cmd
from raeth.engine.state import Agent, Market, State
from raeth.engine.types import BUY, ENGINE_VERSION, FOK, GTC, IOC, LIMIT, MARKET, POST_ONLY, SELL, KeySpec, Settings

START_MS = 29_916_667 * 60_000 - 1_000
BTC = 10_000_000
QUIET_MS = 400
TIFS = (GTC, GTC, GTC, POST_ONLY, IOC, FOK)
STPS = ("CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH")


def signups(agents: int) -> list[cmd.Command]:
    """Agents, each with an account of its own; their keys are `key-0`, `key-1`, …"""
    spec = [KeySpec(f"key-{n}", "00", "key", ("read", "trade")) for n in range(agents)]
    return [cmd.Signup(f"digest-{n}", f"agent-{n}", spec[n]) for n in range(agents)]


class Crowd:
    """Agents that trade about a fair price which walks; everything is drawn from `random`."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.fair = 50

    def next(self, state: State) -> cmd.Command | None:
        """What somebody does in the open window; None while there is none."""
        market = state.live
        if market is None or market.status != "OPEN":
            return None
        random = self.random
        agent = random.choice([agent for agent in state.agents.values() if agent.name.startswith("agent-")])
        roll = random.random()
        if roll < 0.05:
            timeout_ms = random.choice((0, 1_000, 3_000, 8_000))
            return cmd.CallDeadman(agent.id, agent.keys[0], timeout_ms, random.choice((None, market.id)))
        if roll < 0.65:
            return cmd.PlaceOrder(agent.id, agent.keys[0], self._spec(market, state.ts))
        if roll < 0.75:
            return self._quotes(agent, market)
        orders = [order.id for position in agent.positions.values() for order in position.orders.values()]
        if not orders or roll < 0.78:
            return cmd.CancelOrders(agent.id, agent.keys[0])
        order = random.choice(orders)
        if roll < 0.88:
            return cmd.AmendOrder(
                agent.id, agent.keys[0], order, self._price(random.randint(0, 1)), random.randint(1, 9)
            )
        return cmd.CancelOrder(agent.id, agent.keys[0], order)

    def _price(self, side: int) -> int:
        random = self.random
        self.fair = min(90, max(10, self.fair + random.choice((-1, 0, 0, 0, 0, 1))))
        away = random.choice((-2, -1, 0, 1, 1, 2, 3, 5))
        return min(99, max(1, self.fair - away if side == BUY else self.fair + away))

    def _spec(self, market: Market, ts: int) -> cmd.OrderSpec:
        random = self.random
        side, stp = random.choice((BUY, SELL)), random.choice(STPS)
        if random.random() < 0.15:
            return cmd.OrderSpec(
                market.id, side, MARKET, random.choice((IOC, FOK)), None, random.randint(1, 9), stp=stp
            )
        ends = ts + random.randint(1, 20_000) if random.random() < 0.1 else None
        tif, reduce_only = random.choice(TIFS), random.random() < 0.1
        price, qty = self._price(side), random.randint(1, 12)
        return cmd.OrderSpec(market.id, side, LIMIT, tif, price, qty, reduce_only=reduce_only, expires_at=ends, stp=stp)

    def _quotes(self, agent: Agent, market: Market) -> cmd.Command:
        random = self.random
        bid = self._price(BUY) - 2
        bids = tuple((price, random.randint(1, 20)) for price in range(bid, bid - 3, -1) if price > 0)
        asks = tuple((price, random.randint(1, 20)) for price in range(bid + 4, bid + 7) if price < 100)
        return cmd.PutQuotes(agent.id, agent.keys[0], market.id, "q", bids, asks)


def busy(
    state: State, seed: int, count: int, agents: int = 12, *, breaks: int = 0
) -> Iterator[tuple[int, cmd.Command]]:
    """At least `count` commands with their stamps, no print outstanding at the end. Each must be carried out on `state`
    before the next is asked for.

    One command in `breaks` (0: none) comes after a time in which the venue could not be reached.
    """
    random = Random(seed)
    crowd, ts, price, asked = Crowd(random), START_MS, BTC, 0
    for command in (cmd.Configure(ENGINE_VERSION, Settings(reference_kind="simulated")), *signups(agents)):
        yield ts, command
        asked += 1
    while asked < count or state.unprinted:
        ts += random.randint(0, QUIET_MS)
        price += random.randint(-300, 300)
        if breaks and not random.randrange(breaks):
            ts += random.choice((3_000, 4_999, 5_001, 70_000))
            yield ts, cmd.Resurface()
            asked += 1
        if state.unprinted:
            boundary = next(iter(state.unprinted))
            yield ts, cmd.Print(boundary, price, boundary, "busy", "LAST", None, ())
        elif ts - state.reference_ts > 1_000:
            yield ts, cmd.IndexTick(price, ts, "busy")
        else:
            yield ts, crowd.next(state) or cmd.Tick()
        asked += 1
