"""`GET /metrics`: what the venue counts, in Prometheus' form.

Counting must cost the order path next to nothing, so the counts are plain numbers kept where things happen; they become
metrics when they are asked for. Must not know how anything is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
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
from raeth.engine.events import OrderEnded, OrderPlaced, Traded

if TYPE_CHECKING:
    from raeth.api.venue import Venue
    from raeth.sequencer import Committed

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS: Final = (*(str(bound) for bound in LATENCY_BUCKETS_S), "+Inf")


class Metrics:
    """One process's numbers. It listens to the sequencer for what happened to orders."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._tallies: dict[str, Tally] = {}
        self._orders: Counter[str] = Counter()
        self._trades = 0
        self._contracts = 0
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

    def _count(self, committed: Iterable[Committed]) -> None:
        for fact in committed:
            for event in fact.events:
                if isinstance(event, OrderPlaced):
                    self._orders[event.order.reject_reason or event.order.status] += 1
                elif isinstance(event, Traded):
                    self._trades += 1
                    self._contracts += event.qty
                elif isinstance(event, OrderEnded):
                    self._orders[event.order.cancel_reason or event.order.status] += 1

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
        yield from self._streams()
        yield from self._state()
        yield from self._reference()

    def _calls(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("raeth_http_requests", "Answers by call and status.", labels=["call", "status"])
        latency = HistogramMetricFamily("raeth_http_request_seconds", "Time to the answer.", labels=["call"])
        for name, tally in sorted(self._tallies.items()):
            for status, count in sorted(tally.statuses.items()):
                requests.add_metric([name, str(status)], count)
            total, buckets = 0, []
            for bound, count in zip(_BOUNDS, tally.buckets, strict=True):
                total += count
                buckets.append((bound, total))
            if total:
                latency.add_metric([name], buckets, tally.seconds)
        yield requests
        yield latency

    def _writer(self) -> Iterator[Metric]:
        health = self._venue.sequencer.health
        yield CounterMetricFamily("raeth_commits", "Transactions of the journal.", health.commits)
        yield CounterMetricFamily("raeth_commands", "Commands journaled.", health.commands)
        yield CounterMetricFamily("raeth_commit_seconds", "Time spent in transactions.", health.commit_seconds)
        yield _gauge("raeth_queue_depth", "Commands waiting for a transaction.", health.queue_depth)
        mode = GaugeMetricFamily("raeth_persistence_mode", "1 for the mode the journal is in.", labels=["mode"])
        for name in ("ok", "retrying", "backpressured", "stopped"):
            mode.add_metric([name], float(health.mode == name))
        yield mode

    def _streams(self) -> Iterator[Metric]:
        hub = self._venue.hub
        yield _gauge("raeth_streams", "Open streams: sockets and server-sent events.", len(hub.readers))
        yield _gauge("raeth_subscriptions", "Channels that open streams listen to.", hub.subscriptions)
        yield CounterMetricFamily("raeth_streams_cut_off", "Readers told to start over: too slow, mostly.", hub.cut_off)

    def _state(self) -> Iterator[Metric]:
        state = self._venue.sequencer.state
        yield _gauge("raeth_seq", "Place of the last command in the journal.", self._venue.sequencer.durable_seq)
        yield _gauge("raeth_frozen", "1 while the venue is frozen.", int(state.frozen))
        yield _gauge("raeth_agents", "Agents.", len(state.agents))
        yield _gauge("raeth_open_orders", "Resting orders.", len(state.orders))
        markets = GaugeMetricFamily("raeth_markets", "Markets that have not ended, by status.", labels=["status"])
        for status, count in sorted(Counter(market.status for market in state.markets.values()).items()):
            markets.add_metric([status], count)
        yield markets

    def _reference(self) -> Iterator[Metric]:
        reading = self._venue.reference.current(self._venue.clock.now_ms())
        if reading.age_ms is not None:
            yield _gauge("raeth_reference_age_seconds", "Age of the reference price.", reading.age_ms / 1000)
        status = GaugeMetricFamily("raeth_reference_status", "1 for the status of the reference.", labels=["status"])
        for name in ("LIVE", "STALE", "DOWN"):
            status.add_metric([name], float(reading.status == name))
        yield status


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value)
