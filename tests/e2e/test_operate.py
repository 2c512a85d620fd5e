"""`raeth admin` and `raeth audit` against real venues, and what an operator must never find in a log."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import TOKEN
from tests.e2e.venue import LEFT_S, Agent, Host, VenueProcess, until

# ---- secrets ----


def test_no_flag_for_the_admin_token(host: Host) -> None:
    """Flags are seen by everybody on the machine."""
    assert host.run("serve", "--admin-token", TOKEN).returncode == 2


def test_no_key_in_the_logs(opened: Host, recording: str) -> None:
    """Whatever a caller does with its secrets, the logs and the metrics do not repeat them, not even at level debug."""
    venue = opened.serve("--reference", recording, RAETH_LOG_LEVEL="debug", RAETH_ADMIN_TOKEN=TOKEN)
    assert not (opened.data_dir / "admin_token").exists(), "the environment gave one"
    password = "correct-horse-battery-staple"
    agent = venue.signup("careless", password=password)
    session = venue.http.post("/api/v1/auth/login", json={"email": "careless@example.com", "password": password})
    token = session.json()["session_token"]
    owner = {"Authorization": f"Bearer {token}"}
    made = venue.http.post(f"/api/v1/me/agents/{agent.id}/keys", json={"name": "second"}, headers=owner)
    second = made.json()["api_key"]
    market = venue.open_market(LEFT_S)["id"]
    agent.place(market, "BUY", 40, 1)
    forged = agent.key[:-4] + "beef"
    for secret in (agent.key, second, forged, TOKEN, token):
        venue.http.get("/api/v1/account", headers={"Authorization": f"Bearer {secret}"})
        venue.http.get("/api/v1/account", headers={"X-Request-ID": secret})
        venue.http.get(f"/api/v1/markets/{secret}?api_key={secret}")
        venue.http.get(f"/{secret}", params={"key": secret})
        venue.http.post("/api/v1/orders", json={"market_id": secret, secret: secret}, headers=owner)
        venue.http.post("/api/v1/orders", content=f"{secret} {{not json", headers={"Authorization": secret})
        venue.http.post("/api/v1/auth/login", json={"email": secret, "password": secret})
    venue.admin("POST", "/broadcast", TOKEN, json={"message": "hello"})
    metrics = venue.http.get("/metrics").text
    venue.stop()
    for secret in (agent.key, second, forged, TOKEN, token):
        part = re.sub(r"^(rk_live_[0-9a-f]+|rk_admin|rs)_", "", secret)
        assert len(part) >= 32
        for text in (venue.stdout, venue.stderr, metrics):
            assert part not in text
    assert password not in venue.stdout + venue.stderr
    assert "$argon2" not in venue.stderr
    assert "Traceback" not in venue.stderr
    # Structured, all of it.
    records = [json.loads(line) for line in venue.stderr.splitlines()]
    assert records
    assert all({"event", "level", "ts"} <= record.keys() for record in records)


# ---- the audit ----


def test_table_that_differs(opened: Host) -> None:
    """The audit compares the tables too: a balance edited by hand is found."""
    with closing(sqlite3.connect(opened.database)) as connection:
        changed = connection.execute("UPDATE ledger SET amount_cents = amount_cents + 1")
        assert changed.rowcount == 1
        connection.commit()
    done = opened.run("audit", "--data-dir", str(opened.data_dir))
    assert done.returncode == 1
    assert "ledger" in done.stderr


def test_audit_of_nothing(host: Host) -> None:
    done = host.run("audit", "--data-dir", str(host.data_dir))
    assert done.returncode != 0
    assert str(host.data_dir) in done.stderr
    assert not host.data_dir.exists(), "an audit only reads"


# ---- the command line against a running venue ----


@pytest.fixture(scope="module")
def desk(shared_host: Host, begun: Path, recording: str) -> Desk:
    shutil.copytree(begun, shared_host.data_dir)
    (shared_host.data_dir / "admin_token").unlink(missing_ok=True)
    return Desk(shared_host, shared_host.serve("--reference", recording))


class Desk:
    """A running venue with one agent, and `raeth admin` pointed at it."""

    def __init__(self, host: Host, venue: VenueProcess) -> None:
        self.host = host
        self.venue = venue
        self.agent: Agent = venue.signup("subject")

    def admin(self, *arguments: str) -> Any:
        """The JSON of an operator's command that must succeed."""
        where = ("--url", self.venue.url, "--data-dir", str(self.host.data_dir))
        done = self.host.run("admin", *arguments, *where)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def fails(self, code: int, *arguments: str, **settings: str) -> str:
        done = self.host.run("admin", *arguments, **settings)
        assert done.returncode == code, done.stdout + done.stderr
        assert not done.stdout
        (line,) = done.stderr.splitlines()
        return line


def test_printed_commands_work(desk: Desk) -> None:
    """A newcomer copies the lines; each must do what it says, at the address that was printed."""
    host, venue = desk.host, desk.venue
    until("what next", lambda: "admin " in venue.stdout)
    commands = {line.split()[0]: line for line in venue.stdout.splitlines() if line.startswith("  ")}
    signup = shell(commands["sign"].split("sign up", 1)[1], host)
    key = json.loads(signup).get("api_key", signup)
    assert key.startswith("rk_live_")
    assert "items" in json.loads(shell(commands["markets"].split("markets", 1)[1], host))
    cash = json.loads(shell(commands["cash"].split("cash", 1)[1], host, KEY=key))
    assert cash["amount_cents"] > 0
    state = json.loads(shell(commands["admin"].split("try: ", 1)[1], host))
    assert state["frozen"] is False
    assert state["agents"] == desk.admin("state")["agents"]


