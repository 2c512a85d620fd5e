"""Placing orders over HTTP: the answer's shape, idempotency, self-trade prevention, reduce-only, fees (section 4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raeth.api.schemas.order_views import OrderView
from raeth.api.views.orders import OrderBody
from raeth.engine import commands as cmd
from tests.api.harness import RULES, Desk

KEYS = (
    "order_id client_order_id market_id symbol agent_id side type tif price qty reduce_only status filled_qty "
    "remaining_qty filled_notional_cents fee_cents reject_reason reject_message reject_details cancel_reason fills "
    "created_at updated_at seq replayed"
).split()


def limit(desk: Desk, side: str = "BUY", price: int = 50, qty: int = 10, **fields: Any) -> dict[str, Any]:
    return {"market_id": desk.symbol, "side": side, "type": "LIMIT", "price": price, "qty": qty} | fields


def test_what_is_rendered_is_what_is_documented() -> None:
    assert list(OrderBody.__struct_fields__) == list(OrderView.model_fields) == KEYS


async def test_an_order_has_one_shape_whatever_became_of_it(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    resting = await a.place("SELL", 55, 4, client_order_id="a:1")
    taken = await b.place("BUY", 56, 10, tif="IOC")
    declined = await b.place("BUY", 0, 1)
    for order in (resting, taken, declined):
        assert list(order) == KEYS
        OrderView.model_validate(order)
    assert resting["market_id"] == desk.market_id and resting["agent_id"] == a.uuid
    assert (taken["status"], taken["cancel_reason"]) == ("CANCELLED", "IOC_REMAINDER")
    assert (taken["filled_qty"], taken["remaining_qty"], taken["filled_notional_cents"]) == (4, 0, 220)
    (fill,) = taken["fills"]
    assert (fill["price"], fill["qty"], fill["liquidity"], fill["fee_cents"]) == (55, 4, "TAKER", taken["fee_cents"])
    # θ·p·(1−p) is 0.07 · 0.55 · 0.45 · 4 = 6.93 cents, up for the taker; a quarter of it, down, for the maker.
    assert taken["fee_cents"] == 7
    made = await a.get(f"/orders/{resting['order_id']}")
    assert (made["status"], made["fee_cents"], made["fills"][0]["liquidity"]) == ("FILLED", -1, "MAKER")
    assert made["fills"][0]["trade_id"] == fill["trade_id"]
    assert made["seq"] == taken["seq"] > resting["seq"]
    assert made["created_at"] == resting["created_at"]


async def test_a_market_order_acts_as_ioc_or_fok(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await a.place("SELL", 55, 5)
    await a.place("SELL", 58, 4)
    for tif, shown in ((None, "IOC"), ("GTC", "IOC"), ("IOC", "IOC"), ("FOK", "FOK")):
        order = await b.place("BUY", None, 1, tif=tif)
        assert (order["status"], order["tif"], order["price"]) == ("FILLED", shown, None)
    capped = await b.place("BUY", None, 4, slippage_cap_cents=2)
    assert (capped["status"], capped["cancel_reason"], capped["filled_qty"]) == ("CANCELLED", "IOC_REMAINDER", 1)
    capped = await b.place("BUY", None, 4, slippage_cap_cents=3)
    assert (capped["status"], capped["filled_notional_cents"]) == ("FILLED", 4 * 58)


async def test_a_market_is_named_by_uuid_or_symbol(desk: Desk) -> None:
    a = await desk.trader("alice")
    for ref in (desk.market_id, desk.market_id.upper(), desk.market_id.replace("-", ""), desk.symbol):
        order = await a.place("BUY", 50, 1, market_id=ref)
        assert (order["status"], order["market_id"], order["symbol"]) == ("OPEN", desk.market_id, desk.symbol)


# ---- idempotency ----


async def test_the_same_body_again_is_answered_by_the_first_result(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    body = limit(desk, client_order_id="k-1", timestamp_ms=desk.clock.now_ms(), recv_window_ms=1_000)
    first = await a.ask("POST", "/orders", json=body)
    assert first["replayed"] is False
    await b.place("SELL", 50, 10)
    await desk.advance(30_000)
    same: list[dict[str, Any]] = [
        body,
        body | {"timestamp_ms": desk.clock.now_ms(), "recv_window_ms": 5},
        {name: value for name, value in body.items() if name not in ("timestamp_ms", "recv_window_ms")},
        body | {"tif": "GTC", "stp": "CANCEL_MAKER", "reduce_only": False, "leverage": None},
        body | {"market_id": desk.market_id},
    ]
    for again in same:
        assert await a.ask("POST", "/orders", json=again) == first | {"replayed": True}
    now = await a.get("/orders/by-client-id/k-1")
    assert (now["order_id"], now["status"], now["replayed"]) == (first["order_id"], "FILLED", False)
    # Another agent's keys are its own.
    assert (await b.ask("POST", "/orders", json=body | {"recv_window_ms": 60_000}))["replayed"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"price": 51},
        {"qty": 11},
        {"side": "SELL"},
        {"tif": "IOC"},
        {"stp": "CANCEL_BOTH"},
        {"reduce_only": True},
        {"confirm_fat_finger": True},
        {"expires_at_ms": 2**40},
        {"leverage": 1},
        {"margin_mode": "X"},
        {"market_id": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_another_body_under_the_same_key_is_a_conflict(desk: Desk, change: dict[str, Any]) -> None:
    a = await desk.trader("alice")
    body = limit(desk, client_order_id="k-1")
    first = await a.ask("POST", "/orders", json=body)
    error = await a.refused("IDEMPOTENCY_CONFLICT", 409, "POST", "/orders", json=body | change)
    assert "details" not in error
    assert (await a.get("/orders"))["items"] == [first]


async def test_a_rejected_order_is_replayed_too_and_a_repair_needs_a_new_key(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    body = limit(desk, price=55, tif="POST_ONLY", client_order_id="r")
    ask = await b.place("SELL", 55, 1)
    first = await a.ask("POST", "/orders", json=body)
    assert first["reject_reason"] == "POST_ONLY_WOULD_CROSS"
    await b.ask("DELETE", f"/orders/{ask['order_id']}")
    assert await a.ask("POST", "/orders", json=body) == first | {"replayed": True}
    assert (await a.ask("POST", "/orders", json=body | {"client_order_id": "r2"}))["status"] == "OPEN"


async def test_an_unknown_market_is_replayed_even_when_it_has_come_to_be(desk: Desk) -> None:
    a = await desk.trader("alice")
    later = desk.symbol.replace("1108Z", "1110Z")
    body = limit(desk, client_order_id="u", market_id=later)
    first = await a.ask("POST", "/orders", json=body)
    assert first["reject_reason"] == "UNKNOWN_MARKET"
    await desk.next_window()
    await desk.next_window()
    assert desk.symbol == later
    assert await a.ask("POST", "/orders", json=body) == first | {"replayed": True}


async def test_twins_that_arrive_at_once_are_executed_once(desk: Desk) -> None:
    a = await desk.trader("alice")
    body = limit(desk, client_order_id="twin")
    answers = await asyncio.gather(*[a.ask("POST", "/orders", json=body) for _ in range(20)])
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 19
    assert len({answer["order_id"] for answer in answers}) == 1
    assert len((await a.get("/orders"))["items"]) == 1
    # Two different bodies at once: one of them wins, the other is told.
    rivals = await asyncio.gather(
        *[a.call("POST", "/orders", json=limit(desk, price=price, client_order_id="rival")) for price in (40, 41)]
    )
    assert sorted(answer.status_code for answer in rivals) == [200, 409]


async def test_replays_do_not_count_against_a_freeze(desk: Desk) -> None:
    a = await desk.trader("alice")
    body = limit(desk, client_order_id="f")
    first = await a.ask("POST", "/orders", json=body)
    await desk.submit(cmd.Freeze("ops", "test"))
    assert await a.ask("POST", "/orders", json=body) == first | {"replayed": True}
    await a.refused("EXCHANGE_FROZEN", 503, "POST", "/orders", json=limit(desk, client_order_id="g"))
    await a.refused("ORDER_NOT_FOUND", 404, "GET", "/orders/by-client-id/g")
    await desk.submit(cmd.Unfreeze("ops", None))
    assert (await a.ask("POST", "/orders", json=limit(desk, client_order_id="g")))["replayed"] is False


# ---- self-trade prevention ----


@pytest.mark.parametrize(
    ("stp", "maker", "taker"),
    [
        (None, ("CANCELLED", "SELF_TRADE"), ("FILLED", None)),
        ("CANCEL_MAKER", ("CANCELLED", "SELF_TRADE"), ("FILLED", None)),
        ("CANCEL_TAKER", ("OPEN", None), ("CANCELLED", "SELF_TRADE")),
        ("CANCEL_BOTH", ("CANCELLED", "SELF_TRADE"), ("CANCELLED", "SELF_TRADE")),
    ],
)
async def test_agents_of_one_account_do_not_trade_with_each_other(
    desk: Desk, stp: str | None, maker: tuple[str, str | None], taker: tuple[str, str | None]
) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    sister = await desk.sibling(a, "alice.2")
    own = await sister.place("SELL", 55, 5)
    other = await b.place("SELL", 55, 5)
    order = await a.place("BUY", 55, 5, stp=stp)
    assert (order["status"], order["cancel_reason"]) == taker
    own = await sister.get(f"/orders/{own['order_id']}")
    assert (own["status"], own["cancel_reason"], own["filled_qty"]) == (*maker, 0)
    assert (await b.get(f"/orders/{other['order_id']}"))["filled_qty"] == order["filled_qty"]


# ---- reduce-only ----


async def test_reduce_only_orders_shrink_with_the_position(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await b.place("SELL", 50, 10)
    await a.place("BUY", 50, 10)
    old = await a.place("SELL", 60, 6, reduce_only=True)
    young = await a.place("SELL", 61, 4, reduce_only=True)
    await b.place("BUY", 48, 7)
    await a.place("SELL", 48, 7)  # of 10 contracts 3 are left to reduce: the newest goes first
    young = await a.get(f"/orders/{young['order_id']}")
    assert (young["status"], young["cancel_reason"]) == ("CANCELLED", "REDUCE_ONLY")
    old = await a.get(f"/orders/{old['order_id']}")
    assert (old["status"], old["qty"], old["remaining_qty"]) == ("OPEN", 3, 3)


# ---- the end of a market ----


async def test_what_rests_at_the_close_is_cancelled(desk: Desk) -> None:
    a = await desk.trader("alice")
    order = await a.place("BUY", 50, 3)
    await desk.next_window()
    order = await a.get(f"/orders/{order['order_id']}")
    assert (order["status"], order["cancel_reason"], order["remaining_qty"]) == ("CANCELLED", "MARKET_CLOSED", 0)
    assert order["updated_at"] == (await desk.read(f"/markets/{order['symbol']}"))["close_at"]


async def test_a_suspended_agent_cannot_place_but_can_read(desk: Desk) -> None:
    a = await desk.trader("alice")
    order = await a.place("BUY", 50, 3)
    await desk.submit(cmd.SuspendAgent("ops", a.agent, "test"))
    await a.refused("AGENT_SUSPENDED", 403, "POST", "/orders", json=limit(desk))
    order = await a.get(f"/orders/{order['order_id']}")
    assert (order["status"], order["cancel_reason"]) == ("CANCELLED", "ADMIN")


async def test_scopes_are_asked_for(desk: Desk) -> None:
    a = await desk.trader("alice")
    reader, canceller = await desk.with_key(a, ("read",)), await desk.with_key(a, ("cancel",))
    for key in (reader, canceller):
        await key.refused("SCOPE_REQUIRED", 403, "POST", "/orders", json=limit(desk))
        await key.refused("SCOPE_REQUIRED", 403, "PUT", "/quotes", json={"market_id": desk.symbol, "quote_id": "q"})
    order = await a.place("BUY", 50, 3)
    await reader.refused("SCOPE_REQUIRED", 403, "DELETE", f"/orders/{order['order_id']}")
    await canceller.refused("SCOPE_REQUIRED", 403, "GET", "/orders")
    assert (await canceller.ask("DELETE", f"/orders/{order['order_id']}"))["status"] == "CANCELLED"


async def test_the_limit_of_orders_is_that_of_the_rules(desk: Desk) -> None:
    market = await desk.read(f"/markets/{desk.symbol}")
    assert market["risk"]["max_order_qty"] == RULES.max_order_qty
