"""Frames as they come in, in whatever pieces: the short way of plain messages changes nothing but what they cost."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState
from websockets.streams import StreamReader

from raeth.api.streams import wire as wires
from raeth.api.streams.wire import TURNS_MAX, StreamSocket
from tests.streams.harness import Hall

MOST = 300
"""Bytes of a message."""

HANDSHAKE = (
    b"GET /stream HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class End(asyncio.Transport):
    """The system's side of one connection: notes in `log` what is done to it."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self._log = log
        self._closing = False
        self.over = asyncio.Event()

    def write(self, data: Any) -> None:
        self._log.append(("written", bytes(data)))

    def write_eof(self) -> None:
        self._log.append("eof")

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._log.append("closed")
        self._closing = True

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._log.append("paused")

    def resume_reading(self) -> None:
        self._log.append("resumed")

    def get_write_buffer_size(self) -> int:
        return 0


async def opened(log: list[Any], *, plainly: bool = False) -> StreamSocket:
    """A socket behind its handshake, heard into `log`. `plainly`: every frame goes through the general parser."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await end.over.wait()

    end = End(log)
    config = uvicorn.Config(app, ws_max_size=MOST, ws_per_message_deflate=False, log_config=None, ws_ping_interval=None)
    config.load()
    made = StreamSocket(config, ServerState(), {})
    if plainly:
        made.conn.reader = StreamReader()
        made.conn.parser = made.conn.parse()
        next(made.conn.parser)
    made.connection_made(end)
    made.data_received(HANDSHAKE)
    while not made.handshake_complete:
        await asyncio.sleep(0)
    log.clear()
    made.hears = lambda text: log.append(("heard", text))
    return made


async def let_go(made: StreamSocket) -> None:
    if made.close_timer is not None:
        made.close_timer.cancel()
    cast("End", made.transport).over.set()
    await asyncio.gather(*made.tasks)


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, mask: bool = True, wide: int = 0) -> bytes:
    """`wide`: 126 or 127 for a size written longer than it need be."""
    size, bit = len(payload), 0x80 if mask else 0
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    if wide == 127 or size > 65_535:
        head += struct.pack("!BQ", bit | 127, size)
    elif wide == 126 or size > 125:
        head += struct.pack("!BH", bit | 126, size)
    else:
        head += bytes((bit | size,))
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


sizes = st.sampled_from([0, 1, 5, 124, 125, 126, 127, MOST - 1, MOST])
payloads = st.one_of(
    st.text(max_size=30).map(str.encode), st.binary(max_size=6), sizes.map(lambda size: b"x" * size)
).filter(lambda payload: len(payload) <= MOST)
texts = st.text(max_size=20).map(str.encode) | sizes.map(lambda size: b"x" * size)
plain = st.builds(frame, st.just(TEXT), texts, wide=st.sampled_from([0, 0, 0, 126, 127]))
control = st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def in_parts(draw: st.DrawFn) -> bytes:
    """One message in several frames, control frames between them."""
    parts = draw(st.lists(st.text(max_size=9).map(str.encode) | st.binary(max_size=3), min_size=2, max_size=4))
    made = b""
    for place, part in enumerate(parts):
        opcode = CONT if place else draw(st.sampled_from([TEXT, TEXT, BINARY]))
        made += frame(opcode, part, fin=place == len(parts) - 1)
        made += draw(st.just(b"") | control)
    return made


wrong = st.one_of(
    st.builds(frame, st.just(TEXT), st.just(b"x"), rsv=st.integers(1, 7)),
    st.builds(frame, st.just(TEXT), st.just(b"x"), mask=st.just(False)),
    st.builds(frame, st.integers(0, 15), payloads, fin=st.booleans()),
    st.integers(MOST + 1, 70_000).map(lambda size: frame(TEXT, b"x" * size)),
    st.just(frame(TEXT, b"\xff")),
    st.binary(min_size=1, max_size=20),
    st.sampled_from([b"", b"\x03", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe8\xff", b"\x00\x01"]).map(
        lambda payload: frame(CLOSE, payload)
    ),
)
sequences = st.lists(
    st.one_of(plain, plain, plain, control, in_parts(), st.builds(frame, st.just(BINARY), payloads), wrong), max_size=12
).map(b"".join)


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    data = draw(sequences)
    near = st.integers(0, min(len(data), 40)) | st.integers(0, len(data))
    cuts = sorted(draw(st.lists(near, max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


async def heard(given_pieces: list[bytes], *, plainly: bool) -> tuple[list[Any], list[Any]]:
    """What came of them, in order, and what was put aside for the application to wait for."""
    log: list[Any] = []
    made = await opened(log, plainly=plainly)
    for piece in given_pieces:
        if not cast("End", made.transport).is_closing():
            made.data_received(piece)
    left = [made.queue.get_nowait() for _ in range(made.queue.qsize())]
    came = list(log)
    await let_go(made)
    return came, left


def bounds(request: pytest.FixtureRequest, ordinary: int) -> settings:
    examples = 20_000 if request.config.getoption("--long") else ordinary
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None)


@pytest.mark.timeout(1_800)  # for --long; ordinarily it is seconds
def test_any_pieces_of_any_frames_are_heard_the_same_both_ways(request: pytest.FixtureRequest) -> None:
    seen: Counter[str] = Counter()

    @bounds(request, 300)
    @given(pieces())
    def run(given_pieces: list[bytes]) -> None:
        log, left = runner.run(heard(given_pieces, plainly=False))
        assert (log, left) == runner.run(heard(given_pieces, plainly=True))
        seen.update(entry[0] if isinstance(entry, tuple) else entry for entry in log)
        seen.update(f"ended {message['code']}" for message in left if "code" in message)

    with asyncio.Runner() as runner:
        run()
    assert {"heard", "written", "ended 1000", "ended 1002", "ended 1007", "ended 1009"} <= set(seen), seen


@pytest.mark.timeout(1_800)
def test_what_is_plain_takes_the_short_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is cut; and what follows something else takes it again with the next piece."""
    taken: list[bytes] = []
    apply_mask: Callable[[Any, Any], bytes] = vars(wires)["apply_mask"]

    def counted(data: Any, mask: Any) -> bytes:
        taken.append(apply_mask(data, mask))
        return taken[-1]

    monkeypatch.setattr(wires, "apply_mask", counted)

    @bounds(request, 50)
    @given(st.lists(texts, min_size=1, max_size=8), st.data())
    def run(payloads: list[bytes], data: st.DataObject) -> None:
        whole = b"".join(frame(TEXT, payload) for payload in payloads)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        cut = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True) if start < end]
        taken.clear()
        log, left = runner.run(heard([frame(PING, b""), *cut], plainly=False))
        assert not left and [entry[1] for entry in log[1:]] == [payload.decode() for payload in payloads]
        assert taken == payloads

    with asyncio.Runner() as runner:
        run()


