"""What all tests share: the switch for long runs, their order among several workers, and where recorded data lies."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

SLOW_FILES = (
    *("e2e/test_house", "cli/test_bot", "cli/test_watch", "chaos/test_nodes", "e2e/test_serve", "e2e/test_kill"),
    *("client/test_rest_process", "e2e/test_restart_replay", "e2e/test_upgrade", "client/test_runner"),
    *("fuzz/test_bodies", "mcp/test_session", "e2e/test_disk", "e2e/test_operate", "contract/test_lifecycle"),
    *("fuzz/test_requests", "mcp/test_first_trade", "client/test_live", "fuzz/test_openapi", "contract/test_process"),
    *("e2e/test_damage", "e2e/test_freeze", "golden/test_pythons", "e2e/test_recorded", "e2e/test_restart_time"),
    *("nodes/test_workers", "client/test_cuts", "client/test_rest_ten_lines", "client/test_stream_docs"),
)
"""Few tests that take long, the longest first. Begun last, one of them would keep the whole run waiting."""

UNTESTED = "NOT TESTED: "
"""A test that skips for a reason beginning so is named at the end of the run: nobody shall think all was tested."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked long (minutes each)")


def pytest_configure(config: pytest.Config) -> None:
    # How long an example takes says nothing on a busy machine; what hangs meets the time limit of its test.
    settings.register_profile("raeth", deadline=None)
    settings.load_profile("raeth")
    config.option.loadscopereorder = False  # `spread` does better than by the number of tests alone
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Beside the sources nothing is to be written. But without bytecode each of the hundreds of processes that the
        # tests start would compile the whole program, which takes longer than what most of them do.
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".pytest_cache" / "bytecode"))


def spread(items: list[pytest.Item]) -> None:
    """Order for workers that take a file at a time: in turn one of those that mostly wait, and one of many tests."""
    tests = Counter(item.path for item in items)
    slow = [ROOT / "tests" / f"{name}.py" for name in SLOW_FILES]
    rank = {path: 2 * place for place, path in enumerate(slow)}
    many = sorted(tests.keys() - rank.keys(), key=lambda path: (-tests[path], path))
    rank |= {path: 2 * place + 1 for place, path in enumerate(many)}
    items.sort(key=lambda item: rank[item.path])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        spread(items)
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
