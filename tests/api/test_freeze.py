"""The kill switch from outside: what it stops, from which command on, and what it never stops (contract, section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import BUY, GTC, LIMIT
from tests.api.harness import ADMIN, Desk, Trader
from tests.streams.harness import serving, until


@pytest.fixture
async def alice(desk: Desk) -> Trader:
    return await desk.trader("alice")


@pytest.fixture
async def bob(desk: Desk) -> Trader:
    return await desk.trader("bob")


async def operate(desk: Desk, call: str, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    response = await desk.http.post(f"/api/v1/admin/{call}", json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def limit(desk: Desk, **more: Any) -> dict[str, Any]:
    return {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 40, "qty": 1} | more


async def test_it_holds_from_the_very_next_command_of_the_same_transaction(desk: Desk, alice: Trader) -> None:
    key_id = desk.sequencer.state.agents[alice.agent].keys[0]
    order = cmd.PlaceOrder(alice.agent, key_id, cmd.OrderSpec(desk.market.id, BUY, LIMIT, GTC, 40, 1))
    commits = desk.sequencer.health.commits
    waiting = [desk.sequencer.enqueue(command) for command in (order, cmd.Freeze("ops", "why"), order, order)]
    before, frozen, *after = [await each for each in waiting]
    assert desk.sequencer.health.commits == commits + 1, "they went into the journal together"
    assert before.refused() is None and isinstance(frozen.events[-1], ev.VenueFrozen)
    assert [outcome.events for outcome in after] == [[ev.Refused("EXCHANGE_FROZEN")]] * 2
    assert len(desk.sequencer.state.orders) == 1


async def test_what_it_stops(desk: Desk, alice: Trader) -> None:
    resting = await alice.place("BUY", 40, 5, client_order_id="first")
    done = limit(desk, qty=5, client_order_id="first")
    quote = {"market_id": desk.symbol, "quote_id": "q", "bids": [{"price": 30, "qty": 1}], "asks": []}
    await alice.ask("PUT", "/quotes", json=quote)
    await operate(desk, "freeze", reason="why")
    before = [(o.id, o.qty, o.price) for o in desk.sequencer.state.orders.values()]
    path = f"/orders/{resting['order_id']}"
    stopped: list[tuple[str, str, Any]] = [
        ("POST", "/orders", limit(desk)),
        ("POST", "/orders", limit(desk, type="MARKET", price=None)),
        ("POST", "/orders", limit(desk, reduce_only=True)),
        ("POST", "/orders", limit(desk, qty=-1)),
        ("POST", "/orders", limit(desk, market_id="BTC-1M-20990101T0000Z")),
        ("POST", "/orders/batch", {"orders": [limit(desk)]}),
        ("POST", "/orders/batch", {"orders": [limit(desk)], "atomic": True}),
        ("PUT", "/quotes", quote),
        ("PATCH", path, {"qty": 6}),
        ("PATCH", path, {"qty": 5}),
        ("PATCH", path, {"price": 39}),
        ("PATCH", path, {"price": 39, "qty": 2}),
        ("POST", "/faucet", None),
    ]
    for method, where, body in stopped:
        await alice.refused("EXCHANGE_FROZEN", 503, method, where, json=body)
    async with serving(desk) as hall:
        peer = await hall.peer(alice)
        await peer.error("EXCHANGE_FROZEN", "submit_order", params=limit(desk))
        await peer.error("EXCHANGE_FROZEN", "amend_order", params={"order_id": resting["order_id"], "price": 41})
        await peer.error("EXCHANGE_FROZEN", "put_quotes", params=quote)
    assert [(o.id, o.qty, o.price) for o in desk.sequencer.state.orders.values()] == before
    replayed = await alice.ask("POST", "/orders", json=done)
    assert replayed["order_id"] == resting["order_id"] and replayed["replayed"] is True
    await alice.refused("BAD_REQUEST", 400, "POST", "/orders", json=limit(desk, qty="1"))
    await operate(desk, "unfreeze")
    assert (await alice.place("BUY", 40, 1))["status"] == "OPEN"


async def test_what_goes_on(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Cancels, pulled quotes, smaller orders, reads, the end of a window and its money."""
    for price in (40, 41, 42, 43):
        await alice.place("BUY", price, 5, client_order_id=f"at-{price}")
    await bob.place("SELL", 43, 2)
    levels = [{"price": 30, "qty": 1}]
    quote = {"market_id": desk.symbol, "quote_id": "q", "bids": levels, "asks": []}
    [level] = (await alice.ask("PUT", "/quotes", json=quote))["results"]
    frozen = await operate(desk, "freeze", reason="why")
    assert frozen["frozen"] is True
    orders = {order["price"]: order["order_id"] for order in (await alice.get("/orders"))["items"]}

    assert (await alice.get("/account"))["frozen"] is True
    for path in ("/positions", "/ledger", "/fills", "/orders", "/orders/by-client-id/at-40"):
        await alice.get(path)
    for path in ("/markets", f"/markets/{desk.symbol}/book", f"/markets/{desk.symbol}/agent-context", "/leaderboard"):
        await desk.read(path)
    would = await alice.ask("POST", "/orders/preview", json=limit(desk))
    assert would["would"] in ("ACCEPT", "REJECT")

    smaller = await alice.ask("PATCH", f"/orders/{orders[40]}", json={"qty": 3})
    assert (smaller["qty"], smaller["status"]) == (3, "OPEN")
    assert (await alice.ask("DELETE", f"/orders/{orders[40]}"))["cancel_reason"] == "USER"
    listed = await alice.ask("POST", "/orders/cancel", json={"order_ids": [orders[41]]})
    assert listed["cancelled"] == 1
    assert (await alice.ask("PUT", "/quotes", json={**quote, "bids": []})) == {"results": []}
    assert (await alice.get(f"/orders/{level['order_id']}"))["status"] == "CANCELLED"
    async with serving(desk) as hall:
        peer = await hall.peer(alice)
        gone = await peer.ack("cancel_order", params={"order_id": orders[42]})
        assert gone["cancel_reason"] == "USER"
    assert list(desk.sequencer.state.orders) != [], "what nobody cancelled rests on"

    body = {"email": "carol@example.com", "agent_name": "carol"}
    signed_up = await desk.http.post("/api/v1/auth/signup", json=body)
    assert signed_up.status_code == 201
    await operate(desk, f"agents/{alice.uuid}/grant", amount_cents=1, reason="why")

    ended = desk.symbol
    await desk.next_window(price_cents=9_600_000)
    market = await desk.read(f"/markets/{ended}")
    assert (market["status"], market["resolution"]) == ("RESOLVED", "YES")
    assert (await alice.get("/ledger"))["items"][0]["amount_cents"] > 0, "two YES bought at 43 paid 100 each"
    assert (await alice.get(f"/orders/{orders[43]}"))["cancel_reason"] == "MARKET_CLOSED"
    assert (await desk.read(f"/markets/{desk.symbol}"))["status"] == "OPEN", "windows go on"
    await alice.refused("EXCHANGE_FROZEN", 503, "POST", "/orders", json=limit(desk))


