"""One of several processes of a venue on one machine: `python -m raeth.worker`, as `raeth serve --workers N` starts it.

Its parent writes the settings into its standard input and leaves that open: when it closes, the parent is gone, and the
worker ends as if it had been told to. To its standard output it writes what is to be announced.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys

import structlog
import uvloop

from raeth.journal.base import JournalUnavailable
from raeth.logs import configure_logging
from raeth.nodes.workers import read_brief, write_frame
from raeth.reference.types import SourceError
from raeth.server import CannotServe, Ready, serve


def main() -> int:
    """The exit code: 0 told to end, 1 it cannot serve, and one line on stderr says why."""
    settings, number, adopt = pickle.loads(read_brief())  # noqa: S301, from our parent through a pipe of its own
    configure_logging(settings.log_level)
    structlog.contextvars.bind_contextvars(worker=number)

    def announce(ready: Ready) -> None:
        write_frame(pickle.dumps(ready))

    async def run() -> None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _parent_spoke)
        await serve(settings, adopt=adopt, announce=announce, worker=number)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except asyncio.CancelledError:
        return 0  # told to stop before it had begun
    except (CannotServe, SourceError, JournalUnavailable) as error:
        print(f"raeth: {error}", file=sys.stderr)
        return 1
    return 0


def _parent_spoke() -> None:
    """It never says anything more: this is the end of it."""
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
