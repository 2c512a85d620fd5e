"""Section 11: streams, and what section 12 says of sockets. A client of the process, from the contract page alone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.contract.desk import ADMIN, TIME, Agent, Desk, no_float, order_is_sound, taker_fee
from tests.e2e.venue import until

SETTINGS = {"RAETH_LIMITS__UNREAD_BYTES": "65536"}

EVENT = {"channel", "type", "channel_seq", "seq", "ts", "data"}
PATIENCE_S = 10


class Stream:
    """One socket, read as its messages are needed. `events` keeps what came by channel."""

    def __init__(self, desk: Desk, wire: ClientConnection) -> None:
        self.desk, self.wire = desk, wire
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.others: list[dict[str, Any]] = []
        self._asked = 0

    def send(self, message: Any) -> None:
        self.wire.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def take(self, timeout: float = PATIENCE_S) -> dict[str, Any]:
        """The next message, looked at."""
        text = self.wire.recv(timeout)
        assert isinstance(text, str)
        message: dict[str, Any] = json.loads(text, parse_float=no_float)
        if "channel" in message:
            assert set(message) == EVENT and message["type"] in ("snapshot", "delta", "event"), message
            assert TIME.fullmatch(message["ts"])
            told = self.events.setdefault(message["channel"], [])
            if told and message["type"] != "snapshot":
                assert message["channel_seq"] == told[-1]["channel_seq"] + 1
                assert message["seq"] >= told[-1]["seq"]
            told.append(message)
        else:
            self.others.append(message)
        return message

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The reply that echoes what was asked."""
        self._asked += 1
        request_id = f"ask-{self._asked}"
        self.send({"op": op, "request_id": request_id, **fields})
        while True:
            message = self.take()
            if message.get("request_id") == request_id:
                assert message["op"] == op
                return message

    def ack(self, op: str, **fields: Any) -> Any:
        reply = self.ask(op, **fields)
        assert reply["type"] == "ack", reply
        return reply["data"]

    def error(self, code: str, op: str, **fields: Any) -> dict[str, Any]:
        reply = self.ask(op, **fields)
        assert (reply["type"], reply["code"]) == ("error", code), reply
        return reply

    def until(self, channel: str, found: Callable[[list[dict[str, Any]]], Any]) -> list[dict[str, Any]]:
        """Read on until the events of a channel satisfy `found`."""
        deadline = time.monotonic() + PATIENCE_S
        while not found(self.events.get(channel, [])):
            self.take(max(0.1, deadline - time.monotonic()))
        return self.events[channel]

    def end(self) -> int:
        """The close code, after reading whatever is left."""
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                self.take()
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code


@pytest.fixture
def dial(desk: Desk) -> Iterator[Callable[..., Stream]]:
    with ExitStack() as opened:

        def dial(agent: Agent | None = None, query: str = "", **options: Any) -> Stream:
            headers = {} if agent is None else agent.headers
            url = desk.venue.url.replace("http", "ws") + "/stream" + query
            options = {"compression": None, "max_size": None, "close_timeout": 1, **options}
            return Stream(desk, opened.enter_context(connect(url, additional_headers=headers, **options)))

        yield dial


Dial = Callable[..., Stream]


def book_from(events: list[dict[str, Any]]) -> tuple[list[list[int]], list[list[int]]]:
    sides: list[dict[int, list[int]]] = []
    for name in ("bids", "asks"):
        levels = {row[0]: row for row in events[0]["data"][name]}
        for event in events[1:]:
            for price, qty, orders in event["data"][name]:
                levels[price] = [price, qty, orders]
                if not qty:
                    del levels[price]
        sides.append(levels)
    return [sides[0][p] for p in sorted(sides[0], reverse=True)], [sides[1][p] for p in sorted(sides[1])]


