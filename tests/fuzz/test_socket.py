"""The socket under everything a client can get wrong: texts, values, frames, handshakes and whole sessions.

Every message is answered once, by its `request_id` or with an error; a connection ends only with a documented code;
other connections notice nothing; the process logs no error, and its journal passes the audit.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from websockets.sync.client import ClientConnection, connect

from raeth.errors import CATALOGUE
from tests.fuzz.frames import BINARY, CLOSE, CONT, HEADERS, PING, PONG, TEXT, WAIT_S, Ended, Socket, frame
from tests.fuzz.lab import Lab

pytestmark = pytest.mark.timeout(1_800)  # for --long; ordinarily it is seconds

ENDS = {1000, 1002, 1007, 1008, 1009, 1012, 1013}
"""Sections 11 and 12, and for what breaks the protocol RFC 6455, section 7.4.1."""
FRAME_BYTES = 16_384


def bounds(request: pytest.FixtureRequest, ordinary: int, long: int, **more: Any) -> settings:
    return settings(
        max_examples=long if request.config.getoption("--long") else ordinary,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


def port(lab: Lab) -> int:
    found = urlsplit(lab.url).port
    assert found is not None
    return found


class Bystander:
    """Somebody else's socket, which must not notice anything. It answers the venue's own pings all the time."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire = wire
        self._count = 0

    def pinged(self) -> None:
        self._count += 1
        self._wire.send(json.dumps({"op": "ping", "request_id": f"b{self._count}"}))
        while (heard := json.loads(self._wire.recv(timeout=WAIT_S)))["type"] in ("heartbeat", "event", "snapshot"):
            pass
        assert (heard["type"], heard["request_id"]) == ("ack", f"b{self._count}"), heard


@pytest.fixture(scope="module")
def bystander(lab: Lab) -> Iterator[Bystander]:
    with connect(f"ws://127.0.0.1:{port(lab)}/stream", compression=None, max_queue=None, proxy=None) as wire:
        bystander = Bystander(wire)
        bystander.pinged()
        yield bystander
        bystander.pinged()


@pytest.fixture(autouse=True)
def unhurt(lab: Lab, bystander: Bystander) -> Iterator[None]:
    yield
    bystander.pinged()
    lab.still_serves()
    assert lab.faults() == []


# ---- messages ----

OPS = ("subscribe unsubscribe authenticate ping submit_order cancel_order amend_order cancel_all put_quotes").split()
ODD_NUMBERS = st.sampled_from(
    [0, -1, 1, 50, 99, 100, 2**31, 2**53, -(2**53), 2**63, 2**64, 10**400, 0.5, 50.0, -0.0, 1e308, True, "5", None]
)
ODD_TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", "\0", "a" * 129, "../..", "\u202e", "💥", "private.", "book.", "book.\0", "l3." + "x" * 200]),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), ODD_NUMBERS, st.floats(allow_nan=False, allow_infinity=False), ODD_TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=8,
)


