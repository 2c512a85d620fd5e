"""The one writer over a real journal: group commit, replays, waiting reads, restarts, a full disk, a jumping clock."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest
from freezegun import freeze_time

from raeth import server
from raeth.audit import audit_file
from raeth.clock import ManualClock, RealClock
from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.snapshot import state_hash
from raeth.engine.types import ENGINE_VERSION, SELL
from raeth.errors import Code, RaethError
from raeth.journal.base import JournalUnavailable, Row, Write
from raeth.journal.sqlite import SqliteJournal
from raeth.sequencer import MAX_BATCH, Committed, Sequencer, SettingsDiffer
from raeth.sequencer import core as sequencer_module
from raeth.store.migrate import recognise
from raeth.store.reader import sqlite_url
from tests.sequencer.node import (
    OPEN_AT,
    RULES,
    ids,
    key,
    new_sequencer,
    order,
    prepare,
    query,
    running,
    signup,
    spec,
    trader,
    until,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raeth.db"


async def refused_with(code: Code, awaitable: object) -> None:
    with pytest.raises(RaethError) as caught:
        await awaitable  # type: ignore[misc]
    assert caught.value.code == code


class TestGroupCommit:
    async def test_everybody_at_once_gets_a_place_of_their_own(self, path: Path) -> None:
        async with running(path) as node:
            first = node.state.seq + 1
            commits = node.health.commits
            outcomes = await asyncio.gather(*(node.submit(signup(n)) for n in range(300)))
            assert [o.seq for o in outcomes] == list(range(first, first + 300)), "in the order in which they came"
            assert node.health.commits - commits < 30, "few transactions for many"
            assert query(path, "SELECT count(*), max(seq) FROM journal") == [(node.state.seq, node.state.seq)]
        audit_file(path)

    async def test_what_is_answered_is_durable(self, path: Path) -> None:
        async with running(path) as node:
            for n in range(5):
                outcome = await node.submit(signup(n))
                [(stored,)] = query(path, f"SELECT events FROM journal WHERE seq = {outcome.seq}")
                assert stored == codec.encode_events(outcome.events)
                await node.tabled()
                assert query(path, "SELECT count(*) FROM agents") == [(n + 1,)]

    async def test_one_batch_has_one_stamp_and_a_bound(self, path: Path) -> None:
        async with running(path) as node:
            commits = node.health.commits
            outcomes = await asyncio.gather(*(node.submit(cmd.Tick()) for _ in range(MAX_BATCH + 1)))
            assert len({o.ts for o in outcomes}) == 1
            assert node.health.commits - commits >= 2

    async def test_listeners_hear_everything_in_order_and_only_what_is_durable(self, path: Path) -> None:
        heard: list[int] = []

        def listen(facts: list[Committed]) -> None:
            [(head,)] = query(path, "SELECT max(seq) FROM journal")
            assert facts[-1].seq <= head
            heard.extend(fact.seq for fact in facts)

        async with running(path) as node:
            first = node.state.seq + 1
            node.listeners.append(listen)
            await asyncio.gather(*(node.submit(signup(n)) for n in range(50)))
            await node.submit(cmd.Tick())
        assert heard == list(range(first, first + 51))

    async def test_a_caller_who_gives_up_does_not_take_the_command_back(self, path: Path) -> None:
        async with running(path) as node:
            task = asyncio.create_task(node.submit(signup(1)))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await node.submit(cmd.Tick())
            assert "digest-1" in node.state.digests

    async def test_rows_of_the_private_tables_ride_along(self, path: Path) -> None:
        insert = "INSERT INTO secrets (name, value) VALUES (?, ?)"
        async with running(path) as node:
            seq = node.state.seq
            await node.write([Write(insert, [("one", b"1")])])
            assert node.state.seq == seq, "no command, no row in the journal"
            await node.submit(signup(1), writes=lambda events: [Write(insert, [("two", bytes([len(events)]))])])
            await node.submit(signup(1), writes=[Write(insert, [("refused", b"")])])
            assert query(path, "SELECT name, value FROM secrets ORDER BY name") == [("one", b"1"), ("two", b"\x04")]

    async def test_a_read_while_the_venue_stops_does_not_wait_for_a_tick_that_nobody_writes(self, path: Path) -> None:
        clock = ManualClock(OPEN_AT - 1_000)
        async with running(path, clock) as node:
            await node.stop()
            clock.set(node.state.next_due)
            async with asyncio.timeout(5):
                assert await node.settled() is node.state

    async def test_a_caller_that_hangs_up_while_its_replay_is_read_harms_nobody(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with running(path) as node:
            agent = await trader(node)
            await node.submit(order(node, agent), [key(agent, "once")])
            read_row = node.journal.row

            async def hang_up(seq: int) -> Row | None:
                replay.cancel()
                return await read_row(seq)

            monkeypatch.setattr(node.journal, "row", hang_up)
            replay = node.enqueue(order(node, agent), [key(agent, "once")])
            other = node.enqueue(order(node, agent, price=40))
            assert (await other).seq == node.durable_seq
            assert node.health.mode == "ok" and node.health.last_error is None


class TestIdempotency:
    async def test_the_same_key_again(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            one = await node.submit(order(node, agent, client_order_id="a"), [key(agent, "a")])
            seq = node.state.seq
            two = await node.submit(order(node, agent, client_order_id="a"), [key(agent, "a")])
            assert node.state.seq == seq, "a replay is no command"
            assert (two.seq, two.replayed) == (one.seq, True)
            assert [(p.order, p.replayed) for p in two.orders] == [(one.orders[0].order, True)]

    async def test_it_is_the_first_result_and_not_the_present(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            one = await node.submit(order(node, agent), [key(agent, "a")])
            await node.submit(cmd.CancelOrder(agent, "key-0", one.orders[0].order.id))
            two = await node.submit(order(node, agent), [key(agent, "a")])
            assert two.orders[0].order.status == "OPEN"

    async def test_at_once(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            outcomes = await asyncio.gather(*(node.submit(order(node, agent), [key(agent, "a")]) for _ in range(40)))
            assert len({ids(o)[0][0] for o in outcomes}) == 1
            assert [o.orders[0].replayed for o in outcomes] == [False] + [True] * 39
            assert len(node.state.orders) == 1

    async def test_another_body(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            await node.submit(order(node, agent), [key(agent, "a")])
            await refused_with(
                Code.IDEMPOTENCY_CONFLICT, node.submit(order(node, agent, 51), [key(agent, "a", b"other")])
            )
            both = await asyncio.gather(
                node.submit(order(node, agent), [key(agent, "b")]),
                node.submit(order(node, agent, 51), [key(agent, "b", b"other")]),
                return_exceptions=True,
            )
            assert isinstance(both[1], RaethError) and both[1].code == Code.IDEMPOTENCY_CONFLICT
            assert len(node.state.orders) == 2

    async def test_keys_are_per_owner(self, path: Path) -> None:
        async with running(path) as node:
            agents = [await trader(node, n) for n in range(2)]
            for n, agent in enumerate(agents):
                outcome = await node.submit(order(node, agent, n=n), [key(agent, "a")])
                assert not outcome.orders[0].replayed

    async def test_a_declined_order_is_replayed_as_declined(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            one = await node.submit(order(node, agent, qty=0), [key(agent, "a")])
            two = await node.submit(order(node, agent, qty=0), [key(agent, "a")])
            assert [o.orders[0].order.reject_reason for o in (one, two)] == ["INVALID_QTY"] * 2
            assert two.orders[0].replayed
            assert node.state.live is None or len(node.state.live.positions[agent].rejects[0]) == 1

    async def test_a_refused_command_leaves_no_key(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            await node.submit(cmd.Freeze("op", "test"))
            refused = await node.submit(order(node, agent), [key(agent, "a")])
            assert refused.refused() == ev.Refused("EXCHANGE_FROZEN") and not refused.orders
            await node.submit(cmd.Unfreeze("op", None))
            outcome = await node.submit(order(node, agent, 51), [key(agent, "a", b"other")])
            assert not outcome.orders[0].replayed
            assert len(query(path, "SELECT * FROM journal_keys")) == 1

    async def test_replays_go_on_while_frozen(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            await node.submit(order(node, agent), [key(agent, "a")])
            await node.submit(cmd.Freeze("op", "test"))
            assert (await node.submit(order(node, agent), [key(agent, "a")])).orders[0].replayed

    async def test_over_a_restart(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            one = await node.submit(order(node, agent), [key(agent, "a")])
        async with running(path) as node:
            two = await node.submit(order(node, agent), [key(agent, "a")])
            assert two.orders[0].replayed and two.orders[0].order == one.orders[0].order

    async def test_a_command_that_places_nothing_may_have_a_key_too(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            account = node.state.agents[agent].account.id
            transfer = cmd.Transfer(account, agent, account, 10, "t")
            one = await node.submit(transfer, [key(account, "t")])
            two = await node.submit(transfer, [key(account, "t")])
            assert (two.events, two.replayed, node.state.accounts[account].cash) == (one.events, True, 10)


class TestBatchKeys:
    def batch(self, node: Sequencer, agent: int, *prices: int, atomic: bool = False) -> cmd.PlaceBatch:
        return cmd.PlaceBatch(agent, "key-0", tuple(spec(node, price) for price in prices), atomic)

    async def test_partly_known_legs(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            one = await node.submit(order(node, agent, 41), [key(agent, "b", b"41")])
            keys = [key(agent, "a", b"40", 0), key(agent, "b", b"41", 1), key(agent, "c", b"42", 2)]
            two = await node.submit(self.batch(node, agent, 40, 41, 42), keys)
            assert [(p.order.price, p.replayed) for p in two.orders] == [(40, False), (41, True), (42, False)]
            assert two.orders[1].order.id == one.orders[0].order.id
            again = await node.submit(self.batch(node, agent, 40, 41, 42), keys)
            assert ids(again) == [(order_id, True) for order_id, _ in ids(two)]
            assert len(node.state.orders) == 3

    async def test_legs_without_a_key_are_new_every_time(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            for expected in ([False, False], [True, False]):
                outcome = await node.submit(self.batch(node, agent, 40, 41), [key(agent, "a")])
                assert [p.replayed for p in outcome.orders] == expected
            assert len(node.state.orders) == 3

    async def test_the_same_key_twice(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            keys = [key(agent, "a", b"x", 0), key(agent, "b", b"y", 1), key(agent, "a", b"x", 2)]
            outcome = await node.submit(self.batch(node, agent, 40, 41, 40), keys)
            first, _, third = ids(outcome)
            assert (first[0], [p.replayed for p in outcome.orders]) == (third[0], [False, False, True])
            assert len(node.state.orders) == 2

    async def test_the_same_key_twice_with_two_bodies_does_nothing(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            keys = [key(agent, "a", b"x", 0), key(agent, "a", b"y", 1)]
            await refused_with(Code.IDEMPOTENCY_CONFLICT, node.submit(self.batch(node, agent, 40, 41), keys))
            assert not node.state.orders

    async def test_one_conflict_is_a_conflict_of_the_whole(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            await node.submit(order(node, agent, 41), [key(agent, "b", b"41")])
            keys = [key(agent, "a", b"40", 0), key(agent, "b", b"other", 1)]
            await refused_with(Code.IDEMPOTENCY_CONFLICT, node.submit(self.batch(node, agent, 40, 41), keys))
            assert len(node.state.orders) == 1
            assert query(path, "SELECT key FROM journal_keys") == [("b",)]

    async def test_an_atomic_batch_is_known_as_a_whole_or_not_at_all(self, path: Path) -> None:
        async with running(path) as node:
            agent, maker = await trader(node), await trader(node, 1)
            await node.submit(order(node, maker, 40, 10, n=1, side=SELL))
            both = [key(agent, "a", b"1", 0), key(agent, "b", b"2", 1)]
            one = await node.submit(self.batch(node, agent, 40, 41, atomic=True), both)
            assert [p.order.status for p in one.orders] == ["FILLED", "FILLED"]
            again = await node.submit(self.batch(node, agent, 40, 41, atomic=True), both)
            assert ids(again) == [(order_id, True) for order_id, _ in ids(one)]
            mixed = [key(agent, "a", b"1", 0), key(agent, "c", b"3", 1)]
            await refused_with(
                Code.IDEMPOTENCY_CONFLICT, node.submit(self.batch(node, agent, 40, 41, atomic=True), mixed)
            )

    @pytest.mark.parametrize("names", ["aa", "ak", "ka"])
    async def test_a_refused_batch_with_known_or_doubled_keys_hurts_nobody(self, path: Path, names: str) -> None:
        """Frozen in between: what is left of the batch is refused, and so is the batch; others are not touched."""
        async with running(path) as node:
            agent = await trader(node)
            await node.submit(order(node, agent), [key(agent, "k")])
            await node.submit(cmd.Freeze("op", "test"))
            keys = [key(agent, name, b"body", place) for place, name in enumerate(names)]
            outcome, bystander = await asyncio.gather(
                node.submit(self.batch(node, agent, 50, 50), keys), node.submit(signup(7))
            )
            assert outcome.refused() == ev.Refused("EXCHANGE_FROZEN") and outcome.orders == []
            assert bystander.refused() is None and node.health.mode == "ok"


class TestReads:
    async def test_a_read_between_apply_and_commit_waits(self, path: Path) -> None:
        async with running(path) as node:
            seq = node.state.seq
            task = asyncio.create_task(node.submit(signup(1)))
            while node._committing is None:
                await asyncio.sleep(0)
            assert node.settled_now() is None
            assert node.durable_seq == seq < node.state.seq
            state = await node.settled()
            assert query(path, "SELECT max(seq) FROM journal") == [(state.seq,)]
            assert "digest-1" in state.digests
            await task
            assert node.settled_now() is node.state

    async def test_a_read_brings_the_venue_to_the_present(self, path: Path) -> None:
        clock = ManualClock(OPEN_AT - 2_000)
        async with running(path, clock) as node:
            assert node.state.live is None
            clock.set(OPEN_AT)
            assert node.settled_now() is None, "a window has opened by the clock"
            state = await node.settled()
            assert state.live is not None and state.live.open_at == OPEN_AT

    async def test_a_quiet_venue_moves_by_itself(self, path: Path) -> None:
        clock = ManualClock(OPEN_AT - 2_000)
        async with running(path, clock) as node:
            for ts in range(OPEN_AT - 1_000, OPEN_AT + 1_000, 500):
                clock.set(ts)
                await until(lambda ts=ts: node.state.ts > ts - 1_000)  # type: ignore[misc]
            assert node.state.live is not None

    async def test_time_never_goes_backwards(self, path: Path) -> None:
        clock = ManualClock(OPEN_AT + 2_000)
        async with running(path, clock) as node:
            stamps = [(await node.submit(cmd.Tick())).ts]
            for ts in (OPEN_AT + 1_000, OPEN_AT + 2_500):
                clock.set(ts)
                stamps.append((await node.submit(cmd.Tick())).ts)
            assert stamps == [OPEN_AT + 2_000, OPEN_AT + 2_000, OPEN_AT + 2_500]


class TestLife:
    async def fill(self, node: Sequencer) -> None:
        agents = [await trader(node, n) for n in range(3)]
        for n, agent in enumerate(agents):
            for price in (45, 50, 55):
                await node.submit(order(node, agent, price, n + 1, n=n, side=n % 2))

    async def test_the_genesis_is_the_first_command(self, path: Path) -> None:
        async with running(path) as node:
            row = await node.journal.row(1)
            assert row is not None
            command = codec.decode_command(row.command)
            assert isinstance(command, cmd.Configure) and command.settings == RULES
            assert node.state.born == OPEN_AT - 1_000

    @pytest.mark.parametrize("with_snapshot", [True, False])
    async def test_a_restart_has_the_same_state(self, path: Path, with_snapshot: bool) -> None:
        async with running(path) as node:
            await self.fill(node)
            before, seq = state_hash(node.state), node.state.seq
        assert query(path, "SELECT max(seq) FROM snapshots") == [(seq,)], "stopping leaves a snapshot"
        if not with_snapshot:
            query(path, "DELETE FROM snapshots")
        async with running(path) as node:
            assert (state_hash(node.state), node.state.seq) == (before, seq)
            assert (await node.submit(signup(9))).seq == seq + 1
        audit_file(path)

    async def test_a_crash_loses_nothing_that_was_answered(self, path: Path) -> None:
        """The files as they lie there while the venue runs, as after a power cut, opened by another."""
        async with running(path) as node:
            await self.fill(node)
            before = state_hash(node.state)
            copy = path.with_name("copy.db")
            for suffix in ("", "-wal"):
                Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
        async with running(copy) as node:
            assert state_hash(node.state) == before

    async def test_who_is_not_alone_after_all_is_told_so_and_nothing_is_lost(self, path: Path) -> None:
        """A node that was not told of others finds out with its next commit, and takes nothing until it has read on."""
        async with running(path) as one, running(path) as two:
            taken, declined = 0, 0
            for n in range(20):
                for node in (one, two):
                    while True:
                        try:
                            taken += (await node.submit(signup(n))).refused() is None
                            break
                        except RaethError as trouble:
                            assert trouble.code is Code.SERVICE_DEGRADED
                            declined += 1
                            await until(lambda node=node: node.health.mode == "ok")
            assert taken == 20, "every name once, whichever node heard it first"
            assert declined > 0
        async with running(path) as node:
            assert sum(len(account.agents) for account in node.state.accounts.values()) == 20
        assert audit_file(path).commands == node.state.seq

    async def test_other_rules_are_refused_until_adopted(self, path: Path) -> None:
        newer = msgspec.structs.replace(RULES, position_cap=7, tie_rule="YES")
        async with running(path):
            pass
        node = new_sequencer(path, ManualClock(OPEN_AT + 1_000), newer)
        with pytest.raises(SettingsDiffer) as caught:
            await node.start()
        await node.stop()
        assert caught.value.differences == {"position_cap": (5_000, 7), "tie_rule": ("VOID", "YES")}
        async with running(path, settings=newer, adopt=True) as adopted:
            assert adopted.state.settings == newer
            assert adopted.state.pending is not None and adopted.state.pending.settings == RULES
        async with running(path, settings=newer) as node:
            assert node.state.settings == newer

    async def test_a_new_engine_signs_the_journal_it_goes_on_with(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that its predecessor, which knows less, keeps away after a rollback. Once, not at every start."""
        async with running(path):
            pass
        assert await asyncio.to_thread(recognise, sqlite_url(path)) == ENGINE_VERSION
        monkeypatch.setattr(sequencer_module, "ENGINE_VERSION", ENGINE_VERSION + 1)
        for _ in range(2):
            async with running(path) as node:
                assert node.state.engine_version == ENGINE_VERSION + 1
        assert await asyncio.to_thread(recognise, sqlite_url(path)) == ENGINE_VERSION + 1
        signed = query(path, "SELECT engine_version FROM configurations ORDER BY seq")
        assert signed == [(ENGINE_VERSION,), (ENGINE_VERSION + 1,)]

    async def test_another_kind_of_reference_is_refused_even_when_adopting(self, path: Path) -> None:
        async with running(path):
            pass
        node = new_sequencer(
            path, ManualClock(OPEN_AT + 1_000), msgspec.structs.replace(RULES, reference_kind="live"), adopt=True
        )
        with pytest.raises(SettingsDiffer):
            await node.start()
        await node.stop()

    async def test_after_stop_nothing_is_taken_but_what_waited_is_committed(self, path: Path) -> None:
        async with running(path) as node:
            waiting = [asyncio.create_task(node.submit(signup(n))) for n in range(5)]
            await asyncio.sleep(0)
            await node.stop()
            assert [(await task).refused() for task in waiting] == [None] * 5
            await refused_with(Code.SERVICE_DEGRADED, node.submit(cmd.Tick()))
        assert query(path, "SELECT count(*) FROM accounts") == [(5,)]

    async def test_halted_it_takes_nothing_and_still_shows_the_last_durable_state(self, path: Path) -> None:
        async with running(path) as node:
            seq = node.state.seq
            node.halt("damage was found")
            await refused_with(Code.SERVICE_DEGRADED, node.submit(cmd.Tick()))
            assert (await node.settled()).seq == seq
            assert (node.health.mode, node.health.last_error) == ("stopped", "damage was found")

    async def test_halted_it_refuses_what_was_waiting_and_leaves_no_snapshot(self, path: Path) -> None:
        async with running(path) as node:
            await node.submit(signup(1))
            [(rows,)] = query(path, "SELECT count(*) FROM journal")
            waiting = asyncio.create_task(node.submit(signup(2)))
            await asyncio.sleep(0)
            node.halt("damage was found")
            await refused_with(Code.SERVICE_DEGRADED, waiting)
            await node.stop()
        assert query(path, "SELECT count(*) FROM journal") == [(rows,)]
        assert query(path, "SELECT count(*) FROM snapshots") == [(0,)], "it would vouch for damaged rows"

    async def test_stopped_in_the_middle_of_a_commit_its_callers_are_told(self, path: Path) -> None:
        async with running(path) as node:
            waiting = asyncio.create_task(node.submit(signup(1)))
            while node._committing is None:
                await asyncio.sleep(0)
            next(task for task in node._tasks if task.get_name() == "sequencer").cancel()
            async with asyncio.timeout(5):
                await refused_with(Code.SERVICE_DEGRADED, waiting)

    async def test_a_damaged_journal_does_not_start_and_is_named(self, path: Path) -> None:
        async with running(path) as node:
            await self.fill(node)
        query(path, "DELETE FROM snapshots")
        query(path, "UPDATE journal SET events = X'5b5d' WHERE seq = 5")
        node = new_sequencer(path, ManualClock(OPEN_AT + 1_000))
        with pytest.raises(Exception, match="seq 5"):
            await node.start()
        await node.stop()


