"""The writing side of a PostgreSQL journal: the transaction, on one session, for one task at a time.

Must not know what a command means, nor who waits for it: its calls are never cancelled. Every method leaves the session
either inside the one open transaction (`begin` succeeded) or outside of any. A batch without projections is three round
trips: BEGIN; the lock, with what is behind and the keys; rows, keys, head and COMMIT. Between the last two, and no
longer, the others wait for this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import asyncpg

from raeth.journal.base import (
    EMPTY_HEAD,
    MAX_BEHIND,
    Begun,
    Head,
    JournalDamaged,
    JournalRefused,
    JournalUnavailable,
    Key,
    Known,
    Row,
    Write,
)
from raeth.journal.checks import check_order, check_there, new_mark
from raeth.journal.postgres_functions import CREATE, TAKE_LOCK, append_and_commit
from raeth.journal.postgres_session import (
    WRITER_SETTINGS,
    connect,
    create_once,
    describe,
    lost,
    numbered,
    translate,
    unreadable,
)

NOTHING_BEHIND = (1 << 63) - 1

_ROW_HASH = "SELECT hash FROM journal WHERE seq = $1"
_LAST_SNAPSHOT = "SELECT max(seq) FROM snapshots"
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()
"""


class PostgresWriter:
    """One session that appends; made again by itself when it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        # Known to nobody else: what shows it in the database is a session that this writer lost.
        self._name = f"raeth-journal-{uuid4().hex}"
        self._session: Any = None
        self._had_session = False
        self._held = False
        self._head = EMPTY_HEAD
        self._transactions = 0
        self._projected = 0

    @property
    def pid(self) -> int:
        """The database's number of this session, 0 without one: notifications carry their sender's."""
        return int(self._session.get_server_pid()) if self._usable() else 0

    async def open(self) -> Head:
        """The head, after creating the tables if need be and checking that nothing is missing at the end."""
        try:
            await create_once(await self._connected())
        except Exception as error:
            raise unreadable(error) from error
        await self._lock()
        try:
            snapshot_seq = await self._session.fetchval(_LAST_SNAPSHOT)
        except Exception as error:
            await self._give_up(error)
            raise unreadable(error) from error
        await self.rollback()
        if snapshot_seq is not None and snapshot_seq > self._head.seq:
            raise JournalDamaged(self._head.seq + 1, f"the rows up to the snapshot at {snapshot_seq} are missing")
        return self._head

    async def begin(self, known: Known, keys: Sequence[tuple[int, str]]) -> Begun:
        """See `Journal.begin`."""
        asked_seq = known if isinstance(known, int) else known()
        state = await self._lock(asked_seq, keys)
        known_seq = known if isinstance(known, int) else known()
        try:
            check_there(known_seq, self._head)
        except JournalDamaged:
            await self.rollback()
            raise
        # What was learnt while this waited for the lock came along once more.
        behind = [] if state[6] is None else list(map(Row, *state[6:11]))[known_seq - asked_seq :]
        found = () if state[11] is None else map(Key, *state[11:16])
        return Begun(self._head, behind, {(key.owner, key.key): key for key in found}, state[16], self._projected)

    async def commit(
        self, rows: Sequence[Row], keys: Sequence[Key], writes: Sequence[Write], projected: int | None
    ) -> None:
        """See `Journal.commit`."""
        assert self._held, "commit without begin"
        last = rows[-1] if rows else None
        about = "rows"
        try:
            head_seq = last.seq if last else self._head.seq
            check_order(rows, self._head)
            mark = new_mark(projected, self._projected, head_seq)
            append = append_and_commit(rows, keys, head_seq, mark, self._transactions)
            for sql, parameters in writes:
                about = sql
                await self._session.executemany(numbered(sql), parameters)
            if not self._usable():
                raise asyncpg.ConnectionDoesNotExistError("the session ended inside the transaction")
        except Exception as error:
            await self._give_up(error)
            raise translate(error, about=about) from error
        await self._make_durable(append, last)

    async def execute(self, writes: Sequence[Write]) -> None:
        """See `Journal.execute`."""
        await self._lock()
        await self.commit((), (), writes, None)

    async def rollback(self) -> None:
        """Leave the open transaction, if there is one. Never raises: the database may have left it already."""
        self._held = False
        if not self._usable():
            self._drop()
        elif self._session.is_in_transaction():
            try:
                await self._session.execute("ROLLBACK")
            except Exception:  # with the session its transaction ends
                self._drop()

    async def close(self) -> None:
        """Roll back and end the session."""
        await self.rollback()
        session, self._session = self._session, None
        if session is not None:
            try:
                await session.close(timeout=1.0)
            except Exception:
                session.terminate()

    # ---- the session ----

    def _usable(self) -> bool:
        return self._session is not None and not self._session.is_closed()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.terminate()

    async def _connected(self) -> Any:
        """The session, made again if it was lost. Then the lost one is ended: it may still hold the lock, or carry out
        what it had been sent."""
        if not self._usable():
            self._drop()
            self._session = await connect(self._url, self._name, WRITER_SETTINGS)
            await self._session.execute(CREATE)
            if self._had_session:
                await self._session.execute(_END_OTHERS, self._name)
            self._had_session = True
        return self._session

    async def _give_up(self, error: Exception) -> None:
        """Leave the transaction because of `error`, and the session with it if that cannot be trusted any more."""
        if lost(error):
            self._drop()
        await self.rollback()

    # ---- the lock ----

    async def _lock(self, known_seq: int = NOTHING_BEHIND, keys: Sequence[tuple[int, str]] = ()) -> Any:
        """Take the lock, and read under it the head and what else `TAKE_LOCK` says. Nothing is held after an error."""
        assert not self._held, "begin inside a transaction"
        try:
            owners, texts = zip(*keys, strict=True) if keys else ((), ())
            state = await self._take_lock(known_seq, owners, texts, MAX_BEHIND)
            if state is None:
                raise JournalDamaged(0, "the journal's head is gone")
            self._take_head(state)
        except Exception as error:
            await self._give_up(error)
            # What was asked of the database can only be wrong in its keys.
            raise (translate if keys else unreadable)(error) from error
        self._held = True
        return state

    async def _take_lock(self, *asked: Any) -> Any:
        """A session that turns out to have been lost meanwhile is made again, once."""
        old = self._usable()
        try:
            return await _begun(await self._connected(), asked)
        except Exception as error:
            if not (old and lost(error)) or isinstance(error, TimeoutError):
                raise
            self._drop()
            return await _begun(await self._connected(), asked)

    def _take_head(self, state: Any) -> None:
        counted_seq, self._transactions, self._projected, seq, ts, row_hash = state[:6]
        head = EMPTY_HEAD if seq is None else Head(seq, ts, row_hash)
        if head.seq < counted_seq:
            raise JournalDamaged(head.seq + 1, f"the rows up to {counted_seq} are missing at the end")
        if head.seq > counted_seq:
            raise JournalDamaged(counted_seq + 1, "rows were added at the end by something else than the journal")
        self._head = head

    # ---- the commit ----

    async def _make_durable(self, append: str, last: Row | None) -> None:
        before = self._transactions
        self._held = False
        try:
            done = await self._session.execute(append)
        except Exception as error:
            if isinstance(error, asyncpg.PostgresError) and not lost(error) and self._usable():
                # The database answered, and the answer is no. Still inside the transaction it never came to COMMIT.
                about = "rows" if self._session.is_in_transaction() else "commit failed, nothing was written"
                await self.rollback()
                raise translate(error, about=about) from error
            self._drop()
            if await self._landed(last, before, error):
                return
            raise JournalUnavailable(f"commit failed, nothing was written: {describe(error)}") from error
        if done != "COMMIT":
            raise JournalRefused("the database rolled the transaction back")

    async def _landed(self, last: Row | None, transactions_before: int, error: Exception) -> bool:
        """Whether the commit that failed with `error` is durable all the same; raises if that cannot be told now.

        The lost session's transaction holds the lock until it has ended, one way or the other. Whoever has the lock
        after it therefore sees how it ended, and knows that it cannot land later.
        """
        why = f"commit failed: {describe(error)}"
        try:
            await self._lock()
            stored = await self._session.fetchval(_ROW_HASH, last.seq) if last else None
        except Exception as still:
            if isinstance(still, JournalDamaged):
                reason = str(still)
            else:
                reason = still.why if isinstance(still, JournalUnavailable) else describe(still)
            raise JournalUnavailable(f"{why}; then {reason}", outcome_unknown=True) from error
        finally:
            await self.rollback()
        if self._transactions == transactions_before:
            return False
        if last is None:  # another process wrote in between, and nothing tells its count from ours
            raise JournalUnavailable(why, outcome_unknown=True) from error
        return bool(stored == last.hash)


async def _begun(session: Any, asked: Sequence[Any]) -> Any:
    await session.execute("BEGIN")
    return await session.fetchrow(TAKE_LOCK, *asked)
