"""The server's connections with small applications behind them: order, ends, silence, and what nobody said."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import httpx2
import pytest
import uvicorn

from raeth.api.connection import BoundedHttp
from raeth.api.exchange import EXCHANGE
from raeth.engine import commands as cmd
from tests.api.harness import Desk

WITHIN_S = 20.0
"""Generous: the machine may be loaded."""

App = Callable[[Any, Any, Any], Awaitable[None]]
HOST = b"host: here\r\n"


class Line:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def answer(self, body: bool = True) -> tuple[int, dict[bytes, bytes], bytes]:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WITHIN_S)
        status, *lines = head.rstrip().split(b"\r\n")
        headers = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
        length = int(headers.get(b"content-length", b"0")) if body else 0
        return int(status.split()[1]), headers, await asyncio.wait_for(self.reader.readexactly(length), WITHIN_S)

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), WITHIN_S) == b""


class House:
    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.server, self.port = server, port
        self.lines: list[Line] = []

    async def line(self) -> Line:
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port))
        self.lines.append(line)
        return line


@asynccontextmanager
async def serving(app: App, head_deadline_s: float = WITHIN_S, keep_alive_s: float = WITHIN_S) -> AsyncIterator[House]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    config = uvicorn.Config(
        app,
        http=BoundedHttp.within(head_deadline_s),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=keep_alive_s,  # type: ignore[arg-type]
        timeout_graceful_shutdown=int(WITHIN_S),
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve([listener]))
    house = House(server, listener.getsockname()[1])
    try:
        while not server.started:
            await asyncio.sleep(0)
        yield house
    finally:
        for line in house.lines:
            line.writer.close()
        server.should_exit = True
        await asyncio.wait_for(task, WITHIN_S)
        listener.close()


def get(path: str, *headers: bytes) -> bytes:
    return f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"".join(headers) + b"\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Its own path, in one piece."""
    said = scope["path"].encode()
    scope[EXCHANGE].answer(200, b"content-length: %d\r\n" % len(said), said)


async def test_requests_of_one_piece_are_answered_in_their_order() -> None:
    gate = asyncio.Event()
    begun: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope["path"])
        if scope["path"] == "/0":
            await gate.wait()
        await echo(scope, receive, send)

    async with serving(app) as house:
        line = await house.line()
        line.say(*(get(f"/{number}") for number in range(40)))
        while not begun:
            await asyncio.sleep(0)
        assert begun == ["/0"], "one request at a time"
        gate.set()
        for number in range(40):
            assert (await line.answer())[2] == b"/%d" % number
        assert not house.server.server_state.tasks


async def test_an_application_that_fails_is_a_500_and_the_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/raises":
            raise ValueError("our bug")

    async with serving(app) as house:
        for path in ("/raises", "/says-nothing"):
            line = await house.line()
            line.say(get(path))
            assert (await line.answer())[0] == 500
            assert await line.ended()
        line = await house.line()
        line.say(get("/raises"), get("/raises"))
        assert (await line.answer())[0] == 500
        assert await line.ended(), "what waits behind is not begun"
        assert not house.server.server_state.tasks


async def test_whoever_leaves_is_noticed_and_what_is_said_then_goes_nowhere() -> None:
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        first = await receive()
        assert first == {"type": "http.request", "body": b"", "more_body": False}
        gone = await receive()
        await echo(scope, receive, send)
        heard.set_result(gone["type"])

    async with serving(app) as house:
        line = await house.line()
        line.say(get("/"))
        while not house.server.server_state.tasks:
            await asyncio.sleep(0)
        line.writer.close()
        assert await asyncio.wait_for(heard, WITHIN_S) == "http.disconnect"


async def test_a_request_in_flight_is_answered_when_the_server_stops() -> None:
    gate = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await echo(scope, receive, send)

    async with serving(app) as house:
        idle, busy = await house.line(), await house.line()
        busy.say(get("/late"))
        while not house.server.server_state.tasks:
            await asyncio.sleep(0)
        house.server.should_exit = True
        assert await idle.ended(), "nothing is owed there"
        gate.set()
        status, headers, body = await busy.answer()
        assert (status, headers[b"connection"], body) == (200, b"close", b"/late")
        assert await busy.ended()


