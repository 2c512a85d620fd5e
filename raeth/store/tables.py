"""The tables: derived ones, which repeat what the journal says, and private ones, which it must never hold.

Must not know how rows get in (`projector`, `private`) or out (`queries`), nor the journal's own tables in the same
database. These classes declare columns and nothing else: `SQLModel(table=True)` does not validate.

- Ids are the engine's integers (63 bits); the public UUID is made at the edge. Times are epoch milliseconds of venue
  time, except those named `*_real_ms`. Money is integer cents. `side` is the engine's: 0 BUY, 1 SELL, of YES.
- There are no foreign keys, and uniqueness only where the engine itself guarantees it: a table must never be the
  reason why a command cannot commit.
- An index is paid by every order, so there is one only for a read that would otherwise walk through all history.
- Structured values are JSON in TEXT, byte for byte what the projector wrote, so that an audit can compare them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, Index, Integer, MetaData, String, Table, TypeDecorator, text
from sqlmodel import AutoString, Field, SQLModel

# On SQLite a sole INTEGER primary key is the row's own address, a BIGINT one would cost a second tree.
Big: Final = BigInteger().with_variant(Integer(), "sqlite")


class PostgresWords(TypeDecorator[str]):
    """Text that is compared and sorted byte by byte, as SQLite does it.

    Else PostgreSQL sorts as the language of its machine does, and lists, cursors and audits would differ from database
    to database. It has no text with a NUL in it, so whoever asks for such a one finds nothing.
    """

    impl = String(collation="C")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")


Words: Final = String().with_variant(PostgresWords(), "postgresql")

# The rows lie in the tree of the primary key itself: no second tree, and what is read together lies together.
CLUSTERED: Final = {"sqlite_with_rowid": False}


def big(**options: Any) -> Any:
    """A 63-bit integer column: an id, a `seq`, a time or an amount. No database ever makes one up."""
    if options.get("primary_key"):
        options["sa_column_kwargs"] = {"autoincrement": False}
    return Field(sa_type=Big, **options)


def when(condition: str) -> dict[str, Any]:
    """The options of an index that holds only the rows where `condition` is true."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Base(SQLModel):
    """Keeps the store's tables apart from whatever else uses SQLModel in the process."""

    metadata = MetaData()


# ---- derived: they follow the journal, whose mark says up to which row they hold it ----


class Configuration(Base, table=True):
    """The rules of the venue from `seq` on. A market names the row it was listed with."""

    __tablename__ = "configurations"
    seq: int = big(primary_key=True)
    ts: int = big()
    engine_version: int
    settings: str = Field(description="JSON of the engine's Settings")


class Account(Base, table=True):
    __tablename__ = "accounts"
    id: int = big(primary_key=True)
    email_digest: str
    created_ts: int = big()


class Agent(Base, table=True):
    __tablename__ = "agents"
    id: int = big(primary_key=True)
    account: int = big(index=True)
    name: str
    created_ts: int = big()
    suspended: bool


class ApiKey(Base, table=True):
    """A key by its public id; `digest` is the HMAC of the secret. `expires_real_ms` is judged at the door."""

    __tablename__ = "api_keys"
    key_id: str = Field(primary_key=True)
    agent: int = big(index=True)
    digest: str
    name: str
    scopes: str = Field(description="JSON list")
    expires_real_ms: int | None = big()
    allowed_ips: str = Field(description="JSON list of CIDR blocks")
    created_ts: int = big()
    revoked_ts: int | None = big()
    revoked_by: str | None


class Order(Base, table=True):
    """Every order, as it stands now. `seq` and `updated_ts` are those of its last change."""

    __tablename__ = "orders"
    __table_args__ = (Index("ix_orders_agent", "agent", "id"),)
    id: int = big(primary_key=True)
    agent: int = big()
    account: int = big()
    market: int = big()
    side: int
    type: str
    tif: str
    price: int | None = big()
    qty: int = big()
    remaining: int = big()
    reduce_only: bool
    stp: str
    client_order_id: str | None
    quote_id: str | None
    expires_at: int | None = big()
    created_ts: int = big()
    updated_ts: int = big()
    seq: int = big()
    status: str
    filled: int = big()
    notional: int = big()
    fee_cents: int = big()
    reject_reason: str | None
    reject_details: str | None = Field(description="JSON object")
    cancel_reason: str | None


