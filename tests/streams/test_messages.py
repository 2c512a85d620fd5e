"""What may be said, how much of it, and that nothing said can hurt."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raeth.api.streams.wire import FRAGMENTS_MAX
from raeth.config import Settings
from raeth.errors import CATALOGUE
from tests.api.harness import Trader
from tests.streams.harness import Hall, Peer, limits, opened_hall, until

DOCUMENTED = {1000, 1007, 1008, 1009, 1012, 1013}
"""How a socket may end: section 11, section 12 and, for what is no text, RFC 6455."""


def masked(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    """A client's frame under a mask of zeros, whatever is in it."""
    head = bytes(((0x80 if fin else 0) | opcode,))
    size = len(payload)
    if size < 126:
        head += bytes((0x80 | size,))
    elif size < 65_536:
        head += bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


async def invalid(peer: Peer, message: Any) -> dict[str, Any]:
    """An error without `request_id`, told of a message that cannot be understood."""
    before = len(peer.others)
    await peer.send(message)
    await until(lambda: len(peer.others) > before)
    error = peer.others[-1]
    assert (error["type"], error["code"]) == ("error", "INVALID_MESSAGE"), error
    assert set(error) == {"type", "op", "request_id", "code", "message", "details"}
    return error


async def test_what_cannot_be_understood_is_said_to_be_so(hall: Hall) -> None:
    peer = await hall.anyone()
    for message in (
        "", " ", "x", "{", "[]", "1", "null", '"ping"', "{}", '{"op": null}', '{"op": 1}', '{"op": "nonsense"}',
        '{"op": "ping"} x', '{"op": "ping", "nonsense": 1}', '{"op": "ping", "channels": ["venue"]}',
        '{"op": "subscribe"}', '{"op": "subscribe", "channels": []}', '{"op": "subscribe", "channels": "venue"}',
        '{"op": "subscribe", "channels": [1]}', '{"op": "subscribe", "channels": null}',
        '{"op": "authenticate"}', '{"op": "authenticate", "api_key": 1}', '{"op": "ping", "request_id": 1}',
        '{"op": "ping", "request_id": ""}', json.dumps({"op": "ping", "request_id": "x" * 129}),
        '{"op": "submit_order", "api_key": "x"}', '{"op": "ping", "params": {}}', "[" * 16_000,
        '{"op": "submit_order", "params": ' + "[" * 8_000 + "]" * 8_000 + ', "nonsense": 1}',
        b"\x00binary", b'{"op": "ping"}',
    ):  # fmt: skip
        await invalid(peer, message)
    assert (await invalid(peer, '{"op": "subscribe", "request_id": "mine"}'))["request_id"] == "mine"
    assert (await invalid(peer, '{"op": "subscribe", "request_id": "mine"}'))["op"] == "subscribe"
    assert (await invalid(peer, '{"op": "<script>", "request_id": "mine"}'))["op"] is None
    for same in (None, {}):
        await peer.send(json.dumps({"op": "ping", "channels": None, **({} if same is None else {"from_seq": None})}))
    await peer.caught_up()
    assert [m["type"] for m in peer.others[-2:]] == ["ack", "ack"], "null is the same as absent"


async def test_nothing_of_the_message_comes_back(hall: Hall) -> None:
    peer = await hall.anyone()
    for message in (
        '{"op": "sekret"}',
        '{"op": "ping", "sekret": "sekret"}',
        '{"op": "subscribe", "channels": "sekret"}',
    ):
        error = await invalid(peer, message)
        assert "sekret" not in json.dumps(error).replace("Object contains unknown field `sekret`", "")
    for code, channel in (("UNSUPPORTED_CHANNEL", "sekret"), ("UNKNOWN_MARKET", "book.sekret")):
        assert "sekret" not in json.dumps(await peer.error(code, "subscribe", channels=[channel]))


async def test_frames_have_a_size(hall: Hall) -> None:
    most = hall.desk.venue.settings.limits.frame_bytes
    pad = {"op": "ping", "request_id": "x"}
    fits = json.dumps(pad) + " " * (most - len(json.dumps(pad)))
    peer = await hall.anyone()
    await peer.send(fits)
    await peer.caught_up()
    assert peer.order[0]["request_id"] == "x"
    await peer.close()
    for size in (most + 1, 5_000_000):
        peer = await hall.anyone()
        peer.wire.transport.write(masked(1, b" " * size))
        assert (await peer.ended())[0] == 1009, size
    peer = await hall.anyone()
    await peer.caught_up()
    for n in range(5):
        peer.wire.transport.write(masked(0 if n else 1, b" " * 4_000, fin=False))
    assert (await peer.ended())[0] == 1009, "the size is the message's, however it is cut"
    await until(lambda: not hall.hub.readers and not hall.hub.places._open)


