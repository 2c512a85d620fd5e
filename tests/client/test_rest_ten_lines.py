"""The ten lines of the SDK's guide, run as they stand there, against a venue in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from raeth.client import Client
from tests.e2e.venue import VenueProcess, environment, hosting, write_recording

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "sdk.md"
BLOCK = re.compile(r"^<!-- ten lines -->\s*\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOON_MS = 1_767_268_800_000


def program() -> str:
    (block,) = BLOCK.findall(GUIDE.read_text())
    return block


def run_it(folder: Path, venue: VenueProcess) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program()],
        env=environment(folder, {"RAETH_URL": venue.url}),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_ten_lines_at_most() -> None:
    lines = [line.strip() for line in program().splitlines()]
    assert sum(bool(line) and not line.startswith("#") for line in lines) <= 10


def test_the_ten_lines_trade(tmp_path: Path) -> None:
    ticks = ((after, 9_500_000 + after % 7_919) for after in range(0, 7_200_000, 500))
    recording = f"replay:{write_recording(tmp_path / 'moving.csv', NOON_MS, ticks)}"
    with hosting(tmp_path) as host:
        hurried = host.serve("--reference", recording, "--speed", "30", "--no-house")
        hurried.open_market(least_left_s=30)
        hurried.kill()
        venue = host.serve("--reference", recording, "--no-house")
        with Client.signup(venue.url, "maker@example.com", "maker-1") as maker:
            market = maker.open_market(least_left_s=15)
            maker.put_quotes(market, "q", bids=[(45, 50)], asks=[(55, 50)])
            done = run_it(tmp_path, venue)
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            assert done.stdout.startswith("FILLED (OrderFill(") and "price=55, qty=1" in done.stdout
            assert [fill.qty for fill in maker.fills().items] == [1]


def test_the_ten_lines_trade_with_the_house(tmp_path: Path) -> None:
    """A venue that has just started, with nobody on it but its house: from no account to a fill."""
    with hosting(tmp_path) as host:
        venue = host.serve("--house", RAETH_SERIES__WINDOW_MS="20000")
        for _ in range(3):
            done = run_it(tmp_path, venue)
            if done.returncode == 0:
                break
            # The house may have moved its quote between the look and the order: an answer, and the only other one.
            assert "OrderRejected: MARKET_NO_LIQUIDITY" in done.stderr, done.stderr
        assert done.stdout.startswith("FILLED (OrderFill("), done
