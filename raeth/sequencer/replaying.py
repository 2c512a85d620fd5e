"""From durable rows to a state: at start, after a failure, and behind other nodes. Must not know who writes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from raeth.engine import snapshot
from raeth.engine.codec import decode_command, encode_events_into
from raeth.engine.commands import Command
from raeth.engine.events import Event
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
    again = bytearray()
    with _no_collector():
        while rows := await journal.read(state.seq):
            head = verify(rows, head)
            for row in rows:
                _redo(state, row, again)
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
    return Committed(row.seq, row.ts, *_redo(state, row, bytearray(1_024)))


def _redo(state: State, row: Row, again: bytearray) -> tuple[Command, list[Event]]:
    """What `replay` does; `again` is room for the bytes of the events."""
    seq, ts, stored, told, _ = row
    try:
        command = decode_command(stored)
        events = apply(state, command, seq, ts)
    except Exception as error:
        raise JournalDamaged(seq, f"its command cannot be applied: {type(error).__name__}: {error}") from error
    encode_events_into(events, again)
    if again != told:
        raise JournalDamaged(seq, "this engine gives other events than the journal holds")
    return command, events
