"""Market data as it is shown: series, windows, books, trades, candles, settlements (contract, section 7)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raeth.api.schemas.common import Answer, Cents, Price, Seq, Symbol, Time, Uuid

MarketStatus = Literal["PENDING", "OPEN", "EXPIRED", "RESOLVED", "VOID"]
Resolution = Literal["YES", "NO", "VOID"]
ReferenceStatus = Literal["LIVE", "STALE", "DOWN"]

BtcCents = Annotated[int, Field(description="US cents for one bitcoin.", examples=[9_512_345])]


class Geometry(Answer):
    """The price grid: integer cents of a contract that pays `payout` cents or nothing."""

    price_min: int = Field(examples=[1])
    price_max: int = Field(examples=[99])
    tick: int = Field(examples=[1])
    price_scale: int = Field(description="Decimal places of a dollar that a price counts.", examples=[2])
    payout: int = Field(description="Cents a winning contract pays.", examples=[100])


class Rules(Answer):
    """How the outcome is found."""

    outcome_rule: str
    tie_rule: Resolution
    print_rule: str
    print_max_age_ms: int = Field(description="A print may be at most this old at its boundary.")
    print_grace_ms: int = Field(description="Without a usable print this long after the boundary: VOID.")
    gap_ms: int = Field(description="A longer gap in venue time voids the windows whose boundary it covers.")
    window_ms: int


class Risk(Answer):
    """The bounds of the risk chain for this market."""

    max_order_qty: int
    max_order_notional_cents: int
    fat_finger_distance: int = Field(description="Cents beyond the mark that an order may reach …")
    fat_finger_multiple: int = Field(description="… or this multiple of the mark, whichever is wider.")
    position_cap: int = Field(description="Contracts, worst case.")
    reference_max_age_ms: int = Field(description="MARKET orders need a reference price younger than this.")
    cooldown_rejects: int
    cooldown_window_ms: int
    cooldown_ms: int
    open_orders_per_market: int


class Fees(Answer):
    """Rates in basis points (1/10 000)."""

    taker_rate_bps: int
    maker_rebate_bps: int = Field(description="Share of the taker's fee that the maker gets.")
    formula: str


class MarketReference(Answer):
    """The two prints that decide the outcome, once they are there."""

    open_price_cents: BtcCents | None
    close_price_cents: BtcCents | None
    source: str


class MarketView(Answer):
    """One window: will Bitcoin close above where it opened?"""

    id: Uuid
    symbol: Symbol
    series: str = Field(examples=["BTC-1M"])
    kind: Literal["BTC_BINARY"]
    status: MarketStatus
    open_at: Time
    close_at: Time
    seconds_to_close: int = Field(description="Whole seconds of venue time, rounded down; 0 from the close on.", ge=0)
    geometry: Geometry
    rules: Rules
    risk: Risk
    fees: Fees
    reference: MarketReference
    resolution: Resolution | None
    best_bid: Price | None
    best_ask: Price | None
    last_trade_price: Price | None
    mark_price: Price | None = Field(description="Floor of the mid of the touch, else the last trade, else null.")
    volume: int = Field(description="Contracts traded.")
    open_interest: int | None = Field(description="Contracts held long; null where it was not kept.")
    halted: bool
    seq: Seq = Field(description="The journal sequence number at which this was true.")


class MarketPage(Answer):
    """OPEN markets first, then the other live ones by close, then those that have ended, newest first."""

    items: list[MarketView]
    next_cursor: str | None


# Not a tuple: half of the tools that read the document stumble over `prefixItems`.
Level = Annotated[
    list[int],
    Field(min_length=3, max_length=3, description="[price, qty, orders]: cents of YES, contracts, resting orders."),
]


class BookView(Answer):
    """The resting orders of a market by price, best first. A market that has ended has an empty book."""

    market_id: Uuid
    seq: Seq
    ts: Time
    bids: list[Level] = Field(examples=[[[54, 120, 3], [53, 40, 1]]])
    asks: list[Level] = Field(examples=[[[56, 80, 2]]])


class TradeView(Answer):
    """A trade as everybody may see it."""

    trade_id: Uuid
    price: Price
    qty: int = Field(description="Contracts.")
    taker_side: Literal["BUY", "SELL"]
    ts: Time


class TradePage(Answer):
    items: list[TradeView]
    next_cursor: str | None


class CandleView(Answer):
    """The trades of `[ts, ts + interval_ms)`; an interval without trades has no candle."""

    ts: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: int = Field(description="Contracts.")
    trades: int


class CandlePage(Answer):
    items: list[CandleView]
    next_cursor: str | None


class PrintInput(Answer):
    """What one venue contributed, and whether it was used."""

    venue: str
    price_cents: BtcCents | None
    source_ts: Time | None
    used: bool
    why: str | None
    quote_price_cents: BtcCents | None = Field(
        description="A USDT price before its conversion: price_cents = quote_price_cents * rate_e8 // 10^8. Else null."
    )
    rate_e8: int | None = Field(description="Dollars for one USDT, times 10^8.")
    rate_source_ts: Time | None


class PrintView(Answer):
    """The reference price at a boundary, with its evidence."""

    boundary: Time
    price_cents: BtcCents | None = Field(description="null when there was no usable price; `reason` says why.")
    source_ts: Time | None
    age_ms: int | None = Field(description="Age of the price at the boundary.")
    source: str
    rule: str
    reason: str | None
    inputs: list[PrintInput]
    seq: Seq
    ts: Time = Field(description="When it was journaled.")


class SettlementView(Answer):
    """The evidence of an outcome. Before it is known, what there is of it."""

    market_id: Uuid
    symbol: Symbol
    status: MarketStatus
    resolution: Resolution | None
    reason: str | None = Field(description="UP, DOWN, TIE, or why it is VOID.", examples=["UP"])
    outcome_rule: str
    tie_rule: Resolution
    print_rule: str
    open_print: PrintView | None
    close_print: PrintView | None
    resolved_at: Time | None
    fees_cents: Cents | None = Field(description="What the venue kept of this market; 0 when VOID.")
    seq: Seq


class SeriesView(Answer):
    """A family of windows with one set of rules."""

    slug: str = Field(examples=["BTC-1M"])
    title: str
    kind: Literal["BTC_BINARY"]
    underlying: str = Field(examples=["BTC-USD"])
    window_ms: int
    geometry: Geometry
    rules: Rules
    risk: Risk
    fees: Fees
    seq: Seq


class SeriesPage(Answer):
    items: list[SeriesView]
    next_cursor: str | None


class VenueReading(Answer):
    """What the reference has of one venue."""

    model_config = {"extra": "allow"}

    venue: str
    price_cents: BtcCents | None
    source_ts: Time | None
    age_ms: int | None
    used: bool
    why: str | None


class ReferenceView(Answer):
    """The Bitcoin reference price as of now."""

    symbol: Literal["BTC-USD"]
    price_cents: BtcCents | None = Field(description="null while the feed is DOWN.")
    source_ts: Time | None
    age_ms: int | None
    status: ReferenceStatus
    source: str = Field(examples=["simulated"])
    synthetic: bool = Field(description="true when the price is made up.")
    venues: list[VenueReading]


class ReferencePoint(Answer):
    ts: Time
    price_cents: BtcCents
    source_ts: Time


class ReferenceHistory(Answer):
    """The moves of the reference price, oldest first, in one piece: at most the newest 5 000."""

    items: list[ReferencePoint]
    next_cursor: None


class SeriesContext(Answer):
    """Where a series stands: the window before, this one and the next, and the reference price."""

    series: SeriesView
    previous: MarketView | None
    current: MarketView | None
    next: MarketView | None
    reference: ReferenceView
    server_time: Time
    seq: Seq
