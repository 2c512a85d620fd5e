"""Order entry over a socket: REST's judgement, REST's answers, one budget."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from raeth.api.streams import entry
from raeth.engine import commands as cmd
from tests.api.harness import Trader
from tests.streams.harness import Hall, Peer, limits, opened_hall

Body = dict[str, Any]


def order(hall: Hall, side: str, price: int | None, qty: int, **fields: Any) -> Body:
    body: Body = {"market_id": hall.desk.symbol, "side": side, "qty": qty}
    return body | ({"type": "MARKET"} if price is None else {"type": "LIMIT", "price": price}) | fields


async def submitted(peer: Peer, body: Body) -> Body:
    return await peer.ack("submit_order", params=body)


async def rejected(peer: Peer, code: str, op: str, params: Body) -> Body:
    reply = await peer.ask(op, params=params)
    assert set(reply) == {"type", "op", "request_id", "code", "message", "data"}
    assert (reply["type"], reply["code"]) == ("reject", code), reply
    data: Body = reply["data"]
    assert data["status"] == "REJECTED" and data["reject_reason"] == code
    assert reply["message"] == data["reject_message"]
    return data


class Pair:
    """An agent with its socket, and somebody to trade with."""

    def __init__(self, hall: Hall, trader: Trader, peer: Peer, other: Trader) -> None:
        self.hall, self.trader, self.peer, self.other = hall, trader, peer, other


@pytest.fixture
async def pair(hall: Hall) -> Pair:
    trader, other = await hall.desk.trader("alice"), await hall.desk.trader("bob")
    return Pair(hall, trader, await hall.peer(trader), other)


async def test_every_op_answers_as_rest_does(pair: Pair) -> None:
    hall, peer, trader = pair.hall, pair.peer, pair.trader
    resting = await submitted(peer, order(hall, "BUY", 40, 5, client_order_id="a"))
    assert resting == await trader.get(f"/orders/{resting['order_id']}")
    await pair.other.place("SELL", 60, 3)
    taken = await submitted(peer, order(hall, "BUY", 60, 5, tif="IOC"))
    assert taken == await trader.get(f"/orders/{taken['order_id']}")
    assert (taken["status"], taken["cancel_reason"], taken["filled_qty"]) == ("CANCELLED", "IOC_REMAINDER", 3)
    amended = await peer.ack("amend_order", params={"order_id": resting["order_id"], "price": 41, "qty": 7})
    assert (amended["price"], amended["qty"]) == (41, 7)
    assert amended == await trader.get(f"/orders/{resting['order_id']}")
    gone = await peer.ack("cancel_order", params={"order_id": resting["order_id"]})
    assert gone == await trader.get(f"/orders/{resting['order_id']}") and gone["cancel_reason"] == "USER"
    await submitted(peer, order(hall, "BUY", 42, 1, client_order_id="b"))
    gone = await peer.ack("cancel_order", params={"client_order_id": "b"})
    assert gone == await trader.get("/orders/by-client-id/b")
    levels = {"bids": [{"price": 44, "qty": 1}, {"price": 43, "qty": 2}], "asks": [{"price": 70, "qty": 1}]}
    quote = {"market_id": hall.desk.symbol, "quote_id": "q", **levels}
    quoted = await peer.ack("put_quotes", params=quote)
    assert set(quoted) == {"results"} and [o["price"] for o in quoted["results"]] == [44, 43, 70]
    for one in quoted["results"]:
        assert one == await trader.get(f"/orders/{one['order_id']}")
    done = await peer.ack("cancel_all", params={"side": "BUY"})
    assert done["cancelled"] == 2 and {o["status"] for o in done["results"]} == {"CANCELLED"}
    assert (await peer.ack("cancel_all"))["cancelled"] == 1
    assert (await peer.ack("cancel_all", params={})) == {"results": [], "cancelled": 0}


async def test_a_declined_order_is_a_reject_with_the_whole_body(pair: Pair) -> None:
    hall, peer, trader = pair.hall, pair.peer, pair.trader
    await pair.other.place("SELL", 60, 3)
    declined = await rejected(peer, "POST_ONLY_WOULD_CROSS", "submit_order", order(hall, "BUY", 60, 1, tif="POST_ONLY"))
    assert declined["reject_details"]["best_non_crossing_price"] == 59
    assert declined == await trader.get(f"/orders/{declined['order_id']}")
    await rejected(peer, "INVALID_QTY", "submit_order", order(hall, "BUY", 60, 0))
    await rejected(peer, "UNKNOWN_MARKET", "submit_order", order(hall, "BUY", 60, 1) | {"market_id": "NOPE"})
    stale = order(hall, "BUY", 60, 1, timestamp_ms=1, recv_window_ms=1_000)
    await rejected(peer, "STALE_REQUEST", "submit_order", stale)
    resting = await submitted(peer, order(hall, "BUY", 40, 1))
    change = {"order_id": resting["order_id"], "qty": 2_001}
    untouched = await rejected(peer, "FAT_FINGER", "amend_order", change)
    assert untouched["order"] == resting == await trader.get(f"/orders/{resting['order_id']}")


async def test_errors_are_those_of_rest(pair: Pair) -> None:
    hall, peer = pair.hall, pair.peer
    theirs = await pair.other.place("BUY", 40, 1)
    filled = await submitted(peer, order(hall, "SELL", 40, 1))
    nobody = "00000000-0000-7000-8000-000000000000"
    good = order(hall, "BUY", 30, 1)
    cases: list[tuple[str, str, Any]] = [
        ("BAD_REQUEST", "submit_order", {}),
        ("BAD_REQUEST", "submit_order", good | {"qty": 1.0}),
        ("BAD_REQUEST", "submit_order", good | {"nonsense": 1}),
        ("BAD_REQUEST", "submit_order", []),
        ("BAD_REQUEST", "submit_order", "x"),
        ("VALIDATION_FAILED", "submit_order", good | {"type": "MARKET"}),
        ("VALIDATION_FAILED", "submit_order", good | {"side": "HOLD"}),
        ("VALIDATION_FAILED", "submit_order", good | {"timestamp_ms": 1}),
        ("ORDER_NOT_FOUND", "cancel_order", {"order_id": nobody}),
        ("ORDER_NOT_FOUND", "cancel_order", {"client_order_id": "never"}),
        ("VALIDATION_FAILED", "cancel_order", {}),
        ("VALIDATION_FAILED", "cancel_order", {"order_id": nobody, "client_order_id": "x"}),
        ("FORBIDDEN", "cancel_order", {"order_id": theirs["order_id"]}),
        ("ORDER_ALREADY_FILLED", "cancel_order", {"order_id": filled["order_id"]}),
        ("ORDER_ALREADY_FILLED", "amend_order", {"order_id": filled["order_id"], "qty": 5}),
        ("BAD_REQUEST", "amend_order", {"qty": 5}),
        ("VALIDATION_FAILED", "amend_order", {"order_id": filled["order_id"]}),
        ("VALIDATION_FAILED", "cancel_all", {"order_ids": [filled["order_id"]]}),
        ("UNKNOWN_MARKET", "cancel_all", {"market_id": "NOPE"}),
        ("BATCH_SIZE_EXCEEDED", "cancel_all", {"client_order_ids": [f"c{n}" for n in range(101)]}),
        (
            "VALIDATION_FAILED",
            "put_quotes",
            {
                "market_id": hall.desk.symbol,
                "quote_id": "q",
                "bids": [{"price": 50, "qty": 1}],
                "asks": [{"price": 50, "qty": 1}],
            },
        ),
    ]
    before = hall.desk.sequencer.state.orders.copy()
    for code, op, params in cases:
        reply = await peer.ask(op, params=params)
        assert (reply["type"], reply["code"]) == ("error", code), (op, params, reply)
    assert hall.desk.sequencer.state.orders == before and peer.closed is None
    resting = await submitted(peer, good)
    await pair.other.place("SELL", 30, 1)
    await peer.error("ORDER_ALREADY_FILLED", "amend_order", params={"order_id": resting["order_id"], "qty": 9})
    twice = await submitted(peer, order(hall, "BUY", 20, 3, client_order_id="x"))
    await peer.ack("cancel_order", params={"client_order_id": "x"})
    await peer.error("ORDER_NOT_OPEN", "cancel_order", params={"client_order_id": "x"})
    await peer.error("ORDER_NOT_OPEN", "cancel_order", params={"order_id": twice["order_id"]})


@pytest.mark.parametrize("in_flight", [entry.IN_FLIGHT_MAX, 8])
async def test_judged_in_the_order_they_were_sent(pair: Pair, monkeypatch: pytest.MonkeyPatch, in_flight: int) -> None:
    """A thousand times: an order and its cancel by the client's id, back to back, in one write."""
    monkeypatch.setattr(entry, "IN_FLIGHT_MAX", in_flight)
    hall, peer = pair.hall, pair.peer
    replies, frames = [], []
    for n in range(1_000):
        for op, params in (
            ("submit_order", order(hall, "BUY", 40, 1, client_order_id=f"c{n}")),
            ("cancel_order", {"client_order_id": f"c{n}"}),
        ):
            text, reply = peer.post(op, params=params)
            replies.append(reply)
            peer.wire.protocol.send_text(text.encode())
            frames += peer.wire.protocol.data_to_send()
    peer.wire.transport.write(b"".join(frames))
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*replies)
    assert {answer["type"] for answer in answers} == {"ack"}
    placed, ended = answers[::2], answers[1::2]
    assert [a["data"]["order_id"] for a in placed] == [a["data"]["order_id"] for a in ended]
    assert {a["data"]["status"] for a in placed} == {"OPEN"}
    assert {a["data"]["cancel_reason"] for a in ended} == {"USER"}
    seqs = [answer["data"]["seq"] for answer in answers]
    assert seqs == sorted(seqs) and len(set(seqs)) == 2_000


