"""What PostgreSQL could do differently: types, sorting, plans, races, lost connections. All else is tested on both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event
from sqlalchemy.pool import NullPool

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.ids import make_id
from raeth.engine.types import KeySpec
from raeth.errors import Code, RaethError
from raeth.journal.base import JournalUnavailable
from raeth.journal.postgres_session import numbered
from raeth.store import migrate, postgres
from raeth.store.cursors import KEY_MAX
from raeth.store.queries import Store
from raeth.store.rows import Page
from raeth.store.tables import DERIVED, PRIVATE, Base
from tests.postgres import shared_server
from tests.standings.bazaar import bazaar
from tests.store.databases import Database, PostgresDatabase, SqliteDatabase
from tests.store.test_projector import AGENT, CONFIGURED, LISTED, OTHER, journal_of, order, traded
from tests.store.test_queries import PLANS
from tests.store.venue import history, project, row_dicts, tables


@pytest.fixture(scope="module")
def untouched() -> Iterator[PostgresDatabase]:
    made = PostgresDatabase()
    yield made
    made.close()


# ---- the same cells, and the same answers to the letter ----


@pytest.mark.parametrize("seed", [8, 9])
def test_both_databases_end_with_the_same_cells(file: SqliteDatabase, emptied: Database, seed: int) -> None:
    journal, _ = history(seed)
    for database in (file, emptied):
        project(database, journal, range(0, len(journal), 70))
    assert tables(file) == tables(emptied)


def test_also_in_a_market_of_many_accounts(file: SqliteDatabase, emptied: Database) -> None:
    """The leaderboard's arithmetic, of which the statements do the most."""
    for database in (file, emptied):
        project(database, bazaar(1), range(0, len(bazaar(1)), 300))
    found = tables(file)
    assert found == tables(emptied)
    assert len(found["window_results"]) > 10 and len(found["account_pairs"]) > 10


def test_batches_of_one_command_too(file: SqliteDatabase, emptied: Database) -> None:
    journal, _ = history()
    for database in (file, emptied):
        project(database, journal, range(250))
    assert tables(file) == tables(emptied)


async def every_answer(store: Store, database: Database) -> AsyncIterator[Any]:
    """All that the store can be asked, with and without each filter, page by page."""
    agents = row_dicts(database, "agents")
    orders = row_dicts(database, "orders")
    markets = [row["id"] for row in row_dicts(database, "markets")]

    async def pages(read: Any) -> AsyncIterator[Any]:
        before = None
        while True:
            page: Page[Any] = await read(before=before)
            yield page
            if page.next is None:
                return
            before = page.next

    for row in orders[::9]:
        yield await store.get_order(row["id"])
        if row["client_order_id"] is not None:
            yield await store.order_by_client_id(row["agent"], row["client_order_id"])
    yield await store.fills_of_orders(sorted(row["id"] for row in orders))
    for row in agents:
        agent = row["id"]
        for market in (None, *markets[:3]):
            for statuses in (None, ("REJECTED", "FILLED")):
                async for page in pages(
                    lambda before, a=agent, m=market, s=statuses: store.list_orders(
                        a, market=m, statuses=s, before=before, limit=31
                    )
                ):
                    yield page
            async for page in pages(
                lambda before, a=agent, m=market: store.list_fills(a, market=m, before=before, limit=31)
            ):
                yield page
        async for page in pages(lambda before, a=agent: store.list_ledger(a, before=before, limit=7)):
            yield page
        async for page in pages(lambda before, a=row["account"]: store.list_transfers(a, before=before, limit=3)):
            yield page
        yield await store.list_agents(row["account"])
        yield await store.list_keys(agent)
        yield await store.has_grant(agent), await store.granted_cents(row["account"])
        yield await store.fills_since(agent, 0)
    for market in markets:
        yield await store.get_market(market)
        yield await store.candles(market, 1_000), await store.candles(market, 60_000, since_ts=orders[0]["created_ts"])
        async for page in pages(lambda before, m=market: store.market_trades(m, before=before, limit=5)):
            yield page
    async for page in pages(lambda before: store.list_markets(before=before, limit=3)):
        yield page
    async for page in pages(lambda before: store.list_markets(slug="BTC-1M", before=before)):
        yield page
    async for page in pages(lambda before: store.list_admin_actions(before=before, limit=2)):
        yield page
    async for page in pages(lambda before: store.list_standings(before=before, limit=1)):
        yield page
    for boundary in (row["boundary"] for row in row_dicts(database, "prints")):
        yield await store.get_print(boundary)
    yield await store.reference_history(0, limit=40)
    for row in row_dicts(database, "api_keys"):
        yield await store.key_digest(row["key_id"])


