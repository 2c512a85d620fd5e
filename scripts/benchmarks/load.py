"""A load generator: so many connections, one request in flight on each, over plain sockets.

It runs in a process of its own so that it does not share the server's core, and does as little as possible per request:
prepared bytes out, the status line and the length of the answer in.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import NamedTuple

Source = Callable[[], bytes]
"""Gives the next whole request of one connection."""


class Load(NamedTuple):
    """What a run of load did. Latencies are milliseconds; `statuses` counts answers by HTTP status."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]
    declined: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, source: Source, run: _Run) -> None:
        self.source = source
        self.run = run
        self.buffer = b""
        self.sent = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def send(self) -> None:
        assert self.transport is not None
        self.sent = time.perf_counter()
        self.transport.write(self.source())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        place = head.index(b"content-length:") + 15
        length = int(head[place:].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
        if self.run.answered(int(head[9:12]), body, time.perf_counter() - self.sent):
            self.send()
        elif self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.closed()


class _Run:
    def __init__(self, connections: int, warm_s: float, seconds: float, limit: int | None) -> None:
        self.open = connections
        self.began = time.perf_counter() + warm_s
        self.until = self.began + seconds
        self.limit = limit
        self.latencies: list[float] = []
        self.statuses: dict[int, int] = {}
        self.declined = 0
        self.requests = 0
        self.ended = 0.0
        self.done = asyncio.Event()

    def answered(self, status: int, body: bytes, seconds: float) -> bool:
        now = time.perf_counter()
        if now >= self.began:
            self.requests += 1
            if len(self.latencies) < 400_000:
                self.latencies.append(seconds)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if b'"REJECTED"' in body:
                self.declined += 1
            self.ended = now
        return now < self.until and (self.limit is None or self.requests < self.limit)

    def closed(self) -> None:
        self.open -= 1
        if not self.open:
            self.done.set()


async def run_load(
    port: int, sources: list[Source], seconds: float, warm_s: float = 1.0, limit: int | None = None
) -> Load:
    """One connection for each of `sources`, for `seconds` after a warm-up, or until `limit` requests were counted."""
    run = _Run(len(sources), warm_s, seconds, limit)
    loop = asyncio.get_running_loop()
    for source in sources:
        await loop.create_connection(lambda source=source: _Connection(source, run), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.wait_for(run.done.wait(), seconds + warm_s + 30)
    found = sorted(run.latencies)
    return Load(
        run.requests,
        run.ended - run.began,
        found[len(found) // 2] * 1000,
        found[int(len(found) * 0.99)] * 1000,
        run.statuses,
        run.declined,
    )


def request(path: str, body: bytes, key: str = "") -> bytes:
    """The bytes of a POST on a kept-alive connection."""
    credential = f"Authorization: Bearer {key}\r\n" if key else ""
    kind = "Content-Type: application/json\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{credential}{kind}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def order_bodies(market: str, seed: int, count: int = 512) -> list[bytes]:
    """Orders of one connection: both sides, prices 45-55, 1-5 contracts. About half of them trade at once."""
    rnd = random.Random(seed)
    return [
        b'{"market_id":"%s","side":"%s","type":"LIMIT","tif":"%s","price":%d,"qty":%d}'
        % (
            market.encode(),
            rnd.choice((b"BUY", b"SELL")),
            rnd.choice((b"GTC", b"IOC")),
            rnd.randint(45, 55),
            rnd.randint(1, 5),
        )
        for _ in range(count)
    ]


def cycle(requests: list[bytes]) -> Source:
    """A source that goes round."""
    place = -1

    def following() -> bytes:
        nonlocal place
        place = (place + 1) % len(requests)
        return requests[place]

    return following
