"""Bitstamp: socket API v2, `live_trades_btcusd` and the top of `order_book_btcusd`.

Bitstamp trades bitcoin too seldom for trades alone to stay within the age limit. The venue sends no
heartbeat of its own accord but answers one.
"""

from __future__ import annotations

from typing import Any

from raeth.reference import numbers
from raeth.reference.types import Rate, Tick
from raeth.reference.venues.base import Adapter, MessageError, ReconnectRequested, frame


class Bitstamp(Adapter):
    name = "bitstamp"
    default_url = "wss://ws.bitstamp.net"

    def __init__(self, url: str | None = None, pair: str = "btcusd") -> None:
        super().__init__(url)
        self._trades = f"live_trades_{pair}"
        self._book = f"order_book_{pair}"

    def subscriptions(self) -> list[str]:
        return [frame(event="bts:subscribe", data={"channel": name}) for name in (self._trades, self._book)]

    def keepalive(self) -> str | None:
        return frame(event="bts:heartbeat")

    def read(self, message: Any, recv_ts: int) -> list[Tick | Rate]:
        event = message["event"]
        if event == "bts:request_reconnect":
            raise ReconnectRequested("bts:request_reconnect")
        if event == "bts:error":
            raise MessageError(str(message.get("data"))[:200])
        if event == "trade" and message["channel"] == self._trades:
            data = message["data"]
            # `price` is a JSON number, `price_str` its exact text; older messages have only the former.
            price = data.get("price_str", data.get("price"))
            return [self.tick(price, numbers.ms_from_epoch(data["microtimestamp"], 1_000_000), recv_ts)]
        if event == "data" and message["channel"] == self._book:
            data = message["data"]
            source_ts = numbers.ms_from_epoch(data["microtimestamp"], 1_000_000)
            return [self.quote(data["bids"][0][0], data["asks"][0][0], source_ts, recv_ts)]
        return []
