"""Several `raeth serve` on one PostgreSQL are one venue: whoever answers, and whoever dies or is paused."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from raeth.assembly import CannotServe, assemble
from raeth.config import Settings
from tests.e2e.venue import Host, VenueProcess, hosting, until

WITHIN_S = 30
"""For a busy machine; what it took is printed."""


class Fleet:
    """Nodes on one database, each with a data dir of its own."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self.folder = folder
        self.url = url
        self._stack = stack
        self.hosts: list[Host] = []
        self.nodes: list[VenueProcess] = []

    def start(self, count: int, *flags: str) -> None:
        """That many at once, on a database that may be empty."""
        for number in range(len(self.nodes), len(self.nodes) + count):
            folder = self.folder / f"node-{number}"
            folder.mkdir()
            host = self._stack.enter_context(hosting(folder))
            self.hosts.append(host)
            settings = {"RAETH_NODE": f"node-{number}", "RAETH_LOG_LEVEL": "info"}
            self.nodes.append(host.launch("--database-url", self.url, *flags, **settings))
        for node in self.nodes[-count:]:
            node.wait_ready()

    def holder(self, role: str, among: list[VenueProcess]) -> VenueProcess:
        """The one that says it has the role."""

        def found() -> VenueProcess | None:
            return next((node for node in among if role in node_of(node)["roles"]), None)

        return until(f"somebody with {role}", found, WITHIN_S)

    def audited(self) -> dict[str, Any]:
        done = self.hosts[0].run("audit", "--database-url", self.url, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report


def node_of(venue: VenueProcess) -> dict[str, Any]:
    answer: dict[str, Any] = venue.get("/health")["node"]
    return answer


@pytest.fixture
def fleet(tmp_path: Path, postgres_url: str) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, postgres_url, stack)


def test_two_nodes_are_one_venue(fleet: Fleet) -> None:
    fleet.start(2)
    one, two = fleet.nodes
    assert {node_of(node)["name"] for node in fleet.nodes} == {"node-0", "node-1"}
    # The token is in one data dir, and opens both doors.
    (token_file,) = [host.data_dir / "admin_token" for host in fleet.hosts if (host.data_dir / "admin_token").exists()]
    token = token_file.read_text().strip()
    for node in fleet.nodes:
        assert node.admin("GET", "/state", token)["frozen"] is False
        assert node.admin("GET", "/state", token[:-2] + "xx", 401)["code"] == "AUTH_INVALID"
        assert token not in node.stdout + node.stderr
    # What one answered the other knows.
    agent = one.signup("agent")
    there = agent.at(two)
    made = there.ask("POST", "/faucet", 201)
    until("the cash here", lambda: agent.get("/account")["cash_cents"] == made["cash_cents"])
    one.admin("POST", "/freeze", token, json={"reason": "both"})
    assert there.ask("POST", "/faucet", 503)["code"] == "EXCHANGE_FROZEN", "what changes the venue knows all of it"
    until("the freeze there", lambda: there.get("/account")["frozen"])
    two.admin("POST", "/unfreeze", token, json={})
    # One feeds, both show it; when it dies the other one feeds.
    feeder = fleet.holder("series", fleet.nodes)
    (other,) = set(fleet.nodes) - {feeder}
    until("the reference at the other one", lambda: other.get("/health")["reference"]["status"] == "LIVE", WITHIN_S)
    assert "series" not in node_of(other)["roles"]
    killed = time.monotonic()
    feeder.kill()
    assert fleet.holder("series", [other]) is other
    print(f"another one feeds {time.monotonic() - killed:.2f} s after a kill")

    def young() -> bool:
        age_ms = other.get("/health")["reference"]["age_ms"]
        return age_ms is not None and age_ms < 1_000  # null until it has a price of its own

    until("a young price", young, WITHIN_S)
    assert other.stop() < 5
    assert fleet.audited()["ok"] is True


@pytest.mark.long
@pytest.mark.timeout(600)
def test_three_nodes_live_through_kills_and_pauses(fleet: Fleet) -> None:
    """Windows go on, whichever node is killed or paused; a paused one that wakes up does no harm."""
    fleet.start(3, "--house")
    nodes = list(fleet.nodes)
    waited: dict[str, list[float]] = {"kill": [], "pause": []}
    for how in ("kill", "pause", "kill", "pause"):
        for role in ("series", "house"):
            victim = fleet.holder(role, nodes)
            others = [node for node in nodes if node is not victim]
            asked = time.monotonic()
            if how == "kill":
                victim.kill()
                nodes.remove(victim)
            else:
                victim.process.send_signal(signal.SIGSTOP)
            fleet.holder(role, others)
            waited[how].append(time.monotonic() - asked)
            if how == "pause":
                victim.process.send_signal(signal.SIGCONT)
                until("it knows", lambda role=role, victim=victim: role not in node_of(victim)["roles"], WITHIN_S)
            else:
                fleet.start(1, "--house")
                nodes.append(fleet.nodes[-1])
    print({how: [round(s, 2) for s in took] for how, took in waited.items()})
    windows = until("windows that ended", lambda: ended(nodes[0], 3), 240)
    for market in windows:
        print(market["symbol"], market["status"], market["resolution"])
    for node in nodes:
        node.stop()
    assert fleet.audited()["ok"] is True


def ended(node: VenueProcess, count: int) -> list[dict[str, Any]]:
    """The windows that have ended, once there are so many."""
    found = [market for market in node.markets() if market["status"] in ("RESOLVED", "VOID")]
    return found if len(found) >= count else []


async def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    settings = Settings(database_url="postgresql://raeth:hunter2@127.0.0.1:1/none", data_dir=tmp_path)
    with pytest.raises(CannotServe, match="cannot be reached") as refused:
        await assemble(settings)
    assert "hunter2" not in str(refused.value)
