"""Several processes that do the same on one port: a parent that starts them, watches them, and ends with them.

The parent answers no request and opens no database. A child reads its brief from its standard input, which stays open
for as long as the parent lives, and writes one message to its standard output when it is ready. Must not know what the
processes do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from typing import Final

import structlog

log = structlog.get_logger("raeth.nodes")

PAUSES_S: Final = (1, 2, 4, 8, 15, 30)
"""Before a child that ended is started again; the last one repeats."""
SETTLED_S: Final = 60.0
"""A child that lived for so long may end again without a longer pause."""
STOP_S: Final = 4.5
"""What children have from the order to stop to the end; the parent is gone within 5 s."""

_LENGTH_BYTES: Final = 4


def read_brief() -> bytes:
    """In a child: what its parent has for it. Ends the process if there is no parent any more."""
    length = _read(sys.stdin.fileno(), _LENGTH_BYTES)
    return _read(sys.stdin.fileno(), int.from_bytes(length, "big"))


def write_frame(message: bytes) -> None:
    """In a child: say that it is ready, once."""
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), _frame(message))


def _frame(message: bytes) -> bytes:
    return len(message).to_bytes(_LENGTH_BYTES, "big") + message


def _read(file: int, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = os.read(file, count - len(found))
        if not part:
            sys.exit(0)
        found += part
    return found


class Workers:
    """`count` children of `command`. `brief(number, first)` is what one gets to read, `first` until all were ready.

    `ready` is called once with the first child's message, when all are ready. What they make of an empty database is
    made by the first of them, before the others are started.
    """

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        brief: Callable[[int, bool], bytes],
        ready: Callable[[bytes], None],
        stop_s: float = STOP_S,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._count = count
        self._command = command
        self._brief = brief
        self._ready = ready
        self._stop_s = stop_s
        self._pauses_s = pauses_s
        self._children: dict[int, Process] = {}
        self._messages: dict[int, bytes] = {}
        self._told = asyncio.Event()
        """Something happened to a child that is awaited at the start."""
        self._stopping = asyncio.Event()
        self._failed: int | None = None

    async def run(self) -> int:
        """Until told to stop, or until a child fails before all were ready; the code to exit with."""
        loop = asyncio.get_running_loop()
        for told in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(told, self._stopping.set)
        keeping = []
        try:
            for number in range(1, self._count + 1):
                keeping.append(asyncio.create_task(self._keep(number), name=f"worker {number}"))
                if number in (1, self._count):
                    await self._until_ready(number)
            if not self._stopping.is_set():
                self._ready(self._messages[1])
            await self._stopping.wait()
        finally:
            self._stopping.set()
            await self._end()
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
        return self._failed or 0

    async def _until_ready(self, count: int) -> None:
        """Until as many are ready, or nothing will come of it."""
        while len(self._messages) < count and not self._stopping.is_set():
            stop, told = asyncio.ensure_future(self._stopping.wait()), asyncio.ensure_future(self._told.wait())
            await asyncio.wait({stop, told}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            told.cancel()
            self._told.clear()

    async def _keep(self, number: int) -> None:
        """Run a child, and another one in its place when it ends."""
        attempt = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_child(number)
            if self._stopping.is_set():
                return
            if len(self._messages) < self._count:
                log.error("a worker did not become ready", worker=number, code=code)
                self._failed = code if code > 0 else 1
                self._stopping.set()
                return
            attempt = 0 if time.monotonic() - began >= SETTLED_S else attempt
            pause_s = self._pauses_s[min(attempt, len(self._pauses_s) - 1)]
            attempt += 1
            log.error("a worker ended; it is started again", worker=number, code=code, in_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _run_child(self, number: int) -> int:
        """One child to its end; its exit code, or the signal that ended it as a negative number."""
        child = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        assert child.stdin is not None and child.stdout is not None
        self._children[number] = child
        if self._stopping.is_set():
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        try:
            # A child that is dead already: uvloop calls that a RuntimeError.
            with contextlib.suppress(OSError, RuntimeError, asyncio.IncompleteReadError):
                child.stdin.write(_frame(self._brief(number, len(self._messages) < self._count)))
                await child.stdin.drain()
                length = await child.stdout.readexactly(_LENGTH_BYTES)
                self._messages[number] = await child.stdout.readexactly(int.from_bytes(length, "big"))
                log.info("a worker is ready", worker=number, pid=child.pid)
                self._told.set()
            return await child.wait()
        finally:
            del self._children[number]
            self._told.set()

    async def _end(self) -> None:
        """Tell all children to stop, and wait; those that do not hear, as one that is suspended, are killed."""
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        until = time.monotonic() + self._stop_s
        while self._children and time.monotonic() < until:
            await asyncio.sleep(0.02)
        for number, child in self._children.items():
            log.error("a worker did not end in time", worker=number)
            with contextlib.suppress(ProcessLookupError):
                child.kill()
