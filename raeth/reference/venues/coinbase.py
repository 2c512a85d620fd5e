"""Coinbase: the Advanced Trade socket, and the older Exchange feed if the address is that one's.

Advanced Trade: `ticker` (mid of the touch at the envelope's time), `market_trades`, `heartbeats` (one a
second, else a quiet channel is closed after 60-90 s). Exchange feed: `ticker` and `matches` (trades).
USDT-USD comes along for the conversion of USDT pairs.
"""

from __future__ import annotations

from typing import Any

from raeth.reference import numbers
from raeth.reference.types import Rate, Tick
from raeth.reference.venues.base import Adapter, MessageError, frame


class Coinbase(Adapter):
    name = "coinbase"
    default_url = "wss://advanced-trade-ws.coinbase.com"

    def __init__(self, url: str | None = None, product: str = "BTC-USD", usdt_product: str = "USDT-USD") -> None:
        super().__init__(url)
        self.product = product
        self.usdt_product = usdt_product

    def subscriptions(self) -> list[str]:
        products = [self.product, self.usdt_product]
        if "ws-feed" in self.url:
            return [frame(type="subscribe", product_ids=products, channels=["ticker", "heartbeat"])]
        wanted = [("heartbeats", [self.product]), ("ticker", products), ("market_trades", [self.product])]
        return [frame(type="subscribe", product_ids=ids, channel=channel) for channel, ids in wanted]

    def read(self, message: Any, recv_ts: int) -> list[Tick | Rate]:
        if message.get("type") == "error":
            raise MessageError(str(message.get("message"))[:200])
        if "channel" in message:
            return self._read_advanced(message, recv_ts)
        if message.get("type") in ("ticker", "match", "last_match"):
            return self._read_exchange(message, recv_ts)
        return []

    def _read_advanced(self, message: dict[str, Any], recv_ts: int) -> list[Tick | Rate]:
        found: list[Tick | Rate] = []
        if message["channel"] == "market_trades":
            for event in message["events"]:
                for trade in event["trades"]:
                    if trade["product_id"] == self.product:
                        found.append(self.tick(trade["price"], numbers.ms_from_iso(trade["time"]), recv_ts))
        elif message["channel"] in ("ticker", "ticker_batch"):
            source_ts = numbers.ms_from_iso(message["timestamp"])
            for event in message["events"]:
                for ticker in event["tickers"]:
                    found += self._quotes(ticker, source_ts, recv_ts)
        # A snapshot of trades comes newest first; the order of time is what the index needs.
        return sorted(found, key=lambda item: item.source_ts)

    def _read_exchange(self, message: dict[str, Any], recv_ts: int) -> list[Tick | Rate]:
        source_ts = numbers.ms_from_iso(message["time"])
        if message["product_id"] == self.product:
            return [self.tick(message["price"], source_ts, recv_ts)]
        return self._quotes(message, source_ts, recv_ts) if message["type"] == "ticker" else []

    def _quotes(self, ticker: dict[str, Any], source_ts: int, recv_ts: int) -> list[Tick | Rate]:
        if ticker["product_id"] == self.product:
            return [self.quote(ticker["best_bid"], ticker["best_ask"], source_ts, recv_ts)]
        if ticker["product_id"] == self.usdt_product:
            return [self.rate(ticker["best_bid"], ticker["best_ask"], source_ts, recv_ts)]
        return []
