"""Fills tables that a newer version of the store added to a venue that has a past: the journal is projected once more.

Part of the upgrade's transaction, so a venue either has its whole past in the new tables or is not upgraded. Must not
know what the tables are for; it is told which statements write them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, bindparam, text

from raeth.engine import codec
from raeth.journal.base import Write
from raeth.journal.postgres_session import numbered
from raeth.store.moment import head_and_mark
from raeth.store.projector import Projector
from raeth.store.tables import Big

BATCH: Final = 1_000
"""Commands projected at once."""

_ROWS: Final = (
    "SELECT seq, ts, command, events FROM journal WHERE seq > :seq AND seq <= :mark ORDER BY seq LIMIT :batch"
)


def refill(connection: Connection, statements: Collection[str]) -> int:
    """Run those `statements` for every command of the journal up to where the tables are; how many commands there were.

    The tables they write must be empty, those they read complete. About 30 µs a command; memory stays flat.
    """
    journal = text(_ROWS).bindparams(bindparam("seq", type_=Big), bindparam("mark", type_=Big))
    _head, mark = head_and_mark(connection.exec_driver_sql)
    projector = Projector()
    seq = 0
    while rows := connection.execute(journal, {"seq": seq, "mark": mark, "batch": BATCH}).all():
        for seq, ts, command, events in rows:
            projector.add(seq, ts, codec.decode_command(command), codec.decode_events(events))
        for write in projector.take():
            if write.sql in statements:
                _run(connection, write)
    return int(seq)


def _run(connection: Connection, write: Write) -> None:
    """A projection's statement, in the words of whichever database this is."""
    sql = write.sql if connection.dialect.name == "sqlite" else numbered(write.sql)
    connection.exec_driver_sql(sql, list(write.rows))
