"""The kill switch and the dead-man switch of a real process: over SIGKILL and over an orderly restart."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from websockets.sync.client import ClientConnection, connect

from tests.e2e.conftest import TOKEN
from tests.e2e.venue import LEFT_S, Agent, Host, VenueProcess, ms, until

WHY = "the market is not to be trusted"
FROZEN = {"event": "FROZEN", "reason": WHY, "message": None}
FIRES_WITHIN_S = 15.0


class Announcements:
    """The `venue` channel as server-sent events; `heard` has the data of every event so far."""

    def __init__(self, venue: VenueProcess) -> None:
        self.heard: list[Any] = []
        self._url = f"{venue.url}/api/v1/sse?channels=venue"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            with httpx2.stream("GET", self._url, timeout=30) as response:
                for line in response.iter_lines():
                    if line.startswith("data:"):
                        event = json.loads(line[5:])
                        if event.get("channel") == "venue":
                            self.heard.append(event["data"])
        except httpx2.HTTPError:
            pass  # the venue was killed


@contextmanager
def socket_of(venue: VenueProcess, *messages: dict[str, Any]) -> Iterator[ClientConnection]:
    """A socket that has said these things; acknowledged, all of them."""
    with connect(f"{venue.url.replace('http', 'ws', 1)}/stream") as socket:
        for number, message in enumerate(messages):
            socket.send(json.dumps({**message, "request_id": f"r{number}"}))
            reply = json.loads(socket.recv(10))
            assert (reply["type"], reply["request_id"]) == ("ack", f"r{number}"), reply
        yield socket


def next_of(socket: ClientConnection, channel: str) -> Any:
    while True:
        message = json.loads(socket.recv(20))
        if message.get("channel") == channel:
            return message["data"]


def check_frozen(venue: VenueProcess, agent: Agent, order: dict[str, Any]) -> None:
    """Nothing new comes in, everything can be seen."""
    assert agent.ask("POST", "/orders", 503, json=order)["code"] == "EXCHANGE_FROZEN"
    assert agent.ask("POST", "/faucet", 503)["code"] == "EXCHANGE_FROZEN"
    assert venue.get("/health")["frozen"] is True
    assert venue.get("/ready", 503)["code"] == "EXCHANGE_FROZEN"
    assert agent.get("/account")["frozen"] is True
    with socket_of(venue, {"op": "subscribe", "channels": ["venue"]}) as socket:
        assert next_of(socket, "venue") == {"frozen": True, "reason": WHY}


def test_a_freeze_outlives_the_process(opened: Host, recording: str) -> None:
    flags = ("--reference", recording)
    venue = opened.serve(*flags, RAETH_ADMIN_TOKEN=TOKEN)
    announced = Announcements(venue)
    agent, tied = venue.signup("steady"), venue.signup("tied")
    market = venue.open_market(LEFT_S)["id"]
    orders = {price: agent.place(market, "BUY", price, 2) for price in (30, 31, 32)}
    theirs = tied.place(market, "BUY", 30, 1)
    new = {"market_id": market, "side": "BUY", "type": "LIMIT", "price": 33, "qty": 1}
    until("the stream", lambda: announced.heard)
    with socket_of(venue, {"op": "subscribe", "channels": ["venue"]}) as socket:
        assert next_of(socket, "venue") == {"frozen": False, "reason": None}
        frozen = venue.admin("POST", "/freeze", TOKEN, json={"reason": WHY})
        refused = agent.ask("POST", "/orders", 503, json=new)
        assert refused["code"] == "EXCHANGE_FROZEN", "the answer to the freeze means that it holds"
        assert next_of(socket, "venue") == FROZEN
    assert frozen["frozen"] is True
    assert until("the announcement", lambda: announced.heard[1:]) == [FROZEN]
    check_frozen(venue, agent, new)

    hello = {"op": "authenticate", "api_key": tied.key, "cancel_on_disconnect": True}
    with socket_of(venue, hello):
        venue.kill()  # the one end of a socket that nobody is left to act upon
    venue = opened.serve(*flags, RAETH_ADMIN_TOKEN=TOKEN)
    agent, tied = agent.at(venue), tied.at(venue)
    check_frozen(venue, agent, new)
    assert agent.ask("DELETE", f"/orders/{orders[30]['order_id']}")["cancel_reason"] == "USER"
    smaller = agent.ask("PATCH", f"/orders/{orders[31]['order_id']}", json={"qty": 1})
    assert (smaller["status"], smaller["qty"]) == ("OPEN", 1)
    with socket_of(venue, hello):
        assert tied.get(f"/orders/{theirs['order_id']}")["status"] == "OPEN"
    until("the orders of the lost socket", lambda: not tied.get("/orders", status="OPEN")["items"])
    assert tied.get(f"/orders/{theirs['order_id']}")["cancel_reason"] == "DISCONNECT"
    due = agent.ask("POST", "/deadman", json={"timeout_ms": 1_000})["armed_until"]
    until("the dead-man timer", lambda: agent.get("/account")["deadman"]["last_action"], FIRES_WITHIN_S)
    for price in (31, 32):
        gone = agent.get(f"/orders/{orders[price]['order_id']}")
        assert (gone["status"], gone["cancel_reason"], gone["updated_at"]) == ("CANCELLED", "DEAD_MAN", due)

    venue.stop()
    venue = opened.serve(*flags, RAETH_ADMIN_TOKEN=TOKEN)
    agent = agent.at(venue)
    check_frozen(venue, agent, new)
    announced = Announcements(venue)
    assert until("the stream", lambda: announced.heard) == [{"frozen": True, "reason": WHY}]
    assert venue.admin("POST", "/unfreeze", TOKEN)["frozen"] is False
    until("the announcement", lambda: announced.heard[1:])
    assert announced.heard[1] == {"event": "UNFROZEN", "reason": None, "message": None}
    again = {**new, "market_id": venue.open_market(2)["id"]}
    assert agent.ask("POST", "/orders", json=again)["status"] == "OPEN"
    venue.stop()
    opened.audited()


def test_the_time_in_which_nobody_could_call_does_not_count(host: Host) -> None:
    """On a clock that goes on while the venue is dead, however short that is."""
    venue = host.serve()
    agent = venue.signup("careful")
    armed = agent.ask("POST", "/deadman", json={"timeout_ms": 60_000})
    venue.kill()
    killed_ms = time.time_ns() // 1_000_000
    venue = host.serve()
    ready_ms = time.time_ns() // 1_000_000
    deadman = agent.at(venue).get("/account")["deadman"]
    moved_ms = ms(deadman["armed_until"]) - ms(armed["armed_until"])
    # It counts from the last stamp, at most a second before the kill; on a busy machine more.
    assert 0 < moved_ms <= ready_ms - killed_ms + 5_000
    assert deadman["last_action"] is None
