"""Virtual time: an event loop without threads, sockets or a clock of its own, and the venue's clock on top of it.

Everything that happens in a simulated life is one handle after the other, in an order that the seed alone decides. The
loop can die between any two of them, which is what a crash is. Must not know what runs on it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from random import Random
from typing import Any

NEVER = 1 << 62
HANDLES_MAX = 1_000_000
"""A life that runs more handles than this spins."""


class Crashed(BaseException):
    """The process died here: nothing more of this life runs."""


class Stuck(Exception):
    """Nothing is ready and nothing is scheduled: somebody waits for what never comes."""


class SimLoop(asyncio.BaseEventLoop):
    """Runs ready handles in the order asyncio promises, or with `shuffled` in any; time moves when nothing is ready.

    `die_at` is the count of handles after which the process dies.
    """

    def __init__(self, random: Random, now_s: float, *, shuffled: bool) -> None:
        super().__init__()
        self._now_s = now_s
        self._random = random
        self._shuffled = shuffled
        self.handles = 0
        self.die_at = NEVER
        self.accidents: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _loop, context: self.accidents.append(context))

    def time(self) -> float:
        return self._now_s

    def stall(self, seconds: float) -> None:
        """Time passes and nothing runs: the machine was busy elsewhere, or suspended."""
        self._now_s += seconds

    def die_after(self, handles: int) -> None:
        self.die_at = min(self.die_at, self.handles + handles)

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        timers: Any = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not ready:
            if not timers:
                raise Stuck("nothing is left to run")
            if timers[0]._when > self._now_s:
                self._now_s = timers[0]._when
        while timers and timers[0]._when <= self._now_s:
            handle = heapq.heappop(timers)
            handle._scheduled = False
            if not handle._cancelled:
                ready.append(handle)
        if not ready:
            return
        if self.handles >= self.die_at:
            raise Crashed
        if self._shuffled and len(ready) > 1:
            ready.rotate(-int(self._random.random() * len(ready)))
        handle = ready.popleft()
        if handle._cancelled:
            return
        self.handles += 1
        if self.handles > HANDLES_MAX:
            raise Stuck("a life without end: something spins")
        handle._run()

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector, so nobody has to be woken."""

    def bury(self) -> None:
        """Unwind what was running when the process died. The journal is dead by now: nothing of this has an effect."""
        self.die_at = NEVER
        self._shuffled = False
        for _ in range(20):
            tasks = [task for task in asyncio.all_tasks(self) if not task.done()]
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.wait(tasks, timeout=1.0))
        else:
            raise AssertionError(f"tasks that cannot be cancelled: {tasks}")
        self.close()


class SimClock:
    """The machine's clock: virtual time, plus what it was set wrong by."""

    speed = 1.0

    def __init__(self, base_ms: int) -> None:
        self.base_ms = base_ms
        self.offset_ms = 0
        self.monotonic_s: Callable[[], float] = lambda: 0.0

    def now_ms(self) -> int:
        return self.base_ms + self.offset_ms + int(self.monotonic_s() * 1000)

    async def sleep_until(self, ts_ms: int) -> None:
        while (left_ms := ts_ms - self.now_ms()) > 0:
            await asyncio.sleep(left_ms / 1000)
