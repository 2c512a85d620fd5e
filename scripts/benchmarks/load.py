"""A load generator over plain sockets: kept-alive connections, one request in flight on each.

It runs in a process of its own so that it does not share the server's core, and does as little as possible per request:
prepared bytes out, the status line and the length of the answer in. It knows two ways to press: `run_load` sends the
next request when the last one is answered, `run_paced` when it falls due, answered or not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

Source = Callable[[], bytes]
"""Gives the next whole request of one connection."""

WARM_S = 0.3
"""Of every run, not counted."""


class Load(NamedTuple):
    """What a run of load did. Latencies are milliseconds; `statuses` counts answers by HTTP status; `cpu_s` is the load
    generator's own processor time."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]
    declined: int
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """The load generator's processor time for one request."""
        return self.cpu_s / self.requests * 1e6


class Connection(asyncio.Protocol):
    """One connection: `order` sends a request, or lets it wait until the one under way is answered.

    `answered(connection, status, body, due)` hears of each answer, with the moment `order` was given.
    """

    def __init__(self, source: Source, answered: Callable[[Connection, int, bytes, float], None]) -> None:
        self.source = source
        self._answered = answered
        self._due: deque[float] = deque()
        self._busy = False
        self._buffer = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def order(self, due: float) -> None:
        self._due.append(due)
        if not self._busy:
            self._busy = True
            self.transport.write(self.source())

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n") + 4
        if end < 4 or len(buffer) < end + (length := _length(buffer, end)):
            self._buffer = buffer
            return
        self._buffer = b""
        self._busy = False
        self._answered(self, int(buffer[9:12]), buffer[end : end + length], self._due.popleft())
        if self._due and not self._busy:
            self._busy = True
            self.transport.write(self.source())


def _length(answer: bytes, end: int) -> int:
    """The length of the body, from the head that ends at `end`."""
    place = answer.find(b"content-length: ", 0, end)
    if place < 0:
        place = answer[:end].lower().index(b"content-length: ")
    return int(answer[place + 16 : answer.index(b"\r\n", place)])


async def connect(
    port: int, sources: list[Source], answered: Callable[[Connection, int, bytes, float], None]
) -> list[Connection]:
    """One connection for each of `sources`."""
    loop = asyncio.get_running_loop()
    made = []
    for source in sources:
        _, connection = await loop.create_connection(lambda s=source: Connection(s, answered), "127.0.0.1", port)  # type: ignore[misc]
        made.append(connection)
    return made


class Tally:
    """Counts answers from `began` to `until`, both in `time.perf_counter`'s seconds."""

    def __init__(self, seconds: float, warm_s: float) -> None:
        self.began = time.perf_counter() + warm_s
        self.until = self.began + seconds
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.declined = 0
        self.ended = 0.0
        self._cpu_began: float | None = None
        self._cpu_ended: float | None = None

    def count(self, status: int, body: bytes, since: float) -> float:
        """One answer; the time it came at."""
        now = time.perf_counter()
        if self.began <= now < self.until:
            if self._cpu_began is None:
                self._cpu_began = time.process_time()
            self.latencies.append(now - since)
            self.statuses[status] += 1
            self.declined += b'"REJECTED"' in body
            self.ended = now
        elif now >= self.until and self._cpu_ended is None:
            self._cpu_ended = time.process_time()
        return now

    def load(self) -> Load:
        found = sorted(self.latencies)
        assert found and self._cpu_began is not None, "no answers"
        cpu_ended = time.process_time() if self._cpu_ended is None else self._cpu_ended
        return Load(
            len(found),
            self.ended - self.began,
            found[len(found) // 2] * 1000,
            found[int(len(found) * 0.99)] * 1000,
            dict(self.statuses),
            self.declined,
            cpu_ended - self._cpu_began,
        )


async def run_load(port: int, sources: list[Source], seconds: float, warm_s: float = WARM_S) -> Load:
    """A closed loop on one connection for each of `sources`: at any moment as many requests as connections."""
    return await run_loads([port], sources, seconds, warm_s)


async def run_loads(ports: list[int], sources: list[Source], seconds: float, warm_s: float = WARM_S) -> Load:
    """The same, the connections dealt out over several servers."""
    left = len(sources)
    done = asyncio.Event()

    def answered(connection: Connection, status: int, body: bytes, due: float) -> None:
        nonlocal left
        now = tally.count(status, body, due)
        if now < tally.until:
            connection.order(now)
            return
        left -= 1
        if not left:
            done.set()

    connections: list[Connection] = []
    for place, port in enumerate(ports):
        connections += await connect(port, sources[place :: len(ports)], answered)
    tally = Tally(seconds, warm_s)
    for connection in connections:
        connection.order(time.perf_counter())
    await asyncio.wait_for(done.wait(), seconds + warm_s + 30)
    _close(connections)
    return tally.load()


async def run_paced(port: int, sources: list[Source], rate: float, seconds: float, warm_s: float = WARM_S) -> Load:
    """`rate` requests a second, evenly spaced and dealt out over the connections. A latency counts from the moment the
    request was due: a server that falls behind cannot hide it."""
    answers = 0

    def answered(connection: Connection, status: int, body: bytes, due: float) -> None:
        nonlocal answers
        answers += 1
        tally.count(status, body, due)

    connections = await connect(port, sources, answered)
    tally = Tally(seconds, warm_s)
    began = time.perf_counter()
    total, sent = int((seconds + warm_s) * rate), 0
    # Polls without a pause: the core is the generator's own, and a timer is only good to a millisecond.
    while sent < total:
        now = time.perf_counter()
        while sent < total and (due := began + sent / rate) <= now:
            connections[sent % len(connections)].order(due)
            sent += 1
        await asyncio.sleep(0)
    for _ in range(1000):
        if answers == total:
            break
        await asyncio.sleep(0.01)
    assert answers == total, f"{total - answers} requests without an answer"
    _close(connections)
    return tally.load()


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.transport.close()


def request(path: str, body: bytes, key: str = "") -> bytes:
    """The bytes of a POST on a kept-alive connection."""
    kind = "Content-Type: application/json\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{_bearer(key)}{kind}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get(path: str, key: str = "") -> bytes:
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{_bearer(key)}\r\n".encode()


def _bearer(key: str) -> str:
    return f"Authorization: Bearer {key}\r\n" if key else ""


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


def order_sources(market: str, path: str, keys: list[str], connections: int) -> list[Source]:
    """For each connection its own orders, under the keys in turn."""
    return [
        cycle([request(path, body, keys[place % len(keys)]) for body in order_bodies(market, place)])
        for place in range(connections)
    ]


def cycle(requests: list[bytes]) -> Source:
    """A source that goes round."""
    place = -1

    def following() -> bytes:
        nonlocal place
        place = (place + 1) % len(requests)
        return requests[place]

    return following
