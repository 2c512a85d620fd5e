"""Readers that do not read, that go, that come back: none of them slows the venue, and none leaves anything behind."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raeth.api.streams import hub as hub_module
from raeth.api.streams import wire as wire_module
from raeth.api.streams.hub import Hub
from raeth.clock import iso_ms
from raeth.engine import commands as cmd
from raeth.engine.types import SELL
from tests.api.harness import Trader
from tests.streams.crowd import Crowd
from tests.streams.harness import Hall, Peer, limits, opened_hall, until
from tests.streams.test_private import channel_of

SMALL = 65_536


async def burst(hall: Hall, maker: Trader, rounds: int, each: int = 100) -> int:
    """Orders and their cancels: so many changes of the book. Returns how many commands were answered."""
    key, market = Crowd.key(maker), hall.desk.market.id
    place = cmd.PlaceOrder(maker.agent, key, cmd.OrderSpec(market, SELL, "LIMIT", "GTC", 60, 1))
    for _ in range(rounds):
        outcomes = await asyncio.gather(*(hall.desk.sequencer.submit(place) for _ in range(each)))
        assert all(outcome.refused() is None for outcome in outcomes)
        await hall.desk.submit(cmd.CancelOrders(maker.agent, key))
        await asyncio.sleep(0)
    return rounds * (each + 1)


async def stall(peer: Peer) -> None:
    """Stop reading, as a program does that hangs."""
    await peer.caught_up()
    peer.wire.transport.pause_reading()
    peer.wire.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)


def nothing_left(hub: Hub) -> bool:
    return not (
        hub.readers or hub.books or hub.orders or hub.trades or hub.privates or hub.places._open
        or any(topic.channels or topic.joining for topic in (hub.markets, hub.feed, hub.board, hub.notices))
    )  # fmt: skip


@pytest.mark.parametrize("how_many", [1, 50])
async def test_who_does_not_read_is_cut_off_and_nobody_else_notices(
    tmp_path: Path, how_many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_module, "FAREWELL_S", 2.0)
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=SMALL), send_buffer=8_192) as hall:
        maker = await hall.desk.trader("maker", 10_000_000)
        reads = await hall.anyone()
        channel = f"l3.{hall.desk.symbol}"
        await reads.subscribe(channel)
        slow = [await hall.anyone() for _ in range(how_many)]
        for peer in slow:
            await peer.subscribe(channel)
            await stall(peer)
        wires = [reader._wire for reader in list(hall.hub.readers)[1:]]  # type: ignore[attr-defined]
        commits = hall.desk.sequencer.health.commits
        highest = done = 0
        async with asyncio.timeout(60):
            while hall.hub.cut_off < how_many:
                done += await burst(hall, maker, 2)
                highest = max([highest, *(wire.unread_bytes for wire in wires if not wire.disconnected)])
                await reads.caught_up()  # who reads shares the loop with all this, and must come to it
        assert SMALL < highest < SMALL + 40_000, "a reader is cut as soon as it is behind by more than that"
        assert done / (hall.desk.sequencer.health.commits - commits) > 20, "batches are as large as without them"
        await until(lambda: list(hall.hub.readers) and len(hall.hub.readers) == 1)
        await until(lambda: all(wire.disconnected for wire in wires))
        await hall.quiet(reads)
        assert len(reads.heard[channel]) > done * 0.9 and reads.closed is None


async def test_who_reads_again_in_time_learns_why(tmp_path: Path) -> None:
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=SMALL), send_buffer=8_192) as hall:
        maker, peer = await hall.desk.trader("maker", 10_000_000), await hall.anyone()
        await peer.subscribe(f"l3.{hall.desk.symbol}")
        await stall(peer)
        async with asyncio.timeout(30):
            while not hall.hub.cut_off:
                await burst(hall, maker, 5)
        peer.wire.transport.resume_reading()
        assert await peer.ended() == (1013, "resync required")
        assert set(peer.others[-1]) == {"type", "reason"} and peer.others[-1]["type"] == "resync_required"
        assert peer.order[-1] == peer.others[-1], "the last thing that is said"


async def test_who_does_not_read_the_answers_is_cut_off_too(tmp_path: Path) -> None:
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=SMALL), send_buffer=8_192) as hall:
        maker = await hall.desk.trader("maker", 10_000_000)
        peer = await hall.peer(maker)
        await stall(peer)
        order = {"market_id": hall.desk.symbol, "side": "SELL", "type": "LIMIT", "price": 60, "qty": 0}

        async def flood() -> None:
            while not hall.hub.cut_off:
                text, _ = peer.post("submit_order", params=order)
                await peer.send(text)

        # Once it is cut off nobody takes what it sends, and it does not hear why.
        flooding = asyncio.create_task(flood())
        await until(lambda: hall.hub.cut_off > 0, 60)
        flooding.cancel()
        await until(lambda: not hall.hub.readers)
        peer.wire.transport.resume_reading()
        assert (await peer.ended())[0] in (1013, 1006)


async def test_a_goodbye_without_reading_does_not_keep_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closing handshake of somebody who leaves a full buffer behind."""
    monkeypatch.setattr(wire_module, "FAREWELL_S", 0.3)
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=1_048_576), send_buffer=8_192) as hall:
        maker, peer = await hall.desk.trader("maker", 10_000_000), await hall.anyone()
        await peer.subscribe(f"l3.{hall.desk.symbol}")
        await stall(peer)
        [reader] = hall.hub.readers
        wire = reader._wire  # type: ignore[attr-defined]
        while wire.unread_bytes < 100_000:
            await burst(hall, maker, 5)
        peer.wire.protocol.send_close(1000)
        peer.wire.transport.write(b"".join(peer.wire.protocol.data_to_send()))
        await until(lambda: not hall.hub.readers)
        await until(lambda: wire.disconnected, 3)


