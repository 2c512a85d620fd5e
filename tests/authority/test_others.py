"""What belongs to somebody else: every id of one account shown by another one, over every door.

Where the contract says 403 (an order, an agent), the answer says that and nothing more, the same for every one of
them. Where an id lives within its owner (a client's own ids, keys, quotes, private channels), what another has is
exactly as absent as what nobody has.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import ADMIN, Desk, opened_desk
from tests.authority.cast import ROOMY, Person, bearer, key_id, person
from tests.streams.harness import Hall, opened_hall

NOBODYS = "0193b2c4-7d10-8000-8000-0000002fffff"
"""Well formed, and of nothing in this venue."""


class Two:
    """Ada, who has something of everything, and Eve, who would like to."""

    def __init__(self, desk: Desk, ada: Person, eve: Person) -> None:
        self.desk = desk
        self.ada = ada
        self.eve = eve
        self.orders: dict[str, str] = {}
        self.spare = ""

    async def furnish(self) -> None:
        desk, trader = self.desk, self.ada.trader
        await self.eve.trader.place("SELL", 60, 1)
        filled = await trader.place("BUY", 60, 1, client_order_id="hers-filled")
        resting = await trader.place("BUY", 30, 4, client_order_id="hers")
        ended = await trader.place("BUY", 29, 1)
        await trader.ask("DELETE", f"/orders/{ended['order_id']}")
        declined = await trader.place("BUY", 20, 0)
        quote = {"market_id": desk.symbol, "quote_id": "her-quote", "bids": [{"price": 25, "qty": 3}], "asks": []}
        await trader.ask("PUT", "/quotes", json=quote)
        self.spare = key_id(await self.ada.key(name="spare"))
        self.orders = {
            "filled": filled["order_id"],
            "resting": resting["order_id"],
            "ended": ended["order_id"],
            "declined": declined["order_id"],
        }

    async def hers(self) -> list[Any]:
        """All Ada can see of what is hers, without the marks of when it was true."""
        paths = ("/account", "/positions", "/ledger", "/orders", "/fills", "/orders/by-client-id/hers")
        reads = [await self.ada.trader.get(path) for path in paths]
        for path in ("/me", f"/me/agents/{self.ada.agent_id}/keys", f"/account?agent_id={self.ada.agent_id}"):
            reads.append(await self.ada.ask("GET", path))
        return [undated(read) for read in reads]


def undated(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: undated(value) for name, value in told.items() if name not in ("seq", "as_of_seq", "ts")}
    return [undated(value) for value in told] if isinstance(told, list) else told


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        two = Two(desk, await person(desk, "ada"), await person(desk, "eve"))
        await two.furnish()
        yield two


Ask = Callable[..., Awaitable[Any]]


def bare(response: Any) -> tuple[int, dict[str, Any]]:
    """Everything a stranger can tell two refusals apart by."""
    body = dict(response.json())
    assert body.pop("request_id") == response.headers["x-request-id"]
    headers = {name: value for name, value in response.headers.items() if not name.startswith("x-r")}
    headers.pop("content-length")
    return response.status_code, {"body": body, "headers": headers}


async def test_an_order_of_another_is_forbidden_and_says_nothing_else(two: Two) -> None:
    before = await two.hers()
    eve = two.eve.trader
    for method, body in (("GET", None), ("PATCH", {"qty": 1}), ("PATCH", {"price": 99}), ("DELETE", None)):
        answers = [bare(await eve.call(method, f"/orders/{text}", json=body)) for text in two.orders.values()]
        assert answers[0][0] == 403 and answers[0][1]["body"].keys() == {"code", "message"}, answers[0]
        assert answers[0][1]["body"]["code"] == "FORBIDDEN"
        assert all(answer == answers[0] for answer in answers), "open, filled, ended and declined look alike"
        for nobodys in (NOBODYS, two.desk.market_id, two.ada.agent_id, "nonsense", "0"):
            status, told = bare(await eve.call(method, f"/orders/{nobodys}", json=body))
            assert (status, told["body"]["code"]) == (404, "ORDER_NOT_FOUND"), nobodys
    assert await two.hers() == before


async def test_a_cancel_of_many_touches_only_ones_own(two: Two) -> None:
    before = await two.hers()
    eve = two.eve.trader
    mine = await eve.place("SELL", 90, 1)
    ids = [*two.orders.values(), NOBODYS, mine["order_id"]]
    done = await eve.ask("POST", "/orders/cancel", json={"order_ids": ids})
    assert done["cancelled"] == 1
    told = {result["order_id"]: result for result in done["results"]}
    assert told[mine["order_id"]]["status"] == "CANCELLED"
    theirs = [{**told[text], "order_id": ""} for text in two.orders.values()]
    assert all(result == theirs[0] for result in theirs), theirs
    assert "30" not in str(theirs[0]) and two.ada.agent_id not in str(theirs[0])
    for body in ({"client_order_ids": ["hers", "hers-filled"]}, {"quote_id": "her-quote"}, {"side": "BUY"}, {}):
        assert (await eve.ask("POST", "/orders/cancel", json=body))["cancelled"] == 0, body
    assert await two.hers() == before


async def test_ids_that_live_within_their_owner_are_absent_to_others(two: Two) -> None:
    before = await two.hers()
    eve = two.eve.trader
    theirs = bare(await eve.call("GET", "/orders/by-client-id/hers"))
    nobodys = bare(await eve.call("GET", "/orders/by-client-id/no-such"))
    assert theirs == nobodys and theirs[0] == 404
    assert (await eve.get("/orders", client_order_id="hers"))["items"] == []
    # The same word is free for another: neither a replay of Ada's nor in conflict with it.
    order = await eve.place("SELL", 80, 2, client_order_id="hers")
    assert (order["status"], order["replayed"], order["agent_id"]) == ("OPEN", False, two.eve.agent_id)
    await eve.ask("DELETE", f"/orders/{order['order_id']}")  # it moved the mark, and with it what Ada's are worth
    quote = {"market_id": two.desk.symbol, "quote_id": "her-quote", "bids": [], "asks": []}
    assert (await eve.ask("PUT", "/quotes", json=quote))["results"] == []
    path = f"/me/agents/{two.eve.agent_id}/keys/"
    for suffix, method in (("", "DELETE"), ("/rotate", "POST")):
        theirs = bare(await two.eve.call(method, path + two.spare + suffix))
        nobodys = bare(await two.eve.call(method, path + "0" * 16 + suffix))
        assert theirs == nobodys and theirs[0] == 404
    assert await two.hers() == before


async def test_agents_keys_and_wallets_of_another_owner(two: Two) -> None:
    before = await two.hers()
    ada, eve = two.ada, two.eve
    transfer = {"from": eve.agent_id, "to": "master", "amount_cents": 1}
    tries: list[tuple[str, str, Any]] = [
        ("GET", "/me/agents/{}/keys", None),
        ("POST", "/me/agents/{}/keys", {"name": "mine-now"}),
        ("DELETE", "/me/agents/{}/keys/" + two.spare, None),
        ("POST", "/me/agents/{}/keys/" + two.spare + "/rotate", None),
        ("GET", "/account?agent_id={}", None),
        ("GET", "/positions?agent_id={}", None),
        ("GET", "/ledger?agent_id={}", None),
        ("POST", "/me/transfers", {**transfer, "from": "{}", "to": "master"}),
        ("POST", "/me/transfers", {**transfer, "to": "{}"}),
        ("POST", "/me/transfers", {**transfer, "from": "{}", "to": eve.agent_id}),
    ]
    for method, path, body in tries:
        for agent, status, code in ((ada.agent_id, 403, "FORBIDDEN"), (NOBODYS, 404, "NOT_FOUND")):
            filled = None if body is None else {k: agent if v == "{}" else v for k, v in body.items()}
            got, told = bare(await eve.call(method, path.format(agent), json=filled))
            assert (got, told["body"]["code"]) == (status, code), (method, path, agent)
            assert told["body"].keys() == {"code", "message"}
    for path in ("/account", "/positions", "/ledger"):  # an agent's key reaches its own agent only
        assert (await eve.trader.call("GET", path, params={"agent_id": ada.agent_id})).status_code == 403
    assert (await eve.ask("POST", "/me/transfers", json={**transfer, "client_transfer_id": "t"}))["replayed"] is False
    assert await two.hers() == before
    mine = {"from": ada.agent_id, "to": "master", "amount_cents": 1, "client_transfer_id": "t"}
    assert (await ada.ask("POST", "/me/transfers", json=mine))["replayed"] is False, "such an id is its account's own"


async def test_an_agent_of_the_same_owner_is_another_agent(two: Two) -> None:
    """One owner's agents see as little of each other as strangers do."""
    twin = await two.desk.sibling(two.ada.trader, "twin")
    for text in two.orders.values():
        await twin.refused("FORBIDDEN", 403, "GET", f"/orders/{text}")
        await twin.refused("FORBIDDEN", 403, "DELETE", f"/orders/{text}")
    assert (await twin.ask("POST", "/orders/cancel", json={}))["cancelled"] == 0
    assert (await twin.get("/orders"))["items"] == (await twin.get("/fills"))["items"] == []
    await twin.refused("FORBIDDEN", 403, "GET", "/account", params={"agent_id": two.ada.agent_id})
    await twin.refused("ORDER_NOT_FOUND", 404, "GET", "/orders/by-client-id/hers")


