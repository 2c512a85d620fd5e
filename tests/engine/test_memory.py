"""The state holds what is open and nothing of what has ended: after each window it is as large as after the first.

Everything reachable from the state is counted, so a container that somebody adds one day is counted too.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from raeth.engine import commands as cmd
from raeth.engine import snapshot
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import State
from raeth.engine.types import BUY, ENGINE_VERSION, SELL, Settings
from tests.engine.venue import BTC, OPEN_AT, key_spec

WINDOWS = 8
ORDERS = 150
"""Orders a window; about as many cancels, amends, quotes and timers come with them."""
AGENTS = 6
QUIET_MS = 8_000
"""Longer than any timer or expiry that `busy` sets."""


def reachable(root: object) -> dict[str, int]:
    """How many objects of which type hang on `root`, whatever they hang by."""
    seen: dict[int, Any] = {}
    waiting = [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen[id(found)] = found
        if isinstance(found, dict):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, list | tuple | set | frozenset):
            waiting += found
        elif isinstance(found, msgspec.Struct):
            waiting += [getattr(found, name) for name in found.__struct_fields__]
        else:
            waiting += [getattr(found, name) for name in getattr(found, "__slots__", ())]
    counts: dict[str, int] = {}
    for found in seen.values():
        if not isinstance(found, int | str | None):  # equal numbers may or may not be one object
            counts[type(found).__name__] = counts.get(type(found).__name__, 0) + 1
            if isinstance(found, dict | list):
                counts["entries"] = counts.get("entries", 0) + len(found)
    return counts


class Driver:
    """A venue that keeps no history of its own."""

    def __init__(self) -> None:
        self.state: State = new_state()
        self.ts = OPEN_AT - 1_000
        self.rnd = random.Random(20261121)
        self.do(cmd.Configure(ENGINE_VERSION, Settings(reference_kind="simulated", signup_grant_cents=10**8)))
        for n in range(AGENTS):
            self.do(cmd.Signup(f"digest{n}", f"agent{n}", key_spec(f"key{n}")))
        self.agents = [(agent.id, agent.keys[0], agent.account.id) for agent in self.state.agents.values()]

    def do(self, command: cmd.Command) -> list[Any]:
        return apply(self.state, command, self.state.seq + 1, self.ts)

    def stroll(self, ts: int) -> None:
        while self.ts < ts:
            self.ts = min(ts, self.ts + 2_000)
            self.do(cmd.Tick())
            self.do(cmd.IndexTick(BTC, self.ts, "test"))

    def busy(self) -> None:
        """Orders with all that can hang on them: expiries, timers, quotes, declines, amends, new keys."""
        rnd, live = self.rnd, self.state.live
        assert live is not None
        mine: list[tuple[int, str, int]] = []
        for n in range(ORDERS):
            self.ts += 20
            agent, key, account = rnd.choice(self.agents)
            side = rnd.choice((BUY, SELL))
            spec = cmd.OrderSpec(
                live.id,
                side,
                "LIMIT",
                rnd.choice(("GTC", "GTC", "GTC", "IOC", "POST_ONLY")),
                rnd.randint(40, 52) if side == BUY else rnd.randint(48, 60),
                rnd.choice((5, 10, 10**6)),
                reduce_only=rnd.random() < 0.1,
                client_order_id=f"{self.ts}",
                expires_at=self.ts + 3_000 if rnd.random() < 0.5 else None,
            )
            order = self.do(cmd.PlaceOrder(agent, key, spec))[-1].order
            mine.append((agent, key, order.id))
            self.do(cmd.CancelOrder(*rnd.choice(mine)))
            self.do(cmd.AmendOrder(*rnd.choice(mine), price=None, qty=rnd.randint(1, 9)))
            if n % 5 == 0:
                self.do(cmd.PutQuotes(agent, key, live.id, f"q{n}", ((45, 3), (44, 3)), ((55, 3),)))
                self.do(cmd.CallDeadman(agent, key, rnd.randint(1_000, 5_000), rnd.choice((None, live.id))))
            if n % 50 == 0:
                self.do(cmd.IssueKey(account, agent, key_spec(f"more{self.ts}")))
                self.do(cmd.RevokeKey(account, agent, f"more{self.ts}"))

    def window(self) -> None:
        """One window from open to settled, then quiet, with the next one open and empty."""
        live = self.state.live
        assert live is not None
        self.busy()
        assert len(self.state.orders) > 5 and live.volume, "nothing happened that could be left behind"
        self.stroll(live.close_at)
        self.do(cmd.Print(live.close_at, BTC + self.rnd.choice((-1, 0, 1)), live.close_at, "test", "LAST", None, ()))
        self.stroll(live.close_at + QUIET_MS)


def test_nothing_of_an_ended_window_stays() -> None:
    venue = Driver()
    venue.stroll(OPEN_AT)
    venue.do(cmd.Print(OPEN_AT, BTC, OPEN_AT, "test", "LAST", None, ()))
    venue.window()
    first, size = reachable(venue.state), len(snapshot.dump(venue.state))
    assert first["Market"] == 2 and "Position" not in first and "Order" not in first, first
    for _ in range(WINDOWS - 1):
        venue.window()
        # A timer is kept for each agent that ever armed one: what it says of itself is when it last fired.
        now = reachable(venue.state)
        assert {**now, "Deadman": 0} == {**first, "Deadman": 0}, "something of an ended window is still held"
        assert now["Deadman"] <= AGENTS
        assert abs(len(snapshot.dump(venue.state)) - size) < 100, "a snapshot grows with history"
