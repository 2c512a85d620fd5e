"""The leaderboard's tables against a naive fold of the same journal, and against what they promise."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from random import Random
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import apply, new_state
from raeth.engine.types import PrintFact, Settings
from raeth.store.projector import Projector
from raeth.store.rebuild import Journaled, rebuild
from raeth.store.standings import ALLOWANCE_CENTS, PPB, THRESHOLDS, TOLERANCE_CENTS
from raeth.store.tables import DERIVED
from tests.engine.venue import BTC, OPEN_AT, Venue
from tests.standings.bazaar import bazaar
from tests.standings.naive import ALLOWANCE, LADDER, TOLERANCE, Board
from tests.store.venue import history

MINUTE = 60_000
OWN_TABLES = ("standings", "window_results", "account_pairs", "window_pairs", "fair_values")


@contextmanager
def tables_of(journal: Sequence[Journaled]) -> Iterator[sqlite3.Connection]:
    with closing(rebuild(iter(journal))) as scratch:
        scratch.row_factory = sqlite3.Row
        yield scratch


def folded(journal: Sequence[Journaled]) -> Board:
    board = Board()
    for *_, events in journal:
        board.feed(events)
    return board


def standings(db: sqlite3.Connection) -> dict[int, dict[str, Any]]:
    rows = [dict(row) for row in db.execute("SELECT * FROM standings")]
    return {row["account"]: row for row in rows}


# ---- the same as the naive fold ----


@pytest.mark.parametrize("seed", range(4))
def test_tables_equal_the_naive_fold(seed: int) -> None:
    journal = bazaar(seed)
    board = folded(journal)
    with tables_of(journal) as db:
        found = standings(db)
        assert set(found) == set(board.rows)
        for account, expected in board.table().items():
            assert {name: found[account][name] for name in expected} == expected
        pairs = {(r["account"], r["other"]): r["off_fair_cents"] for r in db.execute("SELECT * FROM account_pairs")}
    # A pair whose wins came to nothing may have a row or not.
    assert {k: v for k, v in pairs.items() if v} == {k: v for k, v in board.off_fair.items() if v}
    assert sum(row.windows for row in board.rows.values()) > 10, "too little happened"
    assert any(row.uncounted for row in board.rows.values())


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_also_where_everything_happens(seed: int) -> None:
    """The engine's own workload: gaps, voids, halts, amends, batches, quotes."""
    journal, _ = history(seed)
    board = folded(journal)
    with tables_of(journal) as db:
        found = standings(db)
        for account, expected in board.table().items():
            assert {name: found[account][name] for name in expected} == expected


def in_batches(journal: Sequence[Journaled], cuts: set[int]) -> dict[str, list[tuple[Any, ...]]]:
    """The tables, written in batches that end at each of `cuts`."""
    with closing(rebuild(iter(()))) as db:
        projector, start = Projector(), 0
        for end in [*sorted(cuts), len(journal)]:
            for row in journal[start:end]:
                projector.add(*row)
            start = end
            for sql, rows in projector.take():
                db.executemany(sql, rows)
        keys = {t.name: ", ".join(c.name for c in t.primary_key) for t in DERIVED if t.name in OWN_TABLES}
        return {name: db.execute(f"SELECT * FROM {name} ORDER BY {key}").fetchall() for name, key in keys.items()}


@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(1, len(bazaar(1)) - 1), max_size=40))
def test_any_batching_leaves_the_same_tables(cuts: set[int]) -> None:
    assert in_batches(bazaar(1), cuts) == in_batches(bazaar(1), set(range(1, len(bazaar(1)))))


def test_what_is_open_is_all_that_is_kept() -> None:
    """Pairs of windows that ended are gone, and fair values from before the last settlement but for one."""
    journal = bazaar(2)
    live = {e.market for *_, events in journal for e in events if isinstance(e, ev.MarketListed)}
    ended = [(seq, e.market) for seq, *_, events in journal for e in events if isinstance(e, ev.MarketResolved)]
    live -= {market for _, market in ended}
    with tables_of(journal) as db:
        assert {row["market"] for row in db.execute("SELECT market FROM window_pairs")} <= live
        old = db.execute("SELECT COUNT(*) FROM fair_values WHERE seq < ?", (ended[-1][0],)).fetchone()[0]
        assert old <= 1


# ---- what they promise ----


