"""Every decline of the catalogue, made through HTTP, with the numbers that repair it (contract, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from raeth.api.views.names import iso
from raeth.engine import commands as cmd
from raeth.engine.ids import to_uuid
from raeth.engine.types import Settings
from raeth.errors import CATALOGUE, DECLINE_CODES, Code
from tests.api.harness import GENESIS_MS, RULES, Desk, Trader, opened_desk

Case = Callable[[Desk, Trader, Trader], Awaitable[dict[str, Any]]]
CASES: dict[Code, Case] = {}


def case(code: Code) -> Callable[[Case], Case]:
    def keep(make: Case) -> Case:
        CASES[code] = make
        return make

    return keep


@pytest.mark.parametrize("code", sorted(DECLINE_CODES))
async def test_the_code_declines_an_order(desk: Desk, code: Code) -> None:
    details = await CASES[code](desk, await desk.trader("alice"), await desk.trader("bob"))
    assert details["retryable"] is CATALOGUE[code].retryable


def test_no_other_code_declines() -> None:
    assert set(CASES) == DECLINE_CODES


@case(Code.UNKNOWN_MARKET)
async def unknown_market(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    for market in ("BTC-1M-19990101T0000Z", "nonsense", a.uuid, "x" * 64, to_uuid(GENESIS_MS, (1 << 74) - 1)):
        details = await a.declined("UNKNOWN_MARKET", "BUY", 50, 1, market_id=market)
        order = await a.place("BUY", 50, 1, market_id=market)
        assert order["market_id"] is None and order["symbol"] is None
        assert await a.get(f"/orders/{order['order_id']}") == order
    assert details == {"retryable": False}
    return details


@case(Code.FAT_FINGER)
async def fat_finger(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    rules = {"retryable": False, "confirm_field": "confirm_fat_finger"}
    assert await a.declined("FAT_FINGER", "BUY", 50, 2_001) == {"max_qty": 2_000, **rules}
    assert await a.declined("FAT_FINGER", "SELL", None, 2_001) == {"max_qty": 2_000, **rules}
    await b.place("BUY", 4, 10)
    await b.place("SELL", 6, 10)
    bound = {"mark_price": 5, "price_min": 1, "price_max": 25}
    assert await a.declined("FAT_FINGER", "BUY", 26, 1) == bound | rules
    assert (await a.place("BUY", 25, 1))["status"] == "FILLED"
    confirmed = await a.place("BUY", 26, 1, confirm_fat_finger=True)
    assert confirmed["status"] == "FILLED"
    # The same for a SELL, by the complements: the mark is 95, and 100 - 95 is 5.
    await desk.next_window()
    await b.place("BUY", 94, 10)
    await b.place("SELL", 96, 10)
    bound = {"mark_price": 95, "price_min": 75, "price_max": 99}
    return await a.declined("FAT_FINGER", "SELL", 74, 1) and await same(a, "SELL", 74, bound | rules)


async def same(a: Trader, side: str, price: int, expected: dict[str, Any]) -> dict[str, Any]:
    details = await a.declined("FAT_FINGER", side, price, 1)
    assert details == expected
    return details


@case(Code.POSITION_CAP)
async def position_cap(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    for _ in range(2):
        assert (await a.place("BUY", 1, 2_000))["status"] == "OPEN"
    details = await a.declined("POSITION_CAP", "BUY", 1, 1_001)
    assert details == {"position_cap": 5_000, "max_qty": 1_000, "retryable": False}
    assert (await a.place("BUY", 1, 1_000))["status"] == "OPEN"
    return details


@case(Code.NO_REFERENCE_PRICE)
async def no_reference(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    await desk.advance(RULES.reference_max_age_ms)
    details = await a.declined("NO_REFERENCE_PRICE", "BUY", None, 1)
    assert details["retry_after_ms"] > 0
    assert (await a.place("BUY", 50, 1))["status"] == "OPEN"
    await desk.tick()
    await a.declined("MARKET_NO_LIQUIDITY", "BUY", None, 1)
    return details


@case(Code.AGENT_SIDE_COOLDOWN)
async def cooldown(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    for _ in range(RULES.cooldown_rejects):
        await a.declined("INVALID_QTY", "BUY", 50, 0)
    details = await a.declined("AGENT_SIDE_COOLDOWN", "BUY", 50, 1)
    ends = desk.clock.now_ms() + RULES.cooldown_ms
    assert details == {"cooldown_ends_at": iso(ends), "retry_after_ms": RULES.cooldown_ms, "retryable": True}
    assert (await a.place("SELL", 50, 1))["status"] == "OPEN"
    await desk.advance(RULES.cooldown_ms - 1)
    assert (await a.declined("AGENT_SIDE_COOLDOWN", "BUY", 40, 1))["retry_after_ms"] == 1
    await desk.advance(1)
    assert (await a.place("BUY", 40, 1))["status"] == "OPEN"
    return details


@case(Code.MARKET_NOT_OPEN)
async def not_open(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    pending = desk.sequencer.state.pending
    assert pending is not None
    details = await a.declined("MARKET_NOT_OPEN", "BUY", 50, 1, market_id=pending.symbol)
    assert details == {"retry_after_ms": 60_000, "retryable": True}
    return details


@case(Code.MARKET_CLOSED)
async def closed(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    symbol, market_id = desk.symbol, desk.market_id
    await desk.advance(59_999)
    assert (await a.place("BUY", 50, 1, market_id=symbol))["status"] == "OPEN"
    desk.clock.advance(1)  # nobody told the venue yet: the order's own stamp closes the window
    await a.declined("MARKET_CLOSED", "BUY", 50, 1, market_id=symbol)
    await desk.print()
    for ref in (symbol, market_id):
        order = await a.place("BUY", 50, 1, market_id=ref)
        assert (order["reject_reason"], order["symbol"], order["market_id"]) == ("MARKET_CLOSED", symbol, market_id)
    return order["reject_details"]


@case(Code.MARKET_HALTED)
async def halted(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    await desk.submit(cmd.HaltMarket("ops", desk.market.id, "test"))
    details = await a.declined("MARKET_HALTED", "BUY", 50, 1)
    await desk.submit(cmd.ResumeMarket("ops", desk.market.id, None))
    assert (await a.place("BUY", 50, 1))["status"] == "OPEN"
    return details


@case(Code.INVALID_QTY)
async def invalid_qty(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    for qty in (0, -1, -(2**53) + 1):
        details = await a.declined("INVALID_QTY", "BUY", 50, qty)
    assert details == {"min_qty": 1, "max_qty": 2_000, "retryable": False}
    return details


@case(Code.PRICE_OUT_OF_RANGE)
async def out_of_range(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    for price in (0, -1, 100, 2**53 - 1):
        details = await a.declined("PRICE_OUT_OF_RANGE", "BUY", price, 1)
    assert details == {"price_min": 1, "price_max": 99, "retryable": False}
    return details


@case(Code.INVALID_LEVERAGE)
async def leverage(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    for value in (2, 0, -1, 1.0, True, "1", [], {}, {"x": 10**30}, 1e300):
        details = await a.declined("INVALID_LEVERAGE", "BUY", 50, 1, leverage=value)
    for fine in (1, None):
        assert (await a.place("BUY", 50, 1, leverage=fine))["status"] == "OPEN"
    assert details == {"max_leverage": 1, "retryable": False}
    return details


@case(Code.INVALID_MARGIN_MODE)
async def margin_mode(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    for value in ("CROSS", "", 0, False, []):
        details = await a.declined("INVALID_MARGIN_MODE", "BUY", 50, 1, margin_mode=value)
    assert (await a.place("BUY", 50, 1, margin_mode=None))["status"] == "OPEN"
    return details


@case(Code.STALE_REQUEST)
async def stale(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    now = desk.clock.now_ms()
    for sent, late in ((now - 101, 101), (now + 101, -101)):
        details = await a.declined("STALE_REQUEST", "BUY", 50, 1, timestamp_ms=sent, recv_window_ms=100)
        assert details == {"late_by_ms": late, "recv_window_ms": 100, "retryable": True}
    assert (await a.place("BUY", 50, 1, timestamp_ms=now - 100, recv_window_ms=100))["status"] == "OPEN"
    return details


@case(Code.ORDER_EXPIRED)
async def expired(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    now = desk.clock.now_ms()
    details = await a.declined("ORDER_EXPIRED", "BUY", 50, 1, expires_at_ms=now)
    order = await a.place("BUY", 50, 1, expires_at_ms=now + 1)
    assert order["status"] == "OPEN"
    await desk.advance(1)
    assert (await a.get(f"/orders/{order['order_id']}"))["status"] == "EXPIRED"
    return details


@case(Code.REDUCE_ONLY_VIOLATION)
async def reduce_only(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    assert (await a.declined("REDUCE_ONLY_VIOLATION", "SELL", 60, 1, reduce_only=True))["max_qty"] == 0
    await b.place("SELL", 50, 10)
    await a.place("BUY", 50, 10)
    assert (await a.place("SELL", 60, 4, reduce_only=True))["status"] == "OPEN"
    details = await a.declined("REDUCE_ONLY_VIOLATION", "SELL", 61, 7, reduce_only=True)
    assert details == {"max_qty": 6, "retryable": False}
    assert (await a.place("SELL", 61, 6, reduce_only=True))["status"] == "OPEN"
    return details


@case(Code.POST_ONLY_WOULD_CROSS)
async def post_only(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    await b.place("SELL", 55, 10)
    await b.place("BUY", 50, 10)
    assert (await a.declined("POST_ONLY_WOULD_CROSS", "SELL", 50, 1, tif="POST_ONLY"))["best_non_crossing_price"] == 51
    details = await a.declined("POST_ONLY_WOULD_CROSS", "BUY", 60, 1, tif="POST_ONLY")
    assert details == {"best_non_crossing_price": 54, "retryable": True}
    # Own orders count as crossing.
    await b.declined("POST_ONLY_WOULD_CROSS", "BUY", 55, 1, tif="POST_ONLY")
    assert (await a.place("BUY", 54, 1, tif="POST_ONLY"))["status"] == "OPEN"
    return details


@case(Code.FOK_NOT_FILLABLE)
async def fok(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    await b.place("SELL", 55, 10)
    await a.place("SELL", 54, 5)
    book = await desk.read(f"/markets/{desk.symbol}/book")
    # The own account's 5 at 54 are no liquidity, and a declined order cancels nothing.
    details = await a.declined("FOK_NOT_FILLABLE", "BUY", 55, 11, tif="FOK")
    assert details == {"max_qty": 10, "retryable": True}
    assert (await a.declined("FOK_NOT_FILLABLE", "BUY", None, 11, tif="FOK"))["max_qty"] == 10
    assert (await desk.read(f"/markets/{desk.symbol}/book"))["asks"] == book["asks"]
    assert (await a.place("BUY", 55, 10, tif="FOK"))["status"] == "FILLED"
    return details


@case(Code.MARKET_NO_LIQUIDITY)
async def no_liquidity(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    details = await a.declined("MARKET_NO_LIQUIDITY", "BUY", None, 1)
    await a.declined("MARKET_NO_LIQUIDITY", "BUY", None, 1, tif="FOK")
    await a.place("SELL", 55, 5)
    await a.declined("MARKET_NO_LIQUIDITY", "BUY", None, 1)
    assert details == {"max_qty": 0, "retryable": True}
    return details


@case(Code.INSUFFICIENT_MARGIN)
async def margin(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    poor = await desk.trader("poor", cash_cents=1_000)
    details = await poor.declined("INSUFFICIENT_MARGIN", "BUY", 60, 17)
    assert details == {"required_cents": 1_020, "free_cash_cents": 1_000, "max_qty": 16, "retryable": False}
    assert (await poor.declined("INSUFFICIENT_MARGIN", "SELL", 40, 17))["max_qty"] == 16
    assert (await poor.place("BUY", 60, 16))["status"] == "OPEN"
    return details


@case(Code.OPEN_ORDERS_CAP)
async def orders_cap(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    for number in range(RULES.open_orders_per_market // 10):
        body = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 1 + number, "qty": 1}
        await a.ask("POST", "/orders/batch", json={"orders": [body] * 10})
    details = await a.declined("OPEN_ORDERS_CAP", "BUY", 30, 1)
    assert details == {"open_orders_cap": 200, "retryable": False}
    await b.place("SELL", 40, 1)
    assert (await a.place("BUY", 40, 1, tif="IOC"))["status"] == "FILLED"
    return details


@case(Code.STRATEGY_NOT_FILLED)
async def strategy(desk: Desk, a: Trader, b: Trader) -> dict[str, Any]:
    await b.place("SELL", 55, 10)
    legs = [
        {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 55, "qty": 4},
        {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 55, "qty": 7},
    ]
    results = (await a.ask("POST", "/orders/batch", json={"orders": legs, "atomic": True}))["results"]
    assert [leg["reject_reason"] for leg in results] == ["STRATEGY_NOT_FILLED", "FOK_NOT_FILLABLE"]
    assert [leg["tif"] for leg in results] == ["FOK", "FOK"]
    assert (await a.get("/positions"))["items"] == []
    return results[0]["reject_details"]


async def test_the_chain_judges_in_its_order(desk: Desk) -> None:
    """The first fault found is the answer, by the contract's order."""
    a = await desk.trader("alice")
    pending = desk.sequencer.state.pending
    assert pending is not None
    bad: dict[str, Any] = {"leverage": 5, "margin_mode": "x", "expires_at_ms": 1, "tif": "POST_ONLY"}
    stale = {"timestamp_ms": 1, "recv_window_ms": 1}
    await a.declined("UNKNOWN_MARKET", "BUY", 0, 0, market_id="none", **bad)
    await a.declined("FAT_FINGER", "BUY", 50, 6_000, market_id=pending.symbol, **bad)
    await a.declined("POSITION_CAP", "BUY", 50, 6_000, market_id=pending.symbol, confirm_fat_finger=True, **bad)
    await a.declined("MARKET_NOT_OPEN", "BUY", 0, 0, market_id=pending.symbol, **bad)
    await a.declined("INVALID_QTY", "BUY", 0, 0, **bad)
    await a.declined("PRICE_OUT_OF_RANGE", "BUY", 0, 1, **bad)
    await a.declined("INVALID_LEVERAGE", "BUY", 50, 1, **bad)
    del bad["leverage"]
    await a.declined("INVALID_MARGIN_MODE", "BUY", 50, 1, **bad)
    del bad["margin_mode"]
    await a.declined("STALE_REQUEST", "BUY", 50, 1, **bad, **stale)
    await a.declined("ORDER_EXPIRED", "BUY", 50, 1, **bad)


async def test_declines_of_other_markets_and_market_outcomes_do_not_count_for_the_cooldown(tmp_path: Path) -> None:
    rules = Settings(reference_kind="scripted", gap_ms=3_600_000, cooldown_rejects=3)
    async with opened_desk(tmp_path, rules) as desk:
        a = await desk.trader("alice")
        for _ in range(5):
            await a.declined("FOK_NOT_FILLABLE", "BUY", 50, 1, tif="FOK")
            await a.declined("UNKNOWN_MARKET", "BUY", 50, 0, market_id="none")
        body = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 50, "qty": 0, "client_order_id": "r"}
        for turn in range(5):
            assert (await a.ask("POST", "/orders", json=body))["replayed"] is bool(turn)
        await a.declined("INVALID_QTY", "BUY", 50, 0)
        await a.declined("INVALID_QTY", "BUY", 50, 0)
        await a.declined("AGENT_SIDE_COOLDOWN", "BUY", 50, 0)
