"""MakerAgent: keeps a two-sided quote around fair value, and leans against its own position.

A quote is replaced as a whole (`Quotes`), which costs one request and never leaves half of it behind. The spread widens
with what the quote risks until it can be moved again; a long position lowers both sides, a short one raises them. With
no strike, a stale reference, a halt, or little time left there is no quote at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from raeth.client.strategy import Action, Level, Outcome, Quotes, Resolution, StrategyBase, View
from raeth.examples.fair_value import FairValue
from raeth.liquidity.pricing import distance, stale_risk_cents

QUOTE = "maker"


class MakerAgent(StrategyBase):
    def __init__(
        self,
        qty: int = 20,
        half_spread: int = 2,
        max_position: int = 100,
        skew_cents: int = 4,
        wake_every_ms: int = 250,
        quiet_ms: int = 5_000,
    ) -> None:
        """`half_spread` and `skew_cents` (at `max_position`) are cents; `quiet_ms` before the close it stops."""
        self.wake_every_ms = wake_every_ms
        self.qty = qty
        self.half_spread = half_spread
        self.max_position = max_position
        self.skew_cents = skew_cents
        self.quiet_ms = quiet_ms
        self._fair = FairValue()
        self._size = qty
        self._pause_ms = 0
        self._resume_ms = 0

    def decide(self, view: View) -> Sequence[Action]:
        self._fair.learn(view)
        if self._pause_ms:
            self._resume_ms, self._pause_ms = view.now_ms + self._pause_ms, 0
        if view.in_flight:
            return ()  # what is on its way may be the very quote we want
        bids, asks = self._levels(view)
        resting = {(order.side, order.price): order.remaining_qty for order in view.orders.values()}
        meant = {("BUY", price): qty for price, qty in bids} | {("SELL", price): qty for price, qty in asks}
        if resting == meant or (meant and view.now_ms < self._resume_ms):
            return ()  # levels that stand keep their place in the queue
        return [Quotes(QUOTE, bids, asks)]

    def _levels(self, view: View) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        fair, sigma, left_ms = self._fair.cents(view), self._fair.per_sqrt_s, view.close_at_ms - view.now_ms
        if fair is None or sigma is None or view.halted or view.frozen or left_ms <= self.quiet_ms:
            return (), ()
        assert view.reference_cents is not None and view.strike_cents is not None
        d = distance(view.reference_cents, view.strike_cents, left_ms, sigma)
        half = self.half_spread + stale_risk_cents(d, self.wake_every_ms / 1000, left_ms / 1000)
        centre = fair - self.skew_cents * view.net_qty / self.max_position
        bid, ask = math.floor(centre - half), math.ceil(centre + half)
        low, high = view.limits.price_min, view.limits.price_max
        buy = min(self._size, self.max_position - view.net_qty)
        sell = min(self._size, self.max_position + view.net_qty)
        bids = ((min(bid, high), buy),) if bid >= low and buy > 0 else ()
        asks = ((max(ask, low), sell),) if ask <= high and sell > 0 else ()
        return bids, asks

    def told(self, outcome: Outcome) -> None:
        # A level that would have crossed is simply missing, and the next view shows it.
        self._pause_ms = max(self._pause_ms, outcome.details.get("retry_after_ms") or 0)
        if outcome.reason in ("INSUFFICIENT_MARGIN", "POSITION_CAP"):
            self._size = max(1, outcome.details.get("max_qty") or self._size // 2)
            self._pause_ms = max(self._pause_ms, 1_000)

    def settled(self, market: str, resolution: Resolution, pnl_cents: int) -> None:
        self._size = self.qty  # cash has come back