async def test_a_message_in_pieces(hall: Hall) -> None:
    peer = await hall.anyone()
    await peer.wire.send(['{"op": "pi', 'ng", "requ', 'est_id": "x"}'])
    await peer.caught_up()
    assert peer.order[0]["request_id"] == "x"
    peer.wire.transport.write(masked(1, b'{"op":', False) + masked(9, b"!") + masked(0, b' "ping"}'))
    await peer.caught_up()
    for n in range(FRAGMENTS_MAX + 1):
        peer.wire.transport.write(masked(0 if n else 1, b"", fin=False))
    assert (await peer.ended())[0] == 1009, "empty pieces without end"


async def test_text_is_utf_8(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    for payload in (b"\xff", b'{"op": "ping", "request_id": "\xed\xa0\x80"}'):
        peer = await hall.anyone()
        peer.wire.transport.write(masked(1, payload))
        assert (await peer.ended())[0] == 1007
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    peer = await hall.anyone()
    await peer.send('{"op": "ping", "request_id": "å\\u00e5😀"}')
    await peer.caught_up()
    assert peer.order[0]["request_id"] == "åå😀"


async def test_broken_frames_end_the_socket_and_nothing_else(hall: Hall) -> None:
    witness = await hall.anyone()
    for frames in (b"\xff\xff\xff\xff", b"\x81\x05hello", masked(0, b"x"), masked(3, b"x"), masked(9, b"x" * 126)):
        peer = await hall.anyone()
        peer.wire.transport.write(frames)
        assert (await peer.ended())[0] == 1002
    await witness.caught_up()


async def test_pings_that_nobody_reads_the_answers_of(tmp_path: Path) -> None:
    """Answering them must not fill the memory."""
    async with opened_hall(tmp_path) as hall:
        peer = await hall.anyone()
        await peer.caught_up()
        [reader] = hall.hub.readers
        wire = reader._wire  # type: ignore[attr-defined]
        peer.wire.transport.pause_reading()
        ping = masked(9, b"x" * 125) * 1_000
        highest = 0
        for _ in range(100):  # 13 MB
            peer.wire.transport.write(ping)
            await asyncio.sleep(0)
            highest = max(highest, wire.unread_bytes)
        await until(lambda: not peer.wire.transport.get_write_buffer_size())
        assert max(highest, wire.unread_bytes) < 1_000_000
        peer.wire.transport.resume_reading()
        await peer.caught_up()


async def test_control_messages_have_a_budget(tmp_path: Path) -> None:
    few = Settings().limits.model_copy(update={"control_messages_per_minute": 10})
    async with opened_hall(tmp_path, open_limits=few) as hall:
        alice = await hall.desk.trader("alice")
        peer = await hall.peer(alice)
        for _ in range(4):
            await peer.ack("ping")
        await peer.ack("subscribe", channels=["venue"])
        await peer.ack("unsubscribe", channels=["venue"])
        await peer.error("UNSUPPORTED_CHANNEL", "subscribe", channels=["x"])
        await peer.ack("authenticate", api_key=alice.key)
        for _ in range(2):
            await invalid(peer, "x")
        for n in range(10):
            reply = await peer.error(
                "RATE_LIMITED", ("ping", "subscribe")[n % 2], **({"channels": ["venue"]} if n % 2 else {})
            )
            assert 0 < reply["retry_after_ms"] <= 60_000
        order = {"market_id": hall.desk.symbol, "side": "BUY", "type": "LIMIT", "price": 40, "qty": 1}
        await peer.ack("submit_order", params=order)
        await peer.send("x")
        assert await peer.ended() == (1008, "RATE_LIMITED")


async def test_subscriptions_have_a_number_before_anything_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened_hall(tmp_path, open_limits=limits(subscriptions_per_socket=6)) as hall:
        peer, desk = await hall.anyone(), hall.desk
        names = [f"{kind}.{name}" for kind in ("book", "l3") for name in (desk.symbol, desk.market_id)]
        await peer.subscribe(*names, "venue", "markets")
        await peer.subscribe(*names, "venue", "markets")
        reply = await peer.error("VALIDATION_FAILED", "subscribe", channels=["feed.btc"])
        assert reply["details"][0]["field"] == "channels"
        await peer.ack("unsubscribe", channels=["venue", "venue"])
        await peer.subscribe("feed.btc")
        asked: list[str] = []
        looked_up = desk.venue.store.market_by_symbol

        async def counted(symbol: str) -> Any:
            asked.append(symbol)
            return await looked_up(symbol)

        monkeypatch.setattr(desk.venue.store, "market_by_symbol", counted)
        fresh = await hall.anyone()
        await fresh.error("VALIDATION_FAILED", "subscribe", channels=[f"book.X{n}" for n in range(900)])
        await fresh.error("VALIDATION_FAILED", "unsubscribe", channels=[f"book.X{n}" for n in range(900)])
        assert len(asked) <= 6


# ---- anything at all ----

texts = st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))
OPS = ("subscribe", "unsubscribe", "ping", "submit_order", "cancel_order", "amend_order", "cancel_all", "put_quotes")
"""All but `authenticate`: a wrong key costs a look at the tables, and what it does is tested elsewhere."""
channels = st.sampled_from(
    [
        "venue",
        "markets",
        "feed.btc",
        "leaderboard",
        "book.",
        "book.{m}",
        "l3.{m}",
        "trades.{m}",
        "private.{a}",
        "private.",
    ]
)
orders = st.fixed_dictionaries(
    {},
    optional={
        "market_id": st.just("{m}") | values,
        "side": st.sampled_from(["BUY", "SELL"]) | values,
        "type": st.sampled_from(["LIMIT", "MARKET"]) | values,
        "tif": st.sampled_from(["GTC", "IOC", "FOK", "POST_ONLY"]) | values,
        "price": st.integers(-2, 120) | values,
        "qty": st.integers(-2, 3_000) | values,
        "order_id": texts | st.just("{o}"),
        "client_order_id": texts,
        "quote_id": texts,
        "bids": st.lists(st.fixed_dictionaries({"price": st.integers(0, 100), "qty": st.integers(0, 5)}), max_size=25),
        "asks": values,
    },
)
messages = st.one_of(
    values,
    st.fixed_dictionaries(
        {"op": st.sampled_from(OPS) | texts},
        optional={
            "request_id": texts | values,
            "channels": st.lists(channels | texts, max_size=5) | values,
            "from_seq": st.integers(-5, 200) | values,
            "cancel_on_disconnect": values,
            "params": orders | values,
            "nonsense": values,
        },
    ),
)
raw = st.one_of(
    messages.map(json.dumps),
    st.text(max_size=50),
    st.binary(max_size=50),
    messages.map(lambda message: json.dumps(message)[:-1]),
)


