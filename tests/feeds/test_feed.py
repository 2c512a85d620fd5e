"""Readings and prints out of ticks: the memory, the boundary, the deadline, the conversion."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from raeth.reference import Print, Rate, ReferenceSettings, Tick
from raeth.reference.feed import StreamFeed, VenueIndex
from raeth.reference.history import HISTORY_MS, MAX_TICKS, TickHistory

T = 1_700_000_040_000
SETTINGS = ReferenceSettings(venues=["coinbase", "kraken", "bitstamp", "gemini", "binance"])


def index() -> VenueIndex:
    return VenueIndex("live", False, SETTINGS.venues, SETTINGS)


def tick(venue: str, price_cents: int, source_ts: int, lag_ms: int = 50) -> Tick:
    return Tick(venue, price_cents, source_ts, source_ts + lag_ms)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=60), st.integers(-5, 60))
def test_the_memory_finds_the_last_at_or_before(rows: list[tuple[int, int]], ts_ms: int) -> None:
    history = TickHistory()
    for source_ts, value in rows:
        history.add(source_ts, value)
    past = [(source_ts, n, value) for n, (source_ts, value) in enumerate(rows) if source_ts <= ts_ms]
    expected = max(past)[::2] if past else None
    assert history.at(ts_ms) == expected
    assert history.passed(ts_ms) == any(source_ts > ts_ms for source_ts, _ in rows)


def test_the_memory_is_bounded_in_time_and_number() -> None:
    history = TickHistory()
    for n in range(10_000):
        history.add(n * 1_000, n)
    assert len(history) <= HISTORY_MS // 1_000 + 1_024
    assert history.at(9_999_000 - HISTORY_MS) == (9_999_000 - HISTORY_MS, 9_999 - HISTORY_MS // 1_000)
    for n in range(MAX_TICKS + 5_000):
        history.add(10_000_000, n)
    assert len(history) <= MAX_TICKS + 1_024


def test_a_stream_prints_the_last_price_at_or_before_the_boundary() -> None:
    feed = StreamFeed("replay:x", "recording", SETTINGS)
    feed.add(tick("recording", 100, T - 10))
    feed.add(tick("recording", 101, T))
    feed.add(tick("recording", 102, T))
    assert feed.print_at(T) is None, "another tick of the same millisecond may follow"
    feed.add(tick("recording", 103, T + 1))
    found = feed.print_at(T)
    assert found is not None
    assert (found.price_cents, found.source_ts, found.age_ms, found.reason) == (102, T, 0, None)
    assert [item.as_dict() for item in found.inputs] == [
        {"venue": "recording", "price_cents": 102, "source_ts": T, "age_ms": 0, "used": True, "why": "used"}
    ]


@pytest.mark.parametrize(("age_ms", "usable"), [(5_000, True), (5_001, False)])
def test_a_print_is_at_most_so_old(age_ms: int, usable: bool) -> None:
    feed = StreamFeed("replay:x", "recording", SETTINGS)
    feed.add(tick("recording", 100, T - age_ms))
    found = feed.final_print_at(T)
    assert found.usable is usable
    assert found.reason == (None if usable else "too_old")
    assert found.inputs[0].age_ms == age_ms


def test_no_price_at_all_is_said() -> None:
    for feed in (StreamFeed("replay:x", "recording", SETTINGS), index()):
        feed.add(tick("coinbase", 100, T + 1))
        assert feed.final_print_at(T).reason == "no_price"


def test_the_age_gives_the_status() -> None:
    feed = StreamFeed("replay:x", "recording", SETTINGS)
    assert feed.current(T).status == "DOWN"
    feed.add(tick("recording", 100, T))
    for age_ms, status in ((0, "LIVE"), (3_000, "LIVE"), (3_001, "STALE"), (10_000, "STALE"), (10_001, "DOWN")):
        reading = feed.current(T + age_ms)
        assert (reading.status, reading.age_ms, reading.price_cents) == (status, age_ms, 100)


def three_before(feed: VenueIndex, age_ms: int = 100) -> None:
    for venue, price_cents in (("coinbase", 1_000_000), ("kraken", 1_000_200), ("bitstamp", 1_000_100)):
        feed.add(tick(venue, price_cents, T - age_ms))


def test_a_live_print_waits_for_a_quorum_to_pass() -> None:
    feed = index()
    three_before(feed)
    feed.add(tick("coinbase", 1_100_000, T + 1))
    feed.add(tick("kraken", 1_100_000, T + 1))
    assert feed.print_at(T) is None
    feed.add(tick("bitstamp", 1_100_000, T + 400))
    found = feed.print_at(T)
    assert found is not None
    assert (found.price_cents, found.source_ts, found.age_ms) == (1_000_100, T - 100, 100)
    assert {item.venue: item.why for item in found.inputs}["gemini"] == "no price"


def test_an_unusable_print_waits_for_the_others_until_the_deadline() -> None:
    feed = index()
    for venue in ("coinbase", "kraken"):
        feed.add(tick(venue, 1_000_000, T - 100))
    for venue in ("coinbase", "kraken", "bitstamp"):
        feed.add(tick(venue, 1_000_000, T + 1))
    assert feed.print_at(T) is None
    assert feed.final_print_at(T).reason == "no_quorum"
    feed.add(Tick("gemini", 1_000_300, T - 20, T + 300))
    feed.add(tick("gemini", 1_000_300, T + 350))
    found = feed.print_at(T)
    assert found is not None
    assert found.price_cents == 1_000_000


def test_without_a_quorum_at_the_boundary_the_last_price_before_it_counts() -> None:
    feed = index()
    three_before(feed, age_ms=4_000)
    found = feed.final_print_at(T)
    assert (found.price_cents, found.age_ms) == (1_000_100, 4_000)
    assert "no quorum at the boundary" in found.rule
    feed = index()
    three_before(feed, age_ms=5_001)
    assert feed.final_print_at(T).reason == "too_old"


def test_usdt_is_never_mixed_with_dollars_unconverted() -> None:
    feed = index()
    for venue in ("coinbase", "kraken", "binance"):
        feed.add(tick(venue, 1_000_000, T - 100))
    unconverted = feed.final_print_at(T)
    assert not unconverted.usable
    assert "USDT" in unconverted.inputs[-1].why
    feed.add(Rate("kraken", 99_985_000, T - 200, T - 150))
    found = feed.final_print_at(T)
    assert found.usable
    evidence = found.inputs[-1].as_dict()
    assert evidence["price_cents"] == 1_000_000 * 99_985_000 // 10**8 == 999_850
    assert (evidence["quote_price_cents"], evidence["rate_e8"], evidence["rate_source_ts"]) == (
        1_000_000,
        99_985_000,
        T - 200,
    )


def test_an_old_rate_converts_nothing() -> None:
    feed = index()
    feed.add(Rate("kraken", 99_985_000, T - 60_101, T))
    feed.add(tick("binance", 1_000_000, T - 100))
    assert feed.final_print_at(T).inputs[-1].price_cents is None


def test_a_tick_from_the_future_is_refused() -> None:
    feed = index()
    feed.add(Tick("coinbase", 1_000_000, T + 2_001, T))
    assert feed.refused["coinbase"] == 1
    assert feed.current(T).venues[0]["price_cents"] is None


def test_every_tick_of_a_venue_is_a_tick_of_the_index() -> None:
    feed = index()
    seen: list[Tick] = []
    feed.on_tick(seen.append)
    three_before(feed)
    feed.add(tick("kraken", 1_000_300, T - 50))
    feed.add(Tick("kraken", 1, T - 60_000, T))  # A snapshot of old trades says nothing about now.
    assert [(t.venue, t.price_cents, t.source_ts) for t in seen] == [
        ("index", 1_000_100, T - 100),
        ("index", 1_000_100, T - 50),
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SETTINGS.venues[:4]), st.integers(999_000, 1_001_000), st.integers(-9_000, 900)),
        max_size=40,
    )
)
def test_a_usable_print_never_looks_ahead(rows: list[tuple[str, int, int]]) -> None:
    feed = index()
    for venue, price_cents, offset_ms in rows:
        feed.add(tick(venue, price_cents, T + offset_ms))
    early = index()
    for venue, price_cents, offset_ms in rows:
        if offset_ms <= 0:
            early.add(tick(venue, price_cents, T + offset_ms))
    found: Print = feed.final_print_at(T)
    assert found == early.final_print_at(T)
    decided = feed.print_at(T)
    assert decided is None or decided == found


def test_settings_name_what_is_wrong() -> None:
    with pytest.raises(ValidationError, match="quorum_"):
        ReferenceSettings.model_validate({"quorum_": 3})
    with pytest.raises(ValidationError, match="larger than the number of venues"):
        ReferenceSettings(venues=["coinbase"])
    with pytest.raises(ValidationError, match="named twice"):
        ReferenceSettings(venues=["coinbase", "coinbase"], quorum=1)