async def test_a_replay_is_a_replay_through_either_door(pair: Pair) -> None:
    hall, peer, trader = pair.hall, pair.peer, pair.trader
    body = order(hall, "BUY", 40, 5, client_order_id="k")
    first = await submitted(peer, body)
    assert await trader.ask("POST", "/orders", json=body) == first | {"replayed": True}
    assert await submitted(peer, body) == first | {"replayed": True}
    await peer.error("IDEMPOTENCY_CONFLICT", "submit_order", params=body | {"qty": 6})
    by_http = await trader.place("BUY", 39, 1, client_order_id="h")
    assert await submitted(peer, order(hall, "BUY", 39, 1, client_order_id="h")) == by_http | {"replayed": True}
    bad = order(hall, "BUY", 40, 0, client_order_id="bad")
    declined = await rejected(peer, "INVALID_QTY", "submit_order", bad)
    assert await rejected(peer, "INVALID_QTY", "submit_order", bad) == declined | {"replayed": True}
    both = order(hall, "BUY", 38, 1, client_order_id="both")
    answers = await asyncio.gather(
        *(submitted(peer, both) for _ in range(4)), *(trader.ask("POST", "/orders", json=both) for _ in range(4))
    )
    assert len({answer["order_id"] for answer in answers}) == 1
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 7


