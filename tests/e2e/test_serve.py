"""`raeth serve`: what it prints, refuses and leaves behind (contract, section 13)."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.venue import LEFT_S, PAUSE_S, Agent, Host, VenueProcess, hosting, ms, until


@dataclass(frozen=True)
class Lives:
    """A venue on nothing but defaults, frozen and stopped, and the one that followed it on the same data dir."""

    first: VenueProcess
    second: VenueProcess
    token: str
    data_dir: Path
    stopped_dir: Path
    """What the first one left behind."""


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    with hosting(tmp_path_factory.mktemp("lives")) as host:
        first = host.serve()
        token = (host.data_dir / "admin_token").read_text().strip()
        assert first.get("/ready")["ready"] is True
        first.admin("POST", "/freeze", token, json={"reason": "test"})
        assert first.get("/ready", 503)["code"] == "EXCHANGE_FROZEN"
        first.stop()
        stopped = shutil.copytree(host.data_dir, host.folder / "stopped")
        yield Lives(first, host.serve(), token, host.data_dir, stopped)


def test_ready_line_and_what_next(lives: Lives) -> None:
    venue = lives.first
    first, *rest = venue.stdout.splitlines()
    form = r"ready http://127\.0\.0\.1:\d+ raeth \d+\.\d+\.\d+, reference simulated \(synthetic\), seq \d+"
    assert re.fullmatch(form, first)
    text = "\n".join(rest)
    assert "ready http" not in text
    for path in ("/docs", "/openapi.json", "/status", "/api/v1/auth/signup", "/api/v1/markets"):
        assert venue.url + path in text
    assert str(lives.data_dir / "admin_token") in text
    if wait := re.search(r"The first window, (\S+), opens in (\d+) s", text):
        # Until the first whole minute begins there is only the pre-listed window, and it says for how long.
        assert wait[1].startswith("BTC-1M-")
        assert int(wait[2]) <= 60


def test_health(lives: Lives) -> None:
    health = lives.second.get("/health")
    assert health["status"] == "ok"
    assert health["service"] == "raeth"
    assert health["persistence"] == {"backend": "sqlite", "mode": "ok", "queue_depth": 0, "last_error": None}
    assert health["reference"]["synthetic"] is True


def test_freeze_survives_a_restart(lives: Lives) -> None:
    assert lives.second.get("/health")["frozen"] is True
    assert lives.second.get("/ready", 503)["code"] == "EXCHANGE_FROZEN"


def test_admin_token_file(lives: Lives) -> None:
    path, token = lives.data_dir / "admin_token", lives.token
    assert re.fullmatch(r"rk_admin_[A-Za-z0-9_-]{32,}", token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(lives.data_dir.stat().st_mode) == 0o700
    assert lives.second.admin("GET", "/state", token)["frozen"] is True, "the same token after a restart"
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert lives.second.admin("GET", "/state", forged, 401)["code"] == "AUTH_INVALID"
    for venue in (lives.first, lives.second):
        assert token.removeprefix("rk_admin_") not in venue.stdout + venue.stderr
        assert str(path) in venue.stdout


# ---- stopping ----


async def test_stop_under_load(opened: Host, recording: str) -> None:
    """What was answered before or during the stop is in the journal; what was not may be there, once.

    Keep-alive connections and one that never said a word do not hold the process; one whose body never ends holds it
    for no longer than the contract allows.
    """
    venue = await asyncio.to_thread(opened.serve, "--reference", recording)
    agent = venue.signup("loader")
    answered: dict[str, dict[str, Any]] = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        before, took_s = await stopped_under_load(venue, agent, number, answered, stuck=number == signal.SIGTERM)
        print(f"{number.name}: {took_s:.2f} s; answers before and after the signal: {before}, {len(answered)}")
        venue = await asyncio.to_thread(opened.serve, "--reference", recording)
        agent = agent.at(venue)
        orders = agent.all("/orders")
        kept = {order["client_order_id"]: order for order in orders}
        assert len(kept) == len(orders)
        for key, order in answered.items():
            assert kept[key]["order_id"] == order["order_id"]
            assert kept[key]["seq"] >= order["seq"]
    venue.stop()
    assert opened.audited()["orders"] >= len(answered)


async def stopped_under_load(
    venue: VenueProcess, agent: Agent, number: signal.Signals, answered: dict[str, dict[str, Any]], *, stuck: bool
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
        address = ("127.0.0.1", int(venue.url.rsplit(":", 1)[1]))
        with closing(socket.create_connection(address)), closing(socket.create_connection(address)) as slow:
            credential = f"Authorization: Bearer {agent.key}"
            head = f"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\n{credential}\r\nContent-Length: 200\r\n\r\n"
            slow.sendall(head.encode() + b'{"market_id":' if stuck else b"")
            took_s = await asyncio.to_thread(venue.stop, number)
        await asyncio.gather(*clients)
    return before, took_s


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


def test_second_venue_on_the_data_dir(host: Host, lives: Lives) -> None:
    line = host.refused(1, "--data-dir", str(lives.data_dir))
    assert str(lives.data_dir) in line
    assert "in use" in line
    assert lives.second.get("/health")["status"] == "ok"


def test_other_reference_kind(opened: Host, recording: str) -> None:
    """Refused even with --adopt-config, and without a trace: the clock of another kind would end every window."""
    before = head(opened)
    line = opened.refused(1, "--reference", "simulated", "--adopt-config")
    assert str(opened.data_dir) in line
    assert "replay" in line
    assert "simulated" in line
    assert "--adopt-config" not in line, "no advice that does not help"
    assert head(opened) == before
    again = opened.serve("--reference", recording)
    assert ms(again.get("/health")["now"]) < before[1] + 60_000


def head(host: Host) -> tuple[int, int]:
    """The newest `seq` of the journal, and its stamp."""
    with closing(sqlite3.connect(host.database)) as connection:
        return connection.execute("SELECT seq, ts FROM journal ORDER BY seq DESC LIMIT 1").fetchone()


def test_changed_rules(opened: Host, recording: str) -> None:
    flags = ("--reference", recording, "--speed", "30")
    line = opened.refused(1, *flags, RAETH_RISK__POSITION_CAP="77")
    assert "position_cap" in line
    assert "--adopt-config" in line
    with closing(sqlite3.connect(opened.database)) as connection:
        listed = {symbol for (symbol,) in connection.execute("SELECT symbol FROM markets")}
    venue = opened.serve(*flags, "--adopt-config", RAETH_RISK__POSITION_CAP="77")
    # At this speed the next one may have been listed by now, with the new rules.
    caps = {
        market["open_at"]: market["risk"]["position_cap"] for market in venue.markets() if market["symbol"] in listed
    }
    assert set(caps.values()) == {5_000}, "listed markets keep theirs"

    def renewed() -> dict[str, Any] | None:
        (pending,) = venue.get("/api/v1/markets", status="PENDING")["items"]
        return pending if pending["open_at"] > max(caps) else None

    fresh = until("the next listed window", renewed)
    assert fresh["risk"]["position_cap"] == 77
    for open_at, cap in caps.items():
        (old,) = [market for market in venue.markets() if market["open_at"] == open_at]
        assert old["risk"]["position_cap"] == cap


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


def test_damage_behind_the_snapshot_stops_the_venue(host: Host, lives: Lives) -> None:
    """A clean stop leaves a snapshot, so start-up takes the older rows on trust; the scrubber then finds the damage."""
    shutil.copytree(lives.stopped_dir, host.data_dir)
    damage(host.database, 2)
    venue = host.serve()
    until("the scrubber's word", lambda: venue.http.get("/ready").status_code == 503)
    assert venue.get("/ready", 503)["code"] == "SERVICE_DEGRADED"
    health = venue.get("/health")
    assert health["status"] == "degraded"
    assert health["persistence"]["mode"] == "stopped"
    assert re.search(r"\bseq 2\b", health["persistence"]["last_error"])
    body = {"email": "late@example.com", "agent_name": "late"}
    assert venue.http.post("/api/v1/auth/signup", json=body).status_code == 503
    venue.stop()
    done = host.run("audit", "--data-dir", str(host.data_dir), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["seq"] == 2