def test_a_book_is_a_snapshot_and_new_totals(calm: Desk, dial: Dial) -> None:
    one, two, stream = calm.signup(), calm.signup(), dial()
    one.rests("BUY", 45, 3)
    channel, trades = f"book.{calm.market}", f"trades.{calm.market}"
    assert stream.ack("subscribe", channels=[channel, trades])["channels"] == [channel, trades]
    one.rests("BUY", 45, 2)
    one.rests("SELL", 55, 4)
    two.sell(45, 4)
    one.post("/orders/cancel", {"side": "SELL"})
    stream.until(channel, lambda events: events and book_from(events) == ([[45, 1, 1]], []))
    assert book_from(stream.events[channel]) == calm.book()
    events = stream.until(trades, lambda events: len(events) == 3)
    assert [event["type"] for event in events] == ["snapshot", "event", "event"]
    asked = calm.anyone.get(f"/markets/{calm.market}/trades", limit=2)["items"]
    assert [events[2]["data"], events[1]["data"]] == asked
    stream.ack("unsubscribe", channels=[channel])
    count = len(stream.events[channel])
    one.rests("BUY", 44, 1)
    stream.ack("ping")
    assert len(stream.events[channel]) == count
    stream.ack("subscribe", channels=[channel])
    stream.until(channel, lambda events: len(events) > count)
    assert stream.events[channel][-1]["type"] == "snapshot"


def test_the_venue_and_the_reference(calm: Desk, dial: Dial) -> None:
    stream = dial()
    stream.ack("subscribe", channels=["venue", "markets", "feed.btc", "leaderboard"])
    for channel in ("venue", "markets", "feed.btc", "leaderboard"):
        assert stream.until(channel, bool)[0]["type"] == "snapshot"
    calm.admin.post("/admin/freeze", {"reason": "a test"})
    calm.admin.post("/admin/broadcast", {"message": "hello"})
    calm.admin.post("/admin/unfreeze", {})
    told = stream.until("venue", lambda events: len(events) == 4)
    assert "a test" in json.dumps(told[1]["data"]) and "hello" in json.dumps(told[2]["data"])
    price = stream.until("feed.btc", lambda events: len(events) > 1)[-1]["data"]
    assert {"symbol", "price_cents", "source_ts", "age_ms", "status", "source", "synthetic"} <= set(price)
    calm.admin.post(f"/admin/markets/{calm.market}/halt", {"reason": "a test"})
    calm.admin.post(f"/admin/markets/{calm.market}/resume", {})

    def halted_and_resumed(events: list[dict[str, Any]]) -> bool:
        return [event["data"]["market"]["halted"] for event in events[-2:]] == [True, False]

    # What the tests before traded may be told first.
    stream.until("markets", lambda events: len(events) >= 3 and halted_and_resumed(events))


def test_three_ways_to_say_who_you_are(calm: Desk, dial: Dial) -> None:
    agent = calm.signup()
    ticket = agent.post("/auth/ws-ticket", expect=201)["ticket"]
    by_message = dial()
    by_message.error("UNAUTHENTICATED", "cancel_all", params={})
    by_message.error("UNAUTHENTICATED", "subscribe", channels=[f"private.{agent.id}"])
    by_message.ack("authenticate", api_key=agent.made["api_key"])
    for stream in (by_message, dial(agent), dial(query=f"?ticket={ticket}")):
        stream.ack("subscribe", channels=[f"private.{agent.id}"])
        assert stream.until(f"private.{agent.id}", bool)[0]["type"] == "snapshot"
        assert stream.ack("cancel_all", params={})["cancelled"] == 0
    again = dial(query=f"?ticket={ticket}")
    assert again.end() == 1008 and again.others[0]["code"] == "AUTH_INVALID"
    other = calm.signup()
    assert by_message.ask("subscribe", channels=[f"private.{other.id}"])["type"] == "error"
    wrong = dial()
    wrong.error("AUTH_INVALID", "authenticate", api_key=agent.made["api_key"][:-1] + "x")


