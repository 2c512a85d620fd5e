"""What one agent is told: its orders, fills, cash and settlements, live and once more from the journal.

Both ways run the same events through the same `Teller`, so a replay says what was said. Events hold copies of orders
except for a maker's fill, which names the order: a teller remembers what its agent has resting, and in a replay looks
up what rested before. Must not know sockets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from raeth.api.streams.topics import EVENT, Channel, Reader, encode
from raeth.api.views import account as show
from raeth.api.views.names import MarketName, Names, iso
from raeth.api.views.orders import declined_amend, order_body
from raeth.engine import codec
from raeth.engine import events as ev
from raeth.engine.state import State
from raeth.engine.types import BUY, FILLED, PARTIALLY_FILLED, SELL, SIDES, Fill, Order, copy_of
from raeth.store.rows import LedgerRow

if TYPE_CHECKING:
    from raeth.api.streams.hub import Hub
    from raeth.journal.base import Row

REPLAY_ROWS: Final = 500
"""Journal rows looked at between two breaths of the event loop."""

HELD_MAX: Final = 10_000
"""Live events kept back for a reader who is still being told the past."""

_SETTLES: Final = b'"MarketResolved"'


class Nameless(Exception):
    """An event names a market that had ended before this node knew of it: its name is in the tables only."""


class Teller:
    """Turns journaled events into what `agent` is told. `symbols` finds the name of a market."""

    def __init__(self, names: Names, symbols: dict[int, str], agent: int) -> None:
        self._names = names
        self.symbols = symbols
        self.agent = agent
        self.resting: dict[int, Order] = {}

    def begin_at(self, state: State) -> None:
        """Remember what rests now."""
        positions = state.agents[self.agent].positions.values()
        self.resting = {order.id: copy_of(order) for position in positions for order in position.orders.values()}

    def tell(self, seq: int, event: ev.Event) -> Iterator[bytes]:
        """What this event of command `seq` means to the agent, as `data` of the channel."""
        kind = _TELLERS.get(type(event))
        if kind is not None:
            for body in kind(self, seq, event):
                yield encode(body)

    # ---- kinds of events ----

    def _market(self, market: int) -> MarketName:
        name = self._names.market(market)
        if name is None:
            symbol = self.symbols.get(market)
            if symbol is None:
                raise Nameless(market)
            name = self._names.learn(market, symbol)
        return name

    def _order(self, order: Order) -> dict[str, Any]:
        name = self._market(order.market) if order.market else None
        return {"kind": "order", "order": order_body(self._names, name, order)}

    def _current(self, _seq: int, event: Any) -> Iterator[dict[str, Any]]:
        order: Order = event.order
        if order.agent != self.agent:
            return
        if order.remaining:
            self.resting[order.id] = copy_of(order)
        else:
            self.resting.pop(order.id, None)
        yield self._order(order)

    def _traded(self, seq: int, event: ev.Traded) -> Iterator[dict[str, Any]]:
        if event.taker_agent == self.agent:
            yield self._fill(event, event.taker_order, event.taker_side, "TAKER", event.taker_fee_cents)
        elif event.maker_agent == self.agent:
            maker_side = SELL if event.taker_side == BUY else BUY
            yield self._fill(event, event.maker_order, maker_side, "MAKER", event.maker_fee_cents)
            order = self.resting[event.maker_order]
            book_fill(order, event, seq)
            if not order.remaining:
                del self.resting[order.id]
            yield self._order(order)

    def _fill(self, event: ev.Traded, order_id: int, side: int, liquidity: str, fee_cents: int) -> dict[str, Any]:
        market = self._market(event.market)
        return {
            "kind": "fill",
            "fill": {
                "trade_id": self._names.uuid(event.trade_id),
                "order_id": self._names.uuid(order_id),
                "market_id": market.uuid,
                "symbol": market.symbol,
                "side": SIDES[side],
                "price": event.price,
                "qty": event.qty,
                "liquidity": liquidity,
                "fee_cents": fee_cents,
                "ts": iso(event.ts),
            },
        }

    def _amend_rejected(self, _seq: int, event: ev.AmendRejected) -> Iterator[dict[str, Any]]:
        order = event.order
        if order.agent == self.agent:
            answer = declined_amend(self._names, self._market(order.market), order, event.reason, event.details)
            yield {"kind": "amend_rejected", "order": answer}

    def _cash(self, seq: int, event: ev.CashMoved) -> Iterator[dict[str, Any]]:
        if event.wallet == self.agent:
            values: tuple[Any, ...] = tuple(_ledger_value(name, seq, event) for name in LedgerRow._fields)
            yield {"kind": "cash", "entry": show.ledger_body(self._names, LedgerRow(*values))}

    def _settled(self, _seq: int, event: ev.MarketResolved) -> Iterator[dict[str, Any]]:
        market = self._market(event.market)
        yield {
            "kind": "settled",
            "market_id": market.uuid,
            "symbol": market.symbol,
            "resolution": event.outcome,
        }

    def _deadman(self, _seq: int, event: Any) -> Iterator[dict[str, Any]]:
        if event.agent != self.agent:
            return
        market = None if event.market is None else self._market(event.market)
        armed_until, word = getattr(event, "armed_until", None), _DEADMAN.get(type(event))
        yield {
            "kind": "deadman",
            "event": word or ("DISARMED" if armed_until is None else "ARMED"),
            "market_id": None if market is None else market.uuid,
            "symbol": None if market is None else market.symbol,
            "armed_until": None if armed_until is None else iso(armed_until),
            "cancelled": getattr(event, "cancelled", None),
        }

    def _standing(self, _seq: int, event: Any) -> Iterator[dict[str, Any]]:
        if event.agent == self.agent:
            word = "SUSPENDED" if isinstance(event, ev.AgentSuspended) else "REINSTATED"
            yield {"kind": "agent", "event": word, "reason": event.reason}


_DEADMAN: Final[dict[type[ev.Event], str]] = {ev.DeadmanFired: "FIRED", ev.DeadmanMoved: "MOVED"}

_TELLERS: Final[dict[type[ev.Event], Any]] = {
    ev.OrderPlaced: Teller._current,
    ev.OrderEnded: Teller._current,
    ev.OrderReduced: Teller._current,
    ev.OrderAmended: Teller._current,
    ev.Traded: Teller._traded,
    ev.AmendRejected: Teller._amend_rejected,
    ev.CashMoved: Teller._cash,
    ev.MarketResolved: Teller._settled,
    ev.AgentSuspended: Teller._standing,
    ev.AgentReinstated: Teller._standing,
    ev.DeadmanSet: Teller._deadman,
    ev.DeadmanFired: Teller._deadman,
    ev.DeadmanMoved: Teller._deadman,
}


def agents_of(event: ev.Event) -> Sequence[int] | None:
    """Whom an event is about: agents' ids, None for everybody."""
    kind = type(event)
    if kind is ev.Traded:
        return event.taker_agent, event.maker_agent  # type: ignore[attr-defined]
    if kind is ev.CashMoved:
        return (event.wallet,)  # type: ignore[attr-defined]
    if kind is ev.MarketResolved:
        return None
    if kind in _TELLERS:
        order = getattr(event, "order", None)
        return (order.agent if order is not None else event.agent,)  # type: ignore[attr-defined]
    return ()


