"""What is kept in memory of the recent past is what the tables say of it."""

from __future__ import annotations

from raeth.engine.events import Traded
from raeth.sequencer import Committed
from tests.api.harness import Desk


async def in_tables(desk: Desk) -> list[object]:
    return list((await desk.venue.store.market_trades(desk.market.id, limit=20)).items)


async def test_trades_are_those_of_the_tables_whenever_one_asks_first(desk: Desk) -> None:
    recent, market = desk.venue.recent, desk.market.id
    maker, taker = await desk.trader("maker"), await desk.trader("taker")
    assert await recent.trades(market) == []
    for qty in range(1, 26):
        await maker.place("SELL", 55, qty)
        await taker.place("BUY", 55, qty)
        assert list(await recent.trades(market)) == await in_tables(desk)
    assert len(await recent.trades(market)) == 20
    await desk.next_window()
    await maker.place("SELL", 40, 3)
    await taker.place("BUY", 40, 3)
    assert [trade.qty for trade in await recent.trades(desk.market.id)] == [3]
    assert list(await recent.trades(desk.market.id)) == await in_tables(desk)


async def test_facts_that_were_missed_are_fetched(desk: Desk) -> None:
    recent, market = desk.venue.recent, desk.market.id
    maker, taker = await desk.trader("maker"), await desk.trader("taker")
    await recent.trades(market)
    await recent.moves(desk.clock.now_ms())
    desk.sequencer.listeners.remove(recent.hear)
    await maker.place("SELL", 55, 4)
    await taker.place("BUY", 55, 4)
    await desk.tick(9_600_000)
    assert [trade.qty for trade in await recent.trades(market)] == [4], "the state is ahead of what was heard"
    assert (await recent.moves(desk.clock.now_ms()))[-1][1] == 9_600_000
    desk.sequencer.listeners.append(recent.hear)
    await maker.place("SELL", 55, 5)
    await taker.place("BUY", 55, 5)
    assert [trade.qty for trade in await recent.trades(market)] == [5, 4]
    recent.hear([Committed(1, 1, None, [Traded(*range(16))])])  # type: ignore[arg-type]
    assert list(await recent.trades(market)) == await in_tables(desk), "told again, it is not counted again"


async def test_moves_are_those_of_the_last_minutes(desk: Desk) -> None:
    recent = desk.venue.recent
    for step in range(6):
        await desk.tick(9_500_000 + step)
        now = desk.clock.now_ms()
        ticks = await desk.venue.store.reference_history(now - 300_000)
        assert list(await recent.moves(now)) == [(tick.ts, tick.price_cents) for tick in ticks]
        await desk.advance(70_000)