@pytest.mark.parametrize("seed", range(6))
def test_no_cent_is_won_that_nobody_lost(seed: int) -> None:
    journal = bazaar(seed)
    kept = sum(e.fees_cents for *_, events in journal for e in events if isinstance(e, ev.MarketResolved))
    with tables_of(journal) as db:
        rows = standings(db).values()
        assert sum(row["pnl_cents"] for row in rows) == -kept
        assert sum(row["ranked_cents"] for row in rows) <= -kept
        for row in rows:
            assert row["uncounted_cents"] >= 0
            assert row["ranked_cents"] == row["pnl_cents"] - row["uncounted_cents"] <= row["peak_cents"]
            assert row["drawdown_cents"] >= row["peak_cents"] - row["ranked_cents"] >= 0
            assert 0 <= row["hits"] <= row["decided"] <= row["windows"]
        cash = dict(db.execute("SELECT account, SUM(amount_cents) FROM ledger WHERE wallet <> 0 GROUP BY account"))
        for row in rows:
            assert row["granted_cents"] + row["pnl_cents"] == cash[row["account"]]
        for row in db.execute("SELECT * FROM account_pairs"):
            assert row["off_fair_cents"] - row["uncounted_cents"] <= ALLOWANCE_CENTS
            (mirrored,) = db.execute(
                "SELECT off_fair_cents FROM account_pairs WHERE account = ? AND other = ?",
                (row["other"], row["account"]),
            ).fetchone()
            assert mirrored == -row["off_fair_cents"]


@pytest.mark.parametrize("seed", range(6))
def test_results_add_up_to_standings(seed: int) -> None:
    with tables_of(bazaar(seed)) as db:
        sums = {
            row["account"]: tuple(row)[1:]
            for row in db.execute(
                "SELECT account, SUM(pnl_cents), SUM(uncounted_cents), SUM(volume), SUM(notional_cents), COUNT(*) "
                "FROM window_results GROUP BY account"
            )
        }
        for account, row in standings(db).items():
            names = ("pnl_cents", "uncounted_cents", "volume", "notional_cents", "windows")
            assert sums.get(account, (0,) * 5) == tuple(row[name] for name in names)


class Ring:
    """A venue where windows settle as told, at no cost, and everybody's standing can be asked."""

    def __init__(self, agents: int = 4) -> None:
        self.venue = Venue(agents=agents, taker_rate_bps=0, signup_grant_cents=1_000_000, gap_ms=10**9)
        self.agents = self.venue.agents
        self.index(BTC)

    def index(self, price_cents: int) -> None:
        self.venue.index(price_cents)

    def trade(self, buyer: int, seller: int, price: int, qty: int) -> None:
        self.venue.sell(self.agents[seller], price, qty, confirm_fat_finger=True)
        assert self.venue.buy(self.agents[buyer], price, qty, "IOC", confirm_fat_finger=True).filled == qty

    def settle(self, yes: bool) -> None:
        """The window ends; the next one begins at the money."""
        close = self.venue.live.close_at
        strike = self.venue.live.open_print
        assert strike is not None and strike.price_cents is not None
        self.venue.at(close)
        self.venue.print(close, strike.price_cents + (1 if yes else -1))
        self.index(strike.price_cents + (1 if yes else -1))

    def column(self, name: str) -> list[int]:
        """A column of everybody's standing, by number."""
        state = new_state()
        commands = enumerate(self.venue.journal, 1)
        with tables_of([(seq, ts, command, apply(state, command, seq, ts)) for seq, (ts, command) in commands]) as db:
            rows = standings(db)
            return [rows[self.venue.agent(agent).account.id][name] for agent in self.agents]

    def ranked(self) -> list[int]:
        """What counts of everybody's result."""
        return self.column("ranked_cents")


@settings(max_examples=30, deadline=None)
@given(
    rounds=st.lists(
        st.tuples(st.integers(1, 99), st.integers(1, 99), st.integers(1, 300), st.booleans()), min_size=1, max_size=6
    )
)
def test_round_trips_between_two_accounts_pay_no_more_than_the_allowance(
    rounds: list[tuple[int, int, int, bool]],
) -> None:
    """At whatever prices: who buys from and sells to the same account takes no risk, and all of it is off fair."""
    ring = Ring()
    for first, second, qty, yes in rounds:
        ring.trade(0, 1, first, qty)
        ring.trade(1, 0, second, qty)
        ring.settle(yes)
    a, b, *_ = ring.ranked()
    assert max(a, b) <= ALLOWANCE_CENTS
    assert a + b <= 0


