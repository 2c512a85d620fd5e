"""The SDK against a venue in a process of its own, over a network that cuts, and while the venue goes away."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from raeth.client import AsyncClient, Disconnected, VenueError, retry
from tests.client.proxy import Fault, Proxy
from tests.e2e.venue import Host, VenueProcess, hosting, write_recording

NOON_MS = 1_767_268_800_000
TOKEN = "rk_admin_" + "t" * 43


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Hours of a price that moves: a venue on it starts within a window, and need not wait for a minute."""
    ticks = ((after, 9_500_000 + after % 7_919) for after in range(0, 7_200_000, 500))
    return f"replay:{write_recording(tmp_path_factory.mktemp('recording') / 'moving.csv', NOON_MS, ticks)}"


@pytest.fixture(scope="module")
def venue(host: Host, recording: str) -> VenueProcess:
    """A venue at the pace of the wall clock, on which a window is open: another one hurried to that place before."""
    hurried = host.serve("--reference", recording, "--speed", "30", "--no-house")
    hurried.open_market(least_left_s=40)
    hurried.kill()
    return host.serve("--reference", recording, "--no-house", RAETH_ADMIN_TOKEN=TOKEN)


def port_of(venue: VenueProcess) -> int:
    return int(venue.url.rpartition(":")[2])


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
async def test_two_hundred_orders_through_a_network_that_cuts(venue: VenueProcess, seed: int) -> None:
    """Every call returns what the venue did; nothing is there twice, nothing is missing."""
    dice = random.Random(seed)
    faults: Counter[str] = Counter()

    def choose(request: bytes) -> Fault | None:
        kind = dice.choice(["none", "none", "before", "after", "mid", "late", "delay"])
        faults[kind] += 1
        if kind == "none":
            return None
        return Fault(kind, answer_bytes=dice.randrange(1200), delay_s=dice.random() * 0.05)  # type: ignore[arg-type]

    agent = venue.signup(f"cutter-{seed}")
    async with Proxy(port_of(venue)) as proxy, AsyncClient(proxy.url, agent.key, patience_s=30) as client:
        market = await client.open_market()
        proxy.faults = choose
        gate = asyncio.Semaphore(16)

        async def place(number: int) -> tuple[int, str, str]:
            async with gate:
                # The market may close meanwhile (that is an answer like any other).
                order = await client.buy(market, 1, 1 + number % 20, tif="IOC", raise_on_reject=False)
                return number, order.order_id, order.status

        results = await asyncio.gather(*(place(number) for number in range(200)))
        proxy.faults = None
    there = agent.all("/orders")
    assert len(there) == 200
    assert sum(order["status"] == "CANCELLED" for order in there) >= 100, "most found the market open"
    assert Counter(order_id for _, order_id, _ in results) == Counter(order["order_id"] for order in there)
    by_id = {order["order_id"]: order for order in there}
    for number, order_id, status in results:
        assert by_id[order_id]["price"] == 1 + number % 20
        assert by_id[order_id]["status"] == status
    assert min(faults[kind] for kind in ("before", "after", "mid", "late", "delay")) >= 10, faults


async def test_cutting_at_once_and_holding(venue: VenueProcess) -> None:
    agent = venue.signup("holder")
    async with Proxy(port_of(venue)) as proxy, AsyncClient(proxy.url, agent.key, patience_s=30) as client:
        market = await client.open_market()
        for count in (1, 40, 400):
            proxy.cut_after_bytes(count)
            order = await client.buy(market, 1, 5, tif="IOC", raise_on_reject=False)
            assert (await client.order(order.order_id)).order_id == order.order_id
        proxy.pause()
        placing = asyncio.create_task(client.buy(market, 1, 5, tif="IOC", raise_on_reject=False))
        done, _ = await asyncio.wait([placing], timeout=0.1)
        assert not done
        proxy.cut_now()
        proxy.resume()
        await placing
    assert len(agent.all("/orders")) == 4


async def test_nothing_listens(venue: VenueProcess) -> None:
    agent = venue.signup("lonely")
    async with Proxy(port_of(venue)) as proxy:
        url = proxy.url
    async with AsyncClient(url, agent.key, patience_s=0.2) as client:
        with pytest.raises(Disconnected, match="nothing was done"):
            await client.buy("BTC-1M-20260101T1203Z", 1, 5)
        with pytest.raises(Disconnected):
            await client.account()
    assert agent.all("/orders") == []


async def test_the_venue_is_killed_and_comes_back(host: Host, recording: str, tmp_path: Path) -> None:
    """Orders placed while it is down wait for it; those it answered are there."""
    with hosting(tmp_path) as own:
        venue = own.serve("--reference", recording, "--speed", "20", "--no-house")
        port = str(port_of(venue))
        agent = venue.signup("phoenix")
        async with AsyncClient(venue.url, agent.key, patience_s=60) as client:
            market = await client.open_market()
            before = [await client.buy(market, 1, 5, raise_on_reject=False) for _ in range(5)]
            placing = [asyncio.create_task(client.buy(market, 1, 6, raise_on_reject=False)) for _ in range(20)]
            await placing[0]
            await asyncio.to_thread(venue.kill)
            late = asyncio.create_task(client.buy(market, 1, 7, raise_on_reject=False))
            again = await asyncio.to_thread(
                own.serve, "--reference", recording, "--speed", "20", "--no-house", "--port", port
            )
            orders = [*before, *await asyncio.gather(*placing), await late]
        there = [order["order_id"] for order in agent.at(again).all("/orders")]
    assert sorted(there) == sorted(order.order_id for order in orders)
    assert len(set(there)) == 26


async def test_degraded_is_waited_for_and_frozen_is_not(venue: VenueProcess) -> None:
    agent = venue.signup("frosty")
    async with AsyncClient(venue.url, agent.key) as client:
        market = await client.open_market()
        venue.admin("POST", "/freeze", TOKEN, json={"reason": "test"})
        try:
            with pytest.raises(VenueError) as raised:
                await client.buy(market, 1, 5)
            assert (raised.value.code, raised.value.http) == ("EXCHANGE_FROZEN", 503)
            assert (await client.cancel_all()).cancelled == 0, "cancels go on"
            assert (await client.put_quotes(market, "q")) == (), "pulling a quote too"
            assert (await client.health()).frozen
        finally:
            venue.admin("POST", "/unfreeze", TOKEN, json={})
        assert agent.all("/orders") == []
        assert (await client.buy(await client.open_market(), 1, 5)).status == "OPEN"


def test_the_pauses_grow_and_are_bounded() -> None:
    patience = retry.Patience(1000.0)
    pauses = [patience.wait_s() for _ in range(12)]
    assert all(0.025 <= (pause or 0) <= 2.0 for pause in pauses)
    assert (pauses[0] or 0) <= 0.05 and (pauses[11] or 0) >= 1.0
    assert retry.Patience(1000.0).wait_s(30) >= 30  # type: ignore[operator]
    assert retry.Patience(10.0).wait_s(30) is None, "what cannot be waited for is not waited for"
