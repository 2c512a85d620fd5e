"""Readers of streams that never stay: from node to node, each time resuming with the position they had.

What they keep is one story over all nodes, to be compared with the journal. Must not know faults or the journal.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.chaos.load import DEGRADED, PAUSE_S, TRY_S
from tests.e2e.private_story import Follower
from tests.e2e.venue import Agent

STAY_S = (0.2, 3.0)
"""How long a reader stays with a node, which may be stopped, killed or well meanwhile."""

Levels = dict[int, tuple[int, int]]
"""Price to quantity and number of orders."""


class Wanderer:
    """Goes from node to node until told to stop. `going` is cleared by whoever has heard enough."""

    def __init__(self, urls: Sequence[str], rng: random.Random) -> None:
        self._urls, self._rng = tuple(urls), rng
        self.hops = 0
        self.parted: Counter[str] = Counter()
        """Why it left a node, other than of its own will."""

    async def wander(self) -> None:
        while True:
            self.hops += 1
            try:
                async with asyncio.timeout(self._rng.uniform(*STAY_S)):
                    await self.visit(self._rng.choice(self._urls))
            except TimeoutError:
                continue
            except (OSError, WebSocketException, httpx2.TransportError) as trouble:
                self.parted[type(trouble).__name__] += 1
            await asyncio.sleep(self._rng.uniform(0, PAUSE_S))

    async def visit(self, url: str) -> None:
        """Listen at one node until it ends; may be cancelled at any moment."""
        raise NotImplementedError

    def note_refusal(self, message: dict[str, Any]) -> None:
        """The only reason for which a node may refuse."""
        assert message.get("code") == DEGRADED or message["type"] == "resync_required", message
        self.parted[message.get("code") or message["type"]] += 1


@asynccontextmanager
async def listening(url: str, agent: Agent | None) -> AsyncIterator[ClientConnection]:
    headers = {} if agent is None else {"Authorization": f"Bearer {agent.key}"}
    async with connect(
        f"{url.replace('http', 'ws', 1)}/stream",
        additional_headers=headers,
        max_size=None,
        ping_interval=None,
        open_timeout=TRY_S,
        close_timeout=0.1,
    ) as socket:
        yield socket


class PrivateReader(Wanderer, Follower):
    """One agent's private channel by sockets: at each node resumed with `from_seq`."""

    def __init__(self, agent: Agent, urls: Sequence[str], rng: random.Random) -> None:
        Wanderer.__init__(self, urls, rng)
        Follower.__init__(self, agent)

    async def visit(self, url: str) -> None:
        last_seq = self.events[-1][0] if self.events else 1
        known = [event for event in self.events if event[0] == last_seq]
        heard, channel_seq = 0, None
        async with listening(url, self.agent) as socket:
            channel = f"private.{self.agent.id}"
            await socket.send(json.dumps({"op": "subscribe", "channels": [channel], "from_seq": last_seq}))
            async for text in socket:
                message = json.loads(text)
                if message["type"] in ("ack", "heartbeat"):
                    continue
                if message["type"] != "event":
                    self.note_refusal(message)
                    return
                assert channel_seq is None or message["channel_seq"] == channel_seq + 1, "a gap"
                channel_seq = message["channel_seq"]
                self._take((message["seq"], message["data"]), known, heard)
                heard += 1


class EventStreamReader(Wanderer, Follower):
    """The same by server-sent events: at each node resumed with `Last-Event-ID`, which tells nothing twice."""

    def __init__(self, agent: Agent, urls: Sequence[str], rng: random.Random) -> None:
        Wanderer.__init__(self, urls, rng)
        Follower.__init__(self, agent)
        self._position = "1.0"

    async def visit(self, url: str) -> None:
        headers = {"Authorization": f"Bearer {self.agent.key}", "Last-Event-ID": self._position}
        params = {"channels": f"private.{self.agent.id}"}
        async with (
            httpx2.AsyncClient(timeout=httpx2.Timeout(TRY_S, read=None)) as http,
            http.stream("GET", f"{url}/api/v1/sse", params=params, headers=headers) as response,
        ):
            if response.status_code != 200:
                await response.aread()
                self.note_refusal({"type": "error", **response.json()})
                return
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                else:
                    if not self._heard(fields):
                        return
                    fields = {}

    def _heard(self, fields: dict[str, str]) -> bool:
        """One whole event; False when it was the last one."""
        if "data" not in fields:
            return True
        message = json.loads(fields["data"])
        if message["type"] == "event":
            self._take((message["seq"], message["data"]), [], 0)
            self._position = fields["id"]
        elif message["type"] != "heartbeat":
            self.note_refusal(message)
            return False
        return True


class MarketReader(Wanderer):
    """Book and trades of the window that is open, of which `market()` gives the symbol.

    `books` are the books it has held: (seq, symbol, bids, asks). `trades` are runs of trades per window, each without a
    gap as far as it could be told: a run ends where more was missed than a snapshot shows.
    """

    def __init__(self, urls: Sequence[str], rng: random.Random, market: Any) -> None:
        super().__init__(urls, rng)
        self._market = market
        self.books: list[tuple[int, str, Levels, Levels]] = []
        self.trades: dict[str, list[list[dict[str, Any]]]] = {}

    async def visit(self, url: str) -> None:
        symbol = self._market()
        if not symbol:
            return
        numbers: dict[str, int] = {}
        bids: Levels = {}
        asks: Levels = {}
        async with listening(url, None) as socket:
            channels = [f"book.{symbol}", f"trades.{symbol}"]
            await socket.send(json.dumps({"op": "subscribe", "channels": channels}))
            async for text in socket:
                message = json.loads(text)
                if message["type"] in ("ack", "heartbeat"):
                    continue
                if message["type"] not in ("snapshot", "delta", "event"):
                    self.note_refusal(message)
                    return
                channel, number = message["channel"], message["channel_seq"]
                if message["type"] != "snapshot":
                    assert number == numbers[channel] + 1, f"{channel}: {numbers[channel]}, then {number}"
                numbers[channel] = number
                if channel.startswith("book."):
                    if message["type"] == "snapshot":
                        bids, asks = {}, {}
                    change(bids, message["data"]["bids"])
                    change(asks, message["data"]["asks"])
                    self.books.append((message["seq"], symbol, dict(bids), dict(asks)))
                elif message["type"] == "snapshot":
                    self._resume(symbol, list(reversed(message["data"]["trades"])))
                else:
                    self.trades[symbol][-1].append(message["data"])
                if self._market() != symbol:
                    return

    def _resume(self, symbol: str, shown: list[dict[str, Any]]) -> None:
        """Go on from the last trade that was heard, where it is among those a snapshot shows; oldest first."""
        runs = self.trades.setdefault(symbol, [])
        last = runs[-1][-1]["trade_id"] if runs and runs[-1] else None
        places = [place for place, trade in enumerate(shown) if trade["trade_id"] == last]
        if not places:
            runs.append(shown)
            return
        (place,) = places
        both = min(place + 1, len(runs[-1]))
        assert runs[-1][-both:] == shown[place + 1 - both : place + 1], "the past is told as it was told before"
        runs[-1] += shown[place + 1 :]


def change(levels: Levels, rows: list[list[int]]) -> None:
    """New totals at their prices; 0 is gone."""
    for price, qty, orders in rows:
        if qty:
            levels[price] = (qty, orders)
        else:
            levels.pop(price, None)
