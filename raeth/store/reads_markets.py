"""Reads of markets, their trades and candles, prints and the reference price. Must not know the live book."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Select, and_, cast, func, literal_column, select, tuple_

from raeth.engine.types import RESOLVED, VOID, Input, PrintFact, Settings
from raeth.store.cursors import Keyset
from raeth.store.reader import LIMIT_MAX, Reader, Row
from raeth.store.rows import Candle, MarketRow, Page, TickRow, TradeRow
from raeth.store.tables import Base, Big

MARKETS: Final = Base.metadata.tables["markets"]
CONFIGURATIONS: Final = Base.metadata.tables["configurations"]
FILLS: Final = Base.metadata.tables["fills"]
PRINTS: Final = Base.metadata.tables["prints"]
TICKS: Final = Base.metadata.tables["reference_ticks"]

FINAL: Final = (RESOLVED, VOID)

# Written out, not bound: only so can the database see that its index of taker rows will do.
_IS_TAKER: Final = FILLS.c.liquidity == literal_column("'TAKER'")

_inputs = msgspec.json.Decoder(tuple[Input, ...]).decode


class MarketReads(Reader):
    async def get_market(self, market: int) -> MarketRow | None:
        return await self._market(_markets().where(MARKETS.c.id == market))

    async def market_by_symbol(self, symbol: str) -> MarketRow | None:
        return await self._market(_markets().where(MARKETS.c.symbol == symbol).order_by(MARKETS.c.id.desc()).limit(1))

    async def list_markets(
        self,
        *,
        statuses: Collection[str] = FINAL,
        slug: str | None = None,
        before: Keyset | None = None,
        limit: int = 50,
    ) -> Page[MarketRow]:
        """Markets by close, the last one first. Keyset `(close_at, id)`. Live ones are better asked of the engine."""
        assert 1 <= limit <= LIMIT_MAX
        statement = _markets().where(MARKETS.c.status.in_(statuses))
        if slug is not None:
            statement = statement.where(MARKETS.c.slug == slug)
        if before is not None:
            statement = statement.where(tuple_(MARKETS.c.close_at, MARKETS.c.id) < tuple_(*before))
        statement = statement.order_by(MARKETS.c.close_at.desc(), MARKETS.c.id.desc()).limit(limit + 1)
        rows = await self._all(statement)
        items = [_market(row) for row in rows[:limit]]
        return Page(items, (items[-1].close_at, items[-1].id) if len(rows) > limit else None)

    async def market_trades(self, market: int, *, before: Keyset | None = None, limit: int = 50) -> Page[TradeRow]:
        """The trades of a market, newest first. Keyset `(trade_id,)`."""
        assert 1 <= limit <= LIMIT_MAX
        f = FILLS.c
        statement = select(f.trade_id, f.price, f.qty, f.side, f.ts).where(f.market == market, _IS_TAKER)
        if before is not None:
            statement = statement.where(f.trade_id < before[0])
        rows = await self._all(statement.order_by(f.trade_id.desc()).limit(limit + 1))
        items = [TradeRow(*row) for row in rows[:limit]]
        return Page(items, (items[-1].trade_id,) if len(rows) > limit else None)

    async def candles(
        self, market: int, interval_ms: int, *, since_ts: int | None = None, limit: int = 500
    ) -> list[Candle]:
        """The newest `limit` candles of a market that start at `since_ts` or later, oldest first."""
        assert 1 <= limit <= LIMIT_MAX and interval_ms >= 1
        f = FILLS.c
        start = (f.ts - f.ts % interval_ms).label("start_ts")
        grouped = select(
            start,
            func.min(f.trade_id).label("first"),
            func.max(f.trade_id).label("last"),
            func.max(f.price).label("high"),
            func.min(f.price).label("low"),
            cast(func.sum(f.qty), Big).label("volume"),  # PostgreSQL sums to a decimal
            func.count().label("trades"),
        ).where(f.market == market, _IS_TAKER)
        if since_ts is not None:
            grouped = grouped.where(f.ts >= since_ts + -since_ts % interval_ms)
        bars = grouped.group_by(start).order_by(start.desc()).limit(limit).subquery()
        first, last = FILLS.alias(), FILLS.alias()
        b = bars.c

        def is_end(trade: Any, trade_id: Any) -> Any:
            taker = trade.c.liquidity == literal_column("'TAKER'")
            return and_(trade.c.market == market, trade.c.trade_id == trade_id, taker)

        rows = await self._all(
            select(b.start_ts, first.c.price, b.high, b.low, last.c.price, b.volume, b.trades)
            .join_from(bars, first, is_end(first, b.first))
            .join(last, is_end(last, b.last))
            .order_by(b.start_ts)
        )
        return [Candle(*row) for row in rows]

    async def get_print(self, boundary: int) -> PrintFact | None:
        """The print at a boundary (epoch milliseconds), with its evidence."""
        p = PRINTS.c
        columns = (p.boundary, p.price_cents, p.source_ts, p.source, p.rule, p.reason, p.inputs, p.seq, p.ts)
        row = await self._first(select(*columns).where(p.boundary == boundary))
        if row is None:
            return None
        *facts, inputs, seq, ts = row
        values: tuple[Any, ...] = (*facts, _inputs(inputs), seq, ts)
        return PrintFact(*values)

    async def reference_history(self, since_ts: int, *, limit: int = LIMIT_MAX) -> list[TickRow]:
        """The newest `limit` moves of the index since `since_ts`, oldest first."""
        assert 1 <= limit <= LIMIT_MAX
        t = TICKS.c
        statement = select(*(t[name] for name in TickRow._fields)).where(t.ts >= since_ts)
        rows = await self._all(statement.order_by(t.ts.desc(), t.seq.desc()).limit(limit))
        return [TickRow(*row) for row in reversed(rows)]

    async def _market(self, statement: Select[Any]) -> MarketRow | None:
        row = await self._first(statement)
        return None if row is None else _market(row)


def _markets() -> Select[Any]:
    """Markets with the rules they were listed with, in the order of `MarketRow`."""
    columns = [CONFIGURATIONS.c.settings if name == "settings" else MARKETS.c[name] for name in MarketRow._fields]
    return select(*columns).join_from(MARKETS, CONFIGURATIONS, MARKETS.c.configuration == CONFIGURATIONS.c.seq)


def _market(row: Row) -> MarketRow:
    id_, symbol, slug, settings, *rest = row
    return MarketRow(id_, symbol, slug, _settings(settings), *rest)


@lru_cache(maxsize=64)
def _settings(text: str) -> Settings:
    return msgspec.json.decode(text, type=Settings)
