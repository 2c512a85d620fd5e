"""Exact numbers from a venue's text: prices to integers, times to milliseconds.

Never through a float: JSON numbers arrive here as their literal text (see `decode`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

MAX_PRICE_CENTS = 10**12
"""Ten thousand million dollars: nothing above is a price of a bitcoin."""
MAX_TEXT = 40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


_decoder = json.JSONDecoder(parse_float=str, parse_constant=_no_constant)


def decode(raw: str | bytes) -> Any:
    """JSON with every non-integer number left as its text. Raises ValueError (or RecursionError) if it is not JSON."""
    return _decoder.decode(raw if isinstance(raw, str) else raw.decode())


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"not a number: {type(value).__name__}")
    text = str(value)
    if len(text) > MAX_TEXT or not text.isascii() or "_" in text:
        raise ValueError("not a number of a sensible length")
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise ValueError("not a decimal number") from None
    # Bounds before any arithmetic: 1E+999999 is a valid Decimal and an enormous integer.
    if not number.is_finite() or abs(number.adjusted()) > MAX_TEXT:
        raise ValueError("number out of range")
    return number


def cents(value: object) -> int:
    """Dollars as decimal text (or an integer) to cents, rounded half to even. ValueError unless 1..10**12 cents."""
    price_cents = int((_decimal(value) * 100).to_integral_value(ROUND_HALF_EVEN))
    if not 0 < price_cents <= MAX_PRICE_CENTS:
        raise ValueError("price out of range")
    return price_cents


def rate_e8(value: object) -> int:
    """Dollars for one USDT as decimal text, times 10**8. ValueError unless between 0 and 10 dollars."""
    rate = int((_decimal(value) * 10**8).to_integral_value(ROUND_HALF_EVEN))
    if not 0 < rate < 10**9:
        raise ValueError("rate out of range")
    return rate


def mid_cents(bid: object, ask: object) -> int:
    """Floor of the mid of the touch, in cents. ValueError for a crossed touch."""
    bid_cents, ask_cents = cents(bid), cents(ask)
    if bid_cents > ask_cents:
        raise ValueError("crossed touch")
    return (bid_cents + ask_cents) // 2


def mid_rate_e8(bid: object, ask: object) -> int:
    """As `mid_cents`, for the USDT rate."""
    return (rate_e8(bid) + rate_e8(ask)) // 2


def ms_from_iso(value: object) -> int:
    """RFC 3339 text with a zone, any number of decimals, to milliseconds, rounded down."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError("not a time")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("time without a zone")
    return (moment - _EPOCH) // _MILLISECOND


def ms_from_epoch(value: object, per_second: int) -> int:
    """Epoch time as text or integer, counted in `per_second` units a second, to milliseconds, rounded down."""
    return int((_decimal(value) * 1000 / per_second).to_integral_value(ROUND_FLOOR))
