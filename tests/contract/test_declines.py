"""Section 5: every decline, in its place in the order of judgement, with numbers that repair it."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from tests.contract.desk import Agent, Desk, leave, taker_fee

SETTINGS = {
    "RAETH_RISK__MAX_ORDER_NOTIONAL_CENTS": "50000",
    "RAETH_RISK__POSITION_CAP": "1500",
    "RAETH_RISK__COOLDOWN_REJECTS": "6",
    "RAETH_RISK__COOLDOWN_MS": "1200",
    "RAETH_LIMITS__OPEN_ORDERS_PER_MARKET": "10",
}


def pending(desk: Desk) -> str:
    return desk.anyone.get("/markets", status="PENDING")["items"][0]["id"]


def test_bounds_are_published_with_the_market(desk: Desk) -> None:
    risk = desk.anyone.get(f"/markets/{desk.market}")["risk"]
    expected = {
        "max_order_qty": 2000, "max_order_notional_cents": 50_000, "fat_finger_distance": 20, "fat_finger_multiple": 5,
        "position_cap": 1500, "reference_max_age_ms": 3000, "cooldown_rejects": 6, "cooldown_window_ms": 10_000,
        "cooldown_ms": 1200,
    }  # fmt: skip
    assert {name: risk[name] for name in expected} == expected


@pytest.mark.parametrize("market", [str(uuid.UUID(int=7)), "BTC-1M-20200101T0000Z", "nonsense"])
def test_unknown_market(calm: Desk, market: str) -> None:
    """Declined before the chain: no bounds to check, so not even a size of a billion is looked at."""
    agent = calm.signup()
    order = agent.post("/orders", agent.body("BUY", 50, 10**9) | {"market_id": market})
    assert order["reject_reason"] == "UNKNOWN_MARKET"


# FAT_FINGER


def test_fat_finger_by_size(calm: Desk) -> None:
    agent = calm.signup()
    repair = agent.declined("FAT_FINGER", "BUY", 1, 2001)
    assert (repair["max_qty"], repair["confirm_field"]) == (1500, "confirm_fat_finger") or repair["max_qty"] == 2000
    repair = agent.declined("FAT_FINGER", "BUY", 99, 506)
    assert repair["max_qty"] == 505, "50 000 cents hold 505 contracts at 99"
    assert agent.buy(99, repair["max_qty"])["status"] == "OPEN"
    agent.declined("FAT_FINGER", "BUY", 50, 1001)
    agent.declined("FAT_FINGER", "BUY", None, 2001)
    passes = agent.buy(50, 1001 - 506, confirm_fat_finger=True)
    assert passes["status"] == "OPEN"


def set_mark(desk: Desk, price: int) -> None:
    """A trade at that price and an empty book."""
    one, two = desk.signup(), desk.signup()
    one.rests("SELL", price, 1, confirm_fat_finger=True)
    assert two.buy(price, 1, confirm_fat_finger=True)["status"] == "FILLED"
    assert desk.anyone.get(f"/markets/{desk.market}")["mark_price"] == price


# mark, side, last price that passes: more than 20 beyond AND beyond the multiple is declined
EDGES = [
    (2, "BUY", 22), (3, "BUY", 23), (5, "BUY", 25), (6, "BUY", 30), (10, "BUY", 50), (19, "BUY", 95),
    (98, "SELL", 78), (97, "SELL", 77), (94, "SELL", 70), (90, "SELL", 50), (81, "SELL", 5),
]  # fmt: skip


@pytest.mark.parametrize(("mark", "side", "last"), EDGES)
def test_fat_finger_by_price(calm: Desk, mark: int, side: str, last: int) -> None:
    set_mark(calm, mark)
    agent = calm.signup()
    beyond = last + (1 if side == "BUY" else -1)
    repair = agent.declined("FAT_FINGER", side, beyond, 1)
    assert repair["mark_price"] == mark and repair["confirm_field"] == "confirm_fat_finger"
    bound = repair["price_max" if side == "BUY" else "price_min"]
    assert bound == last, repair
    accepted = agent.order(side, bound, 1)
    assert accepted["status"] == "OPEN"
    agent.ask("DELETE", f"/orders/{accepted['order_id']}")
    assert agent.order(side, beyond, 1, confirm_fat_finger=True)["status"] == "OPEN"


def test_passive_prices_are_no_fat_fingers(calm: Desk) -> None:
    set_mark(calm, 90)
    agent = calm.signup()
    assert agent.buy(1, 1)["status"] == "OPEN"
    assert agent.sell(99, 1)["status"] == "OPEN"
    assert calm.anyone.get(f"/markets/{calm.market}")["mark_price"] == 50, "the mid of the touch beats the last trade"


def test_mark_is_the_floor_of_the_mid_else_the_last_trade(calm: Desk) -> None:
    agent = calm.signup()
    assert calm.anyone.get(f"/markets/{calm.market}")["mark_price"] == 50
    agent.rests("BUY", 10, 1)
    assert calm.anyone.get(f"/markets/{calm.market}")["mark_price"] == 50, "one side is no touch"
    agent.rests("SELL", 13, 1)
    market = calm.anyone.get(f"/markets/{calm.market}")
    assert (market["best_bid"], market["best_ask"], market["mark_price"]) == (10, 13, 11)
    assert market["last_trade_price"] == 50


def test_sizes_and_prices_that_the_first_links_leave_to_others(calm: Desk) -> None:
    agent = calm.signup()
    agent.declined("INVALID_QTY", "BUY", 50, 0)
    agent.declined("INVALID_QTY", "BUY", 50, -5000)
    agent.declined("PRICE_OUT_OF_RANGE", "BUY", 0, 5000)
    agent.declined("PRICE_OUT_OF_RANGE", "BUY", 100, 5000)
    agent.declined("INVALID_QTY", "BUY", 1000, 0)


# POSITION_CAP


def test_position_cap_counts_position_and_resting_orders(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    agent.rests("BUY", 10, 1000)
    repair = agent.declined("POSITION_CAP", "BUY", 11, 501)
    assert (repair["position_cap"], repair["max_qty"]) == (1500, 500)
    agent.rests("SELL", 90, 500)
    assert agent.buy(11, repair["max_qty"])["status"] == "OPEN"
    full = agent.declined("POSITION_CAP", "BUY", 1, 1)
    assert full.get("max_qty", 0) == 0
    assert other.sell(11, 500)["status"] == "FILLED"
    agent.declined("POSITION_CAP", "BUY", 1, 1)
    repair = agent.declined("POSITION_CAP", "SELL", 95, 1501, confirm_fat_finger=True)
    assert repair["max_qty"] == 1500, "500 long, 500 offered: 1500 more make 1500 short"
    assert agent.sell(95, 500)["status"] == "OPEN"


# AGENT_SIDE_COOLDOWN


def lock(agent: Agent, side: str = "BUY") -> None:
    for n in range(6):
        agent.declined("INVALID_QTY", side, 50, 0, client_order_id=f"decline-{side}-{n}")


def test_cooldown_locks_one_side_of_one_agent_for_a_while(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    resting = agent.rests("BUY", 10, 5)
    lock(agent)
    repair = agent.declined("AGENT_SIDE_COOLDOWN", "BUY", 20, 1)
    assert 0 < repair["retry_after_ms"] <= 1200 and repair["cooldown_ends_at"]
    agent.declined("AGENT_SIDE_COOLDOWN", "BUY", 50, 0)
    agent.declined("FAT_FINGER", "BUY", 1, 5000)
    agent.declined("POSITION_CAP", "BUY", 1, 1800)
    assert agent.sell(80, 1)["status"] == "OPEN" and other.buy(20, 1)["status"] == "OPEN"
    replay = agent.buy(50, 0, client_order_id="decline-BUY-0")
    assert replay["replayed"] and replay["reject_reason"] == "INVALID_QTY"
    assert agent.ask("DELETE", f"/orders/{resting['order_id']}")["status"] == "CANCELLED"
    repair = agent.declined("AGENT_SIDE_COOLDOWN", "BUY", 20, 1)
    time.sleep(repair["retry_after_ms"] / 1000 + 0.05)
    assert agent.buy(20, 1)["status"] == "OPEN", "cool-down declines do not prolong it"


def test_what_does_not_count_for_the_cooldown(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    for _ in range(8):
        agent.declined("MARKET_NO_LIQUIDITY", "BUY", None, 1)
        agent.declined("FOK_NOT_FILLABLE", "BUY", 50, 1, tif="FOK")
        agent.buy(50, 0, client_order_id="again")
    other.rests("SELL", 40, 1)
    for _ in range(8):
        agent.declined("POST_ONLY_WOULD_CROSS", "BUY", 40, 1, tif="POST_ONLY")
    assert agent.buy(20, 1)["status"] == "OPEN"


# the engine's own


def test_market_not_open(calm: Desk) -> None:
    agent = calm.signup()
    order = agent.post("/orders", agent.body("BUY", 50, 0) | {"market_id": pending(calm)})
    assert order["reject_reason"] == "MARKET_NOT_OPEN", "before INVALID_QTY"
    assert order["reject_details"]["retryable"]


def test_market_halted(calm: Desk) -> None:
    agent = calm.signup()
    resting = agent.rests("BUY", 10, 5)
    calm.admin.post(f"/admin/markets/{calm.market}/halt", {"reason": "look"})
    try:
        agent.declined("MARKET_HALTED", "BUY", 10, 0)
        agent.declined("FAT_FINGER", "BUY", 10, 5000)
        assert calm.anyone.get(f"/markets/{calm.market}")["halted"] is True
        assert agent.ask("DELETE", f"/orders/{resting['order_id']}")["status"] == "CANCELLED"
    finally:
        calm.admin.post(f"/admin/markets/{calm.market}/resume", {})
    assert agent.buy(10, 1)["status"] == "OPEN"


def test_price_out_of_range(calm: Desk) -> None:
    agent = calm.signup()
    for price in (0, -1, 100, 10**15):
        repair = agent.declined("PRICE_OUT_OF_RANGE", "BUY", price, 1)
        assert (repair["price_min"], repair["price_max"]) == (1, 99)
    assert agent.buy(repair["price_min"], 1)["status"] == "OPEN"
    assert agent.sell(repair["price_max"], 1)["status"] == "OPEN"


@pytest.mark.parametrize("leverage", [2, 0, -1, "x", 1.5, [], {}, True, "1"])
def test_leverage_of_any_kind_is_declined(calm: Desk, leverage: Any) -> None:
    calm.signup().declined("INVALID_LEVERAGE", "BUY", 50, 1, leverage=leverage)


@pytest.mark.parametrize("mode", ["ISOLATED", "CROSS", 1, [], {}, False])
def test_margin_modes_of_any_kind_are_declined(calm: Desk, mode: Any) -> None:
    calm.signup().declined("INVALID_MARGIN_MODE", "BUY", 50, 1, margin_mode=mode)


def test_stale_requests_early_and_late(calm: Desk) -> None:
    agent = calm.signup()
    now = calm.now_ms()
    agent.declined("STALE_REQUEST", "BUY", 50, 1, timestamp_ms=now - 5000, recv_window_ms=1000)
    agent.declined("STALE_REQUEST", "BUY", 50, 1, timestamp_ms=now + 5000, recv_window_ms=1000)
    agent.declined("STALE_REQUEST", "BUY", 50, 1, timestamp_ms=int(time.time() * 1000), recv_window_ms=60_000)
    assert agent.buy(20, 1, timestamp_ms=calm.now_ms(), recv_window_ms=2000)["status"] == "OPEN"
    assert agent.buy(20, 1, timestamp_ms=calm.now_ms() - 5000, recv_window_ms=60_000)["status"] == "OPEN"


def test_orders_that_expired_before_they_came(calm: Desk) -> None:
    agent = calm.signup()
    for moment in (calm.now_ms() - 1, 0, -1):
        agent.declined("ORDER_EXPIRED", "BUY", 50, 1, expires_at_ms=moment)
    assert agent.buy(20, 1, expires_at_ms=calm.now_ms() + 60_000)["status"] == "OPEN"


def test_reduce_only_violation(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    assert agent.declined("REDUCE_ONLY_VIOLATION", "SELL", 60, 1, reduce_only=True).get("max_qty", 0) == 0
    other.rests("SELL", 50, 10)
    agent.buy(50, 10)
    agent.declined("REDUCE_ONLY_VIOLATION", "BUY", 40, 1, reduce_only=True)
    agent.rests("SELL", 60, 4, reduce_only=True)
    agent.rests("SELL", 61, 8)
    repair = agent.declined("REDUCE_ONLY_VIOLATION", "SELL", 60, 7, reduce_only=True)
    assert repair["max_qty"] == 6, "only resting reduce-only orders of the side count"
    assert agent.sell(60, 6, reduce_only=True)["status"] == "OPEN"


@pytest.mark.parametrize("own", [False, True])
def test_post_only_would_cross(calm: Desk, own: bool) -> None:
    agent = calm.signup()
    other = agent if own else calm.signup()
    other.rests("BUY", 45, 1)
    other.rests("SELL", 48, 1)
    for side, price, best in (("BUY", 48, 47), ("BUY", 60, 47), ("SELL", 45, 46), ("SELL", 30, 46)):
        repair = agent.declined("POST_ONLY_WOULD_CROSS", side, price, 1, tif="POST_ONLY")
        assert repair["best_non_crossing_price"] == best
    assert agent.buy(47, 1, tif="POST_ONLY")["status"] == "OPEN"
    repair = agent.declined("POST_ONLY_WOULD_CROSS", "SELL", 40, 1, tif="POST_ONLY")
    assert agent.sell(repair["best_non_crossing_price"], 1, tif="POST_ONLY")["status"] == "OPEN" or own


def test_post_only_at_the_edge_of_the_band_has_no_repair(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("SELL", 1, 1)
    repair = agent.declined("POST_ONLY_WOULD_CROSS", "BUY", 1, 1, tif="POST_ONLY")
    assert "best_non_crossing_price" not in repair, "0 is outside the band"


def test_fok_not_fillable(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("SELL", 50, 3)
    other.rests("SELL", 52, 4)
    repair = agent.declined("FOK_NOT_FILLABLE", "BUY", 52, 8, tif="FOK")
    assert repair["max_qty"] == 7
    assert agent.declined("FOK_NOT_FILLABLE", "BUY", 51, 4, tif="FOK")["max_qty"] == 3
    agent.declined("FOK_NOT_FILLABLE", "BUY", None, 4, tif="FOK", slippage_cap_cents=1)
    assert calm.book()[1] == [[50, 3, 1], [52, 4, 1]], "a declined order changes nothing"
    filled = agent.buy(52, repair["max_qty"], tif="FOK")
    assert filled["status"] == "FILLED" and filled["fee_cents"] == taker_fee([(50, 3), (52, 4)])


def test_market_no_liquidity(calm: Desk) -> None:
    agent = calm.signup()
    for fields in ({}, {"tif": "FOK"}, {"tif": "IOC"}, {"tif": "GTC"}):
        agent.declined("MARKET_NO_LIQUIDITY", "BUY", None, 1, **fields)
    agent.rests("SELL", 50, 1)
    agent.declined("MARKET_NO_LIQUIDITY", "BUY", None, 1)
    assert len(agent.open_orders()) == 1, "a declined order cancels nothing"


@pytest.mark.parametrize(("side", "price"), [("BUY", 37), ("SELL", 37), ("BUY", 99), ("SELL", 1), ("SELL", 93)])
def test_insufficient_margin_resting(calm: Desk, side: str, price: int) -> None:
    _, (_, poor) = calm.owner(2)
    cash = 5_003
    leave(calm, poor, cash)
    unit = price if side == "BUY" else 100 - price
    fits = cash // unit
    if fits > 1400:
        pytest.skip("the cap comes first")
    repair = poor.declined("INSUFFICIENT_MARGIN", side, price, fits + 1, confirm_fat_finger=True)
    assert (repair["free_cash_cents"], repair["max_qty"]) == (cash, fits)
    assert repair["required_cents"] == unit * (fits + 1)
    assert poor.order(side, price, repair["max_qty"], confirm_fat_finger=True)["status"] == "OPEN"


@pytest.mark.parametrize("price", [None, 60])
def test_insufficient_margin_taking_counts_the_fee(calm: Desk, price: int | None) -> None:
    _, (_, poor) = calm.owner(2)
    leave(calm, poor, 1_000)
    other = calm.signup()
    other.rests("SELL", 51, 7)
    other.rests("SELL", 53, 50)

    def need(qty: int) -> int:
        fills = [(51, min(qty, 7))] + ([(53, qty - 7)] if qty > 7 else [])
        return sum(p * q for p, q in fills) + taker_fee(fills)

    fits = max(q for q in range(1, 30) if need(q) <= 1_000)
    repair = poor.declined("INSUFFICIENT_MARGIN", "BUY", price, fits + 1, tif="IOC")
    assert repair["required_cents"] == need(fits + 1) and repair["free_cash_cents"] == 1_000
    assert repair["max_qty"] == fits
    filled = poor.buy(price, fits, tif="IOC")
    assert filled["status"] == "FILLED" and poor.account()["free_cash_cents"] == 1_000 - need(fits)


def test_open_orders_cap(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    for n in range(10):
        agent.rests("BUY", 10 + n, 1)
    agent.declined("OPEN_ORDERS_CAP", "BUY", 5, 1)
    agent.declined("OPEN_ORDERS_CAP", "SELL", 60, 1)
    other.rests("SELL", 40, 3)
    assert agent.buy(40, 1)["status"] == "FILLED", "it does not rest"
    assert agent.buy(40, 1, tif="IOC")["status"] == "FILLED"
    assert other.buy(5, 1)["status"] == "OPEN"
    agent.ask("DELETE", f"/orders/{agent.open_orders()[0]['order_id']}")
    assert agent.buy(5, 1)["status"] == "OPEN"


# the order of the links


def test_the_first_fault_is_the_answer(calm: Desk) -> None:
    """One order with every fault; each is repaired in turn and the next one shows."""
    agent = calm.signup()
    other = calm.signup()
    other.rests("SELL", 40, 3, confirm_fat_finger=True)
    now = calm.now_ms()
    fields: dict[str, Any] = {
        "leverage": 5, "margin_mode": "CROSS", "timestamp_ms": now - 9_000, "recv_window_ms": 10, "expires_at_ms": 1,
        "reduce_only": True, "tif": "POST_ONLY",
    }  # fmt: skip
    agent.declined("INVALID_QTY", "BUY", 0, 0, **fields)
    agent.declined("PRICE_OUT_OF_RANGE", "BUY", 0, 1, **fields)
    agent.declined("FAT_FINGER", "BUY", 50, 5000, **fields)
    agent.declined("POSITION_CAP", "BUY", 20, 1501, **fields)
    agent.declined("INVALID_LEVERAGE", "BUY", 50, 1, **fields)
    agent = calm.signup()
    fields.pop("leverage")
    agent.declined("INVALID_MARGIN_MODE", "BUY", 50, 1, **fields)
    fields.pop("margin_mode")
    agent.declined("STALE_REQUEST", "BUY", 50, 1, **fields)
    fields["timestamp_ms"], fields["recv_window_ms"] = calm.now_ms(), 60_000
    agent.declined("ORDER_EXPIRED", "BUY", 50, 1, **fields)
    fields.pop("expires_at_ms")
    agent.declined("REDUCE_ONLY_VIOLATION", "BUY", 50, 1, **fields)
    fields.pop("reduce_only")
    agent.declined("POST_ONLY_WOULD_CROSS", "BUY", 50, 1, **fields)
    fields["tif"] = "FOK"
    agent = calm.signup()
    agent.declined("FOK_NOT_FILLABLE", "BUY", 40, 4, **fields)


def test_margin_comes_before_the_open_orders_cap_and_after_fok(calm: Desk) -> None:
    _, (_, poor) = calm.owner(2)
    leave(calm, poor, 100)
    for _ in range(10):
        poor.rests("BUY", 1, 1)
    poor.declined("INSUFFICIENT_MARGIN", "BUY", 50, 2)
    poor.declined("OPEN_ORDERS_CAP", "BUY", 1, 1)
    poor.declined("FOK_NOT_FILLABLE", "BUY", 50, 100, tif="FOK")
    poor.declined("MARKET_NO_LIQUIDITY", "BUY", None, 900)


def test_a_preview_names_the_same_decline(calm: Desk) -> None:
    agent = calm.signup()
    bodies = [agent.body("BUY", 50, 0), agent.body("BUY", 0, 1), agent.body("BUY", 99, 700), agent.body("BUY", None, 1)]
    bodies += [agent.body("BUY", 50, 1, leverage=3), agent.body("SELL", 50, 1, reduce_only=True)]
    for body in bodies:
        preview = agent.post("/orders/preview", body)
        order = agent.post("/orders", body) if body != bodies[-1] else calm.signup().post("/orders", body)
        assert preview["would"] == "REJECT"
        assert (preview["reject_reason"], preview["reject_details"]) == (
            order["reject_reason"],
            order["reject_details"],
        )
