"""A venue that traded before there was a leaderboard: the upgrade gives it the tables it would have had."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from raeth.audit import audit_file, audit_url
from raeth.engine.codec import encode_command, encode_events
from raeth.journal.base import EMPTY_HEAD
from raeth.journal.chain import head_of, next_row
from raeth.journal.postgres import PostgresJournal
from raeth.journal.sqlite import SqliteJournal
from raeth.store import migrate, postgres, standings
from raeth.store.projector import Projector
from raeth.store.reader import sqlite_url
from raeth.store.refill import BATCH
from raeth.store.tables import DERIVED
from tests.postgres import fresh_database
from tests.store.databases import SqliteDatabase
from tests.store.venue import history, tables


async def venue_before(path: Path, seed: int, steps: int) -> None:
    """A data file as version 0001 left it: journal and tables, the leaderboard's unheard of."""
    journal = SqliteJournal(path)
    head = await journal.open()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(migrate.configuration(connection), "0001")
    engine.dispose()
    projector = Projector()
    await journal.begin(head.seq)
    rows, head = [], EMPTY_HEAD
    for seq, ts, done, events in history(seed, steps)[0]:
        rows.append(next_row(head, ts, encode_command(done), encode_events(events)))
        head = head_of(rows[-1])
        projector.add(seq, ts, done, events)
    tables_before = [write for write in projector.take() if write.sql not in standings.STATEMENTS]
    await journal.commit(rows, (), tables_before, rows[-1].seq)
    await journal.close()


@pytest.mark.parametrize(("seed", "steps"), [(7, 900), (9, 900), (8, 2 * BATCH)])
async def test_a_past_is_filled_in(tmp_path: Path, seed: int, steps: int) -> None:
    path = tmp_path / "raeth.db"
    await venue_before(path, seed, steps)
    with closing(sqlite3.connect(path)) as db:
        assert not db.execute("SELECT name FROM sqlite_master WHERE name = 'standings'").fetchall()
    migrate.upgrade(sqlite_url(path))
    found = tables(SqliteDatabase(path))
    assert all(found[table.name] for table in DERIVED), "nothing to be proved of a table"
    report = audit_file(path)
    assert report.commands == len(history(seed, steps)[0])
    migrate.upgrade(sqlite_url(path))
    assert tables(SqliteDatabase(path)) == found, "once is enough"


async def test_all_or_nothing(tmp_path: Path) -> None:
    """A journal that cannot be read stops the upgrade, and the file is as it was."""
    path = tmp_path / "raeth.db"
    await venue_before(path, 7, 900)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (events,) = db.execute("SELECT events FROM journal WHERE seq = 400").fetchone()
        db.execute("UPDATE journal SET events = x'00' WHERE seq = 400")
    with pytest.raises(Exception, match=r"malformed|JSON|invalid"):
        migrate.upgrade(sqlite_url(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert not db.execute("SELECT name FROM sqlite_master WHERE name = 'standings'").fetchall()
        db.execute("UPDATE journal SET events = ? WHERE seq = 400", (events,))
    migrate.upgrade(sqlite_url(path))
    audit_file(path)


def test_a_past_on_postgresql_is_filled_in() -> None:
    """None was ever left there without a leaderboard, but the next new table will come the same way."""
    url = fresh_database()
    asyncio.run(postgres_before(url))
    migrate.upgrade(url)
    report = audit_url(url)
    assert report.commands == len(history()[0]) and report.tables_seq == report.commands - 100


async def postgres_before(url: str) -> None:
    """As `venue_before`, with the tables 100 commands behind: what they lack is none of a refill's business."""
    journal = PostgresJournal(url)
    await journal.open()
    engine = postgres.engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(lambda plain: command.upgrade(migrate.configuration(plain), "0001"))
    await engine.dispose()
    projector, rows, head = Projector(), [], EMPTY_HEAD
    past = history()[0]
    for seq, ts, done, events in past:
        rows.append(next_row(head, ts, encode_command(done), encode_events(events)))
        head = head_of(rows[-1])
        if seq <= len(past) - 100:
            projector.add(seq, ts, done, events)
    await journal.begin(0)
    written = [write for write in projector.take() if write.sql not in standings.STATEMENTS]
    await journal.commit(rows, (), written, len(past) - 100)
    await journal.close()
