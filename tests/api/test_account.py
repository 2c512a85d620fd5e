"""The account over HTTP: collateral, pending profit, positions, ledger, faucet, leverage (contract, section 8)."""

from __future__ import annotations

from pathlib import Path

from raeth.api.schemas.account import AccountView, LedgerPage, PositionPage
from raeth.api.views.names import iso
from raeth.config import FaucetSettings
from raeth.engine import commands as cmd
from tests.api.harness import RULES, STRIKE_CENTS, Desk, opened_desk


async def test_a_new_account(desk: Desk) -> None:
    a = await desk.trader("alice")
    account = await a.get("/account")
    AccountView.model_validate(account)
    assert account["agent_id"] == a.uuid and account["agent_name"] == "alice"
    assert account["cash_cents"] == account["free_cash_cents"] == account["equity_cents"] == 100_000
    assert account["locked_cents"] == account["pending_pnl_cents"] == account["open_orders"] == 0
    assert account["limits"]["batch_size"] == 15 and account["frozen"] is False
    await desk.submit(cmd.Freeze("ops", "test"))
    assert (await a.get("/account"))["frozen"] is True


async def test_collateral_is_the_worst_outcome(desk: Desk) -> None:
    """`max(0, −c + B, −c − 100·n + S)`, step by step."""
    a, b = await desk.trader("alice"), await desk.trader("bob")

    async def locked() -> int:
        account = await a.get("/account")
        assert account["free_cash_cents"] == account["cash_cents"] - account["locked_cents"]
        assert account["cash_cents"] == 100_000  # cash moves once, when the market resolves
        return account["locked_cents"]

    bid = await a.place("BUY", 40, 10)
    assert await locked() == 400
    await a.place("SELL", 70, 10)
    assert await locked() == 400  # two sides cost the dearer one: 40·10 against 30·10
    await a.ask("DELETE", f"/orders/{bid['order_id']}")
    assert await locked() == 300
    await b.place("BUY", 70, 10)  # the ask fills: n = −10, c = +700 and the rebate
    (position,) = (await a.get("/positions"))["items"]
    flow = position["cash_flow_cents"]
    assert flow == 700 + 3  # a quarter of the taker's 14.7, down
    assert await locked() == -flow + 1_000 == 297
    await a.place("BUY", 60, 10)  # closing costs nothing more
    assert await locked() == 297
    await b.place("SELL", 60, 10)
    (position,) = (await a.get("/positions"))["items"]
    assert position["net_qty"] == 0 and position["cash_flow_cents"] > 100
    assert await locked() == 0


async def test_positions_and_what_they_are_worth(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await a.place("SELL", 50, 10)
    await b.place("BUY", 50, 10)
    await a.place("SELL", 62, 1)
    await b.place("BUY", 58, 1)
    page = await b.get("/positions")
    PositionPage.model_validate(page)
    (position,) = page["items"]
    fee = 18  # 0.07 · 0.5 · 0.5 · 10 = 17.5 cents, up
    assert position["net_qty"] == 10 and position["cash_flow_cents"] == -500 - fee
    assert position["payoff_if_yes_cents"] == 1_000 - 500 - fee
    assert position["payoff_if_no_cents"] == -500 - fee
    assert position["locked_cents"] == 500 + fee + 58
    assert (position["mark_price"], position["unrealized_pnl_cents"]) == (60, 600 - 500 - fee)
    account = await b.get("/account")
    assert account["pending_pnl_cents"] == position["unrealized_pnl_cents"]
    assert account["equity_cents"] == account["cash_cents"] + account["pending_pnl_cents"]
    assert (account["open_orders"], account["seq"]) == (1, page["seq"])
    c = await desk.trader("carol")
    await c.place("BUY", 0, 1)
    assert (await c.get("/positions"))["items"] == []  # a declined order is no position


async def test_the_ledger_adds_up(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await a.place("SELL", 50, 10)
    await b.place("BUY", 50, 10)
    market_id = desk.market_id
    await desk.next_window(STRIKE_CENTS + 1)
    await b.ask("POST", "/faucet", status=201)
    page = await b.get("/ledger")
    LedgerPage.model_validate(page)
    faucet, settled, grant = page["items"]
    assert [entry["kind"] for entry in page["items"]] == ["FAUCET", "SETTLEMENT", "SIGNUP_GRANT"]
    assert (settled["amount_cents"], settled["market_id"]) == (1_000 - 518, market_id)
    assert faucet["market_id"] is None
    cash = (await b.get("/account"))["cash_cents"]
    assert sum(entry["amount_cents"] for entry in page["items"]) == cash == faucet["balance_after_cents"]
    first = await b.get("/ledger", limit=2)
    rest = await b.get("/ledger", limit=2, cursor=first["next_cursor"])
    assert first["items"] + rest["items"] == page["items"] and rest["next_cursor"] is None
    assert grant["amount_cents"] == 100_000


async def test_a_void_market_never_happened(desk: Desk) -> None:
    a, b = await desk.trader("alice"), await desk.trader("bob")
    await a.place("SELL", 50, 10)
    await b.place("BUY", 50, 10)
    await desk.next_window(STRIKE_CENTS)  # a tie
    for trader in (a, b):
        account = await trader.get("/account")
        assert account["cash_cents"] == account["free_cash_cents"] == 100_000
        assert [entry["kind"] for entry in (await trader.get("/ledger"))["items"]] == ["SIGNUP_GRANT"]


async def test_the_faucet(desk: Desk) -> None:
    a = await desk.trader("alice")
    claimed = await a.ask("POST", "/faucet", status=201)
    ends = desk.clock.now_ms() + RULES.faucet_cooldown_ms
    assert claimed == {"amount_cents": 10_000, "cash_cents": 110_000, "next_claim_at": iso(ends)}
    sister = await desk.sibling(a, "alice.2")
    await desk.advance(1_500)
    for trader in (a, sister):  # the cool-down is the account's
        response = await trader.call("POST", "/faucet")
        assert (response.status_code, response.json()["code"]) == (429, "FAUCET_COOLDOWN")
        assert response.headers["Retry-After"] == "59"
        assert response.json()["details"]["next_claim_at"] == iso(ends)
    await desk.advance(58_500)
    assert (await a.ask("POST", "/faucet", status=201))["cash_cents"] == 120_000
    await desk.advance(60_000)
    error = await a.refused("FAUCET_CAP_REACHED", 409, "POST", "/faucet")
    assert error["details"] == {"account_cap_cents": 20_000}
    b = await desk.trader("bob")
    await desk.submit(cmd.Freeze("ops", "test"))
    await b.refused("EXCHANGE_FROZEN", 503, "POST", "/faucet")


async def test_a_venue_without_a_faucet(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, faucet=FaucetSettings(enabled=False)) as desk:
        a = await desk.trader("alice")
        await a.refused("FEATURE_DISABLED", 503, "POST", "/faucet")
        assert (await a.get("/account"))["cash_cents"] == 100_000


async def test_there_is_no_leverage(desk: Desk) -> None:
    a = await desk.trader("alice")
    assert await a.ask("PUT", "/account/leverage", json={"leverage": 1}) == {"leverage": 1}
    for leverage in (2, 100, 0, -1):
        error = await a.refused("INVALID_LEVERAGE", 422, "PUT", "/account/leverage", json={"leverage": leverage})
        assert error["details"] == {"requested_leverage": leverage, "effective_leverage": 1}
    for body in ({"leverage": 1.0}, {"leverage": True}, {"leverage": None}, {}):
        await a.refused("BAD_REQUEST", 400, "PUT", "/account/leverage", json=body)
