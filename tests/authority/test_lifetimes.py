"""How credentials end: in real time, by revocation, by suspension; at every door, and in streams that are open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from freezegun import freeze_time

from raeth.api.routes.auth import TICKET_MS
from raeth.clock import iso_ms, real_now_ms
from raeth.engine import commands as cmd
from tests.api.harness import ADMIN, Desk, Trader, opened_desk
from tests.authority.cast import ROOMY, bearer, key_id, key_of, person
from tests.mcp.conftest import opened_door
from tests.streams.harness import Hall, limits, opened_hall, until


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with opened_hall(tmp_path, open_limits=limits(signups_per_minute=100_000)) as hall:
        yield hall


class Doors:
    """The same key at every door at once."""

    def __init__(self, hall: Hall, trader: Trader, key: str) -> None:
        self.hall = hall
        self.trader = trader
        self.key = key

    async def rest(self) -> tuple[int, str | None]:
        response = await self.hall.desk.http.get("/api/v1/account", headers=bearer(self.key))
        return response.status_code, response.json().get("code")

    async def ticket(self) -> str:
        response = await self.hall.desk.http.post("/api/v1/auth/ws-ticket", headers=bearer(self.key))
        assert response.status_code == 201, response.text
        return str(response.json()["ticket"])

    async def socket_refusal(self, query: str = "") -> str:
        headers = {} if query else bearer(self.key)
        peer = await self.hall.dial(query, additional_headers=headers)
        code, reason = await peer.ended()
        assert code == 1008 and peer.order[0]["type"] == "error"
        return reason


async def read_to_the_end(url: str, headers: dict[str, str], begun: asyncio.Event) -> str:
    """An event stream until the venue ends it."""
    text = ""
    async with httpx2.AsyncClient(timeout=20) as http, http.stream("GET", url, headers=headers) as response:
        async for piece in response.aiter_text():
            text += piece
            if "snapshot" in text:
                begun.set()
    return text


@pytest.mark.parametrize("how", ["expired", "revoked", "rotated", "by the operator"])
async def test_a_key_that_ends_ends_everywhere(hall: Hall, how: str) -> None:
    """An open socket, an open event stream, a ticket nobody has used, and the next request."""
    desk = hall.desk
    ada = await person(desk, "ada")
    lives_ms = 1_500
    key = await key_of(ada.trader, expires_at=real_now_ms() + lives_ms) if how == "expired" else await ada.key()
    expected = "AUTH_EXPIRED" if how == "expired" else "AUTH_REVOKED"
    doors = Doors(hall, ada.trader, key)
    assert (await doors.rest())[0] == 200
    channel = f"private.{ada.agent_id}"
    tickets = [await doors.ticket() for _ in range(2)]
    socket = await hall.dial(additional_headers=bearer(key))
    await socket.subscribe(channel)
    begun = asyncio.Event()
    url = f"{hall.url}/api/v1/sse?channels={channel}"
    stream = asyncio.create_task(read_to_the_end(url, bearer(key), begun))
    async with asyncio.timeout(10):
        await begun.wait()
    if how == "revoked":
        await ada.ask("DELETE", f"/me/agents/{ada.agent_id}/keys/{key_id(key)}")
    elif how == "rotated":
        await ada.ask("POST", f"/me/agents/{ada.agent_id}/keys/{key_id(key)}/rotate", 201)
    elif how == "by the operator":
        path = f"/api/v1/admin/keys/{key_id(key)}/revoke"
        response = await desk.http.post(path, headers=bearer(ADMIN), json={"reason": "x"})
        assert response.status_code == 200, response.text
    else:
        spec = desk.sequencer.state.keys[key_id(key)].spec
        assert spec.expires_at is not None
        await until(lambda: real_now_ms() > (spec.expires_at or 0))
    assert await doors.rest() == (401, expected), "the next request"
    assert await socket.ended() == (1008, expected)
    assert expected in (await asyncio.wait_for(stream, 10)).rpartition("event: error")[2]
    assert await doors.socket_refusal() == expected
    assert await doors.socket_refusal(f"?ticket={tickets[0]}") == expected
    response = await desk.http.get("/api/v1/sse", params={"channels": channel, "ticket": tickets[1]})
    assert (response.status_code, response.json()["code"]) == (401, expected)
    late = await hall.anyone()
    await late.error(expected, "authenticate", api_key=key)
    await until(lambda: len(hall.hub.readers) == 1)
    # The agent's other key is as good as before.
    assert (await desk.http.get("/api/v1/account", headers=bearer(ada.api_key))).status_code == 200


async def test_models_are_refused_from_the_next_call_on(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, limits=ROOMY) as desk, opened_door(desk) as door:
        ada = await person(desk, "ada")
        revoked, short = await ada.key(), await key_of(ada.trader, expires_at=real_now_ms() + 60_000)
        for key in (revoked, short):
            assert (await door.post(key=key)).status_code == 200
        await ada.ask("DELETE", f"/me/agents/{ada.agent_id}/keys/{key_id(revoked)}")
        response = await door.post(key=revoked)
        assert (response.status_code, response.json()["code"]) == (401, "AUTH_REVOKED")
        with freeze_time(iso_ms(real_now_ms() + 60_001), real_asyncio=True):
            response = await door.post(key=short)
        assert (response.status_code, response.json()["code"]) == (401, "AUTH_EXPIRED")
        # A key of few scopes sees the tools and is refused by what it may not do; a session id is never given.
        reader = await ada.key(scopes=["read"])
        order = {"market": desk.symbol, "side": "BUY", "qty": 1, "price": 20}
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "place_order", "arguments": order},
        }
        before = desk.sequencer.state.seq
        response = await door.post(body, key=reader)
        assert response.json()["result"]["isError"] is True and "SCOPE_REQUIRED" in response.text
        assert "mcp-session-id" not in response.headers and desk.sequencer.state.seq == before


async def test_a_ticket_is_good_once_and_for_a_minute_on_either_stream(hall: Hall) -> None:
    ada = await person(hall.desk, "ada")
    doors = Doors(hall, ada.trader, ada.api_key)
    used, by_sse, late = [await doors.ticket() for _ in range(3)]
    first = await hall.dial(f"?ticket={used}")
    await first.subscribe(f"private.{ada.agent_id}")
    assert await doors.socket_refusal(f"?ticket={used}") == "AUTH_INVALID"
    begun = asyncio.Event()
    url = f"{hall.url}/api/v1/sse?channels=private.{ada.agent_id}&ticket={by_sse}"
    reading = asyncio.create_task(read_to_the_end(url, {}, begun))
    async with asyncio.timeout(10):
        await begun.wait()
    assert await doors.socket_refusal(f"?ticket={by_sse}") == "AUTH_INVALID"
    reading.cancel()
    with freeze_time(iso_ms(real_now_ms() + TICKET_MS + 1), real_asyncio=True):
        assert await doors.socket_refusal(f"?ticket={late}") == "AUTH_EXPIRED"


async def test_of_many_who_use_a_ticket_at_once_one_is_let_in(hall: Hall) -> None:
    ada = await person(hall.desk, "ada")
    ticket = await Doors(hall, ada.trader, ada.api_key).ticket()
    peers = await asyncio.gather(*(hall.dial(f"?ticket={ticket}") for _ in range(8)))
    await until(lambda: sum(peer.closed == (1008, "AUTH_INVALID") for peer in peers) == 7)


async def test_a_ticket_reaches_no_further_than_its_key(hall: Hall) -> None:
    """Made inside the key's networks and shown from outside of them."""
    ada = await person(hall.desk, "ada")
    inside = await key_of(ada.trader, allowed_ips=("127.0.0.0/8",))
    ticket = await Doors(hall, ada.trader, inside).ticket()
    elsewhere = httpx2.ASGITransport(hall.desk.http._transport.app, client=("198.51.100.9", 1))  # type: ignore[attr-defined]
    async with httpx2.AsyncClient(transport=elsewhere, base_url="http://venue") as http:
        path = f"/api/v1/sse?channels=private.{ada.agent_id}&ticket={ticket}"
        response = await http.get(path)
    assert (response.status_code, response.json()["code"]) == (403, "IP_NOT_ALLOWED")
    ticket = await Doors(hall, ada.trader, inside).ticket()
    peer = await hall.dial(f"?ticket={ticket}")
    await peer.subscribe(f"private.{ada.agent_id}")


