"""A network that is cut again and again, at random instants and in the middle of frames, while an agent trades over it.

The venue is a real process; the agent's requests and its socket go through a proxy that cuts them, another agent trades
against it directly, and short windows open and settle all the while. After every cut, at a moment when nobody trades,
what the agent sees must be what the venue says; in the end every order it issued exists once, or was reported as never
accepted, and every fill and settlement was told once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from raeth.client.client import AsyncClient
from raeth.client.errors import Disconnected, OrderRejected, Uncertain, VenueError
from raeth.client.live import LiveVenue
from raeth.client.mirror import Fact, Settled
from raeth.client.models import Fill, Order
from raeth.client.stream import Stream
from tests.client.proxy import Proxy
from tests.e2e.venue import Host, hosting

SETTINGS = {
    "RAETH_SERIES__WINDOW_MS": "4000",
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "100000000",
    "RAETH_RISK__COOLDOWN_REJECTS": "1000000",
}

EQUAL_WITHIN_S = 5.0
"""Once nobody trades, what is shown must become equal to what is; what is wrong then stays wrong."""

GONE = {"ORDER_NOT_OPEN", "ORDER_ALREADY_FILLED", "AMEND_CONFLICT", "ORDER_NOT_FOUND"}
"""What a cancel or amend may meet when somebody else was faster."""


class Gate:
    """Lets actors act, and says when none of them does."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def acting(self, act: Callable[[], Awaitable[None]]) -> None:
        await self._open.wait()
        self._busy += 1
        self._idle.clear()
        try:
            await act()
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        self._open.clear()
        await self._idle.wait()
        try:
            yield
        finally:
            self._open.set()


class Trader:
    """Does everything an agent can do over a stream, at random, and remembers what it was told of every order."""

    def __init__(self, live: LiveVenue, rng: random.Random) -> None:
        self.live, self.rng = live, rng
        self.told: dict[str, str] = {}
        self.answers: dict[str, Order] = {}
        self.acts: Counter[str] = Counter()
        self._keys = itertools.count(1)

    async def act(self) -> None:
        rng, live = self.rng, self.live
        market = live.market
        if market is None:
            await asyncio.sleep(0.01)
            return
        kind = rng.choices(("place", "burst", "cancel", "amend", "quote", "cancel all"), (6, 2, 3, 3, 3, 1))[0]
        self.acts[kind] += 1
        try:
            if kind == "place":
                await self.place(market.id)
            elif kind == "burst":
                await asyncio.gather(*(self.place(market.id) for _ in range(rng.randint(2, 8))))
            elif kind == "quote":
                mid = rng.randint(45, 55)
                bids = [(mid - gap, rng.randint(1, 9)) for gap in range(1, rng.randint(2, 4))]
                asks = [(mid + gap, rng.randint(1, 9)) for gap in range(1, rng.randint(2, 4))]
                await live.put_quotes(market, rng.choice(("near", "far")), bids, asks)
            elif kind == "cancel all":
                await live.cancel_all()
            elif live.orders:
                order = rng.choice(list(live.orders.values()))
                if kind == "cancel":
                    await live.cancel(order.order_id)
                else:
                    price = rng.choice((None, rng.randint(40, 60)))
                    await live.amend(order.order_id, price, order.qty + rng.randint(-2, 2) if price is None else None)
        except OrderRejected:
            self.acts["declined"] += 1
        except VenueError as error:
            assert error.code in GONE or error.code == "VALIDATION_FAILED", error
        except ValueError:
            pass
        await asyncio.sleep(rng.uniform(0, 0.01))

    async def place(self, market_id: str) -> None:
        key = f"cut:{next(self._keys)}"
        self.told[key] = "unknown"
        side = self.rng.choice(("BUY", "SELL"))
        tif = self.rng.choice((None, "IOC", "FOK", "POST_ONLY", None, None))
        price = self.rng.choice((None, *range(44, 57))) if tif != "POST_ONLY" else self.rng.randint(44, 56)
        qty = self.rng.randint(1, 12)
        try:
            order = await self.live.place(market_id, side, qty, price, tif=tif, client_order_id=key)
        except OrderRejected as rejected:
            order = rejected.order
        except Disconnected:
            self.told[key] = "never accepted"
            return
        except Uncertain as uncertain:
            self.acts["uncertain"] += 1
            order = await uncertain.resolve()
        self.told[key] = "accepted"
        self.answers[key] = order


