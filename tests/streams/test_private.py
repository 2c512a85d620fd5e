"""The private channel: complete, in order, and the same again from the journal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from raeth.api.streams import private
from raeth.api.venue import Venue
from raeth.engine import commands as cmd
from raeth.engine.types import SELL
from raeth.journal.sqlite import SqliteJournal
from raeth.sequencer import Sequencer
from raeth.store.projector import Projector
from tests.api.harness import RULES, STRIKE_CENTS, Desk, Trader
from tests.streams.crowd import Crowd
from tests.streams.harness import Event, Hall, Peer, limits, opened_hall, until
from tests.streams.mirrors import AccountMirror
from tests.streams.test_public import crowd_of

Told = list[tuple[int, str]]
"""(journal seq, the bytes of `data`)"""


def channel_of(trader: Trader) -> str:
    return f"private.{trader.uuid}"


def told(peer: Peer, channel: str) -> Told:
    """What was told, snapshots left out."""
    pairs = zip(peer.heard[channel], peer.raw[channel], strict=True)
    return [(event["seq"], raw) for event, raw in pairs if event["type"] == "event"]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 8))])
async def test_a_mirror_is_the_account(hall: Hall, seed: int) -> None:
    """Position, cash flow, cash, locks and every field of every order, at every quiet moment."""
    crowd = await crowd_of(hall.desk, seed)
    mirrors: list[tuple[Trader, Peer, AccountMirror]] = []
    for round_ in range(5):
        for trader in crowd.traders if round_ in (0, 3) else ():
            peer = await hall.peer(trader)
            mirrors.append((trader, peer, AccountMirror()))
        joining = [peer.subscribe(channel_of(trader)) for trader, peer, _ in mirrors if not peer.heard]
        await asyncio.gather(crowd.trade(25), *joining)
        await hall.quiet(*(peer for _, peer, _ in mirrors))
        for trader, peer, mirror in mirrors:
            mirror.take_all(peer.heard[channel_of(trader)])
            await mirror.compare(trader)
    kinds = {event["data"].get("kind") for t, p, _ in mirrors for event in p.heard[channel_of(t)]}
    assert {"order", "fill", "amend_rejected", "cash", "settled"} <= kinds


async def replayed(hall: Hall, trader: Trader, from_seq: int, *, until_seq: int | None = None) -> Told:
    """What a resumed subscription tells up to `until_seq`, or up to now."""
    peer, channel = await hall.peer(trader), channel_of(trader)
    await peer.subscribe(channel, from_seq=from_seq)
    to_seq = hall.hub.seq if until_seq is None else until_seq
    live = hall.hub.privates.get(trader.agent)

    def done() -> bool:
        return all(listener._held is None for listener in (live.listeners if live else ()))

    while not done():
        await asyncio.sleep(0.001)
    await peer.caught_up()
    found = told(peer, channel)
    assert all(event["type"] == "event" for event in peer.heard[channel]), "a resumed channel has no snapshot"
    await peer.close()
    return [(seq, data) for seq, data in found if seq <= to_seq]


@pytest.mark.parametrize("seed", range(2))
async def test_the_past_is_told_as_it_was_told(hall: Hall, seed: int) -> None:
    """Byte for byte, from every seq on, also where orders rested, were amended and filled in part before it."""
    desk, random = hall.desk, Random(seed)
    crowd = await crowd_of(desk, seed)
    listening = [(trader, await hall.peer(trader)) for trader in crowd.traders]
    start = hall.hub.seq + 1
    for trader, peer in listening:
        await peer.subscribe(channel_of(trader))
    await crowd.trade(90)
    await hall.quiet(*(peer for _, peer in listening))
    end = hall.hub.seq
    for trader, peer in listening:
        live = told(peer, channel_of(trader))
        assert len(live) > 100
        seqs = sorted({seq for seq, _ in live})
        some = [*random.sample(range(start, end + 1), 15), start, end, end + 1, *random.sample(seqs, 12)]
        for n in some:
            assert await replayed(hall, trader, n) == [(seq, data) for seq, data in live if seq >= n], n
        before_all = await replayed(hall, trader, 0)
        assert before_all[-len(live) :] == live and len(before_all) > len(live)


@pytest.mark.parametrize("seed", range(3))
async def test_resumed_while_more_is_happening(hall: Hall, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No gap and no double at the seam, wherever it falls."""
    monkeypatch.setattr(private, "REPLAY_ROWS", 7)
    crowd = await crowd_of(hall.desk, seed)
    trader = crowd.traders[0]
    channel = channel_of(trader)
    live = await hall.peer(trader)
    await live.subscribe(channel)
    start = hall.hub.seq + 1
    late: list[tuple[int, Peer]] = []

    async def join() -> None:
        for number in range(12):
            n = start if number % 3 == 0 else crowd.random.randint(start, hall.hub.seq + 1)
            peer = await hall.peer(trader)
            late.append((n, peer))
            await peer.subscribe(channel, from_seq=n)
            await asyncio.sleep(0.01)

    await asyncio.gather(crowd.trade(60), join())
    await crowd.trade(5)
    await hall.quiet(live, *(peer for _, peer in late))
    await until(lambda: hall.hub.privates[trader.agent].listeners[-1]._held is None)
    everything = told(live, channel)
    for n, peer in late:
        await peer.caught_up()
        assert told(peer, channel) == [(seq, data) for seq, data in everything if seq >= n]


