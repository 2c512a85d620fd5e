"""Hearing of what other nodes append: a session that listens, made again when it breaks, and a look once a second.

Must not know what is done about it. A notification is only a wake-up: it may come too often, and the look makes up for
those that got lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from raeth.journal.base import JournalUnavailable
from raeth.journal.postgres_session import CHANNEL, connect

LOOK_S = 1.0
LOOK_TIMEOUT_S = 5.0
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 1.0

_HEAD = "SELECT head_seq FROM journal_meta ORDER BY transactions DESC LIMIT 1"


async def watch(url: str, own_pid: Callable[[], int], heard: Callable[[], None]) -> None:
    """Call `heard` after each commit that appended, but for those of the session `own_pid()`. Runs until cancelled."""
    pause_s = _PAUSE_MIN_S
    while True:
        try:
            session = await connect(url, "raeth-journal-watcher")
        except JournalUnavailable:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)
            continue
        pause_s = _PAUSE_MIN_S
        try:
            await _listen(session, own_pid, heard)
        except Exception:
            await asyncio.sleep(pause_s)
        finally:
            session.terminate()


async def _listen(session: Any, own_pid: Callable[[], int], heard: Callable[[], None]) -> None:
    """Until the session breaks."""
    broken = asyncio.Event()

    def notified(_session: Any, pid: int, _channel: str, _seq: str) -> None:
        if pid != own_pid():
            heard()

    session.add_termination_listener(lambda _session: broken.set())
    await session.add_listener(CHANNEL, notified)
    seen = None  # what was appended while nobody listened is news too
    while not broken.is_set():
        head_seq = await session.fetchval(_HEAD, timeout=LOOK_TIMEOUT_S)
        if head_seq != seen:
            seen = head_seq
            heard()
        try:
            await asyncio.wait_for(broken.wait(), LOOK_S)
        except TimeoutError:
            continue
