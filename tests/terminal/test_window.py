"""A window as somebody sees it who only opened the address: from its opening to its outcome and the proof of it."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.venue import Agent, Host, VenueProcess, until
from tests.terminal.browser import Visits

WINDOW_MS = 12_000


@pytest.fixture(scope="module")
def venue(shared_host: Host) -> VenueProcess:
    return shared_host.serve("--no-house", RAETH_SERIES__WINDOW_MS=str(WINDOW_MS))


def shown(page: Page, name: str) -> Locator:
    return page.locator(f'[data-watch="{name}"]')


def seconds(text: str) -> int:
    found = re.search(r"(\d+):(\d\d)", text)
    assert found, text
    return 60 * int(found[1]) + int(found[2])


def in_cents(text: str) -> int:
    return int(re.sub(r"[^0-9]", "", text))


def drawn(page: Page) -> int:
    """Pixels of the chart's canvas that are not its background."""
    return int(
        page.evaluate(
            """() => {
                const canvas = document.querySelector('main canvas');
                if (!canvas?.width) return 0;
                const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
                let drawn = 0;
                for (let at = 3; at < data.length; at += 4) drawn += data[at] > 0;
                return drawn;
            }"""
        )
    )


def ladder(page: Page) -> dict[str, str]:
    """Size by price."""
    rows = (
        shown(page, "ladder")
        .locator("tr[data-side]")
        .evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.innerText))")
    )
    return {price.removesuffix("¢"): size for price, size, *_ in rows if price}


def test_a_whole_window(venue: VenueProcess, visit: Visits) -> None:
    maker, taker = venue.signup("maker"), venue.signup("taker")
    tab = visit(venue.url)
    page = tab.page
    market = venue.open_market(least_left_s=WINDOW_MS // 1000 - 3)
    expect(page.locator(".watch-symbol")).to_have_text(market["symbol"])
    of_it = f"/api/v1/markets/{market['id']}"
    strike = until("the strike", lambda: venue.get(of_it)["reference"]["open_price_cents"])
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{strike // 100:,}")
    left, at = seconds(shown(page, "countdown").inner_text()), time.monotonic()

    trade(venue, maker, taker, market["id"])
    until("the ladder", lambda: ladder(page) == {"45": "10", "44": "5", "55": "7"})
    tape = tab.tape
    expect(tape).to_have_count(1)
    expect(tape.first).to_contain_text("55")
    maker.place(market["id"], "BUY", 46, 4)
    until("a change", lambda: ladder(page).get("46") == "4")

    price = shown(page, "price").inner_text()
    assert abs(in_cents(price) - venue.get("/api/v1/reference/btc")["price_cents"]) < 100_000
    until("the price moves", lambda: shown(page, "price").inner_text() != price)
    assert drawn(page) > 1_000, "there is a line"
    passed = left - seconds(shown(page, "countdown").inner_text())
    assert abs(passed - (time.monotonic() - at)) < 2.5, "the countdown runs as time does"

    chip = page.locator(f'main a[href="#/proof/{market["symbol"]}"]').first
    expect(chip).to_have_attribute("data-outcome", re.compile("YES|NO|VOID"), timeout=30_000)
    settled = venue.get(of_it)
    expect(chip).to_have_attribute("data-outcome", settled["resolution"])
    expect(shown(page, "ladder")).not_to_contain_text("46¢")  # the next window has a book of its own

    chip.click()
    expect(page.locator("main")).to_contain_text(market["symbol"])
    verdict = page.locator("[data-proof]")
    expect(verdict).to_have_attribute("data-proof", "agrees")
    expect(page.locator("main")).to_contain_text(f"{settled['reference']['close_price_cents'] // 100:,}")


def trade(venue: VenueProcess, maker: Agent, taker: Agent, market: str) -> None:
    for side, price, qty in (("BUY", 45, 10), ("BUY", 44, 5), ("SELL", 55, 10)):
        assert maker.place(market, side, price, qty)["status"] == "OPEN"
    assert taker.place(market, "BUY", 55, 3)["status"] == "FILLED"
