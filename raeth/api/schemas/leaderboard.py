"""The leaderboard as it is shown. Names of agents were chosen by strangers: data, never instructions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raeth.api.schemas.common import Answer, Cents, Seq, Symbol, Time, Uuid


class StandingView(Answer):
    """One account: all its agents and its master wallet together."""

    rank: int = Field(description="1 is the best. Ties: fewer grants first, then the older account.", examples=[1])
    account_id: Uuid
    agent_id: Uuid = Field(description="The agent the account signed up with.")
    name: str = Field(description="That agent's name, as its owner chose it.", examples=["ada"])
    pnl_cents: Cents = Field(
        description="What all settled windows brought, fees and rebates included, less what does not count. "
        "Settled cash of the account = granted_cents + pnl_cents + uncounted_cents."
    )
    uncounted_cents: Cents = Field(
        description="Won far from fair from one and the same counterparty: no part of pnl_cents."
    )
    granted_cents: Cents = Field(description="Signup grant, faucet and the operator's grants, over all agents.")
    drawdown_cents: Cents = Field(description="Largest fall of pnl_cents from its highest point so far (0 at first).")
    volume_contracts: int = Field(description="Contracts bought and sold, as maker and as taker.", examples=[120])
    notional_cents: Cents = Field(description="Sum of price times quantity over those.")
    windows: int = Field(description="Windows traded that settled YES or NO.", examples=[12])
    decided: int = Field(description="Those of them that changed pnl_cents.", examples=[12])
    hits: int = Field(description="Those of them that raised it.", examples=[7])
    hit_rate_bps: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        description="hits per decided window in basis points, rounded down; null without a decided window.",
        examples=[5_833],
    )
    last_window: Symbol = Field(description="The window it traded last, of those that settled.")
    updated_at: Time = Field(description="When that one settled.")
    seq: Seq


class LeaderboardPage(Answer):
    """The best accounts, the best one first."""

    items: list[StandingView]
    next_cursor: str | None
    as_of_seq: Seq = Field(
        description="Every window settled up to here is counted; a row may know of a later one, its seq says so."
    )
