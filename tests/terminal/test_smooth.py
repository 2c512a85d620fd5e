"""A page that is watched for long while much happens: it keeps drawing, and does not grow."""

from __future__ import annotations

import os
import time

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.conftest import UNTESTED
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
COMPARED_S = 4
BUSY_MAX = 0.5
"""Share of the time that the page's main thread may compute."""
OWN_LOAD = 2
"""What browser, venue and agents are themselves."""

LIVED_S = float(os.environ.get("RAETH_TEST_TAB_S", "600"))
SPEED = int(os.environ.get("RAETH_TEST_TAB_SPEED", "10"))
"""Recorded seconds a second; a window is a minute of them."""
SETTLED_S = LIVED_S / 2
"""By then the page holds all of the past that it ever will: a quarter of an hour of prices, and forty windows."""
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


def in_time(frames: list[float]) -> float:
    return sum(frame <= FRAME_MS for frame in frames) / len(frames)


def busy_s(session: CDPSession) -> float:
    """What the page's main thread has computed, in seconds of its own, however busy the machine is with others."""
    told = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in told if one["name"] == "TaskDuration"))


@pytest.mark.long
def test_it_keeps_drawing_while_the_book_changes_fifty_times_a_second(host: Host, visit: Visits) -> None:
    venue = hour_long(host, **RICH, **AT_ONCE)
    with Crowd(venue, per_s=CHANGES_PER_S) as crowd:
        tab = visit(venue.url)
        empty = tab.page.context.new_page()
        best = in_time(empty.evaluate(FRAMES, COMPARED_S * 1000))
        empty.close()
        tab.page.bring_to_front()
        expect(tab.tape.first).to_be_visible()
        session = tab.page.context.new_cdp_session(tab.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before, busy, began = crowd.sent, busy_s(session), time.monotonic()
        frames = sorted(tab.page.evaluate(FRAMES, WATCHED_S * 1000))
        passed_s = time.monotonic() - began
        changes, busy = (crowd.sent - before) / passed_s, busy_s(session) - busy
    print(
        f"{changes:.0f} changes/s; {len(frames)} frames, {in_time(frames):.1%} within {FRAME_MS} ms (an empty page "
        f"{best:.1%}), median {frames[len(frames) // 2]:.1f} ms, worst {frames[-1]:.0f} ms; main thread "
        f"{1000 * busy / len(frames):.1f} ms a frame, {busy / passed_s:.0%}"
    )
    assert changes >= 0.9 * CHANGES_PER_S
    assert busy / passed_s < BUSY_MAX
    smooth, load, cores = in_time(frames) >= IN_TIME * best, os.getloadavg()[0], os.cpu_count() or 1
    if not smooth and load > cores + OWN_LOAD:
        pytest.skip(f"{UNTESTED}frames in time: {cores} cores with a load of {load:.1f} have other things to do")
    assert smooth


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
