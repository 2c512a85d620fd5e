"""The simulation is the venue: its windows, prints and money, its latencies and budgets; and equal seeds are equal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.client.strategy import Action, Cancel, CancelAll, Place, Quotes, View
from raeth.engine import commands as cmd
from raeth.engine import invariants
from raeth.engine.types import Settings
from raeth.sim import Simulation
from tests.sim.agents import Restless, Scripted, steady

MINUTE = 60_000
NOON = 1_767_268_800_000

RUN = """
from raeth.examples import FairAgent, MakerAgent, RandomAgent
from raeth.sim import Simulation
from tests.sim.agents import Restless
agents = {"maker": MakerAgent(), "fair": FairAgent(), "random": RandomAgent(3), "restless": Restless(4)}
result = Simulation(agents, seed=11, latency_ms=(1, 40)).run(windows=3)
print(result.chain_head, result.state_hash, result.commands, result.orders_entered, result.trades)
"""


def restless(seed: int, count: int = 4, **options: object) -> Simulation:
    agents = {f"agent-{place}": Restless(seed * 10 + place) for place in range(count)}
    return Simulation(agents, seed=seed, **options)  # type: ignore[arg-type]


def test_equal_seeds_give_equal_bytes_for_any_hash_seed() -> None:
    heads = []
    for hash_seed in ("0", "1", "4711"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, env=environment, check=True)
        heads.append(done.stdout)
    assert len(set(heads)) == 1
    head, state, commands, orders, trades = heads[0].split()
    assert len(head) == len(state) == 64
    assert int(orders) > 500 and int(trades) > 50 and int(commands) > 500


def test_another_seed_is_another_run() -> None:
    assert len({restless(seed).run(windows=1).chain_head for seed in (1, 2, 3)}) == 3


def test_what_is_noted_does_not_change_what_happens() -> None:
    plain = restless(5).run(windows=2)
    bare = restless(5, keep=(), sample_ms=None, checked=False).run(windows=2)
    deep = restless(5, sample_ms=100, book_depth=5).run(windows=2)
    assert plain.chain_head == bare.chain_head == deep.chain_head
    assert restless(5, chained=False).run(windows=2).state_hash == plain.state_hash


def test_going_on_is_the_same_as_going_through() -> None:
    halves = restless(6)
    halves.run(windows=1)
    halves.run(seconds=20)
    together = halves.run(windows=2)
    assert together.chain_head == restless(6).run(windows=3).chain_head


@given(seed=st.integers(0, 10**6), latency=st.integers(0, 200), feed=st.integers(0, 200))
@settings(max_examples=12, deadline=None)
def test_money_is_conserved_whatever_agents_do(seed: int, latency: int, feed: int) -> None:
    simulation = restless(seed, latency_ms=latency, feed_latency_ms=feed)
    result = simulation.run(windows=2)
    invariants.check(simulation.state)
    windows = result.table("windows").dicts()
    earned: dict[object, int] = defaultdict(int)
    for row in result.table("results").dicts():
        earned[row["market"]] += row["pnl_cents"]  # type: ignore[operator]
    for window in windows:
        assert earned[window["market"]] + window["fees_cents"] == 0  # type: ignore[operator]


def test_a_strategy_is_told_everything_once_and_settled_to_the_cent() -> None:
    simulation = restless(7)
    result = simulation.run(windows=3)
    by_agent: dict[object, list[tuple[object, object, object]]] = defaultdict(list)
    for row in result.table("results").dicts():
        by_agent[row["agent"]].append((row["market"], row["resolution"], row["pnl_cents"]))
    for name, seat in simulation.seats.items():
        agent = seat.strategy
        assert isinstance(agent, Restless)
        assert len(agent.outcomes) == agent.sent - seat.in_flight > 100
        assert agent.pnl == by_agent[name]
        assert result.cash_cents[name] - result.started_with_cents[name] == sum(pnl for *_, pnl in agent.pnl)


def test_the_tables_agree_with_each_other() -> None:
    result = restless(8).run(windows=3)
    fills = result.table("fills").dicts()
    filled: dict[object, int] = defaultdict(int)
    flow: dict[tuple[object, object], int] = defaultdict(int)
    for fill in fills:
        filled[fill["order_id"]] += fill["qty"]  # type: ignore[operator]
        sign = -1 if fill["side"] == "BUY" else 1
        flow[fill["market"], fill["agent"]] += sign * fill["price"] * fill["qty"] - fill["fee_cents"]  # type: ignore[operator]
    assert len(fills) == 2 * result.trades > 100
    orders = result.table("orders").dicts()
    assert len(orders) == result.orders_entered
    assert {order["order_id"]: order["filled_qty"] for order in orders if order["filled_qty"]} == filled
    assert not [
        order for order in orders if order["status"] in ("OPEN", "PARTIALLY_FILLED") and before_end(order, result)
    ]
    for row in result.table("results").dicts():
        assert row["cash_flow_cents"] == flow[row["market"], row["agent"]]
    equity = result.table("equity").dicts()[-1]
    assert {name: equity[name] for name in result.cash_cents} == result.equity_cents


def before_end(order: dict[str, object], result: object) -> bool:
    ended = {row["market"] for row in result.table("windows").dicts()}  # type: ignore[attr-defined]
    return order["market"] in ended


# ---- windows and prints ----

gaps = st.lists(st.tuples(st.integers(0, 9_000), st.integers(-300, 300)), min_size=20, max_size=120)


@given(gaps)
@settings(max_examples=60, deadline=None)
def test_every_window_ends_as_the_series_says(steps: list[tuple[int, int]]) -> None:
    """The print rule, worked out from the series alone: last price at or before T, at most 5 s old, tie VOID."""
    series, ts, price = [], NOON + 30_000, 6_000_000
    for gap_ms, move in steps:
        ts, price = ts + gap_ms, price + move
        series.append((ts, price))
    result = Simulation((), price_path=series, keep=()).run()

    def print_at(boundary: int) -> int | None:
        known = [pair for pair in series if pair[0] <= boundary]
        return known[-1][1] if known and boundary - known[-1][0] <= 5_000 else None

    windows = result.table("windows").dicts()
    assert windows
    for row in windows:
        opened, closed = print_at(row["open_at_ms"]), print_at(row["close_at_ms"])  # type: ignore[arg-type]
        if opened is None or closed is None or opened == closed:
            expected = "VOID"
        else:
            expected = "YES" if closed > opened else "NO"
        assert row["resolution"] == expected
        assert row["strike_cents"] == opened
    assert [row["close_at_ms"] - windows[0]["close_at_ms"] for row in windows] == [  # type: ignore[operator]
        MINUTE * place for place in range(len(windows))
    ]


def test_the_simulated_price_gives_windows_with_evidence() -> None:
    result = Simulation((), seed=3).run(windows=5)
    assert result.windows_resolved == 5
    for row in result.table("prints").dicts():
        assert row["source"] == "simulated" and 0 <= row["boundary_ms"] - row["source_ms"] <= 3_000  # type: ignore[operator]


def test_the_index_is_decimated_and_views_carry_its_history() -> None:
    seen: list[View] = []
    histories = []

    def look(view: View) -> list[Action]:
        seen.append(view)
        histories.append((view.now_ms, tuple(view.reference_history), view.reference_cents, view.reference_age_ms))
        return []

    Simulation({"looker": Scripted(look, wake_every_ms=700)}, seed=2, index_ticks_per_s=4).run(windows=6)
    now_ms, last, price, age_ms = histories[-1]
    assert last[-1][1] == price and age_ms is not None and 0 <= age_ms < 1_000
    assert now_ms - 301_000 < last[0][0] <= now_ms - 290_000
    assert all(later[0] - earlier[0] >= 250 for earlier, later in pairwise(last))
    assert len(last) > 900
    with pytest.raises(RuntimeError, match="view is over"):
        _ = seen[0].bids


# ---- latency ----


@given(latency=st.integers(0, 900), feed=st.integers(0, 900))
@settings(max_examples=20, deadline=None)
def test_actions_arrive_later_and_views_are_older(latency: int, feed: int) -> None:
    """An order reaches the venue `latency` after the agent's clock, which is `feed` ahead of what it sees."""
    sent: list[int] = []

    def act(view: View) -> list[Action]:
        assert view.reference_age_ms is None or view.reference_age_ms >= feed
        if view.in_flight or len(sent) == 10:
            return []
        sent.append(view.now_ms)
        return [Place("BUY", 1, 10)]

    agent = Scripted(act)
    result = Simulation({"late": agent}, price_path=steady(NOON, 240), latency_ms=latency, feed_latency_ms=feed).run()
    created = [row["created_ms"] for row in result.table("orders").dicts()]
    assert created == [now_ms + latency for now_ms in sent]
    assert len(created) == 10
    first_open = NOON + MINUTE
    assert agent.asked[0] == first_open + feed


