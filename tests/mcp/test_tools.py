"""What a model is shown before it does anything, and each tool over the door of a venue that stands still."""

from __future__ import annotations

import json

import pytest

from raeth.engine import commands as cmd
from raeth.mcp.server import INSTRUCTIONS, TOOLS
from tests.mcp.model import Door

READERS = {
    "get_context",
    "list_markets",
    "get_book",
    "preview_order",
    "get_portfolio",
    "get_history",
    "get_leaderboard",
    "explain_code",
    "wait_for",
}
ACTORS = {"place_order", "cancel_orders", "put_quotes", "claim_faucet"}
STRANGER = "0193b2c4-7d10-8000-8000-000001fbb001"


async def test_tools_are_described_for_a_model(door: Door) -> None:
    trader = await door.desk.trader("reader")
    async with door.model(trader) as model:
        tools = {tool.name: tool for tool in (await model.client.list_tools()).tools}
        assert model.client.instructions == INSTRUCTIONS
    assert set(tools) == READERS | ACTORS
    for name, tool in tools.items():
        assert tool.description is not None and 40 <= len(tool.description) <= 500, name
        assert tool.title and tool.output_schema is not None
        assert tool.output_schema["type"] == tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        for field, schema in tool.input_schema.get("properties", {}).items():
            text = json.dumps(schema)
            assert '"description"' in text or '"enum"' in text, (name, field)
            if '"integer"' in text:
                assert '"minimum"' in text and '"maximum"' in text, (name, field)
            if '"type": "string"' in text:
                assert '"pattern"' in text or '"enum"' in text or '"maxLength"' in text, (name, field)
    listing = json.dumps([tool.model_dump(mode="json", exclude_none=True) for tool in tools.values()])
    assert len(listing) < 45_000, "models read all of it"


async def test_hints_say_what_a_tool_may_do(door: Door) -> None:
    trader = await door.desk.trader("reader")
    async with door.model(trader) as model:
        tools = (await model.client.list_tools()).tools
    assert len(tools) == len(TOOLS)
    for tool in tools:
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint is (tool.name in READERS)
        assert hints.destructive_hint is (tool.name in {"place_order", "cancel_orders", "put_quotes"})
        assert hints.idempotent_hint is (tool.name not in {"place_order", "claim_faucet"})


async def test_what_is_said_to_change_nothing_changes_nothing(door: Door) -> None:
    trader = await door.desk.trader("reader")
    arguments = {
        "preview_order": {"side": "BUY", "qty": 3, "price": 40},
        "get_history": {"kind": "orders"},
        "explain_code": {"code": "FAT_FINGER"},
        "wait_for": {"event": "order_done", "order_id": STRANGER, "timeout_s": 1},
    }
    before = door.desk.sequencer.state.seq
    async with door.model(trader) as model:
        for name in sorted(READERS):
            await model.call(name, **arguments.get(name, {}))
    assert door.desk.sequencer.state.seq == before


async def test_context_tells_time_both_ways(door: Door) -> None:
    trader, maker = await door.desk.trader("reader"), await door.desk.trader("maker")
    await maker.place("SELL", 60, 7)
    await maker.place("BUY", 40, 5)
    await trader.place("BUY", 60, 2)
    await door.desk.advance(37_000)
    async with door.model(trader) as model:
        context = await model.use("get_context", depth=3)
        text = await model.read("get_context")
    window = context["window"]
    assert (window["market"], window["status"]) == (door.desk.symbol, "OPEN")
    assert 22 <= window["closes_in_s"] <= 23
    assert f"closes in {window['closes_in_s']} s ({window['close_at'][11:19]}Z)" in text
    assert context["bids"] == [{"price": 40, "qty": 5}] and context["asks"] == [{"price": 60, "qty": 5}]
    assert context["position"]["net_qty"] == 2
    assert context["recent_trades"][0]["ago_s"] >= 36
    assert context["next_window"] is not None
    assert context["limits"]["position_cap"] == door.desk.market.settings.position_cap


async def test_a_repaired_window_is_suggested_when_the_old_one_closed(door: Door) -> None:
    trader = await door.desk.trader("late")
    old = door.desk.symbol
    await door.desk.next_window()
    async with door.model(trader) as model:
        declined = await model.use("place_order", side="BUY", qty=1, price=10, market=old)
        assert declined["decline"]["code"] == "MARKET_CLOSED"
        assert declined["decline"]["suggested"] == {"market": door.desk.symbol}
        assert (await model.use("place_order", **declined["decline"]["retry_with"]))["status"] == "OPEN"


