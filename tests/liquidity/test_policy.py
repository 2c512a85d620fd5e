"""What the house may and may not do, for any view; then the reasons it stays out, one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.client.strategy import Limits, Outcome, OwnOrder, Quotes, Snapshot
from raeth.liquidity.policy import QUOTE_ID, HousePolicy, rebate_cents
from raeth.liquidity.settings import HouseSettings

OPEN_MS = 1_700_000_040_000
STRIKE = 9_500_000
LIMITS = Limits(
    max_order_qty=2_000,
    max_order_notional_cents=200_000,
    position_cap=5_000,
    open_orders_per_market=200,
    fat_finger_distance=20,
    fat_finger_multiple=5,
    reference_max_age_ms=3_000,
    taker_rate_bps=700,
    maker_rebate_bps=2_500,
)


def prices(until_ms: int, *, step: int = 900, seconds: int = 120) -> list[tuple[int, int]]:
    """A price that moves about one basis point a second."""
    return [(until_ms - 1_000 * n, STRIKE + (step if n % 2 else 0)) for n in range(seconds, -1, -1)]


def view(**changes: Any) -> Snapshot:
    """An ordinary moment in the middle of a window."""
    now_ms = changes.get("now_ms", OPEN_MS + 30_000)
    usual = {
        "now_ms": now_ms,
        "market": "BTC-1M-X",
        "open_at_ms": OPEN_MS,
        "close_at_ms": OPEN_MS + 60_000,
        "limits": LIMITS,
        "strike_cents": STRIKE,
        "reference_cents": STRIKE,
        "reference_age_ms": 200,
        "reference_history": prices(now_ms),
        "cash_cents": 10_000_000,
        "free_cash_cents": 10_000_000,
    }
    return Snapshot(**(usual | changes))


def own(levels: Sequence[tuple[str, int, int]]) -> dict[str, OwnOrder]:
    return {
        f"o{n}": OwnOrder(f"o{n}", side, price, qty, qty, quote_id=QUOTE_ID)
        for n, (side, price, qty) in enumerate(levels)
    }


def rested(quotes: Quotes) -> dict[str, OwnOrder]:
    """The quote as orders that rest."""
    return own([("BUY", *level) for level in quotes.bids] + [("SELL", *level) for level in quotes.asks])


def only(actions: Sequence[Any]) -> Quotes:
    assert len(actions) == 1 and isinstance(actions[0], Quotes)
    return actions[0]


def lock_cents(net: int, flow: int, orders: dict[str, OwnOrder]) -> int:
    buys = sum(o.price * o.remaining_qty for o in orders.values() if o.side == "BUY")
    sells = sum((100 - o.price) * o.remaining_qty for o in orders.values() if o.side == "SELL")
    return max(0, -flow + buys, -flow - 100 * net + sells)


@st.composite
def views(draw: st.DrawFn) -> tuple[HouseSettings, int, Snapshot]:
    """Settings, what was granted, and a view with a position, own orders and a book in which everything hangs
    together, at any moment of a window and any distance of the price from the strike."""
    settings = HouseSettings(
        position_limit=draw(st.sampled_from([1, 7, 100, 600, 9_000])),
        window_loss_cap_cents=draw(st.sampled_from([1, 500, 30_000, 10**7])),
        loss_cap_cents=draw(st.sampled_from([1, 20_000, 5_000_000])),
        levels=draw(st.integers(1, 20)),
        level_step=draw(st.integers(1, 10)),
        level_qty=draw(st.sampled_from([1, 40, 5_000])),
        skew_cents=draw(st.integers(0, 49)),
        risk_pct=draw(st.integers(1, 300)),
    )
    now_ms = OPEN_MS + draw(st.integers(0, 59_999))
    net = draw(st.integers(-settings.position_limit, settings.position_limit))
    flow = draw(st.integers(-100, 100)) * 300 - 50 * net
    levels = draw(
        st.lists(
            st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 99), st.integers(1, 50)),
            max_size=4,
            unique_by=lambda level: level[1],
        )
    )
    top = max((price for side, price, _ in levels if side == "BUY"), default=0)
    orders = own([level for level in levels if level[0] == "BUY" or level[1] > top])
    others_bid = draw(st.none() | st.integers(1, 98))
    others_ask = None if others_bid is None else draw(st.none() | st.integers(others_bid + 1, 99))
    bids = [(o.price, o.remaining_qty) for o in orders.values() if o.side == "BUY"]
    asks = [(o.price, o.remaining_qty) for o in orders.values() if o.side == "SELL"]
    bids += [(others_bid, 3)] if others_bid and not any(price <= others_bid for price, _ in asks) else []
    asks += [(others_ask, 3)] if others_ask and not any(price >= others_ask for price, _ in bids) else []
    bids, asks = merged(bids, reverse=True), merged(asks)
    cash = draw(st.integers(0, 20_000_000))
    elsewhere = draw(st.integers(0, 100_000))
    granted = max(0, cash + draw(st.integers(-6_000_000, 6_000_000)))
    return (
        settings,
        granted,
        view(
            now_ms=now_ms,
            reference_cents=STRIKE + draw(st.integers(-40_000, 40_000)),
            net_qty=net,
            cash_flow_cents=flow,
            cash_cents=cash,
            free_cash_cents=cash - elsewhere - lock_cents(net, flow, orders),
            orders=orders,
            bids=bids,
            asks=asks,
            last_trade_price=draw(st.none() | st.integers(1, 99)),
        ),
    )


def merged(levels: list[tuple[int, int]], *, reverse: bool = False) -> list[tuple[int, int]]:
    total: dict[int, int] = {}
    for price, qty in levels:
        total[price] = total.get(price, 0) + qty
    return sorted(total.items(), reverse=reverse)


@given(views())
def test_a_quote_is_never_crossed_and_on_the_grid(case: tuple[HouseSettings, int, Snapshot]) -> None:
    settings, granted, seen = case
    for action in HousePolicy(settings, granted_cents=granted).decide(seen):
        assert isinstance(action, Quotes) and action.quote_id == QUOTE_ID
        for levels in (action.bids, action.asks):
            assert len(levels) <= settings.levels
            assert len({price for price, _ in levels}) == len(levels)
            assert all(1 <= price <= 99 and qty >= 1 for price, qty in levels)
        assert list(action.bids) == sorted(action.bids, reverse=True) and list(action.asks) == sorted(action.asks)
        if action.bids and action.asks:
            assert action.bids[0][0] < action.asks[0][0]


@given(views())
def test_it_never_takes(case: tuple[HouseSettings, int, Snapshot]) -> None:
    """What it sends crosses nobody it can see."""
    settings, granted, seen = case
    mine = {(o.side, o.price): o.remaining_qty for o in seen.orders.values()}
    bids = [price for price, qty in seen.bids if qty > mine.get(("BUY", price), 0)]
    asks = [price for price, qty in seen.asks if qty > mine.get(("SELL", price), 0)]
    for action in HousePolicy(settings, granted_cents=granted).decide(seen):
        assert not asks or all(price < min(asks) for price, _ in action.bids)
        assert not bids or all(price > max(bids) for price, _ in action.asks)


@given(views())
def test_no_order_of_fills_breaks_a_bound(case: tuple[HouseSettings, int, Snapshot]) -> None:
    """All that rests may fill before the new quote arrives, and all of that too: position, loss of the window and total
    loss stay within their bounds on the side that is quoted, if they were there before."""
    settings, granted, seen = case
    left = seen.free_cash_cents + lock_cents(seen.net_qty, seen.cash_flow_cents, dict(seen.orders))
    for action in HousePolicy(settings, granted_cents=granted).decide(seen):
        resting = list(seen.orders.values())
        buys = [(o.price, o.remaining_qty) for o in resting if o.side == "BUY"] + list(action.bids)
        sells = [(o.price, o.remaining_qty) for o in resting if o.side == "SELL"] + list(action.asks)
        if action.bids:
            worst = -seen.cash_flow_cents + sum(price * qty for price, qty in buys)
            assert seen.net_qty + sum(qty for _, qty in buys) <= settings.position_limit
            assert worst <= settings.window_loss_cap_cents
            assert granted - (left - worst) <= settings.loss_cap_cents
            assert worst <= left
        if action.asks:
            worst = -seen.cash_flow_cents - 100 * seen.net_qty + sum((100 - price) * qty for price, qty in sells)
            assert seen.net_qty - sum(qty for _, qty in sells) >= -settings.position_limit
            assert worst <= settings.window_loss_cap_cents
            assert granted - (left - worst) <= settings.loss_cap_cents
            assert worst <= left


@given(views())
def test_the_same_view_gives_the_same_quote(case: tuple[HouseSettings, int, Snapshot]) -> None:
    settings, granted, seen = case
    one, two = (HousePolicy(settings, granted_cents=granted) for _ in range(2))
    assert one.decide(seen) == two.decide(seen) and one.state == two.state


@given(views())
def test_yes_and_no_are_mirrors(case: tuple[HouseSettings, int, Snapshot]) -> None:
    """Bids in the world with YES and NO exchanged are the asks of this one, but for whole cents of the mark."""
    settings, granted, seen = case
    seen = msgspec.structs.replace(seen, bids=(), asks=(), last_trade_price=None)
    price = seen.reference_cents
    assert price is not None
    flipped = msgspec.structs.replace(
        seen,
        strike_cents=price,
        reference_cents=seen.strike_cents,
        net_qty=-seen.net_qty,
        cash_flow_cents=seen.cash_flow_cents + 100 * seen.net_qty,
        orders={
            key: msgspec.structs.replace(o, side="SELL" if o.side == "BUY" else "BUY", price=100 - o.price)
            for key, o in seen.orders.items()
        },
    )
    here = HousePolicy(settings, granted_cents=granted).decide(seen)
    there = HousePolicy(settings, granted_cents=granted).decide(flipped)
    assert len(here) == len(there)
    for a, b in zip(here, there, strict=True):
        assert isinstance(a, Quotes) and isinstance(b, Quotes)
        assert [(100 - p, q) for p, q in b.bids] == list(a.asks) and [(100 - p, q) for p, q in b.asks] == list(a.bids)


@given(st.integers(0, 58_700), st.integers(-40_000, 40_000), st.integers(-300, 300))
def test_both_sides_are_quoted_wherever_the_price_is(at_ms: int, away: int, net: int) -> None:
    seen = view(
        now_ms=OPEN_MS + at_ms,
        reference_cents=STRIKE + away,
        net_qty=net,
        cash_flow_cents=-50 * net,
        free_cash_cents=10_000_000 - abs(50 * net),
    )
    quotes = only(HousePolicy().decide(seen))
    assert quotes.bids and quotes.asks


def test_an_ordinary_quote_surrounds_the_fair_value() -> None:
    """30 s to go at the strike: 39.9 · √(0.3 / 30) = 3.99 cents, a quarter more, less 0.44 of rebate."""
    policy = HousePolicy()
    quotes = only(policy.decide(view()))
    assert policy.state.fair_cents == pytest.approx(50)
    assert policy.state.half_spread_cents == pytest.approx(3.99 * 1.25 - 0.4375, abs=0.01)
    assert quotes == Quotes("house", ((45, 40), (44, 40), (43, 40)), ((55, 40), (56, 40), (57, 40)))


def test_the_rebate_of_section_8() -> None:
    assert rebate_cents(50, 700, 2_500) == pytest.approx(0.4375)
    assert rebate_cents(100, 700, 2_500) == 0


def test_quotes_lean_against_the_position() -> None:
    flat = only(HousePolicy().decide(view()))
    long = only(HousePolicy().decide(view(net_qty=300, cash_flow_cents=-15_000, free_cash_cents=9_985_000)))
    assert long.bids[0] == (flat.bids[0][0] - 3, 20) and long.asks[0] == (flat.asks[0][0] - 3, 40)


def test_the_lean_never_sells_below_the_fair_value() -> None:
    settings = HouseSettings(skew_cents=49)
    held = view(net_qty=599, cash_flow_cents=-29_000, free_cash_cents=9_971_000)
    assert only(HousePolicy(settings).decide(held)).asks[0][0] == 50


def test_sizes_shrink_towards_the_close() -> None:
    sizes = [
        sum(qty for _, qty in only(HousePolicy().decide(view(now_ms=OPEN_MS + at_ms))).bids)
        for at_ms in (39_000, 45_000, 50_000, 55_000, 58_000)
    ]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 120 and sizes[-1] < 20


def test_below_one_cent_a_bid_is_a_courtesy() -> None:
    quotes = only(HousePolicy().decide(view(reference_cents=STRIKE - 40_000)))
    assert quotes.bids == ((1, 5),) and quotes.asks[0] == (2, 40)


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("FROZEN", {"frozen": True}),
        ("HALTED", {"halted": True}),
        ("CLOSING", {"now_ms": OPEN_MS + 58_800}),
        ("NO_STRIKE", {"strike_cents": None}),
        ("NO_REFERENCE", {"reference_cents": None, "reference_age_ms": None}),
        ("STALE_REFERENCE", {"reference_age_ms": 2_001}),
        ("NO_VOLATILITY", {"reference_history": prices(OPEN_MS, seconds=9)}),
        ("LOSS_CAP", {"cash_cents": 5_000_000, "free_cash_cents": 5_000_000}),
        ("LOSS_CAP", {"free_cash_cents": 5_000_000}),
    ],
)
def test_out(why: str, changes: dict[str, Any]) -> None:
    """Out: nothing is quoted, and what rests is pulled, once."""
    policy = HousePolicy()
    assert policy.decide(view(**changes)) == ()
    assert (policy.state.why, policy.state.fair_cents) == (why, None)
    orders = own([("BUY", 47, 10)])
    if "free_cash_cents" in changes:
        changes = changes | {"free_cash_cents": changes["free_cash_cents"] - 470}
    resting = view(**changes, orders=orders, bids=[(47, 10)])
    assert policy.decide(resting) == (Quotes(QUOTE_ID),)
    assert policy.decide(resting) == ()
    assert only(HousePolicy().decide(view())).bids


def test_it_stays_out_where_time_runs_too_fast() -> None:
    policy = HousePolicy(speed=60)
    assert policy.decide(view()) == () and policy.state.why == "TOO_SLOW"


def test_where_time_runs_fast_the_spread_is_that_of_its_reaction() -> None:
    policy = HousePolicy(speed=30)
    quotes = only(policy.decide(view(reference_age_ms=5_000)))
    assert policy.state.half_spread_cents == pytest.approx(1.25 * 39.9 * math.sqrt(9 / 30) - 0.4375, abs=0.05)
    assert quotes.bids[0][0] < 29


def test_nothing_is_sent_while_something_is_under_way() -> None:
    assert HousePolicy().decide(view(in_flight=1)) == ()


# ---- how often ----


def after(seen: Snapshot, ms: int, **changes: Any) -> Snapshot:
    now_ms = seen.now_ms + ms
    return msgspec.structs.replace(seen, now_ms=now_ms, reference_history=prices(now_ms), **changes)


def test_a_quote_that_still_fits_is_left_alone() -> None:
    policy = HousePolicy()
    seen = view(now_ms=OPEN_MS + 20_000)
    quotes = only(policy.decide(seen))
    resting = rested(quotes)
    assert policy.decide(after(seen, 1_000, orders=resting, bids=quotes.bids, asks=quotes.asks)) == ()
    assert policy.decide(after(seen, 1_000, orders=resting, reference_cents=STRIKE + 10)) == ()
    moved = policy.decide(after(seen, 1_000, orders=resting, reference_cents=STRIKE + 1_000))
    assert only(moved).bids[0][0] > quotes.bids[0][0]


@pytest.mark.parametrize("ms", [0, 100, 249])
def test_not_sooner_than_the_pace_allows(ms: int) -> None:
    policy = HousePolicy()
    seen = view()
    resting = rested(only(policy.decide(seen)))
    assert policy.decide(after(seen, ms, orders=resting, reference_cents=STRIKE + 5_000)) == ()
    assert policy.decide(after(seen, 250, orders=resting, reference_cents=STRIKE + 5_000))


def test_a_pull_does_not_wait() -> None:
    policy = HousePolicy()
    seen = view()
    resting = rested(only(policy.decide(seen)))
    assert policy.decide(after(seen, 1, orders=resting, frozen=True)) == (Quotes(QUOTE_ID),)


def test_a_fill_is_answered() -> None:
    policy = HousePolicy()
    seen = view()
    quotes = only(policy.decide(seen))
    orders = rested(quotes)
    del orders["o0"]
    price, qty = quotes.bids[0]
    filled = after(
        seen,
        300,
        orders=orders,
        net_qty=qty,
        cash_flow_cents=-price * qty,
        free_cash_cents=10_000_000 - lock_cents(qty, -price * qty, orders),
    )
    assert only(policy.decide(filled)).asks


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(-3_000, 3_000)), min_size=50, max_size=150))
def test_writes_stay_within_what_is_declared(steps: list[tuple[int, int]]) -> None:
    policy = HousePolicy()
    seen, price, orders = view(now_ms=OPEN_MS), STRIKE, {}
    sent: list[int] = []
    for ms, move in steps:
        price += move
        if seen.now_ms + ms >= OPEN_MS + 58_800:
            break
        seen = after(seen, ms, reference_cents=price, orders=orders, free_cash_cents=10**7 - lock_cents(0, 0, orders))
        for action in policy.decide(seen):
            assert isinstance(action, Quotes)
            sent.append(seen.now_ms)
            orders = rested(action)
            policy.told(Outcome(action, ok=len(sent) % 3 > 0, reason="POST_ONLY_WOULD_CROSS"))
    assert all(b - a >= 250 for a, b in pairwise(sent))


def test_declines_are_answered_by_growing_pauses() -> None:
    policy = HousePolicy()
    seen, waited = view(now_ms=OPEN_MS), []
    for _ in range(5):
        since = seen.now_ms
        while not (actions := policy.decide(seen)):
            seen = after(seen, 100)
        waited.append(seen.now_ms - since)
        policy.told(Outcome(actions[0], ok=False, reason="AGENT_SIDE_COOLDOWN"))
    assert waited == [0, 500, 1_000, 2_000, 5_000]
    policy.decide(seen)
    assert policy.state.why == "DECLINED"


def test_a_pause_that_is_asked_for_is_kept() -> None:
    policy = HousePolicy()
    seen = view(now_ms=OPEN_MS)
    asked = Outcome(policy.decide(seen)[0], ok=False, reason="RATE_LIMITED", details={"retry_after_ms": 7_000})
    policy.told(asked)
    assert policy.decide(after(seen, 10)) == () and policy.decide(after(seen, 6_900)) == ()
    assert policy.decide(after(seen, 7_010))


def test_after_a_fast_move_it_goes_as_far_as_the_fat_finger_check_lets_it() -> None:
    """Last trade at 10, nobody else in the book, fair value now near 99: a bid may reach max(10 + 20, 5 · 10)."""
    quotes = only(HousePolicy().decide(view(last_trade_price=10, reference_cents=STRIKE + 40_000)))
    assert quotes.bids[0][0] == 50 and quotes.asks[0][0] == 99
