"""Planning an order: what it would fill, cost and lock, before anything is done.

One walk over the book serves preview, FOK, POST_ONLY, the margin test and the execution, so that no two of them can
disagree. Planning changes nothing. `judge` is the whole path of an order from the risk chain to the last decline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from raeth.engine import risk
from raeth.engine.commands import OrderSpec
from raeth.engine.fees import taker_fee_cents
from raeth.engine.margin import lock_cents
from raeth.engine.risk import Decline
from raeth.engine.state import Market, Position, State
from raeth.engine.types import (
    BUY,
    CANCEL_BOTH,
    CANCEL_MAKER,
    FOK,
    GTC,
    MARKET,
    PAYOUT,
    PENDING,
    POST_ONLY,
    PRICE_MAX,
    PRICE_MIN,
    SELL,
    Order,
    Settings,
    plainly_written,
)
from raeth.engine.types import OPEN as MARKET_IS_OPEN

RESTING: Final = (GTC, POST_ONLY)
"""What of such orders does not trade at once goes into the book."""


class Overlay:
    """What earlier legs of an atomic batch, or reduce-only makers in the same walk, have already used up.

    `taken` and `cut` are contracts by order: traded, and trimmed as a reduce-only excess. `gone` are own makers that
    self-trade prevention cancels, `moved` the change of a position by (market, agent).
    """

    __slots__ = ("cut", "gone", "moved", "taken")

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self.cut: dict[int, int] = {}
        self.gone: dict[int, Order] = {}
        self.moved: dict[tuple[int, int], int] = {}

    def left(self, order: Order) -> int:
        """What of a resting order still rests."""
        if order.id in self.gone:
            return 0
        return order.remaining - self.taken.get(order.id, 0) - self.cut.get(order.id, 0)

    def gone_from(self, position: Position, side: int) -> list[Order]:
        """The position's own orders on `side` that are gone."""
        return [order for order in self.gone.values() if order.side == side and order.id in position.orders]

    def cut_from(self, position: Position, side: int) -> list[int]:
        """By how much the position's own reduce-only orders on `side` were trimmed."""
        mine = position.orders
        return [by for order_id, by in self.cut.items() if order_id in mine and mine[order_id].side == side]

    def available(self, market: Market, maker: Order) -> int:
        """How much of `maker` may still trade; a reduce-only one never beyond what it may reduce at that moment."""
        left = self.left(maker)
        if maker.reduce_only:
            net = market.positions[maker.agent].net + self.moved.get((market.id, maker.agent), 0)
            left = min(left, reducible(net, maker.side))
        return left

    def take(self, market: Market, maker: Order, qty: int) -> None:
        self.taken[maker.id] = self.taken.get(maker.id, 0) + qty
        self.move(market, maker.agent, qty if maker.side == BUY else -qty)

    def move(self, market: Market, agent: int, by: int) -> None:
        key = (market.id, agent)
        self.moved[key] = self.moved.get(key, 0) + by

    def leg_done(self, market: Market, agent: int, by: int, plan: Plan) -> None:
        """Leave things as this leg will: its own makers cancelled, the taker's position moved `by`, excess trimmed."""
        for maker in plan.own:
            self.gone[maker.id] = maker
            self.cut.pop(maker.id, None)
        self.move(market, agent, by)
        if market.reducers:
            for touched in {maker.agent: 0 for maker, _ in plan.fills} | {agent: 0}:
                self._trim(market, market.positions[touched])

    def _trim(self, market: Market, position: Position) -> None:
        """What `clearing.trim_reducers` will do once the leg is carried out."""
        net = position.net + self.moved.get((market.id, position.agent.id), 0)
        for side in (BUY, SELL):
            rows = [o for o in reversed(position.orders.values()) if o.reduce_only and o.side == side]
            excess = sum(self.left(order) for order in rows) - reducible(net, side)
            for order in rows:
                if excess <= 0:
                    break
                by = min(excess, self.left(order))
                self.cut[order.id] = self.cut.get(order.id, 0) + by
                excess -= by


@plainly_written
class Plan(msgspec.Struct, gc=False):
    """The outcome of a walk: `left` was not filled, and `rests` of that goes into the book (all of it or nothing).

    `own` are resting orders of the same account that self-trade prevention cancels; `weight` is the sum of
    p * (100 - p) * q over the fills, the fee numerator before the rate; `lock` is the position's after all this, once
    collateral was tested.
    """

    left: int
    rests: int = 0
    lock: int = 0
    filled: int = 0
    notional: int = 0
    weight: int = 0
    stopped: bool = False
    fills: Sequence[tuple[Order, int]] = ()
    own: Sequence[Order] = ()


