"""Streams of a venue with several nodes: whoever took the order, every node tells it, once, in order and without a gap;
and a reader that comes from one node goes on at another."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raeth.api.streams.private import Teller
from raeth.clock import ManualClock
from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.ids import to_uuid
from raeth.journal.base import Row
from raeth.journal.sqlite import SqliteJournal
from tests.api.harness import Trader
from tests.streams.crowd import Crowd
from tests.streams.harness import Event, Peer, until
from tests.streams.mirrors import AccountMirror, book_of, engine_queues, queues_of, trades_of
from tests.streams.nodes import DeafJournal, Nodes, opened_nodes
from tests.streams.test_private import Told, channel_of, told
from tests.streams.test_public import crowd_of
from tests.streams.test_sse import listening

ROUNDS = 60
"""Of a crowd, at least; and as many more as it takes."""

HEARING, DEAF = (SqliteJournal, SqliteJournal), (SqliteJournal, DeafJournal)


class Guests(Crowd):
    """A crowd at a node that leaves the windows to another one."""

    async def next_window(self) -> None:
        await asyncio.sleep(0)


async def crowds(nodes: Nodes, seed: int) -> tuple[Crowd, Crowd]:
    """The same agents at both nodes."""
    first = await crowd_of(nodes.desk, seed)
    await nodes.level()
    return first, Guests(nodes.halls[1].desk, [nodes.at(1, trader) for trader in first.traders], seed + 100)


async def journal_of(nodes: Nodes) -> list[Row]:
    rows: list[Row] = []
    while some := await nodes.desk.sequencer.journal.read(len(rows)):
        rows += some
    return rows


async def private_of(nodes: Nodes, agent: int, after_seq: int) -> Told:
    """What the journal has for an agent, by the one teller there is, from the first row on."""
    names = nodes.desk.venue.names
    teller = Teller(names, {}, agent)
    found: Told = []
    for row in await journal_of(nodes):
        for event in codec.decode_events(row.events):
            if isinstance(event, ev.MarketListed):
                teller.symbols[event.market] = event.symbol
            found += [(row.seq, data.decode()) for data in teller.tell(row.seq, event) if row.seq > after_seq]
    return found


def after(events: list[Event], seq: int) -> list[Event]:
    return [event for event in events if event["type"] != "snapshot" and event["seq"] > seq]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))])
async def test_every_node_tells_everything(tmp_path: Path, seed: int) -> None:
    async with opened_nodes(tmp_path) as nodes:
        first, second = await crowds(nodes, seed)
        peers = [await hall.peer(nodes.at(n, first.traders[0])) for n, hall in enumerate(nodes.halls)]
        private = channel_of(first.traders[0])
        markets: set[str] = set()
        for peer in peers:
            await peer.subscribe("markets", "venue", "feed.btc", private)
        mirrors = [AccountMirror() for _ in peers]
        for _ in range(2):
            state = nodes.desk.sequencer.state
            new = {to_uuid(state.born, market) for market in state.markets} - markets
            markets |= new
            for peer in peers if new else ():
                await peer.subscribe(*(f"{kind}.{market}" for kind in ("book", "l3", "trades") for market in new))
            await asyncio.gather(first.trade(20), second.trade(20))
            await nodes.level()
            for n, (peer, mirror) in enumerate(zip(peers, mirrors, strict=True)):
                desk = nodes.halls[n].desk
                for market in markets:
                    book = await desk.read(f"/markets/{market}/book", depth=99)
                    assert book_of(peer.heard[f"book.{market}"]) == (book["bids"], book["asks"])
                    assert queues_of(peer.heard[f"l3.{market}"]) == engine_queues(desk, market)
                mirror.take_all(peer.heard[private])
                await mirror.compare(nodes.at(n, first.traders[0]))
        assert all(hall.desk.sequencer.health.followed > 20 for hall in nodes.halls), "each wrote, and each followed"
        rows = await journal_of(nodes)
        here, there = (peer.heard for peer in peers)
        assert here.keys() == there.keys()
        for channel in here:
            seq = max(heard[channel][0]["seq"] for heard in (here, there))
            one, other = after(here[channel], seq), after(there[channel], seq)
            if channel == "markets":  # a window is shown as it is when it is told of
                one, other = (
                    [{**e, "data": (e["data"]["change"], e["data"]["market"]["id"])} for e in es] for es in (one, other)
                )
            if not channel.startswith("book."):  # changes of a book are told in other portions
                assert [(e["seq"], e["data"]) for e in one] == [(e["seq"], e["data"]) for e in other], channel
        for market in markets:
            trades = [
                (row.seq, to_uuid(nodes.desk.born, event.trade_id), event.qty)
                for row in rows
                for event in codec.decode_events(row.events)
                if isinstance(event, ev.Traded) and to_uuid(nodes.desk.born, event.market) == market
            ]
            for heard in (here, there):
                events = heard[f"trades.{market}"]
                live = [(e["seq"], e["data"]["trade_id"], e["data"]["qty"]) for e in after(events, 0)]
                assert live == [trade for trade in trades if trade[0] > events[0]["seq"]]
                known = [trade["trade_id"] for trade in trades_of(events)]
                assert known == [trade[1] for trade in reversed(trades)][: len(known)]
        told_at = [told(peer, private) for peer in peers]
        start = max(peer.heard[private][0]["seq"] for peer in peers)
        expected = await private_of(nodes, first.traders[0].agent, start)
        assert len(expected) > 15
        for pairs in told_at:
            assert [pair for pair in pairs if pair[0] > start] == expected


class Wanderer:
    """Follows one private channel, now at this node and now at that, and keeps what it had not heard before."""

    def __init__(self, nodes: Nodes, trader: Trader, from_seq: int) -> None:
        self.nodes = nodes
        self.trader = trader
        self.channel = channel_of(trader)
        self.heard: Told = []
        self.last = from_seq
        self.of_last = 0
        self.ahead = 0
        """How often a node was asked for more than it knew of."""

    async def visit(self, node: int, random: Random) -> None:
        hall = self.nodes.halls[node]
        peer = await hall.peer(self.trader)
        self.ahead += hall.hub.seq + 1 < self.last
        await peer.ack("subscribe", channels=[self.channel], from_seq=self.last)
        if random.random() < 0.8:
            await until(lambda: peer.heard[self.channel])
        await asyncio.sleep(random.random() / 100)
        if random.random() < 0.5:
            peer.abort()
            await peer.ended()
        else:
            await peer.close()
        self._keep(peer)

    def _keep(self, peer: Peer) -> None:
        skip = self.of_last
        for seq, data in told(peer, self.channel):
            if seq == self.last and skip:
                skip -= 1
                continue
            self.of_last = self.of_last + 1 if seq == self.last else 1
            self.last = seq
            self.heard.append((seq, data))

    async def catch_up(self, node: int, expected: int) -> None:
        peer = await self.nodes.halls[node].peer(self.trader)
        skip = self.of_last
        await peer.ack("subscribe", channels=[self.channel], from_seq=self.last)
        await until(lambda: len(self.heard) + len(peer.heard[self.channel]) - skip >= expected)
        await peer.close()
        self._keep(peer)


@pytest.mark.parametrize("journals", [HEARING, DEAF], ids=["hearing", "deaf"])
async def test_a_private_channel_goes_on_at_another_node(
    tmp_path: Path, journals: tuple[type[SqliteJournal], ...]
) -> None:
    """Now here, now there, while both nodes write, or only the one that the other does not hear."""
    async with opened_nodes(tmp_path, journals) as nodes:
        first, second = await crowds(nodes, 7)
        trader = first.traders[0]
        start = nodes.desk.sequencer.durable_seq + 1
        wanderer = Wanderer(nodes, trader, start)
        random, stop = Random(3), asyncio.Event()

        async def trade(crowd: Crowd) -> None:
            rounds = 0
            while rounds < ROUNDS or not stop.is_set():
                await crowd.trade(1)
                rounds += 1

        busy = asyncio.gather(*map(trade, (first, second) if journals is HEARING else (first,)))
        for visit in range(14):
            await wanderer.visit(visit % 2, random)
        stop.set()
        await busy
        await nodes.level()
        expected = await private_of(nodes, trader.agent, start - 1)
        await wanderer.catch_up(1, len(expected))
        assert len(expected) > ROUNDS and wanderer.heard == expected
        assert wanderer.ahead or journals is HEARING, "a node was asked for what it had not heard of"


async def test_server_sent_events_go_on_at_another_node(tmp_path: Path) -> None:
    async with opened_nodes(tmp_path, DEAF) as nodes:
        first, _ = await crowds(nodes, 8)
        trader = first.traders[0]
        channel = channel_of(trader)
        start = nodes.desk.sequencer.durable_seq
        heard: list[tuple[int, Event]] = []
        last = f"{start}.0"
        for visit in range(6):
            await first.trade(6)
            hall = nodes.halls[visit % 2]
            async with listening(hall, channel, trader, last) as listener:
                # At the first node, whichever is listened to.
                head = (await nodes.desk.submit(cmd.GrantCash("ops", trader.agent, 1, "a mark"))).seq
                await hall.desk.sequencer.catch_up()
                await until(lambda: any(event["seq"] >= head for event in listener.of(channel)))  # noqa: B023
            assert all(one.data["type"] == "event" for one in listener.said if one.data.get("channel") == channel)
            heard += [(event["seq"], event["data"]) for event in listener.of(channel)]
            last = next(one.id for one in reversed(listener.said) if one.data.get("channel") == channel) or ""
        expected = [pair for pair in await private_of(nodes, trader.agent, start) if pair[0] <= heard[-1][0]]
        assert [(seq, data) for seq, data in heard] == [(seq, json.loads(data)) for seq, data in expected]


async def test_a_node_that_is_behind_catches_up_before_it_answers(tmp_path: Path) -> None:
    """What any node has answered, a later subscription at any other knows; only what nobody has is refused."""
    async with opened_nodes(tmp_path, DEAF) as nodes:
        here, there = nodes.halls
        maker, taker = await nodes.desk.trader("maker"), await nodes.desk.trader("taker")
        await nodes.level()
        peer = await there.peer(maker)
        channel = channel_of(maker)

        placed = await maker.place("BUY", 50, 10)
        assert there.hub.seq < placed["seq"]
        await peer.subscribe(channel)
        [snapshot] = peer.heard[channel]
        assert snapshot["seq"] >= placed["seq"] and [o["order_id"] for o in snapshot["data"]["orders"]] == [
            placed["order_id"]
        ]

        filled = await taker.place("SELL", 50, 4)
        assert there.hub.seq < filled["seq"]
        late = await there.peer(maker)
        await late.subscribe(channel, from_seq=filled["seq"] + 1)
        assert not late.heard[channel]
        head = max(hall.hub.seq for hall in nodes.halls)
        refused = await late.error("VALIDATION_FAILED", "subscribe", channels=[channel], from_seq=head + 2)
        assert refused["details"][0]["type"] == "beyond_the_journal"

        sold = await taker.place("SELL", 50, 1)
        await here.desk.sequencer.tabled()  # the tables know of the trade, the other node's memory does not
        assert there.hub.seq < sold["seq"]
        trades = f"trades.{nodes.desk.symbol}"
        watcher = await there.anyone()
        await watcher.subscribe(trades)
        assert [t["qty"] for t in trades_of(watcher.heard[trades])] == [1, 4]
        await taker.place("SELL", 50, 2)
        await nodes.level()
        assert [t["qty"] for t in trades_of(watcher.heard[trades])] == [2, 1, 4], "nothing twice"

        await nodes.desk.next_window()
        pending = nodes.desk.sequencer.state.pending
        assert pending is not None
        await watcher.subscribe(f"book.{pending.symbol}")
        await watcher.error("UNKNOWN_MARKET", "subscribe", channels=["book.BTC-1M-29990101T0000Z"])


async def test_a_ticket_of_one_node_opens_a_stream_at_another(tmp_path: Path) -> None:
    async with opened_nodes(tmp_path, DEAF) as nodes:
        maker = await nodes.desk.trader("maker")
        assert maker.agent not in nodes.halls[1].desk.sequencer.state.agents
        ticket = (await maker.ask("POST", "/auth/ws-ticket", 201))["ticket"]
        peer = await nodes.halls[1].dial(f"?ticket={ticket}")
        await peer.subscribe(channel_of(maker))
        again = await nodes.halls[0].dial(f"?ticket={ticket}")
        assert (await again.ended())[0] == 1008, "it admits once, wherever"


async def test_orders_tied_to_a_socket_go_with_it_wherever_they_were_placed(tmp_path: Path) -> None:
    async with opened_nodes(tmp_path) as nodes:
        maker = await nodes.desk.trader("maker")
        await nodes.level()
        watcher = await nodes.halls[0].peer(maker)
        await watcher.subscribe(channel_of(maker))
        tied = await nodes.halls[1].anyone()
        await tied.ack("authenticate", api_key=maker.key, cancel_on_disconnect=True)
        await maker.place("BUY", 40, 1)
        await nodes.at(1, maker).place("BUY", 41, 1)
        tied.abort()
        private = watcher.heard[channel_of(maker)]

        def told_of(**fields: object) -> int:
            bodies = [event["data"].get("order", event["data"]) for event in after(private, 0)]
            return sum(all(body.get(name) == value for name, value in fields.items()) for body in bodies)

        await until(lambda: told_of(cancel_reason="DISCONNECT") == 2)

        await maker.ask("POST", "/deadman", json={"timeout_ms": 1_000})
        await nodes.at(1, maker).place("BUY", 42, 1)
        nodes.desk.clock.advance(1_100)
        await until(lambda: told_of(event="FIRED", cancelled=1))
        await nodes.level()
        assert not nodes.halls[1].desk.sequencer.state.orders


async def test_a_key_revoked_at_one_node_ends_its_streams_at_the_other(tmp_path: Path) -> None:
    async with opened_nodes(tmp_path) as nodes:
        maker = await nodes.desk.trader("maker")
        await nodes.level()
        peer = await nodes.halls[1].peer(maker)
        await peer.subscribe("venue", channel_of(maker))
        await nodes.desk.submit(cmd.RevokeKey(maker.account, maker.agent, Crowd.key(maker)))
        assert (await peer.ended())[0] == 1008


async def test_an_order_in_a_window_that_a_node_never_knew_disturbs_nobody_else(tmp_path: Path) -> None:
    """Declined at one node, and followed by another that began when the window had ended: its agent resumes there and
    is told with the window's name, and from then on it is told at once."""
    async with opened_nodes(tmp_path, (SqliteJournal,)) as nodes:
        maker, other = await nodes.desk.trader("maker"), await nodes.desk.trader("other")
        ended, symbol = nodes.desk.market_id, nodes.desk.symbol
        await nodes.desk.next_window()
        await nodes.desk.next_window()
        late = await nodes.join()
        peer, beside = await late.peer(maker), await late.peer(other)
        book = f"book.{nodes.desk.symbol}"
        await peer.subscribe(channel_of(maker))
        await beside.subscribe(channel_of(other), book, "markets", "venue")

        declined = await maker.place("BUY", 40, 1, market_id=ended)
        assert declined["reject_reason"] == "MARKET_CLOSED"
        await late.desk.sequencer.catch_up()
        assert (await peer.ended())[0] == 1013 and peer.others[-1]["type"] == "resync_required"
        again = await late.peer(maker)
        await again.subscribe(channel_of(maker), from_seq=declined["seq"])
        [event] = await again.event(channel_of(maker), 1)
        assert event["data"]["order"] == {**declined, "replayed": False}
        assert (event["data"]["order"]["market_id"], event["data"]["order"]["symbol"]) == (ended, symbol)

        second = await maker.place("BUY", 41, 1, market_id=ended)
        here = await other.place("BUY", 42, 1)
        await nodes.level()
        assert [e["data"]["order"]["order_id"] for e in again.heard[channel_of(maker)]] == [
            declined["order_id"],
            second["order_id"],
        ]
        assert again.closed is None and beside.closed is None
        orders = [e["data"]["order"] for e in after(beside.heard[channel_of(other)], 0)]
        assert [order["order_id"] for order in orders] == [here["order_id"]]
        assert book_of(beside.heard[book]) == ([[42, 1, 1]], [])


