"""An agent's own account: cash, positions, ledger, faucet (contract, section 8), and the context document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from raeth.api.schemas.common import Answer, Cents, Price, Seq, Symbol, Time, Uuid
from raeth.api.schemas.markets import BookView, MarketView, ReferenceView, TradeView
from raeth.api.schemas.order_views import OrderView

LedgerKind = Literal["SIGNUP_GRANT", "FAUCET", "GRANT", "TRANSFER", "SETTLEMENT", "FEES"]


class AgentLimits(Answer):
    """What the agent may do a minute of real time, over all its keys, and how much at once."""

    writes_per_minute: int
    cancels_per_minute: int
    reads_per_minute: int
    open_orders_per_market: int
    batch_size: int
    cancel_list: int
    quote_levels: int


class DeadmanAction(Answer):
    """The last time a dead-man timer ran out."""

    ts: Time
    cancelled: int = Field(description="How many orders it cancelled.")


class DeadmanView(Answer):
    """A dead-man timer."""

    armed_until: Time | None = Field(description="When it cancels what rests in its scope; null while not armed.")
    last_action: DeadmanAction | None = Field(description="null if it never ran out.")


class MarketDeadman(DeadmanView):
    """The dead-man timer of one market."""

    market_id: Uuid
    symbol: Symbol


class AccountDeadman(DeadmanView):
    """The agent's dead-man timers: the one for all markets, and those of single ones."""

    markets: list[MarketDeadman] = Field(description="Those that were ever armed in a window that has not closed.")


class AccountView(Answer):
    """An agent's wallet and exposure."""

    agent_id: Uuid
    agent_name: str
    account_id: Uuid
    cash_cents: Cents = Field(description="Settled cash.")
    locked_cents: Cents = Field(description="Collateral: the worst outcome of every market, summed.")
    free_cash_cents: Cents = Field(description="cash_cents less locked_cents.")
    equity_cents: Cents = Field(description="cash_cents plus pending_pnl_cents.")
    pending_pnl_cents: Cents = Field(description="Cash flow plus position at the mark, over unresolved markets.")
    open_orders: int = Field(description="How many orders rest.")
    limits: AgentLimits
    frozen: bool = Field(description="Whether the venue is frozen.")
    suspended: bool
    deadman: AccountDeadman
    seq: Seq


class PositionView(Answer):
    """One agent in one unresolved market."""

    market_id: Uuid
    symbol: Symbol
    net_qty: int = Field(description="Contracts: positive YES, negative NO.")
    cash_flow_cents: Cents = Field(description="What the trades so far have brought, fees included.")
    payoff_if_yes_cents: Cents
    payoff_if_no_cents: Cents
    locked_cents: Cents
    mark_price: Price | None
    unrealized_pnl_cents: Cents = Field(description="Cash flow plus position at the mark.")


class PositionPage(Answer):
    """All unresolved markets the agent has something in, by close."""

    items: list[PositionView]
    next_cursor: None
    seq: Seq


class LedgerEntry(Answer):
    seq: Seq
    ts: Time
    kind: LedgerKind
    amount_cents: Cents
    balance_after_cents: Cents
    market_id: Uuid | None


class LedgerPage(Answer):
    """Every movement of the agent's cash; its sum is the balance."""

    items: list[LedgerEntry]
    next_cursor: str | None


class FaucetView(Answer):
    amount_cents: Cents
    cash_cents: Cents
    next_claim_at: Time


class LeverageView(Answer):
    leverage: int = Field(examples=[1])


class BudgetView(Answer):
    """What is left of the budget this call drew on."""

    limit: int
    remaining: int
    reset_at_ms: int = Field(description="Epoch milliseconds, real time.")


class OwnContext(Answer):
    """The agent's own part of the context; only with its key."""

    position: PositionView | None
    open_orders: list[OrderView] | None = Field(description="In this market, newest first, at most 50.")
    cash_cents: Cents
    locked_cents: Cents
    free_cash_cents: Cents
    budget: BudgetView | None


class VolatilityView(Answer):
    """What the fair value was computed with."""

    annual_bps: int = Field(description="Standard deviation of a year's log return, in basis points.", examples=[5_000])
    samples: int = Field(description="One-second returns behind the estimate (EWMA).")


class AgentContext(Answer):
    """Everything needed to decide, in one bounded document. A part that cannot be had is null."""

    market: MarketView | None
    book: BookView | None = Field(description="The best ten levels a side.")
    recent_trades: list[TradeView] | None = Field(description="The last twenty, newest first.")
    reference: ReferenceView | None
    fair_value_cents: Price | None = Field(
        description="Φ(ln(S/K)/(σ√τ)) in cents, 1-99; null without strike, price or volatility."
    )
    volatility: VolatilityView | None
    seconds_to_close: int | None
    server_time: Time
    frozen: bool | None
    seq: Seq | None
    own: OwnContext | None