class TestScrubber:
    async def test_it_tries_again_and_stops_the_venue_on_damage(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "SCRUB_RETRY_S", 0)
        async with running(path) as node:
            await trader(node)
            query(path, "UPDATE journal SET events = X'5b5d' WHERE seq = 2")
            read, calls = node.journal.read, []

            async def first_in_vain(*asked: int) -> list[Row]:
                calls.append(asked)
                if len(calls) == 1:
                    raise JournalUnavailable("busy")
                return await read(*asked)

            monkeypatch.setattr(node.journal, "read", first_in_vain)
            await server.watch_chain(node)
            assert node.health.mode == "stopped" and "seq 2" in (node.health.last_error or "")


class TestFullDisk:
    def limit(self, node: Sequencer, pages: int | None) -> None:
        """The database's own disk-full, from the statement that needs one page more."""
        assert isinstance(node.journal, SqliteJournal) and node.journal._writer is not None
        db = node.journal._writer._db
        (used,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {1 << 30 if pages is None else used + pages}")

    async def test_nothing_half_done_and_it_recovers(self, path: Path) -> None:
        async with running(path) as node:
            agent = await trader(node)
            before, seq = state_hash(node.state), node.state.seq
            self.limit(node, 2)
            long = "x" * 60_000
            failed = await asyncio.gather(
                node.submit(order(node, agent), [key(agent, "a")]),
                node.submit(cmd.Broadcast("op", long)),
                return_exceptions=True,
            )
            for error in failed:
                assert isinstance(error, RaethError) and error.code == Code.SERVICE_DEGRADED
            # The probes are small and may fit again at once; what failed must have left nothing either way.
            await until(lambda: node.health.mode == "ok" or node.health.last_error is not None)
            self.limit(node, None)
            await until(lambda: node.health.mode == "ok")
            assert not node.state.orders and node.state.seq > seq
            assert query(path, "SELECT count(*) FROM journal_keys") == [(0,)]
            assert before != state_hash(node.state), "only ticks came since"
            outcome = await node.submit(order(node, agent), [key(agent, "a")])
            assert not outcome.orders[0].replayed, "a retry with the same key finds that nothing had happened"
            assert len(node.state.orders) == 1
        audit_file(path)

    async def fill_up(self, node: Sequencer) -> None:
        """Until not even a Tick fits: the last pages of the file take some small rows yet."""
        self.limit(node, 0)
        stuck = 0
        while stuck < 30:
            if node.health.mode == "ok":
                stuck = 0
                with contextlib.suppress(RaethError):
                    await node.submit(cmd.Broadcast("op", "x" * 300))
            else:
                stuck += 1
                await asyncio.sleep(0.002)

    async def test_while_it_lasts_the_mode_says_so_and_reads_go_on(self, path: Path) -> None:
        async with running(path) as node:
            await trader(node)
            await self.fill_up(node)
            assert node.health.mode == "retrying"
            assert node.health.last_error is not None and "full" in node.health.last_error
            await refused_with(Code.SERVICE_DEGRADED, node.submit(cmd.Tick()))
            await until(lambda: node._valid)
            durable = await node.settled()
            assert query(path, "SELECT max(seq) FROM journal") == [(durable.seq,)]
            self.limit(node, None)
            await until(lambda: node.health.mode == "ok")
            assert node.health.last_error is None
            assert (await node.submit(signup(3))).refused() is None
        audit_file(path)

    async def test_damage_found_while_it_lasts_stops_the_venue_for_good(self, path: Path) -> None:
        async with running(path) as node:
            await self.fill_up(node)
            node.halt("damage was found")
            self.limit(node, None)
            [(rows,)] = query(path, "SELECT count(*) FROM journal")
            await until(lambda: node._valid)
            await asyncio.sleep(0.3)
            assert (node.health.mode, node.health.last_error) == ("stopped", "damage was found")
            assert query(path, "SELECT count(*) FROM journal") == [(rows,)]

    async def test_a_rebuild_is_seen_only_when_it_is_whole(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Halfway through history a key is good that was revoked later; nobody may see that."""
        async with running(path) as node:
            agent = await trader(node)
            account = next(iter(node.state.accounts))
            await node.submit(cmd.RevokeKey(account, agent, "key-0"))
            seen: list[tuple[bool, int]] = []
            read = node.journal.read

            async def one_by_one(after_seq: int, limit: int = 1, to_seq: int | None = None) -> list[Row]:
                seen.append(("key-0" in node.state.keys, node.state.born))
                return await read(after_seq, 1, to_seq)

            monkeypatch.setattr(node.journal, "read", one_by_one)
            born = node.state.born
            await node._rebuild()
            assert len(seen) > 3 and set(seen) == {(False, born)}

    async def test_stopping_while_it_lasts_does_not_hang(self, path: Path) -> None:
        async with running(path) as node:
            await self.fill_up(node)
            [(seq,)] = query(path, "SELECT max(seq) FROM journal")
            async with asyncio.timeout(5):
                await node.stop()
        async with running(path) as node:
            assert node.state.seq >= seq
        audit_file(path)


class TestClockJump:
    async def test_a_clock_that_jumps_forward_is_not_believed(self, path: Path) -> None:
        """The machine's clock, frozen and moved, while the time since boot goes on as it is."""
        with freeze_time("2026-11-20T10:30:10Z", real_asyncio=True) as frozen:
            async with running(path, RealClock()) as node:
                seq = (await node.submit(signup(1))).seq
                frozen.tick(4.9)
                assert (await node.submit(signup(2))).seq > seq
                frozen.tick(60)
                await refused_with(Code.SERVICE_DEGRADED, node.submit(signup(3)))
                assert node.health.mode == "retrying"
                await until(lambda: "clock" in (node.health.last_error or ""))
                assert node.state.pending is not None, "no window was closed"
                assert node.state.ts < node.state.pending.open_at
                frozen.tick(-60)
                await until(lambda: node.health.mode == "ok")
                assert (await node.submit(signup(3))).refused() is None

    async def test_a_manual_or_recorded_clock_may_jump(self, path: Path) -> None:
        clock = ManualClock(OPEN_AT + 1_000)
        async with running(path, clock) as node:
            await node.submit(signup(1))
            clock.advance(3_600_000)
            outcome = await node.submit(signup(2))
            assert outcome.ts == OPEN_AT + 3_601_000


async def test_a_journal_that_is_not_open_is_unavailable(path: Path) -> None:
    await prepare(path)
    with pytest.raises(JournalUnavailable):
        await SqliteJournal(path).begin(0)
