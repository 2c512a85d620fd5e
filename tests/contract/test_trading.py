"""Sections 4 and 8: what orders do, what they cost, and what they lock."""

from __future__ import annotations

import random
import time

import pytest

from tests.contract.desk import Agent, Caller, Desk, collateral, maker_fee, taker_fee
from tests.e2e.venue import until


def books_agree(agent: Agent) -> None:
    """The identities of section 8, from the agent's own answers."""
    account, position = agent.account(), agent.position()
    ledger = agent.pages("/ledger", limit=250)
    assert sum(entry["amount_cents"] for entry in ledger) == account["cash_cents"]
    running = 0
    for entry in reversed(ledger):
        running += entry["amount_cents"]
        assert entry["balance_after_cents"] == running
    fills = agent.pages("/fills", limit=250)
    net = sum(f["qty"] * (1 if f["side"] == "BUY" else -1) for f in fills)
    flow = sum(-f["price"] * f["qty"] * (1 if f["side"] == "BUY" else -1) - f["fee_cents"] for f in fills)
    assert (position["net_qty"], position["cash_flow_cents"]) == (net, flow)
    resting = agent.open_orders()
    buys = [(o["price"], o["remaining_qty"]) for o in resting if o["side"] == "BUY"]
    sells = [(o["price"], o["remaining_qty"]) for o in resting if o["side"] == "SELL"]
    locked = collateral(net, flow, buys, sells)
    assert account["locked_cents"] == locked
    assert account["free_cash_cents"] == account["cash_cents"] - locked >= 0
    assert account["equity_cents"] == account["cash_cents"] + account["pending_pnl_cents"]
    assert account["open_orders"] == len(resting)
    if "payoff_if_yes_cents" in position:
        assert position["locked_cents"] == locked
        assert position["payoff_if_yes_cents"] == flow + 100 * net
        assert position["payoff_if_no_cents"] == flow
        if position["mark_price"] is not None:
            assert position["unrealized_pnl_cents"] == flow + net * position["mark_price"]
        assert account["pending_pnl_cents"] == position["unrealized_pnl_cents"]


# fees

FEE_CASES = [[(54, 4)], [(1, 1)], [(99, 1)], [(50, 1)], [(50, 100)], [(3, 7), (4, 9)], [(48, 1), (49, 1), (50, 1)]]
FEE_CASES += [[(p, q)] for p, q in zip(range(5, 100, 13), (1, 3, 10, 33, 100, 250, 399, 2), strict=True)]


@pytest.mark.parametrize("fills", FEE_CASES, ids=str)
def test_fees_and_rebates(calm: Desk, fills: list[tuple[int, int]]) -> None:
    maker, taker = calm.signup(), calm.signup()
    resting = [maker.rests("SELL", price, qty) for price, qty in fills]
    order = taker.buy(max(price for price, _ in fills), sum(qty for _, qty in fills), confirm_fat_finger=True)
    assert order["status"] == "FILLED"
    assert order["fee_cents"] == taker_fee(fills)
    assert [f["liquidity"] for f in order["fills"]] == ["TAKER"] * len(fills)
    for number in range(1, len(fills) + 1):
        booked = sum(f["fee_cents"] for f in order["fills"][:number])
        assert booked == taker_fee(sorted(fills)[:number]), "each fill books the difference"
    for made, (price, qty) in zip(resting, fills, strict=True):
        seen = maker.now(made)
        assert seen["fee_cents"] == maker_fee([(price, qty)]) <= 0
        assert [f["liquidity"] for f in seen["fills"]] == ["MAKER"]
    books_agree(maker)
    books_agree(taker)


@pytest.mark.parametrize("price", [50, 37, 91])
def test_many_small_fills_cost_what_one_large_fill_costs(calm: Desk, price: int) -> None:
    maker, takers = calm.signup(), calm.signup()
    big = maker.rests("SELL", price, 23)
    for _ in range(23):
        assert takers.buy(price, 1, confirm_fat_finger=True)["fee_cents"] == taker_fee([(price, 1)])
    assert maker.now(big)["fee_cents"] == maker_fee([(price, 23)]), "the rebate accumulates on the resting order"
    many = calm.signup()
    for _ in range(23):
        many.rests("SELL", price, 1)
    order = calm.signup().buy(price, 23, confirm_fat_finger=True)
    assert len(order["fills"]) == 23 and order["fee_cents"] == taker_fee([(price, 23)])
    rebates = sum(o["fee_cents"] for o in many.pages("/orders"))
    assert rebates == 23 * maker_fee([(price, 1)])
    assert order["fee_cents"] + rebates >= 0, "never more paid out than taken"


