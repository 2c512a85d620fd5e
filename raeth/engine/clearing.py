"""Doing what was planned: fills, resting, cancelling, reduce-only excess, settlement and void.

Everything here changes the state and reports each change as an event. It must not decide whether an order is welcome
(`plan` does) nor when a window ends (`windows` does).
"""

from __future__ import annotations

import heapq

from raeth.engine import events as ev
from raeth.engine.fees import FEE_UNIT, REBATE_UNIT, taker_fee_cents
from raeth.engine.plan import Plan, reduce_only_excess
from raeth.engine.state import Account, Agent, Market, Position, State
from raeth.engine.types import (
    BUY,
    CANCELLED,
    FILLED,
    PARTIALLY_FILLED,
    PAYOUT,
    REJECTED,
    RESOLVED,
    SELL,
    VOID,
    Fill,
    Order,
    copy_of,
)

Events = list[ev.Event]


def new_id(state: State) -> int:
    """The next id of the command being applied; `exchange.apply` sees to it that they do not run out."""
    made = state.next_id
    state.next_id = made + 1
    return made


def position_of(market: Market, agent: Agent) -> Position:
    """The agent's position in a market that has not ended; made on first need."""
    position = market.positions.get(agent.id)
    if position is None:
        position = market.positions[agent.id] = agent.positions[market.id] = Position(agent)
    return position


def execute(state: State, market: Market, position: Position, order: Order, plan: Plan, ts: int, out: Events) -> None:
    """`carry_out` for an order that stands alone: it was judged to be affordable by itself."""
    if plan.fills or plan.own:
        carry_out(state, market, position, order, plan, ts, out)
    elif plan.rests:
        take_in(state, market, position, order)
    else:
        _end_rest(order, plan)
    # The margin test has computed what all this locks.
    agent = position.agent
    agent.locked += plan.lock - position.lock
    position.lock = plan.lock
    assert agent.cash >= agent.locked, "an order left free cash below zero"


def carry_out(state: State, market: Market, position: Position, order: Order, plan: Plan, ts: int, out: Events) -> None:
    """Cancel own makers, fill, then rest or end the rest of `order`, which is not in the book. The caller relocks."""
    for maker in plan.own:
        end_order(state, maker, CANCELLED, "SELF_TRADE", ts, out)
    if plan.fills:
        _fill(state, market, position, order, plan, ts, out)
    if plan.rests:
        if order.filled:
            order.status = PARTIALLY_FILLED
        take_in(state, market, position, order)
    elif order.remaining:
        _end_rest(order, plan)
    else:
        order.status = FILLED


def _end_rest(order: Order, plan: Plan) -> None:
    """What of an order neither trades nor rests ends at once."""
    order.status = CANCELLED
    order.cancel_reason = "SELF_TRADE" if plan.stopped else "IOC_REMAINDER"
    order.remaining = 0


def take_in(state: State, market: Market, position: Position, order: Order) -> None:
    """Put an order into the book and into every sum it belongs to."""
    side = order.side
    price = order.price
    assert price is not None
    level = price if side == BUY else PAYOUT - price
    market.book.add(order, level)
    state.orders[order.id] = position.orders[order.id] = order
    left = order.remaining
    position.cost[side] += left * level
    position.resting[side] += left
    if order.reduce_only:
        position.reducing[side] += left
        market.reducers += 1
    if order.expires_at is not None and order.expires_at <= market.close_at:
        # Beyond the close the market ends the order; leaving those out keeps the heap as small as the book.
        heapq.heappush(state.expiries, (order.expires_at, order.id))
        if order.expires_at < state.next_due:
            state.next_due = order.expires_at


