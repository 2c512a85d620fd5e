"""A model trades: the official client, over stdio and HTTP, at a real venue process, from context to settlement."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.venue import VenueProcess
from tests.mcp.model import Model, Way, model_over

WAYS: tuple[Way, ...] = ("stdio", "auto", "legacy")
LEFT_S = 5
"""Seconds a window must have left for the whole session before its close."""


async def fresh_window(model: Model) -> str:
    """A window with time left, found as a model finds it."""
    context = await model.call("get_context")
    window = (context.structured_content or {}).get("window", {})
    while window.get("status") != "OPEN" or window["closes_in_s"] < LEFT_S:
        waited = await model.use("wait_for", event="next_window")
        window = waited["window"]
    return str(window["market"])


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_trades_from_context_to_settlement(way: Way, venue: VenueProcess, tmp_path: Path) -> None:
    maker, agent = venue.signup(f"maker-{way}"), venue.signup(f"model-{way}")
    errors = tmp_path / "stderr"
    async with model_over(way, venue.url, agent.key, errors) as model:
        market = await fresh_window(model)
        assert maker.place(market, "SELL", 60, 10)["status"] == "OPEN"

        context = await model.use("get_context")
        assert context["window"]["market"] == market
        assert 0 < context["window"]["closes_in_s"] <= 10
        assert context["asks"] == [{"price": 60, "qty": 10}]
        assert context["free_cash_cents"] == agent.made["testnet_cash_cents"]

        preview = await model.use("preview_order", side="BUY", qty=15, price=60, tif="FOK")
        assert preview["would"] == "REJECT"

        # Declined, and repaired with nothing but what the decline says.
        declined = await model.use("place_order", side="BUY", qty=15, price=60, tif="FOK")
        assert declined["status"] == "REJECTED"
        assert declined["decline"]["code"] == "FOK_NOT_FILLABLE"
        repaired = declined["decline"]["retry_with"]
        assert (await model.use("preview_order", **repaired))["would"] == "ACCEPT"
        filled = await model.use("place_order", **repaired, client_order_id="repaired-1")
        assert filled["status"] == "FILLED", filled
        assert filled["market"] == market

        # The same call again trades nothing, whichever window is open by now.
        again = await model.use("place_order", side="BUY", qty=10, price=60, tif="FOK", client_order_id="repaired-1")
        assert again["replayed"] is True
        assert again["order"]["order_id"] == filled["order"]["order_id"]

        portfolio = await model.use("get_portfolio")
        (held,) = [p for p in portfolio["positions"] if p["market"] == market]
        assert held["net_qty"] == 10
        payoff = {"YES": held["payoff_if_yes_cents"], "NO": held["payoff_if_no_cents"], "VOID": 0}

        waited = await model.use("wait_for", event="settlement", market=market)
        while not waited["happened"]:
            waited = await model.use("wait_for", event="settlement", market=market)
        settlement = waited["settlement"]
        evidence = venue.get(f"/api/v1/markets/{market}/settlement")
        assert settlement["resolution"] == evidence["resolution"]
        assert settlement["own_cash_change_cents"] == payoff[settlement["resolution"]]
        assert settlement["open_price_cents"] == evidence["open_print"]["price_cents"]

        cash = (await model.use("get_portfolio"))["cash_cents"]
        assert cash == agent.made["testnet_cash_cents"] + payoff[settlement["resolution"]]
        history = await model.use("get_history", kind="settlements", market=market)
        assert history["settlements"] == [settlement]
    if way == "stdio":
        assert errors.read_text() == "", "nothing to complain about, and nothing of the key"
    assert agent.key not in venue.stderr


async def test_post_only_is_repaired_to_the_best_price_that_rests(venue: VenueProcess) -> None:
    maker, agent = venue.signup("maker-rest"), venue.signup("model-rest")
    async with model_over("auto", venue.url, agent.key) as model:
        market = await fresh_window(model)
        maker.place(market, "SELL", 52, 3)
        declined = await model.use("place_order", side="BUY", qty=2, price=55, tif="POST_ONLY", market=market)
        assert declined["decline"]["suggested"] == {"price": 51}
        resting = await model.use("place_order", **declined["decline"]["retry_with"])
        assert resting["status"] == "OPEN" and resting["order"]["price"] == 51
        order_id = resting["order"]["order_id"]
        done = await model.use("cancel_orders", order_ids=[order_id, "0193b2c4-7d10-8000-8000-000001fbb001"])
        assert done["cancelled"] == 1
        assert [missed["code"] for missed in done["not_cancelled"]] == ["ORDER_NOT_FOUND"]
        ended = await model.use("wait_for", event="order_done", order_id=order_id)
        assert ended["happened"] is True and ended["order"]["status"] == "CANCELLED"


async def test_stdio_says_in_one_line_what_it_lacks(venue: VenueProcess, tmp_path: Path) -> None:
    from tests.e2e.venue import hosting

    with hosting(tmp_path) as host:
        done = host.run("mcp")
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.count("\n") == 1 and "RAETH_API_KEY" in done.stderr


async def test_stdio_outlives_a_venue_that_is_away(tmp_path: Path) -> None:
    async with model_over("stdio", "http://127.0.0.1:9", "rk_live_x_y", tmp_path / "stderr") as model:
        assert len((await model.client.list_tools()).tools) == 13
        await model.fails("UNREACHABLE", "get_portfolio")
