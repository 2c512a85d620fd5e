"""Clients that trade through whichever node they find, and what they were told, for comparing with the journal.

Each order has a key, and is sent until it is answered: to another node after a failure, a 503 or a silence. Must not
know faults, nor what a right answer is beyond its form.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.e2e.kill_load import PIPELINE, RANK, Body, Driver

TRY_S = 2.0
"""Then another node is asked: this one may be stopped."""
SILENCE_S = 2.0
"""The same for the answers on a socket."""
PAUSE_S = 0.05
"""Before an order is sent again."""
DRAIN_S = 120.0
"""After the last fault, until all that is under way has its answer: a bound for a hang, on a busy machine."""

DEGRADED = "SERVICE_DEGRADED"


@dataclass
class Ledger(Driver):
    """What was sent and what was answered, over all nodes. `told` holds every answer of an order to its key."""

    urls: tuple[str, ...] = ()
    told: dict[str, list[Body]] = field(default_factory=dict)
    ended: list[Body] = field(default_factory=list)
    """Orders as the answers to their cancels showed them."""
    going: bool = True
    tries: Counter[str] = field(default_factory=Counter)
    """What came of requests, by status or kind of failure."""
    wrong: list[str] = field(default_factory=list)
    """Answers that nobody should ever get."""
    last_answer_s: float = field(default_factory=time.monotonic)

    def acknowledge(self, key: str, order: Body) -> None:
        """An answer to a key, of any node, in the order in which they arrive."""
        self.last_answer_s = time.monotonic()
        answers = self.told.setdefault(key, [])
        answers.append(order)
        self.sent[key].latest = self.sent[key].latest or order
        if len(answers) == 1:
            self.acknowledged += 1
        else:
            self.repeated += 1

    def cancelled(self, key: str, order: Body) -> None:
        self.ended.append(order)
        self.sent[key].latest = order

    def elsewhere(self, *but: str) -> str:
        """A node at random; another than those named, if there is one."""
        others = [url for url in self.urls if url not in but]
        return self.rng.choice(others or self.urls)

    def check(self) -> None:
        assert not self.wrong, f"{len(self.wrong)} wrong answers, first: {self.wrong[:3]}"


class Requester:
    """An agent that places, cancels, repeats and looks up orders by requests."""

    def __init__(self, ledger: Ledger, http: httpx2.AsyncClient, owner: int, think_s: float) -> None:
        self._ledger, self._http, self._owner = ledger, http, owner
        self._think_s = think_s
        self._at = ledger.elsewhere()

    async def run(self) -> None:
        ledger = self._ledger
        while ledger.going:
            key = ledger.new_order(self._owner)
            roll = ledger.rng.random()
            if roll < 0.05:
                # The same at two nodes at once: one of them places it, the other says so.
                order, _ = await asyncio.gather(self._place(key), self._place(key, ledger.elsewhere(self._at)))
            else:
                order = await self._place(key)
            roll = ledger.rng.random()
            if roll < 0.3 and RANK[order["status"]] < 2:
                await self._cancel(key, order["order_id"])
            elif roll < 0.4:
                await self._place(key, ledger.elsewhere(self._at))
            elif roll < 0.5:
                await self._look_up(key, order)
            await asyncio.sleep(ledger.rng.uniform(0, self._think_s))

    async def finish(self, key: str) -> None:
        """Get the answer to a key that is in doubt."""
        await self._place(key)

    async def _place(self, key: str, first: str | None = None) -> Body:
        response = await self._persist("POST", "/orders", (200,), first, json=self._ledger.sent[key].body)
        order: Body = response.json()
        self._ledger.acknowledge(key, order)
        return order

    async def _cancel(self, key: str, order_id: str) -> None:
        # 409: somebody took it, its window closed, or an earlier try of this cancel was heard after all.
        response = await self._persist("DELETE", f"/orders/{order_id}", (200, 409))
        if response.status_code == 200:
            self._ledger.cancelled(key, response.json())

    async def _look_up(self, key: str, order: Body) -> None:
        """What one node has answered, every other node knows."""
        elsewhere = self._ledger.elsewhere(self._at)
        response = await self._persist("GET", f"/orders/by-client-id/{key}", (200,), elsewhere)
        found: Body = response.json()
        if found["order_id"] != order["order_id"] or RANK[found["status"]] < RANK[order["status"]]:
            self._ledger.wrong.append(f"{key} was {order}, and is {found} elsewhere")

    async def _persist(
        self, method: str, path: str, expect: tuple[int, ...], first: str | None = None, **options: Any
    ) -> httpx2.Response:
        """Ask until one of the expected answers comes, of one node after the other."""
        ledger = self._ledger
        url = self._at if first is None else first
        give_up: float | None = None
        while True:
            response = await self._ask(method, url, path, **options)
            if response is not None and response.status_code in expect:
                if first is None:
                    self._at = url
                return response
            if response is not None and response.status_code != 503:
                ledger.wrong.append(f"{method} {path} at {url}: {response.status_code} {response.text}")
            url = ledger.elsewhere(url)
            if not ledger.going:
                give_up = give_up or time.monotonic() + DRAIN_S
                assert time.monotonic() < give_up, f"{method} {path}: no answer after the last fault: {ledger.tries}"
            await asyncio.sleep(ledger.rng.uniform(0, 2 * PAUSE_S))

    async def _ask(self, method: str, url: str, path: str, **options: Any) -> httpx2.Response | None:
        """One answer, or None for a failure after which nobody knows."""
        ledger = self._ledger
        try:
            response = await self._http.request(
                method, f"{url}/api/v1{path}", headers=ledger.bearer(self._owner), **options
            )
        except httpx2.TransportError as trouble:
            ledger.tries[type(trouble).__name__] += 1
            return None
        ledger.tries[str(response.status_code)] += 1
        return response


class Pipeline:
    """An agent that keeps many orders and cancels on their way on one socket, and goes to another node when one is
    silent or gone. `doubts` are the keys whose answer it did not hear: it asks for them again first."""

    def __init__(self, ledger: Ledger, owner: int, think_s: float) -> None:
        self._ledger, self._owner = ledger, owner
        self._think_s = think_s
        self._on_their_way: dict[str, None] = {}
        """Request ids."""
        self.doubts: list[str] = []
        self.sockets = 0
        self._at = ledger.elsewhere()

    async def run(self) -> None:
        while self._ledger.going:
            try:
                async with connect(
                    f"{self._at.replace('http', 'ws', 1)}/stream",
                    additional_headers=self._ledger.bearer(self._owner),
                    max_size=None,
                    ping_interval=None,
                    open_timeout=TRY_S,
                    close_timeout=0.1,
                ) as socket:
                    self.sockets += 1
                    await self._talk(socket)
            except (OSError, TimeoutError, WebSocketException, InvalidHandshake) as trouble:
                self._ledger.tries[f"socket {type(trouble).__name__}"] += 1
            lost = [key for op, _, key in (name.partition(" ") for name in self._on_their_way) if op == "submit_order"]
            self._ledger.in_doubt += len(lost)
            self.doubts += lost
            self._on_their_way.clear()
            self._at = self._ledger.elsewhere(self._at)
            await asyncio.sleep(self._ledger.rng.uniform(0, PAUSE_S))

    async def _talk(self, socket: ClientConnection) -> None:
        """Both ways until one of them ends."""
        both = [asyncio.create_task(self._say(socket)), asyncio.create_task(self._hear(socket))]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _say(self, socket: ClientConnection) -> None:
        ledger = self._ledger
        while ledger.going:
            while len(self._on_their_way) >= PIPELINE:
                await asyncio.sleep(0.002)
            key = self.doubts.pop() if self.doubts else ledger.new_order(self._owner)
            await self._send(socket, "submit_order", key, ledger.sent[key].body)
            if ledger.rng.random() < 0.3:
                await self._send(socket, "cancel_order", key, {"client_order_id": key})
            if ledger.rng.random() < 0.3:
                await asyncio.sleep(ledger.rng.uniform(0, self._think_s * PIPELINE))
        while self._on_their_way:
            await asyncio.sleep(0.002)

    async def _send(self, socket: ClientConnection, op: str, key: str, params: Body) -> None:
        name = f"{op} {key}"
        self._on_their_way[name] = None
        await socket.send(json.dumps({"op": op, "request_id": name, "params": params}))

    async def _hear(self, socket: ClientConnection) -> None:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = json.loads(await socket.recv())
            except TimeoutError:
                if self._on_their_way:
                    raise
                continue
            if message["type"] not in ("heartbeat", "resync_required"):
                self._take(message)

    def _take(self, message: Body) -> None:
        ledger = self._ledger
        name = message.get("request_id") or ""
        if name not in self._on_their_way:
            if message.get("code") != DEGRADED:  # the door itself may be degraded
                ledger.wrong.append(f"socket: {message}")
            return
        del self._on_their_way[name]
        op, _, key = name.partition(" ")
        ledger.tries[f"{op} {message.get('code') if message['type'] == 'error' else message['type']}"] += 1
        if message["type"] == "error" and message["code"] == DEGRADED:
            if op == "submit_order":
                ledger.in_doubt += 1
                self.doubts.append(key)
        elif op == "submit_order" and message["type"] in ("ack", "reject"):
            ledger.acknowledge(key, message["data"])
            ledger.over_socket += 1
        elif op == "cancel_order" and message["type"] == "ack":
            ledger.cancelled(key, message["data"])
        elif message.get("code") == "ORDER_NOT_FOUND" and key not in ledger.told:
            pass  # what was to be cancelled was not taken
        elif op != "cancel_order" or message.get("code") not in ("ORDER_NOT_OPEN", "ORDER_ALREADY_FILLED"):
            ledger.wrong.append(f"socket: {message}")


class Load:
    """All clients of a run, and one that keeps telling them which market is open."""

    def __init__(self, ledger: Ledger, *, requesters: int, pipelines: int, think_s: float) -> None:
        self.ledger = ledger
        self._http = httpx2.AsyncClient(timeout=TRY_S)
        owners = len(ledger.agents)
        self._requesters = [Requester(ledger, self._http, n % owners, think_s) for n in range(requesters)]
        self.pipelines = [Pipeline(ledger, n % owners, think_s) for n in range(pipelines)]
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None]

    async def start(self) -> None:
        """Returns when there is a market to trade in and all have begun."""
        self._watching = asyncio.create_task(self._watch())
        while not self.ledger.market:
            assert not self._watching.done(), self._watching.result()
            await asyncio.sleep(0.005)
        clients: list[Requester | Pipeline] = [*self._requesters, *self.pipelines]
        self._tasks = [asyncio.create_task(client.run()) for client in clients]

    def check(self) -> None:
        """Whether all clients are still at it, and nobody was told what is wrong."""
        self.ledger.check()
        for task in (self._watching, *self._tasks):
            if task.done():
                task.result()
                raise AssertionError("a client ended by itself")

    async def drain(self) -> None:
        """Begin nothing more, and get all the answers that are missing."""
        ledger = self.ledger
        ledger.going = False
        async with asyncio.timeout(2 * DRAIN_S):
            await asyncio.gather(*self._tasks)
            self._watching.cancel()
            missing = [key for key in ledger.sent if key not in ledger.told]
            by_owner = {requester._owner: requester for requester in self._requesters}
            for key in missing:
                await by_owner[ledger.sent[key].owner].finish(key)
        await self._http.aclose()
        ledger.check()

    async def close(self) -> None:
        tasks = [*self._tasks, self._watching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()

    async def _watch(self) -> None:
        ledger = self.ledger
        while True:
            try:
                response = await self._http.get(f"{ledger.elsewhere()}/api/v1/markets", params={"status": "OPEN"})
            except httpx2.TransportError:
                continue
            if response.status_code == 200:
                listed = response.json()["items"]
                # A window without a print to open with is halted, and declines everything.
                usable = [market["symbol"] for market in listed if not market["halted"]]
                ledger.market = usable[0] if usable else ledger.market
            await asyncio.sleep(0.05)


def seeded(seed: int, name: str) -> random.Random:
    """A source of chance of its own for each part, so that one does not shift the others."""
    return random.Random(f"{seed}/{name}")
