"""Nothing is told before it is durable, and who may have missed something is told so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from raeth.api.streams import subscriptions
from raeth.engine import commands as cmd
from raeth.errors import Code, RaethError
from raeth.journal.base import JournalUnavailable, Key, Row, Write
from tests.api.harness import Trader
from tests.streams.harness import Hall, Peer, until
from tests.streams.mirrors import AccountMirror, book_of, engine_queues, queues_of
from tests.streams.test_private import channel_of, told


class FaultyCommit:
    """The journal's commit, whichever way, with a gate before it and a failure after it: each of `failures` says
    whether the batch had landed."""

    def __init__(self, hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
        self._journal = hall.desk.sequencer.journal
        self._commit = self._journal.commit
        self._append = self._journal.append
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.failures: list[bool] = []
        monkeypatch.setattr(self._journal, "commit", self.commit)
        monkeypatch.setattr(self._journal, "append", self.append)

    async def commit(
        self, rows: Sequence[Row], keys: Sequence[Key] = (), writes: Sequence[Write] = (), projected: int | None = None
    ) -> None:
        await self._through(rows, partial(self._commit, rows, keys, writes, projected))

    async def append(
        self,
        after_seq: int,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        await self._through(rows, partial(self._append, after_seq, rows, keys, writes, projected))

    async def _through(self, rows: Sequence[Row], commit: Callable[[], Awaitable[None]]) -> None:
        if not rows:  # the tables alone are brought forward: nothing in it is to be told
            await commit()
            return
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if not self.failures:
            await commit()
            return
        if self.failures.pop(0):
            await commit()
            raise JournalUnavailable("the disk is away", outcome_unknown=True)
        await self._journal.rollback()
        raise JournalUnavailable("the disk is full")


def channels_of(hall: Hall, trader: Trader) -> list[str]:
    market = hall.desk.symbol
    return [f"book.{market}", f"l3.{market}", f"trades.{market}", "markets", "venue", "feed.btc", channel_of(trader)]


async def listening(hall: Hall, trader: Trader) -> Peer:
    peer = await hall.peer(trader)
    await peer.subscribe(*channels_of(hall, trader))
    await hall.quiet(peer)
    return peer


def count(peer: Peer) -> int:
    return sum(map(len, peer.heard.values()))


async def failing(hall: Hall, trader: Trader, other: Trader) -> None:
    """A batch that touches every channel; all its callers are told that nothing is certain."""
    key = trader.key.split("_")[2]
    market = hall.desk.market.id
    commands: list[cmd.Command] = [
        cmd.PlaceOrder(trader.agent, key, cmd.OrderSpec(market, 0, "LIMIT", "GTC", 50, 5)),
        cmd.PlaceOrder(other.agent, other.key.split("_")[2], cmd.OrderSpec(market, 1, "LIMIT", "GTC", 50, 3)),
        cmd.HaltMarket("ops", market, "why"),
        cmd.Broadcast("ops", "hello"),
        cmd.GrantCash("ops", trader.agent, 5, "why"),
    ]
    results = await asyncio.gather(*map(hall.desk.sequencer.submit, commands), return_exceptions=True)
    assert all(isinstance(result, RaethError) for result in results), results


async def test_while_a_batch_is_committed_nothing_of_it_is_told(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await hall.desk.trader("alice"), await hall.desk.trader("bob")
    peer = await listening(hall, alice)
    faulty, before = FaultyCommit(hall, monkeypatch), count(peer)
    faulty.gate.clear()
    placing = asyncio.create_task(alice.place("BUY", 40, 1))
    await until(lambda: faulty.waiting)
    subscribing = asyncio.create_task((late := await hall.peer(bob)).subscribe(f"book.{hall.desk.symbol}"))
    for _ in range(10):
        await peer.caught_up()
    assert count(peer) == before and not late.heard[f"book.{hall.desk.symbol}"]
    assert hall.hub.seq == hall.desk.sequencer.durable_seq
    faulty.gate.set()
    await placing
    await subscribing
    await hall.quiet(peer, late)
    assert count(peer) == before + 3
    assert book_of(late.heard[f"book.{hall.desk.symbol}"]) == ([[40, 1, 1]], [])


@pytest.mark.parametrize("times", [1, 3])
async def test_a_batch_that_was_lost_is_never_told(hall: Hall, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    alice, bob = await hall.desk.trader("alice"), await hall.desk.trader("bob")
    peer = await listening(hall, alice)
    mirror = AccountMirror()
    before = count(peer)
    FaultyCommit(hall, monkeypatch).failures = [False] * times
    await failing(hall, alice, bob)
    await until(lambda: hall.desk.sequencer.health.mode == "ok")
    await hall.quiet(peer)
    assert count(peer) == before and peer.closed is None
    await alice.place("BUY", 41, 2)
    await bob.place("SELL", 41, 1)
    await hall.quiet(peer)
    assert book_of(peer.heard[f"book.{hall.desk.symbol}"]) == ([[41, 1, 1]], [])
    assert queues_of(peer.heard[f"l3.{hall.desk.symbol}"]) == engine_queues(hall.desk, hall.desk.market_id)
    mirror.take_all(peer.heard[channel_of(alice)])
    await mirror.compare(alice)


@pytest.mark.parametrize("failures", [[True], [True, False, False], [False, True], [True, True]])
async def test_a_batch_that_had_landed_after_all(
    hall: Hall, monkeypatch: pytest.MonkeyPatch, failures: list[bool]
) -> None:
    """Everybody starts over; and what was missed is there for who asks from then on."""
    alice, bob = await hall.desk.trader("alice"), await hall.desk.trader("bob")
    peers = [await listening(hall, alice), await listening(hall, bob), await hall.anyone()]
    await peers[2].caught_up()
    before, seq = [count(peer) for peer in peers], hall.hub.seq
    FaultyCommit(hall, monkeypatch).failures = list(failures)
    await failing(hall, alice, bob)
    for peer in peers:
        assert await peer.ended() == (1013, "resync required")
        assert peer.others[-1]["type"] == "resync_required"
    assert [count(peer) for peer in peers] == before, "and nothing was told in between"
    await until(lambda: hall.desk.sequencer.health.mode == "ok" and not hall.hub.readers)
    landed = failures[0]
    peer = await hall.peer(alice)
    await peer.subscribe(channel_of(alice), from_seq=seq + 1)
    await peer.subscribe(*channels_of(hall, alice)[:-1])
    await until(lambda: (told(peer, channel_of(alice)) != []) == landed)
    await hall.quiet(peer)
    kinds = [event["data"]["kind"] for event in peer.heard[channel_of(alice)]]
    assert kinds == (["order", "fill", "order", "cash"] if landed else [])
    assert book_of(peer.heard[f"book.{hall.desk.symbol}"]) == ([[50, 2, 1]] if landed else [], [])
    trades = peer.heard[f"trades.{hall.desk.symbol}"][0]["data"]["trades"]
    assert [trade["qty"] for trade in trades] == ([3] if landed else [])
    if landed:
        await hall.desk.submit(cmd.ResumeMarket("ops", hall.desk.market.id, None))
    await bob.place("SELL", 60, 1)
    await hall.quiet(peer)
    assert queues_of(peer.heard[f"l3.{hall.desk.symbol}"]) == engine_queues(hall.desk, hall.desk.market_id)


async def test_an_event_that_cannot_be_told_is_not_passed_over(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours in the telling: who listens starts over, and it goes on."""
    alice = await hall.desk.trader("alice")
    peer = await listening(hall, alice)
    told_of: list[Any] = []

    def broken(*arguments: Any) -> None:
        if not told_of:
            told_of.append(arguments)
            raise KeyError("a bug")

    monkeypatch.setattr(hall.hub, "_touch", broken)
    await alice.place("BUY", 40, 1)
    assert (await peer.ended())[0] == 1013
    monkeypatch.undo()
    again = await listening(hall, alice)
    await alice.place("BUY", 41, 1)
    await hall.quiet(again)
    assert book_of(again.heard[f"book.{hall.desk.symbol}"]) == ([[41, 1, 1], [40, 1, 1]], [])
    mirror = AccountMirror()
    mirror.take_all(again.heard[channel_of(alice)])
    await mirror.compare(alice)


