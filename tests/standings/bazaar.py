"""A seeded venue with many accounts and a moving price, whose agents trade near fair, far from it, and in rings."""

from __future__ import annotations

from functools import cache
from random import Random

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import apply, new_state
from raeth.engine.types import ENGINE_VERSION, GTC, IOC, KeySpec, Settings
from raeth.store.rebuild import Journaled

MINUTE = 60_000
OPEN_AT = 29_916_667 * MINUTE
BTC = 9_500_000
WINDOWS = 5
STEP_MS = 250


class Bazaar:
    """One run; `journal` is what happened."""

    def __init__(self, seed: int, *, accounts: int = 6, sigma: float = 1e-4) -> None:
        self.rng = Random(seed)
        self.sigma = sigma
        self.state = new_state()
        self.journal: list[Journaled] = []
        self.ts = OPEN_AT - 1_500
        self.price = float(BTC)
        self.apply(cmd.Configure(ENGINE_VERSION, Settings(reference_kind="simulated", signup_grant_cents=300_000)))
        self.agents: list[int] = []
        for n in range(accounts):
            self.join("house" if n == 0 else f"agent-{n}", n)
        self.sibling(1)
        self.sibling(2)

    def apply(self, command: cmd.Command) -> list[ev.Event]:
        seq = self.state.seq + 1
        events = apply(self.state, command, seq, self.ts)
        self.journal.append((seq, self.ts, command, events))
        return events

    def join(self, name: str, n: int) -> None:
        spec = KeySpec(f"key-{n}", "00", "key", ("read", "trade"))
        events = self.apply(cmd.Signup(f"digest-{n}", name, spec))
        self.agents.append(next(e.agent for e in events if isinstance(e, ev.AgentCreated)))

    def sibling(self, n: int) -> None:
        account = self.state.agents[self.agents[n]].account.id
        (made,) = self.apply(cmd.CreateAgent(account, f"agent-{n}-more"))
        assert isinstance(made, ev.AgentCreated)
        self.apply(cmd.IssueKey(account, made.agent, KeySpec(f"key-{n}-more", "00", "key", ("read", "trade"))))
        self.apply(cmd.GrantCash("ops", made.agent, 50_000, "more"))
        self.agents.append(made.agent)

    def run(self) -> None:
        end = OPEN_AT + WINDOWS * MINUTE + 2_000
        while self.ts < end:
            self.ts += STEP_MS + self.rng.choice((-1, 0, 0, 1))
            self.price *= 1 + self.rng.gauss(0, self.sigma * (STEP_MS / 1000) ** 0.5)
            if self.rng.random() < 0.9:
                self.apply(cmd.IndexTick(round(self.price), self.ts, "test"))
            if self.state.unprinted and self.rng.random() < 0.7:
                boundary = next(iter(self.state.unprinted))
                missing = self.rng.random() < 0.03
                price = None if missing else round(self.price)
                self.apply(cmd.Print(boundary, price, None if missing else boundary, "test", "LAST", None, ()))
            for _ in range(self.rng.randrange(3)):
                self.trade()
            dice = self.rng.random()
            if dice < 0.005:
                self.apply(cmd.Faucet(agent := self.rng.choice(self.agents), self.state.agents[agent].keys[0]))
            elif dice < 0.006 and self.state.live is not None:
                self.apply(cmd.VoidMarket("ops", self.state.live.id, "test"))

    def trade(self) -> None:
        """Two agents, a price that may be anywhere; the pair (3, 4) is at it in earnest."""
        live = self.state.live
        if live is None:
            return
        far = self.rng.random() < 0.3
        one, two = (self.agents[3], self.agents[4]) if far else self.rng.sample(self.agents, 2)
        price = self.rng.choice((2, 10, 30, 70, 90, 98)) if far else self.rng.randint(35, 65)
        side, qty = self.rng.randrange(2), self.rng.randint(1, 60)
        for agent, way, tif in ((one, side, GTC), (two, 1 - side, IOC)):
            spec = cmd.OrderSpec(live.id, way, "LIMIT", tif, price, qty, confirm_fat_finger=True)
            self.apply(cmd.PlaceOrder(agent, self.state.agents[agent].keys[0], spec))
        if self.rng.random() < 0.5:
            self.apply(cmd.CancelOrders(one, self.state.agents[one].keys[0]))


@cache
def bazaar(seed: int) -> list[Journaled]:
    """The journal of a run. Do not change it."""
    market = Bazaar(seed)
    market.run()
    return market.journal
