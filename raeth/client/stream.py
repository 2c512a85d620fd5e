"""The stream: subscriptions that stay complete, and order entry that survives cuts, over one socket.

    async with client.stream() as stream:
        await stream.subscribe("markets", f"private.{agent_id}")
        async for event in stream: ...

Connections end, frames get lost with them, readers fall behind: the stream notices (silence, gaps in `channel_seq`,
a full buffer), reconnects, subscribes again, and says so meanwhile (`fresh`). The private channel is resumed where it
was left, all others begin with a new snapshot. Order entry has the methods and the errors of the client; what was on
its way when a connection died is sent again under the same key. Must not know what the data of a channel mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec

from raeth.client.channels import MAX_SUBSCRIPTIONS, PRIVATE, Cursor, Event, Message, Sink, State, Subscription, Verdict
from raeth.client.errors import ClientError, Disconnected, VenueError
from raeth.client.link import SILENCE_S, Link, Pauses, error_of
from raeth.client.over_socket import SocketOrderEntry, SocketTransport
from raeth.client.retry import Lost, Patience

if TYPE_CHECKING:
    from raeth.client.client import AsyncClient

BUFFER_EVENTS = 10_000
"""Events kept for a consumer that is slower than the venue; what comes then is left out, and subscribed to anew."""

REPLY_S = 10.0
"""A control message without an answer for this long: the connection is of no use."""

AGAIN_S = 0.5
"""The least time between two requests for the same channel on one connection."""

_BEFORE_READY = frozenset({"authenticate", "subscribe", "unsubscribe"})

PASSING = frozenset({"RATE_LIMITED", "SERVICE_DEGRADED", "INTERNAL_ERROR"})


class _Waiting(NamedTuple):
    """A request on its way. `granted` is called the moment an ack is heard, before any event after it."""

    answer: asyncio.Future[Message]
    granted: Callable[[], None] | None


class Stream(SocketOrderEntry):
    """One socket of `client` to its venue, with all the methods of order entry.

    `cancel_on_disconnect` ties the agent's resting orders to the connection: the venue cancels them when it ends
    (`DISCONNECT`), also when it is about to be reconnected. `sink` takes events directly, and then there is nothing to
    iterate over. `silence_s`, real seconds: a connection on which nothing was heard for so long is given up.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        cancel_on_disconnect: bool = False,
        sink: Sink | None = None,
        buffer_events: int = BUFFER_EVENTS,
        silence_s: float = SILENCE_S,
        pauses: Pauses | None = None,
    ) -> None:
        transport = SocketTransport(self._exchange, client._transport)
        super().__init__(transport, client.patience_s, client.raise_on_reject, client._ids, client._clock)
        self._api_key = client.api_key
        self._by_message = cancel_on_disconnect and self._api_key is not None
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key and not self._by_message else {}
        url = client.url.replace("http", "ws", 1) + "/stream"
        self._link = Link(url, headers, self, silence_s=silence_s, pauses=pauses or Pauses())
        self._sink = sink
        self._subscriptions: dict[str, Subscription] = {}
        self._delivered: dict[str, Cursor] = {}
        self._granted: dict[str, asyncio.Future[None]] = {}
        self._asked_at: dict[str, float] = {}
        self._requests: dict[str, _Waiting] = {}
        self._numbers = itertools.count(1)
        self._buffer: deque[Event] = deque()
        self._buffer_events = buffer_events
        self._overflowed = False
        self._arrived = asyncio.Event()
        self._authenticated = asyncio.Event()
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._failure: ClientError | None = None
        self._closed = False
        self._fresh = False
        self.seq = 0
        """The newest journal sequence number heard of."""
        self.gaps = 0
        """How often something was missing in a channel."""
        self.overflows = 0
        """How often the consumer was too slow."""
        self.on_ts: Callable[[str], None] | None = None
        """Told every `ts` of the venue that is heard."""

    # ---- life ----

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def connect(self) -> None:
        """Open the first connection; from then on the stream keeps itself open. Raises Disconnected when there is none
        within the client's patience, VenueError when the venue refuses it."""
        if self._running is None:
            self._running = asyncio.create_task(self._link.run(), name="raeth stream")
        try:
            async with asyncio.timeout(self.patience_s):
                await self._link.wait_open()
        except TimeoutError:
            await self.aclose()
            raise Disconnected(f"no stream within {self.patience_s:g} s: {self._link.why}") from None

    async def aclose(self) -> None:
        """End the connection. What is still without an answer raises. Idempotent."""
        self._closed = True
        if self._failure is None:
            self._failure = Disconnected("the stream was closed")
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self.failed(self._failure)

    @property
    def connects(self) -> int:
        """Connections so far."""
        return self._link.connects

    @property
    def why(self) -> str:
        """What ended the last connection; empty while there is one."""
        return self._link.why

    @property
    def fresh(self) -> bool:
        """Whether what was heard is complete: connected, every channel subscribed, nothing missing."""
        return self._fresh

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link.is_open and self._failure is None

    @property
    def failure(self) -> ClientError | None:
        """What ended the stream for good; None while it goes on."""
        return self._failure

    @property
    def channels(self) -> list[str]:
        return list(self._subscriptions)

    def synced(self, channel: str) -> bool:
        """Whether a channel is subscribed to and nothing of it is missing."""
        subscription = self._subscriptions.get(channel)
        return subscription is not None and subscription.synced and self.connected and not self._overflowed

    # ---- subscriptions ----

    async def subscribe(self, *channels: str, resume: bool = True, from_seq: int | None = None) -> None:
        """Subscribe, for as long as the stream lives, and wait until the venue has granted it. Each channel begins with
        a snapshot. After a reconnect the private channel goes on where it stopped, unless `resume` is false: then it
        begins with a snapshot too, like all others. With `from_seq`, for one private channel, it begins with what
        happened at that journal sequence number, and all since, instead of a snapshot.

        Raises VenueError (UNSUPPORTED_CHANNEL, UNKNOWN_MARKET, UNAUTHENTICATED, …), or Disconnected when the venue
        cannot be reached within the client's patience; then the channels are not subscribed to."""
        self.check_stream()
        new = [name for name in dict.fromkeys(channels) if name not in self._subscriptions]
        if len(self._subscriptions) + len(new) > MAX_SUBSCRIPTIONS:
            raise ValueError(f"at most {MAX_SUBSCRIPTIONS} subscriptions a stream")
        if from_seq is not None and (len(channels) != 1 or not channels[0].startswith(PRIVATE) or from_seq < 1):
            raise ValueError("from_seq goes with one private channel, and is 1 or more")
        loop = asyncio.get_running_loop()
        for name in new:
            self._subscriptions[name] = Subscription(name, resume, from_seq)
            if from_seq is not None:
                self._delivered[name] = Cursor(from_seq)
            self._granted[name] = loop.create_future()
        self._update_freshness()
        self._wake.set()
        waiting = [self._granted[name] for name in channels if name in self._granted]
        try:
            async with asyncio.timeout(self.patience_s):
                for granted in waiting:
                    await asyncio.shield(granted)
        except TimeoutError:
            await self.unsubscribe(*new)
            raise Disconnected(f"not subscribed within {self.patience_s:g} s: {self._link.why}") from None
        except VenueError:
            await self.unsubscribe(*new)
            raise

    async def unsubscribe(self, *channels: str) -> None:
        """Stop listening. Events that are on their way are left out. Harmless for what was not subscribed to."""
        known = [name for name in channels if self._subscriptions.pop(name, None) is not None]
        for name in known:
            self._delivered.pop(name, None)
            self._asked_at.pop(name, None)
            granted = self._granted.pop(name, None)
            if granted is not None:
                _fail(granted, Disconnected(f"unsubscribed from {name} before it was granted"))
        self._update_freshness()
        if known and self._link.is_open:
            with contextlib.suppress(Lost, VenueError):
                await self._exchange("unsubscribe", REPLY_S, channels=known)

    def resync(self, channel: str) -> None:
        """Ask for a new snapshot of a channel whose data do not fit together."""
        subscription = self._subscriptions.get(channel)
        if subscription is not None:
            subscription.start_over()
            self._missed()

    async def ping(self) -> tuple[str, int]:
        """The venue's time and the newest `seq` it has told. Raises Disconnected, VenueError."""
        patience = Patience(self.patience_s)
        while True:
            try:
                reply = await self._exchange("ping", patience.left_s)
                return reply.data["ts"], reply.data["seq"]
            except Lost as lost:
                if patience.left_s <= 0:
                    raise Disconnected(str(lost)) from None

    # ---- events ----

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event of any channel. Raises what made the stream give up; ends when it was closed."""
        while not self._buffer:
            if self._overflowed:
                self._overflowed = False
                self._wake.set()
            if self._failure is not None:
                if self._closed:
                    raise StopAsyncIteration
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        event = self._buffer.popleft()
        if event.channel.startswith(PRIVATE) and event.type != "ended":
            cursor = self._delivered.setdefault(event.channel, Cursor())
            if event.type == "snapshot":
                cursor.snapshot(event.seq)
            else:
                cursor.take(event.seq)
        return event

    def _deliver(self, event: Event) -> None:
        if self._sink is not None:
            self._sink.take(event)
        elif len(self._buffer) < self._buffer_events:
            self._buffer.append(event)
            self._arrived.set()
        else:
            self._overflow()

    def _overflow(self) -> None:
        """Leave everything out until the consumer has caught up; then subscribe anew from where it stopped reading."""
        self.overflows += 1
        self._overflowed = True
        self._buffer.clear()
        for name, subscription in self._subscriptions.items():
            subscription.lost()
            if subscription.cursor is not None:
                subscription.cursor = self._delivered.get(name, Cursor()).copy()
        self._missed()

    # ---- what the link tells ----

    def opened(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.lost()
        self._asked_at.clear()
        self._keeper = asyncio.create_task(self._keep(), name="raeth subscriptions")

    def heard(self, message: Message) -> None:
        if message.ts and self.on_ts is not None:
            self.on_ts(message.ts)
        if message.seq > self.seq:
            self.seq = message.seq
        if message.channel is not None:
            self._heard_event(message, message.channel)
        elif message.request_id is not None:
            self._heard_reply(message, message.request_id)

    def lost(self) -> None:
        self._authenticated.clear()
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        for subscription in self._subscriptions.values():
            subscription.lost()
        self._fail_requests(Lost(self._link.why, sent=True))
        self._tell_freshness()

    def failed(self, error: ClientError) -> None:
        if self._failure is None:
            self._failure = error
        self._authenticated.set()
        self._fail_requests(self._failure)
        for granted in self._granted.values():
            _fail(granted, self._failure)
        self._arrived.set()
        self._tell_freshness()

    def _fail_requests(self, error: ClientError) -> None:
        requests, self._requests = self._requests, {}
        for waiting in requests.values():
            _fail(waiting.answer, error)

    def _heard_event(self, message: Message, channel: str) -> None:
        subscription = self._subscriptions.get(channel)
        if subscription is None:
            return
        verdict = subscription.judge(message.type, message.channel_seq, message.seq)
        if verdict is Verdict.DELIVER:
            self._deliver(Event(channel, message.type, message.channel_seq, message.seq, message.ts, message.data))
        elif verdict is Verdict.GAP:
            self.gaps += 1
            self._missed()
        if not self._fresh:
            self._update_freshness()

    def _missed(self) -> None:
        self._tell_freshness()
        self._wake.set()

    def _heard_reply(self, message: Message, request_id: str) -> None:
        waiting = self._requests.pop(request_id, None)
        if waiting is None or waiting.answer.done():
            return
        if message.type == "error":
            waiting.answer.set_exception(error_of(message))
        else:
            if waiting.granted is not None:
                waiting.granted()
            waiting.answer.set_result(message)

    def _update_freshness(self) -> None:
        fresh = (
            self.connected
            and not self._overflowed
            and all(subscription.synced for subscription in self._subscriptions.values())
        )
        if fresh is not self._fresh:
            self._tell_freshness(fresh)

    def _tell_freshness(self, fresh: bool = False) -> None:
        self._fresh = fresh
        if fresh:
            self._link.settled()
        if self._sink is not None:
            self._sink.freshness(fresh)

    # ---- asking ----

    def check_stream(self) -> None:
        """Raises what ended the stream, or Disconnected when it was never opened."""
        if self._failure is not None:
            raise self._failure
        if self._running is None:
            raise Disconnected("the stream is not open: use it as an async context manager, or connect()")

    async def _exchange(
        self, op: str, within_s: float, *, granted: Callable[[], None] | None = None, **fields: Any
    ) -> Message:
        """One request and its reply, on one connection. Raises VenueError, Lost, or what made the stream give up."""
        self.check_stream()
        number = f"r{next(self._numbers)}"
        frame = msgspec.json.encode({"op": op, "request_id": number, **fields})
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        sent = False
        try:
            async with asyncio.timeout(within_s):
                if op not in _BEFORE_READY:
                    await self._ready()
                self._requests[number] = _Waiting(answer, granted)
                sent = self._link.is_open
                await self._link.send(frame)
                return await answer
        except TimeoutError:
            raise Lost(f"{op}: no answer within {within_s:.1f} s {self._link.why}", sent=sent) from None
        finally:
            self._requests.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, also when this request was given up in the same moment

    async def _ready(self) -> None:
        """Until there is a connection that belongs to the agent."""
        while not (self._link.is_open and self._authenticated.is_set()):
            await self._link.wait_open()
            await self._authenticated.wait()
        self.check_stream()

    async def _keep(self) -> None:
        """Make the present connection the agent's, and subscribe to what is wanted, again and again."""
        try:
            if self._by_message:
                await self._exchange("authenticate", REPLY_S, api_key=self._api_key, cancel_on_disconnect=True)
            self._authenticated.set()
            while True:
                wanted = [s for s in self._subscriptions.values() if s.state is State.WANTED]
                if wanted and not self._overflowed:
                    await self._pace(wanted)
                    private = next((s for s in wanted if s.cursor is not None), None)
                    await self._subscribe_to([private] if private is not None else wanted)
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except Lost as lost:
            self._link.drop(str(lost))
        except VenueError as error:  # only the authentication gets here
            self._link.refused(error)

    async def _pace(self, wanted: Sequence[Subscription]) -> None:
        now = time.monotonic()
        last = max(self._asked_at.get(s.channel, 0.0) for s in wanted)
        if last and now - last < AGAIN_S:
            await asyncio.sleep(AGAIN_S - (now - last))

    async def _subscribe_to(self, wanted: Sequence[Subscription]) -> None:
        """One request; if the venue refuses it for several channels, it is asked for each by itself."""
        wanted = [s for s in wanted if s.state is State.WANTED and self._subscriptions.get(s.channel) is s]
        if not wanted:
            return
        from_seq = None
        for subscription in wanted:
            from_seq = subscription.ask()
            self._asked_at[subscription.channel] = time.monotonic()

        def granted() -> None:
            for subscription in wanted:
                subscription.granted()
                waiting = self._granted.pop(subscription.channel, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
            self._update_freshness()

        more = {} if from_seq is None else {"from_seq": from_seq}
        names = [s.channel for s in wanted]
        try:
            await self._exchange("subscribe", REPLY_S, granted=granted, channels=names, **more)
        except VenueError as error:
            for subscription in wanted:
                subscription.lost()
            if error.code in PASSING:
                await asyncio.sleep(error.retry_after_s or AGAIN_S)
            elif len(wanted) > 1:
                for subscription in wanted:
                    await self._subscribe_to([subscription])
            elif from_seq is not None:
                wanted[0].start_over()
            else:
                self._refuse(wanted[0].channel, error)

    def _refuse(self, channel: str, error: VenueError) -> None:
        """The venue does not grant a channel (any more): tell whoever waits for it, and who listens."""
        self._subscriptions.pop(channel, None)
        self._delivered.pop(channel, None)
        waiting = self._granted.pop(channel, None)
        if waiting is not None:
            _fail(waiting, error)
        else:
            told = {"code": error.code, "message": error.message}
            self._deliver(Event(channel, "ended", 0, self.seq, "", told))
        self._update_freshness()


def _fail(future: asyncio.Future[Any], error: ClientError) -> None:
    """Give a failure to whoever waits, and let nobody complain if nobody does."""
    if not future.done():
        future.set_exception(error)
        future.exception()
