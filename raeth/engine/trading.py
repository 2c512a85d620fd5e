"""What agents ask of the book: place, batch, quote, amend, cancel. One function a command.

Each reads the state, lets `plan.judge` decide, and lets `clearing` do it. A decline is an event, never an exception.
"""

from __future__ import annotations

import msgspec

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine import risk
from raeth.engine.clearing import Events, carry_out, end_order, execute, position_of, reject, shrink, take_out
from raeth.engine.fees import taker_fee_cents
from raeth.engine.margin import lock_cents
from raeth.engine.plan import Overlay, Plan, judge
from raeth.engine.state import Agent, Market, Position, State
from raeth.engine.types import (
    BUY,
    CANCEL_MAKER,
    CANCELLED,
    FOK,
    LIMIT,
    PAYOUT,
    POST_ONLY,
    SELL,
    Order,
    copy_of,
)


def make_order(state: State, agent: Agent, spec: cmd.OrderSpec, ts: int) -> Order:
    """An order as it arrives: not judged, not resting."""
    order_id = state.next_id
    state.next_id = order_id + 1
    return Order(
        order_id,
        agent.id,
        agent.account.id,
        spec.market,
        spec.side,
        spec.type,
        spec.tif,
        spec.price,
        spec.qty,
        spec.qty,
        spec.reduce_only,
        spec.stp,
        spec.client_order_id,
        None,
        spec.expires_at,
        ts,
        ts,
        state.seq,
    )


def place(state: State, agent: Agent, spec: cmd.OrderSpec, ts: int, out: Events, quote_id: str | None = None) -> Order:
    """Judge one order and carry it out or decline it; the result is the `OrderPlaced` at the end of `out`."""
    # As `make_order`, whose call would be a fiftieth of the whole.
    order_id = state.next_id
    state.next_id = order_id + 1
    agent_id = agent.id
    market_id = spec.market
    order = Order(
        order_id,
        agent_id,
        agent.account.id,
        market_id,
        spec.side,
        spec.type,
        spec.tif,
        spec.price,
        spec.qty,
        spec.qty,
        spec.reduce_only,
        spec.stp,
        spec.client_order_id,
        quote_id,
        spec.expires_at,
        ts,
        ts,
        state.seq,
    )
    try:
        market = state.markets[market_id]
    except KeyError:
        # An id that is not 0 was vouched for by the tables: the market existed and has ended.
        reject(order, "MARKET_CLOSED" if market_id else "UNKNOWN_MARKET", {})
        out.append(ev.OrderPlaced(order))
        return order
    try:
        position = market.positions[agent_id]
    except KeyError:
        position = position_of(market, agent)
    decline, plan = judge(state, market, position, spec, ts)
    if decline is not None:
        reject(order, decline[0], decline[1])
        risk.note_decline(market, position, spec.side, decline[0], ts)
        out.append(ev.OrderPlaced(order))
        return order
    assert plan is not None
    execute(state, market, position, order, plan, ts, out)
    out.append(ev.OrderPlaced(copy_of(order) if order.remaining else order))
    return order


def place_order(state: State, agent: Agent, command: cmd.PlaceOrder, ts: int, out: Events) -> None:
    place(state, agent, command.order, ts, out)


def place_batch(state: State, agent: Agent, command: cmd.PlaceBatch, ts: int, out: Events) -> None:
    if command.atomic:
        _place_atomic(state, agent, command.orders, ts, out)
        return
    for spec in command.orders:
        place(state, agent, spec, ts, out)


def _place_atomic(state: State, agent: Agent, legs: tuple[cmd.OrderSpec, ...], ts: int, out: Events) -> None:
    """All legs as FOK, all or none: first all are planned over an overlay, then these plans are carried out, or none.

    They are not judged a second time: the book has no mark of its own between two legs, and a leg may need collateral
    that a later one frees.
    """
    specs = [msgspec.structs.replace(spec, tif=FOK) for spec in legs]
    plans, failed = _plan_atomic(state, agent, specs, ts)
    if failed is None:
        for market, position, spec, plan in plans:
            order = make_order(state, agent, spec, ts)
            carry_out(state, market, position, order, plan, ts, out)
            position.relock()
            assert order.remaining == 0 and order.filled == order.qty, "a planned leg did not fill"
            out.append(ev.OrderPlaced(order))
        assert agent.cash >= agent.locked, "an atomic batch left free cash below zero"
        return
    index, code, details = failed
    for place_in_batch, spec in enumerate(specs):
        order = make_order(state, agent, spec, ts)
        mine = place_in_batch == index
        reject(order, code if mine else "STRATEGY_NOT_FILLED", details if mine else {})
        market_there = state.markets.get(spec.market)
        if market_there is not None and mine:
            risk.note_decline(market_there, position_of(market_there, agent), spec.side, code, ts)
        out.append(ev.OrderPlaced(order))


