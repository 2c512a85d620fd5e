"""Whatever is lost on the way, a call's result is what happened: no order twice, none lost, no answer untrue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raeth.client import Disconnected, OrderRejected, Uncertain, VenueError, entry, retry
from raeth.client.models import Order
from raeth.client.orders import NewOrder
from tests.client.faulty import Side, sides

EVENTS = ("pass", "lost", "unsent", "answer lost", "late", "429", "503", "503 after", "500 after", "html")
plans = st.lists(st.sampled_from(EVENTS), max_size=7)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Pauses between attempts a hundred times shorter than in earnest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "FIRST_WAIT_S", 0.0005)
        patch.setattr(retry, "LONGEST_WAIT_S", 0.002)
        patch.setattr(entry, "SETTLE_S", 0.02)
        yield


class Stage:
    """A venue that lives through all examples of a test."""

    def __init__(self, folder: Any) -> None:
        self.runner = asyncio.Runner()
        self._context = sides(folder)
        self.alice, self.bobby = self.runner.run(self._context.__aenter__())

    def close(self) -> None:
        self.runner.run(self._context.__aexit__(None, None, None))
        self.runner.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("venue"))
    yield stage
    stage.close()


async def fresh(side: Side) -> set[str]:
    """An empty book of its own and a network in order; the ids of orders there were before."""
    side.network.plan, side.network.down = [], False
    await side.network.deliver()
    await side.client.cancel_all()
    side.network.sent.clear()
    side.network.carried.clear()
    return {order["order_id"] for order in await side.orders()}


async def real(side: Side, before: set[str]) -> list[dict[str, Any]]:
    """Orders that are there since, less those that were only made to use up a key."""
    return [order for order in await side.orders() if order["order_id"] not in before and order["qty"] > 0]


async def told(call: Any, side: Side) -> Any:
    """What a call came to in the end: its result, or None if it is certain that nothing was done. While it is
    uncertain the network is repaired and the question asked again."""
    try:
        return await call
    except OrderRejected as declined:
        return declined.order
    except Uncertain as uncertain:
        side.network.plan, side.network.down = [], False
        return await told(uncertain.resolve(), side)
    except (Disconnected, VenueError):
        return None


@given(plan=plans, patience_s=st.sampled_from([0.0, 0.002, 5.0]), price=st.integers(1, 30), down=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_order_is_what_the_call_says(
    stage: Stage, plan: list[Any], patience_s: float, price: int, down: bool
) -> None:
    async def run() -> None:
        side = stage.alice
        before = await fresh(side)
        side.client.patience_s = 0.002 if down else patience_s
        side.network.plan = list(plan)
        placing = asyncio.create_task(told(side.client.buy(side.desk.symbol, 3, price), side))
        if down:  # the network goes away for good as soon as the plan is through, until somebody resolves
            while side.network.plan and not placing.done():
                await asyncio.sleep(0)
            side.network.down = not placing.done()
        order = await placing
        side.network.down = False
        await side.network.deliver()  # what comes late changes nothing any more
        there = await real(side, before)
        if order is None:
            assert there == []
        else:
            assert [order.order_id] == [one["order_id"] for one in there]
            assert (order.status, order.price, order.qty) == ("OPEN", price, 3)

    stage.runner.run(run())


@given(plan=plans, patience_s=st.sampled_from([0.0, 0.002, 5.0]), atomic=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_batch_is_what_the_call_says(stage: Stage, plan: list[Any], patience_s: float, atomic: bool) -> None:
    async def run() -> None:
        side = stage.alice
        before = await fresh(side)
        side.client.patience_s = patience_s
        side.network.plan = list(plan)
        legs = [NewOrder(side.desk.symbol, "BUY", 2, price) for price in (7, 8, 9)]
        orders = await told(side.client.place_batch(legs, atomic=atomic), side)
        await side.network.deliver()
        there = await real(side, before)
        if orders is None:
            assert there == []
        else:
            assert [one.order_id for one in orders] == [one["order_id"] for one in reversed(there)]
            assert [one.price for one in orders] == [7, 8, 9]
            assert {one.status for one in orders} == {"REJECTED" if atomic else "OPEN"}

    stage.runner.run(run())


@given(plan=plans.filter(lambda plan: "late" not in plan), filled=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_cancel_is_what_the_call_says(stage: Stage, plan: list[Any], filled: bool) -> None:
    async def run() -> None:
        side, other = stage.alice, stage.bobby
        await fresh(side)
        side.client.patience_s = 5.0
        order = await side.client.buy(side.desk.symbol, 1, 30)
        if filled:
            await other.trader.place("SELL", 30, 1)
        side.network.plan = list(plan)
        if filled:
            with pytest.raises(VenueError) as refused:
                await side.client.cancel(order.order_id)
            assert refused.value.code == "ORDER_ALREADY_FILLED"
        else:
            done = await side.client.cancel(order.order_id)
            assert (done.order_id, done.status, done.cancel_reason) == (order.order_id, "CANCELLED", "USER")

    stage.runner.run(run())


@given(plan=plans.filter(lambda plan: "late" not in plan), price=st.none() | st.integers(1, 30), qty=st.integers(1, 9))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_amend_is_done_once(stage: Stage, plan: list[Any], price: int | None, qty: int) -> None:
    """The venue carries it out once: a second time would cost the place in the queue."""

    async def run() -> None:
        side = stage.alice
        await fresh(side)
        side.client.patience_s = 5.0
        order = await side.client.buy(side.desk.symbol, 5, 20)
        side.network.plan = list(plan)
        amended = await side.client.amend(order.order_id, price=price, qty=qty)
        now = await side.client.order(order.order_id)
        assert (now.price, now.qty) == (20 if price is None else price, qty)
        assert (amended.price, amended.qty, amended.status) == (now.price, now.qty, "OPEN")
        assert amended.seq == now.seq, "nothing touched it after the change that was answered"
        assert sum(request.method == "PATCH" for request in side.network.carried) <= 1

    stage.runner.run(run())


@given(plan=plans.filter(lambda plan: "late" not in plan))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mass_cancels_and_quotes_end_as_asked(stage: Stage, plan: list[Any]) -> None:
    async def run() -> None:
        side = stage.alice
        await fresh(side)
        side.client.patience_s = 5.0
        symbol = side.desk.symbol
        orders = [await side.client.buy(symbol, 1, price) for price in (3, 4)]
        side.network.plan = list(plan)
        done = await side.client.cancel_orders([order.order_id for order in orders])
        assert [one.order_id for one in done.results] == [order.order_id for order in orders]
        assert all(isinstance(one, Order) and one.cancel_reason == "USER" for one in done.results)
        assert done.cancelled == 2
        side.network.plan = list(plan)
        quoted = await side.client.put_quotes(symbol, "q", bids=[(10, 2), (9, 1)], asks=[(90, 2)])
        assert [(one.side, one.price, one.remaining_qty) for one in quoted] == [
            ("BUY", 10, 2),
            ("BUY", 9, 1),
            ("SELL", 90, 2),
        ]
        side.network.plan = list(plan)
        pulled = await side.client.cancel_all(quote_id="q")
        assert pulled.cancelled == 3 or pulled.repeated
        assert (await side.client.orders(status=["OPEN"])).items == ()

    stage.runner.run(run())


async def test_uncertain_names_the_order_and_resolves(tmp_path: Any) -> None:
    async with sides(tmp_path, patience_s=0.0) as (alice, _):
        network = alice.network
        network.plan = ["answer lost"]
        placing = asyncio.create_task(alice.client.buy(alice.desk.symbol, 2, 20))
        while network.plan:
            await asyncio.sleep(0)
        network.down = True
        with pytest.raises(Uncertain) as raised:
            await placing
        (there,) = await alice.orders()
        assert raised.value.client_order_id == there["client_order_id"]
        with pytest.raises(Uncertain) as again:
            await raised.value.resolve()
        network.down = False
        assert (await again.value.resolve()).order_id == there["order_id"]


async def test_what_used_up_a_key_is_never_taken_for_the_order(tmp_path: Any) -> None:
    """The key is used up, and then the network goes before anybody can ask what came of it."""
    async with sides(tmp_path, patience_s=0.0) as (alice, _):
        alice.network.plan = ["late", "pass", "pass", *["unsent"] * 1000]
        with pytest.raises(Uncertain) as raised:
            await alice.client.buy(alice.desk.symbol, 2, 20)
        assert [order["qty"] for order in await alice.orders()] == [0]
        alice.network.plan = []
        with pytest.raises(Disconnected, match="nothing was done"):
            await raised.value.resolve()
        await alice.network.deliver()
        assert [order["qty"] for order in await alice.orders()] == [0]


async def test_a_key_of_the_callers_is_not_used_up(tmp_path: Any) -> None:
    """Who names an order can send it again under that name, whatever may still arrive."""
    async with sides(tmp_path, patience_s=0.0) as (alice, _):
        alice.network.plan = ["late"]
        with pytest.raises(Disconnected, match="send it again as 'mine'"):
            await alice.client.buy(alice.desk.symbol, 2, 20, client_order_id="mine")
        assert await alice.orders() == []
        order = await alice.client.buy(alice.desk.symbol, 2, 20, client_order_id="mine")
        await alice.network.deliver()
        assert [one["order_id"] for one in await alice.orders()] == [order.order_id]


async def test_one_key_a_call_and_the_same_body_every_time(tmp_path: Any) -> None:
    async with sides(tmp_path) as (alice, _):
        alice.network.plan = ["lost", "503", "429", "html", "answer lost"]
        first = await alice.client.buy(alice.desk.symbol, 2, 20)
        second = await alice.client.buy(alice.desk.symbol, 2, 20)
        bodies = [request.content for request in alice.network.sent]
        assert len(bodies) == 7 and len(set(bodies[:6])) == 1 and bodies[6] != bodies[5]
        assert first.client_order_id != second.client_order_id
        assert first.replayed and not second.replayed


async def test_the_stamp_is_renewed_at_every_attempt(tmp_path: Any) -> None:
    import msgspec

    async with sides(tmp_path) as (alice, _):
        now = alice.desk.clock.now_ms()
        alice.network.plan = ["lost", "lost"]
        await alice.client.buy(alice.desk.symbol, 1, 20, timestamp_ms=now, recv_window_ms=60_000)
        stamps = [msgspec.json.decode(request.content)["timestamp_ms"] for request in alice.network.sent]
        assert len(stamps) == 3 and stamps == sorted(stamps) and now <= stamps[0] and stamps[-1] > now
        alice.network.sent.clear()
        order = await alice.client.buy(alice.desk.symbol, 1, 20, recv_window_ms=5_000)
        assert order.status == "OPEN", "the client asked the venue for its clock"
        assert alice.network.paths() == ["GET /api/v1/meta/version", "GET /health", "POST /api/v1/orders"]


async def test_a_faucet_claim_is_found_again(tmp_path: Any) -> None:
    async with sides(tmp_path) as (alice, _):
        plain = await alice.client.faucet()
        with pytest.raises(VenueError) as refused:
            await alice.client.faucet()
        assert refused.value.code == "FAUCET_COOLDOWN" and refused.value.retry_after_s
        await alice.desk.advance(61_000)
        alice.network.plan = ["pass", "answer lost"]
        found = await alice.client.faucet()
        assert found.amount_cents == plain.amount_cents and found.cash_cents == plain.cash_cents + plain.amount_cents
        assert (await alice.client.account()).cash_cents == found.cash_cents


async def test_a_transport_error_of_another_kind_is_not_swallowed(tmp_path: Any) -> None:
    """Only what the network does is a reason to try again."""

    class Broken(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise ZeroDivisionError

    from raeth.client import AsyncClient

    async with AsyncClient("http://venue", "k", transport=Broken()) as client:
        with pytest.raises(ZeroDivisionError):
            await client.health()
