"""A browser for each file of tests, tabs for each test, and venues whose only window lasts for an hour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error

from tests.conftest import UNTESTED
from tests.e2e.venue import Host, VenueProcess, hosting, write_recording
from tests.terminal.browser import Tab, Visits, chromium, why_not

NOON_MS = 1_767_268_800_000
"""A whole hour, just before which recordings begin."""
BEFORE_MS = 1_000
ADMIN = "rk_admin_" + "t" * 43

HOUR = {"RAETH_SERIES__WINDOW_MS": "3600000", "RAETH_ADMIN_TOKEN": ADMIN}
"""No window closes while somebody trades in it."""

_reports = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[_reports] = report
    return report


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if why := why_not():
        pytest.skip(f"{UNTESTED}the page in a browser: {why}")
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Visits]:
    """Opens tabs. Whatever was wrong on one of them fails the test."""
    visits = Visits(browser)
    yield visits
    report = request.node.stash.get(_reports, None)
    if report is None or report.failed:
        try:
            print(*visits.keep(tmp_path), sep="\n\n")
        except Error as error:
            print("no picture:", error)
    wrong = visits.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def shared_host(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host for the venue of a whole file; none is started where there is no browser."""
    with hosting(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture
def host(browser: Browser, tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path) as host:
        yield host


def recording(folder: Path, last_s: float = 1_200) -> str:
    """A price that moves up and down by some dollars, from just before a whole hour, for so long."""
    ticks = ((after, 9_500_000 + abs(after // 2 % 6_000 - 3_000)) for after in range(0, int(last_s * 1000), 250))
    return f"replay:{write_recording(folder / 'moving.csv', NOON_MS - BEFORE_MS, ticks)}"


def hour_long(host: Host, **settings: str) -> VenueProcess:
    """A venue in recorded time, at the speed of real time, whose window is open."""
    venue = host.serve("--no-house", "--reference", recording(host.folder), **HOUR, **settings)
    venue.open_market()
    return venue


def kept_by_the_browser(tab: Tab) -> str:
    """Everything a script, or whoever sits at the machine later, could find: stores, cookies, addresses, history."""
    page = tab.page
    found = page.evaluate(
        """async () => JSON.stringify([
            {...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state, window.name,
            document.referrer, performance.getEntriesByType('resource').map(one => one.name),
            await indexedDB.databases(), await caches.keys(),
        ])"""
    )
    return f"{found} {page.url}"
