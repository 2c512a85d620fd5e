"""`raeth audit`: proves an honest journal, and names the `seq` of whatever somebody changed in it or in the tables."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raeth.audit import AuditFailed, Report, audit_file, audit_url
from raeth.cli import app
from raeth.clock import ManualClock
from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.engine.snapshot import state_hash
from raeth.engine.types import ENGINE_VERSION
from raeth.journal.base import EMPTY_HEAD, Row
from raeth.journal.chain import head_of, next_row
from raeth.journal.postgres import PostgresJournal
from raeth.journal.sqlite import SqliteJournal
from raeth.store.migrate import upgrade
from raeth.store.moment import postgres_moment, sqlite_moment
from raeth.store.projector import Projector
from raeth.store.reader import sqlite_url
from raeth.store.tables import DERIVED
from tests.engine.workloads import generate
from tests.postgres import fresh_database, shared_server
from tests.sequencer.node import OPEN_AT, RULES, order, prepare, running, signup, trader

MINUTE = 60_000
BTC = 10_000_000


async def live_through(path: Path) -> str:
    """A short life that leaves rows in every derived table; the hash of the state at its end."""
    clock = ManualClock(OPEN_AT - 1_000)
    await prepare(path)
    async with running(path, clock) as node:
        a, b = await trader(node, 0), await trader(node, 1)
        account = node.state.agents[a].account.id
        await node.submit(cmd.Transfer(account, a, account, 500, "t"))
        clock.set(OPEN_AT)
        await node.submit(cmd.IndexTick(BTC, OPEN_AT, "test"))
        await node.submit(cmd.Print(OPEN_AT, BTC, OPEN_AT, "test", "LAST", None, ()))
        await node.submit(order(node, a, 50, 10, n=0))
        await node.submit(order(node, b, 50, 4, n=1, side=1))
        await node.submit(order(node, b, 50, 0, n=1, side=1))
        await node.submit(order(node, b, 99, 40, n=1, confirm_fat_finger=True))
        await node.submit(order(node, a, 99, 40, n=0, side=1))
        await node.submit(cmd.HaltMarket("op", node.state.pending.id if node.state.pending else 0, "test"))
        for ts in range(OPEN_AT + 4_000, OPEN_AT + MINUTE + 1, 4_000):
            clock.set(ts)
            await node.submit(cmd.Tick())
        await node.submit(cmd.Print(OPEN_AT + MINUTE, BTC + 1, OPEN_AT + MINUTE, "test", "LAST", None, ()))
        await node.submit(cmd.ResumeMarket("op", node.state.live.id if node.state.live else 0, None))
        await node.submit(order(node, a, 50, 1, n=0))
        await node.submit(order(node, b, 50, 1, n=1, side=1))
        await node.submit(signup(2))
        return state_hash(node.state)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "raeth.db"
    asyncio.run(live_through(path))
    return path


@pytest.fixture
def path(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(honest, tmp_path / "raeth.db"))


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(sql, values).rowcount != 0, "the test changed nothing"


def failure(path: Path) -> AuditFailed:
    with pytest.raises(AuditFailed) as caught:
        audit_file(path)
    return caught.value


def head(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT max(seq) FROM journal").fetchone()[0])


def test_an_honest_journal_is_proved(tmp_path: Path) -> None:
    path = tmp_path / "raeth.db"
    hash_of_state = asyncio.run(live_through(path))
    report = audit_file(path)
    assert report.state_hash == hash_of_state
    assert (report.orders, report.trades, report.windows_resolved, report.windows_void) == (7, 3, 1, 0)
    assert report.granted_cents == 300_000 == report.agents_cents + report.masters_cents + report.fees_cents
    assert report.masters_cents == 500 and report.fees_cents > 0
    assert report.commands == head(path) and len(report.chain_head) == 64
    assert dict(report.lines())["made or lost"] == "0 ¢"
    assert report.as_dict()["commands"] == report.commands


def test_reading_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    audit_file(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("seq", [1, 5, -1])
@pytest.mark.parametrize("column", ["ts", "command", "events", "hash"])
def test_every_column_of_a_row(path: Path, column: str, seq: int) -> None:
    seq = head(path) if seq < 0 else seq
    value = "ts + 1" if column == "ts" else f"CAST({column} || X'20' AS BLOB)"
    if column == "hash":
        value = "zeroblob(32)"
    change(path, f"UPDATE journal SET {column} = {value} WHERE seq = ?", seq)
    assert failure(path).seq == seq


@pytest.mark.parametrize("seq", [1, 5])
def test_a_row_that_is_missing_or_moved(path: Path, seq: int) -> None:
    change(path, "DELETE FROM journal WHERE seq = ?", seq)
    assert failure(path).seq == seq


def test_a_row_that_changed_its_place(path: Path) -> None:
    last = head(path)
    change(path, "UPDATE journal SET seq = seq + 10 WHERE seq = ?", last)
    assert failure(path).seq == last


def test_a_missing_end(path: Path) -> None:
    """The chain alone cannot tell; the journal counts its rows, and the tables hold what the lost command did."""
    last = head(path)
    change(path, "DELETE FROM journal WHERE seq >= ?", last)
    assert failure(path).seq == last and "missing at the end" in failure(path).why
    change(path, "UPDATE journal_meta SET head_seq = ?", last - 1)
    assert failure(path).seq == last and "the tables claim" in failure(path).why
    change(path, "UPDATE journal_meta SET projected_seq = ?", last - 1)
    assert failure(path).seq == last and "the whole row" in failure(path).why


def test_an_end_that_nobody_counted(path: Path) -> None:
    change(path, "UPDATE journal_meta SET head_seq = head_seq - 1, projected_seq = projected_seq - 1")
    assert failure(path).seq == head(path)


def test_a_journal_that_does_not_know_its_end(path: Path) -> None:
    change(path, "DELETE FROM journal_meta")
    assert failure(path).seq == 0 and "does not say where" in failure(path).why


def test_tables_that_were_written_with_every_row(path: Path) -> None:
    """As a venue of an older version left it: no mark, and its tables end where the journal does."""
    change(path, "ALTER TABLE journal_meta DROP COLUMN projected_seq")
    change(path, "UPDATE journal_meta SET format = 1")
    assert audit_file(path).tables_seq == head(path)


def rewrite(path: Path, seq: int, **changed: bytes) -> None:
    """Change a row as somebody would who can compute hashes: the whole chain after it is made anew."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        rows = db.execute("SELECT seq, ts, command, events FROM journal ORDER BY seq").fetchall()
        at = EMPTY_HEAD
        for number, ts, command, events in rows:
            if number == seq:
                command, events = changed.get("command", command), changed.get("events", events)
            row = next_row(at, ts, command, events)
            at = head_of(row)
            db.execute("UPDATE journal SET command = ?, events = ?, hash = ? WHERE seq = ?", (*row[2:], number))


