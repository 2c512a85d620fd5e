"""Waiting for a window that can be traded, without hammering the venue.

Must not know HTTP: it asks the client it is given.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from raeth.client.errors import NoOpenMarket
from raeth.client.models import Market

if TYPE_CHECKING:
    from raeth.client.client import AsyncClient

LOOK_AGAIN_S = 2.0
"""How often to look while there is nothing to wait for: no window listed, or the open one halted."""
SHORTEST_S = 0.02
"""The venue's clock as we know it may be a little ahead."""


async def open_market(client: AsyncClient, *, wait: bool, least_left_s: float, timeout_s: float | None) -> Market:
    """See `AsyncClient.open_market`."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    early = 0
    while True:
        listed = (await client.markets(["OPEN", "PENDING"])).items
        for market in listed:
            if market.tradeable and await _left_ms(client, market, least_left_s) >= 0:
                return market
        if not wait:
            raise NoOpenMarket("no market is open for trading" + _upcoming(listed))
        wait_s = await _until_next(client, listed)
        if wait_s <= SHORTEST_S:
            early += 1  # due, but not open yet: ask a few times in quick succession, then with growing pauses
            wait_s = min(LOOK_AGAIN_S, SHORTEST_S * 2 ** min(early, 8))
        if deadline is not None and time.monotonic() + wait_s > deadline:
            raise NoOpenMarket(f"no market opened within {timeout_s} s" + _upcoming(listed))
        await asyncio.sleep(wait_s)


async def _left_ms(client: AsyncClient, market: Market, least_left_s: float) -> float:
    """How much more than asked for is left to the close, in venue milliseconds."""
    if least_left_s <= 0:
        return 0
    return market.close_at_ms - await client.now_ms() - least_left_s * 1000


async def _until_next(client: AsyncClient, listed: tuple[Market, ...]) -> float:
    """Real seconds until the next pre-listed window opens; a halted one may be resumed before."""
    pending = [market.open_at_ms for market in listed if market.status == "PENDING"]
    if not pending:
        return LOOK_AGAIN_S
    clock = client._clock
    wait_s = (min(pending) - await clock.measure()) / 1000 / (clock.speed or 1.0)
    halted = any(market.halted for market in listed if market.status == "OPEN")
    return max(SHORTEST_S, min(wait_s, LOOK_AGAIN_S) if halted else wait_s)


def _upcoming(listed: tuple[Market, ...]) -> str:
    pending = [market for market in listed if market.status == "PENDING"]
    return f"; {pending[0].symbol} opens at {pending[0].open_at}" if pending else ""