async def test_heartbeats(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_module.HEARTBEAT_S == 5.0
    monkeypatch.setattr(hub_module, "HEARTBEAT_S", 0.05)
    peers = [await hall.anyone(), await hall.anyone()]
    await until(lambda: all(len(peer.others) >= 2 for peer in peers))
    hall.desk.clock.advance(1_234)
    await until(lambda: peers[0].others[-1]["reference_age_ms"] == 1_234)
    beat = peers[0].others[-1]
    assert beat == {
        "type": "heartbeat", "ts": iso_ms(hall.desk.clock.now_ms()), "seq": hall.hub.seq, "reference_age_ms": 1_234
    }  # fmt: skip
    assert (await hall.desk.read("/reference/btc"))["age_ms"] == 1_234
    await hall.desk.tick()
    # The price may be told of a moment before the command that carries it is durable.
    expected = (0, hall.desk.sequencer.durable_seq)
    await until(lambda: (peers[0].others[-1]["reference_age_ms"], peers[0].others[-1]["seq"]) == expected)


# ---- cancel on disconnect ----


async def tied(hall: Hall, trader: Trader) -> Peer:
    peer = await hall.anyone()
    said = await peer.ack("authenticate", api_key=trader.key, cancel_on_disconnect=True)
    assert said["cancel_on_disconnect"] is True
    return peer


async def reasons(trader: Trader) -> Counter[Any]:
    return Counter(order["cancel_reason"] for order in (await trader.get("/orders"))["items"])


@pytest.mark.parametrize("how", ["close", "abort", "revoked", "broken", "slow", "half_sent"])
async def test_orders_tied_to_a_socket_go_with_it(tmp_path: Path, how: str) -> None:
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=SMALL), send_buffer=8_192) as hall:
        desk = hall.desk
        alice, bob = await desk.trader("alice"), await desk.trader("bob", 10_000_000)
        reader = await desk.with_key(alice, ("read",))
        await alice.place("BUY", 40, 1)
        await bob.place("BUY", 40, 1)
        peer, untied = await tied(hall, alice), await hall.peer(bob)
        if how == "slow":
            await peer.subscribe(f"l3.{desk.symbol}")
        order = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 30, "qty": 1}
        await peer.ack("submit_order", params=order)
        if how == "close":
            await peer.close()
        elif how == "abort":
            peer.abort()
        elif how == "revoked":
            await desk.submit(cmd.RevokeKey(alice.account, alice.agent, Crowd.key(alice)))
        elif how == "broken":
            peer.wire.transport.write(b"\xff\xff\xff\xff")
        elif how == "slow":
            await stall(peer)
            while not hall.hub.cut_off:
                await burst(hall, bob, 5)
        else:
            text, _ = peer.post("submit_order", params=order)
            await peer.send(text)
            await peer.close()
        await until(lambda: not desk.sequencer.state.agents[alice.agent].positions[desk.market.id].orders)
        await hall.quiet()
        assert set(await reasons(reader)) == {"DISCONNECT"}
        await untied.close()
        assert len(desk.sequencer.state.agents[bob.agent].positions[desk.market.id].orders) == (how != "slow")
        peer.wire.transport.resume_reading()


