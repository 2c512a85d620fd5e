"""The private tables: what was put in is found again, and the first of two wins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from raeth.journal.base import Write
from raeth.store import private
from raeth.store.queries import Store
from raeth.store.rows import IdentityRow, SessionRow, TicketRow
from tests.store.databases import Database


@pytest.fixture
async def reads(database: Database) -> AsyncIterator[Store]:
    store = Store(database.url)
    yield store
    await store.close()


def write(database: Database, *writes: Write) -> None:
    database.write_all([writes])


async def test_identities(database: Database, reads: Store) -> None:
    write(database, private.insert_identity(7, "ada@example.org", "hash"), private.insert_identity(8, "b@c.de", None))
    ada = IdentityRow(7, "ada@example.org", "hash")
    assert await reads.identity_by_email("ada@example.org") == await reads.identity_by_account(7) == ada
    assert await reads.identity_by_account(8) == IdentityRow(8, "b@c.de", None)
    assert await reads.identity_by_email("Ada@example.org") is None
    write(database, private.insert_identity(9, "ada@example.org", "other"), private.insert_identity(7, "x@y.z", None))
    assert await reads.identity_by_account(9) is None
    assert await reads.identity_by_account(7) == ada


async def test_sessions(database: Database, reads: Store) -> None:
    write(database, private.insert_session("aa", 7, 1_000), private.insert_session("bb", 7, 2_000))
    assert await reads.session("aa") == SessionRow("aa", 7, 1_000)
    write(database, private.delete_session("aa"), private.delete_session("never"))
    assert await reads.session("aa") is None
    assert await reads.session("bb") is not None


async def test_a_ticket_is_used_once(database: Database, reads: Store) -> None:
    write(database, private.insert_ticket("tt", 5, "k1", 60_000))
    assert await reads.ticket("tt") == TicketRow("tt", 5, "k1", 60_000, None)
    write(database, private.use_ticket("tt", "first"), private.use_ticket("tt", "second"))
    assert await reads.ticket("tt") == TicketRow("tt", 5, "k1", 60_000, "first")
    assert await reads.ticket("uu") is None


async def test_the_first_secret_stands(database: Database, reads: Store) -> None:
    write(database, private.insert_secret("pepper", b"\x00one"), private.insert_secret("pepper", b"two"))
    assert await reads.secret("pepper") == b"\x00one"
    assert await reads.secret("salt") is None


async def test_sweep(database: Database, reads: Store) -> None:
    write(database, private.insert_session("old", 7, 999), private.insert_session("new", 7, 1_000))
    write(database, private.insert_ticket("old", 5, "k", 999), private.insert_ticket("new", 5, "k", 1_000))
    write(database, *private.sweep(1_000))
    assert await reads.session("old") is None and await reads.ticket("old") is None
    assert await reads.session("new") is not None and await reads.ticket("new") is not None
