"""The sample agents behave: bounded, silent when they cannot know, out before the end, and repaired by declines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.client.strategy import (
    Action,
    CancelAll,
    Limits,
    Outcome,
    OwnOrder,
    Place,
    Quotes,
    Snapshot,
    Strategy,
    View,
)
from raeth.engine.types import Settings
from raeth.examples import FairAgent, MakerAgent, RandomAgent
from raeth.sim import Result, Simulation
from raeth.sim.view import limits_of

NOON = 1_767_268_800_000
MINUTE = 60_000
LIMITS: Limits = limits_of(Settings(reference_kind="simulated"))
MAKERS: dict[str, Callable[[], Strategy]] = {
    "random": lambda: RandomAgent(seed=4, max_position=20),
    "maker": lambda: MakerAgent(max_position=100),
    "fair": lambda: FairAgent(max_position=100),
}
MAX_POSITION = {"random": 20, "maker": 100, "fair": 100}
QUIET_MS = {"random": 3_000, "maker": 5_000, "fair": 1_000}


def history(now_ms: int, price_cents: int) -> tuple[tuple[int, int], ...]:
    """A minute of prices that move by a basis point or so a second and end at the price."""
    points = [
        (now_ms - 250 * back, price_cents + (back * 7_919 % 13 - 6) * 60 * (back > 0)) for back in range(240, -1, -1)
    ]
    return tuple(points)


@st.composite
def views(draw: st.DrawFn, **fixed: object) -> Snapshot:
    now_ms = NOON + draw(st.integers(0, MINUTE - 1))
    price = 6_000_000 + draw(st.integers(-20_000, 20_000))
    bid = draw(st.integers(0, 98))
    ask = draw(st.integers(bid + 1, 100))
    net = draw(st.integers(-20, 20))
    fields: dict[str, object] = {
        "now_ms": now_ms,
        "market": "BTC-1M-20260101T1201Z",
        "open_at_ms": NOON,
        "close_at_ms": NOON + MINUTE,
        "limits": LIMITS,
        "strike_cents": 6_000_000,
        "bids": ((bid, draw(st.integers(1, 500))),) if bid else (),
        "asks": ((ask, draw(st.integers(1, 500))),) if ask < 100 else (),
        "last_trade_price": draw(st.none() | st.integers(1, 99)),
        "reference_cents": price,
        "reference_age_ms": draw(st.integers(0, 2_000)),
        "reference_history": history(now_ms, price),
        "net_qty": net,
        "cash_cents": 100_000,
        "free_cash_cents": 90_000,
    }
    return Snapshot(**{**fields, **fixed})  # type: ignore[arg-type]


def is_new_risk(action: Action) -> bool:
    return isinstance(action, Place) or (isinstance(action, Quotes) and bool(action.bids or action.asks))


@pytest.mark.parametrize("name", MAKERS)
@given(seen=st.lists(views(), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_every_action_is_one_the_venue_takes_and_stays_in_bounds(name: str, seen: list[Snapshot]) -> None:
    agent = MAKERS[name]()
    for view in seen:
        for action in agent.decide(view):
            for side, price, qty in asked(action):
                assert type(qty) is int and 1 <= qty <= LIMITS.max_order_qty
                assert type(price) is int and 1 <= price <= 99
                after = view.net_qty + qty if side == "BUY" else view.net_qty - qty
                assert abs(after) <= max(MAX_POSITION[name], abs(view.net_qty))
            if isinstance(action, Quotes) and action.bids and action.asks:
                assert action.bids[0][0] < action.asks[0][0]


def asked(action: Action) -> list[tuple[str, int | None, int]]:
    if isinstance(action, Place):
        return [(action.side, action.price, action.qty)]
    if isinstance(action, Quotes):
        return [("BUY", *level) for level in action.bids] + [("SELL", *level) for level in action.asks]
    return []


UNSAFE = {
    "halted": {"halted": True},
    "frozen": {"frozen": True},
    "no strike": {"strike_cents": None},
    "no reference": {"reference_cents": None, "reference_age_ms": None, "reference_history": ()},
    "stale": {"reference_age_ms": 2_001},
    "too young": {"reference_history": ((NOON, 6_000_000),)},
    "the end": {"now_ms": NOON + MINUTE - 500},
}


@pytest.mark.parametrize("why", UNSAFE)
@pytest.mark.parametrize("name", ["maker", "fair"])
def test_who_trades_on_fair_value_takes_no_risk_without_one(name: str, why: str) -> None:
    @given(views(**UNSAFE[why]))
    @settings(max_examples=40, deadline=None)
    def silent(view: Snapshot) -> None:
        assert not any(is_new_risk(action) for action in MAKERS[name]().decide(view))

    silent()


@pytest.mark.parametrize("why", ["halted", "frozen", "the end"])
def test_the_random_agent_stops_where_orders_would_be_declined(why: str) -> None:
    @given(views(**UNSAFE[why]))
    @settings(max_examples=40, deadline=None)
    def silent(view: Snapshot) -> None:
        agent = RandomAgent(seed=1)
        assert not any(is_new_risk(action) for _ in range(5) for action in agent.decide(view))

    silent()


def quoted(agent: MakerAgent, view: View) -> Quotes:
    (action,) = agent.decide(view)
    assert isinstance(action, Quotes)
    return action


def at_the_money(**fixed: object) -> Snapshot:
    fields: dict[str, object] = {
        "now_ms": NOON + 20_000,
        "market": "M",
        "open_at_ms": NOON,
        "close_at_ms": NOON + MINUTE,
        "limits": LIMITS,
        "strike_cents": 6_000_000,
        "reference_cents": 6_000_000,
        "reference_age_ms": 100,
        "reference_history": history(NOON + 20_000, 6_000_000),
        "cash_cents": 100_000,
        "free_cash_cents": 100_000,
    }
    return Snapshot(**{**fields, **fixed})  # type: ignore[arg-type]


def test_the_maker_pulls_its_quote_when_it_must_not_quote() -> None:
    resting = {"1": OwnOrder("1", "BUY", 45, 20, 20, None, "maker")}
    for fixed in (UNSAFE["stale"], UNSAFE["frozen"], UNSAFE["halted"], {"now_ms": NOON + MINUTE - 2_000}):
        assert quoted(MakerAgent(), at_the_money(orders=resting, **fixed)) == Quotes("maker")


def test_the_maker_leans_against_its_position_and_lets_a_good_quote_stand() -> None:
    flat = quoted(MakerAgent(), at_the_money())
    long = quoted(MakerAgent(), at_the_money(net_qty=100))
    short = quoted(MakerAgent(), at_the_money(net_qty=-100))
    assert flat.bids[0][0] < 50 < flat.asks[0][0]
    assert not long.bids and long.asks[0][0] < flat.asks[0][0]
    assert not short.asks and short.bids[0][0] > flat.bids[0][0]
    orders = {
        "1": OwnOrder("1", "BUY", flat.bids[0][0], 20, 20, None, "maker"),
        "2": OwnOrder("2", "SELL", flat.asks[0][0], 20, 20, None, "maker"),
    }
    assert list(MakerAgent().decide(at_the_money(orders=orders))) == []


def test_the_fair_agent_takes_only_what_pays_for_fee_and_edge() -> None:
    """At the money a contract is worth 50 and the fee is 1.75: with an edge of 3 cents it pays 45, and sells at 55."""

    def takes(**book: object) -> Sequence[Action]:
        return list(FairAgent(edge_cents=3.0, max_qty=20).decide(at_the_money(**book)))

    assert takes(asks=((45, 7),)) == [Place("BUY", 7, 45, "IOC")]
    assert takes(asks=((46, 7),)) == []
    assert takes(bids=((55, 70),)) == [Place("SELL", 20, 55, "IOC")]
    assert takes(bids=((54, 70),)) == []
    assert takes(asks=((45, 7),), in_flight=1) == [], "what is on its way may have taken it already"
    assert takes(asks=((45, 7),), net_qty=100) == []


@pytest.mark.parametrize("name", MAKERS)
def test_a_wait_that_was_asked_for_is_kept(name: str) -> None:
    agent = MAKERS[name]()
    agent.told(Outcome(Place("BUY", 1, 50), False, "RATE_LIMITED", {"retry_after_ms": 7_000}))
    tempting = {"asks": ((30, 5),), "bids": ((29, 5),)}
    during = [at_the_money(now_ms=NOON + 20_000 + ms, **tempting) for ms in range(0, 7_000, 500)]
    assert not [action for view in during for action in agent.decide(view) if is_new_risk(action)]
    after = [at_the_money(now_ms=NOON + 27_000 + 50 * tries, **tempting) for tries in range(20)]
    assert [action for view in after for action in agent.decide(view) if is_new_risk(action)]


# ---- in the simulation ----


def hour(seed: int, windows: int = 20, **options: object) -> Result:
    agents = {name: make() for name, make in MAKERS.items()}
    return Simulation(agents, seed=seed, **options).run(windows=windows)  # type: ignore[arg-type]


def test_positions_stay_within_their_bounds_and_nobody_rests_at_the_end() -> None:
    result = hour(1)
    net: dict[tuple[object, object], int] = defaultdict(int)
    for fill in result.table("fills").dicts():
        key = (fill["market"], fill["agent"])
        net[key] += fill["qty"] if fill["side"] == "BUY" else -fill["qty"]  # type: ignore[operator]
        assert abs(net[key]) <= MAX_POSITION[fill["agent"]]  # type: ignore[index]
    assert result.trades > 100
    closes = {row["market"]: row["close_at_ms"] for row in result.table("windows").dicts()}
    for order in result.table("orders").dicts():
        assert order["cancel_reason"] != "MARKET_CLOSED", "it was left to the close"
        if order["market"] in closes:
            left_ms = closes[order["market"]] - order["created_ms"]  # type: ignore[operator]
            assert left_ms > QUIET_MS[order["agent"]] - 500  # type: ignore[index]


def test_hardly_anything_is_declined() -> None:
    """A crossing quote level and a missed IOC are the market's doing; all else would be the agent's."""
    result = hour(2)
    orders = result.table("orders").dicts()
    declined = [order for order in orders if order["status"] == "REJECTED"]
    assert {order["reject_reason"] for order in declined} <= {"POST_ONLY_WOULD_CROSS"}
    assert len(declined) < len(orders) / 20


def test_a_poor_agent_trades_smaller_instead_of_being_declined_for_ever() -> None:
    agents = {name: make() for name, make in MAKERS.items()}
    rules = Settings(reference_kind="simulated", signup_grant_cents=600)
    result = Simulation(agents, seed=3, rules=rules).run(windows=10)
    by_agent: dict[object, list[bool]] = defaultdict(list)
    for order in result.table("orders").dicts():
        by_agent[order["agent"]].append(order["status"] == "REJECTED")
    assert result.trades > 10
    for name, declines in by_agent.items():
        assert sum(declines) <= max(12, len(declines) // 3), name


def test_a_tight_budget_is_waited_for() -> None:
    result = hour(4, windows=5, writes_per_minute=20)
    assert result.trades > 5
    # Each minute's window holds 20 writes; a quote is one write and at most two orders.
    assert all(count <= 5 * 20 * 2 + 40 for count in orders_by_agent(result).values())


def orders_by_agent(result: Result) -> dict[object, int]:
    counts: dict[object, int] = defaultdict(int)
    for order in result.table("orders").dicts():
        counts[order["agent"]] += 1
    return counts


def test_fair_value_beats_chance() -> None:
    totals: dict[str, int] = defaultdict(int)
    for seed in (11, 12, 13):
        for name, pnl in hour(seed, windows=30).pnl_cents.items():
            totals[name] += pnl
    assert totals["random"] < 0 < totals["fair"]
    assert totals["maker"] > totals["random"]


def test_equal_seeds_are_equal_agents() -> None:
    assert hour(6, windows=3).chain_head == hour(6, windows=3).chain_head


def test_an_agent_that_stops_leaves_nothing_behind() -> None:
    view = at_the_money(
        now_ms=NOON + MINUTE - 2_500, orders={"1": OwnOrder("1", "BUY", 45, 2, 2)}, bids=((45, 2),), asks=((55, 1),)
    )
    assert list(RandomAgent().decide(view)) == [CancelAll()]
