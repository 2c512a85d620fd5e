"""Markets, books, trades and settlements as JSON: the live ones from the engine, the ended ones from the tables."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from raeth.api.views.names import Names, iso, iso_or_none
from raeth.engine.state import Market, State
from raeth.engine.types import (
    BUY,
    OPEN,
    PAYOUT,
    PRICE_MAX,
    PRICE_MIN,
    RESOLVED,
    SELL,
    SIDES,
    VOID,
    PrintFact,
    Settings,
)
from raeth.store.rows import Candle, MarketRow, TickRow, TradeRow

Body = dict[str, Any]

KIND: Final = "BTC_BINARY"
UNDERLYING: Final = "BTC-USD"
FINAL: Final = (RESOLVED, VOID)

GEOMETRY: Final[Body] = {
    "price_min": PRICE_MIN,
    "price_max": PRICE_MAX,
    "tick": 1,
    "price_scale": 2,
    "payout": PAYOUT,
}

OUTCOME_RULE: Final = "YES if the close print is above the open print, NO if below; equal: the tie rule."
PRINT_RULE: Final = "The last reference price with source time at or before the boundary, at most print_max_age_ms old."
FEE_FORMULA: Final = (
    "taker: taker_rate_bps / 10000 * p * (1 - p) dollars a contract, an order's total rounded up to a cent; "
    "maker: maker_rebate_bps / 10000 of the taker's fee as a rebate, an order's total rounded down."
)


@lru_cache(maxsize=64)
def blocks(settings: Settings) -> Body:
    """The `rules`, `risk` and `fees` of a market listed with `settings`. Shared: do not change."""
    s = settings
    return {
        "rules": {
            "outcome_rule": OUTCOME_RULE,
            "tie_rule": s.tie_rule,
            "print_rule": PRINT_RULE,
            "print_max_age_ms": s.print_max_age_ms,
            "print_grace_ms": s.print_grace_ms,
            "gap_ms": s.gap_ms,
            "window_ms": s.window_ms,
        },
        "risk": {
            "max_order_qty": s.max_order_qty,
            "max_order_notional_cents": s.max_order_notional_cents,
            "fat_finger_distance": s.fat_finger_distance,
            "fat_finger_multiple": s.fat_finger_multiple,
            "position_cap": s.position_cap,
            "reference_max_age_ms": s.reference_max_age_ms,
            "cooldown_rejects": s.cooldown_rejects,
            "cooldown_window_ms": s.cooldown_window_ms,
            "cooldown_ms": s.cooldown_ms,
            "open_orders_per_market": s.open_orders_per_market,
        },
        "fees": {
            "taker_rate_bps": s.taker_rate_bps,
            "maker_rebate_bps": s.maker_rebate_bps,
            "formula": FEE_FORMULA,
        },
    }


def series_body(settings: Settings, seq: int) -> Body:
    seconds = settings.window_ms // 1000
    return {
        "slug": settings.slug,
        "title": f"Bitcoin up or down, every {seconds} seconds",
        "kind": KIND,
        "underlying": UNDERLYING,
        "window_ms": settings.window_ms,
        "geometry": GEOMETRY,
        **blocks(settings),
        "seq": seq,
    }


def _seconds_to_close(close_at: int, now_ms: int) -> int:
    return max(0, close_at - now_ms) // 1000


def live_market(names: Names, state: State, market: Market, now_ms: int) -> Body:
    """A market the engine has, as of the state's `seq`."""
    settings = market.settings
    strike = market.open_print
    name = names.learn(market.id, market.symbol)
    return {
        "id": name.uuid,
        "symbol": market.symbol,
        "series": settings.slug,
        "kind": KIND,
        "status": market.status,
        "open_at": iso(market.open_at),
        "close_at": iso(market.close_at),
        "seconds_to_close": _seconds_to_close(market.close_at, now_ms),
        "geometry": GEOMETRY,
        **blocks(settings),
        "reference": {
            "open_price_cents": strike.price_cents if strike is not None else None,
            "close_price_cents": None,
            "source": strike.source if strike is not None else settings.reference_kind,
        },
        "resolution": None,
        "best_bid": market.book.best_bid(),
        "best_ask": market.book.best_ask(),
        "last_trade_price": market.last_price,
        "mark_price": market.mark(),
        "volume": market.volume,
        "open_interest": market.open_interest,
        "halted": market.halted,
        "seq": state.seq,
    }


