"""What a trading strategy is: one interface for a live venue and for the simulation.

A strategy looks at a `View` and answers with actions. It does no I/O, asks no clock, and given its constructor
arguments and the same views it acts the same; so what was measured in `raeth.sim` runs on a live venue unchanged.
Must not know who runs it: no sockets, no asyncio, nothing of the server. Money is integer cents, prices are integer
cents of the YES contract (1-99), quantities whole contracts, times integer milliseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

Side = Literal["BUY", "SELL"]
Tif = Literal["GTC", "IOC", "FOK", "POST_ONLY"]
Resolution = Literal["YES", "NO", "VOID"]
Level = tuple[int, int]
"""`(price, qty)`."""

NO_ORDERS: Mapping[str, OwnOrder] = {}

# ---- what a strategy sees ----


class OwnOrder(msgspec.Struct, frozen=True):
    """An own order that rests in the view's market. `remaining_qty` of `qty` may still trade."""

    order_id: str
    side: Side
    price: int
    qty: int
    remaining_qty: int
    client_order_id: str | None = None
    quote_id: str | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the view's market: its `risk`, `fees` and `geometry` blocks under the contract's names.

    A market keeps those it was listed with. Rates are basis points, 1/10 000 (contract, sections 5 and 8).
    """

    max_order_qty: int
    max_order_notional_cents: int
    position_cap: int
    open_orders_per_market: int
    fat_finger_distance: int
    fat_finger_multiple: int
    reference_max_age_ms: int
    taker_rate_bps: int
    maker_rebate_bps: int
    price_min: int = 1
    price_max: int = 99
    payout_cents: int = 100


class View(Protocol):
    """The venue as one agent sees it, for one decision. Read-only, and good only until `decide` returns.

    It shows what the agent can know by `now_ms`: with a slow feed that is the venue as it was a little earlier.
    """

    @property
    def now_ms(self) -> int:
        """Venue time now, as well as the agent can know it."""

    @property
    def market(self) -> str:
        """Symbol of the OPEN market. Every action of this decision goes there."""

    @property
    def open_at_ms(self) -> int: ...

    @property
    def close_at_ms(self) -> int:
        """The market takes orders until just before this."""

    @property
    def strike_cents(self) -> int | None:
        """The open print: YES pays if the close print is above it. None until it is taken."""

    @property
    def halted(self) -> bool:
        """The market takes no orders; cancels work."""

    @property
    def frozen(self) -> bool:
        """The venue takes no orders; cancels work."""

    @property
    def bids(self) -> Sequence[Level]:
        """All bids, best first, own ones included."""

    @property
    def asks(self) -> Sequence[Level]:
        """All asks, best first, own ones included."""

    @property
    def last_trade_price(self) -> int | None:
        """Of this market."""

    @property
    def reference_cents(self) -> int | None:
        """The newest reference price, however old; None while there is none."""

    @property
    def reference_age_ms(self) -> int | None:
        """`now_ms` less the source time of the reference price; None while there is none."""

    @property
    def reference_history(self) -> Sequence[tuple[int, int]]:
        """`(ts_ms, price_cents)`, oldest first, at most the last 300 s."""

    @property
    def net_qty(self) -> int:
        """Own position in this market: + YES, − NO."""

    @property
    def cash_flow_cents(self) -> int:
        """Own cash flow in this market, fees included; it moves when the market resolves."""

    @property
    def cash_cents(self) -> int:
        """Settled cash."""

    @property
    def free_cash_cents(self) -> int:
        """Settled cash less what is locked as collateral."""

    @property
    def orders(self) -> Mapping[str, OwnOrder]:
        """Own resting orders in this market by order id."""

    @property
    def in_flight(self) -> int:
        """Own actions that were sent and whose outcome has not been told yet: what they do is not in this view."""

    @property
    def limits(self) -> Limits: ...


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A `View` made of plain values, for whoever runs a strategy and for tests of one."""

    now_ms: int
    market: str
    open_at_ms: int
    close_at_ms: int
    limits: Limits
    strike_cents: int | None = None
    halted: bool = False
    frozen: bool = False
    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    last_trade_price: int | None = None
    reference_cents: int | None = None
    reference_age_ms: int | None = None
    reference_history: Sequence[tuple[int, int]] = ()
    net_qty: int = 0
    cash_flow_cents: int = 0
    cash_cents: int = 0
    free_cash_cents: int = 0
    orders: Mapping[str, OwnOrder] = NO_ORDERS
    in_flight: int = 0


