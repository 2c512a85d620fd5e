"""GET /leaderboard: ranks, pages, what is left out, and that it agrees with everybody's own wallet."""

from __future__ import annotations

from typing import Any

from raeth.api.views.leaderboard import first_page
from raeth.audit import audit_file
from raeth.engine import commands as cmd
from raeth.engine.ids import to_uuid
from raeth.store.standings import ALLOWANCE_CENTS, TOLERANCE_CENTS
from tests.api.harness import STRIKE_CENTS, Desk, Trader

UP, DOWN = STRIKE_CENTS + 1, STRIKE_CENTS - 1


async def trade(buyer: Trader, seller: Trader, price: int, qty: int) -> None:
    await buyer.place("BUY", price, qty, confirm_fat_finger=True)
    done = await seller.place("SELL", price, qty, tif="FOK", confirm_fat_finger=True)
    assert done["status"] == "FILLED", done


async def settle(desk: Desk, yes: bool) -> None:
    """The window ends; the next one begins at the money again."""
    await desk.next_window(desk.last_print + 1 if yes else desk.last_print - 1)
    desk.last_print += 1 if yes else -1
    await desk.tick(desk.last_print)


async def board(desk: Desk, **query: Any) -> list[dict[str, Any]]:
    return (await desk.read("/leaderboard", **query))["items"]


async def wallet_cents(desk: Desk, trader: Trader) -> int:
    """Settled cash of the whole account."""
    account = desk.sequencer.state.accounts[trader.account]
    return account.cash + sum(desk.sequencer.state.agents[agent].cash for agent in account.agents)


async def test_nobody_is_on_it_before_a_window_settles(desk: Desk) -> None:
    ada, bob = await desk.trader("ada"), await desk.trader("bob")
    assert (await desk.read("/leaderboard"))["items"] == []
    await trade(ada, bob, 50, 10)
    body = await desk.read("/leaderboard")
    assert body["items"] == [] and body["next_cursor"] is None
    assert body["as_of_seq"] == desk.sequencer.durable_seq
    await settle(desk, yes=True)
    assert [row["name"] for row in await board(desk)] == ["ada", "bob"]


async def test_a_row(desk: Desk) -> None:
    ada, bob = await desk.trader("ada"), await desk.trader("bob")
    symbol = desk.symbol
    await trade(ada, bob, 50, 10)
    await settle(desk, yes=True)
    settled = desk.sequencer.state.seq - 1  # the print; after it came a tick
    winner, loser = await board(desk)
    assert winner == {
        "rank": 1,
        "account_id": to_uuid(desk.born, ada.account),
        "agent_id": ada.uuid,
        "name": "ada",
        "pnl_cents": 504,  # 10 contracts from 50 to 100, and a quarter of bob's fee of 18
        "uncounted_cents": 0,
        "granted_cents": 100_000,
        "drawdown_cents": 0,
        "volume_contracts": 10,
        "notional_cents": 500,
        "windows": 1,
        "decided": 1,
        "hits": 1,
        "hit_rate_bps": 10_000,
        "last_window": symbol,
        "updated_at": winner["updated_at"],
        "seq": settled,
    }
    assert (loser["rank"], loser["pnl_cents"], loser["drawdown_cents"], loser["hit_rate_bps"]) == (2, -518, 518, 0)
    await settle(desk, yes=False)
    assert await board(desk) == [winner, loser], "a window without them changes nothing"


async def test_what_a_board_says_is_what_is_in_the_wallets(desk: Desk) -> None:
    """Over agents, transfers, grants and windows; granted + pnl + uncounted is settled cash."""
    ada, bob = await desk.trader("ada"), await desk.trader("bob", cash_cents=30_000)
    twin = await desk.sibling(ada, "ada-2")
    await desk.submit(cmd.Transfer(ada.account, ada.agent, ada.account, 7_000))
    await trade(ada, bob, 52, 20)
    await trade(bob, twin, 48, 30)
    await settle(desk, yes=False)
    await trade(twin, bob, 51, 5)
    await bob.ask("POST", "/faucet", 201)
    await settle(desk, yes=True)
    rows = {row["name"]: row for row in await board(desk)}
    assert set(rows) == {"ada", "bob"}, "agents of one account share a row"
    assert (rows["ada"]["granted_cents"], rows["bob"]["granted_cents"]) == (110_000, 110_000)
    assert (rows["ada"]["windows"], rows["ada"]["volume_contracts"]) == (2, 55)
    for trader in (ada, bob):
        row = rows[trader.name]
        assert row["granted_cents"] + row["pnl_cents"] + row["uncounted_cents"] == await wallet_cents(desk, trader)


async def test_a_void_window_never_happened(desk: Desk) -> None:
    ada, bob, cyd = await desk.trader("ada"), await desk.trader("bob"), await desk.trader("cyd")
    await trade(ada, cyd, 50, 10)
    await settle(desk, yes=True)
    before = await board(desk)
    await trade(ada, bob, 90, 100)
    await desk.submit(cmd.VoidMarket("ops", desk.market.id, "test"))
    await desk.advance(60_000)
    assert await board(desk) == before