class Fill(Base, table=True):
    """Two rows a trade, one for each order in it. `fee_cents` is negative for a maker's rebate.

    Clustered by order, because an order is always shown with its fills; an order is in a trade once, so
    `(trade_id, liquidity)` is unique as well.
    """

    __tablename__ = "fills"
    __table_args__ = (
        Index("ix_fills_agent", "agent", "trade_id"),
        Index("ix_fills_market", "market", "trade_id", **when("liquidity = 'TAKER'")),
        CLUSTERED,
    )
    order_id: int = big(primary_key=True)
    trade_id: int = big(primary_key=True)
    market: int = big()
    agent: int = big()
    side: int
    price: int
    qty: int = big()
    liquidity: str
    fee_cents: int = big()
    ts: int = big()


class LedgerEntry(Base, table=True):
    """Every movement of cash: the `n`-th that command `seq` made. Clustered by wallet, newest at the end."""

    __tablename__ = "ledger"
    __table_args__ = CLUSTERED
    wallet: int = big(primary_key=True)
    seq: int = big(primary_key=True)
    n: int = Field(primary_key=True)
    account: int = big()
    kind: str
    amount_cents: int = big()
    balance_after_cents: int = big()
    market: int | None = big()
    ts: int = big()


class Transfer(Base, table=True):
    __tablename__ = "transfers"
    __table_args__ = (Index("ix_transfers_account", "account", "id"),)
    id: int = big(primary_key=True)
    account: int = big()
    source: int = big()
    target: int = big()
    amount_cents: int = big()
    client_transfer_id: str | None
    ts: int = big()


class Market(Base, table=True):
    """A window. Of a live one the engine knows more; of a final one this is everything.

    `seq` is that of its last change, `outcome` YES, NO or VOID with its `reason`. `open_interest` is Σ max(net, 0) at
    the end, None while unknown.
    """

    __tablename__ = "markets"
    __table_args__ = (Index("ix_markets_close", "close_at", "id"),)
    id: int = big(primary_key=True)
    symbol: str = Field(index=True)
    slug: str
    configuration: int = big(description="seq of the Configuration it was listed with")
    status: str
    open_at: int = big()
    close_at: int = big()
    listed_ts: int = big()
    halted: bool
    open_price_cents: int | None = big()
    open_source: str | None
    close_price_cents: int | None = big()
    close_source: str | None
    outcome: str | None
    reason: str | None
    resolved_ts: int | None = big()
    last_price: int | None
    volume: int = big()
    trades: int = big()
    open_interest: int | None = big()
    fees_cents: int = big()
    seq: int = big()


class Print(Base, table=True):
    """The reference price at a boundary, with its evidence; `price_cents` None if there was none, and `reason` why."""

    __tablename__ = "prints"
    boundary: int = big(primary_key=True)
    price_cents: int | None = big()
    source_ts: int | None = big()
    source: str
    rule: str
    reason: str | None
    inputs: str = Field(description="JSON list of the engine's Input")
    seq: int = big()
    ts: int = big()
    opens: int | None = big()
    closes: int | None = big()


class ReferenceTick(Base, table=True):
    """The decimated index, at most four a second. Clustered by time, as charts read it."""

    __tablename__ = "reference_ticks"
    __table_args__ = CLUSTERED
    ts: int = big(primary_key=True)
    seq: int = big(primary_key=True)
    price_cents: int = big()
    source_ts: int = big()
    source: str


class AdminAction(Base, table=True):
    """Every operator command, done or not: `refused` is the code if the venue declined it.

    `target` is the market's or agent's id, `key_id` the key; `reason` holds the text of a broadcast.
    """

    __tablename__ = "admin_actions"
    seq: int = big(primary_key=True)
    ts: int = big()
    action: str
    actor: str
    reason: str | None
    target: int | None = big()
    key_id: str | None
    amount_cents: int | None = big()
    refused: str | None


class Standing(Base, table=True):
    """An account on the leaderboard, by `ranked_cents`: its `pnl_cents` less `uncounted_cents` of it.

    `agent` and `name` are those it signed up with; the house is not ranked. `windows` were traded and not void,
    `decided` had a result that was not zero, `hits` one above zero. `peak_cents` and `drawdown_cents` are those of the
    running `ranked_cents`, which begins at 0. `seq` is that of the last window it traded, or of its signup.
    """

    __tablename__ = "standings"
    __table_args__ = (Index("ix_standings_rank", "ranked_cents", "granted_cents", "account", **when("windows > 0")),)
    account: int = big(primary_key=True)
    agent: int = big()
    name: str
    house: bool
    granted_cents: int = big()
    pnl_cents: int = big()
    uncounted_cents: int = big()
    ranked_cents: int = big()
    peak_cents: int = big()
    drawdown_cents: int = big()
    volume: int = big()
    notional_cents: int = big()
    windows: int = big()
    decided: int = big()
    hits: int = big()
    last_market: int | None = big()
    updated_ts: int = big()
    seq: int = big()


