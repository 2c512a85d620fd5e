"""The first trade of `/llms.txt`, done by a shell as the venue writes it; a venue that starts and ends under models."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from pathlib import Path

import httpx2
import pytest

from tests.e2e.venue import ROOMY, Host, VenueProcess, environment, hosting, until
from tests.mcp.model import ADMIN_TOKEN, model_over

BLOCK = re.compile(r"^## First trade$.*?^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WINDOWS = {"RAETH_SERIES__WINDOW_MS": "10000", "RAETH_ADMIN_TOKEN": ADMIN_TOKEN}


def run_first_trade(host: Host, venue: VenueProcess) -> list[dict[str, object]]:
    """The JSON objects that a shell prints which is given the block of /llms.txt and nothing else."""
    found = BLOCK.search(venue.http.get("/llms.txt").text)
    assert found is not None
    assert venue.url in found[1], "the address is the one that was asked"
    done = subprocess.run(
        ["bash"],
        input=found[1],
        cwd=host.folder,
        env=environment(host.folder, {}),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "curl -s says nothing when all is well"
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("house", ["--house", "--no-house"])
def test_whoever_follows_llms_txt_gets_a_fill(tmp_path: Path, house: str) -> None:
    with hosting(tmp_path) as host:
        venue = host.serve(house, **WINDOWS)
        answers = run_first_trade(host, venue)
        for answer in answers:
            assert "code" not in answer, answer
        assert any(answer.get("fills") for answer in answers), answers
        assert any("market" in answer and "own" in answer for answer in answers), "the context document"
        assert venue.admin("GET", "/state", ADMIN_TOKEN)["money"]["conserved"] is True


async def test_a_venue_ends_in_time_while_models_wait(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        venue = host.serve("--no-house", RAETH_ADMIN_TOKEN=ADMIN_TOKEN)
        agent = venue.signup("waiter")
        wait = {"name": "wait_for", "arguments": {"event": "settlement", "market": venue_market(venue)}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": wait}
        headers = {"Authorization": f"Bearer {agent.key}", "Accept": "application/json, text/event-stream"}
        async with httpx2.AsyncClient(base_url=venue.url, headers=headers, timeout=40) as http:
            assert (await http.post("/mcp/", json={**call, "method": "ping"})).status_code == 200, "it is loaded"
            waiting = [asyncio.create_task(http.post("/mcp/", json=call)) for _ in range(5)]
            await asyncio.sleep(1)
            assert not any(task.done() for task in waiting)
            await asyncio.to_thread(venue.stop)
            for answer in await asyncio.gather(*waiting):
                assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_DEGRADED")
        assert "Traceback" not in venue.stderr


def venue_market(venue: VenueProcess) -> str:
    """The window that is listed, open or not."""
    return str(until("a window", lambda: venue.get("/api/v1/markets")["items"])[0]["symbol"])


async def test_the_door_opens_by_itself_soon_after_the_venue_takes_orders(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        venue = host.serve("--no-house", **ROOMY)
        began = time.monotonic()
        agent = venue.signup("first")
        async with model_over("auto", venue.url, agent.key) as model:
            assert len((await model.client.list_tools()).tools) == 13
        assert time.monotonic() - began < 10
