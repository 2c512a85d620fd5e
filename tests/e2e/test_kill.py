"""SIGKILL in the middle of load, again and again: what was answered is there, and nothing is there twice.

Clients place, cancel and retry orders over requests, over a pipelined socket and through the SDK, whose own retries
carry it over each kill, while the venue process is killed without warning. Then it is started on the same data dir,
asked for every order it had acknowledged, and keys are sent once more. A reader of each agent's private channel resumes
with `from_seq` after every kill: what it was told over all lives is, line by line, what the journal says.

This tests the death of the process, at any instruction. It does not test the loss of power or of the machine: the
kernel lives on and still holds every page the process wrote, so a missing fsync would not show here, nor a disk that
says it has written what it has not, nor sectors torn in the middle. That fsync is called, and that what it covers is
enough, is for the journal's own tests to show.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from raeth.client import AsyncClient
from tests.e2e.kill_load import (
    AGENTS,
    RANK,
    SDK_PATIENCE_S,
    Driver,
    Persistent,
    load_until_killed,
    place,
)
from tests.e2e.private_story import Compared, Follower, JournalStory
from tests.e2e.venue import TERMINAL, Host, VenueProcess

SETTINGS = {
    # Windows so short that many open, close and resolve between two kills.
    "RAETH_SERIES__WINDOW_MS": "2000",
    # Declines by risk are not what is tested here; a few still happen.
    "RAETH_RISK__POSITION_CAP": "10000000",
    "RAETH_RISK__COOLDOWN_REJECTS": "1000000",
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "1000000000",
    "RAETH_LIMITS__OPEN_ORDERS_PER_MARKET": "100000",
}
LOAD_BEFORE_KILL = (20, 100)
"""Orders acknowledged since the start after which the process is killed, at random."""
OLD_KEYS_RETRIED = 20
"""Of the keys of earlier lives, so many are tried again after each restart, and ten times as many at the end."""
CHECKERS = 6


def check_still_there(acknowledged: dict[str, Any], now: dict[str, Any]) -> None:
    """`now` is what was acknowledged, or something that can have become of it."""
    told = {"order_id", "client_order_id", "market_id", "agent_id", "side", "type", "tif", "price", "qty", "created_at"}
    assert {name: now[name] for name in told} == {name: acknowledged[name] for name in told}
    assert RANK[now["status"]] >= RANK[acknowledged["status"]]
    assert now["seq"] >= acknowledged["seq"]
    assert now["fills"][: len(acknowledged["fills"])] == acknowledged["fills"]
    if acknowledged["status"] in TERMINAL:
        known = acknowledged.keys() - {"replayed"}
        assert {name: now[name] for name in known} == {name: acknowledged[name] for name in known}, "an end is final"


async def check_after_restart(
    driver: Driver, venue: VenueProcess, fresh: set[str], old: int = OLD_KEYS_RETRIED
) -> None:
    """Every acknowledged order is there; each key of the last life, and `old` earlier ones, stands for one order."""
    older = [key for key, sent in driver.sent.items() if key not in fresh and sent.latest is not None]
    retried = [*fresh, *driver.rng.sample(older, min(len(older), old))]
    queue = iter(retried)
    async with httpx2.AsyncClient(base_url=f"{venue.url}/api/v1", timeout=20) as http:

        async def worker() -> None:
            for key in queue:
                sent = driver.sent[key]
                found = await http.get(f"/orders/by-client-id/{key}", headers=driver.bearer(sent.owner))
                if sent.latest is not None:
                    assert found.status_code == 200, f"{key} was acknowledged and is gone: {found.text}"
                    check_still_there(sent.latest, found.json())
                    await place(driver, http, key)
                else:
                    assert found.status_code in (200, 404), found.text
                    await clear_doubt(driver, http, key, found.json() if found.is_success else None)

        await asyncio.gather(*(worker() for _ in range(CHECKERS)))


async def check_life(driver: Driver, venue: VenueProcess, persistent: list[Persistent], known: set[str]) -> set[str]:
    """All keys that are not among `known`, those of the SDK once it has got its answers by itself; these keys."""

    def fresh() -> set[str]:
        return driver.sent.keys() - known

    by_sdk = {one.owner for one in persistent}
    at_once = {key for key in fresh() if driver.sent[key].owner not in by_sdk}
    await asyncio.gather(check_after_restart(driver, venue, at_once), *(one.rest() for one in persistent))
    await check_after_restart(driver, venue, fresh() - at_once, 0)
    return fresh()


async def clear_doubt(driver: Driver, http: httpx2.AsyncClient, key: str, found: dict[str, Any] | None) -> None:
    """A retry finds out what happened: the order that was written all the same, or else it places it now, once."""
    driver.in_doubt += 1
    order = await place(driver, http, key)
    assert order["replayed"] is (found is not None)
    if found is not None:
        driver.written_in_doubt += 1
        assert order["order_id"] == found["order_id"]
    await place(driver, http, key)


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


async def check_streams(story: JournalStory, compared: list[Compared]) -> None:
    """Each private channel, resumed across the kills, against the journal up to this moment."""
    head = await asyncio.to_thread(story.read)
    for one in compared:
        await one.check(story, head)


def free_port() -> int:
    """A free port that the system hands to no outgoing connection: the SDK knocks on it while nobody listens."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


