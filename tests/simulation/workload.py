"""What clients, operators and the feed ask for, drawn from a seed and from a look at the venue.

Chosen so that commands interact: prices close to each other, few accounts with several agents, windows of every status.
Every keyed order carries its key as client order id, so the journal alone shows whether it was done twice.
"""

from __future__ import annotations

from random import Random
from typing import Any

from raeth.engine import commands as cmd
from raeth.engine.state import Agent, Market, State
from raeth.engine.types import BUY, SELL, VOID, KeySpec, Settings
from raeth.idempotency import IdemKey
from tests.simulation.model import Model, Request

AGENTS = 8


def rules_of(random: Random) -> Settings:
    """Rules with small limits, so that each is met within a few hundred commands."""
    return Settings(
        reference_kind="simulated",
        window_ms=random.choice([4_000, 10_000, 10_000, 20_000, 60_000]),
        tie_rule=random.choice([VOID, VOID, "YES", "NO"]),
        print_grace_ms=random.choice([1_500, 5_000]),
        reference_max_age_ms=random.choice([1_000, 3_000]),
        max_order_qty=random.choice([40, 2_000]),
        position_cap=random.choice([60, 5_000]),
        cooldown_rejects=random.choice([4, 20]),
        cooldown_ms=random.choice([500, 2_000]),
        open_orders_per_market=random.choice([8, 200]),
        taker_rate_bps=random.choice([700, 700, 333, 0]),
        maker_rebate_bps=random.choice([2_500, 10_000, 1]),
        faucet_amount_cents=400,
        faucet_cooldown_ms=5_000,
        faucet_account_cap_cents=1_600,
        signup_grant_cents=random.choice([5_000, 200_000]),
    )


