"""What all tests share: the switch for long runs, and where recorded market data lies."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

UNTESTED = "NOT TESTED: "
"""A test that skips for a reason beginning so is named at the end of the run: nobody shall think all was tested."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked long (minutes each)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="takes minutes; run with --long")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = (str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    reasons = Counter(reason.removeprefix("Skipped: ") for reason in skipped)
    for reason, times in reasons.items():
        if reason.startswith(UNTESTED):
            terminalreporter.write_line(f"{reason} ({times} tests)", yellow=True, bold=True)


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder with recorded market data: `RAETH_TEST_DATA`, else `shared/data` beside the project. Skips without."""
    folder = Path(os.environ.get("RAETH_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no recorded market data; set RAETH_TEST_DATA to its folder")
    return folder