async def test_answers_are_the_same_to_the_letter(full_file: SqliteDatabase, full_postgres: PostgresDatabase) -> None:
    """Types too: `repr` tells True from 1 and a decimal from a whole number."""
    said = []
    for database in (full_file, full_postgres):
        store = Store(database.url)
        said.append([repr(answer) async for answer in every_answer(store, full_file)])
        await store.close()
    assert len(said[0]) > 150
    for one, other in zip(*said, strict=True):
        assert one == other


# ---- values ----


async def test_ids_and_times_of_63_bits(database: Database) -> None:
    """The ids of a venue that is years old, in every list, filter and cursor."""
    seq = KEY_MAX >> 20
    maker = msgspec.structs.replace(order(seq - 2), market=LISTED.market, expires_at=KEY_MAX - 5)
    taker = order(seq - 1, OTHER, side=1, remaining=0, filled=4, status="FILLED")
    moved = ev.CashMoved(AGENT, AGENT, "GRANT", KEY_MAX, KEY_MAX, KEY_MAX, KEY_MAX)
    transfer = ev.Transferred(make_id(seq, 1), AGENT, AGENT, OTHER, KEY_MAX, None, KEY_MAX)
    project(database, journal_of([CONFIGURED, LISTED]), [])
    done = [
        (seq - 2, KEY_MAX, cmd.Tick(), [ev.OrderPlaced(maker)]),
        (seq - 1, KEY_MAX, cmd.Tick(), [traded(seq - 1, taker, maker, 4, 6), ev.OrderPlaced(taker)]),
        (seq, KEY_MAX, cmd.Tick(), [moved, transfer, ev.IndexMoved(KEY_MAX, KEY_MAX, "test", KEY_MAX)]),
    ]
    project(database, done, [1, 2])
    store = Store(database.url)
    far = (KEY_MAX,)
    (first,) = (await store.list_orders(AGENT, before=far, market=LISTED.market, statuses=["PARTIALLY_FILLED"])).items
    assert (first.id, first.expires_at, first.remaining) == (maker.id, KEY_MAX - 5, 6)
    assert await store.get_order(maker.id) == first == await store.order_by_client_id(AGENT, f"mine-{seq - 2}")
    (fill,) = (await store.list_fills(OTHER, before=far, market=LISTED.market)).items
    assert fill.trade_id == make_id(seq - 1, 9) and await store.fills_since(OTHER, fill.ts) == (1, 4)
    assert [len(page.items) for page in (await store.market_trades(LISTED.market, before=far),)] == [1]
    (entry,) = (await store.list_ledger(AGENT, before=(KEY_MAX, KEY_MAX))).items
    assert (entry.amount_cents, entry.market, entry.ts) == (KEY_MAX, KEY_MAX, KEY_MAX)
    assert (await store.list_transfers(AGENT, before=far)).items[0].amount_cents == KEY_MAX
    assert (await store.reference_history(KEY_MAX))[0].price_cents == KEY_MAX
    assert (await store.list_markets(statuses=["PENDING"], before=(KEY_MAX, KEY_MAX))).items[0].id == LISTED.market
    assert [bar.volume for bar in await store.candles(LISTED.market, 60_000, since_ts=1)] == [4]
    await store.close()


