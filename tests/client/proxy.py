"""A TCP proxy that fails on demand, between a client and a venue on this machine.

    async with Proxy(target_port) as p:
        client = AsyncClient(p.url, key)
        p.cut_now()                 # abort all connections there are
        p.cut_after_bytes(100)      # abort the connection that carries the 100th byte from the venue from now on
        p.pause(); p.resume()       # hold all bytes, both ways; new connections are accepted, and held too
        p.refuse(); p.accept()      # new connections are aborted at once
        p.faults = choose           # for HTTP: called with every whole request, says what is to go wrong with it

Bytes pass unchanged, so it carries sockets as well as requests. Knows HTTP only as far as a request's length, and only
while `faults` is set.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

CHUNK = 65_536
DRAIN_S = 10.0
"""How long the venue may take to answer a request whose client was cut off."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    `before`: the connection is cut, the request never forwarded. `after`: it is forwarded, the connection cut before
    the answer. `mid`: the connection is cut after `answer_bytes` of the answer. `late`: the connection is cut, and the
    request forwarded `delay_s` later all the same. `delay`: nothing is cut, the request waits `delay_s`.
    """

    kind: Literal["before", "after", "mid", "late", "delay"]
    answer_bytes: int = 0
    delay_s: float = 0.0


Choose = Callable[[bytes], Fault | None]


class Proxy:
    """Listens on `port`, a free one, and forwards to `target_port`."""

    def __init__(self, target_port: int, faults: Choose | None = None) -> None:
        self.target_port = target_port
        self.faults = faults
        self.port = 0
        self.accepted = 0
        """How many connections there have been."""
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._bytes_left: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut_now()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_now(self) -> None:
        """Abort every connection there is, in both directions."""
        for link in [*self._links]:
            link.cut()

    def cut_after_bytes(self, count: int) -> None:
        """Let `count` more bytes of the venue pass, then abort the connection that carried the last one. Once."""
        self._bytes_left = count

    def pause(self) -> None:
        """Hold everything: nothing passes, nothing is closed."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def refuse(self) -> None:
        """Abort new connections from now on."""
        self._refusing = True

    def accept(self) -> None:
        self._refusing = False

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refusing:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = _Link(self, reader, writer, up_reader, up_writer)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            self._tasks.discard(task)

    def _passing(self, chunk: bytes) -> tuple[bytes, bool]:
        """How much of a chunk of the venue may pass, and whether its connection ends there."""
        if self._bytes_left is None:
            return chunk, False
        if len(chunk) < self._bytes_left:
            self._bytes_left -= len(chunk)
            return chunk, False
        chunk, self._bytes_left = chunk[: self._bytes_left], None
        return chunk, True


class _Link:
    """One connection of a client, and the one to the venue that belongs to it."""

    def __init__(
        self,
        proxy: Proxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._up_reader, self._up_writer = up_reader, up_writer
        self._answer_left: int | None = None
        self._abandoned = False

    def cut(self) -> None:
        self._writer.transport.abort()
        self._up_writer.transport.abort()

    async def run(self) -> None:
        down = asyncio.create_task(self._down())
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._up()
            if self._abandoned:  # the venue is to carry out what it got, though nobody will hear of it
                await asyncio.wait([down], timeout=DRAIN_S)
            else:
                with suppress(OSError):
                    self._up_writer.write_eof()
                await down
        finally:
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)
            self.cut()

    async def _up(self) -> None:
        """From the client to the venue."""
        held = b""
        while chunk := await self._reader.read(CHUNK):
            await self._proxy._flowing.wait()
            choose = self._proxy.faults
            if choose is None:
                self._up_writer.write(held + chunk)
                held = b""
                continue
            held += chunk
            while (length := whole_request(held)) is not None:
                request, held = held[:length], held[length:]
                if not await self._forward(request, choose(request)):
                    return

    async def _forward(self, request: bytes, fault: Fault | None) -> bool:
        """Pass one request on, as its fault has it. False when that was the end of the connection."""
        kind = None if fault is None else fault.kind
        if kind == "before":
            self.cut()
            return False
        if kind in ("after", "late"):
            self._abandoned = True
            self._writer.transport.abort()
        if fault is not None and fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault is not None and kind == "mid":
            self._answer_left = fault.answer_bytes
        self._up_writer.write(request)
        return not self._abandoned

    async def _down(self) -> None:
        """From the venue to the client."""
        with suppress(ConnectionError):
            while not self._abandoned and (chunk := await self._up_reader.read(CHUNK)):
                await self._proxy._flowing.wait()
                if self._abandoned:
                    return
                chunk, last = self._proxy._passing(chunk)
                if self._answer_left is not None:
                    chunk = chunk[: self._answer_left]
                    self._answer_left -= len(chunk)
                    last = last or self._answer_left == 0
                self._writer.write(chunk)
                if last:
                    with suppress(ConnectionError):
                        await self._writer.drain()
                    self.cut()
                    return
        self._writer.close()


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def whole_request(held: bytes) -> int | None:
    """The length of the first request in these bytes, or None while it is not complete."""
    end = held.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = _LENGTH.search(held, 0, end + 2)
    length = end + 4 + (int(found[1]) if found else 0)
    return length if len(held) >= length else None
