"""Golden journals: how they lie on disk, and their re-execution with the engine of today.

A file is gzipped JSON lines: a head that says what it is, one `[ts, command, events]` a command, and a foot with what
the whole came to. Knows the engine and the hash chain, nothing else of the venue, so that any Python with msgspec can
run it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import msgspec

from raeth.engine import codec, snapshot
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import apply, new_state
from raeth.engine.snapshot import state_hash
from raeth.engine.state import State
from raeth.engine.types import ENGINE_VERSION, ENGINES_CONTINUED, Order
from raeth.journal.base import EMPTY_HEAD, Row
from raeth.journal.chain import head_of, next_row

JOURNALS: Final = Path(__file__).resolve().parent / "journals"
NOTE: Final = "synthetic: made by tests.golden.make, nobody ever traded this"


class Head(msgspec.Struct):
    """What a file says of itself."""

    name: str
    note: str
    engine_version: int


class Foot(msgspec.Struct):
    """What the journal came to. `states` holds the state's digest by `digest_key`: what a state is made of may change
    with a new engine or a new form of snapshots, and then adds its own."""

    commands: int
    chain_head: str
    states: dict[str, str]


class Golden(msgspec.Struct):
    """A journal as it was written once; bytes are those of the day it was made."""

    head: Head
    rows: list[tuple[int, bytes, bytes]]
    foot: Foot


class HistoryAltered(Exception):
    """The engine of today does not give what the journal holds; `seq` is the first command that shows it."""

    def __init__(self, name: str, seq: int, why: str) -> None:
        super().__init__(f"{name}, seq {seq}: {why}")
        self.seq = seq
        self.why = why


def digest_key() -> str:
    return f"engine {ENGINE_VERSION}, snapshot {snapshot.FORMAT}"


_Line = tuple[int, msgspec.Raw, msgspec.Raw]


def write(path: Path, golden: Golden) -> None:
    lines = [msgspec.json.encode(golden.head)]
    lines += [b"[%d,%b,%b]" % row for row in golden.rows]
    lines.append(msgspec.json.encode(golden.foot))
    path.parent.mkdir(exist_ok=True)
    # No file name and no time inside: the same journal gives the same file.
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", 9, mtime=0))


def read(path: Path) -> Golden:
    lines = gzip.decompress(path.read_bytes()).splitlines()
    decoder = msgspec.json.Decoder(_Line)
    rows = [(ts, bytes(command), bytes(events)) for ts, command, events in map(decoder.decode, lines[1:-1])]
    return Golden(msgspec.json.decode(lines[0], type=Head), rows, msgspec.json.decode(lines[-1], type=Foot))


def files() -> list[Path]:
    return sorted(JOURNALS.glob("*.jsonl.gz"))


def continued(golden: Golden) -> bool:
    """Whether the engine of today promises to re-execute it. Of any other only the chain can be checked."""
    return golden.head.engine_version in ENGINES_CONTINUED


def execute(name: str, commands: Iterable[tuple[int, cmd.Command]], state: State | None = None) -> Golden:
    """Make a journal: the commands, carried out by the engine of today, on a new `state` that they may look at."""
    state, head = state or new_state(), EMPTY_HEAD
    rows: list[tuple[int, bytes, bytes]] = []
    for ts, command in commands:
        done = apply(state, command, head.seq + 1, ts)
        row = next_row(head, ts, codec.encode_command(command), codec.encode_events(done))
        head = head_of(row)
        rows.append((ts, row.command, row.events))
    foot = Foot(head.seq, head.hash.hex(), {digest_key(): state_hash(state)})
    return Golden(Head(name, NOTE, ENGINE_VERSION), rows, foot)


def chain(golden: Golden) -> list[Row]:
    """The rows with their hashes. Raises HistoryAltered if the file itself is not what was written."""
    rows: list[Row] = []
    head = EMPTY_HEAD
    for ts, command, events in golden.rows:
        row = next_row(head, ts, command, events)
        head = head_of(row)
        rows.append(row)
    if (head.seq, head.hash.hex()) != (golden.foot.commands, golden.foot.chain_head):
        raise HistoryAltered(
            golden.head.name, head.seq, "the file is not the one that was made: its chain ends elsewhere"
        )
    return rows


def replay(golden: Golden) -> str:
    """Re-execute it: every event's bytes, the chain and the state. Returns the state's digest, or raises
    HistoryAltered."""
    name = golden.head.name
    state, head = new_state(), EMPTY_HEAD
    for seq, (ts, command_bytes, events) in enumerate(golden.rows, 1):
        try:
            command = codec.decode_command(command_bytes)
            done = codec.encode_events(apply(state, command, seq, ts))
        except Exception as error:
            raise HistoryAltered(name, seq, f"cannot be re-executed: {type(error).__name__}: {error}") from error
        if done != events:
            raise HistoryAltered(name, seq, f"{type(command).__name__} {difference(events, done)}")
        head = head_of(next_row(head, ts, command_bytes, done))
    if head.hash.hex() != golden.foot.chain_head:
        raise HistoryAltered(name, head.seq, "the hash chain ends elsewhere")
    digest = state_hash(state)
    known = golden.foot.states.get(digest_key())
    if known is None:
        raise HistoryAltered(name, head.seq, f"no digest for {digest_key()}: python -m tests.golden.make adds it")
    if digest != known:
        raise HistoryAltered(name, head.seq, f"equal events, but the state's digest is {digest}, not {known}")
    return digest


def difference(expected: bytes, found: bytes) -> str:
    """The first event, and in it the first field, in which two lists of events differ."""
    old, new = msgspec.json.decode(expected), msgspec.json.decode(found)
    for place, (one, other) in enumerate(zip_longest(old, new)):
        if one == other:
            continue
        if one is None or other is None:
            what, event = ("one too few", one) if other is None else ("one too many", other)
            return f"gives {len(new)} events, not {len(old)}: {what}, {event[0]} at place {place}"
        if one[0] != other[0]:
            return f"gives {other[0]} as event {place}, not {one[0]}"
        return f"event {place}, {one[0]}: {_field(getattr(ev, one[0], None), one[1:], other[1:])}"
    return "gives the same events in other bytes"


def _field(kind: Any, old: Sequence[Any], new: Sequence[Any]) -> str:
    names = kind.__struct_fields__ if kind is not None else ()
    for place, (one, other) in enumerate(zip_longest(old, new, fillvalue="nothing")):
        if one == other:
            continue
        name = names[place] if place < len(names) else f"field {place}"
        if name == "order" and isinstance(one, list) and isinstance(other, list):
            return f"order.{_field(Order, one, other)}"
        return f"{name} is {other!r}, not {one!r}"
    return "the same values in another form"
