"""Windows on the clock: half-open to the millisecond, gaps, prints, deadlines, ties, halts, voids (section 7)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import ENGINE_VERSION, EXPIRED, IOC, OPEN, PENDING, Settings
from raeth.engine.windows import symbol_of
from tests.engine.venue import BTC, MINUTE, NO_FEES, OPEN_AT, Venue, of_kind

CLOSE_AT = OPEN_AT + MINUTE
GRACE = 5_000


def at_close(**rules: object) -> Venue:
    """A venue right at the boundary where its first window has closed and waits for its print."""
    venue = Venue(**{**NO_FEES, **rules})
    venue.stroll(CLOSE_AT)
    return venue


def outcomes(events: list[ev.Event]) -> list[tuple[int, str, str]]:
    return [(e.market, e.outcome, e.reason) for e in of_kind(events, ev.MarketResolved)]


class TestBoundary:
    def test_open_is_inclusive_and_close_exclusive(self) -> None:
        venue = Venue(opened=False, **NO_FEES)
        a, b, _ = venue.agents
        venue.ts = OPEN_AT - 1
        assert venue.buy(a, 50, 1).reject_details == {"retry_after_ms": 1}
        venue.ts = OPEN_AT
        first = venue.buy(a, 50, 1)
        assert first.status == "OPEN"
        venue.print(OPEN_AT)
        market = venue.live
        venue.stroll(CLOSE_AT - 1)
        assert venue.sell(b, 50, 1, IOC, market=market.id).filled == 1
        venue.ts = CLOSE_AT
        assert venue.buy(a, 50, 1, market=market.id).reject_reason == "MARKET_CLOSED"
        assert market.status == EXPIRED and venue.live.open_at == CLOSE_AT

    def test_there_is_no_instant_without_an_open_market_and_a_pre_listed_one(self) -> None:
        venue = Venue()
        for ts in range(OPEN_AT, OPEN_AT + 3 * MINUTE + 1, 1_000):
            venue.at(ts)
            assert (venue.live.status, venue.pending.status) == (OPEN, PENDING)
            assert venue.live.open_at <= ts < venue.live.close_at == venue.pending.open_at

    def test_what_rests_is_cancelled_at_the_boundary_whoever_comes_first(self) -> None:
        venue = Venue(**NO_FEES)
        a = venue.agents[0]
        order = venue.buy(a, 50, 1)
        venue.stroll(CLOSE_AT - 2_000)
        late = venue.at(CLOSE_AT + 1_500)  # no timer fired at the boundary
        kinds = [type(e).__name__ for e in late]
        assert kinds == ["MarketExpired", "OrderEnded", "MarketOpened", "MarketListed"]
        assert {e.ts for e in late if not isinstance(e, ev.OrderEnded)} == {CLOSE_AT}  # type: ignore[attr-defined]
        [ended] = of_kind(late, ev.OrderEnded)
        assert (ended.order.id, ended.order.cancel_reason, ended.order.updated_ts) == (
            order.id,
            "MARKET_CLOSED",
            CLOSE_AT,
        )
        assert venue.agent(a).locked == 0

    def test_ids_and_symbols(self) -> None:
        venue = Venue()
        live, pending = venue.live, venue.pending
        assert venue.state.symbols == {live.symbol: live.id, pending.symbol: pending.id}
        assert live.symbol == symbol_of("BTC-1M", CLOSE_AT)
        assert live.id >> 20 == 1, "listed by the first command"
        venue.stroll(CLOSE_AT)
        venue.print(CLOSE_AT)
        assert set(venue.state.symbols.values()) == set(venue.state.markets) == {pending.id, venue.pending.id}

    @pytest.mark.parametrize(
        ("close", "symbol"),
        [
            ("2026-11-20T10:31", "BTC-1M-20261120T1031Z"),
            ("2026-11-21T00:00", "BTC-1M-20261121T0000Z"),
            ("2027-01-01T00:00", "BTC-1M-20270101T0000Z"),
            ("2028-02-29T00:00", "BTC-1M-20280229T0000Z"),
            ("2028-03-01T00:00", "BTC-1M-20280301T0000Z"),
            ("2100-02-28T23:59", "BTC-1M-21000228T2359Z"),
            ("2100-03-01T00:00", "BTC-1M-21000301T0000Z"),
            ("1970-01-01T00:00", "BTC-1M-19700101T0000Z"),
        ],
    )
    def test_symbols_across_the_calendar(self, close: str, symbol: str) -> None:
        assert symbol_of("BTC-1M", int(datetime.fromisoformat(close + "Z").timestamp()) * 1_000) == symbol

    @given(st.integers(0, 253_402_300_799 // 60))
    def test_a_symbol_is_the_calendars_minute(self, minute: int) -> None:
        moment = datetime.fromtimestamp(minute * 60, UTC)
        assert symbol_of("X", minute * MINUTE) == f"X-{moment:%Y%m%d}T{moment:%H%M}Z"
        assert re.fullmatch(r"X-\d{8}T\d{4}Z", symbol_of("X", minute * MINUTE))

    @pytest.mark.parametrize("window_ms", [10_000, 1_500, 250])
    def test_windows_within_a_minute_have_names_of_their_own(self, window_ms: int) -> None:
        names = [symbol_of("X", OPEN_AT + n * window_ms) for n in range(1, MINUTE // window_ms + 1)]
        assert len(set(names)) == len(names)

    @pytest.mark.parametrize(("start", "first"), [(OPEN_AT, CLOSE_AT), (OPEN_AT + 1, CLOSE_AT), (OPEN_AT - 1, OPEN_AT)])
    def test_the_first_window_is_the_next_whole_minute(self, start: int, first: int) -> None:
        venue = Venue(start=start, opened=False, agents=0)
        assert venue.state.live is None and venue.pending.open_at == first

    def test_new_rules_are_for_the_next_listed_window(self) -> None:
        venue = Venue()
        live, pending = venue.live, venue.pending
        venue.apply(cmd.Configure(ENGINE_VERSION, Settings(reference_kind="simulated", max_order_qty=1)))
        assert venue.buy(venue.agents[0], 50, 2).status == "OPEN"
        venue.stroll(CLOSE_AT)
        assert (live.settings, pending.settings) == (venue.rules, venue.rules)
        assert venue.buy(venue.agents[0], 50, 2).status == "OPEN"
        venue.print(CLOSE_AT)
        venue.stroll(CLOSE_AT + MINUTE)
        assert venue.buy(venue.agents[0], 50, 2).reject_details == {"max_qty": 1}

    def test_another_kind_of_reference_is_refused(self) -> None:
        venue = Venue()
        assert venue.apply(cmd.Configure(ENGINE_VERSION, Settings(reference_kind="live"))) == [ev.Refused("FORBIDDEN")]
        assert venue.state.settings == venue.rules


class TestGap:
    @pytest.mark.parametrize("silence", [5_000, 5_001])
    def test_more_than_the_bound_and_exactly_the_bound(self, silence: int) -> None:
        venue = Venue(**NO_FEES)
        live, pending = venue.live, venue.pending
        venue.stroll(CLOSE_AT - 2_000)
        events = venue.at(CLOSE_AT - 2_000 + silence)
        if silence == 5_000:
            assert not outcomes(events) and venue.live is pending
        else:
            assert outcomes(events) == [(live.id, "VOID", "VENUE_DOWN"), (pending.id, "VOID", "VENUE_DOWN")]
            assert venue.state.live is None and venue.pending.open_at == CLOSE_AT + MINUTE

    def test_a_gap_inside_a_window_changes_nothing(self) -> None:
        venue = Venue(**NO_FEES)
        order = venue.buy(venue.agents[0], 50, 1)
        assert venue.at(CLOSE_AT - 1) == []
        assert order.id in venue.state.orders

    def test_windows_wholly_inside_it_never_existed(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.buy(a, 50, 10)
        venue.sell(b, 50, 4)
        live, pending = venue.live, venue.pending
        events = venue.at(OPEN_AT + 10 * MINUTE + 30_000)
        assert [e.market for e in of_kind(events, ev.MarketResolved)] == [live.id, pending.id]
        [listed] = of_kind(events, ev.MarketListed)
        assert (listed.open_at, listed.ts) == (OPEN_AT + 11 * MINUTE, venue.ts)
        assert [venue.agent(x).cash for x in (a, b)] == [100_000] * 2 and venue.agent(a).locked == 0
        [ended] = of_kind(events, ev.OrderEnded)
        assert ended.order.cancel_reason == "MARKET_CLOSED"
        venue.stroll(OPEN_AT + 11 * MINUTE)
        assert venue.live.id == listed.market

    def test_the_end_of_a_gap_on_a_boundary_lists_the_window_after_it(self) -> None:
        venue = Venue(**NO_FEES)
        venue.at(CLOSE_AT)
        assert venue.state.live is None and venue.pending.open_at == CLOSE_AT + MINUTE

    def test_a_window_that_waits_for_its_print_is_resolved_or_void_by_its_own_deadline(self) -> None:
        venue = at_close()
        [boundary] = venue.state.unprinted
        assert boundary == CLOSE_AT
        events = venue.at(CLOSE_AT + 20_000)
        assert outcomes(events)[0][1:] == ("VOID", "NO_CLOSE_PRINT")
        assert of_kind(events, ev.Printed)[0].fact.reason == "GRACE_PASSED"

    def test_orders_expire_inside_a_gap_at_their_own_moment(self) -> None:
        venue = Venue(**NO_FEES)
        venue.buy(venue.agents[0], 50, 1, expires_at=OPEN_AT + 7_000)
        [ended] = of_kind(venue.at(OPEN_AT + 5 * MINUTE), ev.OrderEnded)
        assert (ended.order.status, ended.order.updated_ts) == ("EXPIRED", OPEN_AT + 7_000)


class TestPrint:
    @pytest.mark.parametrize(("move", "outcome", "reason"), [(1, "YES", "UP"), (-1, "NO", "DOWN"), (0, "VOID", "TIE")])
    def test_up_down_and_tie(self, move: int, outcome: str, reason: str) -> None:
        venue = at_close()
        first, second = venue.state.unprinted[CLOSE_AT]
        assert first is not None and second is not None
        events = venue.print(CLOSE_AT, BTC + move)
        assert outcomes(events) == [(first.id, outcome, reason)]
        [printed] = of_kind(events, ev.Printed)
        assert (printed.closes, printed.opens) == (first.id, second.id)
        assert second.open_print == printed.fact, "the close print of one is the open print of the next"

    @pytest.mark.parametrize("rule", ["YES", "NO", "VOID"])
    def test_a_tie_follows_the_rule_it_was_listed_with(self, rule: str) -> None:
        venue = at_close(tie_rule=rule)
        assert outcomes(venue.print(CLOSE_AT))[0][1:] == (rule, "TIE")

    @pytest.mark.parametrize(("age", "usable"), [(0, True), (5_000, True), (5_001, False), (-1, False)])
    def test_the_age_of_a_print(self, age: int, usable: bool) -> None:
        venue = at_close()
        venue.ts += 100
        [printed] = of_kind(venue.print(CLOSE_AT, BTC + 1, CLOSE_AT - age), ev.Printed)
        assert (printed.fact.price_cents is not None) == usable
        assert printed.fact.source_ts == CLOSE_AT - age, "the evidence stays as it was seen"
        assert venue.live.unusable != usable

    @pytest.mark.parametrize("price", [0, -1])
    def test_a_price_that_is_none(self, price: int) -> None:
        venue = at_close()
        assert outcomes(venue.print(CLOSE_AT, price))[0][1:] == ("VOID", "NO_CLOSE_PRINT")

    def test_up_to_and_including_the_deadline(self) -> None:
        venue = at_close()
        venue.ts = CLOSE_AT + GRACE
        assert outcomes(venue.print(CLOSE_AT, BTC + 1))[0][1:] == ("YES", "UP")

    def test_strictly_after_the_deadline_it_is_missing(self) -> None:
        venue = at_close()
        assert venue.at(CLOSE_AT + GRACE) == []
        events = venue.at(CLOSE_AT + GRACE + 1)
        assert outcomes(events)[0][1:] == ("VOID", "NO_CLOSE_PRINT")
        [printed] = of_kind(events, ev.Printed)
        assert (printed.fact.reason, printed.fact.ts) == ("GRACE_PASSED", CLOSE_AT + GRACE)
        late = venue.print(CLOSE_AT, BTC + 1)
        assert late == [ev.Refused("MARKET_FINAL")]

    def test_a_print_stamped_after_the_deadline_comes_too_late_for_itself(self) -> None:
        venue = at_close()
        venue.ts = CLOSE_AT + GRACE + 1
        events = venue.print(CLOSE_AT, BTC + 1)
        assert outcomes(events)[0][1] == "VOID" and events[-1] == ev.Refused("MARKET_FINAL")

    def test_a_second_print_and_a_stranger_change_nothing(self) -> None:
        venue = at_close()
        venue.print(CLOSE_AT, BTC + 1)
        for boundary in (CLOSE_AT, OPEN_AT, CLOSE_AT + MINUTE, CLOSE_AT + 1):
            assert venue.print(boundary, BTC - 1) == [ev.Refused("MARKET_FINAL")]
        assert venue.live.open_print is not None and venue.live.open_print.price_cents == BTC + 1

    def test_a_tick_after_the_print_changes_nothing(self) -> None:
        venue = at_close()
        venue.print(CLOSE_AT, BTC + 1)
        strike = venue.live.open_print
        venue.index(BTC - 500)
        assert venue.live.open_print is strike

    def test_settlement_pays_the_winner_and_only_then(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.buy(a, 40, 10)
        venue.sell(b, 40, 10)
        assert [venue.agent(x).free for x in (a, b)] == [99_600, 99_400]
        venue.stroll(CLOSE_AT)
        assert [venue.agent(x).cash for x in (a, b)] == [100_000, 100_000]
        events = venue.print(CLOSE_AT, BTC + 1)
        assert [venue.agent(x).cash for x in (a, b)] == [100_600, 99_400]
        assert [(e.wallet, e.kind, e.amount_cents) for e in of_kind(events, ev.CashMoved)] == [
            (a, "SETTLEMENT", 600),
            (b, "SETTLEMENT", -600),
        ]
        assert [venue.agent(x).locked for x in (a, b)] == [0, 0]


class TestUnusableOpenPrint:
    def test_it_halts_the_window_which_ends_void_at_its_close(self) -> None:
        venue = at_close()
        events = venue.print(CLOSE_AT, None)
        [halted] = of_kind(events, ev.MarketHalted)
        market = venue.live
        assert (halted.market, halted.actor) == (market.id, "venue")
        assert venue.buy(venue.agents[0], 50, 1).reject_reason == "MARKET_HALTED"
        assert venue.apply(cmd.ResumeMarket("op", market.id, None)) == [ev.Refused("MARKET_CLOSED")]
        events = venue.stroll(CLOSE_AT + MINUTE)
        assert outcomes(events) == [(market.id, "VOID", "OPEN_PRINT_UNUSABLE")]
        assert list(venue.state.unprinted) == [CLOSE_AT + MINUTE], "the next one still needs its open print"
        venue.print(CLOSE_AT + MINUTE)
        assert venue.buy(venue.agents[0], 50, 1).status == "OPEN"

    def test_what_traded_before_the_print_was_known_to_be_missing_is_reversed(self) -> None:
        venue = at_close(taker_rate_bps=700)
        a, b, _ = venue.agents
        venue.buy(a, 40, 10)
        venue.sell(b, 40, 10)
        resting = venue.buy(a, 30, 1)
        venue.stroll(CLOSE_AT + GRACE + 1)
        assert venue.live.unusable and venue.resting(0) == [resting.id], "what rests stays and can be cancelled"
        venue.stroll(CLOSE_AT + MINUTE)
        assert [(venue.agent(x).cash, venue.agent(x).locked) for x in (a, b)] == [(100_000, 0)] * 2
        assert venue.state.fees_cents == 0

    def test_the_first_window_of_a_venue_that_never_printed(self) -> None:
        venue = Venue(opened=False)
        first = venue.pending
        venue.stroll(CLOSE_AT)
        assert first.id not in venue.state.markets, "void at its close, without waiting for another print"


class TestLongGrace:
    """A grace longer than the window: several boundaries wait at once, and are printed oldest first."""

    RULES = {"print_grace_ms": 150_000, "gap_ms": 60_000, **NO_FEES}

    def venue(self) -> Venue:
        venue = Venue(**self.RULES)
        venue.stroll(OPEN_AT + 2 * MINUTE)
        assert list(venue.state.unprinted) == [CLOSE_AT, CLOSE_AT + MINUTE]
        return venue

    def test_they_resolve_in_their_order(self) -> None:
        venue = self.venue()
        assert venue.print(CLOSE_AT + MINUTE, BTC + 2) == [ev.Refused("MARKET_FINAL")], "not before the older one"
        assert outcomes(venue.print(CLOSE_AT, BTC + 1))[0][1] == "YES"
        assert outcomes(venue.print(CLOSE_AT + MINUTE, BTC))[0][1] == "NO"
        assert not venue.state.unprinted

    def test_each_has_its_own_deadline(self) -> None:
        venue = self.venue()
        events = venue.stroll(CLOSE_AT + 150_001)
        assert [p.fact.boundary for p in of_kind(events, ev.Printed)] == [CLOSE_AT]
        assert list(venue.state.unprinted) == [CLOSE_AT + MINUTE, CLOSE_AT + 2 * MINUTE]
        # The second of them lost its open print: its close print cannot help it any more.
        assert outcomes(venue.print(CLOSE_AT + MINUTE, BTC))[0][1:] == ("VOID", "OPEN_PRINT_UNUSABLE")
        assert outcomes(venue.print(CLOSE_AT + 2 * MINUTE, BTC + 1))[0][1:] == ("YES", "UP")

    def test_trading_goes_on_in_a_window_without_a_strike_yet(self) -> None:
        venue = self.venue()
        assert venue.live.open_print is None
        assert venue.buy(venue.agents[0], 50, 1).status == "OPEN"


class TestVoid:
    def void(self, venue: Venue, market: int) -> list[ev.Event]:
        return venue.apply(cmd.VoidMarket("op", market, "test"))

    def test_pending_lists_another(self) -> None:
        venue = Venue()
        gone = venue.pending
        events = self.void(venue, gone.id)
        assert outcomes(events) == [(gone.id, "VOID", "OPERATOR")]
        assert venue.pending.open_at == gone.close_at
        venue.stroll(CLOSE_AT)
        assert venue.state.live is None
        venue.print(CLOSE_AT)
        venue.stroll(CLOSE_AT + MINUTE)
        assert venue.live.open_at == CLOSE_AT + MINUTE

    def test_open_reverses_everything_and_the_next_opens_in_time(self) -> None:
        venue = Venue()
        a, b, _ = venue.agents
        venue.sell(a, 54, 4)
        venue.buy(b, 55, 10)
        gone, following = venue.live, venue.pending
        events = self.void(venue, gone.id)
        [ended] = of_kind(events, ev.OrderEnded)
        assert ended.order.cancel_reason == "ADMIN"
        assert [(venue.agent(x).cash, venue.agent(x).locked) for x in (a, b)] == [(100_000, 0)] * 2
        assert (venue.state.fees_cents, venue.state.live, gone.symbol in venue.state.symbols) == (0, None, False)
        venue.stroll(CLOSE_AT)
        assert venue.live is following
        assert venue.print(CLOSE_AT)[0].__class__ is ev.Printed

    def test_expired_before_its_print_leaves_the_print_to_the_next_window(self) -> None:
        venue = at_close()
        closes, opens = venue.state.unprinted[CLOSE_AT]
        assert closes is not None and opens is not None
        self.void(venue, closes.id)
        assert venue.state.unprinted == {CLOSE_AT: (None, opens)}
        assert outcomes(venue.print(CLOSE_AT, BTC + 1)) == []
        assert venue.live.open_print is not None

    def test_with_nobody_left_at_a_boundary_there_is_no_print_to_wait_for(self) -> None:
        venue = at_close()
        for market in [m for m in venue.state.unprinted[CLOSE_AT] if m is not None]:
            self.void(venue, market.id)
        assert not venue.state.unprinted
        assert venue.print(CLOSE_AT) == [ev.Refused("MARKET_FINAL")]

    def test_resolved_is_final(self) -> None:
        venue = at_close()
        closes, _ = venue.state.unprinted[CLOSE_AT]
        assert closes is not None
        venue.print(CLOSE_AT, BTC + 1)
        assert self.void(venue, closes.id) == [ev.Refused("MARKET_FINAL")]


class TestHaltAndIndex:
    def test_an_operators_halt_and_resume(self) -> None:
        venue = Venue(**NO_FEES)
        a, b, _ = venue.agents
        venue.buy(a, 50, 1)
        venue.apply(cmd.HaltMarket("op", venue.live.id, "test"))
        assert venue.sell(b, 50, 1).reject_reason == "MARKET_HALTED"
        venue.apply(cmd.ResumeMarket("op", venue.live.id, None))
        assert venue.sell(b, 50, 1).status == "FILLED"

    def test_a_halted_window_still_resolves(self) -> None:
        venue = Venue(**NO_FEES)
        market = venue.live
        venue.apply(cmd.HaltMarket("op", market.id, "test"))
        venue.stroll(CLOSE_AT)
        assert outcomes(venue.print(CLOSE_AT, BTC + 1)) == [(market.id, "YES", "UP")]

    def test_the_index_never_goes_back_in_source_time(self) -> None:
        venue = Venue()
        venue.ts += 1_000
        venue.index(BTC + 5, venue.ts - 100)
        assert venue.index(BTC + 6, venue.ts - 101) == [ev.Refused("MARKET_FINAL")]
        assert venue.index(0) == [ev.Refused("MARKET_FINAL")]
        assert venue.state.reference_price == BTC + 5
        assert venue.index(BTC + 7, venue.ts - 100)[0].__class__ is ev.IndexMoved
