"""Who reaches what: every route of the whole application against a table written from the contract.

A route that is not in the table fails the first test, so nobody adds a door without saying who may go through it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from raeth import server
from raeth.api.app import create_app, declared_calls
from raeth.api.envelope import Envelope
from raeth.config import Settings as Configuration
from raeth.mcp import http as mcp
from raeth.terminal.site import Site
from tests.api.harness import ADMIN, Desk, opened_desk
from tests.authority.cast import ROOMY, Person, bearer, credentials, everything, person

ANYONE = "anyone, credentials are not looked at"
MARKET = "anyone; a credential must be good, and not the operator's"
READ, TRADE, CANCEL, KEY = "read", "trade", "cancel or trade", "any key"
READ_OR_OWNER = "read, or the owner with ?agent_id="
OWNER, OPERATOR = "owner", "operator"

TABLE: Final[dict[str, str]] = {
    # Section 2: credentials
    "POST /api/v1/auth/signup": ANYONE,
    "POST /api/v1/auth/mcp-signup": ANYONE,
    "POST /api/v1/auth/login": ANYONE,
    "POST /api/v1/auth/logout": OWNER,
    "POST /api/v1/auth/ws-ticket": KEY,
    "GET /api/v1/me": OWNER,
    "GET /api/v1/me/agents": OWNER,
    "POST /api/v1/me/agents": OWNER,
    "GET /api/v1/me/agents/{agent_id}/keys": OWNER,
    "POST /api/v1/me/agents/{agent_id}/keys": OWNER,
    "DELETE /api/v1/me/agents/{agent_id}/keys/{key_id}": OWNER,
    "POST /api/v1/me/agents/{agent_id}/keys/{key_id}/rotate": OWNER,
    "POST /api/v1/me/transfers": OWNER,
    # Sections 4 and 6: trading
    "POST /api/v1/orders": TRADE,
    "POST /api/v1/orders/preview": READ,
    "POST /api/v1/orders/batch": TRADE,
    "PUT /api/v1/quotes": TRADE,
    "GET /api/v1/orders": READ,
    "GET /api/v1/orders/{order_id}": READ,
    "GET /api/v1/orders/by-client-id/{client_order_id}": READ,
    "PATCH /api/v1/orders/{order_id}": TRADE,
    "DELETE /api/v1/orders/{order_id}": CANCEL,
    "POST /api/v1/orders/cancel": CANCEL,
    "GET /api/v1/fills": READ,
    "POST /api/v1/deadman": CANCEL,
    # Section 7: market data
    "GET /api/v1/series": MARKET,
    "GET /api/v1/series/{slug}": MARKET,
    "GET /api/v1/series/{slug}/context": MARKET,
    "GET /api/v1/markets": MARKET,
    "GET /api/v1/markets/{market_id}": MARKET,
    "GET /api/v1/markets/{market_id}/book": MARKET,
    "GET /api/v1/markets/{market_id}/trades": MARKET,
    "GET /api/v1/markets/{market_id}/candles": MARKET,
    "GET /api/v1/markets/{market_id}/agent-context": MARKET,
    "GET /api/v1/markets/{market_id}/settlement": MARKET,
    "GET /api/v1/reference/btc": MARKET,
    "GET /api/v1/reference/btc/history": MARKET,
    "GET /api/v1/leaderboard": MARKET,
    "GET /api/v1/liquidity": MARKET,
    # Section 8: account
    "GET /api/v1/account": READ_OR_OWNER,
    "GET /api/v1/positions": READ_OR_OWNER,
    "GET /api/v1/ledger": READ_OR_OWNER,
    "POST /api/v1/faucet": TRADE,
    "PUT /api/v1/account/leverage": TRADE,
    # Section 9: operator
    "POST /api/v1/admin/freeze": OPERATOR,
    "POST /api/v1/admin/unfreeze": OPERATOR,
    "GET /api/v1/admin/state": OPERATOR,
    "POST /api/v1/admin/markets/{market_id}/halt": OPERATOR,
    "POST /api/v1/admin/markets/{market_id}/resume": OPERATOR,
    "POST /api/v1/admin/markets/{market_id}/void": OPERATOR,
    "POST /api/v1/admin/agents/{agent_id}/suspend": OPERATOR,
    "POST /api/v1/admin/agents/{agent_id}/reinstate": OPERATOR,
    "POST /api/v1/admin/agents/{agent_id}/grant": OPERATOR,
    "POST /api/v1/admin/keys/{key_id}/revoke": OPERATOR,
    "POST /api/v1/admin/broadcast": OPERATOR,
    "GET /api/v1/admin/audit": OPERATOR,
    # Section 10: venue
    "GET /api/v1/meta/errors": MARKET,
    "GET /api/v1/meta/limits": MARKET,
    "GET /api/v1/meta/version": MARKET,
    "GET /health": ANYONE,
    "GET /ready": ANYONE,
    "GET /metrics": ANYONE,
    "GET /status": ANYONE,
    "GET /docs": ANYONE,
    "GET /openapi.json": ANYONE,
    "GET /llms.txt": ANYONE,
    "GET /llms-full.txt": ANYONE,
    "GET /skill.md": ANYONE,
    # Section 11: streams
    "GET /api/v1/sse": MARKET,
}

MOUNTS: Final = {mcp.PATH: KEY, mcp.ABOUT: ANYONE}
"""What answers at and below a path."""

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

IN_ANY_CASE: Final[dict[str, tuple[int, str]]] = {
    "nothing": (401, "AUTH_MISSING"),
    "nonsense": (401, "AUTH_INVALID"),
    "unknown key": (401, "AUTH_INVALID"),
    "wrong secret": (401, "AUTH_INVALID"),
    "another's secret": (401, "AUTH_INVALID"),
    "wrong admin token": (401, "AUTH_INVALID"),
    "wrong session": (401, "AUTH_INVALID"),
    "ended session": (401, "AUTH_INVALID"),
    "ticket": (401, "AUTH_INVALID"),
    "revoked": (401, "AUTH_REVOKED"),
    "expired": (401, "AUTH_EXPIRED"),
    "elsewhere": (403, "IP_NOT_ALLOWED"),
}
"""What is no credential opens nothing that is not open to anyone."""

A_FEW: Final = ("nothing", "nonsense", "operator")
"""Where credentials are not looked at, these will do."""

NOT_THEIRS: Final = (403, "FORBIDDEN")
NO_SCOPE: Final = (403, "SCOPE_REQUIRED")
IN: Final = None


def verdict(entry: str, who: str) -> tuple[int, str] | None:
    """What the contract says to this credential at this door; None: it is let in."""
    if entry == ANYONE or (entry == MARKET and who == "nothing"):
        return IN
    if who in IN_ANY_CASE:
        return IN_ANY_CASE[who]
    if who == "operator":
        return IN if entry == OPERATOR else NOT_THEIRS
    if who == "owner":
        return IN if entry in (OWNER, READ_OR_OWNER, MARKET) else NOT_THEIRS
    # An agent's key from here on. The suspended one has every scope.
    if entry in (OWNER, OPERATOR):
        return NOT_THEIRS
    if who == "suspended":
        return (403, "AGENT_SUSPENDED") if entry == TRADE else IN
    needed = {READ: {"read"}, READ_OR_OWNER: {"read"}, TRADE: {"trade"}, CANCEL: {"trade", "cancel"}}.get(entry)
    return IN if needed is None or who in needed else NO_SCOPE


class Hall:
    """The application as the process serves it, with an account that has something behind every id."""

    def __init__(self, desk: Desk, app: Envelope, http: httpx2.AsyncClient, ada: Person) -> None:
        self.desk = desk
        self.app = app
        self.http = http
        self.ada = ada
        self.names: dict[str, str] = {}

    async def furnish(self) -> None:
        order = await self.ada.trader.place("BUY", 30, 2, client_order_id="mine")
        spare = await self.ada.key()
        self.names = {
            "order_id": order["order_id"],
            "client_order_id": "mine",
            "market_id": self.desk.symbol,
            "agent_id": self.ada.agent_id,
            "key_id": spare.split("_")[2],
            "slug": self.desk.sequencer.state.settings.slug,
        }

    def request(self, route: str) -> tuple[str, str, Any]:
        """Method, path and a body that would do something."""
        method, path = route.split()
        names = self.names
        limit = {"market_id": names["market_id"], "side": "BUY", "type": "LIMIT", "price": 20, "qty": 1}
        bodies: dict[str, Any] = {
            "POST /api/v1/orders": limit,
            "POST /api/v1/orders/preview": limit,
            "POST /api/v1/orders/batch": {"orders": [limit]},
            "PUT /api/v1/quotes": {
                "market_id": names["market_id"],
                "quote_id": "q",
                "bids": [{"price": 10, "qty": 1}],
                "asks": [],
            },
            "PATCH /api/v1/orders/{order_id}": {"qty": 1},
            "POST /api/v1/orders/cancel": {},
            "POST /api/v1/deadman": {"timeout_ms": 5_000},
            "PUT /api/v1/account/leverage": {"leverage": 1},
            "POST /api/v1/me/agents": {"name": "another"},
            "POST /api/v1/me/agents/{agent_id}/keys": {"name": "k"},
            "POST /api/v1/me/transfers": {"from": names["agent_id"], "to": "master", "amount_cents": 1},
            "POST /api/v1/admin/agents/{agent_id}/grant": {"amount_cents": 1, "reason": "test"},
            "POST /api/v1/admin/broadcast": {"message": "test"},
        }
        body = bodies.get(route, {"reason": "test"} if "/admin/" in path and method == "POST" else None)
        if route in ("GET /api/v1/sse",):
            path += "?channels=nonsense"
        return method, path.format(**names), body

    async def knock(self, route: str, headers: dict[str, str]) -> tuple[int, str | None]:
        method, path, body = self.request(route)
        response = await self.http.request(method, path, headers=headers, json=body)
        is_flat = response.status_code >= 400
        return response.status_code, response.json()["code"] if is_flat else None


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        door = server.door_for_models(Configuration())
        app = create_app(desk.venue, mounts={mcp.PATH: door, mcp.ABOUT: door})
        assert isinstance(app, Envelope)
        door.venue = app
        ada = await person(desk, "ada")
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as http:
            hall = Hall(desk, app, http, ada)
            await hall.furnish()
            yield hall


def test_every_route_is_in_the_table_and_the_other_way_round() -> None:
    found = {f"{call.method} {call.path}" for call in declared_calls()}
    assert found - TABLE.keys() == set(), "say in TABLE who may make a new call, as the contract has it"
    assert TABLE.keys() - found == set(), "the contract has calls that are not there"


def test_every_mount_is_in_the_table() -> None:
    """The process hands its mounts to `create_app` in one place, by these names."""
    source = inspect.getsource(server._serve)
    assert source.count("mounts=") == 1
    named = source.split("mounts={")[1].split("}")[0]
    assert sorted(part.split(":")[0].strip() for part in named.split(",")) == ["mcp.ABOUT", "mcp.PATH"]
    assert {mcp.PATH, mcp.ABOUT} == MOUNTS.keys()


def test_the_web_page_is_files_and_no_door() -> None:
    """What it answers depends on nothing but a path and what the browser takes: it is never shown a credential, and
    what it has lies beside the calls, not over them."""
    assert inspect.getsource(server).count("create_app(") == inspect.getsource(server).count("site=site") == 1
    assert list(inspect.signature(Site.answer).parameters) == ["self", "method", "path", "headers"]
    calls = {call.path for call in declared_calls()}
    for site in (Site.read(), Site({})):
        assert "/" in site.paths and not site.paths & calls
        assert not {path for path in site.paths if path.startswith(("/api", "/stream", *MOUNTS))}


async def test_the_framework_adds_no_doors_of_its_own(hall: Hall) -> None:
    bound = {f"{route.declared.method} {route.declared.path}" for route in hall.app.routes}
    assert bound == TABLE.keys()
    inner: Any = hall.app._app
    assert {getattr(route, "path", route) for route in inner.router.routes} == {r.path for r in hall.app.routes}
    for path in (
        "/redoc",
        "/docs/oauth2-redirect",
        "/api/v1/openapi.json",
        "/debug",
        "/admin",
        "/.env",
        "/static/x",
        "/assets/x",
        "/dist/x",
    ):
        assert (await hall.http.get(path)).status_code == 404, path


async def test_every_door_against_every_credential(hall: Hall) -> None:
    """The refused first, with the state before and after; who is let in may do what it likes after that."""
    shown = await credentials(hall.desk, hall.ada)
    before = everything(hall.desk)
    refusals = 0
    for route, entry in TABLE.items():
        for who, credential in shown.items():
            expected = verdict(entry, who)
            if expected is None:
                continue
            told = await hall.knock(route, bearer(credential) if credential is not None else {})
            assert told == expected, (route, who)
            refusals += 1
    assert everything(hall.desk) == before, "a refused request changed something"
    assert refusals > 700
    admitted = 0
    # Ending the session comes last, before it what suspends the agent or freezes the venue.
    late = ("POST /api/v1/auth/logout", "POST /api/v1/admin/")
    for route in sorted(TABLE, key=lambda name: (name.startswith(late), name == late[0])):
        for who, credential in shown.items():
            if verdict(TABLE[route], who) is None and (TABLE[route] != ANYONE or who in A_FEW):
                status, code = await hall.knock(route, bearer(credential) if credential is not None else {})
                # An agent of somebody else is let in, and then learns that this order is not its own.
                elsewhere = who == "suspended" and "{order_id}" in route and code == "FORBIDDEN"
                assert elsewhere or status not in (401, 403), (route, who, code)
                assert status < 500, (route, who, code)
                admitted += 1
    assert admitted > 200


async def test_the_session_as_a_cookie_reaches_what_the_owner_reaches(hall: Hall) -> None:
    cookie = {"Cookie": f"raeth_session={hall.ada.session}"}
    stale = {"Cookie": "raeth_session=rs_" + "x" * 43}
    foreign = {**cookie, "Origin": "http://evil.example"}
    before = everything(hall.desk)
    for route, entry in TABLE.items():
        method = route.split()[0]
        if entry in (OWNER, READ_OR_OWNER):
            assert await hall.knock(route, stale) == (401, "AUTH_INVALID"), route
            if method in WRITES:
                assert await hall.knock(route, foreign) == NOT_THEIRS, route
        elif entry not in (ANYONE, MARKET):
            assert await hall.knock(route, cookie) == NOT_THEIRS, route
            assert await hall.knock(route, foreign) == NOT_THEIRS, route
    assert everything(hall.desk) == before
    for route, entry in TABLE.items():
        if entry in (OWNER, READ_OR_OWNER, MARKET) and route != "POST /api/v1/auth/logout":
            status, code = await hall.knock(route, cookie)
            assert status not in (401, 403), (route, code)


async def test_no_other_spelling_of_a_door_is_a_way_around_it(hall: Hall) -> None:
    """The alias, other methods, other spellings: refused like the door itself, or not there at all."""
    before = everything(hall.desk)
    around = {"X-HTTP-Method-Override": "GET", "X-Original-URL": "/health", "X-Rewrite-URL": "/health"}
    for route, entry in TABLE.items():
        if entry in (ANYONE, MARKET):
            continue
        method, path, body = hall.request(route)
        for prefix in ("/api/v1/", "/api/"):
            rest = path.removeprefix("/api/v1/")
            for tried, spelled, headers in (
                (method, prefix + rest, {}),
                ("HEAD", prefix + rest, {}),
                (method, prefix + rest.upper(), {}),
                (method, prefix + "/" + rest, {}),
                (method, prefix + rest + "/", {}),
                (method, prefix + f"%{ord(rest[0]):02x}{rest[1:]}", {}),
                (method, "/API/v1/" + rest, {}),
                (method, prefix + rest, around),
            ):
                response = await hall.http.request(tried, spelled, headers=headers, json=body)
                assert response.status_code in (401, 404), (tried, spelled, response.status_code)
    assert everything(hall.desk) == before


async def test_the_door_for_models_takes_agents_keys_only(hall: Hall) -> None:
    shown = await credentials(hall.desk, hall.ada)
    before = everything(hall.desk)
    order = {"name": "place_order", "arguments": {"market": hall.desk.symbol, "side": "BUY", "qty": 1, "price": 20}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": order}
    for who, credential in shown.items():
        headers = {"Accept": "application/json, text/event-stream"}
        if credential is not None:
            headers |= bearer(credential)
        for path in (mcp.PATH, mcp.PATH + "/"):
            if who in IN_ANY_CASE or who in ("owner", "operator"):
                response = await hall.http.post(path, json=call, headers=headers)
                expected = IN_ANY_CASE.get(who, NOT_THEIRS)
                assert (response.status_code, response.json()["code"]) == expected, who
    assert everything(hall.desk) == before
    about = await hall.http.get(mcp.ABOUT + mcp.PATH)
    assert about.status_code == 200 and ADMIN not in about.text
