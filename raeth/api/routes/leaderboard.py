"""Who wins: one row an account (contract, section 7). No key needed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.routing import VenueRouter
from raeth.api.schemas.leaderboard import LeaderboardPage
from raeth.api.schemas.queries import PageQuery
from raeth.api.views.leaderboard import first_page, leaderboard_page
from raeth.errors import Code

__all__ = ["first_page", "router"]

router = VenueRouter("market data")


@router.get(
    "/leaderboard",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="list_leaderboard",
    summary="List accounts by what they made of their grants",
    response_model=LeaderboardPage,
    errors=(Code.INVALID_CURSOR,),
)
async def list_leaderboard(call: Call, query: Annotated[PageQuery, Query()]) -> dict[str, Any]:
    """Accounts that traded in a settled window, best `pnl_cents` first; the house is not ranked.

    It changes when a window settles, never in between. What an account won far from fair from one and the same
    counterparty does not count, so two accounts of one person make no winner. All of it follows from the journal.
    """
    return await leaderboard_page(call.venue, query.cursor, query.limit)
