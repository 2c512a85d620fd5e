"""A real PostgreSQL for tests: the server that a wheel brings, on a free port of the loopback, ended with the process.

Use `fresh_database()` for an empty database on the server that this process shares, the fixtures `postgres_server` and
`postgres_url` for the same in a test, and a `Server` of your own where it has to be stopped or restarted. All of it may
be called from any thread and from inside a running event loop.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from scripts.postgres import INITDB, SUPERUSER, Programs, free_port

T = TypeVar("T")

START_TIMEOUT_S = 60.0
_PORT_TAKEN = "could not create any TCP/IP sockets"

# Runs the server until told how to stop it. When the tests are gone, however they ended, the pipe closes: then the
# server goes too, and its directory with it.
_KEEPER = """
folder=$1; shift
"$@" >>"$folder/server.log" 2>&1 </dev/null &
server=$!
if read -r signal; then kill -"$signal" $server 2>/dev/null; wait $server
else kill -QUIT $server 2>/dev/null; wait $server; rm -rf "$folder"
fi
"""


class PortTaken(Exception):
    """Somebody else came first."""


class Server:
    """One PostgreSQL with a directory and a port of its own. Starts when it is made; `close` ends and removes it.

    `settings` are the server's, by name. Under pytest it does without `fsync`: what tests crash is processes, and to
    those the difference is time alone. Whoever measures, outside of pytest, has it.
    """

    def __init__(self, **settings: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="raeth-postgres-"))
        self._programs = Programs(self._folder)
        self._data = self._folder / "data"
        self._port = 0
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "logging_collector": "off",
            "fsync": "off" if "PYTEST_VERSION" in os.environ else "on",
            **settings,
        }
        self._keeper: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._initialise()
        while self._keeper is None:
            self._port = free_port()
            with suppress(PortTaken):
                self.start()

    @property
    def url(self) -> str:
        """The database that every server has; tests take one of their own from `fresh_database`."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self._port}/{database}"

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    @property
    def log(self) -> str:
        """What the server has written, since it was made."""
        file = self._folder / "server.log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def pid(self) -> int:
        """Of the server's first process; its parent is not the tests, so do not wait for it."""
        return int(self._pid_file().read_text().split("\n")[0])

    def start(self) -> None:
        """Start it, on the same port and data as before; returns when it takes connections. Raises PortTaken."""
        assert self._keeper is None, "started twice"
        settings = [f"--{name}={value}" for name, value in (self._settings | {"port": self._port}).items()]
        log_before = len(self.log)
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", self._folder, self._programs["postgres"], "-D", self._data, *settings],
            stdin=subprocess.PIPE,
            **self._programs.settings,
        )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._takes_connections():
            if _PORT_TAKEN in self.log[log_before:]:
                self.stop()
                raise PortTaken(self._port)
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"PostgreSQL did not start:\n{self.log[-2_000:]}")
            time.sleep(0.02)

    def stop(self, *, crash: bool = False) -> None:
        """Stop it and wait: sessions are cut off, transactions rolled back. With `crash` as if the power had failed,
        but for what the system still holds for its files."""
        keeper, self._keeper = self._keeper, None
        assert keeper is not None, "stopped twice"
        keeper.communicate(b"QUIT\n" if crash else b"INT\n")

    def restart(self, *, crash: bool = False) -> None:
        self.stop(crash=crash)
        self.start()

    def fresh_database(self) -> str:
        """The URL of a new, empty database on this server."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url_of(name)

    def execute(self, sql: str, *parameters: object, url: str | None = None) -> list[Any]:
        """One statement from outside, in a session of its own on `url` (default: the server's first database)."""
        return run_anywhere(_execute(url or self.url, sql, parameters))

    def close(self) -> None:
        """End it and remove its directory. Harmless the second time."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialise(self) -> None:
        options = ("-D", self._data, "-U", SUPERUSER, "--auth=trust", "--no-sync", *INITDB)
        self._programs.run("initdb", *options, stdout=subprocess.DEVNULL)

    def _takes_connections(self) -> bool:
        try:
            lines = self._pid_file().read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"


# ---- the one that this process shares ----

_shared: Server | None = None
_sharing = threading.Lock()


def shared_server() -> Server:
    """The server all tests of this process share: started when first asked for, ended with the process."""
    global _shared
    with _sharing:
        if _shared is None:
            _shared = Server()
            atexit.register(_shared.close)
        return _shared


def fresh_database() -> str:
    """The URL of a new, empty database on the shared server."""
    return shared_server().fresh_database()


@pytest.fixture(scope="session")
def postgres_server() -> Server:
    return shared_server()


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """A new database for one test; dropped afterwards, whoever is still connected."""
    url = postgres_server.fresh_database()
    yield url
    postgres_server.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


# ---- helpers ----


def run_anywhere(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a loop and a thread of its own: works inside a running loop too."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


async def _execute(url: str, sql: str, parameters: tuple[object, ...]) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(record) for record in await connection.fetch(sql, *parameters)]
    finally:
        await connection.close()
