"""Test cash and accounts: no more than the caps, whoever asks how often at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from raeth.engine.invariants import check
from tests.api.harness import LIMITS, RULES, Desk, Trader, opened_desk
from tests.authority.cast import ROOMY, bearer, person

GRANT = RULES.signup_grant_cents
AMOUNT = RULES.faucet_amount_cents
CAP = RULES.faucet_account_cap_cents


async def wealth(desk: Desk, account: int) -> int:
    state = (await desk.sequencer.settled()).accounts[account]
    return state.cash + sum(desk.sequencer.state.agents[agent].cash for agent in state.agents)


async def test_one_account_gets_its_cap_and_no_more(tmp_path: Path) -> None:
    """Ten agents with three keys each claim at once, over and over, while cash is moved about between claims."""
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        ada = await person(desk, "ada")
        agents = [ada.agent_id]
        for n in range(9):
            agents.append((await ada.ask("POST", "/me/agents", 201, json={"name": f"ada-{n}"}))["agent_id"])
        await ada.ask("POST", "/me/agents", 422, json={"name": "eleventh"})
        keys = []
        for agent in agents:
            for _ in range(3):
                made = await ada.ask("POST", f"/me/agents/{agent}/keys", 201, json={"name": "k"})
                keys.append(made["api_key"])
        assert await wealth(desk, ada.trader.account) == GRANT, "agents and keys bring no cash"
        dice = random.Random(7)
        seen: Counter[Any] = Counter()
        for _ in range(4):
            answers = await asyncio.gather(*(claim(desk, key) for key in keys))
            seen.update(answers)
            assert sum(code == 201 for code, _ in answers) <= 1, "one claim a cool-down, of the whole account"
            for _ in range(5):
                source, target = dice.sample([*agents, "master"], 2)
                body = {"from": source, "to": target, "amount_cents": dice.randint(1, 5_000)}
                await ada.call("POST", "/me/transfers", json=body)
            # Neither a fresh key nor a rotated one is a fresh claim.
            spare = (await ada.ask("POST", f"/me/agents/{agents[1]}/keys", 201, json={"name": "fresh"}))["api_key"]
            assert (await claim(desk, spare))[1] in ("FAUCET_COOLDOWN", "FAUCET_CAP_REACHED")
            await desk.advance(RULES.faucet_cooldown_ms)
        assert await wealth(desk, ada.trader.account) == GRANT + CAP
        assert seen[201, None] == CAP // AMOUNT and seen[409, "FAUCET_CAP_REACHED"] > 0
        check(desk.sequencer.state)


async def claim(desk: Desk, key: str) -> tuple[int, str | None]:
    response = await desk.http.post("/api/v1/faucet", headers=bearer(key))
    return response.status_code, response.json().get("code")


@pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8:0:1::{n:x}"])
async def test_one_address_opens_its_accounts_a_day_and_no_more(tmp_path: Path, address: str) -> None:
    """All at once, with a forged sender, over the alias too; an IPv6 subscriber has the /64."""
    limits = LIMITS.model_copy(update={"signups_per_minute": 1_000, "signups_per_day": 4})
    async with opened_desk(tmp_path, limits=limits) as desk:

        async def sign_up(n: int) -> int:
            transport = httpx2.ASGITransport(
                desk.http._transport.app,  # type: ignore[attr-defined]
                client=(address.format(n=n + 1), 5),
            )
            async with httpx2.AsyncClient(transport=transport, base_url="http://venue") as http:
                path = ("/api/v1/auth/signup", "/api/auth/mcp-signup")[n % 2]
                body = {"email": f"s{n}@example.org", "agent_name": f"sybil-{n}"}
                headers = {"X-Forwarded-For": f"203.0.113.{n}"}
                return (await http.post(path, json=body, headers=headers)).status_code

        answers = Counter(await asyncio.gather(*(sign_up(n) for n in range(24))))
        assert answers == {201: 4, 429: 20}
        assert len(desk.sequencer.state.accounts) == 4
        assert desk.sequencer.state.granted_cents == 4 * GRANT


async def test_the_same_mailbox_is_one_account_however_it_is_written(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        spellings = ["ada@example.org", " ADA@example.org", "Ada@Example.Org ", "ada@EXAMPLE.org"]
        bodies = [{"email": text, "agent_name": f"ada-{n}"} for n, text in enumerate(spellings)]
        answers = await asyncio.gather(*(desk.http.post("/api/v1/auth/signup", json=body) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
        assert desk.sequencer.state.granted_cents == GRANT


async def test_transfers_make_no_cash_however_many_at_once(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        ada = await person(desk, "ada")
        other = (await ada.ask("POST", "/me/agents", 201, json={"name": "other"}))["agent_id"]
        body = {"from": ada.agent_id, "to": other, "amount_cents": 60_000}
        answers = await asyncio.gather(*(ada.call("POST", "/me/transfers", json=body) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
        body = {**body, "from": other, "to": "master", "amount_cents": 10_000, "client_transfer_id": "once"}
        answers = await asyncio.gather(*(ada.call("POST", "/me/transfers", json=body) for _ in range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8
        assert sum(not answer.json()["replayed"] for answer in answers) == 1
        for amount in (0, -1, 2**63, 10**30, 1.5, "1", True, None):
            response = await ada.call("POST", "/me/transfers", json={**body, "amount_cents": amount})
            assert response.status_code in (400, 422), amount
        assert await wealth(desk, ada.trader.account) == GRANT


async def test_budgets_are_the_agents_and_not_its_keys(tmp_path: Path) -> None:
    """More keys and more connections at once do not make more writes."""
    limits = ROOMY.model_copy(update={"writes_per_minute": 20, "cancels_per_minute": 100})
    async with opened_desk(tmp_path, limits=limits) as desk:
        alice = await desk.trader("alice")
        traders = [alice, *[await desk.with_key(alice, ("trade",)) for _ in range(4)]]
        body = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 1, "qty": 1}

        async def order(trader: Trader) -> int:
            return (await trader.call("POST", "/orders", json=body)).status_code

        answers = Counter(await asyncio.gather(*(order(trader) for trader in traders * 10)))
        assert answers == {200: 20, 429: 30}
        response = await alice.call("POST", "/orders/cancel", json={})
        assert response.json()["cancelled"] == 20, "a throttled agent gets out"
