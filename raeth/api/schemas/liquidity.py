"""The house market maker as it is shown: who it is, what it may do, what it does now, how it fares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from raeth.api.schemas.common import Answer, Cents, Natural, Price, Seq, Symbol, Uuid


class HouseNow(Answer):
    """What rests of the house's quote in the open market, and why it is out if nothing does."""

    status: Literal["QUOTING", "ONE_SIDED", "OUT", "OFF"] = Field(
        description="By what rests: both sides, one, none. OFF: this venue runs without a house."
    )
    reason: str | None = Field(
        description="Why it is out, for programs; null while it quotes, or where another process quotes for it.",
        examples=["CLOSING"],
    )
    message: str | None = Field(description="The same for people.")
    market_id: Uuid | None
    symbol: Symbol | None
    best_bid: Price | None
    bid_qty: Natural = Field(description="Contracts on all levels.")
    best_ask: Price | None
    ask_qty: Natural
    fair_value_cents: int | None = Field(description="Its last estimate, in whole cents.")
    half_spread_cents: int | None = Field(description="Its last half-spread, rounded up to whole cents.")


class HouseParameters(Answer):
    """The settings of the policy. Cents of the YES price or of cash, contracts, milliseconds of venue time."""

    levels: int
    level_qty: int
    level_step: int
    tail_qty: int
    shrink_from_ms: int
    pull_before_close_ms: int
    max_reference_age_ms: int
    reaction_ms: int
    risk_pct: int
    skew_cents: int


class HouseBounds(Answer):
    """What the house keeps within, whatever happens."""

    position_limit: int = Field(description="Contracts net in a window, long or short.")
    window_loss_cap_cents: Cents = Field(description="Worst outcome of one window.")
    loss_cap_cents: Cents = Field(description="Total loss, worst outcome of open positions included.")
    max_writes_per_minute: int = Field(description="Quotes in a minute of real time; pulls come on top.")


class HouseMoney(Answer):
    """`pnl_cents` is cash less all cash that was put in; positions of windows that have not ended are in neither."""

    granted_cents: Cents = Field(description="All cash it was ever given: a grant of the venue, and an operator's.")
    cash_cents: Cents
    locked_cents: Cents
    pnl_cents: Cents


class HouseFills(Answer):
    """Its fills of the last 24 hours of venue time, among its newest 20 000; at most 10 s old."""

    fills: Natural
    qty: Natural = Field(description="Contracts.")


class LiquidityView(Answer):
    """The house market maker. Where it was never switched on there is no agent, and its money is null."""

    enabled: bool
    agent_id: Uuid | None = Field(description="The house's agent, so that its orders can be told apart.")
    agent_name: Literal["house"] = Field(description="Reserved: nobody else can have it.")
    ranked: Literal[False] = Field(description="It is left out of the leaderboard.")
    policy: list[str] = Field(description="How it quotes, in words.")
    parameters: HouseParameters
    bounds: HouseBounds
    now: HouseNow
    money: HouseMoney | None
    last_24h: HouseFills | None
    seq: Seq
