"""From durable rows to a state: at start, after a failure, and behind other nodes. Must not know who writes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from raeth.engine import codec, snapshot
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import State
from raeth.engine.types import ENGINE_VERSION
from raeth.journal.base import EMPTY_HEAD, Head, Journal, JournalDamaged, Row
from raeth.journal.chain import verify
from raeth.sequencer.following import Committed


class Replayed(NamedTuple):
    """`head` is the row `state` is at, `snapshot_seq` the snapshot it began from (0: none)."""

    state: State
    head: Head
    snapshot_seq: int


async def replayed(journal: Journal) -> Replayed:
    """The venue as the journal has it, from the newest snapshot on, every row after it verified.

    Raises JournalDamaged or JournalUnavailable."""
    state, head = new_state(), EMPTY_HEAD
    saved = await journal.latest_snapshot()
    if saved is not None and saved.engine_version == ENGINE_VERSION:
        state = snapshot.load(saved.blob)
        head = Head(saved.seq, state.ts, saved.hash)
    snapshot_seq = head.seq
    with _no_collector():
        while rows := await journal.read(state.seq):
            head = verify(rows, head)
            for row in rows:
                replay(state, row)
            await asyncio.sleep(0)
    return Replayed(state, head, snapshot_seq)


@contextmanager
def _no_collector() -> Iterator[None]:
    """What a history leaves behind is no garbage: to look for some all along takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def replay(state: State, row: Row) -> Committed:
    """Apply a durable row. Raises JournalDamaged if it does not give the events that are stored with it."""
    try:
        command = codec.decode_command(row.command)
        events = apply(state, command, row.seq, row.ts)
    except Exception as error:
        raise JournalDamaged(row.seq, f"its command cannot be applied: {type(error).__name__}: {error}") from error
    if codec.encode_events(events) != row.events:
        raise JournalDamaged(row.seq, "this engine gives other events than the journal holds")
    return Committed(row.seq, row.ts, command, events)
