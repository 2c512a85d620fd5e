"""Runs one node: settings in, a serving process out; stop is the reverse of start.

With more than one worker the process only watches (`serve_workers`), and each of the others is a node (`serve`). The
parts are put together in `raeth.assembly`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import uvicorn

from raeth import housekeeping
from raeth.api.app import create_app
from raeth.api.connection import BoundedHttp
from raeth.api.streams.wire import StreamSocket
from raeth.assembly import CannotServe, Node, assemble, prepare_data_dir, sole_owner
from raeth.config import Settings
from raeth.journal.base import JournalDamaged, JournalUnavailable
from raeth.journal.scrub import scrub
from raeth.mcp import http as mcp
from raeth.nodes.roles import SERIES
from raeth.nodes.workers import Workers
from raeth.sequencer import Sequencer
from raeth.terminal.site import Site

__all__ = ["CannotServe", "Node", "Ready", "assemble", "prepare_data_dir", "serve", "serve_workers"]

log = structlog.get_logger("raeth.server")

SCRUB_RETRY_S: Final = 10.0
FIRST_PRICE_S: Final = 1.0
"""A healthy feed has its first price by then, so that `ready` finds the venue in health; orders do not wait for one."""
GRACE_S: Final = 3
"""What open requests may still take after a signal; the process is gone within 5 s."""


@dataclass(frozen=True)
class Ready:
    """What is said of a node that takes orders."""

    url: str
    node: str
    reference: str
    synthetic: bool
    seq: int
    pending: str | None
    """The first window's symbol, while none has opened yet …"""
    opens_in_s: float
    """… and how long that takes."""
    admin_token_path: Path | None
    has_page: bool
    """Whether there is a web page at the address."""


Announce = Callable[[Ready], None]


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


def listen(host: str, port: int, *, together: bool = False) -> socket.socket:
    """The listening socket; `together` with other processes' on the same port. Raises CannotServe if the address is
    taken or not ours."""
    listener = _bound(host, port, together=together)
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def _bound(host: str, port: int, *, together: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if together:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise CannotServe(f"cannot listen on {host}:{port}: {error}") from None
    return bound


def reserve(host: str, port: int) -> socket.socket:
    """Take a port for the workers, who listen on it together. Raises CannotServe."""
    # Processes that listen together do so with whoever else does: another venue's must be noticed first.
    listen(host, port).close()
    return _bound(host, port, together=True)


async def serve(settings: Settings, *, adopt: bool, announce: Announce, worker: int | None = None) -> None:
    """Run until SIGTERM or SIGINT. `announce` is called once, when orders are taken. Raises CannotServe.

    `worker`: one of several, whose parent holds the data dir and has reserved the port."""
    # Until the server takes them over: a signal during start-up is an ordinary end too, nothing was accepted yet.
    starting = asyncio.current_task()
    assert starting is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, starting.cancel)
    prepare_data_dir(settings.data_dir)
    with sole_owner(settings.data_dir) if worker is None else contextlib.nullcontext():
        listener = listen(settings.host, settings.port, together=worker is not None)
        try:
            await _serve(settings, adopt, worker, listener, announce)
        finally:
            listener.close()


