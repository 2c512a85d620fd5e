"""Any commands in any order: after every step the money is all there, the book is whole, and a snapshot loses nothing.

The `Accountant` reads events only and keeps its own wallets, positions and book; comparing it with the state proves the
events complete, because everything outside the engine is read off them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.codec import encode_events
from raeth.engine.deadman import armed
from raeth.engine.exchange import apply, new_state, preview
from raeth.engine.invariants import check
from raeth.engine.snapshot import dump, load
from raeth.engine.state import State
from raeth.engine.types import BUY, ENGINE_VERSION, SELL, KeySpec, Order, Settings
from tests.engine.workloads import GENESIS_MS, key_of

MINUTE_MS = 60_000
GRANTS = ("SIGNUP_GRANT", "FAUCET", "GRANT")

RULES = Settings(
    reference_kind="simulated",
    max_order_qty=50,
    max_order_notional_cents=2_000,
    position_cap=60,
    cooldown_rejects=4,
    cooldown_window_ms=5_000,
    cooldown_ms=2_000,
    open_orders_per_market=6,
    signup_grant_cents=3_000,
    faucet_amount_cents=500,
    faucet_cooldown_ms=2_000,
    faucet_account_cap_cents=1_500,
)

sides = st.sampled_from([BUY, SELL])
prices = st.sampled_from([*range(47, 54)] * 6 + [-1, 0, 1, 2, 98, 99, 100])
sizes = st.sampled_from([*range(1, 13)] * 3 + [0, -1, 30, 51])
picks = st.integers(0, 10_000)
seldom = st.sampled_from([False] * 11 + [True])
policies = st.sampled_from(["CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"])
levels = st.lists(st.tuples(st.integers(40, 49), sizes), max_size=3, unique_by=lambda level: level[0])


class Accountant:
    """What an outsider knows: wallets from `CashMoved`, positions from `Traded`, the book from orders' events."""

    def __init__(self) -> None:
        self.granted = 0
        self.wallets: dict[int, int] = defaultdict(int)
        self.live: set[int] = set()
        self.fees: dict[int, int] = defaultdict(int)
        self.net: dict[tuple[int, int], int] = defaultdict(int)
        self.flow: dict[tuple[int, int], int] = defaultdict(int)
        self.resting: dict[int, Order] = {}
        self.left: dict[int, int] = {}
        self.agents: list[int] = []

    def read(self, events: list[ev.Event]) -> None:
        for event in events:
            match event:
                case ev.AgentCreated():
                    self.agents.append(event.agent)
                case ev.CashMoved():
                    self.wallets[event.wallet] += event.amount_cents
                    assert self.wallets[event.wallet] == event.balance_after_cents
                    self.granted += event.amount_cents if event.kind in GRANTS else 0
                case ev.MarketListed():
                    self.live.add(event.market)
                case ev.MarketResolved():
                    self.live.remove(event.market)
                    assert event.fees_cents == (0 if event.outcome == "VOID" else self.fees[event.market])
                case ev.Traded():
                    self._trade(event)
                case ev.OrderPlaced() | ev.OrderAmended() | ev.OrderReduced() | ev.OrderEnded():
                    self._order(event)

    def _trade(self, event: ev.Traded) -> None:
        bought = event.qty if event.taker_side == BUY else -event.qty
        for agent, qty, fee in (
            (event.taker_agent, bought, event.taker_fee_cents),
            (event.maker_agent, -bought, event.maker_fee_cents),
        ):
            self.net[event.market, agent] += qty
            self.flow[event.market, agent] -= qty * event.price + fee
        self.fees[event.market] += event.taker_fee_cents + event.maker_fee_cents
        self.left[event.maker_order] -= event.qty
        assert self.left[event.maker_order] == event.maker_remaining
        if not event.maker_remaining:
            del self.left[event.maker_order], self.resting[event.maker_order]

    def _order(self, event: ev.OrderPlaced | ev.OrderAmended | ev.OrderReduced | ev.OrderEnded) -> None:
        order = event.order
        before = self.left.pop(order.id, 0)
        self.resting.pop(order.id, None)
        if isinstance(event, ev.OrderReduced | ev.OrderEnded):
            assert before == event.was
        if order.remaining:
            self.left[order.id] = order.remaining
            self.resting[order.id] = order

    def lock(self, market: int, agent: int) -> int:
        costs = [0, 0]
        for order in self.resting.values():
            if (order.market, order.agent) == (market, agent):
                assert order.price is not None
                costs[order.side] += self.left[order.id] * (order.price if order.side == BUY else 100 - order.price)
        net, flow = self.net[market, agent], self.flow[market, agent]
        return max(0, -flow + costs[BUY], -flow - 100 * net + costs[SELL])

    def compare(self, state: State) -> None:
        assert sum(self.wallets.values()) == self.granted == state.granted_cents, "money was made or lost"
        assert self.left == {order.id: order.remaining for order in state.orders.values()}
        assert self.live == set(state.markets)
        for market in self.live:
            assert sum(self.net[market, agent] for agent in self.agents) == 0
            assert sum(self.flow[market, agent] for agent in self.agents) + self.fees[market] == 0
            bids = [o.price for o in self.resting.values() if o.market == market and o.side == BUY]
            asks = [o.price for o in self.resting.values() if o.market == market and o.side == SELL]
            assert not bids or not asks or max(bids) < min(asks), "the book is crossed"
        for agent in self.agents:
            locked = sum(self.lock(market, agent) for market in self.live)
            assert self.wallets[agent] == state.agents[agent].cash
            assert locked == state.agents[agent].locked
            assert locked <= self.wallets[agent], "free cash below zero"


