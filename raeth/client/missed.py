"""What happened to the own account while nobody listened: fills and settlements, looked up over HTTP.

A snapshot tells how things are, not how they came to be so. Must not know streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from raeth.client.mirror import Fact, Settled
from raeth.client.models import Fill

if TYPE_CHECKING:
    from raeth.client.client import AsyncClient

REMEMBERED = 20_000
"""Fills and settlements that are remembered as told. More than this in one outage may be told twice."""


class Missed:
    """Remembers what was told, and finds what was not."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._told: dict[str, int] = {}
        """What was told, and as the how manieth."""
        self.count = 0
        """How much was told so far."""

    async def begin(self) -> None:
        """What happened before now is no news."""
        for fill in (await self._client.fills(limit=1)).items:
            self._remember(fill.trade_id)

    def is_news(self, fact: Fact) -> bool:
        """Whether a fact has not been told yet; from now on it has. Only fills and settlements are remembered."""
        if isinstance(fact, Fill):
            return self._remember(fact.trade_id)
        if isinstance(fact, Settled):
            return self._remember(fact.market_id)
        return True

    def _remember(self, name: str) -> bool:
        if name in self._told:
            return False
        self.count += 1
        self._told[name] = self.count
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        return True

    async def since(
        self, count: int, before: Iterable[str], live: Callable[[], AbstractSet[str]]
    ) -> list[Fill | Settled]:
        """What happened since the connection was lost, oldest first. By then `count` facts had been told, and `before`
        are the markets with own orders or fills; `live` are those that have not ended. Some of it may have been told
        since. Raises Disconnected or VenueError."""
        fills: list[Fill] = []
        async for fill in self._client.iter_fills():
            if self._told.get(fill.trade_id, count + 1) <= count:
                break
            fills.append(fill)
        fills.reverse()
        ended = [market for market in dict.fromkeys([*before, *(f.market_id for f in fills)]) if market not in live()]
        settled = [found for market in ended if (found := await self._settled(market)) is not None]
        return [*fills, *settled]

    async def _settled(self, market_id: str) -> Settled | None:
        market = await self._client.market(market_id)
        if market.resolution is None:
            return None
        pnl_cents = 0
        async for entry in self._client.iter_ledger():
            if entry.market_id == market_id and entry.kind == "SETTLEMENT":
                pnl_cents = entry.amount_cents
                break
            if entry.seq < market.seq:
                break
        return Settled(market_id, market.symbol, market.resolution, pnl_cents)
