"""What an agent was told on its private channel, over all lives of a venue, and what the journal says it must be told.

`Follower` keeps one list over any number of connections, each resumed with `from_seq`; `JournalStory` reads the same
story from the journal's rows beside the venue, without any code of the streams.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from raeth.engine import codec
from raeth.engine import events as ev
from tests.e2e.venue import Agent

Line = tuple[Any, ...]
"""`(seq, kind, …)`: what is compared of one private event."""


class Follower:
    """One agent's private channel. `events` is everything told so far, as `(seq, data)`, each event once."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.repeated = 0
        """Events of the last known `seq` that a resumption told again, as it must: `from_seq` is included."""

    async def follow(self, url: str) -> None:
        """Resume where the last connection stopped, and listen until this one ends."""
        last_seq = self.events[-1][0] if self.events else 1
        known = [event for event in self.events if event[0] == last_seq]
        channel = f"private.{self.agent.id}"
        headers = {"Authorization": f"Bearer {self.agent.key}"}
        try:
            async with connect(
                f"{url.replace('http', 'ws', 1)}/stream", additional_headers=headers, max_size=None
            ) as socket:
                await socket.send(json.dumps({"op": "subscribe", "channels": [channel], "from_seq": last_seq}))
                heard, channel_seq = 0, None
                async for text in socket:
                    message = json.loads(text)
                    if message.get("channel") is None:
                        assert message["type"] in ("ack", "heartbeat"), message
                        continue
                    assert message["type"] == "event", "resumed, not begun anew"
                    assert channel_seq is None or message["channel_seq"] == channel_seq + 1, "a gap"
                    channel_seq = message["channel_seq"]
                    self._take((message["seq"], message["data"]), known, heard)
                    heard += 1
        except (ConnectionClosed, OSError):
            return

    def _take(self, event: tuple[int, dict[str, Any]], known: list[tuple[int, dict[str, Any]]], heard: int) -> None:
        if heard < len(known):
            assert event == known[heard], "the past is told as it was told before"
            self.repeated += 1
            return
        assert not self.events or event[0] >= self.events[-1][0]
        self.events.append(event)

    def lines(self, after: int) -> list[Line]:
        """What is compared of the events from number `after` on, leaving out the kinds `JournalStory` does not tell."""
        return [line for seq, data in self.events[after:] if (line := _line(seq, data)) is not None]


def _line(seq: int, data: dict[str, Any]) -> Line | None:
    if data["kind"] == "order":
        order = data["order"]
        return seq, "order", order["client_order_id"], order["status"], order["filled_qty"]
    if data["kind"] == "fill":
        fill = data["fill"]
        return seq, "fill", fill["price"], fill["qty"], fill["liquidity"], fill["fee_cents"]
    if data["kind"] == "cash":
        return seq, "cash", data["entry"]["amount_cents"], data["entry"]["balance_after_cents"]
    return None


class JournalStory:
    """Orders, fills and cash of every agent, by name, as the journal's events have them; read on with `read`."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.seq = 0
        self.lines: dict[str, list[Line]] = defaultdict(list)
        self._names: dict[int, str] = {}
        self._clients_ids: dict[int, str | None] = {}

    def read(self) -> int:
        """Everything new in the journal, which a venue may be writing meanwhile; the last `seq` read."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT seq, events FROM journal WHERE seq > ? ORDER BY seq", (self.seq,))
            for seq, events in rows:
                assert seq == self.seq + 1, "a hole"
                self.seq = seq
                for event in codec.decode_events(events):
                    self._tell(seq, event)
        return self.seq

    def _tell(self, seq: int, event: ev.Event) -> None:
        if isinstance(event, ev.AgentCreated):
            self._names[event.agent] = event.name
        elif isinstance(event, ev.OrderPlaced | ev.OrderEnded | ev.OrderReduced):
            order = event.order
            self._clients_ids[order.id] = order.client_order_id
            self._add(order.agent, (seq, "order", order.client_order_id, order.status, order.filled))
        elif isinstance(event, ev.Traded):
            for agent, liquidity, fee_cents in (
                (event.taker_agent, "TAKER", event.taker_fee_cents),
                (event.maker_agent, "MAKER", event.maker_fee_cents),
            ):
                self._add(agent, (seq, "fill", event.price, event.qty, liquidity, fee_cents))
            status = "PARTIALLY_FILLED" if event.maker_remaining else "FILLED"
            key = self._clients_ids[event.maker_order]
            self._add(event.maker_agent, (seq, "order", key, status, event.maker_filled))
        elif isinstance(event, ev.CashMoved):
            self._add(event.wallet, (seq, "cash", event.amount_cents, event.balance_after_cents))

    def _add(self, wallet: int, line: Line) -> None:
        # Master wallets have no private channel, and no name here.
        if wallet in self._names:
            self.lines[self._names[wallet]].append(line)


class Compared:
    """A follower beside the journal: what has been compared is not compared again."""

    def __init__(self, follower: Follower, name: str) -> None:
        self.follower, self.name = follower, name
        self._events = self._lines = 0

    async def check(self, story: JournalStory, to_seq: int, within_s: float = 20.0) -> None:
        """Wait until the follower has been told all up to `to_seq`; it must be what the journal says, no more, no less.

        `story` has been read up to `to_seq`.
        """
        expected = [line for line in story.lines[self.name][self._lines :] if line[0] <= to_seq]

        def told() -> list[Line]:
            return [line for line in self.follower.lines(self._events) if line[0] <= to_seq]

        async with asyncio.timeout(within_s):
            while len(told()) < len(expected):
                await asyncio.sleep(0.01)
        assert told() == expected, f"{self.name}: the private channel and the journal differ"
        self._lines += len(expected)
        while self._events < len(self.follower.events) and self.follower.events[self._events][0] <= to_seq:
            self._events += 1
