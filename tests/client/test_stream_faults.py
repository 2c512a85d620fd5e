"""What a stream does when its connection misbehaves in ways a healthy venue does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from raeth.client.channels import Event
from raeth.client.client import AsyncClient
from raeth.client.errors import Disconnected, OrderRejected, Uncertain, VenueError
from raeth.client.link import Pauses
from raeth.client.stream import Stream
from tests.client.peer import Frame, Peer, acknowledged, refused
from tests.client.test_mirror import order_body

PRIVATE = "private.me"


@asynccontextmanager
async def stream_to(
    peer: Peer, patience_s: float = 5.0, timeout_s: float = 2.0, **options: Any
) -> AsyncIterator[Stream]:
    options.setdefault("pauses", Pauses(0.01, 0.05))
    async with (
        AsyncClient(peer.url, "rk_live_test", patience_s=patience_s, timeout_s=timeout_s) as client,
        Stream(client, **options) as stream,
    ):
        yield stream


async def next_of(stream: Stream, within_s: float = 5.0) -> Event:
    async with asyncio.timeout(within_s):
        return await anext(stream)


async def until_fresh(stream: Stream, peer: Peer, connections: int) -> None:
    await peer.until(lambda: len(peer.sockets) >= connections)
    async with asyncio.timeout(5):
        while not (stream.fresh and stream.connects >= connections):
            await asyncio.sleep(0.005)


# ---- channels ----


async def test_authenticates_in_the_handshake_and_is_fresh_from_the_snapshot_on() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        assert peer.headers[0]["Authorization"] == "Bearer rk_live_test"
        assert "Sec-WebSocket-Extensions" not in peer.headers[0]  # no compression
        peer.snapshots = False
        await stream.subscribe("markets")
        assert not stream.fresh
        await peer.tell("markets", "delta")
        await peer.tell("markets", "snapshot", {"items": []})
        assert await next_of(stream) == Event("markets", "snapshot", 2, 1, "2026-11-20T10:30:00.123Z", {"items": []})
        assert stream.fresh


async def test_orders_tied_to_the_socket_need_a_first_message() -> None:
    async with Peer() as peer, stream_to(peer, cancel_on_disconnect=True) as stream:
        assert "Authorization" not in peer.headers[0]
        await stream.ping()
        peer.socket.transport.abort()
        await stream.ping()
        expected = {"op": "authenticate", "api_key": "rk_live_test", "cancel_on_disconnect": True}
        sent = [{name: m[name] for name in expected} for m in peer.asked("authenticate")]
        assert sent == [expected, expected] and [m["op"] for m in peer.got][::2] == ["authenticate"] * 2


async def test_a_gap_means_subscribing_again() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        await stream.subscribe("book.m", "trades.m")
        await until_fresh(stream, peer, 1)
        peer.snapshots = False
        await peer.tell("book.m", "delta", "lost before it", skipping=1)
        await peer.until(lambda: len(peer.asked("subscribe")) == 2)
        assert peer.got[-1]["channels"] == ["book.m"] and stream.gaps == 1 and not stream.fresh
        await peer.tell("book.m", "snapshot", "new")
        told = [await next_of(stream) for _ in range(3)]
        assert [(event.channel, event.data) for event in told] == [("book.m", {}), ("trades.m", {}), ("book.m", "new")]
        assert stream.fresh and len(peer.sockets) == 1


async def test_silence_is_a_dead_connection() -> None:
    async with Peer() as peer, stream_to(peer, silence_s=0.3) as stream:
        await stream.subscribe("markets")
        await until_fresh(stream, peer, 2)
        assert stream.connects >= 2 and len(peer.asked("subscribe")) >= 2


async def test_heartbeats_are_no_silence() -> None:
    async with Peer() as peer, stream_to(peer, silence_s=0.6) as stream:
        for beat in range(10):
            await peer.say({"type": "heartbeat", "ts": "2026-11-20T10:30:00.123Z", "seq": beat, "reference_age_ms": 5})
            await asyncio.sleep(0.1)
        assert stream.connects == 1 and stream.seq == 9


@pytest.mark.parametrize("end", ["abort", "1000", "1012", "1013", "garbage"])
async def test_whatever_ends_a_connection_another_one_follows(end: str) -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        await stream.subscribe("markets", "venue")
        if end == "abort":
            peer.socket.transport.abort()
        elif end == "garbage":
            await peer.socket.send('{"type": 1')
        else:
            await peer.say({"type": "resync_required", "reason": "slow"})
            await peer.part(int(end))
        await until_fresh(stream, peer, 2)
        assert [sorted(m["channels"]) for m in peer.asked("subscribe")] == [["markets", "venue"]] * 2
        told = [await next_of(stream) for _ in range(4)]
        assert [event.type for event in told] == ["snapshot"] * 4


async def test_a_cut_in_the_middle_of_a_frame_delivers_nothing_of_it() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        await stream.subscribe("markets")
        frame = json.dumps(
            {"channel": "markets", "type": "event", "channel_seq": 2, "seq": 2, "ts": "t", "data": "half"}
        )
        peer.socket.transport.write(b"\x81" + bytes([len(frame)]) + frame[:-9].encode())
        await asyncio.sleep(0.05)
        peer.socket.transport.close()
        await until_fresh(stream, peer, 2)
        told = [await next_of(stream) for _ in range(2)]
        assert [event.data for event in told] == [{}, {}]


async def test_a_private_channel_is_resumed_within_a_seq() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        await stream.subscribe(PRIVATE)
        await peer.tell(PRIVATE, data="5a", seq=5)
        await peer.tell(PRIVATE, data="6a", seq=6)
        assert [(await next_of(stream)).data for _ in range(3)] == [{}, "5a", "6a"]
        peer.socket.transport.abort()
        await peer.until(lambda: len(peer.asked("subscribe")) == 2)
        assert peer.got[-1]["from_seq"] == 6
        for data, seq in (("6a", 6), ("6b", 6), ("7a", 7)):
            await peer.tell(PRIVATE, data=data, seq=seq)
        assert [(await next_of(stream)).data for _ in range(2)] == ["6b", "7a"]


async def test_a_past_that_is_gone_is_a_snapshot() -> None:
    def reply(message: Frame) -> Frame:
        return refused(message, "VALIDATION_FAILED") if "from_seq" in message else acknowledged(message)

    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = reply
        await stream.subscribe(PRIVATE, from_seq=3)
        assert (await next_of(stream)).type == "snapshot" and len(peer.asked("subscribe")) == 2


async def test_a_channel_that_does_not_exist_is_refused_alone() -> None:
    def reply(message: Frame) -> Frame:
        return refused(message, "UNSUPPORTED_CHANNEL") if "nonsense" in message["channels"] else acknowledged(message)

    async with Peer() as peer, stream_to(peer) as stream:
        await stream.subscribe("markets")
        peer.reply = reply
        with pytest.raises(VenueError, match="UNSUPPORTED_CHANNEL"):
            await stream.subscribe("nonsense")
        assert stream.channels == ["markets"] and stream.fresh
        peer.reply = lambda m: refused(m, "UNKNOWN_MARKET") if "book.m" in m["channels"] else acknowledged(m)
        with pytest.raises(VenueError, match="UNKNOWN_MARKET"):
            await stream.subscribe("trades.m", "book.m")


async def test_a_channel_that_ends_while_away_is_told_as_ended() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        await stream.subscribe("markets", "book.m")
        peer.reply = lambda m: refused(m, "UNKNOWN_MARKET") if "book.m" in m["channels"] else acknowledged(m)
        peer.socket.transport.abort()
        told = [await next_of(stream) for _ in range(4)]
        ended = next(event for event in told if event.type == "ended")
        assert (ended.channel, ended.data["code"]) == ("book.m", "UNKNOWN_MARKET")
        await until_fresh(stream, peer, 2)
        assert stream.channels == ["markets"]


async def test_a_budget_of_control_messages_is_waited_for() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = lambda m: (
            refused(m, "RATE_LIMITED", retry_after_ms=300) if len(peer.asked("subscribe")) == 1 else acknowledged(m)
        )
        began = asyncio.get_running_loop().time()
        await stream.subscribe("markets")
        assert asyncio.get_running_loop().time() - began >= 0.3


async def test_a_slow_consumer_costs_no_memory_and_misses_nothing_private() -> None:
    """Beyond the buffer everything is left out until it has caught up; then public channels begin anew, and the private
    one goes on where it stopped reading."""
    async with Peer() as peer, stream_to(peer, buffer_events=10) as stream:
        await stream.subscribe(PRIVATE, "trades.m")
        read = [await next_of(stream) for _ in range(2)]
        for seq in range(1, 6):
            await peer.tell(PRIVATE, data=seq, seq=seq + 1)
        read += [await next_of(stream) for _ in range(5)]
        for seq in range(6, 1_000):
            await peer.tell("trades.m", data=seq, seq=seq + 1)
            assert len(stream._buffer) <= 10
        async with asyncio.timeout(5):
            while not stream.overflows:
                await asyncio.sleep(0.005)
        assert not stream.fresh and not stream._buffer
        waiting = asyncio.create_task(next_of(stream))
        await peer.until(lambda: len(peer.asked("subscribe")) == 4)
        resumed = next(m for m in peer.asked("subscribe")[2:] if m["channels"] == [PRIVATE])
        assert resumed["from_seq"] == 6
        assert (await waiting).type == "snapshot"
        await peer.tell(PRIVATE, data=5, seq=6)
        await peer.tell(PRIVATE, data=6, seq=7)
        assert (await next_of(stream)).data == 6


# ---- refusals, pauses ----


@pytest.mark.parametrize("code", ["AUTH_INVALID", "AUTH_REVOKED", "AUTH_EXPIRED"])
async def test_a_key_that_is_no_good_ends_the_stream(code: str) -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        await stream.subscribe("markets")
        await peer.part(1008, code=code)
        await next_of(stream)
        with pytest.raises(VenueError, match=code) as told:
            await next_of(stream)
        assert told.value.http == 401
        for call in (stream.ping(), stream.place("m", "BUY", 1, 50), stream.subscribe("venue")):
            with pytest.raises(VenueError, match=code):
                await call
        await asyncio.sleep(0.1)
        assert len(peer.sockets) == 1


async def test_one_connection_too_many_is_tried_again_later() -> None:
    async with Peer() as peer:

        async def shut_out(socket: ServerConnection) -> None:
            if len(peer.sockets) == 1:
                await peer.part(1008, code="RATE_LIMITED", retry_after_ms=400)

        peer.greet = shut_out
        async with stream_to(peer) as stream:
            await peer.until(lambda: len(peer.sockets) == 2)
            assert peer.opened_at[1] - peer.opened_at[0] >= 0.4
            await stream.ping()


async def test_no_venue_no_stream() -> None:
    async with AsyncClient("http://127.0.0.1:9", "rk_live_test", patience_s=0.3) as client:
        with pytest.raises(Disconnected, match="no stream within"):
            await Stream(client).connect()


def test_pauses_double_up_to_a_ceiling_and_are_never_the_same() -> None:
    pauses = Pauses(0.1, 1.0)
    drawn = [pauses.next_s() for _ in range(20)]
    for place, pause_s in enumerate(drawn):
        span_s = min(0.1 * 2**place, 1.0)
        assert span_s / 2 <= pause_s <= span_s
    assert len(set(drawn)) == len(drawn)
    assert 3.0 <= pauses.next_s(least_s=3.0) <= 6.0
    pauses.reset()
    assert pauses.next_s() <= 0.1


async def test_a_venue_that_hangs_up_at_once_is_not_hammered() -> None:
    async with Peer() as peer:

        async def hang_up(socket: ServerConnection) -> None:
            socket.transport.abort()

        peer.greet = hang_up
        async with stream_to(peer, pauses=Pauses(0.05, 10.0)) as stream:
            with suppress(TimeoutError):
                await peer.until(lambda: len(peer.sockets) > 6, 1.5)
            assert 3 <= len(peer.sockets) <= 6  # at 0, 0.05, 0.15, 0.35, 0.75, 1.55 s at the latest
            assert not stream.fresh


# ---- order entry ----


def placed(message: Frame, **more: Any) -> Frame:
    sent = message["params"]
    order = order_body("o1", sent["market_id"], sent["side"], sent.get("price", 50), sent["qty"]) | more
    order["client_order_id"] = sent["client_order_id"]
    kind = {"type": "ack"} if order["status"] != "REJECTED" else {"type": "reject", "code": "X", "message": "m"}
    return {**kind, "op": message["op"], "request_id": message["request_id"], "data": order}


async def test_replies_are_matched_by_request_id() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = lambda message: None
        calls = [asyncio.create_task(stream.place("m", "BUY", qty, 50)) for qty in range(1, 6)]
        await peer.until(lambda: len(peer.got) == 5)
        assert [m["params"]["qty"] for m in peer.got] == [1, 2, 3, 4, 5]  # sent in the order of the calls
        for message in reversed(peer.got):
            await peer.say(placed(message))
        assert [order.qty for order in await asyncio.gather(*calls)] == [1, 2, 3, 4, 5]


async def test_an_order_in_flight_is_sent_again_under_its_key() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = lambda message: None if len(peer.got) < 3 else placed(message, replayed=True)
        call = asyncio.create_task(stream.place("m", "BUY", 5, 50))
        for attempt in (1, 2):
            await peer.until(lambda attempt=attempt: len(peer.got) == attempt)
            peer.socket.transport.abort()
        assert (await call).replayed
        assert len(peer.sockets) == 3 and len({json.dumps(m["params"]) for m in peer.got}) == 1
        assert peer.got[0]["params"]["client_order_id"]


async def test_declines_are_raised_or_returned() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        declined = {"status": "REJECTED", "reject_reason": "X", "reject_details": {"retryable": True, "max_qty": 3}}
        peer.reply = lambda message: placed(message, **declined)
        with pytest.raises(OrderRejected) as told:
            await stream.buy("m", 5, 50)
        assert (told.value.reason, told.value.details.max_qty) == ("X", 3)
        assert (await stream.buy("m", 5, 50, raise_on_reject=False)).is_rejected


async def test_budgets_are_waited_for() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = lambda m: refused(m, "RATE_LIMITED", retry_after_ms=400) if len(peer.got) == 1 else placed(m)
        began = asyncio.get_running_loop().time()
        await stream.sell("m", 5, 50)
        assert asyncio.get_running_loop().time() - began >= 0.4 and len(peer.got) == 2


async def test_refusals_have_the_status_they_have_over_http() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        for code, http in (("EXCHANGE_FROZEN", 503), ("IDEMPOTENCY_CONFLICT", 409), ("UNAUTHENTICATED", 0)):
            peer.reply = lambda m, code=code: refused(m, code)
            with pytest.raises(VenueError) as told:
                await stream.sell("m", 5, 50)
            assert (told.value.code, told.value.http) == (code, http)


async def test_a_cancel_that_was_lost_and_done_is_done() -> None:
    cancelled = order_body("o1", "m", "BUY", 50, 5) | {"status": "CANCELLED", "cancel_reason": "USER"}
    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = lambda m: None if len(peer.got) == 1 else refused(m, "ORDER_NOT_OPEN")
        peer.http = lambda path: (200, cancelled)
        call = asyncio.create_task(stream.cancel("o1"))
        await peer.until(lambda: len(peer.got) == 1)
        peer.socket.transport.abort()
        assert (await call).cancel_reason == "USER"
        peer.reply = lambda m: refused(m, "ORDER_NOT_OPEN")
        with pytest.raises(VenueError, match="ORDER_NOT_OPEN"):
            await stream.cancel("o1")


async def test_an_amend_that_was_lost_and_done_is_not_sent_again() -> None:
    amended = order_body("o1", "m", "BUY", 52, 5)
    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = lambda m: None
        peer.http = lambda path: (200, amended)
        call = asyncio.create_task(stream.amend("o1", price=52))
        await peer.until(lambda: len(peer.got) == 1)
        peer.socket.transport.abort()
        assert (await call).price == 52 and len(peer.got) == 1


async def test_when_patience_ends_the_venue_is_asked_for_the_key() -> None:
    """Found: it is returned. Nobody to ask: Uncertain, which can be resolved later."""
    async with Peer() as peer, stream_to(peer, patience_s=0.5, timeout_s=0.3) as stream:
        peer.reply = lambda m: None
        asked: list[str] = []

        def http(path: str) -> tuple[int, Frame]:
            asked.append(path)
            return 200, order_body("o1", "m", "BUY", 50, 5)

        peer.http = http
        assert (await stream.place("m", "BUY", 5, 50)).order_id == "o1"
        key = peer.got[0]["params"]["client_order_id"]
        assert asked == [f"/api/v1/orders/by-client-id/{key}"]

        peer.http = lambda path: (503, {"code": "SERVICE_DEGRADED", "message": "m"})
        with pytest.raises(Uncertain) as doubt:
            await stream.place("m", "BUY", 5, 50)
        assert doubt.value.client_order_id == peer.got[-1]["params"]["client_order_id"]
        peer.http = http
        assert (await doubt.value.resolve()).order_id == "o1"


async def test_without_a_connection_nothing_was_placed() -> None:
    async with Peer() as peer, stream_to(peer, patience_s=0.5, timeout_s=0.3, pauses=Pauses(5, 5)) as stream:
        peer.socket.transport.abort()
        async with asyncio.timeout(5):
            while stream.connected:
                await asyncio.sleep(0.005)
        with pytest.raises(Disconnected, match="nothing was done"):
            await stream.place("m", "BUY", 5, 50)
        assert peer.got == []


async def test_an_order_in_flight_when_the_stream_is_closed_is_asked_for_over_http() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = lambda m: None
        peer.http = lambda path: (200, order_body("o1", "m", "BUY", 50, 5))
        call = asyncio.create_task(stream.place("m", "BUY", 5, 50))
        await peer.until(lambda: len(peer.got) == 1)
        await stream.aclose()
        assert (await call).order_id == "o1"
        with pytest.raises(Disconnected, match="closed"):
            await stream.place("m", "BUY", 5, 50)


async def test_closing_ends_what_waits() -> None:
    async with Peer() as peer, stream_to(peer) as stream:
        peer.reply = lambda m: None if m["op"] == "ping" else acknowledged(m)
        waiting: list[asyncio.Task[Any]]
        waiting = [asyncio.create_task(stream.ping()), asyncio.create_task(next_of(stream))]
        await peer.until(lambda: bool(peer.asked("ping")))
        await stream.aclose()
        with pytest.raises(Disconnected, match="closed"):
            await waiting[0]
        with pytest.raises(StopAsyncIteration):
            await waiting[1]
        await stream.aclose()
        assert not stream.fresh
