"""What is special about a journal in PostgreSQL; what it promises as any journal does is in test_journal."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raeth.journal import postgres_functions, postgres_session
from raeth.journal.base import EMPTY_HEAD, JournalDamaged, JournalRefused, JournalUnavailable, Key, Row, Write
from raeth.journal.chain import head_of, next_row
from raeth.journal.postgres import PostgresJournal
from raeth.journal.postgres_session import numbered
from raeth.journal.scrub import verify_tail
from tests.journal.conftest import PostgresStore
from tests.journal.proxy import Proxy
from tests.postgres import Server

Append = Callable[..., Any]
MakeChain = Callable[..., list[Row]]
Sql = Callable[..., list[Any]]

KILL_ME = Write("SELECT pg_terminate_backend(pg_backend_pid())", [()])


@pytest.fixture
def backend() -> str:
    return "postgresql"


def kill(journal: PostgresJournal, sql: Sql) -> None:
    """End the session that writes, and wait until it is gone."""
    assert journal._writer is not None
    assert sql("SELECT pg_terminate_backend(?, 5000)", journal._writer.pid) == [(True,)]


# ---- the database ----


async def test_a_commit_is_synced_and_a_stopped_holder_is_not_waited_for(journal: PostgresJournal) -> None:
    assert journal._writer is not None
    for name, value in [
        ("synchronous_commit", "on"),
        ("idle_in_transaction_session_timeout", "2s"),
        ("lock_timeout", "5s"),
        ("transaction_isolation", "read committed"),
    ]:
        assert await journal._writer._session.fetchval(f"SHOW {name}") == value


async def test_a_strangers_database_is_refused_and_untouched(store: PostgresStore, sql: Sql) -> None:
    sql("CREATE TABLE recipes (name text)")
    with pytest.raises(JournalDamaged, match="recipes"):
        await store.journal().open()
    assert sql("SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [("recipes",)]


async def test_a_database_that_cannot_be_reached_is_unavailable(store: PostgresStore) -> None:
    nowhere = ("postgresql://raeth:word@127.0.0.1:1/raeth", "postgresql://raeth:word/s@127.0.0.1:1/", "mysql://word")
    for url in (store.place + "_nowhere", *nowhere):
        with pytest.raises(JournalUnavailable) as caught:
            await PostgresJournal(url).open()
        assert not caught.value.outcome_unknown
        assert "word" not in str(caught.value)


async def test_closing_while_reading_is_not_taken_for_damage(journal: PostgresJournal, append: Append) -> None:
    rows = await append(journal, 3)
    reads = [asyncio.create_task(journal.read(0)) for _ in range(10)]
    await asyncio.sleep(0)
    await journal.close()
    for outcome in await asyncio.gather(*reads, return_exceptions=True):
        assert outcome == rows or isinstance(outcome, JournalUnavailable)


async def test_a_database_that_does_not_answer_is_given_up(
    proxy: Proxy, journal: PostgresJournal, make_chain: MakeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost on the way, it only never arrives; nobody says that the connection is broken."""
    monkeypatch.setattr(postgres_session, "ANSWER_TIMEOUT_S", 0.5)
    distant, rows = PostgresJournal(proxy.url), make_chain(3)
    await distant.open()
    await distant.begin(0)
    proxy.at_the_next_commit("say_nothing")
    with pytest.raises(JournalUnavailable, match="nothing was written") as caught:
        await distant.commit(rows)
    assert not caught.value.outcome_unknown
    await journal.begin(0)
    await journal.commit(rows)
    assert (await distant.begin(0)).behind == rows
    await distant.rollback()
    await distant.close()


async def test_the_name_of_a_driver_in_the_url_does_no_harm(store: PostgresStore) -> None:
    journal = PostgresJournal(store.place.replace("postgresql://", "postgresql+asyncpg://"))
    assert await journal.open() == EMPTY_HEAD
    await journal.close()


async def test_a_long_read_does_not_slow_the_batches_down(
    store: PostgresStore, journal: PostgresJournal, append: Append
) -> None:
    """While somebody looks at the database as it was, old versions of the head stay; nobody must visit them."""

    async def pages_visited() -> int:
        async with outside.transaction():
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {postgres_functions.LOCK_HEAD}"
            (plan,) = json.loads(await outside.fetchval(explain))
            return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])

    reading = await asyncpg.connect(store.place)
    outside = await asyncpg.connect(store.place, server_settings=postgres_session.WRITER_SETTINGS)
    await reading.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await reading.execute("SELECT FROM journal_meta")
    await append(journal, 1)
    # As many versions as a thousand batches leave.
    change = "UPDATE journal_meta SET transactions = transactions + 1;"
    await outside.execute(f"DO 'BEGIN FOR n IN 1..1000 LOOP {change} END LOOP; END'")
    await append(journal, 1)
    assert await outside.fetchval("SELECT pg_relation_size('journal_meta') / 8192") > 5
    assert await pages_visited() <= 5
    await reading.close()
    await outside.close()


