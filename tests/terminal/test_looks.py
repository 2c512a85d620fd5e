"""What holds on every page: it comes at once and is small, fits a phone, and is readable by everybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.venue import Host, VenueProcess, until
from tests.terminal.browser import AXE, DESKTOP, DIST, PHONE, Tab, Theme, Visits
from tests.terminal.conftest import ADMIN
from tests.terminal.people import bring_key, make_account, take_token

FIRST_PAINT_S = 2.5
"""It is about 0.2 s on an idle machine; this one may do other things."""
BYTES_MAX = 200_000


@pytest.fixture(scope="module")
def venue(shared_host: Host) -> Iterator[VenueProcess]:
    """Short windows, so that there are some that are over; and a book that two agents traded in."""
    venue = shared_host.serve("--no-house", RAETH_SERIES__WINDOW_MS="4000", RAETH_ADMIN_TOKEN=ADMIN)
    until("an outcome", lambda: venue.markets(status="RESOLVED"))
    yield venue


def fill(venue: VenueProcess, name: str) -> None:
    """A book with both sides and a trade, in the window that is open."""
    maker, taker = venue.signup(f"{name}-maker"), venue.signup(f"{name}-taker")
    market = venue.open_market(least_left_s=2)["id"]
    for side, price in (("BUY", 45), ("BUY", 44), ("SELL", 55), ("SELL", 56)):
        maker.place(market, side, price, 10)
    taker.place(market, "BUY", 55, 3)


def every_page(tab: Tab, venue: VenueProcess, name: str | None = None) -> Iterator[str]:
    """Each page once; for `name` also those behind a key, a password and the token, with something on them."""
    ended = venue.markets(status="RESOLVED")[0]["symbol"]
    for path in ("", "trade", "owner", "operator", f"proof/{ended}"):
        tab.page.evaluate("path => { location.hash = '#/' + path }", path)
        tab.settle(path)
        yield path or "watch"
        if name is None:
            continue
        if path == "trade":
            agent = venue.signup(name)
            bring_key(tab, agent.key)
            agent.place(venue.open_market(least_left_s=2)["id"], "BUY", 20, 2)
            expect(tab.page.get_by_role("button", name="Cancel Buy YES at 20 cents")).to_be_visible()
        elif path == "owner":
            make_account(tab, f"{name}-owns")
        elif path == "operator":
            take_token(tab, ADMIN)
        else:
            continue
        yield f"{path}, signed in"


def test_it_is_there_at_once(venue: VenueProcess, visit: Visits) -> None:
    tab = visit(venue.url)
    painted = tab.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    print(f"first contentful paint after {painted:.3f} s")
    assert painted < FIRST_PAINT_S


def test_all_of_it_together_is_small(venue: VenueProcess, visit: Visits) -> None:
    """What somebody transfers who looks at every page: the body of each answer as it goes over the wire."""
    files = {path.name: path for path in DIST.rglob("*") if path.is_file()}
    whole = [path for name, path in files.items() if not name.endswith((".br", ".gz", ".map")) and name[0] != "."]
    sizes = {path.name: files.get(f"{path.name}.br", path).stat().st_size for path in whole}
    print(f"{sum(sizes.values())} bytes in {len(sizes)} files")
    assert sum(sizes.values()) < BYTES_MAX, sizes

    tab = visit(venue.url)
    list(every_page(tab, venue))
    loaded = tab.page.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.name.includes('/assets/'))"
        ".map(one => [one.name.split('/').pop(), one.encodedBodySize])"
    )
    assert {name: sizes[name] for name, _ in loaded} == dict(loaded), "as small as it was built"


@pytest.mark.parametrize(
    ("theme", "size"),
    [
        ("dark", DESKTOP),
        ("light", PHONE),
        pytest.param("dark", PHONE, marks=pytest.mark.long),
        pytest.param("light", DESKTOP, marks=pytest.mark.long),
    ],
)
def test_everybody_can_read_it(venue: VenueProcess, visit: Visits, theme: Theme, size: tuple[int, int]) -> None:
    tab = visit(venue.url, theme=theme, size=size, calm=True)
    name = f"{theme}-{size[0]}"
    fill(venue, name)
    found = []
    for page in every_page(tab, venue, name):
        if sideways := tab.sideways_px():
            found.append(f"{page} moves sideways by {sideways} px")
        if AXE.is_file():
            found += [f"{page}: {finding}" for finding in tab.findings()]
    assert not found, "\n".join(found)


def test_what_goes_wrong_on_a_page_is_noticed(venue: VenueProcess, visit: Visits) -> None:
    """Else all the other tests would pass whatever a page does."""
    tab = visit(venue.url)
    tab.page.evaluate("setTimeout(() => { throw new Error('a fault') })")
    tab.page.evaluate("fetch('http://127.0.0.2:9/elsewhere').catch(() => {})")
    tab.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p onclick=\"1\" style=\"top: 1px\">')")
    tab.page.evaluate("console.error('a word')")
    tab.page.wait_for_function("document.querySelector('p[onclick]').click() ?? true")
    told = "\n".join(tab.wrong)
    for part in ("script error: a fault", "connect-src", "style", "script-src", "a word"):
        assert part in told, told
    tab.wrong.clear()
