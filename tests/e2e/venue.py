"""A venue as its users have it: the installed program in a process of its own, its socket and its command line.

Nothing of the program is imported here, so that what these tests expect comes from the contract alone. Real processes
are waited for by asking again after a short pause; everything that can be waited for has a deadline.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from tests.e2e.leaks import Secrets, search

RAETH = Path(sys.executable).with_name("raeth")
READY_WITHIN_S = 30
"""A generous bound for a busy machine; an idle one needs about a second."""
STOP_WITHIN_S = 5.0
"""Contract, section 13."""
PAUSE_S = 0.02

ROOMY = {
    "RAETH_LIMITS__WRITES_PER_MINUTE": "100000000",
    "RAETH_LIMITS__CANCELS_PER_MINUTE": "100000000",
    "RAETH_LIMITS__READS_PER_MINUTE": "100000000",
    "RAETH_LIMITS__ANONYMOUS_READS_PER_MINUTE": "100000000",
    "RAETH_LIMITS__SIGNUPS_PER_MINUTE": "100000000",
}
"""Budgets that no test can use up: they are tested elsewhere."""

QUIET = {"RAETH_HOUSE": "false"}
"""No house market maker, so that the book is what the test makes it; tests of the house switch it on by its flag."""

LEFT_S = 15
"""What an OPEN market must have left, at speed 1, for a test to trade in it without meeting its close."""

TERMINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "REJECTED"})

T = TypeVar("T")


def environment(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """This process's environment, but of RAETH_ settings only the given ones, and no settings file but an empty one."""
    empty = folder / "empty.toml"
    empty.touch()
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("RAETH_")}
    plain = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "240"}
    return {**inherited, **plain, "RAETH_CONFIG": str(empty), **ROOMY, **QUIET, **settings}


def until(what: str, ask: Callable[[], T | None], within_s: float = 10.0) -> T:
    """The first true answer. Fails, saying what it waited for, when the deadline has passed."""
    deadline = time.monotonic() + within_s
    while True:
        if answer := ask():
            return answer
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(PAUSE_S)


def ms(iso: str) -> int:
    """Epoch milliseconds of a time on the wire, exactly."""
    moment = datetime.strptime(iso, "%Y-%m-%dT%H:%M:%S.%fZ")
    return int((moment - datetime(1970, 1, 1)).total_seconds() * 1000 + 0.5)


class VenueProcess:
    """One `raeth serve`. Its output goes to files, so a full pipe can never stop it."""

    def __init__(
        self,
        folder: Path,
        name: str,
        flags: Iterable[str],
        settings: dict[str, str],
        secrets: Secrets | None = None,
        prefix: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        self.secrets = secrets if secrets is not None else Secrets()
        self.stdout_path, self.stderr_path = folder / f"{name}.out", folder / f"{name}.err"
        self.url = ""
        with self.stdout_path.open("wb") as stdout, self.stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*prefix, RAETH, "serve", *flags],
                cwd=folder,
                env=environment(folder, settings),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        self.started = time.monotonic()

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text()

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text()

    def wait_ready(self) -> None:
        """Until the ready line is there and the address is known."""

        def address() -> str | None:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.stderr}"
            found = re.match(r"ready (http://\S+) .*\n", self.stdout)
            return found[1] if found else None

        self.url = until("the ready line", address, READY_WITHIN_S)
        self.ready_after_s = time.monotonic() - self.started
        hooks = {"response": [self.secrets.watch]}
        self.http = httpx2.Client(base_url=self.url, timeout=20, event_hooks=hooks)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Seconds from the signal to the end, which must be exit 0 and within the contract's bound."""
        asked = time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"still running {STOP_WITHIN_S} s after {number.name}: {self.stderr[-2000:]}"
            ) from None
        assert code == 0, f"exit {code}: {self.stderr[-2000:]}"
        return time.monotonic() - asked

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to do anything more."""
        self.process.kill()
        self.process.wait(timeout=10)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()
        if self.url:
            self.http.close()

    # What callers ask

    def get(self, path: str, expect: int = 200, **params: Any) -> Any:
        """A read without a credential."""
        return self._answer(self.http.get(path, params=params), expect)

    def admin(self, method: str, path: str, token: str, expect: int = 200, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return self._answer(self.http.request(method, f"/api/v1/admin{path}", headers=headers, **options), expect)

    def signup(self, name: str, **fields: Any) -> Agent:
        body = {"email": f"{name}@example.com", "agent_name": name, **fields}
        made = self._answer(self.http.post("/api/v1/auth/signup", json=body), 201)
        return Agent(self, made)

    def markets(self, **params: Any) -> list[dict[str, Any]]:
        """All of them that match, page by page."""
        return list(pages(lambda cursor: self.get("/api/v1/markets", limit=250, **cursor, **params)))

    def open_market(self, least_left_s: int = 0, within_s: float = 30.0) -> dict[str, Any]:
        """The OPEN market, as soon as there is one with that much time (of the venue) left."""

        def found() -> dict[str, Any] | None:
            markets = self.get("/api/v1/markets", status="OPEN")["items"]
            assert len(markets) <= 1, [market["symbol"] for market in markets]
            # One without a print to open with is halted, and no use to anybody.
            usable = (market for market in markets if not market["halted"])
            return next((market for market in usable if market["seconds_to_close"] >= least_left_s), None)

        return until("an OPEN market", found, within_s)

    @staticmethod
    def _answer(response: httpx2.Response, expect: int) -> Any:
        assert response.status_code == expect, f"{response.status_code}: {response.text}"
        return response.json()


class Agent:
    """One agent and its key. It outlives the process it signed up at: give it the next one with `at`."""

    def __init__(self, venue: VenueProcess, made: dict[str, Any]) -> None:
        self.venue = venue
        self.made = made
        self.id: str = made["agent_id"]
        self.key: str = made["api_key"]

    def at(self, venue: VenueProcess) -> Agent:
        return Agent(venue, self.made)

    def ask(self, method: str, path: str, expect: int = 200, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        response = self.venue.http.request(method, f"/api/v1{path}", headers=headers, **options)
        return VenueProcess._answer(response, expect)

    def get(self, path: str, expect: int = 200, **params: Any) -> Any:
        return self.ask("GET", path, expect, params=params)

    def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """A whole list, page by page."""
        return list(pages(lambda cursor: self.get(path, limit=250, **cursor, **params)))

    def place(self, market_id: str, side: str, price: int | None, qty: int, **fields: Any) -> dict[str, Any]:
        """A LIMIT order, or a MARKET one without a price."""
        body: dict[str, Any] = {"market_id": market_id, "side": side, "qty": qty}
        body |= {"type": "MARKET"} if price is None else {"type": "LIMIT", "price": price}
        return self.ask("POST", "/orders", json=body | fields)

    def by_key(self, key: str) -> dict[str, Any]:
        return self.get(f"/orders/by-client-id/{key}")


def pages(read: Callable[[dict[str, str]], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The items of a paged list; `read` takes the cursor as query parameters."""
    cursor: dict[str, str] = {}
    for _ in range(1000):
        page = read(cursor)
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("a list that does not end")