async def test_pairs_of_agents_trade_more_than_31_bits_of_cents(database: Database) -> None:
    taker, maker = order(3, OTHER, side=1), order(2)
    giant = msgspec.structs.replace(traded(3, taker, maker, 10, 0), qty=2**30, price=99)
    project(database, journal_of([CONFIGURED, LISTED], [giant]), [])
    ((notional, edge),) = database.query("SELECT notional_cents, edge_cents FROM window_pairs")
    assert (notional, abs(edge)) == (99 * 2**30, 49 * 2**30)


async def test_no_text_keeps_a_command_from_the_tables(database: Database) -> None:
    """PostgreSQL has no NUL in text; an operator's reason may have one."""
    project(database, [(1, 5, cmd.Broadcast("ops", "a\0b'$1?"), [])], [])
    store = Store(database.url)
    assert [row.reason for row in (await store.list_admin_actions()).items] == ["a\N{REPLACEMENT CHARACTER}b'$1?"]
    await store.close()


async def test_a_question_with_a_nul_finds_nothing(database: Database) -> None:
    database.make_keys()
    store = Store(database.url)
    assert await store.market_by_symbol("BTC\0") is None and await store.key_digest("\0") is None
    assert await store.order_by_client_id(AGENT, "a\0b") is None
    assert (await store.list_markets(slug="\0", statuses=["\0"])).items == []
    assert await store.identity_by_email("a\0@b") is None and await store.session("\0") is None
    await store.close()


def test_text_is_compared_byte_by_byte(emptied: PostgresDatabase) -> None:
    """In every column, so whatever language the server speaks: the tests' one speaks none and would hide it."""
    names = {table.name for table in (*DERIVED, *PRIVATE)}
    columns = emptied.query(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND data_type LIKE 'character%'"
    )
    ours = [row for row in columns if row[0] in names]
    assert len(ours) > 40 and {row[2] for row in ours} == {"C"}


async def test_keys_are_listed_in_the_same_order(database: Database) -> None:
    words = ["a", "B", "_", "é", "Z", "\U0001f600", "0", "\uffee"]
    issued = [ev.KeyIssued(AGENT, KeySpec(word, "00", "n", ("read",)), 7) for word in words]
    project(database, journal_of(list(issued)), [])
    store = Store(database.url)
    assert [key.key_id for key in await store.list_keys(AGENT)] == sorted(words)
    await store.close()


# ---- plans ----


@pytest.mark.parametrize("index", [*PLANS, "orders_pkey", "fills_pkey", "ledger_pkey", "ix_standings_rank"])
async def test_no_list_sorts_or_walks_all_of_history(untouched: PostgresDatabase, index: str) -> None:
    """Also while the tables are new and PostgreSQL believes that they are empty, which is when plans are made."""
    more: dict[str, str] = {
        "orders_pkey": "SELECT * FROM orders WHERE id = ?",
        "fills_pkey": "SELECT * FROM fills WHERE order_id IN (?, ?, ?) ORDER BY order_id, trade_id",
        "ledger_pkey": "SELECT * FROM ledger WHERE wallet = ? AND (seq, n) < (?, ?) ORDER BY seq DESC, n DESC LIMIT 5",
        "ix_standings_rank": "SELECT * FROM standings WHERE windows > 0 AND NOT house AND ranked_cents <= ? "
        "ORDER BY ranked_cents DESC, granted_cents, account LIMIT 51",
    }
    sql = more.get(index) or PLANS[index][0]
    session = await postgres.connect(str(untouched.url), postgres.READING)
    try:
        await session.execute(f"PREPARE asked AS {numbered(sql)}")
        nothing = ", ".join("?" * sql.count("?")).replace("?", "NULL")
        steps = "\n".join(row[0] for row in await session.fetch(f"EXPLAIN EXECUTE asked ({nothing})"))
    finally:
        await session.close()
    assert index in steps and "Seq Scan" not in steps
    few_are_sorted = index == "ix_standings_rank"
    assert "Sort" not in steps or few_are_sorted, steps


