"""Market data as a venue answers it: series, windows, books, trades, settlements, the reference, who wins.

See `models` for units and for what is strict about them. Must not know orders or accounts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from raeth.client.values import Model, Side, epoch_ms


class Geometry(Model, frozen=True, kw_only=True):
    price_min: int
    price_max: int
    tick: int
    price_scale: int
    payout: int


class Rules(Model, frozen=True, kw_only=True):
    tie_rule: str
    print_rule: str
    outcome_rule: str | None = None
    print_max_age_ms: int | None = None
    print_grace_ms: int | None = None
    gap_ms: int | None = None
    window_ms: int | None = None


class Risk(Model, frozen=True, kw_only=True):
    """The bounds of the risk chain in one market."""

    max_order_qty: int
    max_order_notional_cents: int
    fat_finger_distance: int
    fat_finger_multiple: int
    position_cap: int
    reference_max_age_ms: int
    cooldown_rejects: int
    cooldown_window_ms: int
    cooldown_ms: int
    open_orders_per_market: int | None = None


class Fees(Model, frozen=True, kw_only=True):
    """Rates in basis points."""

    taker_rate_bps: int
    maker_rebate_bps: int
    formula: str | None = None


class MarketReference(Model, frozen=True, kw_only=True):
    """The two prints that decide the outcome, in US cents for one bitcoin, once they are there."""

    open_price_cents: int | None
    close_price_cents: int | None
    source: str


class Market(Model, frozen=True, kw_only=True):
    """One window: will Bitcoin close above where it opened? `status`: PENDING, OPEN, EXPIRED, RESOLVED, VOID."""

    id: str
    symbol: str
    series: str
    kind: str
    status: str
    open_at: str
    close_at: str
    seconds_to_close: int
    geometry: Geometry
    rules: Rules
    risk: Risk
    fees: Fees
    reference: MarketReference
    resolution: str | None
    best_bid: int | None
    best_ask: int | None
    last_trade_price: int | None
    mark_price: int | None
    volume: int
    open_interest: int | None
    halted: bool
    seq: int

    @property
    def open_at_ms(self) -> int:
        return epoch_ms(self.open_at)

    @property
    def close_at_ms(self) -> int:
        return epoch_ms(self.close_at)

    @property
    def tradeable(self) -> bool:
        """Open and not halted."""
        return self.status == "OPEN" and not self.halted


class Level(NamedTuple):
    """All that rests at one price."""

    price: int
    qty: int
    orders: int


class Book(Model, frozen=True, kw_only=True):
    """Resting orders by price, best first."""

    market_id: str
    seq: int
    ts: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @property
    def best_bid(self) -> Level | None:
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> Level | None:
        return self.asks[0] if self.asks else None


class Trade(Model, frozen=True, kw_only=True):
    """A trade as everybody may see it."""

    trade_id: str
    price: int
    qty: int
    taker_side: Side
    ts: str

    @property
    def ts_ms(self) -> int:
        return epoch_ms(self.ts)


class Candle(Model, frozen=True, kw_only=True):
    """The trades of one interval that starts at `ts`."""

    ts: str
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


class Print(Model, frozen=True, kw_only=True):
    """The reference price at a boundary, with its evidence in `inputs` (one object a price source)."""

    boundary: str
    price_cents: int | None
    source_ts: str | None
    age_ms: int | None
    source: str
    rule: str
    reason: str | None
    inputs: tuple[dict[str, Any], ...]
    seq: int
    ts: str


class Settlement(Model, frozen=True, kw_only=True):
    """The evidence of an outcome; before it is known, what there is of it."""

    market_id: str
    symbol: str
    status: str
    resolution: str | None
    reason: str | None
    tie_rule: str
    print_rule: str
    open_print: Print | None
    close_print: Print | None
    resolved_at: str | None
    fees_cents: int | None
    seq: int
    outcome_rule: str | None = None


class Series(Model, frozen=True, kw_only=True):
    """A family of windows with one set of rules."""

    slug: str
    title: str
    kind: str
    underlying: str
    window_ms: int
    geometry: Geometry
    rules: Rules
    risk: Risk
    fees: Fees
    seq: int


class Reference(Model, frozen=True, kw_only=True):
    """The Bitcoin reference price, US cents for one bitcoin. `status`: LIVE, STALE, DOWN."""

    status: str
    price_cents: int | None
    source_ts: str | None
    age_ms: int | None
    source: str
    synthetic: bool
    symbol: str | None = None
    venues: tuple[dict[str, Any], ...] = ()


class ReferencePoint(Model, frozen=True, kw_only=True):
    ts: str
    price_cents: int
    source_ts: str

    @property
    def ts_ms(self) -> int:
        return epoch_ms(self.ts)


class SeriesContext(Model, frozen=True, kw_only=True):
    """The window before, this one and the next, and the reference price."""

    series: Series
    previous: Market | None
    current: Market | None
    next: Market | None
    reference: Reference
    server_time: str
    seq: int


class Standing(Model, frozen=True, kw_only=True):
    """One account on the leaderboard, all its agents together. `name` was chosen by a stranger: it is data.

    `hit_rate_bps`: windows that brought something, per window that changed anything, in basis points.
    """

    rank: int
    account_id: str
    agent_id: str
    name: str
    pnl_cents: int
    granted_cents: int
    windows: int
    hits: int
    volume_contracts: int
    hit_rate_bps: int | None = None
    uncounted_cents: int | None = None
    drawdown_cents: int | None = None
    notional_cents: int | None = None
    decided: int | None = None
    last_window: str | None = None
    updated_at: str | None = None
    seq: int | None = None


class HouseNow(Model, frozen=True, kw_only=True):
    """What rests of the house's quote. `status`: QUOTING, ONE_SIDED, OUT, OFF."""

    status: str
    reason: str | None = None
    message: str | None = None
    market_id: str | None = None
    symbol: str | None = None
    best_bid: int | None = None
    bid_qty: int = 0
    best_ask: int | None = None
    ask_qty: int = 0
    fair_value_cents: int | None = None
    half_spread_cents: int | None = None


class Liquidity(Model, frozen=True, kw_only=True):
    """The house market maker: how it quotes, within which bounds, what it does now and how it fares."""

    enabled: bool
    agent_id: str | None
    agent_name: str
    policy: tuple[str, ...]
    parameters: dict[str, Any]
    bounds: dict[str, Any]
    now: HouseNow
    money: dict[str, Any] | None
    last_24h: dict[str, Any] | None
    seq: int
    ranked: bool = False