class Host:
    """A folder in which venues run one after the other (or try to run at once), and what else the program can do.

    `prefix` is a command that runs the program in other surroundings, in its own place: its process becomes ours.
    """

    def __init__(self, folder: Path, prefix: Iterable[str] = ()) -> None:
        self.folder = folder
        self.prefix = tuple(prefix)
        self.data_dir = folder / "data"
        self.secrets = Secrets()
        self._started: list[VenueProcess] = []
        self._names = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for venue in self._started:
            venue.end()
        if kind is None:
            search(self.secrets, self.folder, self.data_dir)

    def launch(self, *flags: str, **settings: str) -> VenueProcess:
        """Start `raeth serve` on this host's data dir and a free port; the settings are environment variables."""
        port = () if "--port" in flags else ("--port", "0")
        where = () if "--data-dir" in flags else ("--data-dir", str(self.data_dir))
        self.secrets.note(*(value for name, value in settings.items() if name == "RAETH_ADMIN_TOKEN"))
        name = f"venue-{next(self._names)}"
        venue = VenueProcess(self.folder, name, [*flags, *port, *where], settings, self.secrets, self.prefix)
        self._started.append(venue)
        return venue

    def serve(self, *flags: str, **settings: str) -> VenueProcess:
        """A venue that takes orders."""
        venue = self.launch(*flags, **settings)
        venue.wait_ready()
        return venue

    def refused(self, code: int, *flags: str, **settings: str) -> str:
        """The one line with which `raeth serve` must end at once."""
        venue = self.launch(*flags, **settings)
        try:
            ended = venue.process.wait(timeout=READY_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it runs, but must not: {venue.stdout}") from None
        assert ended == code, f"exit {ended}: {venue.stderr}"
        assert "ready" not in venue.stdout
        # Structured log lines may come before; what is for the operator is one line and no traceback.
        lines = [line for line in venue.stderr.splitlines() if line.strip() and not line.startswith("{")]
        assert len(lines) == 1, venue.stderr
        return lines[0]

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """One command of the program, to its end."""
        return subprocess.run(
            [*self.prefix, RAETH, *arguments],
            cwd=self.folder,
            env=environment(self.folder, settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def audited(self) -> dict[str, Any]:
        """The summary of an audit that must be clean."""
        done = self.run("audit", "--data-dir", str(self.data_dir), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert report["ok"] is True
        return report

    @property
    def database(self) -> Path:
        (found,) = self.data_dir.glob("*.db")
        return found


@contextmanager
def hosting(folder: Path) -> Iterator[Host]:
    with Host(folder) as host:
        yield host


def write_recording(path: Path, start_ms: int, prices: Iterable[tuple[int, int]]) -> Path:
    """A recording of `(ms after start, price in cents)` in the form `--reference replay:FILE` reads."""
    lines = [f"{start_ms + after_ms},{price_cents}" for after_ms, price_cents in prices]
    path.write_text("\n".join(["ts_ms,price_cents", *lines]) + "\n")
    return path


def last_price(ticks: list[tuple[int, int]], boundary_ms: int, max_age_ms: int = 5_000) -> int | None:
    """The print by the contract's words: the last price with source time ≤ the boundary, if it is young enough."""
    known = [(ts, price) for ts, price in ticks if ts <= boundary_ms]
    if not known or boundary_ms - known[-1][0] > max_age_ms:
        return None
    return known[-1][1]


def outcome(open_price: int | None, close_price: int | None) -> str:
    """What two prints mean under the default tie rule."""
    if open_price is None or close_price is None or open_price == close_price:
        return "VOID"
    return "YES" if close_price > open_price else "NO"
