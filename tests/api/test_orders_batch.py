"""Batches and previews over HTTP (contract, section 6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raeth.config import LimitSettings
from raeth.engine import commands as cmd
from tests.api.harness import RULES, Desk, Trader, opened_desk


def leg(desk: Desk, side: str, price: int, qty: int, **fields: Any) -> dict[str, Any]:
    return {"market_id": desk.symbol, "side": side, "type": "LIMIT", "price": price, "qty": qty} | fields


async def batch(trader: Trader, *legs: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return (await trader.ask("POST", "/orders/batch", json={"orders": list(legs)} | fields))["results"]


async def test_each_order_has_its_own_result_in_request_order(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await b.place("SELL", 55, 3)
    results = await batch(
        a,
        leg(desk, "BUY", 55, 3),
        leg(desk, "BUY", 0, 3),
        leg(desk, "SELL", 60, 3, market_id="none"),
        leg(desk, "BUY", 50, 3, client_order_id="last"),
    )
    assert [o["reject_reason"] or o["status"] for o in results] == [
        "FILLED",
        "PRICE_OUT_OF_RANGE",
        "UNKNOWN_MARKET",
        "OPEN",
    ]
    assert [o["order_id"] for o in (await a.get("/orders"))["items"]] == [o["order_id"] for o in results[::-1]]


async def test_a_batch_is_repeated_leg_by_leg(desk: Desk) -> None:
    a = await desk.trader("alice")
    legs = [leg(desk, "BUY", 50 - n, 1, client_order_id=f"k{n}") for n in range(3)]
    first = await batch(a, *legs[:2])
    again = await batch(a, legs[1], legs[2], legs[0])
    assert [o["replayed"] for o in again] == [True, False, True]
    assert [o["order_id"] for o in again] == [first[1]["order_id"], again[1]["order_id"], first[0]["order_id"]]
    assert len((await a.get("/orders"))["items"]) == 3
    single = await a.ask("POST", "/orders", json=legs[0])
    assert single["replayed"] and single["order_id"] == first[0]["order_id"]


async def test_twins_in_one_batch_are_one_order(desk: Desk) -> None:
    a = await desk.trader("alice")
    twin = leg(desk, "BUY", 50, 1, client_order_id="k")
    first, between, second = await batch(a, twin, leg(desk, "BUY", 40, 1), twin)
    assert (first["replayed"], between["replayed"], second["replayed"]) == (False, False, True)
    assert second == first | {"replayed": True}
    body = {"orders": [twin | {"client_order_id": "r"}, twin | {"client_order_id": "r", "qty": 2}]}
    await a.refused("IDEMPOTENCY_CONFLICT", 409, "POST", "/orders/batch", json=body)
    assert len((await a.get("/orders"))["items"]) == 2


async def test_one_conflict_refuses_the_whole_batch(desk: Desk) -> None:
    a = await desk.trader("alice")
    await batch(a, leg(desk, "BUY", 50, 1, client_order_id="k"))
    body = {"orders": [leg(desk, "BUY", 40, 1), leg(desk, "BUY", 51, 1, client_order_id="k")]}
    await a.refused("IDEMPOTENCY_CONFLICT", 409, "POST", "/orders/batch", json=body)
    assert len((await a.get("/orders"))["items"]) == 1


async def test_a_half_replayed_batch_meets_a_freeze(desk: Desk) -> None:
    a = await desk.trader("alice")
    old, new = leg(desk, "BUY", 50, 1, client_order_id="old"), leg(desk, "BUY", 50, 1, client_order_id="new")
    (first,) = await batch(a, old)
    await desk.submit(cmd.Freeze("ops", "test"))
    assert await batch(a, old) == [first | {"replayed": True}]
    await a.refused("EXCHANGE_FROZEN", 503, "POST", "/orders/batch", json={"orders": [old, new]})
    desk.check()


async def test_an_atomic_batch_fills_in_full_or_not_at_all(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await b.place("SELL", 55, 10)
    await b.place("SELL", 57, 10)
    legs = [leg(desk, "BUY", 55, 10, client_order_id="x"), leg(desk, "BUY", 57, 11, client_order_id="y")]
    results = await batch(a, *legs, atomic=True)
    assert [o["reject_reason"] for o in results] == ["STRATEGY_NOT_FILLED", "FOK_NOT_FILLABLE"]
    assert results[1]["reject_details"] == {"max_qty": 10, "retryable": True}
    assert (await desk.read(f"/markets/{desk.symbol}"))["volume"] == 0
    again = await batch(a, *legs, atomic=True)
    assert [o["replayed"] for o in again] == [True, True]
    legs = [leg(desk, "BUY", 55, 10), leg(desk, "BUY", 57, 10)]
    results = await batch(a, *legs, atomic=True)
    assert [(o["status"], o["tif"], o["filled_notional_cents"]) for o in results] == [
        ("FILLED", "FOK", 550),
        ("FILLED", "FOK", 570),
    ]


async def test_collateral_of_an_atomic_batch_is_tested_once_at_the_end(desk: Desk) -> None:
    """Buying at 55 and selling at 54 costs a few cents; either leg alone would cost more than there is."""
    rich, poor = await desk.trader("rich"), await desk.trader("poor", cash_cents=600)
    await rich.place("SELL", 55, 20)
    await rich.place("BUY", 54, 20)
    legs = [leg(desk, "BUY", 55, 20), leg(desk, "SELL", 54, 20)]
    assert (await poor.place("BUY", 55, 20, tif="FOK"))["reject_reason"] == "INSUFFICIENT_MARGIN"
    results = await batch(poor, *legs, atomic=True)
    assert [o["status"] for o in results] == ["FILLED", "FILLED"]
    account = await poor.get("/account")
    fees = sum(o["fee_cents"] for o in results)
    assert account["locked_cents"] == 20 + fees


async def test_an_atomic_batch_beyond_the_cash_says_so(desk: Desk) -> None:
    rich, poor = await desk.trader("rich"), await desk.trader("poor", cash_cents=600)
    await rich.place("SELL", 55, 20)
    results = await batch(poor, leg(desk, "BUY", 55, 6), leg(desk, "BUY", 55, 6), atomic=True)
    assert [o["reject_reason"] for o in results] == ["STRATEGY_NOT_FILLED", "INSUFFICIENT_MARGIN"]
    details = results[1]["reject_details"]
    assert details["free_cash_cents"] == 600 and details["required_cents"] > 660


async def test_sizes_and_forms_of_a_batch(desk: Desk) -> None:
    a = await desk.trader("alice")
    one = leg(desk, "BUY", 50, 1)
    path = "/orders/batch"
    await a.refused("BATCH_SIZE_EXCEEDED", 422, "POST", path, json={"orders": [one] * 16})
    assert len(await batch(a, *[one] * 15)) == 15
    for body, field in (
        ({"orders": []}, "orders"),
        ({"orders": [one | {"tif": "POST_ONLY"}], "atomic": True}, "orders"),
        ({"orders": [one, one | {"type": "MARKET"}]}, "orders.1.price"),
    ):
        error = await a.refused("VALIDATION_FAILED", 422, "POST", path, json=body)
        assert error["details"][0]["field"] == field
    assert len(await batch(a, one | {"tif": "POST_ONLY"}, atomic=False)) == 1


async def test_a_batch_costs_one_write_an_order(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, limits=LimitSettings(writes_per_minute=10)) as desk:
        a = await desk.trader("alice")
        one = leg(desk, "BUY", 50, 1)
        response = await a.call("POST", "/orders/batch", json={"orders": [one] * 8})
        assert response.headers["X-RateLimit-Remaining"] == "2"
        response = await a.call("POST", "/orders/batch", json={"orders": [one] * 3})
        assert (response.status_code, response.json()["code"]) == (429, "RATE_LIMITED")
        assert int(response.headers["Retry-After"]) >= 1
        assert (await a.ask("POST", "/orders/cancel", json={}))["cancelled"] == 8  # cancels have a budget of their own


# ---- preview ----


async def test_a_preview_says_what_the_order_then_does(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await b.place("SELL", 55, 4)
    await b.place("SELL", 55, 4)
    await b.place("SELL", 57, 2)
    body = leg(desk, "BUY", 57, 13)
    before = desk.sequencer.state.seq
    seen = await a.ask("POST", "/orders/preview", json=body)
    assert seen["would"] == "ACCEPT" and seen["reject_reason"] is None and seen["reject_details"] is None
    assert seen["fills"] == [{"price": 55, "qty": 8}, {"price": 57, "qty": 2}]
    exact = RULES.taker_rate_bps * (55 * 45 * 8 + 57 * 43 * 2)  # in cents / 10^6
    assert seen["fee_cents"] == -(-exact // 1_000_000)
    assert seen["required_cents"] == 8 * 55 + 2 * 57 + 3 * 57 + seen["fee_cents"]
    assert seen["worst_case_loss_cents"] == seen["required_cents"]
    assert (seen["free_cash_after_cents"], seen["position_after"]) == (100_000 - seen["required_cents"], 10)
    assert seen["as_of_seq"] == desk.sequencer.state.seq == before
    placed = await a.ask("POST", "/orders", json=body)
    account = await a.get("/account")
    assert placed["fee_cents"] == seen["fee_cents"]
    assert account["free_cash_cents"] == seen["free_cash_after_cents"]


async def test_a_preview_of_a_declined_order_has_its_repair(desk: Desk) -> None:
    a = await desk.trader("alice")
    seen = await a.ask("POST", "/orders/preview", json=leg(desk, "BUY", 50, 2_001))
    assert (seen["would"], seen["reject_reason"]) == ("REJECT", "FAT_FINGER")
    assert seen["reject_details"]["max_qty"] == 2_000 and seen["reject_details"]["confirm_field"]
    assert seen["fills"] == [] and seen["required_cents"] == 0 and seen["free_cash_after_cents"] == 100_000
    pending = desk.sequencer.state.pending
    assert pending is not None
    seen = await a.ask("POST", "/orders/preview", json=leg(desk, "BUY", 50, 1, market_id=pending.symbol))
    assert seen["reject_reason"] == "MARKET_NOT_OPEN"


async def test_a_preview_needs_a_market_that_trades(desk: Desk) -> None:
    a = await desk.trader("alice")
    symbol = desk.symbol
    await a.refused("UNKNOWN_MARKET", 404, "POST", "/orders/preview", json=leg(desk, "BUY", 50, 1, market_id="none"))
    await desk.advance(60_000)
    body = leg(desk, "BUY", 50, 1, market_id=symbol)
    await a.refused("MARKET_CLOSED", 409, "POST", "/orders/preview", json=body)
    await desk.print()
    await a.refused("MARKET_CLOSED", 409, "POST", "/orders/preview", json=body)


async def test_a_preview_is_a_read_and_knows_no_keys(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, limits=LimitSettings(writes_per_minute=1)) as desk:
        a = await desk.trader("alice")
        body = leg(desk, "BUY", 50, 1, client_order_id="k")
        for _ in range(3):
            await a.ask("POST", "/orders/preview", json=body)
        assert (await a.ask("POST", "/orders", json=body))["replayed"] is False
