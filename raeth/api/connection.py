"""How long and how large a request may be before it is one: the server's HTTP, bounded for peers that mean no good.

The server bounds neither: a peer that sends nothing, a byte now and then, or a header without end holds a connection
and its memory for good. Bodies are bounded where they are read. Must not know any call, credential or the venue.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from raeth.api.exchange import EXCHANGE, Exchange
from raeth.errors import Code, RaethError

if TYPE_CHECKING:
    from raeth.engine.state import Key

HEAD_BYTES_MAX: Final = 32_768
"""Bytes of a head after the piece in which it began; one piece is what the system hands over, at most 256 KiB."""

HEADERS_MAX: Final = 100

METHODS: Final = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")}

URL_BYTES_MAX: Final = 16_384
"""Twice the longest list of channels."""


class HeadTooLarge(Exception):
    """Said to the parser, which ends the request with it."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. Whenever the venue owes it nothing it has `head_deadline_s` to bring a whole head, and after an
    answer the server's keep-alive time to begin one."""

    head_deadline_s: ClassVar[float] = 10.0

    cycle: Exchange

    @classmethod
    def within(cls, head_deadline_s: float) -> type[Self]:
        """The same with another deadline; the server makes its connections from a class."""
        return type(cls.__name__, (cls,), {"head_deadline_s": head_deadline_s})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = getattr(self.app, "work", self.app)  # an application that tells before it begins what it needs
        self._head_is_open = False
        self._head_began = self._has_begun = False
        self._head_bytes = 0
        self._upgrades = False
        self._target: Target = (b"", "", b"", b"")
        self._beginning: Exchange | None = None
        """The request whose head was read, until all of the piece has been, or all of the request."""
        self.proven: tuple[bytes, Key] | None = None
        """The credential that was shown last and found right, and the key it proved. For the door, which judges it."""
        self._patience = Patience(self.loop, self._is_late)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_began = self._has_begun = False
        patience = self._patience
        if patience.idle:
            patience.due, patience.idle = 0.0, False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._upgrades:
                self.handle_websocket_upgrade()
            # Any other protocol is declined by going on with this one, as it may be.
        except httptools.HttpParserError:
            self._beginning = None
            self.send_400_response("")
            return
        if self._beginning is not None:
            self._begin()
        if self._head_is_open and not self._head_began:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("")
        cycle = self.cycle
        # Whole requests, one a piece, never come further than this line.
        if (cycle is None or cycle.response_complete) and not patience.due:
            self._await_head()

    # ---- what the parser calls ----

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head_is_open = self._head_began = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_is_open = False
        if len(self.headers) > HEADERS_MAX or len(self.url) > URL_BYTES_MAX:
            raise HeadTooLarge
        patience = self._patience
        patience.due, patience.idle = 0.0, False
        parser = self.parser
        version = parser.get_http_version()
        if self.url != self._target[0]:  # who asks again mostly asks for the same
            self._target = target(self.url)
        _, path, raw_path, query = self._target
        method = parser.get_method()
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "method": METHODS.get(method) or method.decode("ascii"),
            "scheme": self.scheme,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
        }
        self._upgrades = parser.should_upgrade() and self._should_upgrade()
        if self._upgrades:
            self.scope = cast(Any, scope)
            return
        before = self.cycle
        keeps = version != "1.0" and parser.should_keep_alive()
        exchange = scope[EXCHANGE] = self.cycle = Exchange(self, scope, keeps, self.expect_100_continue)
        if before is None or before.response_complete:
            self._beginning = exchange
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if self._upgrades or cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.set()

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if self._upgrades or cycle.response_complete:
            return
        cycle.more_body = False
        cycle.set()
        if self._beginning is not None:
            self._begin()

    def _begin(self) -> None:
        """The request is here, or as much of it as came in one piece."""
        exchange, self._beginning = self._beginning, None
        assert exchange is not None
        if self._has_begun:  # a piece may hold a thousand, and others want to be heard in between
            self.loop.call_soon(exchange.begin, self.app)
        else:
            self._has_begun = True
            exchange.begin(self.app)

    def on_response_complete(self) -> None:
        """Go on with the request that waits behind, or wait for the next."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            exchange, app = self.pipeline.pop()
            # Not here: one that is answered at once would begin the next one, and that one the next.
            self.loop.call_soon(cast("Exchange", exchange).begin, app)
        else:
            self._patience.expect(self.timeout_keep_alive, idle=True)

    def send_400_response(self, msg: str) -> None:
        """What is no request, or one with too large a head, gets the flat body of every refusal, and the end."""
        if self.transport.is_closing():
            return
        name = os.urandom(6).hex()
        body = json.dumps(RaethError(Code.BAD_REQUEST).body(name)).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
            f"cache-control: no-store\r\nx-request-id: {name}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    # ---- patience ----

    def _await_head(self) -> None:
        transport: Any = self.transport
        if not transport.is_closing() and transport.get_protocol() in (self, None):  # else it is a socket by now
            self._patience.expect(self.head_deadline_s, idle=False)

    def _is_late(self, idle: bool) -> None:
        """Nothing is owed: nobody waits for an answer on this connection."""
        transport: Any = self.transport
        if transport.is_closing() or transport.get_protocol() not in (self, None):
            return
        if idle:
            transport.close()
        else:
            transport.abort()


class Patience:
    """How long a peer is waited for. The timer is left running when it is no longer needed, and looks when it fires:
    a busy connection sets one every few seconds, not one a request."""

    __slots__ = ("_late", "_loop", "_timer", "_timer_at", "due", "idle")

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[bool], None]) -> None:
        self._loop = loop
        self._late = late
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.due = 0.0
        """By the loop's clock; 0: nobody is waited for."""
        self.idle = False
        """Whether any byte will do."""

    def expect(self, seconds: float, *, idle: bool) -> None:
        """`late(idle)` is called unless `forget` is, within `seconds`."""
        self.idle = idle
        self.due = due = self._loop.time() + seconds
        if self._timer is None or self._timer_at > due:
            self._arm(due)

    def forget(self) -> None:
        self.due = 0.0
        self.idle = False

    def end(self) -> None:
        """The connection is gone."""
        self.forget()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(due, self._look), due

    def _look(self) -> None:
        self._timer = None
        if not self.due:
            return
        if self._loop.time() < self.due:
            self._arm(self.due)
        else:
            idle = self.idle
            self.forget()
            self._late(idle)


Target = tuple[bytes, str, bytes, bytes]
"""A request's target as it was given; path, raw path and query of it."""


def target(url: bytes) -> Target:
    """Take a target apart, which is a path nearly always."""
    if url[:1] == b"/" and b"#" not in url:
        raw_path, _, query = url.partition(b"?")
    else:
        parsed = httptools.parse_url(url)
        raw_path, query = parsed.path, parsed.query or b""
    path = raw_path.decode("ascii")
    return url, unquote(path) if "%" in path else path, raw_path, query
