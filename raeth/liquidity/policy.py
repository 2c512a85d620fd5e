"""How the house quotes: a strategy like any other, whose only action is to replace its quote.

Fair value by the digital-option formula on the reference; half-spread by the law of stale quotes; leaning against its
position; smaller towards the close; out when it cannot know what it does. Every bound is checked against the worst that
can happen: what rests may fill while the new quote is under way. Pure: must not know how the venue is reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from raeth.client.strategy import Action, Level, Outcome, Quotes, StrategyBase, View
from raeth.liquidity.pricing import EwmaVolatility, distance, fair_value_cents, stale_risk_cents
from raeth.liquidity.settings import HouseSettings

QUOTE_ID: Final = "house"

REQUOTE_CENTS: Final = 1.0
"""A quote is replaced once the prices meant have moved this far."""
REQUOTE_SIZE: Final = 0.25
"""… or the size of a side is this share away from what is meant."""
BACKOFF_MS: Final = (500, 1_000, 2_000, 5_000)
"""Pauses after declines in a row; the last one repeats."""
PASSING: Final = frozenset({"POST_ONLY_WOULD_CROSS", "MARKET_CLOSED", "MARKET_NOT_OPEN"})
"""Declines that the next look at the venue repairs."""
SLOWEST_SHARE: Final = 6
"""A house that needs more than 1/6 of a window to react is no market maker, and stays out."""
HISTORY_MS: Final = 300_000

Why = Literal[
    "STARTING",
    "FROZEN",
    "HALTED",
    "TOO_SLOW",
    "CLOSING",
    "NO_STRIKE",
    "NO_REFERENCE",
    "STALE_REFERENCE",
    "NO_VOLATILITY",
    "LOSS_CAP",
    "WINDOW_LIMITS",
    "DECLINED",
    "NO_MARKET",
    "UNREACHABLE",
    "SUSPENDED",
    "NO_KEY",
]

REASONS: Final[dict[Why, str]] = {
    "STARTING": "it has not looked at the venue yet",
    "FROZEN": "the venue is frozen",
    "HALTED": "the market is halted",
    "TOO_SLOW": "venue time runs too fast for it to react in time",
    "CLOSING": "the last moments before the close",
    "NO_STRIKE": "the open print is not there yet",
    "NO_REFERENCE": "there is no reference price",
    "STALE_REFERENCE": "the reference price is too old",
    "NO_VOLATILITY": "too few seconds of prices for an estimate of volatility",
    "LOSS_CAP": "its total loss could reach the cap",
    "WINDOW_LIMITS": "position or loss of this window leave no room on either side",
    "DECLINED": "its last quote was declined; it tries again",
    "NO_MARKET": "no market is open",
    "UNREACHABLE": "the venue does not answer it; it tries again",
    "SUSPENDED": "an operator suspended its agent",
    "NO_KEY": "its key was revoked: another process quotes for the house, or an operator ended it",
}
"""Why the house can be out, for people."""

TEXT: Final = (
    "The house is an agent like any other: it trades through the public API with a key of its own, under the same "
    "budgets, checks and latencies, and PUT /quotes is its only way in. It is not ranked. Its cash is a grant of the "
    "venue that anybody can see.",
    "Fair value: Φ(ln(S/K) / (σ√τ)) · 100 cents, with S the reference price, K the open print, τ the seconds left and "
    "σ an EWMA volatility of one-second returns (λ = 0.97).",
    "Half-spread: what a quote risks that is as old as the house's reaction, 39.9 · e^(−d²/2) · √(δ/τ) cents times "
    "risk_pct / 100, less the maker's rebate; never below 1 cent.",
    "Position: both sides lean against it, by skew_cents at the position limit, never through the fair value; the side "
    "that would add to it shrinks to nothing at a limit.",
    "Size: level_qty on each of `levels` prices, level_step apart, shrinking from shrink_from_ms before the close; "
    "tail_qty where the side can only be quoted beyond the fair value, at 1 or 99.",
    "A quote is replaced once its prices should move by a cent, after a fill, or when a side is a quarter off its "
    "size, at most max_writes_per_minute times a minute.",
    "Out: while the venue is frozen or the market halted, without strike, reference or volatility, on a reference "
    "older than max_reference_age_ms, in the last pull_before_close_ms, and when its loss could reach a cap.",
)
"""The policy in words, for GET /liquidity."""


class State(msgspec.Struct, frozen=True):
    """What the house is doing: `why` is None while it quotes. Prices in cents, estimates only."""

    why: Why | None = "STARTING"
    market: str | None = None
    fair_cents: float | None = None
    half_spread_cents: float | None = None


class Plan(msgspec.Struct, frozen=True):
    """A quote as it is meant. `centre` is the fair value less the lean against the position; all in cents."""

    fair: float
    centre: float
    half: float
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()


class _Sent(msgspec.Struct, frozen=True):
    """What the newest quote was made from."""

    market: str
    centre: float
    half: float
    net_qty: int


class HousePolicy(StrategyBase):
    """The house's mind. `granted_cents` is all cash it was ever given; `speed` venue seconds per real second."""

    def __init__(
        self, settings: HouseSettings | None = None, *, granted_cents: int | None = None, speed: float = 1.0
    ) -> None:
        self.settings = settings if settings is not None else HouseSettings()
        self.granted_cents = self.settings.grant_cents if granted_cents is None else granted_cents
        pace_ms = 60_000 * speed / self.settings.max_writes_per_minute
        self.pace_ms = math.ceil(pace_ms)
        """Venue time between two quotes."""
        self.reaction_ms = max(math.ceil(self.settings.reaction_ms * speed), self.pace_ms)
        self.wake_every_ms = max(1, self.pace_ms // 2)
        self.state = State()
        self._volatility = EwmaVolatility()
        self._seen_ms = -1
        self._sent: _Sent | None = None
        self._written_ms = self._pulled_ms = -self.pace_ms
        self._resume_ms = 0
        self._declines = 0
        self._wait_ms: int | None = None

    # ---- what the runner calls ----

    def decide(self, view: View) -> Sequence[Action]:
        """Nothing, or one `Quotes`: a new quote, or an empty one that pulls what rests."""
        self._learn(view)
        if self._wait_ms is not None:
            self._resume_ms, self._wait_ms = view.now_ms + self._wait_ms, None
        if view.in_flight:
            return ()
        why = self._why_out(view)
        if why is not None:
            return self._out(view, why)
        plan = self.plan(view)
        if not plan.bids and not plan.asks:
            return self._out(view, "WINDOW_LIMITS")
        if view.now_ms < self._resume_ms:
            self.state = State("DECLINED", view.market, plan.fair, plan.half)
            return ()
        self.state = State(None, view.market, plan.fair, plan.half)
        if not self._matters(view, plan):
            return ()
        self._sent = _Sent(view.market, plan.centre, plan.half, view.net_qty)
        self._written_ms = view.now_ms
        return (Quotes(QUOTE_ID, plan.bids, plan.asks),)

    def told(self, outcome: Outcome) -> None:
        """A declined quote is tried again, soon if it only crossed, else after a growing pause."""
        if outcome.ok:
            self._declines = 0
            return
        self._sent = None
        if outcome.reason in PASSING:
            return
        pause = BACKOFF_MS[min(self._declines, len(BACKOFF_MS) - 1)]
        asked = outcome.details.get("retry_after_ms")
        self._wait_ms = max(pause, asked if isinstance(asked, int) else 0)
        self._declines += 1

    # ---- whether to quote ----

    def _why_out(self, view: View) -> Why | None:
        """The first reason not to quote."""
        settings = self.settings
        if view.frozen:
            return "FROZEN"
        if view.halted:
            return "HALTED"
        if self.reaction_ms * SLOWEST_SHARE > view.close_at_ms - view.open_at_ms:
            return "TOO_SLOW"
        if view.close_at_ms - view.now_ms <= settings.pull_before_close_ms:
            return "CLOSING"
        if view.strike_cents is None:
            return "NO_STRIKE"
        if view.reference_cents is None or view.reference_age_ms is None:
            return "NO_REFERENCE"
        # A price no older than its own reaction is as young as it can have one.
        if view.reference_age_ms > max(settings.max_reference_age_ms, self.reaction_ms):
            return "STALE_REFERENCE"
        if self._volatility.per_sqrt_s is None:
            return "NO_VOLATILITY"
        if self._loss_room(view) <= 0:
            return "LOSS_CAP"
        return None

    def _out(self, view: View, why: Why) -> Sequence[Action]:
        self.state = State(why, view.market)
        self._sent = None
        if view.now_ms < max(self._resume_ms, self._pulled_ms + self.pace_ms) or not view.orders:
            return ()
        self._pulled_ms = view.now_ms
        return (Quotes(QUOTE_ID),)

    def _matters(self, view: View, plan: Plan) -> bool:
        """Whether the quote meant differs enough from what rests to be worth a write, and the pace allows one."""
        if view.now_ms - self._written_ms < self.pace_ms:
            return False
        sent = self._sent
        if sent is None or sent.market != view.market or sent.net_qty != view.net_qty:
            return True
        if max(abs(plan.centre - sent.centre), abs(plan.half - sent.half)) >= REQUOTE_CENTS:
            return True
        return _differs(_resting(view, 1), plan.bids) or _differs(_resting(view, -1), plan.asks)

    # ---- what to quote ----

    def plan(self, view: View) -> Plan:
        """The quote for a view in which strike, reference and volatility are known."""
        assert view.reference_cents is not None and view.strike_cents is not None
        sigma = self._volatility.per_sqrt_s
        assert sigma is not None
        left_ms = view.close_at_ms - view.now_ms
        fair = fair_value_cents(view.reference_cents, view.strike_cents, left_ms, sigma)
        delta_ms = max(self.reaction_ms, view.reference_age_ms or 0)
        d = distance(view.reference_cents, view.strike_cents, left_ms, sigma)
        risk = stale_risk_cents(d, delta_ms / 1000, left_ms / 1000) * self.settings.risk_pct / 100
        half = max(1.0, risk - rebate_cents(fair, view.limits.taker_rate_bps, view.limits.maker_rebate_bps))
        lean = self.settings.skew_cents * max(-1.0, min(1.0, view.net_qty / self.settings.position_limit))
        centre = fair - lean
        # The lean never goes through the fair value: nobody is paid to take the position off.
        bid = min(math.floor(fair), math.floor(centre - half))
        ask = max(math.ceil(fair), math.ceil(centre + half))
        bids = self._side(view, fair, bid, 1)
        asks = tuple((100 - price, qty) for price, qty in self._side(view, 100 - fair, 100 - ask, -1))
        return Plan(fair, centre, half, bids, asks)

    def _side(self, view: View, worth: float, best: int, sign: int) -> tuple[Level, ...]:
        """The levels of one side, best first, as purchases: of YES (`sign` 1), or of NO (−1) at 100 − price.

        Purchases of NO mirror those of YES in every rule, so there is one algorithm. `worth` is the fair value of what
        is bought, `best` the price meant for the first level.
        """
        settings, limits = self.settings, view.limits
        resting = _resting(view, sign)
        room_qty = self._room_qty(view, sign) - sum(qty for _, qty in resting)
        room_cents = self._room_cents(view, sign) - sum(qty * _cost(price, sign) for price, qty in resting)
        size = max(1, round(settings.level_qty * self._shrink(view) * self._appetite(view, sign)))
        first = min(_ceiling(view, sign), max(best, limits.price_min))
        if worth < first:  # Nobody can quote below 1: a bid there is a courtesy, and small.
            size = min(size, settings.tail_qty)
        levels: list[Level] = []
        for price in range(first, limits.price_min - 1, -settings.level_step)[: settings.levels]:
            # The notional of a sale counts its YES price, so the dearer of the two bounds both sides.
            notional_qty = limits.max_order_notional_cents // max(price, 100 - price)
            qty = min(size, room_qty, room_cents // price, limits.max_order_qty, notional_qty)
            if qty < 1:
                break
            levels.append((price, qty))
            room_qty -= qty
            room_cents -= qty * price
        return tuple(levels)

    def _shrink(self, view: View) -> float:
        """1 until `shrink_from_ms` before the close, then straight down to 0 at the close."""
        return min(1.0, (view.close_at_ms - view.now_ms) / self.settings.shrink_from_ms)

    def _appetite(self, view: View, sign: int) -> float:
        """1 with no position on that side, 0 at a limit: so the limits are approached in ever smaller steps."""
        used_qty = max(0, sign * view.net_qty) / self._position_limit(view)
        cap = min(self.settings.window_loss_cap_cents, self._loss_room(view))
        used_cents = max(0, _loss_cents(view, sign)) / cap
        return max(0.0, 1 - max(used_qty, used_cents))

    def _position_limit(self, view: View) -> int:
        return min(self.settings.position_limit, view.limits.position_cap)

    def _room_qty(self, view: View, sign: int) -> int:
        return self._position_limit(view) - sign * view.net_qty

    def _room_cents(self, view: View, sign: int) -> int:
        """What more that side may cost before the worst outcome of this window reaches a cap."""
        cap = min(self.settings.window_loss_cap_cents, self._loss_room(view))
        return cap - _loss_cents(view, sign)

    def _loss_room(self, view: View) -> int:
        """What this window may lose at worst before the total loss reaches its cap; other windows count as lost.

        Free cash is settled cash less the worst outcome of every market, resting orders included; adding this market's
        share of that back leaves what the house has if all the others end badly.
        """
        left = view.free_cash_cents + _lock_cents(view)
        return min(left, self.settings.loss_cap_cents - (self.granted_cents - left))

    # ---- what it learns ----

    def _learn(self, view: View) -> None:
        """Take in the prices that are new since the last look; after a long gap, start over."""
        history = view.reference_history
        fresh = len(history)
        while fresh and history[fresh - 1][0] > self._seen_ms:
            fresh -= 1
        if fresh == len(history):
            return
        if history[fresh][0] - self._seen_ms > HISTORY_MS:
            self._volatility = EwmaVolatility.of(history)
        else:
            for ts_ms, price in history[fresh:]:
                self._volatility.observe(ts_ms, price)
        self._seen_ms = history[-1][0]


def rebate_cents(price: float, taker_rate_bps: int, maker_rebate_bps: int) -> float:
    """What a maker gets back a contract at `price` cents: its share of θ·p·(1−p) (contract, section 8)."""
    return taker_rate_bps / 10_000 * maker_rebate_bps / 10_000 * price * (100 - price) / 100


def _resting(view: View, sign: int) -> list[Level]:
    """`(price, remaining)` of the quote's bids (`sign` 1) or asks (−1), best first."""
    side = "BUY" if sign > 0 else "SELL"
    return sorted(((o.price, o.remaining_qty) for o in view.orders.values() if o.side == side), reverse=sign > 0)


def _cost(price: int, sign: int) -> int:
    """Collateral of one contract: of YES at `price`, of NO at its complement."""
    return price if sign > 0 else 100 - price


def _loss_cents(view: View, sign: int) -> int:
    """What the position loses if YES (`sign` 1) or NO (−1) turns out worthless; negative: what it wins."""
    return -view.cash_flow_cents - (100 * view.net_qty if sign < 0 else 0)


def _lock_cents(view: View) -> int:
    """The collateral of this market (contract, section 8): position and all own resting orders, however placed."""
    worst = [_loss_cents(view, sign) for sign in (1, -1)]
    for order in view.orders.values():
        worst[order.side == "SELL"] += order.remaining_qty * _cost(order.price, 1 if order.side == "BUY" else -1)
    return max(0, *worst)


def _others(view: View) -> tuple[int | None, int | None]:
    """Best bid and ask of everybody else."""
    own: dict[tuple[str, int], int] = {}
    for order in view.orders.values():
        own[order.side, order.price] = own.get((order.side, order.price), 0) + order.remaining_qty
    bid = next((price for price, qty in view.bids if qty > own.get(("BUY", price), 0)), None)
    ask = next((price for price, qty in view.asks if qty > own.get(("SELL", price), 0)), None)
    return bid, ask


def _ceiling(view: View, sign: int) -> int:
    """The dearest purchase of YES (or of NO) that neither crosses the others nor counts as a fat finger."""
    limits = view.limits
    bid, ask = _others(view)
    mark = (bid + ask) // 2 if bid is not None and ask is not None else view.last_trade_price
    opposite = ask
    if sign < 0:
        opposite = None if bid is None else 100 - bid
        mark = None if mark is None else 100 - mark
    ceiling = limits.price_max if opposite is None else opposite - 1
    if mark is not None:
        ceiling = min(ceiling, max(mark + limits.fat_finger_distance, mark * limits.fat_finger_multiple))
    return min(ceiling, limits.price_max - 1)  # so that there is always a price left for the other side


def _differs(resting: Sequence[Level], meant: Sequence[Level]) -> bool:
    """Whether a side that rests is not what is meant: absent, two cents away, or a quarter larger or smaller."""
    if not resting or not meant:
        return bool(resting) != bool(meant)
    if abs(resting[0][0] - meant[0][0]) > REQUOTE_CENTS:
        return True
    rests, means = sum(qty for _, qty in resting), sum(qty for _, qty in meant)
    return abs(rests - means) > REQUOTE_SIZE * means
