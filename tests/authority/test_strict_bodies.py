"""Nothing can be set that a call does not offer: every body and query is strict, whoever adds what to it."""

from __future__ import annotations

import ast
import typing
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import raeth
from raeth.api.app import declared_calls
from raeth.api.routing import plan_of
from tests.api.harness import ADMIN, Desk, opened_desk
from tests.authority.cast import ROOMY, bearer, everything, person

SMUGGLED: dict[str, Any] = {
    "account_id": "x",
    "agent_id": "x",
    "key_id": "x",
    "actor": "operator",
    "is_admin": True,
    "role": "operator",
    "cash_cents": 1_000_000,
    "testnet_cash_cents": 1_000_000,
    "suspended": False,
    "fee_cents": 0,
    "taker_rate_bps": 0,
    "api_key": "rk_live_x",
    "digest": "0" * 64,
    "seq": 1,
    "status": "FILLED",
    "__class__": "x",
}


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """A model and every model within it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for info in kind.model_fields.values():
            yield from models(info.annotation)
    for inner in typing.get_args(kind):
        yield from models(inner)


def test_every_model_of_what_comes_in_is_strict() -> None:
    seen = set()
    for call in declared_calls():
        plan = plan_of(call)
        for top in (plan.body_model, plan.query_model):
            for model in models(top) if top is not None else ():
                assert model.model_config.get("extra") == "forbid", (call.name, model.__name__)
                assert model.model_config.get("strict") is True, (call.name, model.__name__)
                seen.add(model)
    assert len(seen) >= 18


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        yield desk


async def test_what_a_call_does_not_offer_cannot_be_sent_along(desk: Desk) -> None:
    ada = await person(desk, "ada")
    limit = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 20, "qty": 1}
    order = (await ada.trader.place("BUY", 30, 2))["order_id"]
    agent, operator, owner = ada.api_key, ADMIN, ada.session
    calls: list[tuple[str | None, str, str, dict[str, Any]]] = [
        (None, "POST", "/auth/signup", {"email": "n@example.org", "agent_name": "newcomer"}),
        (agent, "POST", "/orders", limit),
        (agent, "POST", "/orders/preview", limit),
        (agent, "PATCH", f"/orders/{order}", {"qty": 1}),
        (agent, "POST", "/orders/cancel", {}),
        (agent, "POST", "/deadman", {"timeout_ms": 5_000}),
        (agent, "PUT", "/quotes", {"market_id": desk.symbol, "quote_id": "q", "bids": [], "asks": []}),
        (owner, "POST", "/me/agents", {"name": "another"}),
        (owner, "POST", f"/me/agents/{ada.agent_id}/keys", {"name": "k"}),
        (owner, "POST", "/me/transfers", {"from": ada.agent_id, "to": "master", "amount_cents": 1}),
        (operator, "POST", "/admin/freeze", {"reason": "x"}),
        (operator, "POST", f"/admin/agents/{ada.agent_id}/grant", {"amount_cents": 1, "reason": "x"}),
    ]
    before = everything(desk)
    for credential, method, path, body in calls:
        headers = bearer(credential) if credential is not None else {}
        for name, value in SMUGGLED.items():
            response = await desk.http.request(method, f"/api/v1{path}", json={**body, name: value}, headers=headers)
            assert (response.status_code, response.json()["code"]) == (400, "BAD_REQUEST"), (path, name)
    for smuggled in ({"agent_id": "x"}, {"cash_cents": 5}):  # within the parts of a body as well
        batch = {"orders": [{**limit, **smuggled}]}
        assert (await ada.trader.call("POST", "/orders/batch", json=batch)).status_code == 400
        quote = {"market_id": desk.symbol, "quote_id": "q", "bids": [{"price": 9, "qty": 1, **smuggled}], "asks": []}
        assert (await ada.trader.call("PUT", "/quotes", json=quote)).status_code == 400
    assert everything(desk) == before


async def test_a_request_can_only_ask_for_so_much(desk: Desk) -> None:
    """Lists, lengths and depths are bounded before anything is done."""
    ada = await person(desk, "ada")
    limit = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 20, "qty": 1}
    before = everything(desk)
    deep = b'{"leverage": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    for method, path, body, status in (
        ("POST", "/orders/batch", {"orders": [limit] * 16}, 422),
        ("POST", "/orders/cancel", {"order_ids": ["x"] * 101}, 422),
        ("POST", "/orders/cancel", {"client_order_ids": ["x"] * 101}, 422),
        ("PUT", "/quotes", {"market_id": desk.symbol, "quote_id": "q", "asks": [],
                            "bids": [{"price": n + 1, "qty": 1} for n in range(21)]}, 422),
        ("POST", "/orders", {**limit, "client_order_id": "x" * 129}, 422),
    ):  # fmt: skip
        response = await ada.trader.call(method, path, json=body)
        assert response.status_code == status, (path, response.text)
    for path in ("/orders?limit=251", "/fills?limit=0", "/ledger?limit=-1", "/orders?limit=999999999999999999999"):
        assert (await ada.trader.call("GET", path)).status_code in (400, 422), path
    for content, status in ((b"x" * 65_537, 413), (deep, 400), (b"[" * 60_000, 400)):
        assert (await ada.trader.call("POST", "/orders", content=content)).status_code == status
    many = "&".join(f"status={n}" for n in range(100))
    assert (await ada.trader.call("GET", f"/orders?{many}")).status_code == 400
    assert everything(desk) == before


WAYS_OUT = frozenset(
    {"httpx2", "httpx", "requests", "aiohttp", "urllib.request", "http.client", "websockets", "smtplib"}
)

NO_WAY_OUT = frozenset(f"websockets.{name}" for name in ("protocol", "server", "speedups", "streams", "utils"))
"""Bytes in, bytes out, without a connection: what speaks the protocol on sockets that others have opened."""


@pytest.mark.parametrize("room", ["api", "store", "engine", "journal", "series"])
def test_no_request_makes_the_venue_call_somebody(room: str) -> None:
    """What answers requests has no way out: there is no address a caller could name. Prices come over `reference`,
    which reads none of a request."""
    for path in sorted((Path(raeth.__file__).parent / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names = [node.module]
            names = [name for name in names if name not in NO_WAY_OUT]
            out = [name for name in names if name in WAYS_OUT or name.split(".")[0] in WAYS_OUT - {"urllib.request"}]
            assert not out, (path.name, out)
