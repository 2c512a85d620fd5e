"""`raeth serve`, `admin` and `audit` as processes: what they print, refuse and leave behind (contract, section 13)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.venue import PAUSE_S, Agent, Host, VenueProcess, hosting, ms, until, write_recording

NOON_MS = 1_767_268_800_000
"""A whole hour, where the recording of these tests begins."""
LEFT_S = 15
"""What an OPEN market must have left for a test to trade in it without meeting its close, at speed 1."""
TOKEN = "rk_admin_" + "t" * 43


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Forty minutes of a price that moves."""
    ticks = ((after, 9_500_000 + after % 7_919) for after in range(0, 2_400_000, 250))
    path = write_recording(tmp_path_factory.mktemp("recording") / "moving.csv", NOON_MS, ticks)
    return f"replay:{path}"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, recording: str) -> Path:
    """A data dir in which a window is open and an agent has orders, left by a crash: no test need wait for a minute."""
    with hosting(tmp_path_factory.mktemp("begun")) as host:
        venue = host.serve("--reference", recording, "--speed", "30", RAETH_ADMIN_TOKEN=TOKEN)
        market = venue.open_market()["id"]
        agent = venue.signup("forerunner")
        for price in range(1, 21):
            agent.place(market, "BUY", price, 1)
        venue.kill()
        return host.data_dir


@pytest.fixture
def opened(host: Host, begun: Path) -> Host:
    """A host whose venue goes on, at speed 1, where that one stopped."""
    shutil.copytree(begun, host.data_dir)
    return host


# ---- ready ----


def test_ready_line_and_what_next(host: Host) -> None:
    venue = host.serve()
    first, *rest = until("what next", lambda: lines if len(lines := venue.stdout.splitlines()) > 5 else None)
    assert re.fullmatch(
        r"ready http://127\.0\.0\.1:\d+ raeth \d+\.\d+\.\d+, reference simulated \(synthetic\), seq \d+", first
    )
    text = "\n".join(rest)
    assert "ready http" not in text
    for path in ("/docs", "/openapi.json", "/status", "/api/v1/auth/signup", "/api/v1/markets"):
        assert venue.url + path in text
    assert str(host.data_dir / "admin_token") in text
    if not venue.get("/api/v1/markets", status="OPEN")["items"]:
        (pending,) = venue.get("/api/v1/markets", status="PENDING")["items"]
        # It says which window is the first and for how long there is only the pre-listed one.
        wait = re.search(r"The first window, (\S+), opens in (\d+) s", text)
        assert wait is not None
        assert wait[1] == pending["symbol"]
        assert int(wait[2]) <= 60


def test_printed_commands_work(host: Host, recording: str) -> None:
    """A newcomer copies the lines; each must do what it says, at the address that was printed."""
    venue = host.serve("--reference", recording)
    until("what next", lambda: "admin " in venue.stdout)
    commands = {line.split()[0]: line for line in venue.stdout.splitlines() if line.startswith("  ")}
    signup = shell(commands["sign"].split("sign up", 1)[1], host)
    key = json.loads(signup)["api_key"]
    assert key.startswith("rk_live_")
    assert "items" in json.loads(shell(commands["markets"].split("markets", 1)[1], host))
    cash = json.loads(shell(commands["cash"].split("cash", 1)[1], host, KEY=key))
    assert cash["amount_cents"] > 0
    state = json.loads(shell(commands["admin"].split("try: ", 1)[1], host))
    assert state["frozen"] is False
    assert state["agents"] == 1


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


def test_health_and_ready_agree(host: Host) -> None:
    venue = host.serve(RAETH_ADMIN_TOKEN=TOKEN)
    health = venue.get("/health")
    assert health["status"] == "ok"
    assert health["service"] == "raeth"
    assert health["persistence"] == {"backend": "sqlite", "mode": "ok", "queue_depth": 0, "last_error": None}
    venue.get("/ready")
    venue.admin("POST", "/freeze", TOKEN, json={"reason": "test"})
    assert venue.get("/ready", 503)["code"] == "EXCHANGE_FROZEN"
    assert venue.get("/health")["frozen"] is True
    venue.stop()
    # A freeze survives a restart (contract, section 9).
    again = host.serve(RAETH_ADMIN_TOKEN=TOKEN)
    assert again.get("/health")["frozen"] is True
    assert again.get("/ready", 503)["code"] == "EXCHANGE_FROZEN"


# ---- stopping ----