_Leg = tuple[Market, Position, cmd.OrderSpec, Plan]


def _plan_atomic(
    state: State, agent: Agent, specs: list[cmd.OrderSpec], ts: int
) -> tuple[list[_Leg], tuple[int, str, dict[str, int]] | None]:
    """The plan of every leg; and the first leg that fails with its code and repair, None when all can be done."""
    overlay = Overlay()
    plans: list[_Leg] = []
    for index, spec in enumerate(specs):
        market = state.markets.get(spec.market)
        if market is None:
            return plans, (index, "MARKET_CLOSED" if spec.market else "UNKNOWN_MARKET", {})
        position = position_of(market, agent)
        decline, plan = judge(state, market, position, spec, ts, overlay=overlay)
        if decline is not None:
            return plans, (index, *decline)
        assert plan is not None
        overlay.leg_done(market, agent.id, spec.qty if spec.side == BUY else -spec.qty, plan)
        plans.append((market, position, spec, plan))
    required = _atomic_lock(agent, plans, overlay)
    if required > agent.free:
        details = {"required_cents": required, "free_cash_cents": agent.free}
        return plans, (len(specs) - 1, "INSUFFICIENT_MARGIN", details)
    return plans, None


def _atomic_lock(agent: Agent, plans: list[_Leg], overlay: Overlay) -> int:
    """How much more collateral all legs together need, in cents."""
    required = 0
    for market_id in dict.fromkeys(market.id for market, *_ in plans):
        net = flow = 0
        position = agent.positions[market_id]
        for market, _, spec, plan in plans:
            if market.id != market_id:
                continue
            fee = taker_fee_cents(plan.weight * market.settings.taker_rate_bps)
            net += spec.qty if spec.side == BUY else -spec.qty
            flow += -fee - plan.notional if spec.side == BUY else plan.notional - fee
        costs = list(position.cost)
        for order in position.orders.values():
            assert order.price is not None
            lost = order.remaining - overlay.left(order)
            costs[order.side] -= lost * (order.price if order.side == BUY else PAYOUT - order.price)
        lock = lock_cents(position.net + net, position.cash_flow + flow, costs[BUY], costs[SELL])
        required += lock - position.lock
    return required


def put_quotes(state: State, agent: Agent, command: cmd.PutQuotes, ts: int, out: Events) -> None:
    """Replace a quote: levels at the same price and no larger keep their turn, the rest go, then new ones come."""
    market = state.markets.get(command.market)
    wanted = [(BUY, price, qty) for price, qty in command.bids] + [(SELL, price, qty) for price, qty in command.asks]
    if not wanted and state.frozen is False and market is None:
        out.append(ev.QuotesPut(agent.id, command.market, command.quote_id, (), ()))
        return
    old: list[Order] = []
    if market is not None and agent.id in market.positions:
        old = [o for o in market.positions[agent.id].orders.values() if o.quote_id == command.quote_id]
    results: dict[tuple[int, int], int] = {}
    kept: list[Order] = []
    sizes = {(side, price): qty for side, price, qty in wanted}
    for order in old:
        assert order.price is not None
        qty = sizes.get((order.side, order.price), 0)
        if 0 < qty <= order.remaining and (order.side, order.price) not in results:
            assert market is not None
            if qty < order.remaining:
                position = market.positions[agent.id]
                shrink(state, market, position, order, order.remaining - qty, "QUOTE", ts, out)
            results[(order.side, order.price)] = order.id
            kept.append(order)
        else:
            end_order(state, order, CANCELLED, "REPLACED" if wanted else "USER", ts, out)
    # Best first: bids from the top, asks from the bottom, in turn by how good they are for the other side.
    for side, price, qty in sorted(wanted, key=lambda w: -w[1] if w[0] == BUY else w[1] - 100):
        if (side, price) in results:
            continue
        spec = cmd.OrderSpec(command.market, side, LIMIT, POST_ONLY, price, qty, stp=CANCEL_MAKER)
        results[(side, price)] = place(state, agent, spec, ts, out, command.quote_id).id
    out.append(
        ev.QuotesPut(
            agent.id,
            command.market,
            command.quote_id,
            tuple(results[(side, price)] for side, price, _ in wanted),
            tuple(copy_of(order) for order in kept),
        )
    )


