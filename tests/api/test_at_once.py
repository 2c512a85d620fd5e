"""Calls that run without a task: where their last byte is read, and where their batch ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx2
import pytest

from raeth.api.exchange import EXCHANGE, Exchange
from raeth.engine import commands as cmd
from tests.api.harness import Desk, Trader
from tests.api.test_connection import HOST, WITHIN_S, House, get, serving


class Held:
    """The journal as it is, but nothing is written before the gate opens."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = asyncio.Event()
        self.held = 0
        for way in ("append", "commit"):
            monkeypatch.setattr(
                desk.sequencer.journal, way, partial(self._through, getattr(desk.sequencer.journal, way))
            )

    async def _through(self, write: Callable[..., Awaitable[None]], *rows: Any) -> None:
        self.held += 1
        await self.gate.wait()
        await write(*rows)


def served(desk: Desk) -> Any:
    assert isinstance(desk.http._transport, httpx2.ASGITransport)
    return serving(desk.http._transport.app)


def order(desk: Desk, trader: Trader, **fields: Any) -> bytes:
    body = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 40, "qty": 1} | fields
    return post(trader, json.dumps(body).encode())


def post(trader: Trader, body: bytes, *headers: bytes) -> bytes:
    head = f"POST /api/v1/orders HTTP/1.1\r\nauthorization: Bearer {trader.key}\r\n".encode() + HOST
    return head + b"".join(headers) + b"content-length: %d\r\n\r\n" % len(body) + body


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not reached():
            await asyncio.sleep(0)


def under_way(house: House) -> list[type]:
    return [type(waiting) for waiting in house.server.server_state.tasks]


