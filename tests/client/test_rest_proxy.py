"""The proxy does what it says: it is the ground the proofs of this folder stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.client.proxy import Fault, Proxy, whole_request

REQUEST = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Counts the requests that arrive whole, and answers each."""

    def __init__(self) -> None:
        self.got = 0
        self.arrived = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readexactly(len(REQUEST))
                self.got += 1
                self.arrived.set()
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def before_a_server() -> AsyncIterator[tuple[Server, Proxy]]:
    server = Server()
    async with (
        await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening,
        Proxy(listening.sockets[0].getsockname()[1]) as proxy,
    ):
        yield server, proxy


async def talk(port: int) -> bytes:
    """One request and whatever comes back before the connection ends, or before the whole answer is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        writer.write(REQUEST[:20])
        await writer.drain()
        writer.write(REQUEST[20:])
        while len(got) < len(ANSWER) and (chunk := await reader.read(100)):
            got += chunk
    except ConnectionError:
        pass
    writer.close()
    return got


@pytest.mark.parametrize(
    ("fault", "arrives", "answer"),
    [
        (None, 1, ANSWER),
        (Fault("delay", delay_s=0.01), 1, ANSWER),
        (Fault("before"), 0, b""),
        (Fault("after"), 1, b""),
        (Fault("late", delay_s=0.01), 1, b""),
    ],
)
async def test_faults(fault: Fault | None, arrives: int, answer: bytes) -> None:
    async with before_a_server() as (server, proxy):
        proxy.faults = lambda request: fault
        assert await talk(proxy.port) == answer
        if arrives:
            await asyncio.wait_for(server.arrived.wait(), 5)
        assert server.got == arrives


async def test_an_answer_is_cut_in_the_middle() -> None:
    async with before_a_server() as (server, proxy):
        proxy.faults = lambda request: Fault("mid", answer_bytes=10)
        assert ANSWER[:10].startswith(await talk(proxy.port))
        assert server.got == 1
        proxy.faults = None
        proxy.cut_after_bytes(7)
        assert ANSWER[:7].startswith(await talk(proxy.port))
        assert await talk(proxy.port) == ANSWER, "once only"


async def test_a_pause_holds_and_a_resume_lets_go() -> None:
    async with before_a_server() as (server, proxy):
        proxy.pause()
        talking = asyncio.create_task(talk(proxy.port))
        done, _ = await asyncio.wait([talking], timeout=0.05)
        assert not done and server.got == 0
        proxy.resume()
        assert await asyncio.wait_for(talking, 5) == ANSWER
        proxy.refuse()
        assert await talk(proxy.port) == b""
        proxy.accept()
        assert await talk(proxy.port) == ANSWER


async def test_cutting_ends_what_is_open() -> None:
    async with before_a_server() as (_, proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        assert await reader.readexactly(len(ANSWER)) == ANSWER
        proxy.cut_now()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.close()


def test_requests_are_told_apart() -> None:
    assert whole_request(REQUEST[:-1]) is None
    assert whole_request(REQUEST + REQUEST[:10]) == len(REQUEST)
    assert whole_request(b"GET / HTTP/1.1\r\n\r\nGET") == len(b"GET / HTTP/1.1\r\n\r\n")
