"""Every call of the SDK against the whole application: what it returns, what it raises, and what it does not send."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from raeth.client import (
    AsyncClient,
    AsyncOwner,
    BadAnswer,
    NewOrder,
    NoOpenMarket,
    OrderRejected,
    Uncertain,
    VenueError,
    client,
    entry,
    models,
)
from raeth.config import LimitSettings
from tests.api.harness import opened_desk
from tests.client.faulty import Network, Side, refused, sides


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Side]]:
    async with sides(tmp_path) as made:
        yield made


async def test_a_trade_from_both_sides(pair: list[Side]) -> None:
    alice, bobby = (side.client for side in pair)
    market = await alice.open_market()
    quotes = await alice.put_quotes(market, "q", bids=[(48, 10)], asks=[(52, 10), (53, 5)])
    assert [order.price for order in quotes] == [48, 52, 53]
    preview = await bobby.preview(market, "BUY", 12)
    assert preview.accepted and [(fill.price, fill.qty) for fill in preview.fills] == [(52, 10), (53, 2)]
    order = await bobby.buy(market, 12)
    assert (order.status, order.filled_qty, order.filled_notional_cents) == ("FILLED", 12, 52 * 10 + 53 * 2)
    assert order.fee_cents == preview.fee_cents and not order.is_open
    book = await bobby.book(market.symbol)
    assert (book.best_bid, book.best_ask) == ((48, 10, 1), (53, 3, 1))
    (position,) = (await bobby.positions()).items
    assert position.net_qty == 12 and position.market_id == market.id
    assert [trade.qty for trade in (await bobby.trades(market)).items] == [2, 10]
    assert [fill.liquidity async for fill in alice.iter_fills()] == ["MAKER", "MAKER"]
    context = await bobby.agent_context(market)
    assert context.own is not None and context.own.position == position
    account = await bobby.account()
    assert account.free_cash_cents == account.cash_cents - account.locked_cents
    assert bobby.agent_id == account.agent_id == pair[1].trader.uuid


async def test_all_public_reads_have_their_types(pair: list[Side]) -> None:
    alice = pair[0].client
    market = await alice.open_market()
    await pair[0].desk.tick()
    assert (await alice.health()).now_ms == pair[0].desk.clock.now_ms()
    assert {entry.code for entry in (await alice.meta_errors()).items} >= {"FAT_FINGER", "RATE_LIMITED"}
    assert (await alice.meta_limits())["batch_size"] == 15
    assert (await alice.meta_version()).speed == 1.0
    (series,) = (await alice.series()).items
    assert (await alice.series_context(series.slug)).current == await alice.market(market)
    assert {one.status for one in (await alice.markets()).items} == {"OPEN", "PENDING"}
    assert [one.id for one in (await alice.markets("OPEN")).items] == [market.id]
    assert (await alice.candles(market, 1_000)).items == ()
    settlement = await alice.settlement(market)
    assert settlement.open_print is not None and settlement.close_print is None
    assert (await alice.reference()).status == "LIVE"
    assert (await alice.reference_history(60)).items
    assert market.close_at_ms - market.open_at_ms == 60_000


async def test_a_decline_raises_with_numbers_or_is_returned(pair: list[Side]) -> None:
    alice, bobby = (side.client for side in pair)
    market = await alice.open_market()
    await alice.sell(market, 5, 60)
    with pytest.raises(OrderRejected) as raised:
        await bobby.buy(market, 1, 60, tif="POST_ONLY")
    assert raised.value.reason == raised.value.code == "POST_ONLY_WOULD_CROSS"
    assert raised.value.details.best_non_crossing_price == 59 and raised.value.details.retryable
    assert raised.value.details.given() == {"retryable": True, "best_non_crossing_price": 59}
    assert "best_non_crossing_price=59" in str(raised.value)
    order = await bobby.buy(market, 1, 60, tif="POST_ONLY", raise_on_reject=False)
    assert order.is_rejected and order.repair == raised.value.details
    bobby.raise_on_reject = False
    assert (await bobby.buy(market, 0, 60)).reject_reason == "INVALID_QTY"
    with pytest.raises(OrderRejected):
        await bobby.buy(market, 0, 60, raise_on_reject=True)


async def test_a_declined_amend_shows_the_untouched_order(pair: list[Side]) -> None:
    alice, bobby = (side.client for side in pair)
    market = await alice.open_market()
    await alice.sell(market, 5, 60)
    order = await bobby.buy(market, 2, 40, tif="POST_ONLY")
    with pytest.raises(OrderRejected) as raised:
        await bobby.amend(order.order_id, price=60)
    untouched = raised.value.order.order
    assert untouched is not None and (untouched.price, untouched.status) == (40, "OPEN")
    assert (await bobby.amend(order.order_id, price=41, qty=3)).remaining_qty == 3
    with pytest.raises(ValueError, match="price, a qty"):
        await bobby.amend(order.order_id)
    await bobby.cancel(order.order_id)
    with pytest.raises(VenueError) as refused_:
        await bobby.cancel(order.order_id)
    assert refused_.value.code == "ORDER_NOT_OPEN", "asked for twice is told so"


async def test_batches_and_mass_cancels(pair: list[Side]) -> None:
    alice = pair[0].client
    market = await alice.open_market()
    legs = [NewOrder(market, "BUY", 1, price) for price in (10, 11)] + [NewOrder(market, "SELL", 0, 90)]
    first, second, declined = await alice.place_batch(legs)
    assert (first.status, second.status, declined.reject_reason) == ("OPEN", "OPEN", "INVALID_QTY")
    other = "01a1ee56-8510-8000-8000-000000f00000"
    done = await alice.cancel_orders([first.order_id, other])
    assert done.cancelled == 1
    assert [one.order_id for one in done.results] == [first.order_id, other]
    assert isinstance(done.results[1], models.NotCancelled) and done.results[1].code == "ORDER_NOT_FOUND"
    assert (await alice.cancel_all(side="SELL")).cancelled == 0
    all_ = await alice.cancel_all(market)
    assert all_.cancelled == 1 and not all_.repeated and all_.results[0].order_id == second.order_id
    assert (await alice.order_by_client_id(first.client_order_id or "")).status == "CANCELLED"


async def test_lists_go_on_page_by_page(pair: list[Side], monkeypatch: pytest.MonkeyPatch) -> None:
    alice = pair[0].client
    market = await alice.open_market()
    placed = [(await alice.buy(market, 1, 1 + number)).order_id for number in range(7)]
    page = await alice.orders(limit=3)
    assert len(page) == 3 and page.next_cursor is not None
    following = await alice.orders(limit=3, cursor=page.next_cursor)
    assert [order.order_id for order in (*page.items, *following.items)] == placed[:0:-1]
    monkeypatch.setattr(client, "PAGE", 2)
    assert [order.order_id async for order in alice.iter_orders(market=market, status="OPEN")] == placed[::-1]
    assert [entry.kind async for entry in alice.iter_ledger()] == ["SIGNUP_GRANT"]


async def test_wrong_arguments_are_refused_before_anything_is_sent(pair: list[Side]) -> None:
    side = pair[0]
    wrong: list[Any] = [1.0, True, "5", None]
    for qty in wrong:
        with pytest.raises(TypeError):
            await side.client.buy(side.desk.symbol, qty, 50)
    for price in wrong[:3]:
        with pytest.raises(TypeError):
            await side.client.buy(side.desk.symbol, 1, price)
        with pytest.raises(TypeError):
            await side.client.put_quotes(side.desk.symbol, "q", bids=[(price, 1)])
    with pytest.raises(TypeError):
        await side.client.buy(side.desk.symbol, 1, 50, reduce_onyl=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        await side.client.buy(7, 1, 50)  # type: ignore[arg-type]
    assert side.network.sent == []
    for url in ("venue:8000", "ftp://venue", "http://"):
        with pytest.raises(ValueError, match="not the address"):
            AsyncClient(url)


async def test_refusals_carry_what_the_venue_said(pair: list[Side]) -> None:
    alice, bobby = (side.client for side in pair)
    with pytest.raises(VenueError) as raised:
        await alice.market("BTC-1M-19990101T0000Z")
    assert (raised.value.code, raised.value.http) == ("UNKNOWN_MARKET", 404) and raised.value.request_id
    with pytest.raises(VenueError) as raised:
        await alice.orders(limit=1000)
    assert raised.value.code == "VALIDATION_FAILED" and raised.value.details[0]["field"] == "limit"
    assert "limit" in str(raised.value)
    order = await alice.buy(await alice.open_market(), 1, 5)
    with pytest.raises(VenueError) as raised:
        await bobby.cancel(order.order_id)
    assert raised.value.code == "FORBIDDEN"
    async with AsyncClient("http://venue", "rk_live_x", transport=pair[0].network) as stranger:
        with pytest.raises(VenueError) as raised:
            await stranger.account()
        assert raised.value.http == 401


class Spoken(httpx2.AsyncBaseTransport):
    """A venue that says one thing."""

    def __init__(self, *answers: httpx2.Response) -> None:
        self.answers = list(answers)
        self.got: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.got.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_a_float_where_money_belongs_is_an_error_and_unknown_fields_are_not(pair: list[Side]) -> None:
    body = (await pair[0].client.account()).to_dict()
    for changes, good in (({"cash_cents": 5.0}, False), ({"cash_cents": "5"}, False), ({"new_field": [1.5]}, True)):
        answer = httpx2.Response(200, json=body | changes)
        async with AsyncClient("http://venue", "k", transport=Spoken(answer)) as alone:
            if good:
                assert (await alone.account()).to_dict() == body
            else:
                with pytest.raises(BadAnswer, match="cash_cents"):
                    await alone.account()


async def test_the_dead_man_switch_by_the_words_of_the_contract() -> None:
    spoken = Spoken(httpx2.Response(200, json={"armed_until": "2026-11-20T10:30:00.123Z", "last_action": None}))
    async with AsyncClient("http://venue", "k", transport=spoken) as alone:
        armed = await alone.deadman(5_000, "BTC-1M-20261120T1031Z")
    assert armed.armed_until == "2026-11-20T10:30:00.123Z"
    assert msgspec.json.decode(spoken.got[0].content) == {"timeout_ms": 5_000, "scope": "BTC-1M-20261120T1031Z"}


async def test_retry_after_is_kept_to_and_bounded() -> None:
    health = httpx2.Response(200, json={"items": []})
    spoken = Spoken(refused(429, "RATE_LIMITED", **{"Retry-After": "1"}), health)
    async with AsyncClient("http://venue", "k", transport=spoken, patience_s=5) as patient:
        began = asyncio.get_running_loop().time()
        await patient.orders()
        assert asyncio.get_running_loop().time() - began >= 1
    spoken = Spoken(refused(429, "RATE_LIMITED", **{"Retry-After": "40"}))
    async with AsyncClient("http://venue", "k", transport=spoken, patience_s=5) as patient:
        began = asyncio.get_running_loop().time()
        with pytest.raises(VenueError) as raised:
            await patient.buy("m", 1, 5)
        assert raised.value.retry_after_s == 40 and asyncio.get_running_loop().time() - began < 1


async def test_a_venue_with_tiny_budgets(tmp_path: Path) -> None:
    limits = LimitSettings(writes_per_minute=3, cancels_per_minute=5, reads_per_minute=100)
    async with opened_desk(tmp_path, limits=limits) as desk:
        trader = await desk.trader("alice")
        async with AsyncClient("http://venue", trader.key, transport=Network(desk), patience_s=0.5) as alice:
            for price in (1, 2, 3):
                await alice.buy(desk.symbol, 1, price)
            with pytest.raises(VenueError) as raised:
                await alice.buy(desk.symbol, 1, 4)
            assert raised.value.code == "RATE_LIMITED" and 0 < (raised.value.retry_after_s or 0) <= 60
            assert (await alice.cancel_all()).cancelled == 3, "cancels have a budget of their own"
        assert len((await trader.get("/orders"))["items"]) == 3


async def test_waiting_for_a_window(tmp_path: Path) -> None:
    """It sleeps until the pre-listed window is due by the venue's clock, asks then, and does not hammer."""
    async with opened_desk(tmp_path) as desk:
        network = Network(desk)
        async with AsyncClient("http://venue", transport=network) as anyone:
            market = await anyone.open_market()
            await desk.advance(59_500)
            with pytest.raises(NoOpenMarket, match="opens at"):
                await anyone.open_market(wait=False, least_left_s=5)
            with pytest.raises(NoOpenMarket, match="within"):
                await anyone.open_market(least_left_s=5, timeout_s=0.1)
            network.sent.clear()
            waiting = asyncio.create_task(anyone.open_market(least_left_s=5))
            done, _ = await asyncio.wait([waiting], timeout=0.3)
            assert not done and len(network.sent) <= 4, network.paths()
            await desk.next_window()
            found = await asyncio.wait_for(waiting, 5)
            assert found.open_at == market.close_at and found.status == "OPEN"
            assert len(network.sent) <= 12, network.paths()


