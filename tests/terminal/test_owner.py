"""An owner in the browser: an account, a second agent, a key for it, and cash that it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.venue import Agent, Host, VenueProcess
from tests.terminal.browser import Visits
from tests.terminal.conftest import hour_long, kept_by_the_browser
from tests.terminal.people import PASSWORD, keep_key, make_account


@pytest.fixture(scope="module")
def venue(shared_host: Host) -> Iterator[VenueProcess]:
    yield hour_long(shared_host)


def test_from_an_account_to_a_second_agent_that_trades(venue: VenueProcess, visit: Visits) -> None:
    tab = visit(venue.url, "owner", expected=["status of 400"])
    page = tab.page
    first = make_account(tab, "grace")
    venue.secrets.note(first, PASSWORD)

    page.get_by_role("button", name="New agent …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("grace-two")
    dialog.get_by_label("Name").press("Enter")
    expect(page.get_by_role("region", name="Agents")).to_contain_text("grace-two")
    expect(dialog).to_have_count(0)

    page.get_by_role("button", name="grace-two", exact=True).click()
    keys = page.get_by_role("region", name="Keys of grace-two")
    keys.get_by_role("button", name="New key …").click()
    dialog = page.get_by_role("dialog", name="New key for grace-two")
    dialog.get_by_label("Name").fill("laptop")
    dialog.get_by_role("button", name="Issue it").click()
    second = keep_key(tab)
    venue.secrets.note(second)
    expect(keys).to_contain_text("laptop")
    assert second not in page.content(), "shown once"

    move = page.get_by_role("region", name="Move cash")
    for pays, gets, dollars in (("grace", "Master wallet", "250.00"), ("Master wallet", "grace-two", "120.50")):
        for label, name in (("From", pays), ("To", gets)):
            chosen = move.get_by_label(label, exact=True)
            text = chosen.locator("option").filter(has_text=f"{name} ·").first.get_attribute("value")
            chosen.select_option(text)
        move.get_by_label("Amount in dollars").fill(dollars)
        move.get_by_role("button", name="Move", exact=True).click()
        expect(page.get_by_text(f"Moved ${dollars} from {pays} to {gets}.")).to_be_visible()
    move.get_by_label("Amount in dollars").fill("999.00")
    move.get_by_role("button", name="Move", exact=True).click()
    expect(move.get_by_text("Nothing was moved")).to_be_visible()

    agent = Agent(venue, {"agent_id": "", "api_key": second})
    assert agent.get("/account")["cash_cents"] == 12_050
    assert Agent(venue, {"agent_id": "", "api_key": first}).get("/account")["cash_cents"] == 75_000
    assert agent.place(venue.open_market()["id"], "BUY", 10, 5)["status"] == "OPEN"
    row = page.locator('[data-agent="grace-two"]')
    expect(row).to_contain_text("$120.50")
    expect(row).to_contain_text("$0.50")  # what is locked, without a reload

    cash = page.get_by_role("region", name="Test cash")
    cash.get_by_role("button", name="Claim $100.00 for grace-two").click()
    expect(cash.get_by_text("Again in")).to_be_visible()
    assert agent.get("/account")["cash_cents"] == 22_050
    expect(keys).to_contain_text("laptop")
    expect(keys).not_to_contain_text("faucet")  # the key that claimed is gone

    kept = kept_by_the_browser(tab)
    assert not [secret for secret in (first, second, PASSWORD) if secret in kept]
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] in ("Strict", "Lax")
    assert cookie["value"] not in kept


def test_signing_in_and_out(venue: VenueProcess, visit: Visits) -> None:
    venue.signup("hopper", password=PASSWORD)
    tab = visit(venue.url, "owner", expected=["status of 401"])
    page = tab.page
    page.get_by_label("Email").fill("hopper@example.com")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Email and password do not fit together")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("region", name="Agents")).to_contain_text("hopper")
    page.reload()
    expect(page.get_by_role("region", name="Agents")).to_contain_text("hopper")  # the session is the cookie's
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_have_value("")
    page.reload()
    expect(page.get_by_label("Password")).to_be_visible()