def _ledger_value(name: str, seq: int, event: ev.CashMoved) -> Any:
    return seq if name == "seq" else 0 if name == "n" else getattr(event, name)


def book_fill(order: Order, event: ev.Traded, seq: int) -> None:
    """Bring a resting order to where this fill left it: the event has the order's totals after it."""
    order.fills += (Fill(event.trade_id, event.price, event.qty, "MAKER", event.maker_fee_cents, event.ts),)
    order.remaining = event.maker_remaining
    order.filled = event.maker_filled
    order.notional = event.maker_notional
    order.fee_cents = event.maker_fee_total_cents
    order.qty = event.maker_filled + event.maker_remaining
    order.price = event.price
    order.status = PARTIALLY_FILLED if event.maker_remaining else FILLED
    order.cancel_reason = None
    order.updated_ts = event.ts
    order.seq = seq


class PrivateTopic:
    """One agent's live teller, and everybody who listens to it. Each listener's channel counts for itself."""

    def __init__(self, names: Names, symbols: dict[int, str], agent: int, state: State) -> None:
        self.teller = Teller(names, symbols, agent)
        self.teller.begin_at(state)
        self.listeners: list[Listener] = []
        self._seq = 0
        self._told = 0

    def hear(self, seq: int, ts: int, event: ev.Event) -> None:
        if seq != self._seq:
            self._seq, self._told = seq, 0
        for data in self.teller.tell(seq, event):
            self._told += 1
            for listener in tuple(self.listeners):
                listener.live(seq, ts, data, self._told)

    def cut(self, reason: str) -> None:
        """Part with everybody who listens to this agent."""
        for listener in tuple(self.listeners):
            listener.reader.cut(reason)


