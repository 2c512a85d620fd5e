"""Small strategies that the tests of the simulation share."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from raeth.client.strategy import (
    Action,
    Amend,
    Cancel,
    CancelAll,
    Outcome,
    Place,
    Quotes,
    Resolution,
    StrategyBase,
    View,
)


class Restless(StrategyBase):
    """Every kind of action, at random and often badly: for properties that hold whatever an agent does."""

    def __init__(self, seed: int, wake_every_ms: int = 400) -> None:
        self.wake_every_ms = wake_every_ms
        self.random = random.Random(f"restless/{seed}")
        self.outcomes: list[Outcome] = []
        self.sent = 0
        self.pnl: list[tuple[str, Resolution, int]] = []

    def decide(self, view: View) -> Sequence[Action]:
        actions = [self._one(view) for _ in range(self.random.randint(0, 3))]
        self.sent += len(actions)
        return actions

    def _one(self, view: View) -> Action:
        rnd = self.random
        price = rnd.randint(-1, 101) if rnd.random() < 0.1 else rnd.randint(35, 65)
        qty = rnd.choice([0, 1, 3, 10, 50, 3_000])
        own = list(view.orders)
        dice = rnd.random()
        if dice < 0.45:
            tif = rnd.choice([None, "GTC", "IOC", "FOK", "POST_ONLY"])
            return Place(
                rnd.choice(["BUY", "SELL"]),
                qty,
                None if rnd.random() < 0.3 else price,
                tif,
                reduce_only=rnd.random() < 0.1,
                expires_at_ms=view.now_ms + rnd.randint(0, 5_000) if rnd.random() < 0.2 else None,
            )
        if dice < 0.7:
            low, high = sorted(rnd.sample(range(30, 70), 2))
            return Quotes("q", ((low, 5), (low - 1, 5)), ((high, 5),))
        if dice < 0.8 and own:
            return Amend(rnd.choice(own), price=price, qty=max(1, qty))
        if dice < 0.95:
            return Cancel(rnd.choice(own) if own else "17")
        return CancelAll(side=rnd.choice([None, "BUY", "SELL"]))

    def told(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def settled(self, market: str, resolution: Resolution, pnl_cents: int) -> None:
        self.pnl.append((market, resolution, pnl_cents))


class Scripted(StrategyBase):
    """Does what a function of the view says, and remembers what it was told."""

    def __init__(self, act: Callable[[View], Sequence[Action]], wake_every_ms: int = 1_000) -> None:
        self.wake_every_ms = wake_every_ms
        self.act = act
        self.asked: list[int] = []
        self.outcomes: list[Outcome] = []

    def decide(self, view: View) -> Sequence[Action]:
        self.asked.append(view.now_ms)
        return self.act(view)

    def told(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


def steady(start_ms: int, seconds: int, price_cents: int = 6_000_000, step_ms: int = 500) -> list[tuple[int, int]]:
    """A price series that climbs by a cent a tick."""
    return [(start_ms + step * step_ms, price_cents + step) for step in range(seconds * 1_000 // step_ms + 1)]
