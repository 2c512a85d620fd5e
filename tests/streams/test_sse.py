"""Server-sent events: the same events for whoever has only HTTP, and the private channel resumed exactly."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from raeth.api.streams import hub as hub_module
from raeth.api.streams import sse as sse_module
from raeth.engine import commands as cmd
from tests.api.harness import ALL_SCOPES, Trader
from tests.streams.crowd import Crowd
from tests.streams.harness import WAIT_S, Hall, limits, opened_hall, until
from tests.streams.test_doors import key_of
from tests.streams.test_private import channel_of, told
from tests.streams.test_public import crowd_of
from tests.streams.test_readers import SMALL, burst, nothing_left


class Said(NamedTuple):
    """One server-sent event."""

    id: str | None
    event: str
    data: Any


class Listener:
    """An EventSource: it keeps what it hears."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.said: list[Said] = []
        self.comments: list[str] = []
        self.retry: int | None = None
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        fields: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            if line.startswith(":"):
                self.comments.append(line[1:].strip())
            elif line:
                name, _, value = line.partition(": ")
                assert name in ("id", "event", "data", "retry") and name not in fields
                fields[name] = value
            elif "retry" in fields:
                self.retry = int(fields.pop("retry"))
            elif fields:
                self.said.append(Said(fields.get("id"), fields["event"], json.loads(fields["data"])))
                fields = {}

    def of(self, channel: str) -> list[Any]:
        return [one.data for one in self.said if one.data.get("channel") == channel]

    async def ended(self, seconds: float = WAIT_S) -> None:
        await asyncio.wait_for(self.task, seconds)


