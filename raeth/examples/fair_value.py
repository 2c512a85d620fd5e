"""What the maker and the fair agent share: a running idea of what the window is worth."""

from __future__ import annotations

from raeth.client.strategy import View
from raeth.liquidity.pricing import EwmaVolatility, fair_value_cents

OLDEST_REFERENCE_MS = 2_000
"""A price older than this says too little about now."""


class FairValue:
    """Learns the volatility from the reference and says what one YES contract is worth, in cents."""

    def __init__(self) -> None:
        self._volatility = EwmaVolatility()
        self._seen_ms = 0

    def learn(self, view: View) -> None:
        """Take in the reference prices that are new since the last view."""
        history = view.reference_history
        new = len(history)
        while new and history[new - 1][0] > self._seen_ms:
            new -= 1
        for ts_ms, price_cents in history[new:]:
            self._volatility.observe(ts_ms, price_cents)
            self._seen_ms = ts_ms

    @property
    def per_sqrt_s(self) -> float | None:
        return self._volatility.per_sqrt_s

    def cents(self, view: View) -> float | None:
        """0-100, or None while there is no strike, no fresh reference or no volatility: then it is unsafe to trade."""
        sigma, strike, price, age_ms = self.per_sqrt_s, view.strike_cents, view.reference_cents, view.reference_age_ms
        if sigma is None or strike is None or price is None or age_ms is None or age_ms > OLDEST_REFERENCE_MS:
            return None
        return fair_value_cents(price, strike, view.close_at_ms - view.now_ms, sigma)
