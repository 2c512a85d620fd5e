"""How fast a venue reads its journal again, with no snapshot to begin from.

The journal is the one that the run's own venue has written. Every reading is a process of its own
(`python -m benchmarks.restart`, the settings in the environment): opening the file, reading every row, verifying the
hash chain, decoding each command and executing it again. Loading the program is not in it, nor are sockets.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.entry import measure_sockets
from benchmarks.servers import HERE, ROOMY, ROOT, Stage
from benchmarks.table import Line, line

COMMANDS = 100_000
"""At least so many."""


def measure(stage: Stage, rounds: int) -> list[Line]:
    """Ends the venue of the stage: by a kill, so that nothing is tidied up."""
    venue = stage.venue
    database = Path(venue.folder) / "raeth.db"
    while _head(database) < COMMANDS:
        measure_sockets(venue, 4)
    os.kill(venue.pid, signal.SIGKILL)
    os.waitid(os.P_PID, venue.pid, os.WEXITED | os.WNOWAIT)
    found = [_again(venue.folder, database) for _ in range(rounds)]
    rates = [commands / seconds for commands, seconds, _ in found]
    seconds, used = (median(one[k] for one in found) for k in (1, 2))
    return [
        line(
            "restart",
            f"{median(rates):,.0f} commands/s",
            f"{min(rates):,.0f} to {max(rates):,.0f} over {rounds} starts; {found[0][0]:,} commands in "
            f"{seconds:.2f} s, {used:.2f} s of processor time",
        )
    ]


def _head(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT max(seq) FROM journal").fetchone()[0])


def _again(folder: str, database: Path) -> tuple[int, float, float]:
    """Commands, seconds by the clock, and by the processor."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("DELETE FROM snapshots")
    environment = {**os.environ, **ROOMY, "RAETH_DATA_DIR": folder, "RAETH_LOG_LEVEL": "error"}
    environment["PYTHONPATH"] = f"{HERE}:{ROOT}"
    command = [sys.executable, "-m", "benchmarks.restart"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    return told["commands"], told["seconds"], told["cpu_seconds"]


async def _start() -> None:
    """What `raeth serve` does before it listens, with the start of the sequencer timed."""
    from raeth.config import load_settings
    from raeth.sequencer import Sequencer
    from raeth.server import assemble

    start = Sequencer.start

    async def timed(self: Sequencer) -> None:
        began, cpu_began = time.perf_counter(), time.process_time()
        await start(self)
        told = {
            "commands": self.durable_seq,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu_began,
        }
        print(json.dumps(told), flush=True)
        os._exit(0)  # at once, before a snapshot is taken

    Sequencer.start = timed  # type: ignore[method-assign]
    await assemble(load_settings())


if __name__ == "__main__":
    uvloop.run(_start())
