"""Who may come in: header, ticket, first message; and how a stream ends when its key does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from raeth.api.credentials import new_key, new_token
from raeth.api.streams import people
from raeth.clock import real_now_ms
from raeth.config import Settings
from raeth.engine import commands as cmd
from raeth.engine.types import KeySpec
from raeth.store.private import insert_ticket
from tests.api.harness import ADMIN, ALL_SCOPES, PEPPER, Trader
from tests.streams.crowd import Crowd
from tests.streams.harness import Hall, Peer, limits, opened_hall, until
from tests.streams.test_private import channel_of


async def refused(peer: Peer, code: str) -> None:
    """Told in the open socket, which is then closed."""
    assert await peer.ended() == (1008, code)
    [message] = peer.order
    assert (message["type"], message["code"], message["op"], message["request_id"]) == ("error", code, None, None)


async def key_of(of: Trader, **fields: Any) -> Trader:
    """Another key of the agent, with an expiry or an address list."""
    key = new_key(PEPPER)
    spec = KeySpec(key.key_id, key.digest, "k", ALL_SCOPES, **fields)
    await of.desk.submit(cmd.IssueKey(of.account, of.agent, spec))
    return Trader(of.desk, of.agent, of.account, key.text, of.name)


async def with_header(hall: Hall, credential: str) -> Peer:
    return await hall.dial(additional_headers={"Authorization": credential})


async def test_header_ticket_and_message_lead_to_the_same(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    ticket = (await alice.ask("POST", "/auth/ws-ticket", 201))["ticket"]
    by_message = await hall.anyone()
    said = await by_message.ack("authenticate", api_key=alice.key)
    assert said == {
        "agent_id": alice.uuid,
        "agent_name": "alice",
        "scopes": list(ALL_SCOPES),
        "cancel_on_disconnect": False,
    }
    for peer in (by_message, await hall.peer(alice), await hall.dial(f"?ticket={ticket}")):
        await peer.subscribe(channel_of(alice))
        assert (await peer.ack("cancel_all"))["cancelled"] == 0
        assert peer.heard[channel_of(alice)][0]["data"]["account"]["agent_id"] == alice.uuid


async def test_wrong_ones(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    gone = await hall.desk.with_key(alice, ALL_SCOPES)
    await hall.desk.submit(cmd.RevokeKey(alice.account, alice.agent, Crowd.key(gone)))
    expired = await key_of(alice, expires_at=real_now_ms() - 1)
    elsewhere = await key_of(alice, allowed_ips=("10.0.0.0/8",))
    cases = [
        (f"Bearer {alice.key[:-1]}{'1' if alice.key.endswith('0') else '0'}", "AUTH_INVALID"),
        (f"Bearer {alice.key}" + "x" * 300, "AUTH_INVALID"),
        ("Basic abc", "AUTH_INVALID"),
        ("Bearer nonsense", "AUTH_INVALID"),
        (f"Bearer {gone.key}", "AUTH_REVOKED"),
        (f"Bearer {expired.key}", "AUTH_EXPIRED"),
        (f"Bearer {elsewhere.key}", "IP_NOT_ALLOWED"),
        (f"Bearer {ADMIN}", "FORBIDDEN"),
    ]
    for header, code in cases:
        await refused(await with_header(hall, header), code)
        peer = await hall.anyone()
        scheme, _, token = header.partition(" ")
        if scheme == "Bearer":
            await peer.error(code, "authenticate", api_key=token)
            await peer.error("UNAUTHENTICATED", "cancel_all")
            await peer.ack("authenticate", api_key=alice.key)
    assert not hall.hub.places._open or set(hall.hub.places._open) <= {
        ("address", "127.0.0.1"),
        ("agent", alice.agent),
        ("key", Crowd.key(alice)),
    }


async def test_sessions_of_people_are_nobody_here(hall: Hall) -> None:
    signup = {"email": "p@example.com", "agent_name": "person", "password": "correct horse"}
    await hall.desk.http.post("/api/v1/auth/signup", json=signup)
    login = {"email": "p@example.com", "password": "correct horse"}
    session = (await hall.desk.http.post("/api/v1/auth/login", json=login)).json()["session_token"]
    peer = await with_header(hall, f"Bearer {session}")
    await peer.subscribe("venue")
    await peer.error("UNAUTHENTICATED", "cancel_all")
    await peer.error("FORBIDDEN", "authenticate", api_key=session)


async def test_a_ticket_opens_one_stream(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    ticket = (await alice.ask("POST", "/auth/ws-ticket", 201))["ticket"]
    first = await hall.dial(f"?ticket={ticket}")
    await first.caught_up()
    await refused(await hall.dial(f"?ticket={ticket}"), "AUTH_INVALID")
    await first.ack("cancel_all")
    ticket = (await alice.ask("POST", "/auth/ws-ticket", 201))["ticket"]
    both = await asyncio.gather(*(hall.dial(f"?ticket={ticket}") for _ in range(4)))
    await until(lambda: sum(peer.closed is not None for peer in both) == 3)
    [good] = [peer for peer in both if peer.closed is None]
    await good.ack("cancel_all")
    for wrong in ("wt_nonsense", "x", "wt_" + "a" * 400, ""):
        await refused(await hall.dial(f"?ticket={wrong}"), "AUTH_INVALID")


async def test_tickets_end_with_their_minute_and_with_their_key(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    token, hashed = new_token("wt_")
    old = insert_ticket(hashed, alice.agent, Crowd.key(alice), real_now_ms() - 1)
    await hall.desk.sequencer.write([old])
    await refused(await hall.dial(f"?ticket={token}"), "AUTH_EXPIRED")
    other = await hall.desk.with_key(alice, ALL_SCOPES)
    ticket = (await other.ask("POST", "/auth/ws-ticket", 201))["ticket"]
    await hall.desk.submit(cmd.RevokeKey(alice.account, alice.agent, Crowd.key(other)))
    await refused(await hall.dial(f"?ticket={ticket}"), "AUTH_REVOKED")


async def test_a_stream_belongs_to_one_key(hall: Hall) -> None:
    alice, bob = await hall.desk.trader("alice"), await hall.desk.trader("bob")
    theirs = await bob.place("BUY", 40, 1)
    peer = await hall.peer(alice)
    await peer.error("FORBIDDEN", "authenticate", api_key=bob.key)
    # A refused message leaves everything as it was: this is still alice, and bob's order is not hers to see.
    await peer.error("FORBIDDEN", "cancel_order", params={"order_id": theirs["order_id"]})
    await peer.error("UNSUPPORTED_CHANNEL", "subscribe", channels=[channel_of(bob)])
    await peer.subscribe(channel_of(alice))
    again = await peer.ack("authenticate", api_key=alice.key, cancel_on_disconnect=True)
    assert again["agent_id"] == alice.uuid and again["cancel_on_disconnect"] is True
    mine = await peer.ack(
        "submit_order", params={"market_id": hall.desk.symbol, "side": "BUY", "type": "LIMIT", "price": 30, "qty": 1}
    )
    assert mine["agent_id"] == alice.uuid


async def test_behind_a_proxy_the_address_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_hall(tmp_path) as hall:
        import ipaddress

        monkeypatch.setattr(hall.desk.venue.door, "_proxies", (ipaddress.ip_network("127.0.0.0/8"),))
        alice = await hall.desk.trader("alice")
        inside = await key_of(alice, allowed_ips=("10.0.0.0/8",))
        for address, code in (("10.1.2.3", None), ("11.1.2.3", "IP_NOT_ALLOWED")):
            forwarded = {"X-Forwarded-For": address}
            peer = await hall.dial(additional_headers=forwarded)
            assert hall.hub.places._open["address", address] == 1
            if code is None:
                await peer.ack("authenticate", api_key=inside.key)
            else:
                await peer.error(code, "authenticate", api_key=inside.key)
            await peer.close()
            await until(lambda: not hall.hub.places._open)


@pytest.mark.parametrize("how", ["owner", "operator", "rotated"])
async def test_a_revoked_key_ends_its_streams_and_no_others(hall: Hall, how: str) -> None:
    alice = await hall.desk.trader("alice")
    other = await hall.desk.with_key(alice, ALL_SCOPES)
    peer, stays = await hall.peer(alice), await hall.peer(other)
    await peer.subscribe(channel_of(alice))
    await stays.subscribe(channel_of(alice))
    key = Crowd.key(alice)
    commands = {
        "owner": cmd.RevokeKey(alice.account, alice.agent, key),
        "operator": cmd.AdminRevokeKey("ops", key, None),
        "rotated": cmd.RotateKey(alice.account, alice.agent, key, "0" * 16, "0" * 64),
    }
    await hall.desk.submit(commands[how])
    assert await peer.ended() == (1008, "AUTH_REVOKED")
    assert peer.others[-1]["code"] == "AUTH_REVOKED"
    await other.place("BUY", 40, 1)
    await hall.quiet(stays)
    assert stays.heard[channel_of(alice)][-1]["data"]["kind"] == "order"
    assert len(peer.heard[channel_of(alice)]) == 1


async def test_orders_already_sent_with_a_revoked_key_are_refused(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    peer = await hall.peer(alice)
    order = {"market_id": hall.desk.symbol, "side": "BUY", "type": "LIMIT", "price": 40, "qty": 1}
    for n in range(200):
        if n == 100:
            revoking = asyncio.create_task(
                hall.desk.submit(cmd.RevokeKey(alice.account, alice.agent, Crowd.key(alice)))
            )
        text, _ = peer.post("submit_order", params=order)
        await peer.send(text)
    await revoking
    assert await peer.ended() == (1008, "AUTH_REVOKED")
    await hall.quiet()
    placed = [m for m in peer.order if m["type"] == "ack"]
    assert len(hall.desk.sequencer.state.orders) >= len(placed)
    assert {m["code"] for m in peer.order if m["type"] == "error"} == {"AUTH_REVOKED"}


async def test_a_stream_ends_when_its_key_expires(hall: Hall) -> None:
    alice = await hall.desk.trader("alice")
    short = await key_of(alice, expires_at=real_now_ms() + 400)
    peer = await hall.peer(short)
    await peer.subscribe(channel_of(alice))
    assert await peer.ended() == (1008, "AUTH_EXPIRED")
    assert real_now_ms() + 5 >= hall.desk.sequencer.state.keys[Crowd.key(short)].spec.expires_at  # type: ignore[operator]


async def test_who_lost_the_race_with_a_revocation(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is gone between the check at the door and the stream's beginning."""
    alice = await hall.desk.trader("alice")
    aligned = hall.hub.aligned

    async def slowly() -> Any:
        state = await aligned()
        if Crowd.key(alice) in state.keys:
            await hall.desk.submit(cmd.RevokeKey(alice.account, alice.agent, Crowd.key(alice)))
        return state

    monkeypatch.setattr(hall.hub, "aligned", slowly)
    async with httpx2.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {alice.key}"}
        response = await http.get(f"{hall.url}/api/v1/sse?channels={channel_of(alice)}", headers=headers, timeout=5)
    assert response.status_code == 200 and "AUTH_REVOKED" in response.text
    await until(lambda: not hall.hub.readers)


