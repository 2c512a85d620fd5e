"""Fair value and volatility as `agent-context` shows them: the rule of `raeth.liquidity.pricing`, in whole numbers.

A guide for agents, not for the venue: nothing here decides anything. Must not know where prices come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from raeth.liquidity import pricing


class Volatility(NamedTuple):
    """`per_sqrt_s` is the standard deviation of the log price over one second; `samples` the returns behind it."""

    per_sqrt_s: float
    samples: int


def volatility(ticks: Sequence[tuple[int, int]]) -> Volatility | None:
    """EWMA of one-second log returns of `(ts_ms, price)`, oldest first; None where there are too few."""
    estimate = pricing.EwmaVolatility.of(ticks)
    return None if estimate.per_sqrt_s is None else Volatility(estimate.per_sqrt_s, estimate.samples)


def fair_value_cents(price: int, strike: int, left_ms: int, per_sqrt_s: float) -> int:
    """The fair value in whole cents, held within 1-99. At the close the price alone decides."""
    return min(99, max(1, round(pricing.fair_value_cents(price, strike, left_ms, per_sqrt_s))))
