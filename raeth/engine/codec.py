"""Bytes of commands and events, as the journal keeps them: compact JSON arrays, the class name first.

The same value always gives the same bytes; a field may be appended to a struct, never moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from raeth.engine.commands import AnyCommand, Command
from raeth.engine.events import AnyEvent, Event

_encoder = msgspec.json.Encoder()
_command = msgspec.json.Decoder(AnyCommand)
_events = msgspec.json.Decoder(list[AnyEvent])

encode_command: Callable[[Command], bytes] = _encoder.encode
encode_events: Callable[[Sequence[Event]], bytes] = _encoder.encode
encode_events_into: Callable[[Sequence[Event], bytearray], None] = _encoder.encode_into
"""Replaces what the buffer holds. For bytes that are only looked at, this saves making an object of them."""

decode_command: Callable[[bytes], Command] = _command.decode
"""Raises msgspec.ValidationError or DecodeError on bytes this version did not write."""


def decode_events(data: bytes) -> list[Event]:
    """Raises msgspec.ValidationError or DecodeError on bytes this version did not write."""
    return list(_events.decode(data))
