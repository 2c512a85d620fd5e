"""The README's many nodes, as they stand there: three processes on the PostgreSQL that `./scripts/database` starts.

What differs from the README: the ports, where things are, and the window. A new venue's first one opens with the next
whole minute, so the order is for the one that is listed: it is declined, and kept like any other.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from scripts.postgres import free_port
from tests.e2e.venue import RAETH, environment, until

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
READY_WITHIN_S = 60
ROLE_WITHIN_S = 15
"""Generous, for a busy machine; a quiet one needs 4 and 1."""


def block(mark: str) -> str:
    (found,) = re.findall(rf"^<!-- {mark} -->\s*\n```sh\n(.*?)^```$", README, re.M | re.S)
    return str(found)


def ending() -> str:
    (found,) = re.findall(r"`(kill %2 %3; [^`]+)`\s+ends it", README)
    return str(found) + "\n"


class Shell:
    """A shell that is told line by line, with the README's ports, programs and window replaced."""

    def __init__(self, folder: Path, database: Path) -> None:
        self._ports = [str(free_port()) for _ in range(3)]
        self._database = f"{sys.executable} -m scripts.database --dir {database}"
        self._out, self._err, self._pids = folder / "out", folder / "err", folder / "pids"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.bash = subprocess.Popen(
                ["bash"],
                cwd=folder,
                env=environment(folder, {}) | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                text=True,
            )

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def tell(self, script: str) -> None:
        for ours, port in zip(("8001", "8002", "8003"), self._ports, strict=True):
            script = script.replace(ours, port)
        for theirs, ours in {
            "./scripts/database": self._database,
            ".venv/bin/raeth": str(RAETH),
            "status=OPEN": "status=PENDING",
        }.items():
            script = script.replace(theirs, ours)
        assert self.bash.stdin is not None
        self.bash.stdin.write(script)
        self.bash.stdin.flush()

    def answers(self, count: int) -> list[dict[str, Any]]:
        """The first JSON objects that were printed, once there are so many."""

        def printed() -> list[str] | None:
            lines = [line for line in self.out.splitlines(keepends=True) if line.startswith("{")]
            return lines[:count] if len(lines) >= count and lines[count - 1].endswith("\n") else None

        return [json.loads(line) for line in until(f"{count} answers", printed, READY_WITHIN_S)]

    def close(self) -> None:
        """Ends whatever still runs, by its pid."""
        self.bash.kill()
        self.bash.wait()
        for pid in self._pids.read_text().split() if self._pids.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run([*self._database.split(), "stop"], cwd=ROOT, capture_output=True, check=False)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    database = Path(tempfile.mkdtemp(prefix="raeth-postgres-"))  # where any user may go, unlike `tmp_path`
    shell = Shell(tmp_path, database)
    try:
        yield shell
    finally:
        shell.close()
        shutil.rmtree(database)


def ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/ready").status_code == 200
    except httpx2.HTTPError:
        return False


def roles(url: str) -> set[str]:
    return set(httpx2.get(f"{url}/health").json()["node"]["roles"])


def test_three_nodes_and_one_of_them_dies(shell: Shell) -> None:
    shell.tell(block("many nodes") + "jobs -p >pids\n")
    for url in shell.urls:
        until(f"{url} ready", lambda url=url: ready(url), READY_WITHIN_S)  # type: ignore[misc]
    again = 'echo "{\\"database\\": \\"$(./scripts/database)\\", \\"asked_first\\": \\"$RAETH_DATABASE_URL\\"}"\n'
    shell.tell(block("what to see") + again)
    placed, read, urls = shell.answers(3)
    assert urls["database"] == urls["asked_first"].strip() != "", (shell.out, shell.err)
    assert placed["client_order_id"] == "one" and placed["status"] == "REJECTED", placed
    assert read["order_id"] == placed["order_id"] and read["reject_reason"] == "MARKET_NOT_OPEN", read
    assert len(re.findall(r'^"node":\{"name":"[^"]+","roles":\[.*\],.*\}$', shell.out, re.M)) == 2, shell.out

    dead, *alive = shell.urls
    assert not ready(dead)
    until("one node has the series", lambda: sum("series" in roles(url) for url in alive) == 1, ROLE_WITHIN_S)
    shell.tell(ending() + "exit\n")
    assert shell.bash.wait(READY_WITHIN_S) == 0, shell.err
    assert "stopped" in shell.err and "Traceback" not in shell.err, shell.err
