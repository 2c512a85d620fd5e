"""One venue in a process of its own, its callers, and what it must be like after any abuse.

Everything is reached over its port; nothing of the program is imported, so that only the contract counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.contract.desk import ADMIN, BEFORE_MS, BOUNDARY_MS, Agent, Caller, Desk
from tests.e2e.venue import Host, hosting, write_recording

SETTINGS: Final = {
    "RAETH_ADMIN_TOKEN": ADMIN,
    "RAETH_SERIES__WINDOW_MS": "3600000",
    "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "1000000",
    "RAETH_FAUCET__COOLDOWN_MS": "1000",
    "RAETH_LIMITS__SOCKETS_PER_AGENT": "10000",
    "RAETH_LIMITS__SOCKETS_PER_KEY": "10000",
    "RAETH_LIMITS__SOCKETS_PER_ADDRESS": "10000",
    "RAETH_LIMITS__CONTROL_MESSAGES_PER_MINUTE": "100000",
}
CREDENTIALS: Final = ("public", "agent", "owner", "admin")


class Lab:
    """A venue with one market that stays open for an hour, an owner with two agents, and an operator."""

    def __init__(self, host: Host, desk: Desk) -> None:
        self.host, self.desk = host, desk
        self.url = desk.venue.url
        self.owner: Caller
        self.owner, (self.agent, self.other) = desk.owner(agents=2)
        self.resting: dict[str, Any] = self.agent.rests(
            "BUY", 10, 1, client_order_id="resting", confirm_fat_finger=True
        )
        markets = desk.anyone.get("/markets")["items"]
        self.symbol: str = next(m["symbol"] for m in markets if m["id"] == desk.market)
        self.pending: str = next(m["id"] for m in markets if m["status"] == "PENDING")

    @property
    def callers(self) -> dict[str, Caller]:
        return dict(zip(CREDENTIALS, (self.desk.anyone, self.agent, self.owner, self.desk.admin), strict=True))

    def real(self) -> dict[str, list[str]]:
        """Values that name something, by the name of the field or path variable."""
        self.sign_in()
        keys = self.owner.get(f"/me/agents/{self.other.id}/keys")["items"]
        return {
            "market_id": [self.desk.market, self.symbol, self.pending],
            "order_id": [self.resting["order_id"], *(order["order_id"] for order in self.agent.open_orders()[:3])],
            "agent_id": [self.other.id, self.agent.id],
            "client_order_id": ["resting"],
            "key_id": [key["key_id"] for key in keys],
            "slug": [self.desk.anyone.get("/series")["items"][0]["slug"]],
        }

    def sign_in(self) -> None:
        """A session that nobody has ended."""
        email = f"{self.agent.made['agent_name']}@example.com"
        made = self.desk.anyone.post("/auth/login", {"email": email, "password": "correct horse battery"})
        self.owner = Caller(self.desk.venue.http, made["session_token"])

    def trader(self) -> Agent:
        return self.desk.signup()

    def still_serves(self) -> None:
        """It takes and cancels an order, and tells its state."""
        agent = self.trader()
        order = agent.rests("BUY", 5, 1, confirm_fat_finger=True)
        agent.ask("DELETE", f"/orders/{order['order_id']}")
        assert self.desk.anyone.ask("GET", "//health")["status"] == "ok"

    def faults(self) -> list[str]:
        """What the process logged that nobody who only sends requests may cause."""
        return [line for line in self.desk.venue.stderr.splitlines() if _is_fault(line)]


def _is_fault(line: str) -> bool:
    try:
        said = json.loads(line)
    except ValueError:
        return bool(line.strip())  # logs are one JSON object a line; anything else is a traceback
    return said.get("level") in ("error", "critical") or "exception" in said or "exc_info" in said


@contextmanager
def opened_lab(folder: Path) -> Iterator[Lab]:
    with hosting(folder) as host:
        ticks = [(n * 250, 9_000_000 + n % 7) for n in range(4 * 900)]
        recording = write_recording(host.folder / "calm.csv", BOUNDARY_MS - BEFORE_MS, ticks)
        desk = Desk(host, host.serve("--no-house", "--reference", f"replay:{recording}", **SETTINGS))
        desk.wait_open()
        lab = Lab(host, desk)
        yield lab
        assert lab.faults() == []
        desk.admin.post("/admin/unfreeze", {})
        desk.venue.stop()
        assert lab.faults() == []
        host.audited()