def test_stop_with_idle_connections(opened: Host, recording: str) -> None:
    """Keep-alive connections, one that never said a word and one whose body never ends do not hold the process."""
    venue = opened.serve("--reference", recording)
    agent = venue.signup("stayer")
    orders = []
    for number in (signal.SIGTERM, signal.SIGINT):
        order = agent.place(venue.open_market(LEFT_S)["id"], "BUY", 40, 5, client_order_id=number.name)
        assert order["status"] == "OPEN"
        orders.append(order)
        address = ("127.0.0.1", int(venue.url.rsplit(":", 1)[1]))
        with closing(socket.create_connection(address)), closing(socket.create_connection(address)) as slow:
            credential = f"Authorization: Bearer {agent.key}"
            head = f"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\n{credential}\r\nContent-Length: 200\r\n\r\n"
            slow.sendall(head.encode() + b'{"market_id":')
            venue.get("/health")
            print(f"{number.name}: {venue.stop(number):.2f} s")
        venue = opened.serve("--reference", recording)
        agent = agent.at(venue)
        for order in orders:
            assert agent.by_key(order["client_order_id"])["order_id"] == order["order_id"]


async def test_stop_under_load(opened: Host, recording: str) -> None:
    """What was answered before or during the stop is in the journal; what was not may be there, once."""
    venue = await asyncio.to_thread(opened.serve, "--reference", recording)
    agent = venue.signup("loader")
    answered: dict[str, dict[str, Any]] = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        before, took_s = await stopped_under_load(venue, agent, number, answered)
        print(f"{number.name}: {took_s:.2f} s; answers before and after the signal: {before}, {len(answered)}")
        assert "Traceback" not in venue.stderr
        venue = await asyncio.to_thread(opened.serve, "--reference", recording)
        agent = agent.at(venue)
        orders = agent.all("/orders")
        kept = {order["client_order_id"]: order for order in orders}
        assert len(kept) == len(orders)
        for key, order in answered.items():
            assert kept[key]["order_id"] == order["order_id"]
            assert kept[key]["seq"] >= order["seq"]
    venue.stop()
    assert audited(opened)["orders"] >= len(answered)


async def stopped_under_load(
    venue: VenueProcess, agent: Agent, number: signal.Signals, answered: dict[str, dict[str, Any]]
) -> tuple[int, float]:
    """Twelve clients place and cancel while the venue is told to stop. Gives the answers before it, and its seconds."""
    market = (await asyncio.to_thread(venue.open_market, LEFT_S))["id"]
    already = len(answered)
    headers = {"Authorization": f"Bearer {agent.key}"}
    async with httpx2.AsyncClient(base_url=f"{venue.url}/api/v1", headers=headers, timeout=20) as http:

        async def client(name: int) -> None:
            for count in range(10_000):
                key = f"{number.name}-{name}-{count}"
                body = {"market_id": market, "side": "BUY", "type": "LIMIT", "price": 1 + count % 20, "qty": 1}
                try:
                    response = await http.post("/orders", json=body | {"client_order_id": key})
                    if response.status_code == 200:
                        answered[key] = response.json()
                        response = await http.delete(f"/orders/{answered[key]['order_id']}")
                except httpx2.TransportError:
                    return
                if response.status_code == 503:
                    assert response.json()["code"] == "SERVICE_DEGRADED"
                    return
                assert response.status_code == 200, response.text

        clients = [asyncio.create_task(client(name)) for name in range(12)]
        while len(answered) < already + 150 and not any(task.done() for task in clients):
            await asyncio.sleep(PAUSE_S)
        before = len(answered)
        took_s = await asyncio.to_thread(venue.stop, number)
        await asyncio.gather(*clients)
    return before, took_s


def audited(host: Host) -> dict[str, Any]:
    """The summary of an audit that must be clean."""
    done = host.run("audit", "--data-dir", str(host.data_dir), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    return report


# ---- refusing to start ----


def test_port_in_use(host: Host) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        line = host.refused(1, "--port", port)
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("positon_cap = 5\n", "positon_cap"),
        ("[risk]\npositon_cap = 5\n", "risk.positon_cap"),
        ("[riks]\nposition_cap = 5\n", "riks"),
        ("[risk]\nposition_cap = 0\n", "risk.position_cap"),
        ('admin_token = "rk_admin_x"\n', "admin_token"),
    ],
)
def test_fault_in_the_settings_file(host: Host, text: str, named: str) -> None:
    file = host.folder / "mine.toml"
    file.write_text(text)
    line = host.refused(2, "--config", str(file))
    assert named in line
    assert str(file) in line
    assert not host.data_dir.exists()


def test_misspelt_environment(host: Host) -> None:
    line = host.refused(2, RAETH_RISK__POSITON_CAP="5")
    assert "RAETH_RISK__POSITON_CAP" in line
    assert "RAETH_RISK__POSITION_CAP" in line, "what was probably meant"


def test_second_venue_on_the_data_dir(host: Host) -> None:
    first = host.serve()
    line = host.refused(1)
    assert str(host.data_dir) in line
    assert "in use" in line
    assert first.get("/health")["status"] == "ok"
    first.kill()
    # The lock dies with its holder: a crash needs no clearing up.
    assert host.serve().get("/health")["status"] == "ok"