def shell(command: str, host: Host, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **variables, "PATH": path, "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=host.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_admin_freeze(desk: Desk) -> None:
    market = desk.venue.open_market(LEFT_S)["id"]
    resting = desk.agent.place(market, "BUY", 30, 1)
    assert desk.admin("freeze", "--reason", "drill")["frozen"] is True
    body = {"market_id": market, "side": "BUY", "type": "LIMIT", "price": 40, "qty": 1}
    assert desk.agent.ask("POST", "/orders", 503, json=body)["code"] == "EXCHANGE_FROZEN"
    state = desk.admin("state")
    assert state["frozen"] is True
    assert state["reason"] == "drill"
    assert state["money"]["conserved"] is True
    assert desk.agent.get(f"/orders/{resting['order_id']}")["status"] == "OPEN", "resting orders stay"
    assert desk.agent.ask("DELETE", f"/orders/{resting['order_id']}")["status"] == "CANCELLED"
    assert desk.admin("unfreeze")["frozen"] is False
    assert desk.agent.ask("POST", "/orders", json=body)["status"] == "OPEN"


def test_admin_markets(desk: Desk) -> None:
    market = desk.venue.open_market(LEFT_S)
    assert desk.admin("halt", market["symbol"], "--reason", "drill")["halted"] is True
    halted = desk.agent.place(market["id"], "BUY", 40, 1)
    assert (halted["status"], halted["reject_reason"]) == ("REJECTED", "MARKET_HALTED")
    assert desk.admin("resume", market["id"])["halted"] is False
    assert desk.agent.place(market["id"], "BUY", 40, 1)["status"] == "OPEN"


def test_admin_agents_and_keys(desk: Desk) -> None:
    agent = desk.venue.signup("grantee")
    before = agent.get("/account")["cash_cents"]
    assert desk.admin("grant", agent.id, "12345", "--reason", "workshop")["cash_cents"] == before + 12_345
    assert agent.get("/account")["cash_cents"] == before + 12_345
    market = desk.venue.open_market(LEFT_S)["id"]
    order = agent.place(market, "BUY", 20, 1)
    assert desk.admin("suspend", agent.id, "--reason", "drill")["suspended"] is True
    ended = agent.get(f"/orders/{order['order_id']}")
    assert (ended["status"], ended["cancel_reason"]) == ("CANCELLED", "ADMIN")
    body = {"market_id": market, "side": "BUY", "type": "LIMIT", "price": 40, "qty": 1}
    assert agent.ask("POST", "/orders", 403, json=body)["code"] == "AGENT_SUSPENDED"
    assert desk.admin("reinstate", agent.id)["suspended"] is False
    assert agent.ask("POST", "/orders", json=body)["status"] == "OPEN"
    desk.admin("revoke-key", agent.key.split("_")[2])
    assert agent.get("/account", 401)["code"] == "AUTH_REVOKED"


def test_admin_void_broadcast_and_trail(desk: Desk) -> None:
    (pending,) = desk.venue.get("/api/v1/markets", status="PENDING")["items"]
    assert desk.admin("void", pending["symbol"], "--reason", "mistake")["status"] == "VOID"
    assert desk.venue.get(f"/api/v1/markets/{pending['symbol']}")["resolution"] == "VOID"
    assert desk.admin("broadcast", "back soon")["message"] == "back soon"
    trail = desk.admin("audit-trail")["items"]
    assert [entry["seq"] for entry in trail] == sorted((entry["seq"] for entry in trail), reverse=True)
    newest, voided = trail[:2]
    assert "broadcast" in newest["action"].lower()
    assert voided["reason"] == "mistake"
    assert voided["target"] == pending["id"]
    assert all(entry["actor"] for entry in trail)


def test_admin_faults_are_one_line(desk: Desk) -> None:
    url = ("--url", desk.venue.url)
    where = ("--data-dir", str(desk.host.data_dir))
    assert "AUTH_INVALID" in desk.fails(1, "state", *url, RAETH_ADMIN_TOKEN=TOKEN)
    assert "UNKNOWN_MARKET" in desk.fails(1, "halt", "BTC-1M-19700101T0000Z", "--reason", "x", *url, *where)
    assert "RAETH_ADMIN_TOKEN" in desk.fails(2, "state", *url, "--data-dir", str(desk.host.folder / "none"))
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    assert str(port) in desk.fails(1, "state", "--url", f"http://127.0.0.1:{port}", *where)


def test_audit_beside_a_running_venue(desk: Desk) -> None:
    """Read at one moment, while the venue writes on."""
    report = desk.host.audited()
    assert report["commands"] > 0
    assert report["granted_cents"] == report["agents_cents"] + report["masters_cents"] + report["fees_cents"]
    done = desk.host.run("audit", RAETH_DATA_DIR=str(desk.host.data_dir))
    assert done.returncode == 0
    assert "audit clean" in done.stdout
    assert "commands re-executed" in done.stdout


def test_version(desk: Desk) -> None:
    done = desk.host.run("version")
    assert done.returncode == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)
    assert desk.venue.get("/api/v1/meta/version")["version"] == done.stdout.strip()
