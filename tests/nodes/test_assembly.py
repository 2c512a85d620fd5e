"""What a node does before it begins."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.assembly import CONNECT_MS, CannotServe, assemble, clear_of_boundary
from raeth.clock import ManualClock
from raeth.config import ADMIN_TOKEN_FILE, DATABASE, Settings

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


def other_rules(settings: Settings) -> Settings:
    return settings.model_copy(update={"faucet": settings.faucet.model_copy(update={"amount_cents": 1})})


def damaged(settings: Settings) -> Settings:
    with closing(sqlite3.connect(settings.data_dir / DATABASE, isolation_level=None)) as database:
        database.execute("DELETE FROM snapshots")
        database.execute("UPDATE journal SET events = x'00' WHERE seq = 1")
    return settings


def no_token(settings: Settings) -> Settings:
    """Read when the writer is already at work."""
    (settings.data_dir / ADMIN_TOKEN_FILE).write_bytes(b"\xff")
    return settings


@pytest.mark.parametrize(
    ("spoil", "refusal"), [(other_rules, CannotServe), (damaged, CannotServe), (no_token, UnicodeDecodeError)]
)
async def test_a_refused_start_leaves_nothing_open(
    tmp_path: Path, spoil: Callable[[Settings], Settings], refusal: type[Exception]
) -> None:
    settings = Settings(data_dir=tmp_path, workers=2)  # one of several: it also watches what others write
    node = await assemble(settings)
    await node.sequencer.stop()
    await node.store.close()
    settings = spoil(settings)
    before = set(threading.enumerate())
    with pytest.raises(refusal):
        await assemble(settings)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not [one for one in set(threading.enumerate()) - before if one.name.startswith("journal")]
