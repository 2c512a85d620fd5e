"""What one reader listens to: names of channels to topics, and snapshots that the next event follows without a gap.

The same for sockets and SSE. A subscription is all or nothing: one bad name, and nothing has changed. Must not know how
a reader is written to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from raeth.api.lookup import known_market
from raeth.api.streams.private import Listener, replay
from raeth.api.streams.topics import SNAPSHOT, Reader, Topic, TradesTopic, encode
from raeth.api.views import account as show_account
from raeth.api.views.names import MarketName
from raeth.api.views.orders import order_body
from raeth.engine.state import State
from raeth.engine.types import READ
from raeth.errors import Code, RaethError
from raeth.journal.base import JournalUnavailable

if TYPE_CHECKING:
    from raeth.api.call import Call
    from raeth.api.streams.hub import Hub

log = structlog.get_logger("raeth.api.streams")

OF_A_MARKET: Final = ("book", "l3", "trades")
OF_THE_VENUE: Final = ("markets", "feed.btc", "leaderboard", "venue")
PRIVATE: Final = "private"

NAME_MAX: Final = 128


class Identity(NamedTuple):
    """Who a stream belongs to: an agent, by one of its keys."""

    agent: int
    key_id: str
    scopes: tuple[str, ...]


class Wanted(NamedTuple):
    """A channel somebody may listen to. `subject` is the id of the market or agent it is about, else 0."""

    name: str
    kind: str
    subject: int


class Subscriptions:
    """The channels of one reader. `call` is the request it came in with."""

    def __init__(self, hub: Hub, reader: Reader, call: Call) -> None:
        self._hub = hub
        self._reader = reader
        self._call = call
        self._ends: dict[str, Callable[[], None]] = {}

    @property
    def names(self) -> list[str]:
        return list(self._ends)

    async def wanted(self, names: Sequence[str], identity: Identity | None) -> list[Wanted]:
        """What `names` stand for. Raises UNSUPPORTED_CHANNEL, UNKNOWN_MARKET, UNAUTHENTICATED or SCOPE_REQUIRED, and
        VALIDATION_FAILED for more than there may be: before anything is looked up, for that may cost a query each."""
        most = self._call.venue.settings.limits.subscriptions_per_socket
        if len(self._ends.keys() | set(names)) > most:
            fault = {"field": "channels", "message": f"at most {most} subscriptions", "type": "limit_reached"}
            raise RaethError(Code.VALIDATION_FAILED, details=[fault])
        return [await self._one(name, identity) for name in dict.fromkeys(names)]

    async def _one(self, name: str, identity: Identity | None) -> Wanted:
        if name in OF_THE_VENUE:
            return Wanted(name, name, 0)
        kind, _, subject = name.partition(".")
        if len(name) > NAME_MAX or not subject:
            raise RaethError(Code.UNSUPPORTED_CHANNEL)
        if kind in OF_A_MARKET:
            return Wanted(name, kind, await known_market(self._call, self._call.names, subject))
        if kind != PRIVATE:
            raise RaethError(Code.UNSUPPORTED_CHANNEL)
        if identity is None:
            raise RaethError(Code.UNAUTHENTICATED)
        if self._call.names.entity(subject) != identity.agent:
            raise RaethError(Code.UNSUPPORTED_CHANNEL)
        if READ not in identity.scopes:
            details = {"required": [READ], "granted": list(identity.scopes)}
            raise RaethError(Code.SCOPE_REQUIRED, details=details)
        return Wanted(name, PRIVATE, identity.agent)

    async def end_before(self, from_seq: int) -> int | None:
        """Where the journal ends, if that is before what a reader of `from_seq` has seen: it is not the journal they
        read. It may have been put back from a backup, and waiting for `from_seq` would be silence about the present.
        Raises SERVICE_DEGRADED."""
        seq = (await self._hub.aligned()).seq
        if from_seq > seq + 1:  # they may have read it on another node
            await self._hub.venue.sequencer.catch_up()
            seq = (await self._hub.aligned()).seq
        return seq if from_seq > seq + 1 else None

    async def begin(
        self, wanted: Sequence[Wanted], ack: Callable[[], None], resume: tuple[int, int] | None = None
    ) -> None:
        """Listen to all of it: `ack`, then a snapshot each, or the past of the private channel from `resume` on. A
        snapshot has everything that any node had answered before.

        `resume` is `(from_seq, events of it already told)`. Raises SERVICE_DEGRADED, and then nothing has changed."""
        hub = self._hub
        trades = [hub.traded(one.subject) for one in wanted if one.kind == "trades"]
        begun = False
        for topic in trades:
            topic.joining += 1
        try:
            with suppress(RaethError):  # while the journal cannot be read, what this node knows will do
                await hub.venue.sequencer.catch_up()
            state = await self._ready(trades)
            ack()
            begun = True
            for one in wanted:
                self.end(one.name)
                self._begin(one, state, resume)
                if not self._reader.at_ease:
                    await self._reader.drained()
                    state = await self._ready(trades)
        except RaethError:
            if begun:
                self._reader.cut("the venue cannot tell where it stands")
            raise
        finally:
            for topic in trades:
                topic.joining -= 1
                hub.forget(topic)

    async def _ready(self, trades: Sequence[TradesTopic]) -> State:
        """The aligned state, with the trades before it at hand and none after it: the tables may be ahead of it, by
        what other nodes did."""
        while True:
            for topic in trades:
                await topic.load(self._hub.venue.store)
            state = await self._hub.aligned()
            if any(topic.newest_seq > state.seq for topic in trades):
                await self._hub.venue.sequencer.catch_up()
            elif all(topic.loaded for topic in trades):
                return state

    def _begin(self, one: Wanted, state: State, resume: tuple[int, int] | None) -> None:
        hub, name = self._hub, one.name
        if one.kind == "book":
            book = hub.book(one.subject)
            self._follow(book, name, state, book.now(state))
        elif one.kind == "l3":
            orders = hub.by_order(one.subject)
            self._follow(orders, name, state, orders.now(state))
        elif one.kind == "trades":
            trades = hub.traded(one.subject)
            self._follow(trades, name, state, trades.now())
        elif one.kind == "feed.btc":
            self._follow(hub.feed, name, state, encode(hub.feed_body(None, state.ts)))
        elif one.kind == "venue":
            self._follow(hub.notices, name, state, encode({"frozen": state.frozen, "reason": state.frozen_reason}))
        elif one.kind == PRIVATE:
            self._listen(one, state, resume)
        else:
            self._follow_later(one, state)

    def _follow(self, topic: Topic, name: str, state: State, snapshot: bytes) -> None:
        hub, reader = self._hub, self._reader
        channel = topic.join(name, reader)
        self._ends[name] = lambda: hub.part(topic, name, reader)
        channel.snapshot(reader, state.seq, state.ts, snapshot)

    def _follow_later(self, one: Wanted, state: State) -> None:
        """A channel that is told in the lane: the snapshot takes its turn behind what is yet to be told."""
        hub, reader, name = self._hub, self._reader, one.name
        topic = hub.markets if one.kind == "markets" else hub.board
        windows = encode(hub.markets_body(state)) if one.kind == "markets" else None
        seq, ts = state.seq, state.ts
        ended = False

        def end() -> None:
            nonlocal ended
            ended = True
            hub.part(topic, name, reader)

        async def begin() -> None:
            try:
                body = windows if windows is not None else encode(await hub.standings())
                if not ended:
                    topic.join(name, reader).snapshot(reader, seq, ts, body)
            finally:
                topic.joining -= 1

        self._ends[name] = end
        topic.joining += 1
        hub.in_lane(begin)

    def _listen(self, one: Wanted, state: State, resume: tuple[int, int] | None) -> None:
        hub, agent = self._hub, one.subject
        listener = Listener(one.name, self._reader, *(resume or (state.seq + 1, 0)))
        hub.listen(agent, listener, state)
        past: asyncio.Task[None] | None = None
        if resume is None:
            resume_at = (state.seq + 1, 0)
            data = encode(self._account(agent, state))
            self._reader.push(listener.channel.message(SNAPSHOT, state.seq, state.ts, data, resume_at))
        elif resume[0] <= state.seq:
            listener.hold()
            past = asyncio.create_task(self._tell_past(listener, agent, resume[0], state.seq))

        def end() -> None:
            hub.unlisten(agent, listener)
            if past is not None:
                past.cancel()

        self._ends[one.name] = end

    async def _tell_past(self, listener: Listener, agent: int, from_seq: int, to_seq: int) -> None:
        try:
            await replay(self._hub, listener, agent, from_seq, to_seq)
            listener.let_go()
        except Exception as trouble:
            degraded = isinstance(trouble, RaethError) and trouble.code is Code.SERVICE_DEGRADED
            if degraded or isinstance(trouble, JournalUnavailable):  # a line for each reader is enough
                log.warning("the past could not be told", error=str(trouble))
            else:
                log.exception("the past could not be told")
            self._reader.cut("the journal could not be read; start over")

    def _account(self, agent_id: int, state: State) -> dict[str, object]:
        names, agent = self._call.names, state.agents[agent_id]
        account = show_account.account_body(names, state, agent, {})
        del account["limits"]
        orders = []
        for market_id, position in agent.positions.items():
            market = state.markets[market_id]
            name: MarketName = names.learn(market_id, market.symbol)
            orders += [order_body(names, name, order) for order in position.orders.values()]
        return {"account": account, "positions": show_account.position_bodies(names, state, agent), "orders": orders}

    def end(self, name: str) -> None:
        """Stop listening to a channel. Harmless when nobody did."""
        end = self._ends.pop(name, None)
        if end is not None:
            end()

    def end_all(self) -> None:
        for name in self.names:
            self.end(name)