def test_other_reference_kind(opened: Host, recording: str) -> None:
    """Refused also with --adopt-config, and without a trace: the clock of another kind would end every window."""
    before = audited(opened)
    for adopt in ((), ("--adopt-config",)):
        line = opened.refused(1, "--reference", "simulated", *adopt)
        assert "reference" in line
        assert "replay" in line
        assert "simulated" in line
    assert audited(opened)["chain_head"] == before["chain_head"]
    again = opened.serve("--reference", recording)
    assert ms(again.get("/health")["now"]) < before["last_ts"] + 60_000


def test_changed_rules(opened: Host, recording: str) -> None:
    flags = ("--reference", recording, "--speed", "30")
    line = opened.refused(1, *flags, RAETH_RISK__POSITION_CAP="77")
    assert "position_cap" in line
    assert "--adopt-config" in line
    venue = opened.serve(*flags, "--adopt-config", RAETH_RISK__POSITION_CAP="77")
    caps = {market["open_at"]: market["risk"]["position_cap"] for market in venue.markets()}
    assert set(caps.values()) == {5_000}, "listed markets keep theirs"

    def renewed() -> dict[str, Any] | None:
        (pending,) = venue.get("/api/v1/markets", status="PENDING")["items"]
        return pending if pending["open_at"] > max(caps) else None

    fresh = until("the next listed window", renewed)
    assert fresh["risk"]["position_cap"] == 77
    for open_at, cap in caps.items():
        (old,) = [market for market in venue.markets() if market["open_at"] == open_at]
        assert old["risk"]["position_cap"] == cap
    venue.stop()
    # They are in force now: no flag is needed any more, and the old ones are refused.
    assert "position_cap" in opened.refused(1, *flags)
    opened.serve(*flags, RAETH_RISK__POSITION_CAP="77").stop()
    audited(opened)


def test_unreadable_recording(host: Host) -> None:
    line = host.refused(1, "--reference", f"replay:{host.folder / 'none.csv'}")
    assert "none.csv" in line


# ---- the operator's token ----


def test_admin_token_file(host: Host) -> None:
    venue = host.serve()
    path = host.data_dir / "admin_token"
    token = path.read_text().strip()
    assert re.fullmatch(r"rk_admin_[A-Za-z0-9_-]{32,}", token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(host.data_dir.stat().st_mode) == 0o700
    assert venue.admin("GET", "/state", token)["frozen"] is False
    assert venue.admin("GET", "/state", token[:-1] + ("A" if token[-1] != "A" else "B"), 401)["code"] == "AUTH_INVALID"
    venue.stop()
    again = host.serve()
    assert again.admin("GET", "/state", token)["frozen"] is False
    for output in (venue.stdout, venue.stderr, again.stdout, again.stderr):
        assert token not in output
        assert token.removeprefix("rk_admin_") not in output
    assert str(path) in venue.stdout


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


# ---- damage ----


def damage(database: Path, seq: int) -> None:
    """Flip one bit in the middle of a row, behind the program's back."""
    with closing(sqlite3.connect(database)) as connection:
        (command,) = connection.execute("SELECT command FROM journal WHERE seq = ?", (seq,)).fetchone()
        flipped = bytearray(command)
        flipped[len(flipped) // 2] ^= 1
        # The journal may guard itself against changes; damage on a disk asks nobody.
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE journal SET command = ? WHERE seq = ?", (bytes(flipped), seq))
        connection.commit()


def test_damage_in_the_tail_refuses_to_start(opened: Host, recording: str) -> None:
    """After a crash there is no snapshot beyond the damage: it must be found before anything is served."""
    damage(opened.database, 11)
    line = opened.refused(1, "--reference", recording)
    assert re.search(r"\bseq 11\b", line), line
    assert "raeth audit" in line
    done = opened.run("audit", "--data-dir", str(opened.data_dir))
    assert done.returncode == 1
    assert re.search(r"\bseq 11\b", done.stderr)


def test_damage_behind_the_snapshot_stops_the_venue(opened: Host, recording: str) -> None:
    """A clean stop leaves a snapshot, so start-up takes the older rows on trust; the scrubber then finds the damage."""
    opened.serve("--reference", recording).stop()
    damage(opened.database, 11)
    venue = opened.serve("--reference", recording)
    until("the scrubber's word", lambda: venue.http.get("/ready").status_code == 503)
    assert venue.get("/ready", 503)["code"] == "SERVICE_DEGRADED"
    health = venue.get("/health")
    assert health["status"] == "degraded"
    assert health["persistence"]["mode"] == "stopped"
    assert re.search(r"\bseq 11\b", health["persistence"]["last_error"])
    body = {"email": "late@example.com", "agent_name": "late"}
    assert venue.http.post("/api/v1/auth/signup", json=body).status_code == 503
    venue.stop()
    done = opened.run("audit", "--data-dir", str(opened.data_dir), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["seq"] == 11


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
    report = audited(desk.host)
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
