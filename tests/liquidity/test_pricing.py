"""The pricing rule against the plain definitions it is made from."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.liquidity.pricing import (
    FLOOR_PER_SQRT_S,
    MIN_RETURNS,
    EwmaVolatility,
    distance,
    fair_value_cents,
    one_second_prices,
    stale_risk_cents,
)

PRICES = st.integers(1_000_000, 20_000_000)
SIGMAS = st.floats(1e-6, 1e-2)
LEFT = st.integers(1, 60_000)


@st.composite
def histories(draw):
    """Ticks of a few a second, now and then a pause, now and then one out of order."""
    ts, price, ticks = draw(st.integers(0, 10_000)), draw(PRICES), []
    for step, move in draw(st.lists(st.tuples(st.integers(-300, 4_000), st.integers(-5_000, 5_000)), max_size=80)):
        ts, price = max(0, ts + step), max(1, price + move)
        ticks.append((ts, price))
    return ticks


def by_recursion(ticks):
    """The definition, written as it is said."""
    returns = [math.log(b / a) for a, b in pairwise(one_second_prices(ticks))]
    if len(returns) < MIN_RETURNS:
        return None
    variance = sum(r * r for r in returns[:MIN_RETURNS]) / MIN_RETURNS
    for r in returns[MIN_RETURNS:]:
        variance = 0.97 * variance + 0.03 * r * r
    return pytest.approx(max(math.sqrt(variance), 1e-7), rel=1e-9)


@given(histories())
def test_at_once_and_one_by_one_come_to_the_definition(ticks):
    at_once, one_by_one = EwmaVolatility.of(ticks), EwmaVolatility()
    for tick in ticks:
        one_by_one.observe(*tick)
    expected = by_recursion(ticks)
    assert at_once.samples == one_by_one.samples == max(0, len(one_second_prices(ticks)) - 1)
    assert at_once.per_sqrt_s == expected
    assert one_by_one.per_sqrt_s == expected


@given(histories(), histories())
def test_a_history_can_be_gone_on_with(before, after):
    start = max((ts for ts, _ in before), default=0)
    after = [(start + ts, price) for ts, price in after]
    joined = EwmaVolatility.of(before)
    for tick in after:
        joined.observe(*tick)
    assert joined.per_sqrt_s == by_recursion(before + after)


def test_prices_by_the_second() -> None:
    assert one_second_prices([(0, 1), (500, 2), (1_000, 3), (4_100, 4), (4_000, 5)]) == [2, 3, 3, 3, 5]


def test_a_price_at_rest_has_the_least_volatility() -> None:
    still = EwmaVolatility.of([(1_000 * n, 100) for n in range(11)])
    assert still.per_sqrt_s == FLOOR_PER_SQRT_S


@given(PRICES, PRICES, LEFT, SIGMAS)
def test_fair_value_is_a_chance_and_symmetric(price, strike, left_ms, sigma):
    value = fair_value_cents(price, strike, left_ms, sigma)
    assert 0 <= value <= 100
    assert value + fair_value_cents(strike, price, left_ms, sigma) == pytest.approx(100)
    assert (value >= 50) == (price >= strike) or value == pytest.approx(50)


@given(PRICES, PRICES, st.integers(1, 10_000), LEFT, SIGMAS)
def test_fair_value_rises_with_the_price(price, strike, more, left_ms, sigma):
    assert fair_value_cents(price, strike, left_ms, sigma) <= fair_value_cents(price + more, strike, left_ms, sigma)


@pytest.mark.parametrize(
    ("price", "strike", "left_ms", "sigma", "cents"),
    [
        (10_100, 10_000, 0, 0.1, 100),
        (9_900, 10_000, 0, 0.1, 0),
        (10_000, 10_000, 0, 0.1, 50),
        (10_000, 10_000, 9, 1, 50),
    ],
)
def test_fair_value_at_the_end_and_at_the_money(price, strike, left_ms, sigma, cents):
    assert fair_value_cents(price, strike, left_ms, sigma) == cents


def test_fair_value_one_deviation_up():
    sigma = math.log(10_100 / 10_000) / math.sqrt(25)
    assert distance(10_100, 10_000, 25_000, sigma) == pytest.approx(1)
    assert fair_value_cents(10_100, 10_000, 25_000, sigma) == pytest.approx(84.134, abs=1e-3)


@pytest.mark.parametrize(("tau_s", "cents"), [(60, 2.6), (5, 8.9), (1, 20)])
def test_stale_risk_at_the_money(tau_s, cents):
    assert stale_risk_cents(0, 0.25, tau_s) == pytest.approx(cents, rel=0.02)


@given(st.floats(-6, 6), st.floats(0, 10), st.floats(0, 60))
def test_stale_risk_is_bounded_and_falls_away_from_the_strike(d, delta_s, tau_s):
    risk = stale_risk_cents(d, delta_s, tau_s)
    assert 0 <= risk <= 50
    assert risk == stale_risk_cents(-d, delta_s, tau_s)
    assert stale_risk_cents(abs(d) + 1, delta_s, tau_s) <= risk
    assert stale_risk_cents(math.inf, delta_s, tau_s) == 0


@given(PRICES, LEFT, SIGMAS, st.floats(0.001, 0.05))
def test_stale_risk_is_the_slope_of_fair_value_times_one_deviation(strike, left_ms, sigma, share):
    """At the money a move of σ√δ changes the fair value by what the law says, for δ small against τ."""
    delta_s = share * share * left_ms / 1000
    moved = 100 * (0.5 * (1 + math.erf(share / math.sqrt(2)))) - 50
    assert stale_risk_cents(0, delta_s, left_ms / 1000) == pytest.approx(moved, rel=1e-2)