def own_open_order(state: State, agent: Agent, order_id: int, out: Events) -> Order | None:
    """The agent's open order, or None after saying why not."""
    order = state.orders.get(order_id)
    if order is None:
        out.append(ev.Refused("ORDER_NOT_OPEN"))
        return None
    if order.agent != agent.id:
        out.append(ev.Refused("FORBIDDEN"))
        return None
    return order


def amend_order(state: State, agent: Agent, command: cmd.AmendOrder, ts: int, out: Events) -> None:
    """A pure decrease shrinks in place; anything else is judged like a new order and joins the back of its queue."""
    order = own_open_order(state, agent, command.order, out)
    if order is None:
        return
    assert order.price is not None
    price = order.price if command.price is None else command.price
    qty = order.qty if command.qty is None else command.qty
    decrease = price == order.price and qty < order.qty
    if state.frozen and not decrease:
        out.append(ev.Refused("EXCHANGE_FROZEN"))
        return
    if qty <= order.filled:
        out.append(ev.Refused("AMEND_CONFLICT", {"filled_qty": order.filled}))
        return
    market = state.markets[order.market]
    position = market.positions[agent.id]
    if decrease:
        shrink(state, market, position, order, order.qty - qty, "AMEND", ts, out)
        return
    spec = cmd.OrderSpec(
        order.market,
        order.side,
        order.type,
        order.tif,
        price,
        qty - order.filled,
        reduce_only=order.reduce_only,
        stp=order.stp,
    )
    decline, plan = judge(state, market, position, spec, ts, replacing=order)
    if decline is not None:
        risk.note_decline(market, position, order.side, decline[0], ts)
        out.append(ev.AmendRejected(copy_of(order), decline[0], decline[1]))
        return
    assert plan is not None
    was_price, was_remaining, fills_before = order.price, order.remaining, len(order.fills)
    take_out(state, order)
    order.seq = state.seq
    order.updated_ts = ts
    order.price = price
    order.qty = qty
    order.remaining = qty - order.filled
    execute(state, market, position, order, plan, ts, out)
    out.append(ev.OrderAmended(copy_of(order), was_price, was_remaining, fills_before))


def cancel_order(state: State, agent: Agent, command: cmd.CancelOrder, ts: int, out: Events) -> None:
    order = own_open_order(state, agent, command.order, out)
    if order is not None:
        end_order(state, order, CANCELLED, "USER", ts, out)


def cancel_orders(state: State, agent: Agent, command: cmd.CancelOrders, ts: int, out: Events) -> None:
    """Cancel the listed orders of this agent (others' count as not open), or all that match the filter."""
    not_open: list[int] = []
    chosen: list[Order] = []
    if command.orders is not None:
        for order_id in dict.fromkeys(command.orders):
            order = state.orders.get(order_id)
            if order is None or order.agent != agent.id:
                not_open.append(order_id)
            else:
                chosen.append(order)
    else:
        chosen = [order for order in resting(agent, command.market) if _matches(order, command)]
    for order in chosen:
        end_order(state, order, CANCELLED, "USER", ts, out)
    out.append(ev.OrdersCancelled(agent.id, len(chosen), tuple(not_open)))


def resting(agent: Agent, market: int | None) -> list[Order]:
    """What an agent has resting, in one market or (None) in all."""
    positions = agent.positions
    chosen = positions.values() if market is None else [positions[market]] if market in positions else []
    return [order for position in chosen for order in position.orders.values()]


def _matches(order: Order, wanted: cmd.CancelOrders) -> bool:
    if wanted.side is not None and order.side != wanted.side:
        return False
    if wanted.quote_id is not None and order.quote_id != wanted.quote_id:
        return False
    return wanted.client_order_ids is None or order.client_order_id in wanted.client_order_ids


def disconnect(state: State, command: cmd.Disconnect, ts: int, out: Events) -> None:
    agent = state.agents.get(command.agent)
    cancelled = cancel_all(state, agent, "DISCONNECT", ts, out) if agent is not None else 0
    out.append(ev.OrdersCancelled(command.agent, cancelled))


def cancel_all(state: State, agent: Agent, reason: str, ts: int, out: Events) -> int:
    """Cancel everything an agent has resting. Returns how many orders that was."""
    chosen = resting(agent, None)
    for order in chosen:
        end_order(state, order, CANCELLED, reason, ts, out)
    return len(chosen)