# ---- what a strategy may do; always in the market of the view it decided on ----


class Place(msgspec.Struct, frozen=True):
    """One order. `price` None makes it a MARKET order, which acts as IOC, or as FOK if `tif` says so."""

    side: Side
    qty: int
    price: int | None = None
    tif: Tif | None = None
    reduce_only: bool = False
    slippage_cap_cents: int | None = None
    client_order_id: str | None = None
    expires_at_ms: int | None = None
    confirm_fat_finger: bool = False


class Cancel(msgspec.Struct, frozen=True):
    order_id: str


class CancelAll(msgspec.Struct, frozen=True):
    """Cancel the own orders of this market, those of one side or one quote if so asked."""

    side: Side | None = None
    quote_id: str | None = None


class Quotes(msgspec.Struct, frozen=True):
    """Replace all resting orders of `quote_id`, atomically; no level at all pulls the quote.

    At most 20 levels a side, not crossed, each price once a side. Levels that would match are declined singly.
    """

    quote_id: str
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()


class Amend(msgspec.Struct, frozen=True):
    """Change a resting order; `qty` is the new total, fills included. None leaves a field as it is."""

    order_id: str
    price: int | None = None
    qty: int | None = None


Action = Place | Cancel | CancelAll | Quotes | Amend

# ---- what became of it ----


class OrderResult(msgspec.Struct, frozen=True):
    """An order as it stood when its action was done. `status` and `reject_reason` are the contract's words."""

    order_id: str
    side: Side
    price: int | None
    qty: int
    status: str
    filled_qty: int = 0
    remaining_qty: int = 0
    filled_notional_cents: int = 0
    fee_cents: int = 0
    reject_reason: str | None = None
    client_order_id: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of one action.

    `ok`: the venue did it (an order that was accepted and filled nothing is ok; for `Quotes`, every level was
    accepted). Else `reason` is a code of the venue's catalogue, a decline or an error such as RATE_LIMITED, and
    `details` are the repair numbers that come with it (`max_qty`, `required_cents`, `retry_after_ms`, …).
    `order` is the order of a Place, Cancel or Amend; `orders` those of `Quotes`, bids first, as in the action.
    """

    action: Action
    ok: bool
    reason: str | None = None
    details: Mapping[str, Any] = {}
    order: OrderResult | None = None
    orders: tuple[OrderResult, ...] = ()


class Strategy(Protocol):
    """A trading agent's mind. The three methods are called one at a time, in the order of venue time."""

    wake_every_ms: int
    """`decide` is called at least this often of venue time, and after own fills; never while no market is open."""

    def decide(self, view: View) -> Sequence[Action]:
        """What to do now, in this order. An empty sequence does nothing.."""
        ...

    def told(self, outcome: Outcome) -> None:
        """The result of each action, in the order of the actions."""
        ...

    def settled(self, market: str, resolution: Resolution, pnl_cents: int) -> None:
        """A market in which the agent had a position entry has ended; `pnl_cents` is what its cash moved by."""
        ...


class StrategyBase:
    """A strategy that does nothing and listens to nothing: override what you need."""

    wake_every_ms: int = 1_000

    def decide(self, view: View) -> Sequence[Action]:
        return ()

    def told(self, outcome: Outcome) -> None:
        """Nothing to repair."""

    def settled(self, market: str, resolution: Resolution, pnl_cents: int) -> None:
        """Nothing to learn."""
