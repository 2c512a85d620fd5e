"""An hour of the house among the sample agents: both sides nearly always, and never beyond a bound."""

from __future__ import annotations

from typing import Any

import pytest

from raeth.engine import commands as cmd
from raeth.engine.types import BUY, SELL
from raeth.liquidity.policy import HousePolicy
from raeth.liquidity.settings import HouseSettings
from raeth.sim import Simulation
from tests.liquidity.hours import Hour, overlap_ms, simulate, union

SETTINGS = HouseSettings()
TWO_SIDED = 0.95


def check(hour: Hour, settings: HouseSettings = SETTINGS) -> None:
    assert hour.two_sided >= TWO_SIDED
    assert hour.most_net <= settings.position_limit
    assert hour.worst_window_cents <= settings.window_loss_cap_cents
    assert settings.grant_cents - hour.least_equity_cents <= settings.loss_cap_cents
    assert hour.writes_per_minute <= settings.max_writes_per_minute


def test_an_hour() -> None:
    hour = simulate(1)
    assert hour.tradeable_ms >= 59 * 60_000 and hour.fills > 100
    check(hour)


def test_with_nobody_else() -> None:
    hour = simulate(3, 10, alone=True)
    assert hour.fills == 0 and hour.pnl_cents["house"] == 0
    check(hour)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 14))
def test_many_hours(seed: int) -> None:
    check(simulate(seed))


def test_small_bounds_hold_against_the_same_crowd() -> None:
    """So small that the crowd reaches them: then both sides are not always there, but the bounds are."""
    settings = HouseSettings(position_limit=12, window_loss_cap_cents=700, loss_cap_cents=1_500, level_qty=6)
    hour = simulate(4, 20, settings)
    assert hour.fills > 20 and hour.most_net > 6 and hour.worst_window_cents > 300
    assert hour.most_net <= 12 and hour.worst_window_cents <= 700
    assert settings.grant_cents - hour.least_equity_cents <= 1_500


@pytest.mark.parametrize(
    ("stop", "go_on"),
    [
        (lambda market: cmd.Freeze("test", "x"), lambda market: cmd.Unfreeze("test", None)),
        (lambda market: cmd.HaltMarket("test", market, "x"), lambda market: cmd.ResumeMarket("test", market, None)),
    ],
)
def test_it_pulls_while_nothing_can_be_traded_and_comes_back(stop: Any, go_on: Any) -> None:
    simulation = Simulation({"house": HousePolicy()}, cash_cents=SETTINGS.grant_cents, seed=9)
    simulation.run(windows=1)
    simulation.run_until(simulation.now_ms + 5_000)
    market = simulation.state.live
    assert market is not None
    house = market.positions[simulation.seats["house"].agent.id]
    at_ms = market.open_at + 20_000
    simulation.schedule(at_ms, stop(market.id))
    simulation.schedule(at_ms + 5_000, go_on(market.id))
    simulation.run_until(at_ms)
    assert house.orders
    simulation.run_until(at_ms + 300)
    assert not house.orders
    simulation.run_until(at_ms + 4_999)
    assert not house.orders
    simulation.run_until(at_ms + 5_600)
    assert {order.side for order in house.orders.values()} == {BUY, SELL}


def test_the_same_seed_gives_the_same_hour() -> None:
    one, two = simulate(5, 3), simulate(5, 3)
    assert one.result.state_hash == two.result.state_hash and one.fills == two.fills


def test_what_is_measured() -> None:
    assert union([(5, 9), (1, 3), (2, 6), (20, 21)]) == [(1, 9), (20, 21)]
    assert overlap_ms([(0, 10), (20, 30)], [(5, 25)]) == 10
