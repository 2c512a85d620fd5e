"""What the public channels say: books by price, books by order, trades, windows, the feed, the venue.

A topic is rendered once and encoded once for each name its channel goes by (a market has two, UUID and symbol).
Snapshots are made from settled state at the hub's `seq`, so the next event follows it without a gap. Must not know who
listens, credentials or sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from raeth.api.streams.wire import Message
from raeth.api.views import markets as show
from raeth.api.views.names import Names, iso
from raeth.engine.ids import seq_of
from raeth.engine.state import Market, State
from raeth.engine.types import BUY, PAYOUT, SELL, SIDES, Order
from raeth.store.rows import TradeRow

if TYPE_CHECKING:
    from raeth.store.queries import Store

encode: Final = msgspec.json.Encoder().encode

SNAPSHOT: Final = "snapshot"
DELTA: Final = "delta"
EVENT: Final = "event"

TRADES_SHOWN: Final = 50


class Reader(Protocol):
    """Whoever listens. Only `drained` waits, and only its own past waits for it."""

    @property
    def listens_to(self) -> int:
        """How many channels."""
        ...

    def push(self, message: Message) -> None:
        """Take one event, or part with the venue if too much is unread."""
        ...

    def cut(self, reason: str) -> None:
        """Part: say that the reader must start over, and why."""
        ...

    def depart(self) -> None:
        """The venue is going down."""
        ...

    def key_revoked(self, key_id: str) -> None:
        """Part if that was the key the reader came in with."""
        ...

    @property
    def at_ease(self) -> bool:
        """Most of what was pushed is on its way: there is room for more."""
        ...

    async def drained(self) -> None:
        """Return once most of what was pushed is on its way."""
        ...


class Channel:
    """One topic under one name. `number` is the `channel_seq` of the last event."""

    __slots__ = ("_head", "number", "readers")

    def __init__(self, name: str) -> None:
        self._head = b'{"channel":' + encode(name) + b',"type":"'
        self.number = 0
        self.readers: dict[Reader, None] = {}

    def message(self, kind: str, seq: int, ts: int, data: bytes, resume: tuple[int, int] | None = None) -> Message:
        """The event under the channel's present number."""
        rest = b'%s","channel_seq":%d,"seq":%d,"ts":"%s","data":' % (
            kind.encode(),
            self.number,
            seq,
            iso(ts).encode(),
        )
        return Message(self._head + rest + data + b"}", kind, resume)

    def publish(self, kind: str, seq: int, ts: int, data: bytes, resume: tuple[int, int] | None = None) -> None:
        self.number += 1
        message = self.message(kind, seq, ts, data, resume)
        for reader in tuple(self.readers):
            reader.push(message)

    def snapshot(self, reader: Reader, seq: int, ts: int, data: bytes) -> None:
        """Bring one reader to where the channel is."""
        reader.push(self.message(SNAPSHOT, seq, ts, data))


class Topic:
    """What may be listened to. `channels` are the names somebody listens under, `joining` counts readers on their way
    in: what happens before they are there must not be missed."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.joining = 0

    def publish(self, kind: str, seq: int, ts: int, data: bytes) -> None:
        for channel in tuple(self.channels.values()):
            channel.publish(kind, seq, ts, data)

    def join(self, name: str, reader: Reader) -> Channel:
        """Listen under `name` from the next event on."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(name)
        channel.readers[reader] = None
        return channel

    def leave(self, name: str, reader: Reader) -> None:
        """Harmless when nobody listened."""
        channel = self.channels.get(name)
        if channel is not None:
            channel.readers.pop(reader, None)
            if not channel.readers:
                del self.channels[name]

    @property
    def deserted(self) -> bool:
        return not self.channels and not self.joining


