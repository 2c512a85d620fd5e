"""`raeth backup`: a verified copy of a data directory, taken while a venue serves on it.

The copy is the database as it was at one commit: the journal, every table, the idempotency keys, the snapshots and the
pepper without which no key would be known. The operator's token is left out, so that a backup opens no running venue.
A PostgreSQL is backed up with its own tool. Must not know what a command means.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from raeth.config import ADMIN_TOKEN_FILE, DATABASE
from raeth.journal.base import EMPTY_HEAD, Head, JournalDamaged, Row
from raeth.journal.chain import verify
from raeth.journal.sqlite_file import APPLICATION_ID

BUSY_S: Final = 10.0
"""How long a venue that is just starting or stopping is waited for."""


class BackupFailed(Exception):
    """There is no copy; the text is for the operator."""


@dataclass(slots=True)
class Report:
    """What the copy holds: `commands` is the `seq` it ends at, `last_ts` that command's stamp in epoch milliseconds."""

    path: str
    commands: int
    last_ts: int
    chain_head: str
    size_bytes: int
    copy_seconds: float
    verify_seconds: float

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def back_up(data_dir: Path, to: Path) -> Report:
    """Copy the venue in `data_dir` to the new directory `to` (mode 0700, its file 0600), which can be served as it is.

    `to` appears whole and verified, or not at all. Raises BackupFailed.
    """
    source = data_dir / DATABASE
    if not source.is_file():
        raise BackupFailed(f"there is no journal at {source}")
    if os.path.lexists(to):
        raise BackupFailed(f"{to} is there already; a backup never overwrites")
    partial = to.with_name(f".{to.name}.partial-{os.getpid()}")
    try:
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        try:
            report = _copy(source, partial / DATABASE)
            # A directory that appeared meanwhile and holds anything stays as it is: then this fails.
            os.rename(partial, to)
            _sync(to.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise BackupFailed(f"{to}: {error.strerror or error}") from None
    report.path = str(to)
    return report


def for_postgres(url: str, to: Path, data_dir: Path) -> str:
    """What to do instead where the venue is in the PostgreSQL at `url`: one line, without the password."""
    command = shlex.join(["pg_dump", "--format=directory", f"--file={to}", without_password(url)])
    token = data_dir / ADMIN_TOKEN_FILE
    return f"PostgreSQL is backed up with its own tool: {command} (then copy {token}, unless RAETH_ADMIN_TOKEN is set)"


def without_password(url: str) -> str:
    """The same address for people to read."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return parts._replace(netloc=f"{name}@{host}" if name else host).geturl()


def _copy(source: Path, copy: Path) -> Report:
    started = time.perf_counter()
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(_connect(source, "mode=ro")) as old:
            _recognise(old, source)
            with closing(sqlite3.connect(copy, isolation_level=None)) as new:
                # All pages in one step: one read transaction, which no writer waits for and none can make start over.
                old.backup(new, pages=-1)
    except sqlite3.Error as error:
        raise BackupFailed(f"{source} cannot be copied: {error}") from None
    _sync(copy)
    _sync(copy.parent)
    copied = time.perf_counter()
    head = check(copy)
    return Report(
        path=str(copy),
        commands=head.seq,
        last_ts=head.ts,
        chain_head=head.hash.hex(),
        size_bytes=copy.stat().st_size,
        copy_seconds=copied - started,
        verify_seconds=time.perf_counter() - copied,
    )


def check(database: Path) -> Head:
    """Verify a copy that nobody uses: its pages, every link of the chain, its end. Writes nothing; the head.

    Raises BackupFailed."""
    with _readable(database), closing(_connect(database, "immutable=1")) as connection:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise BackupFailed(f"the copy is damaged: {verdict}")
        rows = connection.execute("SELECT seq, ts, command, events, hash FROM journal ORDER BY seq")
        try:
            head = verify(map(Row._make, rows), EMPTY_HEAD)
        except JournalDamaged as damage:
            raise BackupFailed(
                f"the journal is damaged at seq {damage.seq}, and so is the copy: {damage.why}"
            ) from None
        (last,) = connection.execute("SELECT head_seq FROM journal_meta").fetchone()
        if last != head.seq:
            raise BackupFailed(f"the journal should end at seq {last}, the copy ends at {head.seq}")
    return head


@contextmanager
def _readable(database: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise BackupFailed(f"the copy at {database} cannot be read: {error}") from None


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?{how}", uri=True, isolation_level=None, timeout=BUSY_S)


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise BackupFailed(f"{path} is not a journal of this venue")


def _sync(path: Path) -> None:
    """Make a file, or the entries of a directory, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