async def test_orders_stay_when_nobody_asked(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    await alice.place("BUY", 40, 1)
    peer, other = await hall.anyone(), await hall.peer(alice)
    said = await peer.ack("authenticate", api_key=alice.key, cancel_on_disconnect=False)
    assert said["cancel_on_disconnect"] is False
    await peer.close()
    other.abort()
    await until(lambda: nothing_left(hall.hub))
    assert len(hall.desk.sequencer.state.orders) == 1


async def test_orders_go_when_the_venue_goes(tmp_path: Path) -> None:
    async with opened_hall(tmp_path) as hall:
        alice = await hall.desk.trader("alice")
        peer = await tied(hall, alice)
        await alice.place("BUY", 40, 1)
        hall.server.should_exit = True
        assert (await peer.ended())[0] == 1012
        await until(lambda: not hall.desk.sequencer.state.orders)
        await hall.quiet()
        assert set(await reasons(alice)) == {"DISCONNECT"}


async def test_orders_go_once_the_journal_can_be_written_again(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await hall.desk.trader("alice")
    await alice.place("BUY", 40, 1)
    peer = await tied(hall, alice)
    mode = hall.desk.sequencer.health
    mode.mode = "retrying"
    await peer.close()
    await until(lambda: not hall.hub.readers)
    assert len(hall.desk.sequencer.state.orders) == 1
    mode.mode = "ok"
    await until(lambda: not hall.desk.sequencer.state.orders)


# ---- nothing is left ----


async def test_nothing_is_left_of_those_who_came_and_went(hall: Hall) -> None:
    desk = hall.desk
    alice = await desk.trader("alice")
    await alice.place("BUY", 40, 1)
    first = await hall.anyone()
    await first.caught_up()
    channels = [f"{kind}.{name}" for kind in ("book", "l3", "trades") for name in (desk.symbol, desk.market_id)]
    channels += ["markets", "feed.btc", "leaderboard", "venue"]
    gc.collect()
    tasks = len(asyncio.all_tasks())

    async def come_and_go(n: int) -> None:
        peer = await hall.peer(alice)
        mine = [*channels, channel_of(alice)] if n % 3 else [channel_of(alice)]
        fields = {} if n % 3 else {"from_seq": 1}
        if n % 5:
            await peer.ack("subscribe", channels=mine, **fields)
        else:
            await peer.send(peer.post("subscribe", channels=mine, **fields)[0])
        if n % 2:
            await peer.close()
        else:
            peer.abort()
            await peer.ended()
        hall.peers.remove(peer)

    for start in range(0, 500, 20):
        await asyncio.gather(*(come_and_go(n) for n in range(start, start + 20)))
        await alice.place("BUY", 41, 1)
        if start == 240:
            await desk.next_window()
    await first.close()
    await until(lambda: nothing_left(hall.hub))
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: not hall.server.server_state.tasks)
    assert hall.hub.cut_off == 0


async def test_a_subscription_that_could_not_begin_leaves_nothing(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "ALIGN_TRIES", 3)
    alice = await hall.desk.trader("alice")
    peer = await hall.peer(alice)
    hub, channels = hall.hub, [f"trades.{hall.desk.symbol}", f"book.{hall.desk.symbol}", channel_of(alice)]
    hub.seq -= 1
    await peer.error("SERVICE_DEGRADED", "subscribe", channels=channels)
    hub.seq += 1
    assert not (hub.trades or hub.books or hub.privates)
    await peer.subscribe(*channels)
    await alice.place("BUY", 40, 1)
    await hall.quiet(peer)
    assert len(peer.heard[channels[1]]) == 2


async def test_open_streams_are_counted(hall: Hall) -> None:
    peer = await hall.anyone()
    await peer.subscribe("venue", f"book.{hall.desk.symbol}", f"book.{hall.desk.market_id}")
    await (await hall.anyone()).caught_up()

    async def numbers() -> dict[str, float]:
        lines = (await hall.desk.http.get("/metrics")).text.splitlines()
        rows = (line.split() for line in lines if line.startswith(("raeth_streams", "raeth_subscriptions")))
        return {name: float(value) for name, value in rows if not name.endswith("_created")}

    assert await numbers() == {"raeth_streams": 2, "raeth_subscriptions": 3, "raeth_streams_cut_off_total": 0}
    assert "2 open" in (await hall.desk.http.get("/status")).text
    hall.hub.resync("a test")
    await peer.ended()
    assert await numbers() == {"raeth_streams": 0, "raeth_subscriptions": 0, "raeth_streams_cut_off_total": 2}
