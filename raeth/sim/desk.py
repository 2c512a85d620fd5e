"""The way in for one simulated agent: its actions become commands, what came of them becomes outcomes.

It does what the API does for a request: judges the form, charges the budget, knows a `client_order_id` again. Must not
know time beyond the stamp it is given, nor why a strategy acts.
"""

from __future__ import annotations

from typing import Any, Final

from raeth.client.strategy import Action, Amend, Cancel, CancelAll, OrderResult, Outcome, Place, Quotes
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.ids import N_BITS
from raeth.engine.state import Agent
from raeth.engine.types import BUY, FOK, GTC, IOC, LIMIT, MARKET, POST_ONLY, REJECTED, SELL, Order
from raeth.sim.core import Core
from raeth.sim.view import SIDE_NAMES

MINUTE_MS: Final = 60_000
QUOTE_LEVELS: Final = 20
SIDES: Final = {"BUY": BUY, "SELL": SELL}
TIFS: Final = frozenset({GTC, IOC, FOK, POST_ONLY})


class Meter:
    """One budget: `limit` requests a minute, None without bound. The minute starts with the first request in it."""

    __slots__ = ("limit", "reset_ms", "used")

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.reset_ms = 0
        self.used = 0

    def charge(self, ts: int) -> bool:
        """Count a request; whether it is still within the budget. Those beyond it count too."""
        if self.limit is None:
            return True
        if ts >= self.reset_ms:
            self.reset_ms = ts + MINUTE_MS
            self.used = 0
        self.used += 1
        return self.used <= self.limit


class Desk:
    """Carries out one agent's actions, in order. `told` False leaves out what only `Strategy.told` would read."""

    def __init__(
        self, core: Core, agent: Agent, *, writes_per_minute: int | None, cancels_per_minute: int | None, told: bool
    ) -> None:
        self.core = core
        self.agent = agent
        self.key_id = agent.keys[0]
        self.told = told
        self.writes = Meter(writes_per_minute)
        self.cancels = Meter(cancels_per_minute)
        self.filled: set[int] = set()
        """Own orders that filled, of a strategy that listens: a cancel that comes too late is told so."""
        self._by_client_id: dict[str, tuple[int, Place, Outcome]] = {}
        self._do: Final[dict[type[Action], Any]] = {
            Place: self._place,
            Quotes: self._quotes,
            Cancel: self._cancel,
            CancelAll: self._cancel_all,
            Amend: self._amend,
        }

    def do(self, action: Action, market: int, ts: int) -> Outcome:
        """Carry out one action in `market`. Raises TypeError for what no strategy may send: it would be a 400."""
        handler = self._do.get(type(action))
        if handler is None:
            raise TypeError(f"{action!r} is no action")
        outcome: Outcome = handler(action, market, ts)
        return outcome

    # ---- each action ----

    def _place(self, action: Place, market: int, ts: int) -> Outcome:
        spec = _spec_of(action, market)
        if not self.writes.charge(ts):
            return _limited(action, self.writes, ts)
        if spec is None:
            return Outcome(action, False, "VALIDATION_FAILED")
        name = action.client_order_id
        if name is not None and name in self._by_client_id:
            *first, outcome = self._by_client_id[name]
            return outcome if first == [market, action] else Outcome(action, False, "IDEMPOTENCY_CONFLICT")
        last = self.core.apply(cmd.PlaceOrder(self.agent.id, self.key_id, spec), ts)[-1]
        if isinstance(last, ev.Refused):
            return _refused(action, last)
        assert isinstance(last, ev.OrderPlaced)
        outcome = self._placed(action, last.order)
        if name is not None:
            self._by_client_id[name] = (market, action, outcome)
        return outcome

    def _placed(self, action: Place, order: Order) -> Outcome:
        if order.status == REJECTED:
            return Outcome(action, False, order.reject_reason, order.reject_details or {}, _result(order))
        return Outcome(action, True, order=_result(order) if self.told else None)

    def _quotes(self, action: Quotes, market: int, ts: int) -> Outcome:
        for price, qty in (*action.bids, *action.asks):
            _whole(action, price, qty)
        if not self.writes.charge(ts):
            return _limited(action, self.writes, ts)
        fault = _quote_fault(action)
        if fault is not None:
            return Outcome(action, False, fault)
        command = cmd.PutQuotes(self.agent.id, self.key_id, market, action.quote_id, action.bids, action.asks)
        events = self.core.apply(command, ts)
        last = events[-1]
        if isinstance(last, ev.Refused):
            return _refused(action, last)
        assert isinstance(last, ev.QuotesPut)
        orders = {order.id: order for order in last.kept}
        orders |= {event.order.id: event.order for event in events if isinstance(event, ev.OrderPlaced)}
        results = [orders[order_id] for order_id in last.results]
        declined = next((order for order in results if order.status == REJECTED), None)
        told = tuple(map(_result, results)) if self.told else ()
        if declined is None:
            return Outcome(action, True, orders=told)
        return Outcome(action, False, declined.reject_reason, declined.reject_details or {}, orders=told)

    def _cancel(self, action: Cancel, market: int, ts: int) -> Outcome:
        if not self.cancels.charge(ts):
            return _limited(action, self.cancels, ts)
        order_id = self._order_id(action.order_id)
        if order_id is None:
            return Outcome(action, False, "ORDER_NOT_FOUND")
        last = self.core.apply(cmd.CancelOrder(self.agent.id, self.key_id, order_id), ts)[-1]
        if isinstance(last, ev.Refused):
            return self._not_open(action, order_id, last)
        assert isinstance(last, ev.OrderEnded)
        return Outcome(action, True, order=_result(last.order))

    def _cancel_all(self, action: CancelAll, market: int, ts: int) -> Outcome:
        if not self.cancels.charge(ts):
            return _limited(action, self.cancels, ts)
        side = None if action.side is None else SIDES[action.side]
        command = cmd.CancelOrders(self.agent.id, self.key_id, None, market, side, action.quote_id)
        last = self.core.apply(command, ts)[-1]
        if isinstance(last, ev.Refused):
            return _refused(action, last)
        assert isinstance(last, ev.OrdersCancelled)
        return Outcome(action, True, details={"cancelled": last.cancelled})

    def _amend(self, action: Amend, market: int, ts: int) -> Outcome:
        _whole(action, 0 if action.price is None else action.price, 0 if action.qty is None else action.qty)
        if not self.writes.charge(ts):
            return _limited(action, self.writes, ts)
        order_id = self._order_id(action.order_id)
        if order_id is None:
            return Outcome(action, False, "ORDER_NOT_FOUND")
        command = cmd.AmendOrder(self.agent.id, self.key_id, order_id, action.price, action.qty)
        for event in reversed(self.core.apply(command, ts)):
            if isinstance(event, ev.AmendRejected):
                return Outcome(action, False, event.reason, event.details, _result(event.order))
            if isinstance(event, ev.OrderAmended | ev.OrderReduced) and event.order.id == order_id:
                return Outcome(action, True, order=_result(event.order))
            if isinstance(event, ev.Refused):
                return self._not_open(action, order_id, event)
        raise AssertionError("an amend without a result")

    # ---- what they share ----

    def _order_id(self, text: str) -> int | None:
        """The engine's number of an order id, None for one this venue cannot have given."""
        number = int(text) if text.isdecimal() and len(text) < 20 else 0
        return number if 0 < number >> N_BITS <= self.core.state.seq else None

    def _not_open(self, action: Action, order_id: int, refused: ev.Refused) -> Outcome:
        if refused.code == "ORDER_NOT_OPEN" and order_id in self.filled:
            return Outcome(action, False, "ORDER_ALREADY_FILLED")
        return _refused(action, refused)


