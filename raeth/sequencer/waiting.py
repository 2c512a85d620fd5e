"""Commands that wait for their turn, and callers that wait for news. Must not know who writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from raeth.engine.commands import Command
from raeth.engine.events import Event
from raeth.engine.state import State
from raeth.errors import Code, RaethError
from raeth.idempotency import IdemKey, Outcome, Request
from raeth.journal.base import Journal, JournalDamaged, JournalUnavailable, Write

T = TypeVar("T")

Writes = Sequence[Write] | Callable[[list[Event]], Sequence[Write]]

Needed = Callable[[State, int], bool]
"""Whether a command still has something to do, asked under the lock with the state and the stamp it would have."""


class Waits(Protocol):
    """Who waits for an outcome: a future, or whoever needs none of its services.

    It is told once, on the loop's thread, as soon as the batch is durable and before the listeners; it must be quick
    and must not raise. While `done` is true it is not told at all."""

    def done(self) -> bool: ...

    def set_result(self, outcome: Outcome, /) -> None: ...

    def set_exception(self, error: RaethError, /) -> None: ...


class Item(Request):
    """One waiting command. `writes` may be a function of the command's events (ids are only known then)."""

    __slots__ = ("done", "error", "needed", "outcome", "writes")

    def __init__(
        self,
        done: Waits,
        command: Command | None,
        keys: Sequence[IdemKey] = (),
        writes: Writes = (),
        needed: Needed | None = None,
    ) -> None:
        super().__init__(command, keys)
        self.done = done
        self.writes = writes
        self.needed = needed
        self.outcome: Outcome | None = None
        self.error: RaethError | None = None


def item_of(command: Command) -> Item:
    return Item(asyncio.get_running_loop().create_future(), command)


def join(batch: list[Item], queue: list[Item], most: int) -> list[Item]:
    """Extend `batch` by what stands in `queue`, up to the first with keys, which nobody has looked up; the rest."""
    count, room = 0, min(len(queue), most - len(batch))
    while count < room and not queue[count].keys:
        count += 1
    if not count:
        return queue
    batch += queue[:count]
    return queue[count:]


def release(waiting: list[asyncio.Future[None]], error: RaethError | None) -> None:
    for caught in waiting:
        if caught.done():
            continue
        if error is None:
            caught.set_result(None)
        else:
            caught.set_exception(error)


async def answer(batch: list[Item], journal: Journal) -> None:
    """Give every caller its outcome; replayed orders are read back from the journal they are durable in."""
    for item in batch:
        if item.done.done():
            continue
        told, error = None, item.error
        if error is None and not item.replays:
            assert item.outcome is not None
            told = item.first_answer(item.outcome)
        elif error is None:
            try:
                told = await item.answer(item.outcome, journal)
            except (JournalUnavailable, JournalDamaged):
                error = RaethError(Code.SERVICE_DEGRADED)
        if item.done.done():
            continue  # the caller hung up while its first answer was read back
        if told is not None:
            item.done.set_result(told)
        else:
            assert error is not None
            item.done.set_exception(error)


def fail(batch: list[Item]) -> None:
    for item in batch:
        if not item.done.done():
            item.done.set_exception(RaethError(Code.SERVICE_DEGRADED))


async def unless(other: asyncio.Future[Any] | None, work: Awaitable[T]) -> T | None:
    """What `work` gives; None, and nobody waits for it any longer, if `other` is done first."""
    if other is None:
        return await work
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.wait((doing, other), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        doing.cancel()
