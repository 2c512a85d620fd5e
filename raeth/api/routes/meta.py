"""What the venue says about itself to programs: codes, limits, version, and the document of all calls."""

from __future__ import annotations

from typing import Any, Final

from raeth.api.access import Access, Budget
from raeth.api.answers import encode, page
from raeth.api.call import Answer, Call
from raeth.api.routing import API, VenueRouter
from raeth.api.schemas.venue import CodesView, LimitsView, VersionView
from raeth.api.venue import API_VERSION
from raeth.clock import iso_ms
from raeth.engine.types import ENGINE_VERSION
from raeth.errors import CATALOGUE

router = VenueRouter("meta", prefix="")

_CODES: Final = encode({"items": [entry.published() for entry in CATALOGUE.values()], "next_cursor": None})


@router.get(
    f"{API}/meta/errors",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="list_errors",
    summary="Every code with its cause and its repair",
    response_model=CodesView,
)
async def errors(call: Call) -> Any:
    """All in one answer; it is not paged."""
    return _CODES


@router.get(
    f"{API}/meta/limits",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_limits",
    summary="Budgets, maxima and the rules of risk, fees and faucet",
    response_model=LimitsView,
)
async def limits(call: Call) -> Any:
    settings = call.venue.settings
    return {
        **settings.limits.model_dump(),
        "risk": settings.risk.model_dump(),
        "fees": settings.fees.model_dump(),
        "series": settings.series.model_dump(),
        "faucet": settings.faucet.model_dump(),
    }


@router.get(
    f"{API}/meta/version",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="get_version",
    summary="Which program this is, and since when it runs",
    response_model=VersionView,
)
async def version(call: Call) -> Any:
    venue = call.venue
    return {
        "service": "raeth",
        "version": venue.version,
        "api_version": API_VERSION,
        "engine_version": ENGINE_VERSION,
        "started_at": iso_ms(venue.started_real_ms),
        "speed": venue.clock.speed,
        "reference": venue.reference.name,
    }


@router.get(
    "/openapi.json",
    access=Access.PUBLIC,
    budget=Budget.NONE,
    name="get_openapi",
    summary="The OpenAPI document",
    in_schema=False,
)
async def openapi_json(call: Call) -> Any:
    assert call.venue.document is not None
    return call.venue.document.json


@router.get(
    "/docs",
    access=Access.PUBLIC,
    budget=Budget.NONE,
    name="get_docs",
    summary="The same for people",
    in_schema=False,
)
async def docs(call: Call) -> Answer:
    assert call.venue.document is not None
    return page(call.venue.document.html)
