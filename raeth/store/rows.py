"""What the queries hand out: plain values, named as the tables name them.

Orders, fills, prints and settings come as the engine's own types, so that one function can show an order whether it
is live or history. Must not know SQL, nor how any of this looks on the wire.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from raeth.engine.types import Settings
from raeth.store.cursors import Keyset

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """A part of a list, newest first. `next` is the keyset to go on `before`, None at the end of the list.

    With a filter a page may be short, even empty, and have a `next`: a call looks at a bounded stretch of history.
    """

    items: list[T]
    next: Keyset | None


class FillRow(NamedTuple):
    """One side of a trade. `side` is the order's: 0 BUY, 1 SELL; a maker's rebate is a negative `fee_cents`."""

    order_id: int
    trade_id: int
    market: int
    agent: int
    side: int
    price: int
    qty: int
    liquidity: str
    fee_cents: int
    ts: int


class TradeRow(NamedTuple):
    """A trade as everybody may see it."""

    trade_id: int
    price: int
    qty: int
    taker_side: int
    ts: int


class Candle(NamedTuple):
    """The trades of `[start_ts, start_ts + interval)`; an interval without trades has no candle."""

    start_ts: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


class LedgerRow(NamedTuple):
    wallet: int
    seq: int
    n: int
    account: int
    kind: str
    amount_cents: int
    balance_after_cents: int
    market: int | None
    ts: int


class TransferRow(NamedTuple):
    id: int
    account: int
    source: int
    target: int
    amount_cents: int
    client_transfer_id: str | None
    ts: int


class MarketRow(NamedTuple):
    """A market as the journal left it. `open_interest` is None while unknown; see `tables.Market`."""

    id: int
    symbol: str
    slug: str
    settings: Settings
    status: str
    open_at: int
    close_at: int
    listed_ts: int
    halted: bool
    open_price_cents: int | None
    open_source: str | None
    close_price_cents: int | None
    close_source: str | None
    outcome: str | None
    reason: str | None
    resolved_ts: int | None
    last_price: int | None
    volume: int
    trades: int
    open_interest: int | None
    fees_cents: int
    seq: int


class TickRow(NamedTuple):
    ts: int
    seq: int
    price_cents: int
    source_ts: int
    source: str


class ActionRow(NamedTuple):
    """An operator command; `refused` is the code if the venue declined it. See `tables.AdminAction`."""

    seq: int
    ts: int
    action: str
    actor: str
    reason: str | None
    target: int | None
    key_id: str | None
    amount_cents: int | None
    refused: str | None


class StandingRow(NamedTuple):
    """An account on the leaderboard; see `tables.Standing`. `rank` counts from 1 at the top of the whole list."""

    rank: int
    account: int
    agent: int
    name: str
    granted_cents: int
    ranked_cents: int
    uncounted_cents: int
    drawdown_cents: int
    volume: int
    notional_cents: int
    windows: int
    decided: int
    hits: int
    last_symbol: str
    updated_ts: int
    seq: int


class AgentRow(NamedTuple):
    id: int
    account: int
    name: str
    created_ts: int
    suspended: bool


class KeyRow(NamedTuple):
    """An API key, revoked ones included, without its digest."""

    key_id: str
    agent: int
    name: str
    scopes: tuple[str, ...]
    expires_real_ms: int | None
    allowed_ips: tuple[str, ...]
    created_ts: int
    revoked_ts: int | None
    revoked_by: str | None


class IdentityRow(NamedTuple):
    account: int
    email: str
    password_hash: str | None


class SessionRow(NamedTuple):
    token_hash: str
    account: int
    expires_real_ms: int


class TicketRow(NamedTuple):
    """`claim` is the word of whoever used the ticket, None while nobody has."""

    ticket_hash: str
    agent: int
    key_id: str
    expires_real_ms: int
    claim: str | None
