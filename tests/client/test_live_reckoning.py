"""What time it is at the venue, and how old its price is, reckoned from messages that come late, or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raeth.client.models import Reference
from raeth.client.reckoning import LiveReference, Reckoning

START_MS = 1_795_000_000_000


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 3_000)), min_size=1, max_size=200),
    st.sampled_from([1.0, 30.0]),
    st.integers(-50, 50),
)
def test_never_ahead_and_never_more_behind_than_the_best_recent_message(
    messages: list[tuple[int, int]], speed: float, drift_ppm: int
) -> None:
    """Messages `(real ms since the last, real ms under way)`; the local clock drifts."""
    reckoning = Reckoning(lambda: speed)
    sent_ms, heard = 0, []
    for wait_ms, delay_ms in messages:
        sent_ms += wait_ms
        heard.append((sent_ms + delay_ms, sent_ms, delay_ms))
    best: list[tuple[float, int]] = []
    for heard_ms, sent_ms, delay_ms in sorted(heard):
        mono_s = heard_ms / 1000 * (1 + drift_ppm / 1e6)
        reckoning.note(START_MS + round(sent_ms * speed), mono_s)
        best.append((mono_s, delay_ms))
        truth_ms = START_MS + heard_ms * speed
        drifted_ms = 70_000 * 50 / 1e6 * speed + 2
        recent = min(delay for at_s, delay in best if at_s > mono_s - 30.0)
        assert truth_ms - recent * speed - drifted_ms <= reckoning.now_ms(mono_s) <= truth_ms + drifted_ms


def test_before_the_first_message_it_is_not_known() -> None:
    assert Reckoning().now_ms(5.0) == 0


def reference(status: str = "LIVE", price: int | None = 9_500_000) -> Reference:
    when = "2026-11-20T10:30:00.000Z" if price is not None else None
    return Reference(status=status, price_cents=price, source_ts=when, age_ms=0, source="s", synthetic=True)


def test_a_price_ages_although_the_venue_says_nothing() -> None:
    from raeth.client.models import epoch_ms

    at_ms = epoch_ms("2026-11-20T10:30:00.000Z")
    ages = {0: "LIVE", 3_000: "LIVE", 3_001: "STALE", 10_000: "STALE", 10_001: "DOWN"}
    for age_ms, status in ages.items():
        assert LiveReference.of(reference(), at_ms + age_ms) == LiveReference(9_500_000, age_ms, status, True)
    assert LiveReference.of(reference("STALE"), at_ms).status == "STALE"
    assert LiveReference.of(reference("DOWN", None), at_ms) == LiveReference(None, None, "DOWN", True)
    assert LiveReference.of(None, at_ms).status == "DOWN"
    assert LiveReference.of(reference(), at_ms - 50).age_ms == 0
