"""LiveVenue: the venue as one agent sees it, always current, over one stream.

    async with LiveVenue(client) as live:
        await live.synced()
        while True:
            await live.changed()
            if live.fresh and live.market is not None and live.book.best_ask is not None: ...

It follows the windows by itself: the books of the OPEN market and of the pre-listed one are subscribed to, those of
ended ones dropped. While `fresh` is false (silence, a gap, a reconnect) what it shows is what was last known. After a
reconnect it begins with new snapshots, and looks up what happened to the own account meanwhile, so that whoever
listens for fills and settlements hears of each exactly once. Must not know strategies.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from raeth.client.book import LocalBook
from raeth.client.channels import Event
from raeth.client.errors import ClientError, Disconnected, Stale, VenueError
from raeth.client.mirror import Fact, Holding, Mirror, Settled
from raeth.client.missed import Missed
from raeth.client.models import Market, Order, Reference, epoch_ms
from raeth.client.orders import Levels, MarketRef
from raeth.client.over_socket import SocketOrderEntry
from raeth.client.reckoning import HISTORY_MS, LiveReference, Reckoning
from raeth.client.stream import Stream

if TYPE_CHECKING:
    from raeth.client.client import AsyncClient

MARKETS, FEED, VENUE = "markets", "feed.btc", "venue"

QUOTES_REMEMBERED = 10_000
"""Orders of which it is remembered which quote they belong to."""

HELD_MAX = 10_000
"""Facts kept back while earlier ones are looked up; beyond that the order is given up."""

TRY_AGAIN_S = 1.0


class LiveVenue(SocketOrderEntry):
    """An agent's view of the venue, kept by one stream, with the methods of order entry over that stream.

    Without a key only what is public is kept. `options` are those of `Stream`. Use it as an async context manager.
    """

    def __init__(self, client: AsyncClient, **options: Any) -> None:
        self.client = client
        self.stream = Stream(client, sink=self, **options)
        super().__init__(self.stream._transport, client.patience_s, client.raise_on_reject, client._ids, client._clock)
        self.stream.on_ts = self._note_ts
        self.mirror = Mirror()
        """Own orders, positions and cash."""
        self.markets: dict[str, Market] = {}
        """Live windows (PENDING, OPEN, EXPIRED) by id, as the venue last told of them."""
        self.frozen = False
        self.version = 0
        """Rises with every change."""
        self.reference_history: deque[tuple[int, int]] = deque()
        """`(ts_ms, price_cents)`, oldest first: the last 300 s of venue time."""
        self._books: dict[str, LocalBook] = {}
        self._last_trades: dict[str, int] = {}
        self._quote_ids: dict[str, str] = {}
        self._reference: Reference | None = None
        self._reckoning = Reckoning(lambda: client._clock.speed)
        self._private: str | None = None
        self._missed = Missed(client)
        self._recovering = 0
        self._held: deque[Fact] = deque()
        self._listeners: list[Callable[[Fact], None]] = []
        self._bell = asyncio.Event()
        self._follow_bell = asyncio.Event()
        self._seen_version = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- life ----

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Connect and subscribe. Raises Disconnected or VenueError."""
        try:
            await self.client._clock.measure()
            if self.client.api_key is not None:
                agent_id = self.client.agent_id or (await self.client.account()).agent_id
                self._private = f"private.{agent_id}"
                await self._missed.begin()
            await self.stream.connect()
            if self._private is not None:
                await self.stream.subscribe(self._private, resume=False)
            await self.stream.subscribe(MARKETS, FEED, VENUE)
            self._in_background(self._follow())
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """End the stream. What is known stays readable, and is no longer fresh. Idempotent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.stream.aclose()

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.stream.failed(
                error if isinstance(error, ClientError) else ClientError(f"{type(error).__name__}: {error}")
            )

    # ---- what is known ----

    @property
    def fresh(self) -> bool:
        """Whether all of this is as the venue last told it, and nothing is missing."""
        essential = [MARKETS, FEED, VENUE]
        if self._private is not None:
            essential.append(self._private)
        market = self.market
        if market is not None:
            if market.id not in self._books or not self._books[market.id].synced:
                return False
            essential.append(f"book.{market.id}")
        return all(self.stream.synced(channel) for channel in essential)

    @property
    def market(self) -> Market | None:
        """The OPEN market; it may be halted. None in the instant between two windows, and on a venue that has just
        started."""
        return min((m for m in self.markets.values() if m.status == "OPEN"), key=_by_open, default=None)

    @property
    def next_market(self) -> Market | None:
        """The pre-listed market that opens next."""
        return min((m for m in self.markets.values() if m.status == "PENDING"), key=_by_open, default=None)

    @property
    def book(self) -> LocalBook:
        """The book of the OPEN market; an empty one while there is none."""
        market = self.market
        found = self._books.get(market.id) if market is not None else None
        return found if found is not None else LocalBook(market.id if market is not None else "")

    @property
    def last_trade_price(self) -> int | None:
        """Of the OPEN market."""
        market = self.market
        return None if market is None else self._last_trades.get(market.id, market.last_trade_price)

    @property
    def reference(self) -> LiveReference:
        """The newest reference price, and how old it is now."""
        return LiveReference.of(self._reference, self.now_ms())

    @property
    def orders(self) -> dict[str, Order]:
        """Own open orders by id. Read-only."""
        return self.mirror.orders

    @property
    def positions(self) -> dict[str, Holding]:
        """Own positions in unresolved markets by market id. Read-only."""
        return self.mirror.positions

    @property
    def position(self) -> Holding:
        """In the OPEN market; an empty one where there is none."""
        market = self.market
        return self.mirror.position(market.id) if market is not None else Holding("", "")

    @property
    def cash_cents(self) -> int:
        """Settled cash."""
        return self.mirror.cash_cents

    @property
    def free_cash_cents(self) -> int:
        """Settled cash less collateral."""
        return self.mirror.free_cash_cents

    @property
    def seq(self) -> int:
        """The newest journal sequence number heard of."""
        return self.stream.seq

    def now_ms(self) -> int:
        """Venue time in epoch milliseconds, reckoned from what the venue tells. Behind by the way here."""
        return self._reckoning.now_ms(time.monotonic())

    def quote_id_of(self, order_id: str) -> str | None:
        """The quote an order belongs to, if it was put through this object."""
        return self._quote_ids.get(order_id)

    # ---- waiting ----

    async def changed(self, since: int | None = None) -> int:
        """Wait until something has changed; many changes at once wake once. Returns `version`.

        Without `since`: since this method last returned; several consumers pass the version they have seen. Raises what
        ended the stream."""
        seen = self._seen_version if since is None else since
        while self.version <= seen:
            self.check_stream()
            self._bell.clear()
            await self._bell.wait()
        if since is None:
            self._seen_version = self.version
        return self.version

    async def synced(self, timeout_s: float | None = None) -> None:
        """Wait until `fresh`. Raises Stale after `timeout_s` real seconds, or what ended the stream."""
        version = self.version
        try:
            async with asyncio.timeout(timeout_s):
                while not self.fresh:
                    self.check_stream()
                    version = await self.changed(version)
        except TimeoutError:
            raise Stale(f"not current within {timeout_s:g} s: {self.stream.why}") from None

    async def caught_up(self, seq: int, timeout_s: float = 5.0) -> None:
        """Wait until the own account is as of `seq` or later: with `order.seq` of an answer, until `orders` and
        `positions` show it. Raises Stale."""
        version = self.version
        try:
            async with asyncio.timeout(timeout_s):
                while self.mirror.seq < seq:
                    self.check_stream()
                    version = await self.changed(version)
        except TimeoutError:
            raise Stale(f"own events up to {seq} did not come within {timeout_s:g} s") from None

    def listen(self, listener: Callable[[Fact], None]) -> None:
        """Have every own Order, Fill, LedgerEntry and Settled told, in the order in which they happened. Fills and
        Settled are told exactly once, also those of a time without a connection; the others only as they come."""
        self._listeners.append(listener)

    def check_stream(self) -> None:
        """Raises what ended the stream, or Disconnected when it was never opened."""
        self.stream.check_stream()

    def _ring(self) -> None:
        self.version += 1
        self._bell.set()

    # ---- what the stream tells ----

    def freshness(self, fresh: bool) -> None:
        """See `Sink`."""
        if not self.stream.connected:
            for book in self._books.values():
                book.lost()
        self._ring()

    def take(self, event: Event) -> None:
        """See `Sink`."""
        fact = None
        try:
            fact = self._take(event)
        except (msgspec.ValidationError, KeyError, TypeError, ValueError):
            self.stream.resync(event.channel)  # a message that breaks its form: begin anew
        if fact is not None:
            self._learn(fact)
        self._ring()

    def _take(self, event: Event) -> Fact | None:
        kind, _, market_id = event.channel.partition(".")
        if event.type == "ended":
            self._books.pop(market_id, None)
            self._follow_bell.set()
        elif kind == "book":
            self._take_book(event, market_id)
        elif kind == "trades":
            trades = event.data["trades"][:1] if event.type == "snapshot" else [event.data]
            for trade in trades:
                self._last_trades[market_id] = trade["price"]
        elif event.channel == self._private:
            return self._take_private(event)
        elif event.channel == MARKETS:
            self._take_markets(event)
        elif event.channel == FEED:
            self._take_reference(event)
        elif event.channel == VENUE:
            if event.type == "snapshot":
                self.frozen = event.data["frozen"]
            elif event.data["event"] in ("FROZEN", "UNFROZEN"):
                self.frozen = event.data["event"] == "FROZEN"
        return None

    def _take_book(self, event: Event, market_id: str) -> None:
        book = self._books.get(market_id)
        if book is None:
            return
        if event.type == "snapshot":
            book.snapshot(event.data, event.seq)
        else:
            book.delta(event.data, event.seq)
        if book.crossed:
            book.lost()
            self.stream.resync(event.channel)

    def _take_private(self, event: Event) -> Fact | None:
        if event.type != "snapshot":
            return self.mirror.event(event.data, event.seq)
        again, before = self.mirror.synced, list(self.mirror.touched)
        self.mirror.snapshot(event.data, event.seq)
        if again and self._listeners:
            self._recovering += 1
            self._in_background(self._recover(self._missed.count, before))
        return None

    def _learn(self, fact: Fact) -> None:
        """Tell what came over the stream; behind what happened before it, while that is still being looked up."""
        if self._recovering:
            self._held.append(fact)
            if len(self._held) <= HELD_MAX:
                return
            fact = self._held.popleft()
        self._tell(fact)

    def _tell(self, fact: Fact) -> None:
        if not self._missed.is_news(fact):
            return
        if isinstance(fact, Settled):
            self.mirror.touched.pop(fact.market_id, None)
        if isinstance(fact, Order) and not fact.is_open:
            self._quote_ids.pop(fact.order_id, None)
        for listener in self._listeners:
            listener(fact)

    def _take_markets(self, event: Event) -> None:
        told = event.data["items"] if event.type == "snapshot" else [event.data["market"]]
        markets = msgspec.convert(told, list[Market])
        if event.type == "snapshot":
            self.markets = {}
        for market in markets:
            if market.status in ("PENDING", "OPEN", "EXPIRED"):
                self.markets[market.id] = market
            else:
                self.markets.pop(market.id, None)
        self._follow_bell.set()

    def _take_reference(self, event: Event) -> None:
        self._reference = msgspec.convert(event.data, Reference)
        if event.type == "snapshot":
            self._in_background(self._fill_history())
        elif self._reference.price_cents is not None:
            self.reference_history.append((epoch_ms(event.ts), self._reference.price_cents))
            while self.reference_history[0][0] < self.reference_history[-1][0] - HISTORY_MS:
                self.reference_history.popleft()

    def _note_ts(self, ts: str) -> None:
        self._reckoning.note(epoch_ms(ts), time.monotonic())

    # ---- keeping up ----

    async def _follow(self) -> None:
        """Subscribe to the books of the open window and the next, and let go of the others."""
        while True:
            self._follow_bell.clear()
            wanted = [market.id for market in (self.market, self.next_market) if market is not None]
            try:
                await self._drop(market_id for market_id in list(self._books) if market_id not in wanted)
                for market_id in wanted:
                    if market_id not in self._books:
                        self._books[market_id] = LocalBook(market_id)
                        await self.stream.subscribe(f"book.{market_id}", f"trades.{market_id}")
            except (Disconnected, VenueError):
                self.check_stream()
                for market_id in wanted:
                    if f"book.{market_id}" not in self.stream.channels:
                        self._books.pop(market_id, None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TRY_AGAIN_S):
                        await self._follow_bell.wait()
                continue
            self._ring()
            await self._follow_bell.wait()

    async def _drop(self, market_ids: Iterable[str]) -> None:
        for market_id in market_ids:
            self._books.pop(market_id, None)
            self._last_trades.pop(market_id, None)
            await self.stream.unsubscribe(f"book.{market_id}", f"trades.{market_id}")

    async def _recover(self, count: int, before: list[str]) -> None:
        """Tell the fills and settlements that happened without a connection."""
        while True:
            await self.synced()  # else an ended window may still look like a live one
            try:
                facts = await self._missed.since(
                    count, before, lambda: self.mirror.positions.keys() | self.markets.keys()
                )
                break
            except (Disconnected, VenueError):
                self.check_stream()
                await asyncio.sleep(TRY_AGAIN_S)
        self._recovering -= 1
        for fact in facts:
            self._tell(fact)
        while self._held and not self._recovering:
            self._tell(self._held.popleft())
        self._ring()

    async def _fill_history(self) -> None:
        """The reference prices of the last 300 s, from when nobody listened."""
        try:
            points = (await self.client.reference_history(HISTORY_MS // 1000)).items
        except (Disconnected, VenueError):
            return
        known = {**{point.ts_ms: point.price_cents for point in points}, **dict(self.reference_history)}
        self.reference_history = deque(sorted(known.items()))
        self._ring()

    # ---- order entry ----

    async def put_quotes(
        self, market: MarketRef, quote_id: str, bids: Levels = (), asks: Levels = ()
    ) -> tuple[Order, ...]:
        """See `OrderEntry.put_quotes`. `quote_id_of` knows the orders of the answer from then on."""
        orders = await super().put_quotes(market, quote_id, bids, asks)
        for order in orders:
            if order.is_open:
                self._quote_ids[order.order_id] = quote_id
        while len(self._quote_ids) > QUOTES_REMEMBERED:
            del self._quote_ids[next(iter(self._quote_ids))]
        return orders


def _by_open(market: Market) -> str:
    return market.open_at
