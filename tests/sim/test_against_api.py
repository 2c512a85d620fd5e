"""What a simulated agent is told is what the API answers: the same actions against both, outcome by outcome."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from raeth.client.strategy import Action, Amend, Cancel, CancelAll, OrderResult, Outcome, Place, Quotes
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.sim.core import Core
from raeth.sim.desk import Desk as Way
from tests.api.harness import GENESIS_MS, RULES, STRIKE_CENTS, Trader, opened_desk
from tests.api.harness import Desk as Venue

NUMBERS = ("required_cents", "free_cash_cents", "max_qty", "best_non_crossing_price", "price_min", "price_max")
NUMBERS += ("position_cap", "mark_price", "retry_after_ms")
ACTIONS = 350
CASH_CENTS = 20_000


class Pair:
    """One agent on both sides, and its orders by both their ids."""

    def __init__(self, trader: Trader, way: Way) -> None:
        self.trader = trader
        self.way = way
        self.ids: dict[str, str] = {}


class Both:
    """The venue behind HTTP and the simulated one, moved together."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.core = Core(RULES, GENESIS_MS)
        self.ways: dict[int, Way] = {}
        # What `Simulation` does for its seats.
        self.core.handlers[ev.Traded] = self._traded
        self.core.handlers[ev.OrderPlaced] = self.core.handlers[ev.OrderAmended] = self._placed

    def _traded(self, event: Any, ts: int) -> None:
        if not event.maker_remaining:
            self.ways[event.maker_agent].filled.add(event.maker_order)

    def _placed(self, event: Any, ts: int) -> None:
        if event.order.status == "FILLED":
            self.ways[event.order.agent].filled.add(event.order.id)

    async def pair(self, name: str) -> Pair:
        trader = await self.venue.trader(name, CASH_CENTS)
        agent = self.core.sign_up(name, None, self.core.state.ts)
        surplus = agent.cash - CASH_CENTS
        account = agent.account.id
        self.core.apply(cmd.Transfer(account, agent.id, account, surplus), self.core.state.ts)
        way = Way(self.core, agent, writes_per_minute=None, cancels_per_minute=None, told=True)
        self.ways[agent.id] = way
        return Pair(trader, way)

    def open(self) -> None:
        """What `opened_desk` did with the venue."""
        assert self.core.state.pending is not None
        boundary = self.core.state.pending.open_at
        self.core.apply(cmd.Tick(), boundary)
        self.core.apply(cmd.Print(boundary, STRIKE_CENTS, boundary - 250, "scripted", "last price", None, ()), boundary)
        self.core.apply(cmd.IndexTick(STRIKE_CENTS, boundary, "scripted"), boundary)

    async def advance(self, by_ms: int) -> None:
        await self.venue.advance(by_ms)
        self.core.apply(cmd.Tick(), self.venue.clock.now_ms())

    async def tick(self) -> None:
        await self.venue.tick()
        now = self.venue.clock.now_ms()
        self.core.apply(cmd.IndexTick(STRIKE_CENTS, now, "scripted"), now)

    async def compare(self, pair: Pair, action: Action) -> Outcome:
        """Do it on both sides; raises AssertionError where they differ. `action` names orders by the API's ids."""
        status, body = await send(pair.trader, action)
        market, now = self.core.state.live, self.venue.clock.now_ms()
        assert market is not None
        outcome = pair.way.do(translated(pair, action), market.id, now)
        if status >= 400:
            assert (outcome.ok, outcome.reason) == (False, body["code"]), (action, body, outcome)
            return outcome
        if isinstance(action, CancelAll):
            assert outcome.ok and outcome.details == {"cancelled": body["cancelled"]}
            return outcome
        bodies = body["results"] if isinstance(action, Quotes) else [body]
        orders = outcome.orders if isinstance(action, Quotes) else (outcome.order,)
        for told, order in zip(bodies, orders, strict=True):
            assert order is not None
            self.same_order(pair, told, order)
        declined = next((told for told in bodies if told["status"] == "REJECTED"), None)
        assert outcome.ok == (declined is None)
        if declined is not None:
            assert outcome.reason == declined["reject_reason"], (action, declined, outcome)
            said = {name: declined["reject_details"][name] for name in NUMBERS if name in declined["reject_details"]}
            assert {name: outcome.details[name] for name in NUMBERS if name in outcome.details} == said
        return outcome

    def same_order(self, pair: Pair, told: dict[str, Any], order: OrderResult) -> None:
        if "order" in told:  # a declined amend carries the untouched order
            told = told["order"]
        elif told["status"] == "REJECTED":
            assert order.status == "REJECTED" and order.reject_reason == told["reject_reason"]
            return
        names = ("side", "price", "qty", "status", "filled_qty", "remaining_qty", "filled_notional_cents", "fee_cents")
        for name in (*names, "client_order_id"):
            assert getattr(order, name) == told[name], (name, told, order)
        pair.ids[told["order_id"]] = order.order_id


