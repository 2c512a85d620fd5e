"""The tables of the settings file: names, bounds, defaults and what each setting is for.

Holds no more than that: where values come from, and what they do, is the affair of others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from raeth.reference.settings import ReferenceSettings


class Section(BaseModel):
    """A table of the file. Unknown names are errors; a built section never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Cents = Annotated[int, Field(ge=0, le=10**12)]
CapCents = Annotated[int, Field(ge=1, le=10**12)]
Contracts = Annotated[int, Field(ge=1, le=10_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Budget = Annotated[int, Field(ge=1, le=100_000_000)]
Bps = Annotated[int, Field(ge=0, le=10_000)]
Ms = Annotated[int, Field(ge=1, le=86_400_000)]
WaitMs = Annotated[int, Field(ge=0, le=86_400_000)]


class RiskSettings(Section):
    """The risk chain (contract, section 5). Contracts, cents of the YES price, cents, milliseconds of venue time."""

    max_order_qty: Contracts = Field(2_000, description="Contracts in one order; above it: FAT_FINGER.")
    max_order_notional_cents: CapCents = Field(200_000, description="Price times contracts of one order, in cents.")
    fat_finger_distance: int = Field(20, ge=0, le=99, description="Cents beyond the mark that an order may reach …")
    fat_finger_multiple: int = Field(5, ge=1, le=99, description="… or this multiple of the mark, whichever is wider.")
    position_cap: Contracts = Field(5_000, description="Contracts an agent may hold or be about to hold in a market.")
    cooldown_rejects: Count = Field(20, description="Declines of one agent, market and side that lock the side …")
    cooldown_window_ms: Ms = Field(10_000, description="… when they fall within this time …")
    cooldown_ms: Ms = Field(5_000, description="… for this long.")
    reference_max_age_ms: int = Field(
        3_000, ge=1, le=600_000, description="MARKET orders need a reference price younger than this."
    )


class FeeSettings(Section):
    """Fees (contract, section 8) in basis points, 1/10 000."""

    taker_rate_bps: Bps = Field(
        700, description="Taker fee: this rate times p(1 - p) a contract, p the price in dollars."
    )
    maker_rebate_bps: Bps = Field(2_500, description="Share of the taker's fee that goes to the maker.")


class SeriesSettings(Section):
    """Windows and prints (contract, section 7), in milliseconds of venue time."""

    slug: str = Field(
        "BTC-1M", pattern=r"^[A-Z0-9][A-Z0-9-]{1,31}$", description="Name of the series, in every symbol."
    )
    window_ms: int = Field(
        60_000, ge=1_000, le=86_400_000, description="Length of a window; a day must be a whole number of them."
    )
    tie_rule: Literal["VOID", "YES", "NO"] = Field(
        "VOID", description="Outcome when close equals open: VOID, YES or NO."
    )
    print_max_age_ms: int = Field(
        5_000, ge=1, le=60_000, description="A print may be at most this old at its boundary."
    )
    print_grace_ms: WaitMs = Field(
        5_000, description="No usable print this long after the boundary: the window is VOID."
    )
    gap_ms: Ms = Field(
        5_000, description="A longer gap in the venue's time voids the windows whose boundary it covers."
    )

    @model_validator(mode="after")
    def _a_day_is_whole_windows(self) -> SeriesSettings:
        if 86_400_000 % self.window_ms:
            raise ValueError("window_ms: must divide a day (86400000)")
        return self


def _known_source(source: str) -> str:
    if source in ("simulated", "live") or re.fullmatch(r"replay:.+", source):
        return source
    raise ValueError("must be simulated, live or replay:FILE")


class ReferenceSection(ReferenceSettings):
    """Where the Bitcoin price comes from. Ages and delays in milliseconds, prices in cents, shares in basis points.

    The last three are filled in from `[risk]` and `[series]`, where they are set: one setting, one place.
    """

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, AfterValidator(_known_source)] = Field(
        "simulated", description="simulated, live, or replay:FILE (CSV or recorded frames, either may be gzipped)."
    )
    reference_max_age_ms: int = Field(3_000, exclude=True)
    print_max_age_ms: int = Field(5_000, exclude=True)
    print_grace_ms: int = Field(5_000, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _set_elsewhere(cls, data: Any) -> Any:
        for name, home in ELSEWHERE.items():
            if isinstance(data, Mapping) and name in data:
                raise ValueError(f"{name}: set it as {home}.{name}")
        return data


ELSEWHERE: Final = {"reference_max_age_ms": "risk", "print_max_age_ms": "series", "print_grace_ms": "series"}
"""Settings of the reference that live in another table."""


class FaucetSettings(Section):
    """Test cash, in cents; times in milliseconds of venue time. Caps are per account."""

    enabled: bool = Field(True, description="Whether there is a faucet; without one claims answer FEATURE_DISABLED.")
    signup_grant_cents: Cents = Field(100_000, description="Cash a new account's first agent starts with.")
    amount_cents: CapCents = Field(10_000, description="Cash of one claim.")
    cooldown_ms: WaitMs = Field(60_000, description="Time between two claims of one account.")
    account_cap_cents: Cents = Field(500_000, description="Sum of all claims of one account.")


class LimitSettings(Section):
    """Budgets and maxima (contract, section 12). Budgets run in real time."""

    writes_per_minute: Budget = Field(600, description="Writes of an agent; a batch costs one an order.")
    cancels_per_minute: Budget = Field(600, description="Cancels of an agent, a budget of their own.")
    reads_per_minute: Budget = Field(6_000, description="Reads of an agent; previews are reads.")
    anonymous_reads_per_minute: Budget = Field(600, description="Reads of an address without a key.")
    signups_per_minute: Budget = Field(10, description="Signups and logins of an address.")
    signups_per_day: Budget | None = Field(
        None, examples=[50], description="Signups of an address a day; absent: no daily cap."
    )
    open_orders_per_market: Count = Field(200, description="Resting orders of an agent in one market.")
    batch_size: int = Field(15, ge=1, le=1_000, description="Orders in one batch.")
    cancel_list: int = Field(100, ge=1, le=10_000, description="Ids in one cancel.")
    quote_levels: int = Field(20, ge=1, le=99, description="Levels a side in one quote.")
    body_bytes: int = Field(65_536, ge=1_024, le=16_777_216, description="Bytes of a request body.")
    body_deadline_ms: int = Field(10_000, ge=100, le=600_000, description="Time a request body may take to arrive.")
    agents_per_account: int = Field(10, ge=1, le=10_000, description="Agents of one account.")
    keys_per_agent: int = Field(20, ge=1, le=10_000, description="Live keys of one agent.")
    sockets_per_agent: int = Field(6, ge=1, le=10_000, description="Open streams of one agent, sockets and SSE.")
    sockets_per_key: int = Field(3, ge=1, le=10_000, description="Open streams of one key.")
    sockets_per_address: int = Field(256, ge=1, le=100_000, description="Open streams of one address.")
    subscriptions_per_socket: int = Field(128, ge=1, le=10_000, description="Channels of one stream.")
    control_messages_per_minute: Budget = Field(
        120, description="Messages of one socket that are not order entry: subscribe, unsubscribe, authenticate, ping."
    )
    frame_bytes: int = Field(16_384, ge=1_024, le=1_048_576, description="Bytes of a frame a socket may send.")
    unread_bytes: int = Field(
        1_048_576, ge=65_536, le=268_435_456, description="Bytes a stream's reader may be behind before it is cut off."
    )
    book_interval_ms: int = Field(
        30, ge=0, le=1_000, description="Changes of a book within this real time are one delta of its channel."
    )