async def test_one_budget_for_both_doors_and_cancels_have_their_own(tmp_path: Path) -> None:
    few = limits(writes_per_minute=6, cancels_per_minute=3, reads_per_minute=8)
    async with opened_hall(tmp_path, open_limits=few) as hall:
        trader = await hall.desk.trader("alice")
        peer = await hall.peer(trader)
        resting = [await submitted(peer, order(hall, "BUY", 40, 1)) for _ in range(2)]
        await trader.place("BUY", 40, 1)
        await peer.error("BAD_REQUEST", "submit_order", params={})
        await peer.error("BAD_REQUEST", "put_quotes", params={})
        await peer.ack("amend_order", params={"order_id": resting[0]["order_id"], "price": 39})
        for op in ("submit_order", "amend_order", "put_quotes"):
            reply = await peer.error("RATE_LIMITED", op, params=order(hall, "BUY", 40, 1))
            assert 0 < reply["retry_after_ms"] <= 60_000
        await trader.refused("RATE_LIMITED", 429, "POST", "/orders", json=order(hall, "BUY", 40, 1))
        await peer.ack("cancel_order", params={"order_id": resting[0]["order_id"]})
        await trader.ask("DELETE", f"/orders/{resting[1]['order_id']}")
        assert (await peer.ack("cancel_all"))["cancelled"] == 1
        await peer.error("RATE_LIMITED", "cancel_all")


async def test_what_a_credential_does_not_reach_costs_a_read(tmp_path: Path) -> None:
    async with opened_hall(tmp_path, open_limits=limits(reads_per_minute=5)) as hall:
        looker = await hall.desk.trader("looker", scopes=("read",))
        peer = await hall.peer(looker)  # one read
        for _ in range(4):
            await peer.error("SCOPE_REQUIRED", "submit_order", params=order(hall, "BUY", 40, 1))
        await peer.error("RATE_LIMITED", "submit_order", params=order(hall, "BUY", 40, 1))
        await looker.refused("RATE_LIMITED", 429, "GET", "/account")