def test_the_nearer_agent_is_first() -> None:
    """Both go for one offer at the same moment: distance decides."""

    def take(view: View) -> list[Action]:
        return [Place("BUY", 5, 50, "IOC")] if view.asks and not view.net_qty and not view.in_flight else []

    def offer(view: View) -> list[Action]:
        return [] if view.orders or view.net_qty or view.in_flight else [Place("SELL", 5, 50, "POST_ONLY")]

    agents = {"far": Scripted(take, 100), "near": Scripted(take, 100), "shop": Scripted(offer, 10_000)}
    result = Simulation(
        agents, price_path=steady(NOON, 180), latency_ms={"far": 30, "near": 5, "shop": 5}, feed_latency_ms=10
    ).run(windows=1)
    takers = {row["market"]: row["agent"] for row in result.table("fills").dicts() if row["liquidity"] == "TAKER"}
    assert set(takers.values()) == {"near"}


def test_messages_of_one_agent_do_not_overtake() -> None:
    def act(view: View) -> list[Action]:
        return [Place("BUY", 1, 10, client_order_id=f"{view.now_ms:015d}")]

    result = Simulation({"jitter": Scripted(act, 50)}, price_path=steady(NOON, 180), latency_ms=(0, 500)).run(windows=1)
    names = [row["client_order_id"] for row in result.table("orders").dicts()]
    assert names == sorted(names) and len(names) > 100  # type: ignore[type-var]


