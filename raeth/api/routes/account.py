"""An agent's own account: wallet, positions, ledger, faucet (contract, section 8). Owners may read it too."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.paging import before, list_name, page
from raeth.api.routing import VenueRouter
from raeth.api.schemas.account import AccountView, FaucetView, LedgerPage, LeverageView, PositionPage
from raeth.api.schemas.orders import LeverageRequest
from raeth.api.schemas.queries import PageQuery
from raeth.api.views import account as show
from raeth.api.views.names import iso
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.errors import Code, RaethError

router = VenueRouter("account")

MAX_LEVERAGE = 1


@router.get(
    "/account",
    access=Access.AGENT_OR_OWNER,
    budget=Budget.READ,
    name="get_account",
    summary="Read the agent's wallet, collateral and limits",
    response_model=AccountView,
    errors=(Code.SERVICE_DEGRADED,),
)
async def get_account(call: Call) -> dict[str, Any]:
    """Settled cash, what of it is locked as collateral, and what open positions are worth at the mark."""
    names = call.names
    state = await call.settled()
    return show.account_body(names, state, state.agents[call.the_agent.id], _limits(call))


def _limits(call: Call) -> dict[str, int]:
    limits = call.venue.settings.limits
    return {
        "writes_per_minute": limits.writes_per_minute,
        "cancels_per_minute": limits.cancels_per_minute,
        "reads_per_minute": limits.reads_per_minute,
        "open_orders_per_market": limits.open_orders_per_market,
        "batch_size": limits.batch_size,
        "cancel_list": limits.cancel_list,
        "quote_levels": limits.quote_levels,
    }


@router.get(
    "/positions",
    access=Access.AGENT_OR_OWNER,
    budget=Budget.READ,
    name="list_positions",
    summary="List positions in unresolved markets",
    response_model=PositionPage,
    errors=(Code.SERVICE_DEGRADED,),
)
async def list_positions(call: Call) -> dict[str, Any]:
    """Net contracts, cash flow, both payoffs and the collateral, by close. Resolved markets are in the ledger."""
    names = call.names
    state = await call.settled()
    bodies = show.position_bodies(names, state, state.agents[call.the_agent.id])
    return {"items": bodies, "next_cursor": None, "seq": state.seq}


@router.get(
    "/ledger",
    access=Access.AGENT_OR_OWNER,
    budget=Budget.READ,
    name="list_ledger",
    summary="List every movement of the agent's cash, newest first",
    response_model=LedgerPage,
    errors=(Code.INVALID_CURSOR,),
)
async def list_ledger(call: Call, query: Annotated[PageQuery, Query()]) -> dict[str, Any]:
    """The sum of all amounts is the balance. Trades move cash once, when their market resolves."""
    agent, names = call.the_agent.id, call.names
    name = list_name("ledger", wallet=agent)
    found = await call.venue.store.list_ledger(agent, before=before(name, query.cursor, size=2), limit=query.limit)
    return page(name, found.items, found.next, lambda row: show.ledger_body(names, row))


@router.post(
    "/faucet",
    access=Access.AGENT_TRADE,
    budget=Budget.FAUCET,
    name="claim_faucet",
    summary="Claim test cash",
    response_model=FaucetView,
    status_code=201,
    errors=(
        Code.FEATURE_DISABLED,
        Code.FAUCET_COOLDOWN,
        Code.FAUCET_CAP_REACHED,
        Code.EXCHANGE_FROZEN,
        Code.SERVICE_DEGRADED,
    ),
)
async def claim_faucet(call: Call) -> dict[str, Any]:
    """Cool-down and cap are the account's, over all its agents."""
    if not call.venue.settings.faucet.enabled:
        raise RaethError(Code.FEATURE_DISABLED)
    outcome = await call.submit(cmd.Faucet(call.the_agent.id, call.key_id))
    claimed = outcome.events[-1]
    assert isinstance(claimed, ev.FaucetClaimed)
    return {
        "amount_cents": claimed.amount_cents,
        "cash_cents": claimed.cash_cents,
        "next_claim_at": iso(claimed.next_claim_at),
    }


@router.put(
    "/account/leverage",
    access=Access.AGENT_TRADE,
    budget=Budget.WRITE,
    name="set_leverage",
    summary="Set the leverage, of which there is only 1",
    response_model=LeverageView,
    errors=(Code.INVALID_LEVERAGE,),
)
async def set_leverage(call: Call, body: LeverageRequest) -> dict[str, int]:
    """Contracts are fully collateralised: 1 is accepted and changes nothing, anything else is a 422."""
    if body.leverage != MAX_LEVERAGE:
        details = {"requested_leverage": body.leverage, "effective_leverage": MAX_LEVERAGE}
        raise RaethError(Code.INVALID_LEVERAGE, http=422, details=details)
    return {"leverage": MAX_LEVERAGE}
