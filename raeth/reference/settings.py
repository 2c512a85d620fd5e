"""Settings of the reference room: the `[reference]` table of the configuration.

Holds names, defaults and bounds only; where the values come from is the configuration's affair.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

VenueName = Literal["coinbase", "kraken", "bitstamp", "gemini", "binance"]
ALL_VENUES: tuple[VenueName, ...] = ("coinbase", "kraken", "bitstamp", "gemini", "binance")


class ReferenceSettings(BaseModel):
    """Ages and delays are milliseconds, prices cents, shares basis points."""

    model_config = ConfigDict(extra="forbid")

    max_venue_age_ms: int = Field(3_000, ge=100, le=60_000, description="A venue's price older than this is left out.")
    outlier_bps: int = Field(50, ge=1, le=10_000, description="Further than this from the median: left out.")
    quorum: int = Field(3, ge=1, le=len(ALL_VENUES), description="Venues that must remain for there to be a price.")
    reference_max_age_ms: int = Field(3_000, ge=1, le=600_000, description="MARKET orders need a younger price.")
    stale_after_ms: int = Field(3_000, ge=1, le=600_000, description="Older than this the feed is STALE.")
    down_after_ms: int = Field(10_000, ge=1, le=3_600_000, description="Older than this the feed is DOWN.")
    print_max_age_ms: int = Field(5_000, ge=1, le=60_000, description="Oldest usable price at a boundary.")
    print_grace_ms: int = Field(5_000, ge=0, le=60_000, description="How long after a boundary its print is awaited.")
    venues: list[VenueName] = Field(default_factory=lambda: list(ALL_VENUES), min_length=1)
    seed: int = Field(7, description="Seed of the simulated price.")
    start_price_cents: int = Field(9_500_000, ge=100_000, le=10**12, description="Where the simulated price starts.")
    urls: dict[VenueName, str] = Field(default_factory=dict, description="Socket addresses, to override a venue's own.")
    usdt_rate_max_age_ms: int = Field(60_000, ge=1_000, le=600_000, description="Age limit of the USDT/USD rate.")
    max_future_ms: int = Field(2_000, ge=0, le=60_000, description="A tick further ahead of the clock is refused.")
    idle_timeout_ms: int = Field(15_000, ge=50, le=600_000, description="A socket silent for this long is reopened.")
    price_timeout_ms: int = Field(60_000, ge=50, le=3_600_000, description="Likewise one that talks but has no price.")
    reconnect_min_ms: int = Field(250, ge=1, le=60_000)
    reconnect_max_ms: int = Field(30_000, ge=1, le=600_000)

    @model_validator(mode="after")
    def _consistent(self) -> ReferenceSettings:
        if len(set(self.venues)) != len(self.venues):
            raise ValueError("venues: a venue is named twice")
        if self.quorum > len(self.venues):
            raise ValueError("quorum: larger than the number of venues, so there could never be a price")
        if self.down_after_ms < self.stale_after_ms:
            raise ValueError("down_after_ms: below stale_after_ms")
        if self.reconnect_max_ms < self.reconnect_min_ms:
            raise ValueError("reconnect_max_ms: below reconnect_min_ms")
        return self