async def finish(driver: Driver, venue: VenueProcess, story: JournalStory, compared: list[Compared]) -> None:
    """The last comparison: all keys once more, all orders, and the whole private past against what was told live."""
    await check_after_restart(driver, venue, set(), 10 * OLD_KEYS_RETRIED)
    await asyncio.to_thread(check_nothing_doubled, driver)
    again = [Follower(one.follower.agent) for one in compared]
    tasks = [asyncio.create_task(one.follow(venue.url)) for one in (*again, *(one.follower for one in compared))]
    await check_streams(story, compared)
    await check_streams(story, [Compared(new, old.name) for new, old in zip(again, compared, strict=True)])
    for new, old in zip(again, compared, strict=True):
        both = min(len(new.events), len(old.follower.events))
        assert new.events[:both] == old.follower.events[:both], "told from the journal as it was told live"
        assert old.follower.repeated > 0
    await asyncio.to_thread(venue.stop)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(4, marks=pytest.mark.timeout(300)),
        pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
async def test_kill_under_load(host: Host, kills: int) -> None:
    flags = ("--port", str(free_port()))
    venue = await asyncio.to_thread(host.serve, *flags, **SETTINGS)
    rng = random.Random(kills)
    names = [f"agent-{number}" for number in range(AGENTS)]
    driver = Driver([venue.signup(name) for name in names], rng)
    story = JournalStory(host.database)
    compared = [Compared(Follower(agent), name) for agent, name in zip(driver.agents, names, strict=True)]
    seconds = []
    async with AsyncExitStack() as stack:
        persistent = await sdk_agents(stack, driver, venue.url)
        for kill in range(kills):
            known = set(driver.sent)
            listening = [asyncio.create_task(one.follower.follow(venue.url)) for one in compared]
            if kill:
                await check_streams(story, compared)
            await load_until_killed(driver, venue, persistent, listening, rng.randint(*LOAD_BEFORE_KILL))
            venue = await asyncio.to_thread(host.serve, *flags, **SETTINGS)
            seconds.append(venue.ready_after_s)
            driver.agents = [agent.at(venue) for agent in driver.agents]
            doubts = driver.in_doubt
            fresh = await check_life(driver, venue, persistent, known)
            print(
                f"kill {kill + 1}: ready again after {seconds[-1]:.2f} s with {story.read()} commands; "
                f"{len(fresh)} keys sent, {driver.in_doubt - doubts} of them in doubt",
                flush=True,
            )
    await finish(driver, venue, story, compared)
    print(
        f"{kills} kills: {driver.acknowledged} orders acknowledged ({driver.over_socket} on sockets, {driver.over_sdk} "
        f"by the SDK), {driver.in_doubt} in doubt, of which {driver.written_in_doubt} had been written, "
        f"{driver.repeated} retries; {sum(len(one.follower.events) for one in compared)} private events"
    )
    print(f"restart: {sorted(seconds)[len(seconds) // 2]:.2f} s in the middle, {max(seconds):.2f} s at most")
    assert driver.in_doubt > 0, "no kill hit an order on its way"
    assert driver.over_socket > 0 and driver.over_sdk > 0
    done = await asyncio.to_thread(host.run, "audit", "--data-dir", str(host.data_dir), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["orders"] == len(driver.sent)
    assert report["windows_resolved"] + report["windows_void"] > 0


async def sdk_agents(stack: AsyncExitStack, driver: Driver, url: str) -> list[Persistent]:
    """One on requests and one on its stream."""
    clients = [
        await stack.enter_async_context(AsyncClient(url, driver.agents[owner].key, patience_s=SDK_PATIENCE_S))
        for owner in (2, 3)
    ]
    stream = await stack.enter_async_context(clients[1].stream())
    persistent = [Persistent(driver, clients[0], 2), Persistent(driver, stream, 3)]
    for one in persistent:
        stack.callback(one.task.cancel)
    return persistent
