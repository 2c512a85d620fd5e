"""A small venue for tests of the engine: agents by number, one open window, and every invariant after every command."""

from __future__ import annotations

from typing import Any, TypeVar

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine import invariants
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import Agent, Market, Position, State
from raeth.engine.types import BUY, ENGINE_VERSION, GTC, IOC, LIMIT, MARKET, SELL, Input, KeySpec, Order, Settings

E = TypeVar("E")

MINUTE = 60_000
OPEN_AT = 29_916_667 * MINUTE
"""A whole minute: the first window is `[OPEN_AT, OPEN_AT + MINUTE)`."""

BTC = 10_000_000
"""100 000 dollars in cents."""

NO_FEES = {"taker_rate_bps": 0, "maker_rebate_bps": 0}


class Venue:
    """`ts` is the stamp of the next command. Agents are made by `join` and named by their ids."""

    def __init__(self, *, agents: int = 3, opened: bool = True, start: int = OPEN_AT - 1_000, **rules: Any) -> None:
        self.state: State = new_state()
        self.ts = start
        self.rules = Settings(reference_kind="simulated", **rules)
        self.journal: list[tuple[int, cmd.Command]] = []
        self.events: list[ev.Event] = []
        self.apply(cmd.Configure(ENGINE_VERSION, self.rules))
        self.agents = [self.join() for _ in range(agents)]
        if opened:
            self.open()

    def open(self) -> None:
        """Let the first window open, with a fresh reference price and its open print."""
        self.at(OPEN_AT)
        self.index()
        self.print(OPEN_AT)

    def apply(self, command: cmd.Command) -> list[ev.Event]:
        self.journal.append((self.ts, command))
        self.events = apply(self.state, command, self.state.seq + 1, self.ts)
        invariants.check(self.state)
        return self.events

    def at(self, ts: int) -> list[ev.Event]:
        """Move to `ts` by a Tick and nothing else."""
        self.ts = ts
        return self.apply(cmd.Tick())

    def stroll(self, ts: int) -> list[ev.Event]:
        """Move to `ts` in steps that are no gap; all events on the way."""
        events: list[ev.Event] = []
        while self.ts < ts:
            events += self.at(min(ts, self.ts + self.rules.gap_ms))
        return events

    # People

    def join(self, cash: int | None = None) -> int:
        """A new account with one agent; `cash` on top of the signup grant."""
        n = len(self.state.accounts)
        events = self.apply(cmd.Signup(f"digest-{n}", f"agent-{n}", key_spec(f"key-a{n}")))
        agent = next(e.agent for e in events if isinstance(e, ev.AgentCreated))
        if cash:
            self.apply(cmd.GrantCash("op", agent, cash, "test"))
        return agent

    def sibling(self, agent: int, cash: int = 100_000) -> int:
        """Another agent of the same account."""
        account = self.state.agents[agent].account.id
        name = f"agent-{len(self.state.agents)}-more"
        events = self.apply(cmd.CreateAgent(account, name))
        other = next(e.agent for e in events if isinstance(e, ev.AgentCreated))
        self.apply(cmd.IssueKey(account, other, key_spec(f"key-{name}")))
        self.apply(cmd.GrantCash("op", other, cash, "test"))
        return other

    def key(self, agent: int) -> str:
        return self.state.agents[agent].keys[0]

    def agent(self, agent: int) -> Agent:
        return self.state.agents[agent]

    # Markets

    @property
    def live(self) -> Market:
        assert self.state.live is not None
        return self.state.live

    @property
    def pending(self) -> Market:
        assert self.state.pending is not None
        return self.state.pending

    def position(self, agent: int, market: Market | None = None) -> Position:
        return (market or self.live).positions[agent]

    def index(self, price_cents: int = BTC, source_ts: int | None = None) -> list[ev.Event]:
        return self.apply(cmd.IndexTick(price_cents, self.ts if source_ts is None else source_ts, "test"))

    def print(
        self, boundary: int, price_cents: int | None = BTC, source_ts: int | None = None, inputs: tuple[Input, ...] = ()
    ) -> list[ev.Event]:
        reason = None if price_cents is not None else "no_price"
        source_ts = boundary if source_ts is None and price_cents is not None else source_ts
        return self.apply(cmd.Print(boundary, price_cents, source_ts, "test", "LAST", reason, inputs))

    # Orders

    def spec(self, side: int, price: int | None, qty: int, tif: str = GTC, **more: Any) -> cmd.OrderSpec:
        market = more.pop("market", None)
        if market is None:
            market = (self.state.live or self.pending).id
        if price is None and tif == GTC:
            tif = IOC
        return cmd.OrderSpec(market, side, MARKET if price is None else LIMIT, tif, price, qty, **more)

    def place(self, agent: int, spec: cmd.OrderSpec) -> Order:
        events = self.apply(cmd.PlaceOrder(agent, self.key(agent), spec))
        last = events[-1]
        assert isinstance(last, ev.OrderPlaced), last
        return last.order

    def buy(self, agent: int, price: int | None, qty: int, tif: str = GTC, **more: Any) -> Order:
        return self.place(agent, self.spec(BUY, price, qty, tif, **more))

    def sell(self, agent: int, price: int | None, qty: int, tif: str = GTC, **more: Any) -> Order:
        return self.place(agent, self.spec(SELL, price, qty, tif, **more))

    def batch(self, agent: int, *specs: cmd.OrderSpec, atomic: bool = False) -> list[Order]:
        events = self.apply(cmd.PlaceBatch(agent, self.key(agent), specs, atomic))
        return [e.order for e in events if isinstance(e, ev.OrderPlaced)]

    def quote(
        self,
        agent: int,
        bids: list[tuple[int, int]],
        asks: list[tuple[int, int]],
        quote_id: str = "q",
        market: int | None = None,
    ) -> list[ev.Event]:
        where = self.live.id if market is None else market
        return self.apply(cmd.PutQuotes(agent, self.key(agent), where, quote_id, tuple(bids), tuple(asks)))

    def amend(self, agent: int, order: Order, price: int | None = None, qty: int | None = None) -> ev.Event:
        return self.apply(cmd.AmendOrder(agent, self.key(agent), order.id, price, qty))[-1]

    def cancel(self, agent: int, order: Order) -> ev.Event:
        return self.apply(cmd.CancelOrder(agent, self.key(agent), order.id))[-1]

    def give(self, agent: int, qty: int, price: int = 50) -> None:
        """Make `agent`'s net position change by `qty` at `price`, against a counterparty made for it."""
        other = self.join(cash=10_000_000)
        if qty > 0:
            self.sell(other, price, qty, confirm_fat_finger=True)
            done = self.buy(agent, price, qty, IOC, confirm_fat_finger=True)
        else:
            self.buy(other, price, -qty, confirm_fat_finger=True)
            done = self.sell(agent, price, -qty, IOC, confirm_fat_finger=True)
        assert done.filled == abs(qty), done

    def resting(self, side: int) -> list[int]:
        """Ids of what rests on a side, in the order in which it would trade."""
        return [order.id for order in self.live.book.orders(side)]


def key_spec(key_id: str, scopes: tuple[str, ...] = ("read", "trade")) -> KeySpec:
    return KeySpec(key_id, "00", "key", scopes)


def declined(order: Order) -> tuple[str | None, dict[str, int] | None]:
    """The code and the repair of a REJECTED order; `(None, None)` of any other."""
    return order.reject_reason, order.reject_details


def of_kind(events: list[ev.Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]
