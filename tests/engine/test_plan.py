"""Planning: preview tells exactly what the order then does, and changes nothing; repairs repair."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from raeth.engine.exchange import preview
from raeth.engine.margin import lock_cents, worst_case_loss
from raeth.engine.snapshot import dump
from raeth.engine.types import BUY, FOK, GTC, IOC, MARKET, POST_ONLY, SELL
from tests.engine.venue import NO_FEES, Venue

SEEDS = range(12)


def random_spec(venue: Venue, random: Random) -> Any:
    side = random.choice([BUY, SELL])
    more: dict[str, Any] = {
        "stp": random.choice(["CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"]),
        "reduce_only": random.random() < 0.2,
    }
    if random.random() < 0.2:
        cap = random.choice([None, 0, 1, 5])
        return venue.spec(side, None, random.randint(1, 30), random.choice([IOC, FOK]), slippage_cap=cap, **more)
    tif = random.choice([GTC, GTC, GTC, IOC, FOK, POST_ONLY])
    return venue.spec(side, random.randint(40, 60), random.randint(0, 30), tif, **more)


@pytest.mark.parametrize("seed", SEEDS)
def test_preview_does_not_lie(seed: int) -> None:
    random = Random(seed)
    venue = Venue(signup_grant_cents=4_000, position_cap=60, cooldown_rejects=8, cooldown_ms=100)
    agents = [*venue.agents, venue.sibling(venue.agents[0], 2_000)]
    accepted = 0
    for _ in range(150):
        venue.ts += random.choice([0, 1, 60])
        venue.index()
        agent, spec = random.choice(agents), random_spec(venue, random)
        trimming = venue.live.reducers > 0
        before = dump(venue.state)
        seen = preview(venue.state, venue.agent(agent), spec, venue.ts)
        assert dump(venue.state) == before, "a preview changed the venue"
        assert seen is not None
        order = venue.place(agent, spec)
        if seen.decline is not None:
            assert (order.reject_reason, order.reject_details) == seen.decline
            continue
        accepted += 1
        assert seen.plan is not None
        position = venue.position(agent)
        assert order.reject_reason is None
        assert [(m.price, qty) for m, qty in seen.plan.fills] == [(f.price, f.qty) for f in order.fills]
        assert (seen.net, seen.fee_cents) == (position.net, order.fee_cents)
        assert seen.cash_flow_cents == position.cash_flow
        if not trimming:  # what is trimmed afterwards frees more than was asked for
            assert seen.lock_cents == position.lock
    assert accepted > 30


@pytest.mark.parametrize("seed", SEEDS)
def test_the_repair_of_a_margin_decline_is_the_largest_that_passes(seed: int) -> None:
    random = Random(seed)
    venue = Venue(signup_grant_cents=random.randint(100, 900), cooldown_rejects=10**6)
    rich, poor = venue.join(cash=1_000_000), venue.join()
    for price in range(45, 56, 2):
        if price < 50:
            venue.buy(rich, price, random.randint(1, 5))
        else:
            venue.sell(rich, price, random.randint(1, 5))
    seen = 0
    for _ in range(60):
        side, price = random.choice([BUY, SELL]), random.randint(40, 60)
        tif = random.choice([GTC, IOC])
        order = venue.place(poor, venue.spec(side, price, random.randint(1, 40), tif))
        if order.reject_reason != "INSUFFICIENT_MARGIN":
            continue
        seen += 1
        assert order.reject_details is not None
        details = order.reject_details
        assert details["free_cash_cents"] == venue.agent(poor).free < details["required_cents"]
        beyond = venue.spec(side, price, details["max_qty"] + 1, tif)
        refused = preview(venue.state, venue.agent(poor), beyond, venue.ts)
        assert refused is not None and refused.decline is not None and refused.decline[0] == "INSUFFICIENT_MARGIN"
        if details["max_qty"]:
            fits = venue.spec(side, price, details["max_qty"], tif)
            allowed = preview(venue.state, venue.agent(poor), fits, venue.ts)
            assert allowed is not None and allowed.decline is None
    assert seen > 5


class TestMargin:
    def test_exactly_the_free_cash_is_enough(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a, b, _ = venue.agents
        assert venue.buy(a, 50, 10).status == "OPEN"
        assert venue.agent(a).free == 0
        assert venue.buy(b, 51, 10).reject_details == {
            "required_cents": 510,
            "free_cash_cents": 500,
            "max_qty": 9,
        }

    def test_the_fee_is_part_of_what_a_taker_needs(self) -> None:
        venue = Venue(signup_grant_cents=517, agents=2)
        a, b = venue.agents
        venue.sell(a, 50, 10)
        # 500 of notional and 17.5 of fee, up to 18.
        assert venue.buy(b, 50, 10, IOC).reject_details == {
            "required_cents": 518,
            "free_cash_cents": 517,
            "max_qty": 9,
        }

    def test_two_sided_quotes_cost_one_side(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a = venue.agents[0]
        venue.buy(a, 45, 10)
        assert venue.sell(a, 55, 10).status == "OPEN"
        assert venue.agent(a).locked == 450

    def test_closing_frees_collateral_at_once_even_with_no_cash_left(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a, b, _ = venue.agents
        venue.sell(b, 50, 10)
        venue.buy(a, 50, 10)
        assert venue.agent(a).free == 0
        assert venue.sell(a, 60, 10).status == "OPEN", "an order that closes needs nothing"
        assert venue.buy(a, 1, 1).reject_reason == "INSUFFICIENT_MARGIN"

    def test_what_self_trade_prevention_cancels_counts_as_free(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a = venue.agents[0]
        venue.buy(a, 50, 10)
        # Selling at 50 cancels the own bid: 10 × 50 for NO is all the agent has.
        assert venue.sell(a, 50, 10).status == "OPEN"

    def test_the_lock_is_the_worst_outcome(self) -> None:
        for net in range(-3, 4):
            for flow in range(-300, 301, 60):
                if_no, if_yes = flow, flow + 100 * net
                assert worst_case_loss(net, flow) == max(0, -if_no, -if_yes)
                assert lock_cents(net, flow, 0, 0) == worst_case_loss(net, flow)
                assert lock_cents(net, flow, 40, 70) == max(0, -if_no + 40, -if_yes + 70)


class TestOpenOrdersCap:
    def test_at_the_cap_and_one_beyond(self) -> None:
        venue = Venue(open_orders_per_market=3)
        a, b, _ = venue.agents
        for price in (10, 11, 12):
            order = venue.buy(a, price, 1)
        assert venue.buy(a, 13, 1).reject_details == {"open_orders_cap": 3}
        assert venue.buy(b, 13, 1).status == "OPEN"
        assert type(venue.amend(a, order, price=14)).__name__ == "OrderAmended", "it replaces itself"
        venue.cancel(a, order)
        assert venue.buy(a, 13, 1).status == "OPEN"

    def test_what_does_not_rest_needs_no_place(self) -> None:
        venue = Venue(open_orders_per_market=1)
        a, b, _ = venue.agents
        venue.buy(a, 10, 1)
        venue.sell(b, 50, 5)
        assert venue.buy(a, 50, 1).status == "FILLED"
        assert venue.buy(a, 50, 1, IOC).status == "FILLED"
        assert venue.buy(a, 50, 9).reject_reason == "OPEN_ORDERS_CAP"

    def test_own_makers_that_are_cancelled_make_room(self) -> None:
        venue = Venue(open_orders_per_market=1)
        a = venue.agents[0]
        venue.buy(a, 50, 1)
        assert venue.sell(a, 50, 1).status == "OPEN"
        assert len(venue.position(a).orders) == 1


class TestMarketAndFok:
    def test_a_market_order_takes_what_there_is(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.sell(a, 50, 2)
        venue.sell(a, 99, 2)
        order = venue.buy(b, None, 9)
        assert (order.type, order.filled, order.status, order.cancel_reason) == (
            MARKET,
            4,
            "CANCELLED",
            "IOC_REMAINDER",
        )

    @pytest.mark.parametrize(("cap", "filled"), [(0, 2), (1, 2), (2, 4), (48, 4), (49, 6), (1_000, 6), (None, 6)])
    def test_slippage_counts_from_the_touch_at_arrival(self, cap: int | None, filled: int) -> None:
        for side in (BUY, SELL):
            venue = Venue(**NO_FEES)
            a, b, _ = venue.agents
            for price in (50, 52, 99):
                venue.place(a, venue.spec(1 - side, price if side == BUY else 100 - price, 2))
            order = venue.place(b, venue.spec(side, None, 9, slippage_cap=cap))
            assert order.filled == filled

    def test_the_touch_is_the_visible_one_even_if_it_is_ones_own(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.sell(b, 50, 2)
        venue.sell(a, 52, 2)
        venue.sell(a, 53, 2)
        assert venue.buy(b, None, 4, slippage_cap=2).filled == 2

    def test_fok_on_a_market_order(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        assert venue.buy(b, None, 1, FOK).reject_reason == "MARKET_NO_LIQUIDITY"
        venue.sell(a, 50, 2)
        refused = venue.buy(b, None, 3, FOK)
        assert (refused.reject_reason, refused.reject_details) == ("FOK_NOT_FILLABLE", {"max_qty": 2})
        assert venue.buy(b, None, 3, FOK, slippage_cap=0).reject_details == {"max_qty": 2}
        assert venue.buy(b, None, 2, FOK).status == "FILLED"

    @pytest.mark.parametrize("stp", ["CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"])
    def test_own_liquidity_is_none_and_a_decline_cancels_nothing(self, stp: str) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        own = venue.sell(a, 50, 5)
        other = venue.sell(b, 51, 2)
        assert venue.buy(a, 51, 3, FOK, stp=stp).reject_reason == "FOK_NOT_FILLABLE"
        assert venue.resting(SELL) == [own.id, other.id]
        if stp == "CANCEL_MAKER":
            venue.cancel(b, other)
            assert venue.buy(a, None, 1, stp=stp).reject_reason == "MARKET_NO_LIQUIDITY"
            assert venue.resting(SELL) == [own.id]

    def test_post_only_counts_own_orders_as_crossing(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        venue.sell(a, 50, 5)
        venue.buy(a, 40, 5)
        bid, ask = venue.buy(a, 50, 1, POST_ONLY), venue.sell(a, 40, 1, POST_ONLY)
        assert (bid.reject_reason, bid.reject_details) == ("POST_ONLY_WOULD_CROSS", {"best_non_crossing_price": 49})
        assert (ask.reject_reason, ask.reject_details) == ("POST_ONLY_WOULD_CROSS", {"best_non_crossing_price": 41})
        assert venue.buy(a, 49, 1, POST_ONLY).status == "OPEN"

    def test_at_the_end_of_the_band_nothing_can_rest(self) -> None:
        venue = Venue(**NO_FEES)
        venue.sell(venue.agents[0], 1, 5)
        assert venue.buy(venue.agents[1], 1, 1, POST_ONLY).reject_details == {}