async def test_streams_per_key_agent_and_address(tmp_path: Path) -> None:
    few = Settings().limits.model_copy(update={"sockets_per_address": 12})
    async with opened_hall(tmp_path, open_limits=few) as hall:
        alice, bob = await hall.desk.trader("alice"), await hall.desk.trader("bob")
        keys = [alice, *[await hall.desk.with_key(alice, ALL_SCOPES) for _ in range(2)]]
        open_ = [await hall.peer(keys[0]) for _ in range(3)]
        await refused(await hall.peer(keys[0]), "RATE_LIMITED")
        open_ += [await hall.peer(keys[1]) for _ in range(3)]
        await refused(await hall.peer(keys[2]), "RATE_LIMITED")
        late = await hall.anyone()
        await late.send({"op": "authenticate", "api_key": keys[2].key})
        await refused(late, "RATE_LIMITED")
        await asyncio.gather(*(peer.caught_up() for peer in open_))
        await open_.pop().close()
        await until(lambda: hall.hub.places._open["agent", alice.agent] == 5)
        open_.append(await hall.peer(keys[2]))
        await open_[-1].caught_up()
        open_.append(await hall.peer(bob))
        open_ += [await hall.anyone() for _ in range(12 - len(open_))]
        with pytest.raises(InvalidStatus) as caught:
            await hall.anyone()
        assert caught.value.response.status_code == 429
        assert int(caught.value.response.headers["Retry-After"]) >= 1
        assert b'"RATE_LIMITED"' in (caught.value.response.body or b"")
        async with httpx2.AsyncClient(base_url=hall.url) as http:
            sse = await http.get("/api/v1/sse?channels=venue")
        assert sse.status_code == 429 and sse.json()["code"] == "RATE_LIMITED"
        for peer in open_:
            peer.abort()
        await until(lambda: not hall.hub.places._open)
        await (await hall.anyone()).caught_up()
    assert people.WAIT_MS <= 1_000


async def test_guessing_keys_over_sockets_is_slow(tmp_path: Path) -> None:
    async with opened_hall(tmp_path, open_limits=limits(anonymous_reads_per_minute=6)) as hall:
        peer = await hall.anyone()
        replies = [await peer.ask("authenticate", api_key=f"rk_live_{n:016x}_00") for n in range(8)]
        assert [reply["code"] for reply in replies] == ["AUTH_INVALID"] * 5 + ["RATE_LIMITED"] * 3
        await refused(await hall.anyone(), "RATE_LIMITED")


async def test_there_is_no_socket_anywhere_else(hall: Hall) -> None:
    from websockets.asyncio.client import connect

    for path in ("/", "/api/v1/stream", "/stream/", "/mcp/"):
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://127.0.0.1:{hall.port}{path}")
        assert caught.value.response.status_code == 403, path
    async with httpx2.AsyncClient(base_url=hall.url) as http:
        assert (await http.get("/stream")).status_code == 404
