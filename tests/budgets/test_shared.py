"""The venue's own doors with budgets on Redis: two processes' worth of the API, and one count behind both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from raeth.api.app import create_app
from raeth.api.budgets import Budgets
from raeth.api.meters import MINUTE_MS, Kind
from raeth.api.shared_budgets import Ledger
from raeth.api.venue import Venue
from raeth.clock import real_now_ms
from raeth.config import ConfigError
from raeth.config import Settings as Configuration
from raeth.engine.types import Settings
from tests.api.harness import ADMIN, LIMITS, PEPPER, RULES, Desk, Trader, opened_desk
from tests.budgets.redis import RedisServer
from tests.streams.harness import limits, serving

ROOM_MS = 20_000
"""What a minute must have left for a test to take place in it, whatever else the machine does."""


@asynccontextmanager
async def two_doors(
    folder: Path, redis: RedisServer, rules: Settings = RULES, **changes: int
) -> AsyncIterator[tuple[Desk, list[httpx2.AsyncClient]]]:
    """One venue behind two APIs that share nothing but Redis and the order of events."""
    chosen = limits(**changes)
    redis.forget()  # agents of different tests have the same numbers
    async with opened_desk(folder, rules, chosen) as desk:
        doors, venues = [], []
        for _ in range(2):
            venue = desk.venue
            settings = Configuration(data_dir=folder, limits=chosen, budgets_url=redis.url)
            venues.append(
                Venue(settings, desk.sequencer, venue.store, desk.clock, desk.reference, PEPPER, ADMIN)  # type: ignore[arg-type]
            )
            patient(venues[-1].budgets)
            app = create_app(venues[-1])
            doors.append(httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://venue"))
        try:
            yield desk, doors
        finally:
            for door, venue in zip(doors, venues, strict=True):
                await door.aclose()
                await venue.budgets.close()
                await venue.hub.stop()


def patient(budgets: Budgets) -> None:
    """A busy machine must not look like a Redis that is away."""
    assert budgets.ledger is not None
    budgets.ledger._timeout_s = 30.0


def roomy(kind: Kind, holder: int | str) -> bool:
    """Whether the holder's window lasts longer than the test."""
    return kind.meter(holder).reset_ms - real_now_ms() > ROOM_MS


async def trader_with_room(desk: Desk, redis: RedisServer) -> Trader:
    """An agent whose minute will not end while it is tested."""
    ledger = Ledger(redis.url, f"raeth:{desk.born}:")
    kinds = [ledger.kind(name, 1) for name in ("writes", "reads", "cancels")]
    while True:
        trader = await desk.trader(f"trader-{desk.sequencer.durable_seq}")
        if all(roomy(kind, trader.agent) for kind in kinds):
            await ledger.close()
            return trader


async def address_with_room(redis: RedisServer, born: int) -> str:
    ledger = Ledger(redis.url, f"raeth:{born}:")
    kinds = [ledger.kind(name, 1) for name in ("address", "door", "faucet")]
    found = next(a for n in range(1, 255) if all(roomy(kind, a := f"192.0.2.{n}") for kind in kinds))
    await ledger.close()
    return found


def remaining(answer: httpx2.Response) -> int:
    return int(answer.headers["x-ratelimit-remaining"])


