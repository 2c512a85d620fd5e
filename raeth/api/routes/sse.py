"""Server-sent events: the channels of the socket for whoever has only HTTP (contract, section 11)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import Field

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.parsing import bad_request
from raeth.api.routing import VenueRouter
from raeth.api.schemas.common import Request
from raeth.api.streams.people import identify
from raeth.api.streams.sse import open_stream
from raeth.errors import Code, RaethError

router = VenueRouter("streams")


_AS_HTTP: Final = {Code.UNSUPPORTED_CHANNEL: Code.NOT_FOUND, Code.UNAUTHENTICATED: Code.AUTH_MISSING}
"""Codes that only sockets carry, and what the same fault is called in an HTTP answer."""


class SseQuery(Request):
    channels: str = Field(
        min_length=1,
        max_length=8_192,
        description="Names of channels, separated by commas.",
        examples=["markets,feed.btc"],
    )
    ticket: str | None = Field(None, max_length=200, description="Of `POST /auth/ws-ticket`, instead of a header.")


@router.get(
    "/sse",
    access=Access.OPTIONAL_AGENT,
    budget=Budget.READ,
    name="open_event_stream",
    summary="Follow channels as server-sent events",
    errors=(
        Code.NOT_FOUND,
        Code.UNKNOWN_MARKET,
        Code.SCOPE_REQUIRED,
        Code.AUTH_MISSING,
        Code.SERVICE_DEGRADED,
    ),
    media_type="text/event-stream",
)
async def open_event_stream(call: Call, query: Annotated[SseQuery, Query()]) -> Any:
    """`data:` is an event of the socket, `event:` its type. With `Last-Event-ID` a private channel goes on where it
    was, without a gap; the other channels begin with a snapshot."""
    names = [name.strip() for name in query.channels.split(",")]
    if not all(names):
        raise bad_request("channels", "an empty name", "empty_channel")
    key = call.key
    if query.ticket is not None and key is None:
        key = await identify(call, query.ticket)
    last = call.raw_headers.get(b"last-event-id")
    try:
        return await open_stream(call, names, key, None if last is None else last.decode("latin-1"))
    except RaethError as refusal:
        code = _AS_HTTP.get(refusal.code)
        raise RaethError(code) if code is not None else refusal from None
