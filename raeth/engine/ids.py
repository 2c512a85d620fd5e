"""Identifiers. An entity is named by where it was made: journal `seq` and its place `n` in that command.

Inside the venue an id is one integer, `seq << 20 | n`. On the wire it is a UUID (RFC 9562, version 8) that
adds the venue's birth stamp in front, so ids of different venues differ and ids of one venue sort by time.
The mapping is a bijection; no table is needed and nothing secret is in it.
"""

from __future__ import annotations

N_BITS = 20
N_MAX = (1 << N_BITS) - 1
SEQ_MAX = (1 << 43) - 1

_LOW_BITS = 62
_LOW_MASK = (1 << _LOW_BITS) - 1
_VARIANT = 0b10 << _LOW_BITS


def make_id(seq: int, n: int) -> int:
    """The id of the `n`-th entity made by command `seq`. `1 <= seq <= 2^43 - 1`, `0 <= n < 2^20`."""
    assert 0 < seq <= SEQ_MAX and 0 <= n <= N_MAX
    return seq << N_BITS | n


def seq_of(entity_id: int) -> int:
    """The journal `seq` that made the entity."""
    return entity_id >> N_BITS


def to_uuid(venue_ms: int, entity_id: int) -> str:
    """The public form of an id, for the venue born at `venue_ms` (epoch milliseconds)."""
    head = f"{venue_ms:012x}"
    tail = f"{_VARIANT | entity_id & _LOW_MASK:016x}"
    return f"{head[:8]}-{head[8:]}-8{entity_id >> _LOW_BITS:03x}-{tail[:4]}-{tail[4:]}"


def from_uuid(venue_ms: int, text: str) -> int | None:
    """The id behind a public UUID, or None when this venue cannot have made it."""
    digits = text.replace("-", "").lower()
    if len(digits) != 32 or len(text) not in (32, 36):
        return None
    try:
        value = int(digits, 16)
    except ValueError:
        return None
    entity_id = ((value >> 64) & 0xFFF) << _LOW_BITS | value & _LOW_MASK
    if entity_id >> N_BITS > SEQ_MAX:
        return None
    return entity_id if to_uuid(venue_ms, entity_id).replace("-", "") == digits else None