def translated(pair: Pair, action: Action) -> Action:
    if isinstance(action, Cancel):
        return Cancel(pair.ids.get(action.order_id, action.order_id))
    if isinstance(action, Amend):
        return Amend(pair.ids.get(action.order_id, action.order_id), action.price, action.qty)
    return action


async def send(trader: Trader, action: Action) -> tuple[int, Any]:
    """One action over HTTP, as a client would."""
    symbol = trader.desk.symbol
    if isinstance(action, Place):
        body: dict[str, Any] = {"market_id": symbol, "side": action.side, "qty": action.qty}
        body |= {"type": "MARKET"} if action.price is None else {"type": "LIMIT", "price": action.price}
        for name in ("tif", "slippage_cap_cents", "client_order_id", "expires_at_ms"):
            if getattr(action, name) is not None:
                body[name] = getattr(action, name)
        body |= {"reduce_only": action.reduce_only, "confirm_fat_finger": action.confirm_fat_finger}
        response = await trader.call("POST", "/orders", json=body)
    elif isinstance(action, Quotes):
        sides = [[{"price": price, "qty": qty} for price, qty in side] for side in (action.bids, action.asks)]
        quote = {"market_id": symbol, "quote_id": action.quote_id, "bids": sides[0], "asks": sides[1]}
        response = await trader.call("PUT", "/quotes", json=quote)
    elif isinstance(action, Cancel):
        response = await trader.call("DELETE", f"/orders/{action.order_id}")
    elif isinstance(action, Amend):
        change = {name: value for name, value in (("price", action.price), ("qty", action.qty)) if value is not None}
        response = await trader.call("PATCH", f"/orders/{action.order_id}", json=change)
    else:
        wanted = {"market_id": symbol, "side": action.side, "quote_id": action.quote_id}
        response = await trader.call("POST", "/orders/cancel", json={k: v for k, v in wanted.items() if v is not None})
    return response.status_code, response.json()


def chosen(rnd: random.Random, pair: Pair, now_ms: int) -> Action:
    dice = rnd.random()
    price = rnd.randint(-1, 101) if rnd.random() < 0.1 else rnd.randint(38, 62)
    qty = rnd.choice([0, 1, 2, 5, 10, 40, 3_000])
    known = list(pair.ids)[-12:]
    if dice < 0.5:
        return Place(
            rnd.choice(["BUY", "SELL"]),
            qty,
            None if rnd.random() < 0.25 else price,
            rnd.choice([None, "GTC", "IOC", "FOK", "POST_ONLY"]),
            reduce_only=rnd.random() < 0.15,
            slippage_cap_cents=rnd.choice([None, None, None, 1]),
            client_order_id=f"key-{rnd.randrange(40)}" if rnd.random() < 0.3 else None,
            expires_at_ms=now_ms + rnd.randint(-5, 2_000) if rnd.random() < 0.15 else None,
            confirm_fat_finger=rnd.random() < 0.1,
        )
    if dice < 0.65:
        bids = tuple((rnd.randint(38, 55), rnd.choice([1, 5, 20])) for _ in range(rnd.randint(0, 3)))
        asks = tuple((rnd.randint(45, 62), rnd.choice([1, 5, 20])) for _ in range(rnd.randint(0, 3)))
        return Quotes(rnd.choice(["one", "two"]), bids, asks)
    if dice < 0.8 and known:
        return Amend(rnd.choice(known), price if rnd.random() < 0.6 else None, max(1, qty))
    if dice < 0.95 and known:
        return Cancel(rnd.choice(known))
    return CancelAll(rnd.choice([None, "BUY", "SELL"]), rnd.choice([None, "one"]))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_simulated_way_in_answers_like_the_api(seed: int, tmp_path: Path) -> None:
    rnd = random.Random(seed)
    async with opened_desk(tmp_path) as venue:
        both = Both(venue)
        both.open()
        pairs = [await both.pair(f"agent-{place}") for place in range(3)]
        seen: dict[str | None, int] = {}
        for number in range(ACTIONS):
            if number % 10 == 0:
                await both.advance(rnd.randint(1, 300))
                await both.tick()
            pair = rnd.choice(pairs)
            outcome = await both.compare(pair, chosen(rnd, pair, venue.clock.now_ms()))
            seen[outcome.reason] = seen.get(outcome.reason, 0) + 1
        state, simulated = venue.sequencer.state, both.core.state
        for pair in pairs:
            one, other = state.agents[pair.trader.agent], pair.way.agent
            assert (one.cash, one.locked) == (other.cash, other.locked)
        assert venue.market.volume == simulated.live.volume > 50  # type: ignore[union-attr]
        assert len(seen) >= 8, f"too little was tried: {seen}"
