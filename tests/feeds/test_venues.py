"""Each adapter on the messages its venue documents, and on what no venue should send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.reference import Rate, Tick
from raeth.reference.venues import (
    ADAPTERS,
    Adapter,
    Binance,
    Bitstamp,
    Coinbase,
    Gemini,
    Kraken,
    MessageError,
    ReconnectRequested,
)

RECV = 1_775_572_203_000
ISO = "2026-04-07T14:30:02.789012Z"
ISO_MS = 1_775_572_202_789


def advanced(channel: str, **event: Any) -> str:
    events = [{"type": "update", **event}]
    return json.dumps({"channel": channel, "client_id": "", "timestamp": ISO, "sequence_num": 5, "events": events})


def advanced_ticker(product: str, bid: str, ask: str) -> str:
    return advanced("ticker", tickers=[{"product_id": product, "price": bid, "best_bid": bid, "best_ask": ask}])


def advanced_trade(price: str, time: str, product: str = "BTC-USD") -> dict[str, str]:
    return {"trade_id": "1", "product_id": product, "price": price, "size": "0.1", "side": "BUY", "time": time}


CASES: list[tuple[Adapter, str, list[Tick | Rate]]] = [
    (Coinbase(), advanced_ticker("BTC-USD", "68900.00", "68901.01"), [Tick("coinbase", 6_890_050, ISO_MS, RECV)]),
    (Coinbase(), advanced_ticker("USDT-USD", "0.99980", "0.99990"), [Rate("coinbase", 99_985_000, ISO_MS, RECV)]),
    (Coinbase(), advanced_ticker("ETH-USD", "1", "2"), []),
    (
        Coinbase(),
        advanced(
            "market_trades",
            trades=[
                advanced_trade("68900.50", "2026-04-07T14:30:02.800Z"),
                advanced_trade("68900.25", "2026-04-07T14:30:02.789012Z"),
                advanced_trade("1.00", ISO, "ETH-USD"),
            ],
        ),
        [Tick("coinbase", 6_890_025, ISO_MS, RECV), Tick("coinbase", 6_890_050, ISO_MS + 11, RECV)],
    ),
    (Coinbase(), advanced("heartbeats", current_time="x", heartbeat_counter="3049"), []),
    (Coinbase(), advanced("subscriptions", subscriptions={"ticker": ["BTC-USD"]}), []),
    (
        Coinbase("wss://ws-feed.exchange.coinbase.com"),
        json.dumps(
            {
                "type": "ticker",
                "product_id": "BTC-USD",
                "price": "14.7775",
                "best_bid": "14.7",
                "best_ask": "14.8",
                "time": ISO,
            }
        ),
        [Tick("coinbase", 1_478, ISO_MS, RECV)],
    ),
    (Coinbase(), '{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"x"}', []),
    (
        Kraken(),
        '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":68900.1,"bid_qty":1.0,"ask":68900.2,'
        f'"ask_qty":1.0,"last":68900.1,"timestamp":"{ISO}"}}]}}',
        [Tick("kraken", 6_890_015, ISO_MS, RECV)],
    ),
    (
        Kraken(),
        '{"channel":"ticker","type":"snapshot","data":[{"symbol":"USDT/USD","bid":0.99985,"ask":0.99987}]}',
        [Rate("kraken", 99_986_000, RECV, RECV)],
    ),
    (
        Kraken(),
        '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":68900,"qty":0.1,'
        f'"ord_type":"market","trade_id":4665906,"timestamp":"{ISO}"}}]}}',
        [Tick("kraken", 6_890_000, ISO_MS, RECV)],
    ),
    (Kraken(), '{"channel":"heartbeat"}', []),
    (Kraken(), '{"method":"subscribe","result":{"channel":"ticker"},"success":true}', []),
    (
        Kraken("wss://ws.kraken.com"),
        '[337,[["5541.20000","0.15850568","1534614057.321597","s","l",""]],"trade","XBT/USD"]',
        [Tick("kraken", 554_120, 1_534_614_057_321, RECV)],
    ),
    (
        Kraken("wss://ws.kraken.com"),
        '[0,["5698.40000","5700.00000","1542057299.545897","1.01234567","0.98765432"],"spread","XBT/USD"]',
        [Tick("kraken", 569_920, 1_542_057_299_545, RECV)],
    ),
    (
        Kraken("wss://ws.kraken.com"),
        '[340,{"a":["5525.40000",1,"1.000"],"b":["5525.10000",1,"1.000"],"c":["5525.10000","0.01"]},"ticker","XBT/USD"]',
        [Tick("kraken", 552_525, RECV, RECV)],
    ),
    (Kraken("wss://ws.kraken.com"), '[1664,{"as":[],"bs":[]},"book-1000","WAVES/EUR"]', []),
    (
        Bitstamp(),
        '{"data":{"id":216000477,"timestamp":"1641343699","amount":0.0792,"price":3805.44,"price_str":"3805.44",'
        '"type":0,"microtimestamp":"1641343699596000"},"channel":"live_trades_btcusd","event":"trade"}',
        [Tick("bitstamp", 380_544, 1_641_343_699_596, RECV)],
    ),
    (
        Bitstamp(),
        '{"data":{"timestamp":"1641343699","microtimestamp":"1641343699596001","bids":[["100.10","1"]],'
        '"asks":[["100.20","1"]]},"channel":"order_book_btcusd","event":"data"}',
        [Tick("bitstamp", 10_015, 1_641_343_699_596, RECV)],
    ),
    (Bitstamp(), '{"event":"bts:subscription_succeeded","channel":"live_trades_btcusd","data":{}}', []),
    (Bitstamp(), '{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}', []),
    (
        Gemini(),
        '{"E":1775572202789012345,"s":"btcusd","t":2840140800042677,"p":"9004.21","q":"0.0911","m":false}',
        [Tick("gemini", 900_421, ISO_MS, RECV)],
    ),
    (
        Gemini(),
        '{"u":1,"E":1775572202789012345,"s":"btcusd","b":"9004.20","B":"1","a":"9004.23","A":"2"}',
        [Tick("gemini", 900_421, ISO_MS, RECV)],
    ),
    (Gemini(), '{"id":"1","status":200}', []),
    (
        Gemini("wss://api.gemini.com/v2/marketdata"),
        '{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","9122.04","0.001"]],"trades":['
        '{"type":"trade","symbol":"BTCUSD","timestamp":1560976400428,"price":"9122.04","quantity":"0.007"},'
        '{"type":"trade","symbol":"BTCUSD","timestamp":1560976400420,"price":"9122.03","quantity":"0.007"}]}',
        [Tick("gemini", 912_203, 1_560_976_400_420, RECV), Tick("gemini", 912_204, 1_560_976_400_428, RECV)],
    ),
    (Gemini(), '{"type":"heartbeat","timestamp":1624493666869}', []),
    (
        Binance(),
        '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"61837.63000000",'
        '"q":"0.02","T":1723161255342,"m":true,"M":true}}',
        [Tick("binance", 6_183_763, 1_723_161_255_342, RECV)],
    ),
    (
        Binance(),
        '{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"61837.63","B":"1","a":"61837.66","A":"1"}}',
        [Tick("binance", 6_183_764, RECV, RECV)],
    ),
    (Binance(), '{"result":null,"id":1}', []),
]


@pytest.mark.parametrize(("adapter", "raw", "expected"), CASES)
def test_documented_messages(adapter: Adapter, raw: str, expected: list[Tick | Rate]) -> None:
    assert adapter.parse(raw, RECV) == expected
    assert adapter.parse(raw.encode(), RECV) == expected


@pytest.mark.parametrize(
    ("adapter", "raw"),
    [
        (Coinbase(), '{"type":"error","message":"Failed to subscribe"}'),
        (Kraken(), '{"method":"subscribe","success":false,"error":"Currency pair not supported"}'),
        (Kraken("wss://ws.kraken.com"), '{"event":"subscriptionStatus","status":"error","errorMessage":"Pair?"}'),
        (Bitstamp(), '{"event":"bts:error","channel":"","data":{"code":null,"message":"Bad subscription string."}}'),
        (Gemini(), '{"id":"1","status":400,"error":{"code":-1,"msg":"bad symbol"}}'),
        (Binance(), '{"error":{"code":2,"msg":"Invalid request"},"id":1}'),
    ],
)
def test_a_venues_refusal_is_an_error_not_a_price(adapter: Adapter, raw: str) -> None:
    with pytest.raises(MessageError):
        adapter.parse(raw, RECV)


@pytest.mark.parametrize(
    ("adapter", "raw"),
    [
        (Bitstamp(), '{"event":"bts:request_reconnect","channel":"","data":""}'),
        (Binance(), '{"stream":"","data":{"e":"serverShutdown","E":1770123456789}}'),
    ],
)
def test_a_venue_may_ask_for_a_new_connection(adapter: Adapter, raw: str) -> None:
    with pytest.raises(ReconnectRequested):
        adapter.parse(raw, RECV)


KEYS = [
    *("type", "channel", "event", "events", "data", "stream", "trades", "tickers", "product_id", "symbol"),
    *("price", "price_str", "timestamp", "microtimestamp", "time", "bid", "ask"),
    *("e", "E", "s", "t", "T", "p", "a", "b", "B"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(max_size=4),
            inner
            | st.sampled_from(["trade", "ticker", "market_trades", "BTC-USD", "BTCUSD", "BTCUSDT", "data", "1.5"]),
            max_size=6,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ADAPTERS)
@settings(deadline=None)
@given(message=JSON)
def test_any_json_at_all_gives_prices_or_a_message_error(name: str, message: Any) -> None:
    try:
        found = ADAPTERS[name]().parse(json.dumps(message), RECV)
    except (MessageError, ReconnectRequested):
        return
    assert all(type(item.source_ts) is int for item in found)


@pytest.mark.parametrize("raw", ["", "{", "[" * 100_000, '{"a": NaN}', b"\xff\xfe", "1" * 5_000, "null", '"x"', "[]"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_garbage_is_a_message_error(name: str, raw: str | bytes) -> None:
    with pytest.raises(MessageError):
        ADAPTERS[name]().parse(raw, RECV)


def test_the_address_decides_the_dialect() -> None:
    assert [json.loads(text)["channel"] for text in Coinbase().subscriptions()] == [
        "heartbeats",
        "ticker",
        "market_trades",
    ]
    assert "channels" in Coinbase("wss://ws-feed.exchange.coinbase.com").subscriptions()[0]
    assert '"method":"subscribe"' in Kraken().subscriptions()[0]
    assert '"pair":["XBT/USD"]' in Kraken("wss://ws.kraken.com").subscriptions()[0]
    assert "btcusd@bookTicker" in Gemini().subscriptions()[0]
    assert '"l2"' in Gemini("wss://api.gemini.com/v2/marketdata").subscriptions()[0]
    assert Binance().subscriptions() == []
