"""Another version of the program meets a data dir: an older one is brought up to date, a newer one is left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine

from raeth.engine import codec
from raeth.engine.commands import Configure
from raeth.engine.events import Configured
from raeth.engine.types import ENGINE_VERSION
from raeth.journal.base import Snapshot
from raeth.journal.chain import next_row
from raeth.journal.sqlite_writer import SqliteWriter
from raeth.store import migrate
from raeth.store.projector import Projector
from tests.e2e.conftest import TOKEN
from tests.e2e.venue import LEFT_S, Host

OLDEST = "0001"


def schema(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.split()) for name, sql in rows}


def contents(path: Path) -> list[str]:
    """All of a database, as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def oldest_tables(folder: Path) -> dict[str, str]:
    """What the first version of the tables consists of, by name, and the statement that makes it."""
    path = folder / "oldest.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(migrate.configuration(connection), OLDEST)
    engine.dispose()
    return schema(path)


def age(database: Path, folder: Path) -> None:
    """Take away what came after the oldest version, and bring back what went, as if the venue had always been run by
    that one."""
    journal = {"journal", "journal_keys", "journal_meta", "snapshots"}
    oldest = oldest_tables(folder)
    now = schema(database).keys()
    later, gone = now - oldest.keys() - journal, oldest.keys() - now
    with closing(sqlite3.connect(database)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if name in later:
                connection.execute(f'DROP TABLE "{name}"')
        for name in gone:
            connection.execute(oldest[name])
        connection.execute("UPDATE alembic_version SET version_num = ?", (OLDEST,))
        connection.commit()
    assert later, "there is nothing to upgrade"
    assert schema(database).keys() == oldest.keys() | journal


def test_a_venue_of_the_oldest_version_goes_on(opened: Host, recording: str) -> None:
    """With its orders, its keys, and the tables it never had filled from its journal."""
    orders = opened.audited()["orders"]
    age(opened.database, opened.folder)
    venue = opened.serve("--reference", recording, RAETH_ADMIN_TOKEN=TOKEN)
    assert venue.get("/ready")["ready"] is True
    assert venue.get("/api/v1/leaderboard")["items"] is not None
    newcomer = venue.signup("newcomer")
    assert newcomer.place(venue.open_market(LEFT_S)["id"], "BUY", 40, 1)["status"] == "OPEN"
    venue.stop()
    assert opened.audited()["orders"] == orders + 1
    with closing(sqlite3.connect(opened.database)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(migrate.HEAD,)]


def test_a_snapshot_of_another_engine_is_not_used(opened: Host, recording: str) -> None:
    """Whole, by its checksum, but nothing this engine could read: the journal is replayed from its first row."""
    writer = SqliteWriter(opened.database)
    head = writer.open()
    writer.save_snapshot(Snapshot(head.seq, head.hash, ENGINE_VERSION + 1, b"of another engine"))
    writer.close()
    again = opened.serve("--reference", recording)
    assert again.get("/health")["seq"] >= head.seq
    again.stop()
    opened.audited()


def of_newer_tables(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
        connection.commit()


def of_a_newer_journal(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE journal_meta SET format = format + 1")
        connection.commit()


def of_a_newer_engine(database: Path) -> None:
    """Its first command, as an engine to come would journal it."""
    writer, projector = SqliteWriter(database), Projector()
    try:
        head = writer.open()
        (first,) = writer.begin(0, ()).behind[:1]
        genesis = codec.decode_command(first.command)
        assert isinstance(genesis, Configure)
        new = Configure(ENGINE_VERSION + 1, genesis.settings)
        events = [Configured(genesis.settings, ENGINE_VERSION + 1, head.ts)]
        row = next_row(head, head.ts, codec.encode_command(new), codec.encode_events(events))
        projector.add(row.seq, row.ts, new, events)
        writer.commit([row], (), projector.take())
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("advance", "named"),
    [
        (of_newer_tables, "version 0099"),
        (of_a_newer_journal, "format 3"),
        (of_a_newer_engine, f"engine {ENGINE_VERSION + 1}"),
    ],
)
def test_a_newer_data_dir_is_left_alone(opened: Host, recording: str, advance: object, named: str) -> None:
    """Rolling back: the older program says in one line what it met, and changes nothing."""
    assert callable(advance)
    advance(opened.database)
    before = contents(opened.database)
    line = opened.refused(1, "--reference", recording, "--adopt-config")
    assert named in line
    assert "another version" in line
    assert "damaged" not in line
    assert contents(opened.database) == before


def test_the_audit_of_a_newer_engines_journal(opened: Host) -> None:
    """It cannot be proved by this version, and that is what it says."""
    of_a_newer_engine(opened.database)
    done = opened.run("audit", "--data-dir", str(opened.data_dir))
    assert done.returncode == 1
    assert f"written by engine {ENGINE_VERSION + 1}" in done.stderr
