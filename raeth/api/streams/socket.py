"""One WebSocket at `/stream`: handshake, credentials, subscriptions, limits, and how it ends (contract, section 11).

A wrong credential or one connection too many is told in the open socket and closes it with 1008: a browser shows a
page nothing of a refused handshake. What is said to a socket is written at once; the transport's buffer is its queue,
and a reader whose buffer is full is told to start over and closed with 1013.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.types import Receive, Scope, Send

from raeth.api import answers
from raeth.api.call import Call
from raeth.api.meters import MINUTE_MS, Kind
from raeth.api.parsing import pairs
from raeth.api.streams import replies
from raeth.api.streams.entry import Desk
from raeth.api.streams.people import identify, identify_by_key, identity_of
from raeth.api.streams.replies import Unreadable
from raeth.api.streams.subscriptions import PRIVATE, Identity, Subscriptions
from raeth.api.streams.wire import POLICY, TOO_SLOW, TURNS_MAX, Message, Rest, StreamSocket, frame
from raeth.api.views.names import iso
from raeth.clock import real_now_ms
from raeth.engine.commands import Disconnect
from raeth.engine.state import Key
from raeth.errors import Code, RaethError

if TYPE_CHECKING:
    from raeth.api.venue import Venue

log = structlog.get_logger("raeth.api.streams")

PATH: Final = "/stream"

DRAIN_S: Final = 0.01
PATIENCE: Final = 2
"""Control messages beyond the budget are refused one by one until they are this many times it; then the socket ends."""


class Socket:
    """One connection. It is a `Reader` of the hub."""

    def __init__(self, venue: Venue, scope: Scope, receive: Receive, send: Send) -> None:
        self._venue = venue
        self._hub = venue.hub
        self._receive = receive
        self._send = send
        self._wire: StreamSocket = scope["raeth.socket"]
        self._query: bytes = scope["query_string"]
        # The door knows requests; a handshake is one.
        self._call = Call({**scope, "type": "http", "method": "GET"}, receive, send, venue)
        self._identity: Identity | None = None
        self._cancels = False
        self._ending = False
        self._limits = venue.settings.limits
        self._control = Kind(self._limits.control_messages_per_minute, MINUTE_MS)
        self._subscriptions = Subscriptions(self._hub, self, self._call)
        self._desk = Desk(self._call, self._say)
        self._expiry: asyncio.TimerHandle | None = None

    # ---- a reader ----

    @property
    def listens_to(self) -> int:
        return len(self._subscriptions.names)

    def push(self, message: Message) -> None:
        if self._ending:
            return
        if self._wire.unread_bytes > self._limits.unread_bytes:
            self.cut("too slow: what was sent has not been read")
        else:
            self._wire.write(message.frame)

    def cut(self, reason: str) -> None:
        if not self._ending:
            self._wire.write(frame(replies.encode({"type": "resync_required", "reason": reason})))
            self._hub.cut_off += 1
            self._part(TOO_SLOW, "resync required")

    def depart(self) -> None:
        """The server closes its sockets itself, with 1012."""

    def key_revoked(self, key_id: str) -> None:
        if self._identity is not None and self._identity.key_id == key_id:
            self._refuse(RaethError(Code.AUTH_REVOKED))

    @property
    def at_ease(self) -> bool:
        return self._ending or self._wire.unread_bytes <= self._limits.unread_bytes // 4

    async def drained(self) -> None:
        while not self.at_ease:
            await asyncio.sleep(DRAIN_S)

    # ---- life ----

    async def run(self) -> None:
        await self._receive()  # websocket.connect
        address = self._call.address
        self._hub.places.take_address(address)
        try:
            await self._send(
                {"type": "websocket.accept", "headers": [(b"x-request-id", self._call.request_id.encode())]}
            )
            await self._serve()
        finally:
            self._hub.places.free_address(address)

    async def _serve(self) -> None:
        try:
            key = await identify(self._call, self._ticket())
            if key is not None:
                self._become(key)
        except Exception as error:
            self._refuse(error)
            await self._until_closed()
            return
        self._hub.enter(self)
        try:
            await self._listen()
        finally:
            await self._leave()

    async def _listen(self) -> None:
        """Until it ends. Messages that wait for nothing are heard where they come in; the others come here, and those
        after them, until none is left."""
        wire, turns = self._wire, 0
        while True:
            wire.hears = self._hear
            message = await self._receive()
            wire.hears = None
            if message["type"] != "websocket.receive" or self._ending:
                return
            rest = message["rest"] if "rest" in message else self._hear(message["text"])
            if rest is not None:
                await rest()
                self._cut_if_slow()
            turns += 1
            if turns % TURNS_MAX == 0:
                await asyncio.sleep(0)

    def _ticket(self) -> str | None:
        return next((value for name, value in pairs(self._query) if name == "ticket"), None)

    async def _until_closed(self) -> None:
        while (await self._receive())["type"] == "websocket.receive":
            pass

    async def _leave(self) -> None:
        self._ending = True
        if self._expiry is not None:
            self._expiry.cancel()
        self._hub.leave(self)
        self._subscriptions.end_all()
        if self._identity is not None:
            self._hub.places.free_agent(self._identity)
            if self._cancels:
                await self._cancel_orders(self._identity.agent)

    async def _cancel_orders(self, agent: int) -> None:
        """The socket is gone, and the orders tied to it must go: try until the venue can write, or is gone itself."""
        while True:
            try:
                await self._venue.sequencer.submit(Disconnect(agent))
                return
            except RaethError:
                if self._venue.sequencer.closing:
                    return
                await asyncio.sleep(1)

    def _part(self, code: int, reason: str) -> None:
        self._ending = True
        self._wire.part(code, reason)

    def _refuse(self, error: Exception) -> None:
        """Say why, and part."""
        refusal = error if isinstance(error, RaethError) else answers.unexpected(self._call.request_id, error)
        self._wire.write(frame(replies.error(None, None, refusal)))
        self._part(POLICY, refusal.code.value)

    def _become(self, key: Key, *, cancel_on_disconnect: bool = False) -> None:
        """Belong to an agent from now on. Raises FORBIDDEN for whoever belongs to another key already, and RATE_LIMITED
        when the agent has all the streams it may have."""
        before, identity = self._identity, identity_of(key)
        if before is not None and before != identity:
            raise RaethError(Code.FORBIDDEN)
        if before is None:
            self._hub.places.take_agent(identity)
            self._identity = identity
            call = self._call
            call.key, call.agent, call.account_id = key, key.agent, key.agent.account.id
            if key.spec.expires_at is not None:
                left_s = max(0.0, (key.spec.expires_at - real_now_ms()) / 1000)
                self._expiry = asyncio.get_running_loop().call_later(left_s, self._expired)
        self._cancels = self._cancels or cancel_on_disconnect

    def _expired(self) -> None:
        self._refuse(RaethError(Code.AUTH_EXPIRED))

    # ---- messages ----

    def _say(self, payload: bytes) -> None:
        if not self._ending:
            self._wire.say(payload, self._hub.outbox)

    def _hear(self, text: str | None) -> Rest | None:
        """Take a message, None for a binary one. What is returned is to be done before the next one is taken."""
        if self._ending:
            return None
        try:
            if text is None:
                raise Unreadable(None, None, "binary frames carry nothing here")
            message = replies.read(text)
        except Unreadable as fault:
            if self._within_budget(None, None):
                self._say(replies.unreadable(fault))
            return None
        if self._identity is not None and message.op in replies.ORDER_ENTRY:
            rest = self._desk.take(message, self._identity)
            self._cut_if_slow()
            return rest
        return partial(self._control_message, message)

    def _cut_if_slow(self) -> None:
        if self._wire.unread_bytes > self._limits.unread_bytes:
            self.cut("too slow: answers have not been read")

    async def _control_message(self, message: replies.Asked) -> None:
        if self._within_budget(message.op, message.request_id):
            try:
                if isinstance(message, replies.PlainOrder) or message.op in replies.ORDER_ENTRY:
                    raise RaethError(Code.UNAUTHENTICATED)
                await self._obey(message)
            except Exception as error:
                refusal = error if isinstance(error, RaethError) else answers.unexpected(self._call.request_id, error)
                self._say(replies.error(message.op, message.request_id, refusal))

    def _within_budget(self, op: str | None, request_id: str | None) -> bool:
        meter = self._control.meter(0)
        try:
            meter.charge(1)
        except RaethError as refusal:
            if meter.used > PATIENCE * meter.limit:
                self._refuse(refusal)
            else:
                self._say(replies.error(op, request_id, refusal))
            return False
        return True

    async def _obey(self, message: replies.Incoming) -> None:
        op, channels = message.op, message.channels or []
        if op == "subscribe":
            await self._subscribe(message, channels)
        elif op == "unsubscribe":
            known = self._subscriptions.names
            await self._subscriptions.wanted([name for name in channels if name not in known], self._identity)
            for name in channels:
                self._subscriptions.end(name)
            self._acknowledge(message, {"channels": channels})
        elif op == "ping":
            self._acknowledge(message, {"ts": iso(self._venue.clock.now_ms()), "seq": self._hub.seq})
        else:
            await self._authenticate(message)

    async def _subscribe(self, message: replies.Incoming, channels: list[str]) -> None:
        wanted = await self._subscriptions.wanted(channels, self._identity)
        resume = None
        if message.from_seq is not None:
            if len(wanted) != 1 or wanted[0].kind != PRIVATE or message.from_seq < 0:
                details = [{"field": "from_seq", "message": "goes with one private channel", "type": "private_only"}]
                raise RaethError(Code.VALIDATION_FAILED, details=details)
            if (end := await self._subscriptions.end_before(message.from_seq)) is not None:
                fault = {"field": "from_seq", "message": f"the journal ends at seq {end}", "type": "beyond_the_journal"}
                raise RaethError(Code.VALIDATION_FAILED, details=[fault])
            resume = (message.from_seq, 0)
        await self._subscriptions.begin(wanted, lambda: self._acknowledge(message, {"channels": channels}), resume)

    async def _authenticate(self, message: replies.Incoming) -> None:
        assert message.api_key is not None
        key = await identify_by_key(self._call, message.api_key)
        try:
            self._become(key, cancel_on_disconnect=message.cancel_on_disconnect or False)
        except RaethError as refusal:
            if refusal.code is not Code.RATE_LIMITED:
                raise
            self._refuse(refusal)
            return
        agent = key.agent
        body = {
            "agent_id": self._call.names.agent(agent.id),
            "agent_name": agent.name,
            "scopes": list(key.spec.scopes),
            "cancel_on_disconnect": self._cancels,
        }
        self._acknowledge(message, body)

    def _acknowledge(self, message: replies.Incoming, data: Any) -> None:
        self._say(replies.ack(message.op, message.request_id, replies.encode(data)))


async def serve(venue: Venue, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a WebSocket handshake. Anywhere but at `/stream` there is no socket, and it ends as a 403."""
    if scope["path"] != PATH or "raeth.socket" not in scope:
        await send({"type": "websocket.close"})
        return
    try:
        await Socket(venue, scope, receive, send).run()
    except RaethError as refusal:  # one connection too many for its address: before it was accepted
        body = replies.encode(refusal.body(scope["raeth.request_id"]))
        headers = [(b"content-type", b"application/json")]
        headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers().items()]
        await send({"type": "websocket.http.response.start", "status": refusal.http, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
