"""The oracle against worked examples of the contract: what judges the engine is itself judged here."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.reference import oracle as module
from tests.reference.oracle import Oracle, Refused

MINUTE = 60_000
OPEN_AT = 29_916_667 * MINUTE
RULES: dict[str, Any] = {
    "window_ms": MINUTE,
    "tie_rule": "VOID",
    "print_max_age_ms": 5_000,
    "print_grace_ms": 5_000,
    "gap_ms": 5_000,
    "reference_max_age_ms": 3_000,
    "max_order_qty": 2_000,
    "max_order_notional_cents": 200_000,
    "fat_finger_distance": 20,
    "fat_finger_multiple": 5,
    "position_cap": 5_000,
    "cooldown_rejects": 20,
    "cooldown_window_ms": 10_000,
    "cooldown_ms": 5_000,
    "open_orders_per_market": 200,
    "taker_rate_bps": 700,
    "maker_rebate_bps": 2_500,
    "faucet_amount_cents": 10_000,
    "faucet_cooldown_ms": 60_000,
    "faucet_account_cap_cents": 25_000,
    "signup_grant_cents": 100_000,
}


class Venue(Oracle):
    """An oracle whose first window has just opened. Agents 0 and 2 share the first account, agent 1 has the other."""

    def __init__(self, **rules: Any) -> None:
        super().__init__()
        self.configure(OPEN_AT - 1_000, {**RULES, **rules})
        self.signup(OPEN_AT - 1_000)
        self.signup(OPEN_AT - 1_000)
        self.create_agent(OPEN_AT - 1_000, 0)
        self.grant(OPEN_AT - 1_000, 2, 100_000)
        self.tick(OPEN_AT)
        self.index_tick(OPEN_AT, 10_000_000, OPEN_AT)
        self.print_price(OPEN_AT, OPEN_AT, 10_000_000, OPEN_AT)
        self.t = OPEN_AT

    def order(self, agent: int, side: str, price: int | None, qty: int, tif: str = "GTC", **more: Any) -> Any:
        kind = "MARKET" if price is None else "LIMIT"
        tif = "IOC" if price is None and tif == "GTC" else tif
        spec = {"market": 0, "side": side, "type": kind, "tif": tif, "price": price, "qty": qty, **more}
        return self.place(self.t, agent, spec)


def test_it_imports_nothing_of_the_house() -> None:
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    names = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    names += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert {name.split(".")[0] for name in names} <= {"__future__", "collections", "typing"}


def test_four_at_54_cost_a_taker_seven() -> None:
    """Section 4: 4 @ 54 is 216 of notional and a fee of 7, 0.07 * 4 * 54 * 46 / 100 = 6.9552 rounded up."""
    venue = Venue()
    maker = venue.order(0, "SELL", 54, 4)
    taker = venue.order(1, "BUY", 55, 10)
    assert (taker["status"], venue.filled(taker), taker["remaining"]) == ("PARTIALLY_FILLED", 4, 6)
    assert (venue.notional(taker), venue.fee(taker), venue.fee(maker)) == (216, 7, -1)
    assert venue.fees(0) == 6
    assert venue.flow(0, 1) == -216 - 7


def test_many_small_fills_cost_what_one_large_fill_costs() -> None:
    small, large = Venue(), Venue()
    for _ in range(4):
        small.order(0, "SELL", 54, 1)
    large.order(0, "SELL", 54, 4)
    fees = [v.fee(v.order(1, "BUY", 54, 4)) for v in (small, large)]
    assert fees == [7, 7]


def test_two_sided_quotes_cost_one_side() -> None:
    """Section 8: the lock is the worst outcome, not the sum of both."""
    venue = Venue(maker_rebate_bps=0, taker_rate_bps=0)
    venue.order(0, "BUY", 45, 10)
    assert venue.lock(0, 0) == 450
    venue.order(0, "SELL", 52, 10)
    assert venue.lock(0, 0) == 480
    venue.order(1, "SELL", 45, 10)
    assert (venue.net(0, 0), venue.flow(0, 0)) == (10, -450)
    # Long 10 at 45, 10 for sale at 52: the loss if NO is 450; if YES, 450 - 1000 + 480 is none.
    assert venue.lock(0, 0) == 450
    venue.order(1, "BUY", 52, 10)
    assert (venue.net(0, 0), venue.flow(0, 0), venue.lock(0, 0)) == (0, 70, 0)


def test_closing_frees_collateral_at_once_and_cash_moves_at_the_end() -> None:
    venue = Venue(taker_rate_bps=0)
    venue.order(0, "SELL", 40, 10)
    venue.order(1, "BUY", 40, 10)
    assert (venue.free(0), venue.free(1)) == (100_000 - 600, 100_000 - 400)
    assert (venue.cash(0), venue.cash(1)) == (100_000, 100_000)
    venue.t = OPEN_AT + MINUTE
    for second in range(5, 60, 5):
        venue.tick(OPEN_AT + second * 1_000)
    venue.print_price(venue.t, venue.t, 10_000_001, venue.t)
    assert venue.markets[0]["outcome"] == "YES"
    assert (venue.cash(0), venue.cash(1)) == (100_000 - 600, 100_000 + 600)


def test_a_reduce_only_excess_goes_newest_first() -> None:
    venue = Venue(taker_rate_bps=0)
    venue.order(0, "SELL", 50, 10)
    venue.order(1, "BUY", 50, 10)
    old = venue.order(1, "SELL", 60, 6, reduce_only=True)
    new = venue.order(1, "SELL", 61, 4, reduce_only=True)
    more = venue.order(1, "SELL", 62, 1, reduce_only=True)
    assert (more["reject_reason"], more["reject_details"]) == ("REDUCE_ONLY_VIOLATION", {"max_qty": 0})
    venue.order(0, "BUY", 49, 5)
    venue.order(1, "SELL", 49, 5)
    assert (new["status"], new["cancel_reason"]) == ("CANCELLED", "REDUCE_ONLY")
    assert (old["status"], old["qty"], old["remaining"]) == ("OPEN", 5, 5)


@pytest.mark.parametrize(
    ("stp", "taker_status", "maker_status", "traded"),
    [
        ("CANCEL_MAKER", "FILLED", "CANCELLED", 3),
        ("CANCEL_TAKER", "CANCELLED", "OPEN", 1),
        ("CANCEL_BOTH", "CANCELLED", "CANCELLED", 1),
    ],
)
def test_self_trade_prevention_covers_the_agents_of_an_account(
    stp: str, taker_status: str, maker_status: str, traded: int
) -> None:
    venue = Venue()
    venue.order(1, "SELL", 50, 1)
    own = venue.order(2, "SELL", 51, 5)
    venue.order(1, "SELL", 52, 5)
    taker = venue.order(0, "BUY", 55, 3, stp=stp)
    assert (taker["status"], own["status"], venue.filled(taker)) == (taker_status, maker_status, traded)


def test_fill_or_kill_and_market_do_not_count_own_liquidity_and_a_decline_cancels_nothing() -> None:
    venue = Venue()
    own = venue.order(2, "SELL", 50, 5)
    assert venue.order(0, "BUY", 55, 5, "FOK")["reject_reason"] == "FOK_NOT_FILLABLE"
    assert venue.order(0, "BUY", None, 5)["reject_reason"] == "MARKET_NO_LIQUIDITY"
    assert venue.order(0, "BUY", None, 5, "FOK")["reject_reason"] == "MARKET_NO_LIQUIDITY"
    assert venue.order(0, "BUY", 50, 5, "POST_ONLY")["reject_details"] == {"best_non_crossing_price": 49}
    assert own["status"] == "OPEN"


def test_the_slippage_cap_counts_from_the_touch_at_arrival() -> None:
    venue = Venue()
    for price in (50, 51, 52):
        venue.order(1, "SELL", price, 1)
    taker = venue.order(0, "BUY", None, 3, slippage_cap=1)
    assert (taker["status"], taker["cancel_reason"], venue.filled(taker)) == ("CANCELLED", "IOC_REMAINDER", 2)


def test_fat_finger_needs_distance_and_multiple() -> None:
    venue = Venue()
    venue.order(0, "BUY", 3, 1)
    venue.order(0, "SELL", 6, 1)
    # Mark 4: 5 times the mark is 20, 20 beyond it is 24.
    assert venue.order(1, "BUY", 25, 1)["reject_details"] == {"mark_price": 4, "price_max": 24}
    assert venue.order(1, "BUY", 25, 1, "FOK", confirm_fat_finger=True)["status"] == "FILLED"


def test_declines_lock_the_side_and_only_that() -> None:
    venue = Venue(cooldown_rejects=3)
    for _ in range(3):
        assert venue.order(0, "BUY", 0, 1)["reject_reason"] == "PRICE_OUT_OF_RANGE"
    locked = venue.order(0, "BUY", 50, 1)
    assert locked["reject_details"] == {"retry_after_ms": 5_000, "cooldown_ends_at": OPEN_AT + 5_000}
    assert venue.order(0, "SELL", 60, 1)["status"] == "OPEN"
    assert venue.order(1, "BUY", 50, 1)["status"] == "OPEN"
    venue.t += 5_000
    assert venue.order(0, "BUY", 50, 1)["status"] == "OPEN"


def test_an_atomic_batch_is_all_or_nothing() -> None:
    venue = Venue()
    venue.order(1, "SELL", 50, 2)
    spec = {"market": 0, "side": "BUY", "type": "LIMIT", "tif": "GTC", "price": 50, "qty": 2}
    legs = venue.batch(venue.t, 0, [spec, {**spec, "qty": 1}], atomic=True)
    assert [leg["reject_reason"] for leg in legs] == ["STRATEGY_NOT_FILLED", "FOK_NOT_FILLABLE"]
    assert venue.net(0, 0) == 0 and len(venue.markets[0]["book"]) == 1
    legs = venue.batch(venue.t, 0, [{**spec, "qty": 1}, {**spec, "qty": 1}], atomic=True)
    assert [leg["status"] for leg in legs] == ["FILLED", "FILLED"]


def test_a_quote_keeps_its_place_where_it_did_not_grow() -> None:
    venue = Venue()
    first = venue.put_quotes(venue.t, 0, 0, "q", [(40, 5), (39, 5)], [(60, 5)])
    venue.order(1, "BUY", 40, 1)
    second = venue.put_quotes(venue.t, 0, 0, "q", [(40, 3), (39, 6)], [])
    assert second[0] is first[0] and second[0]["remaining"] == 3
    assert second[1] is not first[1] and first[1]["cancel_reason"] == "REPLACED"
    assert first[2]["cancel_reason"] == "REPLACED"
    assert [o["agent"] for o in venue.book(0, "BUY") if o["price"] == 40] == [0, 1]


def test_amends() -> None:
    venue = Venue()
    first, second = venue.order(0, "BUY", 40, 5), venue.order(1, "BUY", 40, 5)
    venue.amend(venue.t, 0, first["id"], None, 4)
    assert venue.book(0, "BUY")[0] is first
    venue.amend(venue.t, 0, first["id"], 40, 4)
    assert venue.book(0, "BUY")[0] is second
    venue.order(2, "SELL", 40, 6)
    with pytest.raises(Refused, match="ORDER_ALREADY_FILLED"):
        venue.amend(venue.t, 1, second["id"], None, 9)


def test_windows_follow_the_clock() -> None:
    venue = Venue()
    assert [m["status"] for m in venue.markets] == ["OPEN", "PENDING"]
    resting = venue.order(0, "BUY", 40, 5)
    for second in range(4, 60, 4):
        venue.tick(OPEN_AT + second * 1_000)
    venue.tick(OPEN_AT + MINUTE - 1)
    assert resting["status"] == "OPEN"
    venue.tick(OPEN_AT + MINUTE)
    assert (resting["cancel_reason"], resting["updated_at"]) == ("MARKET_CLOSED", OPEN_AT + MINUTE)
    assert [m["status"] for m in venue.markets] == ["EXPIRED", "OPEN", "PENDING"]
    # The last moment of the grace is still in time; one millisecond later there is no print.
    venue.tick(OPEN_AT + MINUTE + 5_000)
    assert venue.markets[0]["status"] == "EXPIRED"
    venue.tick(OPEN_AT + MINUTE + 5_001)
    assert (venue.markets[0]["status"], venue.markets[1]["halted"]) == ("VOID", True)


def test_a_gap_voids_what_touches_it() -> None:
    venue = Venue()
    venue.tick(OPEN_AT + MINUTE - 1)  # a gap without a boundary in it does nothing
    assert venue.markets[0]["status"] == "OPEN"
    venue.tick(OPEN_AT + 3 * MINUTE + 500)
    assert [m["status"] for m in venue.markets] == ["VOID", "VOID", "PENDING"]
    assert venue.markets[2]["open_at"] == OPEN_AT + 4 * MINUTE


def test_ties_and_voids_move_no_cash() -> None:
    venue = Venue()
    venue.order(0, "SELL", 54, 4)
    venue.order(1, "BUY", 54, 4)
    for second in range(5, 61, 5):
        venue.tick(OPEN_AT + second * 1_000)
    venue.print_price(OPEN_AT + MINUTE, OPEN_AT + MINUTE, 10_000_000, OPEN_AT + MINUTE)
    assert venue.markets[0]["status"] == "VOID"
    assert (venue.cash(0), venue.cash(1), venue.venue_cash) == (100_000, 100_000, 0)


def test_money_comes_from_grants_only() -> None:
    venue = Venue()
    venue.faucet(venue.t, 0)
    with pytest.raises(Refused, match="FAUCET_COOLDOWN"):
        venue.faucet(venue.t, 2)
    with pytest.raises(Refused, match="INSUFFICIENT_BALANCE"):
        venue.transfer(venue.t, 0, 0, None, 110_001)
    venue.transfer(venue.t, 0, 0, None, 110_000)
    assert (venue.cash(0), venue.accounts[0]["cash"], venue.granted) == (0, 110_000, 310_000)