async def restarted(hall: Hall) -> Desk:
    """The same journal under a new sequencer and a new venue: nothing of the old one's memory is left."""
    old = hall.desk
    await old.sequencer.stop()
    journal = SqliteJournal(old.venue.settings.data_dir / "raeth.db")
    sequencer = Sequencer(journal, old.clock, RULES, Projector())
    await sequencer.start()
    v = old.venue
    venue = Venue(v.settings, sequencer, v.store, old.clock, old.reference, v.door._pepper, "rk_admin_" + "a" * 32)  # type: ignore[arg-type]
    desk = Desk(venue, old.reference, old.clock, old.http)
    return desk


async def test_over_a_restart(tmp_path: Path) -> None:
    """Orders were placed, amended and filled in part before it; their markets ended before, or after."""
    from raeth.api.app import create_app
    from tests.api.harness import httpx2
    from tests.streams.harness import serving

    async with opened_hall(tmp_path) as hall:
        crowd = await crowd_of(hall.desk, 11)
        trader = crowd.traders[0]
        channel = channel_of(trader)
        live = await hall.peer(trader)
        await live.subscribe(channel)
        start = hall.hub.seq + 1
        await crowd.trade(60)
        await hall.quiet(live)
        first = told(live, channel)
        middle = hall.hub.seq
        desk = await restarted(hall)
        http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=create_app(desk.venue)),
            base_url="http://venue",  # type: ignore[arg-type]
        )
        desk.http = http
        try:
            async with serving(desk) as again:
                crowd.desk = desk
                for one in crowd.traders:
                    one.desk = desk
                resumed = await again.peer(trader)
                await resumed.subscribe(channel, from_seq=start)
                await crowd.trade(60)
                await again.quiet(resumed)
                await asyncio.sleep(0)
                whole = told(resumed, channel)
                assert [pair for pair in whole if pair[0] <= middle] == first
                for n in Random(3).sample(range(start, again.hub.seq), 15):
                    assert await replayed(again, trader, n) == [pair for pair in whole if pair[0] >= n], n
                peer = await again.peer(trader)
                mirror = AccountMirror()
                await peer.subscribe(channel)
                await again.quiet(peer)
                mirror.take_all(peer.heard[channel])
                await mirror.compare(trader)
        finally:
            await http.aclose()
            await desk.sequencer.stop()


