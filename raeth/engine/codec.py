"""Bytes of commands and events, as the journal keeps them: compact JSON arrays, the class name first.

The same value always gives the same bytes; a field may be appended to a struct, never moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from raeth.engine.commands import AnyCommand, Command
from raeth.engine.events import AnyEvent, Event

_encoder = msgspec.json.Encoder()
_command = msgspec.json.Decoder(AnyCommand)
_events = msgspec.json.Decoder(list[AnyEvent])


def encode_command(command: Command) -> bytes:
    return _encoder.encode(command)


def encode_events(events: Sequence[Event]) -> bytes:
    return _encoder.encode(events)


def decode_command(data: bytes) -> Command:
    """Raises msgspec.ValidationError or DecodeError on bytes this version did not write."""
    command: Command = _command.decode(data)
    return command


def decode_events(data: bytes) -> list[Event]:
    """Raises msgspec.ValidationError or DecodeError on bytes this version did not write."""
    return list(_events.decode(data))
