"""The load under which a venue is killed, and the clients' memory of it: requests, a pipelined socket, and the SDK.

A key is a `client_order_id`. Whatever transport it went over, the driver remembers what was sent under it and what was
answered, so that after a kill each key can be asked about. Must not know what a right answer is: that is the test's.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from raeth.client import AsyncClient
from raeth.client.models import Order
from raeth.client.stream import Stream
from tests.e2e.venue import PAUSE_S, TERMINAL, Agent, VenueProcess

AGENTS = 4
PIPELINE = 12
"""Messages a socket client has on their way at most."""
SDK_PATIENCE_S = 60.0
"""The SDK's clients live through all kills; a start on a busy machine must not exhaust them."""

RANK = {"OPEN": 0, "PARTIALLY_FILLED": 1} | dict.fromkeys(TERMINAL, 2)
"""An order only ever moves up."""

Body = dict[str, Any]


@dataclass
class Sent:
    """One key: what was sent under it, and the last that is known for certain to be true of it."""

    owner: int
    body: Body
    first: Body | None = None
    """The answer to the order itself, None while it is in doubt."""
    latest: Body | None = None
    """The newest acknowledged state: that answer, or the answer to its cancel."""


@dataclass
class Driver:
    """The clients' memory over all lives of the venue."""

    agents: list[Agent]
    rng: random.Random
    sent: dict[str, Sent] = field(default_factory=dict)
    market: str = ""
    acknowledged: int = 0
    over_socket: int = 0
    """Of those the ones answered on a raw socket."""
    over_sdk: int = 0
    """And those that the SDK returned, some of them after a kill and a retry."""
    in_doubt: int = 0
    written_in_doubt: int = 0
    """Of those the ones that had become durable before the kill: only their answer was lost."""
    repeated: int = 0

    def new_order(self, owner: int) -> str:
        key = f"k{len(self.sent)}"
        body: Body = {
            "market_id": self.market,
            "side": self.rng.choice(("BUY", "SELL")),
            "qty": self.rng.randint(1, 9),
            "client_order_id": key,
        }
        if self.rng.random() < 0.25:
            body["type"] = "MARKET"
        else:
            body |= {"type": "LIMIT", "price": self.rng.randint(42, 58), "tif": self.rng.choice(("GTC", "GTC", "IOC"))}
        self.sent[key] = Sent(owner, body)
        return key

    def acknowledge(self, key: str, order: Body) -> None:
        """The first answer to a key, or the same again."""
        sent = self.sent[key]
        if sent.first is None:
            sent.first = sent.latest = order | {"replayed": False}
            self.acknowledged += 1
        else:
            self.repeated += 1
            told = {name: order[name] for name in sent.first}
            assert told == sent.first | {"replayed": True}, "the first result again"

    def cancelled(self, key: str, order: Body) -> None:
        assert order["status"] == "CANCELLED"
        self.sent[key].latest = order

    def bearer(self, owner: int) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.agents[owner].key}"}


async def place(driver: Driver, http: httpx2.AsyncClient, key: str) -> Body:
    """Send what belongs to the key, for the first time or again. Raises TransportError when it stays in doubt."""
    sent = driver.sent[key]
    response = await http.post("/orders", json=sent.body, headers=driver.bearer(sent.owner))
    assert response.status_code == 200, response.text
    order: Body = response.json()
    driver.acknowledge(key, order)
    return order


async def cancel(driver: Driver, http: httpx2.AsyncClient, key: str) -> None:
    sent = driver.sent[key]
    assert sent.first is not None
    response = await http.delete(f"/orders/{sent.first['order_id']}", headers=driver.bearer(sent.owner))
    if response.status_code == 200:
        driver.cancelled(key, response.json())
    else:
        # Somebody took it, or its window closed, before the cancel arrived.
        assert response.status_code == 409, response.text


async def by_requests(driver: Driver, http: httpx2.AsyncClient, owner: int) -> None:
    """One order after the other, some cancelled, some sent twice, until the venue is gone."""
    try:
        while True:
            key = driver.new_order(owner)
            order = await place(driver, http, key)
            roll = driver.rng.random()
            if roll < 0.3 and RANK[order["status"]] < 2:
                await cancel(driver, http, key)
            elif roll < 0.4:
                await place(driver, http, key)
    except httpx2.TransportError:
        return


