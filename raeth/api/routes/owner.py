"""What an owner does: look at the account, make agents, issue and revoke keys, move cash (contract, section 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Query

from raeth.api import paging
from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.credentials import new_key
from raeth.api.parsing import invalid
from raeth.api.routes.auth import refuse_reserved
from raeth.api.routing import VenueRouter
from raeth.api.schemas.auth import (
    AgentPage,
    AgentRequest,
    AgentView,
    KeyPage,
    KeyRequest,
    NewKeyView,
    OwnerView,
    RevokedKeyView,
    TransferRequest,
    TransferView,
)
from raeth.api.schemas.queries import PageQuery
from raeth.clock import iso_ms, real_now_ms
from raeth.engine.commands import CreateAgent, IssueKey, RevokeKey, RotateKey, Transfer
from raeth.engine.events import AgentCreated, KeyIssued, Transferred
from raeth.engine.state import Agent
from raeth.engine.types import KeySpec
from raeth.errors import Code, RaethError
from raeth.idempotency import IdemKey

router = VenueRouter("owner")

T = TypeVar("T")


@router.get(
    "/me",
    access=Access.OWNER,
    budget=Budget.READ,
    name="get_me",
    summary="The account: master wallet and agents",
    response_model=OwnerView,
)
async def me(call: Call) -> Any:
    identity = await call.venue.store.identity_by_account(call.account_id or 0)
    account = await call.account()
    state = call.venue.sequencer.state
    return {
        "account_id": call.names.uuid(account.id),
        "email": identity.email if identity is not None else None,
        "created_at": iso_ms(account.created_ts),
        "master": {"cash_cents": account.cash},
        "agents": [show_agent(call, state.agents[agent]) for agent in account.agents],
        "seq": state.seq,
    }


@router.get(
    "/me/agents",
    access=Access.OWNER,
    budget=Budget.READ,
    name="list_agents",
    summary="The account's agents, newest first",
    response_model=AgentPage,
    errors=[Code.INVALID_CURSOR],
)
async def agents(call: Call, query: Annotated[PageQuery, Query()]) -> Any:
    account = await call.account()
    found = [call.venue.sequencer.state.agents[agent] for agent in account.agents]
    return _page("my_agents", found, query, lambda agent: show_agent(call, agent))


@router.post(
    "/me/agents",
    access=Access.OWNER,
    budget=Budget.WRITE,
    name="create_agent",
    summary="Make another agent, with no cash yet",
    response_model=AgentView,
    status_code=201,
    errors=[Code.AGENT_NAME_TAKEN],
    request_examples={"agent": {"name": "ada-2"}},
)
async def create_agent(call: Call, body: AgentRequest) -> Any:
    """Issue it a key and transfer cash to it before it trades."""
    refuse_reserved(body.name)
    outcome = await call.submit(CreateAgent(call.account_id or 0, body.name))
    made = next(event for event in outcome.events if isinstance(event, AgentCreated))
    return show_agent(call, (await call.settled()).agents[made.agent])


@router.get(
    "/me/agents/{agent_id}/keys",
    access=Access.OWNER,
    budget=Budget.READ,
    name="list_keys",
    summary="An agent's live API keys, newest first",
    response_model=KeyPage,
    errors=[Code.NOT_FOUND, Code.INVALID_CURSOR],
)
async def keys(call: Call, agent_id: str, query: Annotated[PageQuery, Query()]) -> Any:
    agent = await _own_agent(call, agent_id)
    found = [call.venue.sequencer.state.keys[key_id] for key_id in agent.keys]
    name = paging.list_name("my_keys", agent=agent.id)
    return _page(name, found, query, lambda key: show_key(call, key.agent.id, key.spec, key.created_ts))


@router.post(
    "/me/agents/{agent_id}/keys",
    access=Access.OWNER,
    budget=Budget.WRITE,
    name="issue_key",
    summary="Issue an API key; it is shown this once",
    response_model=NewKeyView,
    status_code=201,
    errors=[Code.NOT_FOUND],
    request_examples={
        "cancel only, from one network": {"name": "panic", "scopes": ["cancel"], "allowed_ips": ["198.51.100.0/24"]}
    },
)
async def issue_key(call: Call, agent_id: str, body: KeyRequest) -> Any:
    agent = await _own_agent(call, agent_id)
    expires = body.expiry_ms
    if expires is not None and expires <= real_now_ms():
        raise invalid("expires_at", "should be in the future", "in_the_past")
    key = new_key(call.venue.pepper)
    spec = KeySpec(key.key_id, key.digest, body.name, tuple(body.scopes), expires, tuple(body.allowed_ips or ()))
    outcome = await call.submit(IssueKey(call.account_id or 0, agent.id, spec))
    issued = next(event for event in outcome.events if isinstance(event, KeyIssued))
    return {**show_key(call, issued.agent, issued.key, issued.ts), "api_key": key.text}


@router.delete(
    "/me/agents/{agent_id}/keys/{key_id}",
    access=Access.OWNER,
    budget=Budget.WRITE,
    name="revoke_key",
    summary="Revoke an API key, from the next request on",
    response_model=RevokedKeyView,
    errors=[Code.NOT_FOUND],
)
async def revoke_key(call: Call, agent_id: str, key_id: str) -> Any:
    agent = await _own_agent(call, agent_id, key_id)
    outcome = await call.submit(RevokeKey(call.account_id or 0, agent.id, key_id))
    return {"key_id": key_id, "revoked_at": iso_ms(outcome.ts), "seq": outcome.seq}


@router.post(
    "/me/agents/{agent_id}/keys/{key_id}/rotate",
    access=Access.OWNER,
    budget=Budget.WRITE,
    name="rotate_key",
    summary="Replace an API key by a new one with the same rights",
    response_model=NewKeyView,
    status_code=201,
    errors=[Code.NOT_FOUND],
)
async def rotate_key(call: Call, agent_id: str, key_id: str) -> Any:
    """The old one is revoked in the same step; the new one is shown this once."""
    agent = await _own_agent(call, agent_id, key_id)
    key = new_key(call.venue.pepper)
    outcome = await call.submit(RotateKey(call.account_id or 0, agent.id, key_id, key.key_id, key.digest))
    issued = next(event for event in outcome.events if isinstance(event, KeyIssued))
    return {**show_key(call, issued.agent, issued.key, issued.ts), "api_key": key.text}


@router.post(
    "/me/transfers",
    access=Access.OWNER,
    budget=Budget.WRITE,
    name="create_transfer",
    summary="Move cash between the master wallet and agents",
    response_model=TransferView,
    errors=[Code.NOT_FOUND, Code.INSUFFICIENT_BALANCE, Code.IDEMPOTENCY_CONFLICT, Code.EXCHANGE_FROZEN],
    request_examples={
        "to another agent": {
            "from": "master",
            "to": "0193b2c4-7d10-8000-8000-000000200001",
            "amount_cents": 25_000,
            "client_transfer_id": "top-up-7",
        }
    },
)
async def transfer(call: Call, body: TransferRequest) -> Any:
    """Only free cash can leave an agent. The same `client_transfer_id` and body again answers with the first result."""
    account = call.account_id or 0
    source, target = (_wallet(call, text) for text in (body.from_, body.to))
    command = Transfer(account, source, target, body.amount_cents, body.client_transfer_id)
    keys: list[IdemKey] = []
    if body.client_transfer_id is not None:
        fingerprint = hashlib.sha256(msgspec.json.encode([source, target, body.amount_cents])).digest()
        keys.append(IdemKey(account, body.client_transfer_id, fingerprint))
    outcome = await call.submit(command, keys)
    done = next(event for event in outcome.events if isinstance(event, Transferred))
    return {
        "transfer_id": call.names.uuid(done.transfer_id),
        "from": _wallet_name(call, done.source),
        "to": _wallet_name(call, done.target),
        "amount_cents": done.amount_cents,
        "client_transfer_id": done.client_transfer_id,
        "ts": iso_ms(done.ts),
        "seq": outcome.seq,
        "replayed": outcome.replayed,
    }


def show_agent(call: Call, agent: Agent) -> dict[str, Any]:
    return {
        "agent_id": call.names.uuid(agent.id),
        "name": agent.name,
        "created_at": iso_ms(agent.created_ts),
        "suspended": agent.suspended,
        "cash_cents": agent.cash,
        "locked_cents": agent.locked,
        "free_cash_cents": agent.free,
        "keys": len(agent.keys),
    }


def show_key(call: Call, agent_id: int, spec: KeySpec, created_ts: int) -> dict[str, Any]:
    return {
        "key_id": spec.key_id,
        "agent_id": call.names.uuid(agent_id),
        "name": spec.name,
        "scopes": spec.scopes,
        "expires_at": None if spec.expires_at is None else iso_ms(spec.expires_at),
        "allowed_ips": spec.allowed_ips,
        "created_at": iso_ms(created_ts),
    }


async def _own_agent(call: Call, text: str, key_id: str | None = None) -> Agent:
    """The owner's agent, with its live key `key_id` if one is named. Raises NOT_FOUND or FORBIDDEN."""
    number = call.names.entity(text) or 0
    agent = (await call.settled()).agents.get(number)
    if agent is None or (key_id is not None and key_id not in agent.keys):
        agent = (await call.latest()).agents.get(number)  # another node may have made it a moment ago
    if agent is None:
        raise RaethError(Code.NOT_FOUND)
    if agent.account.id != call.account_id:
        raise RaethError(Code.FORBIDDEN)
    if key_id is not None and key_id not in agent.keys:
        raise RaethError(Code.NOT_FOUND)
    return agent


def _wallet(call: Call, text: str) -> int:
    wallet = call.account_id if text == "master" else call.names.entity(text)
    if wallet is None:
        raise RaethError(Code.NOT_FOUND)
    return wallet


def _wallet_name(call: Call, wallet: int) -> str:
    return "master" if wallet == call.account_id else call.names.uuid(wallet)


def _page(name: str, oldest_first: Sequence[T], query: PageQuery, show: Callable[[T], Any]) -> dict[str, Any]:
    """A page of a short list in memory, newest first; the keyset is the place of the last one shown."""
    start = paging.before(name, query.cursor)
    end = len(oldest_first) if start is None else min(start[0], len(oldest_first))
    first = max(0, end - query.limit)
    return paging.page(name, reversed(oldest_first[first:end]), (first,) if first else None, show)
