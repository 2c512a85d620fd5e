"""Exact numbers out of venues' texts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.reference import numbers


@settings(deadline=None)
@given(st.integers(1, 10**12))
def test_every_cent_survives_its_text(price_cents: int) -> None:
    whole, fraction = divmod(price_cents, 100)
    assert numbers.cents(f"{whole}.{fraction:02d}000000") == price_cents
    assert numbers.cents(numbers.decode(f'{{"p": {whole}.{fraction:02d}}}')["p"]) == price_cents


@pytest.mark.parametrize(
    ("text", "price_cents"),
    [("61837.63000000", 6_183_763), (68_900, 6_890_000), ("0.015", 2), ("0.025", 2), ("9.5e4", 9_500_000)],
)
def test_cents(text: object, price_cents: int) -> None:
    assert numbers.cents(text) == price_cents


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "-1",
        "0.001",
        "NaN",
        "Infinity",
        "1E+999999999",
        "1e-99999999",
        "1_000",
        "٣",
        "1" * 60,
        None,
        True,
        1.5,
        [],
    ],
)
def test_what_is_no_price_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        numbers.cents(value)


def test_no_float_ever_comes_out_of_the_decoder() -> None:
    assert numbers.decode("[0.1, 1e3, -2.50, 7]") == ["0.1", "1e3", "-2.50", 7]
    with pytest.raises(ValueError, match="NaN"):
        numbers.decode("[NaN]")


@settings(deadline=None)
@given(st.integers(1, 10**8), st.integers(0, 10**4))
def test_mid_is_the_floor(bid_cents: int, spread_cents: int) -> None:
    bid, ask = Decimal(bid_cents) / 100, Decimal(bid_cents + spread_cents) / 100
    assert numbers.mid_cents(f"{bid:f}", f"{ask:f}") == (2 * bid_cents + spread_cents) // 2


def test_a_crossed_touch_is_no_price() -> None:
    with pytest.raises(ValueError, match="crossed"):
        numbers.mid_cents("2", "1")


def test_times() -> None:
    assert numbers.ms_from_iso("2026-04-07T14:30:02.789012Z") == 1_775_572_202_789
    assert numbers.ms_from_iso("2026-04-07T14:30:02.789999999Z") == 1_775_572_202_789
    assert numbers.ms_from_iso("2026-04-07T16:30:02+02:00") == 1_775_572_202_000
    assert numbers.ms_from_epoch("1641343699596999", 1_000_000) == 1_641_343_699_596
    assert numbers.ms_from_epoch("1534614057.321597", 1) == 1_534_614_057_321
    for bad in ("2026-04-07T14:30:02", "yesterday", 5, None):
        with pytest.raises(ValueError, match=r".+"):
            numbers.ms_from_iso(bad)
