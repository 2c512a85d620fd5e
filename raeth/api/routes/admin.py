"""The operator's calls (contract, section 9). Each is journaled with its actor and reason."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Query

from raeth.api import paging
from raeth.api.access import Access, Budget
from raeth.api.call import OPERATOR, Call
from raeth.api.lookup import find_market, known_market, now_ms
from raeth.api.routing import VenueRouter
from raeth.api.schemas.admin import (
    ActionPage,
    AdminStateView,
    AgentActionView,
    BroadcastRequest,
    BroadcastView,
    FreezeView,
    GrantRequest,
    KeyActionView,
    MarketActionView,
    MaybeReasonRequest,
    ReasonRequest,
)
from raeth.api.schemas.queries import PageQuery
from raeth.clock import iso_ms
from raeth.engine import commands as cmd
from raeth.engine.events import KeyRevoked
from raeth.engine.state import State
from raeth.errors import Code, RaethError
from raeth.logs import redact_text
from raeth.store.rows import ActionRow

router = VenueRouter("admin")

NO_REASON: Final = MaybeReasonRequest()
"""What an empty body means where the reason is optional."""

_KEY_ID: Final = re.compile(r"[0-9a-f]{16}")

_WRITE: Final[dict[str, Any]] = {"access": Access.OPERATOR, "budget": Budget.WRITE}
_READ: Final[dict[str, Any]] = {"access": Access.OPERATOR, "budget": Budget.READ}


@router.post(
    "/admin/freeze",
    **_WRITE,
    name="freeze_venue",
    summary="Stop order entry everywhere, from the next command on",
    response_model=FreezeView,
    request_examples={"freeze": {"reason": "planned maintenance"}},
)
async def freeze(call: Call, body: ReasonRequest) -> Any:
    """Cancels, reads and settlement go on; resting orders stay. It survives a restart."""
    outcome = await call.submit(cmd.Freeze(OPERATOR, body.reason))
    return {"frozen": True, "reason": body.reason, "ts": iso_ms(outcome.ts), "seq": outcome.seq}


@router.post(
    "/admin/unfreeze",
    **_WRITE,
    name="unfreeze_venue",
    summary="Take orders again",
    response_model=FreezeView,
)
async def unfreeze(call: Call, body: MaybeReasonRequest = NO_REASON) -> Any:
    outcome = await call.submit(cmd.Unfreeze(OPERATOR, body.reason))
    return {"frozen": False, "reason": body.reason, "ts": iso_ms(outcome.ts), "seq": outcome.seq}


@router.post(
    "/admin/markets/{market_id}/halt",
    **_WRITE,
    name="halt_market",
    summary="Stop trading in one market; what rests stays",
    response_model=MarketActionView,
    errors=[Code.UNKNOWN_MARKET, Code.MARKET_CLOSED],
)
async def halt(call: Call, market_id: str, body: ReasonRequest) -> Any:
    market = await known_market(call, call.names, market_id)
    return await _market_action(call, cmd.HaltMarket(OPERATOR, market, body.reason), market)


@router.post(
    "/admin/markets/{market_id}/resume",
    **_WRITE,
    name="resume_market",
    summary="Trade a halted market again",
    response_model=MarketActionView,
    errors=[Code.UNKNOWN_MARKET, Code.MARKET_CLOSED],
)
async def resume(call: Call, market_id: str, body: MaybeReasonRequest = NO_REASON) -> Any:
    """Not a window whose open print was unusable: it can only end VOID, and answers MARKET_CLOSED."""
    market = await known_market(call, call.names, market_id)
    return await _market_action(call, cmd.ResumeMarket(OPERATOR, market, body.reason), market)


@router.post(
    "/admin/markets/{market_id}/void",
    **_WRITE,
    name="void_market",
    summary="Void a market: it never happened",
    response_model=MarketActionView,
    errors=[Code.UNKNOWN_MARKET, Code.MARKET_FINAL],
)
async def void(call: Call, market_id: str, body: ReasonRequest) -> Any:
    """Every cash flow in it is reversed, fees and rebates included. A resolved market is final."""
    market = await known_market(call, call.names, market_id)
    return await _market_action(call, cmd.VoidMarket(OPERATOR, market, body.reason), market)


async def _market_action(call: Call, command: cmd.Command, market_id: int) -> dict[str, Any]:
    outcome = await call.submit(command)
    found = await find_market(call, call.names, call.names.uuid(market_id))
    market = found.live or found.row
    assert market is not None
    return {
        "market_id": call.names.uuid(market_id),
        "symbol": market.symbol,
        "status": market.status,
        "halted": found.live is not None and found.live.halted,
        "ts": iso_ms(outcome.ts),
        "seq": outcome.seq,
    }


@router.post(
    "/admin/agents/{agent_id}/suspend",
    **_WRITE,
    name="suspend_agent",
    summary="Stop an agent from trading and cancel what it has resting",
    response_model=AgentActionView,
    errors=[Code.NOT_FOUND],
)
async def suspend(call: Call, agent_id: str, body: ReasonRequest) -> Any:
    """Reads and cancels stay open to it."""
    agent = _agent_id(call, agent_id)
    return await _agent_action(call, cmd.SuspendAgent(OPERATOR, agent, body.reason), agent)


@router.post(
    "/admin/agents/{agent_id}/reinstate",
    **_WRITE,
    name="reinstate_agent",
    summary="Let a suspended agent trade again",
    response_model=AgentActionView,
    errors=[Code.NOT_FOUND],
)
async def reinstate(call: Call, agent_id: str, body: MaybeReasonRequest = NO_REASON) -> Any:
    agent = _agent_id(call, agent_id)
    return await _agent_action(call, cmd.ReinstateAgent(OPERATOR, agent, body.reason), agent)


@router.post(
    "/admin/agents/{agent_id}/grant",
    **_WRITE,
    name="grant_cash",
    summary="Give an agent test cash",
    response_model=AgentActionView,
    errors=[Code.NOT_FOUND],
    request_examples={"grant": {"amount_cents": 50_000, "reason": "workshop"}},
)
async def grant(call: Call, agent_id: str, body: GrantRequest) -> Any:
    agent = _agent_id(call, agent_id)
    return await _agent_action(call, cmd.GrantCash(OPERATOR, agent, body.amount_cents, body.reason), agent)


def _agent_id(call: Call, text: str) -> int:
    agent = call.names.entity(text)
    if agent is None:
        raise RaethError(Code.NOT_FOUND)
    return agent


async def _agent_action(call: Call, command: cmd.Command, agent_id: int) -> dict[str, Any]:
    outcome = await call.submit(command)
    agent = (await call.settled()).agents[agent_id]
    return {
        "agent_id": call.names.uuid(agent_id),
        "name": agent.name,
        "suspended": agent.suspended,
        "cash_cents": agent.cash,
        "ts": iso_ms(outcome.ts),
        "seq": outcome.seq,
    }


@router.post(
    "/admin/keys/{key_id}/revoke",
    **_WRITE,
    name="revoke_any_key",
    summary="Revoke an agent's API key",
    response_model=KeyActionView,
    errors=[Code.NOT_FOUND],
)
async def revoke_key(call: Call, key_id: str, body: MaybeReasonRequest = NO_REASON) -> Any:
    if not _KEY_ID.fullmatch(key_id):
        raise RaethError(Code.NOT_FOUND)
    outcome = await call.submit(cmd.AdminRevokeKey(OPERATOR, key_id, body.reason))
    revoked = next(event for event in outcome.events if isinstance(event, KeyRevoked))
    return {"key_id": key_id, "agent_id": call.names.uuid(revoked.agent), "ts": iso_ms(outcome.ts), "seq": outcome.seq}


@router.post(
    "/admin/broadcast",
    **_WRITE,
    name="broadcast_message",
    summary="Say something to everybody on the venue's stream",
    response_model=BroadcastView,
    request_examples={"broadcast": {"message": "Maintenance at 12:00 UTC."}},
)
async def broadcast(call: Call, body: BroadcastRequest) -> Any:
    outcome = await call.submit(cmd.Broadcast(OPERATOR, body.message))
    return {"message": body.message, "ts": iso_ms(outcome.ts), "seq": outcome.seq}


@router.get(
    "/admin/state",
    **_READ,
    name="get_admin_state",
    summary="The venue at a glance, with its books balanced",
    response_model=AdminStateView,
)
async def admin_state(call: Call) -> Any:
    state = await call.settled()
    return {
        "frozen": state.frozen,
        "reason": state.frozen_reason,
        "accounts": len(state.accounts),
        "agents": len(state.agents),
        "suspended_agents": sum(agent.suspended for agent in state.agents.values()),
        "keys": len(state.keys),
        "open_orders": len(state.orders),
        "markets": [
            {
                "market_id": call.names.uuid(market.id),
                "symbol": market.symbol,
                "status": market.status,
                "halted": market.halted,
                "open_interest": market.open_interest,
                "volume": market.volume,
                "open_orders": sum(len(position.orders) for position in market.positions.values()),
            }
            for market in state.markets.values()
        ],
        "money": money(state),
        "persistence": persistence(call),
        "now": iso_ms(now_ms(call, state)),
        "seq": state.seq,
    }


def money(state: State) -> dict[str, Any]:
    """The conservation of cash, computed from the wallets. In-flight gains are not cash before they settle."""
    agents = sum(agent.cash for agent in state.agents.values())
    accounts = sum(account.cash for account in state.accounts.values())
    return {
        "granted_cents": state.granted_cents,
        "agents_cash_cents": agents,
        "accounts_cash_cents": accounts,
        "fees_cents": state.fees_cents,
        "conserved": agents + accounts + state.fees_cents == state.granted_cents,
    }


def persistence(call: Call) -> dict[str, Any]:
    """How the journal is doing. Its last error is shown without anything that looks like a secret."""
    health = call.venue.sequencer.health
    return {
        "backend": health.backend,
        "mode": health.mode,
        "queue_depth": health.queue_depth,
        "last_error": None if health.last_error is None else redact_text(health.last_error),
    }


@router.get(
    "/admin/audit",
    **_READ,
    name="list_admin_actions",
    summary="What operators did, newest first",
    response_model=ActionPage,
    errors=[Code.INVALID_CURSOR],
)
async def audit(call: Call, query: Annotated[PageQuery, Query()]) -> Any:
    found = await call.venue.store.list_admin_actions(before=paging.before("audit", query.cursor), limit=query.limit)
    return paging.page("audit", found.items, found.next, lambda row: _show_action(call, row))


def _show_action(call: Call, row: ActionRow) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "ts": iso_ms(row.ts),
        "action": row.action,
        "actor": row.actor,
        "reason": row.reason,
        "target": None if row.target is None else call.names.uuid(row.target),
        "key_id": row.key_id,
        "amount_cents": row.amount_cents,
        "refused": row.refused,
    }
