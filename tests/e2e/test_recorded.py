"""Ten recorded minutes of real trades at thirty times their speed: windows, prints, outcomes and money.

What must come out is computed here from the recording and from the agents' own fills, by the words of the contract. The
last thing checked is what a venue without a reference does: the recording ends half a minute into a window.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.venue import PAUSE_S, Agent, Host, VenueProcess, last_price, ms, outcome, until

FILE = "binance-spot-btcusdt-2024-08-08.trades.csv.gz"
SPEED = 30
MINUTE_MS = 60_000
RECENT_MS = 30_000
"""`reference_max_age_ms` here: a busy machine's second is half a minute at this speed."""
DOWN_AFTER_MS = 10_000
TOKEN = "rk_admin_" + "r" * 43

FEE_UNIT = 10_000 * 100
"""Taker rate in basis points × p × (100 − p) × qty, to cents: basis points times the payout (contract, section 8)."""
TAKER_BPS, REBATE_BPS = 700, 2_500


@dataclass
class Seen:
    """What the polls showed while the recording ran."""

    polls: int = 0
    open_counts: set[int] = field(default_factory=set)
    windows: list[dict[str, Any]] = field(default_factory=list)
    placed: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Every answered order by agent name."""


class Desk:
    """Three agents of three accounts, and what they do in each window."""

    def __init__(self, venue: VenueProcess) -> None:
        self.venue = venue
        self.maker, self.taker, self.third = (venue.signup(name) for name in ("maker", "taker", "third"))
        self.seen = Seen()

    @property
    def agents(self) -> dict[str, Agent]:
        return {"maker": self.maker, "taker": self.taker, "third": self.third}

    def place(self, name: str, market: str, side: str, price: int | None, qty: int, **fields: Any) -> dict[str, Any]:
        order = self.agents[name].place(market, side, price, qty, **fields)
        self.seen.placed[name].append(order)
        return order

    def trade(self, market: str, turn: int) -> None:
        """Prices and sizes change from window to window, and fees of odd sizes have something to round."""
        bid, ask = 38 + 2 * turn, 45 + 2 * turn
        for step in range(3):
            assert self.place("maker", market, "BUY", bid - step, 7 + turn)["status"] == "OPEN"
            assert self.place("maker", market, "SELL", ask + step, 5 + turn)["status"] == "OPEN"
        swept = self.place("taker", market, "BUY", ask + 2, 2 * (5 + turn) + 1, tif="IOC")
        assert swept["status"] == "FILLED"
        assert len(swept["fills"]) == 3
        hit = self.place("third", market, "SELL", None, 3 + turn % 4)
        assert hit["status"] == "FILLED", hit
        half = self.place("third", market, "SELL", bid, 20 + turn)
        assert half["status"] == "PARTIALLY_FILLED"
        self.place("taker", market, "BUY", bid, 4)
        declined = self.place("taker", market, "BUY", 99, 5, tif="POST_ONLY", confirm_fat_finger=True)
        assert (declined["status"], declined["reject_reason"]) == ("REJECTED", "POST_ONLY_WOULD_CROSS")
        withdrawn = self.place("taker", market, "BUY", 10 + turn, 2)
        ended = self.taker.ask("DELETE", f"/orders/{withdrawn['order_id']}")
        assert (ended["status"], ended["cancel_reason"]) == ("CANCELLED", "USER")
        # These rest to the end of the window.
        for name, price in (("maker", 5), ("taker", 3), ("third", 2)):
            assert self.place(name, market, "BUY", price, 1 + turn)["status"] == "OPEN"


def ticks_of(file: Path) -> list[tuple[int, int]]:
    with gzip.open(file, "rt") as lines:
        assert next(lines).startswith("ts_ms,price_cents")
        return [(int(ts), int(price)) for ts, price, *_ in (line.split(",") for line in lines)]


def run_through(desk: Desk, last_ts: int) -> None:
    """Poll until the recording has ended and one window without it has begun, trading once in every window."""
    venue, seen = desk.venue, desk.seen
    last_close = -(-last_ts // MINUTE_MS) * MINUTE_MS
    while True:
        now = ms(venue.get("/health")["now"])
        if now >= last_close + MINUTE_MS // 2:
            return
        markets = venue.get("/api/v1/markets", status="OPEN")["items"]
        seen.polls += 1
        if seen.windows and now <= last_ts:
            seen.open_counts.add(len(markets))
        for market in markets:
            if not seen.windows or market["id"] != seen.windows[-1]["id"]:
                seen.windows.append(market)
                if ms(market["open_at"]) <= last_ts:
                    desk.trade(market["id"], len(seen.windows) - 1)
                else:
                    without_reference(desk, market)
        time.sleep(PAUSE_S)  # a poll costs the venue time that others on this machine need


def without_reference(desk: Desk, market: dict[str, Any]) -> None:
    """A window that opened after the recording's end: the feed is DOWN, and the venue says so wherever it matters."""
    venue = desk.venue
    reference = venue.get("/api/v1/reference/btc")
    assert (reference["status"], reference["price_cents"]) == ("DOWN", None)
    assert reference["age_ms"] > DOWN_AFTER_MS
    assert venue.get("/api/v1/series/BTC-1M/context", 502)["code"] == "REFERENCE_UNAVAILABLE"
    assert desk.maker.place(market["id"], "SELL", 60, 1)["status"] == "OPEN", "a LIMIT order needs no reference"

    def declined() -> dict[str, Any] | None:
        order = desk.taker.place(market["id"], "BUY", None, 1)
        return order if order["reject_reason"] == "NO_REFERENCE_PRICE" else None

    assert until("a MARKET order without a reference price", declined)["status"] == "REJECTED"
    context = venue.get(f"/api/v1/markets/{market['id']}/agent-context")
    assert context["fair_value_cents"] is None
    assert venue.get("/health")["reference"]["status"] == "DOWN"


