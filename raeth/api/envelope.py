"""The outermost layer: names every request, finds its route, and never lets anything out that is not an answer.

Pure ASGI. Calls are found by method and path in a dictionary, those with variables in their path by a handful of
patterns, and run at once: through the framework's router and middleware it would be 55 µs later. What is not a call
goes on to the framework, which holds the same routes. Must not know credentials, budgets or any call.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Iterable, Mapping
from random import getrandbits
from typing import TYPE_CHECKING, Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raeth.api import answers
from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.streams import socket
from raeth.errors import Code, RaethError

if TYPE_CHECKING:
    from raeth.api.routing import VenueRoute
    from raeth.api.venue import Venue
    from raeth.terminal.site import Site

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,64}").fullmatch


def request_id(headers: dict[bytes, bytes]) -> str:
    """The caller's own if it has the form, else 12 hex digits."""
    given = headers.get(b"x-request-id")
    return given.decode() if given is not None and _REQUEST_ID(given) else f"{getrandbits(48):012x}"


class Envelope:
    """`app` answers what none of `routes` does, an application of `mounts` everything at and below its path; between
    them comes `site`, which has files of its own and no calls."""

    def __init__(
        self,
        app: ASGIApp,
        venue: Venue,
        routes: Iterable[VenueRoute],
        mounts: Mapping[str, ASGIApp] | None = None,
        site: Site | None = None,
    ) -> None:
        self._app = app
        self._venue = venue
        self._site = site
        self._mounts = tuple((path, path + "/", mounted) for path, mounted in (mounts or {}).items())
        self.routes = tuple(routes)
        self._tally = venue.metrics.tally("outside_any_route")
        self._site_tally = venue.metrics.tally("web_page")
        self._static: dict[tuple[str, str], VenueRoute] = {}
        self._patterns: dict[tuple[str, int], list[VenueRoute]] = {}
        for route in self.routes:
            method = route.declared.method
            if route.is_static:
                self._static[method, route.path] = route
            else:
                self._patterns.setdefault((method, route.path.count("/")), []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.work(scope, receive, send)

    def work(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """What a call does, not begun. What can be done at once says so to the exchange, if the connection is ours."""
        kind = scope["type"]
        if kind != "http":
            if kind != "websocket":
                return _run(self._app, scope, receive, send)
            headers = scope["raeth.headers"] = dict(scope["headers"])
            scope["raeth.request_id"] = request_id(headers)
            return socket.serve(self._venue, scope, receive, send)
        headers = scope["raeth.headers"] = dict(scope["headers"])
        scope["raeth.request_id"] = request_id(headers)
        route = self._static.get((scope["method"], scope["path"])) or self._look_up(scope)
        if route is not None:
            return route.run(scope, receive, send)
        path: str = scope["path"]
        for at, below, mounted in self._mounts:
            if path == at or path.startswith(below):
                return self._guarded(mounted, *self._named(scope, receive, send))
        if self._site is not None:
            reply = self._site.answer(scope["method"], path, headers)
            if reply is not None:
                call = Call(scope, receive, send, self._venue)
                if call.exchange is not None:
                    call.exchange.at_once = True
                return answers.send_reply(call, reply, self._site_tally)
        return self._guarded(self._app, scope, receive, send)

    def _look_up(self, scope: Scope) -> VenueRoute | None:
        """The call by its other names: without the version, as HEAD, with variables."""
        path: str = scope["path"]
        if path.startswith("/api/") and not path.startswith("/api/v1/"):
            path = scope["path"] = "/api/v1" + path[4:]
            scope["raw_path"] = path.encode("utf-8", "surrogateescape")
        method: str = scope["method"]
        if method == "HEAD":
            method = "GET"  # the server leaves the body out
        return self._static.get((method, path)) or self._match(scope, method, path)

    def _match(self, scope: Scope, method: str, path: str) -> VenueRoute | None:
        """The call whose pattern fits, its variables put into the scope. They are plain text without a slash."""
        for route in self._patterns.get((method, path.count("/")), ()):
            found = route.path_regex.match(path)
            if found is not None:
                scope["path_params"] = found.groupdict()
                return route
        return None

    def _named(self, scope: Scope, receive: Receive, send: Send) -> tuple[Scope, Receive, Send]:
        """For an application that is not ours: it sees the request's id as a header, and its answers carry ours."""
        ours = ((b"x-request-id", scope["raeth.request_id"].encode()), *answers.SECURITY)
        scope["headers"] = [*(pair for pair in scope["headers"] if pair[0] != b"x-request-id"), ours[0]]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = list(message.get("headers", ()))
                given = {name.lower() for name, _ in told}
                message = {**message, "headers": told + [pair for pair in ours if pair[0] not in given]}
            await send(message)

        return scope, receive, with_headers

    async def _guarded(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run an application that may raise: what it has not answered yet is answered here."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, watch)
        except Exception as error:
            if started:
                raise
            await answers.send_error(Call(scope, receive, send, self._venue), error, self._tally)


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


class Nowhere:
    """What answers when no route does: 404 in the envelope, after credential and budget like anything else."""

    def __init__(self, venue: Venue, routes: Iterable[VenueRoute]) -> None:
        self._venue = venue
        self._tally = venue.metrics.tally("outside_any_route")
        self._routes = tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive, send, self._venue)
        path = scope["path"]
        call.allowed_methods = tuple(
            sorted({m for route in self._routes if route.path_regex.match(path) for m in route.methods or ()})
        )
        try:
            if call.is_api:
                await self._admit(call)
            raise RaethError(Code.NOT_FOUND)
        except Exception as error:
            await answers.send_error(call, error, self._tally)

    async def _admit(self, call: Call) -> None:
        door = self._venue.door
        try:
            if not door.admit_now(call, Access.OPTIONAL_AGENT):
                await door.admit(call, Access.OPTIONAL_AGENT)
        except RaethError as error:
            if error.code is not Code.FORBIDDEN:  # nothing is out of reach where nothing is; it has been counted
                raise
        else:
            await self._venue.budgets.spend(call, Budget.READ).agreed()