# collateral


def test_collateral_follows_the_formula_through_random_trading(calm: Desk) -> None:
    rng = random.Random(11)
    agents = [calm.signup() for _ in range(3)]
    for step in range(60):
        agent = rng.choice(agents)
        tif = rng.choice(["GTC", "GTC", "GTC", "IOC"])
        agent.order(rng.choice(["BUY", "SELL"]), rng.randint(40, 60), rng.randint(1, 30), tif=tif)
        if step % 12 == 11:
            for one in agents:
                books_agree(one)


def test_two_sided_quotes_cost_one_side_and_closing_frees_at_once(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    agent.rests("BUY", 40, 100)
    assert agent.account()["locked_cents"] == 4000
    agent.rests("SELL", 60, 100)
    assert agent.account()["locked_cents"] == 4000
    agent.rests("SELL", 70, 100)
    assert agent.account()["locked_cents"] == 7000
    agent.post("/orders/cancel", {})
    assert agent.account()["locked_cents"] == 0
    other.rests("SELL", 50, 10)
    agent.buy(50, 10)
    assert agent.account()["locked_cents"] == 500 + taker_fee([(50, 10)])
    other.rests("BUY", 55, 10)
    agent.sell(55, 10)
    assert agent.account()["locked_cents"] == 0, "a sure gain locks nothing"
    account = agent.account()
    assert account["cash_cents"] == 1_000_000, "cash moves once, when the market resolves"
    assert account["pending_pnl_cents"] == 50 - taker_fee([(50, 10)]) - taker_fee([(55, 10)])
    books_agree(agent)


def test_open_interest_and_volume(calm: Desk) -> None:
    before = calm.anyone.get(f"/markets/{calm.market}")
    one, two = calm.signup(), calm.signup()
    one.rests("SELL", 50, 9)
    two.buy(50, 9)
    after = calm.anyone.get(f"/markets/{calm.market}")
    assert after["volume"] - before["volume"] == 9
    assert after["open_interest"] - before["open_interest"] == 9
    trade = calm.anyone.get(f"/markets/{calm.market}/trades", limit=1)["items"][0]
    assert (trade["price"], trade["qty"], trade["taker_side"]) == (50, 9, "BUY")


# order types


def test_price_time_priority_and_price_improvement(calm: Desk) -> None:
    first, second, third, taker = (calm.signup() for _ in range(4))
    a = first.rests("SELL", 52, 5)
    b = second.rests("SELL", 51, 5)
    c = third.rests("SELL", 52, 5)
    assert calm.book()[1] == [[51, 5, 1], [52, 10, 2]]
    assert calm.book(depth=1)[1] == [[51, 5, 1]]
    order = taker.buy(55, 12)
    assert [(f["price"], f["qty"]) for f in order["fills"]] == [(51, 5), (52, 5), (52, 2)]
    assert [first.now(a)["status"], second.now(b)["status"], third.now(c)["status"]] == [
        "FILLED", "FILLED", "PARTIALLY_FILLED",
    ]  # fmt: skip
    rest = taker.buy(52, 10)
    assert (rest["status"], rest["filled_qty"], rest["remaining_qty"]) == ("PARTIALLY_FILLED", 3, 7)


def test_ioc_ends_cancelled_with_its_fills(calm: Desk) -> None:
    maker, taker = calm.signup(), calm.signup()
    maker.rests("SELL", 50, 3)
    part = taker.buy(50, 5, tif="IOC")
    assert (part["status"], part["cancel_reason"], part["filled_qty"]) == ("CANCELLED", "IOC_REMAINDER", 3)
    none = taker.buy(50, 5, tif="IOC")
    assert (none["status"], none["cancel_reason"], none["filled_qty"]) == ("CANCELLED", "IOC_REMAINDER", 0)
    assert calm.book() == ([], [])


def test_market_orders_and_slippage(calm: Desk) -> None:
    maker, taker = calm.signup(), calm.signup()
    for price in (50, 52, 55):
        maker.rests("SELL", price, 2)
    order = taker.buy(None, 10, slippage_cap_cents=2)
    assert [(f["price"], f["qty"]) for f in order["fills"]] == [(50, 2), (52, 2)]
    assert (order["status"], order["cancel_reason"], order["tif"], order["price"]) == (
        "CANCELLED", "IOC_REMAINDER", "IOC", None,
    )  # fmt: skip
    assert taker.buy(None, 1, slippage_cap_cents=0)["status"] == "FILLED"
    taker.declined("FOK_NOT_FILLABLE", "BUY", None, 2, tif="FOK")
    assert taker.buy(None, 1, tif="FOK")["tif"] == "FOK"
    maker.rests("BUY", 40, 2)
    maker.rests("BUY", 37, 2)
    down = taker.sell(None, 4, slippage_cap_cents=2)
    assert [(f["price"], f["qty"]) for f in down["fills"]] == [(40, 2)]


def test_expiry(calm: Desk) -> None:
    agent = calm.signup()
    moment = calm.now_ms() + 700
    order = agent.rests("BUY", 30, 5, expires_at_ms=moment)
    ended = until("the expiry", lambda: (o := agent.now(order))["status"] == "EXPIRED" and o, 5)
    assert ended["cancel_reason"] is None and ended["filled_qty"] == 0
    assert calm.book() == ([], [])
    assert agent.account()["locked_cents"] == 0
    agent.ask("DELETE", f"/orders/{order['order_id']}", "ORDER_NOT_OPEN")


# self-trade prevention


@pytest.mark.parametrize("stp", [None, "CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"])
@pytest.mark.parametrize("across", [False, True])
def test_self_trade_prevention(calm: Desk, stp: str | None, across: bool) -> None:
    _, agents = calm.owner(2)
    maker, taker = agents[0], agents[1 if across else 0]
    stranger = calm.signup()
    better = stranger.rests("SELL", 49, 2)
    own = maker.rests("SELL", 50, 5)
    behind = stranger.rests("SELL", 51, 5)
    order = taker.buy(51, 6, **({"stp": stp} if stp else {}))
    assert stranger.now(better)["status"] == "FILLED"
    mine, theirs = maker.now(own), stranger.now(behind)
    if stp in (None, "CANCEL_MAKER"):
        assert (mine["status"], mine["cancel_reason"]) == ("CANCELLED", "SELF_TRADE")
        assert (order["status"], theirs["filled_qty"]) == ("FILLED", 4)
    else:
        assert (order["status"], order["cancel_reason"], order["filled_qty"]) == ("CANCELLED", "SELF_TRADE", 2)
        assert theirs["filled_qty"] == 0
        assert mine["status"] == ("CANCELLED" if stp == "CANCEL_BOTH" else "OPEN")
        assert mine["cancel_reason"] == ("SELF_TRADE" if stp == "CANCEL_BOTH" else None)
    for agent in {maker.id: maker, taker.id: taker}.values():
        books_agree(agent)


def test_fok_and_market_ignore_own_liquidity(calm: Desk) -> None:
    _, (one, two) = calm.owner(2)
    stranger = calm.signup()
    one.rests("SELL", 50, 5)
    stranger.rests("SELL", 51, 3)
    assert two.declined("FOK_NOT_FILLABLE", "BUY", 51, 4, tif="FOK")["max_qty"] == 3
    assert len(one.open_orders()) == 1
    assert two.buy(51, 3, tif="FOK", stp="CANCEL_MAKER")["status"] == "FILLED"


# reduce-only


def test_reduce_only_is_trimmed_when_the_position_shrinks(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("SELL", 50, 10)
    agent.buy(50, 10)
    first = agent.rests("SELL", 70, 6, reduce_only=True)
    second = agent.rests("SELL", 71, 4, reduce_only=True)
    other.rests("BUY", 49, 7)
    agent.sell(49, 7)
    trimmed, gone = agent.now(first), agent.now(second)
    assert (gone["status"], gone["cancel_reason"]) == ("CANCELLED", "REDUCE_ONLY")
    assert trimmed["status"] == "OPEN" and trimmed["remaining_qty"] == 3
    other.rests("BUY", 49, 3)
    agent.sell(49, 3)
    assert agent.now(first)["cancel_reason"] == "REDUCE_ONLY"
    assert agent.position()["net_qty"] == 0
    books_agree(agent)


def test_reduce_only_closes_with_taking_orders(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    other.rests("BUY", 50, 8)
    agent.sell(50, 8)
    other.rests("SELL", 52, 20)
    agent.declined("REDUCE_ONLY_VIOLATION", "BUY", None, 9, reduce_only=True)
    closed = agent.buy(None, 8, reduce_only=True)
    assert closed["status"] == "FILLED" and closed["reduce_only"] is True
    assert agent.position()["net_qty"] == 0


# preview


def test_a_preview_is_what_then_happens(calm: Desk) -> None:
    maker, agent = calm.signup(), calm.signup()
    maker.rests("SELL", 50, 3)
    maker.rests("SELL", 51, 4)
    before = calm.book()
    body = agent.body("BUY", 51, 10, client_order_id="once")
    preview = agent.post("/orders/preview", body)
    assert calm.book() == before and agent.get("/orders")["items"] == []
    assert preview["would"] == "ACCEPT" and preview["reject_reason"] is None
    order = agent.post("/orders", body)
    assert not order["replayed"], "a preview uses up no key"
    assert [(f["price"], f["qty"]) for f in preview["fills"]] == [(f["price"], f["qty"]) for f in order["fills"]]
    assert preview["fee_cents"] == order["fee_cents"] == taker_fee([(50, 3), (51, 4)])
    account, position = agent.account(), agent.position()
    assert preview["free_cash_after_cents"] == account["free_cash_cents"]
    assert preview["required_cents"] == account["locked_cents"]
    assert preview["position_after"] == position["net_qty"] == 7
    assert preview["worst_case_loss_cents"] == account["locked_cents"]


# reads


def test_orders_and_fills_of_others(calm: Desk) -> None:
    one, two = calm.signup(), calm.signup()
    order = one.rests("BUY", 30, 2)
    for method, path, options in (
        ("GET", f"/orders/{order['order_id']}", {}),
        ("DELETE", f"/orders/{order['order_id']}", {}),
        ("PATCH", f"/orders/{order['order_id']}", {"json": {"qty": 1}}),
    ):
        two.ask(method, path, "FORBIDDEN", **options)
    two.get("/account", "FORBIDDEN", agent_id=one.id)
    assert one.now(order)["status"] == "OPEN"
    assert two.get("/orders")["items"] == []
    Caller(calm.venue.http).get(f"/orders/{order['order_id']}", "AUTH_MISSING")


def test_order_filters(calm: Desk) -> None:
    agent, other = calm.signup(), calm.signup()
    agent.rests("BUY", 30, 2, client_order_id="o")
    other.rests("SELL", 50, 1)
    agent.buy(50, 1, client_order_id="f")
    agent.buy(50, 0, client_order_id="r")
    agent.buy(50, 1, tif="IOC", client_order_id="c")
    for status, key in (("OPEN", "o"), ("FILLED", "f"), ("REJECTED", "r"), ("CANCELLED", "c")):
        found = agent.get("/orders", status=status, market_id=calm.market)["items"]
        assert [o["client_order_id"] for o in found] == [key]
    assert [o["status"] for o in agent.get("/orders", client_order_id="f")["items"]] == ["FILLED"]
    assert agent.raw("GET", "/orders", params={"status": "DONE"}).status_code == 422
    fill = agent.get("/fills")["items"][0]
    assert (fill["price"], fill["qty"], fill["side"], fill["liquidity"]) == (50, 1, "BUY", "TAKER")


def test_agent_context_with_and_without_a_key(calm: Desk) -> None:
    agent = calm.signup()
    order = agent.rests("BUY", 30, 2)
    public = calm.anyone.get(f"/markets/{calm.market}/agent-context")
    assert public["own"] is None and public["book"]["bids"] == [[30, 2, 1]]
    own = agent.get(f"/markets/{calm.market}/agent-context")["own"]
    assert [o["order_id"] for o in own["open_orders"]] == [order["order_id"]]
    assert own["free_cash_cents"] == 1_000_000 - 60 and own["budget"]["remaining"] >= 0


def test_faucet_cools_down_in_venue_time(calm: Desk) -> None:
    agent = calm.signup()
    claim = agent.post("/faucet", None, 201)
    assert (claim["amount_cents"], claim["cash_cents"]) == (10_000, 1_010_000)
    refused = agent.raw("POST", "/faucet")
    assert (refused.status_code, refused.json()["code"]) == (429, "FAUCET_COOLDOWN")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    books_agree(agent)


def test_leverage_is_one(calm: Desk) -> None:
    agent = calm.signup()
    refused = agent.ask("PUT", "/account/leverage", "INVALID_LEVERAGE", json={"leverage": 5})
    assert refused["details"] == {"requested_leverage": 5, "effective_leverage": 1}
    assert agent.ask("PUT", "/account/leverage", json={"leverage": 1})["leverage"] == 1
    agent.ask("PUT", "/account/leverage", "BAD_REQUEST", json={"leverage": "1"})


def test_answers_are_quick_enough_to_be_one_round_trip(calm: Desk) -> None:
    """Not a benchmark: an order must not wait for a timer."""
    agent = calm.signup()
    began = time.monotonic()
    for _ in range(10):
        agent.rests("BUY", 10, 1)
    assert time.monotonic() - began < 5
