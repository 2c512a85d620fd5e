"""The house as the venue keeps it and shows it: its account, its grant, its keys, its quote, its money."""

from __future__ import annotations

from typing import Any

import pytest

from raeth import housekeeping
from raeth.api.app import create_app
from raeth.api.credentials import digest_of, new_key
from raeth.client import AsyncClient
from raeth.engine import commands as cmd
from raeth.engine.types import KeySpec
from raeth.liquidity.house import House, pull
from raeth.liquidity.policy import QUOTE_ID, REASONS
from raeth.liquidity.settings import HouseSettings
from tests.api import harness
from tests.api.harness import ADMIN, PEPPER, STRIKE_CENTS, Desk, Trader

HERE = "127.0.0.1"
GRANT = HouseSettings().grant_cents


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


# ---- what it does now, and how it fares ----


async def house_at(desk: Desk) -> Trader:
    """The house's agent, for the test to trade as."""
    made = await housekeeping.admit(desk.venue, HERE)
    return Trader(desk, made.agent, desk.sequencer.state.agents[made.agent].account.id, made.api_key, "house")


async def quote(house: Trader, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> dict[str, Any]:
    """What /liquidity shows once this quote rests."""
    levels = [[{"price": price, "qty": qty} for price, qty in side] for side in (bids, asks)]
    body = {"market_id": house.desk.symbol, "quote_id": QUOTE_ID, "bids": levels[0], "asks": levels[1]}
    await house.ask("PUT", "/quotes", json=body)
    return (await house.desk.read("/liquidity"))["now"]


async def test_what_rests_is_shown(desk: Desk) -> None:
    house = await house_at(desk)
    now = await quote(house, [(45, 10), (44, 20)], [(55, 5), (57, 6)])
    assert (now["status"], now["reason"], now["symbol"]) == ("QUOTING", None, desk.symbol)
    assert (now["best_bid"], now["bid_qty"], now["best_ask"], now["ask_qty"]) == (45, 30, 55, 11)
    now = await quote(house, [(45, 10)], [])
    assert (now["status"], now["best_ask"], now["ask_qty"]) == ("ONE_SIDED", None, 0)
    assert (await quote(house, [], []))["status"] == "OUT"


async def test_why_it_is_out_comes_from_the_house_itself(desk: Desk) -> None:
    house = await house_at(desk)
    assert (await quote(house, [], []))["reason"] is None
    desk.venue.house = House(HouseSettings(), granted_cents=GRANT)
    now = await quote(house, [], [])
    assert (now["status"], now["reason"], now["message"]) == ("OUT", "STARTING", REASONS["STARTING"])
    assert (await quote(house, [(45, 10)], [(55, 5)]))["reason"] is None


async def test_its_result_is_cash_less_grants(desk: Desk) -> None:
    house, taker = await house_at(desk), await desk.trader("taker")
    await quote(house, [(45, 10)], [(55, 10)])
    await taker.place("BUY", None, 10)
    await desk.advance(10_000)
    found = await desk.read("/liquidity")
    assert found["money"]["pnl_cents"] == 0 and found["money"]["locked_cents"] > 0
    assert found["last_24h"] == {"fills": 1, "qty": 10}
    await desk.next_window(STRIKE_CENTS - 1_000)
    money = (await desk.read("/liquidity"))["money"]
    cash = (await house.get("/account"))["cash_cents"]
    assert money == {"granted_cents": GRANT, "cash_cents": cash, "locked_cents": 0, "pnl_cents": cash - GRANT}
    assert money["pnl_cents"] >= 550


async def test_it_is_not_on_the_leaderboard(desk: Desk) -> None:
    house, taker = await house_at(desk), await desk.trader("taker")
    await quote(house, [(45, 10)], [(55, 10)])
    await taker.place("BUY", None, 10)
    await desk.next_window(STRIKE_CENTS - 1_000)
    shown = (await desk.read("/leaderboard"))["items"]
    assert [row["name"] for row in shown] == ["taker"]


async def test_switched_off_what_is_left_is_pulled(desk: Desk) -> None:
    house = await house_at(desk)
    off = desk.venue.settings.house.model_copy(update={"enabled": False})
    desk.venue.settings = desk.venue.settings.model_copy(update={"house": off})
    assert (await quote(house, [(45, 10)], [(55, 10)]))["status"] == "QUOTING"
    transport = harness.httpx2.ASGITransport(app=create_app(desk.venue))
    async with AsyncClient("http://venue", house.key, transport=transport) as client:
        await pull(client)
    assert (await desk.read("/liquidity"))["now"]["status"] == "OFF"
