"""Roles: work that one process of a venue does at a time, and another one goes on with when that one is gone.

Work begins when the role is taken and is cancelled at once when it is lost. A process that was stopped for longer than
its lock lives does nothing more in that role before it has asked (`Lease.confirmed`); a command it had handed over
before that may still be journaled, so what a role does must be harmless twice. Must not know what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from raeth.nodes.locks import Lease, Locks

log = structlog.get_logger("raeth.nodes")

Work = Callable[[Lease], Awaitable[None]]

SERIES: Final = "series"
"""Brings the reference into the journal: index ticks and prints."""
HOUSE: Final = "house"
"""The house market maker."""


class Roles:
    """The roles of one process. `held` are those it has now, in the order they were taken."""

    def __init__(self, locks: Locks) -> None:
        self.locks = locks
        self._held: dict[str, None] = {}

    @property
    def held(self) -> tuple[str, ...]:
        return tuple(self._held)

    async def keep(self, name: str, work: Work) -> None:
        """Compete for a role until cancelled, and work whenever it is held.

        Work that returns keeps the role from others, until the lock is lost. Raises what the work raises."""
        while True:
            lease = await self.locks.acquire(name)
            self._held[name] = None
            log.info("role taken", role=name)
            try:
                await self._work(lease, work)
            finally:
                self._held.pop(name, None)
                await lease.release()
            log.warning("role lost", role=name)

    async def once(self, name: str, work: Work) -> None:
        """Work once, if nobody has the role now. Raises LocksUnavailable, and what the work raises."""
        lease = await self.locks.try_acquire(name)
        if lease is None:
            return
        try:
            await work(lease)
        finally:
            await lease.release()

    async def _work(self, lease: Lease, work: Work) -> None:
        """Until the lock is lost; raises what the work raises."""
        working = asyncio.ensure_future(work(lease))
        losing = asyncio.ensure_future(lease.lost())
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not losing.done():
                working.result()
                await losing
        finally:
            working.cancel()
            losing.cancel()
            await asyncio.gather(working, losing, return_exceptions=True)
