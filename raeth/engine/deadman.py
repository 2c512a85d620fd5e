"""Dead-man timers: an agent that does not call again in time has its resting orders cancelled (contract, section 6).

An agent has one timer for everything it has resting, and one a market; each cancels what is in its own scope, and those
of a market end with it. Deadlines are moments of venue time and fall due by the stamp of a command, like all else.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.clearing import Events, end_order
from raeth.engine.state import Agent, Deadman, State
from raeth.engine.trading import resting
from raeth.engine.types import CANCELLED, EXPIRED


def call(state: State, agent: Agent, command: cmd.CallDeadman, ts: int, out: Events) -> None:
    """Arm the timer anew, or disarm it. What has fallen due by `ts` fired before this."""
    scope = command.market
    if scope is not None and not _open(state, scope):
        if command.timeout_ms:
            out.append(ev.Refused("MARKET_CLOSED"))
        else:
            out.append(ev.DeadmanSet(agent.id, scope, None, None, 0, ts))  # it went with its market
        return
    timer = _find(state, agent.id, scope or 0)
    if timer is None:
        timer = _make(state, agent, scope or 0)
    timer.until = ts + command.timeout_ms if command.timeout_ms else 0
    _queue(state, timer, agent.id, scope or 0)
    out.append(ev.DeadmanSet(agent.id, scope, timer.until or None, timer.last_ts, timer.last_cancelled, ts))


def _open(state: State, market_id: int) -> bool:
    market = state.markets.get(market_id)
    return market is not None and market.status != EXPIRED


def _find(state: State, agent_id: int, market_id: int) -> Deadman | None:
    if not market_id:
        return state.agents[agent_id].deadman
    market = state.markets.get(market_id)
    return None if market is None else market.deadmen.get(agent_id)


def _make(state: State, agent: Agent, market_id: int) -> Deadman:
    timer = Deadman()
    if market_id:
        state.markets[market_id].deadmen[agent.id] = timer
    else:
        agent.deadman = timer
    return timer


def _queue(state: State, timer: Deadman, agent_id: int, market_id: int) -> None:
    """See to it that the heap holds the timer no later than it falls due.

    One that is only moved back keeps its entry, which finds that out when its turn comes: who calls every second leaves
    no trail behind.
    """
    if timer.until and (not timer.queued or timer.until < timer.queued):
        timer.queued = timer.until
        heapq.heappush(state.timers, (timer.until, agent_id, market_id))
        if timer.until < state.next_due:
            state.next_due = timer.until


def fall_due(state: State, out: Events) -> None:
    """Take the first entry of the heap: fire its timer, or put it back if that was moved."""
    due, agent_id, market_id = heapq.heappop(state.timers)
    timer = _find(state, agent_id, market_id)
    if timer is None or timer.queued != due:
        return
    timer.queued = 0
    if timer.until != due:
        _queue(state, timer, agent_id, market_id)
        return
    chosen = resting(state.agents[agent_id], market_id or None)
    for order in chosen:
        end_order(state, order, CANCELLED, "DEAD_MAN", due, out)
    timer.until, timer.last_ts, timer.last_cancelled = 0, due, len(chosen)
    out.append(ev.DeadmanFired(agent_id, market_id or None, len(chosen), due))


def postpone(state: State, by_ms: int, ts: int, out: Events) -> None:
    """Nobody could call for `by_ms`, for the venue was down: all armed timers move by that (contract, section 7)."""
    state.timers = []
    for _, _, timer in _known(state):
        timer.queued = 0  # disarmed ones too: armed again, they must not count on an entry that is gone
    for agent_id, market_id, timer in sorted(armed(state), key=lambda found: found[:2]):
        timer.until += by_ms
        _queue(state, timer, agent_id, market_id)
        out.append(ev.DeadmanMoved(agent_id, market_id or None, timer.until, ts))


def armed(state: State) -> Iterator[tuple[int, int, Deadman]]:
    """All armed timers with their agent and market (0: all)."""
    return (found for found in _known(state) if found[2].until)


def _known(state: State) -> Iterator[tuple[int, int, Deadman]]:
    """All timers that were ever armed and have not ended with their market."""
    for agent in state.agents.values():
        if agent.deadman is not None:
            yield agent.id, 0, agent.deadman
    for market in state.markets.values():
        for agent_id, timer in market.deadmen.items():
            yield agent_id, market.id, timer
