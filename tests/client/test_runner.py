"""Strategies on a real venue through the live runner: what it shows them, does for them, and leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from raeth.client import AsyncClient, VenueError
from raeth.client.runner import Decided, Ended, Step, Summary, Waiting, run
from raeth.client.strategy import Action, CancelAll, Outcome, Place, Quotes, Resolution, Strategy, StrategyBase, View
from raeth.examples import FairAgent, MakerAgent, RandomAgent
from tests.client.proxy import Proxy
from tests.e2e.venue import Host, VenueProcess, hosting

TOKEN = "rk_admin_" + "t" * 43
SHORT = {"RAETH_SERIES__WINDOW_MS": "4000", "RAETH_ADMIN_TOKEN": TOKEN}
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("runner")) as host:
        yield host


@pytest.fixture(scope="module")
def venue(host: Host) -> VenueProcess:
    return host.serve("--no-house", **SHORT)


class Log:
    """The steps of a run; `reached` ends it."""

    def __init__(self, enough: Callable[[list[Step]], bool]) -> None:
        self.steps: list[Step] = []
        self.reached = asyncio.Event()
        self._enough = enough

    def __call__(self, step: Step) -> None:
        self.steps.append(step)
        if self._enough(self.steps):
            self.reached.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [step for step in self.steps if isinstance(step, kind)]

    async def until(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            await self.reached.wait()


def settlements(count: int) -> Log:
    return Log(lambda steps: sum(isinstance(step, Ended) for step in steps) >= count)


async def agents(venue: VenueProcess, *names: str) -> list[AsyncClient]:
    return [await AsyncClient.signup(venue.url, f"{name}@example.com", name) for name in names]


async def at_rest(client: AsyncClient) -> tuple[int, dict[str, int], int]:
    """Cash, positions and resting orders by request."""
    account, positions = await client.account(), await client.positions()
    held = {position.symbol: position.net_qty for position in positions.items if position.net_qty}
    return account.cash_cents, held, account.open_orders


async def equals_rest(summary: Summary, client: AsyncClient) -> None:
    """What a market paid that settled just after the run ended is counted in."""
    cash_cents, held, resting = await at_rest(client)
    assert resting == 0
    if held == summary.positions:
        assert cash_cents == summary.cash_cents
        return
    gone = summary.positions.keys() - held.keys()
    assert gone and held.items() <= summary.positions.items()
    paid = [entry for entry in (await client.ledger()).items if entry.kind == "SETTLEMENT"]
    markets = {symbol: (await client.market(symbol)).id for symbol in gone}
    late = sum(entry.amount_cents for entry in paid if entry.market_id in markets.values())
    assert cash_cents == summary.cash_cents + late


async def test_sample_agents_trade_through_settlements_and_agree_with_the_venue(venue: VenueProcess) -> None:
    clients = await agents(venue, "rn-maker", "rn-fair", "rn-first", "rn-second")
    strategies: list[Strategy] = [
        MakerAgent(quiet_ms=500),
        FairAgent(wake_every_ms=100, quiet_ms=300, edge_cents=0.5),
        RandomAgent(seed=1, wake_every_ms=100, quiet_ms=300),
        RandomAgent(seed=2, wake_every_ms=100, quiet_ms=300),
    ]
    logs = [settlements(2), Log(lambda steps: False), settlements(2), settlements(2)]

    async def enough() -> None:
        for log in (logs[0], logs[2], logs[3]):
            await log.until()

    over = asyncio.ensure_future(enough())
    summaries = await asyncio.gather(
        *(
            run(strategy, client, until=asyncio.shield(over), on_step=log)
            for strategy, client, log in zip(strategies, clients, logs, strict=True)
        )
    )
    for summary, client, log in zip(summaries, clients, logs, strict=True):
        await equals_rest(summary, client)
        ended = log.of(Ended)
        assert len({step.market for step in ended}) == len(ended) == summary.windows
        assert sum(step.pnl_cents for step in ended) == summary.pnl_cents
        told = {step.market: step.pnl_cents for step in ended if step.pnl_cents}
        paid = {e.market_id: e.amount_cents for e in (await client.ledger(limit=250)).items if e.kind == "SETTLEMENT"}
        for symbol, pnl_cents in told.items():
            assert paid[(await client.market(symbol)).id] == pnl_cents
        fills = [fill async for fill in client.iter_fills()]
        assert (summary.fills, summary.contracts) == (len(fills), sum(fill.qty for fill in fills))
        await client.aclose()
    assert summaries[0].fills and summaries[2].fills and summaries[3].fills


def check_view(view: View) -> None:
    assert view.open_at_ms <= view.now_ms + 1_000 and view.now_ms < view.close_at_ms
    for levels, sign in ((view.bids, -1), (view.asks, 1)):
        prices = [price * sign for price, _ in levels]
        assert prices == sorted(set(prices)) and all(qty > 0 for _, qty in levels)
    if view.bids and view.asks:
        assert view.bids[0][0] < view.asks[0][0]
    times = [ts_ms for ts_ms, _ in view.reference_history]
    assert times == sorted(set(times)) and (not times or times[0] >= times[-1] - 300_000)
    assert 0 <= view.free_cash_cents <= view.cash_cents
    # the own account and the book are one moment: what rests is in the book
    totals = {("BUY", price): qty for price, qty in view.bids} | {("SELL", price): qty for price, qty in view.asks}
    for order in view.orders.values():
        assert totals.get((order.side, order.price), 0) >= order.remaining_qty, (order, totals)


class Checked(StrategyBase):
    """Rests, moves and takes away orders; each view must show what was done before it."""

    wake_every_ms = 100

    def __init__(self) -> None:
        self.expected: dict[str, int] = {}
        self.seen = 0
        self._market = ""

    def decide(self, view: View) -> Sequence[Action]:
        check_view(view)
        if view.market != self._market:
            self._market, self.expected = view.market, {}
        assert {key: order.remaining_qty for key, order in view.orders.items()} == self.expected
        self.seen += 1
        kind = self.seen % 4
        if kind == 1:
            return [Place("BUY", 3, 20 + self.seen % 7), Place("SELL", 2, 80)]
        if kind == 2:
            return [Quotes("q", ((10, 5), (9, 5)), ((90, 5),))]
        if kind == 3:
            return [Quotes("q", ((10, 4),), ((91, 5),)), Place("BUY", 1, 30)]
        return [CancelAll()]

    def told(self, outcome: Outcome) -> None:
        assert outcome.ok or outcome.reason in ("MARKET_CLOSED", "MARKET_NOT_OPEN"), outcome
        if isinstance(outcome.action, CancelAll):
            self.expected.clear()
        elif isinstance(outcome.action, Quotes):
            for key in [key for key, qty in self.expected.items() if key in self._quoted]:
                del self.expected[key]
            self._quoted = {order.order_id for order in outcome.orders}
            self.expected |= {o.order_id: o.remaining_qty for o in outcome.orders if o.remaining_qty}
        elif outcome.order is not None and outcome.order.remaining_qty:
            self.expected[outcome.order.order_id] = outcome.order.remaining_qty

    _quoted: set[str] = set()


async def test_each_view_shows_all_that_was_done_before_it(venue: VenueProcess) -> None:
    (client,) = await agents(venue, "rn-checked")
    log = Log(
        lambda steps: len({step.view.market for step in steps if isinstance(step, Decided)}) >= 2 and len(steps) > 80
    )
    strategy = Checked()
    summary = await run(strategy, client, until=log.until(), on_step=log)
    assert summary.decisions >= 60 and strategy.seen == summary.decisions
    assert (await client.account()).open_orders == 0
    await client.aclose()


class Recorder(StrategyBase):
    """Remembers every call a strategy gets, and what it answered."""

    def __init__(self, inner: Strategy) -> None:
        self.inner = inner
        self.wake_every_ms = inner.wake_every_ms
        self.calls: list[tuple[str, Any, Any]] = []

    def decide(self, view: View) -> Sequence[Action]:
        actions = self.inner.decide(view)
        self.calls.append(("decide", view, tuple(actions)))
        return actions

    def told(self, outcome: Outcome) -> None:
        self.inner.told(outcome)
        self.calls.append(("told", outcome, None))

    def settled(self, market: str, resolution: Resolution, pnl_cents: int) -> None:
        self.inner.settled(market, resolution, pnl_cents)
        self.calls.append(("settled", (market, resolution, pnl_cents), None))


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomAgent(seed=7, wake_every_ms=100, quiet_ms=300),
        lambda: MakerAgent(quiet_ms=500),
        lambda: FairAgent(wake_every_ms=100, quiet_ms=300, edge_cents=0.5),
    ],
)
async def test_the_same_views_lead_to_the_same_actions(venue: VenueProcess, make: Callable[[], Strategy]) -> None:
    name = f"rn-same-{make().__class__.__name__}"
    client, other = await agents(venue, name, name + "-x")
    recorder, log = Recorder(make()), Log(lambda steps: sum(isinstance(s, Decided) for s in steps) >= 80)
    over = asyncio.ensure_future(log.until())
    await asyncio.gather(
        run(recorder, client, until=asyncio.shield(over), on_step=log),
        run(RandomAgent(seed=3, wake_every_ms=100, quiet_ms=300), other, until=asyncio.shield(over)),
    )
    again = make()
    acted = 0
    for kind, given, answered in recorder.calls:
        if kind == "decide":
            assert tuple(again.decide(given)) == answered
            acted += bool(answered)
        elif kind == "told":
            again.told(given)
        else:
            again.settled(*given)
    # what a step shows is what the strategy saw
    assert [(s.view, s.actions) for s in log.of(Decided)] == [(v, a) for k, v, a in recorder.calls if k == "decide"]
    assert acted or isinstance(again, FairAgent)
    for one in (client, other):
        await one.aclose()


async def test_a_run_goes_on_after_cuts(venue: VenueProcess) -> None:
    direct, other = await agents(venue, "rn-cut", "rn-cut-other")
    log = settlements(2)
    port = int(venue.url.rsplit(":", 1)[1])
    async with Proxy(port) as proxy, AsyncClient(proxy.url, direct.api_key) as client:

        async def cutting() -> None:
            for count in (5, 20, 40):
                await until(lambda count=count: len(log.of(Decided)) >= count)
                before = proxy.accepted
                proxy.cut_now()
                await until(lambda before=before: proxy.accepted > before)
            proxy.refuse()
            proxy.cut_now()
            await until(lambda: bool(log.of(Waiting)) and log.of(Waiting)[-1].why.startswith("not current"))
            decided = len(log.of(Decided))
            tried = proxy.accepted
            await until(lambda: proxy.accepted > tried + 1)
            assert len(log.of(Decided)) == decided, "decided on what may be old"
            proxy.accept()
            await until(lambda: len(log.of(Decided)) > decided + 20)
            await log.until()

        over = asyncio.ensure_future(cutting())
        summary, _ = await asyncio.gather(
            run(RandomAgent(seed=4, wake_every_ms=50, quiet_ms=300), client, until=asyncio.shield(over), on_step=log),
            run(RandomAgent(seed=5, wake_every_ms=50, quiet_ms=300), other, until=asyncio.shield(over)),
        )
        over.result()
    assert summary.fills
    await equals_rest(summary, direct)
    fills = [fill async for fill in direct.iter_fills()]
    assert (summary.fills, summary.contracts) == (len(fills), sum(fill.qty for fill in fills))
    for one in (direct, other):
        await one.aclose()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not true():
            await asyncio.sleep(0.005)


class Resting(StrategyBase):
    """Keeps one bid resting."""

    wake_every_ms = 50

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def decide(self, view: View) -> Sequence[Action]:
        return () if view.orders or view.close_at_ms - view.now_ms < 1_000 else [Place("BUY", 1, 10)]

    def told(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Faulty(Resting):
    def decide(self, view: View) -> Sequence[Action]:
        if view.orders:
            raise ZeroDivisionError("a fault of the strategy")
        return super().decide(view)


async def test_a_fault_of_the_strategy_ends_the_run_without_its_orders(venue: VenueProcess) -> None:
    (client,) = await agents(venue, "rn-faulty")
    with pytest.raises(ZeroDivisionError, match="a fault of the strategy") as caught:
        async with asyncio.timeout(WITHIN_S):
            await run(Faulty(), client)
    assert any("decide" in entry.name for entry in caught.traceback)
    orders = (await client.orders()).items
    assert orders and orders[0].status == "CANCELLED" and orders[0].cancel_reason == "USER"
    assert (await client.account()).open_orders == 0
    await client.aclose()


@pytest.mark.parametrize("cancels", [True, False])
async def test_a_run_that_is_cancelled_cancels_its_orders_if_so_asked(venue: VenueProcess, cancels: bool) -> None:
    (client,) = await agents(venue, f"rn-cancelled-{cancels}")
    log = Log(lambda steps: isinstance(steps[-1], Decided) and bool(steps[-1].view.orders))
    running = asyncio.create_task(run(Resting(), client, on_step=log, cancel_on_stop=cancels))
    await log.until()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    newest = (await client.orders(limit=1)).items[0]
    expected = ("CANCELLED", "USER") if cancels else ("OPEN", None)
    # where it was left alone, its window may have closed meanwhile
    assert (newest.status, newest.cancel_reason) in (expected, ("CANCELLED", "MARKET_CLOSED"))
    await client.aclose()


async def test_a_revoked_key_ends_the_run_and_says_so(venue: VenueProcess) -> None:
    (client,) = await agents(venue, "rn-revoked")
    log = Log(lambda steps: isinstance(steps[-1], Decided))
    running = asyncio.create_task(run(Resting(), client, on_step=log))
    await log.until()
    assert client.api_key is not None
    key_id = client.api_key.removeprefix("rk_live_").rsplit("_", 1)[0]
    venue.admin("POST", f"/keys/{key_id}/revoke", TOKEN, json={})
    with pytest.raises(VenueError) as caught:
        async with asyncio.timeout(WITHIN_S):
            await running
    assert caught.value.code == "AUTH_REVOKED"
    await client.aclose()


async def test_a_frozen_venue_is_shown_and_declines_are_told(venue: VenueProcess) -> None:
    (client,) = await agents(venue, "rn-frozen")
    strategy = Resting()
    frozen = Log(
        lambda steps: isinstance(steps[-1], Decided) and any(o.reason == "EXCHANGE_FROZEN" for o in steps[-1].outcomes)
    )
    thawed = Log(lambda steps: isinstance(steps[-1], Decided) and bool(steps[-1].view.orders))
    venue.admin("POST", "/freeze", TOKEN, json={"reason": "a test"})

    def both(step: Step) -> None:
        frozen(step)
        if frozen.reached.is_set():
            thawed(step)

    running = asyncio.create_task(run(strategy, client, until=thawed.until(), on_step=both))
    try:
        await frozen.until()
        assert frozen.of(Decided)[-1].view.frozen
    finally:
        venue.admin("POST", "/unfreeze", TOKEN, json={})
    await running
    assert not thawed.of(Decided)[-1].view.frozen
    await client.aclose()


class Busy(StrategyBase):
    """Sends more than the budget allows, and pulls its quote when there is nothing left."""

    wake_every_ms = 20

    def __init__(self) -> None:
        self.limited: list[Outcome] = []
        self.pulled: list[Outcome] = []
        self._number = 0

    def decide(self, view: View) -> Sequence[Action]:
        if self.limited and view.orders:
            return [Quotes("busy")]
        self._number += 1
        return [Quotes("busy", ((10 + self._number % 5, 1),))]

    def told(self, outcome: Outcome) -> None:
        if outcome.reason == "RATE_LIMITED":
            self.limited.append(outcome)
        elif isinstance(outcome.action, Quotes) and not outcome.action.bids and outcome.ok:
            self.pulled.append(outcome)


async def test_a_budget_that_is_used_up_is_waited_for_and_the_way_out_stays_open(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        venue = host.serve("--no-house", RAETH_SERIES__WINDOW_MS="4000", RAETH_LIMITS__WRITES_PER_MINUTE="5")
        (client,) = await agents(venue, "rn-busy")
        strategy = Busy()
        log = Log(lambda steps: len(strategy.limited) >= 3 and len(steps) > 20)
        summary = await run(strategy, client, until=log.until(), on_step=log)
        waits = [outcome.details["retry_after_ms"] for outcome in strategy.limited]
        assert all(0 < wait_ms <= 61_000 for wait_ms in waits) and waits == sorted(waits, reverse=True)
        # only the first refusal was the venue's: the others were not sent
        orders = [order async for order in client.iter_orders()]
        assert len(orders) <= 5 and summary.declined >= 3
        assert (await client.account()).open_orders == 0
        await client.aclose()


async def test_a_run_needs_a_key_and_a_venue(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAETH_API_KEY", raising=False)
    async with AsyncClient(venue.url) as nobody:
        with pytest.raises(ValueError, match="key"):
            await run(Resting(), nobody)
