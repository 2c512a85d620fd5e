"""One count of budgets on Redis: exact over any number of processes, and nobody waits for a Redis that is away."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from raeth.api.meters import Kind, Meter
from raeth.api.shared_budgets import PAUSE_S, TIMEOUT_S, Ledger, SharedKind, SharedMeter
from raeth.clock import real_now_ms
from raeth.errors import RaethError
from tests.budgets.redis import RedisServer

HOUR_MS = 3_600_000
"""Windows that no test sees the end of, except one start in ten thousand."""

PATIENT_S = 30.0
"""Where the test is not about a Redis that is away, a busy machine must not look like one."""

BUSY_S = 5.0
"""What a busy machine may add to a wait that is bounded."""


@pytest.fixture
def prefix() -> str:
    """Counts of a test's own."""
    return f"test:{random.getrandbits(64):x}:"


@asynccontextmanager
async def ledgers(
    server: RedisServer, prefix: str, count: int, timeout_s: float = PATIENT_S
) -> AsyncIterator[list[Ledger]]:
    made = [Ledger(server.url, prefix, timeout_s) for _ in range(count)]
    try:
        yield made
    finally:
        for ledger in made:
            await ledger.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def passes(meter: Meter, cost: int = 1) -> bool:
    """Whether one request is let through."""
    try:
        meter.charge(cost)
        await meter.agreed()
    except RaethError as refusal:
        assert refusal.code == "RATE_LIMITED" and refusal.retry_after_ms is not None
        return False
    return True


@pytest.mark.parametrize("seed", range(6))
async def test_all_processes_together_let_through_what_one_would(redis: RedisServer, prefix: str, seed: int) -> None:
    rng = random.Random(seed)
    limit, holders = rng.randint(1, 60), rng.randint(1, 8)
    async with ledgers(redis, prefix, 4) as nodes:
        kinds = [node.kind("writes", limit, HOUR_MS) for node in nodes]
        passed = dict.fromkeys(range(holders), 0)
        tried = dict.fromkeys(range(holders), 0)

        async def caller(node: int) -> None:
            for _ in range(rng.randint(1, 60)):
                holder = rng.randrange(holders)
                tried[holder] += 1
                through = await passes(kinds[node].meter(holder))
                passed[holder] += through
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.random() / 500)

        await asyncio.gather(*(caller(rng.randrange(4)) for _ in range(20)))
        assert passed == {holder: min(limit, count) for holder, count in tried.items()}
        assert sum(node.rounds for node in nodes) < sum(tried.values()), "who waits at once shares a round trip"
        assert not any(node.failures for node in nodes)


async def test_batches_are_let_through_whole_or_not_at_all(redis: RedisServer, prefix: str) -> None:
    rng = random.Random(7)
    async with ledgers(redis, prefix, 3) as nodes:
        kinds = [node.kind("writes", 100, HOUR_MS) for node in nodes]
        costs = [rng.randint(1, 15) for _ in range(60)]
        done = await asyncio.gather(*(passes(kinds[n % 3].meter(1), cost) for n, cost in enumerate(costs)))
        through = sum(cost for cost, passed in zip(costs, done, strict=True) if passed)
        assert 85 < through <= 100 and not all(done)
        assert not any([await passes(kind.meter(1)) for kind in kinds]), "what was refused has counted too"


async def test_what_is_left_is_known_everywhere(redis: RedisServer, prefix: str) -> None:
    async with ledgers(redis, prefix, 2) as (one, other):
        here, there = (node.kind("reads", 10, HOUR_MS).meter("2001:db8::/64") for node in (one, other))
        for _ in range(4):
            assert await passes(here)
        assert here.used == 4 and there.used == 0
        assert await passes(there) and there.used == 5, "the first answer of another process has it right"
        assert here.reset_ms == there.reset_ms
        stranger = other.kind("reads", 10, HOUR_MS).meter("2001:db8::/64")
        await stranger.known()
        assert stranger.used == 5, "also where nothing is charged"
        await stranger.known()
        assert await passes(here) and here.used == 6, "asking costs nothing"


async def test_names_holders_and_venues_do_not_meet(redis: RedisServer, prefix: str) -> None:
    async with ledgers(redis, prefix, 1) as (ours,), ledgers(redis, prefix + "2:", 1) as (theirs,):
        first = ours.kind("a", 1, HOUR_MS)
        assert await passes(first.meter(1)) and not await passes(first.meter(1))
        assert await passes(first.meter(2))
        assert await passes(ours.kind("b", 1, HOUR_MS).meter(1))
        assert await passes(theirs.kind("a", 1, HOUR_MS).meter(1))


