"""The venue of `tests.api.harness` behind a real server on a loopback port, and real WebSocket clients that keep what
they hear.

Server and clients share the test's event loop, so a test can look at both ends between two moments.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from raeth.api.connection import BoundedHttp
from raeth.api.streams.hub import Hub
from raeth.api.streams.wire import StreamSocket
from raeth.config import LimitSettings
from raeth.engine.types import Settings
from tests.api.harness import LIMITS, RULES, Desk, Trader, opened_desk

Event = dict[str, Any]

WAIT_S = 30.0

ROOMY = {"sockets_per_agent": 1_000, "sockets_per_key": 1_000, "sockets_per_address": 10_000}


def limits(**changes: int) -> LimitSettings:
    """The desk's budgets, with streams and control messages that nobody runs out of, and these changes."""
    roomy = {**ROOMY, "control_messages_per_minute": 100_000}
    return LIMITS.model_copy(update=roomy | changes)


async def until(condition: Callable[[], Any], seconds: float = WAIT_S) -> None:
    """Wait for work that is really under way elsewhere."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


class Server(uvicorn.Server):
    """uvicorn without signal handlers: those are the test runner's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Peer:
    """A client. `heard` keeps every event by channel, `replies` what had no `request_id` of ours, `closed` how it
    ended."""

    def __init__(self, wire: ClientConnection) -> None:
        self.wire = wire
        self.heard: dict[str, list[Event]] = defaultdict(list)
        self.raw: dict[str, list[str]] = defaultdict(list)
        self.others: list[dict[str, Any]] = []
        self.order: list[dict[str, Any]] = []
        """Every message in the order it came."""
        self.closed: tuple[int, str] | None = None
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            async for text in self.wire:
                assert isinstance(text, str), "the venue sends text only"
                self._take(text, json.loads(text, parse_float=_no_float))
        except ConnectionClosed:
            pass
        frame = self.wire.protocol.close_rcvd
        self.closed = (1006, "") if frame is None else (frame.code, frame.reason)
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError(f"closed {self.closed}, {self.others[-1:]}"))
                waiting.exception()

    def _take(self, text: str, message: dict[str, Any]) -> None:
        self.order.append(message)
        if "channel" in message:
            assert set(message) == {"channel", "type", "channel_seq", "seq", "ts", "data"}
            told = self.heard[message["channel"]]
            if told and message["type"] != "snapshot" and not (told[-1].get("over")):
                assert message["channel_seq"] == told[-1]["channel_seq"] + 1, (told[-1], message)
                assert message["seq"] >= told[-1]["seq"], (told[-1], message)
            told.append(message)
            self.raw[message["channel"]].append(text[text.index(',"data":') + 8 : -1])
        elif (waiting := self._asked.pop(message.get("request_id") or "", None)) is not None:
            if not waiting.done():
                waiting.set_result(message)
        else:
            self.others.append(message)

    async def send(self, message: Any) -> None:
        await self.wire.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def post(self, op: str, **fields: Any) -> tuple[str, asyncio.Future[dict[str, Any]]]:
        """A message's text with a `request_id`, and the reply to come."""
        request_id = f"r{next(self._numbers)}"
        future = self._asked[request_id] = asyncio.get_running_loop().create_future()
        return json.dumps({"op": op, "request_id": request_id, **fields}), future

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The reply, whatever it is."""
        text, reply = self.post(op, **fields)
        if self.closed is not None:
            raise ConnectionError(f"closed {self.closed}")
        await self.send(text)
        async with asyncio.timeout(WAIT_S):
            return await reply

    async def ack(self, op: str, **fields: Any) -> Any:
        reply = await self.ask(op, **fields)
        assert reply["type"] == "ack", reply
        assert reply["op"] == op and set(reply) == {"type", "op", "request_id", "data"}
        return reply["data"]

    async def error(self, code: str, op: str, **fields: Any) -> dict[str, Any]:
        reply = await self.ask(op, **fields)
        assert reply["type"] == "error" and reply["code"] == code, reply
        assert reply["op"] == op and reply["message"]
        assert set(reply) <= {"type", "op", "request_id", "code", "message", "details", "retry_after_ms"}
        return reply

    async def subscribe(self, *channels: str, **fields: Any) -> None:
        for channel in channels:
            if self.heard[channel]:
                self.heard[channel][-1]["over"] = True
        assert await self.ack("subscribe", channels=list(channels), **fields) == {"channels": list(channels)}
        await self.caught_up()

    async def caught_up(self) -> None:
        """All that was written to this socket before has been heard."""
        await self.ack("ping")

    async def event(self, channel: str, count: int) -> list[Event]:
        """The first `count` events of a channel, as soon as they are there."""
        await until(lambda: len(self.heard[channel]) >= count)
        return self.heard[channel][:count]

    async def ended(self, seconds: float = WAIT_S) -> tuple[int, str]:
        async with asyncio.timeout(seconds):
            await asyncio.wait({self._task})
        assert self.closed is not None
        return self.closed

    async def close(self) -> None:
        await self.wire.close()
        await self.ended()

    def abort(self) -> None:
        """Gone without a word, with a reset."""
        sock = self.wire.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.wire.transport.abort()


def _no_float(text: str) -> Any:
    raise AssertionError(f"a float on the wire: {text}")


class Hall:
    """The desk and its doors. Every client made here is closed at the end."""

    def __init__(self, desk: Desk, port: int, server: Server) -> None:
        self.desk = desk
        self.port = port
        self.server = server
        self.peers: list[Peer] = []

    @property
    def hub(self) -> Hub:
        return self.desk.venue.hub

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def dial(self, query: str = "", **options: Any) -> Peer:
        wire = await connect(f"ws://127.0.0.1:{self.port}/stream{query}", max_size=None, compression=None, **options)
        peer = Peer(wire)
        self.peers.append(peer)
        return peer

    async def anyone(self) -> Peer:
        return await self.dial()

    async def peer(self, trader: Trader, **options: Any) -> Peer:
        """A socket that belongs to this agent by its header."""
        return await self.dial(additional_headers={"Authorization": f"Bearer {trader.key}"}, **options)

    async def quiet(self, *peers: Peer) -> None:
        """Everything that is durable has been told, and heard by `peers`."""
        hub = self.hub
        await hub.aligned()
        await until(lambda: hub._flushing is None)
        told = asyncio.Event()

        async def tell() -> None:
            told.set()

        if hub._tasks:
            hub.in_lane(tell)
            await told.wait()
        for peer in peers:
            await peer.caught_up()


@asynccontextmanager
async def opened_hall(
    folder: Path, rules: Settings = RULES, open_limits: LimitSettings | None = None, send_buffer: int | None = None
) -> AsyncIterator[Hall]:
    """A venue with an open window, served with the options of the real process.

    `send_buffer` is how much the system holds for each connection in bytes: little, where a test waits for it to fill.
    """
    chosen = open_limits if open_limits is not None else limits()
    async with opened_desk(folder, rules, chosen) as desk, serving(desk, send_buffer) as hall:
        yield hall


@asynccontextmanager
async def serving(desk: Desk, send_buffer: int | None = None) -> AsyncIterator[Hall]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # plain asyncio sets it on nothing that it accepts
    if send_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    listener.setblocking(False)
    assert isinstance(desk.http._transport, httpx2.ASGITransport)
    server = Server(
        uvicorn.Config(
            desk.http._transport.app,
            http=BoundedHttp,
            ws=StreamSocket,
            ws_max_size=desk.venue.settings.limits.frame_bytes,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
        )
    )
    task = asyncio.create_task(server.serve([listener]))
    hall = Hall(desk, listener.getsockname()[1], server)
    try:
        await until(lambda: server.started)
        yield hall
    finally:
        for peer in hall.peers:
            if peer.closed is None:
                peer.wire.transport.abort()
        server.should_exit = True
        desk.venue.hub.depart()
        await asyncio.wait_for(task, WAIT_S)
        await desk.venue.hub.stop()
        listener.close()
        await asyncio.gather(*(peer.ended() for peer in hall.peers))
