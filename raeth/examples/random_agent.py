"""RandomAgent: trades for no reason at all, within bounds. The smallest complete strategy, and a sparring partner.

Once in a while it leaves one limit order near the touch, on a random side. It never holds more than `max_position`
contracts either way, stops before the window ends, and when the venue declines something it does as it is told.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from raeth.client.strategy import Action, CancelAll, Outcome, Place, Resolution, Side, StrategyBase, View


class RandomAgent(StrategyBase):
    def __init__(
        self, seed: int = 1, max_position: int = 20, max_qty: int = 5, wake_every_ms: int = 1_000, quiet_ms: int = 3_000
    ) -> None:
        """`quiet_ms`: how long before the close it has no order any more. The same seed trades the same way."""
        self.wake_every_ms = wake_every_ms
        self.max_position = max_position
        self.max_qty = max_qty
        self.quiet_ms = quiet_ms
        self._random = random.Random(f"random-agent/{seed}")
        self._size = max_qty
        self._pause_ms = 0
        self._resume_ms = 0

    def decide(self, view: View) -> Sequence[Action]:
        if self._pause_ms:
            # The venue said how long to wait; here is the first moment that has a clock.
            self._resume_ms, self._pause_ms = view.now_ms + self._pause_ms, 0
        if view.halted or view.frozen or view.in_flight or view.now_ms < self._resume_ms:
            return ()
        if view.close_at_ms - view.now_ms <= self.quiet_ms:
            return [CancelAll()] if view.orders else ()
        if self._random.random() < 0.5:
            return ()
        side: Side = "BUY" if self._random.random() < 0.5 else "SELL"
        net = view.net_qty if side == "BUY" else -view.net_qty
        room = min(self._size, self.max_position - net, view.free_cash_cents // 102)  # 102: what one can cost at most
        if room < 1:
            return ()
        actions: list[Action] = [CancelAll()] if view.orders else []  # so what rests never adds to the risk
        actions.append(Place(side, self._random.randint(1, room), self._price(view, side)))
        return actions

    def _price(self, view: View, side: Side) -> int:
        """Within three cents of the middle of the book: it may rest, and it may trade."""
        bid = view.bids[0][0] if view.bids else None
        ask = view.asks[0][0] if view.asks else None
        middle = (bid + ask) // 2 if bid and ask else bid or ask or view.last_trade_price or 50
        price = middle + self._random.randint(-3, 3)
        return min(max(price, view.limits.price_min), view.limits.price_max)

    def told(self, outcome: Outcome) -> None:
        # A decline comes with the numbers that repair it.
        self._pause_ms = max(self._pause_ms, outcome.details.get("retry_after_ms") or 0)
        if outcome.reason in ("INSUFFICIENT_MARGIN", "POSITION_CAP", "FAT_FINGER"):
            self._size = max(1, outcome.details.get("max_qty") or self._size // 2)
            self._pause_ms = max(self._pause_ms, 1_000)

    def settled(self, market: str, resolution: Resolution, pnl_cents: int) -> None:
        self._size = self.max_qty  # cash has come back
