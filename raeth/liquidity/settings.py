"""Settings of the house: the `[house]` table of the configuration, and the name it goes by.

Holds names, defaults and bounds only; where the values come from is the configuration's affair.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

HOUSE: Final = "house"
"""Name of the house's agent. It is reserved: nobody can sign up with it."""


class HouseSettings(BaseModel):
    """The house market maker. Cents of cash or of the YES price, contracts, milliseconds of venue time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether the house quotes; --no-house turns it off.")
    grant_cents: int = Field(
        10_000_000, ge=1, le=10**12, description="Cash the venue grants the house once, at its first start."
    )
    loss_cap_cents: int = Field(
        5_000_000, ge=1, le=10**12, description="Total loss, worst outcome of open positions included, never exceeded."
    )
    window_loss_cap_cents: int = Field(
        30_000, ge=1, le=10**12, description="Worst outcome of one window, never exceeded."
    )
    position_limit: int = Field(600, ge=1, le=10_000_000, description="Contracts net, long or short, never exceeded.")
    levels: int = Field(3, ge=1, le=20, description="Price levels a side.")
    level_qty: int = Field(40, ge=1, le=1_000_000, description="Contracts a level.")
    level_step: int = Field(1, ge=1, le=49, description="Cents from one level to the next.")
    tail_qty: int = Field(
        5, ge=1, le=1_000_000, description="Contracts at 1 or 99 where the price wanted is beyond what can be quoted."
    )
    shrink_from_ms: int = Field(20_000, ge=1, le=86_400_000, description="Sizes shrink from this long before close …")
    pull_before_close_ms: int = Field(
        1_200, ge=0, le=86_400_000, description="… and quotes are pulled this long before."
    )
    max_reference_age_ms: int = Field(2_000, ge=1, le=600_000, description="Quotes are pulled on an older price.")
    reaction_ms: int = Field(
        300, ge=1, le=60_000, description="How late the house is taken to notice a move, in the law of stale quotes."
    )
    risk_pct: int = Field(125, ge=1, le=1_000, description="Share of the stale-quote risk that the half-spread covers.")
    skew_cents: int = Field(6, ge=0, le=49, description="How far quotes lean against a position at its limit.")
    max_writes_per_minute: int = Field(
        240, ge=1, le=60_000, description="Most quotes sent in a minute of real time; pulls come on top."
    )

    @model_validator(mode="after")
    def _consistent(self) -> HouseSettings:
        if self.pull_before_close_ms >= self.shrink_from_ms:
            raise ValueError("pull_before_close_ms: not below shrink_from_ms")
        return self
