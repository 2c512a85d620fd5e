"""Everybody who may knock: a victim with something of everything, a stranger with the same, and every credential."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx2

from raeth.api.credentials import SESSION, new_key, new_token
from raeth.api.routes.auth import SESSION_MS
from raeth.clock import real_now_ms
from raeth.config import LimitSettings
from raeth.engine import commands as cmd
from raeth.engine.types import KeySpec
from raeth.store.private import insert_session
from tests.api.harness import ADMIN, ALL_SCOPES, LIMITS, PEPPER, Desk, Trader

PASSWORD = "correct horse battery"

ROOMY: LimitSettings = LIMITS.model_copy(update={"signups_per_minute": 100_000})


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


@dataclass
class Person:
    """An account as its owner has it."""

    desk: Desk
    account_id: str
    agent_id: str
    api_key: str
    session: str
    trader: Trader

    async def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """As the owner."""
        headers = {**bearer(self.session), **options.pop("headers", {})}
        return await self.desk.http.request(method, "/api/v1" + path, headers=headers, **options)

    async def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        response = await self.call(method, path, **options)
        assert response.status_code == status, response.text
        return response.json()

    async def key(self, **fields: Any) -> str:
        """Another key of the agent, issued by its owner."""
        made = await self.ask("POST", f"/me/agents/{self.agent_id}/keys", 201, json={"name": "k", **fields})
        return str(made["api_key"])


async def person(desk: Desk, name: str) -> Person:
    """Signed up without a password, and with the session that a login would have made: hashing takes its time, and
    is tested where it matters."""
    response = await desk.http.post("/api/v1/auth/signup", json={"email": f"{name}@example.org", "agent_name": name})
    assert response.status_code == 201, response.text
    made = response.json()
    agent = desk.venue.names.entity(made["agent_id"])
    account = desk.venue.names.entity(made["account_id"])
    assert agent is not None and account is not None
    session, hashed = new_token(SESSION)
    await desk.sequencer.write([insert_session(hashed, account, real_now_ms() + SESSION_MS)])
    trader = Trader(desk, agent, account, made["api_key"], name)
    return Person(desk, made["account_id"], made["agent_id"], made["api_key"], session, trader)


async def key_of(of: Trader, scopes: tuple[str, ...] = ALL_SCOPES, **fields: Any) -> str:
    """Another key of the agent, such as no owner could issue: one that has expired already."""
    key = new_key(PEPPER)
    await of.desk.submit(cmd.IssueKey(of.account, of.agent, KeySpec(key.key_id, key.digest, "k", scopes, **fields)))
    return key.text


def key_id(key: str) -> str:
    return key.split("_")[2]


async def credentials(desk: Desk, of: Person) -> dict[str, str | None]:
    """Every kind of thing that can be shown as a bearer, by name."""
    trader = of.trader
    gone = await key_of(trader)
    await desk.submit(cmd.RevokeKey(trader.account, trader.agent, key_id(gone)))
    ended = await person(desk, "left-already")
    await ended.ask("POST", "/auth/logout")
    idle = await desk.trader("suspended")
    await desk.submit(cmd.SuspendAgent("ops", idle.agent, "test"))
    ticket = await trader.ask("POST", "/auth/ws-ticket", 201)
    return {
        "nothing": None,
        "nonsense": "nonsense",
        "unknown key": "rk_live_0123456789abcdef_" + "0" * 64,
        "wrong secret": trader.key[:-4] + ("beef" if trader.key[-4:] != "beef" else "dead"),
        "another's secret": f"rk_live_{key_id(trader.key)}_{idle.key.split('_')[3]}",
        "wrong admin token": "rk_admin_" + "b" * 32,
        "wrong session": "rs_" + "c" * 43,
        "ended session": ended.session,
        "ticket": ticket["ticket"],
        "revoked": gone,
        "expired": await key_of(trader, expires_at=real_now_ms() - 1),
        "elsewhere": await key_of(trader, allowed_ips=("198.51.100.0/24",)),
        "read": await key_of(trader, ("read",)),
        "trade": await key_of(trader, ("trade",)),
        "cancel": await key_of(trader, ("cancel",)),
        "suspended": idle.key,
        "owner": of.session,
        "operator": ADMIN,
    }


def everything(desk: Desk) -> tuple[Any, ...]:
    """What a refused request must leave as it was: the journal and the private tables."""
    state = desk.sequencer.state
    with closing(sqlite3.connect(desk.venue.settings.data_dir / "raeth.db")) as connection:
        tables = tuple(
            connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("identities", "sessions", "tickets", "secrets")
        )
    return state.seq, desk.sequencer.durable_seq, tables
