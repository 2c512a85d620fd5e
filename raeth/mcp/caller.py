"""Whose call is being answered: the client of the agent that made it, for as long as the call lasts.

Over stdio that is one client for the whole process, over HTTP one a request, with that request's key. Tools ask here
and must not know which.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from raeth.client.client import AsyncClient

_client: ContextVar[AsyncClient] = ContextVar("raeth.mcp.client")


@contextmanager
def calling(client: AsyncClient) -> Iterator[None]:
    """Within this, `venue()` is this client."""
    token = _client.set(client)
    try:
        yield
    finally:
        _client.reset(token)


def venue() -> AsyncClient:
    """The venue, as the agent that called the tool."""
    return _client.get()
