"""Requests and answers of the operator's calls (contract, section 9)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raeth.api.schemas.common import Answer, Cents, Request, Seq, Symbol, Time, Uuid

WITHOUT_NUL = r"^[^\x00]*$"
"""What an operator writes is kept for ever, and no PostgreSQL keeps a NUL in a text."""

Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=WITHOUT_NUL, examples=["planned maintenance"])]


class ReasonRequest(Request):
    reason: Reason


class MaybeReasonRequest(Request):
    reason: Reason | None = None


class GrantRequest(Request):
    amount_cents: Annotated[int, Field(ge=1, le=10**12)]
    reason: Reason


class BroadcastRequest(Request):
    message: Annotated[str, Field(min_length=1, max_length=2_000, pattern=WITHOUT_NUL)]


class FreezeView(Answer):
    frozen: bool
    reason: str | None
    ts: Time
    seq: Seq


class MarketActionView(Answer):
    market_id: Uuid
    symbol: Symbol
    status: str
    halted: bool
    ts: Time
    seq: Seq


class AgentActionView(Answer):
    agent_id: Uuid
    name: str
    suspended: bool
    cash_cents: Cents
    ts: Time
    seq: Seq


class KeyActionView(Answer):
    key_id: str
    agent_id: Uuid
    ts: Time
    seq: Seq


class BroadcastView(Answer):
    message: str
    ts: Time
    seq: Seq


class PersistenceView(Answer):
    backend: str
    mode: str = Field(description="ok, retrying, backpressured or stopped.")
    queue_depth: int
    last_error: str | None


class MoneyView(Answer):
    """Σ cash of agents and accounts + fees kept = granted. Positions move no cash before they resolve."""

    granted_cents: Cents
    agents_cash_cents: Cents
    accounts_cash_cents: Cents
    fees_cents: Cents
    conserved: bool


class AdminMarketView(Answer):
    market_id: Uuid
    symbol: Symbol
    status: str
    halted: bool
    open_interest: int
    volume: int
    open_orders: int


class AdminStateView(Answer):
    frozen: bool
    reason: str | None
    accounts: int
    agents: int
    suspended_agents: int
    keys: int
    open_orders: int
    markets: list[AdminMarketView]
    money: MoneyView
    persistence: PersistenceView
    now: Time
    seq: Seq


class ActionView(Answer):
    """One operator command. `refused` is the code if the venue declined it."""

    seq: Seq
    ts: Time
    action: str
    actor: str
    reason: str | None
    target: str | None = Field(description="The market or agent it was about.")
    key_id: str | None
    amount_cents: int | None
    refused: str | None


class ActionPage(Answer):
    items: list[ActionView]
    next_cursor: str | None
