"""People who trade for reasons of their own: someone for a market maker to trade with. They pay for it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from raeth.client.strategy import Action, Place, Side, StrategyBase, View


class Crowd(StrategyBase):
    """Now and then a small MARKET order on a random side, whatever the price; at most `max_position` either way."""

    def __init__(self, seed: int, *, wake_every_ms: int = 1_000, max_qty: int = 10, max_position: int = 100) -> None:
        self.wake_every_ms = wake_every_ms
        self._max_qty = max_qty
        self._max_position = max_position
        self._random = random.Random(f"crowd/{seed}")

    def decide(self, view: View) -> Sequence[Action]:
        side: Side = "BUY" if self._random.random() < 0.5 else "SELL"
        there = view.asks if side == "BUY" else view.bids
        net = view.net_qty if side == "BUY" else -view.net_qty
        room = min(self._max_qty, self._max_position - net)
        if self._random.random() < 0.5 or not there or room < 1 or view.in_flight or view.halted or view.frozen:
            return ()
        return [Place(side, self._random.randint(1, room), slippage_cap_cents=5)]
