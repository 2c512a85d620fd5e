"""A venue process with short windows for whole sessions, a venue in this process for everything else, and the official
client of the protocol in front of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from raeth.api.app import create_app
from raeth.mcp import http
from tests.api.harness import Desk, opened_desk
from tests.e2e.venue import VenueProcess, hosting, until
from tests.mcp.model import ADMIN_TOKEN, HOST, Door

WINDOW_MS = 10_000


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """One `raeth serve` with windows of ten seconds and no house: only the tests trade."""
    with hosting(tmp_path_factory.mktemp("venue")) as host:
        settings = {"RAETH_SERIES__WINDOW_MS": str(WINDOW_MS), "RAETH_ADMIN_TOKEN": ADMIN_TOKEN}
        venue = host.serve("--no-house", **settings)

        def tradeable() -> bool:
            return any(not market["halted"] for market in venue.markets(status="OPEN"))

        # One that opened while the process was still starting has no print to open with, and is halted to its end.
        until("a window that trades", tradeable, 40)
        yield venue


@asynccontextmanager
async def opened_door(desk: Desk, hosts: tuple[str, ...] = (HOST,)) -> AsyncIterator[Door]:
    """The same desk with the door for models mounted."""
    mounted = http.Door(hosts, body_bytes=65_536, body_deadline_ms=200)
    mounted.venue = create_app(desk.venue, mounts={http.PATH: mounted, http.ABOUT: mounted})
    running = asyncio.create_task(mounted.run())
    transport = httpx2.ASGITransport(mounted.venue)
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        yield Door(desk, client, mounted)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened_desk(tmp_path) as desk, opened_door(desk) as opened:
        yield opened
