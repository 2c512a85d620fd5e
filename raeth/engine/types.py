"""The nouns every file of the engine shares: settings, orders, prints, and the named constants.

Money is integer cents, prices are integer cents of the YES contract (1-99), times are integer
milliseconds since the Unix epoch. Structs encode as JSON arrays, so a field may only be appended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

ENGINE_VERSION: Final = 2
"""Which engine this is. It rises whenever this one can journal what its predecessor could not read or would do
otherwise, a new kind of command included: that is what keeps the predecessor off the journal after a rollback."""

ENGINES_CONTINUED: Final = range(1, ENGINE_VERSION + 1)
"""Engines whose journals this one re-executes byte for byte, and so may go on with."""

PRICE_MIN: Final = 1
PRICE_MAX: Final = 99
PAYOUT: Final = 100

BUY: Final = 0
SELL: Final = 1
SIDES: Final = ("BUY", "SELL")

LIMIT: Final = "LIMIT"
MARKET: Final = "MARKET"

GTC: Final = "GTC"
IOC: Final = "IOC"
FOK: Final = "FOK"
POST_ONLY: Final = "POST_ONLY"

CANCEL_MAKER: Final = "CANCEL_MAKER"
CANCEL_TAKER: Final = "CANCEL_TAKER"
CANCEL_BOTH: Final = "CANCEL_BOTH"

# Order status.
OPEN: Final = "OPEN"
PARTIALLY_FILLED: Final = "PARTIALLY_FILLED"
FILLED: Final = "FILLED"
CANCELLED: Final = "CANCELLED"
EXPIRED: Final = "EXPIRED"
REJECTED: Final = "REJECTED"

# Market status (OPEN and EXPIRED are shared with orders).
PENDING: Final = "PENDING"
RESOLVED: Final = "RESOLVED"
VOID: Final = "VOID"

READ: Final = "read"
TRADE: Final = "trade"
CANCEL: Final = "cancel"

Details = dict[str, int]


def plainly_written(struct: type[T]) -> type[T]:
    """Have Python write the fields of a struct. msgspec, on every write, looks whether the collector must follow the
    object from now on; with `gc=False` it never must, and this takes a quarter of the time."""
    assert not struct.__struct_config__.gc  # type: ignore[attr-defined]
    struct.__setattr__ = object.__setattr__  # type: ignore[method-assign]
    struct.__delattr__ = object.__delattr__  # type: ignore[method-assign]
    return struct


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every rule the engine reads. It arrives in a journaled `Configure`; a market keeps the one it was listed with.

    Counts of contracts, cents, basis points (1/10 000) and milliseconds, as the names say.
    """

    reference_kind: str
    slug: str = "BTC-1M"
    window_ms: int = 60_000
    tie_rule: str = VOID
    print_max_age_ms: int = 5_000
    print_grace_ms: int = 5_000
    gap_ms: int = 5_000
    reference_max_age_ms: int = 3_000
    max_order_qty: int = 2_000
    max_order_notional_cents: int = 200_000
    fat_finger_distance: int = 20
    fat_finger_multiple: int = 5
    position_cap: int = 5_000
    cooldown_rejects: int = 20
    cooldown_window_ms: int = 10_000
    cooldown_ms: int = 5_000
    open_orders_per_market: int = 200
    taker_rate_bps: int = 700
    maker_rebate_bps: int = 2_500
    faucet_amount_cents: int = 10_000
    faucet_cooldown_ms: int = 60_000
    faucet_account_cap_cents: int = 500_000
    signup_grant_cents: int = 100_000
    agents_per_account: int = 10
    keys_per_agent: int = 20


class Fill(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One execution as its own order sees it. `fee_cents` is negative for a maker's rebate."""

    trade_id: int
    price: int
    qty: int
    liquidity: str
    fee_cents: int
    ts: int


@plainly_written
class Order(msgspec.Struct, array_like=True, gc=False):
    """An order: the live one in the book, and, copied, its state in an event.

    `remaining` is what may still trade (0 once ended); `account` is there for self-trade prevention.
    `taker_num` and `maker_num` are the exact fee numerators of contract section 8, in cents / 10^6.
    """

    id: int
    agent: int
    account: int
    market: int
    side: int
    type: str
    tif: str
    price: int | None
    qty: int
    remaining: int
    reduce_only: bool
    stp: str
    client_order_id: str | None
    quote_id: str | None
    expires_at: int | None
    created_ts: int
    updated_ts: int
    seq: int
    status: str = OPEN
    filled: int = 0
    notional: int = 0
    fee_cents: int = 0
    taker_num: int = 0
    maker_num: int = 0
    reject_reason: str | None = None
    reject_details: Details | None = None
    cancel_reason: str | None = None
    fills: tuple[Fill, ...] = ()


copy_of: Callable[[Order], Order] = Order.__copy__  # type: ignore[attr-defined]
"""A copy that later changes of the order do not reach. Half the price of `copy.copy`, and every order needs one."""


class Input(msgspec.Struct, array_like=True, frozen=True):
    """What one venue contributed to a print: evidence, kept as it was seen.

    A USDT pair is converted: `price_cents = quote_price_cents * rate_e8 // 10^8`.
    """

    venue: str
    price_cents: int | None
    source_ts: int | None
    used: bool
    why: str | None = None
    quote_price_cents: int | None = None
    rate_e8: int | None = None
    rate_source_ts: int | None = None


class PrintFact(msgspec.Struct, array_like=True, frozen=True):
    """A journaled print at `boundary`. `price_cents` is None when there was no usable price; `reason` says why."""

    boundary: int
    price_cents: int | None
    source_ts: int | None
    source: str
    rule: str
    reason: str | None
    inputs: tuple[Input, ...]
    seq: int
    ts: int


class KeySpec(msgspec.Struct, array_like=True, frozen=True):
    """An API key as the venue knows it: never the secret, only `digest`, the hex HMAC-SHA-256 of it.

    `expires_at` is real time in epoch milliseconds and judged at the door; `allowed_ips` are CIDR blocks.
    """

    key_id: str
    digest: str
    name: str
    scopes: tuple[str, ...]
    expires_at: int | None = None
    allowed_ips: tuple[str, ...] = ()
