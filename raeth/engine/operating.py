"""What an operator does: freeze, halt, void, suspend, grant, revoke, broadcast. Every one carries actor and reason."""

from __future__ import annotations

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.accounts import drop_key
from raeth.engine.clearing import Events, clear_book, finish, move_cash
from raeth.engine.state import State
from raeth.engine.trading import cancel_all
from raeth.engine.types import EXPIRED, VOID
from raeth.engine.windows import list_next, schedule


def freeze(state: State, command: cmd.Freeze, ts: int, out: Events) -> None:
    state.frozen = True
    state.frozen_reason = command.reason
    out.append(ev.VenueFrozen(command.actor, command.reason, ts))


def unfreeze(state: State, command: cmd.Unfreeze, ts: int, out: Events) -> None:
    state.frozen = False
    state.frozen_reason = None
    out.append(ev.VenueUnfrozen(command.actor, command.reason, ts))


def halt(state: State, command: cmd.HaltMarket, ts: int, out: Events) -> None:
    """Trading stops in one market; what rests stays and can be cancelled."""
    market = state.markets.get(command.market)
    if market is None or market.status == EXPIRED:
        out.append(ev.Refused("MARKET_CLOSED"))
        return
    market.halted = True
    market.seq = state.seq
    out.append(ev.MarketHalted(market.id, command.actor, command.reason, ts))


def resume(state: State, command: cmd.ResumeMarket, ts: int, out: Events) -> None:
    """Not for a window whose open print was unusable: it can only end VOID."""
    market = state.markets.get(command.market)
    if market is None or market.status == EXPIRED or market.unusable:
        out.append(ev.Refused("MARKET_CLOSED"))
        return
    market.halted = False
    market.seq = state.seq
    out.append(ev.MarketResumed(market.id, command.actor, command.reason, ts))


def void(state: State, command: cmd.VoidMarket, ts: int, out: Events) -> None:
    """The market never happened. Only one that has not ended can be voided."""
    market = state.markets.get(command.market)
    if market is None:
        out.append(ev.Refused("MARKET_FINAL"))
        return
    market.seq = state.seq
    clear_book(state, market, "ADMIN", ts, out)
    finish(state, market, VOID, "OPERATOR", ts, out)
    if state.live is market:
        state.live = None
    if state.pending is market:
        list_next(state, market.close_at, ts, out)
    schedule(state)


def suspend(state: State, command: cmd.SuspendAgent, ts: int, out: Events) -> None:
    agent = state.agents.get(command.agent)
    if agent is None:
        out.append(ev.Refused("NOT_FOUND"))
        return
    agent.suspended = True
    cancel_all(state, agent, "ADMIN", ts, out)
    out.append(ev.AgentSuspended(agent.id, command.actor, command.reason, ts))


def reinstate(state: State, command: cmd.ReinstateAgent, ts: int, out: Events) -> None:
    agent = state.agents.get(command.agent)
    if agent is None:
        out.append(ev.Refused("NOT_FOUND"))
        return
    agent.suspended = False
    out.append(ev.AgentReinstated(agent.id, command.actor, command.reason, ts))


def grant(state: State, command: cmd.GrantCash, ts: int, out: Events) -> None:
    agent = state.agents.get(command.agent)
    if agent is None:
        out.append(ev.Refused("NOT_FOUND"))
        return
    state.granted_cents += command.amount_cents
    move_cash(state, agent, "GRANT", command.amount_cents, None, ts, out)


def revoke_key(state: State, command: cmd.AdminRevokeKey, ts: int, out: Events) -> None:
    if command.key_id not in state.keys:
        out.append(ev.Refused("NOT_FOUND"))
        return
    drop_key(state, command.key_id, command.actor, ts, out)


def broadcast(state: State, command: cmd.Broadcast, ts: int, out: Events) -> None:
    out.append(ev.Announced(command.actor, command.message, ts))
