"""The README's doors for programs, exactly as they stand there, in processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.venue import Host, environment

ROOT = Path(__file__).resolve().parents[2]


def block(mark: str, file: str = "README.md") -> str:
    """The one block of Python under `<!-- mark -->`."""
    (found,) = re.findall(rf"^<!-- {mark} -->\s*\n```python\n(.*?)^```$", (ROOT / file).read_text(), re.M | re.S)
    return str(found)


def run(program: str, folder: Path, url: str = "") -> str:
    """What a program prints; it must end well and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env=environment(folder, {"RAETH_URL": url} if url else {}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_ten_lines_of_the_sdk_fill_an_order_from_the_house(opened: Host, recording: str) -> None:
    program = block("ten lines")
    assert program == block("ten lines", "docs/sdk.md")
    assert sum(bool(line.strip()) for line in program.splitlines()) <= 10
    venue = opened.serve("--reference", recording, "--house")
    assert run(program, opened.folder, venue.url).startswith("FILLED (OrderFill(")


def test_research(tmp_path: Path) -> None:
    told = run(block("research"), tmp_path)
    assert set(eval(told)) == {"maker", "fair", "random"}
    fills = (tmp_path / "out" / "fills.csv").read_text().splitlines()
    assert len(fills) > 10
