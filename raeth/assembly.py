"""Puts one node together, up to but without its sockets. With the server, the only place that knows every room.

Start order: data directory, journal, clock, sequencer (which replays), tables, reference. Nodes that start at once on
one empty database take turns (`START`), so that one of them makes it and the others find it made.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from raeth.api.credentials import load_admin_token, load_pepper
from raeth.api.venue import Venue
from raeth.clock import Clock, RealClock, ReplayClock
from raeth.config import ADMIN_TOKEN_FILE, DATABASE, Settings
from raeth.engine.types import ENGINE_VERSION, ENGINES_CONTINUED
from raeth.engine.types import Settings as Rules
from raeth.errors import RaethError
from raeth.journal.base import Head, Journal, JournalDamaged, JournalForeign, JournalUnavailable
from raeth.journal.sqlite import SqliteJournal
from raeth.nodes.locks import FileLocks, Locks, LocksUnavailable, SessionLocks, SoleLocks, holding
from raeth.nodes.roles import Roles
from raeth.reference import first_ts_ms, open_source
from raeth.reference.types import ReferenceSource
from raeth.sequencer import Sequencer, SettingsDiffer
from raeth.series.feeder import Feeder
from raeth.series.journaled import JournaledIndex
from raeth.store.migrate import NewerTables, recognise, upgrade
from raeth.store.private import insert_secret
from raeth.store.projector import Projector
from raeth.store.queries import Store
from raeth.store.reader import database_url

log = structlog.get_logger("raeth.server")

START: Final = "start"
"""The lock under which a new database is made."""

TOKEN_SECRET: Final = "admin_token_sha256"  # noqa: S105, the name of a row
"""What nodes on one PostgreSQL share of the operator's token: who reads the database can check it, and not use it."""


CONNECT_MS: Final = 3_000
"""By then the venues of a live reference have sent prices, if they ever will."""


class CannotServe(Exception):
    """The process cannot start or go on; the text is for the operator."""


def rules_of(settings: Settings) -> Rules:
    """The part of the configuration that the engine reads, as it is journaled.

    In replay a second of the machine is `speed` seconds of the venue: what bounds our own slowness grows with it.
    """
    risk, fees, series, faucet, limits = (
        settings.risk,
        settings.fees,
        settings.series,
        settings.faucet,
        settings.limits,
    )
    stretch = max(1.0, settings.speed)
    return Rules(
        reference_kind=_kind_of(settings),
        slug=series.slug,
        window_ms=series.window_ms,
        tie_rule=series.tie_rule,
        print_max_age_ms=series.print_max_age_ms,
        print_grace_ms=int(series.print_grace_ms * stretch),
        gap_ms=int(series.gap_ms * stretch),
        reference_max_age_ms=risk.reference_max_age_ms,
        max_order_qty=risk.max_order_qty,
        max_order_notional_cents=risk.max_order_notional_cents,
        fat_finger_distance=risk.fat_finger_distance,
        fat_finger_multiple=risk.fat_finger_multiple,
        position_cap=risk.position_cap,
        cooldown_rejects=risk.cooldown_rejects,
        cooldown_window_ms=risk.cooldown_window_ms,
        cooldown_ms=risk.cooldown_ms,
        open_orders_per_market=limits.open_orders_per_market,
        taker_rate_bps=fees.taker_rate_bps,
        maker_rebate_bps=fees.maker_rebate_bps,
        faucet_amount_cents=faucet.amount_cents,
        faucet_cooldown_ms=faucet.cooldown_ms,
        faucet_account_cap_cents=faucet.account_cap_cents,
        signup_grant_cents=faucet.signup_grant_cents,
        agents_per_account=limits.agents_per_account,
        keys_per_agent=limits.keys_per_agent,
    )


@dataclass(slots=True)
class Node:
    """A running node, less its sockets. `admin_token_path` is the file that holds the operator's token, if one here
    does."""

    name: str
    venue: Venue
    sequencer: Sequencer
    feeder: Feeder
    roles: Roles
    store: Store
    admin_token_path: Path | None


def is_shared(settings: Settings) -> bool:
    """Whether other processes may write to the same journal."""
    return settings.database_url is not None or settings.workers > 1


