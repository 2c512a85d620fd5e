"""The house on a venue as its users have it: there from the first window on, labelled, and out when it should be."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.conftest import NOON_MS, TOKEN
from tests.e2e.venue import LEFT_S, Host, VenueProcess, until, write_recording

GRANT = 10_000_000
WARM_UP_S = 25.0
"""A first window, ten seconds of prices, and a busy machine."""


def house(venue: VenueProcess) -> dict[str, Any]:
    found: dict[str, Any] = venue.get("/api/v1/liquidity")
    return found


def until_house(venue: VenueProcess, status: str, within_s: float = WARM_UP_S) -> dict[str, Any]:
    def asked() -> dict[str, Any] | None:
        found = house(venue)
        return found if found["now"]["status"] == status else None

    return until(f"the house {status}", asked, within_s)


def test_a_newcomer_finds_both_sides_and_trades_at_once(host: Host) -> None:
    venue = host.serve("--house", RAETH_SERIES__WINDOW_MS="20000", RAETH_ADMIN_TOKEN=TOKEN)
    assert "/api/v1/liquidity" in until("the hints", lambda: venue.stdout if "house" in venue.stdout else None)
    newcomer = venue.signup("newcomer")
    venue.open_market()

    def filled() -> dict[str, Any] | None:
        found = until_house(venue, "QUOTING")
        order = newcomer.place(found["now"]["market_id"], "BUY", None, 3)
        return order if order["status"] == "FILLED" else None

    order = until("a fill", filled, WARM_UP_S)
    maker = house(venue)
    assert maker["enabled"] and maker["agent_name"] == "house" and maker["money"]["granted_cents"] == GRANT
    assert order["agent_id"] != maker["agent_id"]
    venue.admin("POST", "/freeze", TOKEN, json={"reason": "test"})
    assert until_house(venue, "OUT")["now"]["reason"] in ("FROZEN", "CLOSING")
    until("the reason", lambda: house(venue)["now"]["reason"] == "FROZEN", 5)
    venue.admin("POST", "/unfreeze", TOKEN, json={})
    until_house(venue, "QUOTING")
    venue.stop()
    host.audited()


def test_restarts_grant_nothing_more_and_a_crash_leaves_no_key(opened: Host, recording: str) -> None:
    flags = ("--house", "--reference", recording)
    venue = opened.serve(*flags)
    first = until_house(venue, "QUOTING")
    venue.kill()
    venue = opened.serve(*flags)
    second = until_house(venue, "QUOTING")
    assert second["agent_id"] == first["agent_id"]
    assert second["money"]["granted_cents"] == first["money"]["granted_cents"] == GRANT
    venue.stop()
    venue = opened.serve("--no-house", "--reference", recording)
    off = until_house(venue, "OFF", 10)
    assert off["enabled"] is False and off["agent_id"] == first["agent_id"]
    venue.stop()
    opened.audited()


def test_a_taker_meets_it_like_anybody(opened: Host, recording: str) -> None:
    """Its orders are in the public book, and it is bound by the market's own rules."""
    venue = opened.serve("--house", "--reference", recording)
    market = venue.open_market(LEFT_S, within_s=60)
    now = until_house(venue, "QUOTING")["now"]
    book = venue.get(f"/api/v1/markets/{market['id']}/book")
    assert now["best_ask"] in [price for price, *_ in book["asks"]] or house(venue)["now"] != now
    taker = venue.signup("taker")
    order = taker.place(now["market_id"], "BUY", None, 1)
    assert order["status"] == "FILLED" or order["reject_reason"] == "MARKET_CLOSED"
    venue.stop()


def test_an_operator_can_stop_it(opened: Host, recording: str) -> None:
    """Suspended it waits; without its key it is out for good, until the venue starts again."""
    venue = opened.serve("--house", "--reference", recording, RAETH_ADMIN_TOKEN=TOKEN)
    agent_id = until_house(venue, "QUOTING")["agent_id"]
    venue.admin("POST", f"/agents/{agent_id}/suspend", TOKEN, json={"reason": "test"})
    until("that it waits", lambda: house(venue)["now"]["reason"] == "SUSPENDED", 10)
    venue.admin("POST", f"/agents/{agent_id}/reinstate", TOKEN, json={})
    until_house(venue, "QUOTING")
    trail = venue.admin("GET", "/audit", TOKEN)["items"]
    assert any(done["actor"] == "venue" and done["action"] == "GRANT" for done in trail)
    venue.stop()


def test_when_the_reference_ends_it_is_out(host: Host) -> None:
    ticks = ((after, 9_500_000 + after % 977) for after in range(0, 90_000, 250))
    recording = write_recording(host.folder / "short.csv", NOON_MS, ticks)
    venue = host.serve("--house", "--reference", f"replay:{recording}", "--speed", "8")
    venue.open_market()
    until_house(venue, "QUOTING")
    until("that it is out", lambda: house(venue)["now"]["reason"] in ("STALE_REFERENCE", "NO_STRIKE"), 20)
    venue.stop()


@pytest.mark.parametrize(("speed", "reason"), [pytest.param("20", None, marks=pytest.mark.long), ("120", "TOO_SLOW")])
def test_in_fast_recorded_time_it_keeps_up_or_says_that_it_is_out(
    host: Host, recording: str, speed: str, reason: str | None
) -> None:
    venue = host.serve("--house", "--reference", recording, "--speed", speed)
    venue.open_market()
    if reason is not None:
        until("the reason", lambda: house(venue)["now"]["reason"] == reason, 10)
        return
    until_house(venue, "QUOTING")
    seen = []
    end = time.monotonic() + 9
    while time.monotonic() < end:
        seen.append(house(venue)["now"]["status"])
        time.sleep(0.05)
    assert seen.count("QUOTING") / len(seen) > 0.7
