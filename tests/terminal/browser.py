"""A real browser and what it shows: pages opened the way people open them, and what must never happen on one.

Everything goes through the page: found by role, label and text, as a user would. What a page does wrong without a test
asking (a script error, a word in the console, a breach of its policy, a request to another host) is kept and fails the
test. Must not know what a right page is: that is the test's.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from tests.conftest import ROOT

PAGE: Final = ROOT / "raeth" / "terminal"
DIST: Final = PAGE / "dist"
AXE: Final = PAGE / "node_modules" / "axe-core" / "axe.min.js"

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""It talks to the venue alone; containers have neither a sandbox nor a graphics card."""

DESKTOP: Final = (1440, 900)
PHONE: Final = (390, 844)

PATIENCE_MS: Final = 15_000
"""How long to wait for what a person would see at once, on a machine that does other things."""

ASKED = r"status of 401 .*/api/v1/me\)"
"""Whether somebody is signed in, no script can tell from a cookie: the page asks, and a browser notes the answer no."""

expect.set_options(timeout=PATIENCE_MS)

Theme = Literal["dark", "light"]


def find_chromium() -> str | None:
    """The browser to use: `RAETH_CHROMIUM`, else the first that is on the PATH."""
    named = os.environ.get("RAETH_CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)


def why_not() -> str | None:
    """What is missing for tests in a browser, or None."""
    if not (DIST / "index.html").is_file():
        return "the web page is not built (scripts/test builds it where Node.js is)"
    if find_chromium() is None:
        return f"no Chromium: none of {', '.join(NAMES)} is on the PATH; RAETH_CHROMIUM names one"
    return None


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; whatever happens, it is gone afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """One page in a profile of its own, and all that went wrong on it."""

    page: Page
    url: str
    expected: list[re.Pattern[str]]
    wrong: list[str] = field(default_factory=list)

    def expect_words(self, *patterns: str) -> None:
        """What the console may say from now on without failing the test, as a browser does when a server is gone."""
        self.expected += [re.compile(pattern) for pattern in patterns]

    def say(self, what: str) -> None:
        if not any(pattern.search(what) for pattern in self.expected):
            self.wrong.append(what)

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.say(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def asked(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in ("data", "blob"):
            self.at(request.url)

    def at(self, address: str) -> None:
        if urlsplit(address).netloc != urlsplit(self.url).netloc:
            self.say(f"a request to another host: {address}")

    # What people do

    def go(self, name: str) -> None:
        """To another page, by its link."""
        self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()

    def settle(self, path: str) -> None:
        """Until the page at `path` is there and no longer says that it loads."""
        name = path.split("/")[0] or "watch"
        main = self.page.locator(f"main.page-{name}")
        expect(main.locator("h1, h2").first).to_be_visible()
        expect(main.get_by_text(re.compile(r"^(Loading|Reading)\b.*…"))).to_have_count(0)

    def banner(self, name: str) -> Locator:
        return self.page.locator(f'[data-banner="{name}"]')

    @property
    def tape(self) -> Locator:
        """The trades, newest first."""
        return self.page.locator('[data-watch="tape"] tbody tr')

    def until_connection(self, state: str, within_ms: int = PATIENCE_MS) -> None:
        """`live`, `old` or `connecting`, as the frame says it."""
        expect(self.page.locator("[data-connection]")).to_have_attribute("data-connection", state, timeout=within_ms)

    # What can be measured

    def sideways_px(self) -> int:
        """How far the page can be moved sideways; 0 as it should be."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def findings(self) -> list[str]:
        """Serious and critical findings of axe, each with the first places."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['impact']} {one['id']}: {one['help']}; " + " | ".join(_place(node) for node in one["nodes"][:3])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]


def _place(node: dict[str, Any]) -> str:
    why = node["any"][0]["message"] if node["any"] else ""
    return f"{' '.join(map(str, node['target']))} {why}".strip()


class Visits:
    """All tabs of one test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.tabs: list[Tab] = []

    def __call__(
        self,
        url: str,
        path: str = "",
        *,
        theme: Theme = "dark",
        size: tuple[int, int] = DESKTOP,
        calm: bool = False,
        expected: Iterable[str] = (),
    ) -> Tab:
        """A new person's browser at `path`, such as `trade` or `proof/BTC-1M-…`, once the venue is heard there.

        `calm`: their system asks for no animations, so that nothing is looked at while it fades in.
        """
        width, height = size
        context = self._browser.new_context(
            color_scheme=theme,
            viewport={"width": width, "height": height},
            reduced_motion="reduce" if calm else "no-preference",
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        tab = Tab(page, url, [re.compile(pattern) for pattern in (ASKED, *expected)])
        self.tabs.append(tab)
        page.on("console", tab.heard)
        page.on("pageerror", lambda error: tab.say(f"script error: {error}"))
        page.on("request", tab.asked)
        page.on("websocket", lambda socket: tab.at(socket.url))
        page.goto(f"{url}/#/{path}")
        tab.until_connection("live")
        return tab

    def keep(self, folder: Path) -> list[str]:
        """What every tab shows now, as a picture and in words: for whoever looks at a failure."""
        told = []
        for n, tab in enumerate(self.tabs):
            picture = folder / f"tab-{n}.png"
            tab.page.screenshot(path=picture)
            told.append(f"{tab.page.url} {picture}\n{tab.page.locator('body').inner_text()}")
        return told

    def close(self) -> list[str]:
        """What was wrong on any of them."""
        for tab in self.tabs:
            tab.page.context.close()
        return [what for tab in self.tabs for what in tab.wrong]
