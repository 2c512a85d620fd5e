"""Seeded workloads: the same commands for the engine and for the naive oracle, side by side.

A `Step` names a command in the oracle's terms (handles, sides as words). `Pair` carries it to both venues and keeps the
map from handles to engine ids. `generate` looks at the oracle to choose steps that interact: prices near each other,
many agents of few accounts, stamps that fall on, just before and just after everything that can fall due.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import State
from raeth.engine.types import BUY, ENGINE_VERSION, SELL, KeySpec, Order, Settings
from tests.reference.oracle import Oracle, Refused

GENESIS_MS = 1_795_000_020_000 + 44_345
"""The stamp of the first command: inside a minute, so that the first window is only pre-listed."""

SIDES = {"BUY": BUY, "SELL": SELL}

GONE = ("ORDER_NOT_FOUND", "ORDER_ALREADY_FILLED", "ORDER_NOT_OPEN")
"""The engine forgets what has ended; telling these apart is up to the tables outside."""


class Step(NamedTuple):
    """One command: the oracle's method, its stamp, its arguments."""

    name: str
    ts: int
    args: dict[str, Any]


class Outcome(NamedTuple):
    """What both venues said to one step."""

    command: cmd.Command
    events: list[ev.Event]
    refused: str | None
    result: Any


def settings_dict(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


class Pair:
    """The engine and the oracle under the same commands.

    `orders[handle]` is the engine's id; `seen[id]` the newest copy of an order that the events showed, `journal`
    every command that was applied, with its stamp.
    """

    def __init__(self) -> None:
        self.state: State = new_state()
        self.oracle = Oracle()
        self.seq = 0
        self.accounts: list[int] = []
        self.agents: list[int] = []
        self.markets: list[int] = []
        self.orders: dict[int, int] = {}
        self.outcomes: dict[int, str] = {}
        self.journal: list[tuple[int, cmd.Command]] = []

    def apply(self, command: cmd.Command, ts: int) -> list[ev.Event]:
        self.seq += 1
        self.journal.append((ts, command))
        events = apply(self.state, command, self.seq, ts)
        for event in events:
            if isinstance(event, ev.MarketListed):
                self.markets.append(event.market)
            elif isinstance(event, ev.AccountCreated):
                self.accounts.append(event.account)
            elif isinstance(event, ev.AgentCreated):
                self.agents.append(event.agent)
            elif isinstance(event, ev.MarketResolved):
                self.outcomes[event.market] = event.outcome
        return events

    def run(self, step: Step) -> Outcome:
        """Carry one step to both venues."""
        command = self.translate(step)
        refused, result = None, None
        try:
            result = getattr(self.oracle, step.name)(step.ts, **step.args)
        except Refused as why:
            refused = why.code
        events = self.apply(command, step.ts)
        if step.name == "create_agent":
            # The oracle knows no keys; the new agent gets one before it can do anything.
            agent = len(self.agents) - 1
            spec = KeySpec(key_of(agent), "00", "key", ("read", "trade"))
            self.apply(cmd.IssueKey(self.accounts[step.args["account"]], self.agents[agent], spec), step.ts)
        self._map_orders(step, events, result)
        return Outcome(command, events, refused, result)

    def _map_orders(self, step: Step, events: list[ev.Event], result: Any) -> None:
        if result is None or step.name not in ("place", "batch", "put_quotes"):
            return
        rows = [result] if step.name == "place" else result
        ids = [event.order.id for event in events if isinstance(event, ev.OrderPlaced)]
        if step.name == "put_quotes":
            ids = [i for event in events if isinstance(event, ev.QuotesPut) for i in event.results]
        for row, order_id in zip(rows, ids, strict=False):
            self.orders.setdefault(row["id"], order_id)

    def order_id(self, handle: int | None) -> int:
        return 1 if handle is None else self.orders[handle]

    def market_id(self, handle: int | None) -> int:
        return 0 if handle is None else self.markets[handle]

    def _spec(self, row: dict[str, Any]) -> cmd.OrderSpec:
        more = {k: v for k, v in row.items() if k not in ("market", "side", "type", "tif", "price", "qty")}
        return cmd.OrderSpec(
            self.market_id(row["market"]), SIDES[row["side"]], row["type"], row["tif"], row["price"], row["qty"], **more
        )

    def translate(self, step: Step) -> cmd.Command:
        """The engine's command for a step."""
        args = dict(step.args)
        agent, key = 0, ""
        if "agent" in args:
            agent, key = self.agents[args["agent"]], key_of(args["agent"])
        match step.name:
            case "configure":
                return cmd.Configure(ENGINE_VERSION, Settings(**args["settings"]))
            case "tick":
                return cmd.Tick()
            case "index_tick":
                return cmd.IndexTick(args["price_cents"], args["source_ts"], "test")
            case "print_price":
                reason = "NO_TICK" if args["price_cents"] is None else None
                return cmd.Print(args["boundary"], args["price_cents"], args["source_ts"], "test", "LAST", reason, ())
            case "signup":
                n = len(self.agents)
                return cmd.Signup(f"digest-{n}", f"agent-{n}", KeySpec(key_of(n), "00", "key", ("read", "trade")))
            case "create_agent":
                return cmd.CreateAgent(self.accounts[args["account"]], f"agent-{len(self.agents)}")
            case "place":
                return cmd.PlaceOrder(agent, key, self._spec(args["spec"]))
            case "batch":
                return cmd.PlaceBatch(agent, key, tuple(self._spec(s) for s in args["specs"]), args["atomic"])
            case "put_quotes":
                market = self.market_id(args["market"])
                return cmd.PutQuotes(agent, key, market, args["quote_id"], tuple(args["bids"]), tuple(args["asks"]))
            case "amend":
                return cmd.AmendOrder(agent, key, self.order_id(args["order"]), args["price"], args["qty"])
            case "cancel":
                return cmd.CancelOrder(agent, key, self.order_id(args["order"]))
            case "cancel_many":
                return self._cancel_many(agent, key, args)
            case "deadman":
                market = args["market"]
                return cmd.CallDeadman(agent, key, args["timeout_ms"], None if market is None else self.markets[market])
            case "resurface":
                return cmd.Resurface()
            case "faucet":
                return cmd.Faucet(agent, key)
            case "transfer":
                account = self.accounts[args["account"]]
                wallets = [account if args[w] is None else self.agents[args[w]] for w in ("source", "target")]
                return cmd.Transfer(account, wallets[0], wallets[1], args["amount_cents"])
            case "freeze":
                return cmd.Freeze("op", "why")
            case "unfreeze":
                return cmd.Unfreeze("op", None)
            case "halt":
                return cmd.HaltMarket("op", self.market_id(args["market"]), "why")
            case "resume":
                return cmd.ResumeMarket("op", self.market_id(args["market"]), None)
            case "void":
                return cmd.VoidMarket("op", self.market_id(args["market"]), "why")
            case "suspend":
                return cmd.SuspendAgent("op", agent, "why")
            case "reinstate":
                return cmd.ReinstateAgent("op", agent, None)
            case "grant":
                return cmd.GrantCash("op", agent, args["amount_cents"], "why")
        raise AssertionError(step.name)

    def _cancel_many(self, agent: int, key: str, args: dict[str, Any]) -> cmd.Command:
        listed = args.get("orders")
        market, side, names = args.get("market"), args.get("side"), args.get("client_order_ids")
        return cmd.CancelOrders(
            agent,
            key,
            None if listed is None else tuple(self.order_id(o) for o in listed),
            None if market is None else self.market_id(market),
            None if side is None else SIDES[side],
            args.get("quote_id"),
            None if names is None else tuple(names),
        )


def key_of(agent: int) -> str:
    return f"key-{agent}"


# ---- generation ----


def settings_of(random: Random) -> dict[str, Any]:
    """Rules with small limits, so that every one of them is met."""
    return settings_dict(
        Settings(
            reference_kind="simulated",
            tie_rule=random.choice(["VOID", "VOID", "YES", "NO"]),
            reference_max_age_ms=random.choice([3_000, 10_000]),
            max_order_qty=random.choice([40, 60]),
            max_order_notional_cents=random.choice([1_500, 3_000]),
            fat_finger_distance=random.choice([20, 20, 5]),
            fat_finger_multiple=random.choice([5, 5, 2]),
            position_cap=random.choice([25, 60, 200]),
            cooldown_rejects=random.choice([3, 5, 20]),
            cooldown_window_ms=random.choice([3_000, 10_000]),
            cooldown_ms=random.choice([1_000, 5_000]),
            open_orders_per_market=random.choice([4, 8, 200]),
            taker_rate_bps=random.choice([700, 700, 333, 0]),
            maker_rebate_bps=random.choice([2_500, 2_500, 10_000, 1]),
            faucet_amount_cents=400,
            faucet_cooldown_ms=20_000,
            faucet_account_cap_cents=1_600,
            signup_grant_cents=random.choice([700, 3_000, 50_000]),
        )
    )


class Generator:
    """Chooses the next step by looking at the oracle. Everything comes from `random`, so a seed names a workload."""

    def __init__(self, seed: int, oracle: Oracle) -> None:
        self.random = Random(seed)
        self.oracle = oracle
        self.ts = GENESIS_MS + self.random.randrange(0, 15_000)
        self.fair = 50
        self.names = 0

    def steps(self, count: int) -> Iterator[Step]:
        """`count` steps after the opening ones. Each must be carried out before the next is asked for."""
        random = self.random
        yield Step("configure", self.ts, {"settings": settings_of(random)})
        for account in range(random.randint(2, 4)):
            yield Step("signup", self.ts, {})
            for _ in range(random.choice([0, 1, 1, 2])):
                yield Step("create_agent", self.ts, {"account": account})
        for agent in range(len(self.oracle.agents)):
            if random.random() < 0.7:
                yield Step("grant", self.ts, {"agent": agent, "amount_cents": random.choice([500, 4_000, 20_000])})
        for _ in range(count):
            self.ts = self._next_stamp()
            yield self._next_step()

    def _next_stamp(self) -> int:
        random, oracle, now = self.random, self.oracle, self.ts
        gap = oracle.settings["gap_ms"]
        roll = random.random()
        if all(m["status"] != "OPEN" or m["unusable"] for m in oracle.markets) and roll < 0.7:
            return now + random.randint(1_000, gap)  # nothing can trade: on to the next window
        if roll < 0.30:
            return now
        if roll < 0.78:
            return now + random.randint(1, 600)
        if roll < 0.95:
            return now + random.randint(600, 3_000)
        if roll < 0.985:
            # On, right before or right after what will fall due.
            moments = [m["close_at"] for m in oracle.markets if m["status"] == "OPEN"]
            moments += [m["open_at"] for m in oracle.markets if m["status"] == "PENDING"]
            moments += [b["at"] + oracle.settings["print_grace_ms"] for b in oracle.boundaries if not b["done"]]
            moments += list(oracle.live_deadmen().values())
            moments += [o["expires_at"] for m in oracle.markets for o in m["book"] if o["expires_at"] is not None]
            near = [m + d for m in moments for d in (-1, 0, 0, 1) if now <= m + d <= now + gap]
            if near:
                return random.choice(near)
            return now + random.choice([gap, gap, gap - 1, 2_000])
        if roll < 0.998:
            return now + random.choice([gap, gap - 1, gap - 1])
        return now + random.choice([gap + 1, 20_000, 61_000, 200_000])

    def _next_step(self) -> Step:
        random, oracle = self.random, self.oracle
        waiting = [b for b in oracle.boundaries if not b["done"]]
        waiting += [{"at": m["close_at"]} for m in oracle.markets if m["status"] == "OPEN" and m["close_at"] <= self.ts]
        if waiting and random.random() < 0.6:
            return self._print(waiting[0]["at"])
        stale = oracle.reference is None or self.ts - oracle.reference[0] > 2_000
        if random.random() < (0.2 if stale else 0.03):
            return self._index_tick()
        if oracle.frozen and random.random() < 0.25:
            return Step("unfreeze", self.ts, {})
        suspended = [a["id"] for a in oracle.agents if a["suspended"]]
        if suspended and random.random() < 0.1:
            return Step("reinstate", self.ts, {"agent": random.choice(suspended)})
        halted = [m["id"] for m in oracle.markets if m["halted"] and m["status"] in ("PENDING", "OPEN")]
        if halted and random.random() < 0.15:
            return Step("resume", self.ts, {"market": random.choice(halted)})
        kinds = [
            (self._place, 70),
            (self._batch, 8),
            (self._quotes, 8),
            (self._amend, 10),
            (self._cancel, 8),
            (self._cancel_many, 3),
            (self._deadman, 2),
            (self._money, 3),
            (self._operate, 0.8),
            (self._tick, 1),
        ]
        chosen = random.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        return chosen()

    def _step(self, name: str, **args: Any) -> Step:
        return Step(name, self.ts, args)

    def _tick(self) -> Step:
        return self._step("tick")

    def _deadman(self) -> Step:
        random = self.random
        if random.random() < 0.1:
            return self._step("resurface")
        market = random.choice([None, None, self.oracle.markets[-1]["id"], self._market()])
        timeout_ms = random.choice([1_000, 1_000, 2_000, 5_000, 60_000, 0])
        return self._step("deadman", agent=self._agent(), timeout_ms=timeout_ms, market=market)

    def _print(self, boundary: int) -> Step:
        random = self.random
        price = None if random.random() < 0.05 else random.choice([10_000_000, 10_000_100, 9_999_900])
        age = random.choice([0, 1, 250, 5_000]) if random.random() < 0.95 else random.choice([-1, 5_001])
        where = boundary if random.random() < 0.97 else boundary + random.choice([-60_000, 60_000, 1])
        return self._step("print_price", boundary=where, price_cents=price, source_ts=boundary - age)

    def _index_tick(self) -> Step:
        random = self.random
        age = random.choice([0, 0, 40, 300]) if random.random() < 0.9 else random.choice([2_999, 3_000, 9_000])
        return self._step("index_tick", price_cents=random.randint(9_900_000, 10_100_000), source_ts=self.ts - age)

    def _agent(self) -> int:
        return self.random.randrange(len(self.oracle.agents))

    def _market(self) -> int | None:
        random, markets = self.random, self.oracle.markets
        roll = random.random()
        if roll < 0.01:
            return None
        if roll < 0.05:
            return random.choice(markets[-4:])["id"]
        live = [m["id"] for m in markets if m["status"] == "OPEN"]
        return live[0] if live and not (roll < 0.07) else markets[-1]["id"]

    def _near(self, side: str) -> int:
        """A price that often meets the other side."""
        random = self.random
        if random.random() < 0.05:
            self.fair = min(90, max(10, self.fair + random.randint(-12, 12)))
        sign = 1 if side == "BUY" else -1
        price = self.fair - sign * random.choice([-6, -3, -2, -1, 0, 0, 1, 1, 2, 2, 3, 4, 6, 9])
        return min(99, max(1, price))

    def _qty(self) -> int:
        random = self.random
        roll = random.random()
        if roll < 0.85:
            return random.choice([1, 1, 2, 3, 4, 5, 7, 10])
        if roll < 0.96:
            return random.choice([15, 22, 30])
        return random.choice([0, -1, 41, 61, 90, 2_500])

    def _spec(self, agent: int) -> dict[str, Any]:
        random, oracle = self.random, self.oracle
        market, side = self._market(), random.choice(["BUY", "SELL"])
        kind = "LIMIT" if random.random() < 0.8 else "MARKET"
        spec: dict[str, Any] = {"market": market, "side": side, "type": kind, "price": None, "qty": self._qty()}
        if kind == "LIMIT":
            spec["tif"] = random.choices(["GTC", "IOC", "FOK", "POST_ONLY"], [60, 14, 12, 14])[0]
            spec["price"] = self._near(side)
            if random.random() < 0.04:
                spec["price"] = random.choice([0, 1, 2, 98, 99, 100, -7])
        else:
            spec["tif"] = random.choice(["IOC", "IOC", "FOK"])
            if random.random() < 0.4:
                spec["slippage_cap"] = random.choice([0, 0, 1, 3, 200])
        if market is not None and random.random() < 0.2:
            # Mostly on the side that has something to reduce, around what there is.
            held = oracle.net(market, agent)
            if held and random.random() < 0.85:
                spec["side"] = "SELL" if held > 0 else "BUY"
                spec["qty"] = max(1, random.choice([abs(held), abs(held) // 2, 1, abs(held) + 1]))
                if kind == "LIMIT":
                    spec["price"] = self._near(spec["side"])
            spec["reduce_only"] = random.random() < 0.8
        if random.random() < 0.3:
            self.names += 1
            spec["client_order_id"] = f"c{self.names}"
        if random.random() < 0.1:
            spec["expires_at"] = self.ts + random.choice([-1, 0, 1, 300, 1_000, 2_500, 10_000, 70_000])
        if random.random() < 0.04:
            spec["timestamp_ms"] = self.ts + random.choice([-1_001, -1_000, 0, 1_000, 1_001])
            spec["recv_window_ms"] = 1_000
        spec["stp"] = random.choices(["CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"], [60, 20, 20])[0]
        if random.random() < 0.1:
            spec["confirm_fat_finger"] = True
        if random.random() < 0.01:
            spec["leverage_ok"] = False
        if random.random() < 0.01:
            spec["margin_mode_ok"] = False
        return spec

    def _place(self) -> Step:
        agent = self._agent()
        return self._step("place", agent=agent, spec=self._spec(agent))

    def _batch(self) -> Step:
        random, agent = self.random, self._agent()
        atomic = random.random() < 0.6
        specs = [self._spec(agent) for _ in range(random.randint(1, 4))]
        if atomic and random.random() < 0.75:
            # Small aggressive legs in the open market, so that whole batches go through now and then.
            live = self.oracle.open_market()
            for spec in specs:
                spec.update(market=spec["market"] if live is None else live["id"], qty=random.choice([1, 1, 2, 3]))
                if spec["type"] == "LIMIT":
                    spec["price"] = self._near("SELL" if spec["side"] == "BUY" else "BUY")
                for field in ("expires_at", "timestamp_ms", "recv_window_ms", "leverage_ok", "margin_mode_ok"):
                    spec.pop(field, None)
        return self._step("batch", agent=agent, specs=specs, atomic=atomic)

    def _quotes(self) -> Step:
        random, agent, market = self.random, self._agent(), self._market()
        bids: list[tuple[int, int]] = []
        asks: list[tuple[int, int]] = []
        if random.random() < 0.85:
            middle = min(94, max(6, self.fair + random.randint(-2, 2)))
            bid_prices = random.sample(range(middle - 5, middle), random.randint(0, 3))
            ask_prices = random.sample(range(middle + 1, middle + 6), random.randint(0, 3))
            bids = [(price, self._qty()) for price in bid_prices]
            asks = [(price, self._qty()) for price in ask_prices]
        name = f"q{random.randint(1, 2)}"
        return self._step("put_quotes", agent=agent, market=market, quote_id=name, bids=bids, asks=asks)

    def _some_order(self) -> tuple[int, int | None]:
        """(agent, order): mostly a resting one of that agent, sometimes somebody else's, ended or unknown."""
        random, oracle = self.random, self.oracle
        resting = [o for m in oracle.markets for o in m["book"]]
        roll = random.random()
        if roll < 0.02:
            return self._agent(), None
        if not resting or roll < 0.06:
            # Orders the engine forgot are told apart outside of it; it still has to say no.
            known = [o for o in oracle.orders if o["status"] != "REJECTED"]
            if not known:
                return self._agent(), None
            order = random.choice(known[-40:])
            return order["agent"], order["id"]
        order = random.choice(resting)
        return (self._agent() if roll < 0.09 else order["agent"]), order["id"]

    def _amend(self) -> Step:
        random = self.random
        agent, order = self._some_order()
        price: int | None = None
        qty: int | None = None
        row = None if order is None else self.oracle.orders[order]
        if row is None or row["price"] is None or random.random() < 0.15:
            return self._step("amend", agent=agent, order=order, price=self.fair, qty=random.choice([None, 3]))
        if random.random() < 0.6:
            price = random.choice([row["price"], self._near(row["side"]), row["price"] + random.randint(-3, 3)])
        if price is None or random.random() < 0.5:
            qty = random.choice([row["qty"], row["qty"] - 1, max(1, row["qty"] // 2), row["qty"] + 2, self._qty()])
        return self._step("amend", agent=agent, order=order, price=price, qty=qty)

    def _cancel(self) -> Step:
        agent, order = self._some_order()
        return self._step("cancel", agent=agent, order=order)

    def _cancel_many(self) -> Step:
        random, oracle = self.random, self.oracle
        agent = self._agent()
        if random.random() < 0.4:
            listed = [self._some_order()[1] for _ in range(random.randint(1, 5))]
            return self._step("cancel_many", agent=agent, orders=listed)
        args: dict[str, Any] = {}
        if random.random() < 0.3:
            args["market"] = random.choice(oracle.markets[-3:])["id"]
        if random.random() < 0.4:
            args["side"] = random.choice(["BUY", "SELL"])
        if random.random() < 0.2:
            args["quote_id"] = random.choice(["q1", "q2"])
        if random.random() < 0.2 and self.names:
            args["client_order_ids"] = [f"c{random.randint(1, self.names)}" for _ in range(4)]
        return self._step("cancel_many", agent=agent, **args)

    def _money(self) -> Step:
        random, oracle = self.random, self.oracle
        roll = random.random()
        if roll < 0.3:
            return self._step("faucet", agent=self._agent())
        if roll < 0.4:
            return self._step("grant", agent=self._agent(), amount_cents=random.choice([1, 100, 2_000]))
        account = random.randrange(len(oracle.accounts))
        own: list[int | None] = [a["id"] for a in oracle.agents if a["account"] == account]
        source, target = random.choice([*own, None]), random.choice([*own, None])
        if source == target:
            source, target = own[0], None
        there = oracle.accounts[account]["cash"] if source is None else oracle.free(source)
        amount = max(1, random.choice([there, there + 1, there // 2, there // 5, 100]))
        if random.random() < 0.05:
            target = self._agent()
            if source == target:
                source = None
        return self._step("transfer", account=account, source=source, target=target, amount_cents=amount)

    def _operate(self) -> Step:
        random, oracle = self.random, self.oracle
        roll = random.random()
        if roll < 0.15:
            return self._step("freeze")
        if roll < 0.45:
            return self._step(
                random.choice(["halt", "halt", "resume"]), market=random.choice(oracle.markets[-3:])["id"]
            )
        if roll < 0.6:
            return self._step("void", market=random.choice(oracle.markets[-4:])["id"])
        if roll < 0.85:
            return self._step("suspend", agent=self._agent())
        # New rules: markets that are listed keep theirs. What rules the clock stays as it is.
        changed = settings_of(random)
        for name in ("gap_ms", "print_grace_ms", "print_max_age_ms", "window_ms"):
            changed[name] = oracle.settings[name]
        return self._step("configure", settings=changed)


def generate(seed: int, count: int) -> Iterator[tuple[Pair, Step, Outcome]]:
    """Run a whole workload, yielding after every step what was asked and what both venues said."""
    pair = Pair()
    for step in Generator(seed, pair.oracle).steps(count):
        yield pair, step, pair.run(step)


def resting_of(state: State, market: int, side: int) -> list[Order]:
    """The engine's book of one side in the order in which it would trade; empty when the market has ended."""
    held = state.markets.get(market)
    return [] if held is None else list(held.book.orders(side))
