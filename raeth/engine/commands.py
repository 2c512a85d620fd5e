"""Commands: the only things that can change the venue. The journal stores them in one order.

They are already validated in form by whoever made them; the engine judges them against its state. Market,
order, agent and account fields are integer ids (see `ids`); a `market` of 0 is one nobody knows.
"""

from __future__ import annotations

import msgspec

from raeth.engine.types import Input, KeySpec, Settings


class Command(msgspec.Struct, array_like=True, tag=True, tag_field="c", gc=False):
    """Base of all commands; the class name is the tag in the journal."""


class Configure(Command):
    """Genesis (the first command of a journal), and every later change of the rules."""

    engine_version: int
    settings: Settings


class Tick(Command):
    """Nothing but time passing: lets a quiet venue close its windows."""


class IndexTick(Command):
    """The reference index, decimated to at most four a second of venue time."""

    price_cents: int
    source_ts: int
    source: str


class Print(Command):
    """The reference price at a window boundary, with its evidence; `price_cents` None if there was none."""

    boundary: int
    price_cents: int | None
    source_ts: int | None
    source: str
    rule: str
    reason: str | None
    inputs: tuple[Input, ...]


class Signup(Command):
    """A new account with its primary agent, a key and the signup grant. `email_digest` is a peppered HMAC."""

    email_digest: str
    agent_name: str
    key: KeySpec


class CreateAgent(Command):
    account: int
    name: str


class IssueKey(Command):
    account: int
    agent: int
    key: KeySpec


class RevokeKey(Command):
    account: int
    agent: int
    key_id: str


class RotateKey(Command):
    """Revoke `key_id` and issue `key` in one step; name, scopes, expiry and addresses are taken over from the old."""

    account: int
    agent: int
    key_id: str
    new_key_id: str
    new_digest: str


class Transfer(Command):
    """Move cash between wallets of one account; a wallet id equal to the account's id is its master wallet."""

    account: int
    source: int
    target: int
    amount_cents: int
    client_transfer_id: str | None = None


class Faucet(Command):
    agent: int
    key_id: str


class OrderSpec(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one order asks for. `leverage_ok`, `margin_mode_ok`: False if what is not offered was asked for."""

    market: int
    side: int
    type: str
    tif: str
    price: int | None
    qty: int
    slippage_cap: int | None = None
    reduce_only: bool = False
    client_order_id: str | None = None
    timestamp_ms: int | None = None
    recv_window_ms: int | None = None
    expires_at: int | None = None
    stp: str = "CANCEL_MAKER"
    confirm_fat_finger: bool = False
    leverage_ok: bool = True
    margin_mode_ok: bool = True


class PlaceOrder(Command):
    agent: int
    key_id: str
    order: OrderSpec


class PlaceBatch(Command):
    agent: int
    key_id: str
    orders: tuple[OrderSpec, ...]
    atomic: bool = False


class PutQuotes(Command):
    """Replace the resting orders of `quote_id`; `bids` and `asks` are `(price, qty)`, distinct and not crossed."""

    agent: int
    key_id: str
    market: int
    quote_id: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class AmendOrder(Command):
    """`qty` is the new total, fills included; None leaves a field as it is."""

    agent: int
    key_id: str
    order: int
    price: int | None
    qty: int | None


class CancelOrder(Command):
    agent: int
    key_id: str
    order: int


class CancelOrders(Command):
    """Cancel the listed orders, or, with `orders` None, all that match the filter (all fields None: everything)."""

    agent: int
    key_id: str
    orders: tuple[int, ...] | None = None
    market: int | None = None
    side: int | None = None
    quote_id: str | None = None
    client_order_ids: tuple[str, ...] | None = None


class CallDeadman(Command):
    """Cancel what the agent has resting (in `market`; None: anywhere) unless this comes again within `timeout_ms`.

    0 disarms."""

    agent: int
    key_id: str
    timeout_ms: int
    market: int | None = None


class Resurface(Command):
    """The venue can be reached again after a time in which it could not: dead-man timers move by that time, which began
    at the last stamp."""


class Disconnect(Command):
    """The socket that an agent tied its resting orders to is gone: all of them are cancelled (`DISCONNECT`).

    The venue's own doing, so it needs no key: the agent's may be the very thing that was revoked."""

    agent: int


class Freeze(Command):
    actor: str
    reason: str


class Unfreeze(Command):
    actor: str
    reason: str | None


class HaltMarket(Command):
    actor: str
    market: int
    reason: str


class ResumeMarket(Command):
    actor: str
    market: int
    reason: str | None


class VoidMarket(Command):
    actor: str
    market: int
    reason: str


class SuspendAgent(Command):
    """Stops an agent from trading and cancels what it has resting (`ADMIN`); reads and cancels stay open to it."""

    actor: str
    agent: int
    reason: str


class ReinstateAgent(Command):
    actor: str
    agent: int
    reason: str | None


class GrantCash(Command):
    actor: str
    agent: int
    amount_cents: int
    reason: str


class AdminRevokeKey(Command):
    actor: str
    key_id: str
    reason: str | None


class Broadcast(Command):
    actor: str
    message: str


AnyCommand = (
    Configure
    | Tick
    | IndexTick
    | Print
    | Signup
    | CreateAgent
    | IssueKey
    | RevokeKey
    | RotateKey
    | Transfer
    | Faucet
    | PlaceOrder
    | PlaceBatch
    | PutQuotes
    | AmendOrder
    | CancelOrder
    | CancelOrders
    | CallDeadman
    | Resurface
    | Disconnect
    | Freeze
    | Unfreeze
    | HaltMarket
    | ResumeMarket
    | VoidMarket
    | SuspendAgent
    | ReinstateAgent
    | GrantCash
    | AdminRevokeKey
    | Broadcast
)
