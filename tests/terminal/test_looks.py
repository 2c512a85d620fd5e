"""What holds on every page: it comes at once and is small, fits a phone, and is readable by everybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.venue import Host, VenueProcess
from tests.terminal.browser import Visits
from tests.terminal.conftest import hour_long

FIRST_PAINT_S = 2.5
"""It is about 0.2 s on an idle machine; this one may do other things."""
BYTES_MAX = 200_000


@pytest.fixture(scope="module")
def venue(shared_host: Host) -> Iterator[VenueProcess]:
    yield hour_long(shared_host)


def test_it_is_there_at_once_and_small(venue: VenueProcess, visit: Visits) -> None:
    tab = visit(venue.url)
    painted = tab.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    print(f"first contentful paint after {painted:.3f} s")
    assert painted < FIRST_PAINT_S