def _spec_of(action: Place, market: int) -> cmd.OrderSpec | None:
    """The order as the engine takes it; None for a combination the schema refuses."""
    price, tif, cap, until = action.price, action.tif, action.slippage_cap_cents, action.expires_at_ms
    _whole(action, 0 if price is None else price, action.qty)
    _whole(action, 0 if cap is None else cap, 0 if until is None else until)
    if price is None:
        kind, tif = MARKET, IOC if tif is None else tif
        if tif not in (IOC, FOK, GTC) or (cap is not None and cap < 0):
            return None
        tif = FOK if tif == FOK else IOC
    else:
        kind, tif = LIMIT, GTC if tif is None else tif
        if tif not in TIFS or cap is not None:
            return None
    return cmd.OrderSpec(
        market,
        SIDES[action.side],
        kind,
        tif,
        price,
        action.qty,
        cap,
        action.reduce_only,
        action.client_order_id,
        expires_at=until,
        confirm_fat_finger=action.confirm_fat_finger,
    )


def _whole(action: Action, one: int, other: int) -> None:
    """Only true integers may enter the journal; floats, booleans and numpy's integers are a strategy's mistake."""
    if type(one) is not int or type(other) is not int:
        raise TypeError(f"{action!r}: prices, quantities and times must be plain integers")


def _quote_fault(action: Quotes) -> str | None:
    bids = [price for price, _ in action.bids]
    asks = [price for price, _ in action.asks]
    if len(bids) > QUOTE_LEVELS or len(asks) > QUOTE_LEVELS:
        return "BATCH_SIZE_EXCEEDED"
    doubled = len(set(bids)) != len(bids) or len(set(asks)) != len(asks)
    crossed = bool(bids and asks) and max(bids) >= min(asks)
    return "VALIDATION_FAILED" if doubled or crossed else None


def _limited(action: Action, meter: Meter, ts: int) -> Outcome:
    return Outcome(action, False, "RATE_LIMITED", {"retry_after_ms": meter.reset_ms - ts})


def _refused(action: Action, refused: ev.Refused) -> Outcome:
    return Outcome(action, False, refused.code, refused.details or {})


def _result(order: Order) -> OrderResult:
    return OrderResult(
        str(order.id),
        SIDE_NAMES[order.side],
        order.price,
        order.qty,
        order.status,
        order.filled,
        order.remaining,
        order.notional,
        order.fee_cents,
        order.reject_reason,
        order.client_order_id,
    )