async def test_lists_and_public_data_carry_nothing_private(two: Two) -> None:
    """Whatever anyone can read, Ada's address, keys, client's ids and sessions are in none of it."""
    secrets = ["ada@example.org", two.spare, key_id(two.ada.api_key), "hers", "her-quote", two.ada.session]
    symbol = two.desk.symbol
    paths = [f"/api/v1/markets/{symbol}{rest}" for rest in ("", "/book", "/trades", "/candles", "/agent-context")]
    paths += ["/api/v1/leaderboard", "/api/v1/markets", "/api/v1/liquidity", "/api/v1/series", "/metrics", "/health"]
    paths += ["/status", "/api/v1/orders", "/api/v1/fills", "/api/v1/ledger", "/api/v1/account"]
    for path in paths:
        for headers in ({}, bearer(two.eve.api_key)):
            text = (await two.desk.http.get(path, headers=headers)).text
            told = [one for one in secrets if f'"{one}"' in text or (len(one) > 9 and one in text)]
            assert not told, path


async def test_the_operator_reaches_the_named_thing_or_nothing(two: Two) -> None:
    before = everything_of(two.desk)
    for path in (
        f"/agents/{NOBODYS}/suspend",
        f"/agents/{two.desk.market_id}/suspend",
        f"/agents/{two.ada.account_id}/suspend",
        f"/keys/{'0' * 16}/revoke",
        f"/keys/{two.ada.agent_id}/revoke",
        f"/markets/{two.ada.agent_id}/void",
    ):
        response = await two.desk.http.post(f"/api/v1/admin{path}", json={"reason": "x"}, headers=bearer(ADMIN))
        assert response.status_code == 404, path
    assert everything_of(two.desk) == before