async def test_a_window_ends_and_redis_forgets_it(redis: RedisServer, prefix: str) -> None:
    async with ledgers(redis, prefix, 2) as nodes:
        kinds = [node.kind("writes", 2, 400) for node in nodes]
        meter = kinds[0].meter(1)
        assert meter.reset_ms <= real_now_ms() + 400
        meter.charge(1)
        await meter.agreed()
        keys = await nodes[0]._client.keys(prefix + "*")
        assert len(keys) == 1
        assert 0 < await nodes[0]._client.pttl(keys[0]) <= 60_000
        await until(lambda: real_now_ms() >= meter.reset_ms)
        assert kinds[0].meter(1) is not meter and kinds[0].meter(1).used == 0
        assert {kind.meter(1).reset_ms - meter.reset_ms for kind in kinds} == {400}, "on one grid everywhere"


def test_renewals_are_spread_over_the_window() -> None:
    kind = SharedKind("writes", 10, 60_000, None)  # type: ignore[arg-type]
    now_ms = real_now_ms()
    ends = sorted(kind.meter(holder).reset_ms - now_ms for holder in range(600))
    assert ends[0] > -1_000 and ends[-1] <= 61_000
    assert max(b - a for a, b in itertools.pairwise(ends)) < 2_000


def test_a_process_alone_waits_for_nothing() -> None:
    """The hot path asks one attribute, and no more."""
    assert Kind(5).meter(1).shared is False and SharedMeter.shared is True


# ---- Redis away ----


async def test_without_redis_each_process_counts_by_itself_and_nobody_waits(
    redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with ledgers(redis, prefix, 2, TIMEOUT_S) as nodes:
        meters = [node.kind("writes", 100, HOUR_MS).meter(1) for node in nodes]
        for meter in meters:
            assert await passes(meter, 20)
        redis.stop()
        try:
            began = time.monotonic()
            for meter in meters:
                assert all(await asyncio.gather(*(passes(meter) for _ in range(30))))
            assert time.monotonic() - began < 2 * TIMEOUT_S + BUSY_S
            assert [node.failures for node in nodes] == [1, 1], "one round failed each; the rest asked nobody"
            assert all(node.away for node in nodes)
            assert [meter.used for meter in meters] == [50, 70], "from the total that was known"
            assert await passes(meters[1], 30) and not await passes(meters[1]), "alone, the budget still holds"
            assert await passes(meters[0], 30)
            await until(lambda: all(node.failures >= 2 for node in nodes))
            assert all(node.failures <= 2 + (time.monotonic() - began) / PAUSE_S for node in nodes)
        finally:
            redis.start()
        await until(lambda: not any(node.away for node in nodes))
        assert not await passes(meters[1])
        assert await passes(meters[0]) and meters[0].used == 81
        async with ledgers(redis, prefix, 1) as (third,):
            twin = third.kind("writes", 100, HOUR_MS).meter(1)
            await twin.known()
            assert twin.used == 30 + 31 + 1, "what was counted alone is told when Redis is back, empty as it is"
        fresh = [node.kind("writes", 4, HOUR_MS).meter(2) for node in nodes]
        assert [await passes(fresh[n % 2]) for n in range(5)] == [True] * 4 + [False], "and all is as before"


async def test_a_redis_that_hangs_costs_one_request_a_tenth_of_a_second(redis: RedisServer, prefix: str) -> None:
    async with ledgers(redis, prefix, 1, TIMEOUT_S) as (node,):
        meter = node.kind("writes", 1_000, HOUR_MS).meter(1)
        assert await passes(meter)
        redis.freeze()
        try:
            began = time.monotonic()
            assert await passes(meter)
            assert time.monotonic() - began < TIMEOUT_S + BUSY_S and node.away
            began = time.monotonic()
            for _ in range(100):
                assert await passes(meter)
            assert time.monotonic() - began < TIMEOUT_S, "with the breaker open nobody waits"
            await meter.known()
        finally:
            redis.thaw()
        await until(lambda: not node.away)
        assert await passes(meter) and meter.used == 103
        other = Ledger(redis.url, prefix, PATIENT_S)
        twin = other.kind("writes", 1_000, HOUR_MS).meter(1)
        await twin.known()
        await other.close()
        assert 102 <= twin.used <= 103, "only what the lost round carried is in doubt, and it was not sent twice"


async def test_a_redis_that_never_was(prefix: str) -> None:
    ledger = Ledger("redis://127.0.0.1:1/0", prefix)
    kind = ledger.kind("writes", 3, HOUR_MS)
    assert [await passes(kind.meter(1)) for _ in range(4)] == [True, True, True, False]
    await ledger.close()
    await ledger.close()
