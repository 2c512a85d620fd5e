"""A naive venue, written from the wire contract alone: the book and ledger the engine is compared with.

It imports nothing of the house. Everything is a dict or a list, every question is a full scan, every sum is taken
anew from the executions, and an order is tried out on the real book and undone when it turns out declined. It has to
be obviously correct; it may be slow. Handles are small integers of its own: the n-th account, agent, market, order.

Numbers in brackets name the section of the contract a rule comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]

LIVE = ("PENDING", "OPEN", "EXPIRED")
OTHER = {"BUY": "SELL", "SELL": "BUY"}
VENUE_WALLET = "venue"

UNCOUNTED = frozenset(
    {
        "FOK_NOT_FILLABLE",
        "POST_ONLY_WOULD_CROSS",
        "MARKET_NO_LIQUIDITY",
        "AGENT_SIDE_COOLDOWN",
        "STRATEGY_NOT_FILLED",
        "UNKNOWN_MARKET",
    }
)
"""Declines that do not count towards a cool-down [5]: market outcomes, and what is not the agent's own fault."""


class Refused(Exception):
    """The command did nothing; `code` says why. Never an order's decline, which is a result."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Declined(Exception):
    def __init__(self, code: str, **details: int) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


class Oracle:
    """The whole venue. Every public method is one command; its first argument is the stamp in milliseconds.

    `log` holds what the last command did to orders, in order, each with the values of that moment:
    `("TRADE", trade)`, `("PLACED", order)`, `("ENDED", order, was, status, reason)`,
    `("REDUCED", order, was, remaining)`, `("AMENDED", order)`, `("AMEND_REJECTED", order, code, details)`; orders by
    their handle. And to dead-man timers, with agent and market (None: all): `("ARMED", agent, market, until)`,
    `("MOVED", agent, market, until)`, `("FIRED", agent, market, cancelled)`.
    """

    def __init__(self) -> None:
        self.now: int | None = None
        self.settings: Row = {}
        self.frozen = False
        self.reference: tuple[int, int] | None = None  # (source_ts, price)
        self.accounts: list[Row] = []
        self.agents: list[Row] = []
        self.markets: list[Row] = []
        self.orders: list[Row] = []
        self.boundaries: list[Row] = []  # every boundary that passed with the venue up
        self.deadmen: dict[tuple[int, int | None], int] = {}  # (agent, market or None) -> when it fires
        self.fired: dict[tuple[int, int | None], tuple[int, int]] = {}  # when it last did, and how many orders that was
        self.venue_cash = 0
        self.granted = 0
        self.arrivals = 0
        self.log: list[tuple[Any, ...]] = []

    # ---- questions, each answered from scratch ----

    def book(self, market: int, side: str) -> list[Row]:
        """What rests on one side, in the order in which it would trade: price, then time."""
        rows = [o for o in self.markets[market]["book"] if o["side"] == side]
        sign = -1 if side == "BUY" else 1
        return sorted(rows, key=lambda o: (sign * o["price"], o["arrival"]))

    def touch(self, market: int, side: str) -> int | None:
        """The best resting price of a side, own orders included."""
        prices = [o["price"] for o in self.markets[market]["book"] if o["side"] == side]
        if not prices:
            return None
        return max(prices) if side == "BUY" else min(prices)

    def mark(self, market: int) -> int | None:
        """Floor of the mid of the touch, else the last trade in this market, else none [5]."""
        bid, ask = self.touch(market, "BUY"), self.touch(market, "SELL")
        if bid is not None and ask is not None:
            return (bid + ask) // 2
        trades = self.markets[market]["trades"]
        return trades[-1]["price"] if trades else None

    def net(self, market: int, agent: int) -> int:
        """n: contracts of YES held, negative when short [8]."""
        return sum(qty for qty, _cash in self.markets[market]["postings"].get(agent, ()))

    def flow(self, market: int, agent: int) -> int:
        """c: cents that would have moved had every fill been paid at once, fees and rebates included [8]."""
        return sum(cash for _qty, cash in self.markets[market]["postings"].get(agent, ()))

    def fees(self, market: int) -> int:
        """Cents the venue keeps of this market: taker fees less rebates."""
        return sum(t["taker_fee"] + t["maker_fee"] for t in self.markets[market]["trades"])

    def resting(self, market: int, agent: int, side: str) -> list[Row]:
        return [o for o in self.markets[market]["book"] if o["agent"] == agent and o["side"] == side]

    def lock(self, market: int, agent: int) -> int:
        """The worst outcome: the loss if NO, the loss if YES, or nothing [8]."""
        if self.markets[market]["status"] not in LIVE:
            return 0
        n, c = self.net(market, agent), self.flow(market, agent)
        b = sum(o["price"] * o["remaining"] for o in self.resting(market, agent, "BUY"))
        s = sum((100 - o["price"]) * o["remaining"] for o in self.resting(market, agent, "SELL"))
        return max(0, -c + b, -c - 100 * n + s)

    def locked(self, agent: int) -> int:
        return sum(self.lock(m["id"], agent) for m in self.markets if m["status"] in LIVE)

    def cash(self, agent: int) -> int:
        return self.agents[agent]["cash"]

    def free(self, agent: int) -> int:
        return self.cash(agent) - self.locked(agent)

    def filled(self, order: Row) -> int:
        return sum(qty for _price, qty, _liquidity, _fee in order["fills"])

    def notional(self, order: Row) -> int:
        return sum(price * qty for price, qty, _liquidity, _fee in order["fills"])

    def fee(self, order: Row) -> int:
        """An order's fee from its exact numerators: what it took rounds up, its rebate rounds down [8]."""
        rules = self.markets[order["market"]]["rules"]
        taken = made = 0
        for price, qty, liquidity, _fee in order["fills"]:
            # rate/10^4 * (price/100) * (1 - price/100) dollars a contract = numerator / 10^6 cents
            numerator = rules["taker_rate_bps"] * price * (100 - price) * qty
            if liquidity == "TAKER":
                taken += numerator
            else:
                made += numerator * rules["maker_rebate_bps"]
        return -(-taken // 10**6) - made // 10**10

    def reducible(self, market: int, agent: int, side: str) -> int:
        """How many contracts an order of `side` could close."""
        n = self.net(market, agent)
        return max(0, n) if side == "SELL" else max(0, -n)

    def reducing(self, market: int, agent: int, side: str) -> list[Row]:
        return [o for o in self.resting(market, agent, side) if o["reduce_only"]]

    def open_market(self) -> Row | None:
        return next((m for m in self.markets if m["status"] == "OPEN"), None)

    # ---- time [7] ----

    def _advance(self, ts: int, unreachable: bool = False) -> None:
        """Do what fell due up to and including `ts`, in due order."""
        self.log = []
        last, self.now = self.now, ts
        if last is None:
            return
        assert ts >= last
        gap = ts - last > self.settings["gap_ms"]
        if gap or (unreachable and ts > last):
            # Nobody could call: the timers move by the length of that time.
            for (agent, scope), until in self.live_deadmen().items():
                self.deadmen[agent, scope] = until + ts - last
                self.log.append(("MOVED", agent, scope, until + ts - last))
        while True:
            due: list[tuple[int, int, Any]] = []
            for market in self.markets:
                # At equal times an order's own expiry comes before dead-man timers, and those before the boundary.
                due += [(o["expires_at"], 0, o) for o in market["book"] if o["expires_at"] is not None]
                if market["status"] == "OPEN":
                    due.append((market["close_at"], 2, None))
                if market["status"] == "PENDING":
                    due.append((market["open_at"], 2, None))
            # An agent's timer for everything before those of its markets.
            timers = sorted(self.live_deadmen().items(), key=lambda item: (item[0][0], item[0][1] or -1))
            due += [(until, 1, whose) for whose, until in timers]
            due = [item for item in due if item[0] <= ts]
            for boundary in self.boundaries:
                deadline = boundary["at"] + self.settings["print_grace_ms"]
                # The deadline itself is still in time.
                if not boundary["done"] and deadline < ts:
                    due.append((deadline, 3, boundary))
            if not due:
                break
            when, kind, what = min(due, key=lambda item: item[:2])
            if kind == 0:
                self._end(what, "EXPIRED", None, when)
            elif kind == 1:
                self._fire(what, when)
            elif kind == 2:
                self._boundary(when, gap, ts)
            else:
                self._take_print(what, None, when)

    def live_deadmen(self) -> dict[tuple[int, int | None], int]:
        """Armed dead-man timers; one of a market ends when the market closes [6]."""
        open_ones = [m["id"] for m in self.markets if m["status"] in ("PENDING", "OPEN")]
        return {whose: until for whose, until in self.deadmen.items() if whose[1] is None or whose[1] in open_ones}

    def _fire(self, whose: tuple[int, int | None], at: int) -> None:
        """Nobody called in time: all the agent has resting in scope goes [6]."""
        agent, scope = whose
        del self.deadmen[whose]
        books = [m["book"] for m in self.markets if scope is None or m["id"] == scope]
        orders = [o for book in books for o in book if o["agent"] == agent]
        for order in orders:
            self._end(order, "CANCELLED", "DEAD_MAN", at)
        self.fired[whose] = (at, len(orders))
        self.log.append(("FIRED", agent, scope, len(orders)))

    def _boundary(self, at: int, gap: bool, ts: int) -> None:
        """One window closes and the next opens; if the venue was down at that moment both are void."""
        closes = next((m for m in self.markets if m["status"] == "OPEN" and m["close_at"] == at), None)
        opens = next((m for m in self.markets if m["status"] == "PENDING" and m["open_at"] == at), None)
        if closes is not None:
            closes["status"] = "EXPIRED"
            self._cancel_all_of(closes, "MARKET_CLOSED", at)
            if closes["unusable"]:
                self._void(closes, "MARKET_CLOSED", at)
        if opens is not None:
            opens["status"] = "OPEN"
        if gap:
            for market in (closes, opens):
                if market is not None:
                    self._void(market, "MARKET_CLOSED", at)
            self._list_next(ts)
            return
        self.boundaries.append({"at": at, "closes": closes, "opens": opens, "done": False})
        self._list_next(at)

    def _list_next(self, ts: int) -> None:
        """The next window is always pre-listed: the first whole one that opens after `ts`."""
        if any(m["status"] == "PENDING" for m in self.markets):
            return
        window = self.settings["window_ms"]
        # A pre-listed window that the operator voided is not listed a second time.
        open_at = max([(ts // window + 1) * window] + [m["close_at"] for m in self.markets])
        self.markets.append(
            {
                "id": len(self.markets),
                "status": "PENDING",
                "outcome": None,
                "open_at": open_at,
                "close_at": open_at + window,
                "open_print": None,
                "halted": False,
                "unusable": False,  # its open print was: it can only end void
                "rules": dict(self.settings),
                "book": [],
                "trades": (),
                "postings": {},
                "declines": {},  # (agent, side) -> stamps
                "locked_until": {},  # (agent, side) -> stamp
            }
        )

    def _take_print(self, boundary: Row, price: int | None, ts: int) -> None:
        """The print of a boundary, or (None) the certainty that there is none."""
        boundary["done"] = True
        opens, closes = boundary["opens"], boundary["closes"]
        if closes is not None and closes["status"] == "EXPIRED":
            before = closes["open_print"]
            if price is None or before is None:
                self._void(closes, "ADMIN", ts)
            elif price > before:
                self._resolve(closes, "YES")
            elif price < before:
                self._resolve(closes, "NO")
            elif closes["rules"]["tie_rule"] == "VOID":
                self._void(closes, "ADMIN", ts)
            else:
                self._resolve(closes, closes["rules"]["tie_rule"])
        if opens is not None and opens["status"] in LIVE:
            opens["open_print"] = price
            if price is None:
                opens["halted"] = opens["unusable"] = True

    def _resolve(self, market: Row, outcome: str) -> None:
        for agent in self.agents:
            held = self.net(market["id"], agent["id"])
            flow = self.flow(market["id"], agent["id"])
            agent["cash"] += flow + (100 * held if outcome == "YES" else 0)
        self.venue_cash += self.fees(market["id"])
        market["status"], market["outcome"] = "RESOLVED", outcome

    def _void(self, market: Row, reason: str, ts: int) -> None:
        """The market never happened: cash has not moved yet, so nothing moves."""
        self._cancel_all_of(market, reason, ts)
        market["status"], market["outcome"] = "VOID", "VOID"

    # ---- orders in the book ----

    def _cancel_all_of(self, market: Row, reason: str, ts: int) -> None:
        for order in list(market["book"]):
            self._end(order, "CANCELLED", reason, ts)

    def _end(self, order: Row, status: str, reason: str | None, ts: int) -> None:
        """Take a resting order off the book."""
        self.markets[order["market"]]["book"].remove(order)
        was = order["remaining"]
        order.update(status=status, cancel_reason=reason, remaining=0, updated_at=ts)
        self.log.append(("ENDED", order["id"], was, status, reason))

    def _reduce(self, order: Row, remaining: int, ts: int) -> None:
        """Make a resting order smaller; it keeps its place in the queue."""
        assert 0 < remaining < order["remaining"]
        was = order["remaining"]
        order.update(remaining=remaining, qty=order["qty"] - (was - remaining), updated_at=ts)
        self.log.append(("REDUCED", order["id"], was, remaining))

    def _trim(self, market: Row, agent: int, ts: int) -> None:
        """Reduce-only orders never exceed the position: the excess goes, the newest first [4]."""
        for side in OTHER:
            rows = self.reducing(market["id"], agent, side)
            excess = sum(o["remaining"] for o in rows) - self.reducible(market["id"], agent, side)
            for order in sorted(rows, key=lambda o: -o["arrival"]):
                if excess <= 0:
                    break
                cut = min(excess, order["remaining"])
                excess -= cut
                if cut == order["remaining"]:
                    self._end(order, "CANCELLED", "REDUCE_ONLY", ts)
                else:
                    self._reduce(order, order["remaining"] - cut, ts)

    def _rest(self, order: Row) -> None:
        self.arrivals += 1
        order["arrival"] = self.arrivals
        self.markets[order["market"]]["book"].append(order)

    def _limit(self, order: Row, touches: dict[str, int | None]) -> int:
        """The worst price an order may trade at."""
        if order["type"] == "LIMIT":
            return order["price"]
        touch, cap = touches[OTHER[order["side"]]], order["slippage_cap"]
        if touch is None or cap is None:
            return 99 if order["side"] == "BUY" else 1
        return touch + cap if order["side"] == "BUY" else touch - cap

    def _match(self, taker: Row, limit: int, ts: int) -> bool:
        """Trade by price, then time. True when self-trade prevention stopped the taker."""
        market = self.markets[taker["market"]]
        touched = {taker["agent"]}
        stopped = False
        while taker["remaining"] > 0 and not stopped:
            makers = [
                o
                for o in self.book(market["id"], OTHER[taker["side"]])
                if (o["price"] <= limit if taker["side"] == "BUY" else o["price"] >= limit) and self._available(o)
            ]
            if not makers:
                break
            maker = makers[0]
            if maker["account"] != taker["account"]:
                touched.add(maker["agent"])
                self._fill(market, taker, maker, ts)
                continue
            if taker["stp"] in ("CANCEL_MAKER", "CANCEL_BOTH"):
                self._end(maker, "CANCELLED", "SELF_TRADE", ts)
            stopped = taker["stp"] in ("CANCEL_TAKER", "CANCEL_BOTH")
        for agent in touched:
            self._trim(market, agent, ts)
        return stopped

    def _available(self, maker: Row) -> int:
        """What a resting order may trade: a reduce-only one never more than it can still reduce at that moment."""
        if not maker["reduce_only"]:
            return maker["remaining"]
        return min(maker["remaining"], self.reducible(maker["market"], maker["agent"], maker["side"]))

    def _fill(self, market: Row, taker: Row, maker: Row, ts: int) -> None:
        price, qty = maker["price"], min(taker["remaining"], self._available(maker))
        fees = {}
        for role, order in (("TAKER", taker), ("MAKER", maker)):
            before = self.fee(order)
            order["fills"] += ((price, qty, role, 0),)
            fee = self.fee(order) - before
            order["fills"] = (*order["fills"][:-1], (price, qty, role, fee))
            order["remaining"] -= qty
            order["updated_at"] = ts
            order["status"] = "PARTIALLY_FILLED" if order["remaining"] else "FILLED"
            sign = 1 if order["side"] == "BUY" else -1
            posting = (sign * qty, -sign * price * qty - fee)
            market["postings"][order["agent"]] = (*market["postings"].get(order["agent"], ()), posting)
            fees[role] = fee
        if not maker["remaining"]:
            market["book"].remove(maker)
        trade = {
            "price": price,
            "qty": qty,
            "taker": taker["id"],
            "maker": maker["id"],
            "taker_fee": fees["TAKER"],
            "maker_fee": fees["MAKER"],
            "maker_remaining": maker["remaining"],
            "maker_filled": self.filled(maker),
            "maker_notional": self.notional(maker),
            "maker_fee_total": self.fee(maker),
        }
        market["trades"] += (trade,)
        self.log.append(("TRADE", trade))

    # ---- trying out: everything an order can touch is put back when it is declined ----

    def _save(self) -> list[Any]:
        live = [m for m in self.markets if m["status"] in LIVE]
        return [
            self.arrivals,
            list(self.log),
            [(m, list(m["book"]), m["trades"], dict(m["postings"])) for m in live],
            [(o, dict(o)) for m in live for o in m["book"]],
        ]

    def _undo(self, saved: list[Any]) -> None:
        self.arrivals, self.log, markets, orders = saved
        for market, book, trades, postings in markets:
            market.update(book=book, trades=trades, postings=postings)
        for order, before in orders:
            order.clear()
            order.update(before)

    # ---- the risk chain [5] ----

    def _chain(self, order: Row, mark: int | None, confirmed: bool, ts: int, instead_of: int = 0) -> None:
        """The four links. `instead_of` is what an amended order has resting already, on the same side."""
        market = self.markets[order["market"]]
        rules, agent, side = market["rules"], order["agent"], order["side"]
        qty, price = order["remaining"], order["price"]
        sane = qty >= 1 and (order["type"] == "MARKET" or 1 <= price <= 99)
        if sane and not confirmed:
            self._fat_finger(order, rules, mark)
        if sane:
            held = self.net(market["id"], agent)
            resting = sum(o["remaining"] for o in self.resting(market["id"], agent, side)) - instead_of
            worst = held + resting + qty if side == "BUY" else held - resting - qty
            if abs(worst) > rules["position_cap"] and abs(worst) > abs(held):
                room = max(rules["position_cap"], abs(held)) - (held if side == "BUY" else -held) - resting
                raise _Declined("POSITION_CAP", max_qty=max(0, room), position_cap=rules["position_cap"])
        if order["type"] == "MARKET":
            age = None if self.reference is None else ts - self.reference[0]
            if age is None or age >= rules["reference_max_age_ms"]:
                raise _Declined("NO_REFERENCE_PRICE")
        until = market["locked_until"].get((agent, side), 0)
        if ts < until:
            raise _Declined("AGENT_SIDE_COOLDOWN", retry_after_ms=until - ts, cooldown_ends_at=until)

    def _fat_finger(self, order: Row, rules: Row, mark: int | None) -> None:
        qty, price = order["remaining"], order["price"]
        largest = rules["max_order_qty"]
        if order["type"] == "LIMIT":
            largest = min(largest, rules["max_order_notional_cents"] // price)
        if qty > largest:
            raise _Declined("FAT_FINGER", max_qty=largest)
        if order["type"] == "MARKET" or mark is None:
            return
        distance, multiple = rules["fat_finger_distance"], rules["fat_finger_multiple"]
        if order["side"] == "BUY" and price - mark > distance and price > multiple * mark:
            furthest = max(mark + distance, multiple * mark)
            raise _Declined("FAT_FINGER", mark_price=mark, price_max=furthest)
        if order["side"] == "SELL" and mark - price > distance and 100 - price > multiple * (100 - mark):
            furthest = max(100 - mark + distance, multiple * (100 - mark))
            raise _Declined("FAT_FINGER", mark_price=mark, price_min=100 - furthest)

    def _count_decline(self, order: Row, code: str, ts: int) -> None:
        if code in UNCOUNTED:
            return
        market = self.markets[order["market"]]
        rules, key = market["rules"], (order["agent"], order["side"])
        stamps = [t for t in market["declines"].get(key, []) if ts - t <= rules["cooldown_window_ms"]] + [ts]
        if len(stamps) >= rules["cooldown_rejects"]:
            market["locked_until"][key] = ts + rules["cooldown_ms"]
            stamps = []
        market["declines"][key] = stamps

    # ---- the engine's own declines, in their order [5] ----

    def _judge_form(self, order: Row, ts: int) -> None:
        market = self.markets[order["market"]]
        if market["status"] == "PENDING":
            raise _Declined("MARKET_NOT_OPEN")
        if market["status"] != "OPEN":
            raise _Declined("MARKET_CLOSED")
        if market["halted"]:
            raise _Declined("MARKET_HALTED")
        if order["remaining"] < 1:
            raise _Declined("INVALID_QTY")
        if order["type"] == "LIMIT" and not 1 <= order["price"] <= 99:
            raise _Declined("PRICE_OUT_OF_RANGE", price_min=1, price_max=99)
        if not order["leverage_ok"]:
            raise _Declined("INVALID_LEVERAGE")
        if not order["margin_mode_ok"]:
            raise _Declined("INVALID_MARGIN_MODE")
        if order["timestamp_ms"] is not None and abs(ts - order["timestamp_ms"]) > order["recv_window_ms"]:
            raise _Declined("STALE_REQUEST")
        if order["expires_at"] is not None and order["expires_at"] <= ts:
            raise _Declined("ORDER_EXPIRED")
        if order["reduce_only"]:
            others = [o for o in self.reducing(market["id"], order["agent"], order["side"]) if o is not order]
            room = self.reducible(market["id"], order["agent"], order["side"]) - sum(o["remaining"] for o in others)
            if order["remaining"] > room:
                raise _Declined("REDUCE_ONLY_VIOLATION", max_qty=max(0, room))
        if order["tif"] == "POST_ONLY":
            touch = self.touch(market["id"], OTHER[order["side"]])
            if touch is not None:
                best = touch - 1 if order["side"] == "BUY" else touch + 1
                if order["price"] > best if order["side"] == "BUY" else order["price"] < best:
                    fits = {"best_non_crossing_price": best} if 1 <= best <= 99 else {}
                    raise _Declined("POST_ONLY_WOULD_CROSS", **fits)

    def _execute(self, order: Row, touches: dict[str, int | None], free_before: int, ts: int) -> None:
        """Match and rest, for real; raises when that was not allowed, and then the caller must undo."""
        filled_before = self.filled(order)
        stopped = self._match(order, self._limit(order, touches), ts)
        filled = self.filled(order) - filled_before
        if order["type"] == "MARKET" and not filled and not stopped:
            raise _Declined("MARKET_NO_LIQUIDITY")
        if order["tif"] == "FOK" and order["remaining"]:
            raise _Declined("FOK_NOT_FILLABLE")
        if order["remaining"]:
            if stopped:
                order.update(status="CANCELLED", cancel_reason="SELF_TRADE", remaining=0)
            elif order["type"] == "LIMIT" and order["tif"] in ("GTC", "POST_ONLY"):
                order["status"] = "PARTIALLY_FILLED" if self.filled(order) else "OPEN"
                self._rest(order)
            else:
                order.update(status="CANCELLED", cancel_reason="IOC_REMAINDER", remaining=0)
        if order["atomic"]:
            return
        if self.free(order["agent"]) < 0:
            raise _Declined("INSUFFICIENT_MARGIN", free_cash_cents=free_before)
        mine = [o for o in self.markets[order["market"]]["book"] if o["agent"] == order["agent"]]
        if order in mine and len(mine) > self.markets[order["market"]]["rules"]["open_orders_per_market"]:
            raise _Declined("OPEN_ORDERS_CAP")

    def _reject(self, order: Row, why: _Declined) -> Row:
        order.update(status="REJECTED", reject_reason=why.code, reject_details=why.details)
        order.update(cancel_reason=None, remaining=0, fills=())  # whatever trying it out has left
        self.log.append(("PLACED", order["id"]))
        return order

    # ---- commands: trading [4, 6] ----

    def _may_trade(self, agent: int) -> None:
        if self.agents[agent]["suspended"]:
            raise Refused("AGENT_SUSPENDED")
        if self.frozen:
            raise Refused("EXCHANGE_FROZEN")

    def _new_order(self, agent: int, spec: Row, ts: int, **more: Any) -> Row:
        order: Row = {
            "id": len(self.orders),
            "agent": agent,
            "account": self.agents[agent]["account"],
            "status": "OPEN",
            "remaining": spec["qty"],
            "fills": (),
            "reject_reason": None,
            "reject_details": {},
            "cancel_reason": None,
            "slippage_cap": None,
            "reduce_only": False,
            "client_order_id": None,
            "quote_id": None,
            "timestamp_ms": None,
            "recv_window_ms": None,
            "expires_at": None,
            "stp": "CANCEL_MAKER",
            "confirm_fat_finger": False,
            "leverage_ok": True,
            "margin_mode_ok": True,
            "atomic": False,
            "arrival": 0,
            "created_at": ts,
            "updated_at": ts,
        }
        order.update(spec)
        order.update(more)
        self.orders.append(order)
        return order

    def _gone(self, order: Row) -> _Declined | None:
        """Before the chain: an unknown market, and one that has ended and of which nothing but history is left."""
        if order["market"] is None:
            return _Declined("UNKNOWN_MARKET")
        if self.markets[order["market"]]["status"] not in LIVE:
            return _Declined("MARKET_CLOSED")
        return None

    def _place(self, agent: int, spec: Row, ts: int, **more: Any) -> Row:
        order = self._new_order(agent, spec, ts, **more)
        gone = self._gone(order)
        if gone is not None:
            return self._reject(order, gone)
        market = order["market"]
        saved = self._save()
        try:
            self._chain(order, self.mark(market), order["confirm_fat_finger"], ts)
            self._judge_form(order, ts)
            self._execute(order, {side: self.touch(market, side) for side in OTHER}, self.free(agent), ts)
        except _Declined as why:
            self._undo(saved)
            self._reject(order, why)
            self._count_decline(order, why.code, ts)
            return order
        self.log.append(("PLACED", order["id"]))
        return order

    def place(self, ts: int, agent: int, spec: Row) -> Row:
        """`spec` has market (None: unknown), side, type, tif, price, qty, and what differs from the defaults."""
        self._advance(ts)
        self._may_trade(agent)
        return self._place(agent, spec, ts)

    def batch(self, ts: int, agent: int, specs: Sequence[Row], atomic: bool) -> list[Row]:
        self._advance(ts)
        self._may_trade(agent)
        if not atomic:
            return [self._place(agent, spec, ts) for spec in specs]
        return self._atomic(agent, specs, ts)

    def _atomic(self, agent: int, specs: Sequence[Row], ts: int) -> list[Row]:
        """Every leg fills in full or none does. Marks are those of arrival, holdings as the legs before leave them."""
        live = [m["id"] for m in self.markets if m["status"] in LIVE]
        marks = {m: self.mark(m) for m in live}
        touches = {m: {side: self.touch(m, side) for side in OTHER} for m in live}
        nothing: dict[str, int | None] = {"BUY": None, "SELL": None}
        saved = self._save()
        free_before = self.free(agent)
        legs = [self._new_order(agent, spec, ts, tif="FOK", atomic=True) for spec in specs]
        failed: tuple[Row, _Declined] | None = None
        for leg in legs:
            try:
                gone = self._gone(leg)
                if gone is not None:
                    raise gone
                self._chain(leg, marks.get(leg["market"]), leg["confirm_fat_finger"], ts)
                self._judge_form(leg, ts)
                self._execute(leg, touches.get(leg["market"], nothing), free_before, ts)
            except _Declined as why:
                failed = (leg, why)
                break
            self.log.append(("PLACED", leg["id"]))
        if failed is None and self.free(agent) < 0:
            failed = (legs[-1], _Declined("INSUFFICIENT_MARGIN", free_cash_cents=free_before))
        if failed is not None:
            self._undo(saved)
            for leg in legs:
                self._reject(leg, failed[1] if leg is failed[0] else _Declined("STRATEGY_NOT_FILLED"))
            if self._gone(failed[0]) is None:
                self._count_decline(failed[0], failed[1].code, ts)
        return legs

    def put_quotes(
        self,
        ts: int,
        agent: int,
        market: int | None,
        quote_id: str,
        bids: Sequence[tuple[int, int]],
        asks: Sequence[tuple[int, int]],
    ) -> list[Row]:
        """The orders that now stand for the levels, bids first, in the order asked; declines among them."""
        self._advance(ts)
        if self.agents[agent]["suspended"]:
            raise Refused("AGENT_SUSPENDED")  # it has nothing left to pull
        if bids or asks:
            self._may_trade(agent)
        levels = [("BUY", price, qty) for price, qty in bids] + [("SELL", price, qty) for price, qty in asks]
        results: list[Row | None] = [None] * len(levels)
        old = [] if market is None else self.markets[market]["book"]
        for order in [o for o in old if o["agent"] == agent and o["quote_id"] == quote_id]:
            for place, (side, price, qty) in enumerate(levels):
                if results[place] is None and (side, price) == (order["side"], order["price"]):
                    if 1 <= qty <= order["remaining"]:
                        results[place] = order
                    break
            if order not in results:
                self._end(order, "CANCELLED", "REPLACED" if levels else "USER", ts)
        for place, kept in enumerate(results):
            if kept is not None and levels[place][2] < kept["remaining"]:
                self._reduce(kept, levels[place][2], ts)
        best_first = sorted(
            (place for place, kept in enumerate(results) if kept is None),
            # Best for the other side first: the highest price paid, for YES by a bid and for NO by an ask.
            key=lambda p: -levels[p][1] if levels[p][0] == "BUY" else levels[p][1] - 100,
        )
        for place in best_first:
            side, price, qty = levels[place]
            spec = {"market": market, "side": side, "type": "LIMIT", "tif": "POST_ONLY", "price": price, "qty": qty}
            results[place] = self._place(agent, spec, ts, quote_id=quote_id)
        return [row for row in results if row is not None]

    def _own_open(self, agent: int, order: int | None) -> Row:
        if order is None:
            raise Refused("ORDER_NOT_FOUND")
        row = self.orders[order]
        if row["agent"] != agent:
            raise Refused("FORBIDDEN")
        if row["status"] == "FILLED":
            raise Refused("ORDER_ALREADY_FILLED")
        if row["status"] not in ("OPEN", "PARTIALLY_FILLED"):
            raise Refused("ORDER_NOT_OPEN")
        return row

    def amend(self, ts: int, agent: int, order: int | None, price: int | None, qty: int | None) -> Row:
        """`qty` is the new total, fills included."""
        self._advance(ts)
        if self.agents[agent]["suspended"]:
            raise Refused("AGENT_SUSPENDED")
        row = self._own_open(agent, order)
        new_price = row["price"] if price is None else price
        new_qty = row["qty"] if qty is None else qty
        done = self.filled(row)
        decrease = new_price == row["price"] and new_qty < row["qty"]
        if self.frozen and not decrease:
            raise Refused("EXCHANGE_FROZEN")
        if new_qty <= done:
            raise Refused("AMEND_CONFLICT")
        if decrease:
            self._reduce(row, new_qty - done, ts)
            return row
        market = self.markets[row["market"]]
        saved = self._save()
        free_before = self.free(agent)
        # Its receive window was judged when it arrived; an amend has none of its own.
        changed = {"price": new_price, "qty": new_qty, "remaining": new_qty - done, "timestamp_ms": None}
        try:
            self._chain({**row, **changed}, self.mark(market["id"]), False, ts, instead_of=row["remaining"])
            market["book"].remove(row)
            row.update(changed, updated_at=ts)
            self._judge_form(row, ts)
            self._execute(row, {"BUY": None, "SELL": None}, free_before, ts)
        except _Declined as why:
            self._undo(saved)
            self.log.append(("AMEND_REJECTED", row["id"], why.code, why.details))
            self._count_decline(row, why.code, ts)
            return row
        self.log.append(("AMENDED", row["id"]))
        return row

    def cancel(self, ts: int, agent: int, order: int | None) -> Row:
        self._advance(ts)
        row = self._own_open(agent, order)
        self._end(row, "CANCELLED", "USER", ts)
        return row

    def cancel_many(
        self,
        ts: int,
        agent: int,
        orders: Sequence[int | None] | None = None,
        market: int | None = None,
        side: str | None = None,
        quote_id: str | None = None,
        client_order_ids: Iterable[str] | None = None,
    ) -> tuple[int, int]:
        """(how many ended, how many of the listed were not open)."""
        self._advance(ts)
        mine = [o for m in self.markets for o in m["book"] if o["agent"] == agent]
        if orders is not None:
            listed = set(orders)
            chosen = [o for o in mine if o["id"] in listed]
            missing = len(listed) - len(chosen)
        else:
            names = None if client_order_ids is None else set(client_order_ids)
            chosen = [
                o
                for o in mine
                if (market is None or o["market"] == market)
                and (side is None or o["side"] == side)
                and (quote_id is None or o["quote_id"] == quote_id)
                and (names is None or o["client_order_id"] in names)
            ]
            missing = 0
        for order in chosen:
            self._end(order, "CANCELLED", "USER", ts)
        return len(chosen), missing

    def deadman(self, ts: int, agent: int, timeout_ms: int, market: int | None) -> int | None:
        """When the timer fires from now on; None: disarmed [6]."""
        self._advance(ts)
        self.deadmen.pop((agent, market), None)
        if timeout_ms and market is not None and self.markets[market]["status"] not in ("PENDING", "OPEN"):
            raise Refused("MARKET_CLOSED")
        until = ts + timeout_ms if timeout_ms else None
        if until is not None:
            self.deadmen[agent, market] = until
        self.log.append(("ARMED", agent, market, until))
        return until

    def resurface(self, ts: int) -> None:
        """The venue can be reached again: it could not since the last stamp [6, 7]."""
        self._advance(ts, unreachable=True)

    # ---- commands: reference and time [7] ----

    def configure(self, ts: int, settings: Row) -> None:
        """A market keeps the rules it was listed with; the first `configure` is the birth of the venue."""
        if self.now is None:
            self.settings = dict(settings)
            self._advance(ts)
            self._list_next(ts)
            return
        self._advance(ts)
        self.settings = dict(settings)

    def tick(self, ts: int) -> None:
        self._advance(ts)

    def index_tick(self, ts: int, price_cents: int, source_ts: int) -> None:
        self._advance(ts)
        if self.reference is not None and source_ts < self.reference[0]:
            raise Refused("MARKET_FINAL")  # what is known is newer
        self.reference = (source_ts, price_cents)

    def print_price(self, ts: int, boundary: int, price_cents: int | None, source_ts: int | None) -> None:
        """The print of one boundary; a second one, or one for no boundary of ours, changes nothing."""
        self._advance(ts)
        if source_ts is None or not 0 <= boundary - source_ts <= self.settings["print_max_age_ms"]:
            price_cents = None  # of after the boundary, or too old: not usable
        for row in self.boundaries:
            waited_for = any(m is not None and m["status"] in LIVE for m in (row["closes"], row["opens"]))
            if row["at"] == boundary and not row["done"] and waited_for:
                self._take_print(row, price_cents, ts)
                return
        raise Refused("MARKET_FINAL")

    # ---- commands: accounts and money [2, 8] ----

    def signup(self, ts: int) -> tuple[int, int]:
        """(account, its primary agent with the signup grant)."""
        self._advance(ts)
        self.accounts.append({"id": len(self.accounts), "cash": 0, "claimed": 0, "next_claim_at": 0})
        account = self.accounts[-1]["id"]
        agent = self._new_agent(account)
        self._credit(agent, self.settings["signup_grant_cents"])
        return account, agent

    def create_agent(self, ts: int, account: int) -> int:
        self._advance(ts)
        return self._new_agent(account)

    def _new_agent(self, account: int) -> int:
        self.agents.append({"id": len(self.agents), "account": account, "cash": 0, "suspended": False})
        return self.agents[-1]["id"]

    def _credit(self, agent: int, amount_cents: int) -> None:
        self.agents[agent]["cash"] += amount_cents
        self.granted += amount_cents

    def grant(self, ts: int, agent: int, amount_cents: int) -> None:
        self._advance(ts)
        self._credit(agent, amount_cents)

    def faucet(self, ts: int, agent: int) -> int:
        """When the account may claim again. The faucet's caps are per account [12]."""
        self._advance(ts)
        if self.agents[agent]["suspended"]:
            raise Refused("AGENT_SUSPENDED")
        if self.frozen:
            raise Refused("EXCHANGE_FROZEN")
        account = self.accounts[self.agents[agent]["account"]]
        amount = self.settings["faucet_amount_cents"]
        if account["claimed"] + amount > self.settings["faucet_account_cap_cents"]:
            raise Refused("FAUCET_CAP_REACHED")
        if ts < account["next_claim_at"]:
            raise Refused("FAUCET_COOLDOWN")
        account["claimed"] += amount
        account["next_claim_at"] = ts + self.settings["faucet_cooldown_ms"]
        self._credit(agent, amount)
        return account["next_claim_at"]

    def transfer(self, ts: int, account: int, source: int | None, target: int | None, amount_cents: int) -> None:
        """Between agents of one account and its master wallet (None). Only free cash can go."""
        self._advance(ts)
        if self.frozen:
            raise Refused("EXCHANGE_FROZEN")
        for agent in (source, target):
            if agent is not None and self.agents[agent]["account"] != account:
                raise Refused("FORBIDDEN")
        if (self.accounts[account]["cash"] if source is None else self.free(source)) < amount_cents:
            raise Refused("INSUFFICIENT_BALANCE")
        for wallet, amount in ((source, -amount_cents), (target, amount_cents)):
            (self.accounts[account] if wallet is None else self.agents[wallet])["cash"] += amount

    # ---- commands: the operator [9] ----

    def freeze(self, ts: int) -> None:
        self._advance(ts)
        self.frozen = True

    def unfreeze(self, ts: int) -> None:
        self._advance(ts)
        self.frozen = False

    def _live_market(self, market: int) -> Row:
        row = self.markets[market]
        if row["status"] not in ("PENDING", "OPEN"):
            raise Refused("MARKET_CLOSED")
        return row

    def halt(self, ts: int, market: int) -> None:
        self._advance(ts)
        self._live_market(market)["halted"] = True

    def resume(self, ts: int, market: int) -> None:
        self._advance(ts)
        row = self._live_market(market)
        if row["unusable"]:
            raise Refused("MARKET_CLOSED")
        row["halted"] = False

    def void(self, ts: int, market: int) -> None:
        self._advance(ts)
        row = self.markets[market]
        if row["status"] not in LIVE:
            raise Refused("MARKET_FINAL")
        self._void(row, "ADMIN", ts)
        self._list_next(ts)

    def suspend(self, ts: int, agent: int) -> None:
        self._advance(ts)
        self.agents[agent]["suspended"] = True
        for market in self.markets:
            for order in [o for o in market["book"] if o["agent"] == agent]:
                self._end(order, "CANCELLED", "ADMIN", ts)

    def reinstate(self, ts: int, agent: int) -> None:
        self._advance(ts)
        self.agents[agent]["suspended"] = False
