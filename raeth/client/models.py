"""What a venue answers, as immutable values: orders, markets, books, accounts. The account owner's are in `owner`.

Decoded strictly: money, prices and quantities are integers, and a float where an integer belongs is an error. Fields
this version does not know are ignored, and texts from open lists (`status`, `reject_reason`, …) stay plain strings, so
that a newer venue keeps working. Times stay as they came, ISO-8601 UTC with milliseconds; `*_ms` has them as epoch
milliseconds. Must not know how answers are fetched.

Units: `*_cents` are US cents, `price` is cents of the YES contract (1-99), `qty` whole contracts, `seq` the place in
the venue's one total order.
"""

from __future__ import annotations

from typing import Any

import msgspec

from raeth.client.market_models import (
    Book,
    Candle,
    Fees,
    Geometry,
    HouseNow,
    Level,
    Liquidity,
    Market,
    MarketReference,
    Print,
    Reference,
    ReferencePoint,
    Risk,
    Rules,
    Series,
    SeriesContext,
    Settlement,
    Standing,
    Trade,
)
from raeth.client.values import (
    Model,
    Page,
    Side,
    epoch_ms,
)

__all__ = [
    "Account",
    "AccountDeadman",
    "AgentContext",
    "AgentLimits",
    "Book",
    "Budget",
    "Cancelled",
    "Candle",
    "CodeEntry",
    "Deadman",
    "FaucetClaim",
    "Fees",
    "Fill",
    "Geometry",
    "Health",
    "HouseNow",
    "LedgerEntry",
    "Level",
    "Liquidity",
    "Market",
    "MarketDeadman",
    "MarketReference",
    "Model",
    "NotCancelled",
    "Order",
    "OrderFill",
    "Own",
    "Page",
    "Position",
    "Preview",
    "PreviewFill",
    "Print",
    "Reference",
    "ReferencePoint",
    "Repair",
    "Risk",
    "Rules",
    "Series",
    "SeriesContext",
    "Settlement",
    "Side",
    "Standing",
    "Ticket",
    "Trade",
    "Version",
    "Volatility",
    "epoch_ms",
]

# ---- orders ----


class OrderFill(Model, frozen=True, kw_only=True):
    """One execution of the order it is shown in. A maker's `fee_cents` is a rebate, and negative."""

    trade_id: str
    price: int
    qty: int
    liquidity: str
    fee_cents: int
    ts: str


class Repair(Model, frozen=True, kw_only=True):
    """Why an order was declined, as numbers to repair it by; what does not apply is None."""

    retryable: bool = False
    retry_after_ms: int | None = None
    max_qty: int | None = None
    min_qty: int | None = None
    best_non_crossing_price: int | None = None
    price_min: int | None = None
    price_max: int | None = None
    required_cents: int | None = None
    free_cash_cents: int | None = None
    position_cap: int | None = None
    open_orders_cap: int | None = None
    cooldown_ends_at: str | None = None
    mark_price: int | None = None
    max_leverage: int | None = None
    late_by_ms: int | None = None
    recv_window_ms: int | None = None
    confirm_field: str | None = None

    def given(self) -> dict[str, Any]:
        """Only what applies."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}


class Order(Model, frozen=True, kw_only=True):
    """An order as it was at `seq`. `replayed`: the first result again, found by its `client_order_id`.

    `order` is there only in a declined amend: the order itself, untouched.
    """

    order_id: str
    client_order_id: str | None
    market_id: str | None
    symbol: str | None
    agent_id: str
    side: Side
    type: str
    tif: str
    price: int | None
    qty: int
    reduce_only: bool
    status: str
    filled_qty: int
    remaining_qty: int
    filled_notional_cents: int
    fee_cents: int
    reject_reason: str | None
    reject_message: str | None
    reject_details: Repair | None
    cancel_reason: str | None
    fills: tuple[OrderFill, ...]
    created_at: str
    updated_at: str
    seq: int
    replayed: bool = False
    order: Order | None = None

    @property
    def is_open(self) -> bool:
        """Whether it rests in the book."""
        return self.status in ("OPEN", "PARTIALLY_FILLED")

    @property
    def is_rejected(self) -> bool:
        return self.status == "REJECTED"

    @property
    def repair(self) -> Repair:
        """`reject_details`, or one in which nothing applies."""
        return self.reject_details if self.reject_details is not None else Repair()

    @property
    def created_at_ms(self) -> int:
        return epoch_ms(self.created_at)

    @property
    def updated_at_ms(self) -> int:
        return epoch_ms(self.updated_at)


class Fill(Model, frozen=True, kw_only=True):
    """One own execution."""

    trade_id: str
    order_id: str
    market_id: str
    symbol: str
    side: Side
    price: int
    qty: int
    liquidity: str
    fee_cents: int
    ts: str

    @property
    def ts_ms(self) -> int:
        return epoch_ms(self.ts)


class NotCancelled(Model, frozen=True, kw_only=True):
    """A listed order that a cancel did not find open; `code` says why."""

    order_id: str
    code: str
    message: str


class Cancelled(Model, frozen=True, kw_only=True):
    """What a mass cancel did. For a list of ids the results come in its order.

    `repeated`: the answer to an earlier attempt got lost, so that orders it cancelled may be missing here (never with a
    list of ids). Either way nothing that matched was resting when the venue answered.
    """

    results: tuple[Order | NotCancelled, ...]
    cancelled: int
    repeated: bool = False

    @classmethod
    def of(cls, body: Any) -> Cancelled:
        """From the parsed JSON of an answer. Raises msgspec.ValidationError."""
        plain = msgspec.convert(body, _CancelledBody)
        results: tuple[Order | NotCancelled, ...] = tuple(
            msgspec.convert(one, Order) if "status" in one else msgspec.convert(one, NotCancelled)
            for one in plain.results
        )
        return cls(results=results, cancelled=plain.cancelled)


class _CancelledBody(Model, frozen=True, kw_only=True):
    results: tuple[dict[str, Any], ...]
    cancelled: int


class PreviewFill(Model, frozen=True, kw_only=True):
    price: int
    qty: int


class Preview(Model, frozen=True, kw_only=True):
    """What an order would do if it arrived now; nothing is promised."""

    would: str
    reject_reason: str | None
    reject_message: str | None
    reject_details: Repair | None
    fills: tuple[PreviewFill, ...]
    fee_cents: int
    required_cents: int
    free_cash_after_cents: int
    position_after: int
    worst_case_loss_cents: int
    as_of_seq: int

    @property
    def accepted(self) -> bool:
        return self.would == "ACCEPT"


class Deadman(Model, frozen=True, kw_only=True):
    """`armed_until` is None while it is not armed, `last_action` if it never ran out; else `{"ts", "cancelled"}` of the
    last time it did. What it is on other venues the contract leaves open."""

    armed_until: str | None
    last_action: Any = None


class MarketDeadman(Deadman, frozen=True, kw_only=True):
    """The timer of one market."""

    market_id: str
    symbol: str


class AccountDeadman(Deadman, frozen=True, kw_only=True):
    """The timer for all markets, and those of single ones whose window has not closed."""

    markets: tuple[MarketDeadman, ...] = ()


# ---- the own account ----


class AgentLimits(Model, frozen=True, kw_only=True):
    """Budgets a minute of real time, over all keys of the agent, and maxima."""

    writes_per_minute: int
    cancels_per_minute: int
    reads_per_minute: int
    open_orders_per_market: int
    batch_size: int
    cancel_list: int
    quote_levels: int | None = None


class Account(Model, frozen=True, kw_only=True):
    """An agent's wallet and exposure."""

    agent_id: str
    agent_name: str
    account_id: str
    cash_cents: int
    locked_cents: int
    free_cash_cents: int
    equity_cents: int
    pending_pnl_cents: int
    open_orders: int
    frozen: bool
    seq: int
    limits: AgentLimits | None = None
    suspended: bool = False
    deadman: AccountDeadman | None = None


