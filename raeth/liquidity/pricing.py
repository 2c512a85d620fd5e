"""What a window is worth: the chance that a driftless log-normal price ends above the strike, in cents of YES.

One rule for the house, for agents and for `agent-context`. Estimates, never money: floats are welcome here. Pure: must
not know where prices come from, what time it is, or markets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

LAMBDA: Final = 0.97
"""Weight of the past in the moving average of squared one-second returns."""

MIN_RETURNS: Final = 10
"""Fewer one-second returns than this are no estimate."""

FLOOR_PER_SQRT_S: Final = 1e-7
"""A price that has not moved at all still may: 0.001 basis points a √second."""

LONGEST_GAP_S: Final = 60
"""A silence counts as at most this many seconds without movement."""

PEAK_DENSITY_CENTS: Final = 100 / math.sqrt(2 * math.pi)
"""Cents of fair value a standard deviation of the reference is worth at the money: 39.9."""

_NORMAL: Final = NormalDist()


def distance(price_cents: int, strike_cents: int, left_ms: float, per_sqrt_s: float) -> float:
    """How far the price is above the strike, in standard deviations of what is left to happen: ln(S/K) / (σ√τ).

    At or after the close it is −∞, 0 or ∞. Prices must be above 0, `per_sqrt_s` (σ) too.
    """
    if left_ms <= 0:
        return math.inf * (1 if price_cents > strike_cents else -1) if price_cents != strike_cents else 0.0
    return math.log(price_cents / strike_cents) / (per_sqrt_s * math.sqrt(left_ms / 1000))


def fair_value_cents(price_cents: int, strike_cents: int, left_ms: float, per_sqrt_s: float) -> float:
    """Φ(ln(S/K) / (σ√τ)) · 100, in 0-100: the cents one YES contract is worth; 50 if a tie is all that is left."""
    return 100 * _NORMAL.cdf(distance(price_cents, strike_cents, left_ms, per_sqrt_s))


def stale_risk_cents(d: float, delta_s: float, tau_s: float) -> float:
    """What a quote risks that is `delta_s` old with `tau_s` to go: one standard deviation of the fair value's move.

    39.9 · e^(−d²/2) · √(δ/τ) cents, `d` as in `distance`; at most 50, which is also the answer when no time is left
    at the money.
    """
    if math.isinf(d):
        return 0.0
    if tau_s <= 0:
        return 50.0
    return min(50.0, PEAK_DENSITY_CENTS * math.exp(-d * d / 2) * math.sqrt(max(0.0, delta_s) / tau_s))


def one_second_prices(ticks: Iterable[tuple[int, int]]) -> list[int]:
    """The last price of every second that has one, from `(ts_ms, price)`, oldest first; gaps carry the price on."""
    prices: list[int] = []
    second = None
    for ts_ms, price in ticks:
        here = ts_ms // 1000
        if second is None:
            prices.append(price)
        else:
            gap = min(here - second, LONGEST_GAP_S)
            prices.extend([prices[-1]] * max(0, gap - 1))
            if gap > 0:
                prices.append(price)
            else:
                prices[-1] = price
        second = here if second is None else max(second, here)
    return prices


class EwmaVolatility:
    """EWMA of squared one-second log returns; the first `MIN_RETURNS` weigh alike.

    `of` reads a whole history at once, `observe` one tick at a time; both come to the same estimate.
    """

    __slots__ = ("_last", "_past", "_previous", "_second", "decay", "samples")

    def __init__(self, decay: float = LAMBDA) -> None:
        assert 0 < decay < 1
        self.decay = decay
        self.samples = 0
        """One-second returns so far; the second in progress counts as one."""
        self._second: int | None = None
        self._previous = 0  # the price the return of the second in progress starts from
        self._last = 0
        self._past = 0.0  # the variance before the second in progress

    @classmethod
    def of(cls, ticks: Iterable[tuple[int, int]], decay: float = LAMBDA) -> EwmaVolatility:
        """The estimate after `(ts_ms, price_cents)`, oldest first; prices above 0. It can go on with `observe`."""
        self = cls(decay)
        history = ticks if isinstance(ticks, Sequence) else list(ticks)
        prices = one_second_prices(history)
        if not prices:
            return self
        self._second = max(ts_ms for ts_ms, _ in history) // 1000
        self._last = prices[-1]
        self.samples = len(prices) - 1
        if self.samples:
            self._previous = prices[-2]
            self._past = _variance(np.diff(np.log(np.asarray(prices[:-1], dtype=np.float64))), decay)
        return self

    def observe(self, ts_ms: int, price_cents: int) -> None:
        """Take in one tick; `price_cents` above 0. A tick older than its predecessor only corrects the price."""
        here = ts_ms // 1000
        if self._second is None:
            self._second, self._last = here, price_cents
            return
        for _ in range(min(here - self._second, LONGEST_GAP_S)):
            self._close_second()
        self._second = max(self._second, here)
        self._last = price_cents

    def _close_second(self) -> None:
        self._past = self._with_last()
        self._previous = self._last
        self.samples += 1

    def _with_last(self) -> float:
        """The variance, the second in progress included."""
        if not self.samples:
            return 0.0
        move = math.log(self._last / self._previous)
        if self.samples <= MIN_RETURNS:
            return self._past + (move * move - self._past) / self.samples
        return self.decay * self._past + (1 - self.decay) * move * move

    @property
    def per_sqrt_s(self) -> float | None:
        """σ: standard deviation of the log price over one second; None before `MIN_RETURNS` returns."""
        if self.samples < MIN_RETURNS:
            return None
        return max(math.sqrt(self._with_last()), FLOOR_PER_SQRT_S)


def _variance(returns: np.ndarray, decay: float) -> float:
    """Mean of the first squares, then each later one with weight 1 − decay: the recursion written as one product."""
    if not len(returns):
        return 0.0
    squares = returns * returns
    first = float(squares[:MIN_RETURNS].mean())
    later = squares[MIN_RETURNS:]
    weights = decay ** np.arange(len(later) - 1, -1, -1.0)
    return float(decay ** len(later) * first + (1 - decay) * np.dot(weights, later))
