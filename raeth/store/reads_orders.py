"""Reads of orders, fills and the ledger. Must not know what is live: the caller asks the engine for that first.

An order is found by its client's key where the journal looks it up, too: see the decision record on idempotency.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, column, select, table, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from raeth.engine.ids import N_BITS, make_id, seq_of
from raeth.engine.types import RESOLVED, VOID, Details, Fill, Order
from raeth.store.cursors import Keyset
from raeth.store.reader import LIMIT_MAX, SCAN_ROWS, Reader, Row
from raeth.store.rows import FillRow, LedgerRow, Page, TransferRow
from raeth.store.tables import Base, Big, Words

ORDERS: Final = Base.metadata.tables["orders"]
FILLS: Final = Base.metadata.tables["fills"]
LEDGER: Final = Base.metadata.tables["ledger"]
TRANSFERS: Final = Base.metadata.tables["transfers"]
MARKETS: Final = Base.metadata.tables["markets"]

# The journal's: it has a key for every order with a `client_order_id`, and a key stands for one order only.
KEYS: Final = table(
    "journal_keys", column("owner", Big), column("key", Words), column("seq", Big), column("place", Big)
)

_FILL_COLUMNS: Final = tuple(FILLS.c[name] for name in FillRow._fields)
_details = msgspec.json.Decoder(Details).decode


class OrderReads(Reader):
    """Orders come with their fills. The exact fee numerators of a live order are not kept: 0 in history."""

    async def get_order(self, order_id: int) -> Order | None:
        """An order, whoever it belongs to."""
        async with self._connection() as connection:
            found = await _orders(connection, select(ORDERS).where(ORDERS.c.id == order_id))
        return found[0] if found else None

    async def order_by_client_id(self, agent: int, client_order_id: str) -> Order | None:
        """The order of `agent` under that key."""
        page = await self.list_orders(agent, client_order_id=client_order_id, limit=1)
        return page.items[0] if page.items else None

    async def list_orders(
        self,
        agent: int,
        *,
        market: int | None = None,
        statuses: Collection[str] | None = None,
        client_order_id: str | None = None,
        before: Keyset | None = None,
        limit: int = 50,
    ) -> Page[Order]:
        """Orders of an agent, newest first. Keyset `(id,)`. Ask the engine for open ones: it has them at hand."""
        assert 1 <= limit <= LIMIT_MAX
        key = ORDERS.c.id
        span = [ORDERS.c.agent == agent]
        if before is not None:
            span.append(key < before[0])
        if market is not None:
            span.append(key > market)  # an order is younger than its market
        filters: list[ColumnElement[bool]] = []
        if market is not None:
            filters.append(ORDERS.c.market == market)
        if statuses is not None:
            filters.append(ORDERS.c.status.in_(statuses))
        async with self._connection() as connection:
            floor = None
            if client_order_id is not None:
                order_id = await _named(connection, agent, client_order_id)
                if order_id is None:
                    return Page([], None)
                filters += [key == order_id, ORDERS.c.client_order_id == client_order_id]
            elif filters:
                floor = await _floor(connection, key, span)
            statement = select(ORDERS).where(*_above(key, floor), *span, *filters)
            found = await _orders(connection, statement.order_by(key.desc()).limit(limit + 1))
        return _page(found, limit, [order.id for order in found], floor)

    async def fills_of_orders(self, order_ids: Collection[int]) -> dict[int, tuple[Fill, ...]]:
        """The fills of each order, oldest first; of an order without any, an empty tuple."""
        async with self._connection() as connection:
            return await _fills(connection, order_ids)

    async def list_fills(
        self, agent: int, *, market: int | None = None, before: Keyset | None = None, limit: int = 50
    ) -> Page[FillRow]:
        """Fills of an agent, newest first. Keyset `(trade_id,)`."""
        assert 1 <= limit <= LIMIT_MAX
        key = FILLS.c.trade_id
        span = [FILLS.c.agent == agent]
        if before is not None:
            span.append(key < before[0])
        async with self._connection() as connection:
            floor = None
            filters: list[ColumnElement[bool]] = []
            if market is not None:
                span.extend(await _life(connection, market, key))
                filters.append(FILLS.c.market == market)
                floor = await _floor(connection, key, span)
            statement = select(*_FILL_COLUMNS).where(*_above(key, floor), *span, *filters)
            rows = (await connection.execute(statement.order_by(key.desc()).limit(limit + 1))).all()
        found = [FillRow(*row) for row in rows]
        return _page(found, limit, [fill.trade_id for fill in found], floor)

    async def list_ledger(self, wallet: int, *, before: Keyset | None = None, limit: int = 50) -> Page[LedgerRow]:
        """Movements of cash in a wallet (an agent, an account's master, or 0), newest first. Keyset `(seq, n)`."""
        assert 1 <= limit <= LIMIT_MAX
        key = tuple_(LEDGER.c.seq, LEDGER.c.n)
        statement = select(*(LEDGER.c[name] for name in LedgerRow._fields)).where(LEDGER.c.wallet == wallet)
        if before is not None:
            statement = statement.where(key < tuple_(*before))
        rows = await self._all(statement.order_by(LEDGER.c.seq.desc(), LEDGER.c.n.desc()).limit(limit + 1))
        items = [LedgerRow(*row) for row in rows[:limit]]
        return Page(items, (items[-1].seq, items[-1].n) if len(rows) > limit else None)

    async def list_transfers(self, account: int, *, before: Keyset | None = None, limit: int = 50) -> Page[TransferRow]:
        """Transfers between the wallets of an account, newest first. Keyset `(id,)`."""
        assert 1 <= limit <= LIMIT_MAX
        key = TRANSFERS.c.id
        statement = select(*(TRANSFERS.c[name] for name in TransferRow._fields)).where(TRANSFERS.c.account == account)
        if before is not None:
            statement = statement.where(key < before[0])
        found = [TransferRow(*row) for row in await self._all(statement.order_by(key.desc()).limit(limit + 1))]
        return _page(found, limit, [transfer.id for transfer in found], None)


async def _named(connection: AsyncConnection, agent: int, client_order_id: str) -> int | None:
    """The order that an agent's key stands for. A key may also stand for something else: look at what is there."""
    statement = select(KEYS.c.seq, KEYS.c.place).where(KEYS.c.owner == agent, KEYS.c.key == client_order_id)
    row = (await connection.execute(statement)).first()
    return None if row is None else make_id(row.seq, row.place)


def _page(found: Sequence[Any], limit: int, keys: Sequence[int], floor: int | None) -> Page[Any]:
    """The first `limit` of `found`; the list goes on if there is one more, or below `floor`, where nobody looked."""
    if len(found) > limit:
        return Page(list(found[:limit]), (keys[limit - 1],))
    return Page(list(found), None if floor is None else (floor,))


async def _floor(
    connection: AsyncConnection, key: ColumnElement[int], span: Sequence[ColumnElement[bool]]
) -> int | None:
    """The key at which a filtered scan of `span` stops for this call, None if the span is shorter than that."""
    statement = select(key).where(*span).order_by(key.desc()).offset(SCAN_ROWS - 1).limit(1)
    return (await connection.execute(statement)).scalar()


def _above(key: ColumnElement[int], floor: int | None) -> list[ColumnElement[bool]]:
    return [] if floor is None else [key >= floor]


async def _life(connection: AsyncConnection, market: int, key: ColumnElement[int]) -> list[ColumnElement[bool]]:
    """Between which trades those of a market lie: ids grow with the journal, and a final market makes none."""
    statement = select(MARKETS.c.status, MARKETS.c.seq).where(MARKETS.c.id == market)
    row = (await connection.execute(statement)).first()
    if row is not None and row.status in (RESOLVED, VOID):
        return [key > market, key < (row.seq + 1) << N_BITS]
    return [key > market]


async def _orders(connection: AsyncConnection, statement: Select[Any]) -> list[Order]:
    rows = (await connection.execute(statement)).all()
    fills = await _fills(connection, [row.id for row in rows if row.filled])
    # The order may have traded again since its row was read: `seq` says up to where the row knows.
    return [_order(row, tuple(f for f in fills.get(row.id, ()) if seq_of(f.trade_id) <= row.seq)) for row in rows]


def _order(row: Row, fills: tuple[Fill, ...]) -> Order:
    *until_fee, reject_reason, reject_details, cancel_reason = row
    details = None if reject_details is None else _details(reject_details)
    values: tuple[Any, ...] = (*until_fee, 0, 0, reject_reason, details, cancel_reason, fills)
    return Order(*values)


async def _fills(connection: AsyncConnection, order_ids: Collection[int]) -> dict[int, tuple[Fill, ...]]:
    if not order_ids:
        return {}
    of: dict[int, list[Fill]] = {order_id: [] for order_id in order_ids}
    statement = select(*_FILL_COLUMNS).where(FILLS.c.order_id.in_(order_ids))
    for row in (await connection.execute(statement.order_by(FILLS.c.order_id, FILLS.c.trade_id))).all():
        fill = FillRow(*row)
        of[fill.order_id].append(Fill(fill.trade_id, fill.price, fill.qty, fill.liquidity, fill.fee_cents, fill.ts))
    return {order_id: tuple(fills) for order_id, fills in of.items()}
