"""Durable order entry, over HTTP and over sockets, and what it is compared with; and reads. All in one run.

A round measures everything once, one right after the other, so that the machine's mood hits all of it; ratios are of
the same round.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from statistics import median
from typing import NamedTuple

import uvloop

from benchmarks.load import WARM_S, Load, Tally, cycle, get, order_bodies, order_sources, request, run_load, run_paced
from benchmarks.servers import CONNECTIONS, Server, Stage, cpu_s, open_window
from benchmarks.table import Line, line, ratio_line
from benchmarks.wire import Wire, connect, frame

SOCKETS, IN_FLIGHT = 16, 16
WRITES_PER_S = 200
"""While reads are measured the book changes this often: an answer that is kept ready must be kept true."""

SLACK_S = 1.5
"""A window must stay open for so much longer than a measurement takes."""


class Loaded(NamedTuple):
    """A load and the processor time a request cost the server, in microseconds."""

    load: Load
    server_us: float


def measure_bare(stage: Stage, seconds: float) -> Load:
    bodies = order_bodies("019aa4b6-4500-8000-8000-0001fbb00001", 1)
    sources = [cycle([request("/orders", body) for body in bodies]) for _ in range(CONNECTIONS)]
    return _checked(uvloop.run(run_load(stage.bare.port, sources, seconds)))


def measure_orders(server: Server, seconds: float, path: str = "/api/v1/orders") -> Loaded:
    """`POST /orders` in a closed loop."""
    market = server.market or open_window(server.port, seconds + SLACK_S)
    sources = order_sources(market, path, server.keys, CONNECTIONS)
    used = cpu_s(server.pid)
    load = _checked(uvloop.run(run_load(server.port, sources, seconds)))
    # The warm-up is in the server's time, so it is spread over all the requests there were.
    counted = seconds / (seconds + WARM_S)
    return Loaded(load, (cpu_s(server.pid) - used) * counted / load.requests * 1e6)


def measure_paced(server: Server, rate: float, seconds: float) -> Load:
    market = open_window(server.port, seconds + SLACK_S)
    sources = order_sources(market, "/api/v1/orders", server.keys, CONNECTIONS)
    return _checked(uvloop.run(run_paced(server.port, sources, rate, seconds)))


def measure_sockets(server: Server, seconds: float) -> Load:
    market = open_window(server.port, seconds + SLACK_S)
    return uvloop.run(pipelined(server.port, server.keys[:SOCKETS], market, seconds))


def _checked(load: Load) -> Load:
    assert set(load.statuses) == {200}, f"not everything was answered with 200: {load.statuses}"
    return load


async def pipelined(port: int, keys: list[str], market: str, seconds: float, in_flight: int = IN_FLIGHT) -> Load:
    """Orders over one socket for each of `keys`, `in_flight` of them under way on each at any moment."""
    finished = asyncio.Event()
    pipes = [_Pipe(market, place, finished) for place in range(len(keys))]
    for pipe, key in zip(pipes, keys, strict=True):
        pipe.wire = await connect(port, pipe.heard, key)
    tally = Tally(seconds, WARM_S)
    for pipe in pipes:
        pipe.start(tally, in_flight)
    await asyncio.wait_for(finished.wait(), seconds + 30)
    for pipe in pipes:
        pipe.wire.transport.close()
    return tally.load()


class _Pipe:
    """One socket's orders. What became free while one batch of answers was read is sent again as one write."""

    wire: Wire
    _tally: Tally

    def __init__(self, market: str, seed: int, finished: asyncio.Event) -> None:
        self._frames = [
            frame(b'{"op":"submit_order","request_id":"1","params":%s}' % body) for body in order_bodies(market, seed)
        ]
        self._place = 0
        self._sent: deque[float] = deque()
        self._free = 0
        self._finished = finished

    def start(self, tally: Tally, in_flight: int) -> None:
        self._tally = tally
        self._send(in_flight)

    def _send(self, count: int) -> None:
        frames, place = self._frames, self._place
        self._place = place + count
        self._sent.extend([time.perf_counter()] * count)
        self.wire.say(b"".join([frames[(place + k) % len(frames)] for k in range(count)]))

    def _flush(self) -> None:
        count, self._free = self._free, 0
        self._send(count)

    def heard(self, text: bytes) -> None:
        if text.startswith(b'{"type":"heartbeat"'):
            return
        assert not text.startswith(b'{"type":"error"'), text
        if self._tally.count(200, text, self._sent.popleft()) >= self._tally.until:
            self._finished.set()
            return
        if not self._free:
            asyncio.get_running_loop().call_soon(self._flush)
        self._free += 1


