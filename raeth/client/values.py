"""What all answers of a venue share: immutable, strictly typed values, and pages of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

Side = Literal["BUY", "SELL"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(iso: str) -> int:
    """Epoch milliseconds of a time on the wire, exactly."""
    return (datetime.fromisoformat(iso) - _EPOCH) // timedelta(milliseconds=1)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What all answers share."""

    def to_dict(self) -> dict[str, Any]:
        """The value as plain dictionaries, lists, strings and integers."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain


class Page(Model, Generic[T], frozen=True, kw_only=True):
    """One page of a list, newest first unless the method says otherwise; `next_cursor` is None on the last one."""

    items: tuple[T, ...]
    next_cursor: str | None = None
    seq: int | None = None

    def __len__(self) -> int:
        return len(self.items)
