"""The synthetic price: the same for the same seed, sane in its statistics, and honest about what it is."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
from itertools import islice, pairwise

from raeth.clock import ManualClock
from raeth.reference import ReferenceSettings, Tick, open_source
from raeth.reference.simulated import SECONDS_PER_YEAR, STEPS_PER_SECOND, SyntheticPrice, synthetic_ticks

START = 1_700_000_000_000
SETTINGS = ReferenceSettings()


def test_the_seed_decides_everything() -> None:
    one, same, other = (list(islice(synthetic_ticks(seed, START, 9_500_000), 2_000)) for seed in (7, 7, 8))
    assert one == same
    assert one != other
    assert all(type(tick.price_cents) is int and tick.price_cents > 0 for tick in one)


def test_it_is_the_same_for_every_hash_seed() -> None:
    program = (
        "from itertools import islice; from raeth.reference.simulated import synthetic_ticks as s;"
        f"print([(t.venue, t.price_cents, t.recv_ts) for t in islice(s(7, {START}, 9_500_000), 200)])"
    )
    seen = set()
    for hash_seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        seen.add(subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True).stdout)
    assert len(seen) == 1


def test_ticks_come_in_order_several_times_a_second() -> None:
    ticks = list(islice(synthetic_ticks(7, START, 9_500_000), 20 * 600))
    assert all(a.recv_ts <= b.recv_ts for a, b in pairwise(ticks))
    for venue in {tick.venue for tick in ticks}:
        own = [tick for tick in ticks if tick.venue == venue]
        assert all(a.source_ts < b.source_ts for a, b in pairwise(own))
        assert all(50 <= tick.recv_ts - tick.source_ts <= 400 for tick in own)
        assert 3.5 < len(own) / 600 <= 4.1


def test_the_statistics_are_those_of_a_bitcoin() -> None:
    price = SyntheticPrice(9_500_000)
    closes = [price.second(random.Random(f"1/{n}"))[-1] for n in range(40_000)]
    returns = [b / a - 1 for a, b in pairwise(closes)]
    annual = statistics.pstdev(returns) * SECONDS_PER_YEAR**0.5
    assert 0.35 < annual < 0.75
    assert abs(statistics.fmean(returns)) < 4 * statistics.pstdev(returns) / len(returns) ** 0.5
    squares = [r * r for r in returns]
    mean = statistics.fmean(squares)
    fourth = statistics.fmean(s * s for s in squares) / mean**2
    assert fourth > 4, "fatter tails than a normal"
    capped = [min(s, 20 * mean) for s in squares]
    assert statistics.correlation(capped[:-1], capped[1:]) > 0.03, "volatility clusters"


async def test_it_lives_in_the_clocks_time_and_says_what_it_is() -> None:
    clock = ManualClock(START)
    source = open_source("simulated", SETTINGS, clock)
    heard: list[Tick] = []
    source.on_tick(heard.append)
    task = asyncio.create_task(source.run())
    prints = []
    for _ in range(185):
        clock.advance(1_000)
        for _ in range(5):
            await asyncio.sleep(0)
        if (clock.now_ms() - 1_000) % 60_000 == 0:
            prints.append(source.print_at(clock.now_ms() - 1_000, clock.now_ms()))
    task.cancel()
    reading = source.current(clock.now_ms())
    assert (reading.status, reading.source, reading.synthetic) == ("LIVE", "simulated", True)
    assert len(reading.venues) == 5
    assert len(heard) > 185 * STEPS_PER_SECOND * 4
    assert len(prints) == 3
    for found in prints:
        assert found is not None
        assert found.usable
        assert found.synthetic
        assert found.source_ts is not None
        assert found.source_ts <= found.boundary_ms


async def test_it_has_a_price_for_a_boundary_at_its_very_beginning() -> None:
    """Windows are listed before the price begins: one that opens in between has a print all the same."""
    clock = ManualClock(START)
    source = open_source("simulated", SETTINGS, clock)
    heard: list[Tick] = []
    source.on_tick(heard.append)
    task = asyncio.create_task(source.run())
    await asyncio.sleep(0)
    assert heard == [], "what was before is told to nobody"
    assert source.current(START).status == "LIVE"
    for boundary in range(START - 2_000, START + 1, 100):
        found = source.final_print_at(boundary, START)
        assert found.usable
        assert found.age_ms is not None and found.age_ms < 1_000
    task.cancel()


async def test_it_goes_on_from_a_known_price() -> None:
    clock = ManualClock(START)
    source = open_source("simulated", SETTINGS, clock, start_price_cents=5_000_000)
    task = asyncio.create_task(source.run())
    await asyncio.sleep(0)
    clock.advance(1_000)
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    price_cents = source.current(clock.now_ms()).price_cents
    assert price_cents is not None
    assert abs(price_cents - 5_000_000) < 50_000


def test_a_year_of_luck_never_takes_the_price_to_nothing() -> None:
    price = SyntheticPrice(100)
    assert min(step for n in range(2_000) for step in price.second(random.Random(n))) >= 100
