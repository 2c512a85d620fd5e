"""A declined order is repaired with nothing but what the decline suggests, for every decline an order can be repaired
from: the repaired order passes the check that declined the first one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.client.models import Repair
from raeth.errors import CATALOGUE
from raeth.mcp.repair import explain
from tests.api.harness import RULES, opened_desk
from tests.mcp.conftest import opened_door
from tests.mcp.model import Door, Model


async def declined(model: Model, code: str, **order: Any) -> dict[str, Any]:
    answer = await model.use("place_order", **order)
    assert answer["status"] == "REJECTED", answer
    assert answer["decline"]["code"] == code
    preview = await model.use("preview_order", **order)
    assert preview["decline"].get("suggested") == answer["decline"].get("suggested"), "the preview cannot lie"
    decline: dict[str, Any] = answer["decline"]
    return decline


async def passes(model: Model, decline: dict[str, Any]) -> dict[str, Any]:
    again = await model.use("place_order", **decline["retry_with"])
    assert again["status"] in ("OPEN", "PARTIALLY_FILLED", "FILLED"), again
    return again


@pytest.mark.parametrize(
    ("code", "order", "changed"),
    [
        ("FAT_FINGER", {"side": "BUY", "qty": 3_000, "price": 10}, {"qty": 2_000}),
        ("FAT_FINGER", {"side": "SELL", "qty": 3_000, "price": 95}, {"qty": 2_000}),
        ("POST_ONLY_WOULD_CROSS", {"side": "BUY", "qty": 3, "price": 70, "tif": "POST_ONLY"}, {"price": 59}),
        ("POST_ONLY_WOULD_CROSS", {"side": "SELL", "qty": 3, "price": 40, "tif": "POST_ONLY"}, {"price": 41}),
        ("FOK_NOT_FILLABLE", {"side": "BUY", "qty": 12, "price": 60, "tif": "FOK"}, {"qty": 10}),
        ("FOK_NOT_FILLABLE", {"side": "BUY", "qty": 12, "price": 45, "tif": "FOK"}, {"tif": "GTC"}),
        ("FOK_NOT_FILLABLE", {"side": "SELL", "qty": 12, "tif": "FOK"}, {"qty": 10}),
    ],
)
async def test_a_suggestion_passes(door: Door, code: str, order: dict[str, Any], changed: dict[str, Any]) -> None:
    trader, maker = await door.desk.trader("model", cash_cents=500_000), await door.desk.trader("maker")
    await maker.place("SELL", 60, 10)
    await maker.place("BUY", 40, 10)
    async with door.model(trader) as model:
        decline = await declined(model, code, **order)
        assert decline["suggested"] == changed
        await passes(model, decline)


async def test_a_price_beyond_the_mark_comes_back_within(door: Door) -> None:
    trader, maker = await door.desk.trader("model"), await door.desk.trader("maker")
    await maker.place("SELL", 6, 10)
    await maker.place("BUY", 4, 10)
    async with door.model(trader) as model:
        decline = await declined(model, "FAT_FINGER", side="BUY", qty=2, price=60)
        assert 6 <= decline["suggested"]["price"] < 60
        assert "confirm_fat_finger" not in decline["retry_with"], "no check is switched off by suggestion"
        assert (await passes(model, decline))["status"] == "FILLED"


async def test_more_than_the_cash_allows_becomes_what_it_allows(door: Door) -> None:
    trader = await door.desk.trader("poor", cash_cents=1_000)
    async with door.model(trader) as model:
        decline = await declined(model, "INSUFFICIENT_MARGIN", side="BUY", qty=50, price=40)
        assert decline["suggested"] == {"qty": 25}
        await passes(model, decline)
        nothing_left = await declined(model, "INSUFFICIENT_MARGIN", side="BUY", qty=1, price=40)
        assert "suggested" not in nothing_left and nothing_left["fix"]


async def test_more_than_may_be_held_becomes_what_may_be(tmp_path: Path) -> None:
    import msgspec

    rules = msgspec.structs.replace(RULES, position_cap=100)
    async with opened_desk(tmp_path, rules) as desk, opened_door(desk) as door:
        trader = await desk.trader("big")
        async with door.model(trader) as model:
            decline = await declined(model, "POSITION_CAP", side="BUY", qty=150, price=40)
            assert decline["suggested"] == {"qty": 100}
            await passes(model, decline)


async def test_reducing_more_than_there_is_becomes_what_there_is(door: Door) -> None:
    trader, maker = await door.desk.trader("model"), await door.desk.trader("maker")
    await maker.place("SELL", 50, 7)
    await trader.place("BUY", 50, 7)
    async with door.model(trader) as model:
        order = {"side": "SELL", "qty": 20, "price": 60, "reduce_only": True}
        decline = await declined(model, "REDUCE_ONLY_VIOLATION", **order)
        assert decline["suggested"] == {"qty": 7} and decline["retry_with"]["reduce_only"] is True
        await passes(model, decline)


async def test_a_locked_side_says_how_long(door: Door) -> None:
    trader = await door.desk.trader("hasty")
    async with door.model(trader) as model:
        for _ in range(RULES.cooldown_rejects):
            assert (await trader.place("BUY", 50, 3_000))["reject_reason"] == "FAT_FINGER"
        decline = await declined(model, "AGENT_SIDE_COOLDOWN", side="BUY", qty=1, price=50)
        assert 1 <= decline["retry_in_s"] <= RULES.cooldown_ms // 1000 and decline["retryable"] is True
        await door.desk.advance(decline["retry_in_s"] * 1000)
        await passes(model, decline)


small = st.integers(-5, 200)


@given(
    st.sampled_from([entry.code.value for entry in CATALOGUE.values() if entry.is_decline] + ["NEW_CODE", None]),
    st.builds(
        Repair,
        retryable=st.booleans(),
        max_qty=st.none() | small,
        best_non_crossing_price=st.none() | st.integers(1, 99),
        price_min=st.none() | st.integers(1, 99),
        price_max=st.none() | st.integers(1, 99),
        retry_after_ms=st.none() | st.integers(0, 10_000),
    ),
    st.integers(1, 200),
    st.none() | st.integers(1, 99),
)
def test_any_decline_of_any_venue_is_explained(code: str | None, repair: Repair, qty: int, price: int | None) -> None:
    sent = {"market": "BTC-1M-X", "side": "BUY", "qty": qty, "price": price, "client_order_id": "used"}
    decline = explain(code, None, repair, sent, "BTC-1M-Y")
    assert decline.message and decline.code
    for suggestion in (decline.suggested, decline.retry_with):
        if suggestion is not None:
            assert suggestion.get("qty", 1) >= 1
            assert suggestion.get("price", 1) in range(1, 100)
            assert "client_order_id" not in suggestion, "a repaired order needs a new name"
            assert not suggestion.get("confirm_fat_finger")
