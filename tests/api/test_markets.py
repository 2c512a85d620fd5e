"""Market data over HTTP: windows through their life, books, trades, candles, settlements (contract, section 7)."""

from __future__ import annotations

from typing import Any

import pytest

from raeth.api import fair
from raeth.api.schemas.account import AgentContext
from raeth.api.schemas.markets import (
    BookView,
    CandlePage,
    MarketPage,
    MarketView,
    ReferenceHistory,
    ReferenceView,
    SeriesContext,
    SeriesPage,
    SettlementView,
    TradePage,
)
from raeth.api.views.names import iso
from raeth.engine import commands as cmd
from raeth.engine.ids import to_uuid
from raeth.engine.types import Input
from tests.api.harness import GENESIS_MS, STRIKE_CENTS, Desk

OPEN_MS = GENESIS_MS + 10_000


async def test_the_answers_are_as_documented(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await a.place("SELL", 55, 5)
    await b.place("BUY", 55, 2)
    old = desk.symbol
    await desk.next_window(STRIKE_CENTS + 1)
    await desk.tick()
    await a.place("SELL", 60, 5)
    for model, path in (
        (MarketPage, "/markets"),
        (SeriesPage, "/series"),
        (SeriesContext, "/series/BTC-1M/context"),
        (ReferenceView, "/reference/btc"),
        (ReferenceHistory, "/reference/btc/history"),
    ):
        model.model_validate(await desk.read(path))
    for symbol in (old, desk.symbol):
        for model, path in (
            (MarketView, ""),
            (BookView, "/book"),
            (TradePage, "/trades"),
            (CandlePage, "/candles"),
            (SettlementView, "/settlement"),
            (AgentContext, "/agent-context"),
        ):
            model.model_validate(await desk.read(f"/markets/{symbol}{path}"))
        AgentContext.model_validate(await a.get(f"/markets/{symbol}/agent-context"))


async def test_a_market_through_its_life(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    symbol, market_id = desk.symbol, desk.market_id

    async def market() -> dict[str, Any]:
        by_symbol, by_id = await desk.read(f"/markets/{symbol}"), await desk.read(f"/markets/{market_id}")
        assert by_symbol == by_id and by_symbol["id"] == market_id
        return by_symbol

    new = await market()
    assert (new["status"], new["open_at"], new["close_at"]) == ("OPEN", iso(OPEN_MS), iso(OPEN_MS + 60_000))
    assert new["geometry"] == {"price_min": 1, "price_max": 99, "tick": 1, "price_scale": 2, "payout": 100}
    assert new["reference"] == {
        "open_price_cents": STRIKE_CENTS,
        "close_price_cents": None,
        "source": "scripted",
    }
    assert new["seconds_to_close"] == 60 and new["rules"]["tie_rule"] == "VOID"
    assert (new["best_bid"], new["best_ask"], new["mark_price"], new["last_trade_price"]) == (None,) * 4
    await a.place("SELL", 57, 5)
    await b.place("BUY", 57, 2)
    await b.place("BUY", 52, 2)
    await desk.advance(1_500)
    traded = await market()
    assert (traded["best_bid"], traded["best_ask"], traded["mark_price"]) == (52, 57, 54)
    assert (traded["volume"], traded["open_interest"], traded["last_trade_price"]) == (2, 2, 57)
    assert traded["seconds_to_close"] == 58 and traded["seq"] == desk.sequencer.state.seq
    await desk.advance(58_500)
    closed = await market()
    assert (closed["status"], closed["seconds_to_close"], closed["resolution"]) == ("EXPIRED", 0, None)
    assert (closed["best_bid"], closed["best_ask"]) == (None, None)
    await desk.print(STRIKE_CENTS + 1)
    ended = await market()
    assert (ended["status"], ended["resolution"]) == ("RESOLVED", "YES")
    assert ended["reference"] == {
        "open_price_cents": STRIKE_CENTS,
        "close_price_cents": STRIKE_CENTS + 1,
        "source": "scripted",
    }
    assert set(ended) == set(new) and ended["volume"] == 2 and ended["last_trade_price"] == 57
    assert {name: ended[name] for name in ("risk", "fees", "rules", "geometry", "series", "kind")} == {
        name: new[name] for name in ("risk", "fees", "rules", "geometry", "series", "kind")
    }


async def test_markets_are_listed_open_first_then_by_close(desk: Desk) -> None:
    for _ in range(3):
        await desk.next_window(STRIKE_CENTS)
    await desk.advance(60_000)  # one waits for its print

    async def listed(**params: Any) -> list[str]:
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await desk.read("/markets", **params, **cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                return [f"{item['status']} {item['open_at'][14:16]}" for item in found]
            cursor = {"cursor": page["next_cursor"]}

    everything = ["OPEN 11", "EXPIRED 10", "PENDING 12", "VOID 09", "VOID 08", "VOID 07"]
    for limit in (1, 2, 3, 4, 5, 6, 250):
        assert await listed(limit=limit) == everything
    assert await listed(status="OPEN") == ["OPEN 11"]
    assert await listed(status=["VOID", "PENDING"], limit=2) == ["PENDING 12", "VOID 09", "VOID 08", "VOID 07"]
    assert await listed(series="BTC-1M", status="EXPIRED") == ["EXPIRED 10"]
    assert await listed(series="ETH-1M") == []
    body = await desk.read("/markets", 422, limit=0)
    assert body["code"] == "VALIDATION_FAILED"


async def test_the_book_shows_price_quantity_and_orders(desk: Desk) -> None:
    a = await desk.trader("alice")
    for side, price, qty in (("BUY", 50, 3), ("BUY", 50, 4), ("BUY", 48, 1), ("SELL", 55, 2), ("SELL", 53, 9)):
        await a.place(side, price, qty)
    book = await desk.read(f"/markets/{desk.symbol}/book")
    assert book["bids"] == [[50, 7, 2], [48, 1, 1]] and book["asks"] == [[53, 9, 1], [55, 2, 1]]
    assert book["market_id"] == desk.market_id and book["seq"] == desk.sequencer.state.seq
    top = await desk.read(f"/markets/{desk.market_id}/book", depth=1)
    assert (top["bids"], top["asks"]) == ([[50, 7, 2]], [[53, 9, 1]])
    for depth in (0, 100):
        assert (await desk.read(f"/markets/{desk.symbol}/book", 422, depth=depth))["code"] == "VALIDATION_FAILED"
    old = desk.symbol
    await desk.next_window()
    ended = await desk.read(f"/markets/{old}/book")
    assert (ended["bids"], ended["asks"]) == ([], [])


async def test_trades_and_candles(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    for wait, price, side in ((0, 50, "BUY"), (900, 54, "BUY"), (300, 48, "SELL"), (5_000, 51, "BUY")):
        await desk.advance(wait)
        maker, taker = (a, b) if side == "BUY" else (b, a)
        await maker.place("SELL" if side == "BUY" else "BUY", price, 2)
        await taker.place(side, price, 2)
    trades = (await desk.read(f"/markets/{desk.symbol}/trades"))["items"]
    assert [(t["price"], t["qty"], t["taker_side"]) for t in trades] == [
        (51, 2, "BUY"),
        (48, 2, "SELL"),
        (54, 2, "BUY"),
        (50, 2, "BUY"),
    ]
    page = await desk.read(f"/markets/{desk.symbol}/trades", limit=3)
    rest = await desk.read(f"/markets/{desk.symbol}/trades", cursor=page["next_cursor"])
    assert page["items"] + rest["items"] == trades and rest["next_cursor"] is None
    young, old = (await desk.read(f"/markets/{desk.symbol}/candles"))["items"]
    assert old == {
        "ts": iso(OPEN_MS),
        "open": 50,
        "high": 54,
        "low": 48,
        "close": 48,
        "volume": 6,
        "trades": 3,
    }
    assert young["ts"] == iso(OPEN_MS + 5_000) and young["open"] == young["close"] == 51
    page = await desk.read(f"/markets/{desk.symbol}/candles", interval_ms=1_000, limit=2)
    rest = await desk.read(f"/markets/{desk.symbol}/candles", interval_ms=1_000, cursor=page["next_cursor"])
    assert [c["ts"] for c in page["items"] + rest["items"]] == [iso(OPEN_MS + n) for n in (6_000, 1_000, 0)]
    assert (await desk.read(f"/markets/{desk.symbol}/candles", 422, interval_ms=7))["code"] == "VALIDATION_FAILED"


async def test_the_settlement_is_the_evidence(desk: Desk) -> None:
    symbol = desk.symbol
    before = await desk.read(f"/markets/{symbol}/settlement")
    assert (before["resolution"], before["close_print"], before["resolved_at"]) == (None, None, None)
    assert before["open_print"]["price_cents"] == STRIKE_CENTS
    await desk.next_window(STRIKE_CENTS - 1)
    after = await desk.read(f"/markets/{symbol}/settlement")
    assert (after["status"], after["resolution"], after["reason"]) == ("RESOLVED", "NO", "DOWN")
    assert after["open_print"] == before["open_print"]
    close = after["close_print"]
    assert (close["boundary"], close["price_cents"], close["age_ms"]) == (iso(OPEN_MS + 60_000), STRIKE_CENTS - 1, 250)
    assert close["source_ts"] == iso(OPEN_MS + 59_750) and close["seq"] <= after["seq"]
    assert (await desk.read(f"/markets/{desk.symbol}/settlement"))["open_print"] == close
    old = desk.symbol
    await desk.next_window(None)
    void = await desk.read(f"/markets/{old}/settlement")
    assert (void["resolution"], void["close_print"]["price_cents"]) == ("VOID", None)
    assert (void["close_print"]["reason"], void["fees_cents"]) == ("no_price", 0)


async def test_the_evidence_shows_how_a_usdt_price_became_dollars(desk: Desk) -> None:
    old = desk.symbol
    assert desk.sequencer.state.pending is not None
    await desk.advance(desk.sequencer.state.pending.open_at - desk.clock.now_ms())
    boundary = next(iter(desk.sequencer.state.unprinted))
    rate_ts = boundary - 1_000
    used = Input("binance", 9_490_500, boundary - 250, True, "used", 9_500_000, 99_900_000, rate_ts)
    await desk.submit(cmd.Print(boundary, 9_490_500, boundary - 250, "scripted", "median", None, (used,)))
    [shown] = (await desk.read(f"/markets/{old}/settlement"))["close_print"]["inputs"]
    assert shown["price_cents"] == shown["quote_price_cents"] * shown["rate_e8"] // 10**8
    assert shown["rate_source_ts"] == iso(rate_ts)


async def test_a_void_market_was_voided_by_the_operator(desk: Desk) -> None:
    symbol = desk.symbol
    await desk.submit(cmd.VoidMarket("ops", desk.market.id, "test"))
    market = await desk.read(f"/markets/{symbol}")
    assert (market["status"], market["resolution"], market["seconds_to_close"]) == ("VOID", "VOID", 0)


@pytest.mark.parametrize("tail", ["", "/book", "/trades", "/candles", "/settlement", "/agent-context"])
async def test_an_unknown_market_is_a_404(desk: Desk, tail: str) -> None:
    wide = to_uuid(GENESIS_MS, (1 << 74) - 1)  # fits neither the journal nor a table
    for ref in ("none", "BTC-1M-19990101T0000Z", wide, "%00", "%ff", "ä", "x" * 300):
        assert (await desk.read(f"/markets/{ref}{tail}", 404))["code"] == "UNKNOWN_MARKET"


# ---- series and reference ----


async def test_the_context_of_a_series(desk: Desk) -> None:
    first = desk.symbol
    context = await desk.read("/series/BTC-1M/context")
    assert context["current"]["symbol"] == first and context["previous"] is None
    assert context["next"]["status"] == "PENDING" and context["reference"]["status"] == "LIVE"
    await desk.advance(60_000)
    await desk.tick()
    context = await desk.read("/series/BTC-1M/context")
    assert (context["previous"]["symbol"], context["previous"]["status"]) == (first, "EXPIRED")
    await desk.print(STRIKE_CENTS + 1)
    context = await desk.read("/series/BTC-1M/context")
    assert (context["previous"]["symbol"], context["previous"]["resolution"]) == (first, "YES")
    for path in ("/series/ETH-1M", "/series/ETH-1M/context", "/series/%00"):
        assert (await desk.read(path, 404))["code"] == "NOT_FOUND"


async def test_without_a_reference_the_series_context_is_a_502_and_the_rest_degrades(desk: Desk) -> None:
    await desk.advance(10_000)
    assert (await desk.read("/reference/btc"))["status"] == "STALE"
    assert (await desk.read("/series/BTC-1M/context"))["reference"]["price_cents"] == STRIKE_CENTS
    await desk.advance(1)
    assert (await desk.read("/series/BTC-1M/context", 502))["code"] == "REFERENCE_UNAVAILABLE"
    reading = await desk.read("/reference/btc")
    assert (reading["status"], reading["price_cents"], reading["age_ms"]) == ("DOWN", None, 10_001)
    context = await desk.read(f"/markets/{desk.symbol}/agent-context")
    assert context["reference"]["price_cents"] is None and context["fair_value_cents"] is None
    assert context["market"]["status"] == "OPEN"


async def test_the_history_of_the_reference(desk: Desk) -> None:
    for n in range(1, 4):
        await desk.advance(1_000)
        await desk.tick(STRIKE_CENTS + n)
    points = (await desk.read("/reference/btc/history", seconds=2))["items"]
    assert [point["price_cents"] - STRIKE_CENTS for point in points] == [1, 2, 3]
    assert len((await desk.read("/reference/btc/history"))["items"]) == 4
    for seconds in (0, 3_601):
        assert (await desk.read("/reference/btc/history", 422, seconds=seconds))["code"] == "VALIDATION_FAILED"


# ---- agent-context ----


async def test_agent_context_holds_what_a_decision_needs(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    for n in range(20):
        await desk.advance(1_000)
        await desk.tick(STRIKE_CENTS + (500 if n % 2 else 0))
    await a.place("SELL", 55, 5)
    await b.place("BUY", 55, 2)
    mine = await b.place("BUY", 50, 3)
    public = await desk.read(f"/markets/{desk.symbol}/agent-context")
    assert public["own"] is None and public["seconds_to_close"] == 40 and public["frozen"] is False
    assert public["book"]["asks"] == [[55, 3, 1]] and len(public["recent_trades"]) == 1
    assert 50 <= public["fair_value_cents"] <= 99 and public["volatility"]["samples"] == 20
    own = (await b.get(f"/markets/{desk.symbol}/agent-context"))["own"]
    assert own["open_orders"] == [mine] and own["position"]["net_qty"] == 2
    account = await b.get("/account")
    assert own["free_cash_cents"] == account["free_cash_cents"]
    assert own["budget"]["remaining"] < own["budget"]["limit"]


async def test_agent_context_never_fails_when_the_tables_do(desk: Desk) -> None:
    a = await desk.trader("alice")
    await a.place("BUY", 50, 1)
    (desk.venue.settings.data_dir / "raeth.db").rename(desk.venue.settings.data_dir / "away.db")
    await desk.venue.store.close()  # the next read has to open a file that is not there
    context = await a.get(f"/markets/{desk.symbol}/agent-context")
    assert context["recent_trades"] is None and context["fair_value_cents"] is None
    assert context["market"]["best_bid"] == 50 and len(context["own"]["open_orders"]) == 1
    (desk.venue.settings.data_dir / "away.db").replace(desk.venue.settings.data_dir / "raeth.db")


async def test_a_bad_key_is_a_401_even_on_public_data(desk: Desk) -> None:
    response = await desk.http.get("/api/v1/markets", headers={"Authorization": "Bearer rk_live_x_y"})
    assert (response.status_code, response.json()["code"]) == (401, "AUTH_INVALID")


# ---- fair value, on its own ----


def test_fair_value() -> None:
    assert fair.fair_value_cents(100, 100, 60_000, 1e-4) == 50
    assert fair.fair_value_cents(9_501_000, 9_500_000, 60_000, 1e-4) > 50
    assert fair.fair_value_cents(9_499_000, 9_500_000, 60_000, 1e-4) == 100 - fair.fair_value_cents(
        9_501_000, 9_500_000, 60_000, 1e-4
    )
    assert fair.fair_value_cents(9_600_000, 9_500_000, 1_000, 1e-5) == 99
    assert fair.fair_value_cents(9_400_000, 9_500_000, 1_000, 1e-5) == 1
    assert [fair.fair_value_cents(price, 100, 0, 1e-4) for price in (99, 100, 101)] == [1, 50, 99]


def test_volatility_needs_ten_returns() -> None:
    flat = [(1_000 * n, 100) for n in range(11)]
    assert fair.volatility(flat[:10]) is None
    found = fair.volatility(flat)
    assert found is not None and found.samples == 10
    moving = fair.volatility([(1_000 * n, 1_000_000 + 100 * (n % 2)) for n in range(60)])
    assert moving is not None and moving.per_sqrt_s == pytest.approx(1e-4, rel=0.01)
