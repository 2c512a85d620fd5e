"""FairAgent: takes what is offered when its price is further from fair value than the fee and an edge.

It never rests an order: it takes the touch with an immediate-or-cancel limit, so nothing of it is left to be picked
off, and holds what it has to the end of the window. With no strike or a stale reference it does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from raeth.client.strategy import Action, Outcome, Place, Resolution, Side, StrategyBase, View
from raeth.examples.fair_value import FairValue


class FairAgent(StrategyBase):
    def __init__(
        self,
        edge_cents: float = 3.0,
        max_qty: int = 20,
        max_position: int = 100,
        wake_every_ms: int = 500,
        quiet_ms: int = 1_000,
    ) -> None:
        """`edge_cents`: what must be left of a contract's value after the fee. `quiet_ms` before the close it stops."""
        self.wake_every_ms = wake_every_ms
        self.edge_cents = edge_cents
        self.max_qty = max_qty
        self.max_position = max_position
        self.quiet_ms = quiet_ms
        self._fair = FairValue()
        self._size = max_qty
        self._pause_ms = 0
        self._resume_ms = 0

    def decide(self, view: View) -> Sequence[Action]:
        self._fair.learn(view)
        if self._pause_ms:
            self._resume_ms, self._pause_ms = view.now_ms + self._pause_ms, 0
        fair = self._fair.cents(view)
        if fair is None or view.halted or view.frozen or view.in_flight or view.now_ms < self._resume_ms:
            return ()
        if view.close_at_ms - view.now_ms <= self.quiet_ms:
            return ()
        if view.asks and fair - view.asks[0][0] > self._needed(view, view.asks[0][0]):
            return self._take("BUY", *view.asks[0], room=self.max_position - view.net_qty)
        if view.bids and view.bids[0][0] - fair > self._needed(view, view.bids[0][0]):
            return self._take("SELL", *view.bids[0], room=self.max_position + view.net_qty)
        return ()

    def _needed(self, view: View, price: int) -> float:
        """The taker's fee of one contract, θ·p·(1−p), and the edge, in cents."""
        return view.limits.taker_rate_bps * price * (100 - price) / 1_000_000 + self.edge_cents

    def _take(self, side: Side, price: int, offered: int, room: int) -> Sequence[Action]:
        qty = min(offered, self._size, room)
        return [Place(side, qty, price, tif="IOC")] if qty > 0 else ()

    def told(self, outcome: Outcome) -> None:
        # Taken or missed, the next view shows it; a decline comes with the numbers that repair it.
        self._pause_ms = max(self._pause_ms, outcome.details.get("retry_after_ms") or 0)
        if outcome.reason in ("INSUFFICIENT_MARGIN", "POSITION_CAP", "FAT_FINGER"):
            self._size = max(1, outcome.details.get("max_qty") or self._size // 2)
            self._pause_ms = max(self._pause_ms, 1_000)

    def settled(self, market: str, resolution: Resolution, pnl_cents: int) -> None:
        self._size = self.max_qty  # cash has come back
