"""What a window is worth: the chance that a driftless log-normal price ends above the strike, in cents.

A guide for agents, not for the venue: nothing here decides anything, so floats are welcome. Pure: must not know where
prices come from, what time it is, or markets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Final, NamedTuple

LAMBDA: Final = 0.97
"""Weight of the past in the moving average of squared one-second returns."""

MIN_RETURNS: Final = 10
"""Fewer one-second returns than this are no estimate."""

FLOOR_PER_SQRT_S: Final = 1e-7
"""A price that has not moved at all still may: 0.001 basis points a √second."""

_NORMAL: Final = NormalDist()


class Volatility(NamedTuple):
    """`per_sqrt_s` is the standard deviation of the log price over one second; `samples` the returns behind it."""

    per_sqrt_s: float
    samples: int


def one_second_prices(ticks: Sequence[tuple[int, int]]) -> list[int]:
    """The last price of every second that has one, from `(ts_ms, price)`, oldest first; gaps carry the price on."""
    prices: list[int] = []
    second = None
    for ts_ms, price in ticks:
        here = ts_ms // 1000
        if second is None:
            prices.append(price)
        else:
            gap = min(here - second, 60)
            prices.extend([prices[-1]] * max(0, gap - 1))
            if gap > 0:
                prices.append(price)
            else:
                prices[-1] = price
        second = here if second is None else max(second, here)
    return prices


def volatility(ticks: Sequence[tuple[int, int]]) -> Volatility | None:
    """EWMA of one-second log returns of `(ts_ms, price)`, oldest first; None where there are too few."""
    prices = one_second_prices(ticks)
    returns = [math.log(b / a) for a, b in pairwise(prices) if a > 0 and b > 0]
    if len(returns) < MIN_RETURNS:
        return None
    variance = sum(r * r for r in returns[:MIN_RETURNS]) / MIN_RETURNS
    for r in returns[MIN_RETURNS:]:
        variance = LAMBDA * variance + (1 - LAMBDA) * r * r
    return Volatility(max(math.sqrt(variance), FLOOR_PER_SQRT_S), len(returns))


def fair_value_cents(price: int, strike: int, left_ms: int, per_sqrt_s: float) -> int:
    """Φ(ln(S/K) / (σ√τ)) in whole cents, held within 1-99. At the close the price alone decides."""
    if left_ms <= 0:
        return 99 if price > strike else 1 if price < strike else 50
    d = math.log(price / strike) / (per_sqrt_s * math.sqrt(left_ms / 1000))
    return min(99, max(1, round(100 * _NORMAL.cdf(d))))
