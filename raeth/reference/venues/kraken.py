"""Kraken: socket API v2 (objects), and v1 (arrays) if the address does not end in `/v2`.

v2 `ticker` with `event_trigger: bbo` gives the touch, `trade` the trades; heartbeats come about once a second in the
absence of other traffic. v2 prices are JSON numbers, read here as text. USDT/USD comes along.
"""

from __future__ import annotations

from typing import Any

from raeth.reference import numbers
from raeth.reference.types import Rate, Tick
from raeth.reference.venues.base import Adapter, MessageError, frame

V1_NAMES = {"BTC/USD": "XBT/USD"}


class Kraken(Adapter):
    name = "kraken"
    default_url = "wss://ws.kraken.com/v2"

    def __init__(self, url: str | None = None, symbol: str = "BTC/USD", usdt_symbol: str = "USDT/USD") -> None:
        super().__init__(url)
        self.symbol = symbol
        self.usdt_symbol = usdt_symbol
        self._v1_pairs = {V1_NAMES.get(name, name): name for name in (symbol, usdt_symbol)}

    @property
    def _is_v2(self) -> bool:
        return self.url.rstrip("/").endswith("/v2")

    def subscriptions(self) -> list[str]:
        if not self._is_v2:
            btc, usdt = self._v1_pairs
            wanted = [("trade", [btc]), ("spread", [btc, usdt])]
            return [frame(event="subscribe", pair=pairs, subscription={"name": name}) for name, pairs in wanted]
        ticker = {"channel": "ticker", "symbol": [self.symbol, self.usdt_symbol], "event_trigger": "bbo"}
        trades = {"channel": "trade", "symbol": [self.symbol]}
        return [frame(method="subscribe", params=params) for params in (ticker, trades)]

    def keepalive(self) -> str | None:
        return frame(method="ping") if self._is_v2 else frame(event="ping")

    def read(self, message: Any, recv_ts: int) -> list[Tick | Rate]:
        if isinstance(message, list):
            return self._read_v1(message, recv_ts)
        if message.get("success") is False or message.get("status") == "error":
            raise MessageError(str(message.get("error") or message.get("errorMessage"))[:200])
        if message.get("channel") == "ticker":
            return [item for row in message["data"] for item in self._read_ticker(row, recv_ts)]
        if message.get("channel") == "trade":
            trades = [row for row in message["data"] if row["symbol"] == self.symbol]
            return [self.tick(row["price"], numbers.ms_from_iso(row["timestamp"]), recv_ts) for row in trades]
        return []

    def _read_ticker(self, row: dict[str, Any], recv_ts: int) -> list[Tick | Rate]:
        source_ts = numbers.ms_from_iso(row["timestamp"]) if "timestamp" in row else recv_ts
        return self._touch(row["symbol"], row["bid"], row["ask"], source_ts, recv_ts)

    def _touch(self, symbol: str, bid: object, ask: object, source_ts: int, recv_ts: int) -> list[Tick | Rate]:
        if symbol == self.symbol:
            return [self.quote(bid, ask, source_ts, recv_ts)]
        return [self.rate(bid, ask, source_ts, recv_ts)] if symbol == self.usdt_symbol else []

    def _read_v1(self, message: list[Any], recv_ts: int) -> list[Tick | Rate]:
        """`[channelID, payload, "trade" | "spread" | "ticker" | …, pair]`."""
        payload, channel, pair = message[1], message[-2], message[-1]
        symbol = self._v1_pairs.get(pair)
        if symbol is None:
            return []
        if channel == "trade" and symbol == self.symbol:
            return [self.tick(row[0], numbers.ms_from_epoch(row[2], 1), recv_ts) for row in payload]
        if channel == "spread":
            return self._touch(symbol, payload[0], payload[1], numbers.ms_from_epoch(payload[2], 1), recv_ts)
        if channel == "ticker":
            return self._touch(symbol, payload["b"][0], payload["a"][0], recv_ts, recv_ts)
        return []
