"""Puts one node together and runs it: settings in, a serving process out. The only place that knows every room.

Start order: data directory, journal, clock, sequencer (which replays), tables, reference, HTTP; stop is the reverse.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn

from raeth import housekeeping
from raeth.api.app import create_app
from raeth.api.credentials import load_admin_token, load_pepper
from raeth.api.streams.wire import StreamHttp, StreamSocket
from raeth.api.venue import Venue
from raeth.clock import Clock, RealClock, ReplayClock
from raeth.config import ADMIN_TOKEN_FILE, DATABASE, Settings
from raeth.engine.types import ENGINE_VERSION, ENGINES_CONTINUED
from raeth.engine.types import Settings as Rules
from raeth.journal.base import JournalDamaged, JournalForeign, JournalUnavailable
from raeth.journal.scrub import scrub
from raeth.journal.sqlite import SqliteJournal
from raeth.mcp import http as mcp
from raeth.reference import first_ts_ms, open_source
from raeth.reference.types import ReferenceSource
from raeth.sequencer import Sequencer, SettingsDiffer
from raeth.series.scheduler import Scheduler
from raeth.store.migrate import NewerTables, recognise, upgrade
from raeth.store.projector import Projector
from raeth.store.queries import Store
from raeth.store.reader import sqlite_url

log = structlog.get_logger("raeth.server")

SCRUB_RETRY_S = 10.0
FIRST_PRICE_S = 1.0
"""A healthy feed has its first price by then, so that `ready` finds the venue in health; orders do not wait for one."""
GRACE_S = 3
"""What open requests may still take after a signal; the process is gone within 5 s."""


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
        reference_kind=settings.reference.source.partition(":")[0],
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
    """A running node, less its sockets."""

    venue: Venue
    sequencer: Sequencer
    scheduler: Scheduler
    store: Store
    admin_token_path: Path | None


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


def admin_token(settings: Settings) -> tuple[str, Path | None]:
    """The operator's token, and the file it was generated into unless the environment gave it."""
    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value(), None
    path = settings.data_dir / ADMIN_TOKEN_FILE
    return load_admin_token(path), path


async def venue_clock(settings: Settings, journal: SqliteJournal) -> tuple[Clock, int | None]:
    """Real time, or recorded time from the first record on, or from where the journal stopped. Creates the journal."""
    head = await journal.open()
    await journal.close()
    kind, _, file = settings.reference.source.partition(":")
    if kind != "replay":
        return RealClock(), None
    start_ms = head.ts or await asyncio.to_thread(first_ts_ms, file)
    return ReplayClock(start_ms, settings.speed), start_ms


async def assemble(settings: Settings, *, adopt: bool = False) -> Node:
    """Everything up to, but without, the sockets. Raises CannotServe."""
    database = settings.data_dir / DATABASE
    journal = SqliteJournal(database)
    try:
        clock, start_ms = await venue_clock(settings, journal)
        sequencer = await _start_sequencer(settings, journal, clock, adopt)
    except (JournalForeign, NewerTables) as other:
        raise CannotServe(
            f"data dir {settings.data_dir} belongs to another version: {other}; nothing was changed"
        ) from None
    except JournalDamaged as damage:
        raise CannotServe(f"{damage}; nothing was changed; restore a backup or run `raeth audit`") from None
    except JournalUnavailable as trouble:
        raise CannotServe(f"the journal cannot be opened: {trouble}") from None
    except SettingsDiffer as differ:
        await journal.close()
        if "reference_kind" in differ.differences:
            kinds = "{!r}, not {!r}".format(*differ.differences["reference_kind"])
            raise CannotServe(f"data dir {settings.data_dir} began with the reference {kinds}, and keeps it") from None
        raise CannotServe(
            f"the rules differ from those in force ({differ}); start with --adopt-config to put the new ones in force "
            "from the next listed window on"
        ) from None
    store = Store(sqlite_url(database), sequencer.tabled)
    pepper = await load_pepper(sequencer, store)
    token, token_path = admin_token(settings)
    source: ReferenceSource = await asyncio.to_thread(
        _source, settings, clock, start_ms, sequencer.state.reference_price
    )
    venue = Venue(
        settings=settings,
        sequencer=sequencer,
        store=store,
        clock=clock,
        reference=source,
        pepper=pepper,
        admin_token=token,
    )
    scheduler = Scheduler(source, clock, sequencer.submit, lambda: sequencer.state)
    return Node(venue, sequencer, scheduler, store, token_path)


def _source(settings: Settings, clock: Clock, start_ms: int | None, last_price: int | None) -> ReferenceSource:
    return open_source(settings.reference.source, settings.reference, clock, start_ms, start_price_cents=last_price)


async def _start_sequencer(settings: Settings, journal: SqliteJournal, clock: Clock, adopt: bool) -> Sequencer:
    rules = rules_of(settings)
    # The tables take part in the journal's transactions, so they must be there before the first row; the journal has
    # made the file by now, and would not take one that holds only other people's tables.
    url = sqlite_url(settings.data_dir / DATABASE)
    wrote = await asyncio.to_thread(recognise, url)
    if wrote is not None and wrote not in ENGINES_CONTINUED:
        raise JournalForeign(f"its journal was written by engine {wrote}, and this program is engine {ENGINE_VERSION}")
    await asyncio.to_thread(upgrade, url)
    sequencer = Sequencer(journal, clock, rules, Projector(), adopt=adopt)
    try:
        await sequencer.start()
    except SettingsDiffer as differ:
        # Another speed of the same recording is no change of the rules that anybody agreed to.
        if rules.reference_kind != "replay" or not set(differ.differences) <= {"gap_ms", "print_grace_ms"}:
            await sequencer.stop()
            raise
        await sequencer.stop()
        sequencer = Sequencer(journal, clock, rules, Projector(), adopt=True)
        await sequencer.start()
    return sequencer


