"""Order entry over one socket against `POST /orders`, and the live book told to many, in one run.

The clients speak just enough of the WebSocket protocol: masked with zeros, so that prepared frames can be sent as they
are, and no control frames. Subscribers and the one who trades are processes of their own on the load's core.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing as mp
import os
import random
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import httpx2
import uvloop

from benchmarks.http import CONNECTIONS, ROOMY, measure_venue, open_window, sign_up, split_cores, venue_server
from benchmarks.load import Load, order_bodies

IN_FLIGHT = 256
SUBSCRIBERS = 500
ORDERS_PER_S = 500
HANDSHAKE = (
    "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{credential}\r\n"
)
ENVIRONMENT = {**ROOMY, "RAETH_LIMITS__SOCKETS_PER_ADDRESS": "2000", "RAETH_SERIES__WINDOW_MS": "60000"}


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


async def pipelined(port: int, key: str, market: str, seconds: float, in_flight: int = IN_FLIGHT) -> Load:
    """Orders over one socket, `in_flight` of them at any moment."""
    frames = [frame(b'{"op":"submit_order","request_id":"1","params":%s}' % body) for body in order_bodies(market, 0)]
    began = time.perf_counter() + 1.0
    until = began + seconds
    sent_at: list[float] = []
    latencies: list[float] = []
    counts = {"answered": 0, "declined": 0, "errors": 0, "place": 0, "done": 0}
    finished = asyncio.get_running_loop().create_future()
    wire: Wire

    def send(count: int) -> None:
        place = counts["place"]
        chosen = [frames[(place + k) % len(frames)] for k in range(count)]
        counts["place"] = place + count
        sent_at.extend([time.perf_counter()] * count)
        wire.say(b"".join(chosen))

    waiting = [0]

    def flush() -> None:
        count, waiting[0] = waiting[0], 0
        if count and time.perf_counter() < until:
            send(count)

    def heard(text: bytes) -> None:
        if text.startswith(b'{"type":"heartbeat"'):
            return
        now = time.perf_counter()
        sent = sent_at[counts["done"]]
        counts["done"] += 1
        if now >= began:
            counts["answered"] += 1
            latencies.append(now - sent)
            if text.startswith(b'{"type":"reject"'):
                counts["declined"] += 1
            elif text.startswith(b'{"type":"error"'):
                counts["errors"] += 1
        if now >= until:
            if not finished.done():
                finished.set_result(now)
            return
        if not waiting[0]:
            asyncio.get_running_loop().call_soon(flush)
        waiting[0] += 1

    wire = await connect(port, heard, key)
    send(in_flight)
    ended = await asyncio.wait_for(finished, seconds + 30)
    wire.transport.close()
    assert not counts["errors"], f"{counts['errors']} orders were not judged"
    found = sorted(latencies)
    return Load(
        counts["answered"],
        ended - began,
        found[len(found) // 2] * 1000,
        found[int(len(found) * 0.99)] * 1000,
        {200: counts["answered"]},
        counts["declined"],
    )


def compare_entry(rounds: int, seconds: float) -> list[tuple[Load, Load]]:
    """`rounds` pairs of (`POST /orders`, one socket) against one venue."""
    _, load_core = split_cores()
    os.sched_setaffinity(0, load_core)
    pairs = []
    with tempfile.TemporaryDirectory() as folder, venue_server(folder, ENVIRONMENT) as (port, _):
        keys = sign_up(port, CONNECTIONS)
        for _ in range(rounds):
            market = open_window(port, 2 * seconds + 6)
            posted = asyncio.run(measure_venue(port, keys, market, seconds))
            assert set(posted.statuses) == {200}, posted.statuses
            pairs.append((posted, uvloop.run(pipelined(port, keys[0], market, seconds))))
    return pairs


class Fanout(NamedTuple):
    """Milliseconds. `alone` and `watched` are the order's answer without and with subscribers, `told` from the order's
    stamp, which is before its commit, to the moment a subscriber had the level."""

    subscribers: int
    orders: int
    received: int
    told_p50_ms: float
    told_p99_ms: float
    alone_p50_ms: float
    alone_p99_ms: float
    watched_p50_ms: float
    watched_p99_ms: float


async def paced(port: int, key: str, market: str, seconds: float) -> list[tuple[int, float, float]]:
    """Orders over one socket at a steady rate that never waits: `(seq, stamp in epoch seconds, latency)` of each."""
    rnd = random.Random(1)
    sent: dict[str, float] = {}
    found: list[tuple[int, float, float]] = []

    def heard(text: bytes) -> None:
        now = time.perf_counter()
        if text.startswith(b'{"type":"heartbeat"'):
            return
        reply = json.loads(text)
        assert reply["type"] == "ack", reply
        order = reply["data"]
        found.append((order["seq"], stamp_s(order["updated_at"]), now - sent.pop(reply["request_id"])))

    wire = await connect(port, heard, key)
    began = time.perf_counter()
    # Never crossing, so that every order changes the book.
    for place in range(int(seconds * ORDERS_PER_S)):
        side, price = ("BUY", rnd.randint(30, 48)) if place % 2 else ("SELL", rnd.randint(52, 70))
        body = {"market_id": market, "side": side, "type": "LIMIT", "price": price, "qty": 1}
        message = {"op": "submit_order", "request_id": str(place), "params": body}
        await asyncio.sleep(max(0.0, began + place / ORDERS_PER_S - time.perf_counter()))
        sent[str(place)] = time.perf_counter()
        wire.say(frame(json.dumps(message).encode()))
    for _ in range(500):
        if not sent:
            break
        await asyncio.sleep(0.01)
    assert not sent, f"{len(sent)} orders without an answer"
    wire.transport.close()
    return found


def stamp_s(iso: str) -> float:
    """Epoch seconds of a time of today's venue, whose day is the machine's."""
    clock = sum(float(part) * unit for part, unit in zip(iso[11:-1].split(":"), (3600, 60, 1), strict=True))
    midnight = int(time.time()) // 86_400 * 86_400
    return midnight + clock


def subscribers(port: int, market: str, count: int, pipe: Connection) -> None:
    """A process of `count` subscribers: says when all listen, and sends what they received when asked."""
    uvloop.run(_subscribe(port, market, count, pipe))


async def _subscribe(port: int, market: str, count: int, pipe: Connection) -> None:
    told = [0]

    def snapshot(text: bytes) -> None:
        told[0] += text.startswith(b'{"channel":')

    subscribe = frame(json.dumps({"op": "subscribe", "channels": [f"book.{market}"]}).encode())
    wires = [await connect(port, snapshot) for _ in range(count)]
    for wire in wires:
        wire.say(subscribe)
    while told[0] < count:
        await asyncio.sleep(0.01)
    for wire in wires:
        wire.record = []
    pipe.send("ready")
    while not pipe.poll():
        await asyncio.sleep(0.05)
    pipe.send([_changes(wire) for wire in wires])
    for wire in wires:
        wire.transport.close()


def _changes(wire: Wire) -> list[tuple[int, float]]:
    """`(seq, received at)` of each event of the channel."""
    found: list[tuple[int, float]] = []
    moment = 0.0

    def heard(text: bytes) -> None:
        if text.startswith(b'{"channel":'):
            at = text.index(b'"seq":') + 6
            found.append((int(text[at : text.index(b",", at)]), moment))

    recorded, wire.record = wire.record, None
    wire.heard = heard
    assert recorded is not None
    for received_at, data in recorded:
        moment = received_at
        wire.data_received(data)
    return found


def fan_out(seconds: float, count: int = SUBSCRIBERS) -> Fanout:
    """What `count` subscribers of the book cost the orders, and how soon they know."""
    _, load_core = split_cores()
    os.sched_setaffinity(0, load_core)
    with tempfile.TemporaryDirectory() as folder, venue_server(folder, ENVIRONMENT) as (port, _):
        key = sign_up(port, 1)[0]
        market = open_window(port, 2 * seconds + 8)
        alone = uvloop.run(paced(port, key, market, seconds))
        _cancel_all(port, key)
        ours, theirs = mp.Pipe()
        process = mp.get_context("fork").Process(target=subscribers, args=(port, market, count, theirs), daemon=True)
        process.start()
        assert ours.poll(20) and ours.recv() == "ready"
        watched = uvloop.run(paced(port, key, market, seconds))
        time.sleep(0.3)
        ours.send("stop")
        received: list[list[tuple[int, float]]] = ours.recv()
        process.join(10)
    delays = [delay for one in received for delay in delays_ms(one, watched)]
    assert len(delays) == count * len(watched), f"{len(delays)} of {count * len(watched)} changes arrived"
    return Fanout(
        count,
        len(watched),
        sum(len(one) for one in received),
        *_percentiles(delays),
        *_percentiles([latency * 1000 for _, _, latency in alone]),
        *_percentiles([latency * 1000 for _, _, latency in watched]),
    )


def delays_ms(received: list[tuple[int, float]], orders: list[tuple[int, float, float]]) -> list[float]:
    """For each order, how long after its stamp one subscriber had a message that covers its `seq`."""
    seqs = [seq for seq, _ in received]
    found = []
    for seq, stamp, _ in orders:
        place = bisect_right(seqs, seq - 1)
        if place < len(received):
            found.append((received[place][1] - stamp) * 1000)
    return found


def _percentiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)]


def _cancel_all(port: int, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    httpx2.post(f"http://127.0.0.1:{port}/api/v1/orders/cancel", json={}, headers=headers, timeout=30)
