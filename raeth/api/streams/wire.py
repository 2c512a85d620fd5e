"""Frames: messages as bytes, made once for all who listen, and the socket they are written to.

Must not know channels, credentials or the venue. A frame from a server is not masked, so one and the same frame goes to
every socket: the fan-out is a loop over `transport.write`.
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

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.handshake_complete:
            self.scope["raeth.socket"] = self  # type: ignore[typeddict-unknown-key]

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
        self.close_timer = self.loop.call_later(FAREWELL_S, self.transport.abort)
