"""Bring a database to the newest version of the tables, from nothing or from any older version.

Must not know what is in the tables; `refill` puts a venue's past into those that are new. Any number of processes may
start on one database at once: the upgrade is one transaction that begins by taking the write lock. On PostgreSQL it
runs in an event loop of its own, because the only driver there is asynchronous.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg
import msgspec
from sqlalchemy import Connection, Engine, bindparam, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from raeth.journal.base import JournalUnavailable
from raeth.journal.postgres_session import describe
from raeth.store import postgres, standings
from raeth.store.moment import head_and_mark
from raeth.store.postgres import is_postgres
from raeth.store.refill import refill
from raeth.store.tables import Big

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0003"
"""The newest version. A constant, so that an up-to-date database is recognised by one read."""

STANDINGS_SINCE: Final = "0002"
"""The version that added the leaderboard; what was traded under an older one is read off the journal again."""

MIGRATIONS: Final = Path(__file__).parent / "migrations"

LOCK_TIMEOUT_S: Final = 30.0

LOCK_KEY: Final = 0x72616574_74626C73
"""Of PostgreSQL's advisory lock, under which one process at a time looks at the version and upgrades."""

T = TypeVar("T")


class NewerTables(Exception):
    """The tables are of a version that this program does not know yet. Nothing was changed."""

    def __init__(self, version: str) -> None:
        super().__init__(f"its tables are at version {version}, and this program knows versions up to {HEAD}")


def upgrade(url: str | URL) -> None:
    """Run all versions that are missing; a millisecond when none is. Blocks: in a running loop, give it a thread.
    Raises NewerTables, and JournalUnavailable if a PostgreSQL cannot be reached.

    The journal must have been opened before: it takes a file for its own only while there is nothing else in it.
    `url` as `reader.database_url` gives it; an async driver for SQLite is replaced by the plain one.
    """
    _in_transaction(url, _upgrade)


def _upgrade(connection: Connection) -> None:
    before = _known(current(connection))
    if before == HEAD:
        return
    from alembic import command  # slow to import, and seldom needed

    command.upgrade(configuration(connection), "head")
    if before is not None and before < STANDINGS_SINCE:
        # Only now, at the newest version, do the tables fit the code that fills them.
        refill(connection, standings.STATEMENTS)


def current(connection: Connection) -> str | None:
    """The version a database is at, None if it has never seen a migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def recognise(url: str | URL) -> int | None:
    """The engine version of the newest rules in the journal, before anything is changed; None for a new database.

    Read off the tables, because another engine's commands need not be readable, and of what has not come to the tables
    yet off the journal. Raises NewerTables. Blocks.
    """
    return _in_transaction(url, _recognise)


def _recognise(connection: Connection) -> int | None:
    if _known(current(connection)) is None:
        return None
    newest: int | None = connection.execute(text(_ENGINE)).scalar()
    if inspect(connection).has_table("journal_meta"):
        _head, mark = head_and_mark(connection.exec_driver_sql)
        later = connection.execute(text(_LATER).bindparams(bindparam("mark", mark, type_=Big))).scalars()
        for command in later:
            if command.startswith(_CONFIGURE):
                newest = int(msgspec.json.decode(command)[1])
    return newest


# Rules are a JSON list of their name, the engine's version and the settings, whatever else an engine to come may do.
_CONFIGURE: Final = b'["Configure",'
_LATER: Final = "SELECT command FROM journal WHERE seq > :mark ORDER BY seq"
_ENGINE: Final = "SELECT engine_version FROM configurations ORDER BY seq DESC LIMIT 1"


def _known(version: str | None) -> str | None:
    if version is not None and version > HEAD:
        raise NewerTables(version)
    return version


def configuration(connection: Connection) -> Config:
    """Alembic's configuration, without a file, for the database behind `connection`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _in_transaction(url: str | URL, work: Callable[[Connection], T]) -> T:
    """What `work` makes of a transaction that holds the write lock from its beginning."""
    if is_postgres(url):
        return asyncio.run(_in_postgres(url, work))
    engine = _sqlite(make_url(url))
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


async def _in_postgres(url: str, work: Callable[[Connection], T]) -> T:
    session = {"lock_timeout": f"{LOCK_TIMEOUT_S:.0f}s"}
    engine = postgres.engine(url, session, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=LOCK_KEY))
            return await connection.run_sync(work)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        raise JournalUnavailable(f"the tables cannot be upgraded: {describe(postgres.cause(error))}") from error
    finally:
        await engine.dispose()


def _sqlite(url: URL) -> Engine:
    plain = url.set(drivername=url.get_backend_name())
    engine = create_engine(plain, poolclass=NullPool, connect_args={"timeout": LOCK_TIMEOUT_S})

    # Left to itself the driver commits before each CREATE, and a crash would leave half a version behind.
    @event.listens_for(engine, "connect")
    def _no_hidden_transactions(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _lock(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
