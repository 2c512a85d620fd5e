"""The index rule: venues' prices in, one reference price or none out. Pure, integer, without a clock.

Rule: leave out what is older than `max_venue_age_ms`; take the median; leave out what is further than
`outlier_bps` from it; at least `quorum` venues must remain; their median is the price. The median of an
even number is the floor of the mean of the middle two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import VenueInput

BPS = 10_000


@dataclass(frozen=True, slots=True)
class IndexRule:
    """The parameters of the rule, and the rule in words for the evidence."""

    max_venue_age_ms: int
    outlier_bps: int
    quorum: int

    @classmethod
    def of(cls, settings: ReferenceSettings, quorum: int | None = None) -> IndexRule:
        return cls(settings.max_venue_age_ms, settings.outlier_bps, quorum or settings.quorum)

    def __str__(self) -> str:
        return (
            f"median of venues: each venue's last price at or before the time, at most {self.max_venue_age_ms} ms old, "
            f"within {self.outlier_bps} bps of the median, at least {self.quorum} venues"
        )


@dataclass(frozen=True, slots=True)
class VenueQuote:
    """A venue's last known price at some instant; `price_cents` None with a reason if it cannot be had."""

    venue: str
    price_cents: int | None
    source_ts: int | None
    why_none: str = "no price"
    quote_price_cents: int | None = None
    rate_e8: int | None = None
    rate_source_ts: int | None = None


def median_cents(prices: Sequence[int]) -> int:
    """The middle price; of an even number the floor of the mean of the middle two. Not for an empty sequence."""
    ordered = sorted(prices)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) // 2


def is_outlier(price_cents: int, median: int, outlier_bps: int) -> bool:
    """Further from the median than `outlier_bps` of it; exactly that far is still in."""
    return abs(price_cents - median) * BPS > outlier_bps * median


def _fresh(quotes: Sequence[VenueQuote], at_ms: int, rule: IndexRule) -> list[tuple[int, int]]:
    """`(price_cents, source_ts)` of the venues that have a price and are not too old."""
    oldest = at_ms - rule.max_venue_age_ms
    return [
        (q.price_cents, q.source_ts)
        for q in quotes
        if q.price_cents is not None and q.source_ts is not None and q.source_ts >= oldest
    ]


def index_value(quotes: Sequence[VenueQuote], at_ms: int, rule: IndexRule) -> tuple[int, int] | None:
    """`(price_cents, source_ts)` by the rule, or None without a quorum. The quick form: no evidence."""
    fresh = _fresh(quotes, at_ms, rule)
    if len(fresh) < rule.quorum:
        return None
    median = median_cents([price for price, _ in fresh])
    kept = [pair for pair in fresh if not is_outlier(pair[0], median, rule.outlier_bps)]
    if len(kept) < rule.quorum:
        return None
    return median_cents([price for price, _ in kept]), max(source_ts for _, source_ts in kept)


def explain(quotes: Sequence[VenueQuote], at_ms: int, rule: IndexRule) -> tuple[VenueInput, ...]:
    """Per venue what it had at `at_ms` and why the rule takes it or leaves it out."""
    fresh = _fresh(quotes, at_ms, rule)
    median = median_cents([price for price, _ in fresh]) if fresh else None
    return tuple(_explain_one(q, at_ms, median, rule) for q in quotes)


def _explain_one(quote: VenueQuote, at_ms: int, median: int | None, rule: IndexRule) -> VenueInput:
    age_ms = None if quote.source_ts is None else max(0, at_ms - quote.source_ts)
    if quote.price_cents is None:
        why, used = quote.why_none, False
    elif not _fresh([quote], at_ms, rule):
        why, used = f"older than {rule.max_venue_age_ms} ms", False
    elif median is not None and is_outlier(quote.price_cents, median, rule.outlier_bps):
        why, used = f"more than {rule.outlier_bps} bps from the median {median}", False
    else:
        why, used = "used", True
    return VenueInput(
        quote.venue,
        quote.price_cents,
        quote.source_ts,
        age_ms,
        used,
        why,
        quote.quote_price_cents,
        quote.rate_e8,
        quote.rate_source_ts,
    )