@pytest.fixture(scope="module")
def desk(shared_host: Host, recorded_data: Path) -> Desk:
    """The whole recording has been lived through; everything after is reading."""
    file = recorded_data / FILE
    if not file.is_file():
        pytest.skip(f"{FILE} is not there")
    venue = shared_host.serve(
        "--reference",
        f"replay:{file}",
        "--speed",
        str(SPEED),
        RAETH_ADMIN_TOKEN=TOKEN,
        RAETH_RISK__REFERENCE_MAX_AGE_MS=str(RECENT_MS),
    )
    desk = Desk(venue)
    run_through(desk, ticks_of(file)[-1][0])
    return desk


@pytest.fixture(scope="module")
def ticks(recorded_data: Path) -> list[tuple[int, int]]:
    return ticks_of(recorded_data / FILE)


@pytest.fixture(scope="module")
def settlements(desk: Desk) -> list[dict[str, Any]]:
    """One a window seen, in order of time, once the recording's last one has its end."""

    def all_ended() -> list[dict[str, Any]] | None:
        found = [desk.venue.get(f"/api/v1/markets/{window['id']}/settlement") for window in desk.seen.windows]
        return found if all(each["status"] in ("RESOLVED", "VOID") for each in found) else None

    # The print of a boundary without ticks is given up after its grace, 5 s times the speed.
    return until("the end of every window", all_ended, 30)


def test_exactly_one_open_market_at_every_poll(desk: Desk) -> None:
    assert desk.seen.open_counts == {1}
    assert desk.seen.polls > 300
    for before, after in pairwise(desk.seen.windows):
        assert after["open_at"] == before["close_at"], "half-open windows without a hole"