def reducible(net: int, side: int) -> int:
    """How many contracts an order of `side` can take off a position of `net`."""
    return max(0, -net) if side == BUY else max(0, net)


def reduce_only_excess(
    position: Position, side: int, net: int, replacing: Order | None = None
) -> list[tuple[Order, int]]:
    """By how much resting reduce-only orders of `side` are too large once the position is `net`, newest first.

    What closes a position ends the orders that were there to close it, so it frees their collateral and their places.
    """
    rows = [o for o in reversed(position.orders.values()) if o.reduce_only and o.side == side and o is not replacing]
    excess = sum(order.remaining for order in rows) - reducible(net, side)
    cuts: list[tuple[Order, int]] = []
    for order in rows:
        if excess <= 0:
            break
        cuts.append((order, min(excess, order.remaining)))
        excess -= order.remaining
    return cuts


def walk(
    market: Market, account: int, spec: OrderSpec, limit: int, overlay: Overlay | None = None, qty: int | None = None
) -> Plan:
    """Walk the other side of the book up to level `limit` of the taker's own side; changes nothing.

    `limit` of PAYOUT crosses everything (a MARKET order). With a `qty`, as if the order were for that many.
    """
    left = wanted = spec.qty if qty is None else qty
    book = market.book
    other = 1 - spec.side
    level = book.best[other]
    mask = book.masks[other]
    if overlay is None and market.reducers and limit + level >= PAYOUT:
        overlay = Overlay()
    stopped = False
    worth = weight = 0
    fills: list[tuple[Order, int]] = []
    own: list[Order] = []
    while True:
        if limit + level < PAYOUT:
            break
        for maker in book.levels[other][level].values():
            if maker.account == account:
                if overlay is not None and not overlay.left(maker):
                    continue
                if spec.stp == CANCEL_MAKER:
                    own.append(maker)
                    continue
                if spec.stp == CANCEL_BOTH:
                    own.append(maker)
                stopped = True
                break
            take = maker.remaining
            if overlay is not None:
                take = overlay.available(market, maker)
                if take <= 0:
                    continue
            if take > left:
                take = left
            if overlay is not None:
                overlay.take(market, maker, take)
            fills.append((maker, take))
            worth += level * take
            weight += level * (PAYOUT - level) * take
            left -= take
            if not left:
                break
        if stopped or not left:
            break
        mask ^= 1 << level
        level = mask.bit_length() - 1
    # Levels of the sell side are what NO costs; the taker pays the complement.
    filled = wanted - left
    notional = PAYOUT * filled - worth if other == SELL else worth
    rests = left if not stopped and spec.tif in RESTING else 0
    return Plan(left, rests, 0, filled, notional, weight, stopped, fills, own)


def limit_level(market: Market, spec: OrderSpec) -> int:
    """The taker-side level up to which `spec` may trade. A MARKET order's cap counts from the visible touch."""
    if spec.price is not None:
        return spec.price if spec.side == BUY else PAYOUT - spec.price
    if spec.slippage_cap is None:
        return PAYOUT
    return min(PAYOUT, PAYOUT - market.book.best[1 - spec.side] + spec.slippage_cap)


def after_plan(
    market: Market, position: Position, spec: OrderSpec, plan: Plan, replacing: Order | None = None
) -> tuple[int, int, int, int]:
    """The position after `plan`: `(net, cash flow, fee, lock)`, in contracts and cents. Changes nothing."""
    side = spec.side
    price = spec.price
    buys, sells = position.cost
    net, flow, fee = position.net, position.cash_flow, 0
    if plan.rests:
        assert price is not None
        if side == BUY:
            buys += plan.rests * price
        else:
            sells += plan.rests * (PAYOUT - price)
    if plan.fills:
        number = plan.weight * market.settings.taker_rate_bps
        if replacing is None:
            fee = taker_fee_cents(number)
        else:
            fee = taker_fee_cents(replacing.taker_num + number) - taker_fee_cents(replacing.taker_num)
        if side == BUY:
            net += plan.filled
            flow -= plan.notional + fee
        else:
            net -= plan.filled
            flow += plan.notional - fee
        if position.reducing[side]:
            for order, cut in reduce_only_excess(position, side, net, replacing):
                assert order.price is not None
                if side == BUY:
                    buys -= cut * order.price
                else:
                    sells -= cut * (PAYOUT - order.price)
    if plan.own or replacing is not None:
        for order in _gone(position, plan, replacing):
            assert order.price is not None
            if order.side == BUY:
                buys -= order.remaining * order.price
            else:
                sells -= order.remaining * (PAYOUT - order.price)
    return net, flow, fee, lock_cents(net, flow, buys, sells)


