"""What a node does before it begins."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from raeth.assembly import CONNECT_MS, clear_of_boundary
from raeth.clock import ManualClock

MINUTE_MS = 60_000


@given(st.integers(0, 10 * MINUTE_MS), st.sampled_from([1_000, 5_000, MINUTE_MS, 60 * MINUTE_MS]))
def test_a_new_venue_lists_its_first_window_well_before_it_opens(now_ms: int, window_ms: int) -> None:
    async def run() -> int:
        clock = ManualClock(now_ms)
        waiting = asyncio.create_task(clear_of_boundary(clock, window_ms))
        await asyncio.sleep(0)
        while not waiting.done():
            clock.advance(100)
            for _ in range(3):
                await asyncio.sleep(0)
        return clock.now_ms()

    begins_ms = asyncio.run(run())
    if window_ms < MINUTE_MS:
        assert begins_ms == now_ms, "among short windows there is no good moment"
        return
    assert begins_ms - now_ms <= CONNECT_MS + 100
    assert window_ms - begins_ms % window_ms >= CONNECT_MS
