"""Gemini: its socket API of streams, and the archived `/v2/marketdata` if the address is that one's.

Streams: `btcusd@trade` and `btcusd@bookTicker`, event time `E` in nanoseconds. v2: `l2`, of which only
the trades are read (they alone carry a time), heartbeats every five seconds.
"""

from __future__ import annotations

from typing import Any

from raeth.reference import numbers
from raeth.reference.types import Rate, Tick
from raeth.reference.venues.base import Adapter, MessageError, frame


class Gemini(Adapter):
    name = "gemini"
    default_url = "wss://ws.gemini.com"

    def __init__(self, url: str | None = None, symbol: str = "BTCUSD") -> None:
        super().__init__(url)
        self.symbol = symbol.upper()

    def subscriptions(self) -> list[str]:
        if "/v2/marketdata" in self.url:
            return [frame(type="subscribe", subscriptions=[{"name": "l2", "symbols": [self.symbol]}])]
        streams = [f"{self.symbol.lower()}@{name}" for name in ("trade", "bookTicker")]
        return [frame(id="1", method="subscribe", params=streams)]

    def read(self, message: Any, recv_ts: int) -> list[Tick | Rate]:
        if "error" in message or message.get("result") == "error":
            raise MessageError(str(message.get("error") or message.get("reason"))[:200])
        if "type" in message:
            return self._read_v2(message, recv_ts)
        if str(message.get("s", "")).upper() != self.symbol or "E" not in message:
            return []
        source_ts = numbers.ms_from_epoch(message["E"], 1_000_000_000)
        if "p" in message and "t" in message:
            return [self.tick(message["p"], source_ts, recv_ts)]
        if "b" in message and "a" in message and "B" in message:
            return [self.quote(message["b"], message["a"], source_ts, recv_ts)]
        return []

    def _read_v2(self, message: dict[str, Any], recv_ts: int) -> list[Tick | Rate]:
        # The first l2_updates brings the last fifty trades, newest first.
        trades = [message] if message["type"] == "trade" else message.get("trades", [])
        ticks = [
            self.tick(trade["price"], numbers.ms_from_epoch(trade["timestamp"], 1_000), recv_ts)
            for trade in trades
            if trade["symbol"] == self.symbol
        ]
        return sorted(ticks, key=lambda tick: tick.source_ts)
