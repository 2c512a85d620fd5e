"""The same events for whoever has only HTTP: server-sent events with `id:` and `Last-Event-ID`.

An id is where the private channel goes on: `seq.events of it told`; a stream without a private channel has the journal
seq alone, and begins with snapshots whatever id it is given. Must not know how channels are rendered.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from raeth.api.streams.subscriptions import PRIVATE, Identity, Subscriptions, Wanted
from raeth.api.streams.wire import Message

if TYPE_CHECKING:
    from raeth.api.call import Call

RETRY_MS: Final = 1_000
"""How long a browser waits before it connects again."""

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

    def __init__(
        self, call: Call, identity: Identity | None, wanted: list[Wanted], resume: tuple[int, int] | None
    ) -> None:
        super().__init__()
        self.raw_headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"x-accel-buffering", b"no"),
        ]
        self._call = call
        self._hub = call.venue.hub
        self._identity = identity
        self._wanted = wanted
        self._private = any(one.kind == PRIVATE for one in wanted)
        self._resume = resume if self._private else None
        self._mark = _mark_of(self._resume) if self._resume is not None else ""
        self._queue: deque[bytes] = deque()
        self._unread = 0
        self._most = call.venue.settings.limits.unread_bytes
        self._wake = asyncio.Event()
        self._ending = False
        self.subscriptions = Subscriptions(self._hub, self, call)

    # ---- a reader ----

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
            body = b'{"type":"resync_required","reason":"%s"}' % reason.encode()
            self._put(b"event: resync_required\ndata: %s\n\n" % body)
            self._hub.cut_off += 1
            self.depart()

    def depart(self) -> None:
        """End once what is waiting has been sent."""
        self._ending = True
        self._wake.set()

    async def drained(self) -> None:
        while self._unread > self._most // 4 and not self._ending:
            await asyncio.sleep(0.01)

    def _put(self, chunk: bytes) -> None:
        self._queue.append(chunk)
        self._unread += len(chunk)
        self._wake.set()

    # ---- life ----

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub, places = self._hub, self._hub.places
        hub.enter(self)
        hub.on_key_revoked.append(self._key_revoked)
        gone = asyncio.create_task(self._until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            self._put(b"retry: %d\n\n" % RETRY_MS)
            await self.subscriptions.begin(self._wanted, lambda: None, self._resume)
            await self._pump(send)
        finally:
            gone.cancel()
            hub.leave(self)
            hub.on_key_revoked.remove(self._key_revoked)
            self.subscriptions.end_all()
            places.free_address(self._call.address)
            if self._identity is not None:
                places.free_agent(self._identity)

    async def _pump(self, send: Send) -> None:
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

    def _key_revoked(self, key_id: str) -> None:
        if self._identity is not None and self._identity.key_id == key_id:
            self.depart()


async def open_stream(call: Call, channels: list[str], identity: Identity | None, last_event_id: Any) -> EventStream:
    """A stream of these channels, with its place taken. Raises what a subscription raises, and RATE_LIMITED."""
    resume = resume_from(last_event_id)
    stream = EventStream(call, identity, [], resume)
    wanted = await stream.subscriptions.wanted(channels, identity)
    places = call.venue.hub.places
    places.take_address(call.address)
    if identity is not None:
        try:
            places.take_agent(identity)
        except Exception:
            places.free_address(call.address)
            raise
    # The private channel first: its snapshot gives the ids of all that follows their meaning.
    return EventStream(call, identity, sorted(wanted, key=lambda one: one.kind != PRIVATE), resume)
