"""The whole state as bytes and back: what bounds the restart time, and what two nodes compare to see they agree.

A loaded state continues exactly like the one that was dumped, so every order that matters (of queues, of an agent's own
orders, of its positions) is kept. Sums that follow from the orders are computed again, not trusted.
"""

from __future__ import annotations

import hashlib
import heapq

import msgspec

from raeth.engine.clearing import take_in
from raeth.engine.state import Account, Agent, Deadman, Key, Market, Position, State
from raeth.engine.types import BUY, SELL, KeySpec, Order, PrintFact, Settings
from raeth.engine.windows import schedule

FORMAT = 1


class _Key(msgspec.Struct, array_like=True):
    spec: KeySpec
    created_ts: int


class _Deadman(msgspec.Struct, array_like=True):
    until: int
    last_ts: int | None
    last_cancelled: int


class _Agent(msgspec.Struct, array_like=True):
    id: int
    name: str
    created_ts: int
    cash: int
    suspended: bool
    keys: list[_Key]
    markets: list[int]
    deadman: _Deadman | None = None


class _Account(msgspec.Struct, array_like=True):
    id: int
    email_digest: str
    created_ts: int
    cash: int
    faucet_claimed: int
    faucet_next_at: int
    agents: list[_Agent]


class _Position(msgspec.Struct, array_like=True):
    agent: int
    net: int
    cash_flow: int
    rejects: tuple[list[int], list[int]]
    cooldown_until: list[int]
    orders: list[int]


class _Market(msgspec.Struct, array_like=True):
    id: int
    symbol: str
    open_at: int
    close_at: int
    settings: int
    seq: int
    status: str
    halted: bool
    unusable: bool
    open_print: PrintFact | None
    last_price: int | None
    volume: int
    open_interest: int
    fees_cents: int
    positions: list[_Position]
    orders: list[Order]
    deadmen: list[tuple[int, _Deadman]] = []


class _State(msgspec.Struct, array_like=True):
    format: int
    engine_version: int
    seq: int
    ts: int
    born: int
    frozen: bool
    frozen_reason: str | None
    reference_price: int | None
    reference_ts: int
    reference_source: str
    granted_cents: int
    fees_cents: int
    settings: list[Settings]
    accounts: list[_Account]
    markets: list[_Market]
    live: int
    pending: int
    unprinted: list[tuple[int, int, int]]
    expiries: list[tuple[int, int]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_State)


def state_hash(state: State) -> str:
    """SHA-256 of the dump, in hex: equal on every node that has applied the same journal."""
    return hashlib.sha256(dump(state)).hexdigest()


def dump(state: State) -> bytes:
    """The state as MessagePack. `state` must have had its genesis."""
    assert state.settings is not None
    settings = [state.settings]
    markets = [_dump_market(market, settings) for market in state.markets.values()]
    return _encoder.encode(
        _State(
            FORMAT,
            state.engine_version,
            state.seq,
            state.ts,
            state.born,
            state.frozen,
            state.frozen_reason,
            state.reference_price,
            state.reference_ts,
            state.reference_source,
            state.granted_cents,
            state.fees_cents,
            settings,
            [_dump_account(state, account) for account in state.accounts.values()],
            markets,
            state.live.id if state.live else 0,
            state.pending.id if state.pending else 0,
            [(at, c.id if c else 0, o.id if o else 0) for at, (c, o) in state.unprinted.items()],
            sorted(entry for entry in state.expiries if entry[1] in state.orders),
        )
    )


def _dump_account(state: State, account: Account) -> _Account:
    agents = [state.agents[agent_id] for agent_id in account.agents]
    return _Account(
        account.id,
        account.email_digest,
        account.created_ts,
        account.cash,
        account.faucet_claimed,
        account.faucet_next_at,
        [
            _Agent(
                agent.id,
                agent.name,
                agent.created_ts,
                agent.cash,
                agent.suspended,
                [_Key(state.keys[key].spec, state.keys[key].created_ts) for key in agent.keys],
                list(agent.positions),
                None if agent.deadman is None else _dump_deadman(agent.deadman),
            )
            for agent in agents
        ],
    )


