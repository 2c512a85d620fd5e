"""Frames: messages as bytes, made once for all who listen, and the socket they are written to.

Must not know channels, credentials or the venue. A frame from a server is not masked, so one and the same frame goes to
every socket: the fan-out is a loop over `transport.write`. A peer that does not read what it was told is cut off for
good after `FAREWELL_S`, however the conversation ended: the server's own close would wait for it without end.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

TEXT: Final = 0x81
"""A whole text frame: FIN and opcode 1 (RFC 6455, section 5.2)."""

FAREWELL_S: Final = 5.0
"""How long a peer that is told to go may take to read what it was told."""

TOO_SLOW: Final = 1013
POLICY: Final = 1008
NOT_TEXT: Final = 1007
TOO_LARGE: Final = 1009

PONGS_UNREAD_MAX: Final = 65_536
"""Bytes a peer may leave unread and still have its pings answered; answering them costs memory."""

FRAGMENTS_MAX: Final = 1_024
"""Frames of one message: empty ones cost memory too, and count towards no size."""


def frame(payload: bytes) -> bytes:
    """`payload`, UTF-8 text, as one frame."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", TEXT, 126, size) + payload
    return struct.pack("!BBQ", TEXT, 127, size) + payload


class Message:
    """One event on its way to readers. `resume` is where a private channel goes on after it: (journal seq, events of
    that seq already told); None for public events."""

    __slots__ = ("_frame", "kind", "payload", "resume")

    def __init__(self, payload: bytes, kind: str, resume: tuple[int, int] | None = None) -> None:
        self.payload = payload
        self.kind = kind
        self.resume = resume
        self._frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        made = self._frame
        if made is None:
            made = self._frame = frame(self.payload)
        return made


class StreamSocket(WebSocketsSansIOProtocol):
    """The server's WebSocket, with its writing side handed to the application.

    The ASGI way out is a coroutine and a copy for each reader; here a reader costs one buffered write.
    """

    # ---- what the application uses ----

    @property
    def unread_bytes(self) -> int:
        """What was written and the peer has not taken yet."""
        return self.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send a frame, unless the connection is ending."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(data)

    def part(self, code: int, reason: str) -> None:
        """Say goodbye; whoever does not answer in time is cut off, whatever is still unread."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:  # the peer's answer must be heard
            self.read_paused = False
            self.transport.resume_reading()
        self._abort_later()

    def _abort_later(self) -> None:
        """The server's `close` waits until all is read; this is for peers that never will."""
        if self.close_timer is None and not self.disconnected:
            self.close_timer = self.loop.call_later(FAREWELL_S, self.transport.abort)

    # ---- what the server calls ----

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.handshake_complete:
            self.scope["raeth.socket"] = self  # type: ignore[typeddict-unknown-key]

    def handle_cont(self, event: Any) -> None:
        if len(self.frames) >= FRAGMENTS_MAX:
            self._fail(TOO_LARGE)
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.close_sent or self.unread_bytes > PONGS_UNREAD_MAX:
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:  # the server's own way of noticing logs a traceback for each
                self._fail(NOT_TEXT)
                return
        super().send_receive_event_to_app()

    def _fail(self, code: int) -> None:
        """What came breaks the protocol."""
        self.frames = []
        if not self.close_sent and not self.transport.is_closing():
            self.conn.fail(code)
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """Say why, and no more. The peer may still be sending: closing at once would reset the connection, and the
        reason would be lost on the way."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        if self.conn.close_sent is None:  # before the handshake was answered there are no frames
            self.transport.abort()
            return
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._abort_later()

    def handle_close(self, event: Any) -> None:
        timer = self.close_timer
        super().handle_close(event)
        if timer is None or self.unread_bytes:
            self._abort_later()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._abort_later()

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_later()