async def by_socket(driver: Driver, url: str, owner: int) -> None:
    """Orders and cancels on one socket without waiting for the answer to the one before, until the venue is gone."""
    on_their_way = asyncio.Semaphore(PIPELINE)
    try:
        async with connect(
            f"{url.replace('http', 'ws', 1)}/stream", additional_headers=driver.bearer(owner), max_size=None
        ) as socket:
            listening = asyncio.create_task(_answers(driver, socket, on_their_way))
            try:
                while not listening.done():
                    key = driver.new_order(owner)
                    ops = [("submit_order", driver.sent[key].body)]
                    if driver.rng.random() < 0.3:
                        ops.append(("cancel_order", {"client_order_id": key}))
                    for op, params in ops:
                        await on_their_way.acquire()
                        await socket.send(json.dumps({"op": op, "request_id": f"{op} {key}", "params": params}))
            finally:
                await listening
    except (ConnectionClosed, OSError):
        return


async def _answers(driver: Driver, socket: ClientConnection, on_their_way: asyncio.Semaphore) -> None:
    try:
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "heartbeat":
                continue
            on_their_way.release()
            op, _, key = message["request_id"].partition(" ")
            if op == "submit_order":
                assert message["type"] in ("ack", "reject"), message
                driver.acknowledge(key, message["data"])
                driver.over_socket += 1
            elif message["type"] == "ack":
                driver.cancelled(key, message["data"])
            else:
                assert message["code"] in ("ORDER_NOT_OPEN", "ORDER_ALREADY_FILLED"), message
    except ConnectionClosed:
        pass
    finally:
        for _ in range(PIPELINE):  # whoever waits to send shall notice that the connection is gone
            on_their_way.release()


class Persistent:
    """An agent on the SDK, over requests or over its stream, that lives on while the venue dies and comes back."""

    def __init__(self, driver: Driver, entry: AsyncClient | Stream, owner: int) -> None:
        self._driver, self._entry, self.owner = driver, entry, owner
        self._going = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.task = asyncio.create_task(self._run())

    def go(self) -> None:
        self._going.set()

    async def rest(self) -> None:
        """Begin nothing more, and wait until what is under way has its answer: the SDK retries it by itself."""
        self._going.clear()
        waiting = asyncio.create_task(self._idle.wait())
        await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            waiting.cancel()
            self.task.result()

    async def _run(self) -> None:
        while True:
            await self._going.wait()
            self._idle.clear()
            key = self._driver.new_order(self.owner)
            body = self._driver.sent[key].body
            tif = {"tif": body["tif"]} if "tif" in body else {}
            order = await self._entry.place(
                body["market_id"],
                body["side"],
                body["qty"],
                body.get("price"),
                client_order_id=key,
                raise_on_reject=False,
                **tif,
            )
            self._driver.acknowledge(key, plain(order))
            self._driver.over_sdk += 1
            self._idle.set()


def plain(order: Order) -> Body:
    """As on the wire, without the fields that the SDK shows in another form."""
    body: Body = msgspec.to_builtins(order)
    body["fills"] = [dict(fill) for fill in body["fills"]]
    return {name: value for name, value in body.items() if name not in ("order", "reject_details")}


async def load_until_killed(
    driver: Driver, venue: VenueProcess, persistent: list[Persistent], followers: list[asyncio.Task[None]], orders: int
) -> None:
    """Run all clients, kill the venue once it has acknowledged so many orders more, and let the clients notice."""
    goal = driver.acknowledged + orders
    async with httpx2.AsyncClient(base_url=f"{venue.url}/api/v1", timeout=20) as http:
        driver.market = ""
        watcher = asyncio.create_task(_watch(driver, http))
        while not driver.market:
            assert not watcher.done(), "no market"
            await asyncio.sleep(0.005)
        clients = [asyncio.create_task(by_requests(driver, http, owner)) for owner in range(AGENTS)]
        clients += [asyncio.create_task(by_socket(driver, venue.url, owner)) for owner in (0, 1)]
        for one in persistent:
            one.go()
        while driver.acknowledged < goal:
            for task in [*clients, *followers, *(one.task for one in persistent)]:
                if task.done():
                    task.result()
                    raise AssertionError("a client ended before the kill")
            await asyncio.sleep(0.001)
        # From a thread and at a moment of its own: the clients' loop would only ever kill between two of its turns.
        await asyncio.to_thread(lambda pause_s: (time.sleep(pause_s), venue.kill()), driver.rng.uniform(0, 0.01))
        await asyncio.gather(*clients, watcher, *followers)


async def _watch(driver: Driver, http: httpx2.AsyncClient) -> None:
    """Keep `driver.market` the OPEN one."""
    while True:
        try:
            response = await http.get("/markets", params={"status": "OPEN"})
        except httpx2.TransportError:
            return
        driver.market = next((found["id"] for found in response.json()["items"]), driver.market)
        await asyncio.sleep(PAUSE_S)