async def test_the_house_is_left_out(desk: Desk) -> None:
    """Whatever it is called by, and however much it wins; and what is won from it counts in full."""
    house, ada, bob = await desk.trader("house"), await desk.trader("ada"), await desk.trader("bob")
    await trade(house, ada, 20, 100)
    await trade(bob, house, 20, 100)
    await settle(desk, yes=True)
    (first, second) = await board(desk)
    assert [(row["rank"], row["name"], row["uncounted_cents"]) for row in (first, second)] == [
        (1, "bob", 0),
        (2, "ada", 0),
    ]


async def test_two_accounts_of_one_person_make_no_winner(desk: Desk) -> None:
    """One pays the other by trading far from fair, again and again; an honest trader who won little is above both."""
    puppet, master = await desk.trader("puppet"), await desk.trader("master")
    ada, bob = await desk.trader("ada"), await desk.trader("bob")
    for yes in (True, False):
        for _ in range(5):  # round and round within one window: no risk at all
            await trade(puppet, master, 80, 100)
            await trade(master, puppet, 20, 100)
        await trade(ada, bob, 50, 25 if yes else 1)
        await settle(desk, yes)
    rows = {row["name"]: row for row in await board(desk)}
    assert rows["master"]["pnl_cents"] + rows["master"]["uncounted_cents"] > 55_000
    assert rows["master"]["pnl_cents"] <= ALLOWANCE_CENTS
    assert rows["puppet"]["pnl_cents"] < -55_000 and rows["puppet"]["uncounted_cents"] == 0
    assert [row["name"] for row in await board(desk)] == ["ada", "master", "bob", "puppet"]


async def test_one_way_counts_as_if_it_had_been_near_fair(desk: Desk) -> None:
    puppet, master = await desk.trader("puppet"), await desk.trader("master")
    await trade(puppet, master, 99, 1_000)
    await settle(desk, yes=False)
    (first, _) = await board(desk)
    assert first["name"] == "master"
    at_the_edge = 1_000 * (50 + TOLERANCE_CENTS) + ALLOWANCE_CENTS
    fee = 0.07 * 0.99 * 0.01 * 100 * 1_000
    assert abs(first["pnl_cents"] - (at_the_edge - fee)) <= 1, "sold at 55 and 10 dollars, not at 99"
    assert first["uncounted_cents"] == 1_000 * (99 - 50 - TOLERANCE_CENTS) - ALLOWANCE_CENTS


async def test_many_far_fills_of_many_are_a_thin_book(desk: Desk) -> None:
    """Who sweeps what ten strangers left lying about has earned it."""
    ada = await desk.trader("ada")
    for n in range(10):
        stranger = await desk.trader(f"stranger-{n}")
        await stranger.place("SELL", 20, 40, confirm_fat_finger=True)
    swept = await ada.place("BUY", None, 400)
    assert swept["filled_qty"] == 400
    await settle(desk, yes=True)
    assert (await board(desk))[0]["uncounted_cents"] == 0


async def test_pages(desk: Desk) -> None:
    """Every page goes on where the one before ended, through equal results and below zero."""
    maker = await desk.trader("maker", cash_cents=10_000_000)
    for n in range(12):
        trader = await desk.trader(f"trader-{n:02}")
        await trade(trader, maker, 50, 1 + n // 4)
        if n % 4 == 1:
            await desk.submit(cmd.GrantCash("ops", trader.agent, 5, "test"))
    await settle(desk, yes=False)
    whole = await board(desk)
    assert [row["rank"] for row in whole] == list(range(1, 14))
    keys = [(-row["pnl_cents"], row["granted_cents"], row["account_id"]) for row in whole]
    assert keys == sorted(keys) and len({row["pnl_cents"] for row in whole}) == 4
    for limit in (1, 5, 13):
        seen, cursor = [], None
        while True:
            query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            page = await desk.read("/leaderboard", **query)
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == whole
    await desk.read("/leaderboard", expect=422, cursor="AAAA")
    await desk.read("/leaderboard", expect=422, limit=251)


async def test_the_first_page_for_the_stream(desk: Desk) -> None:
    ada, bob = await desk.trader("ada"), await desk.trader("bob")
    await trade(ada, bob, 50, 10)
    await settle(desk, yes=True)
    assert await first_page(desk.venue) == await desk.read("/leaderboard")


async def test_an_audit_proves_it(desk: Desk) -> None:
    ada, bob = await desk.trader("ada"), await desk.trader("bob")
    for yes in (True, False, True):
        await trade(ada, bob, 90, 50)
        await settle(desk, yes)
    await trade(ada, bob, 50, 1)
    assert audit_file(desk.venue.settings.data_dir / "raeth.db").windows_resolved == 3