# ---- projections ----


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t VALUES (?, ?)", "INSERT INTO t VALUES ($1, $2)"),
        ("SELECT 'why?', '''?', \"odd?\", ? -- really?\n, ? /* ? */", None),
        ("SELECT 1", "SELECT 1"),
    ],
)
def test_placeholders_are_numbered_outside_of_quotes_and_comments(sql: str, expected: str | None) -> None:
    assert numbered(sql) == (expected or "SELECT 'why?', '''?', \"odd?\", $1 -- really?\n, $2 /* ? */")


@given(st.lists(st.sampled_from(["?", " ", "x", "'?'", "''", '"?"', "--?\n"]), max_size=12))
def test_there_are_as_many_numbers_as_placeholders(parts: list[str]) -> None:
    # Pieces are kept apart: two quoted ones side by side would be one.
    count = parts.count("?")
    result = numbered(" ".join(parts))
    assert [f"${n}" in result for n in range(1, count + 2)] == [True] * count + [False]


@pytest.mark.parametrize("value", ["secret", b"secret", [1]])
async def test_an_argument_of_another_type_is_named_without_its_value(
    value: object, journal: PostgresJournal, append: Append
) -> None:
    await append(journal, 1)
    await journal.begin(1)
    insert = Write("INSERT INTO journal_keys VALUES (?, ?, ?, ?, ?)", [(1, "a", 1, value, b"")])
    with pytest.raises(JournalRefused, match=r"INSERT INTO journal_keys .*argument \$4") as caught:
        await journal.commit([], writes=[insert])
    assert "secret" not in str(caught.value)
    await journal.begin(1)
    await journal.rollback()


async def test_a_value_that_exists_is_refused_without_showing_it(journal: PostgresJournal) -> None:
    insert = Write("INSERT INTO journal_keys VALUES (?, ?, ?, ?, ?)", [(1, "secret", 1, 1, b"")] * 2)
    with pytest.raises(JournalRefused, match="unique") as caught:
        await journal.execute([insert])
    assert "secret" not in str(caught.value)


@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, unique=True),
    st.lists(st.binary(), min_size=1),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_characters_and_bytes_come_back(
    journal: PostgresJournal, texts: list[str], blobs: list[bytes]
) -> None:
    """They travel as text in one message with the COMMIT."""
    begun = await journal.begin(0)
    rows: list[Row] = []
    for blob in blobs:
        rows.append(next_row(head_of(rows[-1]) if rows else begun.head, begun.head.ts, blob, blob[::-1]))
    keys = [Key(rows[0].seq, text, rows[-1].seq, place, blobs[0]) for place, text in enumerate(texts)]
    await journal.commit(rows, keys)
    known = await journal.begin(begun.head.seq, [(rows[0].seq, text) for text in texts])
    await journal.rollback()
    assert known.behind == rows
    assert known.hits == {(key.owner, key.key): key for key in keys}


async def test_a_text_the_database_cannot_hold_is_refused(journal: PostgresJournal, make_chain: MakeChain) -> None:
    for text in ("a\0b", "\ud800"):
        await journal.begin(0)
        with pytest.raises(JournalRefused) as caught:
            await journal.commit(make_chain(1), [Key(1, text, 1, 0, b"")])
        assert not caught.value.outcome_unknown
    assert await journal.read(0) == []
    await journal.begin(0)
    await journal.commit(make_chain(1))


# ---- a session is killed ----


async def test_killed_while_idle_it_is_made_again(journal: PostgresJournal, append: Append, sql: Sql) -> None:
    old = await append(journal, 1)
    kill(journal, sql)
    assert (await journal.begin(0)).behind == old
    await journal.rollback()


