"""Frames: messages as bytes, made once for all who listen, and the socket they are written to.

Must not know channels, credentials or the venue. A frame from a server is not masked, so one and the same frame goes to
every socket: the fan-out is a loop over `transport.write`. A peer that does not read what it was told is cut off for
good after `FAREWELL_S`, however the conversation ended: the server's own close would wait for it without end.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

try:
    from websockets.speedups import apply_mask
except ImportError:  # an installation without the library's compiled part
    from websockets.utils import apply_mask

TEXT: Final = 0x81
"""A whole text frame: FIN and opcode 1 (RFC 6455, section 5.2)."""

MASKED: Final = 0x80
SIZE_FOLLOWS: Final = 126
SIZE_MAX: Final = 65_535
"""What a size of 16 bits holds."""

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

TURNS_MAX: Final = 64
"""Messages of one socket that are looked at without letting others have a turn."""


def head_of(size: int) -> bytes:
    """What a text frame with a payload of `size` bytes begins with."""
    if size < SIZE_FOLLOWS:
        return bytes((TEXT, size))
    if size <= SIZE_MAX:
        return struct.pack("!BBH", TEXT, SIZE_FOLLOWS, size)
    return struct.pack("!BBQ", TEXT, 127, size)


def frame(payload: bytes) -> bytes:
    """`payload`, UTF-8 text, as one frame."""
    return head_of(len(payload)) + payload


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


class TextReader(StreamReader):
    """The protocol's reader, which takes out the plain messages itself: whole masked text frames within the size limit,
    as long as nothing else came before them.

    Where a frame may begin the protocol asks `at_eof`. Whatever else begins there is left to its parser, byte for byte,
    which stays the judge of all that can be wrong; it takes a frame through eight generators, at five times the cost.
    """

    def __init__(self, conn: ServerProtocol) -> None:
        super().__init__()
        self._conn = conn
        self._most = min(SIZE_MAX, conn.max_message_size or SIZE_MAX)
        self.texts: list[bytes] = []
        """What was taken, for the owner to take away before it looks at the protocol's events."""

    def at_eof(self) -> Generator[None, None, bool]:
        conn = self._conn
        while not self.eof:
            if self.buffer:
                plain = conn.state is OPEN and conn.current_size is None and not conn.events
                if not plain or not self._take():
                    return False
            yield
        return not self.buffer

    def _take(self) -> bool:
        """Whether nothing is left but what one more such message may begin with."""
        buffer = self.buffer
        at, end = 0, len(buffer)
        while at + 2 <= end:
            size = buffer[at + 1] ^ MASKED
            plain = buffer[at] == TEXT and size <= SIZE_FOLLOWS
            start = at + 6
            if size == SIZE_FOLLOWS:
                start = at + 8
                if at + 4 <= end:
                    size = buffer[at + 2] << 8 | buffer[at + 3]
            if not plain or size > self._most:
                del buffer[:at]
                return False
            if start + size > end:
                break
            self.texts.append(apply_mask(buffer[start : start + size], buffer[start - 4 : start]))
            at = start + size
        del buffer[:at]
        return True


Rest = Callable[[], Awaitable[None]]
"""What is left to do of a message before the next one may be looked at."""


class StreamSocket(WebSocketsSansIOProtocol):
    """The server's WebSocket, with its reading and writing sides handed to the application.

    The ASGI way in is a queue and a task, which is where a message goes that has to wait for something; one that has
    not is heard at once. The ASGI way out is a coroutine and a copy for each reader; here a reader costs one write, and
    so do all the replies to one peer that come out of one batch.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        conn = self.conn
        self._reader = conn.reader = TextReader(conn)
        conn.parser = conn.parse()
        next(conn.parser)
        self._turns = 0
        self._said: list[bytes] = []
        self.hears: Callable[[str | None], Rest | None] | None = None
        """Set while the application waits for a message: takes its text (None: it was binary), and returns what is to
        be awaited. That comes out of `receive` as `rest`, and so do all later messages until the application waits
        again."""

    # ---- what the application uses ----

    @property
    def unread_bytes(self) -> int:
        """What was written and the peer has not taken yet."""
        return self.transport.get_write_buffer_size()

    def say(self, payload: bytes, outbox: Outbox) -> None:
        """Send text as soon as `outbox` is emptied, or something else is written, unless the connection is ending."""
        said = self._said
        if not said:
            outbox.add(self)
        said.append(head_of(len(payload)))
        said.append(payload)

    def flush(self) -> None:
        """Send what was said."""
        if self._said:
            self.write(b"")

    def write(self, data: bytes) -> None:
        """Send a frame, unless the connection is ending."""
        if self._said:
            data = b"".join((*self._said, data))
            self._said.clear()
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(data)

    def part(self, code: int, reason: str) -> None:
        """Say goodbye; whoever does not answer in time is cut off, whatever is still unread."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.flush()
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

    def data_received(self, data: bytes) -> None:
        conn, reader = self.conn, self._reader
        conn.receive_data(data)
        texts, reader.texts = reader.texts, []
        if conn.parser_exc is not None:
            self.handle_parser_exception()
            return
        self._turns = TURNS_MAX
        for text in texts:
            self._heard(text)
        if conn.events:
            self.handle_events()

    def send_receive_event_to_app(self) -> None:
        data, self.frames = b"".join(self.frames), []
        self._heard(data if self.curr_msg_data_type == "text" else None)

    def _heard(self, data: bytes | None) -> None:
        """A message, None if it was binary."""
        if self.close_sent:
            return
        message: Any = {"type": "websocket.receive"}
        try:
            text = None if data is None else data.decode()
        except UnicodeDecodeError:
            self._fail(NOT_TEXT)
            return
        if self.hears is not None and self._turns and self.queue.empty():
            self._turns -= 1
            rest = self.hears(text)
            if rest is None:
                return
            message["rest"] = rest
        else:
            message["text"] = text
        self.queue.put_nowait(message)
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

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
        self.flush()
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
        self.flush()
        timer = self.close_timer
        super().handle_close(event)
        if timer is None or self.unread_bytes:
            self._abort_later()

    def keepalive_timeout(self) -> None:
        self.flush()
        super().keepalive_timeout()
        self._abort_later()

    def shutdown(self) -> None:
        self.flush()
        super().shutdown()
        self._abort_later()


class Outbox:
    """The sockets that have something to say. It is emptied at the end of each batch, or else with the next turn of the
    event loop."""

    def __init__(self) -> None:
        self._wires: list[StreamSocket] = []

    def add(self, wire: StreamSocket) -> None:
        if not self._wires:
            asyncio.get_running_loop().call_soon(self.flush)
        self._wires.append(wire)

    def flush(self) -> None:
        wires, self._wires = self._wires, []
        for wire in wires:
            wire.flush()
