"""Trading in the browser: from nothing to a fill, with declines that are repaired by a click, and without a mouse."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.venue import Agent, Host, VenueProcess, until
from tests.terminal.browser import Visits
from tests.terminal.conftest import ADMIN, hour_long, kept_by_the_browser
from tests.terminal.people import bring_key, fill_ticket, send_ticket, ticket


@pytest.fixture(scope="module")
def venue(shared_host: Host) -> Iterator[VenueProcess]:
    yield hour_long(shared_host)


@pytest.fixture(scope="module")
def maker(venue: VenueProcess) -> Agent:
    """Offers plenty at 60, and bids at 40."""
    agent = venue.signup("maker")
    market = venue.open_market()["id"]
    agent.place(market, "BUY", 40, 200)
    agent.place(market, "SELL", 60, 200)
    return agent


def said(page: Page) -> Locator:
    """What became of the order."""
    return page.locator(".trade-answer")


def by_name(venue: VenueProcess, key: str) -> Agent:
    return Agent(venue, {"agent_id": "", "api_key": key})


def test_from_nothing_to_a_fill(venue: VenueProcess, maker: Agent, visit: Visits) -> None:
    tab = visit(venue.url, "trade")
    page = tab.page
    new = page.get_by_role("region", name="I am new here")
    new.get_by_label("Email").fill("ada@example.com")
    new.get_by_label("Agent name").fill("ada")
    new.get_by_role("button", name="Sign up and trade").click()
    secret = page.locator(".trade-secret")
    expect(secret).to_contain_text("rk_live_")
    key = secret.inner_text().strip()
    venue.secrets.note(key)
    page.get_by_role("button", name="I have kept it").click()
    expect(ticket(page)).to_be_visible()
    assert key not in page.content(), "shown once"

    fill_ticket(page, 60, 5_000)
    send_ticket(page)
    expect(said(page)).to_contain_text("Declined")
    expect(said(page)).to_contain_text("FAT_FINGER")
    said(page).get_by_role("button", name=re.compile("^Reduce to")).click()
    fill_ticket(page, 60, 1_900)
    send_ticket(page)
    expect(said(page)).to_contain_text("INSUFFICIENT_MARGIN")
    said(page).get_by_role("button", name=re.compile("^Reduce to")).click()
    qty = int(ticket(page).get_by_label("Quantity", exact=True).input_value())
    assert 0 < qty < 1_900
    fill_ticket(page, 60, 7)
    send_ticket(page)
    expect(said(page)).to_contain_text("Filled")

    ada = by_name(venue, key)
    (position,) = ada.get("/positions")["items"]
    assert position["net_qty"] == 7
    assert [order["status"] for order in ada.all("/orders")].count("FILLED") == 1


def test_what_rests_is_shown_and_goes_when_it_is_cancelled(venue: VenueProcess, maker: Agent, visit: Visits) -> None:
    agent = venue.signup("rests")
    tab = visit(venue.url, "trade")
    page = tab.page
    bring_key(tab, agent.key)
    for price in (41, 42, 43):
        fill_ticket(page, price, 3)
        send_ticket(page)
        expect(said(page)).to_contain_text("Resting")
        said(page).get_by_role("button", name="Dismiss").click()
    orders = page.get_by_role("region", name=re.compile("^Open orders"))
    expect(orders.get_by_role("button", name=re.compile("^Cancel .*(41|42|43)"))).to_have_count(3)
    orders.get_by_role("button", name=re.compile("^Cancel .*42")).click()
    expect(orders.get_by_role("button", name=re.compile("^Cancel .*(41|42|43)"))).to_have_count(2)
    assert sorted(order["price"] for order in agent.all("/orders", status="OPEN")) == [41, 43]

    # Another program with the same key is seen as well.
    agent.place(venue.open_market()["id"], "BUY", 30, 1)
    expect(orders.get_by_role("button", name=re.compile("^Cancel .*(30|41|43)"))).to_have_count(3)
    orders.get_by_role("button", name=re.compile("^Cancel all")).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Cancel (all|them|3)")).click()
    expect(orders.get_by_role("button", name=re.compile("^Cancel .*(30|41|43)"))).to_have_count(0)
    assert agent.all("/orders", status="OPEN") == []


def test_without_a_mouse(venue: VenueProcess, maker: Agent, visit: Visits) -> None:
    """From the top of the page with the keyboard alone: go there, enter the key, send an order, end it."""
    agent = venue.signup("keys")
    tab = visit(venue.url)
    page = tab.page
    press = page.keyboard.press

    def tab_to(what: str, most: int = 60) -> None:
        """Tab until the focus is on something whose label or text has `what`, and can be seen to be there."""
        for _ in range(most):
            press("Tab")
            name, ring = page.evaluate(
                """() => {
                    const e = document.activeElement, style = getComputedStyle(e);
                    if (!e.matches('a, button, input, select')) return ['', false];
                    const label = e.labels?.[0]?.innerText ?? e.getAttribute('aria-label') ?? e.innerText ?? '';
                    return [label, style.outlineStyle !== 'none' || style.boxShadow !== 'none'];
                }"""
            )
            if what in name:
                assert ring, f"the focus is not seen on {name!r}"
                return
        raise AssertionError(f"{what!r} is not reached with the keyboard")

    tab_to("Trade")
    press("Enter")
    expect(page.get_by_role("region", name="I have a key")).to_be_visible()
    tab_to("API key")
    page.keyboard.type(agent.key)
    press("Enter")
    expect(ticket(page)).to_be_visible()
    tab_to("Price of YES")
    page.keyboard.type("33")
    tab_to("Quantity")
    press("Control+A")
    page.keyboard.type("4")
    press("Enter")  # what would it do?
    expect(ticket(page).get_by_text("it would rest")).to_be_visible()
    press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Send", exact=True)).to_be_focused()
    press("Enter")
    expect(said(page)).to_contain_text("Resting")
    (order,) = agent.all("/orders", status="OPEN")
    assert (order["price"], order["qty"]) == (33, 4)

    page.evaluate("document.activeElement.blur()")
    press("Shift+X")
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel all")).to_be_focused()
    press("Enter")
    until("the cancel", lambda: not agent.all("/orders", status="OPEN"))
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("placed", [True, False])
def test_an_answer_that_is_lost_is_found_and_nothing_is_sent_twice(
    venue: VenueProcess, visit: Visits, placed: bool
) -> None:
    agent = venue.signup(f"lost-{placed}")
    tab = visit(venue.url, "trade", expected=["ERR_FAILED", "status of 404"])
    page = tab.page
    bring_key(tab, agent.key)
    sent = []

    def lose(route: Route) -> None:
        sent.append(route.request.post_data_json)
        if placed:
            route.fetch()
        route.abort()

    page.route(
        re.compile(r"/api/v1/orders$"),
        lambda route: lose(route) if route.request.method == "POST" else route.continue_(),
    )
    fill_ticket(page, 22, 2)
    send_ticket(page)
    words = "it was placed" if placed else "It was never placed"
    expect(said(page)).to_contain_text(words)
    assert [order["client_order_id"] for order in agent.all("/orders")] == [
        order["client_order_id"] for order in sent if placed
    ]
    assert len(sent) == 1 and len(sent[0]["client_order_id"]) >= 16


def test_a_frozen_venue_declines_in_words(venue: VenueProcess, visit: Visits) -> None:
    agent = venue.signup("cold")
    tab = visit(venue.url, "trade", expected=["status of 503"])
    bring_key(tab, agent.key)
    fill_ticket(tab.page, 20, 1)
    venue.admin("POST", "/freeze", ADMIN, json={"reason": "test"})
    try:
        expect(tab.banner("frozen")).to_be_visible()
        expect(ticket(tab.page).get_by_role("button", name="Venue frozen")).to_be_disabled()
    finally:
        venue.admin("POST", "/unfreeze", ADMIN, json={})
    expect(ticket(tab.page).get_by_role("button", name="Venue frozen")).to_have_count(0)


def test_the_key_is_in_this_tab_alone(venue: VenueProcess, visit: Visits) -> None:
    agent = venue.signup("secret")
    tab = visit(venue.url, "trade")
    bring_key(tab, agent.key)
    kept = kept_by_the_browser(tab)
    in_tab = tab.page.evaluate("JSON.stringify({...sessionStorage})")
    assert agent.key in in_tab, "a reload does not lose it"
    assert agent.key not in kept.replace(in_tab, "")
    assert agent.key not in tab.page.evaluate("JSON.stringify({...localStorage})")
    for ask in ("document.cookie", "location.href"):
        assert agent.key not in tab.page.evaluate(ask)
    other = tab.page.context.new_page()
    other.goto(f"{venue.url}/#/trade")
    expect(other.get_by_role("region", name="I have a key")).to_be_visible()