async def test_killed_while_it_waits_for_the_lock_it_waits_again(
    journal: PostgresJournal, other: PostgresJournal, sql: Sql, append: Append, make_chain: MakeChain
) -> None:
    await other.begin(0)
    waiting = asyncio.create_task(journal.begin(0))
    asks = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while sql(asks) != [(1,)]:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(kill, journal, sql)
    rows = make_chain(2)
    await other.commit(rows)
    assert (await waiting).behind == rows
    await journal.rollback()


@pytest.mark.parametrize("step", ["before the rows", "before the commit"])
async def test_killed_inside_the_transaction_nothing_is_written(
    step: str, journal: PostgresJournal, other: PostgresJournal, append: Append, make_chain: MakeChain, sql: Sql
) -> None:
    old = await append(journal, 2)
    rows = make_chain(3, head_of(old[-1]))
    await journal.begin(2)
    writes = [KILL_ME] if step == "before the commit" else []
    if not writes:
        kill(journal, sql)
    with pytest.raises(JournalUnavailable, match=r"connection lost|nothing was written") as caught:
        await journal.commit(rows, [Key(1, "a", 3, 0, b"")], writes)
    assert not caught.value.outcome_unknown
    assert not isinstance(caught.value, JournalRefused)
    await append(other, 1)  # the lock is free

    begun = await journal.begin(2, [(1, "a")])
    assert (begun.hits, len(begun.behind)) == ({}, 1)
    await journal.rollback()


async def test_killed_inside_the_commit_the_answer_is_true(
    journal: PostgresJournal, make_chain: MakeChain, sql: Sql
) -> None:
    """A trigger that the database runs as part of COMMIT ends the session: whatever came of it, we are told."""
    sql(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'"
    )
    sql(
        "CREATE CONSTRAINT TRIGGER fatal AFTER INSERT ON journal DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.seq % 2 = 0) EXECUTE FUNCTION die()"
    )
    rows = make_chain(4)
    await journal.begin(0)
    await journal.commit(rows[:1])
    await journal.begin(1)
    with pytest.raises(JournalUnavailable, match="nothing was written") as caught:
        await journal.commit(rows[1:])
    assert not caught.value.outcome_unknown
    assert await journal.read(0) == rows[:1]
    sql("DROP TRIGGER fatal ON journal")
    await journal.begin(1)
    await journal.commit(rows[1:])
    assert await journal.read(0) == rows


