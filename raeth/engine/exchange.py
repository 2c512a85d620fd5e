"""The door of the engine: `apply(state, command, seq, ts) -> events`, and `preview`, which changes nothing.

`apply` first advances the venue to the command's stamp, then checks who asks, then lets one function do the work.
The last event of a command tells its result; orders have one `OrderPlaced` each, in request order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from raeth.engine import accounts, deadman, operating, trading, windows
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.ids import N_BITS, N_MAX
from raeth.engine.plan import Plan, after_plan, judge
from raeth.engine.risk import Decline
from raeth.engine.state import Agent, Key, Position, State

Events = list[ev.Event]


def new_state() -> State:
    """A venue before its genesis. Its first command must be `Configure`."""
    return State()


def apply(state: State, command: cmd.Command, seq: int, ts: int) -> Events:
    """Turn one command into what it does.

    `seq` is one more than the last, `ts` (epoch ms) no earlier than the last; both are the journal's. Raises
    AssertionError on a bug of ours, after which the state must be thrown away.
    """
    assert seq == state.seq + 1, "commands are applied in journal order, each once"
    assert ts >= state.ts, "time never goes backwards"
    state.seq = seq
    first_id = state.next_id = seq << N_BITS
    out: Events = []
    if state.timers:
        windows.resurface(state, command, ts, out)
    if ts >= state.next_due and state.settings is not None:
        windows.advance(state, ts, out)
    state.ts = ts
    kind = type(command)
    for_agent = _AGENT[kind]
    if for_agent is not None:
        try:
            key = state.keys[command.key_id]  # type: ignore[attr-defined]
        except KeyError:
            key = None
        if (
            key is not None
            and key.trades
            and (agent := key.agent).id == command.agent  # type: ignore[attr-defined]
            and not agent.suspended
            and not state.frozen
        ):
            for_agent[0](state, agent, command, ts, out)
        elif (refused := _refused(state, key, command, for_agent)) is not None:
            out.append(ev.Refused(refused))
        else:
            assert key is not None
            for_agent[0](state, key.agent, command, ts, out)
    elif kind is not cmd.Tick and kind is not cmd.Resurface:
        _VENUE[kind](state, command, ts, out)
    # Each entity has an event of its own.
    assert len(out) <= N_MAX or state.next_id - first_id <= N_MAX, "one command made more entities than an id can name"
    return out


def _refused(state: State, key: Key | None, command: Any, for_agent: _ForAgent) -> str | None:
    """Why a command may not act, if so: its key was revoked, its agent suspended, or the venue frozen, since it was
    let in."""
    if key is None:
        return "AUTH_REVOKED"
    if key.agent.id != command.agent:
        return "FORBIDDEN"
    _, only_cancels, when_frozen = for_agent
    if not (key.cancels if only_cancels else key.trades):
        return "SCOPE_REQUIRED"
    if key.agent.suspended and not only_cancels:
        return "AGENT_SUSPENDED"
    if state.frozen and not when_frozen and not _pulls(command):
        return "EXCHANGE_FROZEN"
    return None


def _pulls(command: cmd.Command) -> bool:
    """An empty quote only takes orders away, which a freeze never forbids."""
    return isinstance(command, cmd.PutQuotes) and not command.bids and not command.asks


class Preview(NamedTuple):
    """What an order would do now. `decline` None means ACCEPT; else there is no plan and nothing would change.

    `net` is contracts; `fee_cents`, `lock_cents` (of this market, after) and `cash_flow_cents` are cents.
    """

    decline: Decline | None
    plan: Plan | None
    position: Position
    net: int
    cash_flow_cents: int
    fee_cents: int
    lock_cents: int


def preview(state: State, agent: Agent, spec: cmd.OrderSpec, ts: int) -> Preview | None:
    """Judge an order as `apply` would at `ts`, changing nothing. None when the market is not in the engine.

    The caller must have advanced the venue to `ts` (a `Tick`) if something was due before it.
    """
    market = state.markets.get(spec.market)
    if market is None:
        return None
    position = market.positions.get(agent.id) or Position(agent)
    decline, plan = judge(state, market, position, spec, ts)
    if plan is None:
        return Preview(decline, None, position, position.net, position.cash_flow, 0, position.lock)
    return Preview(None, plan, position, *after_plan(market, position, spec, plan))


_Handler = Callable[[State, Agent, Any, int, Events], None]

# Handler; whether it only takes risk away, which scope `cancel` is enough for and which stays open to a suspended
# agent; and whether it goes on while the venue is frozen. An amend decides that itself: a pure decrease goes on.
_ForAgent = tuple[_Handler, bool, bool]
_AGENT: dict[type[cmd.Command], _ForAgent | None] = {
    cmd.PlaceOrder: (trading.place_order, False, False),
    cmd.PlaceBatch: (trading.place_batch, False, False),
    cmd.PutQuotes: (trading.put_quotes, False, False),
    cmd.AmendOrder: (trading.amend_order, False, True),
    cmd.CancelOrder: (trading.cancel_order, True, True),
    cmd.CancelOrders: (trading.cancel_orders, True, True),
    cmd.CallDeadman: (deadman.call, True, True),
    cmd.Faucet: (accounts.faucet, False, False),
}

_VENUE: dict[type[cmd.Command], Callable[[State, Any, int, Events], None]] = {
    cmd.Configure: windows.configure,
    cmd.IndexTick: windows.index_tick,
    cmd.Print: windows.take_print,
    cmd.Signup: accounts.signup,
    cmd.CreateAgent: accounts.create_agent,
    cmd.IssueKey: accounts.issue_key,
    cmd.RevokeKey: accounts.revoke_key,
    cmd.RotateKey: accounts.rotate_key,
    cmd.Transfer: accounts.transfer,
    cmd.Disconnect: trading.disconnect,
    cmd.Freeze: operating.freeze,
    cmd.Unfreeze: operating.unfreeze,
    cmd.HaltMarket: operating.halt,
    cmd.ResumeMarket: operating.resume,
    cmd.VoidMarket: operating.void,
    cmd.SuspendAgent: operating.suspend,
    cmd.ReinstateAgent: operating.reinstate,
    cmd.GrantCash: operating.grant,
    cmd.AdminRevokeKey: operating.revoke_key,
    cmd.Broadcast: operating.broadcast,
}
# None: a command that no agent gives. One look-up that always finds something is the cheapest.
_AGENT.update(dict.fromkeys((cmd.Tick, cmd.Resurface, *_VENUE)))
