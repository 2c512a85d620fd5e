"""Market data: series, windows, books, trades, candles, settlements (contract, section 7). No key needed.

What is live comes from settled engine state, what has ended from the tables; both have one shape.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.lookup import find_market, known_market, market_row, now_ms
from raeth.api.paging import before, list_name, page
from raeth.api.routes.reference import reference_body
from raeth.api.routing import VenueRouter
from raeth.api.schemas.markets import (
    BookView,
    CandlePage,
    MarketPage,
    MarketView,
    SeriesContext,
    SeriesPage,
    SeriesView,
    SettlementView,
    TradePage,
)
from raeth.api.schemas.queries import BookQuery, CandlesQuery, MarketsQuery, PageQuery
from raeth.api.views import markets as show
from raeth.api.views.names import Names, iso
from raeth.engine.state import State
from raeth.engine.types import EXPIRED, OPEN, PENDING
from raeth.engine.windows import rules_of
from raeth.errors import Code, RaethError
from raeth.store import cursors
from raeth.store.reader import LIMIT_MAX
from raeth.store.rows import Candle

router = VenueRouter("market data")

LIVE: Final = (OPEN, PENDING, EXPIRED)
STATUSES: Final = (*LIVE, *show.FINAL)


@router.get(
    "/markets",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="list_markets",
    summary="List markets: open ones first",
    response_model=MarketPage,
    errors=(Code.INVALID_CURSOR, Code.SERVICE_DEGRADED),
)
async def list_markets(call: Call, query: Annotated[MarketsQuery, Query()]) -> dict[str, Any]:
    """OPEN markets first, then the other live ones by close, then those that have ended, the newest first."""
    names, store = call.names, call.venue.store
    wanted = [status for status in STATUSES if query.status is None or status in query.status]
    name = list_name("markets", status=",".join(wanted), series=query.series)
    keyset = before(name, query.cursor, size=4)
    items: list[dict[str, Any]] = []
    state = await call.settled()
    now = now_ms(call, state)
    live = sorted(
        (show.listing_key(market), market)
        for market in state.markets.values()
        if market.status in wanted and query.series in (None, market.settings.slug)
    )
    left = [(key, market) for key, market in live if keyset is None or (0, *key) > keyset]
    here = left[: query.limit]
    items = [show.live_market(names, state, market, now) for _, market in here]
    if len(left) > query.limit:
        return {"items": items, "next_cursor": cursors.encode(name, (0, *here[-1][0]))}
    ended = [status for status in wanted if status in show.FINAL]
    if not ended:
        return {"items": items, "next_cursor": None}
    room = query.limit - len(items)
    found = await store.list_markets(
        statuses=ended,
        slug=query.series,
        before=keyset[2:] if keyset is not None and keyset[0] == 1 else None,
        limit=max(1, room),
    )
    if not room:
        return {"items": items, "next_cursor": cursors.encode(name, (0, *here[-1][0])) if found.items else None}
    shown = {key[2] for key, _ in here}
    items += [show.ended_market(names, row, now) for row in found.items if row.id not in shown]
    return {"items": items, "next_cursor": cursors.encode(name, (1, 0, *found.next)) if found.next else None}


@router.get(
    "/markets/{market_id}",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_market",
    summary="Read a market",
    response_model=MarketView,
    errors=(Code.UNKNOWN_MARKET, Code.SERVICE_DEGRADED),
)
async def get_market(call: Call, market_id: str) -> dict[str, Any]:
    """A market by its UUID or symbol, with its rules, bounds, fees, touch and outcome."""
    names = call.names
    found = await find_market(call, names, market_id)
    now = now_ms(call, found.state)
    if found.live is not None:
        return show.live_market(names, found.state, found.live, now)
    assert found.row is not None
    return show.ended_market(names, found.row, now)


@router.get(
    "/markets/{market_id}/book",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_book",
    summary="Read the order book of a market",
    response_model=BookView,
    errors=(Code.UNKNOWN_MARKET, Code.SERVICE_DEGRADED),
)
async def get_book(call: Call, market_id: str, query: Annotated[BookQuery, Query()]) -> dict[str, Any]:
    """Resting orders by price, best first; true at `seq`. A market that has ended has an empty book."""
    names = call.names
    found = await find_market(call, names, market_id)
    return show.book_body(names, found.state, found.id, found.live, query.depth)


@router.get(
    "/markets/{market_id}/trades",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="list_trades",
    summary="List the trades of a market, newest first",
    response_model=TradePage,
    errors=(Code.UNKNOWN_MARKET, Code.INVALID_CURSOR, Code.SERVICE_DEGRADED),
)
async def list_trades(call: Call, market_id: str, query: Annotated[PageQuery, Query()]) -> dict[str, Any]:
    """Price, quantity and the side of the taker; nobody's name."""
    names = call.names
    market = await known_market(call, names, market_id)
    name = list_name("trades", market=market)
    found = await call.venue.store.market_trades(market, before=before(name, query.cursor), limit=query.limit)
    return page(name, found.items, found.next, lambda trade: show.trade_body(names, trade))