def test_orders_over_the_socket(calm: Desk, dial: Dial) -> None:
    one, two = calm.signup(), calm.signup()
    stream = dial(one)
    two.rests("SELL", 52, 4)
    taken = stream.ack("submit_order", params=one.body("BUY", 52, 4, client_order_id="a"))
    order_is_sound(taken, "socket")
    assert taken["status"] == "FILLED" and taken["fee_cents"] == taker_fee([(52, 4)])
    assert taken == one.now(taken)
    assert stream.ack("submit_order", params=one.body("BUY", 52, 4, client_order_id="a")) == taken | {"replayed": True}
    assert one.buy(52, 4, client_order_id="a") == taken | {"replayed": True}
    stream.error("IDEMPOTENCY_CONFLICT", "submit_order", params=one.body("BUY", 52, 5, client_order_id="a"))
    reply = stream.ask("submit_order", params=one.body("BUY", 60, 0))
    assert (reply["type"], reply["code"], reply["data"]["status"]) == ("reject", "INVALID_QTY", "REJECTED")
    assert reply["data"] == one.now(reply["data"])
    resting = stream.ack("submit_order", params=one.body("BUY", 40, 5))
    assert stream.ack("amend_order", params={"order_id": resting["order_id"], "qty": 3})["qty"] == 3
    assert stream.ack("cancel_order", params={"order_id": resting["order_id"]}) == one.now(resting)
    stream.error("ORDER_NOT_OPEN", "cancel_order", params={"order_id": resting["order_id"]})
    quote = {"market_id": calm.market, "quote_id": "q", "bids": [{"price": 41, "qty": 1}], "asks": []}
    [level] = stream.ack("put_quotes", params=quote)["results"]
    assert level == one.now(level)
    assert stream.ack("cancel_all", params={})["results"] == [one.now(level)]
    stream.error("BAD_REQUEST", "submit_order", params={"nonsense": 1})
    stream.error("VALIDATION_FAILED", "submit_order", params=one.body("BUY", 40, 1) | {"type": "MARKET"})


def test_pipelined_messages_are_judged_in_order(calm: Desk, dial: Dial) -> None:
    agent = calm.signup()
    stream = dial(agent)
    for n in range(200):
        order = agent.body("BUY", 40, 1, client_order_id=f"n{n}")
        stream.send({"op": "submit_order", "request_id": f"s{n}", "params": order})
        stream.send({"op": "cancel_all", "request_id": f"c{n}", "params": {}})
    answers = {}
    while len(answers) < 400:
        message = stream.take()
        answers[message["request_id"]] = message
    for n in range(200):
        placed, gone = answers[f"s{n}"]["data"], answers[f"c{n}"]["data"]
        assert placed["status"] == "OPEN" and [o["order_id"] for o in gone["results"]] == [placed["order_id"]]


def test_the_private_channel_is_complete_and_resumable(calm: Desk, dial: Dial) -> None:
    one, two = calm.signup(), calm.signup()
    channel = f"private.{one.id}"
    live = dial(one)
    live.ack("subscribe", channels=[channel])
    [snapshot] = live.until(channel, bool)
    seq = snapshot["seq"]
    first = one.rests("BUY", 48, 6)
    two.sell(48, 2)
    second = one.rests("BUY", 47, 1)
    one.ask("PATCH", f"/orders/{second['order_id']}", json={"price": 46})
    one.post("/orders/cancel", {})
    last = one.now(first)
    events = live.until(channel, lambda events: sum("CANCELLED" in json.dumps(event["data"]) for event in events) == 2)[
        1:
    ]
    assert any(event["data"].get("order") == last for event in events)
    for event in events:
        resumed = dial(one)
        resumed.ack("subscribe", channels=[channel], from_seq=event["seq"])
        rest = [e for e in events if e["seq"] >= event["seq"]]
        told = resumed.until(channel, lambda told, rest=rest: len(told) >= len(rest))  # type: ignore[misc]
        resumed.ack("ping")
        assert [(e["seq"], e["ts"], e["data"]) for e in told] == [(e["seq"], e["ts"], e["data"]) for e in rest]
        resumed.wire.close()
    all_of_it = dial(one)
    all_of_it.ack("subscribe", channels=[channel], from_seq=seq + 1)
    told = all_of_it.until(channel, lambda told: len(told) >= len(events))
    assert [e["data"] for e in told] == [e["data"] for e in events]