class WindowResult(Base, table=True):
    """What a window that was not void did to an account that traded in it. Clustered by window."""

    __tablename__ = "window_results"
    __table_args__ = CLUSTERED
    market: int = big(primary_key=True)
    account: int = big(primary_key=True)
    pnl_cents: int = big()
    uncounted_cents: int = big(description="less than zero where the account gave back what had not counted")
    volume: int = big()
    notional_cents: int = big()
    ts: int = big()
    seq: int = big()


class AccountPair(Base, table=True):
    """What `account` won off fair from `other`, over all time; there is a row with the opposite sign for `other`.

    `uncounted_cents` of it do not count, `change_cents` of them since its last window, `market`.
    """

    __tablename__ = "account_pairs"
    __table_args__ = CLUSTERED
    account: int = big(primary_key=True)
    other: int = big(primary_key=True)
    off_fair_cents: int = big()
    uncounted_cents: int = big()
    change_cents: int = big()
    market: int = big()
    seq: int = big()


class WindowPair(Base, table=True):
    """What two agents did with each other in a window that has not ended; `agent` is the older one.

    `net` is what it bought from `other` less what it sold to it, `edge_cents` what that was worth more, by the fair
    values of those moments, than it cost.
    """

    __tablename__ = "window_pairs"
    __table_args__ = CLUSTERED
    market: int = big(primary_key=True)
    agent: int = big(primary_key=True)
    other: int = big(primary_key=True)
    qty: int = big()
    notional_cents: int = big()
    net: int = big()
    edge_cents: int = big()
    seq: int = big()


class FairValue(Base, table=True):
    """What the open window was worth as of a tick or print, since about the last settlement.

    `fair` is cents of `market`'s YES, None while its strike is not known. `variance` is that of the reference price
    a second, in squares of a billionth, as of the sample at `sampled_ts`.
    """

    __tablename__ = "fair_values"
    seq: int = big(primary_key=True)
    ts: int = big()
    market: int | None = big()
    price_cents: int = big()
    fair: int | None
    sampled_ts: int = big()
    sampled_price_cents: int = big()
    variance: int = big()


# ---- private: outside the chain, never derived from the journal ----


class Identity(Base, table=True):
    """Who an account is at the door. `email` is normalised; without a `password_hash` nobody can log in."""

    __tablename__ = "identities"
    account: int = big(primary_key=True)
    email: str = Field(unique=True, index=True)
    password_hash: str | None


class Session(Base, table=True):
    __tablename__ = "sessions"
    token_hash: str = Field(primary_key=True)
    account: int = big()
    expires_real_ms: int = big()


class Ticket(Base, table=True):
    """Admits one socket once. `claim` is the random word of whoever used it: the first claim stands."""

    __tablename__ = "tickets"
    ticket_hash: str = Field(primary_key=True)
    agent: int = big()
    key_id: str
    expires_real_ms: int = big()
    claim: str | None


class Secret(Base, table=True):
    """What all nodes of one venue share and nobody else may know, such as the pepper."""

    __tablename__ = "secrets"
    name: str = Field(primary_key=True)
    value: bytes


for _table in Base.metadata.tables.values():
    for _column in _table.columns:
        if isinstance(_column.type, AutoString):
            _column.type = Words


def _tables(*models: type[Base]) -> tuple[Table, ...]:
    return tuple(Base.metadata.tables[str(model.__tablename__)] for model in models)


DERIVED: Final = _tables(
    Configuration,
    Account,
    Agent,
    ApiKey,
    Transfer,
    LedgerEntry,
    Print,
    Market,
    Order,
    Fill,
    ReferenceTick,
    AdminAction,
    Standing,
    WindowResult,
    AccountPair,
    WindowPair,
    FairValue,
)
"""What a journal determines to the last cell, in the order in which an audit compares it."""

PRIVATE: Final = _tables(Identity, Session, Ticket, Secret)

JOURNAL_TABLES: Final = frozenset({"journal", "journal_keys", "journal_meta", "snapshots"})
"""In the same database, but the journal's own: neither compared nor migrated here."""
