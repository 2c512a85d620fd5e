"""The index rule against a naive one written from its words, in fractions."""

from __future__ import annotations

from fractions import Fraction
from statistics import median

from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.reference.index import IndexRule, VenueQuote, explain, index_value, median_cents

NOW = 1_700_000_000_000
RULES = st.builds(IndexRule, st.integers(100, 5_000), st.integers(1, 500), st.integers(1, 5))
PRICES = st.integers(9_400_000, 9_600_000) | st.integers(1, 20_000_000)
QUOTES = st.lists(st.tuples(st.none() | PRICES, st.integers(-500, 6_000)), max_size=7).map(
    lambda rows: [
        VenueQuote(f"venue-{n}", price, None if price is None else NOW - age) for n, (price, age) in enumerate(rows)
    ]
)


def naive(quotes: list[VenueQuote], rule: IndexRule) -> int | None:
    """By the words: age, median, distance from it, quorum, median of the rest (floor)."""
    fresh = [
        q.price_cents for q in quotes if q.price_cents and q.source_ts and NOW - q.source_ts <= rule.max_venue_age_ms
    ]
    if not fresh:
        return None
    exact = sorted(fresh)
    middle = exact[(len(exact) - 1) // 2] + exact[len(exact) // 2]
    centre = Fraction(middle // 2)
    rest = [p for p in fresh if abs(Fraction(p) - centre) / centre <= Fraction(rule.outlier_bps, 10_000)]
    if len(rest) < rule.quorum:
        return None
    return int(median(Fraction(p) for p in rest) // 1)


@settings(deadline=None)
@given(QUOTES, RULES)
def test_the_index_is_what_the_words_say(quotes: list[VenueQuote], rule: IndexRule) -> None:
    found = index_value(quotes, NOW, rule)
    assert (found[0] if found else None) == naive(quotes, rule)


@settings(deadline=None)
@given(QUOTES, RULES)
def test_the_evidence_gives_the_price_again(quotes: list[VenueQuote], rule: IndexRule) -> None:
    found = index_value(quotes, NOW, rule)
    used = [item for item in explain(quotes, NOW, rule) if item.used]
    if found is None:
        assert len(used) < rule.quorum
    else:
        assert found == (median_cents([i.price_cents or 0 for i in used]), max(i.source_ts or 0 for i in used))


@settings(deadline=None)
@given(QUOTES, RULES, st.randoms())
def test_the_order_of_venues_does_not_matter(quotes: list[VenueQuote], rule: IndexRule, random: object) -> None:
    shuffled = list(quotes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert index_value(shuffled, NOW, rule) == index_value(quotes, NOW, rule)


def test_the_edges_are_inside() -> None:
    rule = IndexRule(max_venue_age_ms=3_000, outlier_bps=50, quorum=3)
    at_edge = [
        VenueQuote("a", 1_000_000, NOW),
        VenueQuote("b", 1_005_000, NOW - 3_000),
        VenueQuote("c", 1_000_000, NOW),
    ]
    assert index_value(at_edge, NOW, rule) == (1_000_000, NOW)
    beyond = [at_edge[0], VenueQuote("b", 1_005_001, NOW), at_edge[2]]
    assert index_value(beyond, NOW, rule) is None
    assert [item.why for item in explain(beyond, NOW, rule)][1] == "more than 50 bps from the median 1000000"
    too_old = [at_edge[0], VenueQuote("b", 1_000_000, NOW - 3_001), at_edge[2]]
    assert index_value(too_old, NOW, rule) is None


def test_an_even_number_takes_the_floor_of_the_mean() -> None:
    assert median_cents([4, 1, 2, 3]) == 2
    assert median_cents([7]) == 7