def orders(market: str) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies of orders, most of them near a good one."""
    good = {
        "market_id": st.sampled_from([market, market, market, "nowhere", "\0", ""]),
        "side": st.sampled_from(["BUY", "SELL", "BUY", "SELL", "HOLD", 1]),
        "type": st.sampled_from(["LIMIT", "LIMIT", "LIMIT", "MARKET", "STOP"]),
        "qty": st.integers(1, 5) | ODD_NUMBERS,
    }
    more = {
        "price": st.integers(1, 99) | ODD_NUMBERS,
        "tif": st.sampled_from(["GTC", "IOC", "FOK", "POST_ONLY", "DAY"]),
        "reduce_only": st.booleans() | ODD_NUMBERS,
        "client_order_id": st.sampled_from(["a", "b", "c:1", "", "é"]) | ODD_TEXT,
        "timestamp_ms": ODD_NUMBERS,
        "recv_window_ms": ODD_NUMBERS,
        "expires_at_ms": ODD_NUMBERS,
        "stp": st.sampled_from(["CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH", "NONE"]),
        "confirm_fat_finger": st.booleans(),
        "leverage": JSON,
        "margin_mode": JSON,
        "nonsense": JSON,
    }
    return st.fixed_dictionaries(good, optional=more)


def parameters(lab: Lab) -> st.SearchStrategy[Any]:
    market = st.sampled_from([lab.desk.market, lab.symbol, lab.pending])
    level = st.fixed_dictionaries({"price": st.integers(1, 99) | ODD_NUMBERS, "qty": st.integers(1, 5) | ODD_NUMBERS})
    order_id = st.sampled_from([lab.resting["order_id"], "nothing", "\0", 5])
    return st.one_of(
        orders(lab.symbol),
        st.fixed_dictionaries({}, optional={"order_id": order_id, "client_order_id": ODD_TEXT, "price": ODD_NUMBERS}),
        st.fixed_dictionaries({"order_id": order_id, "qty": ODD_NUMBERS}, optional={"price": ODD_NUMBERS}),
        st.fixed_dictionaries(
            {}, optional={"market_id": market, "side": JSON, "quote_id": ODD_TEXT, "order_ids": JSON}
        ),
        st.fixed_dictionaries(
            {"market_id": market, "quote_id": st.just("q") | ODD_TEXT},
            optional={"bids": st.lists(level, max_size=22), "asks": st.lists(level, max_size=4)},
        ),
        JSON,
    )


def channels(lab: Lab) -> st.SearchStrategy[list[Any]]:
    kinds = ("book", "l3", "trades", "private", "candles")
    subjects = (lab.desk.market, lab.symbol, lab.pending, lab.agent.id, lab.other.id, "", "\0", "nothing", "*")
    known = st.builds("{}.{}".format, st.sampled_from(kinds), st.sampled_from(subjects))
    whole = st.sampled_from(["markets", "feed.btc", "leaderboard", "venue", "VENUE", "venue "])
    return st.lists(known | known | whole | whole | ODD_TEXT | JSON, max_size=6)


def messages(lab: Lab) -> st.SearchStrategy[str]:
    """Texts a client may send, from near good ones to anything."""
    fields = {
        "channels": channels(lab),
        "from_seq": ODD_NUMBERS,
        "api_key": st.sampled_from([lab.agent.made["api_key"], lab.other.made["api_key"], "rk_live_x", "", "\0", 5]),
        "cancel_on_disconnect": st.booleans() | JSON,
        "params": parameters(lab),
        "request_id": st.text(min_size=1, max_size=20) | JSON,
    }
    near = st.sampled_from(OPS).flatmap(lambda op: _near(op, fields))
    loose = st.fixed_dictionaries({"op": st.sampled_from(OPS) | JSON}, optional=fields | {"nonsense": JSON})
    written = st.one_of(near, near, near, near, loose, JSON).map(json.dumps)
    no_json = written.map(lambda text: text.replace("null", "NaN").replace("0", "Infinity"))
    cut = st.tuples(written, st.integers(0, 60)).map(lambda pair: pair[0][: -pair[1] or None])
    deep = st.builds(
        lambda text, depth: text * depth, st.sampled_from(["[", '{"op":', '[{"a":']), st.integers(1, 2_000)
    )
    noise = st.one_of(no_json, cut, deep, st.text(max_size=200), st.text("{}[]\",:0e-\\u'", max_size=40))
    return st.one_of(written, written, written, noise)


def _near(op: str, fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    takes = {"subscribe": ("channels",), "unsubscribe": ("channels",), "authenticate": ("api_key",), "ping": ()}
    more = {"subscribe": ("from_seq",), "authenticate": ("cancel_on_disconnect",)}
    needed = {name: fields[name] for name in takes.get(op, ("params",))}
    return st.fixed_dictionaries(
        {"op": st.just(op), **needed},
        optional={"request_id": st.text(min_size=1, max_size=20), **{name: fields[name] for name in more.get(op, ())}},
    )


def echo_of(text: str) -> tuple[bool, str | None]:
    """Whether a text is a JSON object, and the `request_id` that its reply must have."""
    try:
        found = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        return False, None
    request_id = found.get("request_id") if isinstance(found, dict) else None
    good = isinstance(request_id, str) and 0 < len(request_id) <= 128
    return isinstance(found, dict), request_id if good else None


class Talk:
    """A socket that is dialled again when it has ended as it may."""

    def __init__(self, lab: Lab, key: str | None) -> None:
        self._lab = lab
        self._headers = [("Authorization", f"Bearer {key}")] if key else []
        self._socket: Socket | None = None
        self.ends: Counter[int | None] = Counter()
        self.codes: Counter[str] = Counter()
        self.sent = 0

    @property
    def socket(self) -> Socket:
        if self._socket is None:
            self._socket = Socket(port(self._lab), headers=self._headers)
            assert self._socket.status == 101
        return self._socket

    def say(self, texts: list[str]) -> None:
        """Send all, and hold what comes back against it."""
        socket = self.socket
        before = len(socket.replies)
        socket.send_bytes(b"".join(frame(TEXT, text.encode("utf-8", "replace")) for text in texts))
        self.sent += len(texts)
        try:
            socket.wait_replies(before + len(texts))
            socket.pinged()
        except Ended as ended:
            self.ends[ended.code] += 1
            assert ended.code in ENDS, (ended, texts)
            self._socket = None
            return
        replies = socket.replies[before:-1]
        assert len(replies) == len(texts), (texts, replies)
        expected = [echo_of(text.encode("utf-8", "replace").decode()) for text in texts]
        given = Counter(reply["request_id"] for reply in replies)
        assert given == Counter(request_id for _, request_id in expected), (texts, replies)
        assert sum(reply["type"] == "error" for reply in replies) >= sum(not readable for readable, _ in expected)
        for reply in replies:
            self.codes[reply.get("code", "ack")] += 1
            assert reply["type"] == "ack" or reply["code"] in CATALOGUE, reply
            assert reply.get("code") not in ("INTERNAL_ERROR", "SERVICE_DEGRADED"), (texts, reply)

    def end(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


@pytest.mark.parametrize("who", ["anyone", "agent"])
def test_every_text_is_answered_once(request: pytest.FixtureRequest, lab: Lab, who: str) -> None:
    talk = Talk(lab, lab.agent.made["api_key"] if who == "agent" else None)

    @bounds(request, 150, 2_000)
    @given(st.lists(messages(lab), min_size=1, max_size=8), st.integers(0, 9))
    def run(texts: list[str], again: int) -> None:
        talk.say([text for text in texts if len(text.encode("utf-8", "replace")) <= FRAME_BYTES] or [""])
        if not again:
            talk.end()

    run()
    talk.end()
    print(f"{who}: {talk.sent} messages, {dict(talk.codes)}, ends {dict(talk.ends)}")


# ---- frames ----

CODES = st.sampled_from([0, 999, 1000, 1005, 1006, 1015, 3000, 5000, 65_535])
PAYLOADS = st.one_of(
    st.binary(max_size=130),
    st.sampled_from([b'{"op":"ping"}', b'{"op":', b'"ping"}', b"\xff", b"\xc3", b"\xed\xa0\x80", b"", b"x" * 126]),
    st.sampled_from([b"x" * FRAME_BYTES, b"x" * (FRAME_BYTES + 1), b" " * 70_000, b"[" * FRAME_BYTES]),
    st.builds(lambda code, why: code.to_bytes(2, "big") + why, CODES, st.binary(max_size=10)),
)
OPCODES = st.sampled_from([*[TEXT] * 8, BINARY, BINARY, CONT, CONT, PING, PING, PONG, CLOSE, 3, 7, 11, 15])
FRAMES = st.builds(
    frame,
    OPCODES,
    PAYLOADS,
    fin=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([*[0] * 20, 1, 2, 4, 7]),
    mask=st.sampled_from([*[True] * 15, False]),
)
RAW = st.one_of(
    *[FRAMES] * 6,
    st.binary(max_size=40),
    st.sampled_from([b"\x81\xff" + b"\xff" * 8 + b"mask", b"\x81\xfe\x00\x05mask12345"]),
    st.sampled_from([b"\x89\xfe\x00\x80mask" + b"x" * 128, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]),
)


def test_every_sequence_of_frames_ends_as_documented(request: pytest.FixtureRequest, lab: Lab) -> None:
    ends: Counter[int | None] = Counter()

    @bounds(request, 200, 3_000)
    @given(st.lists(RAW, min_size=1, max_size=8), st.sampled_from(["close", "close", "half", "gone"]))
    def run(sent: list[bytes], leave: str) -> None:
        with contextlib.closing(Socket(port(lab))) as socket:
            assert socket.status == 101
            socket.send_bytes(b"".join(sent))
            if leave == "gone":
                return
            if leave == "close":
                socket.send_bytes(frame(CLOSE, (1000).to_bytes(2, "big")))
            # Half a frame may be what waits for more: with no more to come, it must end all the same.
            with contextlib.suppress(OSError):
                socket._sock.shutdown(1)
            ended = socket.until_ended()
            ends[ended.code] += 1
            # 3000 is a code that only we say, and hear back; no code when the connection is over within a frame.
            assert ended.code in ENDS | {3000, 1005, None}, (ended, sent)

    run()
    print("ends", dict(ends))


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"\xc0\x80", b'{"op":"ping"}\xed\xa0\x80', b"\xf4\x90\x80\x80"])
def test_what_is_no_text_ends_with_1007_in_one_frame_or_many(lab: Lab, payload: bytes) -> None:
    for pieces in ([payload], [payload[:1], payload[1:]], [b"", *(payload[n : n + 1] for n in range(len(payload)))]):
        with contextlib.closing(Socket(port(lab))) as socket:
            for place, piece in enumerate(pieces):
                last = place == len(pieces) - 1
                socket.send_bytes(frame(CONT if place else TEXT, piece, fin=last))
            assert socket.until_ended().code == 1007


def test_a_message_in_pieces_with_pings_between_is_one_message(lab: Lab) -> None:
    text = b'{"op":"ping","request_id":"pieces"}'
    with contextlib.closing(Socket(port(lab))) as socket:
        for place in range(len(text)):
            socket.send_bytes(frame(CONT if place else TEXT, text[place : place + 1], fin=False))
            socket.send_bytes(frame(PING, b"%d" % place))
        socket.send_bytes(frame(CONT, b""))
        socket.wait_replies(1)
        assert socket.replies[0]["request_id"] == "pieces" and socket.replies[0]["type"] == "ack"
        assert socket.pongs == [b"%d" % place for place in range(len(text))]
        socket.pinged()


# ---- handshakes ----


def test_every_handshake_is_answered(request: pytest.FixtureRequest, lab: Lab) -> None:
    safe = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
    names = st.sampled_from([name for name, _ in HEADERS[1:]] + ["Authorization", "Cookie", "Origin", "X-Request-Id"])
    extra = st.lists(st.tuples(names | st.just("Sec-WebSocket-Extensions"), safe), max_size=4)
    paths = st.sampled_from(["/stream", "/stream", "/stream/", "/", "/api/v1/orders", "//stream", "/stream/../stream"])
    queries = st.one_of(st.just(""), safe.map("?ticket={}".format), safe.map("?{}".format))
    statuses: Counter[int] = Counter()

    @bounds(request, 100, 1_000)
    @given(paths, queries, extra)
    def run(path: str, query: str, headers: list[tuple[str, str]]) -> None:
        with contextlib.closing(Socket(port(lab), path + query, headers)) as socket:
            statuses[socket.status] += 1
            assert socket.status == 101 or 400 <= socket.status < 500, (path, query, headers, socket.head)
            if socket.status == 101:
                socket.send_bytes(frame(CLOSE, (1000).to_bytes(2, "big")))
                ended = socket.until_ended()
                assert ended.code in (1000, 1008), (path, query, headers, ended)
                assert ended.code == 1000 or socket.replies[-1]["type"] == "error"

    run()
    print("handshakes", dict(statuses))


# ---- sessions ----


def test_any_session_leaves_others_alone(request: pytest.FixtureRequest, lab: Lab, bystander: Bystander) -> None:
    """A model of one socket: who it belongs to, what it listens to, and the orders it may have resting."""
    steps: Counter[str] = Counter()
    readable = [f"{kind}.{lab.symbol}" for kind in ("book", "l3", "trades")] + ["markets", "feed.btc", "venue"]

    class Session(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.socket = Socket(port(lab))
            self.mine: str | None = None
            self.listens: set[str] = set()
            self.resting: list[tuple[str, str]] = []
            """Whose, and the order's id; it may have been filled since."""
            self.number = 0

        def ask(self, op: str, **fields: Any) -> dict[str, Any]:
            self.number += 1
            reply = self.socket.ask({"op": op, "request_id": f"s{self.number}", **fields})
            steps[f"{op} {reply.get('code', 'ack')}"] += 1
            assert reply["op"] == op and reply.get("code") not in ("INTERNAL_ERROR", "SERVICE_DEGRADED"), reply
            return reply

        @rule(who=st.sampled_from(["agent", "other", "nobody"]), tied=st.booleans())
        def authenticate(self, who: str, tied: bool) -> None:
            key = {"agent": lab.agent.made["api_key"], "other": lab.other.made["api_key"], "nobody": "rk_live_nobody"}[
                who
            ]
            reply = self.ask("authenticate", api_key=key, cancel_on_disconnect=tied)
            if who == "nobody":
                assert reply["code"] == "AUTH_INVALID"
            elif self.mine in (None, who):
                assert reply["type"] == "ack"
                self.mine = who
            else:
                assert reply["code"] == "FORBIDDEN"

        @rule(names=st.lists(st.sampled_from(readable), min_size=1, max_size=4))
        def subscribe(self, names: list[str]) -> None:
            assert self.ask("subscribe", channels=names)["data"] == {"channels": names}
            self.listens |= set(names)

        @rule(whose=st.sampled_from(["agent", "other"]), from_seq=st.none() | st.integers(0, 50))
        def subscribe_private(self, whose: str, from_seq: int | None) -> None:
            agent = {"agent": lab.agent.id, "other": lab.other.id}[whose]
            reply = self.ask(
                "subscribe", channels=[f"private.{agent}"], **({} if from_seq is None else {"from_seq": from_seq})
            )
            assert (reply["type"] == "ack") == (self.mine == whose), reply
            if self.mine == whose:
                self.listens.add(f"private.{agent}")

        @rule(names=st.lists(st.sampled_from(readable), min_size=1, max_size=4))
        def unsubscribe(self, names: list[str]) -> None:
            assert self.ask("unsubscribe", channels=names)["type"] == "ack"
            self.listens -= set(names)
            del self.socket.events[:]

        @rule(names=channels(lab))
        def subscribe_to_nonsense(self, names: list[Any]) -> None:
            reply = self.ask("subscribe", channels=[*names, "no such channel"])
            assert reply["type"] == "error", reply

        def placed(self, reply: dict[str, Any]) -> None:
            if self.mine is None:
                assert reply["code"] == "UNAUTHENTICATED"
            elif reply["type"] != "error":
                order = reply["data"]
                assert (reply["type"] == "reject") == (order["status"] == "REJECTED")
                if order["status"] in ("OPEN", "PARTIALLY_FILLED"):
                    self.resting.append((self.mine, order["order_id"]))

        @rule(body=orders(lab.symbol))
        def submit(self, body: dict[str, Any]) -> None:
            self.placed(self.ask("submit_order", params=body))

        @rule(side=st.sampled_from(["BUY", "SELL"]), price=st.integers(45, 55), qty=st.integers(1, 3))
        def trade(self, side: str, price: int, qty: int) -> None:
            body = {"market_id": lab.symbol, "side": side, "type": "LIMIT", "price": price, "qty": qty}
            reply = self.ask("submit_order", params=body | {"confirm_fat_finger": True})
            assert self.mine is None or reply["type"] != "error", reply
            self.placed(reply)

        @rule(bid=st.integers(30, 49), ask=st.integers(51, 70), qty=st.integers(1, 3))
        def quote_well(self, bid: int, ask: int, qty: int) -> None:
            levels = {"bids": [{"price": bid, "qty": qty}], "asks": [{"price": ask, "qty": qty}]}
            reply = self.ask("put_quotes", params={"market_id": lab.symbol, "quote_id": "q", **levels})
            assert (reply["type"] == "ack") == (self.mine is not None), reply

        @precondition(lambda self: self.resting)
        @rule(data=st.data(), price=st.integers(1, 99) | ODD_NUMBERS, qty=st.integers(1, 5) | ODD_NUMBERS)
        def amend(self, data: st.DataObject, price: Any, qty: Any) -> None:
            whose, order_id = data.draw(st.sampled_from(self.resting))
            reply = self.ask("amend_order", params={"order_id": order_id, "price": price, "qty": qty})
            assert self.mine == whose or reply["type"] == "error", reply

        @precondition(lambda self: self.resting)
        @rule(data=st.data())
        def cancel(self, data: st.DataObject) -> None:
            whose, order_id = data.draw(st.sampled_from(self.resting))
            reply = self.ask("cancel_order", params={"order_id": order_id})
            if self.mine != whose:
                assert reply["code"] == ("UNAUTHENTICATED" if self.mine is None else "FORBIDDEN"), reply
                return
            assert reply["type"] == "ack" or reply["code"] in ("ORDER_NOT_OPEN", "ORDER_ALREADY_FILLED"), reply
            assert self.ask("cancel_order", params={"order_id": order_id})["type"] == "error", "it is gone"

        @rule(params=parameters(lab))
        def quote(self, params: Any) -> None:
            self.ask("put_quotes", params=params)

        @rule()
        def cancel_all(self) -> None:
            reply = self.ask("cancel_all", params={})
            assert (reply["type"] == "ack") == (self.mine is not None), reply

        @rule(text=st.text(max_size=30))
        def babble(self, text: str) -> None:
            before = len(self.socket.replies)
            self.socket.send(text.encode("utf-8", "replace"))
            self.socket.wait_replies(before + 1)
            assert self.socket.replies[-1]["code"] == "INVALID_MESSAGE"

        @rule()
        def binary(self) -> None:
            before = len(self.socket.replies)
            self.socket.send_bytes(frame(BINARY, b'{"op":"ping"}'))
            self.socket.wait_replies(before + 1)
            assert self.socket.replies[-1]["code"] == "INVALID_MESSAGE"

        @rule(politely=st.booleans())
        def dial_again(self, politely: bool) -> None:
            if politely:
                self.socket.send_bytes(frame(CLOSE, (1000).to_bytes(2, "big")))
                assert self.socket.until_ended().code == 1000
            self.socket.close()
            self.socket, self.mine, self.listens = Socket(port(lab)), None, set()

        @invariant()
        def hears_only_what_it_asked_for(self) -> None:
            assert {event["channel"] for event in self.socket.events} <= self.listens

        def teardown(self) -> None:
            self.socket.pinged()
            self.socket.close()
            bystander.pinged()

    run_state_machine_as_test(Session, settings=bounds(request, 30, 300, stateful_step_count=50))
    print(f"{steps.total()} steps, {dict(steps)}")