class Position(Model, frozen=True, kw_only=True):
    """The agent in one unresolved market; `net_qty` is positive for YES, negative for NO."""

    market_id: str
    symbol: str
    net_qty: int
    cash_flow_cents: int
    payoff_if_yes_cents: int
    payoff_if_no_cents: int
    locked_cents: int
    mark_price: int | None
    unrealized_pnl_cents: int


class LedgerEntry(Model, frozen=True, kw_only=True):
    """One movement of the agent's cash; the sum of all is the balance."""

    seq: int
    ts: str
    kind: str
    amount_cents: int
    balance_after_cents: int
    market_id: str | None


class FaucetClaim(Model, frozen=True, kw_only=True):
    """`next_claim_at` is None when the answer got lost and the claim was found again in the ledger."""

    amount_cents: int
    cash_cents: int
    next_claim_at: str | None


class Budget(Model, frozen=True, kw_only=True):
    limit: int
    remaining: int
    reset_at_ms: int


class Own(Model, frozen=True, kw_only=True):
    """The agent's own part of a context."""

    position: Position | None
    open_orders: tuple[Order, ...] | None
    cash_cents: int
    locked_cents: int
    free_cash_cents: int
    budget: Budget | None = None


class Volatility(Model, frozen=True, kw_only=True):
    annual_bps: int
    samples: int


class AgentContext(Model, frozen=True, kw_only=True):
    """Everything needed to decide about a market, in one document. What cannot be had right now is None."""

    server_time: str
    market: Market | None = None
    book: Book | None = None
    recent_trades: tuple[Trade, ...] | None = None
    reference: Reference | None = None
    fair_value_cents: int | None = None
    volatility: Volatility | None = None
    seconds_to_close: int | None = None
    frozen: bool | None = None
    seq: int | None = None
    own: Own | None = None


class Ticket(Model, frozen=True, kw_only=True):
    """Admits one socket of this agent, once, within a minute."""

    ticket: str
    expires_at: str


# ---- the venue ----


class Health(Model, frozen=True, kw_only=True):
    """How the venue is doing; `now` is venue time."""

    status: str
    service: str
    now: str
    version: str
    persistence: dict[str, Any]
    reference: dict[str, Any]
    frozen: bool
    seq: int

    @property
    def now_ms(self) -> int:
        return epoch_ms(self.now)


class CodeEntry(Model, frozen=True, kw_only=True):
    """One code of the venue's catalogue: when it is said, and what to do."""

    code: str
    http: tuple[str, ...]
    when: str
    fix: str
    retryable: bool


class Version(Model, frozen=True, kw_only=True):
    """`speed`: venue seconds per real second; it may be a fraction, and is no money."""

    version: str
    api_version: str
    engine_version: int
    speed: float
    reference: str
    started_at: str | None = None
