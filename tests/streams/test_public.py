"""Public channels: whoever listens, from whatever moment on, knows what the venue answers when asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raeth.engine import commands as cmd
from tests.api.harness import STRIKE_CENTS, Desk, Trader
from tests.streams.crowd import Crowd
from tests.streams.harness import Hall, Peer, limits, opened_hall
from tests.streams.mirrors import book_of, engine_queues, queues_of, since_snapshot, trades_of


async def crowd_of(desk: Desk, seed: int) -> Crowd:
    """Two accounts, one of them with a second agent."""
    one, two = await desk.trader("one", 200_000), await desk.trader("two", 200_000)
    return Crowd(desk, [one, two, await desk.sibling(one, "one.2", 100_000)], seed)


async def holds(hall: Hall, peer: Peer) -> None:
    """Everything this peer listens to is what REST says."""
    state = hall.desk.sequencer.state
    for channel, events in peer.heard.items():
        kind, _, market = channel.partition(".")
        if kind == "book":
            body = await hall.desk.read(f"/markets/{market}/book", depth=99)
            assert book_of(events) == (body["bids"], body["asks"]), channel
            assert events[-1]["seq"] <= body["seq"] == state.seq
        elif kind == "l3":
            assert queues_of(events) == engine_queues(hall.desk, uuid_of(hall, market)), channel
        elif kind == "trades":
            told = trades_of(events)
            asked = (await hall.desk.read(f"/markets/{market}/trades", limit=250))["items"]
            assert told[: len(asked)] == asked[: len(told)], channel
            assert len(told) >= min(50, len(asked))


def uuid_of(hall: Hall, ref: str) -> str:
    names, state = hall.desk.venue.names, hall.desk.sequencer.state
    return names.uuid(state.symbols[ref]) if ref in state.symbols else ref


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 8))])
@pytest.mark.parametrize("interval_ms", [0, 20])
async def test_books_queues_and_trades_are_what_rest_says(tmp_path: Path, seed: int, interval_ms: int) -> None:
    """Listeners come at any moment, many at once, in the middle of bursts; some leave, some subscribe again."""
    async with opened_hall(tmp_path, open_limits=limits(book_interval_ms=interval_ms)) as hall:
        crowd, random = await crowd_of(hall.desk, seed), Random(seed)
        peers = [await hall.anyone()]
        for _round in range(8):
            state = hall.desk.sequencer.state
            names = hall.desk.venue.names
            markets = [names.uuid(market) for market in state.markets]
            wanted = [f"{kind}.{market}" for market in markets for kind in ("book", "l3", "trades")]
            wanted += [f"book.{m.symbol}" for m in state.markets.values()] + ["markets"]

            async def join(peer: Peer, wanted: list[str] = wanted) -> None:
                for _ in range(random.randrange(4)):
                    await asyncio.sleep(0)
                await peer.subscribe(*random.sample(wanted, random.randint(1, len(wanted))))

            peers += [await hall.anyone() for _ in range(2)]
            await asyncio.gather(crowd.trade(12), *(join(peer) for peer in peers))
            await hall.quiet(*peers)
            for peer in peers:
                await holds(hall, peer)
            if len(peers) > 6:
                await peers.pop(random.randrange(len(peers))).close()
        assert sum(len(events) for peer in peers for events in peer.heard.values()) > 100
        assert hall.hub.cut_off == 0


async def test_changes_within_the_interval_are_one_delta_of_the_newest_seq(tmp_path: Path) -> None:
    async with opened_hall(tmp_path, open_limits=limits(book_interval_ms=1_000)) as hall:
        maker, peer = await hall.desk.trader("maker"), await hall.anyone()
        channel = f"book.{hall.desk.symbol}"
        await peer.subscribe(channel)
        await maker.place("BUY", 40, 1)
        first = (await peer.event(channel, 2))[1]
        assert first["data"]["bids"] == [[40, 1, 1]] and first["data"]["asks"] == []
        last = [await maker.place("BUY", 40, 2), await maker.place("SELL", 60, 5), await maker.place("BUY", 41, 1)][-1]
        await maker.ask("POST", "/orders/cancel", json={"side": "SELL"})
        _, _, delta = await peer.event(channel, 3)
        assert sorted(delta["data"]["bids"]) == [[40, 3, 2], [41, 1, 1]] and delta["data"]["asks"] == [[60, 0, 0]]
        assert delta["seq"] > last["seq"] and delta["data"]["market_id"] == hall.desk.market_id


async def test_who_comes_between_two_deltas_hears_nothing_twice(tmp_path: Path) -> None:
    async with opened_hall(tmp_path, open_limits=limits(book_interval_ms=1_000)) as hall:
        maker, old, new = await hall.desk.trader("maker"), await hall.anyone(), await hall.anyone()
        channel = f"book.{hall.desk.symbol}"
        await old.subscribe(channel)
        await maker.place("BUY", 40, 1)
        await old.event(channel, 2)
        await maker.place("BUY", 40, 2)
        await new.subscribe(channel)
        assert new.heard[channel][0]["data"]["bids"] == [[40, 3, 2]]
        await old.event(channel, 3)
        await maker.place("BUY", 40, 3)
        await hall.quiet(old, new)
        assert book_of(old.heard[channel]) == book_of(new.heard[channel]) == ([[40, 6, 3]], [])
        assert len(new.heard[channel]) == 2


async def test_a_market_has_two_names_and_events_carry_the_one_that_was_asked_for(hall: Hall) -> None:
    desk, peer = hall.desk, await hall.anyone()
    maker, taker = await desk.trader("maker"), await desk.trader("taker")
    names = (desk.symbol, desk.market_id)
    await peer.subscribe(*(f"{kind}.{name}" for kind in ("book", "l3", "trades") for name in names))
    await maker.place("BUY", 50, 5)
    await taker.place("SELL", 50, 3)
    await hall.quiet(peer)
    for kind in ("book", "l3", "trades"):
        by_symbol, by_id = (peer.heard[f"{kind}.{name}"] for name in names)
        assert len(by_symbol) >= 2
        assert [e["data"] for e in by_symbol] == [e["data"] for e in by_id]
    assert [e["data"]["changes"][0][3] for e in peer.heard[f"l3.{desk.symbol}"][1:]] == [5, 2], "one delta a command"


async def test_the_life_of_windows(hall: Hall) -> None:
    desk, peer = hall.desk, await hall.anyone()
    first, second = desk.symbol, desk.sequencer.state.pending.symbol  # type: ignore[union-attr]
    await peer.subscribe("markets")
    await hall.quiet(peer)
    [snapshot] = peer.heard["markets"]
    rest = await desk.read("/markets", status="OPEN")
    assert [market["symbol"] for market in snapshot["data"]["items"]] == [first, second]
    assert snapshot["data"]["items"][0] == rest["items"][0]
    await desk.submit(cmd.HaltMarket("ops", desk.market.id, "why"))
    await desk.submit(cmd.ResumeMarket("ops", desk.market.id, None))
    await desk.next_window(STRIKE_CENTS + 100)
    third = desk.sequencer.state.pending
    assert third is not None
    await desk.submit(cmd.VoidMarket("ops", third.id, "why"))
    await hall.quiet(peer)
    told = [(event["data"]["change"], event["data"]["market"]["symbol"]) for event in peer.heard["markets"][1:]]
    assert told[:2] == [("HALTED", first), ("RESUMED", first)]
    assert told[2:5] == [("EXPIRED", first), ("OPEN", second), ("PENDING", third.symbol)]
    assert set(told[5:8]) == {("PRINTED", first), ("PRINTED", second), ("RESOLVED", first)}
    assert ("VOID", third.symbol) in told
    resolved = next(e["data"]["market"] for e in peer.heard["markets"][1:] if e["data"]["change"] == "RESOLVED")
    asked = await desk.read(f"/markets/{first}")
    assert resolved == asked and resolved["resolution"] == "YES"


async def test_the_first_listener_misses_nothing_however_early_it_happens(hall: Hall) -> None:
    """Between the answer to a subscription and its snapshot, which takes its turn behind what is yet to be told."""
    desk, peer = hall.desk, await hall.anyone()
    gate = asyncio.Event()

    async def busy() -> None:
        await gate.wait()

    await peer.caught_up()
    hall.hub.in_lane(busy)
    await peer.ack("subscribe", channels=["markets", "leaderboard"])
    before = desk.symbol
    await desk.submit(cmd.HaltMarket("ops", desk.market.id, "why"))
    await desk.next_window()
    gate.set()
    await hall.quiet(peer)
    told = [(e["data"]["change"], e["data"]["market"]["symbol"]) for e in peer.heard["markets"][1:]]
    assert told[:3] == [("HALTED", before), ("EXPIRED", before), ("OPEN", desk.symbol)]
    assert [event["type"] for event in peer.heard["leaderboard"]] == ["snapshot", "event"]


async def test_unsubscribed_before_the_snapshot_came_there_is_none(hall: Hall) -> None:
    peer, gate = await hall.anyone(), asyncio.Event()

    async def busy() -> None:
        await gate.wait()

    await peer.caught_up()
    hall.hub.in_lane(busy)
    await peer.ack("subscribe", channels=["markets"])
    assert await peer.ack("unsubscribe", channels=["markets"]) == {"channels": ["markets"]}
    gate.set()
    await hall.quiet(peer)
    await hall.desk.submit(cmd.HaltMarket("ops", hall.desk.market.id, "why"))
    await hall.quiet(peer)
    assert not peer.heard["markets"]


async def test_the_reference(hall: Hall) -> None:
    desk, peer = hall.desk, await hall.anyone()
    await peer.subscribe("feed.btc")
    [snapshot] = peer.heard["feed.btc"]
    asked = await desk.read("/reference/btc")
    asked.pop("venues")
    assert snapshot["data"] == asked | {"fair": None}
    desk.clock.advance(300)
    await desk.tick(STRIKE_CENTS + 77)
    await hall.quiet(peer)
    event = peer.heard["feed.btc"][-1]
    assert event["data"]["price_cents"] == STRIKE_CENTS + 77 and event["data"]["age_ms"] == 0
    assert event["data"]["status"] == "LIVE"
    asked = await desk.read("/reference/btc")
    asked.pop("venues")
    assert event["data"] == asked | {"fair": None}


async def test_freeze_and_broadcast(hall: Hall) -> None:
    desk, peer = hall.desk, await hall.anyone()
    await peer.subscribe("venue")
    await desk.submit(cmd.Freeze("ops", "a reason"))
    late = await hall.anyone()
    await late.subscribe("venue")
    await desk.submit(cmd.Broadcast("ops", "back at noon"))
    await desk.submit(cmd.Unfreeze("ops", None))
    await hall.quiet(peer, late)
    events = [
        {"event": "FROZEN", "reason": "a reason", "message": None},
        {"event": "BROADCAST", "reason": None, "message": "back at noon"},
        {"event": "UNFROZEN", "reason": None, "message": None},
    ]
    assert [e["data"] for e in peer.heard["venue"]] == [{"frozen": False, "reason": None}, *events]
    assert [e["data"] for e in late.heard["venue"]] == [{"frozen": True, "reason": "a reason"}, *events[1:]]


async def test_the_leaderboard_after_every_settlement(hall: Hall) -> None:
    desk, peer = hall.desk, await hall.anyone()
    maker, taker = await desk.trader("maker"), await desk.trader("taker")
    await peer.subscribe("leaderboard")
    await hall.quiet(peer)
    await maker.place("BUY", 50, 5)
    await taker.place("SELL", 50, 5)
    await desk.next_window(STRIKE_CENTS + 100)
    await hall.quiet(peer)
    snapshot, event = peer.heard["leaderboard"]
    assert snapshot["data"]["items"] == []
    assert event["data"] == await desk.read("/leaderboard") and event["data"]["items"]


async def test_subscribing_again_begins_anew_and_others_do_not_notice(hall: Hall) -> None:
    desk, one, two = hall.desk, await hall.anyone(), await hall.anyone()
    maker = await desk.trader("maker")
    channel = f"l3.{desk.symbol}"
    await one.subscribe(channel)
    await two.subscribe(channel)
    await maker.place("BUY", 40, 1)
    await one.subscribe(channel)
    await maker.place("BUY", 40, 1)
    await hall.quiet(one, two)
    assert [e["type"] for e in one.heard[channel]] == ["snapshot", "delta", "snapshot", "delta"]
    assert [e["type"] for e in two.heard[channel]] == ["snapshot", "delta", "delta"]
    for peer in (one, two):
        numbers = [event["channel_seq"] for event in since_snapshot(peer.heard[channel])]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_all_or_nothing(hall: Hall) -> None:
    peer, desk = await hall.anyone(), hall.desk
    bad: list[tuple[str, Any]] = [
        ("UNSUPPORTED_CHANNEL", "nonsense"),
        ("UNSUPPORTED_CHANNEL", "book."),
        ("UNSUPPORTED_CHANNEL", "feed.eth"),
        ("UNSUPPORTED_CHANNEL", ""),
        ("UNSUPPORTED_CHANNEL", "book." + "x" * 200),
        ("UNKNOWN_MARKET", "book.BTC-1M-20010101T0000Z"),
        ("UNAUTHENTICATED", f"private.{desk.market_id}"),
    ]
    for code, name in bad:
        await peer.error(code, "subscribe", channels=["venue", name])
        await peer.error(code, "unsubscribe", channels=["venue", name])
    await desk.submit(cmd.Broadcast("ops", "hello"))
    await hall.quiet(peer)
    assert not peer.heard and not hall.hub.notices.channels


async def test_a_window_that_ended_has_an_empty_book_and_its_trades(hall: Hall) -> None:
    desk, peer = hall.desk, await hall.anyone()
    maker, taker = await desk.trader("maker"), await desk.trader("taker")
    for _ in range(60):
        await maker.place("BUY", 50, 1)
    await taker.place("SELL", 50, 60)
    old = desk.symbol
    await desk.next_window()
    await peer.subscribe(f"book.{old}", f"l3.{old}", f"trades.{old}")
    assert book_of(peer.heard[f"book.{old}"]) == queues_of(peer.heard[f"l3.{old}"]) == ([], [])
    trades = peer.heard[f"trades.{old}"][0]["data"]["trades"]
    assert trades == (await desk.read(f"/markets/{old}/trades", limit=50))["items"] and len(trades) == 50


async def test_more_snapshots_at_once_than_may_be_unread(tmp_path: Path) -> None:
    """Who reads is not cut off for asking for much."""
    async with opened_hall(tmp_path, open_limits=limits(unread_bytes=65_536, writes_per_minute=100_000)) as hall:
        desk = hall.desk
        traders: list[Trader] = [await desk.trader(f"maker-{n}", 1_000_000) for n in range(6)]
        for trader in traders:
            specs = [
                cmd.PlaceOrder(trader.agent, Crowd.key(trader), cmd.OrderSpec(desk.market.id, 0, "LIMIT", "GTC", p, 1))
                for p in range(1, 41)
                for _ in range(5)
            ]
            await asyncio.gather(*map(desk.sequencer.submit, specs))
        peer = await hall.peer(traders[0])
        channels = [f"{kind}.{name}" for kind in ("l3", "book") for name in (desk.symbol, desk.market_id)]
        channels += [f"private.{traders[0].uuid}", "markets"]
        await peer.subscribe(*channels)
        await hall.quiet(peer)
        assert peer.closed is None and all(peer.heard[channel] for channel in channels)
        await holds(hall, peer)
