"""`GET /metrics`: what the venue counts, in Prometheus' form.

Counting must cost the order path next to nothing, so the counts are plain numbers kept where things happen; they become
metrics when they are asked for. Must not know how anything is done.
"""

from __future__ import annotations

import asyncio
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from raeth.api.answers import LATENCY_BUCKETS_S, Tally
from raeth.config import DATABASE
from raeth.engine.events import MarketResolved, OrderEnded, OrderPlaced, Traded
from raeth.engine.types import EXPIRED, OPEN, PENDING
from raeth.sequencer import WRITE_BUCKETS_S

if TYPE_CHECKING:
    from raeth.api.venue import Venue
    from raeth.sequencer import Committed

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

LAG_EVERY_S: Final = 0.25
"""How often the event loop is asked how late it is: four wake-ups a second."""

DATABASE_FILES: Final = (DATABASE, f"{DATABASE}-wal")


class Metrics:
    """One process's numbers. It listens to the sequencer for what happened to orders."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._tallies: dict[str, Tally] = {}
        self._orders: Counter[str] = Counter()
        self._trades = 0
        self._contracts = 0
        self._windows = dict.fromkeys(("YES", "NO", "VOID"), 0)
        self._lags = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._lag_seconds = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=self._registry)
        venue.sequencer.listeners.append(self._count)

    def tally(self, name: str) -> Tally:
        """Where the call `name` keeps its counts."""
        return self._tallies.setdefault(name, Tally())

    def text(self) -> bytes:
        return generate_latest(self._registry)

    async def watch_loop(self) -> None:
        """Measure how late the event loop runs what is due. Until cancelled; started with the server."""
        while True:
            due = time.perf_counter() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            late = max(0.0, time.perf_counter() - due)
            self._lags[bisect_left(LATENCY_BUCKETS_S, late)] += 1
            self._lag_seconds += late

    def _count(self, committed: Iterable[Committed]) -> None:
        orders = self._orders
        for fact in committed:
            for event in fact.events:
                kind = type(event)
                if kind is OrderPlaced:
                    order = event.order  # type: ignore[attr-defined]
                    orders[order.reject_reason or order.status] += 1
                elif kind is Traded:
                    self._trades += 1
                    self._contracts += event.qty  # type: ignore[attr-defined]
                elif kind is OrderEnded:
                    order = event.order  # type: ignore[attr-defined]
                    orders[order.cancel_reason or order.status] += 1
                elif kind is MarketResolved:
                    self._windows[event.outcome] += 1  # type: ignore[attr-defined]

    def describe(self) -> Iterator[Metric]:
        """Nothing to check at registration: the venue may not have started yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("raeth_build", "The program.", {"version": self._venue.version})
        yield from self._calls()
        orders = CounterMetricFamily(
            "raeth_orders", "Orders by how they were answered or ended: a status, or the reason.", labels=["outcome"]
        )
        for outcome, count in sorted(self._orders.items()):
            orders.add_metric([outcome], count)
        yield orders
        yield CounterMetricFamily("raeth_trades", "Executions.", self._trades)
        yield CounterMetricFamily("raeth_contracts_traded", "Contracts in executions.", self._contracts)
        yield from self._writer()
        yield from self._disk()
        yield from self._streams()
        yield from self._budgets()
        yield from self._state()
        yield from self._reference()
        yield from self._house()

    def _calls(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("raeth_http_requests", "Answers by call and status.", labels=["call", "status"])
        latency = HistogramMetricFamily("raeth_http_request_seconds", "Time to the answer.", labels=["call"])
        for name, tally in sorted(self._tallies.items()):
            for status, count in sorted(tally.statuses.items()):
                requests.add_metric([name, str(status)], count)
            if any(tally.buckets):
                latency.add_metric([name], _cumulative(LATENCY_BUCKETS_S, tally.buckets), tally.seconds)
        yield requests
        yield latency
        lag = HistogramMetricFamily("raeth_loop_lag_seconds", "How late the event loop ran what was due.")
        lag.add_metric([], _cumulative(LATENCY_BUCKETS_S, self._lags), self._lag_seconds)
        yield lag

    def _writer(self) -> Iterator[Metric]:
        health = self._venue.sequencer.health
        yield CounterMetricFamily("raeth_commits", "Transactions of the journal.", health.commits)
        yield CounterMetricFamily("raeth_commands", "Commands journaled.", health.commands)
        yield CounterMetricFamily("raeth_commit_seconds", "Time spent in transactions.", health.commit_seconds)
        writes = HistogramMetricFamily(
            "raeth_journal_write_seconds", "Inserting a batch and making it durable (fsync)."
        )
        writes.add_metric([], _cumulative(WRITE_BUCKETS_S, health.writes), health.write_seconds)
        yield writes
        yield _gauge("raeth_queue_depth", "Commands waiting for a transaction.", health.queue_depth)
        mode = GaugeMetricFamily("raeth_persistence_mode", "1 for the mode the journal is in.", labels=["mode"])
        for name in ("ok", "retrying", "backpressured", "stopped"):
            mode.add_metric([name], float(health.mode == name))
        yield mode

    def _disk(self) -> Iterator[Metric]:
        """Nothing where the disk does not say."""
        folder = self._venue.settings.data_dir
        try:
            room = os.statvfs(folder)
            size = sum(os.stat(folder / name).st_size for name in DATABASE_FILES if (folder / name).exists())
        except OSError:
            return
        yield _gauge("raeth_database_bytes", "Size of the database with its write-ahead log.", size)
        yield _gauge("raeth_disk_free_bytes", "Room left for the data dir.", room.f_bavail * room.f_frsize)

    def _streams(self) -> Iterator[Metric]:
        hub = self._venue.hub
        yield _gauge("raeth_streams", "Open streams: sockets and server-sent events.", len(hub.readers))
        yield _gauge("raeth_subscriptions", "Channels that open streams listen to.", hub.subscriptions)
        yield CounterMetricFamily("raeth_streams_cut_off", "Readers told to start over: too slow, mostly.", hub.cut_off)

    def _budgets(self) -> Iterator[Metric]:
        ledger = self._venue.budgets.ledger
        if ledger is not None:
            yield _gauge(
                "raeth_budgets_shared", "1: budgets are counted with all processes; 0: alone.", not ledger.away
            )
            failures = "Round trips to Redis that failed or took too long, and attempts to reach it again."
            yield CounterMetricFamily("raeth_budgets_failures", failures, ledger.failures)

    def _state(self) -> Iterator[Metric]:
        state = self._venue.sequencer.state
        yield _gauge("raeth_seq", "Place of the last command in the journal.", self._venue.sequencer.durable_seq)
        yield _gauge("raeth_frozen", "1 while the venue is frozen.", int(state.frozen))
        yield _gauge("raeth_agents", "Agents.", len(state.agents))
        yield _gauge("raeth_open_orders", "Resting orders.", len(state.orders))
        markets = GaugeMetricFamily("raeth_markets", "Markets that have not ended, by status.", labels=["status"])
        counts = Counter(market.status for market in state.markets.values())
        for status in (PENDING, OPEN, EXPIRED):
            markets.add_metric([status], counts[status])
        yield markets
        windows = CounterMetricFamily("raeth_windows", "Windows that ended, by outcome.", labels=["outcome"])
        for outcome, count in self._windows.items():
            windows.add_metric([outcome], count)
        yield windows

    def _reference(self) -> Iterator[Metric]:
        reading = self._venue.reference.current(self._venue.clock.now_ms())
        if reading.age_ms is not None:
            yield _gauge("raeth_reference_age_seconds", "Age of the reference price.", reading.age_ms / 1000)
        status = GaugeMetricFamily("raeth_reference_status", "1 for the status of the reference.", labels=["status"])
        for name in ("LIVE", "STALE", "DOWN"):
            status.add_metric([name], float(reading.status == name))
        yield status

    def _house(self) -> Iterator[Metric]:
        house, enabled = self._venue.house, self._venue.settings.house.enabled
        quoting = house is not None and house.state.why is None
        now = "QUOTING" if quoting else "OUT" if enabled else "OFF"
        states = GaugeMetricFamily("raeth_house", "1 for what the house market maker is doing.", labels=["state"])
        for name in ("QUOTING", "OUT", "OFF"):
            states.add_metric([name], float(name == now))
        yield states


def _cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Counts by upper bound, the last one beyond all bounds, in the form of a histogram."""
    return list(zip([*map(str, bounds), "+Inf"], map(float, accumulate(counts)), strict=True))


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value)
