"""Runs a strategy on a live venue: views made from a `LiveVenue`, actions sent over its socket.

    summary = await run(MakerAgent(), client, until=asyncio.sleep(600))

The strategy is the one that was simulated: a view means the same here and there, its methods are called one at a time,
and between two views all it did has been answered and is in the second one. It follows the windows until it is told to
stop. While what is known may be old (a cut, a gap) nothing is decided. Must not know what a strategy is after, nor how
views are shown to people.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from raeth.client.carrying import CarryOut
from raeth.client.errors import ClientError, Stale
from raeth.client.live import LiveVenue
from raeth.client.mirror import Fact, Settled
from raeth.client.models import Fill, LedgerEntry, Market, Order
from raeth.client.strategy import Action, Limits, Outcome, OwnOrder, Resolution, Snapshot, Strategy

if TYPE_CHECKING:
    from raeth.client.client import AsyncClient

BOOK_PAUSE_DIVISOR = 4
"""A change of the book alone wakes a strategy no sooner than this part of `wake_every_ms` after its last decision: two
strategies that answer each other's orders at once would spend their budgets in seconds."""

BOOK_BEHIND_S = 0.05
"""The venue merges changes of a book over 20 ms, own events come at once: so long a decision waits for the book to show
what the own account shows already."""

CASH_BEHIND_S = 0.25
"""A settlement is told just before the cash it moves; what was looked up after a cut comes without it."""

CLEAN_UP_S = 5.0


class Decided(msgspec.Struct, frozen=True):
    """One decision, and what became of its actions, in their order."""

    view: Snapshot
    actions: tuple[Action, ...]
    outcomes: tuple[Outcome, ...]


class Ended(msgspec.Struct, frozen=True):
    """A market the agent had something in has ended; `cash_cents` is its settled cash after that."""

    market: str
    resolution: Resolution
    pnl_cents: int
    cash_cents: int


class Waiting(msgspec.Struct, frozen=True):
    """Nothing can be decided, and `why`; empty when it goes on."""

    why: str


Step = Decided | Ended | Waiting


class Summary(msgspec.Struct):
    """What a run came to. `cash_cents` and `positions` (net contracts by symbol) are those at its end."""

    windows: int = 0
    """Markets that ended with something of the agent's in them."""
    fills: int = 0
    contracts: int = 0
    pnl_cents: int = 0
    decisions: int = 0
    actions: int = 0
    declined: int = 0
    cancelled: int = 0
    """Orders that were still resting when it stopped, and were cancelled."""
    cash_cents: int = 0
    positions: dict[str, int] = {}


async def run(
    strategy: Strategy,
    client: AsyncClient,
    *,
    until: Awaitable[Any] | None = None,
    on_step: Callable[[Step], None] | None = None,
    cancel_on_stop: bool = True,
    cancel_on_disconnect: bool = False,
) -> Summary:
    """Trade until `until` is done, for ever without one.

    `on_step` is told every decision, settlement and pause, in the order in which the strategy's methods were called.
    In the end, however it comes, the agent's resting orders are cancelled (`cancel_on_stop`); `cancel_on_disconnect`
    has the venue do it as well whenever the connection ends. Budgets: what the venue would refuse for now is not sent
    (see `CarryOut`). Raises what the strategy or `on_step` raises; VenueError when the key is revoked, expired or may
    not trade; Disconnected when there is no venue to begin with.
    """
    if client.api_key is None:
        raise ValueError("a strategy needs an agent's key to trade")
    stop = asyncio.ensure_future(until if until is not None else asyncio.Event().wait())
    try:
        speed = (await client.meta_version()).speed
        async with LiveVenue(client, cancel_on_disconnect=cancel_on_disconnect) as live:
            running = _Run(strategy, live, speed, stop, on_step or (lambda step: None))
            try:
                await running.follow()
            finally:
                if cancel_on_stop:
                    running.summary.cancelled = await _cancel_all(client, live)
            return running.summed_up()
    finally:
        stop.cancel()


