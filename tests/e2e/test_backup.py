"""`raeth backup` of a venue under load, and the venue that starts on the copy: what it holds, and what clients meet."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect

from tests.e2e.venue import LEFT_S, PAUSE_S, Agent, Host, VenueProcess

CLIENTS = 8


def back_up(host: Host, to: Path) -> dict[str, Any]:
    done = host.run("backup", "--data-dir", str(host.data_dir), str(to), "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def refused(host: Host, data_dir: Path, to: Path) -> str:
    """The one line with which a backup must fail."""
    done = host.run("backup", "--data-dir", str(data_dir), str(to))
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.splitlines()
    return line


async def load_with_backup(
    host: Host, venue: VenueProcess, agent: Agent, to: Path
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Clients place and cancel while a backup is taken. Its report, the orders acknowledged before it, and all."""
    market = (await asyncio.to_thread(venue.open_market, LEFT_S))["id"]
    answered: dict[str, dict[str, Any]] = {}
    headers = {"Authorization": f"Bearer {agent.key}"}
    async with httpx2.AsyncClient(base_url=f"{venue.url}/api/v1", headers=headers, timeout=20) as http:

        async def client(name: int) -> None:
            for count in range(100_000):
                key = f"c{name}-{count}"
                body = {"market_id": market, "side": "BUY", "type": "LIMIT", "price": 1 + count % 20, "qty": 1}
                response = await http.post("/orders", json=body | {"client_order_id": key})
                assert response.status_code == 200, response.text
                answered[key] = response.json() | {"body": body | {"client_order_id": key}}
                if count % 4:
                    response = await http.delete(f"/orders/{answered[key]['order_id']}")
                    assert response.status_code in (200, 409), response.text

        clients = [asyncio.create_task(client(name)) for name in range(CLIENTS)]

        async def until(count: int) -> None:
            while len(answered) < count:
                for task in clients:
                    if task.done():
                        task.result()
                await asyncio.sleep(PAUSE_S)

        await until(100)
        before = dict(answered)
        report = await asyncio.to_thread(back_up, host, to)
        during = len(answered) - len(before)
        await until(len(answered) + 50)
        assert during > 0, "the venue went on meanwhile"
        for task in clients:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    return report, before, answered


async def test_the_copy_is_a_venue(opened: Host, recording: str, tmp_path: Path) -> None:
    """Clean by its audit, with every order acknowledged before the backup began, and honest about all later ones."""
    venue = await asyncio.to_thread(opened.serve, "--reference", recording)
    agent = await asyncio.to_thread(venue.signup, "saver")
    to = tmp_path / "backups" / "first"
    report, before, answered = await load_with_backup(opened, venue, agent, to)
    newest = max(order["seq"] for order in answered.values())
    assert newest > report["commands"] >= max(order["seq"] for order in before.values())
    old_token = (opened.data_dir / "admin_token").read_text().strip()
    venue.kill()

    assert [path.name for path in to.iterdir()] == ["raeth.db"], "the operator's token stays behind"
    assert stat.S_IMODE(to.stat().st_mode) == 0o700
    assert stat.S_IMODE((to / "raeth.db").stat().st_mode) == 0o600
    opened.data_dir = to
    proved = opened.audited()
    assert (proved["commands"], proved["chain_head"]) == (report["commands"], report["chain_head"])

    restored = await asyncio.to_thread(opened.serve, "--reference", recording)
    agent = agent.at(restored)
    await asyncio.to_thread(see_the_past, agent, report["commands"], before, answered)
    await asyncio.to_thread(see_the_future, agent, newest + 1_000_000)
    token = (to / "admin_token").read_text().strip()
    assert restored.admin("GET", "/state", token)["money"]["conserved"] is True
    assert token != old_token
    restored.admin("GET", "/state", old_token, 401)
    restored.stop()
    opened.audited()