async def test_scopes(hall: Hall) -> None:
    owner = await hall.desk.trader("owner")
    resting = await owner.place("BUY", 40, 1)
    looker = await hall.peer(await hall.desk.with_key(owner, ("read",)))
    canceller = await hall.peer(await hall.desk.with_key(owner, ("cancel",)))
    trades = await hall.peer(await hall.desk.with_key(owner, ("trade",)))
    for op in ("submit_order", "amend_order", "put_quotes", "cancel_order", "cancel_all"):
        reply = await looker.error("SCOPE_REQUIRED", op, params={})
        assert reply["details"]["granted"] == ["read"]
    for op in ("submit_order", "amend_order", "put_quotes"):
        await canceller.error("SCOPE_REQUIRED", op, params={})
    for peer in (canceller, trades):
        await peer.error("SCOPE_REQUIRED", "subscribe", channels=[f"private.{owner.uuid}"])
    assert (await canceller.ack("cancel_order", params={"order_id": resting["order_id"]}))["status"] == "CANCELLED"
    await submitted(trades, order(hall, "BUY", 40, 1))
    assert (await trades.ack("cancel_all"))["cancelled"] == 1
    await looker.subscribe(f"private.{owner.uuid}")


async def test_frozen(pair: Pair) -> None:
    hall, peer = pair.hall, pair.peer
    resting = await submitted(peer, order(hall, "BUY", 40, 5, client_order_id="k"))
    other = await submitted(peer, order(hall, "BUY", 41, 5))
    await hall.desk.submit(cmd.Freeze("ops", "why"))
    await peer.error("EXCHANGE_FROZEN", "submit_order", params=order(hall, "BUY", 40, 1))
    level = [{"price": 40, "qty": 1}]
    quote = {"market_id": hall.desk.symbol, "quote_id": "q"}
    await peer.error("EXCHANGE_FROZEN", "put_quotes", params=quote | {"bids": level, "asks": []})
    assert await peer.ack("put_quotes", params=quote | {"bids": [], "asks": []}) == {"results": []}
    await peer.error("EXCHANGE_FROZEN", "amend_order", params={"order_id": resting["order_id"], "price": 41})
    assert (await peer.ack("amend_order", params={"order_id": resting["order_id"], "qty": 4}))["qty"] == 4
    replay = await submitted(peer, order(hall, "BUY", 40, 5, client_order_id="k"))
    assert replay["replayed"] and replay["order_id"] == resting["order_id"]
    await peer.ack("cancel_order", params={"order_id": other["order_id"]})
    assert (await peer.ack("cancel_all"))["cancelled"] == 1
    await hall.desk.submit(cmd.Unfreeze("ops", None))


async def test_suspended(pair: Pair) -> None:
    hall, peer, trader = pair.hall, pair.peer, pair.trader
    await hall.desk.submit(cmd.SuspendAgent("ops", trader.agent, "why"))
    for op in ("submit_order", "amend_order", "put_quotes"):
        await peer.error("AGENT_SUSPENDED", op, params={})
    assert await peer.ack("cancel_all") == {"results": [], "cancelled": 0}
    await hall.desk.submit(cmd.ReinstateAgent("ops", trader.agent, None))
    await submitted(peer, order(hall, "BUY", 40, 1))


async def test_nobody_trades_without_a_credential(tmp_path: Path) -> None:
    """And cannot keep the venue busy by trying."""
    async with opened_hall(tmp_path, open_limits=limits(control_messages_per_minute=10)) as hall:
        peer = await hall.anyone()
        for n in range(20):
            reply = await peer.ask("submit_order", params=order(hall, "BUY", 40, 1))
            assert reply["code"] == ("UNAUTHENTICATED" if n < 10 else "RATE_LIMITED")
        await peer.send('{"op": "cancel_all"}')
        assert (await peer.ended())[0] == 1008
        assert not hall.desk.sequencer.state.orders


async def test_market_closed_between_placing_and_cancelling(pair: Pair) -> None:
    hall, peer = pair.hall, pair.peer
    resting = await submitted(peer, order(hall, "BUY", 40, 5))
    body = order(hall, "BUY", 40, 5)
    await hall.desk.next_window()
    await peer.error("ORDER_NOT_OPEN", "cancel_order", params={"order_id": resting["order_id"]})
    await rejected(peer, "MARKET_CLOSED", "submit_order", body)
    assert (await pair.trader.get(f"/orders/{resting['order_id']}"))["cancel_reason"] == "MARKET_CLOSED"


async def test_replies_still_come_when_the_sender_stops_in_between(pair: Pair) -> None:
    """What was sent before the goodbye is done, and each order is answered or the socket is over."""
    hall, peer = pair.hall, pair.peer
    for _ in range(50):
        text, _ = peer.post("submit_order", params=order(hall, "BUY", 40, 1))
        await peer.send(text)
    await peer.close()
    seq = hall.desk.sequencer.durable_seq
    async with asyncio.timeout(20):
        while len(hall.desk.sequencer.state.orders) < 50:
            await asyncio.sleep(0.01)
    await hall.quiet()
    assert len(hall.desk.sequencer.state.orders) == 50 and hall.desk.sequencer.durable_seq >= seq
