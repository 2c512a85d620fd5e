"""The risk chain, link by link, at its bounds: exactly at each is let through, one beyond is declined (section 5)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.engine import commands as cmd
from raeth.engine import risk
from raeth.engine.plan import judge
from raeth.engine.state import Account, Agent, Market, Position, State
from raeth.engine.types import BUY, FOK, IOC, OPEN, POST_ONLY, SELL, Order, Settings
from tests.engine.venue import MINUTE, NO_FEES, OPEN_AT, Venue, declined

RICH = {"signup_grant_cents": 100_000_000, **NO_FEES}
PRICES = st.integers(1, 99)


def lone_market(last_price: int | None, **rules: Any) -> Market:
    """A market with an empty book, so that its mark is its last trade."""
    market = Market(1, "X", OPEN_AT, OPEN_AT + MINUTE, Settings(reference_kind="simulated", **rules), 1)
    market.last_price = last_price
    return market


@given(data=st.data())
def test_every_order_that_a_link_would_decline_is_put_to_it(data: st.DataObject) -> None:
    """`judge` only asks the links where they could decline; what it says is what asking always would say."""
    draw = data.draw
    distance = draw(st.integers(0, 12))
    rules = {
        "fat_finger_distance": distance,
        "fat_finger_multiple": draw(st.sampled_from([1, 1, 2])),
        "max_order_qty": draw(st.sampled_from([10, 10**6])),
        "max_order_notional_cents": draw(st.sampled_from([500, 10**6])),
        "position_cap": draw(st.sampled_from([60, 10**6])),
    }
    market = lone_market(draw(st.none() | PRICES), **rules)
    market.status = OPEN
    bid = draw(st.integers(0, 98))
    ask = min(100, bid + draw(st.sampled_from([1, 2, 5, 100])))
    for n, (there, price) in enumerate(((BUY, bid), (SELL, ask))):
        if 1 <= price <= 99:  # 0 and 100: nothing on this side
            order = Order(
                *(n + 1, 7, 7, 1, there, "LIMIT", "GTC", price, 9, 9, False, "CANCEL_MAKER"),
                *(None, None, None, 0, 0, 1),
            )
            market.book.add(order, price if there == BUY else 100 - price)
    agent = Agent(8, Account(8, "", 0), "a", 0)
    agent.cash = 10**9
    position = Position(agent)
    side, net, resting = draw(st.sampled_from([BUY, SELL])), draw(st.integers(-90, 90)), draw(st.integers(0, 60))
    position.net, position.resting[side] = net, resting
    level = market.book.best[side] + distance + draw(st.integers(-2, 4))  # about as far as one may go
    price = draw(PRICES | st.just(max(1, min(99, level if side == BUY else 100 - level))))
    spec = limit(side, price, draw(st.integers(1, 40)))
    asked = risk.fat_finger(market, spec) or risk.position_cap(market, spec, net, resting)
    assert judge(State(), market, position, spec, OPEN_AT)[0] == asked


def limit(side: int, price: int | None, qty: int) -> cmd.OrderSpec:
    return cmd.OrderSpec(1, side, "MARKET" if price is None else "LIMIT", "GTC", price, qty)


class TestFatFinger:
    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_quantity_at_the_bound_and_one_beyond(self, side: int) -> None:
        venue = Venue(max_order_qty=40, **RICH)
        agent = venue.agents[0]
        assert venue.place(agent, venue.spec(side, 50, 40)).status == "OPEN"
        assert declined(venue.place(agent, venue.spec(side, 50, 41))) == ("FAT_FINGER", {"max_qty": 40})

    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_notional_at_the_bound_and_one_contract_beyond(self, side: int) -> None:
        """Notional is price times quantity for both sides; the repair is the largest quantity that fits."""
        venue = Venue(max_order_notional_cents=999, **RICH)
        agent = venue.agents[0]
        assert venue.place(agent, venue.spec(side, 37, 27)).status == "OPEN"  # 999
        assert declined(venue.place(agent, venue.spec(side, 40, 25))) == ("FAT_FINGER", {"max_qty": 24})

    def test_a_market_order_is_bounded_by_quantity_alone(self) -> None:
        venue = Venue(max_order_qty=40, max_order_notional_cents=1, **RICH)
        a, b, _ = venue.agents
        assert declined(venue.buy(b, None, 41)) == ("FAT_FINGER", {"max_qty": 40})
        venue.sell(a, 50, 1, confirm_fat_finger=True)
        assert venue.buy(b, None, 40).filled == 1

    @pytest.mark.parametrize("mark", [20, 50, 80])
    def test_a_mark_in_the_middle_bounds_nothing(self, mark: int) -> None:
        """5 × 20 is beyond the band already, on both sides."""
        for side, far in ((BUY, 99), (SELL, 1)):
            assert risk.fat_finger(lone_market(mark), limit(side, far, 1)) is None

    @pytest.mark.parametrize(
        ("mark", "bound"),
        # At 4 the distance rules (24 > 20), at 5 both say 25, at 6 the multiple does (30 > 26).
        [(1, 21), (4, 24), (5, 25), (6, 30), (19, 95)],
    )
    def test_both_distance_and_multiple_must_be_passed_by_a_buy(self, mark: int, bound: int) -> None:
        market = lone_market(mark)
        assert risk.fat_finger(market, limit(BUY, bound, 1)) is None
        repair = {"mark_price": mark, "price_min": 1, "price_max": bound}
        assert risk.fat_finger(market, limit(BUY, bound + 1, 1)) == ("FAT_FINGER", repair)

    @given(PRICES, PRICES, st.sampled_from([0, 5, 20]), st.sampled_from([1, 2, 5]))
    def test_a_sell_is_the_mirror_of_a_buy(self, mark: int, price: int, distance: int, multiple: int) -> None:
        rules = {"fat_finger_distance": distance, "fat_finger_multiple": multiple}
        bought = risk.fat_finger(lone_market(mark, **rules), limit(BUY, price, 1))
        sold = risk.fat_finger(lone_market(100 - mark, **rules), limit(SELL, 100 - price, 1))
        assert (bought is None) == (sold is None)
        if bought is not None and sold is not None:
            assert bought[1]["price_max"] == 100 - sold[1]["price_min"]

    @given(PRICES, PRICES, st.sampled_from([BUY, SELL]))
    def test_the_repair_is_the_edge(self, mark: int, price: int, side: int) -> None:
        market = lone_market(mark)
        decline = risk.fat_finger(market, limit(side, price, 1))
        if decline is None:
            return
        low, high = decline[1]["price_min"], decline[1]["price_max"]
        assert not low <= price <= high
        for edge in (low, high):
            assert risk.fat_finger(market, limit(side, edge, 1)) is None
        beyond = high + 1 if side == BUY else low - 1
        assert risk.fat_finger(market, limit(side, beyond, 1)) is not None

    @given(PRICES, PRICES)
    def test_a_passive_price_is_never_too_far(self, mark: int, price: int) -> None:
        """Only the aggressive side is judged: however low a bid, however high an offer."""
        market = lone_market(mark)
        if price <= mark:
            assert risk.fat_finger(market, limit(BUY, price, 1)) is None
        else:
            assert risk.fat_finger(market, limit(SELL, price, 1)) is None

    def test_no_mark_means_only_size(self) -> None:
        venue = Venue(**RICH)
        assert venue.live.mark() is None
        assert venue.buy(venue.agents[0], 99, 1).status == "OPEN"
        assert venue.live.mark() is None, "one side is no mid"

    def test_the_mark_is_the_floor_of_the_mid_then_the_last_trade(self) -> None:
        venue = Venue(**RICH)
        a, b, _ = venue.agents
        venue.buy(a, 3, 1)
        venue.sell(b, 6, 1)
        assert venue.live.mark() == 4
        assert declined(venue.buy(a, 25, 1)) == ("FAT_FINGER", {"mark_price": 4, "price_min": 1, "price_max": 24})
        venue.buy(a, 6, 1)
        assert venue.live.mark() == 6, "the ask is gone: the last trade"
        assert venue.buy(a, 30, 1).status == "OPEN"
        assert declined(venue.buy(a, 31, 1))[0] == "FAT_FINGER"

    def test_confirming_skips_this_link_and_no_other(self) -> None:
        venue = Venue(max_order_qty=10, position_cap=20, cooldown_rejects=1, **RICH)
        a = venue.agents[0]
        assert venue.buy(a, 50, 20, confirm_fat_finger=True).status == "OPEN"
        assert declined(venue.buy(a, 50, 1, confirm_fat_finger=True))[0] == "POSITION_CAP"
        assert declined(venue.buy(a, 50, 0, confirm_fat_finger=True))[0] == "AGENT_SIDE_COOLDOWN"
        venue.ts += 60_000 - 5_001
        assert declined(venue.sell(a, None, 1, confirm_fat_finger=True))[0] == "NO_REFERENCE_PRICE"


class TestPositionCap:
    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_at_the_cap_and_one_beyond_counting_what_rests(self, side: int) -> None:
        venue = Venue(position_cap=100, **RICH)
        a = venue.agents[0]
        venue.give(a, 30 if side == BUY else -30)
        resting_price = 40 if side == BUY else 60
        assert venue.place(a, venue.spec(side, resting_price, 50)).status == "OPEN"
        assert declined(venue.place(a, venue.spec(side, resting_price, 21))) == (
            "POSITION_CAP",
            {"position_cap": 100, "max_qty": 20},
        )
        assert venue.place(a, venue.spec(side, resting_price, 20)).status == "OPEN"

    def test_the_other_side_does_not_count(self) -> None:
        venue = Venue(position_cap=100, **RICH)
        a = venue.agents[0]
        venue.buy(a, 40, 100)
        assert venue.sell(a, 60, 100).status == "OPEN"

    @pytest.mark.parametrize("sign", [1, -1])
    def test_an_order_that_leaves_no_more_than_there_is_always_passes(self, sign: int) -> None:
        """Above the cap by a lowered rule: out is open up to the mirror of the position, in is shut."""
        position, market = Position(Agent.__new__(Agent)), lone_market(None, position_cap=10)
        position.net = sign * 25
        out, deeper = (SELL, BUY) if sign > 0 else (BUY, SELL)
        for qty in (1, 25, 26, 35, 50):
            assert risk.position_cap(market, limit(out, 50, qty), position.net, 0) is None
        assert risk.position_cap(market, limit(out, 50, 51), position.net, 0) == (
            "POSITION_CAP",
            {"position_cap": 10, "max_qty": 50},
        )
        assert risk.position_cap(market, limit(deeper, 50, 1), position.net, 0) == (
            "POSITION_CAP",
            {"position_cap": 10, "max_qty": 0},
        )

    @given(
        st.integers(-60, 60), st.integers(0, 60), st.integers(1, 130), st.integers(1, 50), st.sampled_from([BUY, SELL])
    )
    def test_the_rule_as_the_contract_words_it(self, net: int, resting: int, qty: int, cap: int, side: int) -> None:
        market = lone_market(None, position_cap=cap)
        worst = abs(net + (resting + qty if side == BUY else -resting - qty))
        decline = risk.position_cap(market, limit(side, 50, qty), net, resting)
        assert (decline is None) == (worst <= cap or worst <= abs(net))
        if decline is not None and decline[1]["max_qty"]:
            repaired = limit(side, 50, decline[1]["max_qty"])
            assert risk.position_cap(market, repaired, net, resting) is None

    def test_an_amend_does_not_count_the_order_it_replaces(self) -> None:
        venue = Venue(position_cap=100, **RICH)
        a = venue.agents[0]
        order = venue.buy(a, 40, 100)
        assert venue.amend(a, order, price=41).__class__.__name__ == "OrderAmended"
        beyond = venue.amend(a, order, qty=101)
        assert beyond.reason == "POSITION_CAP"  # type: ignore[attr-defined]


class TestReferencePrice:
    @pytest.mark.parametrize(("age", "code"), [(2_999, "MARKET_NO_LIQUIDITY"), (3_000, "NO_REFERENCE_PRICE")])
    def test_young_means_younger_than_the_bound(self, age: int, code: str) -> None:
        venue = Venue(reference_max_age_ms=3_000)
        venue.ts = OPEN_AT + age
        order = venue.buy(venue.agents[0], None, 1)
        assert order.reject_reason == code

    def test_its_age_is_that_of_its_source_and_not_of_its_arrival(self) -> None:
        venue = Venue(reference_max_age_ms=3_000)
        venue.ts = OPEN_AT + 4_000
        venue.index(source_ts=OPEN_AT + 1_000)
        assert declined(venue.buy(venue.agents[0], None, 1)) == ("NO_REFERENCE_PRICE", {"retry_after_ms": 1_000})

    def test_none_at_all(self) -> None:
        venue = Venue(opened=False)
        venue.at(OPEN_AT)
        assert venue.sell(venue.agents[0], None, 1).reject_reason == "NO_REFERENCE_PRICE"

    def test_a_limit_order_needs_none(self) -> None:
        venue = Venue(opened=False)
        venue.at(OPEN_AT)
        assert venue.buy(venue.agents[0], 50, 1, IOC).reject_reason is None


class TestCooldown:
    """Three declines within a second lock the side for two."""

    RULES = {"cooldown_rejects": 3, "cooldown_window_ms": 1_000, "cooldown_ms": 2_000, **NO_FEES}

    def venue(self) -> Venue:
        return Venue(**self.RULES)

    def bad(self, venue: Venue, agent: int, side: int = BUY) -> str | None:
        return venue.place(agent, venue.spec(side, 50, 0)).reject_reason

    def test_the_lock_begins_with_the_last_decline_and_ends_to_the_millisecond(self) -> None:
        venue = self.venue()
        a = venue.agents[0]
        for step in (0, 400, 600):
            venue.ts = OPEN_AT + step
            assert self.bad(venue, a) == "INVALID_QTY"
        until = OPEN_AT + 2_600
        venue.ts = until - 1
        assert declined(venue.buy(a, 50, 1)) == (
            "AGENT_SIDE_COOLDOWN",
            {"cooldown_ends_at": until, "retry_after_ms": 1},
        )
        venue.ts = until
        assert venue.buy(a, 50, 1).status == "OPEN"

    @pytest.mark.parametrize(("last", "locked"), [(1_000, True), (1_001, False)])
    def test_the_window_is_counted_back_from_the_newest_decline(self, last: int, locked: bool) -> None:
        venue = self.venue()
        a = venue.agents[0]
        for step in (0, 500, last):
            venue.ts = OPEN_AT + step
            self.bad(venue, a)
        assert (venue.buy(a, 50, 1).reject_reason == "AGENT_SIDE_COOLDOWN") == locked

    def test_it_is_per_side_agent_and_market(self) -> None:
        venue = self.venue()
        a, b, _ = venue.agents
        other = venue.sibling(a)
        for _ in range(2):
            self.bad(venue, a)
            self.bad(venue, a, SELL)
            self.bad(venue, b)
        assert self.bad(venue, a) == "INVALID_QTY"
        assert self.bad(venue, a) == "AGENT_SIDE_COOLDOWN"
        assert venue.sell(a, 60, 1).status == "OPEN"
        assert venue.buy(b, 50, 1).status == "OPEN"
        assert venue.buy(other, 50, 1).status == "OPEN", "another agent of the account is another agent"
        assert venue.buy(a, 50, 1, market=venue.pending.id).reject_reason == "MARKET_NOT_OPEN"

    def test_declines_of_the_cooldown_itself_do_not_prolong_it(self) -> None:
        venue = self.venue()
        a = venue.agents[0]
        for _ in range(3):
            self.bad(venue, a)
        for step in range(0, 2_000, 200):
            venue.ts = OPEN_AT + step
            assert self.bad(venue, a) == "AGENT_SIDE_COOLDOWN"
        venue.ts = OPEN_AT + 2_000
        assert self.bad(venue, a) == "INVALID_QTY", "and the count began anew"
        assert self.bad(venue, a) == "INVALID_QTY"
        assert self.bad(venue, a) == "INVALID_QTY"
        assert self.bad(venue, a) == "AGENT_SIDE_COOLDOWN"

    def test_outcomes_of_the_market_do_not_count(self) -> None:
        venue = Venue(cooldown_rejects=1, **NO_FEES)
        a, b, _ = venue.agents
        assert venue.buy(a, None, 1).reject_reason == "MARKET_NO_LIQUIDITY"
        assert venue.buy(a, None, 1, FOK).reject_reason == "MARKET_NO_LIQUIDITY"
        venue.sell(b, 50, 1)
        assert venue.buy(a, 50, 2, FOK).reject_reason == "FOK_NOT_FILLABLE"
        assert venue.buy(a, 50, 1, POST_ONLY).reject_reason == "POST_ONLY_WOULD_CROSS"
        assert venue.buy(a, 49, 1).status == "OPEN"

    def test_the_other_legs_of_a_failed_batch_do_not_count(self) -> None:
        venue = Venue(cooldown_rejects=1, **NO_FEES)
        a, b, _ = venue.agents
        venue.sell(b, 50, 1)
        first, second = venue.batch(a, venue.spec(BUY, 50, 1), venue.spec(SELL, 50, 0), atomic=True)
        assert (first.reject_reason, second.reject_reason) == ("STRATEGY_NOT_FILLED", "INVALID_QTY")
        assert venue.buy(a, 50, 1).status == "FILLED"
        assert self.bad(venue, a, SELL) == "AGENT_SIDE_COOLDOWN"

    @pytest.mark.parametrize(
        "make",
        [
            lambda v, a: v.buy(a, 50, 0),
            lambda v, a: v.buy(a, 100, 1),
            lambda v, a: v.buy(a, 50, 3_000),
            lambda v, a: v.buy(a, 50, 1, leverage_ok=False),
            lambda v, a: v.buy(a, 50, 1, margin_mode_ok=False),
            lambda v, a: v.buy(a, 50, 1, timestamp_ms=0, recv_window_ms=1),
            lambda v, a: v.buy(a, 50, 1, expires_at=0),
            lambda v, a: v.buy(a, 50, 1, reduce_only=True),
            lambda v, a: v.buy(a, 99, 2_000),
            lambda v, a: v.buy(a, None, 1),
        ],
        ids=["qty", "band", "fat", "leverage", "margin mode", "stale", "expired", "reduce", "margin", "market order"],
    )
    def test_what_counts(self, make: Any) -> None:
        venue = Venue(cooldown_rejects=1, signup_grant_cents=10_000)
        a = venue.agents[0]
        code = make(venue, a).reject_reason
        assert code is not None
        locked = venue.buy(a, 50, 1).reject_reason == "AGENT_SIDE_COOLDOWN"
        assert locked == (code not in risk.NOT_COUNTED)

    def test_a_declined_amend_counts(self) -> None:
        venue = Venue(cooldown_rejects=1)
        a = venue.agents[0]
        order = venue.buy(a, 50, 1)
        venue.amend(a, order, price=100)
        assert venue.buy(a, 50, 1).reject_reason == "AGENT_SIDE_COOLDOWN"
        assert venue.amend(a, order, price=51).reason == "AGENT_SIDE_COOLDOWN"  # type: ignore[attr-defined]

    def test_it_goes_with_the_market(self) -> None:
        venue = Venue(cooldown_rejects=1, cooldown_ms=300_000)
        a = venue.agents[0]
        self.bad(venue, a)
        venue.stroll(OPEN_AT + MINUTE)
        assert venue.buy(a, 50, 1).status == "OPEN"


class TestOrderOfTheLinks:
    def test_each_link_speaks_before_the_next(self) -> None:
        """One order that is wrong in every way; repaired step by step it meets every link in turn."""
        venue = Venue(max_order_qty=10, position_cap=5, cooldown_rejects=1, opened=False, **NO_FEES)
        a = venue.agents[0]
        venue.at(OPEN_AT)
        venue.live.halted = True
        assert venue.buy(a, None, 1, market=venue.pending.id).reject_reason == "NO_REFERENCE_PRICE"
        assert venue.buy(a, None, 0).reject_reason == "NO_REFERENCE_PRICE", "a decline, so the side is locked from here"
        assert venue.buy(a, None, 11).reject_reason == "FAT_FINGER"
        assert venue.buy(a, None, 11, confirm_fat_finger=True).reject_reason == "POSITION_CAP"
        assert venue.buy(a, None, 6).reject_reason == "POSITION_CAP"
        assert venue.buy(a, None, 5).reject_reason == "NO_REFERENCE_PRICE"
        venue.index()
        assert venue.buy(a, None, 5).reject_reason == "AGENT_SIDE_COOLDOWN"
        venue.ts += 5_000
        venue.index()
        assert venue.buy(a, None, 5).reject_reason == "MARKET_HALTED", "the engine's own come after the chain"

    @pytest.mark.parametrize("side", [BUY, SELL])
    @pytest.mark.parametrize("qty", [0, -1, -10_000])
    def test_no_contracts_fall_through_to_their_own_code(self, side: int, qty: int) -> None:
        venue = Venue(max_order_qty=10, position_cap=5)
        order = venue.place(venue.agents[0], venue.spec(side, 50, qty))
        assert declined(order) == ("INVALID_QTY", {"min_qty": 1, "max_qty": 10})

    @pytest.mark.parametrize("side", [BUY, SELL])
    @pytest.mark.parametrize("price", [0, 100, -5, 1_000_000])
    def test_a_price_off_the_band_falls_through_to_its_own_code(self, side: int, price: int) -> None:
        venue = Venue(max_order_qty=10, position_cap=5)
        order = venue.place(venue.agents[0], venue.spec(side, price, 20))
        assert declined(order) == ("PRICE_OUT_OF_RANGE", {"price_min": 1, "price_max": 99})

    @pytest.mark.parametrize("price", [1, 99])
    def test_the_ends_of_the_band_are_prices(self, price: int) -> None:
        venue = Venue()
        assert venue.buy(venue.agents[0], price, 1).status == "OPEN"
        assert venue.live.book.best_bid() == price

    def test_the_engines_own_declines_in_their_order(self) -> None:
        """The same order, repaired step by step: each repair uncovers the next code of section 5."""
        venue = Venue(cooldown_rejects=1_000, signup_grant_cents=60, open_orders_per_market=1, **NO_FEES)
        a, b, _ = venue.agents
        wrong: dict[str, Any] = {
            "market": venue.pending.id,
            "leverage_ok": False,
            "margin_mode_ok": False,
            "timestamp_ms": venue.ts - 1_001,
            "recv_window_ms": 1_000,
            "expires_at": venue.ts,
            "reduce_only": True,
        }
        price, qty = 0, 0
        seen = []
        for repair in (
            {},
            {"market": venue.live.id},
            {"resume": True},
            {"qty": 3},
            {"price": 50},
            {"leverage_ok": True},
            {"margin_mode_ok": True},
            {"timestamp_ms": venue.ts - 1_000},
            {"expires_at": venue.ts + 1},
            {"reduce_only": False},
            {"crossing": False},
            {"qty": 1},
            {"first_gone": True},
        ):
            price, qty = repair.pop("price", price), repair.pop("qty", qty)
            if repair.pop("resume", False):
                venue.apply(cmd.ResumeMarket("op", venue.live.id, None))
            elif "market" in repair:
                venue.sell(b, 50, 1)
                venue.buy(a, 1, 1)
                venue.apply(cmd.HaltMarket("op", venue.live.id, "test"))
            if not repair.pop("crossing", True):
                price = 49
            if repair.pop("first_gone", False):
                venue.apply(cmd.CancelOrders(a, venue.key(a)))
            wrong.update(repair)
            seen.append(venue.place(a, venue.spec(BUY, price, qty, POST_ONLY, **wrong)).reject_reason)
        assert seen == [
            "MARKET_NOT_OPEN",
            "MARKET_HALTED",
            "INVALID_QTY",
            "PRICE_OUT_OF_RANGE",
            "INVALID_LEVERAGE",
            "INVALID_MARGIN_MODE",
            "STALE_REQUEST",
            "ORDER_EXPIRED",
            "REDUCE_ONLY_VIOLATION",
            "POST_ONLY_WOULD_CROSS",
            "INSUFFICIENT_MARGIN",
            "OPEN_ORDERS_CAP",
            None,
        ]

    def test_an_expired_market_is_closed_and_an_unknown_one_is_declined_before_the_chain(self) -> None:
        venue = Venue(max_order_qty=1)
        first = venue.live.id
        venue.stroll(OPEN_AT + MINUTE)
        assert venue.buy(venue.agents[0], 50, 1, market=first).reject_reason == "MARKET_CLOSED"
        assert venue.buy(venue.agents[0], 50, 2, market=first).reject_reason == "FAT_FINGER"
        venue.print(OPEN_AT + MINUTE)
        assert venue.buy(venue.agents[0], 50, 2, market=first).reject_reason == "MARKET_CLOSED", "it has ended"
        assert venue.place(venue.agents[0], cmd.OrderSpec(0, BUY, "LIMIT", "GTC", 50, 2)).reject_reason == (
            "UNKNOWN_MARKET"
        )

    @pytest.mark.parametrize(("early", "code"), [(-1_000, None), (1_000, None), (-1_001, "S"), (1_001, "S")])
    def test_stale_both_ways(self, early: int, code: str | None) -> None:
        venue = Venue()
        order = venue.buy(venue.agents[0], 50, 1, timestamp_ms=venue.ts + early, recv_window_ms=1_000)
        assert order.reject_reason == ("STALE_REQUEST" if code else None)