def everything_of(desk: Desk) -> Any:
    state = desk.sequencer.state
    return [(agent.id, agent.suspended, agent.cash, list(agent.keys)) for agent in state.agents.values()]


# ---- over sockets and event streams ----


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with opened_hall(tmp_path) as hall:
        yield hall


async def test_streams_tell_and_take_nothing_of_another(hall: Hall) -> None:
    alice, eve = await hall.desk.trader("alice"), await hall.desk.trader("eve")
    order = await alice.place("BUY", 40, 2, client_order_id="hers")
    peer = await hall.peer(eve)
    told = []
    for agent in (alice.uuid, NOBODYS, "nonsense"):
        reply = await peer.error("UNSUPPORTED_CHANNEL", "subscribe", channels=[f"private.{agent}"])
        told.append({**reply, "request_id": None})
        response = await hall.desk.http.get(
            "/api/v1/sse", params={"channels": f"private.{agent}"}, headers=bearer(eve.key)
        )
        told.append({**response.json(), "request_id": None})
    assert told[0] == told[2] == told[4] and told[1] == told[3] == told[5], "hers is as absent as nobody's"
    await peer.error("UNSUPPORTED_CHANNEL", "subscribe", channels=[f"private.{alice.uuid}"], from_seq=1)
    for op in ("cancel_order", "amend_order"):
        params = {"order_id": order["order_id"]} | ({"qty": 1} if op == "amend_order" else {})
        reply = await peer.error("FORBIDDEN", op, params=params)
        assert "details" not in reply
        await peer.error("ORDER_NOT_FOUND", op, params={**params, "order_id": NOBODYS})
    reply = await peer.error("ORDER_NOT_FOUND", "cancel_order", params={"client_order_id": "hers"})
    assert (await peer.ack("cancel_all"))["cancelled"] == 0
    assert (await alice.get(f"/orders/{order['order_id']}"))["status"] == "OPEN"
    await hall.quiet(peer)
    assert not [name for name in peer.heard if name.startswith("private.") and peer.heard[name]]


@pytest.mark.parametrize(("scopes", "may"), [(("read",), ""), (("cancel",), "cancel"), (("trade",), "trade cancel")])
async def test_sockets_ask_for_the_same_scopes(hall: Hall, scopes: tuple[str, ...], may: str) -> None:
    alice = await hall.desk.trader("alice")
    order = await alice.place("BUY", 40, 2)
    peer = await hall.peer(await hall.desk.with_key(alice, scopes))
    limit = {"market_id": hall.desk.symbol, "side": "BUY", "type": "LIMIT", "price": 30, "qty": 1}
    quote = {"market_id": hall.desk.symbol, "quote_id": "q", "bids": [{"price": 20, "qty": 1}], "asks": []}
    ops = [
        ("trade", "submit_order", limit),
        ("trade", "amend_order", {"order_id": order["order_id"], "qty": 1}),
        ("trade", "put_quotes", quote),
        ("cancel", "cancel_order", {"order_id": order["order_id"]}),
        ("cancel", "cancel_all", {}),
    ]
    for needed, op, params in ops:
        before = hall.desk.sequencer.state.seq
        if needed in may:
            await peer.ack(op, params=params)
        else:
            await peer.error("SCOPE_REQUIRED", op, params=params)
            assert hall.desk.sequencer.state.seq == before, "nothing was journaled"
    if "read" in scopes:
        await peer.subscribe(f"private.{alice.uuid}")
    else:
        await peer.error("SCOPE_REQUIRED", "subscribe", channels=[f"private.{alice.uuid}"])


async def test_an_id_that_is_anothers_takes_as_long_as_one_that_is_nobodys(two: Two) -> None:
    """Medians of many, alternating, within a factor of three: a look-up more would cost a multiple."""
    eve = two.eve.trader
    took: dict[str, list[float]] = {"hers": [], "no-such": []}
    for _ in range(60):
        for name, times in took.items():
            started = time.perf_counter()
            await eve.call("GET", f"/orders/by-client-id/{name}")
            times.append(time.perf_counter() - started)
            await asyncio.sleep(0)
    hers, nobodys = (statistics.median(times) for times in took.values())
    assert 1 / 3 < hers / nobodys < 3, took
