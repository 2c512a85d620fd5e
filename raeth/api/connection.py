"""How long and how large a request may be before it is one: the server's HTTP, bounded for peers that mean no good.

The server bounds neither: a peer that sends nothing, a byte now and then, or a header without end holds a connection
and its memory for good. Bodies are bounded where they are read. Must not know any call, credential or the venue.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, ClassVar, Final, Self

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from raeth.errors import Code, RaethError

HEAD_BYTES_MAX: Final = 32_768
"""Bytes of a head after the piece in which it began; one piece is what the system hands over, at most 256 KiB."""

HEADERS_MAX: Final = 100

URL_BYTES_MAX: Final = 16_384
"""Twice the longest list of channels."""


class HeadTooLarge(Exception):
    """Said to the parser, which ends the request with it."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. Whenever the venue owes it nothing it has `head_deadline_s` to bring a whole head."""

    head_deadline_s: ClassVar[float] = 10.0

    @classmethod
    def within(cls, head_deadline_s: float) -> type[Self]:
        """The same with another deadline; the server makes its connections from a class."""
        return type(cls.__name__, (cls,), {"head_deadline_s": head_deadline_s})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_is_open = False
        self._head_began = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_began = False
        super().data_received(data)
        if self._head_is_open and not self._head_began:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("")
        cycle = self.cycle
        # Whole requests, one a piece, never come further than this line.
        if (cycle is None or cycle.response_complete) and self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_open = self._head_began = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_is_open = False
        if len(self.headers) > HEADERS_MAX or len(self.url) > URL_BYTES_MAX:
            raise HeadTooLarge
        if self._head_timer is not None:
            self._forget_timer()
        super().on_headers_complete()

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
            self._head_timer = self.loop.call_later(self.head_deadline_s, self._head_is_late)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        """Nothing is owed: nobody waits for an answer on this connection."""
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.abort()
