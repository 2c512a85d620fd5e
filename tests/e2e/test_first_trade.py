"""The README's first trade, done exactly as it is written there, by a shell, against a fresh venue."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import TOKEN
from tests.e2e.venue import Host, environment

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"^<!-- first trade -->\s*\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> str:
    """Every block of the README with the mark above it, one after the other."""
    return "\n".join(BLOCK.findall(README.read_text())) if README.is_file() else ""


def bodies(output: str) -> list[dict[str, Any]]:
    """The JSON objects among the lines a shell printed."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_first_trade(opened: Host, recording: str) -> None:
    script = commands()
    if not script:
        pytest.skip("the README marks no first trade yet")
    # A window is open already on this data dir; nothing else is special about it.
    venue = opened.serve("--house", "--reference", recording, RAETH_ADMIN_TOKEN=TOKEN)
    before = {entry["symbol"]: entry["volume"] for entry in venue.markets()}
    # The README's address is the default one; this venue has another.
    script = script.replace("http://127.0.0.1:8000", venue.url)
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=opened.folder,
        env=environment(opened.folder, {"RAETH_URL": venue.url}),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "curl -s says nothing when all is well"
    answers = bodies(done.stdout)
    assert answers, done.stdout
    for answer in answers:
        assert "code" not in answer, answer
        assert answer.get("status") != "REJECTED", answer
    assert any(answer.get("fills") for answer in answers), "a trade"
    traded = {entry["symbol"]: entry["volume"] for entry in venue.markets()}
    assert any(volume > before.get(symbol, 0) for symbol, volume in traded.items())
    assert venue.admin("GET", "/state", TOKEN)["money"]["conserved"] is True