@pytest.mark.parametrize("as_whom", ["anyone", "alice"])
async def test_anything_may_be_said(tmp_path: Path, as_whom: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every message gets exactly one answer, with a code of the catalogue and never INTERNAL_ERROR, or the socket ends
    with a documented code; what is refused changes nothing."""
    async with opened_hall(tmp_path, open_limits=limits(subscriptions_per_socket=128)) as hall:
        alice = await hall.desk.trader("alice", 1_000_000)
        resting = await alice.place("BUY", 1, 1)
        peer = await (hall.anyone() if as_whom == "anyone" else hall.peer(alice))

        async def say(all_of_it: list[str | bytes]) -> None:
            for message in all_of_it:
                text = message
                if isinstance(text, str):
                    text = text.replace("{m}", hall.desk.symbol).replace("{a}", alice.uuid)
                    text = text.replace("{o}", resting["order_id"])
                seq, before = hall.desk.sequencer.durable_seq, len(answers(peer))
                await peer.send(text)
                answer = await next_answer(peer, before)
                check(answer, text)
                if answer["type"] == "error" and answer["code"] not in ENGINE_SAID:
                    assert hall.desk.sequencer.durable_seq == seq, (text, answer)
                await peer.caught_up()
                assert len(answers(peer)) == before + 1
            assert peer.closed is None

        await driven(say)
        hall.desk.check()
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


ENGINE_SAID = {"ORDER_NOT_FOUND", "ORDER_NOT_OPEN", "ORDER_ALREADY_FILLED", "FORBIDDEN", "AMEND_CONFLICT"}
"""Errors that the engine found: the refused command has its row in the journal."""


def answers(peer: Peer) -> list[dict[str, Any]]:
    return [m for m in peer.others if m["type"] in ("ack", "reject", "error")]


async def next_answer(peer: Peer, before: int) -> dict[str, Any]:
    await until(lambda: len(answers(peer)) > before)
    return answers(peer)[-1]


def check(answer: dict[str, Any], text: str | bytes) -> None:
    if answer["type"] != "ack":
        assert answer["code"] in CATALOGUE and answer["code"] != "INTERNAL_ERROR", (text, answer)
        assert answer["code"] != "SERVICE_DEGRADED", (text, answer)


async def driven(say: Any) -> None:
    """Hypothesis calls a plain function; the venue lives in this loop, so its examples run in a thread of their own."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(raw, min_size=1, max_size=5))
    def run(all_of_it: list[str | bytes]) -> None:
        asyncio.run_coroutine_threadsafe(say(all_of_it), loop).result(30)

    await asyncio.to_thread(run)


async def test_a_market_is_not_needed_to_be_known_twice(hall: Hall) -> None:
    """The same name twice in one message is one subscription."""
    peer = await hall.anyone()
    await peer.ack("subscribe", channels=["venue", "venue"])
    await hall.quiet(peer)
    assert len(peer.heard["venue"]) == 1


def test_close_codes_are_the_documented_ones() -> None:
    from raeth.api.streams import wire

    assert {wire.TOO_SLOW, wire.POLICY, wire.NOT_TEXT, wire.TOO_LARGE} <= DOCUMENTED


async def test_request_ids_are_echoed(hall: Hall, tmp_path: Path) -> None:
    alice: Trader = await hall.desk.trader("alice")
    peer = await hall.peer(alice)
    for op in ("ping", "cancel_all", "submit_order", "nonsense"):
        for request_id in ("a", "x" * 128, "\u2028", None):
            before = len(answers(peer))
            await peer.send({"op": op, "request_id": request_id})
            assert (await next_answer(peer, before))["request_id"] == request_id
