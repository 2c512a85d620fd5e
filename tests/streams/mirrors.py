"""What a client that only listens knows: books, queues, trades and an account, kept from events by the rules that the
venue publishes, and compared with what it answers when asked."""

from __future__ import annotations

from typing import Any

from raeth.engine.types import BUY, SELL
from tests.api.harness import Desk, Trader

Event = dict[str, Any]


def since_snapshot(events: list[Event]) -> list[Event]:
    """The events of the newest subscription."""
    starts = [at for at, event in enumerate(events) if event["type"] == "snapshot"]
    assert starts, "a subscription without a snapshot"
    return events[starts[-1] :]


def book_of(events: list[Event]) -> tuple[list[list[int]], list[list[int]]]:
    """Bids and asks, best first, from a snapshot and its deltas."""
    first, *deltas = since_snapshot(events)
    sides = [{row[0]: row for row in first["data"][side]} for side in ("bids", "asks")]
    for delta in deltas:
        assert delta["type"] == "delta"
        for side, name in zip(sides, ("bids", "asks"), strict=True):
            for price, qty, orders in delta["data"][name]:
                assert (qty == 0) == (orders == 0)
                side[price] = [price, qty, orders]
                if not qty:
                    del side[price]
    bids, asks = sides
    return [bids[p] for p in sorted(bids, reverse=True)], [asks[p] for p in sorted(asks)]


def queues_of(events: list[Event]) -> tuple[list[list[Any]], list[list[Any]]]:
    """Every resting order, `[order_id, price, qty]`, best first and in queue order."""
    first, *deltas = since_snapshot(events)
    assert first["data"]["seq"] == first["seq"]
    books: dict[str, dict[int, dict[str, int]]] = {"BUY": {}, "SELL": {}}
    at: dict[str, tuple[str, int]] = {}

    def change(order_id: str, side: str, price: int, qty: int) -> None:
        if not qty:
            at.pop(order_id, None)
            books[side].get(price, {}).pop(order_id, None)
            return
        assert at.get(order_id, (side, price)) == (side, price), "an order moves by leaving first"
        at[order_id] = (side, price)
        books[side].setdefault(price, {})[order_id] = qty

    for side, name in (("BUY", "bids"), ("SELL", "asks")):
        for order_id, price, qty in first["data"][name]:
            change(order_id, side, price, qty)
    for delta in deltas:
        assert delta["type"] == "delta" and delta["data"]["changes"]
        for row in delta["data"]["changes"]:
            change(*row)

    def rows(side: str) -> list[list[Any]]:
        prices = sorted(books[side], reverse=side == "BUY")
        return [[order_id, price, qty] for price in prices for order_id, qty in books[side][price].items()]

    return rows("BUY"), rows("SELL")


def engine_queues(desk: Desk, market_id: str) -> tuple[list[list[Any]], list[list[Any]]]:
    names = desk.venue.names
    market = desk.sequencer.state.markets.get(names.entity(market_id) or 0)
    if market is None:
        return [], []
    bids, asks = ([[names.uuid(o.id), o.price, o.remaining] for o in market.book.orders(s)] for s in (BUY, SELL))
    return bids, asks


def trades_of(events: list[Event]) -> list[Event]:
    """Trade bodies, newest first."""
    first, *rest = since_snapshot(events)
    told = list(first["data"]["trades"])
    for event in rest:
        assert event["type"] == "event"
        told.insert(0, event["data"])
    return told


class AccountMirror:
    """One agent's account from its private channel."""

    def __init__(self) -> None:
        self.cash = 0
        self.positions: dict[str, list[int]] = {}
        self.orders: dict[str, Event] = {}
        """Open ones."""
        self.latest: dict[str, Event] = {}
        """The newest body of every order that was told of."""
        self.taken = 0

    def take_all(self, events: list[Event]) -> None:
        for event in events[self.taken :]:
            self.take(event)
        self.taken = len(events)

    def take(self, event: Event) -> None:
        data = event["data"]
        if event["type"] == "snapshot":
            assert data["account"]["seq"] == event["seq"] and "limits" not in data["account"]
            self.cash = data["account"]["cash_cents"]
            self.positions = {p["market_id"]: [p["net_qty"], p["cash_flow_cents"]] for p in data["positions"]}
            self.orders = {order["order_id"]: order for order in data["orders"]}
            return
        assert event["type"] == "event"
        getattr(self, f"_{data['kind']}")(data)

    def _order(self, data: Event) -> None:
        order = data["order"]
        self.latest[order["order_id"]] = order
        if order["status"] in ("OPEN", "PARTIALLY_FILLED"):
            self.orders[order["order_id"]] = order
        else:
            self.orders.pop(order["order_id"], None)

    def _fill(self, data: Event) -> None:
        fill = data["fill"]
        position = self.positions.setdefault(fill["market_id"], [0, 0])
        sign = 1 if fill["side"] == "BUY" else -1
        position[0] += sign * fill["qty"]
        position[1] -= sign * fill["price"] * fill["qty"] + fill["fee_cents"]

    def _amend_rejected(self, data: Event) -> None:
        assert data["order"]["status"] == "REJECTED" and data["order"]["order"]["status"] != "REJECTED"

    def _cash(self, data: Event) -> None:
        entry = data["entry"]
        assert entry["balance_after_cents"] == self.cash + entry["amount_cents"]
        self.cash = entry["balance_after_cents"]

    def _settled(self, data: Event) -> None:
        assert data["resolution"] in ("YES", "NO", "VOID")
        assert all(order["market_id"] != data["market_id"] for order in self.orders.values()), "orders end first"
        self.positions.pop(data["market_id"], None)

    def _agent(self, data: Event) -> None:
        assert data["event"] in ("SUSPENDED", "REINSTATED")

    def free_cents(self) -> int:
        """Cash less what each market locks, by the contract's formula."""
        free = self.cash
        for market in {*self.positions, *(order["market_id"] for order in self.orders.values())}:
            n, c = self.positions.get(market, (0, 0))
            here = [order for order in self.orders.values() if order["market_id"] == market]
            b = sum(o["price"] * o["remaining_qty"] for o in here if o["side"] == "BUY")
            s = sum((100 - o["price"]) * o["remaining_qty"] for o in here if o["side"] == "SELL")
            free -= max(0, -c + b, -c - 100 * n + s)
        return free

    async def compare(self, trader: Trader, every_order: bool = True) -> None:
        """Hold it against everything REST says."""
        account = await trader.get("/account")
        assert account["cash_cents"] == self.cash
        assert account["free_cash_cents"] == self.free_cents()
        assert account["open_orders"] == len(self.orders)
        held = {p["market_id"]: [p["net_qty"], p["cash_flow_cents"]] for p in (await trader.get("/positions"))["items"]}
        assert {m: p for m, p in held.items() if p != [0, 0]} == {
            m: p for m, p in self.positions.items() if p != [0, 0]
        }
        for order_id, order in (self.latest if every_order else self.orders).items():
            assert await trader.get(f"/orders/{order_id}") == order
        for order_id, order in self.orders.items():
            assert self.latest.get(order_id, order) == order
