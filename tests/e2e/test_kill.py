"""SIGKILL in the middle of load, again and again: what was answered is there, and nothing is there twice.

Several clients place, cancel and retry orders under client_order_ids while the venue process is killed without warning;
then it is started on the same data dir, asked for every order it had acknowledged, and every key is sent once more.

This tests the death of the process, at any instruction. It does not test the loss of power or of the machine: the
kernel lives on and still holds every page the process wrote, so a missing fsync would not show here. That it is called,
and that what it covers is enough, is for the journal's own tests to show.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from tests.e2e.venue import PAUSE_S, TERMINAL, Agent, Host, VenueProcess

SETTINGS = {
    # Windows so short that many open, close and resolve between two kills.
    "RAETH_SERIES__WINDOW_MS": "2000",
    # Declines by risk are not what is tested here; a few still happen.
    "RAETH_RISK__POSITION_CAP": "10000000",
    "RAETH_RISK__COOLDOWN_REJECTS": "1000000",
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "1000000000",
    "RAETH_LIMITS__OPEN_ORDERS_PER_MARKET": "100000",
}
AGENTS = 4
CLIENTS = 8
LOAD_BEFORE_KILL = (60, 240)
"""Orders acknowledged since the start after which the process is killed, at random."""
OLD_KEYS_RETRIED = 60
"""Of the keys of earlier lives, so many are tried again after each restart; all of them are at the end."""

RANK = {"OPEN": 0, "PARTIALLY_FILLED": 1} | dict.fromkeys(TERMINAL, 2)
"""An order only ever moves up."""


@dataclass
class Sent:
    """One key: what was sent under it, and the last that is known for certain to be true of it."""

    owner: int
    body: dict[str, Any]
    first: dict[str, Any] | None = None
    """The answer to the order itself, None while it is in doubt."""
    latest: dict[str, Any] | None = None
    """The newest acknowledged state: that answer, or the answer to its cancel."""


@dataclass
class Driver:
    """The clients' memory over all lives of the venue."""

    agents: list[Agent]
    rng: random.Random
    sent: dict[str, Sent] = field(default_factory=dict)
    acknowledged: int = 0
    in_doubt: int = 0
    written_in_doubt: int = 0
    """Of those the ones that had become durable before the kill: only their answer was lost."""
    repeated: int = 0

    def new_order(self, owner: int, market: str) -> str:
        key = f"k{len(self.sent)}"
        side = self.rng.choice(("BUY", "SELL"))
        body: dict[str, Any] = {
            "market_id": market,
            "side": side,
            "qty": self.rng.randint(1, 9),
            "client_order_id": key,
        }
        if self.rng.random() < 0.25:
            body["type"] = "MARKET"
        else:
            body |= {"type": "LIMIT", "price": self.rng.randint(42, 58), "tif": self.rng.choice(("GTC", "GTC", "IOC"))}
        self.sent[key] = Sent(owner, body)
        return key


async def load(driver: Driver, venue: VenueProcess, kill_after: int) -> None:
    """Run the clients, kill the venue once it has acknowledged so many orders more, and let the clients notice."""
    goal = driver.acknowledged + kill_after
    async with httpx2.AsyncClient(base_url=f"{venue.url}/api/v1", timeout=20) as http:
        market = ""

        async def watch() -> None:
            nonlocal market
            while True:
                try:
                    response = await http.get("/markets", params={"status": "OPEN"})
                except httpx2.TransportError:
                    return
                market = next((found["id"] for found in response.json()["items"]), market)
                await asyncio.sleep(PAUSE_S)

        watcher = asyncio.create_task(watch())
        while not market:
            await asyncio.sleep(PAUSE_S)

        async def client(number: int) -> None:
            owner = number % AGENTS
            headers = {"Authorization": f"Bearer {driver.agents[owner].key}"}
            try:
                while True:
                    key = driver.new_order(owner, market)
                    order = await place(driver, http, headers, key)
                    roll = driver.rng.random()
                    if roll < 0.3 and RANK[order["status"]] < 2:
                        await cancel(driver, http, headers, key)
                    elif roll < 0.4:
                        await place(driver, http, headers, key)
            except httpx2.TransportError:
                return

        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        while driver.acknowledged < goal:
            for task in clients:
                if task.done():
                    task.result()
            await asyncio.sleep(0.001)
        assert not any(task.done() for task in clients), "killed in the middle of load"
        # From a thread and at a moment of its own: the clients' loop would only ever kill between two of its turns.
        await asyncio.to_thread(lambda pause_s: (time.sleep(pause_s), venue.kill()), driver.rng.uniform(0, 0.01))
        await asyncio.gather(*clients, watcher)


async def place(driver: Driver, http: httpx2.AsyncClient, headers: dict[str, str], key: str) -> dict[str, Any]:
    """Send what belongs to the key, for the first time or again. Raises TransportError when it stays in doubt."""
    sent = driver.sent[key]
    response = await http.post("/orders", json=sent.body, headers=headers)
    assert response.status_code == 200, response.text
    order: dict[str, Any] = response.json()
    if sent.first is None:
        sent.first = sent.latest = order
        driver.acknowledged += 1
    else:
        driver.repeated += 1
        assert order == sent.first | {"replayed": True}, "the first result again"
    return order


async def cancel(driver: Driver, http: httpx2.AsyncClient, headers: dict[str, str], key: str) -> None:
    sent = driver.sent[key]
    assert sent.first is not None
    response = await http.delete(f"/orders/{sent.first['order_id']}", headers=headers)
    if response.status_code == 200:
        sent.latest = response.json()
        assert sent.latest["status"] == "CANCELLED"
    else:
        # Somebody took it, or its window closed, before the cancel arrived.
        assert response.status_code == 409, response.text