class _Run:
    """One run: when to decide, on what, and what to tell."""

    def __init__(
        self,
        strategy: Strategy,
        live: LiveVenue,
        speed: float,
        stop: asyncio.Future[Any],
        on_step: Callable[[Step], None],
    ) -> None:
        self.summary = Summary()
        self._strategy = strategy
        self._live = live
        self._speed = speed
        self._stop = stop
        self._on_step = on_step
        self._hands = CarryOut(live, speed, stop)
        self._wake_ms = strategy.wake_every_ms
        self._book_pause_ms = strategy.wake_every_ms // BOOK_PAUSE_DIVISOR
        self._market_id: str | None = None
        self._decided_ms = 0
        self._decided_book = 0
        self._filled = False
        self._own_changed: tuple[int, float] = (0, 0.0)
        self._settled: list[tuple[Settled, float]] = []
        self._paid: set[str | None] = set()
        self._why = ""
        live.listen(self._hear)

    async def follow(self) -> None:
        """Until told to stop."""
        while not self._stop.done():
            seen = self._live.version
            wait_ms = self._tell_settled()
            due_ms = self._due_in_ms()
            if due_ms is not None and due_ms <= 0:
                await self._decide()
                continue
            waits = [ms for ms in (wait_ms, due_ms) if ms is not None]
            await self._until_changed(seen, min(waits) / 1000 / self._speed if waits else None)
        self._tell_settled(at_once=True)
        self._stop.result()

    def summed_up(self) -> Summary:
        live, summary = self._live, self.summary
        summary.cash_cents = live.cash_cents
        summary.positions = {held.symbol: held.net_qty for held in live.positions.values() if held.net_qty}
        return summary

    async def _until_changed(self, seen: int, wait_s: float | None) -> None:
        """Until something changed since `seen`, `wait_s` passed, or it is to stop. Raises what ended the stream."""
        changed = asyncio.ensure_future(self._live.changed(seen))
        try:
            await asyncio.wait({changed, self._stop}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if changed.done():
                changed.result()
        finally:
            changed.cancel()

    # ---- when ----

    def _due_in_ms(self) -> int | None:
        """Venue milliseconds to the next decision, 0 for now; None while only a change can bring one about."""
        live = self._live
        market, now_ms = live.market, live.now_ms()
        why = self._hindrance(market)
        if why != self._why:
            self._why = why
            self._on_step(Waiting(why))
        if why or market is None or now_ms >= market.close_at_ms:
            return None
        if market.id != self._market_id or self._filled:
            return self._book_behind_ms()
        due_ms = self._decided_ms + self._wake_ms
        if live.book.seq != self._decided_book:
            due_ms = min(due_ms, self._decided_ms + self._book_pause_ms)
        return self._book_behind_ms() if due_ms <= now_ms else due_ms - now_ms

    def _hindrance(self, market: Market | None) -> str:
        """Why nothing can be decided; empty if it can."""
        live = self._live
        if not live.fresh:
            return f"not current: {live.stream.why or 'some of it is on its way'}"
        if live.mirror.suspended:
            return "the agent is suspended"
        return "" if market is not None else "no market is open"

    def _book_behind_ms(self) -> int:
        """How much longer to wait for the book to show what the own account shows."""
        seq, at_s = self._own_changed
        if seq <= self._live.book.seq:
            return 0
        left_s = at_s + BOOK_BEHIND_S - time.monotonic()
        return max(0, round(left_s * 1000 * self._speed))

    # ---- what happens to the account ----

    def _hear(self, fact: Fact) -> None:
        if isinstance(fact, Settled):
            self._settled.append((fact, time.monotonic()))
        elif isinstance(fact, LedgerEntry):
            self._paid.add(fact.market_id)
        elif isinstance(fact, Fill):
            self.summary.fills += 1
            self.summary.contracts += fact.qty
            self._filled = True
            self._note_own(fact.market_id)
        elif not fact.is_rejected:
            self._note_own(fact.market_id)

    def _note_own(self, market_id: str | None) -> None:
        market = self._live.market
        if market is not None and market.id == market_id:
            self._own_changed = (self._live.mirror.seq, time.monotonic())

    def _tell_settled(self, at_once: bool = False) -> int | None:
        """Tell of markets that ended, once their cash has come; venue milliseconds until that is given up, or None."""
        for ended, heard_s in list(self._settled):
            left_s = heard_s + CASH_BEHIND_S - time.monotonic()
            if ended.pnl_cents and ended.market_id not in self._paid and left_s > 0 and not at_once:
                return max(1, round(left_s * 1000 * self._speed))
            self._settled.pop(0)
            self._paid.discard(ended.market_id)
            self.summary.windows += 1
            self.summary.pnl_cents += ended.pnl_cents
            resolution: Any = ended.resolution
            self._strategy.settled(ended.symbol, resolution, ended.pnl_cents)
            self._on_step(Ended(ended.symbol, resolution, ended.pnl_cents, self._live.cash_cents))
        return None

    # ---- a decision ----

    async def _decide(self) -> None:
        live, market = self._live, self._live.market
        assert market is not None, "a decision is due only while a market is open"
        view = view_of(live, market)
        self._market_id, self._decided_ms, self._decided_book = market.id, view.now_ms, live.book.seq
        self._filled = False
        actions = tuple(self._strategy.decide(view))
        outcomes: list[Outcome] = []
        async with contextlib.aclosing(self._hands.carry_out(market, actions)) as told:
            async for outcome in told:
                outcomes.append(outcome)
                self._strategy.told(outcome)
        self.summary.decisions += 1
        self.summary.actions += len(actions)
        self.summary.declined += sum(not outcome.ok for outcome in outcomes)
        self._on_step(Decided(view, actions, tuple(outcomes)))
        if actions:
            with contextlib.suppress(Stale):  # if there was a cut, nothing is decided before all is known again
                await live.caught_up(self._hands.seq)
        else:
            await asyncio.sleep(0)  # a strategy that is always due must not stop the stream


def view_of(live: LiveVenue, market: Market) -> Snapshot:
    """What a strategy sees of the OPEN `market`, as a simulation shows it: one moment, all of it in plain integers."""
    now_ms, book, held = live.now_ms(), live.book, live.position
    reference, history = live.reference, tuple(live.reference_history)
    price_cents, age_ms = reference.price_cents, reference.age_ms
    if price_cents is None and history:  # the venue shows no price that is too old to act on; a view does, with its age
        price_cents, age_ms = history[-1][1], max(0, now_ms - history[-1][0])
    return Snapshot(
        now_ms=now_ms,
        market=market.symbol,
        open_at_ms=market.open_at_ms,
        close_at_ms=market.close_at_ms,
        limits=limits_of(market),
        strike_cents=market.reference.open_price_cents,
        halted=market.halted,
        frozen=live.frozen,
        bids=tuple(book.bids),
        asks=tuple(book.asks),
        last_trade_price=live.last_trade_price,
        reference_cents=price_cents,
        reference_age_ms=age_ms,
        reference_history=history,
        net_qty=held.net_qty,
        cash_flow_cents=held.cash_flow_cents,
        cash_cents=live.cash_cents,
        free_cash_cents=live.free_cash_cents,
        orders=_resting(live, [order for order in live.orders.values() if order.market_id == market.id]),
    )


def _resting(live: LiveVenue, orders: Sequence[Order]) -> Mapping[str, OwnOrder]:
    found = {}
    for order in orders:
        assert order.price is not None, "what rests has a price"
        found[order.order_id] = OwnOrder(
            order.order_id,
            order.side,
            order.price,
            order.qty,
            order.remaining_qty,
            order.client_order_id,
            live.quote_id_of(order.order_id),
        )
    return found


def limits_of(market: Market) -> Limits:
    """The bounds a market was listed with."""
    risk, fees, geometry = market.risk, market.fees, market.geometry
    return Limits(
        max_order_qty=risk.max_order_qty,
        max_order_notional_cents=risk.max_order_notional_cents,
        position_cap=risk.position_cap,
        open_orders_per_market=risk.open_orders_per_market or 0,
        fat_finger_distance=risk.fat_finger_distance,
        fat_finger_multiple=risk.fat_finger_multiple,
        reference_max_age_ms=risk.reference_max_age_ms,
        taker_rate_bps=fees.taker_rate_bps,
        maker_rebate_bps=fees.maker_rebate_bps,
        price_min=geometry.price_min,
        price_max=geometry.price_max,
        payout_cents=geometry.payout,
    )


async def _cancel_all(client: AsyncClient, live: LiveVenue) -> int:
    """Cancel what rests, over the socket, else by request; how many orders that were. Gives up without a word: the
    venue may be gone, or the key."""
    with contextlib.suppress(ClientError, TimeoutError):
        async with asyncio.timeout(CLEAN_UP_S):
            try:
                done = await live.cancel_all()
            except ClientError:
                done = await client.cancel_all()
            ended = [order for order in done.results if isinstance(order, Order)]
            await live.caught_up(max((order.seq for order in ended), default=0), timeout_s=1.0)
            return done.cancelled
    return 0