async def test_thousands_of_rows(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long past is told in full to whoever reads, in pieces that fit what may be unread."""
    desk = hall.desk
    maker = await desk.trader("maker", 10_000_000)
    key, market = Crowd.key(maker), desk.market.id
    for _ in range(20):
        placed = [cmd.PlaceOrder(maker.agent, key, cmd.OrderSpec(market, 0, "LIMIT", "GTC", 40, 1)) for _ in range(100)]
        await asyncio.gather(*map(desk.sequencer.submit, placed))
        await desk.submit(cmd.CancelOrders(maker.agent, key))
    peer, channel = await hall.peer(maker), channel_of(maker)
    await peer.subscribe(channel, from_seq=1)
    await maker.place("BUY", 41, 1)
    events = await peer.event(channel, 2 + 2 * 2_000 + 1)
    await hall.quiet(peer)
    assert len(peer.heard[channel]) == len(events)
    kinds = [event["data"]["kind"] for event in events]
    assert kinds.count("order") == 4_001 and kinds.count("cash") == 2
    assert events[-1]["data"]["order"]["price"] == 41
    assert [event["channel_seq"] for event in events] == list(range(1, len(events) + 1))


async def test_a_maker_that_is_filled_and_then_trimmed_by_one_command(hall: Hall) -> None:
    """The fill and the cut of the same resting order in one row, seen again from a point after it was placed."""
    desk = hall.desk
    one, two = await desk.trader("one"), await desk.trader("two")
    await two.place("SELL", 50, 10)
    await one.place("BUY", 50, 10)
    await one.place("SELL", 60, 10, reduce_only=True)
    await one.place("SELL", 59, 5)
    live = await hall.peer(one)
    await live.subscribe(channel_of(one))
    start = hall.hub.seq + 1
    await two.place("BUY", 60, 8)
    await hall.quiet(live)
    events = [event["data"] for event in live.heard[channel_of(one)][1:]]
    assert [e["kind"] for e in events] == ["fill", "order", "fill", "order", "order"]
    assert [e["order"]["remaining_qty"] for e in events if e["kind"] == "order"] == [0, 7, 2]
    assert await replayed(hall, one, start) == told(live, channel_of(one))


async def test_what_every_kind_says(hall: Hall) -> None:
    desk = hall.desk
    maker, taker = await desk.trader("maker"), await desk.trader("taker")
    sibling = await desk.sibling(maker, "maker.2", 0)
    peer, channel = await hall.peer(maker), channel_of(maker)
    await peer.subscribe(channel)
    placed = await maker.place("BUY", 50, 10, client_order_id="a")
    filled = await taker.place("SELL", 50, 4)
    declined = await maker.place("BUY", 50, 0)
    amended = await maker.ask("PATCH", f"/orders/{placed['order_id']}", json={"qty": 8})
    refused = await maker.ask("PATCH", f"/orders/{placed['order_id']}", json={"price": 90, "qty": 3_000})
    assert refused["status"] == "REJECTED"
    await desk.submit(cmd.Transfer(maker.account, maker.agent, sibling.agent, 500))
    await desk.submit(cmd.SuspendAgent("ops", maker.agent, "a reason"))
    await desk.submit(cmd.ReinstateAgent("ops", maker.agent, None))
    await desk.next_window(STRIKE_CENTS + 100)
    await hall.quiet(peer)
    events = [event["data"] for event in peer.heard[channel]][1:]

    def of(kind: str) -> list[Event]:
        return [event for event in events if event["kind"] == kind]

    orders = [event["order"] for event in of("order")]
    statuses = [(o["status"], o["remaining_qty"]) for o in orders]
    assert statuses == [
        ("OPEN", 10),
        ("PARTIALLY_FILLED", 6),
        ("REJECTED", 0),
        ("PARTIALLY_FILLED", 4),
        ("CANCELLED", 0),
    ]
    assert orders[0] == placed and orders[2] == declined and orders[3] == amended
    assert orders[-1]["cancel_reason"] == "ADMIN"
    [fill] = of("fill")
    assert fill["fill"] == (await maker.get("/fills"))["items"][0]
    assert fill["fill"]["trade_id"] == filled["fills"][0]["trade_id"] and fill["fill"]["liquidity"] == "MAKER"
    assert [event["order"] for event in of("amend_rejected")] == [refused]
    ledger = (await maker.get("/ledger"))["items"]
    assert [event["entry"] for event in of("cash")] == list(reversed(ledger))[-2:]
    assert [(e["event"], e["reason"]) for e in of("agent")] == [("SUSPENDED", "a reason"), ("REINSTATED", None)]
    [settled] = of("settled")
    assert settled["resolution"] == "YES" and settled["symbol"] == placed["symbol"]
    assert events.index(settled) + 1 == events.index(of("cash")[-1])
    assert events.index(fill) + 1 == events.index(of("order")[1])


async def test_many_at_once_and_each_counts_for_itself(hall: Hall) -> None:
    desk = hall.desk
    maker = await desk.trader("maker")
    channel = channel_of(maker)
    peers = [await hall.peer(maker) for _ in range(5)]
    for peer in peers:
        await peer.subscribe(channel)
        await maker.place("BUY", 40, 1)
    await peers[0].ack("unsubscribe", channels=[channel])
    await maker.ask("POST", "/orders/cancel", json={})
    await hall.quiet(*peers)
    counts = [len(peer.heard[channel]) for peer in peers]
    assert counts == [1 + 5, *(1 + 5 - n + 5 for n in range(1, 5))]
    for peer in peers:
        await peer.close()
    await hall.quiet()
    assert not hall.hub.privates


async def test_from_seq_goes_with_one_private_channel_only(hall: Hall) -> None:
    maker = await hall.desk.trader("maker")
    peer, channel = await hall.peer(maker), channel_of(maker)
    for channels, n in ([["venue"], 1], [[channel, "venue"], 1], [[channel], -1]):
        await peer.error("VALIDATION_FAILED", "subscribe", channels=channels, from_seq=n)
    for n in ("1", 1.0, True, [1]):
        reply = await peer.ask("subscribe", channels=[channel], from_seq=n)
        assert reply["code"] == "INVALID_MESSAGE", n
    assert not peer.heard[channel] and not hall.hub.privates
    refused = await peer.error("VALIDATION_FAILED", "subscribe", channels=[channel], from_seq=hall.hub.seq + 2)
    assert refused["details"][0]["type"] == "beyond_the_journal"
    assert str(hall.hub.seq) in refused["details"][0]["message"]
    assert not peer.heard[channel] and not hall.hub.privates
    await peer.subscribe(channel, from_seq=hall.hub.seq + 1)
    for _ in range(4):
        await maker.place("BUY", 40, 1)
    await hall.quiet(peer)
    assert len(peer.heard[channel]) == 4, "from the next one on"


async def test_one_that_is_slow_to_hear_the_past_is_cut_off_when_too_much_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "HELD_MAX", 50)
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=65_536)) as hall:
        desk = hall.desk
        maker = await desk.trader("maker", 10_000_000)
        key = Crowd.key(maker)
        spec = cmd.OrderSpec(desk.market.id, SELL, "LIMIT", "GTC", 60, 1)
        for _ in range(60):
            await asyncio.gather(*(desk.sequencer.submit(cmd.PlaceOrder(maker.agent, key, spec)) for _ in range(100)))
            await desk.submit(cmd.CancelOrders(maker.agent, key))
        peer = await hall.peer(maker)
        await peer.ack("subscribe", channels=[channel_of(maker)], from_seq=1)
        peer.wire.transport.pause_reading()
        await asyncio.gather(*(desk.sequencer.submit(cmd.PlaceOrder(maker.agent, key, spec)) for _ in range(60)))
        peer.wire.transport.resume_reading()
        assert (await peer.ended())[0] == 1013
        assert peer.others[-1]["type"] == "resync_required"
