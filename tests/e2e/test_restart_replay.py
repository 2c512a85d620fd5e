"""Stopping and starting again: recorded time goes on where the journal stopped, real time leaves a gap."""

from __future__ import annotations

import itertools
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.venue import (
    PAUSE_S,
    Agent,
    Host,
    VenueProcess,
    last_price,
    ms,
    outcome,
    until,
    write_recording,
)

START_MS = 1_767_268_780_000
"""Twenty seconds before a whole hour."""
MINUTES = 5
MINUTE_MS = 60_000
SPEED = 60

NOT_NOW = {"MARKET_CLOSED", "MARKET_NOT_OPEN", "MARKET_HALTED"}

attempts = itertools.count(1)


@pytest.fixture(scope="module")
def ticks() -> list[tuple[int, int]]:
    """Five minutes and a bit of a price that wanders, at uneven times: every boundary has a print of its own age."""
    rng = random.Random(6)
    now, price, ticks = START_MS, 9_500_000, []
    while now < START_MS + (MINUTES + 1) * MINUTE_MS:
        ticks.append((now, price))
        now += rng.randint(20, 900)
        price += rng.randint(-2_000, 2_000)
    return ticks


@pytest.fixture(scope="module")
def recording(ticks: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    path = tmp_path_factory.mktemp("recording") / "wandering.csv"
    write_recording(path, 0, ticks)
    return ("--reference", f"replay:{path}", "--speed", str(SPEED))


def last_stamp(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT ts FROM journal ORDER BY seq DESC LIMIT 1").fetchone()[0])


def first_stamp(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT ts FROM journal WHERE seq = 1").fetchone()[0])


def venue_now(venue: VenueProcess) -> int:
    return ms(venue.get("/health")["now"])


def test_recorded_time_goes_on(host: Host, recording: tuple[str, ...], ticks: list[tuple[int, int]]) -> None:
    """Stopped and killed in turn, in the middle of windows and near their ends: the windows notice nothing."""
    venue = host.serve(*recording)
    assert first_stamp(host.database) == START_MS, "starting at the first record, however long setting up took"
    agents = [venue.signup("maker"), venue.signup("taker")]
    first_open = -(-START_MS // MINUTE_MS) * MINUTE_MS
    # Offsets from the first boundary: in the middle of a window, just before a boundary, just after one.
    stops = [(40_000, signal.SIGTERM), (118_000, signal.SIGKILL), (181_000, signal.SIGKILL)]
    traded: dict[str, str] = {}
    for offset, number in stops:
        at = first_open + offset
        kept = trade_until(venue, agents, at, traded)
        if number == signal.SIGKILL:
            venue.kill()
        else:
            venue.stop()
        stamp = last_stamp(host.database)
        asked = time.monotonic()
        venue = host.serve(*recording)
        agents = [agent.at(venue) for agent in agents]
        now = venue_now(venue)
        # The time while nothing ran did not pass here: only what passed since the start did.
        assert stamp <= now <= stamp + (time.monotonic() - asked) * 1000 * SPEED
        closes_at = ms(venue.get(f"/api/v1/markets/{kept['market_id']}")["close_at"])

        if now > closes_at:  # the window ends within a moment, but not before the first answer
            until("the end of its window", partial(cancelled, agents[0], kept["client_order_id"]))
        order = agents[0].by_key(kept["client_order_id"])
        assert order["order_id"] == kept["order_id"]
        if order["status"] == "CANCELLED":
            assert (order["cancel_reason"], ms(order["updated_at"])) == ("MARKET_CLOSED", closes_at)
        else:
            assert order["status"] == "OPEN"
    trade_until(venue, agents, first_open + (MINUTES - 1) * MINUTE_MS + 1_000, traded)

    def all_printed() -> list[dict[str, Any]] | None:
        markets = [market for market in venue.markets() if ms(market["close_at"]) <= ticks[-1][0]]
        return markets if all(market["resolution"] for market in markets) else None

    markets = sorted(until("every window's end", all_printed, 20), key=lambda market: market["open_at"])
    check_windows(markets, ticks, first_open)
    check_nothing_twice(host, agents, markets, traded)
    venue.stop()
    assert host.audited()["windows_resolved"] >= sum(market["resolution"] != "VOID" for market in markets)


def cancelled(agent: Agent, key: str) -> bool:
    status: str = agent.by_key(key)["status"]
    return status == "CANCELLED"


def trade_until(venue: VenueProcess, agents: list[Agent], at: int, traded: dict[str, str]) -> dict[str, Any]:
    """One trade a window, and an order left resting in it, until venue time `at`. Gives the last one left resting."""
    resting: dict[str, Any] = {}
    while venue_now(venue) < at or not resting:
        (market,) = venue.markets(status="OPEN") or [None]
        if market is not None and (market["id"] not in traded or not resting):
            key = f"{market['symbol']}-{next(attempts)}-{venue.process.pid}"
            resting = agents[0].place(market["id"], "BUY", 20, 2, client_order_id=key)
            if market["id"] not in traded:
                agents[0].place(market["id"], "SELL", 60, 3)
                taken = agents[1].place(market["id"], "BUY", 60, 3, tif="IOC")
                if taken["status"] == "FILLED":
                    traded[market["id"]] = taken["order_id"]
                else:  # the machine was busy, and the window over before all three were there
                    assert taken["reject_reason"] in NOT_NOW or taken["status"] == "CANCELLED", taken
            if resting["status"] == "REJECTED":
                resting = {}
        time.sleep(PAUSE_S)
    return resting


def check_windows(markets: list[dict[str, Any]], ticks: list[tuple[int, int]], first_open: int) -> None:
    """Every minute has its window, once, with the prints and the outcome of the recording: no gap was seen."""
    assert [ms(market["open_at"]) for market in markets] == [
        first_open + minute * MINUTE_MS for minute in range(len(markets))
    ]
    assert len(markets) >= MINUTES - 1
    for before, after in pairwise(markets):
        assert before["close_at"] == after["open_at"]
        assert before["reference"]["close_price_cents"] == after["reference"]["open_price_cents"]
    for market in markets:
        opening, closing = (last_price(ticks, ms(market[name])) for name in ("open_at", "close_at"))
        assert market["reference"]["open_price_cents"] == opening
        assert market["reference"]["close_price_cents"] == closing
        assert market["resolution"] == outcome(opening, closing)


def check_nothing_twice(host: Host, agents: list[Agent], markets: list[dict[str, Any]], traded: dict[str, str]) -> None:
    with closing(sqlite3.connect(f"file:{host.database}?mode=ro", uri=True)) as connection:
        count, newest = connection.execute("SELECT count(*), max(seq) FROM journal").fetchone()
        prints = Counter(boundary for (boundary,) in connection.execute("SELECT boundary FROM prints"))
        stamps = [ts for (ts,) in connection.execute("SELECT ts FROM journal ORDER BY seq")]
    assert count == newest
    assert set(prints.values()) == {1}
    assert stamps == sorted(stamps), "never backwards, across restarts too"
    resolved = {market["id"] for market in markets if market["resolution"] != "VOID"}
    assert len(traded) >= MINUTES - 2
    for agent in agents:
        settled = Counter(entry["market_id"] for entry in agent.all("/ledger") if entry["kind"] == "SETTLEMENT")
        assert settled == Counter(resolved & traded.keys())


def test_real_time_leaves_a_gap(host: Host) -> None:
    """A venue in real time was down: what nobody watched is VOID, what lay wholly inside never existed."""
    window_ms, gap_ms = 4_000, 1_000
    settings = {"RAETH_SERIES__WINDOW_MS": str(window_ms), "RAETH_SERIES__GAP_MS": str(gap_ms)}
    venue = host.serve(**settings)
    agents = [venue.signup("maker"), venue.signup("taker")]
    market = venue.open_market(3)
    cash = [agent.get("/account")["cash_cents"] for agent in agents]
    agents[0].place(market["id"], "SELL", 60, 3)
    assert agents[1].place(market["id"], "BUY", 60, 3)["status"] == "FILLED"
    resting = agents[0].place(market["id"], "BUY", 20, 2)
    (pending,) = venue.get("/api/v1/markets", status="PENDING")["items"]
    venue.kill()
    stamp = last_stamp(host.database)
    assert stamp < ms(market["close_at"]), "down before the window was over"
    # Down over this window's end, and over the whole life of the pre-listed one.
    until("the gap", lambda: time.time() * 1000 > ms(pending["close_at"]) + 100)
    venue = host.serve(**settings)
    agents = [agent.at(venue) for agent in agents]
    up_at = until("the first command after the gap", lambda: next_stamp(host.database, stamp))
    assert up_at - stamp > gap_ms

    for lost in (market, pending):
        settlement = venue.get(f"/api/v1/markets/{lost['id']}/settlement")
        assert (settlement["status"], settlement["resolution"]) == ("VOID", "VOID")
        assert settlement["reason"] == "VENUE_DOWN"
    order = agents[0].get(f"/orders/{resting['order_id']}")
    assert (order["status"], order["cancel_reason"]) == ("CANCELLED", "MARKET_CLOSED")
    assert order["updated_at"] == market["close_at"]
    # VOID means it never happened: every cent is back, fees and rebates included.
    for agent, before in zip(agents, cash, strict=True):
        account = agent.get("/account")
        assert account["cash_cents"] == account["free_cash_cents"] == before
        assert not [entry for entry in agent.all("/ledger") if entry["kind"] == "SETTLEMENT"]

    after = sorted((m for m in venue.markets() if m["open_at"] > pending["open_at"]), key=lambda m: m["open_at"])
    assert ms(after[0]["open_at"]) == -(-up_at // window_ms) * window_ms, "the first whole window after the gap"
    until("a window that resolves", lambda: any(m["status"] == "RESOLVED" for m in venue.markets()), 20)
    opens = [m["open_at"] for m in venue.markets()]
    assert len(opens) == len(set(opens)), "no window twice"
    venue.stop()
    assert host.audited()["windows_void"] >= 2


def next_stamp(database: Path, after: int) -> int | None:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT ts FROM journal WHERE ts > ? ORDER BY seq LIMIT 1", (after,)).fetchone()
    return None if found is None else int(found[0])
