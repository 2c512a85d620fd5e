"""Several nodes of one venue in one process: each with its own connection to the journal's file, its own state, tables'
reader, hub and server. What is between them is the database alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2

from raeth.api.app import create_app
from raeth.api.venue import Venue
from raeth.clock import ManualClock
from raeth.config import LimitSettings
from raeth.config import Settings as Configuration
from raeth.engine import snapshot
from raeth.engine.types import Settings
from raeth.journal.sqlite import SqliteJournal
from raeth.sequencer import Sequencer
from raeth.store.projector import Projector
from raeth.store.queries import Store
from raeth.store.reader import sqlite_url
from tests.api.harness import (
    ADMIN,
    GENESIS_MS,
    PEPPER,
    RULES,
    Desk,
    ScriptedReference,
    Trader,
    empty_database,
)
from tests.streams.harness import Hall, limits, serving


class DeafJournal(SqliteJournal):
    """Nothing wakes the node when others write: it is as far behind as a node can be that still works."""

    async def watch(self, heard: Callable[[], None]) -> None:
        pass


class Nodes:
    """The halls of one venue. Every trader may come in by any of them."""

    def __init__(self, halls: list[Hall], new_node: Callable[[], Awaitable[Hall]]) -> None:
        self.halls = halls
        self._new_node = new_node

    @property
    def desk(self) -> Desk:
        """Where the test does what a scheduler would."""
        return self.halls[0].desk

    def at(self, node: int, trader: Trader) -> Trader:
        """The same agent at another node."""
        return Trader(self.halls[node].desk, trader.agent, trader.account, trader.key, trader.name)

    async def join(self) -> Hall:
        """One node more, that starts now."""
        hall = await self._new_node()
        self.halls.append(hall)
        return hall

    async def level(self) -> None:
        """Every node knows everything, and has told it."""
        for hall in self.halls:
            await hall.desk.sequencer.catch_up()
        head = max(hall.desk.sequencer.durable_seq for hall in self.halls)
        for hall in self.halls:
            await hall.desk.sequencer.catch_up()
            assert hall.desk.sequencer.durable_seq >= head
            await hall.quiet(*(peer for peer in hall.peers if peer.closed is None))

    async def check(self) -> None:
        """The nodes agree to the byte, and each has its money right."""
        await self.level()
        assert len({snapshot.dump(hall.desk.sequencer.state) for hall in self.halls}) == 1
        for hall in self.halls:
            hall.desk.check()


@asynccontextmanager
async def opened_nodes(
    folder: Path,
    journals: tuple[type[SqliteJournal], ...] = (SqliteJournal, SqliteJournal),
    rules: Settings = RULES,
    open_limits: LimitSettings | None = None,
) -> AsyncIterator[Nodes]:
    """A venue with an open window and one node for each of `journals`; the first is the one that opened it."""
    clock, reference = ManualClock(GENESIS_MS), ScriptedReference()
    path = folder / "raeth.db"
    path.write_bytes(await empty_database(folder))
    chosen = open_limits if open_limits is not None else limits()
    async with AsyncExitStack() as stack:

        async def new_node(kind: type[SqliteJournal] = SqliteJournal, *, first: bool = False) -> Hall:
            sequencer = Sequencer(kind(path), clock, rules, Projector(), shared=True)
            await sequencer.start()
            store = Store(sqlite_url(path), sequencer.tabled)
            stack.push_async_callback(store.close)
            stack.push_async_callback(sequencer.stop)
            settings = Configuration(data_dir=folder, limits=chosen)
            venue = Venue(settings, sequencer, store, clock, reference, PEPPER, ADMIN)  # type: ignore[arg-type]
            transport = httpx2.ASGITransport(app=create_app(venue))
            http = await stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url="http://venue"))
            desk = Desk(venue, reference, clock, http)
            if first:
                await desk.next_window()
                await desk.tick()
            return await stack.enter_async_context(serving(desk))

        nodes = Nodes([await new_node(kind, first=not n) for n, kind in enumerate(journals)], new_node)
        await nodes.level()
        yield nodes
        await nodes.check()
