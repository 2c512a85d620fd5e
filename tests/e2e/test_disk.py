"""The disk is full: the venue says so and takes nothing, goes on to be read, and comes back by itself.

A real process on a file system that is full to the last byte, and under a limit on the length of files, with orders
over requests and over a socket. What was acknowledged is there afterwards; what was refused was not done.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.small_disk import DISKS, Disk, disk_named, small_file_system
from tests.e2e.venue import LEFT_S, Agent, VenueProcess, until

BACK_WITHIN_S = 15.0
"""The longest pause between two attempts to write is two seconds; the rest is for a busy machine."""
ORDERS_UNTIL_FULL = 3_000
"""So many orders would fill what SQLite may still have had in its files many times over."""

Body = dict[str, Any]


@pytest.fixture(params=list(DISKS))
def disk(request: pytest.FixtureRequest, tmp_path: Path, begun: Path) -> Iterator[Disk]:
    """One on which a venue can go on with a window that is open already."""
    with disk_named(request.param, tmp_path) as disk:
        shutil.copytree(begun, disk.data_dir)
        yield disk


class Wire:
    """One agent's socket, which stays open throughout; its private channel is checked for gaps as it is read."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.events: list[Body] = []
        self.heartbeats = 0

    async def ask(self, op: str, **fields: Any) -> Body:
        number = f"r{next(self._numbers)}"
        await self._socket.send(json.dumps({"op": op, "request_id": number, **fields}))
        async with asyncio.timeout(20):
            while True:
                message: Body = json.loads(await self._socket.recv())
                if message.get("request_id") == number:
                    return message
                self._heard(message)

    def _heard(self, message: Body) -> None:
        if message["type"] == "heartbeat":
            self.heartbeats += 1
            return
        if self.events:
            assert message["channel_seq"] == self.events[-1]["channel_seq"] + 1
        self.events.append(message)

    async def until_told(self, key: str) -> Body:
        """The first private event of the order with this key."""
        async with asyncio.timeout(20):
            while True:
                for event in self.events:
                    if event["data"].get("kind") == "order" and event["data"]["order"]["client_order_id"] == key:
                        return event
                self._heard(json.loads(await self._socket.recv()))


def place_over_http(agent: Agent, body: Body) -> tuple[int, Body]:
    headers = {"Authorization": f"Bearer {agent.key}"}
    response = agent.venue.http.post("/api/v1/orders", json=body, headers=headers)
    return response.status_code, response.json()


async def place_over_socket(wire: Wire, body: Body) -> tuple[int, Body]:
    message = await wire.ask("submit_order", params=body)
    return (503, message) if message["type"] == "error" else (200, message["data"])


class Trading:
    """Orders by turns over both transports, and what was said to each."""

    def __init__(self, agent: Agent, wire: Wire, market: str) -> None:
        self.agent, self.wire, self.market = agent, wire, market
        book = agent.venue.get(f"/api/v1/markets/{market}/book")
        self.others: int = sum(level[1] for level in book["bids"] + book["asks"])
        """What rested in the book before."""
        self.bodies: dict[str, Body] = {}
        self.acknowledged: dict[str, Body] = {}
        self.refused: dict[str, str] = {}
        """Key and transport."""

    async def place(self, key: str, over: str) -> bool:
        """Send an order, or the same once more; whether it was taken."""
        n = len(self.bodies)
        body = self.bodies.setdefault(
            key,
            {
                "market_id": self.market,
                "side": ("BUY", "SELL")[n % 2],
                "type": "LIMIT",
                "price": (40 + n % 5, 60 - n % 5)[n % 2],
                "qty": 1 + n % 3,
                "client_order_id": key,
            },
        )
        code, answer = (
            await place_over_socket(self.wire, body)
            if over == "socket"
            else await asyncio.to_thread(place_over_http, self.agent, body)
        )
        if code == 200:
            self.acknowledged[key] = answer
            self.refused.pop(key, None)
            return True
        assert code == 503 and answer["code"] == "SERVICE_DEGRADED", answer
        self.refused[key] = over
        return False

    async def until_refused(self, prefix: str) -> None:
        """Until both transports have refused an order that is new."""
        before = set(self.refused)
        for n in range(ORDERS_UNTIL_FULL):
            await self.place(f"{prefix}{n}", ("requests", "socket")[n % 2])
            if {over for key, over in self.refused.items() if key not in before} == {"requests", "socket"}:
                return
        raise AssertionError("the disk does not get full")


def read(agent: Agent, path: str) -> Body:
    """A read while nothing can be written. In the moment after an attempt to write, in which the state is made anew,
    it is a 503; in between it is answered."""

    def answer() -> Body | None:
        response = agent.venue.http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {agent.key}"})
        if response.status_code == 503:
            assert response.json()["code"] == "SERVICE_DEGRADED"
            return None
        assert response.status_code == 200, response.text
        return dict(response.json())

    return until(f"an answer to {path}", answer)


