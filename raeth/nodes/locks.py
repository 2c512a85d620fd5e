"""What a role is held by: nothing at all, a file of this machine, or a session of the venue's PostgreSQL.

Whoever dies loses its locks at once, by the system's doing or the database's. Who is stopped (SIGSTOP, a suspended
machine) loses those of a PostgreSQL after two seconds, and those of a file not at all. Must not know what they are for.

    Exception
    └── LocksUnavailable    the database that keeps the locks cannot be reached
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

log = structlog.get_logger("raeth.nodes")

FILE_POLL_S: Final = 0.1
"""How often a file that another process holds is tried again."""

POLL_S: Final = 0.5
"""The same for a lock of the database."""

IDLE_LIMIT_S: Final = 2.0
"""The database ends a session that says nothing for so long, and its lock with it."""

PING_S: Final = 0.5
PING_TIMEOUT_S: Final = 1.0
"""Together below `IDLE_LIMIT_S`: whoever is cut off from the database knows it before anybody else has the lock."""

SURE_S: Final = 1.75
"""Since the last question that was answered, within which the lock cannot have gone to anybody else."""

CONNECT_TIMEOUT_S: Final = 5.0
RETRY_S: Final = 0.5
"""Pause before the database is asked for a session again."""


class LocksUnavailable(Exception):
    """The database that keeps the locks cannot be reached, or refuses. The text says why."""


class Lease(Protocol):
    """A lock that is held. `release` it in the end, whatever became of it."""

    async def lost(self) -> None:
        """Return when it is not held any more."""
        ...

    async def confirmed(self) -> None:
        """Return when it is certain to be held now: at once, unless this process was away for a while."""
        ...

    async def release(self) -> None:
        """Let it go. Harmless the second time, and when it is lost."""
        ...


class Locks(Protocol):
    """Where locks come from; a lock of the same name is held by one process at a time."""

    async def acquire(self, name: str) -> Lease:
        """Wait until it is free and take it, through all troubles of whatever keeps it."""
        ...

    async def try_acquire(self, name: str) -> Lease | None:
        """Take it if it is free. Raises LocksUnavailable."""
        ...


@contextlib.asynccontextmanager
async def holding(locks: Locks, name: str) -> AsyncIterator[Lease]:
    """Wait for a lock and hold it. Raises LocksUnavailable where it cannot even be asked for."""
    lease = await locks.try_acquire(name) or await locks.acquire(name)
    try:
        yield lease
    finally:
        await lease.release()


class SoleLease:
    """Nobody else is there to take it."""

    async def lost(self) -> None:
        await asyncio.Event().wait()

    async def confirmed(self) -> None:
        return

    async def release(self) -> None:
        return


class SoleLocks:
    """Of a venue that is one process: whoever holds the data dir holds everything."""

    async def acquire(self, name: str) -> Lease:
        return SoleLease()

    async def try_acquire(self, name: str) -> Lease | None:
        return SoleLease()


class FileLease(SoleLease):
    """A locked file: held as long as the process lives, running or stopped."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    async def release(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


class FileLocks:
    """Of processes that share one directory of one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def acquire(self, name: str) -> Lease:
        while (lease := await self.try_acquire(name)) is None:
            await asyncio.sleep(FILE_POLL_S)
        return lease

    async def try_acquire(self, name: str) -> Lease | None:
        handle = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return FileLease(handle)


class SessionLease:
    """A lock of a PostgreSQL session: as long as the session answers, it is held."""

    def __init__(self, connection: Any, asked_s: float) -> None:
        """`asked_s`: when the lock was asked for."""
        self._connection = connection
        self._answered_s = asked_s
        """When the last question was asked that was answered: from then on the database waits for another."""
        self._heard = asyncio.Condition()
        self._lost = asyncio.Event()
        self._released = asyncio.Event()
        self._pinging = asyncio.create_task(self._ping(), name="lock")

    async def _ping(self) -> None:
        try:
            while not self._released.is_set():
                asked_s = _uptime_s()
                async with asyncio.timeout(PING_TIMEOUT_S):
                    await self._connection.fetchval("SELECT 1")
                self._answered_s = asked_s
                async with self._heard:
                    self._heard.notify_all()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._released.wait(), PING_S)
        except Exception as trouble:  # the session's end has many names, and one meaning
            log.warning("a lock was lost", error=said(trouble))
        finally:
            # A session of which we do not know whether it lives must not keep the lock from others.
            self._connection.terminate()
            self._lost.set()

    async def lost(self) -> None:
        await self._lost.wait()

    async def confirmed(self) -> None:
        """Never returns once the lock is lost: whoever waits is about to be cancelled."""
        while _uptime_s() - self._answered_s > SURE_S or self._lost.is_set():
            async with self._heard:
                await self._heard.wait()

    async def release(self) -> None:
        # A question under way is heard out: a session cut off in the middle of one would live on for a while.
        self._released.set()
        await asyncio.gather(self._pinging, return_exceptions=True)


class SessionLocks:
    """Of nodes that share a PostgreSQL (14 or newer). Each lock is a session of its own: not through a pooler that
    hands sessions round."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def acquire(self, name: str) -> Lease:
        told = False
        while True:
            try:
                connection = await self._connect(name)
                asked_s = _uptime_s()
                try:
                    while not await _locked(connection, name):
                        await asyncio.sleep(POLL_S)
                        asked_s = _uptime_s()
                except BaseException:
                    connection.terminate()
                    raise
                return SessionLease(connection, asked_s)
            except _troubles() as trouble:
                if not told:
                    log.warning("a lock cannot be asked for", lock=name, error=said(trouble))
                told = True
                await asyncio.sleep(RETRY_S)

    async def try_acquire(self, name: str) -> Lease | None:
        try:
            connection = await self._connect(name)
            asked_s = _uptime_s()
            try:
                free = await _locked(connection, name)
            except BaseException:
                connection.terminate()
                raise
        except _troubles() as trouble:
            raise LocksUnavailable(said(trouble)) from None
        if free:
            return SessionLease(connection, asked_s)
        connection.terminate()
        return None

    async def _connect(self, name: str) -> Any:
        import asyncpg

        settings = {"application_name": f"raeth {name}", "idle_session_timeout": str(int(IDLE_LIMIT_S * 1000))}
        return await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S, server_settings=settings)


async def _locked(connection: Any, name: str) -> bool:
    async with asyncio.timeout(PING_TIMEOUT_S):
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock_number(name)))


def _uptime_s() -> float:
    """The time that really passes, a suspended machine's sleep included where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def lock_number(name: str) -> int:
    """The database's name for a lock: 64 bits, signed, the same on every node."""
    return int.from_bytes(hashlib.sha256(f"raeth/{name}".encode()).digest()[:8], "big", signed=True)


def said(trouble: BaseException) -> str:
    """In one line: a database adds details and hints on lines of their own."""
    return next(iter(str(trouble).splitlines()), "") or type(trouble).__name__


def _troubles() -> tuple[type[Exception], ...]:
    """All that a driver raises when the database is not there, does not answer or does not want us."""
    import asyncpg

    # The last but one is what a session says that was cut off in the middle of its own beginnings.
    return (
        OSError,
        TimeoutError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        ValueError,
    )
