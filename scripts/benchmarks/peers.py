"""Other Python matching engines, in an environment of their own: `.venv-peers/` in the project root, made when needed.

Nothing of them ever enters the project's own environment. Where there is no package index they are "not installed", and
the rows say why.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.servers import HERE, ROOT

PEERS = {
    "lightmatchingengine": ("lightmatchingengine==2019.1.4", "2019", 10),
    "pyorderbook": ("pyorderbook==0.4.9", "2025", 10),
    "order-matching": ("order-matching[polars]==0.12.0", "2026", 1),
}
"""Name, what is installed, the year of that version, how many books of the workload it is given: a slow one fewer."""

FOLDER = ROOT / ".venv-peers"
INSTALL_S = 90


class Run(NamedTuple):
    """Operations a second of a peer's own time, and the contracts that traded."""

    rate: float
    traded: int


class Peer:
    """One of them, loaded in a process that waits for work. `why_not` says what is missing, if it is not there."""

    def __init__(self, name: str) -> None:
        self.name = name
        wanted, self.year, self.books = PEERS[name]
        self.version = wanted.rpartition("==")[2]
        self.why_not = _install(wanted)
        self._process: subprocess.Popen[str] | None = None

    def run(self) -> Run | None:
        """The workload once, or the part of it that this peer is given. None, and `why_not` says so, if it failed."""
        if self._process is None:
            self._process = subprocess.Popen(
                [_python(), "-m", "benchmarks.peer_books", self.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(HERE)},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self.books}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self.why_not = "it fails on this machine; the lines above the table say how"
            return None
        return Run(**json.loads(answer))

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate(timeout=10)


def _python() -> str:
    return str(FOLDER / "bin" / "python")


def _install(wanted: str) -> str | None:
    """Put one peer into the environment, unless it is there; why that cannot be done."""
    stamp = FOLDER / f".{wanted}"
    if stamp.exists():
        return None
    print(f"installing {wanted} into {FOLDER.name} …", file=sys.stderr)
    try:
        if not Path(_python()).exists():
            _call([sys.executable, "-m", "venv", str(FOLDER)])
        pip = [_python(), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        _call([*pip, "--retries", "1", "--timeout", "10", wanted])
    except subprocess.TimeoutExpired:
        return f"no answer from the package index within {INSTALL_S} s"
    except subprocess.CalledProcessError as failed:
        unreachable = any(word in failed.stderr for word in ("onnection", "resolve", "timed out", "unreachable"))
        return "the package index cannot be reached" if unreachable else "it does not install on this machine"
    stamp.touch()
    return None


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
