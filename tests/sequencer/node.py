"""A node without HTTP: the sequencer over a real SQLite journal with its tables, in venue time that a test moves."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from raeth.clock import Clock, ManualClock
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import BUY, KeySpec, Settings
from raeth.idempotency import IdemKey, Outcome
from raeth.journal.sqlite import SqliteJournal
from raeth.sequencer import Sequencer
from raeth.store.migrate import upgrade
from raeth.store.projector import Projector
from raeth.store.reader import sqlite_url

OPEN_AT = 29_916_667 * 60_000
RULES = Settings(reference_kind="simulated")


async def prepare(path: Path) -> None:
    """A database with the journal's tables and the derived ones, as a server makes it."""
    journal = SqliteJournal(path)
    await journal.open()
    await journal.close()
    await asyncio.to_thread(upgrade, sqlite_url(path))


def new_sequencer(path: Path, clock: Clock, settings: Settings = RULES, *, adopt: bool = False) -> Sequencer:
    return Sequencer(SqliteJournal(path), clock, settings, Projector(), adopt=adopt)


@asynccontextmanager
async def running(
    path: Path, clock: Clock | None = None, settings: Settings = RULES, *, adopt: bool = False
) -> AsyncIterator[Sequencer]:
    """A started sequencer; stopped at the end, whatever happened. Without a clock, its first window has just opened."""
    new = not path.exists()
    if new:
        await prepare(path)
    own_clock = ManualClock(OPEN_AT - 1_000 if new else OPEN_AT + 1_000)
    sequencer = new_sequencer(path, clock or own_clock, settings, adopt=adopt)
    try:
        await sequencer.start()
        if clock is None and new:
            own_clock.set(OPEN_AT + 1_000)
            for _ in range(2):  # behind whatever the pacemaker made of it
                await sequencer.submit(cmd.Tick())
        yield sequencer
    finally:
        await sequencer.stop()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for work that is really under way elsewhere."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def signup(n: int) -> cmd.Signup:
    return cmd.Signup(f"digest-{n}", f"agent-{n}", KeySpec(f"key-{n}", "00", "key", ("read", "trade")))


async def trader(sequencer: Sequencer, n: int = 0) -> int:
    """Sign somebody up; their agent's id."""
    outcome = await sequencer.submit(signup(n))
    return next(e.agent for e in outcome.events if isinstance(e, ev.AgentCreated))


def spec(sequencer: Sequencer, price: int = 50, qty: int = 1, **more: Any) -> cmd.OrderSpec:
    market = sequencer.state.live or sequencer.state.pending
    assert market is not None
    return cmd.OrderSpec(market.id, more.pop("side", BUY), "LIMIT", more.pop("tif", "GTC"), price, qty, **more)


def order(sequencer: Sequencer, agent: int, price: int = 50, qty: int = 1, n: int = 0, **more: Any) -> cmd.PlaceOrder:
    return cmd.PlaceOrder(agent, f"key-{n}", spec(sequencer, price, qty, **more))


def key(agent: int, name: str, body: bytes = b"body", place: int = 0) -> IdemKey:
    return IdemKey(agent, name, body, place)


def ids(outcome: Outcome) -> list[tuple[int, bool]]:
    return [(placed.order.id, placed.replayed) for placed in outcome.orders]


def query(path: Path, sql: str) -> list[Any]:
    """What somebody else sees in the file: only what is durable."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return db.execute(sql).fetchall()
