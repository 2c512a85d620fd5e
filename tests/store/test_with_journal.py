"""Journal and tables in one file: one transaction for both, and reads that see it once it is durable."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from raeth.engine.codec import decode_command, decode_events, encode_command, encode_events
from raeth.engine.commands import Configure, PlaceBatch, PlaceOrder
from raeth.engine.types import REJECTED
from raeth.journal.base import EMPTY_HEAD
from raeth.journal.chain import head_of, next_row
from raeth.journal.postgres import PostgresJournal
from raeth.journal.sqlite import SqliteJournal
from raeth.store import private
from raeth.store.migrate import recognise, upgrade
from raeth.store.projector import Projector
from raeth.store.queries import Store
from raeth.store.reader import sqlite_url
from raeth.store.rebuild import diff, rebuild
from tests.postgres import fresh_database
from tests.sequencer.node import key, query, running, spec, trader
from tests.store.venue import history


async def test_tables_are_as_durable_as_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "raeth.db"
    journal = SqliteJournal(str(path))
    head = await journal.open()
    upgrade(sqlite_url(path))
    store = Store(sqlite_url(path))
    projector = Projector()
    commands, _ = history()
    for start in range(0, len(commands), 100):
        await journal.begin(head.seq)
        rows = []
        for seq, ts, command, events in commands[start : start + 100]:
            rows.append(next_row(head, ts, encode_command(command), encode_events(events)))
            head = head_of(rows[-1])
            projector.add(seq, ts, command, events)
        await journal.commit(rows, (), projector.take(), rows[-1].seq)
    await journal.execute([private.insert_secret("pepper", b"1"), *private.sweep(1_000)])
    assert await store.secret("pepper") == b"1"
    assert (await store.list_admin_actions(limit=1)).items[0].seq == len(commands)

    stored = await journal.read(0)
    scratch = rebuild((row.seq, row.ts, decode_command(row.command), decode_events(row.events)) for row in stored)
    real = sqlite3.connect(path)
    assert diff(scratch.execute, real.execute) is None
    real.close()
    scratch.close()
    await store.close()
    await journal.close()


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
async def test_rules_are_recognised_before_they_are_in_the_tables(tmp_path: Path, backend: str) -> None:
    """A newer engine may have taken over in the last moment of a venue."""
    journal: SqliteJournal | PostgresJournal
    if backend == "sqlite":
        path = tmp_path / "raeth.db"
        url, journal = sqlite_url(path), SqliteJournal(path)
    else:
        address = fresh_database()
        url, journal = address, PostgresJournal(address)
    await journal.open()
    assert await asyncio.to_thread(recognise, url) is None
    await asyncio.to_thread(upgrade, url)
    (seq, ts, first, events), *_ = history()[0]
    assert isinstance(first, Configure)
    projector = Projector()
    projector.add(seq, ts, first, events)
    old = next_row(EMPTY_HEAD, ts, encode_command(first), encode_events(events))
    new = next_row(head_of(old), ts, encode_command(Configure(first.engine_version + 1, first.settings)), b"[7]")
    other = next_row(head_of(new), ts, b'["Unheard of"]', b"?")
    await journal.begin(0)
    await journal.commit([old], (), projector.take(), 1)
    assert await asyncio.to_thread(recognise, url) == first.engine_version
    await journal.begin(1)
    await journal.commit([new, other])
    assert await asyncio.to_thread(recognise, url) == first.engine_version + 1
    await journal.close()


async def test_every_name_leads_to_its_order(tmp_path: Path) -> None:
    """Also of orders that were rejected, and of batches in which some are known and one comes twice."""
    path = tmp_path / "raeth.db"
    async with running(path) as venue:
        agents = [await trader(venue, n) for n in range(2)]
        store = Store(sqlite_url(path), venue.tabled)
        for n, agent in enumerate(agents):

            def named(name: str, agent: int = agent, n: int = n, price: int = 50) -> PlaceOrder:
                return PlaceOrder(agent, f"key-{n}", spec(venue, price, side=n, client_order_id=name))

            await venue.submit(named("one"), [key(agent, "one")])
            await venue.submit(named("no", price=100), [key(agent, "no")])
            assert (await venue.submit(named("one"), [key(agent, "one")])).orders[0].replayed
            legs = ("two", "one", "three", "two", "bad")
            specs = tuple(spec(venue, 100 if it == "bad" else 50, side=n, client_order_id=it) for it in legs)
            keys = [key(agent, name, place=place) for place, name in enumerate(legs)]
            done = await venue.submit(PlaceBatch(agent, f"key-{n}", specs), keys)
            assert [placed.replayed for placed in done.orders] == [False, True, False, True, False]
            assert await store.order_by_client_id(agent, "four") is None
            for name in ("one", "no", *legs):
                found = await store.order_by_client_id(agent, name)
                assert found is not None and (found.agent, found.client_order_id) == (agent, name)
                assert (found.status == REJECTED) == (name in ("no", "bad"))
        rows = query(path, "SELECT agent, client_order_id, id FROM orders")
        assert len(rows) == len({row[:2] for row in rows}) == 5 * len(agents)
        for agent, name, order_id in rows:
            assert [order.id for order in (await store.list_orders(agent, client_order_id=name)).items] == [order_id]
        await store.close()
