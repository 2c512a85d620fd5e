"""The house market maker: its policy, its bounds, what it does now and how it fares (contract, section 7).

What rests and what it owns are read off the venue's state, so they are true on every node. Only why it is out, and what
it thinks, comes from the house itself, where it runs in this process.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.lookup import now_ms
from raeth.api.routing import VenueRouter
from raeth.api.schemas.liquidity import HouseBounds, HouseParameters, LiquidityView
from raeth.engine.state import Agent, State
from raeth.engine.types import BUY, SELL, Order
from raeth.liquidity.policy import REASONS, TEXT
from raeth.liquidity.settings import HOUSE
from raeth.sequencer import Sequencer

router = VenueRouter("market data")

HISTORY_MS: Final = 10_000
"""How old the sums over fills may be: they read many rows."""
DAY_MS: Final = 86_400_000


class History(NamedTuple):
    agent: int
    at_ms: int
    fills: int
    qty: int


_known: WeakKeyDictionary[Sequencer, History] = WeakKeyDictionary()


@router.get(
    "/liquidity",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_liquidity",
    summary="Read the house market maker's policy, bounds and state",
    response_model=LiquidityView,
)
async def get_liquidity(call: Call) -> dict[str, Any]:
    """Also where it is switched off: then `enabled` is false, and `now.status` is OFF unless quotes still rest."""
    state = await call.settled()
    found = state.names.get(HOUSE)
    history, granted_cents = None, 0
    if found is not None:
        granted_cents = await call.venue.store.granted_cents(state.agents[found].account.id)
        history = await _history(call, found, now_ms(call, state))
        state = await call.settled()
    agent = None if found is None else state.agents[found]
    settings = call.venue.settings.house
    return {
        "enabled": settings.enabled,
        "agent_id": None if agent is None else call.names.agent(agent.id),
        "agent_name": HOUSE,
        "ranked": False,
        "policy": TEXT,
        "parameters": settings.model_dump(include=set(HouseParameters.model_fields)),
        "bounds": settings.model_dump(include=set(HouseBounds.model_fields)),
        "now": _now(call, state, agent),
        "money": None if agent is None else _money(agent, granted_cents),
        "last_24h": None if history is None else {"fills": history.fills, "qty": history.qty},
        "seq": state.seq,
    }


async def _history(call: Call, agent: int, now: int) -> History:
    """The sums over an agent's fills, made anew every ten seconds of venue time."""
    sequencer, store = call.venue.sequencer, call.venue.store
    known = _known.get(sequencer)
    if known is None or known.agent != agent or not 0 <= now - known.at_ms < HISTORY_MS:
        fills, qty = await store.fills_since(agent, now - DAY_MS)
        known = _known[sequencer] = History(agent, now, fills, qty)
    return known


def _money(agent: Agent, granted_cents: int) -> dict[str, int]:
    return {
        "granted_cents": granted_cents,
        "cash_cents": agent.cash,
        "locked_cents": agent.locked,
        "pnl_cents": agent.cash - granted_cents,
    }


def _now(call: Call, state: State, agent: Agent | None) -> dict[str, Any]:
    """What rests, by the state; why nothing does, by the house."""
    market = state.live
    position = None if market is None or agent is None else agent.positions.get(market.id)
    orders = [] if position is None else list(position.orders.values())
    bids, asks = ([order for order in orders if order.side == side] for side in (BUY, SELL))
    status = "QUOTING" if bids and asks else "ONE_SIDED" if orders else "OUT"
    if status == "OUT" and not call.venue.settings.house.enabled:
        status = "OFF"
    thought = None if call.venue.house is None else call.venue.house.state
    reason = None if thought is None or status != "OUT" else thought.why
    fair, half = (None, None) if thought is None else (thought.fair_cents, thought.half_spread_cents)
    return {
        "status": status,
        "reason": reason,
        "message": None if reason is None else REASONS[reason],
        "market_id": None if market is None else call.names.learn(market.id, market.symbol).uuid,
        "symbol": None if market is None else market.symbol,
        "best_bid": max(_prices(bids), default=None),
        "bid_qty": sum(order.remaining for order in bids),
        "best_ask": min(_prices(asks), default=None),
        "ask_qty": sum(order.remaining for order in asks),
        "fair_value_cents": None if fair is None else round(fair),
        "half_spread_cents": None if half is None else math.ceil(half),
    }


def _prices(orders: list[Order]) -> list[int]:
    return [order.price for order in orders if order.price is not None]
