"""A Gymnasium environment: one agent learns to trade a window (or several) against any strategies.

Needs the extra `research`. The venue is the same engine under the same rules, budgets and latencies as a `Simulation`,
so a policy learnt here meets nothing new on a live venue but the others. Floats are for learning only: orders, prices
and money inside stay integers.

Observation, a Box of twelve float32:

    0 left          share of the window that is left, 0-1
    1 moneyness     (reference − strike) / strike in basis points, ±1000; 0 while either is unknown
    2 age           age of the reference in seconds, 0-10 (10: none)
    3 volatility    standard deviation of one-second returns over the last 60 s, basis points, 0-100
    4 bid, 5 ask    cents, 0-100; without a bid 0, without an ask 100
    6 bid qty       of the best bid, contracts, 0-10000; 7 ask qty likewise
    8 last          last trade price, cents, 0-100; 50 before the first
    9 position      net contracts / max_position, ±2
    10 equity       marked equity less that at reset, in dollars, ±10000
    11 tradable     1 if the market takes orders, has its strike, and the reference is fresh; else 0

Reward: the change of marked equity since the last step, in cents. Marked equity is settled cash plus, in every window
that has not ended, cash flow and position at the mark (the floor of the mid, else the last trade), fees included; over
an episode the rewards add up to what the agent earned, as the last step waits for the settlement.

Actions, one of two spaces:

    "target"   Discrete(2·k+1): hold max_position · (a − k) / k contracts; reached with a MARKET order that goes at most
               `slippage_cents` beyond the touch
    "quote"    MultiDiscrete([d+1, d+1]): bid and ask that many cents from the middle of the others' book, 0 for none on
               that side; each with `quote_qty` contracts, less where `max_position` leaves no room

Importing this module registers `raeth/BinaryWindow-v0` with Gymnasium.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from raeth.client.strategy import Action, Level, Place, Quotes, Strategy, View
from raeth.engine.types import Settings
from raeth.liquidity.policy import HousePolicy
from raeth.liquidity.pricing import one_second_prices
from raeth.sim.crowd import Crowd
from raeth.sim.prices import START_MS, PricePath
from raeth.sim.simulation import Latency, Simulation

ENV_ID: Final = "raeth/BinaryWindow-v0"
AGENT: Final = "learner"
QUOTE: Final = "learner"
HOUSE_CASH_CENTS: Final = 10_000_000
VOLATILITY_S: Final = 60

LOW: Final = np.array([0, -1_000, 0, 0, 0, 0, 0, 0, 0, -2, -10_000, 0], dtype=np.float32)
HIGH: Final = np.array([1, 1_000, 10, 100, 100, 100, 10_000, 10_000, 100, 2, 10_000, 1], dtype=np.float32)

Observation = np.ndarray
Opponents = Callable[[int], Mapping[str, Strategy]]
"""Makes fresh strategies by name for an episode, from its seed."""
Path = Callable[[int], PricePath]
"""Makes an episode's price path from its seed."""


def house_and_crowd(seed: int) -> Mapping[str, Strategy]:
    """The venue's own market maker, and two who trade at random."""
    return {"house": HousePolicy(), "crowd-1": Crowd(2 * seed), "crowd-2": Crowd(2 * seed + 1)}