def prepare_data_dir(path: Path) -> None:
    """Make the directory, closed to others. Raises CannotServe if it cannot be used."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotServe(f"data dir {path}: {error.strerror or error}") from None


@contextlib.contextmanager
def sole_owner(data_dir: Path) -> Iterator[None]:
    """Hold the data directory: two venues in one would each believe in their own reference."""
    handle = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotServe(f"data dir {data_dir} is in use by another venue process") from None
        yield
    finally:
        os.close(handle)


async def assemble(settings: Settings, *, adopt: bool = False, worker: int | None = None) -> Node:
    """Everything up to, but without, the sockets; or nothing, and all that was opened is closed. `worker`: this
    process's number among several. Raises CannotServe, and SourceError for a reference that cannot be used."""
    async with contextlib.AsyncExitStack() as opened:
        node = await _assemble(settings, adopt, node_name(settings, worker), opened)
        opened.pop_all()
    return node


async def _assemble(settings: Settings, adopt: bool, name: str, opened: contextlib.AsyncExitStack) -> Node:
    """`opened` takes what must be closed if the node is not made after all."""
    roles = Roles(_locks(settings))
    try:
        async with _in_turn(roles.locks) as turn:
            journal = _journal(settings)
            head = await journal.open()
            await journal.close()
            clock, start_ms = await _venue_clock(settings, head)
            await _prepare_tables(settings)
            if not head.seq and _kind_of(settings) == "live":
                await clear_of_boundary(clock, settings.series.window_ms)
            if head.seq:
                await turn.aclose()  # nothing is left to be made: others need not wait while this one reads the journal
            sequencer = await _start_sequencer(settings, journal, clock, adopt)
            opened.push_async_callback(sequencer.stop)
            store = Store(database_url(settings), sequencer.tabled)
            opened.push_async_callback(store.close)
            pepper = await load_pepper(sequencer, store)
            token, token_path = await admin_token(settings, sequencer, store)
    except LocksUnavailable as trouble:
        raise CannotServe(f"the database cannot be reached: {trouble}") from None
    except RaethError:
        raise CannotServe("the database went away while the node was starting") from None
    except (JournalForeign, NewerTables) as other:
        raise CannotServe(f"{_place(settings)} belongs to another version: {other}; nothing was changed") from None
    except JournalDamaged as damage:
        raise CannotServe(f"{damage}; nothing was changed; restore a backup or run `raeth audit`") from None
    except JournalUnavailable as trouble:
        raise CannotServe(f"the journal cannot be opened: {trouble}") from None
    feeder = await _feeder(settings, clock, start_ms, sequencer)
    venue = Venue(
        settings=settings,
        sequencer=sequencer,
        store=store,
        clock=clock,
        reference=feeder,
        pepper=pepper,
        admin_token=token,
        node=name,
        roles=lambda: roles.held,
    )
    return Node(name, venue, sequencer, feeder, roles, store, token_path)


def node_name(settings: Settings, worker: int | None = None) -> str:
    """What this process is called among the venue's."""
    if settings.node is None:
        return f"{socket.gethostname()}-{os.getpid()}"
    return settings.node if worker is None else f"{settings.node}-{worker}"


def _kind_of(settings: Settings) -> str:
    return settings.reference.source.partition(":")[0]


def _place(settings: Settings) -> str:
    """Where the journal is, without the database's password."""
    return f"data dir {settings.data_dir}" if settings.database_url is None else "the database"


def _locks(settings: Settings) -> Locks:
    if settings.database_url is not None:
        return SessionLocks(settings.database_url)
    return FileLocks(settings.data_dir) if settings.workers > 1 else SoleLocks()


def _journal(settings: Settings) -> Journal:
    if settings.database_url is None:
        return SqliteJournal(settings.data_dir / DATABASE)
    from raeth.journal.postgres import PostgresJournal

    return PostgresJournal(settings.database_url)


@contextlib.asynccontextmanager
async def _in_turn(locks: Locks) -> AsyncIterator[contextlib.AsyncExitStack]:
    """Hold the lock under which a new database is made; who needs it no longer closes what is handed out."""
    async with contextlib.AsyncExitStack() as turn:
        await turn.enter_async_context(holding(locks, START))
        yield turn