def _gone(position: Position, plan: Plan, replacing: Order | None) -> list[Order]:
    """The agent's own resting orders that will not rest any more."""
    gone = [maker for maker in plan.own if maker.agent == position.agent.id]
    return gone if replacing is None else [*gone, replacing]


def judge(
    state: State,
    market: Market,
    position: Position,
    spec: OrderSpec,
    ts: int,
    replacing: Order | None = None,
    overlay: Overlay | None = None,
) -> tuple[Decline | None, Plan | None]:
    """The whole path of an order before anything is done: `(None, plan)` or `(decline, None)`.

    `spec.qty` is what is still to trade. `replacing` is the resting order an amend takes out of the way. With an
    `overlay` (a leg of an atomic batch) positions are judged as earlier legs leave them, collateral by the caller.
    Declines are tried in the contract's order; every order comes by here, so who knows the repair is only called when
    there is something to decline.
    """
    side = spec.side
    qty = spec.qty
    price = spec.price
    rules = market.settings
    best = market.book.best
    touch = best[1 - side]
    net = position.net
    resting = position.resting[side]
    if replacing is not None or overlay is not None:
        net, resting = _as_left(market, position, side, replacing, overlay)
    limit = limit_level(market, spec) if price is None else price if side == BUY else PAYOUT - price

    # The risk chain.
    formed = False
    if qty >= 1 and (price is None or PRICE_MIN <= price <= PRICE_MAX):
        formed = True
        # Between two touches the mark is never below the own side's (of an empty side: -1), so within the distance from
        # there no price is too far.
        if (
            limit > best[side] + rules.fat_finger_distance
            or touch < 0
            or price is None
            or qty > rules.max_order_qty
            or qty * price > rules.max_order_notional_cents
        ) and not spec.confirm_fat_finger:
            decline = risk.fat_finger(market, spec)
            if decline is not None:
                return decline, None
        if (net if net >= 0 else -net) + resting + qty > rules.position_cap:
            decline = risk.position_cap(market, spec, net, resting)
            if decline is not None:
                return decline, None
    if spec.type == MARKET:
        decline = risk.reference_price(state, market, spec, ts)
        if decline is not None:
            return decline, None
    if position.cooldown_until[side] and position.cooldown_until[side] > ts:
        return risk.cooldown(position, side, ts), None

    # The market and the order's own form.
    if market.status != MARKET_IS_OPEN or market.halted:
        return _not_trading(market, ts), None
    if not formed or not spec.leverage_ok or not spec.margin_mode_ok:
        return _malformed(rules, spec), None
    if spec.timestamp_ms is not None or spec.expires_at is not None:
        decline = _late(spec, ts)
        if decline is not None:
            return decline, None
    if spec.reduce_only:
        decline = _not_reducing(position, spec, net, replacing, overlay)
        if decline is not None:
            return decline, None

    # The book.
    tif = spec.tif
    only_rests = replacing is None
    if limit + touch < PAYOUT:
        rests = qty if tif in RESTING else 0
        plan = Plan(qty, rests)
    elif tif == POST_ONLY:
        return _would_cross(spec, touch), None
    else:
        plan = walk(market, position.agent.account.id, spec, limit, overlay)
        rests = plan.rests
        only_rests = False
    if not rests and plan.left and (tif == FOK or price is None):
        decline = _unfilled(spec, plan)
        if decline is not None:
            return decline, None
    if overlay is not None:
        return None, plan

    # Collateral, and the cap on open orders.
    locked = position.lock
    if only_rests:
        # This makes one outcome worse, by its level a contract, and leaves the other as it is.
        lock = position.cost[side] + rests * limit - position.cash_flow
        if side == SELL:
            lock -= PAYOUT * net
        if lock < locked:
            lock = locked
    else:
        lock = after_plan(market, position, spec, plan, replacing)[3]
    agent = position.agent
    if agent.cash - agent.locked + locked < lock:
        return _too_dear(market, position, spec, replacing, lock), None
    plan.lock = lock
    if rests and replacing is None and len(position.orders) >= rules.open_orders_per_market:
        decline = _too_many(market, position, spec, plan)
        if decline is not None:
            return decline, None
    return None, plan


def _as_left(
    market: Market, position: Position, side: int, replacing: Order | None, overlay: Overlay | None
) -> tuple[int, int]:
    """The position, and what rests on `side`, as an amend (less the order it replaces) or earlier legs leave them."""
    net, resting = position.net, position.resting[side]
    if replacing is not None:
        resting -= replacing.remaining
    if overlay is not None:
        net += overlay.moved.get((market.id, position.agent.id), 0)
        resting -= sum(order.remaining for order in overlay.gone_from(position, side))
        resting -= sum(overlay.cut_from(position, side))
    return net, resting


