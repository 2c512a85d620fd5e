"""Seeded scripts of journal calls, played on any journal: what comes back must not depend on which one it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from raeth.journal.base import (
    EMPTY_HEAD,
    Head,
    Journal,
    JournalDamaged,
    JournalUnavailable,
    Key,
    Row,
    Snapshot,
    Write,
)
from raeth.journal.chain import head_of, next_row

NOTES = "CREATE TABLE notes (id INTEGER PRIMARY KEY, n INTEGER)"
NOTE = "INSERT INTO notes VALUES (?, ?)"

Call = Callable[[], Awaitable[Any]]


class Script:
    """Plays `count` calls; `said` is what each of them was answered. `again` opens the same journal anew."""

    def __init__(self, seed: int, journal: Journal, again: Callable[[], Journal]) -> None:
        self.random = Random(seed)
        self.journal = journal
        self.again = again
        self.head: Head = EMPTY_HEAD
        self.heads = [EMPTY_HEAD]
        self.holding = False
        self.said: list[Any] = []

    async def play(self, count: int) -> list[Any]:
        await self.say("open", self.journal.open)
        for _ in range(count):
            names = list(_CALLS)
            (name,) = self.random.choices(names, [_CALLS[n][1] for n in names])
            await _CALLS[name][0](self)
        await self.say("read", lambda: self.journal.read(0))
        await self.say("close", self.journal.close)
        return self.said

    async def say(self, name: str, call: Call) -> Any:
        """Do one call and note its result or what kind of error it was."""
        try:
            result = await call()
        except (JournalDamaged, JournalUnavailable, AssertionError) as error:
            told = (type(error).__name__, getattr(error, "seq", None), getattr(error, "outcome_unknown", None))
            self.said.append((name, told))
            return None
        self.said.append((name, result))
        return result

    def rows(self, count: int) -> list[Row]:
        rows, head = [], self.head
        for _ in range(count):
            n = head.seq + 1
            rows.append(next_row(head, head.ts + self.random.choice((0, 5)), b"c%d" % n, b"e%d" % n))
            head = head_of(rows[-1])
        return rows

    def name(self) -> tuple[int, str]:
        return self.random.randrange(3), f"k{self.random.randrange(12)}"

    # The calls

    async def begin(self) -> None:
        known = self.random.choice((self.head.seq, self.head.seq, 0, max(0, self.head.seq - 2), self.head.seq + 1))
        wanted = [self.name() for _ in range(self.random.randrange(4))]
        begun = await self.say("begin", lambda: self.journal.begin(known, wanted))
        self.holding = self.holding or begun is not None

    async def commit(self) -> None:
        await self._commit(None)

    async def append(self) -> None:
        """Both in one step, now and then by one who is wrong about the end."""
        if not self.holding:
            await self._commit(self.random.choice((self.head.seq, self.head.seq, self.head.seq - 1, self.head.seq + 1)))

    async def _commit(self, after_seq: int | None) -> None:
        random = self.random
        rows = self.rows(random.choice((0, 1, 1, 3)))
        fault = random.choice((None, None, None, None, "gap", "hash", "time", "note", "length"))
        if rows and fault == "gap":
            rows[-1] = rows[-1]._replace(seq=rows[-1].seq + 1)
        elif rows and fault == "hash":
            rows[0] = rows[0]._replace(hash=bytes(32))
        elif rows and fault == "time":
            rows[-1] = rows[-1]._replace(ts=-1)
        elif rows and fault == "length":
            rows[-1] = rows[-1]._replace(hash=b"short")
        seq = rows[-1].seq if rows else self.head.seq
        keys = [Key(*self.name(), seq, place, b"f") for place in range(random.choice((0, 0, 1, 2)))] if rows else []
        notes = [(random.randrange(40), seq)] * (2 if fault == "note" else random.randrange(2))
        writes = [Write(NOTE, notes)] if notes else []
        before = len(self.said)
        if after_seq is None:
            await self.say("commit", lambda: self.journal.commit(rows, keys, writes))
        else:
            await self.say("append", lambda: self.journal.append(after_seq, rows, keys, writes))
        self.holding = False
        if self.said[before][1] is None and rows:
            self.head = head_of(rows[-1])
            self.heads.append(self.head)

    async def rollback(self) -> None:
        await self.say("rollback", self.journal.rollback)
        self.holding = False

    async def read(self) -> None:
        after, limit = self.random.randrange(self.head.seq + 2), self.random.choice((1, 3, 5_000))
        to_seq = self.random.choice((None, after + 2))
        await self.say("read", lambda: self.journal.read(after, limit, to_seq))

    async def row(self) -> None:
        seq = self.random.randrange(self.head.seq + 2)
        await self.say("row", lambda: self.journal.row(seq))

    async def key(self) -> None:
        name = self.name()
        await self.say("key", lambda: self.journal.key(*name))

    async def snapshot(self) -> None:
        head = self.random.choice(self.heads)
        right = self.random.random() < 0.8
        saved = Snapshot(head.seq, head.hash if right else bytes(32), 1, b"state %d" % self.random.randrange(9))
        await self.say("save_snapshot", lambda: self.journal.save_snapshot(saved))

    async def latest(self) -> None:
        await self.say("latest_snapshot", self.journal.latest_snapshot)

    async def execute(self) -> None:
        notes = [(self.random.randrange(60), 0)] * self.random.choice((1, 1, 2))
        await self.say("execute", lambda: self.journal.execute([Write(NOTE, notes)]))

    async def hang_up(self) -> None:
        """A `begin` whose caller goes away lets go of the lock by itself."""
        if self.holding:
            return
        call = asyncio.ensure_future(self.journal.begin(0))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait({call})
        self.said.append(("hang up", call.cancelled()))

    async def reopen(self) -> None:
        await self.say("close", self.journal.close)
        await self.say("begin", lambda: self.journal.begin(0))
        await self.say("close", self.journal.close)
        self.holding = False
        self.journal = self.again()
        await self.say("open", self.journal.open)

    async def rival(self) -> None:
        """Another process waits for the lock and then sees what was committed meanwhile."""
        if self.holding:
            return
        other = self.again()
        await self.say("open", other.open)
        await self.say("begin", lambda: self.journal.begin(self.head.seq))
        waiting = asyncio.ensure_future(other.begin(0))
        await asyncio.sleep(0.003)
        self.said.append(("waits", not waiting.done()))
        rows = self.rows(1)
        await self.say("commit", lambda: self.journal.commit(rows))
        self.head = head_of(rows[-1])
        self.heads.append(self.head)
        self.said.append(("rival", await waiting))
        await self.say("close", other.close)


_CALLS: dict[str, tuple[Callable[[Script], Awaitable[None]], float]] = {
    "begin": (Script.begin, 8),
    "commit": (Script.commit, 8),
    "append": (Script.append, 2),
    "rollback": (Script.rollback, 1.5),
    "read": (Script.read, 2),
    "row": (Script.row, 1),
    "key": (Script.key, 2),
    "snapshot": (Script.snapshot, 2),
    "latest": (Script.latest, 1.5),
    "execute": (Script.execute, 1.5),
    "hang up": (Script.hang_up, 1),
    "reopen": (Script.reopen, 0.7),
    "rival": (Script.rival, 0.5),
}