def test_a_forger_who_can_hash_is_caught_by_execution(path: Path) -> None:
    rewrite(path, 4, events=codec.encode_events([]))
    assert (failure(path).seq, failure(path).why) == (4, "re-executing it gives other events")


@pytest.mark.parametrize("column", ["command", "events"])
def test_bytes_that_are_none_of_ours(path: Path, column: str) -> None:
    rewrite(path, 4, **{column: b'["Nonsense"]'})
    found = failure(path)
    assert found.seq == 4 and "not readable" in found.why


def test_another_engines_journal_is_refused_by_name(path: Path) -> None:
    rewrite(path, 1, command=codec.encode_command(cmd.Configure(ENGINE_VERSION + 1, RULES)))
    found = failure(path)
    assert found.seq == 1 and f"written by engine {ENGINE_VERSION + 1}" in found.why


@pytest.mark.parametrize("table", [table.name for table in DERIVED])
def test_one_cell_of_every_table(path: Path, table: str) -> None:
    """The first column that is no key, of the last row: changed, and named with the command that touched it."""
    derived = next(t for t in DERIVED if t.name == table)
    keys = [c.name for c in derived.primary_key]
    column = next(c.name for c in derived.columns if c.name not in keys)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        order_by = ", ".join(f"{k} DESC" for k in keys)
        where = " AND ".join(f"{k} = ?" for k in keys)
        row = db.execute(f"SELECT {', '.join(keys)}, {column} FROM {table} ORDER BY {order_by}").fetchone()
        assert row is not None, "this life leaves no table empty"
        other = f"{row[-1]}x" if isinstance(row[-1], str) else (row[-1] or 0) + 1
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (other, *row[:-1]))
    found = failure(path)
    assert f"table {table}" in found.why and f"column {column}" in found.why
    assert found.seq == int(seq_that_touched(path, table, keys, row[:-1]))


