"""The venue for models that read: one page, everything, and the same as a skill (contract, section 10)."""

from __future__ import annotations

from typing import Any, Final

from raeth.api import llms
from raeth.api.access import Access, Budget
from raeth.api.call import Answer, Call
from raeth.api.routing import VenueRouter

router = VenueRouter("meta", prefix="")

_PUBLIC: Final[dict[str, Any]] = {"access": Access.PUBLIC, "budget": Budget.READ, "in_schema": False}


def _answer(call: Call, kind: str) -> Answer:
    venue = call.venue
    assert venue.document is not None
    host, port = venue.settings.host, venue.settings.port
    fallback = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    base = llms.base_url(call.headers.get("host"), _scheme(call), fallback)
    text = llms.written(kind, venue.document, venue.settings, base)
    return Answer(text.encode(), media_type="text/plain; charset=utf-8")


def _scheme(call: Call) -> str:
    """`https` when a trusted proxy says so: it is believed about the scheme as it is about the address."""
    client = call.scope.get("client")
    through_proxy = client is not None and call.address != client[0]
    told = call.headers.get("x-forwarded-proto")
    return "https" if through_proxy and told == "https" else str(call.scope.get("scheme", "http"))


@router.get("/llms.txt", **_PUBLIC, name="get_llms", summary="The venue in one page, for models")
async def short(call: Call) -> Answer:
    return _answer(call, "short")


@router.get("/llms-full.txt", **_PUBLIC, name="get_llms_full", summary="Everything about the venue, for models")
async def full(call: Call) -> Answer:
    return _answer(call, "full")


@router.get("/skill.md", **_PUBLIC, name="get_skill", summary="How to trade here, as a skill for agents")
async def skill(call: Call) -> Answer:
    return _answer(call, "skill")
