"""One thread that owns one database connection: the event loop hands it closures, one hop each.

Must not know SQL. A job that was handed over always runs to its end, even if the task that waits for it is cancelled,
and jobs run in the order they were handed over; both are what makes cancellation safe for the journal.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread, get_native_id
from typing import Any, ParamSpec, TypeVar

PATIENCE = 10
"""How nice a thread is that stands back."""

P = ParamSpec("P")
T = TypeVar("T")

_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]"]
_Job = tuple[_Waiter | None, Callable[[], Any]]


class Worker:
    """A named thread working off a queue. Its callers bound the queue: each waits for its own job."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # A daemon: a venue that crashed must not be kept alive by a thread that waits for it.
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call` on the thread; its result or its exception. Cancelling gives up the wait, not the work."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(((loop, future), lambda: call(*args, **kwargs)))
        return await future

    def post(self, call: Callable[[], object]) -> None:
        """Run `call` after everything handed over before; nobody waits for it, so it must not raise."""
        self._jobs.put((None, call))

    async def stand_back(self) -> None:
        """Let the thread run when no other wants to, where the system can tell threads apart."""
        with suppress(OSError):
            await self.run(lambda: os.setpriority(os.PRIO_PROCESS, get_native_id(), PATIENCE))

    def stop(self) -> None:
        """End the thread after the jobs it already has, and wait for it."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            waiter, call = job
            result, error = None, None
            try:
                result = call()
            except BaseException as caught:  # whatever it is belongs to the one who waits
                error = caught
            if waiter is not None:
                _answer(waiter, result, error)
            # While this thread idles it must keep nothing alive.
            del job, waiter, call, result, error


def _answer(waiter: _Waiter, result: object, error: BaseException | None) -> None:
    loop, future = waiter
    with suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
        loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
