"""A PostgreSQL to try many nodes with, on a machine that has none: `./scripts/database` starts it and prints its URL.

It is the wheel's (`scripts/postgres.py`), in a folder of its own, on the loopback address alone, with a password that
nobody chose, and runs on until it is told to stop. For trying out: nobody backs it up, upgrades it or starts it again
with the machine. Knows nothing of what is kept in it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.postgres import INITDB, SUPERUSER, UNPRIVILEGED, Programs, free_port, may_use

DATABASE = "raeth"
FOLDER = Path(__file__).resolve().parents[1] / "data-postgres"
START_WITHIN_S = 60
LEFT_WITHIN_S = 20
"""How long the processes of a server that was killed may take to leave."""
_NOT_LEFT_YET = ("lock file", "pre-existing shared memory block")

SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
"""Room for a dozen nodes."""


class CannotRun(Exception):
    """One line that says why."""


class Database:
    """The server in `folder`. The file `url` there says where it listens, from the first start on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data, self._log, self._url = folder / "data", folder / "server.log", folder / "url"

    @property
    def exists(self) -> bool:
        return self._url.exists()

    @property
    def url(self) -> str:
        return self._url.read_text().strip()

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def runs(self) -> bool:
        """Whether its process is there and listens. A file that a crash of the machine left behind is none of both."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n")[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return False
        except PermissionError:
            pass  # somebody else's process: root may have started it
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", self.port)) == 0

    def make(self, port: int | None) -> None:
        """A new server with an empty database, in a folder that must be empty; again empty if it fails."""
        if any(self.folder.iterdir()):
            raise CannotRun(f"{self.folder} holds something else: empty it, or name another folder with --dir")
        password = secrets.token_hex(16)
        try:
            programs = Programs(self.folder)
            self._initialise(programs, password)
            self._write(f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port or free_port()}/{DATABASE}")
            self.start()
            where = ("--host=127.0.0.1", f"--port={self.port}", f"--username={SUPERUSER}", "--no-password")
            _quietly(programs, "createdb", *where, DATABASE, env={**os.environ, "PGPASSWORD": password})
        except BaseException:
            if self.runs:
                self.stop()
            for entry in self.folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            raise

    def start_at(self, port: int) -> None:
        """Start it on this port, which it keeps if that works."""
        before = self.url
        parts = urlsplit(before)
        self._write(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl())
        try:
            self.start()
        except BaseException:
            self._write(before)
            raise

    def start(self) -> None:
        programs = Programs(self.folder)
        self._log.touch()
        programs.give(self._log)
        options = ("-D", self._data, "-l", self._log, "-t", str(START_WITHIN_S), "-o", f"-p {self.port}")
        until = time.monotonic() + LEFT_WITHIN_S
        while True:
            size = self._log.stat().st_size
            try:
                return _quietly(programs, "pg_ctl", "start", "--wait", *options)
            except CannotRun:
                said = self._log.read_bytes()[size:].decode(errors="replace")
            if not any(sign in said for sign in _NOT_LEFT_YET) or time.monotonic() > until:
                break
            time.sleep(0.5)
        if "could not bind" in said:
            raise CannotRun(f"port {self.port} cannot be had; take another with --port")
        raise CannotRun(f"PostgreSQL did not start; the end of {self._log}:\n{said[-2_000:]}")

    def stop(self) -> None:
        """Cut off whoever is connected, and end it. Returns when it has ended."""
        _quietly(Programs(self.folder), "pg_ctl", "stop", "--wait", "--mode=fast", "-D", self._data)

    def _initialise(self, programs: Programs, password: str) -> None:
        options = ["--auth=scram-sha-256", *INITDB, *(f"--set={name}={value}" for name, value in SETTINGS.items())]
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as file:
            file.write(password)
            file.flush()
            programs.give(Path(file.name))
            _quietly(programs, "initdb", "-D", self._data, "-U", SUPERUSER, f"--pwfile={file.name}", *options)

    def _write(self, url: str) -> None:
        """Readable by its owner alone: the password is in it."""
        with os.fdopen(os.open(self._url, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(url + "\n")


def _quietly(programs: Programs, name: str, *arguments: str | Path, **settings: Any) -> None:
    """Run a program; what it says is told only if it fails."""
    with tempfile.TemporaryFile() as said:  # no pipe: the server that one of them starts would keep it open
        try:
            programs.run(name, *arguments, stdin=subprocess.DEVNULL, stdout=said, stderr=said, **settings)
        except subprocess.CalledProcessError:
            said.seek(0)
            raise CannotRun(f"{name} failed: {said.read().decode(errors='replace').strip()}") from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two that are started at once make one server."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def say(message: str) -> None:
    print(f"raeth: {message}", file=sys.stderr)


def prepared(folder: Path) -> Path:
    """The folder, made if need be; where its server may not go, a link to one where it may."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.unlink(missing_ok=True)  # a link to a folder that somebody has removed
        if may_use(folder.parent):
            folder.mkdir(mode=0o700)
        else:
            folder.symlink_to(tempfile.mkdtemp(prefix="raeth-postgres-", dir="/var/tmp"))
            say(f"PostgreSQL does not run as root, and {UNPRIVILEGED} may not enter {folder.parent}:")
            say(f"its data are in {folder.resolve()}, with a link to them in {folder}")
    return folder.resolve()


def start(folder: Path, port: int | None) -> None:
    """Have it running and print its URL, which is all that goes to stdout."""
    place = prepared(folder)
    with alone(place):
        database = Database(place)
        if not database.exists:
            say(f"making a PostgreSQL to try things with, in {folder} …")
            database.make(port)
            say(f"it listens on 127.0.0.1:{database.port} until you say ./scripts/database stop")
        elif database.runs:
            if port not in (None, database.port):
                raise CannotRun(f"it runs on port {database.port}: stop it first")
        else:
            database.start_at(port or database.port)
            say(f"PostgreSQL runs again, with what was in {folder}")
        print(database.url)


def stop(folder: Path) -> None:
    place = folder.resolve()
    if not place.is_dir() or not Database(place).exists:
        raise CannotRun(f"there is none in {folder}")
    with alone(place):
        database = Database(place)
        if not database.runs:
            say("it does not run")
            return
        database.stop()
        say(f"stopped; what was in it stays in {folder}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./scripts/database",
        description="Start a PostgreSQL to try many nodes with, if it does not run, and print its URL on stdout.",
        epilog="For trying out, not for operating. It goes on running; to forget it, stop it and remove its folder.",
    )
    parser.add_argument("action", nargs="?", choices=["start", "stop"], default="start")
    parser.add_argument("--port", type=int, help="loopback port; default: a free one, the same from then on")
    parser.add_argument("--dir", type=Path, default=FOLDER, help="where its data are; default: data-postgres/")
    arguments = parser.parse_args()
    folder = arguments.dir.absolute()
    try:
        if arguments.action == "start":
            start(folder, arguments.port)
        else:
            stop(folder)
    except (CannotRun, OSError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
