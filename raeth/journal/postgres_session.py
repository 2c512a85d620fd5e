"""Sessions of a PostgreSQL journal: connecting, creating the tables, recognising them, and what errors mean.

Must not know what is done with the sessions. Other rooms keep their tables in the same database, so that projections
commit with the rows; whoever creates the tables, the journal is the first to do so.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

import asyncpg

from raeth.journal.base import JournalDamaged, JournalForeign, JournalRefused, JournalUnavailable

log = logging.getLogger(__name__)

FORMAT = 2
"""As a SQLite journal's: the columns are the same."""

CHANNEL = "raeth_journal"
"""Where a commit that appended says so (see `postgres_functions`); the text is the new head's seq."""

LOCK_TIMEOUT_S = 5
IDLE_IN_TRANSACTION_S = 2
"""How long a process that stopped while it held the lock keeps the others waiting."""
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = LOCK_TIMEOUT_S + 5.0
"""A database that has not answered a statement by then is as good as lost."""
STATEMENTS_CACHED = 512

_CREATING = 0x72616574_6A6F7572
"""The advisory lock under which the tables are created."""

_SETTINGS = {
    "jit": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # A peer that is gone without a word, as after a power cut, is noticed.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
WRITER_SETTINGS = {
    "synchronous_commit": "on",
    "standard_conforming_strings": "on",
    "lock_timeout": f"{LOCK_TIMEOUT_S}s",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
    # The same few statements for ever, on tables that grow: a plan made while a table was empty must hold later too.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}

_SCHEMA = (
    "CREATE TABLE journal (seq bigint PRIMARY KEY, ts bigint NOT NULL, command bytea NOT NULL, events bytea NOT NULL,"
    " hash bytea NOT NULL)",
    'CREATE TABLE journal_keys (owner bigint NOT NULL, key text COLLATE "C" NOT NULL, seq bigint NOT NULL,'
    " place bigint NOT NULL, fingerprint bytea NOT NULL, PRIMARY KEY (owner, key))",
    "CREATE TABLE snapshots (seq bigint PRIMARY KEY, hash bytea NOT NULL, engine_version bigint NOT NULL,"
    " checksum bytea NOT NULL, blob bytea NOT NULL)",
    "ALTER TABLE snapshots ALTER COLUMN blob SET STORAGE EXTERNAL",
    # One row, and a new version of it with every batch. The newest is at the end of the index, where it is found at
    # once, however many old ones somebody's long transaction (a dump, an audit) keeps from being cleared away.
    "CREATE TABLE journal_meta (id integer NOT NULL CHECK (id = 1), format integer NOT NULL, head_seq bigint NOT NULL,"
    " transactions bigint PRIMARY KEY, projected_seq bigint NOT NULL)",
)
_FIRST_META = "INSERT INTO journal_meta VALUES (1, $1, 0, 0, 0)"
_TABLES = "SELECT to_regclass('journal_meta') IS NOT NULL"
_STRANGERS = """
SELECT relname FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
ORDER BY relname LIMIT 1
"""

# SQLSTATE: whole codes and, of two characters, classes.
_DAMAGED = {"XX001", "XX002", "58P01"}
_UNAVAILABLE = {"08", "28", "40", "53", "57", "58", "3D000", "25006", "25P03", "25P04", "42501", "55P03"}
_LOST = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InternalClientError)


async def connect(url: str, name: str, settings: dict[str, str] | None = None) -> Any:
    """A session that shows itself as `name`. Raises JournalUnavailable."""
    try:
        return await asyncpg.connect(
            plain_url(url),
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=ANSWER_TIMEOUT_S,
            statement_cache_size=STATEMENTS_CACHED,
            max_cached_statement_lifetime=0,
            server_settings={**_SETTINGS, **(settings or {}), "application_name": name},
        )
    except ValueError:  # its text may show a part of the password
        raise JournalUnavailable("no session with the database: its address cannot be read") from None
    except Exception as error:
        raise JournalUnavailable(f"no session with the database: {describe(error)}") from error


def plain_url(url: str) -> str:
    """The URL without the name of a driver, which other libraries want in it."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


async def create_once(session: Any) -> None:
    """Create the tables unless they exist; several nodes may start on one empty database.

    Raises JournalDamaged for a database that belongs to something else, JournalForeign for one of another format.
    """
    encoding = session.get_settings().server_encoding
    if encoding != "UTF8":
        raise JournalUnavailable(f"the database has the encoding {encoding}; it needs UTF8")
    async with session.transaction():
        await session.execute("SELECT pg_advisory_xact_lock($1)", _CREATING)
        if not await session.fetchval(_TABLES):
            stranger = await session.fetchval(_STRANGERS)
            if stranger is not None:
                raise JournalDamaged(0, f"the database holds the table {stranger}, but not a journal of this venue")
            for statement in _SCHEMA:
                await session.execute(statement)
            await session.execute(_FIRST_META, FORMAT)
    stored = await session.fetchval("SELECT format FROM journal_meta")
    if stored is None:
        raise JournalDamaged(0, "the database does not say which format it has")
    if stored != FORMAT:
        raise JournalForeign(f"the database has format {stored}; this version reads and writes format {FORMAT} only")
    if await session.fetchval("SHOW fsync") != "on":
        log.warning("the database runs with fsync off: what it calls durable, a power cut may take")


def lost(error: Exception) -> bool:
    """Whether the session is gone, or has to be given up, because of `error`."""
    # Of what the driver itself refuses, only a wrong number of arguments is the statement's fault.
    return isinstance(error, _LOST) or (isinstance(error, asyncpg.InterfaceError) and "argument" not in str(error))


def translate(error: Exception, seq: int = 0, *, about: str = "") -> JournalDamaged | JournalUnavailable:
    """What an error of the database means in the journal's terms; `seq` is the row concerned, 0 for all of it."""
    if isinstance(error, (JournalDamaged, JournalUnavailable)):
        return error
    why = f"{about}: {describe(error)}" if about else describe(error)
    if lost(error):
        return JournalUnavailable(f"connection lost: {why}")
    code = error.sqlstate if isinstance(error, asyncpg.PostgresError) and error.sqlstate else ""
    if code in _DAMAGED:
        return JournalDamaged(seq, why)
    if code in _UNAVAILABLE or code[:2] in _UNAVAILABLE:
        return JournalUnavailable(why)
    return JournalRefused(why)


def unreadable(error: Exception, seq: int = 0) -> JournalDamaged | JournalUnavailable:
    """As `translate`, for reading what the journal itself wrote: nothing wrong was asked, so what is stored is."""
    known = translate(error, seq)
    refused = isinstance(known, JournalRefused) and isinstance(error, (asyncpg.PostgresError, TypeError))
    return JournalDamaged(seq, known.why) if refused else known


def describe(error: Exception) -> str:
    """One line without the values concerned, which may be secrets."""
    kind = type(error).__name__
    if isinstance(error, asyncpg.DataError) and error.__cause__ is not None:
        # The driver could not encode it. Its own text shows the value; the cause names the types, which one needs.
        place = re.search(r"\$\d+", str(error))
        cause = error.__cause__
        reason = type(cause).__name__ if isinstance(cause, UnicodeError) else cause
        return f"argument {place.group() if place else '?'} does not fit its type: {reason}"
    if isinstance(error, asyncpg.PostgresError):
        return f"{error.args[0] if error.args else kind} ({error.sqlstate or kind})"
    return f"{error.args[0]} ({kind})" if error.args else kind


_QUESTION = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\?""", re.DOTALL)


@lru_cache(maxsize=1_024)
def numbered(sql: str) -> str:
    """`sql` with its `?` placeholders as `$1`, `$2`, …; what is quoted or a comment stays as it is."""
    count = 0

    def number(found: re.Match[str]) -> str:
        nonlocal count
        if found.group() != "?":
            return found.group()
        count += 1
        return f"${count}"

    return _QUESTION.sub(number, sql)
