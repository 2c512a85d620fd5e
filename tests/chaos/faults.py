"""What goes wrong, when: drawn from a seed, done to nodes and database, and kept as a trace with the times it took.

Several things go wrong at once: a fault that takes a while does not hold up the next one. Must not know load or checks.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg

from tests.chaos.fleet import Node, Target, Worker
from tests.postgres import Server

PAUSE_S = (0.1, 1.5)
"""Between the beginnings of two faults."""
DOWN_S = (0.0, 1.5)
"""What a node or the database stays away for, besides the time it takes to start."""
STOPPED_S = (0.5, 6.0)


@dataclass(slots=True)
class Fault:
    """Epoch milliseconds, by the one clock of this machine; it ends when what it was done to works again."""

    kind: str
    target: str
    began_ms: int
    ended_ms: int | None = None
    detail: str = ""

    def line(self, zero_ms: int) -> str:
        ended = "…" if self.ended_ms is None else f"{(self.ended_ms - zero_ms) / 1000:7.2f}"
        return f"{(self.began_ms - zero_ms) / 1000:7.2f} to {ended} s  {self.kind:9} {self.target} {self.detail}"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Chaos:
    """The faults of one run. `bag` are the kinds in the proportion in which they come, in a new order every time."""

    rng: random.Random
    bag: tuple[str, ...]
    targets: Sequence[Node] | Sequence[Worker]
    server: Server | None = None
    database: str = ""
    """Of the venue, on `server`."""
    trace: list[Fault] = field(default_factory=list)
    bags: int = 0
    _kinds: list[str] = field(default_factory=list)
    _database_troubled: bool = False
    _killed: int = 0

    @property
    def counts(self) -> Counter[str]:
        return Counter(fault.kind for fault in self.trace)

    def story(self) -> str:
        zero_ms = self.trace[0].began_ms if self.trace else 0
        return "\n".join(fault.line(zero_ms) for fault in self.trace)

    async def run(self, seconds: float, lull: Callable[[], Awaitable[None]]) -> None:
        """At least two bags of faults and at least so long, a `lull` after each bag; ends when all works again."""
        until_s = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            while self.bags < 2 or time.monotonic() < until_s:
                self._kinds = self.rng.sample(self.bag, len(self.bag))
                while self._kinds:
                    await asyncio.sleep(self.rng.uniform(*PAUSE_S))
                    if (fault := self._next()) is not None:
                        group.create_task(fault)
                await lull()
                self.bags += 1

    def _next(self) -> Coroutine[None, None, None] | None:
        """The next fault of the bag; None when what it could be done to is in trouble already: then it comes later."""
        kind = self._kinds.pop()
        detail = self.rng.random()
        if kind in ("kill", "stop"):
            free = [target for target in self.targets if not target.troubled]
            # While all are killed there is nothing to learn but how long a start takes.
            last_alive = kind == "kill" and self._killed == len(self.targets) - 1
            if free and not last_alive:
                target: Target = self.rng.choice(free)
                target.troubled = True
                self._killed += kind == "kill"
                bounds = DOWN_S if kind == "kill" else STOPPED_S
                return self._on_node(kind, target, self._kill if kind == "kill" else self._stop, bounds)
        elif kind == "terminate":
            return self._terminate(detail)
        elif not self._database_troubled:
            self._database_troubled = True
            return self._restart(kind, self.rng.uniform(*DOWN_S))
        self._kinds.insert(0, kind)  # later
        return None

    def _begin(self, kind: str, target: str, detail: str) -> Fault:
        fault = Fault(kind, target, now_ms(), detail=detail)
        self.trace.append(fault)
        return fault

    async def _on_node(
        self,
        kind: str,
        target: Target,
        work: Callable[[Target, float], Awaitable[None]],
        bounds: tuple[float, float],
    ) -> None:
        seconds = self.rng.uniform(*bounds)
        fault = self._begin(kind, target.name, f"for {seconds:.2f} s")
        await work(target, seconds)
        fault.ended_ms = now_ms()
        self._killed -= kind == "kill"
        target.troubled = False

    async def _kill(self, target: Target, seconds: float) -> None:
        if isinstance(target, Worker):
            await asyncio.to_thread(target.kill)
            return
        assert isinstance(target, Node)
        await asyncio.to_thread(target.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(target.start)

    async def _stop(self, target: Target, seconds: float) -> None:
        assert isinstance(target, Node)
        target.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            target.resume()

    async def _restart(self, kind: str, seconds: float) -> None:
        assert self.server is not None
        fault = self._begin(kind, "database", f"for {seconds:.2f} s")
        await asyncio.to_thread(lambda: self.server.stop(crash=kind == "crash"))  # type: ignore[union-attr]
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.server.start)
        fault.ended_ms = now_ms()
        self._database_troubled = False

    async def _terminate(self, share: float) -> None:
        """End about this share of the sessions; of the writing ones too, in the middle of what they do."""
        assert self.server is not None
        fault = self._begin("terminate", "sessions", f"{share:.0%} of them")
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # the database may go meanwhile
            ended = await asyncio.to_thread(self.server.execute, _TERMINATE, self.database, share)
            fault.detail += f": {ended[0][0]}"
        fault.ended_ms = now_ms()


_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = $1 AND pid <> pg_backend_pid() AND random() < $2::float8
"""
