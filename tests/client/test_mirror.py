"""The mirror of an account, held against a venue that is naive about it: one list of everything that ever happened, and
every figure counted anew from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.client.mirror import Mirror, Settled, lock_cents
from raeth.client.models import Fill, LedgerEntry, Order

MARKETS = ("m1", "m2", "m3")


class NaiveAccount:
    """One agent. `told` are the private events so far, as `(seq, data)`."""

    def __init__(self) -> None:
        self.seq = 0
        self.orders: list[dict[str, Any]] = []
        self.fills: list[dict[str, Any]] = []
        self.ledger: list[dict[str, Any]] = []
        self.ended: set[str] = set()
        self.told: list[tuple[int, dict[str, Any]]] = []

    # ---- figures, counted from the lists ----

    @property
    def cash(self) -> int:
        return sum(entry["amount_cents"] for entry in self.ledger)

    def open_orders(self, market: str | None = None) -> list[dict[str, Any]]:
        return [o for o in self.orders if o["remaining_qty"] and market in (None, o["market_id"])]

    def net(self, market: str) -> int:
        return sum(f["qty"] if f["side"] == "BUY" else -f["qty"] for f in self.fills if f["market_id"] == market)

    def flow(self, market: str) -> int:
        fills = [f for f in self.fills if f["market_id"] == market]
        paid = sum(f["price"] * f["qty"] if f["side"] == "BUY" else -f["price"] * f["qty"] for f in fills)
        return -paid - sum(f["fee_cents"] for f in fills)

    def worst(self, market: str) -> int:
        """The largest loss: for either outcome, with whatever of the open orders would make it worst."""
        losses = [0]
        for pays in (0, 100):
            loss = -self.flow(market) - pays * self.net(market)
            for order in self.open_orders(market):
                cost = order["price"] - pays if order["side"] == "BUY" else pays - order["price"]
                loss += max(0, cost * order["remaining_qty"])
            losses.append(loss)
        return max(losses)

    def live(self) -> list[str]:
        return [market for market in MARKETS if market not in self.ended]

    # ---- what happens ----

    def tell(self, **data: Any) -> None:
        self.told.append((self.seq, data))

    def tell_order(self, order: dict[str, Any]) -> None:
        order["seq"] = self.seq
        if order["remaining_qty"]:
            order["status"] = "PARTIALLY_FILLED" if order["filled_qty"] else "OPEN"
        self.tell(kind="order", order=dict(order))

    def place(self, market: str, side: str, price: int, qty: int, taken: int) -> None:
        """An order of which `taken` fills at once, as far as it can, and the rest rests."""
        order = order_body(f"o{len(self.orders)}", market, side, price, qty)
        self.orders.append(order)
        if taken:
            self.fill(order, min(taken, qty), fee_cents=2, liquidity="TAKER")
        if not order["remaining_qty"]:
            order["status"] = "FILLED"
        self.tell_order(order)

    def fill(self, order: dict[str, Any], qty: int, fee_cents: int, liquidity: str) -> None:
        order["filled_qty"] += qty
        order["remaining_qty"] -= qty
        if not order["remaining_qty"]:
            order["status"] = "FILLED"
        body = {name: order[name] for name in ("order_id", "market_id", "symbol", "side", "price")}
        body |= {
            "trade_id": f"t{len(self.fills)}",
            "qty": qty,
            "fee_cents": fee_cents,
            "liquidity": liquidity,
            "ts": "t",
        }
        self.fills.append(body)
        self.tell(kind="fill", fill=body)

    def taken_from(self, which: int, qty: int) -> None:
        if orders := self.open_orders():
            order = orders[which % len(orders)]
            self.fill(order, min(qty, order["remaining_qty"]), fee_cents=-1, liquidity="MAKER")
            self.tell_order(order)

    def cancel(self, which: int) -> None:
        if orders := self.open_orders():
            self.end(orders[which % len(orders)], "USER")

    def end(self, order: dict[str, Any], reason: str) -> None:
        order.update(status="CANCELLED", cancel_reason=reason, remaining_qty=0)
        self.tell_order(order)

    def amend(self, which: int, price: int, more: int) -> None:
        if orders := self.open_orders():
            order = orders[which % len(orders)]
            order["price"] = price
            order["qty"] += more
            order["remaining_qty"] += more
            self.tell_order(order)

    def decline(self, which: int) -> None:
        declined = order_body("declined", "m1", "BUY", 50, 3) | {"status": "REJECTED", "remaining_qty": 0}
        if which % 2 or not self.open_orders():
            self.tell(kind="order", order=declined)
        else:
            self.tell(kind="amend_rejected", order=declined | {"order": dict(self.open_orders()[0])})

    def move_cash(self, kind: str, amount: int, market: str | None = None) -> None:
        entry = {"seq": self.seq, "ts": "t", "kind": kind, "amount_cents": amount, "market_id": market}
        self.ledger.append(entry | {"balance_after_cents": self.cash + amount})
        self.tell(kind="cash", entry=self.ledger[-1])

    def settle(self, market: str, resolution: str) -> None:
        if market in self.ended:
            return
        for order in self.open_orders(market):
            self.end(order, "MARKET_CLOSED")
        amount = (
            0 if resolution == "VOID" else self.flow(market) + (100 * self.net(market) if resolution == "YES" else 0)
        )
        self.tell(kind="settled", market_id=market, symbol=market.upper(), resolution=resolution)
        self.ended.add(market)
        self.fills = [fill for fill in self.fills if fill["market_id"] != market]
        if amount:
            self.move_cash("SETTLEMENT", amount, market)

    def snapshot(self) -> dict[str, Any]:
        account = {"agent_id": "a", "agent_name": "n", "account_id": "c", "cash_cents": self.cash, "seq": self.seq}
        account |= dict.fromkeys(("locked_cents", "free_cash_cents", "equity_cents", "pending_pnl_cents"), 0)
        account |= {"open_orders": len(self.open_orders()), "frozen": False, "suspended": False}
        figures = {"payoff_if_yes_cents": 0, "payoff_if_no_cents": 0, "locked_cents": 0, "unrealized_pnl_cents": 0}
        positions = [
            {"market_id": m, "symbol": m.upper(), "net_qty": self.net(m), "cash_flow_cents": self.flow(m)}
            | {"mark_price": None, **figures}
            for m in self.live()
            if self.net(m) or self.flow(m) or self.open_orders(m)
        ]
        return {"account": account, "positions": positions, "orders": [dict(order) for order in self.open_orders()]}


def order_body(order_id: str, market: str, side: str, price: int, qty: int) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "client_order_id": None,
        "market_id": market,
        "symbol": market.upper(),
        "agent_id": "a",
        "side": side,
        "type": "LIMIT",
        "tif": "GTC",
        "price": price,
        "qty": qty,
        "reduce_only": False,
        "status": "OPEN",
        "filled_qty": 0,
        "remaining_qty": qty,
        "filled_notional_cents": 0,
        "fee_cents": 0,
        "reject_reason": None,
        "reject_message": None,
        "reject_details": None,
        "cancel_reason": None,
        "fills": [],
        "created_at": "t",
        "updated_at": "t",
        "seq": 0,
        "replayed": False,
    }


prices, sizes, which = st.integers(1, 99), st.integers(1, 9), st.integers(0, 99)
markets, sides = st.sampled_from(MARKETS), st.sampled_from(["BUY", "SELL"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("place"), markets, sides, prices, sizes, st.integers(0, 9)),
        st.tuples(st.just("taken_from"), which, sizes),
        st.tuples(st.just("cancel"), which),
        st.tuples(st.just("amend"), which, prices, st.integers(0, 5)),
        st.tuples(st.just("decline"), which),
        st.tuples(st.just("move_cash"), st.just("FAUCET"), st.integers(1, 10_000)),
        st.tuples(st.just("settle"), markets, st.sampled_from(["YES", "NO", "VOID"])),
    ),
    max_size=60,
)


@given(steps, st.integers(0, 60), st.integers(0, 60))
def test_equals_the_account_after_every_command(script: list[Any], first: int, again: int) -> None:
    """From a snapshot on, wherever it was taken, and with another one in between."""
    venue, mirror = NaiveAccount(), Mirror()
    for number, (name, *arguments) in enumerate(script):
        if name == "place" and arguments[0] in venue.ended:
            continue
        venue.seq += 1
        getattr(venue, name)(*arguments)
        told, venue.told = venue.told, []
        facts = [mirror.event(data, seq) for seq, data in told]
        if not mirror.synced:
            assert facts == [None] * len(told) and not mirror.orders
        if number in (first, again):
            mirror.snapshot(venue.snapshot(), venue.seq)
            assert [mirror.event(data, seq) for seq, data in told] == [None] * len(told)  # it is in the snapshot
        if mirror.synced:
            check(venue, mirror)


def check(venue: NaiveAccount, mirror: Mirror) -> None:
    assert mirror.cash_cents == venue.cash
    assert {o.order_id: (o.market_id, o.side, o.price, o.remaining_qty) for o in mirror.orders.values()} == {
        o["order_id"]: (o["market_id"], o["side"], o["price"], o["remaining_qty"]) for o in venue.open_orders()
    }
    for market in MARKETS:
        held = mirror.position(market)
        if market in venue.ended:
            assert market not in mirror.positions
            continue
        assert (held.net_qty, held.cash_flow_cents) == (venue.net(market), venue.flow(market))
        assert mirror.locked_cents(market) == venue.worst(market)
    assert mirror.free_cash_cents == venue.cash - sum(venue.worst(market) for market in venue.live())


def test_says_what_each_event_told() -> None:
    venue, mirror = NaiveAccount(), Mirror()
    mirror.snapshot(venue.snapshot(), 0)
    venue.seq = 1
    venue.move_cash("GRANT", 10_000)
    venue.place("m1", "BUY", 40, 5, 5)
    venue.settle("m1", "YES")
    facts = [mirror.event(data, seq) for seq, data in venue.told]
    assert [type(fact) for fact in facts] == [LedgerEntry, Fill, Order, Settled, LedgerEntry]
    settled = facts[3]
    assert (
        isinstance(settled, Settled) and settled.pnl_cents == 5 * 100 - 5 * 40 - 2 == venue.ledger[-1]["amount_cents"]
    )


def test_suspension_and_kinds_it_does_not_know() -> None:
    venue, mirror = NaiveAccount(), Mirror()
    mirror.snapshot(venue.snapshot(), 1)
    assert mirror.event({"kind": "agent", "event": "SUSPENDED", "reason": "r"}, 2) is None and mirror.suspended
    assert mirror.event({"kind": "agent", "event": "REINSTATED", "reason": None}, 3) is None and not mirror.suspended
    assert mirror.event({"kind": "new in a later version"}, 4) is None and mirror.seq == 4


def test_a_form_that_is_broken_is_said() -> None:
    mirror = Mirror()
    mirror.snapshot(NaiveAccount().snapshot(), 1)
    with pytest.raises(ValueError, match="int"):
        mirror.event({"kind": "order", "order": order_body("o", "m1", "BUY", 50, 1) | {"qty": 1.0}}, 2)


@given(st.integers(-50, 50), st.integers(-5_000, 5_000), st.integers(0, 5_000), st.integers(0, 5_000))
def test_the_lock_is_never_negative_and_never_less_than_either_loss(net: int, flow: int, buys: int, sells: int) -> None:
    lock = lock_cents(net, flow, buys, sells)
    assert lock >= 0 and lock >= buys - flow and lock >= sells - flow - 100 * net
    assert lock in (0, buys - flow, sells - flow - 100 * net)
