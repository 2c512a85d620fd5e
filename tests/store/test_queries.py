"""The reads, on a busy venue's history: what they find, and pages that join without holes or doubles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from raeth.engine import events as ev
from raeth.engine.types import Order, PrintFact, Settings
from raeth.store import reads_orders
from raeth.store.cursors import Keyset
from raeth.store.queries import Store
from raeth.store.rows import Candle, Page
from tests.store.databases import Database, SqliteDatabase
from tests.store.venue import history, row_dicts

Read = Callable[[Keyset | None, int], Awaitable[Page[Any]]]


def last_orders() -> dict[int, Order]:
    """Every order as the events last showed it whole."""
    journal, _ = history()
    kinds = (ev.OrderPlaced, ev.OrderEnded, ev.OrderReduced, ev.OrderAmended)
    return {event.order.id: event.order for row in journal for event in row[3] if isinstance(event, kinds)}


async def walk(read: Read, limit: int) -> list[Any]:
    """All items, page by page."""
    items: list[Any] = []
    before: Keyset | None = None
    for _ in range(10_000):
        page = await read(before, limit)
        assert len(page.items) <= limit
        items += page.items
        if page.next is None:
            return items
        assert before is None or page.next < before
        before = page.next
    raise AssertionError("the list does not end")


async def walks_agree(read: Read, expected: list[Any]) -> None:
    """Any page size shows the same list, which is `expected`."""
    for limit in (1, 3, 50, len(expected) or 1):
        assert await walk(read, limit) == expected


@pytest.fixture
def agents(full: Database) -> list[int]:
    return [row["id"] for row in row_dicts(full, "agents")]


# ---- orders and fills ----


async def test_an_order_comes_back_as_the_engine_told_it(store: Store) -> None:
    _, state = history()
    for order_id, told in last_orders().items():
        live = state.orders.get(order_id, told)
        found = await store.get_order(order_id)
        assert found is not None
        if order_id in state.orders or not found.status.endswith("FILLED"):
            for name in Order.__struct_fields__:
                assert name in ("taker_num", "maker_num") or getattr(found, name) == getattr(live, name), name
        assert sum(fill.qty for fill in found.fills) == found.filled
    assert await store.get_order(1) is None


async def test_orders_in_pages(store: Store, full: Database, agents: list[int]) -> None:
    rows = row_dicts(full, "orders")
    for agent in agents:
        own = [row["id"] for row in reversed(rows) if row["agent"] == agent]

        async def read(before: Keyset | None, limit: int, agent: int = agent) -> Page[int]:
            page = await store.list_orders(agent, before=before, limit=limit)
            return Page([order.id for order in page.items], page.next)

        await walks_agree(read, own)


@pytest.mark.parametrize("scan_rows", [1, 7, 20_000])
async def test_filtered_orders_in_pages(
    store: Store, full: Database, agents: list[int], monkeypatch: pytest.MonkeyPatch, scan_rows: int
) -> None:
    """However little of history a call may look at, the pages together show all that passes the filter."""
    monkeypatch.setattr(reads_orders, "SCAN_ROWS", scan_rows)
    rows = row_dicts(full, "orders")
    agent = agents[0]
    market = max({row["market"] for row in rows}, key=lambda m: sum(row["market"] == m for row in rows))
    for only_market in (None, market):
        for statuses in (None, ["REJECTED"], ["OPEN", "PARTIALLY_FILLED", "FILLED"]):
            own = [
                row["id"]
                for row in reversed(rows)
                if row["agent"] == agent
                and only_market in (None, row["market"])
                and (statuses is None or row["status"] in statuses)
            ]

            async def read(
                before: Keyset | None, limit: int, market: int | None = only_market, statuses: Any = statuses
            ) -> Page[int]:
                page = await store.list_orders(agent, market=market, statuses=statuses, before=before, limit=limit)
                return Page([order.id for order in page.items], page.next)

            assert await walk(read, 5) == own


async def test_orders_by_client_id(store: Store, full: Database) -> None:
    named = [row for row in row_dicts(full, "orders") if row["client_order_id"] is not None]
    assert named
    others = {row["agent"] for row in named}
    for row in named[:20]:
        agent, name = row["agent"], row["client_order_id"]
        found = await store.order_by_client_id(agent, name)
        assert found is not None and found.id == row["id"]
        for wanted, shown in ((row["status"], [row["id"]]), ("PENDING", [])):
            page = await store.list_orders(agent, client_order_id=name, statuses=[wanted], market=row["market"])
            assert [order.id for order in page.items] == shown and page.next is None
        assert not (await store.list_orders(agent, client_order_id=name, before=(row["id"],))).items
        for other in others - {agent}:
            assert await store.order_by_client_id(other, name) is None
    assert await store.order_by_client_id(named[0]["agent"], "never") is None


async def test_fills_of_orders(store: Store, full: Database) -> None:
    rows = row_dicts(full, "fills")
    wanted = {row["order_id"] for row in rows} | {5}
    found = await store.fills_of_orders(wanted)
    assert set(found) == wanted and found[5] == ()
    assert sum(len(fills) for fills in found.values()) == len(rows)
    assert await store.fills_of_orders([]) == {}


@pytest.mark.parametrize("scan_rows", [1, 20_000])
async def test_fills_in_pages(
    store: Store, full: Database, agents: list[int], monkeypatch: pytest.MonkeyPatch, scan_rows: int
) -> None:
    monkeypatch.setattr(reads_orders, "SCAN_ROWS", scan_rows)
    rows = row_dicts(full, "fills")
    for agent in agents:
        for market in (None, *{row["market"] for row in rows}):
            own = sorted(
                (row["trade_id"] for row in rows if row["agent"] == agent and market in (None, row["market"])),
                reverse=True,
            )

            async def read(
                before: Keyset | None, limit: int, agent: int = agent, market: int | None = market
            ) -> Page[int]:
                page = await store.list_fills(agent, market=market, before=before, limit=limit)
                return Page([fill.trade_id for fill in page.items], page.next)

            await walks_agree(read, own)


# ---- cash ----


async def test_ledger_in_pages(store: Store, full: Database) -> None:
    rows = row_dicts(full, "ledger")
    for wallet in {row["wallet"] for row in rows}:
        own = [tuple(row.values()) for row in rows if row["wallet"] == wallet][::-1]

        async def read(before: Keyset | None, limit: int, wallet: int = wallet) -> Page[Any]:
            page = await store.list_ledger(wallet, before=before, limit=limit)
            return Page([tuple(item) for item in page.items], page.next)

        await walks_agree(read, own)


async def test_transfers_and_actions_in_pages(store: Store, full: Database) -> None:
    rows = row_dicts(full, "transfers")
    account = rows[0]["account"]

    async def transfers(before: Keyset | None, limit: int) -> Page[int]:
        page = await store.list_transfers(account, before=before, limit=limit)
        return Page([item.id for item in page.items], page.next)

    await walks_agree(transfers, [row["id"] for row in reversed(rows) if row["account"] == account])

    async def actions(before: Keyset | None, limit: int) -> Page[int]:
        page = await store.list_admin_actions(before=before, limit=limit)
        return Page([item.seq for item in page.items], page.next)

    await walks_agree(actions, [row["seq"] for row in reversed(row_dicts(full, "admin_actions"))])


# ---- markets ----


async def test_markets(store: Store, full: Database) -> None:
    _, state = history()
    rows = row_dicts(full, "markets")
    final = [row for row in rows if row["status"] in ("RESOLVED", "VOID")]

    async def read(before: Keyset | None, limit: int) -> Page[int]:
        page = await store.list_markets(before=before, limit=limit)
        return Page([item.id for item in page.items], page.next)

    await walks_agree(read, [r["id"] for r in sorted(final, key=lambda r: (r["close_at"], r["id"]), reverse=True)])
    assert not (await store.list_markets(slug="ETH-1M")).items
    for row in rows:
        found = await store.get_market(row["id"])
        assert found is not None and isinstance(found.settings, Settings) and found.slug == found.settings.slug
        assert await store.market_by_symbol(row["symbol"]) == found
        for name in set(found._fields) - {"settings"}:
            assert getattr(found, name) == row[name]
    for market in state.markets.values():
        live = await store.get_market(market.id)
        assert live is not None and live.settings == market.settings
    assert await store.get_market(1) is None


async def test_trades_and_candles(store: Store, full: Database) -> None:
    rows = row_dicts(full, "fills")
    for market in {row["market"] for row in rows}:
        trades = sorted(
            (r["trade_id"], r["price"], r["qty"], r["side"], r["ts"])
            for r in rows
            if r["market"] == market and r["liquidity"] == "TAKER"
        )

        async def read(before: Keyset | None, limit: int, market: int = market) -> Page[Any]:
            page = await store.market_trades(market, before=before, limit=limit)
            return Page([tuple(item) for item in page.items], page.next)

        await walks_agree(read, trades[::-1])
        for interval in (1_000, 7_000, 60_000):
            bars: dict[int, list[Any]] = {}
            for trade in trades:
                bars.setdefault(trade[4] // interval * interval, []).append(trade)
            expected = [
                Candle(
                    start,
                    within[0][1],
                    max(t[1] for t in within),
                    min(t[1] for t in within),
                    within[-1][1],
                    sum(t[2] for t in within),
                    len(within),
                )
                for start, within in sorted(bars.items())
            ]
            assert await store.candles(market, interval) == expected
            assert await store.candles(market, interval, limit=1) == expected[-1:]
            since = expected[-1].start_ts
            assert await store.candles(market, interval, since_ts=since) == expected[-1:]
            assert await store.candles(market, interval, since_ts=since + 1) == []


async def test_prints_come_back_whole(store: Store) -> None:
    journal, _ = history()
    facts = [event.fact for row in journal for event in row[3] if isinstance(event, ev.Printed)]
    assert facts
    for fact in facts:
        found = await store.get_print(fact.boundary)
        assert isinstance(found, PrintFact) and found == fact
    assert await store.get_print(1) is None


async def test_reference_history(store: Store, full: Database) -> None:
    ticks = [(row["ts"], row["price_cents"]) for row in row_dicts(full, "reference_ticks")]
    middle = ticks[len(ticks) // 2][0]
    found = [(tick.ts, tick.price_cents) for tick in await store.reference_history(middle)]
    assert found == [tick for tick in ticks if tick[0] >= middle]
    assert [(t.ts, t.price_cents) for t in await store.reference_history(0, limit=3)] == ticks[-3:]


# ---- accounts ----


async def test_agents_and_keys(store: Store, full: Database) -> None:
    agents = row_dicts(full, "agents")
    for account in {row["account"] for row in agents}:
        found = await store.list_agents(account)
        assert [tuple(agent) for agent in found] == [tuple(r.values()) for r in agents if r["account"] == account]
    keys = row_dicts(full, "api_keys")
    for row in keys:
        found_keys = await store.list_keys(row["agent"])
        assert row["key_id"] in {key.key_id for key in found_keys}
        assert all(isinstance(key.scopes, tuple) and isinstance(key.allowed_ips, tuple) for key in found_keys)


async def test_reads_cannot_write(store: Store) -> None:
    async with store._engine.connect() as connection:
        with pytest.raises(Exception, match=r"readonly|read-only"):
            await connection.exec_driver_sql("DELETE FROM orders")


# By index, the statement that is to use it; those of the reads with their order and limit, as SQL.
PLANS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "ix_orders_agent": ("SELECT * FROM orders WHERE agent = ? AND id < ? ORDER BY id DESC LIMIT 5", (1, 2)),
    "ix_fills_agent": ("SELECT * FROM fills WHERE agent = ? AND trade_id < ? ORDER BY trade_id DESC", (1, 2)),
    "ix_fills_market": (
        "SELECT * FROM fills WHERE market = ? AND liquidity = 'TAKER' AND trade_id < ? ORDER BY trade_id DESC",
        (1, 2),
    ),
    "ix_transfers_account": ("SELECT * FROM transfers WHERE account = ? AND id < ? ORDER BY id DESC", (1, 2)),
    "ix_markets_close": ("SELECT * FROM markets WHERE (close_at, id) < (?, ?) ORDER BY close_at DESC, id DESC", (1, 2)),
}


@pytest.fixture
async def on_sqlite(full_file: SqliteDatabase) -> AsyncIterator[Store]:
    """Plans of PostgreSQL are asked for in `test_postgres.py`."""
    reads = Store(full_file.url)
    yield reads
    await reads.close()


@pytest.mark.parametrize("index", PLANS)
async def test_no_list_sorts_or_walks_all_of_history(on_sqlite: Store, index: str) -> None:
    sql, values = PLANS[index]
    async with on_sqlite._engine.connect() as connection:
        plan = (await connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, values)).all()
    steps = " / ".join(row[3] for row in plan)
    assert index in steps and "SCAN" not in steps
    assert "TEMP B-TREE" not in steps


async def test_the_leaderboard_sorts_equal_results_only(on_sqlite: Store) -> None:
    sql = (
        "SELECT * FROM standings WHERE windows > 0 AND house = 0 AND ranked_cents <= ? "
        "ORDER BY ranked_cents DESC, granted_cents, account LIMIT 51"
    )
    async with on_sqlite._engine.connect() as connection:
        plan = (await connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, (1,))).all()
    first, *others = (row[3] for row in plan)
    assert first.startswith("SEARCH standings USING INDEX ix_standings_rank (ranked_cents<")
    assert others == ["USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"]
    whole = [row._replace(rank=0) for row in (await on_sqlite.list_standings(limit=250)).items]
    assert whole and whole == sorted(whole, key=lambda row: (-row.ranked_cents, row.granted_cents, row.account))