def see_the_past(agent: Agent, end: int, before: dict[str, Any], answered: dict[str, Any]) -> None:
    """A key the copy knows is replayed, one it does not know is an order like any other: placed now, and once."""
    kept = {order["client_order_id"]: order for order in agent.all("/orders")}
    assert set(before) <= set(kept)
    lost = [key for key, order in answered.items() if order["seq"] > end and key not in kept]
    assert lost, "some orders were placed after the backup"
    for key in [*list(before)[:5], *list(before)[-5:]]:
        again = agent.ask("POST", "/orders", json=answered[key]["body"])
        assert (again["order_id"], again["replayed"]) == (answered[key]["order_id"], True)
    # Before anything is placed: ids follow from the place in the journal, so a lost order's id is given once more.
    for key in lost:
        assert agent.get(f"/orders/by-client-id/{key}", 404)["code"] == "ORDER_NOT_FOUND"
        assert agent.get(f"/orders/{answered[key]['order_id']}", 404)["code"] == "ORDER_NOT_FOUND"
    for key in lost[:3]:
        anew = agent.ask("POST", "/orders", json=answered[key]["body"])
        assert (anew["replayed"], anew["seq"] > end) == (False, True)
        assert agent.ask("POST", "/orders", json=answered[key]["body"])["order_id"] == anew["order_id"]


def see_the_future(agent: Agent, from_seq: int) -> None:
    """Who resumes from what the copy does not hold is told, and does not wait in silence for the copy to get there."""
    channel = f"private.{agent.id}"
    headers = {"Authorization": f"Bearer {agent.key}"}
    with connect(f"{agent.venue.url.replace('http', 'ws')}/stream", additional_headers=headers) as socket:
        socket.send(json.dumps({"op": "subscribe", "channels": [channel], "from_seq": from_seq}))
        refusal = heard(socket, "error")
        assert (refusal["code"], refusal["details"][0]["type"]) == ("VALIDATION_FAILED", "beyond_the_journal")
        socket.send(json.dumps({"op": "subscribe", "channels": [channel]}))
        assert heard(socket, "snapshot")["seq"] < from_seq
    last = {**headers, "Last-Event-ID": f"{from_seq}.1"}
    with agent.venue.http.stream("GET", "/api/v1/sse", params={"channels": channel}, headers=last) as stream:
        kind = next(line for line in stream.iter_lines() if line.startswith("event: ") and "heartbeat" not in line)
    assert kind == "event: snapshot"


def heard(socket: Any, kind: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(socket.recv(timeout=10))
        if message["type"] == kind:
            return message


def test_a_stopped_venue(opened: Host, tmp_path: Path) -> None:
    """Left by a crash, its last commits in the write-ahead log only: the copy has them."""
    with closing(sqlite3.connect(opened.database)) as connection:
        (head,) = connection.execute("SELECT max(seq) FROM journal").fetchone()
    assert back_up(opened, tmp_path / "copy")["commands"] == head
    done = opened.run("backup", "--data-dir", str(opened.data_dir), str(tmp_path / "another"))
    assert done.returncode == 0
    assert f"{head:,} commands" in done.stdout
    assert "admin token is not in it" in done.stdout


def test_nothing_is_ever_overwritten(opened: Host, tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_text("mine")
    for there in (folder, file, opened.data_dir):
        assert "never overwrites" in refused(opened, opened.data_dir, there)
    assert (list(folder.iterdir()), file.read_text()) == ([], "mine")
    assert "no journal" in refused(opened, tmp_path / "nowhere", tmp_path / "copy")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE journal SET events = CAST(events || ' ' AS BLOB) WHERE seq = 11", "seq 11"),
        ("DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)", "should end at seq"),
    ],
)
def test_a_damaged_journal_gives_no_backup(opened: Host, tmp_path: Path, damage: str, named: str) -> None:
    """It would take the place of a good one."""
    with closing(sqlite3.connect(opened.database)) as connection:
        connection.execute(damage)
        connection.commit()
    to = tmp_path / "backups" / "copy"
    assert named in refused(opened, opened.data_dir, to)
    assert list(to.parent.iterdir()) == []
