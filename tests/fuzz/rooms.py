"""A served venue in this process with a credential for every call, and a look at everything it holds.

A new call is covered by itself: calls are taken from the application, shapes of bodies from their models.
"""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

from raeth.api.access import Access
from raeth.api.routing import VenueRoute
from raeth.engine.snapshot import state_hash
from tests.api.harness import ADMIN, Trader
from tests.fuzz.wire import Line, told
from tests.streams.harness import Hall, limits, opened_hall

PASSWORD: Final = "correct horse battery"
OWNED: Final = (Access.OWNER,)
OPEN: Final = (Access.PUBLIC,)


class Room:
    """The venue, one line to it, and somebody of every kind who calls."""

    def __init__(self, hall: Hall, line: Line, trader: Trader, session: str) -> None:
        self.hall, self.line, self.trader = hall, line, trader
        self.market_id = hall.desk.market_id
        self._session = session
        assert hasattr(hall.desk.http._transport, "app")
        self.routes: tuple[VenueRoute, ...] = hall.desk.http._transport.app.routes

    @property
    def with_body(self) -> list[VenueRoute]:
        found = [route for route in self.routes if route._plan.body_model is not None]
        assert len(found) >= 20
        return found

    def credential(self, route: VenueRoute) -> list[tuple[str, str]]:
        """The header that opens this call."""
        if route.access is Access.OPERATOR:
            token = ADMIN
        elif route.access in OWNED:
            token = self._session
        elif route.access in OPEN:
            return []
        else:
            token = self.trader.key
        return [("authorization", f"Bearer {token}")]

    def target(self, route: VenueRoute) -> str:
        """The call's path with names that exist, where this venue has them."""
        return self.filled(route, route.declared.path)

    def filled(self, route: VenueRoute, path: str) -> str:
        """A part of the call's path, likewise."""
        names = {
            "market_id": self.market_id,
            "agent_id": self.trader.uuid,
            "order_id": self.order["order_id"],
            "slug": "BTC-1M",
        }
        return path.format_map({name: names.get(name, "unknown") for name in route._plan.path})

    async def prepare(self) -> None:
        self.order: dict[str, Any] = await self.trader.place("BUY", 40, 3, client_order_id="resting")

    def holds(self) -> tuple[Any, ...]:
        """The journal's head, the digest of the state, and the rows of every table."""
        desk = self.hall.desk
        state = desk.sequencer.state
        path = Path(desk.venue.settings.data_dir) / "raeth.db"
        with closing(sqlite3.connect(path)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in sorted(names)}
        return state.seq, state_hash(state), rows


@asynccontextmanager
async def opened_room(folder: Path) -> AsyncIterator[Room]:
    """Whatever is asked in it, the invariants of the venue must hold in the end."""
    async with opened_hall(folder, open_limits=limits(signups_per_minute=100_000)) as hall, Line(hall.port) as line:
        for listener in hall.server.servers[0].sockets:
            # The real process's loop does it; without it an answer in two writes waits for an acknowledgement.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mail = {"email": "owner@example.com", "agent_name": "owner-1", "password": PASSWORD}
        made = await hall.desk.http.post("/api/v1/auth/signup", json=mail)
        assert made.status_code == 201, made.text
        login = {"email": mail["email"], "password": PASSWORD}
        session = (await hall.desk.http.post("/api/v1/auth/login", json=login)).json()["session_token"]
        hall.desk.http.cookies.clear()
        room = Room(hall, line, await hall.desk.trader("fuzzed"), session)
        await room.prepare()
        await hall.desk.sequencer.tabled()  # what the room began with is no trace of what is asked in it
        yield room
        hall.desk.check()
        health = await line.request("GET", "/health")
        assert health.status == 200 and told(health)["status"] == "ok"


def full(model: type[BaseModel]) -> tuple[Any, list[tuple[tuple[Any, ...], str | None]]]:
    """A body with every field of a model in it, and its leaves: path and JSON type, None for a leaf of any type.

    It need not be valid as a whole, for rules that span fields count only after every field was read.
    """
    schema = model.model_json_schema()
    leaves: list[tuple[tuple[Any, ...], str | None]] = []
    return _filled(schema, schema.get("$defs", {}), (), leaves), leaves


def _filled(schema: dict[str, Any], defs: dict[str, Any], at: tuple[Any, ...], leaves: list[Any]) -> Any:
    if "$ref" in schema:
        return _filled(defs[schema["$ref"].rsplit("/", 1)[1]], defs, at, leaves)
    if "anyOf" in schema:
        told = [option for option in schema["anyOf"] if option.get("type") != "null"]
        return _filled({**told[0], **{n: v for n, v in schema.items() if n == "examples"}}, defs, at, leaves)
    if "allOf" in schema:
        return _filled(schema["allOf"][0], defs, at, leaves)
    kind = schema.get("type")
    leaves.append((at, kind))
    if kind == "object":
        return {name: _filled(part, defs, (*at, name), leaves) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_filled(schema.get("items", {}), defs, (*at, 0), leaves)]
    if schema.get("examples") and not isinstance(schema["examples"][0], dict | list):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    return {"integer": schema.get("minimum", 1), "boolean": False, "string": "abc"}.get(str(kind), 1)


def put(body: Any, at: tuple[Any, ...], value: Any) -> Any:
    """The body with another value there."""
    if not at:
        return value
    if isinstance(body, dict):
        return {name: put(part, at[1:], value) if name == at[0] else part for name, part in body.items()}
    return [put(part, at[1:], value) if place == at[0] else part for place, part in enumerate(body)]


def objects(body: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Every object in a body, with its place."""
    if isinstance(body, dict):
        yield at, body
        for name, part in body.items():
            yield from objects(part, (*at, name))
    elif isinstance(body, list):
        for place, part in enumerate(body):
            yield from objects(part, (*at, place))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with opened_room(tmp_path) as room:
        yield room
