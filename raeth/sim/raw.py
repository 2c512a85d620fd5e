"""The engine alone, as fast as it goes: orders in, events out, with neither strategies nor latency nor budgets.

For search, calibration and load: a stream of `OrderSpec`s against one open window after another. Time stands still
while orders are fed, unless the caller moves it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine import invariants
from raeth.engine.commands import OrderSpec
from raeth.engine.state import Agent, Market, State
from raeth.engine.types import Settings
from raeth.sim.core import Core, Journal, rare_collections
from raeth.sim.prices import START_MS, START_PRICE_CENTS

RAW_RULES: Final = Settings(
    reference_kind="simulated",
    gap_ms=10**9,
    position_cap=10**9,
    max_order_qty=10**6,
    max_order_notional_cents=10**9,
    open_orders_per_market=10**6,
    signup_grant_cents=10**12,
)
"""Bounds so wide that only book and collateral judge. Pass the venue's own `Settings` to be judged by all of them."""

SOURCE: Final = "raw"
Entry = tuple[int, OrderSpec | int]
"""Which agent (0, 1, …), and the order it places, or the id of the order it cancels."""


@dataclass(slots=True)
class Tally:
    """What a stream of entries came to."""

    entries: int = 0
    trades: int = 0
    rejected: int = 0


class RawVenue:
    """A venue with an open window and funded agents."""

    def __init__(
        self,
        agents: int = 20,
        *,
        rules: Settings = RAW_RULES,
        start_ms: int = START_MS,
        open_price_cents: int = START_PRICE_CENTS,
        chained: bool = False,
        journal: Journal | None = None,
    ) -> None:
        self._core = Core(rules, start_ms, chained=chained, journal=journal)
        self.agents: list[Agent] = [self._core.sign_up(f"raw-{place}", None, start_ms) for place in range(agents)]
        self.now_ms = start_ms
        self._to_boundary(open_price_cents)

    @property
    def state(self) -> State:
        """The engine's state, to read."""
        return self._core.state

    @property
    def core(self) -> Core:
        return self._core

    @property
    def market(self) -> Market:
        """The open window; orders name its `id`."""
        live = self._core.state.live
        assert live is not None
        return live

    def apply(self, command: cmd.Command) -> list[ev.Event]:
        """Any one command at the present moment; its events."""
        return self._core.apply(command, self.now_ms)

    def feed(self, entries: Iterable[Entry]) -> Tally:
        """Enter orders and cancels one after the other at the present moment."""
        tally = Tally()
        apply, now_ms = self._core.apply, self.now_ms
        keys = [(agent.id, agent.keys[0]) for agent in self.agents]
        with rare_collections():
            for place, what in entries:
                agent, key = keys[place]
                if isinstance(what, int):
                    apply(cmd.CancelOrder(agent, key, what), now_ms)
                else:
                    events = apply(cmd.PlaceOrder(agent, key, what), now_ms)
                    tally.trades += len(events) - 1 and sum(type(event) is ev.Traded for event in events)
                    last = events[-1]
                    tally.rejected += isinstance(last, ev.OrderPlaced) and last.order.reject_reason is not None
                tally.entries += 1
        return tally

    def settle(self, close_price_cents: int) -> str:
        """Go to the close, take this price as the print there, and open the next window on it. YES, NO or VOID.

        Raises AssertionError if an invariant of money or of the book does not hold.
        """
        ended = self._to_boundary(close_price_cents)
        invariants.check(self.state)
        outcome = next(event.outcome for event in ended if isinstance(event, ev.MarketResolved))
        return outcome

    def _to_boundary(self, price_cents: int) -> list[ev.Event]:
        pending = self._core.state.pending
        assert pending is not None
        boundary = pending.open_at
        while boundary - self.now_ms > pending.settings.gap_ms:
            self.now_ms += pending.settings.gap_ms  # a longer step would be a gap, which voids what it touches
            self.apply(cmd.Tick())
        self.now_ms = boundary
        events = self.apply(cmd.Tick())
        return events + self.apply(cmd.Print(boundary, price_cents, boundary, SOURCE, SOURCE, None, ()))
