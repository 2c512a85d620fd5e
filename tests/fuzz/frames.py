"""A WebSocket client made of bytes, for frames that no library would send (RFC 6455, section 5)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any, Final

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
WAIT_S: Final = 20.0
HEADERS: Final = (
    ("Host", "venue"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
REPLIES: Final = ("ack", "reject", "error")
EVENTS: Final = ("snapshot", "delta", "event")
OTHERS: Final = ("heartbeat", "resync_required")


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    size = len(payload)
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes((bit | size,))
    elif size < 65_536:
        head += struct.pack("!BH", bit | 126, size)
    else:
        head += struct.pack("!BQ", bit | 127, size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


class Ended(Exception):
    """The venue has ended the connection; `code` is that of its close frame, None if there was none."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code


class Socket:
    """One connection. Every message of the venue is looked at as it comes; `replies` keeps those that answer."""

    def __init__(
        self, port: int, target: str | bytes = "/stream", headers: Iterable[tuple[str, str | bytes]] = ()
    ) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.replies: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.pongs: list[bytes] = []
        self._told: dict[str, int] = {}
        lines = [b"GET " + _bytes(target) + b" HTTP/1.1"]
        lines += [name.encode() + b": " + _bytes(value) for name, value in (*HEADERS, *headers)]
        self._sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        self.status, self.head = self._handshake()

    def _handshake(self) -> tuple[int, str]:
        while b"\r\n\r\n" not in self._buffer:
            if not (more := self._sock.recv(65_536)):
                return 0, ""
            self._buffer += more
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        return int(head.split(b" ")[1]), head.decode("latin-1")

    def close(self) -> None:
        self._sock.close()

    def send_bytes(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # why it ended is in what there is to read
            self._sock.sendall(data)

    def send(self, text: str | bytes) -> None:
        self.send_bytes(frame(TEXT, _bytes(text)))

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            try:
                more = self._sock.recv(262_144)
            except ConnectionError:
                more = b""
            if not more:
                raise Ended(None)
            self._buffer += more
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _one(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        assert first & 0x70 == 0 and first & 0x80 and not second & 0x80, "whole, plain, unmasked frames only"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        return first & 0x0F, self._exactly(size)

    def read(self) -> None:
        """Take one frame in. Raises Ended."""
        opcode, payload = self._one()
        if opcode == TEXT:
            self._take(json.loads(payload.decode(), parse_float=_no_float, parse_constant=_no_float))
        elif opcode == CLOSE:
            raise Ended(int.from_bytes(payload[:2], "big") if payload else 1005, payload[2:].decode())
        elif opcode == PONG:
            self.pongs.append(payload)
        else:
            assert opcode == PING, f"the venue sends text: {opcode}"
            self.send_bytes(frame(PONG, payload))

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if "channel" in message:
            assert kind in EVENTS and set(message) == {"channel", "type", "channel_seq", "seq", "ts", "data"}, message
            channel = message["channel"]
            if kind != "snapshot" and channel in self._told:
                # A private channel subscribed to again from a seq starts anew, and without a snapshot.
                anew = message["channel_seq"] == 1 and channel.startswith("private.")
                assert anew or message["channel_seq"] == self._told[channel] + 1, message
            self._told[channel] = message["channel_seq"]
            self.events.append(message)
        elif kind in REPLIES:
            assert {"op", "request_id"} <= set(message), message
            assert kind == "ack" or (message["code"] and message["message"]), message
            self.replies.append(message)
        else:
            assert kind in OTHERS, message

    def wait_replies(self, count: int) -> None:
        """Until there are that many in all. Raises Ended."""
        deadline = time.monotonic() + WAIT_S
        while len(self.replies) < count:
            assert time.monotonic() < deadline, f"{len(self.replies)} of {count} replies: {self.replies[-3:]}"
            self.read()

    def until_ended(self) -> Ended:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                self.read()
            except Ended as ended:
                return ended
        raise AssertionError("still open")

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The one reply to this message."""
        before = len(self.replies)
        self.send(json.dumps(message))
        self.wait_replies(before + 1)
        assert len(self.replies) == before + 1 and self.replies[-1]["request_id"] == message["request_id"], self.replies
        return self.replies[-1]

    def pinged(self) -> None:
        """It still answers, and there is nothing before the answer that was not expected."""
        reply = self.ask({"op": "ping", "request_id": "still-there"})
        assert reply["type"] == "ack", reply


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _no_float(text: str) -> Any:
    raise AssertionError(f"a float on the wire: {text}")
