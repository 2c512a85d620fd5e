"""The live source against venues on 127.0.0.1 that speak the documented messages, fall silent, lie and hang up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from raeth.clock import ManualClock
from raeth.reference import ReferenceSettings, Tick
from raeth.reference.connection import Backoff
from raeth.reference.live import LiveSource

T = 1_775_572_200_000
QUICK: dict[str, Any] = {"reconnect_min_ms": 5, "reconnect_max_ms": 20}


def iso(ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def coinbase(price: str, ts_ms: int) -> str:
    trade = {"trade_id": "1", "product_id": "BTC-USD", "price": price, "size": "1", "side": "BUY", "time": iso(ts_ms)}
    events = [{"type": "update", "trades": [trade]}]
    return json.dumps({"channel": "market_trades", "timestamp": iso(ts_ms), "sequence_num": 1, "events": events})


def coinbase_usdt(bid: str, ask: str, ts_ms: int) -> str:
    ticker = {"type": "ticker", "product_id": "USDT-USD", "price": bid, "best_bid": bid, "best_ask": ask}
    return json.dumps(
        {"channel": "ticker", "timestamp": iso(ts_ms), "events": [{"type": "update", "tickers": [ticker]}]}
    )


def kraken(price: str, ts_ms: int) -> str:
    return (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USD","side":"buy","price":{price},"qty":0.1,'
        f'"ord_type":"limit","trade_id":1,"timestamp":"{iso(ts_ms)}"}}]}}'
    )


def bitstamp(price: str, ts_ms: int) -> str:
    data = {"id": 1, "amount_str": "1", "price_str": price, "type": 0, "microtimestamp": f"{ts_ms}000"}
    return json.dumps({"data": data, "channel": "live_trades_btcusd", "event": "trade"})


def gemini(price: str, ts_ms: int) -> str:
    return json.dumps({"E": ts_ms * 1_000_000, "s": "btcusd", "t": 1, "p": price, "q": "1", "m": True})


def binance(price: str, ts_ms: int) -> str:
    data = {"e": "trade", "E": ts_ms, "s": "BTCUSDT", "t": 1, "p": price, "q": "1", "T": ts_ms, "m": True}
    return json.dumps({"stream": "btcusdt@trade", "data": data})


@asynccontextmanager
async def running(source: LiveSource) -> AsyncIterator[LiveSource]:
    task = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_five_venues_make_one_price_and_a_print(start_venue: Any, session: Any, until: Any) -> None:
    clock = ManualClock(T - 400)
    before = T - 500
    venues = {
        "coinbase": await start_venue(
            [session([coinbase_usdt("0.9990", "0.9992", before), coinbase("95000.10", before)])], expect=3
        ),
        "kraken": await start_venue([session(['{"channel":"heartbeat"}', kraken("95000.3", before)])], 2, "/v2"),
        "bitstamp": await start_venue([session([bitstamp("95000.50", before)])], expect=2),
        "gemini": await start_venue([session([gemini("99999.00", before)])], expect=1),
        "binance": await start_venue([session([binance("95090.00", before)])]),
    }
    settings = ReferenceSettings(urls={name: venue.url for name, venue in venues.items()}, **QUICK)
    seen: list[Tick] = []
    source = LiveSource(settings, clock)
    source.on_tick(seen.append)
    async with running(source):
        await until(lambda: all(row["price_cents"] for row in source.current(clock.now_ms()).venues))
        # 95090.00 USDT at 0.9991 is 95004.41; Gemini is 5 % off. Median of 95000.10, .30, .50 and 95004.41.
        reading = source.current(clock.now_ms())
        assert (reading.price_cents, reading.status, reading.synthetic) == (9_500_040, "LIVE", False)
        assert {row["venue"]: row["used"] for row in reading.venues} == {
            "coinbase": True,
            "kraken": True,
            "bitstamp": True,
            "gemini": False,
            "binance": True,
        }
        assert all(row["connected"] and row["connects"] == 1 for row in reading.venues)
        assert source.print_at(T, T) is None
        clock.set(T + 300)
        await venues["coinbase"].say(coinbase("95100.00", T + 1))
        await venues["kraken"].say(kraken("95100.0", T + 100))
        await until(lambda: source.current(T).venues[1]["source_ts"] == T + 100)
        assert source.print_at(T, clock.now_ms()) is None, "two of three have passed"
        await venues["bitstamp"].say(bitstamp("95100.00", T + 200))
        await until(lambda: source.print_at(T, clock.now_ms()))
        found = source.print_at(T, clock.now_ms())
        assert found is not None
        assert (found.price_cents, found.source_ts, found.age_ms) == (9_500_040, before, 500)
        assert json.loads(json.dumps(found.as_dict()))["inputs"][4]["quote_price_cents"] == 9_509_000
    assert seen
    assert all(tick.venue == "index" for tick in seen)
    assert json.loads(venues["coinbase"].received[0][1])["channel"] == "ticker"
    assert json.loads(venues["gemini"].received[0][0])["params"] == ["btcusd@trade", "btcusd@bookTicker"]


def one_venue(name: str, url: str, **more: Any) -> LiveSource:
    settings = ReferenceSettings.model_validate({"venues": [name], "quorum": 1, "urls": {name: url}, **QUICK, **more})
    return LiveSource(settings, ManualClock(T))


async def test_garbage_is_counted_and_skipped(start_venue: Any, session: Any, until: Any) -> None:
    garbage = ["{", "null", b"\xff\x00", '{"event":"trade"}', "[" * 50_000, bitstamp("NaN", T), bitstamp("-1", T)]
    venue = await start_venue([session([*garbage, bitstamp("95000.00", T)])], expect=2)
    async with running(one_venue("bitstamp", venue.url)) as source:
        await until(lambda: source.current(T).price_cents)
        row = source.current(T).venues[0]
        assert (row["errors"], row["connects"], row["price_cents"]) == (len(garbage), 1, 9_500_000)


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_a_lost_connection_is_made_again(start_venue: Any, session: Any, until: Any, end: Any) -> None:
    first, second = session([bitstamp("95000.00", T - 20)], end), session([bitstamp("95001.00", T - 10)])
    venue = await start_venue([first, first, second], expect=2)
    async with running(one_venue("bitstamp", venue.url)) as source:
        await until(lambda: source.current(T).price_cents == 9_500_100)
        assert source.current(T).venues[0]["connects"] == 3
    assert [len(heard) for heard in venue.received] == [2, 2, 2], "subscribed anew each time"


async def test_a_silent_socket_is_reopened(start_venue: Any, session: Any, until: Any) -> None:
    venue = await start_venue([session(), session([binance("95000.00", T)])])
    async with running(one_venue("binance", venue.url, idle_timeout_ms=60)) as source:
        await until(lambda: source.links["binance"].connects >= 2)
        await until(lambda: source.current(T).venues[0].get("quote_price_cents"))


async def test_a_socket_that_only_beats_its_heart_is_reopened(start_venue: Any, session: Any, until: Any) -> None:
    venue = await start_venue([session(['{"channel":"heartbeat"}']), session([kraken("95000.0", T)])], 2, "/v2")
    async with running(one_venue("kraken", venue.url, price_timeout_ms=80)) as source:
        await until(lambda: source.current(T).price_cents)
        assert source.links["kraken"].connects == 2


async def test_the_venue_is_kept_awake(start_venue: Any, session: Any, until: Any) -> None:
    venue = await start_venue([session()], expect=2)
    async with running(one_venue("bitstamp", venue.url, idle_timeout_ms=150)):
        await until(lambda: venue.received and len(venue.received[0]) > 2)
    assert json.loads(venue.received[0][2]) == {"event": "bts:heartbeat"}


async def test_a_request_to_reconnect_is_followed(start_venue: Any, session: Any, until: Any) -> None:
    request = '{"event":"bts:request_reconnect","channel":"","data":""}'
    venue = await start_venue([session([request]), session([bitstamp("95000.00", T)])], expect=2)
    async with running(one_venue("bitstamp", venue.url)) as source:
        await until(lambda: source.current(T).price_cents)


async def test_a_venue_that_is_not_there_harms_nobody(
    start_venue: Any, session: Any, until: Callable[[Any], Any]
) -> None:
    gone = await start_venue([session()])
    assert gone.server is not None
    url = gone.url
    gone.server.close()
    await gone.server.wait_closed()
    there = await start_venue([session([bitstamp("95000.00", T)])], expect=2)
    settings = ReferenceSettings(
        venues=["coinbase", "kraken", "bitstamp"],
        quorum=1,
        urls={"coinbase": url, "kraken": "not an address", "bitstamp": there.url},
        **QUICK,
    )
    async with running(LiveSource(settings, ManualClock(T))) as source:
        await until(lambda: source.current(T).price_cents)
        await until(lambda: source.links["coinbase"].last_error and source.links["kraken"].last_error)
        assert [row["connected"] for row in source.current(T).venues] == [False, False, True]


def test_back_off_grows_to_its_cap_and_starts_again() -> None:
    backoff = Backoff(100, 1_000)
    spans = [backoff.next_ms() for _ in range(6)]
    for delay_ms, span_ms in zip(spans, [100, 200, 400, 800, 1_000, 1_000], strict=True):
        assert span_ms // 2 <= delay_ms <= span_ms
    backoff.reset()
    assert backoff.next_ms() <= 100
