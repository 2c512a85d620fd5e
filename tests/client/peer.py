"""The other end of a socket, with faults that a healthy venue does not produce: silence, gaps, cuts, refusals.

It speaks the frames of the streams only as far as connections go, and knows nothing of books, orders or money: what a
venue really says is tested against a venue.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Frame = dict[str, Any]
Reply = Callable[[Frame], Frame | None]


def acknowledged(message: Frame) -> Frame:
    data = {"channels": message["channels"]} if "channels" in message else {"ts": "2026-11-20T10:30:00.123Z", "seq": 7}
    return {"type": "ack", "op": message["op"], "request_id": message.get("request_id"), "data": data}


def refused(message: Frame, code: str, **more: Any) -> Frame:
    return {
        "type": "error",
        "op": message["op"],
        "request_id": message["request_id"],
        "code": code,
        "message": "m",
        **more,
    }


class Peer:
    """Listens on a free port. `got`: what clients sent, of all connections; `headers`: of each handshake.

    `reply` says what to answer to a message (None: nothing); a granted subscription is followed by a snapshot, unless
    it resumes. `greet` is called with every new connection before anything is read from it.
    """

    def __init__(self) -> None:
        self.got: list[Frame] = []
        self.headers: list[Headers] = []
        self.opened_at: list[float] = []
        self.reply: Reply = acknowledged
        self.greet: Callable[[ServerConnection], Any] | None = None
        self.snapshots = True
        self.http: Callable[[str], tuple[int, Frame]] = lambda path: (404, {"code": "NOT_FOUND", "message": "m"})
        self.sockets: list[ServerConnection] = []
        self._numbers: Counter[str] = Counter()
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> ServerConnection:
        return self.sockets[-1]

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._request, compression=None, ping_interval=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for socket in self.sockets:
            socket.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/stream":
            return None
        status, body = self.http(request.path)
        response = connection.respond(status, json.dumps(body))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.headers.append(socket.request.headers)
        self.opened_at.append(asyncio.get_running_loop().time())
        self.sockets.append(socket)
        self._changed.set()
        try:
            if self.greet is not None:
                await self.greet(socket)
            async for text in socket:
                await self._take(socket, json.loads(text))
        except ConnectionClosed:
            pass

    async def _take(self, socket: ServerConnection, message: Frame) -> None:
        self.got.append(message)
        self._changed.set()
        answer = self.reply(message)
        if answer is not None:
            await socket.send(json.dumps(answer))
            if (
                message["op"] == "subscribe"
                and answer["type"] == "ack"
                and "from_seq" not in message
                and self.snapshots
            ):
                for channel in message["channels"]:
                    await self.tell(channel, "snapshot", {})

    async def tell(
        self, channel: str, kind: str = "event", data: Any = None, *, seq: int = 1, skipping: int = 0
    ) -> None:
        """An event of a channel; `skipping`: so many before it got lost."""
        self._numbers[channel] += 1 + skipping
        number = self._numbers[channel]
        frame = {"channel": channel, "type": kind, "channel_seq": number, "seq": seq, "ts": "2026-11-20T10:30:00.123Z"}
        await self.say(frame | {"data": data})

    async def say(self, frame: Frame) -> None:
        await self.socket.send(json.dumps(frame))

    async def part(self, close_code: int, **error: Any) -> None:
        """Say an error that belongs to no request, if there is one, and close."""
        if error:
            await self.say({"type": "error", "op": None, "request_id": None, "message": "m", **error})
        await self.socket.close(close_code)

    async def until(self, true: Callable[[], bool], within_s: float = 10.0) -> None:
        """Until something that changes with connections and messages is true."""
        async with asyncio.timeout(within_s):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def asked(self, op: str) -> list[Frame]:
        return [message for message in self.got if message["op"] == op]
