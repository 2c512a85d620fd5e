"""A copy is the same venue: the same chain, keys, secrets and snapshot, and tables that an audit finds equal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from raeth.audit import audit_file, audit_url
from raeth.cli import app
from raeth.commands.journal import copy_place
from raeth.config import DATABASE
from raeth.engine.commands import GrantCash, Tick
from raeth.engine.types import BUY, SELL
from raeth.idempotency import IdemKey
from raeth.journal.base import JournalForeign, JournalRefused, Row, Write
from raeth.journal.copy import copy
from raeth.store import private
from raeth.store.moment import sqlite_moment
from tests.journal.conftest import PostgresStore, SqliteStore, Store
from tests.postgres import shared_server
from tests.sequencer.node import order, running, trader

EVERYTHING = (
    "SELECT seq, ts, command, events, hash FROM journal ORDER BY seq",
    "SELECT owner, key, seq, place, fingerprint FROM journal_keys ORDER BY owner, key",
    "SELECT head_seq, format FROM journal_meta",
    "SELECT account, email, password_hash FROM identities ORDER BY account",
    "SELECT name, value FROM secrets ORDER BY name",
    "SELECT seq, hash, blob FROM snapshots ORDER BY seq DESC LIMIT 1",
)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data dir of a small venue that has traded, has snapshots, keys and secrets."""
    data_dir = tmp_path_factory.mktemp("venue")

    async def trade() -> None:
        async with running(data_dir / DATABASE) as node:
            agents = [await trader(node, n) for n in range(3)]
            for n, agent in enumerate(agents):
                identity = private.insert_identity(n + 1, f"{n}@example.com", None)
                await node.submit(GrantCash("operator", agent, 100_000, "to trade with"), [], [identity])
            for n in range(40):
                key = IdemKey(agents[n % 3], f"order-{n}", bytes(16))
                side = BUY if n % 2 else SELL
                await node.submit(order(node, agents[n % 3], 40 + n % 20, 1 + n % 5, n % 3, side=side), [key])
            await node.submit(Tick(), [], [private.insert_secret("pepper", bytes(range(32)))])
            assert any(market.volume for market in node.state.markets.values())

    asyncio.run(trade())
    return data_dir


@pytest.fixture
def target(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if backend == "sqlite":
        return SqliteStore(tmp_path)
    return PostgresStore(shared_server(), request.getfixturevalue("one_database"))


def place_of(store: Store) -> str:
    """As the command line names it."""
    return str(Path(store.place).parent) if store.backend == "sqlite" else store.place


def everything(store: Store) -> list[list[tuple[Any, ...]]]:
    return [[tuple(row) for row in store.sql(sql)] for sql in EVERYTHING]


def test_there_and_back_it_is_the_same_venue(venue: Path, target: Store, tmp_path: Path) -> None:
    """From SQLite to either kind, and from there to SQLite again, byte for byte."""
    copied = copy_place(str(venue), place_of(target))
    original = SqliteStore(tmp_path)
    original.place = str(venue / DATABASE)
    assert copied.keys == 40 and copied.private_rows == 4 and copied.snapshot_seq == copied.head.seq
    assert everything(target) == everything(original)
    assert (audit_url(target.place) if target.backend == "postgresql" else audit_file(Path(target.place))).tables_seq

    back = tmp_path / "back"
    assert copy_place(place_of(target), str(back)) == copied
    original.place = str(back / DATABASE)
    assert everything(original) == everything(target)
    first, last = audit_file(venue / DATABASE), audit_file(back / DATABASE)
    assert (first.state_hash, first.chain_head, first.trades) == (last.state_hash, last.chain_head, last.trades)


def test_a_copy_never_overwrites(venue: Path, target: Store) -> None:
    copy_place(str(venue), place_of(target))
    before = everything(target)
    result = CliRunner().invoke(app, ["journal", "copy", str(venue), place_of(target)])
    assert result.exit_code == 1 and "never overwrites" in result.output
    assert everything(target) == before


def test_a_damaged_source_is_not_copied(venue: Path, target: Store, tmp_path: Path) -> None:
    damaged = SqliteStore(tmp_path / "damaged")
    copy_place(str(venue), place_of(damaged))
    damaged.sql("UPDATE journal SET command = ? WHERE seq = ?", b"[]", 9)
    result = CliRunner().invoke(app, ["journal", "copy", place_of(damaged), place_of(target)])
    assert result.exit_code == 1 and "seq 9" in result.output


def test_an_unfinished_copy_cannot_be_opened(venue: Path, target: Store) -> None:
    def fails(rows: Sequence[Row]) -> list[Write]:
        return [Write("INSERT INTO nowhere VALUES (?)", [(1,)])]

    with sqlite_moment(venue / DATABASE) as moment, pytest.raises(JournalRefused, match="nowhere"):
        copy(moment, target.journal(), {}, fails)
    with pytest.raises(JournalForeign):
        asyncio.run(target.journal().open())


def test_what_was_copied_is_told(venue: Path, target: Store) -> None:
    result = CliRunner().invoke(app, ["journal", "copy", "--json", str(venue), place_of(target)])
    assert result.exit_code == 0
    told = json.loads(result.output)
    report = audit_file(venue / DATABASE)
    assert (told["commands"], told["chain_head"]) == (report.commands, report.chain_head)


@pytest.mark.parametrize("place", ["nowhere", "postgresql://user:word@127.0.0.1:1/venue"])
def test_where_there_is_no_venue_there_is_nothing_to_copy(place: str, tmp_path: Path) -> None:
    source = place if "://" in place else str(tmp_path / place)
    result = CliRunner().invoke(app, ["journal", "copy", source, str(tmp_path / "to")])
    assert result.exit_code == 1 and "word" not in result.output
    assert not (tmp_path / "to" / DATABASE).exists()