class Listener:
    """One subscription to a private channel. Until `past` is over, live events are held back."""

    def __init__(self, name: str, reader: Reader, from_seq: int, skip: int = 0) -> None:
        self.channel = Channel(name)
        self.channel.readers[reader] = None
        self.reader = reader
        self._from = (from_seq, skip)
        self._held: list[tuple[int, int, bytes, int]] | None = None

    def hold(self) -> None:
        self._held = []

    def live(self, seq: int, ts: int, data: bytes, told: int) -> None:
        if self._held is None:
            self.say(seq, ts, data, told)
        elif len(self._held) < HELD_MAX:
            self._held.append((seq, ts, data, told))
        else:
            self.reader.cut("too much happened while the past was told")

    def say(self, seq: int, ts: int, data: bytes, told: int) -> None:
        """Tell event number `told` of `seq`, unless the reader has it already."""
        if (seq, told) > self._from:
            self.channel.publish(EVENT, seq, ts, data, (seq, told))

    def let_go(self) -> None:
        """The past is told: what was held back is next, and then the present."""
        held, self._held = self._held or [], None
        for event in held:
            self.say(*event)


async def replay(hub: Hub, listener: Listener, agent: int, from_seq: int, to_seq: int) -> None:
    """Tell what the journal holds for `agent` from `from_seq` to `to_seq`, both included."""
    venue = hub.venue
    teller = Teller(venue.names, dict(hub.symbols), agent)
    mark = str(agent).encode()
    after = max(0, from_seq - 1)
    while after < to_seq:
        rows = await venue.sequencer.journal.read(after, REPLAY_ROWS, to_seq)
        if not rows:
            return
        after = rows[-1].seq
        for row in rows:
            if mark in row.events or _SETTLES in row.events:
                await _tell_row(hub, teller, listener, row)


async def _tell_row(hub: Hub, teller: Teller, listener: Listener, row: Row) -> None:
    told = 0
    for event in codec.decode_events(row.events):
        await _prepare(hub, teller, event)
        for data in teller.tell(row.seq, event):
            told += 1
            listener.say(row.seq, row.ts, data, told)
    await listener.reader.drained()


async def _prepare(hub: Hub, teller: Teller, event: ev.Event) -> None:
    """Look up what this event takes for granted: a market's name, an order that rested before the replay began."""
    store = hub.venue.store
    order = getattr(event, "order", None)
    market = order.market if order is not None else getattr(event, "market", None)
    if market and market not in teller.symbols:
        name = hub.venue.names.market(market)
        row = await store.get_market(market) if name is None else None
        assert name is not None or row is not None, "an event of a market that was never listed"
        teller.symbols[market] = name.symbol if name is not None else row.symbol  # type: ignore[union-attr]
    if isinstance(event, ev.Traded) and event.maker_agent == teller.agent and event.maker_order not in teller.resting:
        known = await store.get_order(event.maker_order)
        assert known is not None, "a fill of an order that was never placed"
        older = tuple(fill for fill in known.fills if fill.trade_id < event.trade_id)
        teller.resting[known.id] = msgspec.structs.replace(known, fills=older)