@pytest.mark.parametrize("how", ["close", "reset", "end_of_file", "silence"])
async def test_orders_tied_to_a_socket_go_with_it_while_frozen(
    desk: Desk, alice: Trader, bob: Trader, how: str
) -> None:
    async with serving(desk) as hall:
        config = hall.server.config
        assert (config.ws_ping_interval, config.ws_ping_timeout) == (20, 20), "what docs/streams.md promises"
        config.ws_ping_interval, config.ws_ping_timeout = (0.05, 0.2) if how == "silence" else (None, None)
        peer = await hall.anyone()
        await peer.ack("authenticate", api_key=alice.key, cancel_on_disconnect=True)
        order, other = await alice.place("BUY", 40, 1), await bob.place("BUY", 40, 1)
        await operate(desk, "freeze", reason="why")
        if how == "close":
            await peer.close()
        elif how == "reset":
            peer.abort()
        elif how == "end_of_file":
            peer.wire.transport.write_eof()
        else:
            peer.wire.transport.pause_reading()  # it hears no ping, and answers none
        await until(lambda: len(desk.sequencer.state.orders) == 1)
        await hall.hub.aligned()
        gone = await alice.get(f"/orders/{order['order_id']}")
        assert (gone["status"], gone["cancel_reason"]) == ("CANCELLED", "DISCONNECT")
        assert (await bob.get(f"/orders/{other['order_id']}"))["status"] == "OPEN"
        await until(lambda: not hall.hub.readers)
