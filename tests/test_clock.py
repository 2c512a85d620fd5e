"""Clocks: a manual one moves when told to, a recorded one at its speed, and times have one form on the wire."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.clock import JumpGuard, ManualClock, RealClock, ReplayClock, iso_ms, real_now_ms


async def test_a_manual_clock_wakes_whoever_waited_for_that_moment() -> None:
    clock = ManualClock(1_000)
    woken: list[int] = []

    async def wait(ts: int) -> None:
        await clock.sleep_until(ts)
        woken.append(ts)

    tasks = [asyncio.create_task(wait(ts)) for ts in (1_000, 1_001, 1_500, 2_000)]
    expected = {1_000: [1_000], 1_001: [1_000, 1_001], 1_999: [1_000, 1_001, 1_500]}
    for now, done in expected.items():
        clock.set(now)
        for _ in range(5):
            await asyncio.sleep(0)
        assert woken == done
    clock.advance(1)
    await asyncio.gather(*tasks)
    assert (woken[-1], clock.now_ms()) == (2_000, 2_000)


async def test_a_real_clock_returns_at_or_after_the_moment_and_never_before() -> None:
    clock = RealClock()
    target = clock.now_ms() + 15
    await clock.sleep_until(target)
    assert clock.now_ms() >= target
    await clock.sleep_until(target - 1_000)
    assert abs(clock.now_ms() - real_now_ms()) < 1_000


async def test_recorded_time_runs_at_its_speed_and_never_backwards() -> None:
    clock = ReplayClock(5_000_000, speed=1_000)
    real = real_now_ms()
    await clock.sleep_until(5_010_000)
    assert clock.now_ms() >= 5_010_000
    assert real_now_ms() - real < 5_000, "ten recorded seconds in ten real milliseconds"
    seen = [clock.now_ms() for _ in range(1_000)]
    assert seen == sorted(seen)


@pytest.mark.parametrize("speed", [0, -1])
def test_time_must_move(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        ReplayClock(0, speed)


@pytest.mark.parametrize(
    ("ts", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (1_795_170_600_123, "2026-11-20T10:30:00.123Z"),
        (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
        (1_798_761_600_000, "2027-01-01T00:00:00.000Z"),
        (1_835_395_199_999, "2028-02-28T23:59:59.999Z"),
        (1_835_395_200_000, "2028-02-29T00:00:00.000Z"),
    ],
)
def test_the_one_form_of_a_time(ts: int, text: str) -> None:
    assert iso_ms(ts) == text


@given(st.integers(0, 253_402_300_799_999))
def test_it_reads_back_to_the_millisecond(ts: int) -> None:
    text = iso_ms(ts)
    assert len(text) == 24
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo == UTC
    assert round(moment.timestamp() * 1_000) == ts


@given(st.integers(0, 253_402_300_799_999), st.integers(0, 253_402_300_799_999))
def test_it_sorts_like_time(one: int, other: int) -> None:
    assert (one < other) == (iso_ms(one) < iso_ms(other))


class Uptime:
    """The time that really passes, as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s = 1_000.0
        monkeypatch.setattr("raeth.clock.time.clock_gettime", lambda _: self.s)


@pytest.fixture
def uptime(monkeypatch: pytest.MonkeyPatch) -> Uptime:
    return Uptime(monkeypatch)


def read(guard: JumpGuard, uptime: Uptime, ahead_ms: int, after_s: float) -> bool:
    """A reading of a clock that is `ahead_ms` ahead of the time that has passed."""
    uptime.s += after_s
    return guard.jumped(int(uptime.s * 1000) + ahead_ms)


def test_a_clock_that_was_set_forward_is_believed_once_it_stays_there(uptime: Uptime) -> None:
    guard = JumpGuard()
    assert not read(guard, uptime, 0, 1)
    seen = [read(guard, uptime, 60_000, 2) for _ in range(9)]
    assert seen == [True] * 8 + [False], "fifteen seconds after the first of them"
    assert not read(guard, uptime, 60_000, 1), "it is the time now"
    assert read(guard, uptime, 120_000, 1), "and is guarded like the one before"


def test_few_readings_are_not_enough_however_long_they_take(uptime: Uptime) -> None:
    guard = JumpGuard()
    assert not read(guard, uptime, 0, 1)
    assert [read(guard, uptime, 60_000, 30) for _ in range(5)] == [True] * 4 + [False]


def test_a_clock_that_wanders_or_comes_back_is_not_believed(uptime: Uptime) -> None:
    guard = JumpGuard()
    assert not read(guard, uptime, 0, 1)
    assert all(read(guard, uptime, 10_000 + 2_000 * n, 1) for n in range(60))
    assert not read(guard, uptime, 0, 1)
    assert all(read(guard, uptime, 60_000, 2) for _ in range(8)), "the count begins anew"


@given(st.lists(st.integers(0, 4_000), min_size=1), st.integers(0, 10_000))
def test_what_really_passed_is_no_jump(pauses_ms: list[int], drift_ppm: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        uptime, guard, ahead_ms = Uptime(patch), JumpGuard(), 0
        for pause_ms in pauses_ms:
            ahead_ms += pause_ms * drift_ppm // 1_000_000
            assert not read(guard, uptime, ahead_ms, pause_ms / 1000)
