"""The Bitcoin reference price: as of now, and where it was (contract, section 7). No key needed."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.routing import VenueRouter
from raeth.api.schemas.markets import ReferenceHistory, ReferenceView
from raeth.api.schemas.queries import HistoryQuery
from raeth.api.views.markets import UNDERLYING, tick_body
from raeth.api.views.names import iso_or_none
from raeth.reference import Reading

router = VenueRouter("reference")

TIMES: Final = ("source_ts", "rate_source_ts")


def reference_body(reading: Reading) -> dict[str, Any]:
    """A reading as JSON. A price that is too old to act on is not shown; its age still is."""
    return {
        "symbol": UNDERLYING,
        "price_cents": reading.price_cents if reading.status != "DOWN" else None,
        "source_ts": iso_or_none(reading.source_ts),
        "age_ms": reading.age_ms,
        "status": reading.status,
        "source": reading.source,
        "synthetic": reading.synthetic,
        "venues": [_venue(venue) for venue in reading.venues],
    }


def _venue(venue: dict[str, Any]) -> dict[str, Any]:
    return {name: iso_or_none(value) if name in TIMES else value for name, value in venue.items()}


@router.get(
    "/reference/btc",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_reference",
    summary="Read the Bitcoin reference price as of now",
    response_model=ReferenceView,
)
async def get_reference(call: Call) -> dict[str, Any]:
    """Always 200: while the feed is DOWN the price is null and `status` says so."""
    return reference_body(call.venue.reference.current(call.venue.clock.now_ms()))


@router.get(
    "/reference/btc/history",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_reference_history",
    summary="Read the recent moves of the reference price, oldest first",
    response_model=ReferenceHistory,
)
async def get_reference_history(call: Call, query: Annotated[HistoryQuery, Query()]) -> dict[str, Any]:
    """The journaled moves, at most four a second, in one piece: at most the newest 5 000."""
    since = call.venue.clock.now_ms() - query.seconds * 1000
    ticks = await call.venue.store.reference_history(since)
    return {"items": [tick_body(tick) for tick in ticks], "next_cursor": None}