async def test_signing_up_and_the_owners_side(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        network = Network(desk)
        made = await AsyncClient.signup("http://venue", "a@example.org", "ada-1", "correct horse", transport=network)
        async with made as ada:
            assert ada.api_key and ada.agent_name == "ada-1"
            assert (await ada.account()).agent_id == ada.agent_id
            with pytest.raises(VenueError) as raised:
                await AsyncClient.signup("http://venue", "a@example.org", "ada-9", transport=network)
            assert raised.value.code == "EMAIL_TAKEN"
            login = await AsyncOwner.login("http://venue", "a@example.org", "correct horse", transport=network)
            async with login as owner:
                second = await owner.create_agent("ada-2")
                assert [agent.name for agent in (await owner.agents()).items] == ["ada-2", "ada-1"]
                network.plan = ["answer lost"]
                third = await owner.create_agent("ada-3")
                assert third in (await owner.me()).agents
                key = await owner.create_key(second.agent_id, "laptop", ["read", "trade"])
                assert "rk_live" in key.api_key and key.api_key not in repr(key)
                network.plan = ["answer lost"]
                moved = await owner.transfer(ada.agent_id or "", second.agent_id, 500)
                assert moved.replayed and (moved.source, moved.amount_cents) == (ada.agent_id, 500)
                assert (await owner.account(second.agent_id)).cash_cents == 500
                assert [entry.amount_cents for entry in (await owner.ledger(second.agent_id)).items] == [500]
                rotated = await owner.rotate_key(second.agent_id, key.key_id)
                network.plan = ["answer lost"]
                with pytest.raises(Uncertain):
                    await owner.rotate_key(second.agent_id, rotated.key_id)
                (live,) = (await owner.keys(second.agent_id)).items
                network.plan = ["answer lost"]
                await owner.delete_key(second.agent_id, live.key_id)
                assert (await owner.keys(second.agent_id)).items == ()
                network.plan = ["answer lost"]
                await owner.logout()
                with pytest.raises(VenueError):
                    await owner.me()


async def test_a_lost_signup_is_recovered_with_the_password(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        network = Network(desk)
        network.plan = ["answer lost"]
        made = await AsyncClient.signup("http://venue", "a@example.org", "ada-1", "correct horse", transport=network)
        async with made as ada:
            assert (await ada.account()).agent_name == "ada-1"
        network.plan = ["answer lost"]
        with pytest.raises(Uncertain):
            await AsyncClient.signup("http://venue", "b@example.org", "bob-1", transport=network)


def test_ids_are_unique_and_of_this_process() -> None:
    from raeth.client.orders import OrderIds

    one, other = OrderIds(), OrderIds()
    made = [ids() for ids in (one, other) for _ in range(100)]
    assert len(set(made)) == 200
    assert made[0].split("-")[0] == made[99].split("-")[0] != made[100].split("-")[0]
    one._pid += 1  # as in a forked child, which has the same memory and another pid
    assert one().split("-")[0] != made[0].split("-")[0]


def test_every_public_method_says_what_it_returns() -> None:
    for kind in (AsyncClient, AsyncOwner, entry.OrderEntry):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                assert "return" in method.__annotations__, name


def test_models_are_values() -> None:
    level = models.Level(50, 1, 1)
    assert level.price == 50
    with pytest.raises(AttributeError):
        models.Repair().max_qty = 3  # type: ignore[misc]
    assert models.epoch_ms("2026-11-20T10:30:00.123Z") == 1_795_170_600_123
    assert msgspec.json.decode(msgspec.json.encode(models.Repair(max_qty=3)), type=models.Repair).max_qty == 3


async def test_the_house_and_the_leaderboard_have_their_types(pair: list[Side]) -> None:
    """Whoever traded a window that settled is on the board; this venue runs without a house."""
    alice, bobby = (side.client for side in pair)
    desk = pair[0].desk
    market = await alice.open_market()
    await alice.sell(market, 5, 60)
    await bobby.buy(market, 5, 60)
    await desk.next_window(9_600_000)
    first, second = (await alice.leaderboard()).items
    assert (first.name, first.rank, first.volume_contracts, second.name) == ("bobby", 1, 5, "alice")
    assert first.pnl_cents > 0 > second.pnl_cents
    assert [row.name for row in (await alice.leaderboard(limit=1)).items] == ["bobby"]
    house = await alice.liquidity()
    assert (house.agent_name, house.ranked, house.now.bid_qty) == ("house", False, 0)
