"""Agents against the venue's own engine in simulated time: one heap of what happens next, no network, no waiting.

Everything that could differ from run to run is drawn from the seed. What an agent sees is the venue `feed_latency_ms`
ago, and what it does arrives `latency_ms` later; as a strategy knows only its view, both are kept by one rule: it
decides on the state as it is, with its clock ahead by the feed's latency, and acts after both. Must not know HTTP,
asyncio or tables.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from raeth.client.strategy import Action, Outcome, Resolution, Strategy, StrategyBase, View
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine import invariants
from raeth.engine.state import Agent, Market
from raeth.engine.types import FILLED, VOID, Order, Settings
from raeth.reference.types import Tick
from raeth.series.scheduler import print_command
from raeth.sim.core import Core, Journal, rare_collections
from raeth.sim.desk import Desk
from raeth.sim.prices import START_PRICE_CENTS, PricePath, open_prices
from raeth.sim.records import Ended, Records, Result, Row, book_row, pnl_cents
from raeth.sim.view import PriceMemory, SimView, limits_of

NEVER: Final = 1 << 62
PULSE_MS: Final = 1_000
"""A quiet venue still moves this often, as on a machine."""
WRITES_PER_MINUTE: Final = 600
CANCELS_PER_MINUTE: Final = 600

Latency = int | tuple[int, int]
"""Milliseconds one way: fixed, or drawn evenly between two bounds for each message, which never overtake."""


class Seat:
    """One agent at the venue: its strategy, its way in, and when it is next asked."""

    __slots__ = (
        "agent",
        "delay_ms",
        "desk",
        "feed_ms",
        "in_flight",
        "last_arrival",
        "last_asked",
        "name",
        "next_wake",
        "rng",
        "start_cents",
        "strategy",
        "wake_every_ms",
    )

    def __init__(self, name: str, strategy: Strategy | None, agent: Agent, desk: Desk, rng: random.Random) -> None:
        self.name = name
        self.strategy = strategy
        self.agent = agent
        self.desk = desk
        self.rng = rng
        self.wake_every_ms = strategy.wake_every_ms if strategy is not None else NEVER
        self.start_cents = agent.cash
        self.feed_ms = 0
        self.delay_ms: Latency = 0
        self.in_flight = 0
        self.next_wake = NEVER
        self.last_asked = -1
        self.last_arrival = 0

    def arrival(self, ts: int) -> int:
        """When what is sent on the state of `ts` reaches the venue; never before what was sent earlier."""
        delay = self.delay_ms
        if not isinstance(delay, int):
            delay = self.rng.randint(*delay)
        self.last_arrival = max(self.last_arrival, ts + self.feed_ms + delay)
        return self.last_arrival


class Simulation:
    """One venue and its agents. `run` may be called again to go on."""

    def __init__(
        self,
        strategies: Mapping[str, Strategy] | Sequence[Strategy] = (),
        *,
        seed: int = 1,
        start_ms: int | None = None,
        rules: Settings | None = None,
        price_path: PricePath = None,
        start_price_cents: int = START_PRICE_CENTS,
        latency_ms: Latency | Mapping[str, Latency] = 5,
        feed_latency_ms: int | Mapping[str, int] = 20,
        index_ticks_per_s: int = 4,
        cash_cents: int | Mapping[str, int] | None = None,
        writes_per_minute: int | None = WRITES_PER_MINUTE,
        cancels_per_minute: int | None = CANCELS_PER_MINUTE,
        sample_ms: int | None = 1_000,
        book_depth: int = 1,
        keep: Collection[str] = ("fills", "orders"),
        chained: bool = True,
        checked: bool = True,
        journal: Journal | None = None,
    ) -> None:
        """Sign the agents up, each with an account of its own, at the first moment of the price path.

        `strategies`: by name, or a list that is named after its classes. `rules`: the engine's settings (of which
        `reference_kind` is set by the price path), else the venue's defaults. `price_path`: see `prices.open_prices`.
        Latencies are one way, for all or by name. `cash_cents` tops the signup grant up, for all or for those named.
        Budgets are the venue's; None lifts one. `sample_ms`: how often books and equity are noted, None for equity at
        settlements only. `keep`: of `fills` and `orders`, which take memory by the order, those that are wanted.
        `chained` makes the journal's bytes and hashes, `checked` recomputes every invariant whenever a window ends.
        `journal` gets every row as it is made.
        """
        rules = rules or Settings(reference_kind="simulated")
        prices = open_prices(
            price_path,
            seed=seed,
            start_ms=start_ms,
            start_price_cents=start_price_cents,
            print_max_age_ms=rules.print_max_age_ms,
        )
        self.seed = seed
        self.now_ms = self.start_ms = prices.first_ms if start_ms is None else start_ms
        self.rules = msgspec.structs.replace(rules, reference_kind=prices.kind)
        self.records = Records(book_depth=book_depth)
        if "fills" in keep:
            self.records.trades = []
        if "orders" in keep:
            self.records.orders = []
        self._prices = prices
        self._feed = prices.feed
        self._feed.on_tick(self._index_moved)
        self._index_ms = max(1, 1_000 // index_ticks_per_s)
        self._index_due = 0
        self._latest: Tick | None = None
        self._memory = PriceMemory()
        self._limits: dict[int, Any] = {}
        self._sample_ms = sample_ms
        self._checked = checked
        self._heap: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        self._pushed = 0
        self._orders_entered = self._trades = 0
        self._windows = 0
        self._enough = self._end = NEVER
        self._to_end = False
        self._wall_s = 0.0
        self.core = Core(self.rules, self.start_ms, chained=chained, journal=journal)
        self.state = self.core.state
        self._listen()
        self.seats: dict[str, Seat] = {}
        self._by_agent: dict[int, Seat] = {}
        for name, strategy in _named(strategies).items():
            self._seat(name, strategy, cash_cents, writes_per_minute, cancels_per_minute, latency_ms, feed_latency_ms)
        self._order = random.Random(f"{seed}/order")
        self._push(self.start_ms + PULSE_MS, self._pulse, None)
        self._next_delivery()
        if sample_ms is not None:
            self._push(self.start_ms, self._sample, None)

    # ---- what a caller does ----

    def run(self, *, windows: int | None = None, seconds: int | None = None) -> Result:
        """Go on until `windows` more have ended, or `seconds` more have passed; without either, to the end of the
        recording or series. A made-up price has no end, so it needs one of them (ValueError)."""
        if windows is None and seconds is None and self._prices.synthetic:
            raise ValueError("a simulated price never ends: say how many windows, or seconds")
        self._enough = min(self._end, NEVER if windows is None else self._windows + windows)
        self._to_end = True
        self.run_until(NEVER if seconds is None else self.now_ms + seconds * 1_000)
        self._enough, self._to_end = NEVER, False
        return self.result()

    def run_until(self, until_ms: int) -> None:
        """Let everything happen that is due up to and including `until_ms`, then stand at that moment."""
        began = time.perf_counter()
        heap = self._heap
        with rare_collections():
            while heap and heap[0][0] <= until_ms and self._windows < self._enough:
                ts, _, happen, what = heappop(heap)
                self.now_ms = ts
                happen(ts, what)
        if self._windows < self._enough and until_ms < NEVER:
            self.now_ms = until_ms
        self._wall_s += time.perf_counter() - began

    def result(self) -> Result:
        """What there is so far. Its tables go on growing if the simulation goes on."""
        records = self.records
        return Result(
            records=records,
            seed=self.seed,
            commands=self.state.seq,
            orders_entered=self._orders_entered,
            trades=self._trades,
            windows_resolved=sum(end.outcome != VOID for end in records.ended),
            windows_void=sum(end.outcome == VOID for end in records.ended),
            start_ms=self.start_ms,
            end_ms=self.now_ms,
            cash_cents={name: seat.agent.cash for name, seat in self.seats.items()},
            equity_cents={name: self.equity_cents(name) for name in self.seats},
            started_with_cents={name: seat.start_cents for name, seat in self.seats.items()},
            chain_head=self.core.chain_head,
            state_hash=self.core.state_hash,
            wall_s=self._wall_s,
        )

    def schedule(self, ts_ms: int, command: cmd.Command) -> None:
        """Let an operator's command (a freeze, a halt, a void) reach the venue at `ts_ms`."""
        self._push(max(ts_ms, self.now_ms), self._operate, command)

    def add_agent(
        self, name: str, cash_cents: int | None = None, *, latency_ms: Latency = 5, feed_latency_ms: int = 20
    ) -> None:
        """Sign up an agent without a strategy: the caller looks (`view`) and acts (`send`) for it. ValueError for a
        name that is taken. Its budgets are the venue's."""
        self._seat(name, None, cash_cents, WRITES_PER_MINUTE, CANCELS_PER_MINUTE, latency_ms, feed_latency_ms)

    def view(self, name: str) -> View | None:
        """What the agent sees now; None before the first window opens."""
        market = self.state.live
        return None if market is None else self._view(self.seats[name], market, self.now_ms)

    def send(self, name: str, actions: Sequence[Action]) -> None:
        """Act for an agent that has no strategy, in the market that is open now. ValueError if there is none."""
        market = self.state.live
        if market is None:
            raise ValueError("no market is open yet")
        self._send(self.seats[name], self.now_ms, market.id, actions)

    def equity_cents(self, name: str) -> int:
        """Settled cash, plus cash flow and position at the mark in every market that has not ended (as `/account`)."""
        agent = self.seats[name].agent
        equity = agent.cash
        for market_id, position in agent.positions.items():
            mark = self.state.markets[market_id].mark()
            equity += position.cash_flow + position.net * (mark or 0)
        return equity

    # ---- setting up ----

    def _seat(
        self,
        name: str,
        strategy: Strategy | None,
        cash_cents: int | Mapping[str, int] | None,
        writes: int | None,
        cancels: int | None,
        latency_ms: Latency | Mapping[str, Latency],
        feed_latency_ms: int | Mapping[str, int],
    ) -> None:
        cash = cash_cents.get(name) if isinstance(cash_cents, Mapping) else cash_cents
        agent = self.core.sign_up(name, cash, max(self.now_ms, self.state.ts))
        listens = strategy is not None and getattr(type(strategy), "told", None) is not StrategyBase.told
        desk = Desk(self.core, agent, writes_per_minute=writes, cancels_per_minute=cancels, told=listens)
        seat = Seat(name, strategy, agent, desk, random.Random(f"{self.seed}/latency/{name}"))
        seat.delay_ms = latency_ms[name] if isinstance(latency_ms, Mapping) else latency_ms
        seat.feed_ms = feed_latency_ms[name] if isinstance(feed_latency_ms, Mapping) else feed_latency_ms
        self.seats[name] = self._by_agent[agent.id] = seat
        self.records.names[agent.id] = name

    def _listen(self) -> None:
        handlers: dict[type[ev.Event], Callable[[Any, int], None]] = {
            ev.Traded: self._traded,
            ev.OrderPlaced: self._placed,
            ev.OrderAmended: self._amended,
            ev.MarketListed: self._listed,
            ev.MarketOpened: self._opened,
            ev.MarketResolved: self._resolved,
            ev.Printed: self._printed,
            ev.IndexMoved: lambda event, ts: self._memory.add(event.ts, event.price_cents),
        }
        self.core.handlers.update(handlers)
        assert self.state.pending is not None
        self._expect(self.state.pending)

    # ---- time ----

    def _push(self, ts: int, happen: Callable[[int, Any], None], what: Any) -> None:
        self._pushed += 1
        heappush(self._heap, (ts, self._pushed, happen, what))

    def _pulse(self, ts: int, _: None) -> None:
        if self.state.ts <= ts - PULSE_MS or self.state.next_due <= ts:
            self.core.apply(cmd.Tick(), ts)
        self._push(ts + PULSE_MS, self._pulse, None)

    def _boundary(self, ts: int, _: None) -> None:
        if self.state.next_due <= ts:
            self.core.apply(cmd.Tick(), ts)

    def _operate(self, ts: int, command: cmd.Command) -> None:
        self.core.apply(command, ts)

    # ---- the reference ----

    def _next_delivery(self) -> None:
        delivery = next(self._prices.deliveries, None)
        if delivery is not None:
            self._push(max(delivery[0], self.now_ms), self._deliver, delivery[1])
            return
        # Nothing comes any more: `run` goes on until all windows that are listed have ended, the last of them void.
        self._end = self._windows + len(self.state.markets)
        if self._to_end:
            self._enough = min(self._enough, self._end)

    def _deliver(self, ts: int, items: Iterable[Any]) -> None:
        for item in items:
            self._feed.add(item)
        if self.state.unprinted:
            self._print(ts, None)
        self._next_delivery()

    def _index_moved(self, tick: Tick) -> None:
        """Journal the newest index tick, no more often than the interval, as the venue's scheduler does."""
        waiting = self._latest is not None
        self._latest = tick
        if self.now_ms >= self._index_due:
            self._index(self.now_ms, None)
        elif not waiting:
            self._push(self._index_due, self._index, None)

    def _index(self, ts: int, _: None) -> None:
        tick, self._latest = self._latest, None
        if tick is not None:
            self._index_due = ts + self._index_ms
            self.core.apply(cmd.IndexTick(tick.price_cents, tick.source_ts, self._feed.name), ts)

    def _print(self, ts: int, _: None) -> None:
        """Take every print whose evidence is in, or for which nobody may wait any longer."""
        unprinted = self.state.unprinted
        while unprinted:
            boundary = next(iter(unprinted))
            found = self._feed.print_at(boundary)
            if found is None and ts >= boundary + self._last_call_ms():
                found = self._feed.final_print_at(boundary)
            if found is None:
                return
            self.core.apply(print_command(found), ts)

    def _last_call_ms(self) -> int:
        return self.rules.print_grace_ms * 4 // 5

    # ---- what the venue did ----

    def _listed(self, event: ev.MarketListed, ts: int) -> None:
        self._expect(self.state.markets[event.market])

    def _expect(self, market: Market) -> None:
        self.records.markets[market.id] = market
        self._limits[market.id] = limits_of(market.settings)
        self._push(market.open_at, self._boundary, None)

    def _opened(self, event: ev.MarketOpened, ts: int) -> None:
        self._push(event.ts + self._last_call_ms(), self._print, None)
        seats = list(self.seats.values())
        self._order.shuffle(seats)  # or the same agent would always be first in a new book
        for seat in seats:
            if seat.strategy is not None:
                self._wake(seat, ts)

    def _placed(self, event: ev.OrderPlaced, ts: int) -> None:
        self._orders_entered += 1
        order: Order = event.order
        if order.status == FILLED:
            self._filled(order.agent, order.id)
        if self.records.orders is not None:
            # What rests goes on as another object, the live one; the event's is how it was.
            self.records.orders.append(self.state.orders.get(order.id, order) if order.remaining else order)

    def _amended(self, event: ev.OrderAmended, ts: int) -> None:
        if event.order.status == FILLED:
            self._filled(event.order.agent, event.order.id)

    def _traded(self, event: ev.Traded, ts: int) -> None:
        self._trades += 1
        if self.records.trades is not None:
            self.records.trades.append(event)
        if not event.maker_remaining:
            self._filled(event.maker_agent, event.maker_order)
        for agent in (event.maker_agent, event.taker_agent):
            seat = self._by_agent[agent]
            if seat.strategy is not None:
                self._wake(seat, ts)

    def _filled(self, agent: int, order: int) -> None:
        desk = self._by_agent[agent].desk
        if desk.told:
            desk.filled.add(order)

    def _printed(self, event: ev.Printed, ts: int) -> None:
        self.records.prints.append(event.fact)
        if event.closes is not None:
            self.records.closes[event.closes] = event.fact

    def _resolved(self, event: ev.MarketResolved, ts: int) -> None:
        market = self.records.markets[event.market]
        close = self.records.closes.get(event.market)
        self.records.ended.append(
            Ended(market, event.outcome, event.reason, close, event.fees_cents, event.open_interest)
        )
        self._windows += 1
        self._limits.pop(market.id, None)
        for agent, position in market.positions.items():
            strategy = self._by_agent[agent].strategy
            if strategy is not None:
                outcome: Any = event.outcome
                resolution: Resolution = outcome
                strategy.settled(market.symbol, resolution, pnl_cents(position.net, position.cash_flow, outcome))
        if self._checked:
            invariants.check(self.state)
        self.records.equity.append(self._equity_row(ts))

    # ---- agents ----

    def _wake(self, seat: Seat, ts: int) -> None:
        """Ask a seat now, or within the millisecond if it was just asked: no two agents can hold time still."""
        at = max(ts, seat.last_asked + 1)
        if at < seat.next_wake:
            seat.next_wake = at
            self._push(at, self._ask, seat)

    def _ask(self, ts: int, seat: Seat) -> None:
        if seat.next_wake != ts:
            return  # it was asked earlier, and this call is one of the past
        market = self.state.live
        if market is None:
            seat.next_wake = NEVER
            return
        seat.last_asked = ts
        seat.next_wake = ts + seat.wake_every_ms
        self._push(seat.next_wake, self._ask, seat)
        assert seat.strategy is not None
        actions = seat.strategy.decide(self._view(seat, market, ts))
        if actions:
            self._send(seat, ts, market.id, actions)

    def _view(self, seat: Seat, market: Market, ts: int) -> SimView:
        limits = self._limits[market.id]
        recent = self._memory.recent
        return SimView(self.state, market, seat.agent, limits, recent, ts + seat.feed_ms, seat.in_flight)

    def _send(self, seat: Seat, ts: int, market: int, actions: Sequence[Action]) -> None:
        seat.in_flight += len(actions)
        arrival = seat.arrival(ts)
        if arrival <= ts:
            self._arrive(ts, (seat, market, actions))
        else:
            self._push(arrival, self._arrive, (seat, market, actions))

    def _arrive(self, ts: int, sent: tuple[Seat, int, Sequence[Action]]) -> None:
        seat, market, actions = sent
        desk, strategy = seat.desk, seat.strategy
        for action in actions:
            outcome: Outcome = desk.do(action, market, ts)
            seat.in_flight -= 1
            if strategy is not None and desk.told:
                strategy.told(outcome)

    # ---- notes ----

    def _sample(self, ts: int, _: None) -> None:
        assert self._sample_ms is not None
        market = self.state.live
        if market is not None:
            row = book_row(ts, market, self.state.reference_price, self.records.book_depth)
            self.records.books.append(row)
        self.records.equity.append(self._equity_row(ts))
        self._push(ts + self._sample_ms, self._sample, None)

    def _equity_row(self, ts: int) -> Row:
        return (ts, *(self.equity_cents(name) for name in self.seats))


def _named(strategies: Mapping[str, Strategy] | Sequence[Strategy]) -> dict[str, Strategy]:
    """By name; a list is named after its classes: `maker-1`, `random-2`."""
    if isinstance(strategies, Mapping):
        return dict(strategies)
    names = [type(strategy).__name__.lower().removesuffix("agent") or "agent" for strategy in strategies]
    return {
        f"{name}-{place}": strategy for place, (name, strategy) in enumerate(zip(names, strategies, strict=True), 1)
    }
