"""An hour of the house among the sample agents, and what is measured of it: exactly, from every order and fill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from raeth.examples import FairAgent, MakerAgent, RandomAgent
from raeth.liquidity.policy import HousePolicy
from raeth.liquidity.settings import HouseSettings
from raeth.sim import Result, Simulation

Span = tuple[int, int]


@dataclass(frozen=True)
class Hour:
    """What an hour came to. Times in milliseconds, money in cents."""

    two_sided: float
    tradeable_ms: int
    most_net: int
    worst_window_cents: int
    least_equity_cents: int
    writes_per_minute: float
    fills: int
    qty: int
    declined: int
    pnl_cents: dict[str, int]
    result: Result


def union(spans: Iterable[Span]) -> list[Span]:
    """The spans, sorted and without overlaps."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def overlap_ms(one: list[Span], other: list[Span]) -> int:
    return sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in one for b in other)


def simulate(seed: int, minutes: int = 60, settings: HouseSettings | None = None, *, alone: bool = False) -> Hour:
    """Run the house as it is configured by default, with a venue's latencies, against the three sample agents."""
    settings = settings or HouseSettings()
    others = {} if alone else {"random": RandomAgent(seed=seed), "maker": MakerAgent(), "fair": FairAgent()}
    simulation = Simulation(
        {"house": HousePolicy(settings), **others},
        seed=seed,
        cash_cents={"house": settings.grant_cents},
        latency_ms=(5, 60),
        feed_latency_ms=30,
        chained=False,
        sample_ms=None,
    )
    return measured(simulation.run(windows=minutes), settings)


def measured(result: Result, settings: HouseSettings) -> Hour:
    orders = [order for order in result.table("orders").dicts() if order["agent"] == "house"]
    lives: dict[tuple[object, object], list[Span]] = defaultdict(list)
    for order in orders:
        if order["status"] != "REJECTED":
            lives[order["market"], order["side"]].append((int(order["created_ms"]), int(order["updated_ms"])))
    windows = [row for row in result.table("windows").dicts() if row["strike_cents"] is not None]
    tradeable = sum(int(row["close_at_ms"]) - int(row["open_at_ms"]) for row in windows)
    both = sum(overlap_ms(union(lives[row["market"], "BUY"]), union(lives[row["market"], "SELL"])) for row in windows)
    fills = [fill for fill in result.table("fills").dicts() if fill["agent"] == "house"]
    net: dict[object, int] = defaultdict(int)
    flow: dict[object, int] = defaultdict(int)
    most_net = worst = 0
    for fill in fills:
        sign = 1 if fill["side"] == "BUY" else -1
        market, qty = fill["market"], int(fill["qty"])
        net[market] += sign * qty
        flow[market] -= sign * qty * int(fill["price"]) + int(fill["fee_cents"])
        most_net = max(most_net, abs(net[market]))
        worst = max(worst, -flow[market], -flow[market] - 100 * net[market])
    cash = least = settings.grant_cents
    for row in result.table("results").dicts():
        if row["agent"] == "house":
            cash += int(row["pnl_cents"])
            least = min(least, cash)
    writes = len({order["created_ms"] for order in orders})
    return Hour(
        two_sided=both / tradeable,
        tradeable_ms=tradeable,
        most_net=most_net,
        worst_window_cents=worst,
        least_equity_cents=least,
        writes_per_minute=writes / ((result.end_ms - result.start_ms) / 60_000),
        fills=len(fills),
        qty=sum(int(fill["qty"]) for fill in fills),
        declined=sum(order["status"] == "REJECTED" for order in orders),
        pnl_cents=result.pnl_cents,
        result=result,
    )