async def test_reading_sessions_are_made_again(journal: PostgresJournal, append: Append, sql: Sql) -> None:
    rows = await append(journal, 5)
    reads = await asyncio.gather(*(journal.read(0) for _ in range(6)))
    assert reads == [rows] * 6
    mine = "application_name = 'raeth-journal-reader' AND datname = current_database()"
    assert len(sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {mine}")) > 1
    assert await journal.row(3) == rows[2]


# ---- a commit in doubt ----


@pytest.fixture
async def proxy(store: PostgresStore) -> AsyncIterator[Proxy]:
    started = Proxy(store.place)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def distant(proxy: Proxy, journal: PostgresJournal) -> AsyncIterator[PostgresJournal]:
    """A second node on the same database, behind the network that loses things."""
    opened = PostgresJournal(proxy.url)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_reader_without_a_database_asks_only_when_it_is_asked(
    proxy: Proxy,
    distant: PostgresJournal,
    append: Append,
    journal: PostgresJournal,
    sql: Sql,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However long the database is away: each read says so, and the driver's pool adds nothing to it."""
    rows = await append(journal, 3)
    assert await distant.read(0) == rows
    proxy.refusing = True
    mine = "application_name = 'raeth-journal-reader' AND datname = current_database()"
    with caplog.at_level(logging.DEBUG):
        assert sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {mine}")
        for _ in range(3):
            with pytest.raises(JournalUnavailable):
                await distant.read(0)
    proxy.refusing = False
    assert await distant.read(0) == rows
    assert not [record for record in caplog.records if record.name.startswith("asyncpg")]


async def test_a_lost_answer_is_found_out(
    proxy: Proxy, distant: PostgresJournal, journal: PostgresJournal, make_chain: MakeChain
) -> None:
    rows = make_chain(3)
    await distant.begin(0)
    proxy.at_the_next_commit("lose_answer")
    await distant.commit(rows)  # durable, and we know
    assert proxy.committed.is_set()
    assert (await journal.begin(0)).behind == rows
    await journal.rollback()


@pytest.mark.parametrize("how", ["lose_request", "hold_request"])
async def test_a_lost_request_is_found_out_and_cannot_land_later(
    how: str, proxy: Proxy, distant: PostgresJournal, journal: PostgresJournal, make_chain: MakeChain
) -> None:
    rows = make_chain(3, tag="lost ")
    await distant.begin(0)
    proxy.at_the_next_commit(how)
    with pytest.raises(JournalUnavailable, match="nothing was written") as caught:
        await distant.commit(rows)
    assert not caught.value.outcome_unknown
    await proxy.release()
    assert (await journal.begin(0)).behind == []
    kept = make_chain(2)
    await journal.commit(kept)
    begun = await distant.begin(0)
    assert begun.behind == kept
    await distant.rollback()


@pytest.mark.parametrize("how", ["lose_answer", "lose_request", "hold_request"])
async def test_the_outcome_is_unknown_while_the_database_is_out_of_reach_and_settled_by_the_next_begin(
    how: str, proxy: Proxy, distant: PostgresJournal, journal: PostgresJournal, make_chain: MakeChain
) -> None:
    rows = make_chain(3)
    await distant.begin(0)
    proxy.at_the_next_commit(how, then_refuse=True)
    with pytest.raises(JournalUnavailable) as caught:
        await distant.commit(rows)
    assert caught.value.outcome_unknown
    with pytest.raises(JournalUnavailable) as again:
        await distant.begin(0)
    assert not again.value.outcome_unknown

    proxy.refusing = False
    begun = await distant.begin(0)
    assert begun.behind == (rows if how == "lose_answer" else [])
    await distant.rollback()
    await proxy.release()
    assert (await journal.begin(0)).head == begun.head
    await journal.rollback()


async def test_an_own_transaction_of_the_tables_in_doubt_is_settled_by_the_count(
    proxy: Proxy, distant: PostgresJournal, journal: PostgresJournal, append: Append
) -> None:
    nothing = Write("SELECT 1", [()])
    proxy.at_the_next_commit("lose_request")
    with pytest.raises(JournalUnavailable, match="nothing was written") as caught:
        await distant.execute([nothing])
    assert not caught.value.outcome_unknown
    proxy.at_the_next_commit("lose_answer")
    with pytest.raises(JournalUnavailable) as caught:
        await distant.execute([nothing])
    assert caught.value.outcome_unknown  # it is counted; whose count it is, nobody can tell
    await append(distant, 1)


# ---- a holder that stops ----


async def test_a_stopped_holder_loses_its_transaction(
    journal: PostgresJournal, other: PostgresJournal, make_chain: MakeChain
) -> None:
    assert journal._writer is not None
    await journal._writer._session.execute("SET idle_in_transaction_session_timeout = '50ms'")
    await journal.begin(0)  # and now nothing comes for a while, as from a process that was stopped
    kept = make_chain(2, tag="other ")
    assert (await other.begin(0)).behind == []
    await other.commit(kept)
    with pytest.raises(JournalUnavailable) as caught:
        await journal.commit(make_chain(3))
    assert not caught.value.outcome_unknown
    assert (await journal.begin(0)).behind == kept
    await journal.rollback()


# ---- the server goes away and comes back ----


@pytest.fixture(scope="module")
def own_server() -> Any:
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize("crash", [False, True])
async def test_after_a_restart_everything_goes_on(crash: bool, own_server: Server, make_chain: MakeChain) -> None:
    url = await asyncio.to_thread(own_server.fresh_database)
    journal, heard = PostgresJournal(url), asyncio.Event()
    await journal.open()
    await journal.watch(heard.set)
    rows = make_chain(9)
    await journal.begin(0)
    await journal.commit(rows[:3])
    await journal.begin(3)
    await asyncio.to_thread(own_server.stop, crash=crash)

    with pytest.raises(JournalUnavailable) as caught:
        await journal.commit(rows[3:6])
    assert not caught.value.outcome_unknown
    for call in (lambda: journal.begin(3), lambda: journal.read(0), lambda: journal.execute([])):
        with pytest.raises(JournalUnavailable) as caught:
            await call()
        assert not caught.value.outcome_unknown

    await asyncio.to_thread(own_server.start)
    assert (await journal.begin(0)).behind == rows[:3]
    await journal.commit(rows[3:])
    assert await journal.read(0) == rows
    assert await verify_tail(journal, EMPTY_HEAD) == head_of(rows[-1])
    heard.clear()
    other = PostgresJournal(url)
    await other.open()
    begun = await other.begin(9)
    await other.commit(make_chain(1, begun.head))
    async with asyncio.timeout(30):
        await heard.wait()
    await other.close()
    await journal.close()
