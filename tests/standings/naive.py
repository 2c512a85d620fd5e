"""The leaderboard, once more, from docs/leaderboard.md alone: everything in memory, one event after the other.

Imports nothing of the store. Slow and obvious, to hold the tables against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from raeth.engine import events as ev

TOLERANCE = 5
ALLOWANCE = 1_000

LADDER = [round(NormalDist().inv_cdf((50.5 + n) / 100) ** 2 * 10**6) for n in range(49)]


@dataclass
class Row:
    """One account."""

    name: str
    granted: int = 0
    pnl: int = 0
    uncounted: int = 0
    ranked: int = 0
    peak: int = 0
    drawdown: int = 0
    volume: int = 0
    notional: int = 0
    windows: int = 0
    decided: int = 0
    hits: int = 0
    last_window: int | None = None


@dataclass
class Window:
    """A window and, until it ends, its fills: `(buyer, seller, price, qty, fair)`."""

    open_at: int
    close_at: int
    strike: int | None = None
    fills: list[tuple[int, int, int, int, int]] = field(default_factory=list)


class Board:
    """Feed it every event, with the events of one command together."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.off_fair: dict[tuple[int, int], int] = defaultdict(int)
        self.fees = 0
        self._account: dict[int, int] = {}
        self._windows: dict[int, Window] = {}
        self._price: int | None = None
        self._variance = 10**10
        self._sample: tuple[int, int] | None = None
        self._fair: tuple[int, int] | None = None  # (window, fair) as of the last tick or strike
        self._opened: int | None = None  # the window whose strike was printed last

    def feed(self, events: Sequence[ev.Event]) -> None:
        for event in events:
            match event:
                case ev.AgentCreated():
                    self._account[event.agent] = event.account
                    self.rows.setdefault(event.account, Row(event.name))
                case ev.CashMoved() if event.kind in ("SIGNUP_GRANT", "FAUCET", "GRANT"):
                    self.rows[event.account].granted += event.amount_cents
                case ev.MarketListed():
                    self._windows[event.market] = Window(event.open_at, event.close_at)
                case ev.Printed():
                    self._opened = event.opens
                    if event.opens is not None and event.fact.price_cents is not None:
                        self._windows[event.opens].strike = event.fact.price_cents
                        self._look(event.fact.ts)
                case ev.IndexMoved():
                    self._learn(event.ts, event.price_cents)
                    self._price = event.price_cents
                    self._look(event.ts)
                case ev.Traded():
                    pair = (event.taker_agent, event.maker_agent)
                    buyer, seller = pair if event.taker_side == 0 else pair[::-1]
                    fair = self._fair[1] if self._fair is not None and self._fair[0] == event.market else 50
                    self._windows[event.market].fills.append((buyer, seller, event.price, event.qty, fair))
                case ev.MarketResolved():
                    window = self._windows[event.market]
                    if event.outcome != "VOID":
                        self._settle(event.market, window, [e for e in events if isinstance(e, ev.CashMoved)])
                    window.fills = []

    def _learn(self, ts: int, price: int) -> None:
        """λ = 0.97 a second, over samples at least a second apart."""
        if self._sample is None:
            self._sample = (ts, price)
            return
        then, before = self._sample
        if ts - then < 1_000:
            return
        passed = min(ts - then, 33_000)
        move = min(abs(price - before) * 10**9 // before, 10**7)
        learned = (self._variance * (33_000 - passed) + move**2 * 1_000) // 33_000
        self._variance = max(10**8, min(10**12, learned))
        self._sample = (ts, price)

    def _look(self, ts: int) -> None:
        """What the newest strike's window is worth now."""
        if self._price is None or self._opened is None or self._windows[self._opened].strike is None:
            self._fair = None
            return
        window = self._windows[self._opened]
        strike = window.strike
        assert strike is not None
        left = max(1, min(3_600_000, window.close_at - ts))
        distance = min(abs(self._price - strike) * 10**9 // strike, 2 * 10**7)
        d2 = distance**2 * 10_000 // max(1, self._variance * left // 100_000)
        nearer = 50 + sum(d2 >= step for step in LADDER)
        self._fair = (self._opened, nearer if self._price >= strike else 100 - nearer)

    def _settle(self, market: int, window: Window, moves: Iterable[ev.CashMoved]) -> None:
        account = self._account
        results: dict[int, int] = {}
        for buyer, seller, price, qty, _ in window.fills:
            for agent in (buyer, seller):
                row = self.rows[account[agent]]
                row.volume += qty
                row.notional += price * qty
                results.setdefault(account[agent], 0)
        for move in moves:
            if move.market == market and move.kind == "SETTLEMENT":
                results[move.account] += move.amount_cents
            elif move.market == market:
                self.fees += move.amount_cents
        edge: dict[tuple[int, int], int] = defaultdict(int)
        net: dict[tuple[int, int], int] = defaultdict(int)
        for buyer, seller, price, qty, fair in window.fills:
            one, two = account[buyer], account[seller]
            edge[one, two] += (fair - price) * qty
            edge[two, one] -= (fair - price) * qty
            net[one, two] += qty
            net[two, one] -= qty
        counted = dict(results)
        for (one, two), won in edge.items():
            if "house" in (self.rows[one].name, self.rows[two].name):
                continue
            free = TOLERANCE * abs(net[one, two])
            excess = won - free if won > free else won + free if -won > free else 0
            was = max(0, self.off_fair[one, two] - ALLOWANCE)
            self.off_fair[one, two] += excess
            more = max(0, self.off_fair[one, two] - ALLOWANCE) - was
            counted[one] -= more
            self.rows[one].uncounted += more
        for account_id, result in results.items():
            row = self.rows[account_id]
            row.pnl += result
            row.ranked += counted[account_id]
            row.peak = max(row.peak, row.ranked)
            row.drawdown = max(row.drawdown, row.peak - row.ranked)
            row.windows += 1
            row.decided += counted[account_id] != 0
            row.hits += counted[account_id] > 0
            row.last_window = market

    def table(self) -> dict[int, dict[str, Any]]:
        """By account, in the names of the columns."""
        return {
            account: {
                "name": r.name,
                "house": r.name == "house",
                "granted_cents": r.granted,
                "pnl_cents": r.pnl,
                "uncounted_cents": r.uncounted,
                "ranked_cents": r.ranked,
                "peak_cents": r.peak,
                "drawdown_cents": r.drawdown,
                "volume": r.volume,
                "notional_cents": r.notional,
                "windows": r.windows,
                "decided": r.decided,
                "hits": r.hits,
                "last_market": r.last_window,
            }
            for account, r in self.rows.items()
        }