class BookTopic(Topic):
    """Levels by price. Changes are gathered and told as new totals, at most once in the hub's interval."""

    def __init__(self, names: Names, market: int) -> None:
        super().__init__()
        self._market = names.uuid(market)
        self._names = names
        self.id = market
        self.touched: set[tuple[int, int]] = set()
        self._changed: tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]] = ({}, {})
        self._at = (0, 0)

    def gather(self, market: Market | None, seq: int, ts: int) -> None:
        """Note the new totals of what was touched, while the state is that of `seq`."""
        for side, price in self.touched:
            level = price if side == BUY else PAYOUT - price
            book = market.book if market is not None else None
            self._changed[side][price] = (book.depth[side][level], len(book.levels[side][level])) if book else (0, 0)
        self.touched.clear()
        self._at = (seq, ts)

    def flush(self) -> None:
        """Tell what has been gathered."""
        bids, asks = self._changed
        if not bids and not asks:
            return
        self._changed = ({}, {})
        body = {"market_id": self._market, "bids": _rows(bids), "asks": _rows(asks)}
        self.publish(DELTA, *self._at, encode(body))

    def now(self, state: State) -> bytes:
        """The whole book. What was gathered before it is told first, so that nobody is told twice."""
        self.flush()
        return encode(show.book_body(self._names, state, self.id, state.markets.get(self.id), PAYOUT))


def _rows(levels: dict[int, tuple[int, int]]) -> list[tuple[int, int, int]]:
    return [(price, *total) for price, total in levels.items()]


Change = tuple[str, str, int, int]
"""`(order_id, side, price, remaining)`; 0 remaining: gone."""


class OrdersTopic(Topic):
    """The book by order, without names: what an order book is rebuilt from exactly. One delta a command."""

    def __init__(self, names: Names, market: int) -> None:
        super().__init__()
        self._names = names
        self._market = names.uuid(market)
        self.id = market
        self.changes: list[Change] = []

    def note(self, order_id: int, side: int, price: int | None, remaining: int) -> None:
        assert price is not None, "what rests has a price"
        self.changes.append((self._names.uuid(order_id), SIDES[side], price, remaining))

    def flush(self, seq: int, ts: int) -> None:
        changes, self.changes = self.changes, []
        self.publish(DELTA, seq, ts, encode({"market_id": self._market, "changes": changes}))

    def now(self, state: State) -> bytes:
        market = state.markets.get(self.id)
        body = {"market_id": self._market, "seq": state.seq, "ts": iso(state.ts)}
        for side, name in ((BUY, "bids"), (SELL, "asks")):
            orders: Iterable[Order] = market.book.orders(side) if market is not None else ()
            body[name] = [(self._names.uuid(o.id), o.price, o.remaining) for o in orders]
        return encode(body)


class TradesTopic(Topic):
    """Trades of one market. `recent` holds the last ones, oldest first, once `load` has brought the older of them."""

    def __init__(self, names: Names, market: int) -> None:
        super().__init__()
        self._names = names
        self.id = market
        self.recent: deque[TradeRow] = deque(maxlen=TRADES_SHOWN)
        self.loaded = False
        self._newest = 0

    async def load(self, store: Store) -> None:
        """Bring in what was traded before anybody listened."""
        if self.loaded:
            return
        older = (await store.market_trades(self.id, limit=TRADES_SHOWN)).items
        known = {trade.trade_id: trade for trade in (*older, *self.recent)}
        self.recent = deque((known[trade_id] for trade_id in sorted(known)), maxlen=TRADES_SHOWN)
        self._newest = self.recent[-1].trade_id if self.recent else 0
        self.loaded = True

    @property
    def newest_seq(self) -> int:
        """The command of the newest trade in `recent`; 0 when there is none."""
        return seq_of(self._newest)

    def forget(self) -> None:
        """Something may have been missed: `load` again."""
        self.recent.clear()
        self.loaded = False
        self._newest = 0

    def tell(self, trade: TradeRow, seq: int, ts: int) -> None:
        if trade.trade_id > self._newest:  # else it was in the tables before this node had heard of it
            self.recent.append(trade)
            self._newest = trade.trade_id
        if self.channels:
            self.publish(EVENT, seq, ts, encode(show.trade_body(self._names, trade)))

    def now(self) -> bytes:
        trades: list[Any] = [show.trade_body(self._names, trade) for trade in reversed(self.recent)]
        return encode({"market_id": self._names.uuid(self.id), "trades": trades})
