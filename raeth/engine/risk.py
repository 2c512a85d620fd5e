"""The risk chain: fat finger, position cap, reference price, cool-down, in that order (contract, section 5).

Each link is a pure question to the state that answers None or `(code, repair)`, where the repair holds integers only.
Links 1 and 2 judge orders of one contract or more at prices inside the band; anything else has a code of its own.
`plan.judge` asks them in this order, and only where they could decline.
"""

from __future__ import annotations

from raeth.engine.commands import OrderSpec
from raeth.engine.state import Market, Position, State
from raeth.engine.types import BUY, MARKET, PAYOUT, PRICE_MAX, PRICE_MIN, Details

Decline = tuple[str, Details]

# Outcomes of the market, and the lock itself, do not count towards a cool-down.
NOT_COUNTED = frozenset(
    {"FOK_NOT_FILLABLE", "POST_ONLY_WOULD_CROSS", "MARKET_NO_LIQUIDITY", "AGENT_SIDE_COOLDOWN", "STRATEGY_NOT_FILLED"}
)


def fat_finger(market: Market, spec: OrderSpec) -> Decline | None:
    """Link 1: too many contracts, too much notional, or a price far beyond the mark."""
    rules = market.settings
    price = spec.price
    qty = spec.qty
    if price is None:
        return None if qty <= rules.max_order_qty else ("FAT_FINGER", {"max_qty": rules.max_order_qty})
    if qty > rules.max_order_qty or qty * price > rules.max_order_notional_cents:
        return "FAT_FINGER", {"max_qty": min(rules.max_order_qty, rules.max_order_notional_cents // price)}
    mark = market.mark()
    if mark is None:
        return None
    # A SELL is judged as the purchase of NO that it is: both the price and the mark by their complements.
    level, mark_level = (price, mark) if spec.side == BUY else (PAYOUT - price, PAYOUT - mark)
    if level <= mark_level + rules.fat_finger_distance or level <= mark_level * rules.fat_finger_multiple:
        return None
    bound = max(mark_level + rules.fat_finger_distance, mark_level * rules.fat_finger_multiple)
    if spec.side == BUY:
        return "FAT_FINGER", {"mark_price": mark, "price_min": PRICE_MIN, "price_max": bound}
    return "FAT_FINGER", {"mark_price": mark, "price_min": PAYOUT - bound, "price_max": PRICE_MAX}


def position_cap(market: Market, spec: OrderSpec, net: int, resting: int) -> Decline | None:
    """Link 2: the worst case of `net`, what rests on that side (`resting`) and this order stays within the cap."""
    cap = market.settings.position_cap
    # Mirrored for a SELL, so that buying more is always "up".
    up = net if spec.side == BUY else -net
    worst = up + resting + spec.qty
    if -cap <= worst <= cap or abs(worst) <= abs(up):
        return None
    allowed = max(cap, abs(up))
    return "POSITION_CAP", {"position_cap": cap, "max_qty": max(0, allowed - up - resting)}


def reference_price(state: State, market: Market, spec: OrderSpec, ts: int) -> Decline | None:
    """Link 3: a MARKET order needs a reference price that is young enough."""
    if spec.type != MARKET:
        return None
    if state.reference_price is not None and ts - state.reference_ts < market.settings.reference_max_age_ms:
        return None
    return "NO_REFERENCE_PRICE", {"retry_after_ms": 1_000}


def cooldown(position: Position, side: int, ts: int) -> Decline | None:
    """Link 4: the side is locked after too many declines."""
    until = position.cooldown_until[side]
    if ts >= until:
        return None
    return "AGENT_SIDE_COOLDOWN", {"cooldown_ends_at": until, "retry_after_ms": until - ts}


def note_decline(market: Market, position: Position, side: int, code: str, ts: int) -> None:
    """Count a decline towards the cool-down of its side, and start the lock when there were too many."""
    if code in NOT_COUNTED:
        return
    rules = market.settings
    recent = position.rejects[side]
    while recent and ts - recent[0] > rules.cooldown_window_ms:
        del recent[0]
    recent.append(ts)
    if len(recent) >= rules.cooldown_rejects:
        position.cooldown_until[side] = ts + rules.cooldown_ms
        recent.clear()