async def _serve(
    settings: Settings, adopt: bool, worker: int | None, listener: socket.socket, announce: Announce
) -> None:
    node = await assemble(settings, adopt=adopt, worker=worker)
    models = door_for_models(settings)
    site = web_page()
    models.venue = create_app(node.venue, mounts={mcp.PATH: models, mcp.ABOUT: models}, site=site)
    server = _Server(
        uvicorn.Config(
            models.venue,
            loop="uvloop",
            interface="asgi3",
            http=BoundedHttp.within(settings.limits.body_deadline_ms / 1000),
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
    feeding = [
        asyncio.create_task(node.feeder.watch(), name="reference"),
        asyncio.create_task(node.roles.keep(SERIES, lambda lease: node.feeder.feed(lease.confirmed)), name="series"),
    ]
    tasks = [
        *feeding,
        asyncio.create_task(watch_chain(node.sequencer), name="scrubber"),
        asyncio.create_task(node.venue.metrics.watch_loop(), name="loop lag"),
        asyncio.create_task(_announce(server, node, site, listener, announce), name="announce"),
        asyncio.create_task(_open_to_models(server, models), name="mcp"),
        asyncio.create_task(_keep_house(server, node, listener), name="house"),
    ]
    for task in feeding:
        task.add_done_callback(lambda task: _feeding_ended(task, server))
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
        await node.venue.budgets.close()
        await node.sequencer.stop()
        await node.store.close()


def door_for_models(settings: Settings) -> mcp.Door:
    """What answers at `/mcp`, to the names that this venue is known by."""
    own = f"[{settings.host}]" if ":" in settings.host else settings.host
    limits = settings.limits
    return mcp.Door(
        [own, *settings.public_hosts], body_bytes=limits.body_bytes, body_deadline_ms=limits.body_deadline_ms
    )


def web_page() -> Site:
    """What answers at `/`. The venue lives without it."""
    try:
        return Site.read()
    except OSError as error:
        log.warning("the web page cannot be read", error=str(error))
        return Site({})


async def _open_to_models(server: uvicorn.Server, models: mcp.Door) -> None:
    """Orders are taken first: what the models' door needs takes half a second to load. The venue lives without it."""
    await _started(server)
    try:
        await models.run()
    except Exception:
        log.exception("the door for models cannot be opened")


def _feeding_ended(task: asyncio.Task[None], server: uvicorn.Server) -> None:
    """These never fail by themselves: if one did, that is a bug, and a node that may have the role must not go on."""
    if not task.cancelled() and task.exception() is not None:
        log.error("the reference failed", exc_info=task.exception())
        server.should_exit = True


async def _started(server: uvicorn.Server) -> None:
    while not server.started:
        await asyncio.sleep(0.01)


async def _keep_house(server: uvicorn.Server, node: Node, listener: socket.socket) -> None:
    await _started(server)
    await housekeeping.keep(node.venue, node.roles, housekeeping.reachable(*listener.getsockname()[:2]))


async def _announce(
    server: uvicorn.Server, node: Node, site: Site, listener: socket.socket, announce: Announce
) -> None:
    await _started(server)
    venue, state = node.venue, node.sequencer.state
    give_up = time.monotonic() + FIRST_PRICE_S
    while venue.reference.current(venue.clock.now_ms()).status != "LIVE" and time.monotonic() < give_up:
        await asyncio.sleep(0.01)
    host, port = listener.getsockname()[:2]
    pending = state.pending if state.live is None else None
    left_s = 0.0 if pending is None else (pending.open_at - venue.clock.now_ms()) / 1000 / venue.clock.speed
    announce(
        Ready(
            url=f"http://{f'[{host}]' if ':' in host else host}:{port}",
            node=node.name,
            reference=venue.reference.name,
            synthetic=venue.reference.synthetic,
            seq=state.seq,
            pending=None if pending is None else pending.symbol,
            opens_in_s=max(0.0, left_s),
            admin_token_path=node.admin_token_path,
            has_page=site.exists,
        )
    )


# ---- several processes on one port ----


async def serve_workers(settings: Settings, *, adopt: bool, announce: Announce) -> int:
    """Start `settings.workers` nodes on one port and watch them until SIGTERM or SIGINT; the code to exit with.

    `announce` is called once, when all take orders. Raises CannotServe."""
    prepare_data_dir(settings.data_dir)
    with sole_owner(settings.data_dir):
        reserved = reserve(settings.host, settings.port)
        try:
            brief = settings.model_copy(update={"port": reserved.getsockname()[1]})
            workers = Workers(
                settings.workers,
                (sys.executable, "-P", "-m", "raeth.worker"),
                lambda number, first: pickle.dumps((brief, number, adopt and first)),
                lambda told: announce(pickle.loads(told)),  # noqa: S301, from a child of ours through a pipe of ours
            )
            return await workers.run()
        finally:
            reserved.close()
