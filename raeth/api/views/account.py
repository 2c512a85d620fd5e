"""An agent's wallet, positions and ledger as JSON (contract, section 8)."""

from __future__ import annotations

from typing import Any

from raeth.api.views.names import Names, iso
from raeth.engine.state import Agent, Deadman, Market, Position, State
from raeth.engine.types import PAYOUT
from raeth.store.rows import LedgerRow

Body = dict[str, Any]


def pending_cents(market: Market, position: Position) -> int:
    """Cash flow plus the position at the mark. Where there is a position there was a trade, so there is a mark."""
    mark = market.mark()
    assert mark is not None or not position.net, "a position without any trade"
    return position.cash_flow + position.net * (mark or 0)


def account_body(names: Names, state: State, agent: Agent, limits: Body) -> Body:
    """The wallet as of the state's `seq`."""
    pending = sum(pending_cents(state.markets[market], position) for market, position in agent.positions.items())
    return {
        "agent_id": names.agent(agent.id),
        "agent_name": agent.name,
        "account_id": names.agent(agent.account.id),
        "cash_cents": agent.cash,
        "locked_cents": agent.locked,
        "free_cash_cents": agent.free,
        "equity_cents": agent.cash + pending,
        "pending_pnl_cents": pending,
        "open_orders": sum(len(position.orders) for position in agent.positions.values()),
        "limits": limits,
        "frozen": state.frozen,
        "suspended": agent.suspended,
        "deadman": _deadmen(names, state, agent),
        "seq": state.seq,
    }


def deadman_body(armed_until: int | None, last_ts: int | None, last_cancelled: int) -> Body:
    """One dead-man timer; `armed_until` None or 0: it is not armed."""
    return {
        "armed_until": iso(armed_until) if armed_until else None,
        "last_action": None if last_ts is None else {"ts": iso(last_ts), "cancelled": last_cancelled},
    }


def _deadmen(names: Names, state: State, agent: Agent) -> Body:
    own = [(market, market.deadmen[agent.id]) for market in state.markets.values() if agent.id in market.deadmen]
    markets = [
        {**_timer_body(timer), "market_id": names.uuid(market.id), "symbol": market.symbol}
        for market, timer in sorted(own, key=lambda pair: pair[0].close_at)
    ]
    return {**_timer_body(agent.deadman), "markets": markets}


def _timer_body(timer: Deadman | None) -> Body:
    return (
        deadman_body(None, None, 0) if timer is None else deadman_body(timer.until, timer.last_ts, timer.last_cancelled)
    )


def position_body(names: Names, market: Market, position: Position) -> Body:
    name = names.learn(market.id, market.symbol)
    return {
        "market_id": name.uuid,
        "symbol": name.symbol,
        "net_qty": position.net,
        "cash_flow_cents": position.cash_flow,
        "payoff_if_yes_cents": position.cash_flow + PAYOUT * position.net,
        "payoff_if_no_cents": position.cash_flow,
        "locked_cents": position.lock,
        "mark_price": market.mark(),
        "unrealized_pnl_cents": pending_cents(market, position),
    }


def position_bodies(names: Names, state: State, agent: Agent) -> list[Body]:
    """All unresolved markets the agent has something in, by close; a mere declined order is nothing."""
    found = [(state.markets[market], position) for market, position in agent.positions.items()]
    held = [(m, p) for m, p in found if p.net or p.cash_flow or p.orders]
    return [position_body(names, m, p) for m, p in sorted(held, key=lambda pair: (pair[0].close_at, pair[0].id))]


def ledger_body(names: Names, row: LedgerRow) -> Body:
    return {
        "seq": row.seq,
        "ts": iso(row.ts),
        "kind": row.kind,
        "amount_cents": row.amount_cents,
        "balance_after_cents": row.balance_after_cents,
        "market_id": names.uuid(row.market) if row.market is not None else None,
    }
