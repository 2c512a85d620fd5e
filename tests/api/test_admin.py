"""The operator's calls: each journaled with its actor and reason, and felt at once (contract, section 9)."""

from __future__ import annotations

from typing import Any

import pytest

from raeth.engine import commands as cmd
from tests.api.harness import ADMIN, Desk, Trader
from tests.api.test_core import UUID, order


class Operator:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        response = await self.desk.http.request(method, "/api/v1/admin" + path, headers=headers, **options)
        assert response.status_code == status, response.text
        return response.json()

    async def refused(self, code: str, status: int, path: str, **options: Any) -> Any:
        body = await self.ask("POST", path, status, **options)
        assert body["code"] == code, body
        return body


@pytest.fixture
def op(desk: Desk) -> Operator:
    return Operator(desk)


@pytest.fixture
async def alice(desk: Desk) -> Trader:
    return await desk.trader("alice")


WHY = {"reason": "because"}


async def test_a_freeze_stops_orders_and_nothing_else(desk: Desk, op: Operator, alice: Trader) -> None:
    resting = await alice.place("BUY", 50, 1)
    frozen = await op.ask("POST", "/freeze", json=WHY)
    assert frozen["frozen"] and frozen["reason"] == "because"
    await alice.refused("EXCHANGE_FROZEN", 503, "POST", "/orders", json=order(desk))
    ready = await desk.http.get("/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "EXCHANGE_FROZEN")
    assert (await desk.http.get("/health")).json()["frozen"] is True
    state = await op.ask("GET", "/state")
    assert (state["frozen"], state["reason"], state["open_orders"]) == (True, "because", 1)
    assert (await alice.ask("DELETE", f"/orders/{resting['order_id']}"))["status"] == "CANCELLED"
    assert (await op.ask("POST", "/unfreeze"))["frozen"] is False
    await alice.place("BUY", 50, 1)
    assert (await desk.http.get("/ready")).status_code == 200


async def test_a_market_is_halted_resumed_and_voided_by_id_or_symbol(desk: Desk, op: Operator, alice: Trader) -> None:
    halted = await op.ask("POST", f"/markets/{desk.symbol}/halt", json=WHY)
    assert (halted["market_id"], halted["halted"], halted["status"]) == (desk.market_id, True, "OPEN")
    await alice.declined("MARKET_HALTED", "BUY", 50, 1)
    resumed = await op.ask("POST", f"/markets/{desk.market_id}/resume", json={"reason": None})
    assert resumed["halted"] is False
    await alice.place("BUY", 50, 1)
    voided = await op.ask("POST", f"/markets/{desk.symbol}/void", json=WHY)
    assert voided["status"] == "VOID"
    await op.refused("MARKET_FINAL", 409, f"/markets/{voided['symbol']}/void", json=WHY)
    await op.refused("MARKET_CLOSED", 409, f"/markets/{voided['market_id']}/halt", json=WHY)
    await op.refused("MARKET_CLOSED", 409, f"/markets/{voided['market_id']}/resume")
    for path in ("halt", "resume", "void"):
        for unknown in (UUID, "BTC-1M-19990101T0000Z", "nonsense", "%00"):
            await op.refused("UNKNOWN_MARKET", 404, f"/markets/{unknown}/{path}", json=WHY)


async def test_a_resolved_market_is_final(desk: Desk, op: Operator) -> None:
    symbol = desk.symbol
    await desk.next_window()
    await op.refused("MARKET_FINAL", 409, f"/markets/{symbol}/void", json=WHY)
    await op.refused("MARKET_CLOSED", 409, f"/markets/{symbol}/halt", json=WHY)


async def test_an_agent_is_suspended_reinstated_and_granted(desk: Desk, op: Operator, alice: Trader) -> None:
    await alice.place("BUY", 50, 1)
    suspended = await op.ask("POST", f"/agents/{alice.uuid}/suspend", json=WHY)
    assert suspended["suspended"] and not desk.sequencer.state.orders
    await alice.refused("AGENT_SUSPENDED", 403, "POST", "/orders", json=order(desk))
    assert (await op.ask("POST", f"/agents/{alice.uuid}/reinstate", content=b""))["suspended"] is False
    await alice.place("BUY", 50, 1)
    granted = await op.ask("POST", f"/agents/{alice.uuid}/grant", json={"amount_cents": 5, **WHY})
    assert granted["cash_cents"] == 100_005
    for unknown in (UUID, "nonsense"):
        for path, body in [("suspend", WHY), ("reinstate", WHY), ("grant", {"amount_cents": 1, **WHY})]:
            await op.refused("NOT_FOUND", 404, f"/agents/{unknown}/{path}", json=body)


@pytest.mark.parametrize(
    "path,body,status",
    [
        ("/freeze", {}, 400),
        ("/freeze", {"reason": ""}, 422),
        ("/freeze", {"reason": "x" * 501}, 422),
        ("/freeze", {"reason": "a\x00b"}, 422),
        ("/freeze", {"reason": 5}, 400),
        ("/unfreeze", {"raison": "x"}, 400),
        ("/unfreeze", {"reason": "a\x00"}, 422),
        ("/broadcast", {"message": ""}, 422),
        ("/broadcast", {"message": "\x00"}, 422),
        (f"/agents/{UUID}/grant", {"amount_cents": 0, **WHY}, 422),
        (f"/agents/{UUID}/grant", {"amount_cents": -1, **WHY}, 422),
        (f"/agents/{UUID}/grant", {"amount_cents": "5", **WHY}, 400),
        (f"/agents/{UUID}/grant", {"amount_cents": 5}, 400),
        (f"/agents/{UUID}/grant", {"amount_cents": 10**13, **WHY}, 422),
        (f"/agents/{UUID}/grant", {"amount_cents": 1, "reason": "a\nb\x00"}, 422),
    ],
)
async def test_bodies_are_checked(desk: Desk, op: Operator, path: str, body: dict[str, Any], status: int) -> None:
    before = desk.sequencer.state.seq
    await op.refused("BAD_REQUEST" if status == 400 else "VALIDATION_FAILED", status, path, json=body)
    assert desk.sequencer.state.seq == before


async def test_a_key_is_revoked(desk: Desk, op: Operator, alice: Trader) -> None:
    key_id = alice.key.split("_")[2]
    revoked = await op.ask("POST", f"/keys/{key_id}/revoke", json={"reason": "leaked"})
    assert revoked["agent_id"] == alice.uuid
    await alice.refused("AUTH_REVOKED", 401, "GET", "/account")
    for unknown in (key_id, "nonsense", "0" * 16):
        await op.refused("NOT_FOUND", 404, f"/keys/{unknown}/revoke")


async def test_the_audit_names_everything_and_who_did_it(desk: Desk, op: Operator, alice: Trader) -> None:
    await op.ask("POST", "/broadcast", json={"message": "back at\nnoon"})
    await op.ask("POST", "/freeze", json={"reason": "one"})
    await op.ask("POST", "/unfreeze", json={})
    await op.ask("POST", f"/agents/{alice.uuid}/grant", json={"amount_cents": 7, "reason": "two"})
    await op.refused("NOT_FOUND", 404, f"/keys/{'0' * 16}/revoke")
    first = await op.ask("GET", "/audit", params={"limit": 2})
    rest = await op.ask("GET", "/audit", params={"cursor": first["next_cursor"]})
    rows = first["items"] + rest["items"]
    assert [row["seq"] for row in rows] == sorted((row["seq"] for row in rows), reverse=True)
    assert rows[0]["refused"] == "NOT_FOUND" and rows[0]["key_id"] == "0" * 16
    grant = rows[1]
    assert (grant["actor"], grant["reason"], grant["target"], grant["amount_cents"]) == (
        "operator",
        "two",
        alice.uuid,
        7,
    )
    assert rows[4]["reason"] == "back at\nnoon"
    response = await op.ask("GET", "/audit", 422, params={"cursor": "x"})
    assert response["code"] == "INVALID_CURSOR"


async def test_the_books_balance(desk: Desk, op: Operator, alice: Trader) -> None:
    bob = await desk.trader("bob")
    await desk.submit(cmd.Transfer(bob.account, bob.agent, bob.account, 40_000))
    await alice.place("BUY", 60, 100)
    await bob.place("SELL", 60, 100)
    await desk.next_window(9_600_000)
    state = await op.ask("GET", "/state")
    money = state["money"]
    assert money["conserved"] and money["granted_cents"] == 200_000 and money["accounts_cash_cents"] == 40_000
    assert money["fees_cents"] > 0
    assert (state["agents"], state["accounts"], state["suspended_agents"]) == (2, 2, 0)
    assert state["seq"] == desk.sequencer.state.seq and state["persistence"]["mode"] == "ok"
    assert any(market["symbol"] == desk.symbol for market in state["markets"])


async def test_unknown_calls_of_the_operator_are_404(op: Operator) -> None:
    assert (await op.ask("GET", "/nope", 404))["code"] == "NOT_FOUND"
