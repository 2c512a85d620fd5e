"""Orders in the book: self-trade prevention, reduce-only, amends, quotes, batches, expiry and cancels."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import BUY, FOK, IOC, POST_ONLY, SELL
from tests.engine.venue import MINUTE, NO_FEES, OPEN_AT, Venue, declined, key_spec, of_kind


class TestSelfTradePrevention:
    """One of another's at 49, an own order at 50, another's at 51; a taker for 3 up to 52 meets them in that order."""

    def meet(self, stp: str, by_sibling: bool, tif: str = "GTC") -> tuple[Venue, Any, list[Any]]:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        owner = venue.sibling(a) if by_sibling else a
        makers = [venue.sell(b, 49, 1), venue.sell(owner, 50, 5), venue.sell(b, 51, 1)]
        return venue, venue.buy(a, 52, 3, tif, stp=stp), makers

    @pytest.mark.parametrize("by_sibling", [False, True])
    def test_cancel_maker_goes_on_behind_it(self, by_sibling: bool) -> None:
        venue, taker, (_, own, _) = self.meet("CANCEL_MAKER", by_sibling)
        assert (taker.filled, taker.status, taker.remaining) == (2, "PARTIALLY_FILLED", 1)
        assert venue.resting(SELL) == [] and venue.resting(BUY) == [taker.id]
        ended = of_kind(venue.events, ev.OrderEnded)
        assert [(e.order.id, e.order.cancel_reason, e.was) for e in ended] == [(own.id, "SELF_TRADE", 5)]

    @pytest.mark.parametrize("by_sibling", [False, True])
    def test_cancel_taker_stops_in_front_of_it(self, by_sibling: bool) -> None:
        venue, taker, (_, own, last) = self.meet("CANCEL_TAKER", by_sibling)
        assert (taker.filled, taker.status, taker.cancel_reason) == (1, "CANCELLED", "SELF_TRADE")
        assert venue.resting(SELL) == [own.id, last.id] and venue.resting(BUY) == []

    @pytest.mark.parametrize("by_sibling", [False, True])
    def test_cancel_both(self, by_sibling: bool) -> None:
        venue, taker, (_, own, last) = self.meet("CANCEL_BOTH", by_sibling)
        assert (taker.filled, taker.status, taker.cancel_reason) == (1, "CANCELLED", "SELF_TRADE")
        assert venue.resting(SELL) == [last.id] and venue.resting(BUY) == []
        assert [e.order.id for e in of_kind(venue.events, ev.OrderEnded)] == [own.id]

    def test_an_own_order_that_is_not_reached_stays(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.sell(b, 49, 3)
        own = venue.sell(a, 50, 5)
        assert venue.buy(a, 52, 3).status == "FILLED"
        assert venue.resting(SELL) == [own.id]

    def test_accounts_do_not_share_it(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.sell(a, 50, 1)
        assert venue.buy(b, 50, 1, stp="CANCEL_BOTH").status == "FILLED"


class TestReduceOnly:
    @pytest.mark.parametrize("sign", [1, -1])
    def test_up_to_the_position_less_what_reduces_already(self, sign: int) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        venue.give(a, sign * 10)
        out, far = (SELL, 60) if sign > 0 else (BUY, 40)
        assert venue.place(a, venue.spec(out, far, 6, reduce_only=True)).status == "OPEN"
        refused = venue.place(a, venue.spec(out, far, 5, reduce_only=True))
        assert declined(refused) == ("REDUCE_ONLY_VIOLATION", {"max_qty": 4})
        assert venue.place(a, venue.spec(out, far, 4, reduce_only=True)).status == "OPEN"
        assert declined(venue.place(a, venue.spec(1 - out, 50, 1, reduce_only=True))) == (
            "REDUCE_ONLY_VIOLATION",
            {"max_qty": 0},
        )

    def test_the_excess_is_trimmed_newest_first(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        venue.give(a, 10)
        old = venue.sell(a, 60, 5, reduce_only=True)
        new = venue.sell(a, 61, 3, reduce_only=True)
        newest = venue.sell(a, 62, 2, reduce_only=True)
        plain = venue.sell(a, 63, 4)
        venue.give(a, -7)
        ended = of_kind(venue.events, ev.OrderEnded)
        assert [(e.order.id, e.was, e.order.cancel_reason) for e in ended] == [
            (newest.id, 2, "REDUCE_ONLY"),
            (new.id, 3, "REDUCE_ONLY"),
        ]
        [cut] = of_kind(venue.events, ev.OrderReduced)
        assert (cut.order.id, cut.was, cut.order.remaining, cut.order.qty, cut.reason) == (
            old.id,
            5,
            3,
            3,
            "REDUCE_ONLY",
        )
        assert venue.resting(SELL) == [old.id, plain.id]

    def test_a_trimmed_order_keeps_its_turn(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.give(a, 10)
        first = venue.sell(a, 60, 10, reduce_only=True)
        second = venue.sell(b, 60, 1)
        venue.give(a, -4)
        assert venue.resting(SELL) == [first.id, second.id]

    def test_as_a_maker_it_never_turns_the_position(self) -> None:
        """A plain order of the same agent is met first in one walk: what it leaves is all that reduces."""
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.give(a, 10)
        venue.sell(a, 59, 7)
        venue.sell(a, 60, 10, reduce_only=True)
        taker = venue.buy(b, 60, 17, IOC)
        assert (taker.filled, venue.position(a).net) == (10, 0)
        assert venue.resting(SELL) == []

    def test_flipping_the_position_ends_all_of_them(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        venue.give(a, 5)
        venue.sell(a, 60, 5, reduce_only=True)
        venue.give(a, -8)
        assert venue.resting(SELL) == []


class TestAmend:
    def test_only_a_pure_decrease_keeps_the_turn(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        first, second = venue.buy(a, 50, 5), venue.buy(b, 50, 5)
        reduced = venue.amend(a, first, qty=3)
        assert isinstance(reduced, ev.OrderReduced) and (reduced.order.qty, reduced.order.remaining) == (3, 3)
        assert venue.resting(BUY) == [first.id, second.id]
        assert isinstance(venue.amend(a, first, price=50, qty=2), ev.OrderReduced), "naming the same price is no change"
        for change in ({"qty": 4}, {"price": 50}, {}, {"qty": 4}):
            venue.amend(b, second, qty=5)  # whatever it was, it is now the last
            assert venue.resting(BUY)[-1] == second.id
            assert isinstance(venue.amend(a, first, **change), ev.OrderAmended), change
            assert venue.resting(BUY) == [second.id, first.id]

    def test_a_smaller_one_elsewhere_goes_to_the_back(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        first, second = venue.buy(a, 49, 5), venue.buy(b, 50, 5)
        venue.amend(a, first, price=50, qty=1)
        assert venue.resting(BUY) == [second.id, first.id]

    def test_the_quantity_includes_what_has_filled(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        order = venue.buy(a, 50, 10)
        venue.sell(b, 50, 4)
        for qty in (4, 3, 0, -1):
            assert venue.amend(a, order, qty=qty) == ev.Refused("AMEND_CONFLICT", {"filled_qty": 4})
        reduced = venue.amend(a, order, qty=5)
        assert isinstance(reduced, ev.OrderReduced)
        assert (reduced.order.qty, reduced.order.remaining, reduced.order.filled) == (5, 1, 4)
        more = venue.amend(a, order, qty=12)
        assert isinstance(more, ev.OrderAmended)
        assert (more.order.qty, more.order.remaining, more.order.status) == (12, 8, "PARTIALLY_FILLED")

    def test_it_may_trade(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        order = venue.buy(a, 40, 5)
        venue.sell(b, 50, 2)
        amended = venue.amend(a, order, price=50)
        assert isinstance(amended, ev.OrderAmended)
        assert (amended.order.filled, amended.order.remaining, amended.was_price, amended.was_remaining) == (
            2,
            3,
            40,
            5,
        )
        assert len(of_kind(venue.events, ev.Traded)) == 1

    def test_a_decline_leaves_it_as_it_was(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a, b, _ = venue.agents
        order, other = venue.buy(a, 50, 9), venue.buy(b, 50, 1)
        refused = venue.amend(a, order, qty=11)
        assert isinstance(refused, ev.AmendRejected)
        assert (refused.reason, refused.details["max_qty"]) == ("INSUFFICIENT_MARGIN", 10)
        assert refused.order.id == order.id and refused.order.remaining == 9
        assert venue.resting(BUY) == [order.id, other.id]

    def test_it_does_not_pay_twice_for_itself(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a = venue.agents[0]
        order = venue.buy(a, 50, 10)
        assert isinstance(venue.amend(a, order, price=25, qty=20), ev.OrderAmended)
        assert venue.agent(a).locked == 500

    def test_post_only_stays_post_only(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        order = venue.buy(a, 40, 5, POST_ONLY)
        venue.sell(b, 50, 2)
        refused = venue.amend(a, order, price=50)
        assert isinstance(refused, ev.AmendRejected) and refused.reason == "POST_ONLY_WOULD_CROSS"

    def test_whose_and_whether(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        order = venue.buy(a, 40, 5)
        assert venue.amend(b, order, qty=1) == ev.Refused("FORBIDDEN")
        assert venue.cancel(b, order) == ev.Refused("FORBIDDEN")
        venue.cancel(a, order)
        assert venue.amend(a, order, qty=1) == ev.Refused("ORDER_NOT_OPEN")
        assert venue.cancel(a, order) == ev.Refused("ORDER_NOT_OPEN")

    def test_in_a_halted_market_only_a_decrease(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        order = venue.buy(a, 40, 5)
        venue.apply(cmd.HaltMarket("op", venue.live.id, "test"))
        refused = venue.amend(a, order, price=41)
        assert isinstance(refused, ev.AmendRejected) and refused.reason == "MARKET_HALTED"
        assert isinstance(venue.amend(a, order, qty=4), ev.OrderReduced)
        assert isinstance(venue.cancel(a, order), ev.OrderEnded)


class TestQuotes:
    def put(self, events: list[ev.Event]) -> ev.QuotesPut:
        last = events[-1]
        assert isinstance(last, ev.QuotesPut)
        return last

    def test_levels_no_larger_keep_their_turn(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        first = self.put(venue.quote(a, [(48, 5), (47, 5)], [(52, 5)])).results
        behind = venue.buy(b, 48, 1), venue.buy(b, 47, 1)
        second = self.put(venue.quote(a, [(48, 3), (47, 6)], [(52, 5)])).results
        assert (second[0], second[2]) == (first[0], first[2]) and second[1] != first[1]
        assert venue.resting(BUY) == [first[0], behind[0].id, behind[1].id, second[1]]
        assert venue.state.orders[first[0]].qty == 3
        reasons = [(e.order.id, e.order.cancel_reason) for e in of_kind(venue.events, ev.OrderEnded)]
        assert reasons == [(first[1], "REPLACED")]

    def test_what_filled_of_a_kept_level_does_not_come_back(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        [order_id] = self.put(venue.quote(a, [(48, 5)], [])).results
        venue.sell(b, 48, 2)
        [again] = self.put(venue.quote(a, [(48, 3)], [])).results
        assert again == order_id
        [larger] = self.put(venue.quote(a, [(48, 5)], [])).results
        assert larger != order_id and venue.state.orders[larger].remaining == 5

    def test_old_levels_go_first_so_a_quote_can_move_through_itself(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a = venue.agents[0]
        venue.quote(a, [(45, 10)], [(55, 10)])
        placed = of_kind(venue.quote(a, [(60, 8)], [(65, 8)]), ev.OrderPlaced)
        assert [p.order.status for p in placed] == ["OPEN", "OPEN"]

    def test_each_level_has_its_own_answer_and_the_best_is_judged_first(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a, b, _ = venue.agents
        venue.sell(b, 50, 1)
        events = venue.quote(a, [(20, 10), (50, 1), (40, 10)], [])
        results = {p.order.price: p.order for p in of_kind(events, ev.OrderPlaced)}
        assert [results[p].reject_reason for p in (50, 40, 20)] == [
            "POST_ONLY_WOULD_CROSS",
            None,
            "INSUFFICIENT_MARGIN",
        ]
        assert self.put(events).results == (results[20].id, results[50].id, results[40].id), "in the order asked"

    def test_a_decline_does_not_bring_the_old_level_back(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a = venue.agents[0]
        venue.quote(a, [(50, 10)], [])
        venue.quote(a, [(50, 11)], [])
        assert venue.resting(BUY) == []

    def test_ids_are_apart_and_empty_pulls(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        venue.quote(a, [(48, 5)], [], "one")
        other = self.put(venue.quote(a, [(47, 5)], [], "two")).results
        plain = venue.buy(a, 46, 1)
        venue.apply(cmd.Freeze("op", "test"))
        assert self.put(venue.quote(a, [], [], "one")) == ev.QuotesPut(a, venue.live.id, "one", (), ())
        assert venue.resting(BUY) == [*other, plain.id]
        assert venue.quote(a, [(48, 5)], [], "two")[-1] == ev.Refused("EXCHANGE_FROZEN")
        assert venue.resting(BUY) == [*other, plain.id]


class TestBatch:
    def test_legs_stand_alone_in_request_order(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.sell(b, 50, 1)
        specs = [venue.spec(BUY, 50, 2), venue.spec(BUY, 0, 1), venue.spec(SELL, 60, 1)]
        placed = venue.batch(a, *specs)
        assert [(o.price, o.status) for o in placed] == [(50, "PARTIALLY_FILLED"), (0, "REJECTED"), (60, "OPEN")]

    def test_atomic_is_all_or_nothing(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        maker, bid = venue.sell(b, 50, 3), venue.buy(b, 40, 2)
        first, second = venue.batch(a, venue.spec(BUY, 50, 3), venue.spec(SELL, 40, 3), atomic=True)
        assert (first.reject_reason, second.reject_reason) == ("STRATEGY_NOT_FILLED", "FOK_NOT_FILLABLE")
        assert (venue.resting(SELL), venue.resting(BUY)) == ([maker.id], [bid.id])
        assert not of_kind(venue.events, ev.Traded)
        done = venue.batch(a, venue.spec(BUY, 50, 3), venue.spec(SELL, 40, 2), atomic=True)
        assert [(o.status, o.tif) for o in done] == [("FILLED", FOK), ("FILLED", FOK)]

    def test_a_later_leg_does_not_see_what_an_earlier_one_took(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.sell(b, 50, 3)
        legs = venue.batch(a, venue.spec(BUY, 50, 2), venue.spec(BUY, 50, 2), atomic=True)
        assert [o.reject_reason for o in legs] == ["STRATEGY_NOT_FILLED", "FOK_NOT_FILLABLE"]
        assert legs[1].reject_details == {"max_qty": 1}

    def test_collateral_is_tested_once_at_the_end(self) -> None:
        """The first leg alone costs more than there is; the second closes it again."""
        venue = Venue(signup_grant_cents=500, agents=1, **NO_FEES)
        poor, rich = venue.agents[0], venue.join(cash=100_000)
        venue.sell(rich, 60, 10)
        venue.buy(rich, 58, 10)
        legs = [venue.spec(BUY, 60, 10), venue.spec(SELL, 58, 10)]
        assert [o.status for o in venue.batch(poor, *legs, atomic=True)] == ["FILLED", "FILLED"]
        assert (venue.position(poor).net, venue.agent(poor).locked) == (0, 20)

    def test_collateral_that_the_end_lacks_is_the_last_legs_decline(self) -> None:
        venue = Venue(signup_grant_cents=500, agents=1, **NO_FEES)
        poor, rich = venue.agents[0], venue.join(cash=100_000)
        venue.sell(rich, 60, 10)
        legs = [venue.spec(BUY, 60, 5), venue.spec(BUY, 60, 4)]
        first, last = venue.batch(poor, *legs, atomic=True)
        assert declined(first) == ("STRATEGY_NOT_FILLED", {})
        assert declined(last) == ("INSUFFICIENT_MARGIN", {"required_cents": 540, "free_cash_cents": 500})

    def test_marks_and_touches_are_those_of_arrival(self) -> None:
        """The first leg takes the near offer, so that the mid would jump from 7 to 42 and forbid the second."""
        venue = Venue(**NO_FEES)
        a, b, c = venue.agents
        venue.sell(a, 10, 5)
        venue.sell(a, 80, 5)
        venue.buy(b, 5, 10)
        legs = [venue.spec(BUY, 10, 5), venue.spec(SELL, 5, 5)]
        assert [o.status for o in venue.batch(c, *legs, atomic=True)] == ["FILLED", "FILLED"]

    def test_reduce_only_legs_see_the_position_the_legs_before_leave(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.sell(b, 50, 5)
        venue.buy(b, 48, 5)
        out = venue.spec(SELL, 48, 5, reduce_only=True)
        assert venue.batch(a, out, venue.spec(BUY, 50, 5), atomic=True)[0].reject_reason == "REDUCE_ONLY_VIOLATION"
        assert [o.status for o in venue.batch(a, venue.spec(BUY, 50, 5), out, atomic=True)] == ["FILLED", "FILLED"]

    def test_makers_that_an_earlier_leg_makes_too_large_are_trimmed_before_the_next(self) -> None:
        venue = Venue(**NO_FEES)
        a, _, c = venue.agents
        venue.give(a, 10)
        venue.sell(a, 58, 5)
        venue.sell(a, 61, 6, reduce_only=True)
        venue.sell(a, 60, 4, reduce_only=True)
        # Five sold at 58 leave five to reduce: the newest, at 60, is gone then and one of the six at 61.
        legs = venue.batch(c, venue.spec(BUY, 58, 5), venue.spec(BUY, 60, 4), atomic=True)
        assert [o.reject_reason for o in legs] == ["STRATEGY_NOT_FILLED", "FOK_NOT_FILLABLE"]
        legs = venue.batch(c, venue.spec(BUY, 58, 5), venue.spec(BUY, 61, 5), atomic=True)
        assert [[(f.price, f.qty) for f in o.fills] for o in legs] == [[(58, 5)], [(61, 5)]]

    @pytest.mark.parametrize("seed", range(8))
    def test_atomic_batches_never_break_anything(self, seed: int) -> None:
        """Any legs over a book full of own, reduce-only and foreign orders: done in full or without a trace."""
        random = Random(seed)
        venue = Venue(signup_grant_cents=3_000, cooldown_rejects=10**6, fat_finger_distance=3, fat_finger_multiple=1)
        agents = [*venue.agents, venue.sibling(venue.agents[0], 3_000)]
        done = 0
        for _ in range(120):
            agent = random.choice(agents)
            for _ in range(3):
                side = random.choice([BUY, SELL])
                price = 50 + random.randint(-6, 1) * (1 if side == BUY else -1)
                more = {"reduce_only": random.random() < 0.4}
                venue.place(random.choice(agents), venue.spec(side, price, random.randint(1, 8), **more))
            legs = [
                venue.spec(
                    *(random.choice([BUY, SELL]), random.randint(44, 56), random.randint(1, 5)),
                    reduce_only=random.random() < 0.2,
                    confirm_fat_finger=random.random() < 0.6,
                )
                for _ in range(random.randint(1, 4))
            ]
            before = [(o.id, o.remaining) for side in (BUY, SELL) for o in venue.live.book.orders(side)]
            placed = venue.batch(agent, *legs, atomic=True)
            statuses = {o.status for o in placed}
            assert statuses in ({"FILLED"}, {"REJECTED"})
            if statuses == {"REJECTED"}:
                assert before == [(o.id, o.remaining) for side in (BUY, SELL) for o in venue.live.book.orders(side)]
                assert sum(o.reject_reason != "STRATEGY_NOT_FILLED" for o in placed) == 1
            else:
                done += 1
        assert done >= 3


class TestExpiry:
    def test_to_the_millisecond(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        now = venue.ts
        assert declined(venue.buy(a, 50, 1, expires_at=now)) == ("ORDER_EXPIRED", {"late_by_ms": 0})
        order = venue.buy(a, 50, 1, expires_at=now + 1_000)
        assert venue.at(now + 999) == []
        [ended] = of_kind(venue.at(now + 1_000), ev.OrderEnded)
        assert (ended.order.id, ended.order.status, ended.order.cancel_reason) == (order.id, "EXPIRED", None)
        assert ended.order.updated_ts == now + 1_000

    def test_it_happens_before_the_command_that_comes_later(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.buy(a, 50, 1, expires_at=OPEN_AT + 100)
        venue.ts = OPEN_AT + 500
        assert venue.sell(b, 50, 1, IOC).filled == 0

    def test_several_end_in_the_order_in_which_they_fall_due(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        orders = {at: venue.buy(a, 50, 1, expires_at=OPEN_AT + at) for at in (300, 100, 200)}
        ended = of_kind(venue.at(OPEN_AT + 300), ev.OrderEnded)
        assert [e.order.id for e in ended] == [orders[at].id for at in (100, 200, 300)]

    @pytest.mark.parametrize(("at", "status"), [(MINUTE, "EXPIRED"), (MINUTE + 1, "CANCELLED")])
    def test_at_the_close_its_own_expiry_comes_first(self, at: int, status: str) -> None:
        venue = Venue(**NO_FEES)
        venue.buy(venue.agents[0], 50, 1, expires_at=OPEN_AT + at)
        [ended] = of_kind(venue.stroll(OPEN_AT + MINUTE), ev.OrderEnded)
        assert (ended.order.status, ended.order.updated_ts) == (status, OPEN_AT + MINUTE)
        assert ended.order.cancel_reason == (None if status == "EXPIRED" else "MARKET_CLOSED")

    def test_an_amended_order_still_expires_once(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        order = venue.buy(a, 50, 1, expires_at=OPEN_AT + 100)
        venue.amend(a, order, price=51)
        assert len(of_kind(venue.at(OPEN_AT + 100), ev.OrderEnded)) == 1
        assert venue.at(OPEN_AT + 101) == []


class TestCancels:
    def fill_up(self) -> tuple[Venue, int, dict[str, Any]]:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        orders = {
            "bid": venue.buy(a, 40, 1, client_order_id="x"),
            "ask": venue.sell(a, 60, 1, client_order_id="y"),
            "quote": next(e.order for e in venue.quote(a, [(41, 1)], []) if isinstance(e, ev.OrderPlaced)),
            "other": venue.buy(b, 42, 1, client_order_id="x"),
        }
        return venue, a, orders

    @pytest.mark.parametrize(
        ("filters", "gone"),
        [
            ({}, {"bid", "ask", "quote"}),
            ({"side": BUY}, {"bid", "quote"}),
            ({"quote_id": "q"}, {"quote"}),
            ({"quote_id": "none"}, set()),
            ({"client_order_ids": ("x", "y", "z")}, {"bid", "ask"}),
            ({"side": SELL, "client_order_ids": ("x",)}, set()),
            ({"market": 1}, set()),
        ],
    )
    def test_filters(self, filters: dict[str, Any], gone: set[str]) -> None:
        venue, a, orders = self.fill_up()
        done = venue.apply(cmd.CancelOrders(a, venue.key(a), **filters))[-1]
        assert done == ev.OrdersCancelled(a, len(gone), ())
        assert {name for name, order in orders.items() if order.id not in venue.state.orders} == gone

    def test_a_list_counts_each_once_and_others_as_not_open(self) -> None:
        venue, a, orders = self.fill_up()
        bid, other = orders["bid"].id, orders["other"].id
        done = venue.apply(cmd.CancelOrders(a, venue.key(a), (bid, other, bid, 7)))[-1]
        assert done == ev.OrdersCancelled(a, 1, (other, 7))

    def test_a_cancel_key_cancels_and_does_nothing_else(self) -> None:
        venue, a, orders = self.fill_up()
        account = venue.agent(a).account.id
        venue.apply(cmd.IssueKey(account, a, key_spec("cancel-only", ("cancel",))))
        venue.apply(cmd.IssueKey(account, a, key_spec("read-only", ("read",))))
        for key in ("cancel-only", "read-only"):
            refused = venue.apply(cmd.PlaceOrder(a, key, venue.spec(BUY, 50, 1)))
            assert refused == [ev.Refused("SCOPE_REQUIRED")]
        assert venue.apply(cmd.CancelOrder(a, "read-only", orders["bid"].id)) == [ev.Refused("SCOPE_REQUIRED")]
        assert isinstance(venue.apply(cmd.CancelOrder(a, "cancel-only", orders["bid"].id))[-1], ev.OrderEnded)


class TestWhoMay:
    def test_a_revoked_key_and_a_key_of_somebody_else(self) -> None:
        venue = Venue()
        a, b, _ = venue.agents
        spec = venue.spec(BUY, 50, 1)
        assert venue.apply(cmd.PlaceOrder(a, venue.key(b), spec)) == [ev.Refused("FORBIDDEN")]
        key = venue.key(a)
        venue.apply(cmd.AdminRevokeKey("op", key, None))
        assert venue.apply(cmd.PlaceOrder(a, key, spec)) == [ev.Refused("AUTH_REVOKED")]

    def test_frozen_only_lets_out(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        order = venue.buy(a, 40, 5)
        venue.apply(cmd.Freeze("op", "test"))
        frozen = ev.Refused("EXCHANGE_FROZEN")
        account = venue.agent(a).account.id
        assert venue.apply(cmd.PlaceOrder(a, venue.key(a), venue.spec(BUY, 50, 1)))[-1] == frozen
        assert venue.apply(cmd.PlaceBatch(a, venue.key(a), (venue.spec(BUY, 50, 1),)))[-1] == frozen
        assert venue.amend(a, order, price=41) == frozen
        assert venue.amend(a, order, qty=6) == frozen
        assert venue.apply(cmd.Faucet(a, venue.key(a)))[-1] == frozen
        assert venue.apply(cmd.Transfer(account, a, account, 1))[-1] == frozen
        assert isinstance(venue.amend(a, order, qty=4), ev.OrderReduced)
        assert venue.resting(BUY) == [order.id]
        assert isinstance(venue.cancel(a, order), ev.OrderEnded)
        venue.apply(cmd.Unfreeze("op", None))
        assert venue.buy(a, 50, 1).status == "OPEN"

    def test_a_suspended_agent_is_taken_out_and_may_only_leave(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        order = venue.buy(a, 40, 5)
        [ended] = of_kind(venue.apply(cmd.SuspendAgent("op", a, "test")), ev.OrderEnded)
        assert (ended.order.id, ended.order.cancel_reason) == (order.id, "ADMIN")
        refused = venue.apply(cmd.PlaceOrder(a, venue.key(a), venue.spec(BUY, 50, 1)))
        assert refused == [ev.Refused("AGENT_SUSPENDED")]
        assert venue.apply(cmd.CancelOrders(a, venue.key(a)))[-1] == ev.OrdersCancelled(a, 0, ())
        venue.apply(cmd.ReinstateAgent("op", a, None))
        assert venue.buy(a, 50, 1).status == "OPEN"
