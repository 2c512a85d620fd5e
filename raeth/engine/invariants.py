"""What must hold after every command, recomputed from scratch. Slow on purpose; for tests and for `raeth audit`."""

from __future__ import annotations

from raeth.engine.deadman import armed
from raeth.engine.margin import lock_cents
from raeth.engine.plan import reducible
from raeth.engine.state import Market, State
from raeth.engine.types import BUY, PAYOUT, SELL


def check(state: State) -> None:
    """Raise AssertionError, saying which, if an invariant of money or of the book is broken."""
    cash = sum(a.cash for a in state.agents.values()) + sum(a.cash for a in state.accounts.values())
    assert cash + state.fees_cents == state.granted_cents, "sum of cash is not what was granted"
    for market in state.markets.values():
        _check_market(state, market)
    for agent in state.agents.values():
        assert agent.locked == sum(p.lock for p in agent.positions.values()), "sum of locks"
        assert agent.free >= 0, "free cash below zero"
    resting = sum(len(q) for m in state.markets.values() for side in m.book.levels for q in side)
    assert resting == len(state.orders), "an order rests that is not open, or the other way round"
    for agent_id, market_id, timer in armed(state):
        assert timer.until > state.ts, "a dead-man timer is overdue"
        assert 0 < timer.queued <= timer.until, "a dead-man timer waits too long"
        assert (timer.queued, agent_id, market_id) in state.timers, "nobody waits for a dead-man timer"
    assert not state.timers or state.next_due <= state.timers[0][0], "a dead-man timer may be overlooked"


def _check_market(state: State, market: Market) -> None:
    positions = market.positions.values()
    assert sum(p.net for p in positions) == 0, "positions do not sum to zero"
    assert sum(p.cash_flow for p in positions) + market.fees_cents == 0, "cash flows and fees do not sum to zero"
    assert market.fees_cents >= 0, "more rebate paid than fees taken"
    assert market.open_interest == sum(max(p.net, 0) for p in positions), "open interest"
    bid, ask = market.book.best_bid(), market.book.best_ask()
    assert bid is None or ask is None or bid < ask, "the book is crossed"
    assert market.book.best == [mask.bit_length() - 1 for mask in market.book.masks], "best levels"
    sums = {agent: [[0, 0], [0, 0], [0, 0]] for agent in market.positions}
    reducers = 0
    for side in (BUY, SELL):
        for level, queue in enumerate(market.book.levels[side]):
            assert market.book.depth[side][level] == sum(o.remaining for o in queue.values()), "depth of a level"
            assert bool(queue) == bool(market.book.masks[side] >> level & 1), "mask of a level"
            for order in queue.values():
                assert order.side == side and order.price is not None and order.remaining > 0
                assert (order.price if side == BUY else PAYOUT - order.price) == level, "order on a wrong level"
                assert order.qty == order.filled + order.remaining, "qty is filled plus remaining"
                assert state.orders[order.id] is order and market.positions[order.agent].orders[order.id] is order
                cost, resting, reducing = sums[order.agent]
                cost[side] += level * order.remaining
                resting[side] += order.remaining
                if order.reduce_only:
                    reducing[side] += order.remaining
                    reducers += 1
    assert reducers == market.reducers, "count of reduce-only orders"
    for agent, position in market.positions.items():
        cost, resting, reducing = sums[agent]
        assert (position.cost, position.resting, position.reducing) == (cost, resting, reducing), "resting sums"
        assert position.lock == lock_cents(position.net, position.cash_flow, cost[BUY], cost[SELL]), "lock"
        for side in (BUY, SELL):
            assert reducing[side] <= reducible(position.net, side), "reduce-only beyond the position"
