"""The hub: hears every committed command once, and tells whoever listens.

It is the sequencer's listener, so all it hears is durable. Only what somebody listens to is rendered, and each event is
encoded once for each name of its channel, however many listen. Private events of a command are told before its public
ones. If a command was missed (the journal failed, and what became of it was only known later), everybody is told to
start over; if one agent's event cannot be told, who listens to that agent. Must not know credentials, frames or
requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from raeth.api.streams.people import Places
from raeth.api.streams.private import Listener, Nameless, PrivateTopic, agents_of
from raeth.api.streams.topics import (
    EVENT,
    BookTopic,
    OrdersTopic,
    Reader,
    Topic,
    TradesTopic,
    encode,
)
from raeth.api.streams.wire import Message, Outbox
from raeth.api.views import markets as show
from raeth.api.views.leaderboard import first_page
from raeth.api.views.names import iso
from raeth.engine import events as ev
from raeth.engine.state import State
from raeth.engine.types import BUY, OPEN, SELL, VOID
from raeth.errors import Code, RaethError
from raeth.store.rows import TradeRow

if TYPE_CHECKING:
    from raeth.api.venue import Venue
    from raeth.sequencer import Committed

log = structlog.get_logger("raeth.api.streams")

HEARTBEAT_S: Final = 5.0

ANSWERS_FIRST_S: Final = 0.001
"""Whoever placed the orders of a batch hears of them before many readers of the book do."""

ALIGN_S: Final = 0.002
ALIGN_TRIES: Final = 1_000
"""How often, and how many times, a snapshot looks whether the hub has told all that is durable."""

SYMBOLS_KEPT: Final = 64
"""Ended markets whose names are still at hand; events name a market no later than its settlement."""

Key = TypeVar("Key")
T = TypeVar("T", bound=Topic)


class Hub:
    """All channels of one process. `seq` and `ts` are those of the last command that was told."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        sequencer = venue.sequencer
        self.seq = sequencer.durable_seq
        self.ts = sequencer.state.ts
        self.symbols = {market.id: market.symbol for market in sequencer.state.markets.values()}
        self.readers: dict[Reader, None] = {}
        self.books: dict[int, BookTopic] = {}
        self.orders: dict[int, OrdersTopic] = {}
        self.trades: dict[int, TradesTopic] = {}
        self.privates: dict[int, PrivateTopic] = {}
        self.markets, self.feed, self.board, self.notices = Topic(), Topic(), Topic(), Topic()
        self.places = Places(venue)
        self.outbox = Outbox()
        """Replies; those of a batch leave before its events."""
        self.cut_off = 0
        """Readers that could not keep up."""
        self._departing = False
        self._interval_s = venue.settings.limits.book_interval_ms / 1000
        self._flushing: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._lane: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        sequencer.listeners.append(self.hear)

    # ---- life ----

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._beat(), name="heartbeat"),
                asyncio.create_task(self._work(), name="stream lane"),
            ]

    async def stop(self) -> None:
        """Stop telling. Harmless the second time."""
        tasks, self._tasks = self._tasks, []
        if self._flushing is not None:
            self._flushing.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def depart(self) -> None:
        """The process is about to end: readers that would keep it waiting go now."""
        self._departing = True
        for reader in tuple(self.readers):
            reader.depart()

    def enter(self, reader: Reader) -> None:
        """A reader that will get heartbeats from now on."""
        self._start()
        self.readers[reader] = None
        if self._departing:
            reader.depart()

    @property
    def subscriptions(self) -> int:
        """Channels that all readers together listen to."""
        return sum(reader.listens_to for reader in self.readers)

    def leave(self, reader: Reader) -> None:
        self.readers.pop(reader, None)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            venue = self.venue
            now = venue.clock.now_ms()
            age = venue.reference.current(now).age_ms
            message = Message(
                encode({"type": "heartbeat", "ts": iso(now), "seq": self.seq, "reference_age_ms": age}), "heartbeat"
            )
            for reader in tuple(self.readers):
                reader.push(message)

    async def _work(self) -> None:
        """What needs the tables, one after the other, so that channels keep their order."""
        while True:
            job = await self._lane.get()
            try:
                await job()
            except Exception:
                log.exception("a channel could not be told")
                self.resync("the venue could not read its tables")

    # ---- what readers use ----

    async def aligned(self) -> State:
        """The settled state, with all of it told. Use it before the next await. Raises SERVICE_DEGRADED."""
        for _ in range(ALIGN_TRIES):
            state = await self.venue.sequencer.settled()
            if self.seq == state.seq:
                return state
            await asyncio.sleep(ALIGN_S)
        raise RaethError(Code.SERVICE_DEGRADED)

    def resync(self, reason: str) -> None:
        """Part with everybody: what they hold may be behind without a way to tell."""
        for reader in tuple(self.readers):
            reader.cut(reason)

    def book(self, market: int) -> BookTopic:
        return _of(self.books, market, lambda: BookTopic(self.venue.names, market))

    def by_order(self, market: int) -> OrdersTopic:
        return _of(self.orders, market, lambda: OrdersTopic(self.venue.names, market))

    def traded(self, market: int) -> TradesTopic:
        return _of(self.trades, market, lambda: TradesTopic(self.venue.names, market))

    def listen(self, agent: int, listener: Listener, state: State) -> None:
        """Tell `listener` what happens to `agent` from the next command on. `state` is aligned."""
        topic = self.privates.get(agent)
        if topic is None:
            topic = self.privates[agent] = PrivateTopic(self.venue.names, self.symbols, agent, state)
        topic.listeners.append(listener)

    def unlisten(self, agent: int, listener: Listener) -> None:
        topic = self.privates.get(agent)
        if topic is not None and listener in topic.listeners:
            topic.listeners.remove(listener)
            if not topic.listeners:
                del self.privates[agent]

    def part(self, topic: Topic, name: str, reader: Reader) -> None:
        """End a subscription."""
        topic.leave(name, reader)
        self.forget(topic)

    def forget(self, topic: Topic) -> None:
        """Let go of a market's topic if nobody listens to it any more."""
        if topic.deserted and isinstance(topic, BookTopic | OrdersTopic | TradesTopic):
            every: tuple[dict[int, Any], ...] = (self.books, self.orders, self.trades)
            for topics in every:
                if topics.get(topic.id) is topic:
                    del topics[topic.id]

    def in_lane(self, job: Callable[[], Awaitable[None]]) -> None:
        """Do `job` after what the slow channels have yet to tell."""
        self._lane.put_nowait(job)

    # ---- hearing ----

    def hear(self, facts: list[Committed]) -> None:
        """The sequencer's listener: the state is that of the last fact, and all of it is durable."""
        self.outbox.flush()
        if facts[0].seq <= self.seq:
            facts = [fact for fact in facts if fact.seq > self.seq]
        if not facts:
            return
        missed = facts[0].seq != self.seq + 1
        self.seq, self.ts = facts[-1].seq, facts[-1].ts
        if missed:
            self._start_over("the venue recovered from a failure of its journal")
        try:
            self._tell(facts)
        except Exception:
            log.exception("an event could not be told", seq=self.seq)
            self._start_over("the venue could not tell what happened")

    def _start_over(self, reason: str) -> None:
        """Nothing gathered so far can be built upon: part with everybody, and begin anew from the state."""
        self.resync(reason)
        self.privates.clear()
        self.books.clear()
        self.orders.clear()
        for topic in self.trades.values():
            topic.forget()
        self.symbols.update({m.id: m.symbol for m in self.venue.sequencer.state.markets.values()})

    def _tell(self, facts: list[Committed]) -> None:
        for fact in facts:
            for event in fact.events:
                handler = _HANDLERS.get(type(event))
                if handler is not None:
                    if self.privates:
                        self._tell_privately(fact, event)
                    handler(self, fact, event)
            for topic in tuple(self.orders.values()):
                if topic.changes:
                    topic.flush(fact.seq, fact.ts)
        self._gather_books()

    def _tell_privately(self, fact: Committed, event: ev.Event) -> None:
        agents = agents_of(event)
        for agent in tuple(self.privates) if agents is None else agents:
            topic = self.privates.get(agent)
            if topic is None:
                continue
            try:
                topic.hear(fact.seq, fact.ts, event)
            except Nameless as ended:  # a replay has the time to ask the tables
                log.info("an ended market's name is not at hand", seq=fact.seq, market=ended.args[0])
                self._lose(agent, topic)
            except Exception:
                log.exception("an agent's event could not be told", seq=fact.seq)
                self._lose(agent, topic)

    def _lose(self, agent: int, topic: PrivateTopic) -> None:
        """Half of an event is told: who listens to this agent resumes from the journal, and nobody else notices."""
        del self.privates[agent]
        topic.cut("an event could not be told; resume from the last seq")

    def _gather_books(self) -> None:
        markets = self.venue.sequencer.state.markets
        found = False
        for topic in self.books.values():
            if topic.touched:
                topic.gather(markets.get(topic.id), self.seq, self.ts)
                found = True
        if found and self._flushing is None:
            loop = asyncio.get_running_loop()
            due = max(loop.time() + ANSWERS_FIRST_S, self._flushed_at + self._interval_s)
            self._flushing = loop.call_at(due, self._flush_books)

    def _flush_books(self) -> None:
        self._flushing = None
        self._flushed_at = asyncio.get_running_loop().time()
        for topic in tuple(self.books.values()):
            topic.flush()

    # ---- events ----

    def _touch(self, market: int, side: int, price: int | None, order_id: int, remaining: int) -> None:
        """An order at a level is now this large; 0 is gone."""
        assert price is not None, "what rests has a price"
        book = self.books.get(market)
        if book is not None:
            book.touched.add((side, price))
        orders = self.orders.get(market)
        if orders is not None:
            orders.note(order_id, side, price, remaining)

    def _placed(self, _fact: Committed, event: ev.OrderPlaced) -> None:
        order = event.order
        if order.remaining:
            self._touch(order.market, order.side, order.price, order.id, order.remaining)

    def _ended(self, _fact: Committed, event: Any) -> None:
        order = event.order
        self._touch(order.market, order.side, order.price, order.id, order.remaining)

    def _amended(self, _fact: Committed, event: ev.OrderAmended) -> None:
        order = event.order
        self._touch(order.market, order.side, event.was_price, order.id, 0)
        if order.remaining:
            self._touch(order.market, order.side, order.price, order.id, order.remaining)

    def _traded(self, fact: Committed, event: ev.Traded) -> None:
        maker_side = SELL if event.taker_side == BUY else BUY
        self._touch(event.market, maker_side, event.price, event.maker_order, event.maker_remaining)
        trades = self.trades.get(event.market)
        if trades is not None:
            trade = TradeRow(event.trade_id, event.price, event.qty, event.taker_side, event.ts)
            trades.tell(trade, fact.seq, fact.ts)

    def _listed(self, fact: Committed, event: ev.MarketListed) -> None:
        self.symbols[event.market] = event.symbol
        if len(self.symbols) > SYMBOLS_KEPT:
            del self.symbols[next(iter(self.symbols))]
        self._market("PENDING", fact, event.market)

    def _printed(self, fact: Committed, event: ev.Printed) -> None:
        for market in (event.closes, event.opens):
            if market is not None:
                self._market("PRINTED", fact, market)

    def _market(self, change: str, fact: Committed, market_id: int) -> None:
        """Tell what became of a window: as it is now, or from the tables once it has ended."""
        if self.markets.deserted:
            return
        state = self.venue.sequencer.state
        market = state.markets.get(market_id)
        now = max(self.venue.clock.now_ms(), state.ts)
        body = show.live_market(self.venue.names, state, market, now) if market is not None else None

        async def tell() -> None:
            shown = body
            if shown is None:
                row = await self.venue.store.get_market(market_id)
                assert row is not None, "an ended market that is in no table"
                shown = show.ended_market(self.venue.names, row, now)
            self.markets.publish(EVENT, fact.seq, fact.ts, encode({"change": change, "market": shown}))

        self.in_lane(tell)

    def _resolved(self, fact: Committed, event: ev.MarketResolved) -> None:
        self._market(event.outcome if event.outcome == VOID else "RESOLVED", fact, event.market)
        if not self.board.deserted:

            async def tell() -> None:
                self.board.publish(EVENT, fact.seq, fact.ts, encode(await self.standings()))

            self.in_lane(tell)

    def _index(self, fact: Committed, event: ev.IndexMoved) -> None:
        if self.feed.channels:
            self.feed.publish(EVENT, fact.seq, fact.ts, encode(self.feed_body(event, fact.ts)))

    def _notice(self, name: str, fact: Committed, reason: str | None, message: str | None = None) -> None:
        if self.notices.channels:
            body = {"event": name, "reason": reason, "message": message}
            self.notices.publish(EVENT, fact.seq, fact.ts, encode(body))

    def _key_revoked(self, _fact: Committed, event: ev.KeyRevoked) -> None:
        for reader in tuple(self.readers):
            reader.key_revoked(event.key_id)

    # ---- bodies of the small channels ----

    def feed_body(self, tick: ev.IndexMoved | None, ts: int) -> dict[str, Any]:
        """The reference as `GET /reference/btc` shows it, less its venues: a journaled move, or as of now."""
        reading = self.venue.reference.current(max(ts, self.venue.clock.now_ms()))
        status: str = reading.status
        price, source_ts, age_ms, source = reading.price_cents, reading.source_ts, reading.age_ms, reading.source
        if tick is not None:
            price, source_ts, age_ms = tick.price_cents, tick.source_ts, max(0, ts - tick.source_ts)
            source, status = tick.source, "LIVE"
        return {
            "symbol": show.UNDERLYING,
            "price_cents": price if status != "DOWN" else None,
            "source_ts": iso(source_ts) if source_ts is not None else None,
            "age_ms": age_ms,
            "status": status,
            "source": source,
            "synthetic": reading.synthetic,
            "fair": None,
        }

    async def standings(self) -> dict[str, Any]:
        """The first page of the leaderboard."""
        return await first_page(self.venue)

    def markets_body(self, state: State) -> dict[str, Any]:
        now = max(self.venue.clock.now_ms(), state.ts)
        live = sorted(state.markets.values(), key=show.listing_key)
        return {"items": [show.live_market(self.venue.names, state, market, now) for market in live]}