def refused(answer: httpx2.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.json()["code"] == "RATE_LIMITED" and remaining(answer) == 0
    assert 1 <= int(answer.headers["retry-after"]) <= MINUTE_MS // 1000
    return True


async def ask(door: httpx2.AsyncClient, trader: Trader, method: str, path: str, **options: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {trader.key}"}
    return await door.request(method, "/api/v1" + path, headers=headers, **options)


async def test_an_agents_budgets_are_one_at_both_doors(tmp_path: Path, redis: RedisServer) -> None:
    changes = {"writes_per_minute": 6, "cancels_per_minute": 3, "reads_per_minute": 5}
    async with two_doors(tmp_path, redis, **changes) as (desk, doors):
        agent = await trader_with_room(desk, redis)
        order = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 10, "qty": 1}
        answers = [await ask(doors[n % 2], agent, "POST", "/orders", json=order) for n in range(4)]
        assert [(a.status_code, remaining(a)) for a in answers] == [(200, 5), (200, 4), (200, 3), (200, 2)]
        assert len({a.headers["x-ratelimit-reset"] for a in answers}) == 1
        batch = await ask(doors[0], agent, "POST", "/orders/batch", json={"orders": [order, order]})
        assert batch.status_code == 200 and remaining(batch) == 0
        for door in doors:
            assert refused(await ask(door, agent, "POST", "/orders", json=order))
        assert len(desk.sequencer.state.orders) == 6
        cancels = [await ask(doors[n % 2], agent, "POST", "/orders/cancel", json={}) for n in range(4)]
        assert [a.status_code for a in cancels] == [200, 200, 200, 429] and refused(cancels[-1])
        reads = await asyncio.gather(*(ask(doors[n % 2], agent, "GET", "/account") for n in range(12)))
        assert sum(a.status_code == 200 for a in reads) == 5
        assert all(refused(a) for a in reads if a.status_code != 200)

        other = await trader_with_room(desk, redis)
        assert (await ask(doors[0], other, "POST", "/orders", json=order)).status_code == 200
        assert refused(await ask(doors[1], other, "POST", "/orders/batch", json={"orders": [order] * 6}))
        assert len(desk.sequencer.state.orders) == 1, "the six before were cancelled"
        assert refused(await ask(doors[0], other, "POST", "/orders", json=order)), "what was refused has counted"

        third = await trader_with_room(desk, redis)
        desk.http = doors[0]
        async with serving(desk) as hall:
            peer = await hall.peer(third)
            asked = [peer.post("submit_order", params=order) for _ in range(4)]
            for text, _ in asked:
                await peer.send(text)
            assert [(await reply)["type"] for _, reply in asked] == ["ack"] * 4
            assert remaining(await ask(doors[1], third, "POST", "/orders", json=order)) == 1
            await peer.ack("submit_order", params=order)
            answer = await peer.error("RATE_LIMITED", "submit_order", params=order)
            assert 0 < answer["retry_after_ms"] <= MINUTE_MS
            assert refused(await ask(doors[1], third, "POST", "/orders", json=order))


async def test_addresses_guesses_and_the_door_are_one_at_both(tmp_path: Path, redis: RedisServer) -> None:
    async with two_doors(tmp_path, redis, anonymous_reads_per_minute=6, signups_per_minute=4, signups_per_day=3) as (
        desk,
        doors,
    ):
        address = await address_with_room(redis, desk.born)
        for door in doors:
            door._transport.client = (address, 1)  # type: ignore[attr-defined]
        first = await doors[0].get("/api/v1/meta/version")
        assert (first.status_code, remaining(first)) == (200, 5)
        lost = await doors[1].get("/api/v1/nope")
        assert (lost.status_code, remaining(lost)) == (404, 4)
        wrong = {"Authorization": "Bearer rk_live_a_b"}
        guesses = [await doors[n % 2].get("/api/v1/account", headers=wrong) for n in range(5)]
        assert [(a.status_code, remaining(a)) for a in guesses[:4]] == [(401, 3), (401, 2), (401, 1), (401, 0)]
        for door in doors:
            assert refused(await door.get("/api/v1/meta/version"))
        signups = []
        for n in range(5):
            body = {"email": f"a{n}@example.com", "agent_name": f"agent-{n}"}
            signups.append(await doors[n % 2].post("/api/v1/auth/signup", json=body))
        assert [a.status_code for a in signups] == [201, 201, 201, 429, 429]
        assert [remaining(a) for a in signups[:3]] == [3, 2, 1]
        assert signups[3].headers["x-ratelimit-limit"] == "3" and remaining(signups[3]) == 0, "the day's"
        assert 1 <= int(signups[3].headers["retry-after"]) <= 86_400 and refused(signups[4])
        login = {"email": "a0@example.com", "password": "x" * 9}
        assert refused(await doors[0].post("/api/v1/auth/login", json=login))


async def test_the_venue_answers_with_and_without_its_redis(tmp_path: Path, redis: RedisServer) -> None:
    async with two_doors(tmp_path, redis, reads_per_minute=8) as (desk, doors):
        agent = await trader_with_room(desk, redis)
        for door in doors:
            assert (await ask(door, agent, "GET", "/account")).status_code == 200
        assert "raeth_budgets_shared 1.0" in (await doors[0].get("/metrics")).text
        redis.stop()
        try:
            answers = await asyncio.gather(*(ask(doors[0], agent, "GET", "/account") for _ in range(9)))
            assert sorted(a.status_code for a in answers) == [200] * 7 + [429] * 2
            metrics = (await doors[0].get("/metrics")).text
            assert "raeth_budgets_shared 0.0" in metrics and "raeth_budgets_failures_total 1.0" in metrics
            assert (await doors[0].get("/health")).status_code == 200
            assert (await doors[1].get("/api/v1/nope")).status_code == 404
        finally:
            redis.start()
    assert "raeth_budgets" not in (await _metrics_alone(tmp_path))


async def _metrics_alone(folder: Path) -> str:
    (folder / "alone").mkdir()
    async with opened_desk(folder / "alone", RULES, LIMITS) as desk:
        text: str = (await desk.http.get("/metrics")).text
        return text


def test_an_address_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="budgets_url"):
        Budgets(Configuration(data_dir=tmp_path, budgets_url="redis://127.0.0.1:port/0"))
