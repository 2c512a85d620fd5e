"""A venue for each test, and a transport that holds every answer of every test against what is documented.

Whatever a test asks, the answer must have the documented status, its body the documented shape (or the flat error body
with a code that the call documents), and the headers that every answer carries.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter

from raeth.api.envelope import Envelope
from raeth.api.openapi import ErrorBody
from raeth.api.routing import VenueRoute
from raeth.errors import CATALOGUE, Code
from tests.api import harness
from tests.api.harness import Desk, opened_desk

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

UNDOCUMENTED = frozenset({Code.NOT_FOUND, Code.INTERNAL_ERROR, Code.SERVICE_DEGRADED, Code.RATE_LIMITED})
"""Codes that any address can answer with."""


@cache
def shape_of(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


class CheckedTransport(httpx2.ASGITransport):
    """Talks to the application in process and looks at everything it says."""

    def __init__(self, app: Envelope, **options: Any) -> None:
        super().__init__(app, **options)
        self._routes = app.routes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        body = await response.aread()
        path = request.url.path
        if path.startswith("/api/") and not path.startswith("/api/v1/"):
            path = "/api/v1" + path[4:]
        self._check_headers(path, response)
        route = self._route(request.method, path)
        if response.status_code >= 400:
            self._check_error(route, response, body)
        elif route is not None and response.headers["content-type"] == "application/json":
            assert response.status_code == route.declared.status_code, (request.method, path, response.status_code)
            if route.response_model is not None:
                shape_of(route.response_model).validate_json(body)
        return httpx2.Response(
            response.status_code, headers=response.headers, content=body, request=request, extensions={}
        )

    def _route(self, method: str, path: str) -> VenueRoute | None:
        return next(
            (r for r in self._routes if method == r.declared.method and r.path_regex.match(path) is not None), None
        )

    def _check_headers(self, path: str, response: httpx2.Response) -> None:
        assert REQUEST_ID.fullmatch(response.headers["x-request-id"])
        assert response.headers["x-content-type-options"] == "nosniff"
        if path.startswith("/api/"):
            limit, left, reset = (int(response.headers[f"x-ratelimit-{n}"]) for n in ("limit", "remaining", "reset"))
            assert 0 <= left <= limit and reset > 1_600_000_000_000

    def _check_error(self, route: VenueRoute | None, response: httpx2.Response, body: bytes) -> None:
        error = ErrorBody.model_validate_json(body, extra="forbid")
        code = Code(error.code)
        assert error.request_id == response.headers["x-request-id"]
        assert str(response.status_code) in CATALOGUE[code].http, (code, response.status_code)
        documented = set(UNDOCUMENTED) | set(route.errors if route is not None else ())
        assert route is None or code in documented, f"{route.declared.name} does not document {code}"
        if code is Code.RATE_LIMITED:
            assert int(response.headers["retry-after"]) >= 1


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All clients of the harness look at what they get."""
    monkeypatch.setattr(harness.httpx2, "ASGITransport", CheckedTransport)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path) as desk:
        yield desk