async def _venue_clock(settings: Settings, head: Head) -> tuple[Clock, int | None]:
    """Real time, or recorded time from the first record on, or from where the journal stopped."""
    if _kind_of(settings) != "replay":
        return RealClock(), None
    file = settings.reference.source.partition(":")[2]
    start_ms = head.ts or await asyncio.to_thread(first_ts_ms, file)
    return ReplayClock(start_ms, settings.speed), start_ms


async def clear_of_boundary(clock: Clock, window_ms: int) -> None:
    """Wait until the next boundary is `CONNECT_MS` away: a new venue opens its first window there, and its first price
    comes through connections that are yet to be made. Not where windows are about as short as that."""
    left_ms = window_ms - clock.now_ms() % window_ms
    if left_ms < CONNECT_MS and window_ms > 2 * CONNECT_MS:
        await clock.sleep_until(clock.now_ms() + left_ms)


async def _prepare_tables(settings: Settings) -> None:
    """The tables take part in the journal's transactions, so they must be there before the first row; the journal has
    made its own by now, and would not take a database that holds only other people's."""
    url = database_url(settings)
    wrote = await asyncio.to_thread(recognise, url)
    if wrote is not None and wrote not in ENGINES_CONTINUED:
        raise JournalForeign(f"its journal was written by engine {wrote}, and this program is engine {ENGINE_VERSION}")
    await asyncio.to_thread(upgrade, url)


async def _start_sequencer(settings: Settings, journal: Journal, clock: Clock, adopt: bool) -> Sequencer:
    rules = rules_of(settings)

    async def started(adopt: bool) -> Sequencer:
        sequencer = Sequencer(journal, clock, rules, Projector(), adopt=adopt, shared=is_shared(settings))
        try:
            await sequencer.start()
        except BaseException:
            await sequencer.stop()
            raise
        return sequencer

    try:
        return await started(adopt)
    except SettingsDiffer as differ:
        # Another speed of the same recording is no change of the rules that anybody agreed to.
        if rules.reference_kind != "replay" or not set(differ.differences) <= {"gap_ms", "print_grace_ms"}:
            raise _refused(settings, differ) from None
    return await started(adopt=True)


def _refused(settings: Settings, differ: SettingsDiffer) -> CannotServe:
    if "reference_kind" in differ.differences:
        kinds = "{!r}, not {!r}".format(*differ.differences["reference_kind"])
        return CannotServe(f"{_place(settings)} began with the reference {kinds}, and keeps it")
    return CannotServe(
        f"the rules differ from those in force ({differ}); start with --adopt-config to put the new ones in force "
        "from the next listed window on"
    )


async def admin_token(settings: Settings, sequencer: Sequencer, store: Store) -> tuple[str | bytes, Path | None]:
    """The operator's token or its hash, and the file in this data dir that holds it unless the environment gave it.

    Nodes on one PostgreSQL share the hash through the database: the token is in the data dir of the node that was
    first, and wherever its file is copied to.
    """
    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value(), None
    path = settings.data_dir / ADMIN_TOKEN_FILE
    if settings.database_url is None:
        return load_admin_token(path), path
    shared = await store.secret(TOKEN_SECRET)
    if shared is None:
        await sequencer.write([insert_secret(TOKEN_SECRET, _hash(load_admin_token(path)))])
        shared = await store.secret(TOKEN_SECRET)
    assert shared is not None
    if not path.exists():
        return shared, None
    if _hash(load_admin_token(path)) != shared:
        log.warning("the admin token of this data dir is not the venue's", path=str(path))
        return shared, None
    return shared, path


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def _feeder(settings: Settings, clock: Clock, start_ms: int | None, sequencer: Sequencer) -> Feeder:
    spec, kind = settings.reference.source, _kind_of(settings)

    def opened(price_cents: int | None) -> ReferenceSource:
        return open_source(spec, settings.reference, clock, start_ms, start_price_cents=price_cents)

    source = await asyncio.to_thread(opened, sequencer.state.reference_price)
    journaled = JournaledIndex(
        lambda: sequencer.state,
        stale_after_ms=settings.reference.stale_after_ms,
        down_after_ms=settings.reference.down_after_ms,
    )
    sequencer.listeners.append(journaled.heard)
    return Feeder(
        source,
        clock,
        sequencer,
        journaled,
        # A recording knows what was at every boundary, and a live price goes on by itself.
        again=opened if kind == "simulated" else None,
        warm=kind == "live",
        complete=kind == "replay",
        alone=not is_shared(settings),
    )