# ---- migrations ----


def test_models_equal_migrations(emptied: PostgresDatabase) -> None:
    async def compare() -> list[Any]:
        engine = postgres.engine(str(emptied.url), poolclass=NullPool)

        def differences(connection: Connection) -> list[Any]:
            assert migrate.current(connection) == migrate.HEAD
            return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

        async with engine.connect() as connection:
            found = await connection.run_sync(differences)
        await engine.dispose()
        return found

    assert asyncio.run(compare()) == []
    definitions = " ".join(row[0] for row in emptied.query("SELECT indexdef FROM pg_indexes"))
    for condition in (
        "WHERE ((liquidity)::text = 'TAKER'::text)",
        "windows > 0",
    ):
        assert condition in definitions


def test_many_may_upgrade_at_once() -> None:
    server = shared_server()
    url = server.fresh_database()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(migrate.upgrade, [url] * 4)) == [None] * 4
    found = server.execute("SELECT relname FROM pg_class WHERE relkind = 'r'", url=url)
    assert {table.name for table in (*DERIVED, *PRIVATE)} <= {name for (name,) in found}
    assert server.execute("SELECT count(*) FROM alembic_version", url=url) == [(1,)]


def test_an_upgrade_leaves_what_is_there(emptied: PostgresDatabase) -> None:
    project(emptied, journal_of([CONFIGURED]), [])
    migrate.upgrade(str(emptied.url))
    assert emptied.query("SELECT engine_version FROM configurations") == [(1,)]
    assert migrate.recognise(str(emptied.url)) == 1
    emptied.query("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(migrate.NewerTables):
            migrate.upgrade(str(emptied.url))
        with pytest.raises(migrate.NewerTables):
            migrate.recognise(str(emptied.url))
    finally:
        emptied.query("UPDATE alembic_version SET version_num = ?", migrate.HEAD)


# ---- a server that goes away ----


async def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    url = "postgresql://raeth:open-sesame@127.0.0.1:1/raeth"
    store = Store(url)
    with caplog.at_level(logging.WARNING), pytest.raises(RaethError) as caught:
        await store.identity_by_email("ada@example.org")
    assert caught.value.code is Code.SERVICE_DEGRADED
    assert "cannot be read" in caplog.text and "sesame" not in caplog.text and "ada@" not in caplog.text
    await store.close()
    with pytest.raises(JournalUnavailable, match="cannot be upgraded"):
        await asyncio.to_thread(migrate.upgrade, url)


async def test_connections_that_the_server_closed_are_replaced(emptied: PostgresDatabase) -> None:
    """No reader sees that the server was restarted, once it is back."""
    store, made = Store(emptied.url), []
    event.listen(store._engine.sync_engine, "connect", lambda connection, _: made.append(connection.driver_connection))
    await asyncio.gather(*(store.session("nobody") for _ in range(8)))
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'raeth-tables' AND datname = ?"
    name = str(emptied.url).rpartition("/")[2]
    assert emptied.query(sessions, name)[0][0] == len(made) > 1
    emptied.query(sessions.replace("count(*)", "count(pg_terminate_backend(pid))"), name)
    async with asyncio.timeout(30):
        while not all(connection.is_closed() for connection in made):
            await asyncio.sleep(0.01)
    assert await asyncio.gather(*(store.session("nobody") for _ in range(8))) == [None] * 8
    await store.close()


def test_addresses(tmp_path: Path) -> None:
    """Addresses as operators write them; SQLite's are no PostgreSQL's."""
    assert postgres.is_postgres("postgres://h/d") and postgres.is_postgres("postgresql+asyncpg://h/d")
    assert not postgres.is_postgres(SqliteDatabase(tmp_path / "raeth.db").url)
    assert not postgres.is_postgres("sqlite+aiosqlite:///postgres.db")
    assert shared_server().url.startswith("postgresql://")