def seq_that_touched(path: Path, table: str, keys: list[str], row: tuple[object, ...]) -> int:
    """What a row itself says of its command: its `seq`, or the one inside its id; a key's row says nothing."""
    with closing(sqlite3.connect(path)) as db:
        names = [r[1] for r in db.execute(f"PRAGMA table_info({table})")]
        if "seq" in names:
            where = " AND ".join(f"{k} = ?" for k in keys)
            return int(db.execute(f"SELECT seq FROM {table} WHERE {where}", row).fetchone()[0])
        if table == "api_keys":
            return 0
        id_at = keys.index("trade_id") if "trade_id" in keys else keys.index("id")
        return int(row[id_at]) >> 20  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("table", [table.name for table in DERIVED])
def test_a_row_too_few_in_every_table(path: Path, table: str) -> None:
    derived = next(t for t in DERIVED if t.name == table)
    keys = [c.name for c in derived.primary_key]
    where = " AND ".join(f"{k} = (SELECT {k} FROM {table} LIMIT 1)" for k in keys)
    change(path, f"DELETE FROM {table} WHERE {where}")
    assert f"table {table}" in failure(path).why


def test_what_is_not_derived_is_not_judged(path: Path) -> None:
    change(path, "INSERT INTO secrets (name, value) VALUES ('pepper', X'00')")
    audit_file(path)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "raeth.db"
    path.write_bytes(b"not a database " * 100)
    assert "cannot be read" in failure(path).why


async def test_a_generated_workload_is_proved(tmp_path: Path) -> None:
    """Every kind of command there is, journaled by the sequencer at the stamps of the workload."""
    commands: list[tuple[int, cmd.Command]] = []
    for pair, _, _ in generate(11, 300):
        commands = pair.journal
    genesis = commands[0][1]
    assert isinstance(genesis, cmd.Configure)
    clock = ManualClock(commands[0][0])
    path = tmp_path / "raeth.db"
    async with running(path, clock, genesis.settings) as node:
        for ts, command in commands[1:]:
            clock.set(ts)
            await node.submit(command)
        expected = state_hash(node.state)
    assert audit_file(path).state_hash == expected


# ---- wherever the journal is, and while its tables follow it ----