def test_own_fills_wake_both_sides() -> None:
    def rest(view: View) -> list[Action]:
        return [Place("BUY", 4, 50)] if not view.orders and not view.net_qty and not view.in_flight else []

    def hit(view: View) -> list[Action]:
        return [Place("SELL", 4, 50, "IOC")] if view.bids and not view.in_flight else []

    resting, hitting = Scripted(rest, 40_000), Scripted(hit, 7_000)
    result = Simulation({"resting": resting, "hitting": hitting}, price_path=steady(NOON, 180), feed_latency_ms=0).run(
        windows=1
    )
    (traded,) = {row["ts_ms"] for row in result.table("fills").dicts()}
    assert traded in resting.asked and traded in hitting.asked


# ---- budgets, idempotency, operators ----


def test_budgets_are_the_venues() -> None:
    def busy(view: View) -> list[Action]:
        return [Place("BUY", 1, 10), Cancel(next(iter(view.orders), "1"))]

    agent = Scripted(busy, 20)
    Simulation({"busy": agent}, price_path=steady(NOON, 300), latency_ms=1).run(seconds=119)
    placed = [outcome for outcome in agent.outcomes if isinstance(outcome.action, Place)]
    cancelled = [outcome for outcome in agent.outcomes if isinstance(outcome.action, Cancel)]
    limited = [outcome for outcome in placed if outcome.reason == "RATE_LIMITED"]
    assert len(placed) - len(limited) == 600, "one fixed window of a minute, which began with the first write"
    assert all(0 < outcome.details["retry_after_ms"] <= MINUTE for outcome in limited)
    assert len([outcome for outcome in cancelled if outcome.reason != "RATE_LIMITED"]) == 600

    free = Scripted(busy, 20)
    options = {"writes_per_minute": None, "cancels_per_minute": None}
    Simulation({"busy": free}, price_path=steady(NOON, 300), latency_ms=1, **options).run(seconds=119)
    assert not [outcome for outcome in free.outcomes if outcome.reason == "RATE_LIMITED"]


def test_a_client_order_id_is_executed_once() -> None:
    def act(view: View) -> list[Action]:
        if view.orders or view.in_flight:
            return []
        same = Place("BUY", 3, 40, client_order_id="one")
        return [same, same, Place("BUY", 4, 40, client_order_id="one")]

    agent = Scripted(act, 59_000)
    result = Simulation({"twice": agent}, price_path=steady(NOON, 180)).run(windows=1)
    first, again, other = agent.outcomes[:3]
    assert first == again and first.ok
    assert other.reason == "IDEMPOTENCY_CONFLICT"
    assert result.orders_entered == 1