async def test_an_order_waits_for_its_batch_without_a_task(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    trader = await desk.trader("waits")
    async with served(desk) as house:
        held = Held(desk, monkeypatch)
        line = await house.line()
        line.say(order(desk, trader))
        await until(lambda: held.held > 0)
        assert under_way(house) == [Exchange]
        held.gate.set()
        status, headers, body = await line.answer()
        assert status == 200 and json.loads(body)["status"] == "OPEN"
        assert headers[b"x-ratelimit-remaining"].isdigit() and headers[b"x-request-id"]
        assert not house.server.server_state.tasks


async def test_hundreds_in_one_piece_are_answered_in_their_order(desk: Desk) -> None:
    """Orders, reads, and what is refused; one after the other, however deep the pile."""
    trader = await desk.trader("many")
    sent = 300
    async with served(desk) as house:
        line = await house.line()
        for number in range(sent):
            line.say(order(desk, trader, client_order_id=f"n{number}", price=1 + number % 49))
            line.say(get(f"/api/v1/markets/{desk.symbol}") if number % 3 else post(trader, b"{"))
        for number in range(sent):
            status, _, body = await line.answer()
            told = json.loads(body)
            assert (status, told["client_order_id"]) == (200, f"n{number}")
            status, _, body = await line.answer()
            assert status == (200 if number % 3 else 400)
        assert not house.server.server_state.tasks


async def test_however_an_order_comes_in_it_is_answered_alike(desk: Desk) -> None:
    """Through the door that waits, with an unknown market, in pieces, too large, unreadable, over another server."""
    trader = await desk.trader("alike")
    limit = desk.venue.settings.limits.body_bytes
    bodies = [
        (200, None, order(desk, trader)),
        (200, "UNKNOWN_MARKET", order(desk, trader, market_id="NOBODYS-1M")),
        (400, None, post(trader, b"{}")),
        (413, None, post(trader, b" " * (limit + 1))),
        (401, None, order(desk, Trader(desk, 0, 0, trader.key[:-4] + "0000", "wrong"))),
    ]
    async with served(desk) as house:
        for expected, reason, said in bodies:
            head, _, body = said.partition(b"\r\n\r\n")
            answers = []
            for pieces in (
                (said,),
                (head + b"\r\n\r\n", body),
                (head[:30], head[30:] + b"\r\n\r\n", body[:9], body[9:]),
            ):
                line = await house.line()
                for piece in pieces:
                    line.say(piece)
                    await line.writer.drain()
                    for _ in range(9):  # what is said and who hears it share a loop
                        await asyncio.sleep(0)
                answers.append(await line.answer())
            key = head.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode()
            asked = await desk.http.post("/api/v1/orders", content=body, headers={"authorization": f"Bearer {key}"})
            answers.append((asked.status_code, {}, asked.content))
            for status, _, told in answers:
                assert status == expected, told
                fields = json.loads(told)
                assert fields.keys() == json.loads(asked.content).keys()
                assert fields.get("reject_reason") == reason and fields.get("code") == asked.json().get("code")
        assert not house.server.server_state.tasks


async def test_what_the_engine_refuses_is_said_where_the_batch_ends(desk: Desk) -> None:
    trader = await desk.trader("frozen")
    await desk.submit(cmd.Freeze("ops", "a test"))
    async with served(desk) as house:
        line = await house.line()
        line.say(order(desk, trader), get("/api/v1/markets"))
        status, _, body = await line.answer()
        assert (status, json.loads(body)["code"]) == (503, "EXCHANGE_FROZEN")
        assert (await line.answer())[0] == 200
        assert not house.server.server_state.tasks


async def test_a_server_that_stops_waits_for_a_promise(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    trader = await desk.trader("late")
    async with served(desk) as house:
        held = Held(desk, monkeypatch)
        idle, line = await house.line(), await house.line()
        line.say(order(desk, trader))
        await until(lambda: held.held > 0)
        house.server.should_exit = True
        assert await idle.ended()
        held.gate.set()
        status, headers, _ = await line.answer()
        assert (status, headers[b"connection"]) == (200, b"close")
        assert await line.ended()


async def test_a_server_that_has_waited_long_enough_breaks_the_promise(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of the order is found out with its key, as after any 500."""
    trader = await desk.trader("broken")
    held = Held(desk, monkeypatch)
    async with served(desk) as house:
        line = await house.line()
        line.say(order(desk, trader, client_order_id="mine"))
        await until(lambda: held.held > 0)
        house.server.config.timeout_graceful_shutdown = 0
        house.server.should_exit = True
        assert (await line.answer())[0] == 500
        assert await line.ended()
        assert not house.server.server_state.tasks
    held.gate.set()
    found = await trader.ask("POST", "/orders", json=json.loads(order(desk, trader).partition(b"\r\n\r\n")[2]))
    assert found["status"] == "OPEN"
    assert (await trader.get("/orders/by-client-id/mine"))["status"] == "OPEN"


async def test_whoever_leaves_has_an_order_all_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    trader = await desk.trader("leaves")
    async with served(desk) as house:
        held = Held(desk, monkeypatch)
        line = await house.line()
        line.say(order(desk, trader, client_order_id="left"))
        await until(lambda: held.held > 0)
        line.writer.close()
        await until(lambda: not house.server.server_state.connections)
        held.gate.set()
        await until(lambda: not house.server.server_state.tasks)
        assert (await trader.get("/orders/by-client-id/left"))["status"] == "OPEN"


class AtOnce:
    """An application that says it needs no task."""

    def __init__(self, run: Callable[[Exchange], Awaitable[None]]) -> None:
        self._run = run

    def work(self, scope: Any, receive: Any, send: Any) -> Any:
        scope[EXCHANGE].at_once = True
        return self._run(scope[EXCHANGE])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("`work` is asked for")


async def test_who_runs_at_once_asks_for_a_task_before_it_waits(desk: Desk) -> None:
    ran: list[asyncio.Task[Any] | None] = []

    async def waits(exchange: Exchange) -> None:
        path = exchange.scope["path"]
        if path == "/raises":
            raise ValueError("our bug")
        if path == "/asks":
            await exchange.as_task()
            async with asyncio.timeout(WITHIN_S):
                ran.append(asyncio.current_task())
                await asyncio.sleep(0)
        if path == "/waits":
            await asyncio.get_running_loop().create_future()
        if path != "/silent":
            exchange.answer(200, b"content-length: 0\r\n", b"")

    async with serving(AtOnce(waits)) as house:
        for path, status in (("/plain", 200), ("/asks", 200), ("/waits", 500), ("/raises", 500), ("/silent", 500)):
            line = await house.line()
            line.say(get(path))
            assert (await line.answer())[0] == status
            await until(lambda: not house.server.server_state.tasks)
        assert len(ran) == 1 and ran[0] is not None


async def test_many_in_one_piece_leave_the_loop_to_others_in_between() -> None:
    loop = asyncio.get_running_loop()
    turns: list[int] = []
    seen: list[int] = []

    async def quick(exchange: Exchange) -> None:
        seen.append(len(turns))
        loop.call_soon(turns.append, len(turns))
        exchange.answer(200, b"content-length: 0\r\n", b"")

    async with serving(AtOnce(quick)) as house:
        line = await house.line()
        line.say(*(get("/") for _ in range(200)))
        for _ in range(200):
            assert (await line.answer())[0] == 200
        assert seen == list(range(200)), "others had their turn between any two"