class BinaryWindowEnv(gymnasium.Env[Observation, Any]):
    """See the module's text. An episode starts when a window opens and ends when the last of `windows` has settled."""

    metadata = {"render_modes": []}

    def __init__(
        self,
        *,
        windows: int = 1,
        step_ms: int = 1_000,
        actions: Literal["target", "quote"] = "target",
        max_position: int = 100,
        target_steps: int = 4,
        slippage_cents: int = 2,
        quote_cents: int = 8,
        quote_qty: int = 20,
        cash_cents: int = 100_000,
        opponents: Opponents = house_and_crowd,
        opponents_cash_cents: int = HOUSE_CASH_CENTS,
        price_path: Path | None = None,
        warmup_s: int = 60,
        rules: Settings | None = None,
        latency_ms: Latency = 5,
        feed_latency_ms: int = 20,
    ) -> None:
        """`warmup_s`: price history before the first window of a simulated path. ValueError for bounds below 1."""
        if min(windows, step_ms, max_position, target_steps, quote_cents, quote_qty) < 1:
            raise ValueError("windows, step_ms, max_position, target_steps, quote_cents and quote_qty are at least 1")
        self.observation_space = spaces.Box(LOW, HIGH, dtype=np.float32)
        self.action_space: spaces.Space[Any]
        if actions == "target":
            self.action_space = spaces.Discrete(2 * target_steps + 1)
        else:
            self.action_space = spaces.MultiDiscrete([quote_cents + 1, quote_cents + 1])
        self._actions = actions
        self._windows = windows
        self._step_ms = step_ms
        self._max_position = max_position
        self._target_steps = target_steps
        self._slippage_cents = slippage_cents
        self._quote_qty = quote_qty
        self._cash_cents = cash_cents
        self._opponents = opponents
        self._opponents_cash_cents = opponents_cash_cents
        self._price_path = price_path
        self._warmup_ms = warmup_s * 1_000
        self._rules = rules
        self._latency_ms = latency_ms
        self._feed_latency_ms = feed_latency_ms
        self._sim: Simulation | None = None
        self._equity = self._start_equity = 0
        self._close_ms = 0
        self._last = LOW.copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """A new episode, which depends on `seed` alone; without one, the next of a seeded sequence."""
        super().reset(seed=seed)
        episode = int(self.np_random.integers(2**31))
        opponents = self._opponents(episode)
        sim = Simulation(
            opponents,
            seed=episode,
            # The simulated day's first boundary is 15 s after its start; more warm-up starts earlier.
            start_ms=START_MS + 15_000 - self._warmup_ms if self._price_path is None else None,
            rules=self._rules,
            price_path=None if self._price_path is None else self._price_path(episode),
            latency_ms=self._latency_ms,
            feed_latency_ms=self._feed_latency_ms,
            cash_cents=self._opponents_cash_cents,
            sample_ms=None,
            keep=(),
            chained=False,
            checked=False,
        )
        sim.add_agent(AGENT, self._cash_cents, latency_ms=self._latency_ms, feed_latency_ms=self._feed_latency_ms)
        assert sim.state.pending is not None
        first = sim.state.pending
        sim.run_until(first.open_at)
        self._sim = sim
        self._close_ms = first.open_at + self._windows * (first.close_at - first.open_at)
        self._equity = self._start_equity = sim.equity_cents(AGENT)
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act on the last observation, let `step_ms` of venue time pass (the last step: until all has settled)."""
        sim = self._sim
        assert sim is not None, "reset comes before step"
        view = sim.view(AGENT)
        if view is not None:
            wanted = self._target(view, int(action)) if self._actions == "target" else self._quote(view, action)
            if wanted is not None:
                sim.send(AGENT, [wanted])
        sim.run_until(sim.now_ms + self._step_ms)
        over = sim.now_ms >= self._close_ms
        if over:
            self._settle(sim)
        before, self._equity = self._equity, sim.equity_cents(AGENT)
        observation = self._final() if over else self._observe()
        return observation, float(self._equity - before), over, False, self._info()

    def _settle(self, sim: Simulation) -> None:
        """Until every window of the episode has ended; the grace bounds how long that takes."""
        agent = sim.seats[AGENT].agent
        while any(sim.state.markets[market].close_at <= self._close_ms for market in agent.positions):
            sim.run_until(sim.now_ms + 100)

    # ---- actions ----

    def _target(self, view: View, action: int) -> Action | None:
        share = action - self._target_steps
        target = self._max_position * abs(share) // self._target_steps
        missing = (target if share > 0 else -target) - view.net_qty
        if not missing or view.halted or view.frozen or view.in_flight:
            return None
        side: Literal["BUY", "SELL"] = "BUY" if missing > 0 else "SELL"
        return Place(side, abs(missing), slippage_cap_cents=self._slippage_cents)

    def _quote(self, view: View, action: Any) -> Action | None:
        if view.halted or view.frozen or view.in_flight:
            return None
        below, above = (int(cents) for cents in action)
        others = self._others(view)
        middle = (others[0] + others[1]) / 2
        bids = self._level(view, math.ceil(middle) - below, self._max_position - view.net_qty) if below else ()
        asks = self._level(view, math.floor(middle) + above, self._max_position + view.net_qty) if above else ()
        if not bids and not asks and not view.orders:
            return None
        return Quotes(QUOTE, bids, asks)

    def _level(self, view: View, price: int, room: int) -> tuple[Level, ...]:
        qty = min(self._quote_qty, room)
        fits = view.limits.price_min <= price <= view.limits.price_max
        return ((price, qty),) if fits and qty > 0 else ()

    @staticmethod
    def _others(view: View) -> tuple[int, int]:
        """The touch without the own quote; 0 and 100 where there is nobody."""
        own: dict[tuple[str, int], int] = {}
        for order in view.orders.values():
            own[order.side, order.price] = own.get((order.side, order.price), 0) + order.remaining_qty
        bid = next((price for price, qty in view.bids if qty > own.get(("BUY", price), 0)), 0)
        ask = next((price for price, qty in view.asks if qty > own.get(("SELL", price), 0)), 100)
        return bid, ask

    # ---- what is seen ----

    def _observe(self) -> Observation:
        assert self._sim is not None
        view = self._sim.view(AGENT)
        if view is None:
            return self._final()
        strike, price, age_ms = view.strike_cents, view.reference_cents, view.reference_age_ms
        bids, asks = view.bids, view.asks
        fresh = age_ms is not None and age_ms <= view.limits.reference_max_age_ms
        raw = [
            (view.close_at_ms - view.now_ms) / (view.close_at_ms - view.open_at_ms),
            (price - strike) / strike * 10_000 if price and strike else 0.0,
            10.0 if age_ms is None else age_ms / 1_000,
            _volatility_bps(view),
            bids[0][0] if bids else 0,
            asks[0][0] if asks else 100,
            bids[0][1] if bids else 0,
            asks[0][1] if asks else 0,
            50 if view.last_trade_price is None else view.last_trade_price,
            view.net_qty / self._max_position,
            (self._equity - self._start_equity) / 100,
            float(strike is not None and fresh and not view.halted and not view.frozen),
        ]
        self._last = np.clip(np.array(raw, dtype=np.float32), LOW, HIGH)
        return self._last

    def _final(self) -> Observation:
        """As last seen, but with no time left, nothing held and nothing to trade."""
        final = self._last.copy()
        final[[0, 9, 11]] = 0
        final[10] = np.clip((self._equity - self._start_equity) / 100, LOW[10], HIGH[10])
        return final

    def _info(self) -> dict[str, Any]:
        """`now_ms`, `market`, `net_qty`, `equity_cents`, and `resolutions` of the windows that have ended."""
        assert self._sim is not None
        view = self._sim.view(AGENT)
        return {
            "now_ms": self._sim.now_ms,
            "market": view.market if view is not None else "",
            "net_qty": view.net_qty if view is not None else 0,
            "equity_cents": self._equity,
            "resolutions": tuple(end.outcome for end in self._sim.records.ended),
        }


def _volatility_bps(view: View) -> float:
    """Of the last minute; 0 before there are two returns."""
    since = view.now_ms - VOLATILITY_S * 1_000
    history = view.reference_history
    prices = one_second_prices(history[_first_from(history, since) :])
    if len(prices) < 3:
        return 0.0
    return float(np.std(np.diff(np.log(np.asarray(prices, dtype=np.float64)))) * 10_000)


def _first_from(history: Any, since_ms: int) -> int:
    place = len(history)
    while place and history[place - 1][0] >= since_ms:
        place -= 1
    return place


if ENV_ID not in gymnasium.registry:
    gymnasium.register(ENV_ID, entry_point="raeth.sim.env:BinaryWindowEnv")
