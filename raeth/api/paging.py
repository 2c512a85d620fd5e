"""One page of a list: the cursor in, the items and the next cursor out. Must not know what is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from raeth.store import cursors
from raeth.store.cursors import Keyset

T = TypeVar("T")


def list_name(kind: str, **filters: Any) -> str:
    """What a list's cursors are bound to: the same list with other filters is another list."""
    return kind + "".join(f"|{name}={value}" for name, value in sorted(filters.items()) if value is not None)


def before(name: str, cursor: str | None, size: int = 1) -> Keyset | None:
    """Where to go on, or None at the start. Raises INVALID_CURSOR."""
    return None if cursor is None else cursors.decode(name, cursor, size)


def page(name: str, items: Iterable[T], going_on: Keyset | None, show: Callable[[T], Any]) -> dict[str, Any]:
    return {
        "items": [show(item) for item in items],
        "next_cursor": None if going_on is None else cursors.encode(name, going_on),
    }
