"""What the page says when something is not as it should be, and how it comes back: by itself."""

from __future__ import annotations

import signal
import socket

import pytest
from playwright.sync_api import expect

from tests.e2e.venue import Host, VenueProcess, until
from tests.terminal.browser import Visits
from tests.terminal.conftest import ADMIN, hour_long, recording

GONE = r"ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|Connection closed|WebSocket connection to"
"""What a browser says by itself while a server is down."""
BACK_WITHIN_MS = 30_000
"""A start on a busy machine, and the longest pause between two attempts."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def trade(venue: VenueProcess, name: str, prices: list[int]) -> None:
    """One contract at each of the prices."""
    maker, taker = venue.signup(f"{name}-maker"), venue.signup(f"{name}-taker")
    market = venue.open_market()["id"]
    for price in prices:
        assert maker.place(market, "SELL", price, 1)["status"] == "OPEN"
        assert taker.place(market, "BUY", price, 1)["status"] == "FILLED"


def test_after_a_kill_it_says_so_and_is_live_again_by_itself(host: Host, visit: Visits) -> None:
    port = ("--port", str(free_port()))
    replay = recording(host.folder)
    flags = ("--no-house", "--reference", replay, *port)
    venue = host.serve(*flags, RAETH_SERIES__WINDOW_MS="3600000", RAETH_ADMIN_TOKEN=ADMIN)
    trade(venue, "before", [41, 42, 43])
    tab = visit(venue.url)
    tape = tab.tape
    expect(tape).to_have_count(3)
    tab.page.evaluate("window.here = true")

    tab.expect_words(GONE)
    venue.kill()
    tab.until_connection("old", 2_000)
    expect(tab.banner("old")).to_be_visible()

    venue = host.serve(*flags, RAETH_SERIES__WINDOW_MS="3600000", RAETH_ADMIN_TOKEN=ADMIN)
    tab.until_connection("live", BACK_WITHIN_MS)
    expect(tab.banner("old")).to_have_count(0)
    expect(tape).to_have_count(3)
    trade(venue, "after", [44])
    expect(tape).to_have_count(4)
    expect(tape.first).to_contain_text("44")
    assert tab.page.evaluate("window.here"), "it was loaded again"


def test_a_price_that_ends_is_said_to_be_gone(host: Host, visit: Visits) -> None:
    ages = {"RAETH_REFERENCE__STALE_AFTER_MS": "1200", "RAETH_REFERENCE__DOWN_AFTER_MS": "2500"}
    replay = recording(host.folder, last_s=3)
    venue = host.serve("--no-house", "--reference", replay, RAETH_SERIES__WINDOW_MS="3600000", **ages)
    tab = visit(venue.url)
    expect(tab.banner("synthetic")).to_have_count(0)
    expect(tab.banner("stale")).to_contain_text("down")
    reference = venue.get("/api/v1/reference/btc")
    assert reference["status"] == "DOWN"


def test_a_price_made_up_is_said_to_be_so(host: Host, visit: Visits) -> None:
    venue = host.serve("--no-house")
    tab = visit(venue.url)
    expect(tab.banner("synthetic")).to_contain_text("not the real Bitcoin price")
    expect(tab.banner("stale")).to_have_count(0)
    tab.go("Trade")
    expect(tab.banner("synthetic")).to_be_visible()


@pytest.mark.long
def test_a_venue_that_is_open_but_silent_is_noticed(host: Host, visit: Visits) -> None:
    """A stopped process keeps its sockets open: only the heartbeats that do not come tell."""
    venue = hour_long(host)
    tab = visit(venue.url)
    tab.expect_words(GONE)
    venue.process.send_signal(signal.SIGSTOP)
    try:
        tab.until_connection("old", 20_000)
        expect(tab.banner("old")).to_contain_text("s old")
    finally:
        venue.process.send_signal(signal.SIGCONT)
    tab.until_connection("live", BACK_WITHIN_MS)
    until("the venue", lambda: venue.get("/health")["status"] == "ok")
