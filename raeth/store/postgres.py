"""PostgreSQL as the store needs it: its addresses, and engines on the one driver there is.

Must not know any table. An address is written as operators and libpq write it (`postgresql://…`) and handed to the
driver like that, so that the journal and the tables understand it alike.
"""

from __future__ import annotations

from typing import Any, Final, TypeGuard

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from raeth.journal.postgres_session import plain_url

CONNECT_S: Final = 5.0
"""Longest wait for a connection."""

_SESSION: Final = {
    "application_name": "raeth-tables",
    # Compiling a plan to machine code takes longer than any of our statements does.
    "jit": "off",
    # A server that is gone without a word, as after a power cut, is noticed.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}

READING: Final = {
    "default_transaction_read_only": "on",
    # Every read has an index, and a plan made while a table was small must hold later too.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""Settings of a session for the queries."""


def is_postgres(url: str | URL) -> TypeGuard[str]:
    """Whether this is the address of a PostgreSQL database, as text; as SQLAlchemy's `URL` it is not taken."""
    return not isinstance(url, URL) and url.startswith("postgres")


async def connect(url: str, session: dict[str, str] | None = None, **options: Any) -> asyncpg.Connection:
    """A connection of the driver. `session` are settings of it; `options` as `asyncpg.connect` takes them."""
    return await asyncpg.connect(
        plain_url(url), timeout=CONNECT_S, server_settings=_SESSION | (session or {}), **options
    )


def engine(
    url: str, session: dict[str, str] | None = None, command_s: float | None = None, **options: Any
) -> AsyncEngine:
    """An engine whose connections are made by `connect`; a statement may take `command_s` seconds."""

    async def make() -> asyncpg.Connection:
        return await connect(url, session, command_timeout=command_s)

    made = create_async_engine("postgresql+asyncpg://", async_creator=make, hide_parameters=True, **options)
    event.listen(made.sync_engine, "checkout", _still_open)
    return made


def _still_open(connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection that the server closed meanwhile is replaced before anybody uses it; that costs no round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed the connection")


def cause(error: Exception) -> Exception:
    """What the driver itself said: SQLAlchemy wraps it, and shows statements."""
    inner = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else None
    return inner if isinstance(inner, Exception) else error
