"""The house as the venue keeps it and shows it: its account, its grant, its keys, and what it does on a real venue.

The house itself is driven step by step, over the same HTTP surface as everybody else's requests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from raeth import housekeeping
from raeth.api.app import create_app
from raeth.api.credentials import digest_of, new_key
from raeth.client import AsyncClient
from raeth.engine import commands as cmd
from raeth.engine.types import KeySpec
from raeth.liquidity.house import House, Polling, pull
from raeth.liquidity.policy import REASONS
from raeth.liquidity.settings import HouseSettings
from tests.api import harness
from tests.api.harness import ADMIN, PEPPER, STRIKE_CENTS, Desk, Trader

HERE = "127.0.0.1"
GRANT = HouseSettings().grant_cents


class Driven:
    """The house at a venue whose clock the test moves."""

    def __init__(self, desk: Desk, agent: Trader, house: House, client: AsyncClient) -> None:
        self.desk = desk
        self.agent = agent
        self.house = house
        self.client = client
        self.eyes = Polling(client)

    async def step(self, by_ms: int = 300, move_cents: int = 0) -> dict[str, Any]:
        """Time and the price move on, the house looks once; what it is then doing."""
        await self.desk.advance(by_ms)
        await self.desk.tick(STRIKE_CENTS + move_cents)
        await self.house.step(self.client, self.eyes)
        return (await self.desk.read("/liquidity"))["now"]


def client_of(desk: Desk, api_key: str) -> AsyncClient:
    transport = harness.httpx2.ASGITransport(app=create_app(desk.venue))
    return AsyncClient("http://venue", api_key, transport=transport, patience_s=0)


@asynccontextmanager
async def at_work(desk: Desk, settings: HouseSettings | None = None) -> AsyncIterator[Driven]:
    """A house that has seen twenty seconds of prices."""
    credentials = await housekeeping.admit(desk.venue, HERE)
    account = desk.sequencer.state.agents[credentials.agent].account.id
    agent = Trader(desk, credentials.agent, account, credentials.api_key, "house")
    house = House(settings or HouseSettings(), granted_cents=credentials.granted_cents)
    desk.venue.house = house
    for n in range(20):
        await desk.advance(1_000)
        await desk.tick(STRIKE_CENTS + (900 if n % 2 else 0))
    async with client_of(desk, credentials.api_key) as client:
        yield Driven(desk, agent, house, client)


# ---- account, grant, keys ----


async def test_without_a_house_the_document_is_there(desk: Desk) -> None:
    found = await desk.read("/liquidity")
    assert (found["enabled"], found["agent_id"], found["money"], found["now"]["status"]) == (True, None, None, "OUT")
    off = desk.venue.settings.house.model_copy(update={"enabled": False})
    desk.venue.settings = desk.venue.settings.model_copy(update={"house": off})
    found = await desk.read("/liquidity")
    assert (found["enabled"], found["now"]["status"]) == (False, "OFF")
    assert found["bounds"]["position_limit"] == HouseSettings().position_limit and len(found["policy"]) > 3


async def test_the_grant_is_visible_and_given_once(desk: Desk) -> None:
    first = await housekeeping.admit(desk.venue, HERE)
    again = await housekeeping.admit(desk.venue, HERE)
    assert first.agent == again.agent and first.granted_cents == again.granted_cents == GRANT
    house = Trader(desk, again.agent, 0, again.api_key, "house")
    ledger = (await house.get("/ledger"))["items"]
    assert [entry["kind"] for entry in ledger] == ["GRANT", "SIGNUP_GRANT"]
    assert sum(entry["amount_cents"] for entry in ledger) == GRANT
    found = await desk.read("/liquidity")
    assert found["agent_id"] == house.uuid and found["agent_name"] == "house" and found["ranked"] is False
    assert found["money"] == {"granted_cents": GRANT, "cash_cents": GRANT, "locked_cents": 0, "pnl_cents": 0}
    trail = (await desk.http.get("/api/v1/admin/audit", headers={"Authorization": f"Bearer {ADMIN}"})).json()["items"]
    grants = [action for action in trail if action["action"] == "GRANT"]
    assert len(grants) == 1 and grants[0]["actor"] == "venue" and grants[0]["reason"] == housekeeping.GRANT_REASON


async def test_each_start_ends_the_keys_before_it(desk: Desk) -> None:
    first, second = [await housekeeping.admit(desk.venue, HERE) for _ in range(2)]
    await Trader(desk, first.agent, 0, first.api_key, "house").refused("AUTH_REVOKED", 401, "GET", "/account")
    house = Trader(desk, second.agent, 0, second.api_key, "house")
    assert (await house.get("/account"))["cash_cents"] == GRANT
    assert len(desk.sequencer.state.agents[second.agent].keys) == 1


async def test_a_key_works_from_its_own_address_only(desk: Desk) -> None:
    made = await housekeeping.admit(desk.venue, "192.0.2.7")
    await Trader(desk, made.agent, 0, made.api_key, "house").refused("IP_NOT_ALLOWED", 403, "GET", "/account")


async def test_a_start_that_died_before_the_grant_is_finished_by_the_next(desk: Desk) -> None:
    key = new_key(PEPPER)
    spec = KeySpec(key.key_id, key.digest, "k", ("read", "trade"))
    await desk.submit(cmd.Signup(digest_of(PEPPER, b"house"), "house", spec))
    assert (await housekeeping.admit(desk.venue, HERE)).granted_cents == GRANT


async def test_what_an_operator_grants_is_no_gain(desk: Desk) -> None:
    made = await housekeeping.admit(desk.venue, HERE)
    await desk.submit(cmd.GrantCash("operator", made.agent, 500, "more"))
    money = (await desk.read("/liquidity"))["money"]
    assert (money["granted_cents"], money["pnl_cents"]) == (GRANT + 500, 0)
    assert (await housekeeping.admit(desk.venue, HERE)).granted_cents == GRANT + 500


async def test_an_agent_of_somebody_else_is_never_taken_over(desk: Desk) -> None:
    await desk.trader("House")
    with pytest.raises(housekeeping.NameTaken):
        await housekeeping.admit(desk.venue, HERE)


@pytest.mark.parametrize("name", ["house", "House"])
async def test_nobody_signs_up_as_the_house(desk: Desk, name: str) -> None:
    body = {"email": "house@example.com", "agent_name": name}
    response = await desk.http.post("/api/v1/auth/signup", json=body)
    assert (response.status_code, response.json()["code"]) == (409, "AGENT_NAME_TAKEN")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("10.1.2.3", "http://10.1.2.3:80"),
    ],
)
def test_where_a_venue_reaches_itself(host: str, url: str) -> None:
    assert housekeeping.reachable(host, 80) == url


# ---- at work ----


async def test_it_quotes_both_sides_and_is_traded_with(desk: Desk) -> None:
    async with at_work(desk) as driven:
        now = await driven.step()
        assert now["status"] == "QUOTING" and now["reason"] is None
        assert now["best_bid"] < now["fair_value_cents"] < now["best_ask"] and now["symbol"] == desk.symbol
        book = await desk.read(f"/markets/{desk.symbol}/book")
        assert (book["bids"][0][0], book["asks"][0][0]) == (now["best_bid"], now["best_ask"])
        taker = await desk.trader("taker")
        order = await taker.place("BUY", None, 10)
        assert (order["status"], order["filled_notional_cents"]) == ("FILLED", 10 * now["best_ask"])
        after = await driven.step()
        assert after["status"] == "QUOTING"
        assert (await driven.agent.get("/positions"))["items"][0]["net_qty"] == -10
        await desk.advance(10_000)
        assert (await desk.read("/liquidity"))["last_24h"] == {"fills": 1, "qty": 10}
        await desk.next_window(STRIKE_CENTS - 1_000)
        money = (await desk.read("/liquidity"))["money"]
        cash = (await driven.agent.get("/account"))["cash_cents"]
        assert money["cash_cents"] == cash and money["pnl_cents"] == cash - GRANT > 0


async def test_it_follows_the_price_and_the_windows(desk: Desk) -> None:
    async with at_work(desk) as driven:
        low = await driven.step()
        high = await driven.step(move_cents=3_000)
        assert high["best_bid"] > low["best_bid"]
        await desk.next_window()
        nxt = await driven.step()
        assert nxt["status"] == "QUOTING" and nxt["symbol"] == desk.symbol != low["symbol"]


async def test_frozen_it_pulls_and_comes_back(desk: Desk) -> None:
    async with at_work(desk) as driven:
        assert (await driven.step())["status"] == "QUOTING"
        await desk.submit(cmd.Freeze("operator", "test"))
        now = await driven.step()
        assert (now["status"], now["reason"], now["message"]) == ("OUT", "FROZEN", REASONS["FROZEN"])
        await desk.submit(cmd.Unfreeze("operator", None))
        assert (await driven.step())["status"] == "QUOTING"


async def test_halted_it_pulls_and_comes_back(desk: Desk) -> None:
    async with at_work(desk) as driven:
        await driven.step()
        await desk.submit(cmd.HaltMarket("operator", desk.market.id, "test"))
        assert (await driven.step())["reason"] == "HALTED"
        await desk.submit(cmd.ResumeMarket("operator", desk.market.id, None))
        assert (await driven.step())["status"] == "QUOTING"


async def test_on_a_stale_reference_it_pulls(desk: Desk) -> None:
    async with at_work(desk) as driven:
        await driven.step()
        await desk.advance(2_500)
        await driven.house.step(driven.client, driven.eyes)
        now = (await desk.read("/liquidity"))["now"]
        assert (now["status"], now["reason"]) == ("OUT", "STALE_REFERENCE")
        assert (await driven.step())["status"] == "QUOTING"


async def test_suspended_it_waits_and_comes_back(desk: Desk) -> None:
    async with at_work(desk) as driven:
        await driven.step()
        await desk.submit(cmd.SuspendAgent("operator", driven.agent.agent, "test"))
        assert (await driven.step())["reason"] == "SUSPENDED"
        await desk.submit(cmd.ReinstateAgent("operator", driven.agent.agent, None))
        assert (await driven.step())["status"] == "QUOTING"


async def test_at_its_loss_cap_it_is_out_and_has_lost_no_more(desk: Desk) -> None:
    """Everything it offers is bought, and every window goes against it."""
    settings = HouseSettings(loss_cap_cents=3_000, window_loss_cap_cents=2_500)
    async with at_work(desk, settings) as driven:
        taker = await desk.trader("taker", 1_000_000)
        for _ in range(4):
            for _ in range(8):
                now = await driven.step(1_000)
                while now["ask_qty"]:
                    order = await taker.place("BUY", None, now["ask_qty"])
                    now = (await desk.read("/liquidity"))["now"] if order["filled_qty"] else {"ask_qty": 0}
            await desk.next_window(desk.last_print + 1_000)
            desk.last_print += 1_000
            await desk.advance(10_000)
            assert (await desk.read("/liquidity"))["money"]["pnl_cents"] >= -3_000
        now = await driven.step()
        assert (now["status"], now["reason"]) in {("OUT", "LOSS_CAP"), ("OUT", "WINDOW_LIMITS"), ("ONE_SIDED", None)}
        assert (await desk.read("/liquidity"))["money"]["pnl_cents"] < -2_000


async def test_whoever_gets_the_next_key_quotes_alone(desk: Desk) -> None:
    async with at_work(desk) as driven:
        await driven.step()
        await housekeeping.admit(desk.venue, HERE)
        await driven.step()
        assert driven.house.state.why == "NO_KEY"


async def test_switched_off_what_is_left_is_pulled(desk: Desk) -> None:
    async with at_work(desk) as driven:
        assert (await driven.step())["status"] == "QUOTING"
        off = desk.venue.settings.house.model_copy(update={"enabled": False})
        desk.venue.settings = desk.venue.settings.model_copy(update={"house": off})
        desk.venue.house = None
        assert (await desk.read("/liquidity"))["now"]["status"] == "QUOTING"
        await pull(driven.client)
        assert (await desk.read("/liquidity"))["now"]["status"] == "OFF"