class Venue(RuleBasedStateMachine):
    """One engine under any commands, and, from some point on, a second one that continues from a snapshot."""

    def __init__(self) -> None:
        super().__init__()
        self.state = new_state()
        self.shadow: State | None = None
        self.books = Accountant()
        self.seq = 0
        self.ts = GENESIS_MS

    def do(self, command: cmd.Command) -> list[ev.Event]:
        self.seq += 1
        events = apply(self.state, command, self.seq, self.ts)
        if self.shadow is not None:
            assert encode_events(apply(self.shadow, command, self.seq, self.ts)) == encode_events(events)
        self.books.read(events)
        return events

    def someone(self, pick: int) -> tuple[int, str]:
        index = pick % len(self.books.agents)
        return self.books.agents[index], key_of(index)

    def market(self, pick: int) -> int:
        """Mostly the open one; now and then the next, one that ended, or none."""
        live = self.state.live
        others = [0, *self.state.markets, 1]
        return live.id if live is not None and pick % 16 != 7 else others[pick % len(others)]

    def order(self, pick: int) -> Order | None:
        return list(self.state.orders.values())[pick % len(self.state.orders)] if self.state.orders else None

    @initialize(offset=st.integers(0, 59_999), tie=st.sampled_from(["VOID", "YES", "NO"]), agents=st.integers(1, 3))
    def open(self, offset: int, tie: str, agents: int) -> None:
        self.ts += offset
        fields = {name: getattr(RULES, name) for name in RULES.__struct_fields__}
        self.do(cmd.Configure(ENGINE_VERSION, Settings(**{**fields, "tie_rule": tie})))
        for account in range(3):
            index = len(self.books.agents)
            key = KeySpec(key_of(index), "00", "key", ("read", "trade"))
            created = self.do(cmd.Signup(f"digest-{account}", f"agent-{index}", key))
            account_id = next(e.account for e in created if isinstance(e, ev.AccountCreated))
            for _ in range(agents - 1):
                index = len(self.books.agents)
                self.do(cmd.CreateAgent(account_id, f"agent-{index}"))
                key = KeySpec(key_of(index), "00", "key", ("read", "trade"))
                self.do(cmd.IssueKey(account_id, self.books.agents[index], key))
                self.do(cmd.GrantCash("op", self.books.agents[index], 1_500, "start"))
        # On to the open market, where things happen.
        boundary = (self.ts // MINUTE_MS + 1) * MINUTE_MS
        while self.ts < boundary:
            self.ts = min(boundary, self.ts + 5_000)
            self.do(cmd.IndexTick(10_000_000, self.ts, "test"))
        self.do(cmd.Print(boundary, 10_000_000, boundary, "test", "LAST", None, ()))

    @rule(ms=st.one_of(st.integers(0, 1_500), st.integers(0, 5_000)))
    def wait(self, ms: int) -> None:
        self.ts += ms
        self.do(cmd.Tick())

    @rule(really=seldom, early=st.sampled_from([1, 0, -1, -2_000]))
    def wait_for_the_boundary(self, really: bool, early: int) -> None:
        if not really:
            return  # a window should see some trading
        boundary = (self.ts // MINUTE_MS + 1) * MINUTE_MS
        while self.ts < boundary - early:
            self.ts = min(boundary - early, self.ts + 5_000)
            self.do(cmd.IndexTick(10_000_000, self.ts, "test"))

    @rule(ms=st.sampled_from([5_001, 30_000, 90_000, 200_000]), really=seldom)
    def sleep(self, ms: int, really: bool) -> None:
        self.ts += ms if really else 1
        self.do(cmd.Tick())

    @rule(price=st.integers(9_999_999, 10_000_001), age=st.sampled_from([0, 100, 5_000]))
    def tick(self, price: int, age: int) -> None:
        self.do(cmd.IndexTick(price, self.ts - age, "test"))

    @precondition(lambda self: self.state.unprinted)
    @rule(
        price=st.sampled_from([9_999_999, 10_000_000, 10_000_001] * 4 + [None]),
        age=st.sampled_from([0] * 8 + [5_000, 5_001]),
    )
    def print_price(self, price: int | None, age: int) -> None:
        boundary = next(iter(self.state.unprinted))
        self.do(cmd.Print(boundary, price, boundary - age, "test", "LAST", None, ()))

    def spec(self, draw: st.DataObject) -> cmd.OrderSpec:
        kind = draw.draw(st.sampled_from(["LIMIT", "LIMIT", "LIMIT", "MARKET"]))
        tifs = ["GTC", "GTC", "GTC", "IOC", "FOK", "POST_ONLY"] if kind == "LIMIT" else ["IOC", "FOK"]
        return cmd.OrderSpec(
            self.market(draw.draw(picks)),
            draw.draw(sides),
            kind,
            draw.draw(st.sampled_from(tifs)),
            draw.draw(prices) if kind == "LIMIT" else None,
            draw.draw(sizes),
            draw.draw(st.sampled_from([None, None, 0, 2])) if kind == "MARKET" else None,
            draw.draw(st.sampled_from([False, False, False, True])),
            expires_at=draw.draw(st.sampled_from([None, None, None, self.ts, self.ts + 700, self.ts + 90_000])),
            stp=draw.draw(policies),
        )

    @rule(draw=st.data(), pick=picks)
    def place(self, draw: st.DataObject, pick: int) -> None:
        """What `preview` says of an order is what happens to it, and asking changes nothing."""
        agent, key = self.someone(pick)
        spec = self.spec(draw)
        self.do(cmd.Tick())
        before = dump(self.state)
        said = preview(self.state, self.state.agents[agent], spec, self.ts)
        assert dump(self.state) == before
        events = self.do(cmd.PlaceOrder(agent, key, spec))
        placed = [e.order for e in events if isinstance(e, ev.OrderPlaced)]
        if said is None or not placed:
            return
        assert placed[0].reject_reason == (said.decline[0] if said.decline else None)
        if said.plan is not None:
            assert [f.qty for f in placed[0].fills] == [qty for _, qty in said.plan.fills]
            assert placed[0].fee_cents == said.fee_cents
            held = self.state.markets[spec.market].positions[agent]
            assert (held.net, held.cash_flow, held.lock) == (said.net, said.cash_flow_cents, said.lock_cents)

    @rule(
        pick=picks, other=picks, price=st.integers(40, 60), side=sides, qty=st.integers(1, 9), more=st.integers(-3, 3)
    )
    def trade(self, pick: int, other: int, price: int, side: int, qty: int, more: int) -> None:
        """One agent offers, another takes: without it positions would be rare."""
        if self.state.live is None:
            return
        market = self.state.live.id
        offer = cmd.OrderSpec(market, side, "LIMIT", "GTC", price, qty)
        self.do(cmd.PlaceOrder(*self.someone(pick), offer))
        take = cmd.OrderSpec(market, 1 - side, "LIMIT", "GTC", price, max(1, qty + more))
        self.do(cmd.PlaceOrder(*self.someone(other), take))

    @rule(draw=st.data(), pick=picks, legs=st.integers(1, 4), atomic=st.booleans())
    def batch(self, draw: st.DataObject, pick: int, legs: int, atomic: bool) -> None:
        agent, key = self.someone(pick)
        events = self.do(cmd.PlaceBatch(agent, key, tuple(self.spec(draw) for _ in range(legs)), atomic))
        placed = [e.order.status for e in events if isinstance(e, ev.OrderPlaced)]
        assert len(placed) in (0, legs)
        if atomic:
            assert set(placed) in ({"FILLED"}, {"REJECTED"}, set())

    @rule(pick=picks, bids=levels, asks=levels, name=st.sampled_from(["a", "b"]))
    def quote(self, pick: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]], name: str) -> None:
        agent, key = self.someone(pick)
        above = tuple((100 - price, qty) for price, qty in asks)
        self.do(cmd.PutQuotes(agent, key, self.market(pick), name, tuple(bids), above))

    @rule(pick=picks, price=st.one_of(st.none(), prices), qty=st.one_of(st.none(), sizes))
    def amend(self, pick: int, price: int | None, qty: int | None) -> None:
        order = self.order(pick)
        if order is None or (price is None and qty is None):
            return
        agent, key = self.someone(self.books.agents.index(order.agent))
        self.do(cmd.AmendOrder(agent, key, order.id, price, qty))

    @rule(pick=picks, mine=st.sampled_from([True, True, True, False]))
    def cancel(self, pick: int, mine: bool) -> None:
        order = self.order(pick)
        agent, key = self.someone(pick if order is None or not mine else self.books.agents.index(order.agent))
        self.do(cmd.CancelOrder(agent, key, 5 if order is None else order.id))

    @rule(pick=picks, side=st.one_of(st.none(), sides), name=st.sampled_from([None, None, "a"]), listed=st.booleans())
    def cancel_many(self, pick: int, side: int | None, name: str | None, listed: bool) -> None:
        if pick % 3 != 1:
            return  # seldom: else nothing ever rests for long
        agent, key = self.someone(pick)
        orders = tuple(self.state.orders)[:3] if listed else None
        self.do(cmd.CancelOrders(agent, key, orders, None, side, name, None))

    @rule(
        pick=picks,
        timeout_ms=st.sampled_from([1_000, 1_000, 1_500, 3_000, 60_000, 0]),
        scope=st.sampled_from([False, False, True]),
    )
    def deadman(self, pick: int, timeout_ms: int, scope: bool) -> None:
        agent, key = self.someone(pick)
        market = self.market(pick) if scope else None
        told = self.do(cmd.CallDeadman(agent, key, timeout_ms, market))[-1]
        if isinstance(told, ev.DeadmanSet):
            assert told.armed_until == (self.ts + timeout_ms if timeout_ms else None)
        else:
            assert told == ev.Refused("MARKET_CLOSED") and not self.is_open(market)

    def is_open(self, market: int | None) -> bool:
        return market in self.state.markets and self.state.markets[market].status in ("PENDING", "OPEN")

    @rule(ms=st.integers(0, 5_000), really=seldom)
    def come_back(self, ms: int, really: bool) -> None:
        """What was armed has as long to go as before, however long nobody could be reached."""
        before = self.ts
        left = {(a, m): timer.until - before for a, m, timer in armed(self.state)}
        self.ts += ms if really else 1
        self.do(cmd.Resurface())
        for agent, market, timer in armed(self.state):
            assert timer.until - self.ts == left[agent, market]

    @rule(pick=picks)
    def faucet(self, pick: int) -> None:
        self.do(cmd.Faucet(*self.someone(pick)))

    @rule(pick=picks, other=picks, amount=st.integers(1, 4_000), way=st.sampled_from(["in", "out", "across"]))
    def transfer(self, pick: int, other: int, amount: int, way: str) -> None:
        agent, _ = self.someone(pick)
        account = self.state.agents[agent].account.id
        source = account if way == "in" else agent
        target = agent if way == "in" else account if way == "out" else self.someone(other)[0]
        if source != target:
            self.do(cmd.Transfer(account, source, target, amount))

    @rule(pick=picks, what=st.sampled_from(["halt", "resume", "void", "freeze", "suspend", "grant", "configure"]))
    def operate(self, pick: int, what: str) -> None:
        if pick % 3 != 1:
            return  # seldom, and what stops trading is mostly undone in the same breath
        market, (agent, _) = self.market(pick), self.someone(pick)
        undo = pick % 5 != 3
        match what:
            case "halt":
                self.do(cmd.HaltMarket("op", market, "why"))
                if undo:
                    self.do(cmd.ResumeMarket("op", market, None))
            case "resume":
                self.do(cmd.ResumeMarket("op", market, None))
            case "void" if pick % 5 == 3:
                self.do(cmd.VoidMarket("op", market, "why"))
            case "freeze":
                self.do(cmd.Freeze("op", "why"))
                if undo:
                    self.do(cmd.Unfreeze("op", None))
            case "suspend":
                self.do(cmd.SuspendAgent("op", agent, "why"))
                if undo:
                    self.do(cmd.ReinstateAgent("op", agent, None))
            case "grant":
                self.do(cmd.GrantCash("op", agent, 700, "why"))
            case "configure":
                self.do(cmd.Configure(ENGINE_VERSION, RULES))

    @rule()
    def unfreeze(self) -> None:
        self.do(cmd.Unfreeze("op", None))

    @rule()
    def snapshot(self) -> None:
        """A second engine goes on from the bytes; a first one must not notice that they were taken."""
        data = dump(self.state)
        self.shadow = load(data)
        assert dump(self.shadow) == data

    @invariant()
    def money_is_all_there(self) -> None:
        check(self.state)
        self.books.compare(self.state)

    def teardown(self) -> None:
        if self.shadow is not None:
            assert dump(self.shadow) == dump(self.state)


def _profile(examples: int, steps: int) -> Any:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


TestVenue = Venue.TestCase
TestVenue.settings = _profile(75, 100)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_the_venue_for_long() -> None:
    run_state_machine_as_test(Venue, settings=_profile(1_500, 100))
