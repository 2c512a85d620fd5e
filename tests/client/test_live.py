"""LiveVenue on a venue process with short windows: it follows them, wakes whoever waits, and comes back."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from raeth.client.client import AsyncClient
from raeth.client.errors import OrderRejected, Stale, VenueError
from raeth.client.live import LiveVenue
from raeth.client.mirror import Fact, Settled
from raeth.client.models import Fill, LedgerEntry, Order
from raeth.client.stream import Stream
from tests.client.proxy import Proxy
from tests.e2e.venue import Host, VenueProcess, hosting

ADMIN = "rk_admin_" + "a" * 32
SETTINGS = {
    "RAETH_SERIES__WINDOW_MS": "3000",
    "RAETH_ADMIN_TOKEN": ADMIN,
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "1000000",
}

names = itertools.count(1)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with hosting(tmp_path_factory.mktemp("live")) as host:
        yield host.serve("--no-house", **SETTINGS)


@asynccontextmanager
async def agent(url: str, **options: Any) -> AsyncIterator[AsyncClient]:
    name = f"live-{next(names)}"
    async with await AsyncClient.signup(url, f"{name}@example.com", name, **options) as client:
        yield client


async def open_window(live: LiveVenue, least_left_ms: int = 1_500) -> str:
    """The id of a market with some time left. One without an open print, on a busy machine, is halted: waited out."""
    version = live.version
    async with asyncio.timeout(30):
        while True:
            await live.synced()
            market = live.market
            if market is not None and market.tradeable and market.close_at_ms - live.now_ms() >= least_left_ms:
                return market.id
            version = await live.changed(version)


async def until(live: LiveVenue, true: Any, within_s: float = 10) -> None:
    version = live.version
    async with asyncio.timeout(within_s):
        while not true():
            version = await live.changed(version)


async def test_follows_the_windows_by_itself(venue: VenueProcess) -> None:
    facts: list[Fact] = []
    async with agent(venue.url) as client, agent(venue.url) as other, LiveVenue(client) as live:
        live.listen(facts.append)
        seen = []
        for _ in range(4):
            market = await open_window(live)
            assert live.market is not None and live.market.symbol not in seen
            seen.append(live.market.symbol)
            await until(live, lambda: live.next_market is not None)
            assert live.next_market is not None and live.next_market.open_at == live.market.close_at
            order = await live.place(market, "BUY", 10, 50)
            taken = await other.place(market, "SELL", 4, 50)
            await live.caught_up(taken.seq)
            assert live.orders[order.order_id].remaining_qty == 6
            assert (live.position.net_qty, live.position.cash_flow_cents) == (4, -4 * 50 + 1)
            await until(live, lambda: live.book.bids == [(50, 6)] and live.last_trade_price == 50)
            assert live.book.best_bid == 50 and live.book.best_ask is None
            assert live.mirror.locked_cents(market) == 4 * 50 - 1 + 6 * 50
            assert live.free_cash_cents == live.cash_cents - live.mirror.locked_cents()
            await until(live, lambda market=market: live.market is not None and live.market.id != market)
            assert live.book.bids == [] and not live.orders
            assert len(live.stream.channels) <= 4 + 2 * 2 + 2
        await until(live, lambda: len([fact for fact in facts if isinstance(fact, Settled)]) >= 3)
        settled = [fact for fact in facts if isinstance(fact, Settled)]
        assert [fact.symbol for fact in settled] == seen[: len(settled)]
        for fact in settled:
            assert fact.pnl_cents == {"YES": 4 * 100 - 199, "NO": -199, "VOID": 0}[fact.resolution]
        paid = [fact.amount_cents for fact in facts if isinstance(fact, LedgerEntry)]
        assert paid == [fact.pnl_cents for fact in settled if fact.pnl_cents]
        assert len([fact for fact in facts if isinstance(fact, Fill)]) == 4
        assert live.cash_cents == (await client.account()).cash_cents
        assert live.reference_history and live.reference.status == "LIVE" and live.reference.synthetic
        assert all(one[0] < two[0] for one, two in itertools.pairwise(live.reference_history))


async def test_many_changes_wake_once(venue: VenueProcess) -> None:
    async with agent(venue.url) as client, LiveVenue(client) as live:
        market = await open_window(live)
        await live.changed()
        wakes = 0
        orders = [asyncio.create_task(live.place(market, "BUY", 1, 10)) for _ in range(150)]
        while not all(order.done() for order in orders) or len(live.orders) < 150:
            await live.changed()
            wakes += 1
        assert wakes < 150  # 150 orders are at least 150 private events
        assert (await live.cancel_all()).cancelled == 150
        await until(live, lambda: not live.orders)


async def test_quotes_and_what_is_declined(venue: VenueProcess) -> None:
    async with agent(venue.url) as client, LiveVenue(client) as live:
        market = await open_window(live)
        orders = await live.put_quotes(market, "mm", [(40, 5), (39, 5)], [(60, 5)])
        assert [order.status for order in orders] == ["OPEN"] * 3
        assert {live.quote_id_of(order.order_id) for order in orders} == {"mm"}
        await live.caught_up(orders[0].seq)
        assert len(live.orders) == 3
        with pytest.raises(OrderRejected) as declined:
            await live.place(market, "BUY", 1, 60, tif="POST_ONLY")
        assert declined.value.details.best_non_crossing_price == 59
        with pytest.raises(OrderRejected):
            await live.amend(orders[0].order_id, price=60, qty=10**6)
        amended = await live.amend(orders[0].order_id, qty=3)
        await live.caught_up(amended.seq)
        assert live.orders[orders[0].order_id].remaining_qty == 3
        assert (await live.cancel(orders[1].order_id)).cancel_reason == "USER"
        with pytest.raises(VenueError, match="ORDER_NOT_OPEN"):
            await live.cancel(orders[1].order_id)
        assert [order async for order in client.iter_orders(status="REJECTED")] != []
        assert (await live.cancel_all(quote_id="mm")).cancelled == 2
        late = await live.place(market, "BUY", 1, 50, recv_window_ms=5_000)
        assert late.is_open


async def test_the_freeze_is_seen_at_once(venue: VenueProcess) -> None:
    async with agent(venue.url) as client, LiveVenue(client) as live:
        market = await open_window(live)
        venue.admin("POST", "/freeze", ADMIN, json={"reason": "drill"})
        try:
            await until(live, lambda: live.frozen)
            with pytest.raises(VenueError, match="EXCHANGE_FROZEN"):
                await live.place(market, "BUY", 1, 50)
        finally:
            venue.admin("POST", "/unfreeze", ADMIN, json={})
        await until(live, lambda: not live.frozen)


async def test_a_halt_is_seen_at_once(venue: VenueProcess) -> None:
    async with agent(venue.url) as client, LiveVenue(client) as live:
        market = await open_window(live)
        venue.admin("POST", f"/markets/{market}/halt", ADMIN, json={"reason": "drill"})
        await until(live, lambda: live.market is not None and live.market.halted)
        venue.admin("POST", f"/markets/{market}/resume", ADMIN, json={})
        await until(live, lambda: live.market is None or not live.market.halted)


async def test_a_revoked_key_ends_it(venue: VenueProcess) -> None:
    async with agent(venue.url, password="correct horse battery") as client, LiveVenue(client) as live:
        await live.synced(10)
        assert client.api_key is not None
        venue.admin("POST", f"/keys/{client.api_key.split('_')[2]}/revoke", ADMIN, json={"reason": "drill"})
        with pytest.raises(VenueError, match="AUTH_REVOKED"):
            async with asyncio.timeout(10):
                while True:
                    await live.changed()
        assert not live.fresh
        with pytest.raises(VenueError, match="AUTH_REVOKED"):
            await live.place("x", "BUY", 1, 50)


async def test_nobody_in_particular_sees_what_is_public(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAETH_API_KEY", raising=False)
    async with AsyncClient(venue.url) as anyone, LiveVenue(anyone) as live:
        await open_window(live)
        assert live.fresh and live.cash_cents == 0
        with pytest.raises(VenueError, match="UNAUTHENTICATED"):
            await live.place("x", "BUY", 1, 50)


async def test_a_held_connection_is_noticed_and_replaced(venue: VenueProcess) -> None:
    """Nothing is closed, nothing comes: after `silence_s` the view is no longer fresh, and another connection follows.
    What was traded meanwhile is told once it is back."""
    facts: list[Fact] = []
    async with (
        agent(venue.url) as direct,
        agent(venue.url) as other,
        Proxy(int(venue.url.rsplit(":", 1)[1])) as proxy,
        AsyncClient(proxy.url, direct.api_key) as client,
        LiveVenue(client, silence_s=6.0) as live,
    ):
        live.listen(facts.append)
        market = await open_window(live, 2_500)
        # Above what the tests before may have left in this window.
        order = await live.place(market, "BUY", 5, 70)
        proxy.pause()
        began = time.monotonic()
        await other.place(market, "SELL", 5, 70)
        async with asyncio.timeout(15):
            while live.fresh:
                await asyncio.sleep(0.05)
        assert time.monotonic() - began >= 5.5
        proxy.resume()
        await live.synced(15)
        await until(live, lambda: any(isinstance(fact, Settled) for fact in facts))
        assert order.order_id not in live.orders
        assert [fact.qty for fact in facts if isinstance(fact, Fill)] == [5]
        assert len([fact for fact in facts if isinstance(fact, Settled)]) == 1
        assert live.cash_cents == (await direct.account()).cash_cents


async def test_stale_is_said_not_waited_for_forever(venue: VenueProcess) -> None:
    async with (
        agent(venue.url) as direct,
        Proxy(int(venue.url.rsplit(":", 1)[1])) as proxy,
        AsyncClient(proxy.url, direct.api_key) as client,
        LiveVenue(client) as live,
    ):
        await live.synced(10)
        proxy.refuse()
        proxy.cut_now()
        await until(live, lambda: not live.fresh)
        with pytest.raises(Stale):
            await live.synced(0.5)
        with pytest.raises(Stale):
            await live.caught_up(10**9, 0.2)
        proxy.accept()
        await live.synced(15)


async def test_comes_back_after_the_venue_was_restarted(tmp_path: Any) -> None:
    with hosting(tmp_path) as host:
        await _restarted(host)


async def _restarted(host: Host) -> None:
    venue = host.serve("--no-house", **SETTINGS)
    port = venue.url.rsplit(":", 1)[1]
    async with agent(venue.url, patience_s=30.0) as client, LiveVenue(client) as live, Stream(client) as stream:
        await stream.subscribe(f"private.{client.agent_id}")
        await open_window(live)
        await asyncio.to_thread(venue.stop)
        await until(live, lambda: not live.fresh)
        placing = asyncio.create_task(live.place("BTC-1M-20200101T0000Z", "BUY", 1, 50, raise_on_reject=False))
        again = await asyncio.to_thread(host.serve, "--no-house", "--port", port, **SETTINGS)
        assert again.url == venue.url
        assert (await placing).reject_reason == "UNKNOWN_MARKET"
        market = await open_window(live)
        order = await live.place(market, "BUY", 3, 50)
        await live.caught_up(order.seq)
        assert list(live.orders) == [order.order_id] and live.stream.connects >= 2
        told = []
        while "OPEN" not in told:
            event = await anext(stream)
            told += [event.data["order"]["status"]] if event.data.get("kind") == "order" else []
        assert told == ["REJECTED", "OPEN"]
        assert isinstance(live.orders[order.order_id], Order)
