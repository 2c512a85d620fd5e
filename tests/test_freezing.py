"""The machine's clock, frozen at the edges of days, years and leap days: what reads it, and only that, follows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from freezegun import freeze_time

from raeth.clock import RealClock, iso_ms, real_now_ms
from raeth.engine import commands as cmd
from raeth.engine.windows import symbol_of
from tests.sequencer.node import running, until

EDGES = [
    ("2026-11-20T23:59:59.750Z", "BTC-1M-20261121T0000Z"),
    ("2026-12-31T23:59:30.000Z", "BTC-1M-20270101T0000Z"),
    ("2028-02-28T23:59:00.000Z", "BTC-1M-20280229T0000Z"),
    ("2028-02-29T23:59:59.500Z", "BTC-1M-20280301T0000Z"),
    ("2027-02-28T23:59:01.500Z", "BTC-1M-20270301T0000Z"),
]


@pytest.mark.parametrize(("moment", "symbol"), EDGES)
def test_real_time_is_the_machines(moment: str, symbol: str) -> None:
    with freeze_time(moment) as frozen:
        clock = RealClock()
        assert clock.now_ms() == real_now_ms()
        assert iso_ms(clock.now_ms()) == moment
        assert symbol_of("BTC-1M", (clock.now_ms() // 60_000 + 1) * 60_000) == symbol
        frozen.tick(0.001)
        assert clock.now_ms() == real_now_ms()


async def test_waiting_ends_when_the_frozen_clock_reaches_the_moment() -> None:
    with freeze_time("2026-12-31T23:59:59.500Z", real_asyncio=True) as frozen:
        clock = RealClock()
        waiting = asyncio.create_task(clock.sleep_until(clock.now_ms() + 500))
        await asyncio.sleep(0.03)
        assert not waiting.done(), "real time has passed, the venue's has not"
        frozen.tick(0.5)
        async with asyncio.timeout(5):
            await waiting
        assert iso_ms(clock.now_ms()) == "2027-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("moment", "first", "second"),
    [
        ("2026-12-31T23:58:58Z", "BTC-1M-20270101T0000Z", "BTC-1M-20270101T0001Z"),
        ("2028-02-28T23:58:58Z", "BTC-1M-20280229T0000Z", "BTC-1M-20280229T0001Z"),
        ("2028-02-29T23:58:58Z", "BTC-1M-20280301T0000Z", "BTC-1M-20280301T0001Z"),
    ],
)
async def test_windows_across_midnight(tmp_path: Path, moment: str, first: str, second: str) -> None:
    """A venue on the machine's clock, from a minute before midnight into the next day."""
    with freeze_time(moment, real_asyncio=True) as frozen:
        async with running(tmp_path / "raeth.db", RealClock()) as node:
            state = node.state
            assert state.pending is not None and state.pending.symbol == first
            await step(frozen, node, 2)
            assert node.state.live is not None and node.state.live.symbol == first
            assert node.state.pending is not None and node.state.pending.symbol == second
            for _ in range(15):
                await step(frozen, node, 4)
            assert node.state.live is not None and node.state.live.symbol == second
            assert iso_ms(node.state.live.open_at).endswith("T00:00:00.000Z")


async def step(frozen: object, node: object, seconds: int) -> None:
    """Move the machine's clock by less than what counts as a jump, and let the venue follow."""
    frozen.tick(seconds)  # type: ignore[attr-defined]
    now = real_now_ms()
    outcome = await node.submit(cmd.Tick())  # type: ignore[attr-defined]
    assert outcome.ts == now
    await until(lambda: node.state.next_due > now)  # type: ignore[attr-defined]
