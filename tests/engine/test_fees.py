"""Fees in exact integers: splitting an order changes nothing, and the venue never pays out more than it took."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.engine import events as ev
from raeth.engine.fees import taker_fee_cents
from raeth.engine.types import BUY, IOC, SELL
from tests.engine.venue import BTC, MINUTE, OPEN_AT, Venue, of_kind

PRICES = st.integers(1, 99)
RATES = st.sampled_from([0, 1, 333, 700, 1_000, 10_000])
REBATES = st.sampled_from([0, 1, 2_500, 3_333, 10_000])
SPLITS = st.lists(st.integers(1, 9), min_size=1, max_size=8)
SIDES = st.sampled_from([BUY, SELL])


def exact(price: int, qty: int, rate_bps: int) -> Fraction:
    """θ·p·(1−p) a contract in cents, with p in dollars."""
    p = Fraction(price, 100)
    return 100 * Fraction(rate_bps, 10_000) * p * (1 - p) * qty


def venue_with(rate: int, rebate: int) -> Venue:
    return Venue(agents=2, taker_rate_bps=rate, maker_rebate_bps=rebate, cooldown_rejects=1_000)


def test_the_contracts_example() -> None:
    """Section 4: 4 @ 54 against a BUY of 10 @ 55 is a notional of 216 and a fee of 7."""
    venue = Venue(agents=2)
    a, b = venue.agents
    maker = venue.sell(a, 54, 4)
    taker = venue.buy(b, 55, 10)
    assert (taker.filled, taker.remaining, taker.notional, taker.fee_cents) == (4, 6, 216, 7)
    assert [(f.price, f.qty, f.liquidity, f.fee_cents) for f in taker.fills] == [(54, 4, "TAKER", 7)]
    # 25 % of 6.9552 is 1.7388, down to 1.
    assert [(e.maker_order, e.maker_fee_cents) for e in of_kind(venue.events, ev.Traded)] == [(maker.id, -1)]
    assert venue.live.fees_cents == 6


@given(st.integers(0, 10**12))
def test_a_total_rounds_up_and_never_by_a_whole_cent(numerator: int) -> None:
    fee = taker_fee_cents(numerator)
    assert fee - 1 < Fraction(numerator, 1_000_000) <= fee


@settings(max_examples=40, deadline=None)
@given(PRICES, SPLITS, RATES, REBATES, SIDES)
def test_a_taker_pays_the_same_however_its_fills_are_split(
    price: int, split: list[int], rate: int, rebate: int, side: int
) -> None:
    venue = venue_with(rate, rebate)
    a, b = venue.agents
    for qty in split:
        venue.place(a, venue.spec(1 - side, price, qty))
    taker = venue.place(b, venue.spec(side, price, sum(split), IOC))
    assert taker.filled == sum(split) and len(taker.fills) == len(split)
    assert taker.fee_cents == sum(f.fee_cents for f in taker.fills) == ceil(exact(price, sum(split), rate))
    assert all(f.fee_cents >= 0 for f in taker.fills)


@settings(max_examples=40, deadline=None)
@given(PRICES, SPLITS, RATES, REBATES, SIDES)
def test_a_maker_earns_the_same_however_its_fills_are_split(
    price: int, split: list[int], rate: int, rebate: int, side: int
) -> None:
    venue = venue_with(rate, rebate)
    a, b = venue.agents
    venue.place(a, venue.spec(side, price, sum(split)))
    for qty in split:
        venue.place(b, venue.spec(1 - side, price, qty, IOC))
    total = of_kind(venue.events, ev.Traded)[-1].maker_fee_total_cents
    assert -total == floor(exact(price, sum(split), rate) * rebate / 10_000)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(PRICES, st.integers(1, 9)), min_size=1, max_size=8), RATES, REBATES)
def test_rebates_never_exceed_fees(levels: list[tuple[int, int]], rate: int, rebate: int) -> None:
    """Not after any command, whatever the levels; the invariants of `Venue` say the same of every market."""
    venue = venue_with(rate, rebate)
    a, b = venue.agents
    for price, qty in levels:
        venue.sell(a, price, qty)
    taken = 0
    while venue.live.book.best_ask() is not None:
        venue.buy(b, 99, 5, IOC, confirm_fat_finger=True)
        trades = of_kind(venue.events, ev.Traded)
        taken += sum(t.taker_fee_cents + t.maker_fee_cents for t in trades)
        assert venue.live.fees_cents == taken >= 0


def test_an_order_that_takes_and_then_makes_rounds_each_total_by_itself() -> None:
    venue = venue_with(700, 2_500)
    a, b = venue.agents
    venue.sell(a, 50, 1)
    order = venue.buy(b, 50, 3)
    assert order.fee_cents == 2  # 1.75 up
    venue.sell(a, 50, 2)
    resting_total = of_kind(venue.events, ev.Traded)[-1].maker_fee_total_cents
    assert resting_total == 2 - 0, "a quarter of 3.5 is 0.875, down to nothing"


def test_an_amend_that_takes_goes_on_with_the_same_total() -> None:
    venue = venue_with(700, 0)
    a, b = venue.agents
    venue.sell(a, 50, 1)
    order = venue.buy(b, 50, 4)
    venue.sell(a, 51, 3)
    amended = venue.amend(b, order, price=51)
    assert isinstance(amended, ev.OrderAmended)
    assert amended.order.fee_cents == ceil(exact(50, 1, 700) + exact(51, 3, 700))
    # Each alone, rounded up: 2 + 6 would have been one more than 7.
    assert amended.order.fee_cents == 7 < ceil(exact(50, 1, 700)) + ceil(exact(51, 3, 700))


@pytest.mark.parametrize("outcome", ["YES", "NO", "VOID"])
def test_what_the_venue_keeps_is_booked_once_and_void_gives_it_back(outcome: str) -> None:
    venue = Venue(agents=2)
    a, b = venue.agents
    venue.sell(a, 54, 4)
    venue.buy(b, 55, 10)
    venue.stroll(OPEN_AT + MINUTE)
    venue.print(OPEN_AT + MINUTE, BTC + {"YES": 1, "NO": -1, "VOID": 0}[outcome])
    cash = [venue.agent(x).cash - 100_000 for x in (a, b)]
    assert cash == {"YES": [217 - 400, 400 - 223], "NO": [217, -223], "VOID": [0, 0]}[outcome]
    assert venue.state.fees_cents == (0 if outcome == "VOID" else 6)