def measure(stage: Stage, wanted: set[str], rounds: int, seconds: float) -> list[Line]:
    """The rows of order entry that are `wanted`: orders, half, sockets, naive."""
    wanted = {name.removesuffix("-ratio") for name in wanted}
    bare, posted, piped, naive = [], [], [], []
    for place in range(rounds):
        bare.append(measure_bare(stage, seconds).rate)
        if wanted & {"orders", "half", "naive"}:
            posted.append(measure_orders(stage.venue, seconds))
        if "sockets" in wanted:
            piped.append(measure_sockets(stage.venue, seconds))
        if "naive" in wanted and place % 2 == 0:
            naive.append(measure_orders(stage.naive, seconds, "/orders").load)
    lines = [line("bare", f"{median(bare):,.0f} req/s", f"{min(bare):,.0f} to {max(bare):,.0f}; the yardstick")]
    if "orders" in wanted:
        lines += _orders(posted, bare)
    if "half" in wanted:
        lines.append(_half(stage.venue, median(one.load.rate for one in posted) / 2, max(2, rounds // 2), seconds))
    if "sockets" in wanted:
        lines += _sockets(piped, bare)
    if "naive" in wanted:
        rates = [one.rate for one in naive]
        lines.append(
            ratio_line(
                "naive",
                [one.load.rate for one in posted[::2]],
                rates,
                f"the naive server {median(rates):,.0f} orders/s, p99 {median(one.p99_ms for one in naive):,.0f} ms",
            )
        )
    return lines


def _orders(posted: list[Loaded], bare: list[float]) -> list[Line]:
    loads = [one.load for one in posted]
    return [
        line(
            "orders",
            f"{median(one.rate for one in loads):,.0f} req/s",
            f"{_latency(loads)}; processor time a request: server {median(one.server_us for one in posted):.0f} µs, "
            f"load generator {median(one.cpu_us for one in loads):.0f} µs on a core of its own",
        ),
        ratio_line("orders-ratio", [one.rate for one in loads], bare),
    ]


def _half(venue: Server, rate: float, rounds: int, seconds: float) -> Line:
    loads = [measure_paced(venue, rate, seconds) for _ in range(rounds)]
    p99 = sorted(one.p99_ms for one in loads)
    return line(
        "half",
        f"p50 {median(one.p50_ms for one in loads):.1f}, p99 {median(p99):.1f} ms",
        f"p99 of {rounds} rounds {p99[0]:.1f} to {p99[-1]:.1f} ms; {rate:,.0f} orders/s, each counted from when due",
    )


def _sockets(piped: list[Load], bare: list[float]) -> list[Line]:
    return [
        line(
            "sockets",
            f"{median(one.rate for one in piped):,.0f} orders/s",
            f"{_latency(piped)}; load generator {median(one.cpu_us for one in piped):.0f} µs an order",
        ),
        ratio_line("sockets-ratio", [one.rate for one in piped], bare),
    ]


def _latency(loads: list[Load]) -> str:
    p99 = sorted(one.p99_ms for one in loads)
    p50 = median(one.p50_ms for one in loads)
    return f"p50 {p50:.1f} ms, p99 {median(p99):.1f} ms ({p99[0]:.1f} to {p99[-1]:.1f})"


async def _read(server: Server, path: str, market: str, seconds: float, keyed: bool) -> Load:
    """Reads in a closed loop while somebody trades."""
    keys = server.keys if keyed else [""]
    sources = [cycle([get(path, keys[place % len(keys)])]) for place in range(CONNECTIONS)]
    trader = order_sources(market, "/api/v1/orders", server.keys[:1], 1)
    trading = asyncio.create_task(run_paced(server.port, trader, WRITES_PER_S, seconds + WARM_S, 0.0))
    load = await run_load(server.port, sources, seconds)
    _checked(await trading)
    return load


def measure_reads(stage: Stage, rounds: int, seconds: float) -> list[Line]:
    """Book, context and account, against the yardstick and against an endpoint that does not even read a body."""
    venue = stage.venue
    bare, nothing = [], []
    found: dict[str, list[Load]] = {"book": [], "context": [], "account": []}
    for _ in range(rounds):
        bare.append(measure_bare(stage, seconds).rate)
        idle = [cycle([get("/nothing")])] * CONNECTIONS
        nothing.append(_checked(uvloop.run(run_load(stage.bare.port, idle, seconds))).rate)
        for name, loads in found.items():
            market = open_window(venue.port, seconds + SLACK_S)
            paths = {"book": f"/markets/{market}/book", "context": f"/markets/{market}/agent-context"}
            path = f"/api/v1{paths.get(name, '/account')}"
            loads.append(_checked(uvloop.run(_read(venue, path, market, seconds, keyed=name != "book"))))
    lines = []
    for name, loads in found.items():
        rates = [one.rate for one in loads]
        idle_ratio = median(ours / theirs for ours, theirs in zip(rates, nothing, strict=True))
        lines.append(
            ratio_line(
                name,
                rates,
                bare,
                f"{median(rates):,.0f} req/s, p99 {median(one.p99_ms for one in loads):.1f} ms; "
                f"{idle_ratio:.2f} of a bare GET without a body",
            )
        )
    return lines