async def test_heads_old_versions_and_closing() -> None:
    async with serving(echo) as house:
        line = await house.line()
        line.say(get("/body").replace(b"GET", b"HEAD"), get("/next"))
        _, headers, _ = await line.answer(body=False)
        assert headers[b"content-length"] == b"5" and b"date" in headers
        assert (await line.answer())[2] == b"/next"
        line.say(get("/last", b"connection: close\r\n"))
        assert (await line.answer())[1][b"connection"] == b"close"
        assert await line.ended()
        line = await house.line()
        line.say(b"GET /old HTTP/1.0\r\n\r\n")
        assert (await line.answer())[2] == b"/old"
        assert await line.ended()
        line = await house.line()
        line.say(b"GET http://here/whole?a=1#b HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await line.answer())[2] == b"/whole"


async def test_a_body_comes_with_its_head_or_after_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        exchange = scope[EXCHANGE]
        body = exchange.whole_body()
        how = b"at once: "
        if body is None:
            how, body, more = b"later: ", b"", True
            while more:
                message = await receive()
                body, more = body + message["body"], message["more_body"]
        exchange.answer(200, b"content-length: %d\r\n" % len(how + body), how + body)

    async with serving(app) as house:
        line = await house.line()
        line.say(b"POST / HTTP/1.1\r\n", HOST, b"content-length: 4\r\n\r\nfour")
        assert (await line.answer())[2] == b"at once: four"
        line.say(b"POST / HTTP/1.1\r\n", HOST, b"expect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        assert (await line.answer())[0] == 100
        line.say(b"fo")
        line.say(b"ur")
        assert (await line.answer())[2] == b"later: four"
        line.say(b"POST / HTTP/1.1\r\n", HOST, b"transfer-encoding: chunked\r\n\r\n2\r\nfo\r\n2\r\nur\r\n0\r\n\r\n")
        assert (await line.answer())[2] == b"at once: four"


@pytest.mark.parametrize(
    "said", [b"", get("/"), b"GET / HT", get("/") + b"GET"], ids=["silent", "idle", "half", "more"]
)
async def test_nobody_is_waited_for_without_end(said: bytes) -> None:
    async with serving(echo, head_deadline_s=0.3, keep_alive_s=0.3) as house:
        line = await house.line()
        line.say(said)
        if said.startswith(get("/")):
            await line.answer()
        with suppress(ConnectionResetError):
            assert await line.ended()


async def test_a_busy_connection_is_never_taken_for_an_idle_one() -> None:
    async with serving(echo, keep_alive_s=0.2) as house:
        line = await house.line()
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.7
        while loop.time() < until:
            line.say(get("/on"))
            assert (await line.answer())[2] == b"/on"


async def test_a_connection_that_has_proved_a_key_proves_no_other_and_not_for_longer(desk: Desk) -> None:
    trader, other = await desk.trader("proved"), await desk.trader("other")
    assert isinstance(desk.http._transport, httpx2.ASGITransport)

    def asks(key: str) -> bytes:
        return get("/api/v1/account", f"authorization: Bearer {key}\r\n".encode())

    async with serving(desk.http._transport.app) as house:
        line = await house.line()

        async def code(key: str) -> str:
            line.say(asks(key))
            status, _, body = await line.answer()
            return "" if status == 200 else str(json.loads(body)["code"])

        assert await code(trader.key) == await code(trader.key) == ""
        wrong = trader.key[:-1] + ("0" if trader.key[-1] != "0" else "1")
        for bad in (wrong, trader.key + "0", trader.key[:-1], trader.key.rpartition("_")[0] + "_"):
            assert await code(bad) == "AUTH_INVALID"
            assert await code(trader.key) == ""
        assert await code(other.key) == await code(trader.key) == ""
        await desk.submit(cmd.RevokeKey(trader.account, trader.agent, trader.key.split("_")[2]))
        assert await code(trader.key) == await code(trader.key) == "AUTH_REVOKED"
        assert await code(other.key) == ""