def rows_of(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT seq, ts, command, events, hash FROM journal ORDER BY seq").fetchall()
    return [Row(*row) for row in rows]


async def write(journal: SqliteJournal | PostgresJournal, address: object, rows: list[Row], mark: int) -> None:
    """A venue of these rows whose tables follow them up to `mark`."""
    await journal.open()
    await asyncio.to_thread(upgrade, address)  # type: ignore[arg-type]
    projector = Projector()
    for row in rows[:mark]:
        projector.add(row.seq, row.ts, codec.decode_command(row.command), codec.decode_events(row.events))
    await journal.begin(0)
    await journal.commit(rows, (), projector.take(), mark)
    await journal.close()


class Twin:
    """One venue in both databases."""

    def __init__(self, path: Path, url: str) -> None:
        self.path, self.url = path, url

    @classmethod
    def of(cls, folder: Path, rows: list[Row], mark: int) -> Twin:
        twin = cls(folder / "twin.db", fresh_database())
        asyncio.run(write(SqliteJournal(twin.path), sqlite_url(twin.path), rows, mark))
        asyncio.run(write(PostgresJournal(twin.url), twin.url, rows, mark))
        return twin

    def copy(self, name: str) -> Twin:
        place, _, database = self.url.rpartition("/")
        shared_server().execute(f"CREATE DATABASE {database}_{name} TEMPLATE {database}")
        path = Path(shutil.copy(self.path, self.path.with_name(name)))
        return Twin(path, f"{place}/{database}_{name}")

    def change(self, sql: str) -> None:
        change(self.path, sql)
        shared_server().execute(sql, url=self.url)

    def reports(self) -> tuple[Report, Report]:
        return audit_file(self.path), audit_url(self.url)

    def failures(self) -> tuple[AuditFailed, AuditFailed]:
        with pytest.raises(AuditFailed) as one:
            audit_file(self.path)
        with pytest.raises(AuditFailed) as other:
            audit_url(self.url)
        return one.value, other.value


@pytest.fixture
def twin(honest: Path, tmp_path: Path) -> Twin:
    rows = rows_of(honest)
    return Twin.of(tmp_path, rows, len(rows))


def test_both_databases_are_proved_alike(twin: Twin) -> None:
    one, other = twin.reports()
    assert one.as_dict() | {"seconds": 0} == other.as_dict() | {"seconds": 0}
    assert one.tables_seq == one.commands > 20 and dict(other.lines())["tables"] == "equal to the journal"


CHANGES = [
    "UPDATE journal SET ts = ts + 1 WHERE seq = 7",
    "DELETE FROM journal WHERE seq = 7",
    "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
    "UPDATE journal SET events = command WHERE seq = 7",
    "UPDATE journal_meta SET head_seq = head_seq - 1, projected_seq = projected_seq - 1",
    "UPDATE orders SET filled = filled + 1 WHERE id = (SELECT max(id) FROM orders)",
    "UPDATE api_keys SET name = 'x' WHERE key_id = (SELECT max(key_id) FROM api_keys)",
    "DELETE FROM fills WHERE trade_id = (SELECT min(trade_id) FROM fills)",
    "INSERT INTO accounts VALUES (5, 'nobody', 5)",
]


def test_what_somebody_changed_is_found_alike(twin: Twin) -> None:
    for number, sql in enumerate(CHANGES):
        changed = twin.copy(f"changed_{number}")
        changed.change(sql)
        one, other = changed.failures()
        assert (one.seq, one.why) == (other.seq, other.why), sql


def test_tables_may_be_behind_but_not_wrong(honest: Path, tmp_path: Path) -> None:
    rows = rows_of(honest)
    mark = len(rows) - 3
    twin = Twin.of(tmp_path, rows, mark)
    for report in twin.reports():
        assert (report.tables_seq, report.commands) == (mark, len(rows))
        assert dict(report.lines())["tables"] == f"equal to the journal up to seq {mark}, 3 commands behind"
    for moved in (2, -5):
        twin.change(f"UPDATE journal_meta SET projected_seq = projected_seq + {moved}")
        assert all("table " in failure.why for failure in twin.failures())
    twin.change("UPDATE journal_meta SET projected_seq = projected_seq + 3")
    assert twin.reports()[0].tables_seq == mark
    twin.change("UPDATE orders SET filled = filled + 1 WHERE id = (SELECT min(id) FROM orders)")
    assert all("column filled" in failure.why for failure in twin.failures())


def test_a_moment_is_one_moment(twin: Twin) -> None:
    """Whatever the venue commits while it is audited."""
    count = "SELECT count(*) FROM accounts"
    with sqlite_moment(twin.path) as one, postgres_moment(twin.url) as other:
        before = [list(moment.execute(count)) for moment in (one, other)]
        twin.change("INSERT INTO accounts VALUES (5, 'new', 5)")
        assert [list(moment.execute(count)) for moment in (one, other)] == before
        with pytest.raises(Exception, match="read-only"):
            list(other.execute("DELETE FROM accounts RETURNING id"))


def test_a_database_that_is_not_there() -> None:
    with pytest.raises(AuditFailed, match="cannot be read") as caught:
        audit_url("postgresql://raeth:open-sesame@127.0.0.1:1/raeth")
    assert caught.value.seq == 0 and "sesame" not in caught.value.why
    with pytest.raises(AuditFailed, match="journal_meta"):
        audit_url(fresh_database())


# ---- the command line ----


def test_the_commands_take_a_database_url(twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, or as the settings say; a data dir that is named goes before the settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAETH_DATA_DIR", str(tmp_path / "venue"))
    run = CliRunner()
    named = run.invoke(app, ["audit", "--json", "--database-url", twin.url])
    monkeypatch.setenv("RAETH_DATABASE_URL", twin.url)
    set_up = run.invoke(app, ["audit", "--json"])
    shown = [json.loads(result.stdout) | {"seconds": 0} for result in (named, set_up)]
    assert shown[0] == shown[1] == {"ok": True, **audit_file(twin.path).as_dict(), "seconds": 0}
    nowhere = run.invoke(app, ["audit", "--data-dir", str(tmp_path / "nowhere")])
    assert nowhere.exit_code == 2 and "there is no journal at" in " ".join(nowhere.stderr.split())


def test_a_backup_of_postgresql_is_its_own_tools(tmp_path: Path) -> None:
    url = "postgresql://raeth:open%20sesame@db.example:5433/raeth?sslmode=require"
    result = CliRunner().invoke(app, ["backup", str(tmp_path / "to"), "--database-url", url])
    said = " ".join(result.stderr.split())
    assert result.exit_code == 2 and not (tmp_path / "to").exists()
    assert f"pg_dump --format=directory --file={tmp_path}/to" in said and "admin_token" in said
    assert "'postgresql://raeth@db.example:5433/raeth?sslmode=require'" in said and "sesame" not in said
