"""The live book told to many, and what that costs the one who trades.

Subscribers and the one who trades are processes of their own on the load's core.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing as mp
import random
import time
from bisect import bisect_right
from multiprocessing.connection import Connection
from statistics import median
from typing import NamedTuple

import httpx2
import uvloop

from benchmarks.servers import Stage, open_window
from benchmarks.table import Line, line
from benchmarks.wire import Wire, connect, frame

SUBSCRIBERS = 500
ORDERS_PER_S = 500
CONNECT_S = 5.0
"""So many sockets may take so long."""


class Fanout(NamedTuple):
    """Milliseconds. `alone` and `watched` are the order's answer without and with subscribers, `told` from the order's
    stamp, which is before its commit, to the moment a subscriber had the level."""

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


def fan_out(stage: Stage, seconds: float, count: int) -> Fanout:
    """What `count` subscribers of the book cost the orders, and how soon they know."""
    port, key = stage.venue.port, stage.venue.keys[0]
    market = open_window(port, 2 * seconds + CONNECT_S)
    _cancel_all(port, key)
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
    return median(ordered), ordered[int(len(ordered) * 0.99)]


def _cancel_all(port: int, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    httpx2.post(f"http://127.0.0.1:{port}/api/v1/orders/cancel", json={}, headers=headers, timeout=30)


def measure(stage: Stage, rounds: int, seconds: float) -> list[Line]:
    found = [fan_out(stage, seconds, SUBSCRIBERS) for _ in range(rounds)]
    p99 = sorted(one.told_p99_ms for one in found)
    cost = sorted(one.watched_p50_ms / one.alone_p50_ms for one in found)

    def middle(name: str) -> float:
        return median(getattr(one, name) for one in found)

    return [
        line(
            "told",
            f"p50 {middle('told_p50_ms'):.1f}, p99 {median(p99):.1f} ms",
            f"p99 of {rounds} rounds {p99[0]:.1f} to {p99[-1]:.1f} ms; changes within 30 ms are one message",
        ),
        line(
            "told-cost",
            f"{median(cost):.2f}",
            f"{cost[0]:.2f} to {cost[-1]:.2f}; "
            f"p50 {middle('watched_p50_ms'):.1f} against {middle('alone_p50_ms'):.1f} ms, "
            f"p99 {middle('watched_p99_ms'):.1f} against {middle('alone_p99_ms'):.1f} ms",
        ),
    ]