def _dump_market(market: Market, settings: list[Settings]) -> _Market:
    # Settings are few and shared: each market names its own by place in the list.
    if market.settings not in settings:
        settings.append(market.settings)
    return _Market(
        market.id,
        market.symbol,
        market.open_at,
        market.close_at,
        settings.index(market.settings),
        market.seq,
        market.status,
        market.halted,
        market.unusable,
        market.open_print,
        market.last_price,
        market.volume,
        market.open_interest,
        market.fees_cents,
        [
            _Position(agent, p.net, p.cash_flow, p.rejects, p.cooldown_until, list(p.orders))
            for agent, p in market.positions.items()
        ],
        [*market.book.orders(BUY), *market.book.orders(SELL)],
        [(agent, _dump_deadman(market.deadmen[agent])) for agent in sorted(market.deadmen)],
    )


def _dump_deadman(timer: Deadman) -> _Deadman:
    return _Deadman(timer.until, timer.last_ts, timer.last_cancelled)


def load(data: bytes) -> State:
    """The state behind a dump. Raises msgspec errors or ValueError on bytes that are no dump of this format."""
    saved = _decoder.decode(data)
    if saved.format != FORMAT:
        raise ValueError(f"snapshot format {saved.format} is not {FORMAT}")
    state = State()
    for name in _PLAIN:
        setattr(state, name, getattr(saved, name))
    state.settings = saved.settings[0]
    for account in saved.accounts:
        _load_account(state, account)
    for market in saved.markets:
        _load_market(state, market, saved.settings)
    _load_positions(state, saved)
    state.live = state.markets.get(saved.live)
    state.pending = state.markets.get(saved.pending)
    state.unprinted = {
        at: (state.markets.get(closes), state.markets.get(opens)) for at, closes, opens in saved.unprinted
    }
    state.expiries = list(saved.expiries)
    schedule(state)
    return state


_PLAIN = (
    "engine_version",
    "seq",
    "ts",
    "born",
    "frozen",
    "frozen_reason",
    "reference_price",
    "reference_ts",
    "reference_source",
    "granted_cents",
    "fees_cents",
)


def _load_account(state: State, saved: _Account) -> None:
    account = Account(saved.id, saved.email_digest, saved.created_ts)
    account.cash = saved.cash
    account.faucet_claimed = saved.faucet_claimed
    account.faucet_next_at = saved.faucet_next_at
    state.accounts[account.id] = account
    state.digests[account.email_digest] = account.id
    for each in saved.agents:
        agent = Agent(each.id, account, each.name, each.created_ts)
        agent.cash = each.cash
        agent.suspended = each.suspended
        account.agents.append(agent.id)
        if each.deadman is not None:
            agent.deadman = _load_deadman(state, each.deadman, agent.id, 0)
        state.agents[agent.id] = agent
        state.names[agent.name.lower()] = agent.id
        for key in each.keys:
            agent.keys.append(key.spec.key_id)
            state.keys[key.spec.key_id] = Key(agent, key.spec, key.created_ts)


def _load_deadman(state: State, saved: _Deadman, agent_id: int, market_id: int) -> Deadman:
    timer = Deadman()
    timer.until = timer.queued = saved.until
    timer.last_ts, timer.last_cancelled = saved.last_ts, saved.last_cancelled
    if timer.until:
        heapq.heappush(state.timers, (timer.until, agent_id, market_id))
    return timer


def _load_market(state: State, saved: _Market, settings: list[Settings]) -> None:
    market = Market(saved.id, saved.symbol, saved.open_at, saved.close_at, settings[saved.settings], saved.seq)
    for name in ("status", "halted", "unusable", "open_print", "last_price", "volume", "open_interest", "fees_cents"):
        setattr(market, name, getattr(saved, name))
    state.markets[market.id] = market
    state.symbols[market.symbol] = market.id
    for agent_id, deadman in saved.deadmen:
        market.deadmen[agent_id] = _load_deadman(state, deadman, agent_id, market.id)
    for each in saved.positions:
        position = Position(state.agents[each.agent])
        position.net = each.net
        position.cash_flow = each.cash_flow
        position.rejects = each.rejects
        position.cooldown_until = each.cooldown_until
        market.positions[each.agent] = position
    for order in saved.orders:
        take_in(state, market, market.positions[order.agent], order)
    for each in saved.positions:
        # Resting again went by queue; an agent's own orders have an order of their own (the newest is trimmed first).
        position = market.positions[each.agent]
        position.orders = {order_id: position.orders[order_id] for order_id in each.orders}
        position.relock()


def _load_positions(state: State, saved: _State) -> None:
    """Give every agent its positions in the order it had them: a mass cancel goes through them in that order."""
    for account in saved.accounts:
        for each in account.agents:
            agent = state.agents[each.id]
            agent.positions = {market: state.markets[market].positions[each.id] for market in each.markets}
