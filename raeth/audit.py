"""`raeth audit`: re-executes a whole journal and proves it: chain, events, money, tables.

Reads only; a venue may be running on the same database meanwhile, because everything is read at one moment. The tables
follow the journal, so at that moment they may be a little behind: they are compared up to where they say they are. A
journal that another engine version wrote is refused by name: only that version can prove it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from raeth.clock import iso_ms
from raeth.engine import codec, invariants
from raeth.engine.commands import Command, Configure
from raeth.engine.events import Event, MarketResolved, OrderPlaced, Traded
from raeth.engine.exchange import apply, new_state
from raeth.engine.snapshot import state_hash
from raeth.engine.state import State
from raeth.engine.types import ENGINE_VERSION, ENGINES_CONTINUED
from raeth.journal.base import EMPTY_HEAD, Head, JournalDamaged, Row
from raeth.journal.chain import verify
from raeth.journal.sqlite_log import check_log
from raeth.store import rebuild
from raeth.store.moment import Moment, head_and_mark, postgres_moment, sqlite_moment

CHECK_EVERY = 1_000
"""Commands between two recomputations of every invariant; they are also checked whenever a market ends, and at the end.
What is cheap is asserted by the engine itself after every command."""


class AuditFailed(Exception):
    """`seq` is the first command at which the journal, the engine or a table differ."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"seq {seq}: {why}")
        self.seq = seq
        self.why = why


@dataclass(slots=True)
class Report:
    """What was proved. Money is cents."""

    commands: int = 0
    tables_seq: int = 0
    """Up to this command the tables were compared: the rest of the journal had not come to them yet."""
    orders: int = 0
    trades: int = 0
    windows_resolved: int = 0
    windows_void: int = 0
    granted_cents: int = 0
    agents_cents: int = 0
    masters_cents: int = 0
    fees_cents: int = 0
    state_hash: str = ""
    chain_head: str = ""
    last_ts: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """For people: name and value."""
        rate = f"{self.commands / self.seconds:,.0f} a second" if self.seconds else ""
        return [
            ("commands re-executed", f"{self.commands:,}  ({rate})"),
            ("last stamp", iso_ms(self.last_ts) if self.last_ts else "-"),
            ("orders / trades", f"{self.orders:,} / {self.trades:,}"),
            ("windows resolved / void", f"{self.windows_resolved:,} / {self.windows_void:,}"),
            ("granted", f"{self.granted_cents:,} ¢"),
            ("agents + masters + fees", f"{self.agents_cents:,} + {self.masters_cents:,} + {self.fees_cents:,} ¢"),
            ("made or lost", f"{self.agents_cents + self.masters_cents + self.fees_cents - self.granted_cents} ¢"),
            ("tables", self._tables()),
            ("chain head", self.chain_head),
            ("state hash", self.state_hash),
        ]

    def _tables(self) -> str:
        behind = self.commands - self.tables_seq
        return f"equal to the journal up to seq {self.tables_seq:,}, {behind:,} commands behind" if behind else _EQUAL


_EQUAL = "equal to the journal"


def audit_file(path: Path) -> Report:
    """Audit the SQLite file at `path`. Raises AuditFailed."""
    started = time.perf_counter()
    try:
        check_log(path)
    except JournalDamaged as damage:
        raise AuditFailed(damage.seq, damage.why) from None
    except (OSError, sqlite3.Error) as error:
        raise AuditFailed(0, f"the database cannot be read: {error}") from error
    try:
        with sqlite_moment(path) as moment:
            report = _audit(moment)
    except sqlite3.DatabaseError as error:
        raise AuditFailed(0, f"the database cannot be read: {error}") from error
    report.seconds = time.perf_counter() - started
    return report


def audit_url(url: str) -> Report:
    """Audit the PostgreSQL database at `url`. Blocks: in a running loop, give it a thread. Raises AuditFailed."""
    from asyncpg import InterfaceError, PostgresError

    from raeth.journal.postgres_session import describe

    started = time.perf_counter()
    try:
        with postgres_moment(url) as moment:
            report = _audit(moment)
    except (OSError, PostgresError, InterfaceError) as error:
        raise AuditFailed(0, f"the database cannot be read: {describe(error)}") from error
    report.seconds = time.perf_counter() - started
    return report