def _fill(state: State, market: Market, position: Position, order: Order, plan: Plan, ts: int, out: Events) -> None:
    """Trade the planned fills, maker by maker, in the order of the walk."""
    rules = market.settings
    rate, rebate_rate = rules.taker_rate_bps, rules.maker_rebate_bps
    side, order_id, agent_id, market_id = order.side, order.id, order.agent, market.id
    taker_num = order.taker_num
    first_fee = fee_before = taker_fee_cents(taker_num) if taker_num else 0
    rebates = 0
    fills: list[Fill] = []
    trade_id = state.next_id
    for maker, qty in plan.fills:
        price = maker.price
        assert price is not None
        number = rate * price * (PAYOUT - price) * qty
        taker_num += number
        fee_after = -(-taker_num // FEE_UNIT)
        fee = fee_after - fee_before
        fee_before = fee_after
        rebate = _fill_maker(state, market, maker, trade_id, qty, number * rebate_rate, ts)
        rebates += rebate
        fills.append(Fill(trade_id, price, qty, "TAKER", fee, ts))
        out.append(
            ev.Traded(
                trade_id,
                market_id,
                price,
                qty,
                side,
                order_id,
                agent_id,
                fee,
                maker.id,
                maker.agent,
                -rebate,
                maker.remaining,
                maker.filled,
                maker.notional,
                maker.fee_cents,
                ts,
            )
        )
        trade_id += 1
    state.next_id = trade_id
    fee = fee_before - first_fee
    filled = plan.filled
    before = position.net
    if side == BUY:
        after = before + filled
        position.cash_flow -= plan.notional + fee
    else:
        after = before - filled
        position.cash_flow += plan.notional - fee
    position.net = after
    market.open_interest += (after if after > 0 else 0) - (before if before > 0 else 0)
    order.taker_num = taker_num
    order.filled += filled
    order.remaining = plan.left
    order.notional += plan.notional
    order.fee_cents += fee
    order.fills += tuple(fills)
    market.fees_cents += fee - rebates
    market.last_price = fills[-1].price
    market.volume += filled
    if market.reducers:
        for touched in {maker.agent: 0 for maker, _ in plan.fills} | {agent_id: 0}:
            trim_reducers(state, market, market.positions[touched], ts, out)


def _fill_maker(state: State, market: Market, maker: Order, trade_id: int, qty: int, number: int, ts: int) -> int:
    """Book a trade into the resting order it took from and into its owner's position; the rebate in cents.

    `number` is what the trade adds to the order's rebate numerator.
    """
    side = maker.side
    price = maker.price
    assert price is not None
    earned = maker.maker_num
    maker.maker_num = earned + number
    rebate = (earned + number) // REBATE_UNIT - earned // REBATE_UNIT
    notional = price * qty
    position = market.positions[maker.agent]
    before = position.net
    position.resting[side] -= qty
    if maker.reduce_only:
        position.reducing[side] -= qty
    if side == BUY:
        position.cost[BUY] -= notional
        market.book.fill(maker, price, qty)
        after = before + qty
        position.cash_flow += rebate - notional
    else:
        position.cost[SELL] -= qty * PAYOUT - notional
        market.book.fill(maker, PAYOUT - price, qty)
        after = before - qty
        position.cash_flow += rebate + notional
    position.net = after
    market.open_interest += (after if after > 0 else 0) - (before if before > 0 else 0)
    maker.filled += qty
    maker.notional += notional
    maker.fee_cents -= rebate
    maker.fills += (Fill(trade_id, price, qty, "MAKER", -rebate, ts),)
    maker.updated_ts = ts
    maker.seq = state.seq
    if maker.remaining:
        maker.status = PARTIALLY_FILLED
    else:
        maker.status = FILLED
        del state.orders[maker.id]
        del position.orders[maker.id]
        if maker.reduce_only:
            market.reducers -= 1
    position.relock()
    return rebate


def trim_reducers(state: State, market: Market, position: Position, ts: int, out: Events) -> None:
    """Cancel what resting reduce-only orders exceed the position by, newest orders first (`REDUCE_ONLY`)."""
    for side in (BUY, SELL):
        if not position.reducing[side]:
            continue
        for order, cut in reduce_only_excess(position, side, position.net):
            if cut == order.remaining:
                end_order(state, order, CANCELLED, "REDUCE_ONLY", ts, out)
            else:
                shrink(state, market, position, order, cut, "REDUCE_ONLY", ts, out)


def shrink(
    state: State, market: Market, position: Position, order: Order, by: int, reason: str, ts: int, out: Events
) -> None:
    """Make a resting order smaller in place; it keeps its turn. `0 < by < order.remaining`."""
    was = order.remaining
    side = order.side
    price = order.price
    assert price is not None and 0 < by < was
    level = price if side == BUY else PAYOUT - price
    market.book.reduce(order, level, by)
    order.qty -= by
    position.cost[side] -= by * level
    position.resting[side] -= by
    if order.reduce_only:
        position.reducing[side] -= by
    position.relock()
    order.updated_ts = ts
    order.seq = state.seq
    out.append(ev.OrderReduced(copy_of(order), was, reason))


def take_out(state: State, order: Order) -> None:
    """The exact opposite of `take_in`, leaving the order itself as it is.

    A heap entry left behind is skipped when its time comes."""
    market = state.markets[order.market]
    position = market.positions[order.agent]
    side = order.side
    price = order.price
    assert price is not None
    level = price if side == BUY else PAYOUT - price
    market.book.remove(order, level)
    del state.orders[order.id]
    del position.orders[order.id]
    left = order.remaining
    position.cost[side] -= left * level
    position.resting[side] -= left
    if order.reduce_only:
        position.reducing[side] -= left
        market.reducers -= 1
    position.relock()


def end_order(state: State, order: Order, status: str, reason: str | None, ts: int, out: Events) -> None:
    """End a resting order as CANCELLED (with its reason) or EXPIRED."""
    take_out(state, order)
    was = order.remaining
    order.status = status
    order.cancel_reason = reason
    order.remaining = 0
    order.updated_ts = ts
    order.seq = state.seq
    out.append(ev.OrderEnded(order, was))


def reject(order: Order, code: str, details: dict[str, int]) -> None:
    """Turn an order that was never accepted into its REJECTED answer."""
    order.status = REJECTED
    order.remaining = 0
    order.reject_reason = code
    order.reject_details = details


def clear_book(state: State, market: Market, reason: str, ts: int, out: Events) -> None:
    """Cancel all that rests in a market."""
    for side in (BUY, SELL):
        for order in list(market.book.orders(side)):
            end_order(state, order, CANCELLED, reason, ts, out)


def move_cash(
    state: State, wallet: Agent | Account, kind: str, amount: int, market: int | None, ts: int, out: Events
) -> None:
    """Change a wallet's settled cash and write its ledger line. The balance never goes below zero."""
    wallet.cash += amount
    assert wallet.cash >= 0, "a wallet went below zero"
    account = wallet.account.id if isinstance(wallet, Agent) else wallet.id
    out.append(ev.CashMoved(wallet.id, account, kind, amount, wallet.cash, market, ts))


def finish(state: State, market: Market, outcome: str, reason: str, ts: int, out: Events) -> None:
    """End a market: settle it (YES or NO) or void it, and let go of it. Its book must be empty by now."""
    assert not market.book.masks[BUY] and not market.book.masks[SELL]
    market.status = VOID if outcome == VOID else RESOLVED
    kept = 0 if outcome == VOID else market.fees_cents
    out.append(ev.MarketResolved(market.id, outcome, reason, kept, ts, market.open_interest))
    paid = 0
    for agent_id in sorted(market.positions):
        position = market.positions[agent_id]
        agent = position.agent
        agent.locked -= position.lock
        del agent.positions[market.id]
        if outcome == VOID:
            continue
        amount = position.cash_flow + (PAYOUT * position.net if outcome == "YES" else 0)
        paid += amount
        if amount:
            move_cash(state, agent, "SETTLEMENT", amount, market.id, ts, out)
    assert outcome == VOID or paid + kept == 0, "a settlement made or lost money"
    if kept:
        state.fees_cents += kept
        out.append(ev.CashMoved(0, 0, "FEES", kept, state.fees_cents, market.id, ts))
    del state.markets[market.id]
    del state.symbols[market.symbol]
    for boundary, (closes, opens) in list(state.unprinted.items()):
        # Nobody waits for a print on behalf of a market that has ended.
        if closes is market or opens is market:
            closes, opens = None if closes is market else closes, None if opens is market else opens
            if closes is None and opens is None:
                del state.unprinted[boundary]
            else:
                state.unprinted[boundary] = (closes, opens)