async def test_a_guessed_ticket_costs_the_journal_nothing(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    write = hall.desk.sequencer.write

    async def noticed(writes: Any) -> Any:
        written.append(writes)
        return await write(writes)

    monkeypatch.setattr(hall.desk.sequencer, "write", noticed)
    ada = await person(hall.desk, "ada")
    doors = Doors(hall, ada.trader, ada.api_key)
    written.clear()
    for guess in range(5):
        assert await doors.socket_refusal(f"?ticket=wt_{guess:043}") == "AUTH_INVALID"
    assert not written


async def test_a_suspended_agent_reads_and_gets_out_and_nothing_else(hall: Hall) -> None:
    desk = hall.desk
    ada = await person(desk, "ada")
    resting = await ada.trader.place("BUY", 30, 1)
    peer = await hall.dial(additional_headers=bearer(ada.api_key))
    await peer.subscribe(f"private.{ada.agent_id}")
    await desk.submit(cmd.SuspendAgent("ops", ada.trader.agent, "test"))
    before = desk.sequencer.state.agents[ada.trader.agent].cash
    limit = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 30, "qty": 1}
    for method, path, body in (
        ("POST", "/orders", limit),
        ("POST", "/orders/batch", {"orders": [limit]}),
        ("PATCH", f"/orders/{resting['order_id']}", {"qty": 2}),
        ("PUT", "/quotes", {"market_id": desk.symbol, "quote_id": "q", "bids": [{"price": 9, "qty": 1}], "asks": []}),
        ("POST", "/faucet", None),
    ):
        await ada.trader.refused("AGENT_SUSPENDED", 403, method, path, json=body)
    for op, params in (
        ("submit_order", limit),
        ("put_quotes", {"market_id": desk.symbol, "quote_id": "q", "bids": []}),
    ):
        reply = await peer.ask(op, params={**params, **({"asks": []} if op == "put_quotes" else {})})
        assert reply["type"] == "error" and reply["code"] == "AGENT_SUSPENDED", reply
    assert (await peer.ack("cancel_all"))["cancelled"] == 0, "suspension cancelled what rested"
    for path in ("/account", "/orders", "/fills", "/positions"):
        await ada.trader.get(path)
    assert desk.sequencer.state.agents[ada.trader.agent].cash == before
    assert desk.sequencer.state.agents[ada.trader.agent].suspended
    # Neither another key nor the owner lifts it.
    other = Trader(desk, ada.trader.agent, ada.trader.account, await ada.key(), "ada")
    await other.refused("AGENT_SUSPENDED", 403, "POST", "/orders", json=limit)


