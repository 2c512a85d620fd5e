"""One venue's socket, kept open: connect, subscribe, read, and connect again when it ends or falls silent.

Knows nothing of prices: it hands every frame to a callback, which says whether it carried one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog
from websockets.asyncio.client import ClientConnection, connect

from raeth.clock import Clock
from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import Rate, Tick
from raeth.reference.venues import Adapter, MessageError, ReconnectRequested

log = structlog.get_logger("raeth.reference")

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""A book snapshot can be a megabyte; a larger frame closes the socket."""
OPEN_TIMEOUT_S = 10
CLOSE_TIMEOUT_S = 1
PING_INTERVAL_S = 20
LOG_EVERY = 1_000

FrameCallback = Callable[[str | bytes, int, list[Tick | Rate]], None]
"""`(raw frame, recv_ts, the prices in it)`."""


class Backoff:
    """Delays that double from the least to the most, each drawn from the upper half of its span."""

    def __init__(self, least_ms: int, most_ms: int) -> None:
        self._least_ms = least_ms
        self._most_ms = most_ms
        self._span_ms = least_ms

    def next_ms(self) -> int:
        span_ms = self._span_ms
        self._span_ms = min(span_ms * 2, self._most_ms)
        return random.randint((span_ms + 1) // 2, span_ms)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        self._span_ms = self._least_ms


class VenueLink:
    """Keeps one adapter's socket open and counts what went wrong."""

    def __init__(self, adapter: Adapter, settings: ReferenceSettings, clock: Clock, on_frame: FrameCallback) -> None:
        self.adapter = adapter
        self.connected = False
        self.connects = 0
        self.errors = 0
        """Messages that could not be understood."""
        self.last_error: str | None = None
        self._clock = clock
        self._on_frame = on_frame
        self._idle_s = settings.idle_timeout_ms / 1000
        self._price_s = settings.price_timeout_ms / 1000
        self._backoff = Backoff(settings.reconnect_min_ms, settings.reconnect_max_ms)

    async def run(self) -> None:
        """Until cancelled. Whatever ends a session, another one follows after a back-off."""
        while True:
            why = "closed by the venue"
            try:
                await self._session()
            except ReconnectRequested as request:
                why = f"the venue asked for it: {request}"
            except TimeoutError as error:
                why = str(error) or "timed out"
            except Exception as error:  # Also what nobody foresaw: one venue must not take the others down.
                why = f"{type(error).__name__}: {error}"[:200]
            self.connected = False
            delay_ms = self._backoff.next_ms()
            self.last_error = why
            log.warning("venue_disconnected", venue=self.adapter.name, why=why, retry_ms=delay_ms)
            await asyncio.sleep(delay_ms / 1000)

    async def _session(self) -> None:
        async with connect(
            self.adapter.url,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_INTERVAL_S,
            max_size=MAX_FRAME_BYTES,
        ) as socket:
            self.connected = True
            self.connects += 1
            log.info("venue_connected", venue=self.adapter.name)
            for text in self.adapter.subscriptions():
                await socket.send(text)
            keeper = asyncio.create_task(self._keep_alive(socket))
            try:
                await self._read(socket)
            finally:
                keeper.cancel()
                self.connected = False

    async def _read(self, socket: ClientConnection) -> None:
        """Two limits: any frame at all, and a frame with a price; a heartbeat alone satisfies only the first."""
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._price_s) as price_limit, asyncio.timeout(self._idle_s) as idle_limit:
                async for frame in socket:
                    idle_limit.reschedule(now() + self._idle_s)
                    if self._take(frame):
                        price_limit.reschedule(now() + self._price_s)
                        self._backoff.reset()
        except TimeoutError:
            raise TimeoutError("silent for too long") from None

    def _take(self, frame: str | bytes) -> bool:
        recv_ts = self._clock.now_ms()
        found: list[Tick | Rate] = []
        try:
            found = self.adapter.parse(frame, recv_ts)
        except MessageError as error:
            self.errors += 1
            self.last_error = str(error)
            if self.errors % LOG_EVERY == 1:
                log.warning("venue_message_skipped", venue=self.adapter.name, why=str(error), count=self.errors)
        self._on_frame(frame, recv_ts, found)
        return bool(found)

    async def _keep_alive(self, socket: ClientConnection) -> None:
        text = self.adapter.keepalive()
        while text is not None:
            await asyncio.sleep(self._idle_s / 3)
            await socket.send(text)