def ended_market(names: Names, row: MarketRow, now_ms: int) -> Body:
    """A market only the tables have. Its `seq` is that of its last change: it stays true."""
    name = names.learn(row.id, row.symbol)
    return {
        "id": name.uuid,
        "symbol": row.symbol,
        "series": row.slug,
        "kind": KIND,
        "status": row.status,
        "open_at": iso(row.open_at),
        "close_at": iso(row.close_at),
        "seconds_to_close": _seconds_to_close(row.close_at, now_ms) if row.status not in FINAL else 0,
        "geometry": GEOMETRY,
        **blocks(row.settings),
        "reference": {
            "open_price_cents": row.open_price_cents,
            "close_price_cents": row.close_price_cents,
            "source": row.close_source or row.open_source or row.settings.reference_kind,
        },
        "resolution": row.outcome,
        "best_bid": None,
        "best_ask": None,
        "last_trade_price": row.last_price,
        "mark_price": row.last_price,
        "volume": row.volume,
        "open_interest": row.open_interest,
        "halted": bool(row.halted),
        "seq": row.seq,
    }


def listing_key(market: Market) -> tuple[int, int, int]:
    """Where a live market stands in the list: OPEN first, then by close."""
    return (0 if market.status == OPEN else 1, market.close_at, market.id)


def book_body(names: Names, state: State, market_id: int, market: Market | None, depth: int) -> Body:
    """The ladder of a market; of one that has ended, `market` is None and the book empty."""
    return {
        "market_id": names.uuid(market_id),
        "seq": state.seq,
        "ts": iso(state.ts),
        "bids": market.book.ladder(BUY, depth) if market is not None else [],
        "asks": market.book.ladder(SELL, depth) if market is not None else [],
    }


def trade_body(names: Names, trade: TradeRow) -> Body:
    return {
        "trade_id": names.uuid(trade.trade_id),
        "price": trade.price,
        "qty": trade.qty,
        "taker_side": SIDES[trade.taker_side],
        "ts": iso(trade.ts),
    }


def candle_body(candle: Candle) -> Body:
    return {
        "ts": iso(candle.start_ts),
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
        "trades": candle.trades,
    }


def print_body(fact: PrintFact) -> Body:
    """A print with its evidence."""
    return {
        "boundary": iso(fact.boundary),
        "price_cents": fact.price_cents,
        "source_ts": iso_or_none(fact.source_ts),
        "age_ms": None if fact.source_ts is None else fact.boundary - fact.source_ts,
        "source": fact.source,
        "rule": fact.rule,
        "reason": fact.reason,
        "inputs": [
            {
                "venue": item.venue,
                "price_cents": item.price_cents,
                "source_ts": iso_or_none(item.source_ts),
                "used": item.used,
                "why": item.why,
                "quote_price_cents": item.quote_price_cents,
                "rate_e8": item.rate_e8,
                "rate_source_ts": iso_or_none(item.rate_source_ts),
            }
            for item in fact.inputs
        ],
        "seq": fact.seq,
        "ts": iso(fact.ts),
    }


def settlement_body(names: Names, row: MarketRow, opened: PrintFact | None, closed: PrintFact | None) -> Body:
    """The evidence of an outcome, or what there is of it so far."""
    ended = row.status in FINAL
    return {
        "market_id": names.uuid(row.id),
        "symbol": row.symbol,
        "status": row.status,
        "resolution": row.outcome,
        "reason": row.reason,
        "outcome_rule": OUTCOME_RULE,
        "tie_rule": row.settings.tie_rule,
        "print_rule": PRINT_RULE,
        "open_print": print_body(opened) if opened is not None else None,
        "close_print": print_body(closed) if closed is not None else None,
        "resolved_at": iso_or_none(row.resolved_ts),
        "fees_cents": row.fees_cents if ended else None,
        "seq": row.seq,
    }


def tick_body(tick: TickRow) -> Body:
    return {"ts": iso(tick.ts), "price_cents": tick.price_cents, "source_ts": iso(tick.source_ts)}
