"""Agents that keep a book in motion: so many changes a second, over sockets, until they are told to stop.

Prices wander around the middle and now and then two agents meet, so that there are trades. Must not know the page.
"""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.venue import VenueProcess

RESTING = 60
"""Orders that rest at most, of all agents together."""
CROSSING = 0.04
"""Share of the orders that meet another."""


class Crowd:
    """A thread of its own that sends `per_s` orders and cancels a second; late ones are made up for."""

    def __init__(self, venue: VenueProcess, agents: int = 5, per_s: int = 50, seed: int = 1) -> None:
        self._venue = venue
        self._per_s = per_s
        self._rng = random.Random(seed)
        self._keys = [venue.signup(f"crowd-{n}").key for n in range(agents)]
        self._resting: list[tuple[int, str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)
        self._market = ""
        self.sent = 0
        self.failed: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=20)
        if kind is None and self.failed is not None:
            raise self.failed

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                self._trade([stack.enter_context(self._socket(key)) for key in self._keys])
        except (ConnectionClosed, OSError) as error:
            self.failed = error

    def _socket(self, key: str) -> connect:
        address = f"{self._venue.url.replace('http', 'ws', 1)}/stream"
        return connect(address, additional_headers={"Authorization": f"Bearer {key}"}, compression=None)

    def _trade(self, sockets: list[ClientConnection]) -> None:
        began, looked = time.monotonic(), 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            if now - looked > 0.5:
                self._look()
                looked = now
            due = int((now - began) * self._per_s) - self.sent
            for _ in range(due if self._market else 0):
                self._one(sockets)
            if not self._market:
                began = now - self.sent / self._per_s
            for socket in sockets:
                self._hear(socket)
            self._stop.wait(0.5 / self._per_s)

    def _look(self) -> None:
        """Which window is open: its predecessor's orders are gone."""
        found = next((one["id"] for one in self._venue.get("/api/v1/markets", status="OPEN")["items"]), "")
        if found != self._market:
            self._market, self._resting = found, []

    def _one(self, sockets: list[ClientConnection]) -> None:
        self.sent += 1
        if self._resting and (len(self._resting) >= RESTING or self._rng.random() < 0.45):
            who, key = self._resting.pop(self._rng.randrange(len(self._resting)))
            self._say(sockets[who], "cancel_order", {"client_order_id": key})
            return
        who, key = self._rng.randrange(len(sockets)), f"c{self.sent}"
        side = self._rng.choice(("BUY", "SELL"))
        away = -2 if self._rng.random() < CROSSING else self._rng.randint(1, 12)
        price = 50 - away if side == "BUY" else 50 + away
        order = {"market_id": self._market, "side": side, "type": "LIMIT", "price": price, "client_order_id": key}
        self._say(sockets[who], "submit_order", order | {"qty": self._rng.randint(1, 20)})
        self._resting.append((who, key))

    @staticmethod
    def _say(socket: ClientConnection, op: str, params: dict[str, Any]) -> None:
        socket.send(json.dumps({"op": op, "request_id": op, "params": params}))

    @staticmethod
    def _hear(socket: ClientConnection) -> None:
        """What is answered is read, so that the venue can go on; declines are part of it."""
        while True:
            try:
                socket.recv(timeout=0)
            except TimeoutError:
                return
