"""Just enough of the WebSocket protocol for a client that must cost little: frames masked with zeros, so that prepared
ones can be sent as they are, and no control frames.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

HANDSHAKE = (
    "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{credential}\r\n"
)


def frame(payload: bytes) -> bytes:
    """A client's text frame under a mask of zeros."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size, 0, 0, 0, 0)) + payload
    return bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big") + b"\0\0\0\0" + payload


class Wire(asyncio.Protocol):
    """One socket: `heard` gets each text of the server."""

    def __init__(self, credential: str, heard: Callable[[bytes], None]) -> None:
        self._credential = credential
        self.heard = heard
        self.record: list[tuple[float, bytes]] | None = None
        """If set, what comes is kept with its time and read later: five hundred readers must not cost much."""
        self._buffer = b""
        self._open = False
        self.ready = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        line = f"Authorization: Bearer {self._credential}\r\n" if self._credential else ""
        self.transport.write(HANDSHAKE.format(credential=line).encode())

    def data_received(self, data: bytes) -> None:
        if self.record is not None:
            self.record.append((time.time(), data))
            return
        buffer = self._buffer + data if self._buffer else data
        at = 0
        if not self._open:
            at = buffer.find(b"\r\n\r\n") + 4
            if at < 4:
                self._buffer = buffer
                return
            assert buffer.startswith(b"HTTP/1.1 101"), buffer[:200]
            self._open = True
            self.ready.set_result(None)
        end = len(buffer)
        while at + 2 <= end:
            size, head = buffer[at + 1], 2
            if size == 126:
                if at + 4 > end:
                    break
                size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            elif size == 127:
                if at + 10 > end:
                    break
                size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            if at + head + size > end:
                break
            if buffer[at] == 0x81:
                self.heard(buffer[at + head : at + head + size])
            at += head + size
        self._buffer = buffer[at:]

    def say(self, frames: bytes) -> None:
        self.transport.write(frames)


async def connect(port: int, heard: Callable[[bytes], None], credential: str = "") -> Wire:
    _, wire = await asyncio.get_running_loop().create_connection(lambda: Wire(credential, heard), "127.0.0.1", port)
    await wire.ready
    return wire