@contextmanager
def events_of(desk: Desk, agent: Agent, channels: str, last: str | None = None) -> Iterator[Iterator[dict[str, str]]]:
    """Server-sent events as field → text."""
    headers = agent.headers | ({"Last-Event-ID": last} if last else {})
    url = f"{desk.venue.url}/api/v1/sse"
    with httpx2.stream("GET", url, params={"channels": channels}, headers=headers, timeout=PATIENCE_S) as response:
        assert response.status_code == 200 and response.headers["content-type"].startswith("text/event-stream")

        def parsed() -> Iterator[dict[str, str]]:
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(":")
                if line and name:
                    fields[name] = value.removeprefix(" ")
                elif not line:
                    if "data" in fields:
                        yield fields
                    fields = {}

        yield parsed()


def test_sse_serves_the_same_events_and_resumes(calm: Desk) -> None:
    agent = calm.signup()
    channel = f"private.{agent.id}"
    with events_of(calm, agent, f"{channel},book.{calm.market}") as events:
        first = [next(events), next(events)]
        assert {json.loads(event["data"])["type"] for event in first} == {"snapshot"}
        order = agent.rests("BUY", 40, 1)
        while (told := json.loads((event := next(events))["data"]))["channel"] != channel:
            pass
        assert told["data"]["order"] == order and set(told) == EVENT and event["event"] == told["type"]
        last = event["id"]
    later = [agent.rests("BUY", 39, 1), agent.rests("BUY", 38, 1)]
    with events_of(calm, agent, channel, last) as events:
        missed = [json.loads(next(events)["data"]) for _ in range(2)]
    assert [event["data"]["order"] for event in missed] == later
    calm.anyone.get("/sse", "NOT_FOUND", channels="nonsense")
    calm.anyone.get("/sse", "AUTH_MISSING", channels=channel)


def test_heartbeats_come_by_themselves(calm: Desk, dial: Dial) -> None:
    stream = dial()
    beats: list[tuple[float, dict[str, Any]]] = []
    while len(beats) < 2:
        message = stream.take()
        if message["type"] == "heartbeat":
            beats.append((time.monotonic(), message))
    assert set(beats[0][1]) == {"type", "ts", "seq", "reference_age_ms"} and TIME.fullmatch(beats[0][1]["ts"])
    assert 4 < beats[1][0] - beats[0][0] < 6.5
    assert beats[1][1]["seq"] >= beats[0][1]["seq"]


def test_orders_tied_to_a_socket(calm: Desk, dial: Dial) -> None:
    agent, other = calm.signup(), calm.signup()
    theirs = other.rests("BUY", 40, 1)
    for abruptly in (False, True):
        stream = dial()
        assert stream.ack("authenticate", api_key=agent.made["api_key"], cancel_on_disconnect=True)
        order = agent.rests("BUY", 41, 1)
        if abruptly:
            raw = stream.wire.socket
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            raw.shutdown(socket.SHUT_RDWR)
        else:
            stream.wire.close()
        until("the order to end", lambda order=order: agent.now(order)["status"] == "CANCELLED")  # type: ignore[misc]
        assert agent.now(order)["cancel_reason"] == "DISCONNECT"
    assert other.now(theirs)["status"] == "OPEN"


def test_a_revoked_key_ends_its_socket(calm: Desk, dial: Dial) -> None:
    session, [agent] = calm.owner()
    key = session.post(f"/me/agents/{agent.id}/keys", {"name": "second"}, 201)
    stream = dial()
    stream.ack("authenticate", api_key=key["api_key"])
    assert session.raw("DELETE", f"/me/agents/{agent.id}/keys/{key['key_id']}").status_code < 300
    assert stream.end() == 1008 and stream.others[-1]["code"] == "AUTH_REVOKED"


def test_places_of_a_key_and_of_an_agent(calm: Desk, dial: Dial) -> None:
    session, [agent] = calm.owner()
    keys = [session.post(f"/me/agents/{agent.id}/keys", {"name": f"k{n}"}, 201)["api_key"] for n in range(3)]
    opened = []
    for key in (keys[0], keys[1]):
        for _ in range(3):
            opened.append(dial())
            opened[-1].ack("authenticate", api_key=key)
        over = dial()
        over.send({"op": "authenticate", "api_key": key})
        assert over.end() == 1008 and over.others[-1]["code"] == "RATE_LIMITED"
    seventh = dial()
    seventh.send({"op": "authenticate", "api_key": keys[2]})
    assert seventh.end() == 1008
    opened[0].ack("ping")