@settings(max_examples=30, deadline=None)
@given(price=st.integers(1, 99), qty=st.integers(1, 500), yes=st.booleans(), swapped=st.booleans())
def test_a_far_fill_counts_as_one_at_the_edge_of_near(price: int, qty: int, yes: bool, swapped: bool) -> None:
    """The winner of a fill off fair is ranked as if the price had been fair less tolerance and allowance; the loser
    as it was."""
    ring = Ring()
    buyer, seller = (1, 0) if swapped else (0, 1)
    ring.trade(buyer, seller, price, qty)
    ring.settle(yes)
    ranked = ring.ranked()
    worth = 100 if yes else 0
    bonus = max(0, abs(50 - price) * qty - TOLERANCE_CENTS * qty - ALLOWANCE_CENTS)
    assert ranked[buyer] == (worth - price) * qty - (bonus if price < 50 else 0)
    assert ranked[seller] == (price - worth) * qty - (bonus if price > 50 else 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_near_fair_everything_counts(seed: int) -> None:
    """Whoever takes over contracts within the tolerance keeps all of it, from whomever and however often."""
    rng, ring = Random(seed), Ring()
    for _ in range(4):
        for _ in range(3):
            ring.trade(0, 1, rng.randint(50 - TOLERANCE_CENTS, 50 + TOLERANCE_CENTS), rng.randint(1, 500))
        ring.settle(rng.random() < 0.5)
    venue = ring.venue
    grants = 1_000_000
    assert ring.ranked() == [venue.agent(agent).cash - grants for agent in ring.agents]


def test_what_was_given_back_was_not_won() -> None:
    """Far from fair one way, then the other: in the end nobody won anything, and nothing is left out."""
    ring = Ring()
    ring.trade(0, 1, 90, 100)
    ring.trade(1, 0, 50, 100)  # 4000 from the first to the second
    ring.settle(True)
    assert ring.ranked()[:2] == [-4_000, ALLOWANCE_CENTS]
    ring.trade(1, 0, 90, 100)
    ring.trade(0, 1, 50, 100)
    ring.settle(True)
    assert ring.ranked()[:2] == [0, 0]


def test_agents_of_one_account_are_one_counterparty() -> None:
    ring = Ring(agents=2)
    venue = ring.venue
    ring.agents.append(venue.sibling(ring.agents[1], cash=500_000))
    for _ in range(2):
        ring.trade(0, 1, 90, 100)
        ring.trade(2, 0, 50, 100)
        ring.settle(False)
    assert ring.ranked()[1] == ALLOWANCE_CENTS == ring.ranked()[2]


def test_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    ring = Ring()
    for price, yes in ((50, True), (50, False), (50, False), (50, True)):
        ring.trade(0, 1, price, 10)
        ring.settle(yes)
    names = ("pnl_cents", "peak_cents", "drawdown_cents", "hits", "windows")
    assert [ring.column(name)[0] for name in names] == [0, 500, 1_000, 2, 4]


# ---- fair ----


def test_constants_are_those_of_the_document() -> None:
    assert (TOLERANCE_CENTS, ALLOWANCE_CENTS) == (TOLERANCE, ALLOWANCE)
    assert list(THRESHOLDS) == LADDER and len(LADDER) == 49


class Pricer:
    """The statement alone: prints and ticks in, fair values out."""

    def __init__(self, strike_cents: int, close_at: int = OPEN_AT + MINUTE) -> None:
        self.db = rebuild(iter(()))
        self.projector = Projector()
        self.seq = 1
        self.feed(1_000, ev.Configured(Settings(reference_kind="test"), 1, 1_000))
        self.feed(1_000, ev.MarketListed(1, "BTC-1M-X", OPEN_AT, close_at, 1_000))
        self.strike_cents = strike_cents

    def feed(self, ts: int, *events: ev.Event) -> None:
        self.seq += 1
        self.projector.add(self.seq, ts, cmd.Tick(), events)

    def write(self) -> None:
        for sql, rows in self.projector.take():
            self.db.executemany(sql, rows)

    def open(self) -> None:
        fact = PrintFact(OPEN_AT, self.strike_cents, OPEN_AT, "test", "LAST", None, (), self.seq + 1, OPEN_AT)
        self.feed(OPEN_AT, ev.Printed(fact, 1, None))

    def tick(self, ts: int, price_cents: int) -> None:
        self.feed(ts, ev.IndexMoved(price_cents, ts, "test", ts))

    def newest(self) -> tuple[int | None, int]:
        """Fair, and the variance behind it, after everything that was fed."""
        self.write()
        fair, variance = self.db.execute("SELECT fair, variance FROM fair_values ORDER BY seq DESC LIMIT 1").fetchone()
        assert (fair is None or isinstance(fair, int)) and isinstance(variance, int), "no number may leave 63 bits"
        return fair, variance


@settings(max_examples=60, deadline=None)
@given(
    strike=st.integers(100_000, 10**9),
    moves=st.lists(st.floats(-0.0005, 0.0005), min_size=2, max_size=30),
    step_ms=st.integers(100, 3_000),
)
def test_fair_is_the_normal_distribution_to_a_cent(strike: int, moves: list[float], step_ms: int) -> None:
    pricer = Pricer(strike)
    pricer.tick(OPEN_AT - 1_000, strike)
    pricer.open()
    ts, price = OPEN_AT, float(strike)
    for move in moves:
        ts, price = min(ts + step_ms, OPEN_AT + MINUTE - 1), price * (1 + move)
        pricer.tick(ts, round(price))
    fair, variance = pricer.newest()
    sigma = variance**0.5 / PPB
    d = (round(price) / strike - 1) / (sigma * ((OPEN_AT + MINUTE - ts) / 1_000) ** 0.5)
    assert fair is not None and abs(fair - 100 * NormalDist().cdf(d)) <= 1.01
    pricer.db.close()


@settings(max_examples=40, deadline=None)
@given(prices=st.lists(st.integers(1, 2**53 - 1), min_size=1, max_size=8), gap=st.integers(1, 10**7))
def test_no_price_however_mad_leaves_the_integers(prices: list[int], gap: int) -> None:
    pricer = Pricer(prices[0])
    pricer.open()
    ts = OPEN_AT
    for price in prices:
        ts += gap
        pricer.tick(ts, price)
        pricer.write()
        if pricer.db.execute("SELECT COUNT(*) FROM fair_values").fetchone()[0]:
            fair, variance = pricer.newest()
            assert (fair is None or 1 <= fair <= 99) and 10**8 <= variance <= 10**12
    pricer.db.close()


def test_fair_learns_how_much_the_price_moves() -> None:
    """A quiet price and a wild one are told apart within two minutes, to a third of what they are."""
    for sigma in (0.3e-4, 1e-4, 3e-4):
        rng, pricer, price, found = Random(5), Pricer(BTC), float(BTC), []
        for n in range(1, 1_600):
            price *= 1 + rng.gauss(0, sigma / 2)
            pricer.tick(OPEN_AT - MINUTE * 10 + n * 250, round(price))
            if n > 480:
                found.append(pricer.newest()[1])
        assert 0.66 < (sum(found) / len(found)) ** 0.5 / PPB / sigma < 1.5
        pricer.db.close()


def test_fair_is_calibrated() -> None:
    """Over many windows of a random walk, what is said to be worth 70 pays about 70."""
    paid: dict[int, list[int]] = {}
    for seed in range(120):
        rng, price, per_tick = Random(seed), float(BTC), 1.2e-4 / 2
        pricer = Pricer(BTC)
        for n in range(-480, 0):
            pricer.tick(OPEN_AT + n * 250, round(price := price * (1 + rng.gauss(0, per_tick))))
        pricer.strike_cents = strike = round(price)
        pricer.open()
        said = []
        for n in range(1, 240):
            pricer.tick(OPEN_AT + n * 250, round(price := price * (1 + rng.gauss(0, per_tick))))
            if n % 24 == 0:
                said.append(pricer.newest()[0])
        for fair in said:
            assert fair is not None
            paid.setdefault(fair // 20, []).append(100 if price > strike else 0)
        pricer.db.close()
    for bucket, outcomes in paid.items():
        middle = bucket * 20 + 10
        assert len(outcomes) > 50 and abs(sum(outcomes) / len(outcomes) - middle) < 12, (bucket, len(outcomes))