async def test_many_messages_in_one_piece_leave_others_their_turn() -> None:
    log: list[Any] = []
    made = await opened(log)
    made.data_received(b"".join(frame(TEXT, b"%d" % n) for n in range(3 * TURNS_MAX)))
    assert log == [*(("heard", str(n)) for n in range(TURNS_MAX)), "paused"]
    texts = [cast("Any", made.queue.get_nowait())["text"] for _ in range(made.queue.qsize())]
    assert texts == [str(n) for n in range(TURNS_MAX, 3 * TURNS_MAX)]
    await let_go(made)


async def test_what_must_wait_keeps_all_later_messages_waiting() -> None:
    log: list[Any] = []
    made = await opened(log)

    async def later() -> None: ...

    made.hears = lambda text: log.append(text) if text != "later" else later
    for text in ("a", "b", "later", "c", "later", "d"):
        made.data_received(frame(TEXT, text.encode()))
    assert log == ["a", "b", "paused"], "reading stops with the first that waits"
    waiting = [cast("Any", made.queue.get_nowait()) for _ in range(made.queue.qsize())]
    assert waiting[0]["rest"] is later and [message["text"] for message in waiting[1:]] == ["c", "later", "d"]
    await let_go(made)


async def test_a_piece_of_everything_is_served_in_its_order(hall: Hall) -> None:
    """Orders that wait for nothing, orders that must be looked up, control messages, nonsense: hundreds at once."""
    alice = await hall.desk.trader("alice")
    peer = await hall.peer(alice)
    replies, sent = [], []
    for n in range(300):
        market = "NOWHERE" if n % 7 == 3 else hall.desk.symbol
        body = {"market_id": market, "side": "BUY", "type": "LIMIT", "price": 0 if n % 5 else 40, "qty": 1}
        op, fields = ("submit_order", {"params": body}) if n % 3 else ("ping", {})
        text, reply = peer.post(op, **fields)
        sent.append(text)
        replies.append(reply)
    nonsense = json.dumps({"op": "nonsense"})
    peer.wire.transport.write(b"".join(frame(TEXT, text.encode()) for text in [*sent, nonsense, sent[0]]))
    found = await asyncio.wait_for(asyncio.gather(*replies), 30)
    placed = [reply["data"]["seq"] for reply in found if "seq" in reply["data"] and "order_id" in reply["data"]]
    assert placed == sorted(set(placed)) and len(placed) == 200, "commands have the places they were sent in"
    pings = [reply["request_id"] for reply in peer.order if reply.get("op") == "ping"]
    assert pings[:100] == [f"r{n + 1}" for n in range(0, 300, 3)]
    await peer.caught_up()
    assert [other["type"] for other in peer.others] == ["error", "ack"]