class Counterpart:
    """Somebody else, directly at the venue: takes from both sides and leaves a little."""

    def __init__(self, client: AsyncClient, live: LiveVenue, rng: random.Random) -> None:
        self.client, self.live, self.rng = client, live, rng

    async def act(self) -> None:
        market = self.live.market
        if market is not None:
            side = self.rng.choice(("BUY", "SELL"))
            price = self.rng.randint(46, 54)
            tif = self.rng.choice(("IOC", "GTC"))
            await self.client.place(market.id, side, self.rng.randint(1, 10), price, tif=tif, raise_on_reject=False)
        await asyncio.sleep(self.rng.uniform(0, 0.02))


async def forever(gate: Gate, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await gate.acting(act)


# ---- what is compared ----


async def at_the_venue(direct: AsyncClient, market_id: str) -> dict[str, Any] | None:
    """The agent's account and the market's book by request, all as of one `seq`; None if something happened between."""
    account = await direct.account()
    positions = await direct.positions()
    orders = [order async for order in direct.iter_orders(status=["OPEN", "PARTIALLY_FILLED"])]
    book = await direct.book(market_id, depth=99)
    again = await direct.account()
    if not account.seq == positions.seq == book.seq == again.seq:
        return None
    return {
        "cash": (account.cash_cents, account.locked_cents, account.free_cash_cents),
        "positions": {p.market_id: (p.net_qty, p.cash_flow_cents, p.locked_cents) for p in positions.items},
        "orders": {order.order_id: order for order in orders},
        "bids": [list(level) for level in book.bids],
        "asks": [list(level) for level in book.asks],
    }


def in_the_mirror(live: LiveVenue) -> dict[str, Any]:
    mirror = live.mirror
    of_interest = {order.market_id for order in mirror.orders.values()} | mirror.positions.keys()
    held = {market: mirror.position(market) for market in of_interest if market}
    bids, asks = live.book.levels()
    return {
        "cash": (live.cash_cents, mirror.locked_cents(), live.free_cash_cents),
        "positions": {m: (h.net_qty, h.cash_flow_cents, mirror.locked_cents(m)) for m, h in held.items()},
        "orders": {key: msgspec.structs.replace(order, replayed=False) for key, order in live.orders.items()},
        "bids": bids,
        "asks": asks,
    }


async def becomes_equal(live: LiveVenue, direct: AsyncClient) -> None:
    deadline = time.monotonic() + EQUAL_WITHIN_S
    seen: Any = None
    while time.monotonic() < deadline:
        await live.synced(EQUAL_WITHIN_S)
        market = live.market
        if market is None:
            await live.changed()
            continue
        venue = await at_the_venue(direct, market.id)
        with suppress(Disconnected):
            await live.stream.ping()  # what happened before the reads was told before the answer
        if venue is None or live.market is None or live.market.id != market.id:
            continue
        shown = in_the_mirror(live)
        if shown == venue and live.fresh:
            return
        seen = {name: (shown[name], venue[name]) for name in venue if shown[name] != venue[name]}
    raise AssertionError(f"shown and true: {seen}")


# ---- the test ----


async def cut(proxy: Proxy, rng: random.Random) -> str:
    kind = rng.choice(("now", "mid-frame", "mid-frame", "refuse", "both"))
    if kind in ("now", "both"):
        proxy.cut_now()
    if kind in ("mid-frame", "both"):
        proxy.cut_after_bytes(rng.randint(1, 3_000))
    if kind == "refuse":
        proxy.refuse()
        proxy.cut_now()
        await asyncio.sleep(rng.uniform(0, 0.3))
        proxy.accept()
    return kind


async def run_cuts(host: Host, count: int, seed: int) -> None:
    rng = random.Random(seed)
    venue = host.serve("--no-house", **SETTINGS)
    port = int(venue.url.rsplit(":", 1)[1])
    me = venue.signup("cut-off")
    them = await AsyncClient.signup(venue.url, "other@example.com", "counterpart")
    facts: list[Fact] = []
    kinds: Counter[str] = Counter()
    async with (
        Proxy(port) as proxy,
        Proxy(port) as other,
        AsyncClient(venue.url, me.key) as direct,
        AsyncClient(proxy.url, me.key) as client,
        them,
        LiveVenue(client) as live,
        AsyncClient(other.url, me.key) as reader,
        Stream(reader) as log,
    ):
        live.listen(facts.append)
        private = f"private.{me.id}"
        await log.subscribe(private, from_seq=1)
        logged: list[tuple[int, Any]] = []
        gate = Gate()
        trader = Trader(live, rng)
        reading = asyncio.create_task(read(log, logged))
        actors = [forever(gate, trader.act), forever(gate, trader.act), forever(gate, trader.act)]
        actors.append(forever(gate, Counterpart(them, live, rng).act))
        tasks = [asyncio.create_task(actor) for actor in actors]
        try:
            await live.synced(30)
            while live.stream.connects <= count:
                before = live.stream.connects
                await asyncio.sleep(rng.uniform(0.02, 0.4))
                kind = await cut(proxy, rng)
                other.cut_now()
                try:
                    await until(lambda before=before: live.stream.connects > before, 20 if kind != "mid-frame" else 1)
                except TimeoutError:
                    assert kind == "mid-frame"  # it may have met a request instead of the socket
                    kind = "missed"
                kinds[kind] += 1
                failed_early(tasks, reading)
                async with gate.closed():
                    await becomes_equal(live, direct)
            async with gate.closed():
                for task in tasks:
                    task.cancel()
                await becomes_equal(live, direct)
                await nothing_doubled_nothing_lost(trader, direct)
                await all_told_once(live, facts, direct)
                await replays_alike(logged, log, private, direct)
        finally:
            for task in (*tasks, reading):
                task.cancel()
            await asyncio.gather(*tasks, reading, return_exceptions=True)
        kept = (live.stream.connects, log.connects, len(trader.told), dict(trader.acts), len(logged), dict(kinds))
        print("connections, of the log, orders, acts, private events, cuts:", *kept)
        assert live.stream.connects > count and trader.acts["quote"] and len(facts) > count
    venue.stop()
    host.audited()


def failed_early(tasks: list[asyncio.Task[None]], reading: asyncio.Task[None]) -> None:
    for task in (*tasks, reading):
        if task.done():
            task.result()
            raise AssertionError("an actor ended")


async def read(stream: Stream, logged: list[tuple[int, Any]]) -> None:
    async for event in stream:
        logged.append((event.seq, event.data))


async def until(true: Callable[[], bool], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.005)


async def nothing_doubled_nothing_lost(trader: Trader, direct: AsyncClient) -> None:
    at_venue = [order async for order in direct.iter_orders() if order.client_order_id is not None]
    counts = Counter(order.client_order_id for order in at_venue)
    assert max(counts.values()) == 1, counts.most_common(3)
    accepted = {key for key, told in trader.told.items() if told == "accepted"}
    assert counts.keys() == accepted, (counts.keys() - accepted, accepted - counts.keys())
    assert "unknown" not in trader.told.values()
    ids = {order.client_order_id: order for order in at_venue}
    for key, answer in trader.answers.items():
        found = ids[key]
        assert found.order_id == answer.order_id and found.reject_reason == answer.reject_reason, (answer, found)
        assert found.filled_qty >= answer.filled_qty, (answer, found)


async def all_told_once(live: LiveVenue, facts: list[Fact], direct: AsyncClient) -> None:
    """Fills and settlements, those of the time without a connection included."""
    fills = Counter([fill.trade_id async for fill in direct.iter_fills()])
    await until(lambda: len([fact for fact in facts if isinstance(fact, Fill)]) >= len(fills), 10)
    assert Counter(fact.trade_id for fact in facts if isinstance(fact, Fill)) == fills
    paid = {entry.market_id: entry.amount_cents async for entry in direct.iter_ledger() if entry.kind == "SETTLEMENT"}
    settled = [fact for fact in facts if isinstance(fact, Settled)]
    assert set(Counter(fact.market_id for fact in settled).values()) <= {1}  # a run of few cuts may see none
    told = {fact.market_id: fact.pnl_cents for fact in settled if fact.pnl_cents}
    assert told == {market: amount for market, amount in paid.items() if amount}


async def replays_alike(logged: list[tuple[int, Any]], log: Stream, private: str, direct: AsyncClient) -> None:
    """What was read over all those connections is what one uninterrupted reader is told, event by event."""
    async with Stream(direct) as once:
        await once.subscribe(private, from_seq=1)
        _, upto = await once.ping()
        _, _ = await log.ping()
        again: list[tuple[int, Any]] = []
        reading = asyncio.create_task(read(once, again))
        try:
            await until(lambda: min(len(again), len(logged)) >= 1 and _both(again, logged, upto), 30)
        finally:
            reading.cancel()
    shared = min(len(again), len(logged))
    assert again[:shared] == logged[:shared]


def _both(again: list[tuple[int, Any]], logged: list[tuple[int, Any]], upto: int) -> bool:
    """Both have read as far as nothing more was to come."""
    return len(again) == len(logged) and again[-1][0] == logged[-1][0]


@pytest.mark.timeout(240)
async def test_cuts(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        await run_cuts(host, 25, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [2])
async def test_many_cuts(tmp_path: Path, seed: int) -> None:
    with hosting(tmp_path) as host:
        await run_cuts(host, 200, seed)