@router.get(
    "/markets/{market_id}/candles",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="list_candles",
    summary="List the candles of a market, newest first",
    response_model=CandlePage,
    errors=(Code.UNKNOWN_MARKET, Code.INVALID_CURSOR, Code.SERVICE_DEGRADED),
)
async def list_candles(call: Call, market_id: str, query: Annotated[CandlesQuery, Query()]) -> dict[str, Any]:
    """Open, high, low, close and volume of `interval_ms`; an interval without trades has no candle."""
    market = await known_market(call, call.names, market_id)
    name = list_name("candles", market=market, interval=query.interval_ms)
    keyset = before(name, query.cursor)
    candles = await call.venue.store.candles(market, query.interval_ms, limit=LIMIT_MAX)
    found: list[Candle] = [c for c in reversed(candles) if keyset is None or c.start_ts < keyset[0]]
    here = found[: query.limit]
    going_on = (here[-1].start_ts,) if len(found) > query.limit else None
    return page(name, here, going_on, show.candle_body)


@router.get(
    "/markets/{market_id}/settlement",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_settlement",
    summary="Read the evidence of a market's outcome",
    response_model=SettlementView,
    errors=(Code.UNKNOWN_MARKET, Code.SERVICE_DEGRADED),
)
async def get_settlement(call: Call, market_id: str) -> dict[str, Any]:
    """Both prints with price, source time, age, per-venue inputs, rule and `seq`: anyone can recompute the outcome.

    Before the settlement the parts that are not there yet are null.
    """
    names, store = call.names, call.venue.store
    await call.settled()
    row = await market_row(call, names, market_id)
    if row is None:
        await call.latest()  # another node may have listed it a moment ago
        row = await market_row(call, names, market_id)
    if row is None:
        raise RaethError(Code.UNKNOWN_MARKET, http=404)
    opened, closed = await store.get_print(row.open_at), await store.get_print(row.close_at)
    return show.settlement_body(names, row, opened, closed)


@router.get(
    "/series",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="list_series",
    summary="List the series of windows",
    response_model=SeriesPage,
    errors=(Code.SERVICE_DEGRADED,),
)
async def list_series(call: Call) -> dict[str, Any]:
    """Each with the rules that the next window will be listed with."""
    state = await call.settled()
    return {"items": [show.series_body(rules_of(state), state.seq)], "next_cursor": None}


@router.get(
    "/series/{slug}",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_series",
    summary="Read a series",
    response_model=SeriesView,
    errors=(Code.NOT_FOUND, Code.SERVICE_DEGRADED),
)
async def get_series(call: Call, slug: str) -> dict[str, Any]:
    """The series with the rules that the next window will be listed with."""
    return series_of(await call.settled(), slug)


def series_of(state: State, slug: str) -> dict[str, Any]:
    """Raises NOT_FOUND for any other series than the venue's own."""
    rules = rules_of(state)
    if slug != rules.slug:
        raise RaethError(Code.NOT_FOUND)
    return show.series_body(rules, state.seq)


@router.get(
    "/series/{slug}/context",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_series_context",
    summary="Read where a series stands: previous, current and next window",
    response_model=SeriesContext,
    errors=(Code.NOT_FOUND, Code.REFERENCE_UNAVAILABLE, Code.SERVICE_DEGRADED),
)
async def get_series_context(call: Call, slug: str) -> dict[str, Any]:
    """502 while the reference feed is DOWN; `agent-context` of a market degrades to nulls instead."""
    names = call.names
    state = await call.settled()
    body = series_of(state, slug)
    now = now_ms(call, state)
    reference = reference_body(call.venue.reference.current(now))
    if reference["status"] == "DOWN":
        raise RaethError(Code.REFERENCE_UNAVAILABLE)
    current, following = state.live, state.pending
    context = {
        "series": body,
        "previous": None,
        "current": show.live_market(names, state, current, now) if current is not None else None,
        "next": show.live_market(names, state, following, now) if following is not None else None,
        "reference": reference,
        "server_time": iso(now),
        "seq": state.seq,
    }
    context["previous"] = await _previous(call, names, state, slug, now)
    return context


async def _previous(call: Call, names: Names, state: State, slug: str, now: int) -> dict[str, Any] | None:
    """The window that closed last: one that still waits for its print, or one that has ended."""
    waiting = [market for market in state.markets.values() if market.status == EXPIRED]
    if waiting:
        return show.live_market(names, state, max(waiting, key=lambda market: market.close_at), now)
    found = await call.venue.store.list_markets(slug=slug, limit=1)
    return show.ended_market(names, found.items[0], now) if found.items else None