def _not_trading(market: Market, ts: int) -> Decline:
    if market.status == PENDING:
        return "MARKET_NOT_OPEN", {"retry_after_ms": market.open_at - ts}
    return ("MARKET_CLOSED" if market.status != MARKET_IS_OPEN else "MARKET_HALTED"), {}


def _malformed(rules: Settings, spec: OrderSpec) -> Decline:
    if spec.qty < 1:
        return "INVALID_QTY", {"min_qty": 1, "max_qty": rules.max_order_qty}
    if spec.price is not None and not PRICE_MIN <= spec.price <= PRICE_MAX:
        return "PRICE_OUT_OF_RANGE", {"price_min": PRICE_MIN, "price_max": PRICE_MAX}
    if not spec.leverage_ok:
        return "INVALID_LEVERAGE", {"max_leverage": 1}
    return "INVALID_MARGIN_MODE", {}


def _late(spec: OrderSpec, ts: int) -> Decline | None:
    if spec.timestamp_ms is not None and spec.recv_window_ms is not None:
        late = ts - spec.timestamp_ms
        if abs(late) > spec.recv_window_ms:
            return "STALE_REQUEST", {"late_by_ms": late, "recv_window_ms": spec.recv_window_ms}
    if spec.expires_at is not None and spec.expires_at <= ts:
        return "ORDER_EXPIRED", {"late_by_ms": ts - spec.expires_at}
    return None


def _not_reducing(
    position: Position, spec: OrderSpec, net: int, replacing: Order | None, overlay: Overlay | None
) -> Decline | None:
    """REDUCE_ONLY_VIOLATION, if the position `net` has no room for the order beside those that reduce it already."""
    side = spec.side
    reducing = position.reducing[side]
    if replacing is not None and replacing.reduce_only:
        reducing -= replacing.remaining
    if overlay is not None:
        reducing -= sum(order.remaining for order in overlay.gone_from(position, side) if order.reduce_only)
        reducing -= sum(overlay.cut_from(position, side))
    room = max(0, reducible(net, side) - reducing)
    return ("REDUCE_ONLY_VIOLATION", {"max_qty": room}) if spec.qty > room else None


def _too_many(market: Market, position: Position, spec: OrderSpec, plan: Plan) -> Decline | None:
    """OPEN_ORDERS_CAP, unless the order itself ends as many as it takes."""
    cap = market.settings.open_orders_per_market
    ended = len(_gone(position, plan, None))
    if plan.fills and position.reducing[spec.side]:
        net = position.net + (plan.filled if spec.side == BUY else -plan.filled)
        ended += sum(cut == o.remaining for o, cut in reduce_only_excess(position, spec.side, net))
    return ("OPEN_ORDERS_CAP", {"open_orders_cap": cap}) if len(position.orders) - ended >= cap else None


def _would_cross(spec: OrderSpec, best: int) -> Decline:
    """`best` is the level of the other side's touch; one tick behind it is the best price that rests."""
    price = PAYOUT - best - 1 if spec.side == BUY else best + 1
    repair = {"best_non_crossing_price": price} if PRICE_MIN <= price <= PRICE_MAX else {}
    return "POST_ONLY_WOULD_CROSS", repair


def _unfilled(spec: OrderSpec, plan: Plan) -> Decline | None:
    """What a MARKET or FOK order says of a plan that is too thin for it."""
    if spec.type == MARKET and not plan.fills and not plan.stopped:
        return "MARKET_NO_LIQUIDITY", {"max_qty": 0}
    if spec.tif == FOK and plan.left:
        return "FOK_NOT_FILLABLE", {"max_qty": spec.qty - plan.left}
    return None


def _too_dear(market: Market, position: Position, spec: OrderSpec, replacing: Order | None, lock: int) -> Decline:
    """INSUFFICIENT_MARGIN with its repair: the largest quantity of the same order that the free cash carries."""
    low, high = 0, spec.qty
    while high - low > 1:
        middle = (low + high) // 2
        if affordable(market, position, spec, middle, replacing):
            low = middle
        else:
            high = middle
    agent = position.agent
    required = lock - position.lock
    return "INSUFFICIENT_MARGIN", {"required_cents": required, "free_cash_cents": agent.free, "max_qty": low}


def affordable(market: Market, position: Position, spec: OrderSpec, qty: int, replacing: Order | None) -> bool:
    """Whether the same order for `qty` contracts would pass the margin test. Changes nothing."""
    plan = walk(market, position.agent.account.id, spec, limit_level(market, spec), qty=qty)
    *_, lock = after_plan(market, position, spec, plan, replacing)
    return position.agent.free + position.lock >= lock