async def test_tables_that_cannot_be_read(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """The channels that need them cannot go on in order; who listens starts over."""
    alice = await hall.desk.trader("alice")
    peer = await listening(hall, alice)

    async def away(_market: int) -> Any:
        raise JournalUnavailable("away")

    monkeypatch.setattr(hall.desk.venue.store, "get_market", away)
    await hall.desk.next_window()
    assert (await peer.ended())[0] == 1013
    monkeypatch.undo()
    again = await listening(hall, alice)
    await hall.desk.next_window()
    await hall.quiet(again)
    assert again.closed is None
    assert [e["data"]["change"] for e in again.heard["markets"][1:4]] == ["EXPIRED", "OPEN", "PENDING"]


async def test_a_failure_about_one_agent_is_that_agents(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in telling one agent's event: its listeners start over, and nobody else notices."""
    alice, bob = await hall.desk.trader("alice"), await hall.desk.trader("bob")
    hers, his = await listening(hall, alice), await listening(hall, bob)

    def broken(*_: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(hall.hub.privates[alice.agent].teller, "tell", broken)
    placed = await alice.place("BUY", 40, 1)
    assert (await hers.ended())[0] == 1013
    again = await hall.peer(alice)
    await again.subscribe(channel_of(alice), from_seq=placed["seq"])
    await bob.place("SELL", 40, 1)
    await hall.quiet(again, his)
    kinds = [event["data"]["kind"] for event in again.heard[channel_of(alice)]]
    assert kinds == ["order", "fill", "order"]
    assert his.closed is None and book_of(his.heard[f"book.{hall.desk.symbol}"]) == ([], [])


@pytest.mark.parametrize(
    ("trouble", "traced"),
    [
        (JournalUnavailable("away"), False),
        (RaethError(Code.SERVICE_DEGRADED), False),
        (RaethError(Code.NOT_FOUND), True),
        (KeyError("a bug"), True),
    ],
    ids=["journal", "tables", "refusal", "bug"],
)
async def test_a_past_that_cannot_be_told(
    hall: Hall, monkeypatch: pytest.MonkeyPatch, trouble: Exception, traced: bool
) -> None:
    """The reader starts over; only what is no mere outage leaves a traceback."""
    alice = await hall.desk.trader("alice")

    async def away(*_: Any) -> Any:
        raise trouble

    monkeypatch.setattr(hall.desk.sequencer.journal, "read", away)
    monkeypatch.setattr(subscriptions, "log", structlog.get_logger())
    peer = await hall.peer(alice)
    with capture_logs() as lines:
        await peer.ack("subscribe", channels=[channel_of(alice)], from_seq=1)
        assert (await peer.ended())[0] == 1013
    [line] = [line for line in lines if line["event"] == "the past could not be told"]
    assert line["log_level"] == ("error" if traced else "warning") and ("exc_info" in line) is traced
