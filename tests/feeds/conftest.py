"""A venue on 127.0.0.1: it speaks what a test tells it to, session by session, and remembers what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve


@dataclass
class Session:
    """What one connection gets: frames once it has subscribed, then an end."""

    frames: list[str | bytes] = field(default_factory=list)
    then: Literal["hold", "close", "abort"] = "hold"


@dataclass
class FakeVenue:
    """`sessions` are served in turn, the last one again and again. `expect` frames are awaited before speaking."""

    sessions: list[Session]
    expect: int
    path: str = ""
    received: list[list[str | bytes]] = field(default_factory=list)
    open_sockets: list[ServerConnection] = field(default_factory=list)
    server: Server | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"ws://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}{self.path}"

    async def handle(self, socket: ServerConnection) -> None:
        session = self.sessions[min(len(self.received), len(self.sessions) - 1)]
        heard: list[str | bytes] = []
        self.received.append(heard)
        for _ in range(self.expect):
            heard.append(await socket.recv())
        self.open_sockets.append(socket)
        for frame in session.frames:
            await socket.send(frame)
        if session.then == "close":
            return
        if session.then == "abort":
            socket.transport.abort()
            return
        async for frame in socket:
            heard.append(frame)

    async def say(self, *frames: str) -> None:
        """Send frames on the latest connection."""
        for frame in frames:
            await self.open_sockets[-1].send(frame)


StartVenue = Callable[..., Awaitable[FakeVenue]]


@pytest.fixture
async def start_venue() -> AsyncIterator[StartVenue]:
    """`await start_venue(sessions, expect=n, path="/v2")` gives a venue that is listening."""
    started: list[FakeVenue] = []

    async def start(sessions: list[Session], expect: int = 0, path: str = "") -> FakeVenue:
        venue = FakeVenue(sessions, expect, path)
        venue.server = await serve(venue.handle, "127.0.0.1", 0, close_timeout=0.2)
        started.append(venue)
        return venue

    yield start
    for venue in started:
        assert venue.server is not None
        venue.server.close()
        await venue.server.wait_closed()


@pytest.fixture
def session() -> type[Session]:
    return Session


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """`await until(condition)`: returns as soon as it holds, fails after five seconds."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
