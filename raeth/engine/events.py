"""Events: what a command did. Everything outside the engine is read off these.

An event is a fact with its own `ts` (epoch milliseconds): what fell due while time passed carries the moment it was
due, which may be before the stamp of the command that brought it out. Orders inside events are copies.
"""

from __future__ import annotations

import msgspec

from raeth.engine.types import Details, KeySpec, Order, PrintFact, Settings


class Event(msgspec.Struct, array_like=True, tag=True, tag_field="e", gc=False):
    """Base of all events; the class name is the tag in the journal."""


class Refused(Event):
    """The command did nothing. `code` is one of the error catalogue (never an order's decline)."""

    code: str
    details: dict[str, int | str] | None = None


class Configured(Event):
    settings: Settings
    engine_version: int
    ts: int


class MarketListed(Event):
    """A window is pre-listed (PENDING) with the rules of the newest `Configured`."""

    market: int
    symbol: str
    open_at: int
    close_at: int
    ts: int


class MarketOpened(Event):
    market: int
    ts: int


class MarketExpired(Event):
    """The window closed at its boundary; the cancellations of what rested come right after."""

    market: int
    ts: int


class MarketHalted(Event):
    """By an operator, or with actor `venue` because the open print was unusable."""

    market: int
    actor: str
    reason: str | None
    ts: int


class MarketResumed(Event):
    market: int
    actor: str
    reason: str | None
    ts: int


class Printed(Event):
    """A print was taken. `opens` and `closes` are the markets it belongs to, None where there is none."""

    fact: PrintFact
    opens: int | None
    closes: int | None


class MarketResolved(Event):
    """The end of a market: `outcome` YES, NO or VOID. The `CashMoved` of a settlement come right after.

    `fees_cents` is what the venue kept (taker fees less rebates; 0 when void), `open_interest` the contracts held long
    at the end.
    """

    market: int
    outcome: str
    reason: str
    fees_cents: int
    ts: int
    open_interest: int = 0


class IndexMoved(Event):
    price_cents: int
    source_ts: int
    source: str
    ts: int


class Traded(Event):
    """One execution, before the `OrderPlaced` or `OrderAmended` of its taker.

    `maker_fee_cents` is this fill's; the other `maker_*` are the maker order's totals after it.
    """

    trade_id: int
    market: int
    price: int
    qty: int
    taker_side: int
    taker_order: int
    taker_agent: int
    taker_fee_cents: int
    maker_order: int
    maker_agent: int
    maker_fee_cents: int
    maker_remaining: int
    maker_filled: int
    maker_notional: int
    maker_fee_total_cents: int
    ts: int


class OrderPlaced(Event):
    """The one result of an order entry, accepted or REJECTED: the order as it stood when its command ended."""

    order: Order


class OrderEnded(Event):
    """A resting order ended (CANCELLED or EXPIRED). `was` is what it still had resting."""

    order: Order
    was: int


class OrderReduced(Event):
    """A resting order got smaller in place: an amend, a kept quote level, or a reduce-only excess (`reason`)."""

    order: Order
    was: int
    reason: str


class OrderAmended(Event):
    """An amend that ran the chain and joined the back of its queue. `fills_before` of the order's fills are older."""

    order: Order
    was_price: int
    was_remaining: int
    fills_before: int


class AmendRejected(Event):
    """The venue declined an amend; `order` is untouched."""

    order: Order
    reason: str
    details: Details


class QuotesPut(Event):
    """Ends a quote replacement. `results` are order ids in request order, bids first; `kept` are those not placed anew,
    as they stand now."""

    agent: int
    market: int
    quote_id: str
    results: tuple[int, ...]
    kept: tuple[Order, ...]


class OrdersCancelled(Event):
    """Ends a mass cancel: how many ended, and which of the listed ids were not open."""

    agent: int
    cancelled: int
    not_open: tuple[int, ...] = ()


class DeadmanSet(Event):
    """A dead-man timer was armed, or disarmed (`armed_until` None). `market` None: it is for all markets.

    `last_ts` and `last_cancelled`: when it last fired (None: never), and how many orders that cancelled.
    """

    agent: int
    market: int | None
    armed_until: int | None
    last_ts: int | None
    last_cancelled: int
    ts: int


class DeadmanFired(Event):
    """A dead-man timer ran out; the ends of the `cancelled` orders come right before."""

    agent: int
    market: int | None
    cancelled: int
    ts: int


class DeadmanMoved(Event):
    """An armed dead-man timer was moved, because the venue could not be reached."""

    agent: int
    market: int | None
    armed_until: int
    ts: int


class CashMoved(Event):
    """A wallet's cash changed. `wallet` is an agent's id, an account's (its master wallet), or 0 for the venue's fees.

    `kind`: SIGNUP_GRANT, FAUCET, GRANT, TRANSFER, SETTLEMENT or FEES.
    """

    wallet: int
    account: int
    kind: str
    amount_cents: int
    balance_after_cents: int
    market: int | None
    ts: int


class Transferred(Event):
    transfer_id: int
    account: int
    source: int
    target: int
    amount_cents: int
    client_transfer_id: str | None
    ts: int


class FaucetClaimed(Event):
    agent: int
    amount_cents: int
    cash_cents: int
    next_claim_at: int
    ts: int


class AccountCreated(Event):
    account: int
    email_digest: str
    ts: int


class AgentCreated(Event):
    agent: int
    account: int
    name: str
    ts: int


class KeyIssued(Event):
    agent: int
    key: KeySpec
    ts: int


class KeyRevoked(Event):
    agent: int
    key_id: str
    actor: str
    ts: int


class AgentSuspended(Event):
    agent: int
    actor: str
    reason: str
    ts: int


class AgentReinstated(Event):
    agent: int
    actor: str
    reason: str | None
    ts: int


class VenueFrozen(Event):
    actor: str
    reason: str
    ts: int


class VenueUnfrozen(Event):
    actor: str
    reason: str | None
    ts: int


class Announced(Event):
    actor: str
    message: str
    ts: int


AnyEvent = (
    Refused
    | Configured
    | MarketListed
    | MarketOpened
    | MarketExpired
    | MarketHalted
    | MarketResumed
    | Printed
    | MarketResolved
    | IndexMoved
    | Traded
    | OrderPlaced
    | OrderEnded
    | OrderReduced
    | OrderAmended
    | AmendRejected
    | QuotesPut
    | OrdersCancelled
    | DeadmanSet
    | DeadmanFired
    | DeadmanMoved
    | CashMoved
    | Transferred
    | FaucetClaimed
    | AccountCreated
    | AgentCreated
    | KeyIssued
    | KeyRevoked
    | AgentSuspended
    | AgentReinstated
    | VenueFrozen
    | VenueUnfrozen
    | Announced
)