def check_degraded(venue: VenueProcess, agent: Agent, trading: Trading) -> bool:
    """What is said while nothing can be written, and what can still be read. False if it was over meanwhile: a log that
    begins anew makes room of its own."""
    health = venue.get("/health")
    ready = venue.http.get("/ready")
    known = next(iter(trading.acknowledged))
    account = read(agent, "/account")
    order = read(agent, f"/orders/by-client-id/{known}")
    orders = read(agent, "/orders?limit=250")["items"]
    book = read(agent, f"/markets/{trading.market}/book")
    if health["status"] != "degraded" or venue.get("/health")["status"] != "degraded":
        return False
    assert health["persistence"]["mode"] == "retrying"
    assert health["persistence"]["last_error"]
    assert ready.status_code == 503 and ready.json()["code"] == "SERVICE_DEGRADED"
    assert account["cash_cents"] > 0
    assert order["order_id"] == trading.acknowledged[known]["order_id"]
    assert {order["client_order_id"] for order in orders} == set(trading.acknowledged), "exactly what was acknowledged"
    in_book = sum(level[1] for level in book["bids"] + book["asks"])
    own = sum(order["remaining_qty"] for order in orders)
    # On a machine so busy that the window closed meanwhile, nothing of either rests any more.
    assert in_book == (own + trading.others if own else 0)
    return True


async def test_a_full_disk(disk: Disk, recording: str) -> None:
    venue = await asyncio.to_thread(disk.host.serve, "--reference", recording)
    agent = venue.signup("somebody")
    market = (await asyncio.to_thread(venue.open_market, LEFT_S, 100.0))["id"]
    async with AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {agent.key}"}
        socket = await stack.enter_async_context(
            connect(f"{venue.url.replace('http', 'ws', 1)}/stream", additional_headers=headers)
        )
        wire = Wire(socket)
        await wire.ask("subscribe", channels=[f"private.{agent.id}"])
        trading = Trading(agent, wire, market)
        for n in range(20):
            assert await trading.place(f"before-{n}", ("requests", "socket")[n % 2])

        for round_ in ("first", "second"):
            await asyncio.to_thread(disk.fill, venue)
            for attempt in itertools.count():
                await trading.until_refused(f"{round_}-{attempt}-")
                if await asyncio.to_thread(check_degraded, venue, agent, trading):
                    break
            assert (await wire.ask("ping"))["type"] == "ack", "the stream stays"

            refused = dict(trading.refused)
            await asyncio.to_thread(disk.free, venue)
            await asyncio.to_thread(
                until, "ready again", lambda: venue.http.get("/ready").status_code == 200, BACK_WITHIN_S
            )
            health = venue.get("/health")
            assert (health["status"], health["persistence"]["mode"]) == ("ok", "ok")
            assert health["persistence"]["last_error"] is None
            if round_ == "first":
                # Another process that opens the journal now must find the locks of the running one.
                await asyncio.to_thread(disk.host.audited)
            for key in refused:
                assert agent.get(f"/orders/by-client-id/{key}", 404)["code"] == "ORDER_NOT_FOUND", "not half done"
            for key, over in refused.items():
                assert await trading.place(key, over)
                assert trading.acknowledged[key]["replayed"] is False
                await wire.until_told(key)

        told = {
            event["data"]["order"]["client_order_id"]
            for event in wire.events
            if event["type"] == "event" and event["data"]["kind"] == "order"
        }
        assert told == set(trading.acknowledged), "the private channel tells of each, and of nothing that was refused"
    orders = {order["client_order_id"]: order for order in agent.all("/orders")}
    assert len(orders) == len(agent.all("/orders"))
    for key, order in trading.acknowledged.items():
        same = ("order_id", "side", "price", "qty", "created_at")
        assert {name: orders[key][name] for name in same} == {name: order[name] for name in same}
    assert orders.keys() == trading.acknowledged.keys()
    print(f"{len(orders)} orders, {wire.heartbeats} heartbeats")
    await asyncio.to_thread(venue.stop)
    disk.host.audited()


def test_killed_on_a_full_disk(tmp_path: Path) -> None:
    """It starts all the same, and everything that was acknowledged is there."""
    with small_file_system(tmp_path) as disk:
        host = disk.host
        venue = host.serve()
        agent = venue.signup("somebody")
        # Declined, for its window has not begun: an answer like any other, and kept like any other.
        pending = venue.markets(status="PENDING")[0]["id"]
        first = agent.place(pending, "BUY", 40, 1, client_order_id="one")
        disk.fill(venue)
        until("degraded", lambda: venue.get("/health")["persistence"]["mode"] != "ok", 20)
        venue.kill()
        # What was committed to the log moves into the file, which may give it the room it needs to go on.
        venue = host.serve()
        assert agent.at(venue).by_key("one")["order_id"] == first["order_id"]
        disk.free(venue)
        until("ready", lambda: venue.http.get("/ready").status_code == 200, BACK_WITHIN_S)
        assert agent.at(venue).by_key("one") == first | {"replayed": agent.at(venue).by_key("one")["replayed"]}
        venue.stop()
        host.audited()