async def test_a_named_order_repeated_after_its_window_is_the_same_order(door: Door) -> None:
    trader = await door.desk.trader("repeater")
    async with door.model(trader) as model:
        first = await model.use("place_order", side="BUY", qty=1, price=10, client_order_id="mine")
        await door.desk.next_window()
        again = await model.use("place_order", side="BUY", qty=1, price=10, client_order_id="mine")
        assert again["replayed"] is True and again["market"] == first["market"] != door.desk.symbol
        await model.fails("IDEMPOTENCY_CONFLICT", "place_order", side="BUY", qty=2, price=10, client_order_id="mine")


async def test_quotes_replace_each_other_and_are_pulled(door: Door) -> None:
    trader = await door.desk.trader("quoter")
    levels = [{"price": 45, "qty": 3}, {"price": 44, "qty": 3}]
    async with door.model(trader) as model:
        stands = await model.use("put_quotes", bids=levels, asks=[{"price": 55, "qty": 4}])
        assert (stands["resting_levels"], stands["declined_levels"]) == (3, 0)
        crossing = await model.use("put_quotes", quote_id="other", bids=[{"price": 56, "qty": 1}], asks=[])
        assert crossing["levels"][0]["decline"]["suggested"] == {"price": 54}
        await model.fails("VALIDATION_FAILED", "put_quotes", bids=[{"price": 60, "qty": 1}], asks=levels)
        assert (await model.use("put_quotes", bids=[], asks=[]))["resting_levels"] == 0
        assert (await model.use("get_portfolio"))["open_order_count"] == 0


async def test_cancel_without_a_filter_is_everything(door: Door) -> None:
    trader = await door.desk.trader("leaver")
    for price in (10, 11, 12):
        await trader.place("BUY", price, 1)
    await trader.place("SELL", 90, 1)
    async with door.model(trader) as model:
        assert (await model.use("cancel_orders", side="SELL"))["cancelled"] == 1
        assert (await model.use("cancel_orders"))["cancelled"] == 3
        assert (await model.use("cancel_orders"))["cancelled"] == 0
        await model.fails("VALIDATION_FAILED", "cancel_orders", order_ids=[STRANGER], side="BUY")


@pytest.mark.parametrize("kind", ["orders", "fills", "ledger", "settlements"])
async def test_history_goes_on_where_it_stopped(door: Door, kind: str) -> None:
    trader, maker = await door.desk.trader("taker"), await door.desk.trader("maker")
    for turn in range(1, 4):
        await maker.place("SELL", 50, 1)
        await trader.place("BUY", 50, 1)
        await door.desk.next_window(door.desk.last_print + 100 * turn)
    seen: list[str] = []
    async with door.model(trader) as model:
        cursor: str | None = None
        for _ in range(10):
            given = {} if cursor is None else {"cursor": cursor}
            page = await model.use("get_history", kind=kind, limit=1, **given)
            seen += [json.dumps(entry, sort_keys=True) for entry in page[kind]]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
    assert len(seen) == len(set(seen)) >= 3


async def test_faucet_pays_and_says_when_again(door: Door) -> None:
    trader = await door.desk.trader("poor", cash_cents=0)
    async with door.model(trader) as model:
        paid = await model.use("claim_faucet")
        assert paid["cash_cents"] == paid["amount_cents"] > 0
        failure = await model.fails("FAUCET_COOLDOWN", "claim_faucet")
        assert failure["retry_after_s"] > 0 and failure["fix"]


async def test_codes_are_explained_as_the_venue_has_them(door: Door) -> None:
    trader = await door.desk.trader("asker")
    items = (await door.desk.read("/meta/errors"))["items"]
    async with door.model(trader) as model:
        for entry in items[::9]:
            told = await model.use("explain_code", code=entry["code"])
            assert (told["when"], told["fix"], told["where"]) == (entry["when"], entry["fix"], entry["http"])
        failure = await model.fails("NOT_FOUND", "explain_code", code="FAT_FINGERS")
        assert "FAT_FINGER" in failure["message"] and "FAT_FINGERS" not in failure["message"]


async def test_leaderboard_names_are_kept_apart(door: Door) -> None:
    trader, maker = await door.desk.trader("Ignore.all"), await door.desk.trader("maker")
    await maker.place("SELL", 50, 4)
    await trader.place("BUY", 50, 4)
    await door.desk.next_window(door.desk.last_print + 100)
    await door.desk.submit(cmd.Tick())
    async with door.model(trader) as model:
        board = await model.use("get_leaderboard", limit=5)
        text = await model.read("get_leaderboard")
    names = [rank["untrusted_text"]["name"] for rank in board["ranks"]]
    assert set(names) == {"Ignore.all", "maker"}
    assert all("name" not in rank for rank in board["ranks"])
    assert 'untrusted name "Ignore.all"' in text
