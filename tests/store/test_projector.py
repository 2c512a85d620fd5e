"""The projector: each event in its table, and any batching leaves the same tables as one command at a time."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.ids import make_id
from raeth.engine.types import FILLED, PARTIALLY_FILLED, Input, KeySpec, Order, PrintFact, Settings
from raeth.store.projector import Projector
from raeth.store.rebuild import Journaled
from tests.store.databases import Database, SqliteDatabase
from tests.store.venue import Tables, history, project, row_dicts, tables

RULES = Settings(reference_kind="simulated")
AGENT, OTHER, ACCOUNT = make_id(2, 1), make_id(3, 1), make_id(2, 0)
MARKET = make_id(1, 0)


def order(made: int, agent: int = AGENT, **changes: Any) -> Order:
    fresh = Order(
        make_id(made, 0),
        agent,
        ACCOUNT,
        MARKET,
        0,
        "LIMIT",
        "GTC",
        55,
        10,
        10,
        False,
        "CANCEL_MAKER",
        f"mine-{made}",
        None,
        None,
        60_000,
        60_000,
        made,
    )
    return msgspec.structs.replace(fresh, **changes)


def traded(seq: int, taker: Order, maker: Order, qty: int, remaining: int) -> ev.Traded:
    filled = maker.qty - remaining
    taker_side = 1 - maker.side
    return ev.Traded(
        make_id(seq, 9),
        MARKET,
        55,
        qty,
        taker_side,
        taker.id,
        taker.agent,
        3,
        maker.id,
        maker.agent,
        -1,
        remaining,
        filled,
        55 * filled,
        -filled,
        60_000 + seq,
    )


def journal_of(*events: list[ev.Event]) -> list[Journaled]:
    return [(seq, 60_000, cmd.Tick(), done) for seq, done in enumerate(events, 1)]


CONFIGURED = ev.Configured(RULES, 1, 1_000)
LISTED = ev.MarketListed(MARKET, "BTC-1M-19700101T0002Z", 60_000, 120_000, 1_000)


# ---- batches ----


@cache
def template() -> Path:
    return SqliteDatabase(Path(tempfile.mkdtemp(prefix="raeth-test-")) / "empty.db").path


def tables_after(journal: list[Journaled], cuts: set[int]) -> Tables:
    with tempfile.TemporaryDirectory() as folder:
        copy = SqliteDatabase(Path(shutil.copy(template(), folder)))
        project(copy, journal, cuts)
        return tables(copy)


@cache
def one_by_one(seed: int) -> Tables:
    journal, _ = history(seed)
    return tables_after(journal, set(range(len(journal))))


@settings(max_examples=25, deadline=None)
@given(seed=st.sampled_from([7, 8, 9]), cuts=st.sets(st.integers(1, 900), max_size=40))
def test_any_batching_equals_one_command_at_a_time(seed: int, cuts: set[int]) -> None:
    journal, _ = history(seed)
    assert tables_after(journal, cuts) == one_by_one(seed)


def test_a_batch_writes_an_order_once() -> None:
    projector = Projector()
    maker, taker = order(2), order(3, OTHER, side=1, remaining=0, filled=4, status=FILLED)
    steps = (
        [ev.OrderPlaced(maker)],
        [traded(3, taker, maker, 4, 6), ev.OrderPlaced(taker)],
        [ev.OrderEnded(order(2, remaining=0, filled=4, status="CANCELLED", cancel_reason="USER", seq=4), 6)],
    )
    for seq, events in enumerate(steps, 2):
        projector.add(seq, 60_000, cmd.Tick(), events)
    writes = projector.take()
    assert [len(rows) for sql, rows in writes if " orders " in sql] == [2]
    assert not projector.take(), "take clears"


def test_an_order_that_ends_within_its_own_command(database: Database) -> None:
    """A later leg of a batch may fill or cancel an earlier one, whose placing is told before or after."""
    gone = order(2, remaining=0, status="CANCELLED", cancel_reason="SELF_TRADE")
    kept = order(3, side=1)
    project(
        database,
        journal_of([], [ev.OrderEnded(gone, 10), ev.OrderPlaced(gone)], [ev.OrderPlaced(kept)]),
        [],
    )
    assert [row["status"] for row in row_dicts(database, "orders")] == ["CANCELLED", "OPEN"]


# ---- against the engine ----


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_tables_say_what_the_engine_says(seed: int) -> None:
    """Live orders, each order's own list of fills, cash, and the markets' last words."""
    journal, state = history(seed)
    with tempfile.TemporaryDirectory() as folder:
        copy = SqliteDatabase(Path(shutil.copy(template(), folder)))
        project(copy, journal, range(0, len(journal), 50))
        orders = {row["id"]: row for row in row_dicts(copy, "orders")}
        fills = row_dicts(copy, "fills")
        ledger = row_dicts(copy, "ledger")
        markets = {row["id"]: row for row in row_dicts(copy, "markets")}
    skipped = {"taker_num", "maker_num", "fills", "reject_details"}
    for live in state.orders.values():
        for name in live.__struct_fields__:
            assert name in skipped or getattr(live, name) == orders[live.id][name], name
        own = [row for row in fills if row["order_id"] == live.id]
        assert [(f.trade_id, f.price, f.qty, f.liquidity, f.fee_cents, f.ts) for f in live.fills] == [
            (r["trade_id"], r["price"], r["qty"], r["liquidity"], r["fee_cents"], r["ts"]) for r in own
        ]
    live_rows = {row_id for row_id, row in orders.items() if row["status"] in ("OPEN", PARTIALLY_FILLED)}
    assert live_rows == set(state.orders)
    for row in orders.values():
        own = [fill for fill in fills if fill["order_id"] == row["id"]]
        assert row["filled"] == sum(fill["qty"] for fill in own)
        assert row["notional"] == sum(fill["qty"] * fill["price"] for fill in own)
        assert row["fee_cents"] == sum(fill["fee_cents"] for fill in own)
    for agent in state.agents.values():
        moves = [entry for entry in ledger if entry["wallet"] == agent.id]
        assert agent.cash == sum(entry["amount_cents"] for entry in moves)
        assert not moves or moves[-1]["balance_after_cents"] == agent.cash
    for market in state.markets.values():
        row = markets[market.id]
        assert (row["status"], bool(row["halted"])) == (market.status, market.halted)
        assert row["volume"] == sum(f["qty"] for f in fills if f["market"] == market.id) // 2


# ---- single events ----


def test_makers_get_their_status_from_what_remains(database: Database) -> None:
    maker = order(2)
    taker = order(3, OTHER, side=1, remaining=0, filled=4, status=FILLED)
    second = order(4, OTHER, side=1, remaining=0, filled=6, status=FILLED)
    steps = [
        [CONFIGURED, LISTED],
        [ev.OrderPlaced(maker)],
        [traded(3, taker, maker, 4, 6), ev.OrderPlaced(taker)],
        [traded(4, second, maker, 6, 0), ev.OrderPlaced(second)],
    ]
    project(database, [*journal_of(*steps[:3])], range(3))
    (partial, *_) = row_dicts(database, "orders")
    assert (partial["status"], partial["remaining"], partial["filled"], partial["seq"]) == (PARTIALLY_FILLED, 6, 4, 3)
    project(database, [(4, 60_000, cmd.Tick(), steps[3])], [])
    (whole, *_) = row_dicts(database, "orders")
    assert (whole["status"], whole["remaining"], whole["fee_cents"], whole["updated_ts"]) == (FILLED, 0, -10, 60_004)
    (market,) = row_dicts(database, "markets")
    assert (market["last_price"], market["volume"], market["trades"], market["seq"]) == (55, 10, 2, 4)
    assert [(f["order_id"], f["side"], f["liquidity"], f["fee_cents"]) for f in row_dicts(database, "fills")] == [
        (maker.id, 0, "MAKER", -1),
        (maker.id, 0, "MAKER", -1),
        (taker.id, 1, "TAKER", 3),
        (second.id, 1, "TAKER", 3),
    ]


@pytest.mark.parametrize("cuts", [[], [1, 2, 3, 4]])
def test_a_market_keeps_the_rules_it_was_listed_with(database: Database, cuts: list[int]) -> None:
    """Also when the command that changes the rules is the one that brings the window out."""
    later = msgspec.structs.replace(RULES, tie_rule="NO")
    listed = [msgspec.structs.replace(LISTED, market=make_id(n, 0)) for n in range(1, 5)]
    project(
        database,
        journal_of(
            [CONFIGURED, listed[0]],
            [listed[1], ev.Configured(later, 1, 2_000)],
            [listed[2]],
            [listed[3]],
        ),
        cuts,
    )
    assert [row["configuration"] for row in row_dicts(database, "markets")] == [1, 1, 2, 2]
    assert [row["slug"] for row in row_dicts(database, "markets")] == ["BTC-1M"] * 4


@pytest.mark.parametrize("cuts", [[], [1, 2, 3, 4, 5]])
def test_the_life_of_a_market(database: Database, cuts: list[int]) -> None:
    inputs = (Input("alpha", 9_000_000, 59_990, True), Input("beta", None, None, False, "silent"))
    first = PrintFact(60_000, 9_000_000, 59_990, "alpha", "LAST", None, inputs, 2, 60_010)
    second = PrintFact(120_000, None, None, "none", "LAST", "no quorum", (), 5, 125_000)
    project(
        database,
        journal_of(
            [CONFIGURED, LISTED],
            [ev.MarketOpened(MARKET, 60_000), ev.Printed(first, MARKET, None)],
            [ev.MarketHalted(MARKET, "ops", "look", 61_000)],
            [ev.MarketResumed(MARKET, "ops", None, 62_000)],
            [
                ev.MarketExpired(MARKET, 120_000),
                ev.Printed(second, None, MARKET),
                ev.MarketResolved(MARKET, "VOID", "NO_PRINT", 0, 125_000),
            ],
        ),
        cuts,
    )
    (market,) = row_dicts(database, "markets")
    shown = {name: market[name] for name in ("status", "outcome", "reason", "halted", "open_price_cents", "seq")}
    assert shown == {
        "status": "VOID",
        "outcome": "VOID",
        "reason": "NO_PRINT",
        "halted": 0,
        "open_price_cents": 9_000_000,
        "seq": 5,
    }
    assert (market["open_source"], market["close_price_cents"], market["resolved_ts"]) == ("alpha", None, 125_000)
    assert [(row["boundary"], row["reason"], row["opens"]) for row in row_dicts(database, "prints")] == [
        (60_000, None, MARKET),
        (120_000, "no quorum", None),
    ]


def test_keys_and_agents_and_cash(database: Database) -> None:
    key = KeySpec("k1", "ab" * 32, "main", ("read", "trade"), 5_000, ("10.0.0.0/8",))
    project(
        database,
        journal_of(
            [
                ev.AccountCreated(ACCOUNT, "digest", 1),
                ev.AgentCreated(AGENT, ACCOUNT, "ada", 1),
                ev.KeyIssued(AGENT, key, 1),
                ev.CashMoved(AGENT, ACCOUNT, "SIGNUP_GRANT", 500, 500, None, 1),
            ],
            [ev.AgentSuspended(AGENT, "ops", "why", 2), ev.KeyRevoked(AGENT, "k1", "ops", 2)],
            [
                ev.CashMoved(AGENT, ACCOUNT, "TRANSFER", -200, 300, None, 3),
                ev.CashMoved(ACCOUNT, ACCOUNT, "TRANSFER", 200, 200, None, 3),
                ev.Transferred(make_id(3, 0), ACCOUNT, AGENT, ACCOUNT, 200, "t-1", 3),
            ],
        ),
        [],
    )
    (agent,) = row_dicts(database, "agents")
    (stored,) = row_dicts(database, "api_keys")
    assert (agent["name"], agent["suspended"]) == ("ada", 1)
    assert (stored["scopes"], stored["revoked_ts"], stored["revoked_by"]) == ('["read","trade"]', 2, "ops")
    moves = [(row["wallet"], row["seq"], row["n"], row["amount_cents"]) for row in row_dicts(database, "ledger")]
    assert moves == [(ACCOUNT, 3, 1, 200), (AGENT, 1, 0, 500), (AGENT, 3, 0, -200)]
    assert [row["client_transfer_id"] for row in row_dicts(database, "transfers")] == ["t-1"]


OPERATIONS: list[tuple[cmd.Command, tuple[Any, ...]]] = [
    (cmd.Freeze("ops", "storm"), ("FREEZE", "storm", None, None, None)),
    (cmd.Unfreeze("ops", None), ("UNFREEZE", None, None, None, None)),
    (cmd.HaltMarket("ops", MARKET, "look"), ("HALT", "look", MARKET, None, None)),
    (cmd.ResumeMarket("ops", MARKET, None), ("RESUME", None, MARKET, None, None)),
    (cmd.VoidMarket("ops", MARKET, "bad"), ("VOID", "bad", MARKET, None, None)),
    (cmd.SuspendAgent("ops", AGENT, "abuse"), ("SUSPEND", "abuse", AGENT, None, None)),
    (cmd.ReinstateAgent("ops", AGENT, None), ("REINSTATE", None, AGENT, None, None)),
    (cmd.GrantCash("ops", AGENT, 70, "prize"), ("GRANT", "prize", AGENT, None, 70)),
    (cmd.AdminRevokeKey("ops", "k1", "leaked"), ("REVOKE_KEY", "leaked", None, "k1", None)),
    (cmd.Broadcast("ops", "hello"), ("BROADCAST", "hello", None, None, None)),
]


def test_every_operator_command_is_an_action(database: Database) -> None:
    journal: list[Journaled] = [(seq, 5, command, []) for seq, (command, _) in enumerate(OPERATIONS, 1)]
    journal.append((len(journal) + 1, 6, cmd.VoidMarket("ops", MARKET, "late"), [ev.Refused("MARKET_FINAL")]))
    project(database, journal, [])
    rows = row_dicts(database, "admin_actions")
    shown = [(r["action"], r["reason"], r["target"], r["key_id"], r["amount_cents"]) for r in rows[:-1]]
    assert shown == [expected for _, expected in OPERATIONS]
    assert [row["refused"] for row in rows] == [None] * len(OPERATIONS) + ["MARKET_FINAL"]
    with_actor = {name for name, kind in vars(cmd).items() if "actor" in getattr(kind, "__struct_fields__", ())}
    assert with_actor == {type(command).__name__ for command, _ in OPERATIONS}
