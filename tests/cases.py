"""Many cases in one test: for those that change nothing, so that all of them can share what is costly to set up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*shown: object) -> Iterator[None]:
    """What fails in here says which case it was."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the case {', '.join(f'{one!r:.300}' for one in shown)}")
        raise
