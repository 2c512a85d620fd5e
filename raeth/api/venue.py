"""What the calls work with: one object, made at start-up, that every request carries.

Must not know any call, nor how its parts came to be: whoever starts the process puts them in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any, Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from raeth.api.budgets import Budgets
from raeth.api.credentials import Door
from raeth.api.metrics import Metrics
from raeth.api.openapi import Document
from raeth.api.recent import Recent
from raeth.api.streams.hub import Hub
from raeth.api.views.names import Names
from raeth.clock import Clock, real_now_ms
from raeth.config import Settings
from raeth.errors import Code, RaethError
from raeth.journal.base import Write
from raeth.liquidity.house import House
from raeth.reference.types import ShownReference
from raeth.sequencer import Sequencer
from raeth.store.private import sweep
from raeth.store.queries import Store

P = ParamSpec("P")
T = TypeVar("T")

API_VERSION: Final = "1"

SWEEP_EVERY_MS: Final = 60_000

PASSWORD_THREADS: Final = 2
"""Passwords hashed at once: each takes 64 MiB and most of a core for a moment."""

PASSWORDS_WAITING: Final = 64
"""Passwords being hashed or waiting for it; beyond that the venue says 503 rather than let everybody wait for long."""


class Venue:
    """The running venue as the API sees it; its sequencer has started. `started_real_ms` is when this process began."""

    def __init__(
        self,
        settings: Settings,
        sequencer: Sequencer,
        store: Store,
        clock: Clock,
        reference: ShownReference,
        pepper: bytes,
        admin_token: str | bytes,
        started_real_ms: int | None = None,
        node: str = "node",
        roles: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.settings = settings
        self.sequencer = sequencer
        self.store = store
        self.clock = clock
        self.reference = reference
        self.pepper = pepper
        self.names = Names(sequencer.state.born)
        self.started_real_ms = started_real_ms if started_real_ms is not None else real_now_ms()
        self.node = node
        """What this process is called among the venue's."""
        self.roles = roles
        """What it does now that only one of them does."""
        self.version = metadata.version("raeth")
        self.logs_access = logging.getLogger("raeth.api").isEnabledFor(logging.DEBUG)
        self.budgets = Budgets(settings, sequencer.state.born)
        self.door = Door(self, pepper, admin_token)
        self.metrics = Metrics(self)
        self.recent = Recent(sequencer, store)
        self.passwords = Passwords()
        self.hub = Hub(self)
        self.house: House | None = None
        """The house market maker, once it is at work in this process."""
        self.document: Document | None = None
        """Set by `create_app`."""
        self._swept_real_ms = 0

    def due_sweep(self) -> list[Write]:
        """Forget expired sessions and tickets, at most once a minute, beside a write that happens anyway."""
        now_ms = real_now_ms()
        if now_ms - self._swept_real_ms < SWEEP_EVERY_MS:
            return []
        self._swept_real_ms = now_ms
        return sweep(now_ms)


class Passwords:
    """argon2id off the event loop, a few at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._pool = ThreadPoolExecutor(PASSWORD_THREADS, thread_name_prefix="password")
        self._nobody: str | None = None
        self._waiting = 0

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, password)

    async def matches(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash it is not, after the same work: who exists stays unknown."""
        if self._nobody is None:
            self._nobody = await self.hash("nobody has this one")
        right = await self._run(self._verify, hashed if hashed is not None else self._nobody, password)
        return right and hashed is not None

    async def _run(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        if self._waiting >= PASSWORDS_WAITING:
            raise RaethError(Code.SERVICE_DEGRADED)
        self._waiting += 1
        job = self._pool.submit(work, *arguments, **options)
        # Whoever gives up waiting has not taken the job back.
        ended = asyncio.wrap_future(job)
        ended.add_done_callback(self._count_down)
        return await asyncio.shield(ended)

    def _count_down(self, ended: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not ended.cancelled():
            ended.exception()  # heard, also when nobody waits any more

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False
