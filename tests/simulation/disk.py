"""A simulated disk and the journal on it: the semantics of the SQLite journal in memory, and every way it can fail.

What `Disk` holds is durable and outlives every crash; what a `SimJournal` holds dies with its process. Must not know
what a command means. `tests/simulation/test_conformance.py` holds it against the real journal, call by call.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from raeth.journal.base import (
    EMPTY_HEAD,
    MAX_BEHIND,
    SNAPSHOTS_KEPT,
    Begun,
    Head,
    JournalDamaged,
    JournalRefused,
    JournalUnavailable,
    Key,
    Known,
    Row,
    Snapshot,
    Write,
)
from raeth.journal.chain import chain_hash, head_of
from raeth.journal.checks import check_end

LOCK_TIMEOUT_S = 5.0
LOCK_PAUSE_S = 0.002

T = TypeVar("T")


class Transaction(NamedTuple):
    rows: Sequence[Row]
    keys: Sequence[Key]
    writes: Sequence[Write]
    snapshot: Snapshot | None = None
    projected: int | None = None


class Trouble(Exception):
    """What a fault plan raises inside an operation. `unknown` leaves the transaction in doubt."""

    def __init__(self, why: str, *, unknown: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.unknown = unknown


class Weather:
    """What can go wrong, asked before each operation. This one is fair; `faults.Faults` is not."""

    def delay_s(self, operation: str) -> float:
        """How long the operation takes, in virtual seconds."""
        return 0.0001

    def strike(self, operation: str) -> None:
        """Raise `Trouble` if the operation is to fail."""

    def lands(self, moment: str) -> bool:
        """Whether a transaction in doubt became durable, at `moment` "settle" (the next lock) or "crash"."""
        return False

    def spoils(self) -> bool:
        """Whether a stored snapshot turns out to be unreadable."""
        return False


class Disk:
    """Rows, keys, snapshots and tables that survive. `tables` None: projections are counted, not carried out."""

    def __init__(self, tables: sqlite3.Connection | None = None) -> None:
        self.rows: list[Row] = []
        self.keys: dict[tuple[int, str], Key] = {}
        self.snapshots: dict[int, Snapshot] = {}
        self.tables = tables
        self.written = 0
        self.projected = 0
        self.owner: object | None = None
        self.doubtful: Transaction | None = None
        self.on_durable: Callable[[Sequence[Row]], None] = lambda rows: None

    @property
    def head(self) -> Head:
        return head_of(self.rows[-1]) if self.rows else EMPTY_HEAD

    def check(self, txn: Transaction) -> None:
        """Raise JournalRefused for a transaction that contradicts the journal or itself."""
        seq, ts, row_hash = self.head
        if txn.rows:
            first = txn.rows[0]
            if chain_hash(row_hash, first.seq, first.ts, first.command, first.events) != first.hash:
                raise JournalRefused(f"row {first.seq} does not continue the chain at {seq}")
        for row in txn.rows:
            if row.seq != seq + 1 or row.ts < ts or len(row.hash) != 32:
                raise JournalRefused(f"row {row.seq} at {row.ts} cannot follow row {seq} at {ts}")
            seq, ts = row.seq, row.ts
        if txn.projected is not None and not self.projected <= txn.projected <= seq:
            raise JournalRefused(f"the mark of the tables cannot go from {self.projected} to {txn.projected}")
        fresh = {(key.owner, key.key) for key in txn.keys}
        if len(fresh) != len(txn.keys) or any(name in self.keys for name in fresh):
            raise JournalRefused("IntegrityError: an idempotency key twice")

    def apply(self, txn: Transaction) -> None:
        """Make all of it durable, or raise and leave nothing."""
        self.check(txn)
        self._project(txn.writes)
        if txn.projected is not None:
            self.projected = txn.projected
        self.rows.extend(txn.rows)
        for key in txn.keys:
            self.keys[(key.owner, key.key)] = key
        if txn.snapshot is not None:
            self.snapshots[txn.snapshot.seq] = txn.snapshot
            for seq in sorted(self.snapshots)[:-SNAPSHOTS_KEPT]:
                del self.snapshots[seq]
        if txn.rows:
            self.on_durable(txn.rows)

    def _project(self, writes: Sequence[Write]) -> None:
        self.written += sum(len(write.rows) for write in writes)
        if self.tables is None or not writes:
            return
        self.tables.execute("BEGIN")
        try:
            for sql, parameters in writes:
                self.tables.executemany(sql, parameters)
        except Exception as error:
            self.tables.execute("ROLLBACK")
            raise JournalRefused(f"{type(error).__name__}: {error}") from error
        self.tables.execute("COMMIT")


class _Busy(Exception):
    """Somebody else holds the lock."""


class _Thread:
    """The journal's working thread, in virtual time: jobs one after the other, and none is taken back by a cancel."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[asyncio.Future[Any] | None, float, float, Callable[[], Any]]] = deque()
        self._busy = False
        self.dead = False

    async def run(self, delay_s: float, job: Callable[[], T]) -> T:
        if self.dead:
            raise JournalUnavailable("the process is dead")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(loop, (future, delay_s, loop.time() + delay_s + LOCK_TIMEOUT_S, job))
        return await future

    def post(self, job: Callable[[], Any]) -> None:
        self._put(asyncio.get_running_loop(), (None, 0.0, 0.0, job))

    def _put(self, loop: asyncio.AbstractEventLoop, job: Any) -> None:
        self._jobs.append(job)
        if not self._busy:
            self._busy = True
            loop.call_later(self._jobs[0][1], self._work, loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.dead:
            return
        future, _, deadline_s, job = self._jobs[0]
        result: Any = None
        error: Exception | None = None
        try:
            result = job()
        except _Busy:
            if loop.time() < deadline_s:
                loop.call_later(LOCK_PAUSE_S, self._work, loop)
                return
            error = JournalUnavailable("database is locked (SQLITE_BUSY)")
        except Exception as caught:
            error = caught
        self._jobs.popleft()
        if self._jobs:
            loop.call_later(self._jobs[0][1], self._work, loop)
        else:
            self._busy = False
        if future is None or future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class SimJournal:
    """`Journal` on a `Disk`, for one process."""

    backend = "simulated"
    tight = False

    def __init__(self, disk: Disk, weather: Weather | None = None) -> None:
        self.disk = disk
        self.weather = weather or Weather()
        self.refused: list[str] = []
        self._writing = _Thread()
        self._reading = _Thread()
        self._open = False
        self._holding = False
        self._flying: Transaction | None = None

    async def open(self) -> Head:
        assert not self._open, "open twice"
        self._open = True
        try:
            return await self._write("open", self._look)
        except BaseException:
            self._open = False
            raise

    async def begin(self, known_seq: Known, keys: Sequence[tuple[int, str]] = ()) -> Begun:
        try:
            return await self._write("begin", lambda: self._begin(known_seq, keys))
        except asyncio.CancelledError:
            self._writing.post(self._let_go)
            raise

    async def commit(
        self,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        txn = Transaction(tuple(rows), tuple(keys), tuple(writes), None, projected)
        self._flying = txn
        await self._write("commit", lambda: self._commit("commit", txn))

    async def append(
        self,
        after_seq: int,
        rows: Sequence[Row],
        keys: Sequence[Key] = (),
        writes: Sequence[Write] = (),
        projected: int | None = None,
    ) -> None:
        def append() -> None:
            self._lock()
            try:
                check_end(after_seq, self.disk.head)
            except (JournalDamaged, JournalRefused):
                self._let_go()
                raise
            self._flying = txn
            self._commit("commit", txn)

        txn = Transaction(tuple(rows), tuple(keys), tuple(writes), None, projected)
        await self._write("commit", append)

    async def rollback(self) -> None:
        await self._write("rollback", self._let_go)

    async def watch(self, heard: Callable[[], None]) -> None:
        """One process has a disk to itself."""

    async def execute(self, writes: Sequence[Write]) -> None:
        await self._write("execute", lambda: self._alone("execute", Transaction((), (), tuple(writes))))

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self._write("save_snapshot", lambda: self._save(snapshot))

    async def read(self, after_seq: int, limit: int = 5_000, to_seq: int | None = None) -> list[Row]:
        def read() -> list[Row]:
            self._strike("read")
            return self.disk.rows[max(after_seq, 0) : to_seq][:limit]

        return await self._read("read", read)

    async def row(self, seq: int) -> Row | None:
        rows = await self.read(seq - 1, 1, seq)
        return rows[0] if rows else None

    async def key(self, owner: int, key: str) -> Key | None:
        return await self._read("key", lambda: self.disk.keys.get((owner, key)))

    async def projected(self) -> int:
        return await self._read("projected", lambda: self.disk.projected)

    async def latest_snapshot(self) -> Snapshot | None:
        def newest() -> Snapshot | None:
            whole = (seq for seq in sorted(self.disk.snapshots, reverse=True) if not self.weather.spoils())
            return next((self.disk.snapshots[seq] for seq in whole), None)

        return await self._read("latest_snapshot", newest)

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        await self._reading.run(0.0, lambda: None)
        await self._writing.run(0.0, self._let_go)

    def kill(self) -> None:
        """The process dies: no job goes on. What was being committed landed whole, or not at all."""
        self._writing.dead = self._reading.dead = True
        flying, self._flying = self._flying, None
        if flying is not None and self._holding and self.weather.lands("crash"):
            self.disk.apply(flying)
        if self.disk.owner is self:
            self.disk.owner = None
        self._holding = False
        doubtful, self.disk.doubtful = self.disk.doubtful, None
        if doubtful is not None and self.weather.lands("crash"):
            self.disk.apply(doubtful)

    # On the threads

    async def _write(self, operation: str, job: Callable[[], T]) -> T:
        self._check_open()
        return await self._writing.run(self.weather.delay_s(operation), job)

    async def _read(self, operation: str, job: Callable[[], T]) -> T:
        self._check_open()
        return await self._reading.run(self.weather.delay_s(operation), job)

    def _check_open(self) -> None:
        if not self._open:
            raise JournalUnavailable("the journal is not open")

    def _strike(self, operation: str) -> None:
        try:
            self.weather.strike(operation)
        except Trouble as trouble:
            raise JournalUnavailable(trouble.why, outcome_unknown=trouble.unknown) from None

    def _lock(self) -> None:
        assert not self._holding, "begin inside a transaction"
        if self.disk.owner is not None:
            raise _Busy
        self._strike("lock")
        self.disk.owner = self
        self._holding = True
        doubtful, self.disk.doubtful = self.disk.doubtful, None
        if doubtful is not None and self.weather.lands("settle"):
            self.disk.apply(doubtful)

    def _let_go(self) -> None:
        if self._holding:
            self.disk.owner = None
            self._holding = False
        self._flying = None

    def _look(self) -> Head:
        self._lock()
        head = self.disk.head
        self._let_go()
        return head

    def _begin(self, known: Known, keys: Sequence[tuple[int, str]]) -> Begun:
        self._lock()
        head = self.disk.head
        known_seq = known if isinstance(known, int) else known()
        if known_seq > head.seq:
            self._let_go()
            raise JournalDamaged(head.seq + 1, f"the rows up to {known_seq}, which were there, are missing")
        hits = {name: self.disk.keys[name] for name in keys if name in self.disk.keys}
        return Begun(head, self.disk.rows[known_seq:][:MAX_BEHIND], hits, None, self.disk.projected)

    def _commit(self, operation: str, txn: Transaction) -> None:
        assert self._holding, "commit without begin"
        try:
            self.disk.check(txn)
            try:
                self.weather.strike(operation)
            except Trouble as trouble:
                if trouble.unknown:
                    self.disk.doubtful = txn
                raise JournalUnavailable(trouble.why, outcome_unknown=trouble.unknown) from None
            self.disk.apply(txn)
        except JournalRefused as refused:
            self.refused.append(str(refused))
            raise
        finally:
            self._let_go()

    def _alone(self, operation: str, txn: Transaction) -> None:
        self._lock()
        self._commit(operation, txn)

    def _save(self, snapshot: Snapshot) -> None:
        self._lock()
        known = 0 < snapshot.seq <= len(self.disk.rows) and self.disk.rows[snapshot.seq - 1].hash == snapshot.hash
        if not known:
            self._let_go()
            raise JournalRefused(f"the snapshot at {snapshot.seq} is not of this journal")
        self._commit("save_snapshot", Transaction((), (), (), snapshot))
