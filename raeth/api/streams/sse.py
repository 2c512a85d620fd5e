"""The same events for whoever has only HTTP: server-sent events with `id:` and `Last-Event-ID`.

An id is where the private channel goes on: `seq.events of it told`; a stream without a private channel has the journal
seq alone, and begins with snapshots whatever id it is given. Must not know how channels are rendered.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from raeth.api.exchange import EXCHANGE
from raeth.api.streams import replies
from raeth.api.streams.people import identity_of
from raeth.api.streams.subscriptions import PRIVATE, Subscriptions, Wanted
from raeth.api.streams.wire import FAREWELL_S, Message
from raeth.clock import real_now_ms
from raeth.engine.state import Key
from raeth.errors import Code, RaethError

if TYPE_CHECKING:
    from raeth.api.call import Call

log = structlog.get_logger("raeth.api.streams")

RETRY_MS: Final = 1_000
"""How long a browser waits before it connects again."""

DRAIN_S: Final = 0.01

_MARK: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,9})").fullmatch


def _mark_of(resume: tuple[int, int]) -> str:
    return f"{resume[0]}.{resume[1]}"


def resume_from(last_event_id: str | None) -> tuple[int, int] | None:
    """Where to go on, from the id a client saw last; None when that says nothing."""
    found = _MARK(last_event_id or "")
    return (int(found[1]), int(found[2])) if found else None


class EventStream(Response):
    """One stream of events. It is a `Reader` of the hub; what is not yet sent waits in a bounded queue."""

    media_type = "text/event-stream"

    def __init__(self, call: Call, key: Key | None, resume: tuple[int, int] | None) -> None:
        super().__init__()
        self.raw_headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"x-accel-buffering", b"no"),
        ]
        self._call = call
        self._hub = call.venue.hub
        self._key = key
        self._identity = None if key is None else identity_of(key)
        self._wanted: list[Wanted] = []
        self._private = False
        self._resume = resume
        self._mark = ""
        self._queue: deque[bytes] = deque()
        self._unread = 0
        self._most = call.venue.settings.limits.unread_bytes
        self._wake = asyncio.Event()
        self._ending = False
        self._timers: list[asyncio.TimerHandle] = []
        self._subscriptions = Subscriptions(self._hub, self, call)

    async def open(self, channels: list[str]) -> None:
        """Find the channels and take a place. Raises what a subscription raises, and RATE_LIMITED."""
        wanted = await self._subscriptions.wanted(channels, self._identity)
        # The private channel first: its snapshot gives the ids of all that follows their meaning.
        self._wanted = sorted(wanted, key=lambda one: one.kind != PRIVATE)
        self._private = any(one.kind == PRIVATE for one in wanted)
        if not self._private:
            self._resume = None
        elif self._resume is not None and await self._subscriptions.end_before(self._resume[0]) is not None:
            self._resume = None  # an id of another journal says nothing here: a snapshot
        elif self._resume is not None:
            self._mark = _mark_of(self._resume)
        await self._hub.aligned()  # trouble is told while it can be an ordinary answer
        places = self._hub.places
        places.take_address(self._call.address)
        if self._identity is not None:
            try:
                places.take_agent(self._identity)
            except RaethError:
                places.free_address(self._call.address)
                raise

    # ---- a reader ----

    @property
    def listens_to(self) -> int:
        return len(self._subscriptions.names)

    def push(self, message: Message) -> None:
        if self._ending:
            return
        if self._unread > self._most:
            self.cut("too slow: what was sent has not been read")
            return
        if message.resume is not None:
            self._mark = _mark_of(message.resume)
        elif not self._private:
            self._mark = str(self._hub.seq)
        if message.kind == "heartbeat":
            self._put(b": heartbeat\n\n")
        self._put(b"event: %s\nid: %s\ndata: %s\n\n" % (message.kind.encode(), self._mark.encode(), message.payload))

    def cut(self, reason: str) -> None:
        if not self._ending:
            self._last_word("resync_required", replies.encode({"type": "resync_required", "reason": reason}))
            self._hub.cut_off += 1

    def key_revoked(self, key_id: str) -> None:
        if self._identity is not None and self._identity.key_id == key_id:
            self._refuse(Code.AUTH_REVOKED)

    def depart(self) -> None:
        """End once what is waiting has been sent; whoever does not read it in time is cut off."""
        if not self._ending:
            self._ending = True
            self._wake.set()
            self._timers.append(asyncio.get_running_loop().call_later(FAREWELL_S, self._abort))

    @property
    def at_ease(self) -> bool:
        return self._ending or self._unread <= self._most // 4

    async def drained(self) -> None:
        while not self.at_ease:
            await asyncio.sleep(DRAIN_S)

    def _refuse(self, code: Code) -> None:
        if not self._ending:
            self._last_word("error", replies.error(None, None, RaethError(code)))

    def _last_word(self, kind: str, body: bytes) -> None:
        self._put(b"event: %s\ndata: %s\n\n" % (kind.encode(), body))
        self.depart()

    def _put(self, chunk: bytes) -> None:
        self._queue.append(chunk)
        self._unread += len(chunk)
        self._wake.set()

    def _abort(self) -> None:
        exchange = self._call.scope.get(EXCHANGE)
        if exchange is not None:
            exchange.transport.abort()

    # ---- life ----

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Its place has been taken by `open`."""
        hub, places = self._hub, self._hub.places
        hub.enter(self)
        self._watch_key()
        tasks = [asyncio.create_task(self._until_gone(receive)), asyncio.create_task(self._begin())]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                self.depart()
            await self._pump(send)
        finally:
            self._ending = True
            for task in tasks:
                task.cancel()
            for timer in self._timers:
                timer.cancel()
            hub.leave(self)
            self._subscriptions.end_all()
            places.free_address(self._call.address)
            if self._identity is not None:
                places.free_agent(self._identity)

    def _watch_key(self) -> None:
        """It may have been revoked since it was shown, and it may expire."""
        if self._key is None:
            return
        spec = self._key.spec
        if spec.key_id not in self._call.venue.sequencer.state.keys:
            self._refuse(Code.AUTH_REVOKED)
        if spec.expires_at is not None:
            left_s = max(0.0, (spec.expires_at - real_now_ms()) / 1000)
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(left_s, self._refuse, Code.AUTH_EXPIRED))

    async def _begin(self) -> None:
        try:
            await self._subscriptions.begin(self._wanted, lambda: None, self._resume)
        except RaethError:
            self.cut("the venue cannot tell where it stands")
        except Exception:
            log.exception("a stream could not begin")
            self.cut("the venue could not read its tables")

    async def _pump(self, send: Send) -> None:
        self._put(b"retry: %d\n\n" % RETRY_MS)
        while True:
            while self._queue:
                chunks = b"".join(self._queue)
                self._queue.clear()
                self._unread = len(chunks)
                await send({"type": "http.response.body", "body": chunks, "more_body": True})
                self._unread -= len(chunks)
            if self._ending:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            self._wake.clear()
            await self._wake.wait()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.depart()


async def open_stream(call: Call, channels: list[str], key: Key | None, last_event_id: str | None) -> EventStream:
    """A stream of these channels, with its place taken. Raises what a subscription raises, and RATE_LIMITED."""
    stream = EventStream(call, key, resume_from(last_event_id))
    await stream.open(channels)
    return stream