def check_still_there(acknowledged: dict[str, Any], now: dict[str, Any]) -> None:
    """`now` is what was acknowledged, or something that can have become of it."""
    told = {"order_id", "client_order_id", "market_id", "agent_id", "side", "type", "tif", "price", "qty", "created_at"}
    assert {name: now[name] for name in told} == {name: acknowledged[name] for name in told}
    assert RANK[now["status"]] >= RANK[acknowledged["status"]]
    assert now["seq"] >= acknowledged["seq"]
    assert now["fills"][: len(acknowledged["fills"])] == acknowledged["fills"]
    if acknowledged["status"] in TERMINAL:
        assert now | {"replayed": False} == acknowledged | {"replayed": False}, "an end is final"


async def check_after_restart(driver: Driver, venue: VenueProcess, fresh: set[str]) -> None:
    """Every acknowledged order is there; every key of the last life, and some older ones, stands for one order."""
    older = [key for key in driver.sent if key not in fresh]
    retried = [*fresh, *driver.rng.sample(older, min(len(older), OLD_KEYS_RETRIED))]
    queue = iter(retried)
    async with httpx2.AsyncClient(base_url=f"{venue.url}/api/v1", timeout=20) as http:

        async def worker() -> None:
            for key in queue:
                sent = driver.sent[key]
                headers = {"Authorization": f"Bearer {driver.agents[sent.owner].key}"}
                found = await http.get(f"/orders/by-client-id/{key}", headers=headers)
                if sent.latest is not None:
                    assert found.status_code == 200, f"{key} was acknowledged and is gone: {found.text}"
                    check_still_there(sent.latest, found.json())
                    await place(driver, http, headers, key)
                else:
                    assert found.status_code in (200, 404), found.text
                    await clear_doubt(driver, http, headers, key, found.json() if found.is_success else None)

        await asyncio.gather(*(worker() for _ in range(CLIENTS)))


async def clear_doubt(
    driver: Driver, http: httpx2.AsyncClient, headers: dict[str, str], key: str, found: dict[str, Any] | None
) -> None:
    """A retry finds out what happened: the order that was written all the same, or else it places it now, once."""
    sent = driver.sent[key]
    driver.in_doubt += 1
    order = await place(driver, http, headers, key)
    assert order["replayed"] is (found is not None)
    if found is not None:
        driver.written_in_doubt += 1
        assert order["order_id"] == found["order_id"]
    sent.first = sent.latest = order | {"replayed": False}
    await place(driver, http, headers, key)


def check_nothing_doubled(driver: Driver) -> None:
    """Every order of every agent, against every key that was ever sent."""
    trades: dict[str, int] = {}
    for owner, agent in enumerate(driver.agents):
        orders = agent.all("/orders")
        keys = [order["client_order_id"] for order in orders]
        assert len(keys) == len(set(keys))
        assert set(keys) == {key for key, sent in driver.sent.items() if sent.owner == owner}
        assert len({order["order_id"] for order in orders}) == len(orders)
        for order in orders:
            sent = driver.sent[order["client_order_id"]]
            assert sent.latest is not None
            check_still_there(sent.latest, order)
            assert order["filled_qty"] == sum(fill["qty"] for fill in order["fills"])
            for fill in order["fills"]:
                trades[fill["trade_id"]] = trades.get(fill["trade_id"], 0) + 1
    assert trades, "no trade happened under load"
    assert set(trades.values()) == {2}, "each trade has its taker and its maker, once each"


def check_seq(host: Host) -> int:
    """The journal's numbers from 1 on, without a hole. Read beside the running venue."""
    with closing(sqlite3.connect(f"file:{host.database}?mode=ro", uri=True)) as connection:
        count, first, last = connection.execute("SELECT count(*), min(seq), max(seq) FROM journal").fetchone()
    assert (first, last) == (1, count)
    return int(count)


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
async def test_kill_under_load(host: Host, kills: int) -> None:
    venue = await asyncio.to_thread(host.serve, **SETTINGS)
    rng = random.Random(kills)
    driver = Driver([venue.signup(f"agent-{number}") for number in range(AGENTS)], rng)
    seconds = []
    for kill in range(kills):
        fresh = set(driver.sent)
        await load(driver, venue, rng.randint(*LOAD_BEFORE_KILL))
        fresh = driver.sent.keys() - fresh
        asked = time.monotonic()
        venue = await asyncio.to_thread(host.serve, **SETTINGS)
        seconds.append(time.monotonic() - asked)
        driver.agents = [agent.at(venue) for agent in driver.agents]
        doubts = driver.in_doubt
        await check_after_restart(driver, venue, fresh)
        commands = check_seq(host)
        print(
            f"kill {kill + 1}: ready again after {seconds[-1]:.2f} s with {commands} commands; "
            f"{len(fresh)} keys sent, {driver.in_doubt - doubts} of them in doubt"
        )
    await check_after_restart(driver, venue, set(driver.sent))
    check_nothing_doubled(driver)
    assert driver.in_doubt > 0, "no kill hit an order on its way"
    await asyncio.to_thread(venue.stop)
    print(
        f"{kills} kills: {driver.acknowledged} orders acknowledged, {driver.in_doubt} in doubt, of which "
        f"{driver.written_in_doubt} had been written, {driver.repeated} retries"
    )
    print(f"restart: {sorted(seconds)[len(seconds) // 2]:.2f} s in the middle, {max(seconds):.2f} s at most")
    done = await asyncio.to_thread(host.run, "audit", "--data-dir", str(host.data_dir), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["orders"] == len(driver.sent)
    assert report["windows_resolved"] + report["windows_void"] > 0
