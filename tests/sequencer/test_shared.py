"""Several writers over one journal: each follows what the others commit, and all end at the same state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from raeth.audit import audit_file
from raeth.clock import ManualClock
from raeth.engine import commands as cmd
from raeth.engine.snapshot import state_hash
from raeth.journal.sqlite import SqliteJournal
from raeth.sequencer import Committed, Sequencer, SettingsDiffer
from raeth.store.projector import Projector
from tests.sequencer.node import OPEN_AT, RULES, ids, key, order, prepare, query, signup, spec, trader, until

NODES = 3


def shared(path: Path, clock: ManualClock) -> Sequencer:
    return Sequencer(SqliteJournal(path), clock, RULES, Projector(), shared=True)


@asynccontextmanager
async def venue(path: Path, nodes: int = NODES) -> AsyncIterator[list[Sequencer]]:
    """Nodes that all started at once on an empty database, in a window that is open."""
    await prepare(path)
    clock = ManualClock(OPEN_AT - 1_000)
    running = [shared(path, clock) for _ in range(nodes)]
    try:
        await asyncio.gather(*(node.start() for node in running))
        clock.set(OPEN_AT + 1_000)
        await running[0].submit(cmd.Tick())
        for node in running:
            await node.catch_up()
        yield running
    finally:
        await asyncio.gather(*(node.stop() for node in running))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raeth.db"


async def test_all_hear_everything_once_and_agree(path: Path) -> None:
    heard: list[list[int]] = [[] for _ in range(NODES)]
    async with venue(path) as nodes:
        first = nodes[0].durable_seq + 1
        for node, told in zip(nodes, heard, strict=True):

            def listen(facts: list[Committed], told: list[int] = told) -> None:
                told.extend(fact.seq for fact in facts)

            node.listeners.append(listen)
        agents = [await trader(node, n) for n, node in enumerate(nodes)]
        for node in nodes:
            await node.catch_up()

        async def work(n: int) -> None:
            for number in range(60):
                node = nodes[(n + number) % NODES]
                side = (n + number) % 2
                await node.submit(order(node, agents[n], price=48 + number % 4, n=n, side=side))

        await asyncio.gather(*(work(n) for n in range(NODES)))
        for node in nodes:
            await node.catch_up()
        assert len({state_hash(node.state) for node in nodes}) == 1
        assert len({node.durable_seq for node in nodes}) == 1
        last = nodes[0].durable_seq
        assert all(told == list(range(first, last + 1)) for told in heard), "each in order, and none twice"
        await asyncio.gather(*(node.tabled() for node in nodes))
        assert query(path, "SELECT count(*) FROM orders") == [(NODES * 60,)]
        assert {node.tables_seq for node in nodes} == {last}
    audit_file(path)


async def test_a_follower_hears_without_asking(path: Path) -> None:
    async with venue(path) as (writer, follower, _):
        await trader(writer)
        await until(lambda: follower.state.seq == writer.state.seq)
        assert "digest-0" in follower.state.digests and follower.health.followed > 0


async def test_one_genesis(path: Path) -> None:
    async with venue(path):
        assert query(path, "SELECT count(*) FROM configurations") == [(1,)]


async def test_another_node_with_other_rules_keeps_away(path: Path) -> None:
    async with venue(path, 1) as (node,):
        other = Sequencer(SqliteJournal(path), node.clock, replace(RULES, max_order_qty=7), Projector(), shared=True)
        with pytest.raises(SettingsDiffer, match="max_order_qty"):
            await other.start()
        await other.stop()
        assert (await node.submit(signup(1))).refused() is None


async def test_a_key_is_known_on_every_node(path: Path) -> None:
    async with venue(path) as nodes:
        agent = await trader(nodes[0])
        first = await nodes[0].submit(order(nodes[0], agent), [key(agent, "once")])
        again = await nodes[1].submit(order(nodes[1], agent), [key(agent, "once")])
        assert again.orders[0].replayed and again.orders[0].order.id == first.orders[0].order.id


async def test_what_fell_due_is_journaled_once(path: Path) -> None:
    async with venue(path) as nodes:
        clock = nodes[0].clock
        assert isinstance(clock, ManualClock)
        before = nodes[0].durable_seq
        clock.set(OPEN_AT + 60_000)
        states = await asyncio.gather(*(node.settled() for node in nodes))
        assert all(state.ts >= OPEN_AT + 60_000 and state.next_due > clock.now_ms() for state in states)
        assert nodes[0].durable_seq - before <= 1 + NODES, "a tick that another node's made needless is not journaled"


async def test_tables_are_brought_forward_for_a_node_that_died_before_it_did(path: Path) -> None:
    async with venue(path, 2) as (doomed, other):
        agent = await trader(doomed)
        await doomed.tabled()
        await doomed.submit(order(doomed, agent))
        for task in doomed._tasks:
            task.cancel()  # as it dies: what it committed is in the journal, and perhaps not in the tables
        doomed._following.stop()
        await other.catch_up()
        await other.tabled()
        assert query(path, "SELECT count(*) FROM orders") == [(1,)]
        assert spec(other).market == spec(doomed).market


async def test_what_a_node_took_itself_does_not_wait_for_what_it_left_to_another(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves another's commands to that node for a while: as here, where they were never brought forward."""
    monkeypatch.setattr("raeth.sequencer.writing.OTHERS_S", 3_600.0)
    async with venue(path, nodes=2) as (one, two):
        await two.tabled()
        with monkeypatch.context() as stuck:
            stuck.setattr("raeth.sequencer.writing.INTERVAL_S", 3_600.0)
            stuck.setattr("raeth.sequencer.following.INTERVAL_S", 3_600.0)
            theirs = await two.submit(signup(1))
            await one.catch_up()
        own = await one.submit(signup(2))
        assert own.seq > theirs.seq > 0
        await until(lambda: one.tables_seq >= own.seq)


async def test_what_comes_while_a_node_waits_for_the_lock_goes_along_but_for_keys_not_looked_up(path: Path) -> None:
    async with venue(path, nodes=1) as (node,):
        agent = await trader(node)
        kept = key(agent, "kept")
        once = await node.submit(order(node, agent), [kept])
        holder = SqliteJournal(path)
        await holder.open()
        await holder.begin(node.durable_seq)
        first = node.enqueue(signup(1))
        await until(lambda: not node._queue)  # it waits for the lock
        late = [
            node.enqueue(command, keys)
            for command, keys in [(signup(2), []), (signup(3), []), (order(node, agent), [kept]), (signup(4), [])]
        ]
        batches: list[list[int]] = []
        node.listeners.append(lambda facts: batches.append([fact.seq - once.seq for fact in facts]))
        await holder.rollback()
        outcomes = await asyncio.gather(first, *late)
        assert batches == [[1, 2, 3], [4]]
        assert [outcomes[n].seq - once.seq for n in (0, 1, 2, 4)] == [1, 2, 3, 4]
        assert ids(outcomes[3]) == [(ids(once)[0][0], True)]
        await holder.close()


async def test_a_late_node_catches_up_from_the_journal(path: Path) -> None:
    async with venue(path, 1) as (node,):
        for n in range(30):
            await node.submit(signup(n))
        late = shared(path, node.clock)  # type: ignore[arg-type]
        await late.start()
        try:
            assert state_hash(late.state) == state_hash(node.state)
            outcome = await late.submit(signup(30))
            assert outcome.seq == node.durable_seq + 1
            await node.catch_up()
            assert state_hash(late.state) == state_hash(node.state)
        finally:
            await late.stop()