def test_windows_sit_on_the_minute(desk: Desk, ticks: list[tuple[int, int]]) -> None:
    first = ticks[0][0] // MINUTE_MS * MINUTE_MS + MINUTE_MS
    for index, window in enumerate(desk.seen.windows):
        assert ms(window["open_at"]) == first + index * MINUTE_MS
        assert ms(window["close_at"]) == ms(window["open_at"]) + MINUTE_MS
        assert window["symbol"] == "BTC-1M-" + window["close_at"][:16].replace("-", "").replace(":", "") + "Z"
    whole = [window for window in desk.seen.windows if ms(window["close_at"]) <= ticks[-1][0]]
    assert len(whole) == 10


def test_prints_and_outcomes(desk: Desk, settlements: list[dict[str, Any]], ticks: list[tuple[int, int]]) -> None:
    outcomes = []
    for window, settlement in zip(desk.seen.windows, settlements, strict=True):
        opening, closing = (last_price(ticks, ms(window[name])) for name in ("open_at", "close_at"))
        market = desk.venue.get(f"/api/v1/markets/{window['id']}")
        assert market["resolution"] == settlement["resolution"] == outcome(opening, closing), window["symbol"]
        outcomes.append(settlement["resolution"])
        if opening is None or closing is None:
            continue
        assert settlement["status"] == "RESOLVED"
        assert settlement["open_print"]["price_cents"] == market["reference"]["open_price_cents"] == opening
        assert settlement["close_print"]["price_cents"] == market["reference"]["close_price_cents"] == closing
        for name, boundary in (("open_print", window["open_at"]), ("close_print", window["close_at"])):
            evidence = settlement[name]
            assert evidence["boundary"] == boundary
            assert evidence["age_ms"] == ms(boundary) - ms(evidence["source_ts"])
            assert 0 <= evidence["age_ms"] <= 5_000
    assert {"YES", "NO"} <= set(outcomes), "a recording in which both happen"
    for before, after in pairwise(settlements):
        assert before["close_print"] == after["open_print"], "one print closes one window and opens the next"


def test_window_beyond_the_recording_is_void_in_time(
    desk: Desk, settlements: list[dict[str, Any]], ticks: list[tuple[int, int]]
) -> None:
    late = [s for w, s in zip(desk.seen.windows, settlements, strict=True) if ms(w["close_at"]) > ticks[-1][0]]
    assert len(late) == 2
    for settlement in late:
        assert (settlement["status"], settlement["resolution"]) == ("VOID", "VOID")
    window = desk.venue.get(f"/api/v1/markets/{late[0]['market_id']}")
    grace_ms = window["rules"]["print_grace_ms"]
    assert grace_ms == 5_000 * SPEED
    assert ms(late[0]["resolved_at"]) <= ms(window["close_at"]) + grace_ms
    assert late[0]["open_print"]["price_cents"] is not None
    assert late[0]["fees_cents"] == 0
    # The close print is known to be missing, with the reason, and it is the next window's open print.
    assert late[0]["close_print"]["price_cents"] is None
    assert late[0]["close_print"]["reason"]
    assert late[1]["reason"] == "OPEN_PRINT_UNUSABLE"


def test_resting_orders_end_at_the_boundary(desk: Desk) -> None:
    closes = {window["id"]: window["close_at"] for window in desk.seen.windows}
    for name, agent in desk.agents.items():
        now = {order["order_id"]: order for order in agent.all("/orders")}
        rested = 0
        for placed in desk.seen.placed[name]:
            order = now[placed["order_id"]]
            assert order["status"] in ("FILLED", "CANCELLED", "REJECTED")
            if order["cancel_reason"] == "MARKET_CLOSED":
                rested += 1
                assert order["updated_at"] == closes[order["market_id"]], "to the millisecond"
                assert order["remaining_qty"] == 0
            assert order["created_at"] < closes[order["market_id"]]
        assert rested >= len({order["market_id"] for order in desk.seen.placed[name]}) >= 11
    # Nothing is left in a book, and nobody's money is locked, but for windows that still run.
    for window in desk.seen.windows:
        book = desk.venue.get(f"/api/v1/markets/{window['id']}/book")
        assert (book["bids"], book["asks"]) == ([], [])


