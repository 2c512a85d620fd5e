"""Streams of real worker processes behind one port: the system decides which of them a connection reaches, so a reader
that comes and goes is now here and now there."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect

from tests.e2e.private_story import Compared, Follower, JournalStory
from tests.e2e.venue import Agent, VenueProcess, hosting

SETTINGS = {"RAETH_SERIES__WINDOW_MS": "10000", "RAETH_LIMITS__CONTROL_MESSAGES_PER_MINUTE": "100000"}
LISTENERS = 12
"""Sockets that all reach the same of two processes once in two thousand runs."""
TRADING_S = 25.0
STAY_S = (0.05, 1.5)

Event = dict[str, Any]


class Ear:
    """One socket that hears all windows as they come."""

    def __init__(self) -> None:
        self.heard: dict[str, list[Event]] = {}
        self.seq = 0

    async def listen(self, url: str) -> None:
        async with connect(f"{url.replace('http', 'ws', 1)}/stream", max_size=None) as wire:
            await self._subscribe(wire, ["markets", "venue", "feed.btc"])
            async for text in wire:
                message = json.loads(text)
                assert message["type"] not in ("error", "resync_required"), message
                if message["type"] == "heartbeat":
                    self.seq = message["seq"]
                elif "channel" in message:
                    self._take(message)
                    for market in self._listed(message):
                        await self._subscribe(wire, [f"{kind}.{market}" for kind in ("l3", "trades")])

    @staticmethod
    async def _subscribe(wire: Any, channels: list[str]) -> None:
        await wire.send(json.dumps({"op": "subscribe", "channels": channels}))

    @staticmethod
    def _listed(message: Event) -> list[str]:
        if message["channel"] != "markets":
            return []
        if message["type"] == "snapshot":
            return [market["id"] for market in message["data"]["items"]]
        return [message["data"]["market"]["id"]] if message["data"]["change"] == "PENDING" else []

    def _take(self, message: Event) -> None:
        told = self.heard.setdefault(message["channel"], [])
        if told:
            assert message["channel_seq"] == told[-1]["channel_seq"] + 1 and message["seq"] >= told[-1]["seq"]
        else:
            assert message["type"] == "snapshot"
        told.append(message)

    def after(self, channel: str, seq: int, up_to: int) -> list[tuple[int, Any]]:
        told = [(event["seq"], _same(channel, event)) for event in self.heard[channel][1:]]
        return [one for one in told if seq < one[0] <= up_to]


def _same(channel: str, event: Event) -> Any:
    """What of an event does not depend on when it was told: a window is shown as it is then."""
    return (event["data"]["change"], event["data"]["market"]["id"]) if channel == "markets" else event["data"]


async def trade(agent: Agent, url: str, rng: random.Random) -> int:
    """Orders over connections that end again and again; returns how many were placed."""
    placed = 0
    while True:
        async with httpx2.AsyncClient(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {agent.key}"}, timeout=20
        ) as http:
            for _ in range(rng.randint(1, 20)):
                markets = (await http.get("/markets", params={"status": "OPEN"})).json()["items"]
                if not markets:
                    await asyncio.sleep(0.1)
                    continue
                order = {
                    "market_id": markets[0]["id"], "side": rng.choice(("BUY", "SELL")), "type": "LIMIT",
                    "price": 50 + rng.randint(-3, 3), "qty": rng.randint(1, 5), "confirm_fat_finger": True,
                }  # fmt: skip
                answer = await http.post("/orders", json=order)
                assert answer.status_code == 200, answer.text
                placed += answer.json()["status"] != "REJECTED"
                agent.made["placed"] = placed


async def wander(follower: Follower, url: str, rng: random.Random) -> None:
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(rng.uniform(*STAY_S)):
                await follower.follow(url)


async def wander_sse(follower: Follower, url: str, rng: random.Random) -> None:
    """The same by server-sent events: resumed with the last id, so nothing comes twice."""
    channel = f"private.{follower.agent.id}"
    last = "1.0"
    while True:
        headers = {"Authorization": f"Bearer {follower.agent.key}", "Last-Event-ID": last}
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(rng.uniform(*STAY_S)),
                httpx2.AsyncClient(timeout=20) as http,
                http.stream("GET", f"{url}/api/v1/sse?channels={channel}", headers=headers) as response,
            ):
                assert response.status_code == 200, await response.aread()
                fields: dict[str, str] = {}
                async for line in response.aiter_lines():
                    name, _, value = line.partition(": ")
                    if line:
                        fields[name] = value
                        continue
                    if fields.get("event") == "event":
                        event = json.loads(fields["data"])
                        follower.events.append((event["seq"], event["data"]))
                        last = fields["id"]
                    assert fields.get("event") != "snapshot", "resumed, not begun anew"
                    fields = {}


@asynccontextmanager
async def working(*jobs: Any) -> AsyncIterator[None]:
    """Run these until the block ends; a job that fails fails the block."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.long
async def test_every_process_tells_everything_and_goes_on_where_another_ended(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        venue: VenueProcess = await asyncio.to_thread(lambda: host.serve("--workers", "2", **SETTINGS))
        agents = [await asyncio.to_thread(venue.signup, f"agent-{n}") for n in range(3)]
        rng = random.Random(5)
        nodes = set()
        for _ in range(50):
            async with httpx2.AsyncClient(base_url=venue.url) as http:
                nodes.add((await http.get("/health")).json()["node"]["name"])
        assert len(nodes) == 2
        ears = [Ear() for _ in range(LISTENERS)]
        follower, by_sse = Follower(agents[0]), Follower(agents[1])
        traders = [trade(agent, venue.url, random.Random(n)) for n, agent in enumerate(agents)]
        async with working(
            *(ear.listen(venue.url) for ear in ears),
            wander(follower, venue.url, rng),
            wander_sse(by_sse, venue.url, rng),
        ):
            async with working(*traders):
                await asyncio.sleep(TRADING_S)
            end = (await asyncio.to_thread(venue.get, "/health"))["seq"]
            async with asyncio.timeout(30):
                while not all(ear.seq >= end for ear in ears):
                    await asyncio.sleep(0.1)
            story = JournalStory(host.database)
            story.read()
            await Compared(follower, "agent-0").check(story, end)
            await Compared(by_sse, "agent-1").check(story, end)
        assert sum(agent.made["placed"] for agent in agents) > 100
        compare(ears, end)
        assert follower.repeated
        venue.stop()
        host.audited()


def compare(ears: list[Ear], end: int) -> None:
    """All heard the same of what all could hear."""
    channels = set.intersection(*(set(ear.heard) for ear in ears))
    trades = 0
    for channel in channels:
        start = max(ear.heard[channel][0]["seq"] for ear in ears)
        first, *others = (ear.after(channel, start, end) for ear in ears)
        assert all(other == first for other in others), channel
        trades += len(first) if channel.startswith("trades.") else 0
    assert trades > 30 and len(channels) > 7
