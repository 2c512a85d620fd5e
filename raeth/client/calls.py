"""Calls: as many attempts as patience allows, and what is known when it runs out.

A call knows whether an attempt of it may have been carried out although nobody said so (`in_doubt`), and whether one
may even still be on its way (`straggling`). What follows from that depends on what was asked, and is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

from raeth.client.errors import Disconnected, Uncertain, VenueError
from raeth.client.retry import Lost, Patience, is_passing, leaves_doubt
from raeth.client.transport import Answer, Request, Transport, decode

T = TypeVar("T")

Failure = VenueError | Lost


class Call:
    """One request, sent until there is an answer to it."""

    def __init__(self, transport: Transport, request: Request, patience: Patience) -> None:
        self._transport = transport
        self._request = request
        self._patience = patience
        self.in_doubt = False
        self.straggling = False

    async def answer(
        self,
        renew: Callable[[], None] | None = None,
        found: Callable[[], Awaitable[Answer | None]] | None = None,
    ) -> Answer:
        """The answer. `renew` is called before every attempt; `found` before one that follows a doubtful one, and may
        find the answer in another way. Raises the last failure, VenueError or Lost."""
        while True:
            if renew is not None:
                renew()
            try:
                if self.in_doubt and found is not None and (known := await found()) is not None:
                    return known
                return await self._transport.attempt(self._request, self._transport.timeout_s)
            except VenueError as error:
                self.in_doubt |= leaves_doubt(error)
                wait_s = self._patience.wait_s(error.retry_after_s) if is_passing(error) else None
                if wait_s is None:
                    raise
            except Lost as error:
                self.in_doubt |= error.sent
                self.straggling |= error.sent
                wait_s = self._patience.wait_s()
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)


class Caller:
    """Calls with one credential to one venue."""

    def __init__(self, transport: Transport, patience_s: float) -> None:
        self._transport = transport
        self.patience_s = patience_s

    @property
    def url(self) -> str:
        return self._transport.url

    def _call(self, request: Request, patience_s: float | None = None) -> Call:
        return Call(self._transport, request, Patience(self.patience_s if patience_s is None else patience_s))

    async def _read(self, kind: type[T], path: str, **params: Any) -> T:
        """A read: it changes nothing, so no failure leaves anything in doubt."""
        return await self._ask_freely(kind, Request("GET", path, params=params or None))

    async def _ask_freely(self, kind: type[T], request: Request) -> T:
        """A request that may be carried out any number of times."""
        try:
            return decode(kind, await self._call(request).answer())
        except Lost as lost:
            raise Disconnected(str(lost)) from lost

    async def _ask(
        self,
        kind: type[T],
        request: Request,
        resolve: Callable[[], Awaitable[T]] | None = None,
    ) -> T:
        """A request that may be repeated, but whose outcome matters."""
        call = self._call(request)
        try:
            return decode(kind, await call.answer())
        except (VenueError, Lost) as failure:
            give_up(call, failure, resolve=resolve)


def unfulfilled(failure: Failure, note: str = "") -> VenueError | Disconnected:
    """What to raise when it is certain that nothing was done."""
    if isinstance(failure, VenueError):
        return failure
    return Disconnected(f"{failure}; nothing was done{note}")


def give_up(
    call: Call,
    failure: Failure,
    client_order_id: str | None = None,
    resolve: Callable[[], Awaitable[Any]] | None = None,
) -> NoReturn:
    """Raise what a call that failed comes to when nobody can be asked what became of it."""
    if isinstance(failure, VenueError) and (failure.http < 500 and failure.http != 429):
        raise failure
    if not call.in_doubt:
        raise unfulfilled(failure) from failure
    raise Uncertain(f"{failure}; it may have been done", client_order_id, resolve) from failure
