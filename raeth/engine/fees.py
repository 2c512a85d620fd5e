"""Fees and rebates in exact integers (contract, section 8). Must not know of orders or wallets.

A taker pays rate * p * (1 - p) a contract; with the rate in basis points and p in cents the exact fee of q contracts
is `rate_bps * p * (100 - p) * q` in units of 1e-6 cents. Numerators accumulate per order and only their running total
is rounded, so many small fills cost what one large fill costs.
"""

from __future__ import annotations

from typing import Final

from raeth.engine.types import PAYOUT

FEE_UNIT: Final = 10_000 * PAYOUT
"""Taker numerators per cent: basis points times the payout."""

REBATE_UNIT: Final = FEE_UNIT * 10_000
"""Maker numerators per cent: the taker's, times the rebate's basis points. A maker's total rounds down, against it."""


def taker_fee_cents(numerator: int) -> int:
    """A taker order's total fee so far: rounds up, against the taker."""
    return -(-numerator // FEE_UNIT)
