"""What people do first on a page: an agent brings its key, an owner makes an account, an operator has the token."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.terminal.browser import Tab

PASSWORD = "correct horse battery"


def ticket(page: Page) -> Locator:
    return page.get_by_role("region", name="Order", exact=True)


def bring_key(tab: Tab, key: str) -> None:
    """On the trade page."""
    form = tab.page.get_by_role("region", name="I have a key")
    form.get_by_label("API key").fill(key)
    form.get_by_role("button", name="Trade with this key").click()
    expect(ticket(tab.page)).to_be_visible()


def fill_ticket(page: Page, price: int, qty: int) -> None:
    ticket(page).get_by_label("Price of YES", exact=True).fill(str(price))
    ticket(page).get_by_label("Quantity", exact=True).fill(str(qty))


def send_ticket(page: Page) -> None:
    """And answer the question whether it is meant, if there is one."""
    ticket(page).locator(".trade-send-button").click()
    confirm = page.get_by_role("dialog")
    expect(confirm.or_(page.locator(".trade-said")).first).to_be_visible()
    if confirm.count():
        confirm.get_by_role("button", name="Send", exact=True).click()


def take_token(tab: Tab, token: str) -> None:
    """On the operator's page."""
    tab.page.get_by_label("Admin token").fill(token)
    tab.page.get_by_role("button", name="Sign in").click()
    expect(tab.page.get_by_role("heading", name="Kill switch")).to_be_visible()


def make_account(tab: Tab, name: str) -> str:
    """On the owner's page: an account `<name>@example.com`, signed in. The key of its first agent."""
    page = tab.page
    page.get_by_text("New account", exact=True).click()
    page.get_by_label("Email").fill(f"{name}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Name of your first agent").fill(name)
    page.get_by_role("button", name="Make the account").click()
    key = keep_key(tab)
    expect(page.get_by_role("region", name="Agents")).to_contain_text(name)
    return key


def keep_key(tab: Tab) -> str:
    """The key that a dialog shows now and never again."""
    dialog = tab.page.get_by_role("dialog").filter(has_text="shown this once")
    key = dialog.get_by_label("API key").input_value()
    assert re.match(r"rk_live_\w+", key)
    dialog.get_by_label("I have kept it").check()
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_have_count(0)
    return key
