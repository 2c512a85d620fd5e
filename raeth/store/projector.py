"""From events to rows: the statements that keep the derived tables equal to the journal.

Pure: it holds the rows of one batch and nothing else, so any node can project any batch. Must not know the database
it writes to, the engine's state, or how commands come in. Every order goes through it, so a batch is coalesced: an
order is written once, however often it changed, and what it wrote is what row-by-row application would have left.

Statements are written for both databases. PostgreSQL takes the type of a placeholder from where it stands: where that
would be too narrow, as in a product with a constant, it is cast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import (
    BUY,
    CANCEL_MAKER,
    EXPIRED,
    FILLED,
    LIMIT,
    OPEN,
    PARTIALLY_FILLED,
    PENDING,
    RESOLVED,
    VOID,
    Order,
)
from raeth.journal.base import Write
from raeth.store.standings import Standings
from raeth.store.tables import DERIVED

_encode = msgspec.json.Encoder(order="deterministic").encode


def _json(value: Any) -> str:
    return _encode(value).decode()


# ---- statements; every row is a tuple in the order of its placeholders ----


def _insert(name: str, **computed: str) -> str:
    """`INSERT` of all columns of a derived table, `computed` ones by an expression in place of a placeholder."""
    names = next(table for table in DERIVED if table.name == name).columns.keys()
    values = ", ".join(computed.get(column, "?") for column in names)
    return f"INSERT INTO {name} ({', '.join(names)}) VALUES ({values})"  # noqa: S608, the names are ours


def _update(name: str, columns: str, key: str = "id", **computed: str) -> str:
    """`UPDATE` by key: first the columns, then the key."""
    changes = ", ".join(f"{column} = {computed.get(column, '?')}" for column in columns.split())
    return f"UPDATE {name} SET {changes} WHERE {key} = ?"  # noqa: S608


INSERT_CONFIGURATION: Final = _insert("configurations")
INSERT_ACCOUNT: Final = _insert("accounts")
INSERT_AGENT: Final = _insert("agents")
UPDATE_AGENT: Final = _update("agents", "suspended")
INSERT_KEY: Final = _insert("api_keys")
UPDATE_KEY: Final = _update("api_keys", "revoked_ts revoked_by", key="key_id")
INSERT_TRANSFER: Final = _insert("transfers")
INSERT_LEDGER: Final = _insert("ledger")
# The first print of a boundary stands, as it does in the engine.
INSERT_PRINT: Final = _insert("prints") + " ON CONFLICT (boundary) DO NOTHING"
# A market is listed under the newest rules before it; the `seq` to look before is the row's.
INSERT_MARKET: Final = _insert("markets", configuration="(SELECT MAX(seq) FROM configurations WHERE seq < ?)")
# Of a market's row a batch knows only what changed: None leaves a cell as it is, and the counters add up.
_MARKET_CHANGES: Final = (
    "status",
    "halted",
    "open_price_cents",
    "open_source",
    "close_price_cents",
    "close_source",
    "outcome",
    "reason",
    "resolved_ts",
    "last_price",
    "fees_cents",
    "open_interest",
)
UPDATE_MARKET: Final = (
    f"UPDATE markets SET {', '.join(f'{c} = COALESCE(?, {c})' for c in _MARKET_CHANGES)}, "  # noqa: S608
    "volume = volume + ?, trades = trades + ?, seq = ? WHERE id = ?"
)
# To hand a None or a bool to SQLite takes eight times as long as a number, so the words that most orders lack come as
# empty ones, which no order has, and what most orders are alike in is written out: an order that is not like most has
# the longer statement.
_WORD: Final = "NULLIF(?, '')"
INSERT_ORDER: Final = _insert(
    "orders",
    type=f"'{LIMIT}'",
    reduce_only="FALSE",
    stp=f"'{CANCEL_MAKER}'",
    client_order_id=_WORD,
    quote_id="NULL",
    expires_at="NULL",
    reject_reason="NULL",
    reject_details="NULL",
    cancel_reason=_WORD,
)
INSERT_SPECIAL_ORDER: Final = _insert(
    "orders",
    client_order_id=_WORD,
    quote_id=_WORD,
    reject_reason=_WORD,
    reject_details=_WORD,
    cancel_reason=_WORD,
)
UPDATE_ORDER: Final = _update(
    "orders", "price qty remaining updated_ts seq status filled notional fee_cents cancel_reason", cancel_reason=_WORD
)
UPDATE_MAKER: Final = _update("orders", "remaining updated_ts seq status filled notional fee_cents")
INSERT_FILL: Final = _insert("fills")
INSERT_TICK: Final = _insert("reference_ticks")
INSERT_ACTION: Final = _insert("admin_actions")


class Changes:
    """What a batch changed in one market, so far. The names are those of the columns; None is unchanged."""

    __slots__ = (*_MARKET_CHANGES, "seq", "trades", "volume")

    status: str | None
    halted: bool | None
    open_interest: int | None
    open_price_cents: int | None
    open_source: str | None
    close_price_cents: int | None
    close_source: str | None
    outcome: str | None
    reason: str | None
    resolved_ts: int | None
    last_price: int | None
    fees_cents: int | None

    def __init__(self) -> None:
        for name in _MARKET_CHANGES:
            setattr(self, name, None)
        self.volume = 0
        self.trades = 0
        self.seq = 0

    def row(self, market: int) -> tuple[Any, ...]:
        changed = tuple(getattr(self, name) for name in _MARKET_CHANGES)
        return (*changed, self.volume, self.trades, self.seq, market)


class Projector:
    """Collects the rows of a batch: `add` each command in order, then `take` the statements, which clears it.

    A command's events must come in one `add`. Never fails on events the engine can make.
    """

    def __init__(self) -> None:
        self._standings = Standings()
        self._clear()

    def _clear(self) -> None:
        self._orders: dict[int, Order] = {}
        self._placed: set[int] = set()
        self._makers: dict[int, tuple[int, ev.Traded]] = {}
        self._fills: list[tuple[Any, ...]] = []
        self._markets: dict[int, Changes] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._cash_seq = 0
        self._cash_n = 0
        self._configured_seq = 0

    def add(self, seq: int, ts: int, command: cmd.Command, events: Sequence[ev.Event]) -> None:
        """Note what command `seq`, stamped `ts`, did."""
        handlers = _HANDLERS
        for event in events:
            handle = handlers.get(type(event))
            if handle is not None:
                handle(self, seq, event)
        describe = _ACTIONS.get(type(command))
        if describe is not None:
            refused = next((event.code for event in events if type(event) is ev.Refused), None)
            action, actor, reason, target, key_id, amount_cents = describe(command)
            if reason is not None:
                reason = reason.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL has no text with a NUL in it
            self._note(INSERT_ACTION, (seq, ts, action, actor, reason, target, key_id, amount_cents, refused))

    def take(self) -> list[Write]:
        """The statements of everything added since the last `take`, to be run in this order."""
        rows = self._rows
        writes = [Write(sql, rows[sql]) for sql in _FIRST if sql in rows]
        if self._markets:
            writes.append(Write(UPDATE_MARKET, [changes.row(market) for market, changes in self._markets.items()]))
        self._take_orders(writes)
        if self._fills:
            writes.append(Write(INSERT_FILL, self._fills))
        writes.extend(Write(sql, rows[sql]) for sql in _LAST if sql in rows)
        writes.extend(self._standings.take())
        self._clear()
        return writes

    def _note(self, sql: str, row: tuple[Any, ...]) -> None:
        rows = self._rows.get(sql)
        if rows is None:
            rows = self._rows[sql] = []
        rows.append(row)

    # ---- orders and trades: the hot path ----

    def _order_placed(self, _seq: int, event: ev.OrderPlaced) -> None:
        order = event.order
        self._orders[order.id] = order
        self._placed.add(order.id)
        self._makers.pop(order.id, None)

    def _order_changed(self, _seq: int, event: ev.OrderEnded | ev.OrderReduced | ev.OrderAmended) -> None:
        order = event.order
        self._orders[order.id] = order
        self._makers.pop(order.id, None)

    def _traded(self, seq: int, event: ev.Traded) -> None:
        trade_id = event.trade_id
        market = event.market
        side = event.taker_side
        price = event.price
        qty = event.qty
        ts = event.ts
        maker = event.maker_order
        self._makers[maker] = (seq, event)
        fills = self._fills
        fills.append(
            (
                event.taker_order,
                trade_id,
                market,
                event.taker_agent,
                side,
                price,
                qty,
                "TAKER",
                event.taker_fee_cents,
                ts,
            )
        )
        fills.append(
            (maker, trade_id, market, event.maker_agent, 1 - side, price, qty, "MAKER", event.maker_fee_cents, ts)
        )
        changes = self._markets.get(market)
        if changes is None:
            changes = self._markets[market] = Changes()
        changes.last_price = price
        changes.volume += qty
        changes.trades += 1
        changes.seq = seq
        if side == BUY:
            self._standings.traded(seq, market, event.taker_agent, event.maker_agent, price, qty)
        else:
            self._standings.traded(seq, market, event.maker_agent, event.taker_agent, price, qty)

    def _take_orders(self, writes: list[Write]) -> None:
        placed, special, changed, made = [], [], [], []
        makers = self._makers
        is_new = self._placed
        for order_id, o in self._orders.items():
            remaining, filled, notional, fee_cents = o.remaining, o.filled, o.notional, o.fee_cents
            updated_ts, seq, status = o.updated_ts, o.seq, o.status
            if order_id in makers:  # it traded after it was last seen whole
                seq, trade = makers.pop(order_id)
                remaining, filled, notional = trade.maker_remaining, trade.maker_filled, trade.maker_notional
                fee_cents, updated_ts = trade.maker_fee_total_cents, trade.ts
                status = PARTIALLY_FILLED if remaining else FILLED
            progress = (updated_ts, seq, status, filled, notional, fee_cents)
            cancel_reason = o.cancel_reason or ""
            if order_id not in is_new:
                changed.append((o.price, o.qty, remaining, *progress, cancel_reason, order_id))
                continue
            whose = (order_id, o.agent, o.account, o.market, o.side)
            words = o.client_order_id or ""
            if (
                o.reject_reason is None
                and o.quote_id is None
                and o.expires_at is None
                and not o.reduce_only
                and o.type == LIMIT
                and o.stp == CANCEL_MAKER
            ):
                what = (o.tif, o.price, o.qty, remaining, words, o.created_ts)
                placed.append((*whose, *what, *progress, cancel_reason))
                continue
            what_else = (o.type, o.tif, o.price, o.qty, remaining, o.reduce_only, o.stp, words, o.quote_id or "")
            details = "" if o.reject_details is None else _json(o.reject_details)
            why = (o.reject_reason or "", details, cancel_reason)
            special.append((*whose, *what_else, o.expires_at, o.created_ts, *progress, *why))
        for order_id, (seq, trade) in makers.items():
            remaining = trade.maker_remaining
            made.append(
                (
                    remaining,
                    trade.ts,
                    seq,
                    PARTIALLY_FILLED if remaining else FILLED,
                    trade.maker_filled,
                    trade.maker_notional,
                    trade.maker_fee_total_cents,
                    order_id,
                )
            )
        if placed:
            writes.append(Write(INSERT_ORDER, placed))
        if special:
            writes.append(Write(INSERT_SPECIAL_ORDER, special))
        if changed:
            writes.append(Write(UPDATE_ORDER, changed))
        if made:
            writes.append(Write(UPDATE_MAKER, made))

    # ---- markets and prices ----

    def _changes(self, market: int, seq: int) -> Changes:
        changes = self._markets.get(market)
        if changes is None:
            changes = self._markets[market] = Changes()
        changes.seq = seq
        return changes

    def _configured(self, seq: int, event: ev.Configured) -> None:
        self._configured_seq = seq
        self._note(INSERT_CONFIGURATION, (seq, event.ts, event.engine_version, _json(event.settings)))

    def _market_listed(self, seq: int, event: ev.MarketListed) -> None:
        # Time passes before a command acts: a window may be listed by the very command that then changes the rules.
        before = seq + 1 if self._configured_seq == seq else seq
        slug = event.symbol.rpartition("-")[0]
        row = (event.market, event.symbol, slug, before, PENDING, event.open_at, event.close_at, event.ts, False)
        self._note(INSERT_MARKET, (*row, *(None,) * 8, 0, 0, None, 0, seq))

    def _market_opened(self, seq: int, event: ev.MarketOpened) -> None:
        self._changes(event.market, seq).status = OPEN

    def _market_expired(self, seq: int, event: ev.MarketExpired) -> None:
        self._changes(event.market, seq).status = EXPIRED

    def _market_halted(self, seq: int, event: ev.MarketHalted) -> None:
        self._changes(event.market, seq).halted = True

    def _market_resumed(self, seq: int, event: ev.MarketResumed) -> None:
        self._changes(event.market, seq).halted = False

    def _market_resolved(self, seq: int, event: ev.MarketResolved) -> None:
        changes = self._changes(event.market, seq)
        changes.status = VOID if event.outcome == VOID else RESOLVED
        changes.outcome = event.outcome
        changes.reason = event.reason
        changes.resolved_ts = event.ts
        changes.fees_cents = event.fees_cents
        changes.open_interest = event.open_interest
        self._standings.resolved(seq, event)

    def _printed(self, seq: int, event: ev.Printed) -> None:
        f = event.fact
        evidence = (f.boundary, f.price_cents, f.source_ts, f.source, f.rule, f.reason, _json(f.inputs), f.seq, f.ts)
        self._note(INSERT_PRINT, (*evidence, event.opens, event.closes))
        if event.opens is not None:
            opens = self._changes(event.opens, seq)
            opens.open_price_cents, opens.open_source = f.price_cents, f.source
        if event.closes is not None:
            closes = self._changes(event.closes, seq)
            closes.close_price_cents, closes.close_source = f.price_cents, f.source
        self._standings.printed(seq, event)

    def _index_moved(self, seq: int, event: ev.IndexMoved) -> None:
        self._note(INSERT_TICK, (event.ts, seq, event.price_cents, event.source_ts, event.source))
        self._standings.index_moved(seq, event)

    # ---- accounts and cash ----

    def _account_created(self, _seq: int, event: ev.AccountCreated) -> None:
        self._note(INSERT_ACCOUNT, (event.account, event.email_digest, event.ts))

    def _agent_created(self, seq: int, event: ev.AgentCreated) -> None:
        self._note(INSERT_AGENT, (event.agent, event.account, event.name, event.ts, False))
        self._standings.agent_created(seq, event)

    def _agent_suspended(self, _seq: int, event: ev.AgentSuspended) -> None:
        self._note(UPDATE_AGENT, (True, event.agent))

    def _agent_reinstated(self, _seq: int, event: ev.AgentReinstated) -> None:
        self._note(UPDATE_AGENT, (False, event.agent))

    def _key_issued(self, _seq: int, event: ev.KeyIssued) -> None:
        k = event.key
        known = (k.key_id, event.agent, k.digest, k.name, _json(k.scopes), k.expires_at, _json(k.allowed_ips))
        self._note(INSERT_KEY, (*known, event.ts, None, None))

    def _key_revoked(self, _seq: int, event: ev.KeyRevoked) -> None:
        self._note(UPDATE_KEY, (event.ts, event.actor, event.key_id))

    def _cash_moved(self, seq: int, event: ev.CashMoved) -> None:
        self._cash_n = self._cash_n + 1 if seq == self._cash_seq else 0
        self._cash_seq = seq
        moved = (event.account, event.kind, event.amount_cents, event.balance_after_cents, event.market, event.ts)
        self._note(INSERT_LEDGER, (event.wallet, seq, self._cash_n, *moved))
        self._standings.cash_moved(event)

    def _transferred(self, _seq: int, e: ev.Transferred) -> None:
        row = (e.transfer_id, e.account, e.source, e.target, e.amount_cents, e.client_transfer_id, e.ts)
        self._note(INSERT_TRANSFER, row)


# A row must be there before it is changed, and the rules before the market that was listed with them.
_FIRST: Final = (
    INSERT_CONFIGURATION,
    INSERT_ACCOUNT,
    INSERT_AGENT,
    UPDATE_AGENT,
    INSERT_KEY,
    UPDATE_KEY,
    INSERT_TRANSFER,
    INSERT_LEDGER,
    INSERT_PRINT,
    INSERT_MARKET,
)
_LAST: Final = (INSERT_TICK, INSERT_ACTION)

# Events that are missing here change no table: they answer, announce, or end what other events have already told.
_HANDLERS: Final[dict[type[ev.Event], Callable[[Projector, int, Any], None]]] = {
    ev.OrderPlaced: Projector._order_placed,
    ev.OrderEnded: Projector._order_changed,
    ev.OrderReduced: Projector._order_changed,
    ev.OrderAmended: Projector._order_changed,
    ev.Traded: Projector._traded,
    ev.Configured: Projector._configured,
    ev.MarketListed: Projector._market_listed,
    ev.MarketOpened: Projector._market_opened,
    ev.MarketExpired: Projector._market_expired,
    ev.MarketHalted: Projector._market_halted,
    ev.MarketResumed: Projector._market_resumed,
    ev.MarketResolved: Projector._market_resolved,
    ev.Printed: Projector._printed,
    ev.IndexMoved: Projector._index_moved,
    ev.AccountCreated: Projector._account_created,
    ev.AgentCreated: Projector._agent_created,
    ev.AgentSuspended: Projector._agent_suspended,
    ev.AgentReinstated: Projector._agent_reinstated,
    ev.KeyIssued: Projector._key_issued,
    ev.KeyRevoked: Projector._key_revoked,
    ev.CashMoved: Projector._cash_moved,
    ev.Transferred: Projector._transferred,
}

_Action = tuple[str, str, str | None, int | None, str | None, int | None]

# (action, actor, reason, target, key_id, amount_cents) of each operator command.
_ACTIONS: Final[dict[type[cmd.Command], Callable[[Any], _Action]]] = {
    cmd.Freeze: lambda c: ("FREEZE", c.actor, c.reason, None, None, None),
    cmd.Unfreeze: lambda c: ("UNFREEZE", c.actor, c.reason, None, None, None),
    cmd.HaltMarket: lambda c: ("HALT", c.actor, c.reason, c.market, None, None),
    cmd.ResumeMarket: lambda c: ("RESUME", c.actor, c.reason, c.market, None, None),
    cmd.VoidMarket: lambda c: ("VOID", c.actor, c.reason, c.market, None, None),
    cmd.SuspendAgent: lambda c: ("SUSPEND", c.actor, c.reason, c.agent, None, None),
    cmd.ReinstateAgent: lambda c: ("REINSTATE", c.actor, c.reason, c.agent, None, None),
    cmd.GrantCash: lambda c: ("GRANT", c.actor, c.reason, c.agent, None, c.amount_cents),
    cmd.AdminRevokeKey: lambda c: ("REVOKE_KEY", c.actor, c.reason, None, c.key_id, None),
    cmd.Broadcast: lambda c: ("BROADCAST", c.actor, c.message, None, None, None),
}
