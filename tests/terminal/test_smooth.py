"""A page that is watched for long while much happens: it keeps drawing, and does not grow."""

from __future__ import annotations

import os
import time

import pytest
from playwright.sync_api import Page

from tests.e2e.venue import Host
from tests.terminal.browser import Visits
from tests.terminal.conftest import ADMIN, HOUR, hour_long, recording
from tests.terminal.crowd import Crowd

RICH = {"RAETH_FAUCET__SIGNUP_GRANT_CENTS": "100000000", "RAETH_RISK__POSITION_CAP": "10000000"}
AT_ONCE = {"RAETH_LIMITS__BOOK_INTERVAL_MS": "0"}
"""Each change of the book is told by itself."""

CHANGES_PER_S = 50
WATCHED_S = 10
FRAME_MS = 20
IN_TIME = 0.95

LIVED_S = float(os.environ.get("RAETH_TEST_TAB_S", "600"))
SPEED = 10
SETTLED_S = 120
"""By then the page holds all of the past that it ever will: a quarter of an hour of prices, and the rail is full."""
HEAP_GROWTH_MAX = 4_000_000
NODES_GROWTH_MAX = 600

FRAMES = """(forMs) => new Promise((done) => {
    const frames = [];
    let last = performance.now();
    const end = last + forMs;
    const next = (now) => {
        frames.push(now - last);
        last = now;
        if (now < end) requestAnimationFrame(next); else done(frames.slice(1));
    };
    requestAnimationFrame(next);
})"""


@pytest.mark.long
def test_it_keeps_drawing_while_the_book_changes_fifty_times_a_second(host: Host, visit: Visits) -> None:
    venue = hour_long(host, **RICH, **AT_ONCE)
    with Crowd(venue, per_s=CHANGES_PER_S) as crowd:
        tab = visit(venue.url)
        tab.page.wait_for_timeout(3_000)  # the page has been there for a moment, as for whoever watches
        before, began = crowd.sent, time.monotonic()
        frames = sorted(tab.page.evaluate(FRAMES, WATCHED_S * 1000))
        changes = (crowd.sent - before) / (time.monotonic() - began)
    in_time = sum(frame <= FRAME_MS for frame in frames) / len(frames)
    print(
        f"{changes:.0f} changes/s; {len(frames)} frames, {in_time:.1%} within {FRAME_MS} ms, "
        f"median {frames[len(frames) // 2]:.1f} ms, worst {frames[-1]:.0f} ms"
    )
    assert changes >= 0.9 * CHANGES_PER_S
    assert in_time >= IN_TIME


def held(page: Page) -> tuple[int, int]:
    """Bytes of the heap after a collection, and nodes of documents, also of those that nobody sees any more."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    nodes = session.send("Memory.getDOMCounters")["nodes"]
    session.detach()
    return int(heap), int(nodes)


@pytest.mark.long
@pytest.mark.timeout(LIVED_S + 300)
def test_it_does_not_grow(host: Host, visit: Visits) -> None:
    replay = recording(host.folder, last_s=(LIVED_S + 120) * SPEED)
    flags = ("--no-house", "--reference", replay, "--speed", str(SPEED))
    venue = host.serve(*flags, **{**HOUR, "RAETH_SERIES__WINDOW_MS": "60000", "RAETH_ADMIN_TOKEN": ADMIN}, **RICH)
    with Crowd(venue, per_s=20):
        tab = visit(venue.url)
        tab.page.wait_for_timeout(SETTLED_S * 1000)
        before = held(tab.page)
        tab.page.wait_for_timeout((LIVED_S - SETTLED_S) * 1000)
        after = held(tab.page)
    print(f"heap {before[0] / 1e6:.2f} → {after[0] / 1e6:.2f} MB, nodes {before[1]} → {after[1]} in {LIVED_S:.0f} s")
    assert after[0] - before[0] < HEAP_GROWTH_MAX
    assert after[1] - before[1] < NODES_GROWTH_MAX
    tab.until_connection("live")
