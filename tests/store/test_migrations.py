"""The migrations and the models say the same, and an upgrade is safe to repeat and to race."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from raeth.store import migrate
from raeth.store.reader import sqlite_url
from raeth.store.tables import DERIVED, JOURNAL_TABLES, PRIVATE, Base
from tests.store.databases import SqliteDatabase


def schema(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version"}


def test_models_equal_migrations(file: SqliteDatabase, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{file.path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()
    # The comparison above does not see conditions of indexes, nor how a table is laid out.
    straight = tmp_path / "straight.db"
    engine = create_engine(f"sqlite:///{straight}")
    Base.metadata.create_all(engine)
    engine.dispose()
    assert schema(file.path) == schema(straight)


def test_head_is_the_newest_version(file: SqliteDatabase) -> None:
    engine = create_engine(f"sqlite:///{file.path}")
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(migrate.configuration(connection))
        assert script.get_heads() == [migrate.HEAD]
        assert migrate.current(connection) == migrate.HEAD
    engine.dispose()


def test_an_upgrade_leaves_what_is_there(file: SqliteDatabase) -> None:
    connection = sqlite3.connect(file.path)
    for name in JOURNAL_TABLES:
        connection.execute(f"CREATE TABLE {name} (x)")
    connection.execute("INSERT INTO secrets VALUES ('pepper', x'00ff')")
    connection.commit()
    before = schema(file.path)
    migrate.upgrade(file.url)
    assert schema(file.path) == before
    assert connection.execute("SELECT value FROM secrets").fetchall() == [(b"\x00\xff",)]
    connection.close()


def test_an_up_to_date_database_costs_no_alembic(file: SqliteDatabase) -> None:
    """Alembic takes longer to import than a venue to start."""
    code = (
        "import sys; from pathlib import Path; from raeth.store import migrate, reader;"
        "migrate.upgrade(reader.sqlite_url(Path(sys.argv[1]))); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(file.path)], check=True, timeout=60)


def test_many_may_upgrade_at_once(tmp_path: Path) -> None:
    path = tmp_path / "raced.db"
    code = "import sys; from raeth.store.migrate import upgrade; upgrade(sys.argv[1])"
    command = [sys.executable, "-c", code, str(sqlite_url(path))]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: subprocess.run(command, capture_output=True, timeout=100), range(3)))
    assert [(each.returncode, each.stderr) for each in done] == [(0, b"")] * 3
    assert {table.name for table in (*DERIVED, *PRIVATE)} <= set(schema(path))


def test_the_tables_fit_postgresql() -> None:
    dialect = postgresql.dialect()
    for table in Base.metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        assert "SERIAL" not in text
        for index in table.indexes:
            CreateIndex(index).compile(dialect=dialect)


def test_every_table_is_derived_or_private() -> None:
    assert {*DERIVED, *PRIVATE} == set(Base.metadata.sorted_tables)
    assert not set(DERIVED) & set(PRIVATE)