_HANDLERS: Final[dict[type[ev.Event], Callable[[Hub, Any, Any], None]]] = {
    ev.OrderPlaced: Hub._placed,
    ev.OrderEnded: Hub._ended,
    ev.OrderReduced: Hub._ended,
    ev.OrderAmended: Hub._amended,
    ev.Traded: Hub._traded,
    ev.AmendRejected: lambda hub, fact, event: None,
    ev.CashMoved: lambda hub, fact, event: None,
    ev.AgentSuspended: lambda hub, fact, event: None,
    ev.AgentReinstated: lambda hub, fact, event: None,
    ev.DeadmanSet: lambda hub, fact, event: None,
    ev.DeadmanFired: lambda hub, fact, event: None,
    ev.DeadmanMoved: lambda hub, fact, event: None,
    ev.MarketListed: Hub._listed,
    ev.MarketOpened: lambda hub, fact, event: hub._market(OPEN, fact, event.market),
    ev.MarketExpired: lambda hub, fact, event: hub._market("EXPIRED", fact, event.market),
    ev.MarketHalted: lambda hub, fact, event: hub._market("HALTED", fact, event.market),
    ev.MarketResumed: lambda hub, fact, event: hub._market("RESUMED", fact, event.market),
    ev.Printed: Hub._printed,
    ev.MarketResolved: Hub._resolved,
    ev.IndexMoved: Hub._index,
    ev.VenueFrozen: lambda hub, fact, event: hub._notice("FROZEN", fact, event.reason),
    ev.VenueUnfrozen: lambda hub, fact, event: hub._notice("UNFROZEN", fact, event.reason),
    ev.Announced: lambda hub, fact, event: hub._notice("BROADCAST", fact, None, event.message),
    ev.KeyRevoked: Hub._key_revoked,
}
"""What the hub does with an event. Those that only concern their agent are told privately, and that is all."""


def _of(topics: dict[int, T], market: int, make: Callable[[], T]) -> T:
    topic = topics.get(market)
    if topic is None:
        topic = topics[market] = make()
    return topic
