"""`raeth journal copy`: a venue moves from one database to another, from SQLite to PostgreSQL for example.

Must not know how a journal is kept, nor what its commands mean. Both ends are audited, so a copy that is not the same
venue is noticed here and not by an agent.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raeth.audit import Report
    from raeth.journal.base import Journal, Row, Write
    from raeth.journal.copy import Copied
    from raeth.store.moment import Moment

journal = typer.Typer(help="The journal as a whole.")

LEFT_OVER = ("", "-wal", "-shm")
"""How the files of an unfinished copy end."""

PLACE = "A data dir, or the postgresql:// address of a database"


@journal.callback()
def _group() -> None:
    """The journal as a whole."""


@journal.command("copy")
def copy_journal(
    source: Annotated[str, typer.Argument(metavar="FROM", help=f"{PLACE}.")],
    target: Annotated[str, typer.Argument(metavar="TO", help=f"{PLACE}: there must be no venue yet.")],
    as_json: Annotated[bool, typer.Option("--json", help="What was copied as JSON.")] = False,
) -> None:
    """Copy a whole venue, running or not, to another database of either kind; audits both.

    The copy is the venue at one moment: stop it first if you mean to move. The admin token is not copied.
    """
    from raeth.audit import AuditFailed
    from raeth.journal.base import JournalDamaged, JournalUnavailable

    try:
        copied = copy_place(source, target)
    except AuditFailed as failed:
        raise _fail(f"audit failed at seq {failed.seq}: {failed.why}") from None
    except (JournalDamaged, JournalUnavailable, CopyFailed) as error:
        raise _fail(str(error)) from None
    head = copied.head
    if as_json:
        print(
            json.dumps(
                {
                    "commands": head.seq,
                    "last_ts": head.ts,
                    "chain_head": head.hash.hex(),
                    "keys": copied.keys,
                    "snapshot_seq": copied.snapshot_seq,
                    "private_rows": copied.private_rows,
                }
            )
        )
        return
    print(f"copied {head.seq:,} commands and {copied.keys:,} idempotency keys, chain head {head.hash.hex()}")
    print("audited at both ends; the admin token was not copied")


class CopyFailed(Exception):
    """There is no copy; the text is for the operator."""


def copy_place(source: str, target: str) -> Copied:
    """Audit `source`, copy it, audit the copy. Blocks; not inside a running loop.

    Raises CopyFailed, AuditFailed, JournalDamaged, JournalUnavailable. What was begun in a data dir is removed then; in
    a PostgreSQL it stays, and no node opens it.
    """
    from raeth.journal.copy import copy
    from raeth.store.migrate import upgrade
    from raeth.store.tables import DERIVED, Base

    old, new = _Place(source), _Place(target)
    if not old.there():
        raise CopyFailed(f"there is no journal at {old.shown}")
    if new.path is not None and new.there():
        raise CopyFailed(f"{new.shown} is there already; a copy never overwrites")
    old.audit()
    private = {table.name: table.columns.keys() for table in Base.metadata.sorted_tables if table not in DERIVED}
    try:
        with old.moment() as moment:
            copied = copy(moment, new.journal(), private, _projecting(), prepare=lambda: upgrade(new.url))
        report = new.audit()
        if report.chain_head != copied.head.hash.hex() and copied.head.seq:
            raise CopyFailed(f"the copy ends at {report.chain_head}, the source at {copied.head.hash.hex()}")
    except BaseException as error:
        new.remove()
        if isinstance(error, (OSError, sqlite3.Error)):
            raise CopyFailed(str(error)) from error
        raise
    return copied


class _Place:
    """Where a venue is or is to be."""

    def __init__(self, named: str) -> None:
        from raeth.backup import without_password
        from raeth.config import DATABASE
        from raeth.store.postgres import is_postgres
        from raeth.store.reader import sqlite_url

        self.path = None if is_postgres(named) else Path(named) / DATABASE
        self.url = named if self.path is None else sqlite_url(self.path)
        self.shown = without_password(named) if self.path is None else str(self.path)
        self._named = named

    def there(self) -> bool:
        return self.path is None or self.path.exists()

    def journal(self) -> Journal:
        from raeth.journal.postgres import PostgresJournal
        from raeth.journal.sqlite import SqliteJournal

        return PostgresJournal(self._named) if self.path is None else SqliteJournal(self.path)

    def moment(self) -> AbstractContextManager[Moment]:
        from raeth.store.moment import postgres_moment, sqlite_moment

        return postgres_moment(self._named) if self.path is None else sqlite_moment(self.path)

    def audit(self) -> Report:
        from raeth.audit import audit_file, audit_url

        return audit_url(self._named) if self.path is None else audit_file(self.path)

    def remove(self) -> None:
        if self.path is not None:
            for ending in LEFT_OVER:
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)


def _projecting() -> Callable[[Sequence[Row]], list[Write]]:
    from raeth.engine import codec
    from raeth.store.projector import Projector

    projector = Projector()

    def project(rows: Sequence[Row]) -> list[Write]:
        for row in rows:
            projector.add(row.seq, row.ts, codec.decode_command(row.command), codec.decode_events(row.events))
        return projector.take()

    return project


def _fail(message: str) -> typer.Exit:
    typer.secho(f"raeth: {message}", fg="red", err=True)
    return typer.Exit(1)
