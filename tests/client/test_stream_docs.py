"""The examples of docs/streams.md have the form of what a venue really sends."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.conftest import ROOT
from tests.e2e.venue import VenueProcess, hosting, until

Kind = tuple[str, str, str]

SHORTENED = "…"


def kind_of(message: dict[str, Any]) -> Kind:
    """What two messages must share to have one form."""
    channel = message.get("channel", "").partition(".")[0]
    data = message.get("data")
    return message["type"], channel or message.get("op", ""), data.get("kind", "") if isinstance(data, dict) else ""


def examples() -> list[dict[str, Any]]:
    blocks = re.findall(r"```json\n(.*?)\n```", (ROOT / "docs" / "streams.md").read_text(), re.DOTALL)
    return [json.loads(block) for block in blocks]


def fits(example: Any, real: Any, where: str) -> None:
    """Same types, and every field of the example is a real one; all of them, unless it says that it is shortened."""
    if isinstance(example, dict) and isinstance(real, dict):
        names = example.keys() - {SHORTENED}
        assert names <= real.keys(), f"{where}: {names - real.keys()}"
        if SHORTENED not in example:
            left_out = real.keys() - names - {"details", "retry_after_ms", "as_of_seq", "account_id"}
            assert not left_out, f"{where}: {left_out}"
        for name in names:
            fits(example[name], real[name], f"{where}.{name}")
    elif isinstance(example, list) and isinstance(real, list):
        is_row = where.endswith("[]")  # of a list of rows: place by place; else all have the form of the first
        for place, inner in enumerate(example if real else ()):
            fits(inner, real[place if is_row else 0], f"{where}[]")
    elif example is not None and real is not None:
        assert type(example) is type(real), f"{where}: {example!r}, {real!r}"


def tradeable(venue: VenueProcess) -> dict[str, Any] | None:
    """A window with time left. On a busy machine one may miss its print, and is halted."""
    market = venue.open_market(5)
    return market if market["reference"]["open_price_cents"] is not None and not market["halted"] else None


async def gather(venue: VenueProcess) -> dict[Kind, dict[str, Any]]:
    """One message of each kind, from a window in which an agent trades until it is settled."""
    alice, bob = venue.signup("alice"), venue.signup("bob")
    found: dict[Kind, dict[str, Any]] = {}
    market = await asyncio.to_thread(until, "an OPEN market with its print", lambda: tradeable(venue), 60)
    name, me = market["id"], f"private.{alice.id}"
    bob.place(name, "SELL", 57, 4)
    async with connect(venue.url.replace("http", "ws") + "/stream", compression=None) as socket:

        async def say(**message: Any) -> None:
            await socket.send(json.dumps(message))

        async def listen(wanted: set[Kind], within_s: float) -> None:
            async with asyncio.timeout(within_s):
                while not wanted <= found.keys():
                    message = json.loads(await socket.recv())
                    found.setdefault(kind_of(message), message)

        await say(op="authenticate", request_id="r0", api_key=alice.key, cancel_on_disconnect=True)
        channels = [f"book.{name}", f"l3.{name}", f"trades.{name}", "markets", "feed.btc", "leaderboard", "venue", me]
        await say(op="subscribe", request_id="r1", channels=channels)
        await listen({("snapshot", "private", ""), ("snapshot", "book", ""), ("snapshot", "leaderboard", "")}, 10)
        order = {"market_id": name, "side": "BUY", "type": "LIMIT", "price": 55, "qty": 10, "client_order_id": "first"}
        await say(op="submit_order", request_id="r2", params=order)
        await say(op="submit_order", request_id="r3", params={**order, "price": 155, "client_order_id": "other"})
        await say(op="subscribe", request_id="r5", channels=["nonsense"])
        await listen({("ack", "submit_order", ""), ("reject", "submit_order", ""), ("error", "subscribe", "")}, 10)
        await asyncio.to_thread(bob.place, name, "SELL", 55, 4)
        await asyncio.to_thread(alice.ask, "POST", "/faucet", 201)  # cash moves, whatever becomes of the window
        await asyncio.to_thread(venue.admin, "POST", "/freeze", ADMIN, json={"reason": "drill"})
        await asyncio.to_thread(venue.admin, "POST", "/unfreeze", ADMIN, json={})
        rest = {("event", "private", kind) for kind in ("fill", "order", "settled", "cash")}
        rest |= {("event", channel, "") for channel in ("markets", "feed", "leaderboard", "venue", "trades")}
        rest |= {("delta", "book", ""), ("delta", "l3", ""), ("heartbeat", "", "")}
        await listen(rest, 40)
    return found


ADMIN = "rk_admin_" + "a" * 32


@pytest.mark.timeout(120)
async def test_examples_have_the_form_of_the_real_thing(tmp_path: Path) -> None:
    shown = [example for example in examples() if "type" in example]
    with hosting(tmp_path) as host:
        venue = host.serve("--no-house", RAETH_SERIES__WINDOW_MS="8000", RAETH_ADMIN_TOKEN=ADMIN)
        real = await gather(venue)
    for example in shown:
        fits(example, real[kind_of(example)], " ".join(kind_of(example)))
    told = {kind for kind in real if kind[1] not in ("subscribe",) and kind != ("snapshot", "feed", "")}
    assert told - {("snapshot", "leaderboard", "")} <= {kind_of(example) for example in shown}
