"""Pictures of the web page for the documentation: `./scripts/screenshots` writes them to docs/screens/.

A venue of its own on the loopback address, in a temporary folder: the house, the sample bots, simulated prices, windows
of a minute. It takes some minutes, for the pictures show windows that were really traded and settled. Nothing on them
is drawn by hand. Must not know what is on a page beyond how people use it.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.venue import RAETH, Host, VenueProcess, environment, until
from tests.terminal.browser import DESKTOP, PHONE, Tab, Theme, Visits, chromium, why_not
from tests.terminal.people import bring_key, fill_ticket, send_ticket, take_token

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "screens"
FILE_BYTES_MAX, ALL_BYTES_MAX = 250_000, 1_000_000
BOTS = (("fair", "ada"), ("maker", "grace"), ("random", "hopper"))
LEFT_S = 25
"""Pictures of a window are taken in its middle, while the house quotes full sizes."""
FAR = (14, 18)
"""Cents below the best bid: what rests there is still there when the picture is taken."""


@contextmanager
def bots(venue: VenueProcess, folder: Path) -> Iterator[None]:
    running = [
        subprocess.Popen(
            [RAETH, "bot", kind, "--name", name, "--url", venue.url],
            cwd=folder,
            env=environment(folder, {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for kind, name in BOTS
    ]
    try:
        yield
    finally:
        for bot in running:
            bot.terminate()
        for bot in running:
            bot.wait(timeout=20)


def shoot(tab: Tab, name: str) -> None:
    path = FOLDER / f"{name}.png"
    tab.page.screenshot(path=path, animations="disabled")
    print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size / 1000:.0f} kB", flush=True)


def middle(venue: VenueProcess) -> str:
    """The window that is open, once it has about half of its time left."""

    def found() -> str | None:
        market = venue.open_market(within_s=90)
        return market["id"] if LEFT_S <= market["seconds_to_close"] <= LEFT_S + 15 else None

    return until("the middle of a window", found, 120)


def watch(venue: VenueProcess, visits: Visits) -> None:
    shots: list[tuple[str, Theme, tuple[int, int]]] = [
        ("watch-dark", "dark", DESKTOP),
        ("watch-light", "light", DESKTOP),
        ("watch-phone", "dark", PHONE),
    ]
    tabs = [visits(venue.url, theme=theme, size=size) for _, theme, size in shots]
    middle(venue)
    for tab, (name, *_) in zip(tabs, shots, strict=True):
        tab.page.bring_to_front()
        tab.page.wait_for_timeout(1_500)
        shoot(tab, name)


def trade(venue: VenueProcess, visits: Visits) -> None:
    agent = venue.signup("lovelace")
    desk = visits(venue.url, "trade", theme="dark")
    phone = visits(venue.url, "trade", theme="light", size=PHONE)
    bring_key(desk, agent.key)
    bring_key(phone, agent.key)
    market = middle(venue)
    until("a fill", lambda: agent.place(market, "BUY", None, 12)["filled_qty"] > 0)
    book = venue.get(f"/api/v1/markets/{market}/book")
    best = book["bids"][0][0] if book["bids"] else 40
    for away in FAR:
        agent.place(market, "BUY", max(1, best - away), 10)
    for tab in (desk, phone):
        tab.page.bring_to_front()
        fill_ticket(tab.page, max(1, best - FAR[0] + 2), 10)
        tab.page.wait_for_timeout(1_500)
        tab.page.evaluate("scrollTo(0, 0)")
    shoot(phone, "trade-phone")
    desk.page.bring_to_front()
    send_ticket(desk.page)
    desk.page.wait_for_timeout(1_500)
    shoot(desk, "trade-dark")


def proof(venue: VenueProcess, visits: Visits) -> None:
    ended = venue.markets(status="RESOLVED")[0]["symbol"]
    tab = visits(venue.url, f"proof/{ended}", theme="light")
    tab.settle("proof")
    tab.page.wait_for_timeout(1_500)
    shoot(tab, "proof-light")


def operator(venue: VenueProcess, visits: Visits, token: str) -> None:
    tab = visits(venue.url, "operator", theme="dark", expected=["status of 503"])
    take_token(tab, token)
    venue.admin("POST", "/freeze", token, json={"reason": "Runaway agent"})
    tab.banner("frozen").wait_for()
    tab.page.wait_for_timeout(4_000)  # until everything that is asked now and then was asked again
    shoot(tab, "operator-frozen")
    venue.admin("POST", "/unfreeze", token, json={})


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=3, help="windows that are over before the first picture")
    windows = parser.parse_args().windows
    if why := why_not():
        print(f"no pictures: {why}", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    token = f"rk_admin_{secrets.token_urlsafe(32)}"
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="raeth-screens-") as name, Host(Path(name)) as host:
        venue = host.serve("--house", RAETH_ADMIN_TOKEN=token, RAETH_NODE="arena-1")
        with bots(venue, host.folder), chromium() as browser:
            visits = Visits(browser)
            until("windows that are over", lambda: len(venue.markets(status="RESOLVED")) >= windows, 90 + 60 * windows)
            watch(venue, visits)
            trade(venue, visits)
            proof(venue, visits)
            operator(venue, visits, token)
            wrong = visits.close()
    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.png")}
    print(f"{len(sizes)} pictures, {sum(sizes.values()) / 1000:.0f} kB, {time.monotonic() - began:.0f} s")
    wrong += [f"{name} is larger than {FILE_BYTES_MAX} bytes" for name, size in sizes.items() if size > FILE_BYTES_MAX]
    if sum(sizes.values()) > ALL_BYTES_MAX:
        wrong.append(f"all together are larger than {ALL_BYTES_MAX} bytes")
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