def _audit(moment: Moment) -> Report:
    report = Report()
    state = new_state()
    with closing(rebuild.rebuild(_executed(moment, state, report))) as scratch:
        difference = rebuild.diff(scratch.execute, moment.execute)
    if difference is not None:
        where = f"table {difference.table}, row {difference.key}, column {difference.column or '(the whole row)'}"
        raise AuditFailed(difference.seq or 0, f"{where}: journal {difference.expected!r}, table {difference.found!r}")
    if state.settings is not None:
        _check(state, state.seq)
        report.state_hash = state_hash(state)
    report.granted_cents = state.granted_cents
    report.agents_cents = sum(agent.cash for agent in state.agents.values())
    report.masters_cents = sum(account.cash for account in state.accounts.values())
    report.fees_cents = state.fees_cents
    return report


def _rows(moment: Moment) -> Iterator[Row]:
    """All rows, verified link by link."""
    head = EMPTY_HEAD
    for fields in moment.execute("SELECT seq, ts, command, events, hash FROM journal ORDER BY seq"):
        row = Row(*fields)
        try:
            head = verify([row], head)
        except JournalDamaged as damage:
            raise AuditFailed(damage.seq, damage.why) from None
        yield row


def _executed(moment: Moment, state: State, report: Report) -> Iterator[tuple[int, int, Command, list[Event]]]:
    """Every command with its events, after re-executing it and comparing the bytes; but those that the tables do not
    have yet are executed and kept back."""
    try:
        last_seq, report.tables_seq = head_and_mark(moment.execute)
    except JournalDamaged as damage:
        raise AuditFailed(damage.seq, damage.why) from None
    if report.tables_seq > last_seq:
        raise AuditFailed(last_seq + 1, f"the tables claim to have followed up to {report.tables_seq}")
    head = EMPTY_HEAD
    for row in _rows(moment):
        try:
            command, events = codec.decode_command(row.command), codec.decode_events(row.events)
        except msgspec.MsgspecError as error:
            raise AuditFailed(row.seq, f"not readable by this version: {error}") from None
        if isinstance(command, Configure) and command.engine_version not in ENGINES_CONTINUED:
            raise AuditFailed(row.seq, f"written by engine {command.engine_version}; this is engine {ENGINE_VERSION}")
        try:
            done = apply(state, command, row.seq, row.ts)
        except Exception as error:
            raise AuditFailed(row.seq, f"cannot be re-executed: {type(error).__name__}: {error}") from error
        if codec.encode_events(done) != row.events:
            raise AuditFailed(row.seq, "re-executing it gives other events")
        _count(report, events)
        if row.seq % CHECK_EVERY == 0 or any(isinstance(event, MarketResolved) for event in events):
            _check(state, row.seq)
        head = Head(row.seq, row.ts, row.hash)
        if row.seq <= report.tables_seq:
            yield row.seq, row.ts, command, events
    if head.seq != last_seq:
        why = "missing at the end" if head.seq < last_seq else "there that the journal did not count"
        raise AuditFailed(min(head.seq, last_seq) + 1, f"rows are {why}: it should end at seq {last_seq}")
    report.commands, report.last_ts, report.chain_head = head.seq, head.ts, head.hash.hex()


def _check(state: State, seq: int) -> None:
    try:
        invariants.check(state)
    except AssertionError as error:
        raise AuditFailed(seq, f"an invariant is broken: {error}") from error


def _count(report: Report, events: list[Event]) -> None:
    for event in events:
        if isinstance(event, OrderPlaced):
            report.orders += 1
        elif isinstance(event, Traded):
            report.trades += 1
        elif isinstance(event, MarketResolved):
            if event.outcome == "VOID":
                report.windows_void += 1
            else:
                report.windows_resolved += 1
