"""The blocking client: the same calls, from any thread, and nothing left behind."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raeth.client import AsyncClient, AsyncOwner, Client, Disconnected, OrderRejected, Owner, Uncertain
from tests.client.proxy import Proxy
from tests.e2e.venue import VenueProcess, hosting, write_recording

NOON_MS = 1_767_268_800_000


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    folder = tmp_path_factory.mktemp("host")
    ticks = ((after, 9_500_000 + after % 7_919) for after in range(0, 7_200_000, 500))
    recording = f"replay:{write_recording(folder / 'moving.csv', NOON_MS, ticks)}"
    with hosting(folder) as host:
        hurried = host.serve("--reference", recording, "--speed", "30", "--no-house")
        hurried.open_market(least_left_s=40)
        hurried.kill()
        yield host.serve("--reference", recording, "--no-house")


def loops() -> int:
    return sum(thread.name == "raeth-client" for thread in threading.enumerate())


def test_all_of_it_is_there() -> None:
    """Nothing that the asynchronous ones can do is missing, and names, arguments and words are the same."""
    for blocking, inner in ((Client, AsyncClient), (Owner, AsyncOwner)):
        for name, method in inspect.getmembers(inner, inspect.isfunction):
            if name.startswith("_") or name in ("aclose", "stream"):
                continue
            own = getattr(blocking, name)
            assert inspect.signature(own) == inspect.signature(method), name
            assert name == "new_client_order_id" or own.__doc__ == method.__doc__, name


def test_trading(venue: VenueProcess) -> None:
    before = loops()
    with (
        Client.signup(venue.url, "ann@example.com", "ann-1", "correct horse") as ann,
        Client.signup(venue.url, "ben@example.com", "ben-1") as ben,
    ):
        assert loops() == before + 2
        market = ann.open_market()
        ann.put_quotes(market, "q", bids=[(45, 5)], asks=[(55, 5)])
        order = ben.buy(market, 2)
        assert (order.status, order.fills[0].price) == ("FILLED", 55)
        assert [fill.qty for fill in ben.iter_fills()] == [2]
        with pytest.raises(OrderRejected):
            ben.buy(market, 1, 55, tif="POST_ONLY")
        with Owner.login(venue.url, "ann@example.com", "correct horse") as owner:
            assert [agent.name for agent in owner.me().agents] == ["ann-1"]
            with Client(venue.url, owner.create_key(ann.agent_id or "", "second").api_key) as again:
                assert again.account().agent_name == "ann-1"
    assert loops() == before
    ann.close()
    with pytest.raises(RuntimeError, match="closed"):
        ann.account()


def test_many_threads_share_one(venue: VenueProcess) -> None:
    with Client.signup(venue.url, "cat@example.com", "cat-1") as cat, ThreadPoolExecutor(8) as threads:
        market = cat.open_market()
        orders = list(threads.map(lambda number: cat.buy(market, 1, 1 + number % 9), range(64)))
        assert len({order.order_id for order in orders}) == 64
        assert len(list(cat.iter_orders())) == 64


async def test_uncertain_resolves_by_blocking(venue: VenueProcess) -> None:
    """An answer held back until patience ends; then the network heals."""
    import asyncio

    agent = venue.signup("dan-1")
    async with Proxy(int(venue.url.rpartition(":")[2])) as proxy:

        def trade() -> str:
            with Client(proxy.url, agent.key, timeout_s=0.3, patience_s=0.0) as dan:
                market = dan.open_market()
                proxy_loop.call_soon_threadsafe(proxy.pause)
                with pytest.raises(Uncertain) as raised:
                    dan.buy(market, 1, 5)
                proxy_loop.call_soon_threadsafe(proxy.cut_now)
                proxy_loop.call_soon_threadsafe(proxy.resume)
                try:
                    order = raised.value.resolve()
                except Disconnected:
                    return "not placed"
                return str(order.client_order_id)

        proxy_loop = asyncio.get_running_loop()
        told = await asyncio.to_thread(trade)
    there = [order["client_order_id"] for order in agent.all("/orders") if order["qty"]]
    assert there == ([] if told == "not placed" else [told])


@pytest.mark.parametrize(
    "script",
    [
        "client = Client(url, key); print(client.account().agent_name)",  # never closed, still there at exit
        "print(Client(url, key).account().agent_name)",  # dropped
        "with Client(url, key) as c: print(c.account().agent_name)",
        "c = Client(url, key); print(c.account().agent_name); next(c.iter_ledger())",  # an iteration left half-way
        "c = Client(url, key)\nimport threading\n"
        "t = threading.Thread(target=lambda: print(c.account().agent_name)); t.start(); t.join()",
    ],
)
def test_nothing_is_said_at_exit(venue: VenueProcess, script: str, tmp_path: Path) -> None:
    name = f"eve-{abs(hash(script)) % 10**8}"
    agent = venue.signup(name)
    program = f"from raeth.client import Client\nurl, key = {venue.url!r}, {agent.key!r}\n{textwrap.dedent(script)}\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, name, "")


def test_importing_it_is_quick_and_brings_no_server() -> None:
    program = "import sys, raeth.client; a = set(sys.modules); raeth.client.Client; print(len(a), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    count, *modules = done.stdout.split()
    assert int(count) < 120, "the package itself loads nothing"
    foreign = {"httpx2", "fastapi", "pydantic", "sqlalchemy", "starlette", "uvicorn", "numpy"}
    assert not foreign & set(modules), "what is not needed to define the client comes when it is made"
    rooms = {name.split(".")[1] for name in modules if name.startswith("raeth.")}
    assert rooms == {"client"}
