"""The SDK in front of a whole venue in one process, with a network between them that fails as it is told.

Nothing of either is replaced: only the transport, which loses requests, answers, or both, and delivers some late.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
from msgspec.structs import replace

from raeth.client import AsyncClient
from tests.api.harness import RULES, Desk, Trader, opened_desk

Event = Literal["pass", "lost", "unsent", "answer lost", "late", "429", "503", "503 after", "500 after", "html"]
"""What happens to one request. `unsent`: no connection. `late`: held back until `deliver`. `… after`: it is carried
out, and the answer says that it may not have been."""

REFUSALS: dict[str, tuple[int, str]] = {"429": (429, "RATE_LIMITED"), "503": (503, "SERVICE_DEGRADED")}


class Network(httpx2.AsyncBaseTransport):
    """Carries requests to the application of a desk. `plan`: the next events; once it is used up everything passes.

    `down`: nothing gets through at all, whatever the plan says.
    """

    def __init__(self, desk: Desk) -> None:
        transport = desk.http._transport
        assert isinstance(transport, httpx2.ASGITransport)
        self._app = httpx2.ASGITransport(transport.app)
        self.plan: list[Event] = []
        self.down = False
        self.sent: list[httpx2.Request] = []
        self.carried: list[httpx2.Request] = []
        """What the venue got of it."""
        self._held: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        if self.down:
            raise httpx2.ConnectError("down")
        self.sent.append(request)
        event = self.plan.pop(0) if self.plan else "pass"
        if event == "unsent":
            raise httpx2.ConnectError("no connection")
        if event == "lost":
            raise httpx2.ReadError("cut before it arrived")
        if event == "late":
            self._held.append(request)
            raise httpx2.ReadTimeout("no answer")
        if event in REFUSALS:
            return refused(*REFUSALS[event])
        if event == "html":
            return httpx2.Response(502, content=b"<html>Bad Gateway</html>")
        response = await self._carry(request)
        if event == "answer lost":
            raise httpx2.RemoteProtocolError("cut in the middle of the answer")
        if event == "503 after":
            return refused(503, "SERVICE_DEGRADED")
        if event == "500 after":
            return refused(500, "INTERNAL_ERROR")
        return response

    async def _carry(self, request: httpx2.Request) -> httpx2.Response:
        self.carried.append(request)
        fresh = httpx2.Request(request.method, request.url, headers=request.headers, content=request.content)
        response = await self._app.handle_async_request(fresh)
        await response.aread()
        return response

    async def deliver(self) -> None:
        """What was held back arrives."""
        held, self._held = self._held, []
        for request in held:
            await self._carry(request)

    def paths(self) -> list[str]:
        """Method and path of every request that left the client."""
        return [f"{request.method} {request.url.path}" for request in self.sent]


def refused(status: int, code: str, **headers: str) -> httpx2.Response:
    body = {"code": code, "message": "said by a test", "request_id": "abc"}
    return httpx2.Response(status, json=body, headers=headers)


class Side:
    """One agent of a desk: its client, the network it uses, and the agent as the desk knows it."""

    def __init__(self, desk: Desk, trader: Trader, **options: Any) -> None:
        self.desk = desk
        self.trader = trader
        self.network = Network(desk)
        options = {"timeout_s": 5.0, "patience_s": 5.0, **options}
        self.client = AsyncClient("http://venue", trader.key, transport=self.network, **options)

    async def orders(self) -> list[dict[str, Any]]:
        """All orders the venue has of the agent, asked for without the SDK."""
        items: list[dict[str, Any]] = (await self.trader.get("/orders", limit=250))["items"]
        return items


@asynccontextmanager
async def sides(folder: Path, names: Iterable[str] = ("alice", "bobby"), **options: Any) -> AsyncIterator[list[Side]]:
    """A venue with an open window, and agents with 1 000 dollars each. Declines lock nobody's side."""
    async with opened_desk(folder, replace(RULES, cooldown_rejects=1_000_000)) as desk:
        made = [Side(desk, await desk.trader(name), **options) for name in names]
        yield made
        for side in made:
            await side.client.aclose()
