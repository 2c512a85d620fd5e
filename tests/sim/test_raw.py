"""The engine alone: the raw driver feeds it, counts what came out, and settles to the cent."""

from __future__ import annotations

import random

import pytest

from raeth.engine import invariants
from raeth.engine.commands import OrderSpec
from raeth.engine.types import Settings
from raeth.sim.raw import Entry, RawVenue


def entries(venue: RawVenue, count: int, seed: int = 1) -> list[Entry]:
    rnd = random.Random(seed)
    market = venue.market.id
    return [
        (
            rnd.randrange(len(venue.agents)),
            OrderSpec(
                market, rnd.randrange(2), "LIMIT", rnd.choice(["GTC", "IOC"]), rnd.randint(40, 60), rnd.randint(1, 20)
            ),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("outcome", ["YES", "NO", "VOID"])
def test_money_is_conserved_window_after_window(outcome: str) -> None:
    venue = RawVenue(5)
    cash = sum(agent.cash for agent in venue.agents)
    move = {"YES": 1, "NO": -1, "VOID": 0}[outcome]
    price = 9_500_000
    for window in range(3):
        tally = venue.feed(entries(venue, 400, seed=window))
        assert tally.entries == 400 and tally.trades > 50 and tally.rejected == 0
        invariants.check(venue.state)
        price += move
        assert venue.settle(price) == outcome
    assert sum(agent.cash for agent in venue.agents) + venue.state.fees_cents == cash
    assert (venue.state.fees_cents > 0) == (outcome != "VOID")


def test_cancels_and_declines_are_entries_too() -> None:
    venue = RawVenue(2)
    rest = OrderSpec(venue.market.id, 0, "LIMIT", "GTC", 40, 5)
    assert venue.feed([(0, rest)]).trades == 0
    (order,) = venue.state.orders
    assert venue.feed([(1, order)]).entries == 1
    assert list(venue.state.orders) == [order], "somebody else's"
    venue.feed([(0, order)])
    assert not venue.state.orders
    wrong = OrderSpec(venue.market.id, 0, "LIMIT", "GTC", 100, 5)
    assert venue.feed([(0, wrong)]).rejected == 1


def test_it_can_be_judged_by_the_venues_own_rules() -> None:
    venue = RawVenue(2, rules=Settings(reference_kind="simulated"))
    big = OrderSpec(venue.market.id, 0, "LIMIT", "GTC", 40, 2_001)
    assert venue.feed([(0, big)]).rejected == 1
    assert [venue.settle(price) for price in (9_500_001, 9_500_000, 9_500_000)] == ["YES", "NO", "VOID"]


def test_the_same_orders_give_the_same_chain() -> None:
    heads = []
    for _ in range(2):
        venue = RawVenue(4, chained=True)
        venue.feed(entries(venue, 300))
        venue.settle(9_500_001)
        heads.append(venue.core.chain_head)
    assert heads[0] == heads[1] != RawVenue(4, chained=True).core.chain_head