class Workload:
    """Chooses the next request. `random` is its own, so that faults do not change what is asked and how."""

    def __init__(self, random: Random, model: Model) -> None:
        self.random = random
        self.model = model
        self.fair = 50
        self.names = 0
        self.keys = 0

    def next(self, state: State) -> Request:
        """A request to make of a venue in this state."""
        random, agents = self.random, list(state.agents.values())
        if len(agents) < AGENTS and random.random() < 0.5:
            return self._join(state)
        if not agents or (any(not agent.keys for agent in agents) and random.random() < 0.3):
            return self._join(state)
        roll = random.random()
        if roll < 0.03 and self.model.done:
            return random.choice(self.model.done).again()
        if roll < 0.08 and self.model.unknown:
            return self.model.unknown.pop(random.randrange(len(self.model.unknown))).again()
        if roll < 0.085 and self.model.done:
            return self._conflict(random.choice(self.model.done))
        agent = random.choice(agents)
        hindered = state.frozen or any(a.suspended for a in agents) or (state.live is not None and state.live.halted)
        if hindered and random.random() < 0.1:
            return self._operate(state, agent)
        (make,) = random.choices(self._MAKERS, self._WEIGHTS)
        request: Request = make(self, state, agent)
        return request

    # People

    def _join(self, state: State) -> Request:
        self.keys += 1
        spec = KeySpec(f"key-{self.keys}", "00", "key", ("read", "trade"))
        accounts = list(state.accounts.values())
        keyless = [agent for agent in state.agents.values() if not agent.keys]
        if keyless:
            agent = keyless[0]
            return Request(cmd.IssueKey(agent.account.id, agent.id, spec))
        if len(accounts) < 3 or self.random.random() < 0.2:
            return Request(cmd.Signup(f"digest-{self.keys}", f"agent-{self.keys}", spec))
        return Request(cmd.CreateAgent(self.random.choice(accounts).id, f"agent-{self.keys}"))

    def _key_of(self, agent: Agent) -> str:
        return agent.keys[0] if agent.keys else "nobody's"

    def _idem(self, owner: int, body: Any, place: int = 0) -> IdemKey:
        self.names += 1
        return IdemKey(owner, f"c{self.names}", repr(body).encode(), place)

    # Orders

    def _market(self, state: State) -> int:
        roll = self.random.random()
        live, pending = state.live, state.pending
        if live is not None and roll < 0.9:
            return live.id
        if pending is not None and roll < 0.95:
            return pending.id
        return self.random.choice(list(state.markets)) if state.markets and roll < 0.99 else 0

    def _price(self, side: int) -> int:
        random = self.random
        if random.random() < 0.02:
            self.fair = min(90, max(10, self.fair + random.randint(-6, 6)))
        lean = -1 if side == BUY else 1
        return min(99, max(1, self.fair + lean * random.randint(-2, 6)))

    def _spec(self, state: State, name: str | None) -> cmd.OrderSpec:
        random = self.random
        side = random.choice((BUY, SELL))
        qty = random.choice((1, 2, 5, 10, 30)) if random.random() < 0.97 else random.choice((0, -1, 5_000))
        more: dict[str, Any] = {}
        if random.random() < 0.06:
            more["reduce_only"] = True
        if random.random() < 0.08:
            more["expires_at"] = state.ts + random.choice((-1, 0, 300, 2_000, 9_000))
        if random.random() < 0.1:
            more["stp"] = random.choice(("CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"))
        market = self._market(state)
        if random.random() < 0.08:
            return cmd.OrderSpec(
                market, side, "MARKET", random.choice(("IOC", "FOK")), None, qty, client_order_id=name, **more
            )
        tif = random.choices(("GTC", "IOC", "FOK", "POST_ONLY"), (7, 1, 1, 1))[0]
        return cmd.OrderSpec(market, side, "LIMIT", tif, self._price(side), qty, client_order_id=name, **more)

    def _place(self, state: State, agent: Agent) -> Request:
        if self.random.random() < 0.2:
            return Request(cmd.PlaceOrder(agent.id, self._key_of(agent), self._spec(state, None)))
        spec = self._spec(state, f"c{self.names + 1}")
        key = self._idem(agent.id, spec)
        return Request(cmd.PlaceOrder(agent.id, self._key_of(agent), spec), (key,))

    def _batch(self, state: State, agent: Agent) -> Request:
        specs, keys = [], []
        for place in range(self.random.randint(1, 4)):
            specs.append(self._spec(state, f"c{self.names + 1}"))
            keys.append(self._idem(agent.id, specs[-1], place))
        atomic = self.random.random() < 0.4
        return Request(cmd.PlaceBatch(agent.id, self._key_of(agent), tuple(specs), atomic), tuple(keys))

    def _conflict(self, request: Request) -> Request:
        """A known key with another body."""
        key = request.keys[0]
        return Request(request.command, (IdemKey(key.owner, key.key, b"another body", 0),), conflicts=True)

    def _quotes(self, state: State, agent: Agent) -> Request:
        random = self.random
        market, key = self._market(state), self._key_of(agent)
        if random.random() < 0.1:
            return Request(cmd.PutQuotes(agent.id, key, market, "q", (), ()))
        bids = random.sample(range(max(1, self.fair - 6), self.fair), 3)
        asks = random.sample(range(self.fair + 1, min(99, self.fair + 7) + 1), 3)
        return Request(
            cmd.PutQuotes(
                agent.id,
                key,
                market,
                "q",
                tuple((price, random.choice((1, 5, 20))) for price in bids),
                tuple((price, random.choice((1, 5, 20))) for price in asks),
            )
        )

    def _resting(self, state: State) -> tuple[int, int]:
        """(agent, order id) of something that rests; of something unknown if nothing does."""
        if not state.orders:
            return next(iter(state.agents)), 1
        order = self.random.choice(list(state.orders.values()))
        return order.agent, order.id

    def _amend(self, state: State, agent: Agent) -> Request:
        random = self.random
        owner, order_id = self._resting(state)
        price = self._price(BUY) if random.random() < 0.6 else None
        qty = random.choice((1, 3, 20)) if price is None or random.random() < 0.5 else None
        return Request(cmd.AmendOrder(owner, self._key_of(state.agents[owner]), order_id, price, qty))

    def _cancel(self, state: State, agent: Agent) -> Request:
        owner, order_id = self._resting(state)
        who = agent if self.random.random() < 0.05 else state.agents[owner]
        return Request(cmd.CancelOrder(who.id, self._key_of(who), order_id))

    def _cancel_many(self, state: State, agent: Agent) -> Request:
        side = self.random.choice((None, None, BUY, SELL))
        if self.random.random() < 0.1:
            return Request(cmd.Disconnect(agent.id))
        return Request(cmd.CancelOrders(agent.id, self._key_of(agent), None, None, side))

    # Money and operators

    def _money(self, state: State, agent: Agent) -> Request:
        random = self.random
        roll = random.random()
        if roll < 0.2:
            return Request(cmd.Faucet(agent.id, self._key_of(agent)))
        if roll < 0.4:
            return Request(cmd.GrantCash("op", agent.id, random.choice((1, 5_000, 100_000)), "why"))
        wallets = [agent.account.id, *agent.account.agents]
        source, target = random.choice(wallets), random.choice(wallets)
        amount = max(1, random.choice((1, 100, agent.free // 3, agent.free + 1)))
        self.names += 1
        name = f"t{self.names}"
        key = IdemKey(agent.account.id, name, name.encode())
        return Request(cmd.Transfer(agent.account.id, source, target, amount, name), (key,))

    def _operate(self, state: State, agent: Agent) -> Request:
        random = self.random
        if state.frozen:
            return Request(cmd.Unfreeze("op", None))
        suspended = [a for a in state.agents.values() if a.suspended]
        if suspended:
            return Request(cmd.ReinstateAgent("op", suspended[0].id, None))
        halted: list[Market] = [m for m in state.markets.values() if m.halted]
        if halted and random.random() < 0.7:
            return Request(cmd.ResumeMarket("op", halted[0].id, None))
        market = random.choice(list(state.markets)) if state.markets else 0
        kind = random.randrange(8)
        if kind == 0:
            return Request(cmd.Freeze("op", "why"))
        if kind == 1:
            return Request(cmd.HaltMarket("op", market, "why"))
        if kind == 2:
            return Request(cmd.VoidMarket("op", market, "why"))
        if kind == 3:
            return Request(cmd.SuspendAgent("op", agent.id, "why"))
        if kind == 4:
            return Request(cmd.Broadcast("op", "hello"))
        if kind == 5 and agent.keys:
            self.keys += 1
            return Request(cmd.RotateKey(agent.account.id, agent.id, agent.keys[0], f"key-{self.keys}", "00"))
        if kind == 6 and agent.keys:
            return Request(cmd.AdminRevokeKey("op", agent.keys[0], None))
        return self._join(state) if not agent.keys else Request(cmd.Tick())

    def _deadman(self, state: State, agent: Agent) -> Request:
        timeout_ms = self.random.choice((0, 1_000, 1_500, 5_000))
        market = self._market(state) if self.random.random() < 0.4 else None
        return Request(cmd.CallDeadman(agent.id, self._key_of(agent), timeout_ms, market))

    def _tick(self, state: State, agent: Agent) -> Request:
        return Request(cmd.Tick())

    def _late(self, state: State, agent: Agent) -> Request:
        """A tick or print that is too old, or of a boundary nobody waits for."""
        ts = state.ts - self.random.choice((1, 4_000, 90_000))
        if self.random.random() < 0.5:
            return Request(cmd.IndexTick(10_000_000, ts, "late"))
        return Request(cmd.Print(ts, 10_000_000, ts, "late", "LATE", None, ()))

    _MAKERS = (_place, _batch, _quotes, _amend, _cancel, _cancel_many, _money, _operate, _deadman, _tick, _late)
    _WEIGHTS = (62, 6, 6, 7, 8, 1.5, 3, 1.5, 2, 1, 0.7)