def test_frames_messages_and_subscriptions_have_bounds(calm: Desk, dial: Dial) -> None:
    stream = dial()
    stream.send(json.dumps({"op": "ping"}) + " " * (16 * 1024 + 1))
    assert stream.end() == 1009
    stream = dial()
    stream.send(json.dumps({"op": "ping"}) + " " * 3_000_000)
    assert stream.end() == 1009
    stream = dial()
    names = [f"{kind}.{market}" for kind in ("book", "l3", "trades") for market in (calm.market,)]
    stream.ack("subscribe", channels=names)
    reply = stream.ask("subscribe", channels=[f"book.X{n}" for n in range(128)])
    assert reply["type"] == "error"
    stream.error("UNSUPPORTED_CHANNEL", "subscribe", channels=["nonsense"])
    for nonsense in ("x", "[]", '{"op": "nonsense"}', b"\x00", '{"op": "ping", "nonsense": 1}'):
        stream.send(nonsense)
        while (message := stream.take())["type"] in ("snapshot", "delta", "event", "heartbeat"):
            pass
        assert (message["type"], message["code"]) == ("error", "INVALID_MESSAGE")
    refused = 0
    for _ in range(400):
        refused += stream.ask("ping")["type"] == "error"
        if refused == 5:
            break
    assert refused == 5 and stream.others[-1]["code"] == "RATE_LIMITED"
    limits = calm.anyone.get("/meta/limits")
    assert "16384" in json.dumps(limits) and "128" in json.dumps(limits)


def test_who_does_not_read_is_cut_off(calm: Desk, dial: Dial) -> None:
    """Against the process as it runs: the others get their answers all the while."""
    agent = calm.signup()
    small = socket.create_connection(calm.venue.url.removeprefix("http://").rsplit(":", 1))
    # Less, and what is left cannot be read in the venue's patience.
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    slow, works = dial(sock=small, max_queue=1), dial(agent)
    slow.ack("subscribe", channels=[f"l3.{calm.market}"])

    def cut_off() -> bool:
        text = calm.anyone.raw("GET", "//metrics").text
        return any(
            line.startswith("raeth_streams_cut_off_total") and line.split()[1] != "0.0" for line in text.split("\n")
        )

    for _ in range(400):
        for n in range(100):
            works.send({"op": "submit_order", "request_id": f"s{n}", "params": agent.body("BUY", 40, 1)})
        works.send({"op": "cancel_all", "request_id": "c", "params": {}})
        while (message := works.take()).get("request_id") != "c":
            pass
        assert message["data"]["cancelled"] == 100
        if cut_off():
            break
    else:
        raise AssertionError("a reader that does not read was never cut off")
    works.ack("ping")
    assert slow.end() == 1013
    assert set(slow.others[-1]) == {"type", "reason"} and slow.others[-1]["type"] == "resync_required"


def test_the_end_of_the_process(desk: Desk, dial: Dial) -> None:
    """Last in this file: sockets are told, streams end, orders tied to a socket are gone, and it exits within 5 s."""
    desk.calm()
    agents = [desk.signup() for _ in range(8)]
    streams = []
    for agent in agents:
        streams += [dial(agent) for _ in range(2)]
    tied = dial()
    tied.ack("authenticate", api_key=agents[0].made["api_key"], cancel_on_disconnect=True)
    order = agents[0].rests("BUY", 40, 1)
    for stream in streams:
        stream.ack("subscribe", channels=["markets", f"book.{desk.market}"])
    with events_of(desk, agents[1], f"private.{agents[1].id}") as events:
        next(events)
        desk.venue.stop()
        assert {event["event"] for event in events} <= {"heartbeat"}
    assert {stream.end() for stream in [*streams, tied]} == {1012}
    same = {
        "RAETH_ADMIN_TOKEN": ADMIN,
        "RAETH_SERIES__WINDOW_MS": "3600000",
        "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "1000000",
        **SETTINGS,
    }
    recording = desk.host.folder / "calm.csv"
    desk.at(desk.host.serve("--no-house", "--reference", f"replay:{recording}", **same))
    assert agents[0].now(order)["cancel_reason"] == "DISCONNECT"
