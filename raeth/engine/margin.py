"""Collateral by worst outcome (contract, section 8). Must not know how orders match.

With net position n, cash flow c, resting buys B and resting sells S, all of one agent in one market, exactly the worst
outcome is locked: `max(0, -c + B, -c - 100 n + S)`: the loss if NO, the loss if YES, or nothing.
"""

from __future__ import annotations

from raeth.engine.types import PAYOUT


def lock_cents(net: int, cash_flow: int, buys_cost: int, sells_cost: int) -> int:
    """The collateral in cents that a position and its resting orders need."""
    lock = buys_cost - cash_flow
    if_yes = sells_cost - cash_flow - PAYOUT * net
    if if_yes > lock:
        lock = if_yes
    return lock if lock > 0 else 0


def worst_case_loss(net: int, cash_flow: int) -> int:
    """What a position alone can still lose from here, in cents: 0 when both outcomes pay."""
    return max(0, -cash_flow, -cash_flow - PAYOUT * net)
