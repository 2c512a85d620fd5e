"""Binance spot: combined streams `btcusdt@trade` and `btcusdt@bookTicker`.

Prices are in USDT: the index uses them only after conversion. `bookTicker` carries no time and is stamped
with the time of receipt. The venue closes every socket after 24 hours.
"""

from __future__ import annotations

from typing import Any

from raeth.reference import numbers
from raeth.reference.types import Rate, Tick
from raeth.reference.venues.base import Adapter, MessageError, ReconnectRequested


class Binance(Adapter):
    name = "binance"
    default_url = "wss://stream.binance.com:9443/stream?streams=btcusdt@trade/btcusdt@bookTicker"

    def __init__(self, url: str | None = None, symbol: str = "BTCUSDT") -> None:
        super().__init__(url)
        self.symbol = symbol

    def subscriptions(self) -> list[str]:
        return []  # The address names the streams.

    def read(self, message: Any, recv_ts: int) -> list[Tick | Rate]:
        if "error" in message:
            raise MessageError(str(message["error"])[:200])
        data = message.get("data", message)
        if data.get("e") == "serverShutdown":
            raise ReconnectRequested("serverShutdown")
        if data.get("s") != self.symbol:
            return []
        if data.get("e") == "trade":
            return [self.tick(data["p"], numbers.ms_from_epoch(data["T"], 1_000), recv_ts)]
        if "e" not in data and "b" in data and "a" in data:
            return [self.quote(data["b"], data["a"], recv_ts, recv_ts)]
        return []
