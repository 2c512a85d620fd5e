"""Snapshots: a loaded state continues exactly like the one that was dumped, down to the bytes of every event."""

from __future__ import annotations

import msgspec
import pytest

from raeth.engine import codec, invariants
from raeth.engine import commands as cmd
from raeth.engine.exchange import apply, new_state
from raeth.engine.snapshot import dump, load, state_hash
from raeth.engine.state import State
from tests.engine.venue import MINUTE, NO_FEES, OPEN_AT, Venue
from tests.engine.workloads import generate

STEPS = 400
CUTS = 8


def commands_of(seed: int) -> list[tuple[int, cmd.Command]]:
    """A seeded workload as the journal would hold it."""
    journal: list[tuple[int, cmd.Command]] = []
    for pair, _, _ in generate(seed, STEPS):
        journal = pair.journal
    return journal


def run(state: State, journal: list[tuple[int, cmd.Command]], start: int, end: int) -> list[bytes]:
    return [
        codec.encode_events(apply(state, command, seq, ts))
        for seq, (ts, command) in enumerate(journal[start:end], start=start + 1)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_loaded_state_continues_identically(seed: int) -> None:
    """Cut anywhere, also again and again: the rest of the journal gives the same bytes and the same state."""
    journal = commands_of(seed)
    straight = new_state()
    expected = run(straight, journal, 0, len(journal))
    cut_every = len(journal) // CUTS
    carried = new_state()
    for start in range(0, len(journal), cut_every):
        end = min(start + cut_every, len(journal))
        assert run(carried, journal, start, end) == expected[start:end]
        blob = dump(carried)
        again = load(blob)
        assert dump(again) == blob
        invariants.check(again)
        carried = again
    assert state_hash(carried) == state_hash(straight)
    # And once all the way from one early cut, where loaded state has the longest to go wrong.
    early = new_state()
    run(early, journal, 0, cut_every)
    assert run(load(dump(early)), journal, cut_every, len(journal)) == expected[cut_every:]


def test_dumping_changes_nothing_and_the_hash_is_that_of_the_dump() -> None:
    venue = Venue()
    venue.buy(venue.agents[0], 50, 5)
    assert dump(venue.state) == dump(venue.state)
    before = state_hash(venue.state)
    venue.buy(venue.agents[0], 49, 5)
    assert state_hash(venue.state) != before


def test_the_orders_of_things_are_kept() -> None:
    """The queue of a level, the order of an agent's own orders, and an amended order behind a younger one."""
    venue = Venue(**NO_FEES)
    a, b, _ = venue.agents
    venue.give(a, 20)
    first, second = venue.sell(a, 60, 5, reduce_only=True), venue.sell(a, 60, 5, reduce_only=True)
    other = venue.sell(b, 60, 5)
    venue.amend(a, first, price=60)
    venue.buy(a, 40, 1, expires_at=OPEN_AT + 40_000)
    loaded = load(dump(venue.state))
    assert loaded.live is not None
    assert [o.id for o in loaded.live.book.orders(1)] == [second.id, other.id, first.id]
    assert list(loaded.live.positions[a].orders) == list(venue.position(a).orders)
    assert loaded.expiries == venue.state.expiries
    assert loaded.next_due == OPEN_AT + 40_000


def test_markets_share_their_rules_and_keep_those_they_were_listed_with() -> None:
    venue = Venue()
    newer = msgspec.structs.replace(venue.rules, position_cap=7)
    venue.apply(cmd.Configure(1, newer))
    loaded = load(dump(venue.state))
    assert loaded.settings == newer
    assert loaded.live is not None and loaded.pending is not None
    assert loaded.live.settings is loaded.pending.settings and loaded.live.settings == venue.rules


def test_boundaries_that_wait_for_prints_are_kept_with_their_order() -> None:
    venue = Venue(print_grace_ms=150_000, gap_ms=60_000)
    venue.stroll(OPEN_AT + 2 * MINUTE)
    loaded = load(dump(venue.state))
    assert list(loaded.unprinted) == [OPEN_AT + MINUTE, OPEN_AT + 2 * MINUTE]
    closes, opens = loaded.unprinted[OPEN_AT + 2 * MINUTE]
    assert opens is loaded.live and closes is loaded.unprinted[OPEN_AT + MINUTE][1]


@pytest.mark.parametrize("blob", [b"", b"\x90", b"not a snapshot", msgspec.msgpack.encode([1, 2, 3])])
def test_what_is_no_snapshot_is_refused(blob: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, ValueError)):
        load(blob)


def test_another_format_is_refused() -> None:
    fields = msgspec.msgpack.decode(dump(Venue().state))
    fields[0] = 99
    with pytest.raises(ValueError, match="format 99"):
        load(msgspec.msgpack.encode(fields))
