"""PostgreSQL as the store needs it: its addresses, and engines on the one driver there is.

Must not know any table. An address is written as operators and libpq write it (`postgresql://…`) and handed to the
driver as it is, so that the journal and the tables understand it alike.
"""

from __future__ import annotations

from typing import Any, Final, TypeGuard

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_S: Final = 5.0
"""Longest wait for a connection."""

_SCHEMES: Final = ("postgresql://", "postgres://")

# Compiling a plan to machine code takes longer than any of our statements does.
_SESSION: Final = {"application_name": "raeth", "jit": "off"}


def is_postgres(url: str | URL) -> TypeGuard[str]:
    """Whether this is the address of a PostgreSQL database."""
    return not isinstance(url, URL) and url.startswith(_SCHEMES)


async def connect(url: str, session: dict[str, str] | None = None, **options: Any) -> asyncpg.Connection:
    """A connection of the driver. `session` are settings of it; `options` as `asyncpg.connect` takes them."""
    return await asyncpg.connect(url, timeout=CONNECT_S, server_settings=_SESSION | (session or {}), **options)


def engine(
    url: str, session: dict[str, str] | None = None, command_s: float | None = None, **options: Any
) -> AsyncEngine:
    """An engine whose connections are made by `connect`; a statement may take `command_s` seconds."""

    async def make() -> asyncpg.Connection:
        return await connect(url, session, command_timeout=command_s)

    made = create_async_engine("postgresql+asyncpg://", async_creator=make, **options)
    event.listen(made.sync_engine, "checkout", _still_open)
    return made


def _still_open(connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection that the server closed meanwhile is replaced before anybody uses it; that costs no round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed the connection")


def placeholders(sql: str) -> str:
    """`?` as PostgreSQL writes it: `$1`, `$2`, … Our statements have no other question marks."""
    first, *rest = sql.split("?")
    return first + "".join(f"${n}{part}" for n, part in enumerate(rest, 1))