@asynccontextmanager
async def listening(
    hall: Hall, channels: str, trader: Trader | None = None, last: str | None = None, query: str = ""
) -> AsyncIterator[Listener]:
    headers = {} if trader is None else {"Authorization": f"Bearer {trader.key}"}
    if last is not None:
        headers["Last-Event-ID"] = last
    async with (
        httpx2.AsyncClient(base_url=hall.url, timeout=WAIT_S) as http,
        http.stream("GET", f"/api/v1/sse?channels={channels}{query}", headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-request-id"] and response.headers["cache-control"] == "no-store"
        listener = Listener(response)
        try:
            yield listener
        finally:
            listener.task.cancel()
            await asyncio.gather(listener.task, return_exceptions=True)


async def test_the_same_events_as_over_a_socket(hall: Hall) -> None:
    crowd = await crowd_of(hall.desk, 5)
    trader = crowd.traders[0]
    channels = [f"l3.{hall.desk.symbol}", f"trades.{hall.desk.symbol}", "markets", "venue", channel_of(trader)]
    peer = await hall.peer(trader)
    await peer.subscribe(*channels)
    await hall.quiet(peer)
    async with listening(hall, ",".join(channels), trader) as listener:
        await until(lambda: {one.data.get("channel") for one in listener.said} == set(channels))
        await crowd.trade(40)
        await hall.quiet(peer)
        total = sum(len(peer.heard[channel]) for channel in channels)
        await until(lambda: len(listener.said) >= total)
        assert listener.retry == 1_000
        assert all(one.event == one.data["type"] for one in listener.said)
        assert listener.said[0].data["channel"] == channel_of(trader), "the private snapshot comes first"
        for channel in channels:
            ours, theirs = listener.of(channel), peer.heard[channel]
            assert [event["data"] for event in ours[1:]] == [event["data"] for event in theirs[1:]], channel
            assert [e["seq"] for e in ours[1:]] == [e["seq"] for e in theirs[1:]]
            numbers = [event["channel_seq"] for event in ours]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_cut_at_any_event_nothing_is_missing_and_nothing_comes_twice(hall: Hall) -> None:
    """With the id of each event in turn: what was heard up to it, and what the next stream tells, are the whole."""
    desk = hall.desk
    one, two = await desk.trader("one", 200_000), await desk.trader("two", 200_000)
    crowd = Crowd(desk, [one, two], 3)
    channel, public = channel_of(one), f"l3.{desk.symbol}"
    live = await hall.peer(one)
    await live.subscribe(channel)
    async with listening(hall, f"{public},{channel}", one) as listener:
        await until(lambda: len(listener.said) >= 2)
        await one.place("BUY", 50, 5)
        await one.place("BUY", 49, 5)
        await one.place("BUY", 48, 5)
        await two.place("SELL", 48, 13)  # several events of one seq
        await crowd.trade(8)
        await hall.quiet(live)
        await until(lambda: len(listener.of(channel)) >= len(live.heard[channel]))
        whole = list(listener.said)
    everything = [(seq, json.loads(data)) for seq, data in told(live, channel)]
    assert len(everything) > 15 and len({seq for seq, _ in everything}) < len(everything)

    async def from_here(index: int) -> None:
        heard = [(s.data["seq"], s.data["data"]) for s in whole[: index + 1] if s.data["channel"] == channel]
        before = heard[1:]  # less the snapshot
        async with listening(hall, f"{channel},{public}", one, whole[index].id) as again:
            await until(lambda: len(again.of(channel)) >= len(everything) - len(before))
            await until(lambda: again.of(public))
            told_again = [(event["seq"], event["data"]) for event in again.of(channel)]
            assert before + told_again == everything, index
            assert again.of(public)[0]["type"] == "snapshot"

    for start in range(0, len(whole), 8):
        await asyncio.gather(*(from_here(index) for index in range(start, min(start + 8, len(whole)))))


async def some_more(listener: Listener, least: int, done: asyncio.Event) -> None:
    await until(lambda: len(listener.said) >= least or done.is_set())


async def test_a_chain_of_cuts_while_it_goes_on(hall: Hall) -> None:
    crowd = await crowd_of(hall.desk, 8)
    trader = crowd.traders[0]
    channel = channel_of(trader)
    live = await hall.peer(trader)
    await live.subscribe(channel)
    heard: list[tuple[int, Any]] = []
    last: str | None = None
    done = asyncio.Event()

    async def trade() -> None:
        await crowd.trade(60)
        done.set()

    trading = asyncio.create_task(trade())
    for turn in itertools.count(1):
        finished = done.is_set()
        async with listening(hall, channel, trader, last) as listener:
            if finished:
                await hall.quiet(live)
                await until(
                    lambda: len(heard) + sum(s.event == "event" for s in listener.said) >= len(told(live, channel))
                )
            else:
                await some_more(listener, turn % 4 + 1, done)
            for said in listener.said:
                last = said.id or last
                if said.event == "event":
                    heard.append((said.data["seq"], said.data["data"]))
                elif said.event != "heartbeat":
                    assert turn == 1, "only the first stream has a snapshot"
        if finished:
            break
    await trading
    assert turn > 5
    everything = [(seq, json.loads(data)) for seq, data in told(live, channel)]
    assert heard == everything[len(everything) - len(heard) :] and len(heard) > len(everything) * 0.8


async def test_an_id_that_says_nothing_begins_anew(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    for last in ("", "x", "12", "1.2.3", "-1.0", "9" * 40 + ".0", "1.1e5"):
        async with listening(hall, channel_of(alice), alice, last) as listener:
            await until(lambda: listener.said)
            assert listener.said[0].event == "snapshot", last
    async with listening(hall, "venue", None, "1.0") as listener:
        await until(lambda: listener.said)
        assert listener.said[0].event == "snapshot" and "." not in (listener.said[0].id or "")


async def test_heartbeats(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "HEARTBEAT_S", 0.05)
    async with listening(hall, "venue") as listener:
        await until(lambda: listener.comments and any(one.event == "heartbeat" for one in listener.said))
        beat = next(one for one in listener.said if one.event == "heartbeat")
        assert beat.data["type"] == "heartbeat" and beat.data["seq"] == hall.hub.seq and beat.id


async def test_trouble_before_the_stream_is_an_ordinary_answer(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = hall.desk
    alice, bob = await desk.trader("alice"), await desk.trader("bob")
    canceller = await desk.with_key(alice, ("cancel",))
    many = ",".join(f"book.X{n}" for n in range(200))
    cases = [
        (None, "", 400, "BAD_REQUEST"),
        (None, "channels=", 422, "VALIDATION_FAILED"),
        (None, "channels=venue,", 400, "BAD_REQUEST"),
        (None, "channels=venue&nonsense=1", 400, "BAD_REQUEST"),
        (None, f"channels={many}", 422, "VALIDATION_FAILED"),
        (None, "channels=nonsense", 404, "NOT_FOUND"),
        (None, "channels=book.NOPE", 404, "UNKNOWN_MARKET"),
        (None, f"channels={channel_of(alice)}", 401, "AUTH_MISSING"),
        (alice, f"channels={channel_of(bob)}", 404, "NOT_FOUND"),
        (canceller, f"channels={channel_of(alice)}", 403, "SCOPE_REQUIRED"),
        (None, "channels=venue&ticket=wt_x", 401, "AUTH_INVALID"),
    ]
    async with httpx2.AsyncClient(base_url=hall.url) as http:
        for who, query, status, code in cases:
            headers = {} if who is None else {"Authorization": f"Bearer {who.key}"}
            answer = await http.get(f"/api/v1/sse?{query}", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code), (query, answer.text)
            assert set(answer.json()) <= {"code", "message", "request_id", "details"}
            assert answer.headers["content-type"] == "application/json" and "x-ratelimit-limit" in answer.headers
        answer = await http.get("/api/v1/sse?channels=venue", headers={"Authorization": "Bearer rk_live_x_y"})
        assert answer.status_code == 401
        monkeypatch.setattr(hub_module, "ALIGN_TRIES", 2)
        hall.hub.seq -= 1
        answer = await http.get("/api/v1/sse?channels=venue")
        assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_DEGRADED")
        hall.hub.seq += 1
        head = await http.head("/api/v1/sse?channels=venue")
        assert head.status_code == 200 and head.headers["content-type"].startswith("text/event-stream")
    await until(lambda: nothing_left(hall.hub))


async def test_a_ticket_in_the_address(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    ticket = (await alice.ask("POST", "/auth/ws-ticket", 201))["ticket"]
    async with listening(hall, channel_of(alice), query=f"&ticket={ticket}") as listener:
        await until(lambda: listener.said)
        assert listener.said[0].data["data"]["account"]["agent_id"] == alice.uuid
        async with httpx2.AsyncClient(base_url=hall.url) as http:
            again = await http.get(f"/api/v1/sse?channels={channel_of(alice)}&ticket={ticket}")
        assert (again.status_code, again.json()["code"]) == (401, "AUTH_INVALID")


async def test_a_key_that_ends_ends_its_streams(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    revoked = await hall.desk.with_key(alice, ALL_SCOPES)
    async with (
        listening(hall, "venue", revoked) as gone,
        listening(hall, "venue", alice) as stays,
    ):
        await until(lambda: gone.said and stays.said)
        short = await key_of(alice, expires_at=time.time_ns() // 1_000_000 + 500)
        async with listening(hall, "venue", short) as expires:
            await hall.desk.submit(cmd.RevokeKey(alice.account, alice.agent, Crowd.key(revoked)))
            await gone.ended()
            assert (gone.said[-1].event, gone.said[-1].data["code"]) == ("error", "AUTH_REVOKED")
            await expires.ended()
            assert (expires.said[-1].event, expires.said[-1].data["code"]) == ("error", "AUTH_EXPIRED")
        await hall.desk.submit(cmd.Broadcast("ops", "hello"))
        await until(lambda: len(stays.said) == 2)


async def test_who_goes_leaves_nothing_behind(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    channels = f"book.{hall.desk.symbol},trades.{hall.desk.symbol},markets,leaderboard,{channel_of(alice)}"

    async def come_and_go(n: int) -> None:
        async with listening(hall, channels, alice, last="1.0" if n % 2 else None) as listener:
            if n % 3:
                await until(lambda: len(listener.said) >= 3)

    for _ in range(5):
        await asyncio.gather(*(come_and_go(n) for n in range(10)))
    await until(lambda: nothing_left(hall.hub))
    await until(lambda: not hall.server.server_state.tasks)


async def test_a_slow_one_is_cut_off_and_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_module, "FAREWELL_S", 0.3)
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=SMALL), send_buffer=8_192) as hall:
        maker = await hall.desk.trader("maker", 10_000_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", hall.port, limit=2_048)
        writer.write(f"GET /api/v1/sse?channels=l3.{hall.desk.symbol} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: hall.hub.orders)
        [stream] = hall.hub.readers
        highest = 0
        async with asyncio.timeout(30):
            while not hall.hub.cut_off:
                await burst(hall, maker, 2)
                highest = max(highest, stream._unread)  # type: ignore[attr-defined]
        assert highest < SMALL + 60_000
        await until(lambda: nothing_left(hall.hub))
        await until(lambda: not hall.server.server_state.tasks)
        await until(lambda: not hall.server.server_state.connections, 3)
        writer.close()
        assert reader is not None


async def test_a_slow_one_that_reads_again_learns_why(tmp_path: Path) -> None:
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=SMALL), send_buffer=8_192) as hall:
        maker = await hall.desk.trader("maker", 10_000_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", hall.port, limit=2_048)
        writer.write(f"GET /api/v1/sse?channels=l3.{hall.desk.symbol} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: hall.hub.orders)
        async with asyncio.timeout(30):
            while not hall.hub.cut_off:
                await burst(hall, maker, 2)
            text = b""
            while not text.endswith(b"0\r\n\r\n"):
                text += await reader.read(100_000)
        assert b'event: resync_required\ndata: {"type":"resync_required","reason":"too slow' in text[-400:]
        writer.close()


@pytest.mark.parametrize("stalled", [False, True])
async def test_the_venue_stops_with_many_open(tmp_path: Path, stalled: bool) -> None:
    async with opened_hall(tmp_path) as hall:
        alice = await hall.desk.trader("alice")
        async with streams_of(hall, alice, 20) as listeners:
            peers = [await hall.peer(alice) for _ in range(20)]
            for peer in peers:
                await peer.subscribe(f"book.{hall.desk.symbol}", channel_of(alice))
                if stalled:
                    peer.wire.transport.pause_reading()
            started = time.monotonic()
            hall.server.should_exit = True
            hall.hub.depart()
            for listener in listeners:
                await listener.ended(5)
            await until(lambda: not hall.server.server_state.tasks and nothing_left(hall.hub), 5)
            for peer in peers:
                peer.wire.transport.resume_reading()
            assert [(await peer.ended())[0] for peer in peers] == [1012] * 20
            assert time.monotonic() - started < 5


@asynccontextmanager
async def streams_of(hall: Hall, trader: Trader, count: int) -> AsyncIterator[list[Listener]]:
    """So many streams at once."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(listening(hall, channel_of(trader), trader)) for _ in range(count)]
        await until(lambda: all(stream.said for stream in streams))
        yield streams
