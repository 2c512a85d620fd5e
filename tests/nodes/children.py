"""A parent with two small children: `python -m tests.nodes.children FOLDER [bad]`.

Each child writes its number and pid into `FOLDER/started`, says it is ready, and waits for the end of its parent or for
a signal. The second child of a `bad` parent never becomes ready.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from raeth.logs import configure_logging
from raeth.nodes.workers import Workers, read_brief, write_frame


def child(folder: Path) -> None:
    number, first, is_bad = read_brief().decode().split()
    with (folder / "started").open("a") as started:
        started.write(f"{number} {first} {os.getpid()}\n")
    if is_bad == "bad" and number == "2":
        sys.exit(7)
    write_frame(f"ready {number}".encode())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.read(0, 1)  # until the parent is gone
    (folder / f"orphan-{os.getpid()}").touch()


async def parent(folder: Path, how: str) -> int:
    workers = Workers(
        2,
        (sys.executable, "-m", "tests.nodes.children", str(folder), "child"),
        lambda number, first: f"{number} {first} {how}".encode(),
        lambda message: print(message.decode(), flush=True),
        stop_s=1.0,
        pauses_s=(0.1,),
    )
    return await workers.run()


if __name__ == "__main__":
    if sys.argv[2] == "child":
        child(Path(sys.argv[1]))
    else:
        configure_logging()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(parent(Path(sys.argv[1]), sys.argv[2])))
