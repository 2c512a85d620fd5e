"""The operator in the browser: the switch that stops trading, and that everybody sees it thrown."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.venue import Host, VenueProcess
from tests.terminal.browser import Visits
from tests.terminal.conftest import ADMIN, hour_long, kept_by_the_browser
from tests.terminal.people import take_token

SEEN_WITHIN_S = 2.0
"""From the word of the venue to the banner on everybody's screen."""


@pytest.fixture(scope="module")
def venue(shared_host: Host) -> Iterator[VenueProcess]:
    yield hour_long(shared_host)


def kill_button(page: Page, text: str) -> None:
    page.get_by_role("region", name="Kill switch").get_by_role("button", name=text).click()


def test_a_freeze_is_on_every_screen_at_once(venue: VenueProcess, visit: Visits) -> None:
    agent = venue.signup("caught")
    market = venue.open_market()["id"]
    resting = agent.place(market, "BUY", 10, 1)
    anybody = [visit(venue.url, path) for path in ("", "proof")]
    tab = visit(venue.url, "operator", expected=["status of 503"])
    take_token(tab, ADMIN)
    page = tab.page

    kill_button(page, "Freeze the venue …")
    dialog = page.get_by_role("dialog", name="Freeze the venue")
    dialog.get_by_label("Reason", exact=True).fill("<b>leg</b> work")
    dialog.get_by_role("button", name="Freeze the venue").click()
    expect(dialog.get_by_text("Nothing was done")).to_be_visible()  # one press alone does nothing
    assert not venue.get("/health")["frozen"]
    dialog.get_by_label("or type FREEZE").fill("FREEZE")
    dialog.get_by_role("button", name="Freeze the venue").click()
    expect(page.get_by_role("region", name="Kill switch")).to_contain_text("Frozen")
    done = time.monotonic()
    for other in anybody:
        expect(other.banner("frozen")).to_contain_text("<b>leg</b> work")  # somebody's words, never markup
        assert other.banner("frozen").evaluate("e => e.getBoundingClientRect().top") < 200  # without scrolling
    assert time.monotonic() - done < SEEN_WITHIN_S

    refused = agent.ask(
        "POST", "/orders", 503, json={"market_id": market, "side": "BUY", "type": "LIMIT", "price": 5, "qty": 1}
    )
    assert refused["code"] == "EXCHANGE_FROZEN"
    assert agent.ask("DELETE", f"/orders/{resting['order_id']}")["status"] == "CANCELLED"

    kill_button(page, "Lift the freeze …")
    dialog = page.get_by_role("dialog", name="Lift the freeze")
    dialog.get_by_label("or type UNFREEZE").fill("UNFREEZE")
    dialog.get_by_label("or type UNFREEZE").press("Enter")
    for other in [*anybody, tab]:
        expect(other.banner("frozen")).to_have_count(0)
    assert not venue.get("/health")["frozen"]
    expect(page.get_by_text("Froze the venue").first).to_be_visible()  # it stays in the audit trail


def test_a_token_that_is_none_gets_nobody_in(venue: VenueProcess, visit: Visits) -> None:
    tab = visit(venue.url, "operator", expected=["status of 401"])
    tab.page.get_by_label("Admin token").fill("rk_admin_" + "x" * 43)
    tab.page.get_by_role("button", name="Sign in").click()
    expect(tab.page.get_by_text("This is not the token of this venue")).to_be_visible()
    expect(tab.page.get_by_role("heading", name="Kill switch")).to_have_count(0)


def test_the_token_is_nowhere_but_in_memory(venue: VenueProcess, visit: Visits) -> None:
    tab = visit(venue.url, "operator")
    take_token(tab, ADMIN)
    assert ADMIN not in kept_by_the_browser(tab)
    tab.page.reload()
    expect(tab.page.get_by_label("Admin token")).to_have_value("")