async def watch_chain(sequencer: Sequencer) -> None:
    """Verify in the background what start-up took on trust from the snapshot; stop the venue on damage."""
    to_seq = sequencer.durable_seq
    while True:
        try:
            await scrub(sequencer.journal, to_seq)
            return
        except JournalDamaged as damage:
            sequencer.halt(str(damage))
            return
        except JournalUnavailable as trouble:
            log.warning("the chain could not be read again; trying once more", error=str(trouble))
            await asyncio.sleep(SCRUB_RETRY_S)


class _Server(uvicorn.Server):
    """uvicorn, but a signal is an ordinary end: it exits 0. `on_stop` are told of it at once."""

    on_stop: tuple[Callable[[], None], ...] = ()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True
        for heard in self.on_stop:
            heard()


def listen(host: str, port: int) -> socket.socket:
    """The listening socket. Raises CannotServe if the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise CannotServe(f"cannot listen on {host}:{port}: {error}") from None
    listener.listen(2048)
    listener.setblocking(False)
    return listener


async def serve(settings: Settings, *, adopt: bool, announce: Callable[[Node, str], None]) -> None:
    """Run until SIGTERM or SIGINT. `announce(node, url)` is called once, when orders are taken. Raises CannotServe."""
    if settings.database_url is not None or settings.workers != 1:
        raise CannotServe("this version runs one process on SQLite: no --database-url, --workers 1")
    # Until the server takes them over: a signal during start-up is an ordinary end too, nothing was accepted yet.
    starting = asyncio.current_task()
    assert starting is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, starting.cancel)
    prepare_data_dir(settings.data_dir)
    with sole_owner(settings.data_dir):
        listener = listen(settings.host, settings.port)
        try:
            await _serve(settings, adopt, listener, announce)
        finally:
            listener.close()


async def _serve(
    settings: Settings, adopt: bool, listener: socket.socket, announce: Callable[[Node, str], None]
) -> None:
    node = await assemble(settings, adopt=adopt)
    models = door_for_models(settings)
    models.venue = create_app(node.venue, mounts={mcp.PATH: models, mcp.ABOUT: models})
    server = _Server(
        uvicorn.Config(
            models.venue,
            loop="uvloop",
            http=StreamHttp.within(settings.limits.body_deadline_ms / 1000),
            ws=StreamSocket,
            ws_max_size=settings.limits.frame_bytes,
            ws_per_message_deflate=False,  # it would compress each event anew for each reader
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whose forwarded address counts is a setting of the venue, and the door judges it
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    server.on_stop = (node.venue.hub.depart, models.depart)
    tasks = [
        asyncio.create_task(node.scheduler.run(), name="scheduler"),
        asyncio.create_task(watch_chain(node.sequencer), name="scrubber"),
        asyncio.create_task(node.venue.metrics.watch_loop(), name="loop lag"),
        asyncio.create_task(_announce(server, node, listener, announce), name="announce"),
        asyncio.create_task(_open_to_models(server, models), name="mcp"),
        asyncio.create_task(_keep_house(server, node, listener), name="house"),
    ]
    tasks[0].add_done_callback(lambda task: _scheduler_ended(task, server))
    # What start-up made stays for good; the collector need not look at it again, and the hot path makes no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
    try:
        await server.serve([listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await node.venue.hub.stop()
        await node.sequencer.stop()
        await node.store.close()


def door_for_models(settings: Settings) -> mcp.Door:
    """What answers at `/mcp`, to the names that this venue is known by."""
    own = f"[{settings.host}]" if ":" in settings.host else settings.host
    limits = settings.limits
    return mcp.Door(
        [own, *settings.public_hosts], body_bytes=limits.body_bytes, body_deadline_ms=limits.body_deadline_ms
    )


async def _open_to_models(server: uvicorn.Server, models: mcp.Door) -> None:
    """Orders are taken first: what the models' door needs takes half a second to load. The venue lives without it."""
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        await models.run()
    except Exception:
        log.exception("the door for models cannot be opened")


def _scheduler_ended(task: asyncio.Task[None], server: uvicorn.Server) -> None:
    """The feed's task never ends by itself: if it did, that is a bug, and a venue without prints must not go on."""
    if not task.cancelled() and task.exception() is not None:
        log.error("the scheduler failed", exc_info=task.exception())
        server.should_exit = True


async def _keep_house(server: uvicorn.Server, node: Node, listener: socket.socket) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    await housekeeping.keep(node.venue, housekeeping.reachable(*listener.getsockname()[:2]))


async def _announce(
    server: uvicorn.Server, node: Node, listener: socket.socket, announce: Callable[[Node, str], None]
) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    venue = node.venue
    give_up = time.monotonic() + FIRST_PRICE_S
    while venue.reference.current(venue.clock.now_ms()).status != "LIVE" and time.monotonic() < give_up:
        await asyncio.sleep(0.01)
    host, port = listener.getsockname()[:2]
    announce(node, f"http://{f'[{host}]' if ':' in host else host}:{port}")