async def test_logging_out_ends_one_session_and_no_other(hall: Hall) -> None:
    ada = await person(hall.desk, "ada")
    twin = await person(hall.desk, "twin")
    await ada.ask("POST", "/auth/logout")
    assert (await ada.call("GET", "/me")).json()["code"] == "AUTH_INVALID"
    assert (await ada.call("POST", "/auth/logout")).json()["code"] == "AUTH_INVALID"
    await twin.ask("GET", "/me")
    with freeze_time(iso_ms(real_now_ms() + 24 * 3_600_000 + 1), real_asyncio=True):
        assert (await twin.call("GET", "/me")).json()["code"] == "AUTH_EXPIRED"


async def test_many_networks_of_a_key(tmp_path: Path) -> None:
    """The address a key is held against is the peer's, whatever the headers say, unless the peer is a proxy of ours."""
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        ada = await person(desk, "ada")
        key = await ada.key(allowed_ips=["198.51.100.0/24", "2001:db8::/32"])
        for peer, inside in (
            ("198.51.100.1", True),
            ("198.51.101.1", False),
            ("::ffff:198.51.100.1", True),
            ("2001:db8::1", True),
            ("2001:db9::1", False),
            ("127.0.0.1", False),
        ):
            assert (await seen_from(desk, peer, key)) == (200 if inside else 403), peer
        lies = {"X-Forwarded-For": "198.51.100.1", "X-Real-IP": "198.51.100.1", "Forwarded": "for=198.51.100.1"}
        assert await seen_from(desk, "203.0.113.5", key, **lies) == 403


async def seen_from(desk: Desk, address: str, key: str, **headers: str) -> int:
    transport = httpx2.ASGITransport(desk.http._transport.app, client=(address, 5))  # type: ignore[attr-defined]
    async with httpx2.AsyncClient(transport=transport, base_url="http://venue") as http:
        return (await http.get("/api/v1/account", headers={**bearer(key), **headers})).status_code
