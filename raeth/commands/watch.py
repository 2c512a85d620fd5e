"""`raeth watch`: a venue as a picture that moves, in a terminal; in a pipe as plain frames one after the other.

Keeps the connection and the terminal. What is shown is made in `scene`, how in `frame`. Must not know either, nor the
server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from raeth.commands.money import plain

if TYPE_CHECKING:
    from rich.console import Console

    from raeth.commands.scene import Scene, WatchedVenue

FRAME_S = 0.2
PLAIN_EVERY_S = 5.0
"""Between two frames where there is no terminal to draw over."""

ONCE_WITHIN_S = 10.0
AGAIN_S = 1.0

Draw = Callable[["Scene"], None]


def watch(
    url: Annotated[str, typer.Option(envvar="RAETH_URL", help="The venue's address.")] = "http://127.0.0.1:8000",
    api_key: Annotated[
        str | None, typer.Option(envvar="RAETH_API_KEY", help="Show this agent's cash, position and orders as well.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Print one frame and exit; 1 if the venue is not there.")
    ] = False,
) -> None:
    """Watch the market live: price against the strike, book, trades and outcomes. Ctrl-C ends it.

    Without a terminal it prints a plain frame every few seconds.
    """
    from rich.console import Console

    from raeth.client.errors import ClientError

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # not an error: whoever read has seen enough

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without our characters shows others, and goes on
    if not os.environ.get("RAETH_API_KEY", "-"):
        del os.environ["RAETH_API_KEY"]  # set to nothing is not set
    console = Terminal(highlight=False)
    try:
        shown = asyncio.run(_watch(console, url, api_key or None, once))
    except (ClientError, ValueError) as error:
        print(f"raeth watch: {plain(str(error))}", file=sys.stderr)
        raise typer.Exit(1 if isinstance(error, ClientError) else 2) from None
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    else:
        raise typer.Exit(0 if shown else 1)


async def _watch(console: Console, url: str, api_key: str | None, once: bool) -> bool:
    """Whether what was shown was current."""
    if once:
        return await _once(console, url, api_key)
    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    following = asyncio.ensure_future(_moving(console, url, api_key))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if following.done():
        following.result()
    following.cancel()
    await asyncio.wait({following})
    return True


async def _once(console: Console, url: str, api_key: str | None) -> bool:
    async with _venue(url, api_key) as venue:
        from raeth.client.errors import Stale

        with contextlib.suppress(Stale):
            await venue.settled_down(ONCE_WITHIN_S)
        scene = venue.scene()
        print_frame(console, scene)
        return scene.current


async def _moving(console: Console, url: str, api_key: str | None) -> None:
    if not console.is_terminal or console.is_dumb_terminal:
        await _follow(url, api_key, lambda scene: print_frame(console, scene), PLAIN_EVERY_S)
        return
    from rich.live import Live
    from rich.text import Text

    from raeth.commands.frame import frame

    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

        def draw(scene: Scene) -> None:
            rows = frame(scene, *console.size)
            live.update(Text("\n", no_wrap=True, end="").join(rows), refresh=True)

        await _follow(url, api_key, draw, FRAME_S)


def print_frame(console: Console, scene: Scene) -> None:
    from raeth.commands.frame import frame

    for row in frame(scene, *console.size):
        console.print(row, no_wrap=True, overflow="crop", crop=True, end="\n")
    console.file.flush()


async def _follow(url: str, api_key: str | None, draw: Draw, every_s: float) -> None:
    """Draw for ever. Raises VenueError when the venue does not accept the key."""
    from raeth.client.errors import Disconnected
    from raeth.commands.scene import Scene

    began_s = time.monotonic()
    why = ""
    while True:
        quiet_s = int(time.monotonic() - began_s)
        draw(Scene(url=url, now_ms=0, link="CONNECTING", why=why, quiet_s=quiet_s))
        try:
            async with _venue(url, api_key) as venue:
                await _drawing(venue, draw, every_s)
        except Disconnected as error:
            why = str(error)
            await asyncio.sleep(AGAIN_S)


async def _drawing(venue: WatchedVenue, draw: Draw, every_s: float) -> None:
    from raeth.client.errors import Stale

    with contextlib.suppress(Stale):
        await venue.settled_down(AGAIN_S)
    while True:
        if venue.stream.failure is not None:
            raise venue.stream.failure
        draw(venue.scene())
        await asyncio.sleep(every_s)


@asynccontextmanager
async def _venue(url: str, api_key: str | None) -> AsyncIterator[WatchedVenue]:
    from raeth.client import AsyncClient
    from raeth.commands.scene import WatchedVenue

    async with AsyncClient(url, api_key, patience_s=2.0) as client, WatchedVenue(client) as venue:
        yield venue
