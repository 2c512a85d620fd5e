"""Puts the application together: the calls of all modules, bound to one venue, inside the envelope.

Must not know what any call does. The process that serves it starts and stops the venue; there is no lifespan here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from raeth.api import openapi, routes
from raeth.api.envelope import Envelope, Nowhere
from raeth.api.routing import Declared, VenueRoute, VenueRouter
from raeth.api.venue import Venue
from raeth.terminal.site import Site


def declared_calls() -> Iterator[Declared]:
    """Every call of every module in `raeth.api.routes`, in the order of the modules' names."""
    for module in sorted(pkgutil.iter_modules(routes.__path__), key=lambda found: found.name):
        loaded = importlib.import_module(f"{routes.__name__}.{module.name}")
        router = getattr(loaded, "router", None)
        if isinstance(router, VenueRouter):
            yield from router.declared


def bind(venue: Venue) -> list[VenueRoute]:
    """The routes of a venue, paths without variables first, so that `/orders/cancel` is not an order's id."""
    bound = [VenueRoute(declared, venue) for declared in declared_calls()]
    names = [route.declared.name for route in bound]
    assert len(names) == len(set(names)), "operationIds are unique"
    return sorted(bound, key=lambda route: not route.is_static)


def create_app(venue: Venue, mounts: Mapping[str, ASGIApp] | None = None, site: Site | None = None) -> ASGIApp:
    """The whole HTTP surface of `venue` as one ASGI application.

    `mounts` are applications that answer everything at and below a path, such as `/mcp`; they and the web page, `site`,
    are no part of the API."""
    bound = bind(venue)
    inner = framework(bound, venue)
    venue.document = openapi.Document(bound, venue.version)
    return Envelope(inner, venue, bound, mounts, site)


def framework(bound: list[VenueRoute], venue: Venue) -> FastAPI:
    """FastAPI with our routes and nothing of its own: no pages from elsewhere, no redirects."""

    @asynccontextmanager
    async def nothing(_app: FastAPI):  # type: ignore[no-untyped-def]
        yield

    app = FastAPI(
        title=openapi.TITLE,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=nothing,
    )
    app.router.routes[:] = bound
    app.router.default = Nowhere(venue, bound)
    return app