async def test_a_node_that_is_behind_finds_what_another_one_made(tmp_path: Path) -> None:
    """Its clock is a little behind too, so that nothing falls due here that would bring it forward by the way."""
    async with opened_nodes(tmp_path, DEAF) as nodes:
        here, there = nodes.halls
        maker = await nodes.desk.trader("maker")
        await nodes.level()

        caught_up = 0

        async def found(path: str) -> Any:
            nonlocal caught_up
            seq, latest = there.hub.seq, here.hub.seq
            answer = await nodes.at(1, maker).ask("GET", path)
            assert there.hub.seq >= latest
            caught_up += seq < latest  # on a slow machine it may have been brought forward before
            return answer

        placed = await maker.place("BUY", 40, 1, client_order_id="one")
        assert (await found("/orders/by-client-id/one"))["order_id"] == placed["order_id"]
        placed = await maker.place("BUY", 41, 1)
        assert (await found(f"/orders/{placed['order_id']}"))["order_id"] == placed["order_id"]

        paths = ("/markets/{}/settlement", "/markets/{}", "/markets/{}/book", "/orders?market_id={}")
        for path in paths:
            behind = ManualClock(here.desk.clock.now_ms())
            there.desk.sequencer.clock = there.desk.venue.clock = behind
            await nodes.desk.next_window()
            pending = nodes.desk.sequencer.state.pending
            assert pending is not None
            await found(path.format(pending.symbol))
            there.desk.sequencer.clock = there.desk.venue.clock = here.desk.clock
            await nodes.level()
        assert caught_up
        body = {"market_id": "BTC-1M-29990101T0000Z", "side": "BUY", "qty": 1, "type": "LIMIT", "price": 40}
        await nodes.at(1, maker).refused("UNKNOWN_MARKET", 404, "POST", "/orders/preview", json=body)