def expected_fees(orders: list[dict[str, Any]], liquidity: str) -> dict[str, int]:
    """By trade: exact numerators accumulate per order; a taker's total rounds up, a maker's rebate down."""
    fees = {}
    for order in orders:
        total = 0
        rounded = 0
        for fill in order["fills"]:
            number = TAKER_BPS * fill["price"] * (100 - fill["price"]) * fill["qty"]
            if fill["liquidity"] != liquidity:
                continue
            total += number if liquidity == "TAKER" else number * REBATE_BPS
            now = -(-total // FEE_UNIT) if liquidity == "TAKER" else -(total // (FEE_UNIT * 10_000))
            fees[fill["trade_id"]] = now - rounded
            rounded = now
    return fees


def test_settlements_to_the_cent(desk: Desk, settlements: list[dict[str, Any]]) -> None:
    """Each agent's ledger is what its fills and the outcomes make it, the fees are what the formula makes them."""
    resolution = {each["market_id"]: each["resolution"] for each in settlements}
    venue_took: dict[str, int] = defaultdict(int)
    paid: dict[str, int] = defaultdict(int)
    positions: dict[str, int] = defaultdict(int)
    for agent in desk.agents.values():
        orders, fills = agent.all("/orders"), agent.all("/fills")
        fees = {liquidity: expected_fees(orders, liquidity) for liquidity in ("TAKER", "MAKER")}
        assert sum(len(order["fills"]) for order in orders) == len(fills)
        worth: dict[str, int] = defaultdict(int)
        for fill in fills:
            assert fill["fee_cents"] == fees[fill["liquidity"]][fill["trade_id"]]
            market, sign = fill["market_id"], 1 if fill["side"] == "BUY" else -1
            worth[market] -= sign * fill["price"] * fill["qty"] + fill["fee_cents"]
            worth[market] += sign * fill["qty"] * (100 if resolution[market] == "YES" else 0)
            positions[market] += sign * fill["qty"]
            if resolution[market] != "VOID":
                venue_took[market] += fill["fee_cents"]
        worth = {market: cents for market, cents in worth.items() if cents and resolution[market] != "VOID"}
        ledger = agent.all("/ledger")
        settled = {entry["market_id"]: entry["amount_cents"] for entry in ledger if entry["kind"] == "SETTLEMENT"}
        assert settled == worth
        assert len(settled) == sum(entry["kind"] == "SETTLEMENT" for entry in ledger), "one a market"
        for market, cents in settled.items():
            paid[market] += cents
        balance = 0
        for entry in reversed(ledger):
            balance += entry["amount_cents"]
            assert entry["balance_after_cents"] == balance
        account = agent.get("/account")
        assert account["cash_cents"] == account["free_cash_cents"] == account["equity_cents"] == balance
    assert len(paid) == 10
    assert set(positions.values()) == {0}
    for each in settlements:
        market = each["market_id"]
        assert paid[market] + venue_took[market] == 0
        assert each["fees_cents"] == venue_took[market]
    money = desk.venue.admin("GET", "/state", TOKEN)["money"]
    assert money["fees_cents"] == sum(venue_took.values())
    assert money["conserved"] is True


def test_audit_after_all(shared_host: Host, desk: Desk, settlements: list[dict[str, Any]]) -> None:
    desk.venue.stop()
    done = shared_host.run("audit", "--data-dir", str(shared_host.data_dir), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["windows_resolved"] == 10
    assert report["windows_void"] >= sum(each["resolution"] == "VOID" for each in settlements)
    assert report["trades"] > 0
    made = report["agents_cents"] + report["masters_cents"] + report["fees_cents"]
    assert made == report["granted_cents"] == 300_000
