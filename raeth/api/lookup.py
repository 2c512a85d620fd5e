"""From what callers name to what the venue knows: markets by UUID or symbol, live or ended, and the truth about orders.

Asks the engine's state first and the tables for what has ended. Must not know how anything is shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from raeth.api.call import Call
from raeth.api.views.names import MarketName, Names
from raeth.engine.state import Market, State
from raeth.engine.types import FILLED, Order
from raeth.errors import Code, RaethError
from raeth.store.rows import MarketRow

_SYMBOL: Final = re.compile(r"[A-Z0-9-]{1,64}", re.ASCII)
"""Whatever else a path may hold, it is not a symbol and need not trouble the database."""


def now_ms(call: Call, state: State) -> int:
    """Venue time, no earlier than the state that is shown with it."""
    return max(call.venue.clock.now_ms(), state.ts)


def market_now(call: Call, names: Names, ref: str) -> tuple[int, MarketName] | None:
    """A market the engine has, without waiting."""
    state = call.venue.sequencer.state
    market = state.markets.get(state.symbols.get(ref, 0) or names.entity(ref) or 0)
    return None if market is None else (market.id, names.learn(market.id, market.symbol))


async def market_row(call: Call, names: Names, ref: str) -> MarketRow | None:
    """A market the tables have, ended or not."""
    store = call.venue.store
    market_id = names.entity(ref)
    if market_id is not None:
        row = await store.get_market(market_id)
    else:
        row = await store.market_by_symbol(ref) if _SYMBOL.fullmatch(ref) else None
    if row is not None:
        names.learn(row.id, row.symbol)
    return row


async def market_ref(call: Call, names: Names, ref: str) -> tuple[int, MarketName] | None:
    """A market by what a caller named it, or None when the venue, brought up to date, knows of none."""
    found = market_now(call, names, ref)
    if found is None:
        await call.latest()  # the window may be one that is due to be listed, or that another node has just listed
        found = market_now(call, names, ref)
    if found is None:
        row = await market_row(call, names, ref)
        found = None if row is None else (row.id, names.learn(row.id, row.symbol))
    return found


async def known_market(call: Call, names: Names, ref: str) -> int:
    """The id of a market, for paths and filters. Raises UNKNOWN_MARKET."""
    found = await market_ref(call, names, ref)
    if found is None:
        raise RaethError(Code.UNKNOWN_MARKET, http=404)
    return found[0]


@dataclass(slots=True)
class FoundMarket:
    """A market for reading: either the engine's, with the state it belongs to, or a row of the tables."""

    state: State
    id: int
    live: Market | None
    row: MarketRow | None


async def find_market(call: Call, names: Names, ref: str) -> FoundMarket:
    """The market named `ref` on settled state. Read `live` before the next await. Raises UNKNOWN_MARKET."""
    state = await call.settled()
    now = market_now(call, names, ref)
    if now is None:
        state = await call.latest()
        now = market_now(call, names, ref)
    if now is not None:
        return FoundMarket(state, now[0], state.markets[now[0]], None)
    row = await market_row(call, names, ref)
    state = await call.settled()
    if row is None:
        raise RaethError(Code.UNKNOWN_MARKET, http=404)
    live = state.markets.get(row.id)
    return FoundMarket(state, row.id, live, None if live is not None else row)


async def market_name(call: Call, names: Names, market_id: int) -> MarketName | None:
    """The name of an order's market; None for an order that named a market nobody knows."""
    if not market_id:
        return None
    name = names.market(market_id)
    if name is None:
        market = call.venue.sequencer.state.markets.get(market_id)
        if market is not None:
            return names.learn(market_id, market.symbol)
        row = await call.venue.store.get_market(market_id)
        assert row is not None, "an order in a market that was never listed"
        name = names.learn(market_id, row.symbol)
    return name


async def caught_up(call: Call) -> None:
    """Return once everything that was accepted before this call is in the tables. Raises SERVICE_DEGRADED.

    Before "there is no such order" is said: it must be a proof. An empty write takes its turn behind whatever waits.
    """
    await call.venue.sequencer.write(())


async def order_of(call: Call, names: Names, text: str, *, proven: bool = False) -> Order:
    """The agent's own order by its public id. Raises ORDER_NOT_FOUND, or FORBIDDEN for another's.

    `proven`: a command was just committed, so the tables hold all there is."""
    order_id = names.entity(text)
    if order_id is None:
        raise RaethError(Code.ORDER_NOT_FOUND)
    order = await call.venue.store.get_order(order_id)
    if order is None and not proven:
        await caught_up(call)
        order = await call.venue.store.get_order(order_id)
    if order is None:
        raise RaethError(Code.ORDER_NOT_FOUND)
    if order.agent != call.the_agent.id:
        raise RaethError(Code.FORBIDDEN)
    return order


async def why_not_open(call: Call, names: Names, text: str) -> RaethError:
    """What to say of an order that cannot be cancelled or amended, just after the engine said so."""
    try:
        order = await order_of(call, names, text, proven=True)
    except RaethError as error:
        return error
    return RaethError(Code.ORDER_ALREADY_FILLED if order.status == FILLED else Code.ORDER_NOT_OPEN)