def test_what_a_schema_would_refuse_is_a_mistake_of_the_strategy() -> None:
    for wrong in (Place("BUY", 1, 50.0), Place("BUY", True, 50), Quotes("q", ((50, 1.5),))):  # type: ignore[arg-type]
        simulation = Simulation({"wrong": Scripted(lambda view, wrong=wrong: [wrong])}, price_path=steady(NOON, 180))
        with pytest.raises(TypeError, match="plain integers"):
            simulation.run(windows=1)
    refused = [
        (Place("BUY", 1, None, "POST_ONLY"), "VALIDATION_FAILED"),
        (Quotes("q", ((50, 1), (50, 2))), "VALIDATION_FAILED"),
        (Quotes("q", ((50, 1),), ((50, 1),)), "VALIDATION_FAILED"),
        (Quotes("q", tuple((price, 1) for price in range(1, 22))), "BATCH_SIZE_EXCEEDED"),
        (Cancel("nonsense"), "ORDER_NOT_FOUND"),
    ]
    agent = Scripted(lambda view: [] if view.in_flight else [action for action, _ in refused], 59_000)
    Simulation({"wrong": agent}, price_path=steady(NOON, 180)).run(windows=1)
    assert [outcome.reason for outcome in agent.outcomes[: len(refused)]] == [reason for _, reason in refused]


def test_a_cancel_that_comes_too_late_is_told_which_way() -> None:
    seen: dict[str, str] = {}

    def rest(view: View) -> list[Action]:
        if view.orders:
            seen.setdefault("order", next(iter(view.orders)))
        elif "order" in seen:
            return [Cancel(seen["order"])]
        return [Place("BUY", 4, 50)] if not view.net_qty and not view.in_flight else []

    def hit(view: View) -> list[Action]:
        return [Place("SELL", 4, 50, "IOC")] if view.bids and not view.in_flight else []

    agent = Scripted(rest, 500)
    Simulation({"resting": agent, "hitting": Scripted(hit, 7_000)}, price_path=steady(NOON, 180)).run(windows=1)
    reasons = {outcome.reason for outcome in agent.outcomes if isinstance(outcome.action, Cancel)}
    assert reasons == {"ORDER_ALREADY_FILLED"}


def test_an_operator_can_freeze_a_simulated_venue() -> None:
    frozen_at = NOON + 90_000

    def act(view: View) -> list[Action]:
        assert view.frozen == (view.now_ms - 20 >= frozen_at)
        return [CancelAll(), Place("BUY", 1, 40)]

    agent = Scripted(act)
    simulation = Simulation({"agent": agent}, price_path=steady(NOON, 300), feed_latency_ms=20)
    simulation.schedule(frozen_at, cmd.Freeze("operator", "test"))
    simulation.run(seconds=150)
    after = [outcome for sent, outcome in zip(agent.asked, agent.outcomes[1::2], strict=False) if sent > frozen_at + 20]
    assert {outcome.reason for outcome in after} == {"EXCHANGE_FROZEN"}
    assert all(outcome.ok for outcome in agent.outcomes[::2]), "cancels go on"


def test_the_rules_are_settings_of_the_engine() -> None:
    rules = Settings(reference_kind="simulated", window_ms=10_000, position_cap=7, signup_grant_cents=500)
    agent = Scripted(lambda view: [Place("BUY", 8, 10)] if not view.in_flight else [], 3_000)
    result = Simulation({"small": agent}, rules=rules, price_path=steady(NOON, 60)).run(windows=3)
    assert result.started_with_cents == {"small": 500}
    assert {outcome.reason for outcome in agent.outcomes} == {"POSITION_CAP"}
    assert agent.outcomes[0].details["max_qty"] == 7
    assert [row["close_at_ms"] - row["open_at_ms"] for row in result.table("windows").dicts()] == [10_000] * 3  # type: ignore[operator]


def test_what_cannot_be_simulated_says_so() -> None:
    with pytest.raises(ValueError, match="never ends"):
        Simulation(()).run()
    with pytest.raises(ValueError, match="agent's name"):
        Simulation({"x": Restless(1)})
    with pytest.raises(ValueError, match="empty"):
        Simulation((), price_path=[])
    with pytest.raises(ValueError, match="back in time"):
        Simulation((), price_path=[(NOON, 100), (NOON - 1, 100)]).run()
    with pytest.raises(ValueError, match="whole cents"):
        Simulation((), price_path=[(NOON, 100.5)])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no market"):
        simulation = Simulation(())
        simulation.add_agent("me-myself")
        simulation.send("me-myself", [CancelAll()])
