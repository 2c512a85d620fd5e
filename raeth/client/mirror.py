"""An agent's orders, positions and cash, kept from its private channel. Pure: events in, state out.

The rules are those of the contract's section 8: cash moves once, when a market resolves; until then a market has a net
position and a cash flow, and locks exactly its worst outcome. Events arrive one by one, and a command may cause several
of one `seq`: sums are true between two commands. Must not know sockets, nor whether an event is the next one (the
stream judges that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from raeth.client.models import Account, Fill, LedgerEntry, Order, Position

PAYOUT = 100
"""Cents a contract pays to the side that was right."""


TOUCHED = 1_000
"""Markets of which an end is waited for; with one connection at least every few hours there are a handful."""


def lock_cents(net_qty: int, cash_flow_cents: int, buys_cents: int, sells_cents: int) -> int:
    """The collateral of one market: the loss if NO, the loss if YES, or nothing (contract, section 8).

    `buys_cents` is the sum of price times remaining over own resting buys, `sells_cents` that of 100 less price over
    own resting sells."""
    return max(0, buys_cents - cash_flow_cents, sells_cents - cash_flow_cents - PAYOUT * net_qty)


class Holding(msgspec.Struct, frozen=True):
    """What the agent has in one unresolved market; `net_qty` is positive for YES, negative for NO."""

    market_id: str
    symbol: str
    net_qty: int = 0
    cash_flow_cents: int = 0

    @property
    def payoff_if_yes_cents(self) -> int:
        return self.cash_flow_cents + PAYOUT * self.net_qty

    @property
    def payoff_if_no_cents(self) -> int:
        return self.cash_flow_cents


class Settled(msgspec.Struct, frozen=True):
    """A market the agent had something in has ended. `pnl_cents` is what its position brought, 0 when VOID."""

    market_id: str
    symbol: str
    resolution: str
    pnl_cents: int


Fact = Order | Fill | LedgerEntry | Settled
"""What one event told."""


class Mirror:
    """The own account as of `seq`. Money in cents, quantities in contracts."""

    __slots__ = ("_snapshot_seq", "cash_cents", "orders", "positions", "seq", "suspended", "synced", "touched")

    def __init__(self) -> None:
        self.seq = 0
        """Of the newest event; what happened to others since then does not count."""
        self.synced = False
        """Whether there was a snapshot."""
        self.cash_cents = 0
        """Settled cash."""
        self.orders: dict[str, Order] = {}
        """Open orders by order id, in the order in which they became known."""
        self.positions: dict[str, Holding] = {}
        """By market id: markets that have not resolved, with a position, a cash flow or both."""
        self.touched: dict[str, None] = {}
        """Markets with an own order or fill of which no end was told, in the order in which they became known."""
        self.suspended = False
        self._snapshot_seq = 0

    def locked_cents(self, market_id: str | None = None) -> int:
        """Collateral: the worst outcome of one market, or of every market, summed."""
        costs = {market: [0, 0] for market in self.positions}
        for order in self.orders.values():
            market, price = order.market_id, order.price
            assert market is not None and price is not None, "an order that rests without market or price"
            buys_sells = costs.setdefault(market, [0, 0])
            if order.side == "BUY":
                buys_sells[0] += price * order.remaining_qty
            else:
                buys_sells[1] += (PAYOUT - price) * order.remaining_qty
        total = 0
        for market, (buys, sells) in costs.items():
            if market_id is None or market == market_id:
                held = self.positions.get(market)
                net, flow = (held.net_qty, held.cash_flow_cents) if held is not None else (0, 0)
                total += lock_cents(net, flow, buys, sells)
        return total

    @property
    def free_cash_cents(self) -> int:
        """Settled cash less collateral."""
        return self.cash_cents - self.locked_cents()

    def position(self, market_id: str) -> Holding:
        """An empty one where there is none."""
        return self.positions.get(market_id) or Holding(market_id, "")

    def snapshot(self, data: Mapping[str, Any], seq: int) -> None:
        """Begin anew from the account, its positions and its open orders as of `seq`."""
        account = msgspec.convert(data["account"], Account)
        positions = msgspec.convert(data["positions"], list[Position])
        orders = msgspec.convert(data["orders"], list[Order])
        self.cash_cents, self.suspended = account.cash_cents, account.suspended
        self.positions = {
            p.market_id: Holding(p.market_id, p.symbol, p.net_qty, p.cash_flow_cents)
            for p in positions
            if p.net_qty or p.cash_flow_cents
        }
        self.orders = {order.order_id: order for order in orders if order.is_open}
        for market_id in (*(p.market_id for p in positions), *(order.market_id for order in orders)):
            self._touch(market_id)
        self.seq = self._snapshot_seq = seq
        self.synced = True

    def event(self, data: Mapping[str, Any], seq: int) -> Fact | None:
        """Take in one event and say what it told; None for one that is in the snapshot already, for a decline of an
        amend, for suspensions, for the end of a market the agent had nothing in, and for kinds this version does not
        know. Raises ValueError for one that breaks its form."""
        if not self.synced or seq <= self._snapshot_seq:
            return None
        self.seq = max(self.seq, seq)
        take = self._TAKES.get(data.get("kind", ""))
        return take(self, data) if take is not None else None

    def _order(self, data: Mapping[str, Any]) -> Order:
        order = msgspec.convert(data["order"], Order)
        if not order.is_rejected:
            self._touch(order.market_id)
        if order.is_open:
            self.orders[order.order_id] = order
        else:
            self.orders.pop(order.order_id, None)
        return order

    def _fill(self, data: Mapping[str, Any]) -> Fill:
        fill = msgspec.convert(data["fill"], Fill)
        self._touch(fill.market_id)
        by = fill.qty if fill.side == "BUY" else -fill.qty
        held = self.positions.get(fill.market_id)
        net, flow = (held.net_qty, held.cash_flow_cents) if held is not None else (0, 0)
        net, flow = net + by, flow - by * fill.price - fill.fee_cents
        if net or flow:
            self.positions[fill.market_id] = Holding(fill.market_id, fill.symbol, net, flow)
        else:
            self.positions.pop(fill.market_id, None)
        return fill

    def _cash(self, data: Mapping[str, Any]) -> LedgerEntry:
        entry = msgspec.convert(data["entry"], LedgerEntry)
        self.cash_cents = entry.balance_after_cents
        return entry

    def _touch(self, market_id: str | None) -> None:
        if market_id is not None:
            self.touched[market_id] = None
            if len(self.touched) > TOUCHED:
                del self.touched[next(iter(self.touched))]

    def _settled(self, data: Mapping[str, Any]) -> Settled | None:
        market_id, resolution = data["market_id"], data["resolution"]
        held = self.positions.pop(market_id, None)
        for order in [order for order in self.orders.values() if order.market_id == market_id]:
            del self.orders[order.order_id]
        if market_id not in self.touched:
            return None
        del self.touched[market_id]
        pnl = 0
        if held is not None and resolution != "VOID":
            pnl = held.payoff_if_yes_cents if resolution == "YES" else held.payoff_if_no_cents
        return Settled(market_id, data["symbol"], resolution, pnl)

    def _agent(self, data: Mapping[str, Any]) -> None:
        self.suspended = data["event"] == "SUSPENDED"

    _TAKES: ClassVar[dict[str, Callable[[Mirror, Mapping[str, Any]], Fact | None]]] = {
        "order": _order,
        "fill": _fill,
        "cash": _cash,
        "settled": _settled,
        "agent": _agent,
    }
