"""The venue's whole state as plain objects. It holds what is open; what has ended lives in the tables outside.

Nobody but `exchange.apply` may change it. Readers outside see it only between commands, after the commit.
"""

from __future__ import annotations

from raeth.engine.book import Book
from raeth.engine.types import CANCEL, OPEN, PAYOUT, PENDING, TRADE, KeySpec, Order, PrintFact, Settings


class Position:
    """One agent in one market: position, cash flow, what rests, and the lock they cause.

    `cost[side]` is the B and S of contract section 8 in cents, `resting[side]` the same in contracts,
    `reducing[side]` the reduce-only part of it.
    """

    __slots__ = (
        "agent",
        "cash_flow",
        "cooldown_until",
        "cost",
        "lock",
        "net",
        "orders",
        "reducing",
        "rejects",
        "resting",
    )

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.net = 0
        self.cash_flow = 0
        self.cost = [0, 0]
        self.resting = [0, 0]
        self.reducing = [0, 0]
        self.lock = 0
        self.orders: dict[int, Order] = {}
        self.rejects: tuple[list[int], list[int]] = ([], [])
        self.cooldown_until = [0, 0]

    def relock(self) -> None:
        """Bring the lock, and the agent's sum of locks, up to date after any change here."""
        lock, if_yes = self.cost
        if_yes -= PAYOUT * self.net
        if if_yes > lock:
            lock = if_yes
        lock -= self.cash_flow
        if lock < 0:
            lock = 0
        self.agent.locked += lock - self.lock
        self.lock = lock


class Deadman:
    """A dead-man timer. `until` is when it fires, 0 while it is not armed; `last_ts` when it last did.

    `queued` is the moment of its entry in `State.timers`, no later than `until`; 0 when there is none.
    """

    __slots__ = ("last_cancelled", "last_ts", "queued", "until")

    def __init__(self) -> None:
        self.until = 0
        self.queued = 0
        self.last_ts: int | None = None
        self.last_cancelled = 0


class Agent:
    """A trading agent. `cash` is settled cents; `locked` the sum of its positions' locks."""

    __slots__ = ("account", "cash", "created_ts", "deadman", "id", "keys", "locked", "name", "positions", "suspended")

    def __init__(self, agent_id: int, account: Account, name: str, created_ts: int) -> None:
        self.id = agent_id
        self.account = account
        self.name = name
        self.created_ts = created_ts
        self.cash = 0
        self.locked = 0
        self.suspended = False
        self.positions: dict[int, Position] = {}
        self.keys: list[str] = []
        self.deadman: Deadman | None = None

    @property
    def free(self) -> int:
        return self.cash - self.locked


class Account:
    """A person or parent program: a master wallet and its agents. The faucet's caps are per account."""

    __slots__ = ("agents", "cash", "created_ts", "email_digest", "faucet_claimed", "faucet_next_at", "id")

    def __init__(self, account_id: int, email_digest: str, created_ts: int) -> None:
        self.id = account_id
        self.email_digest = email_digest
        self.created_ts = created_ts
        self.cash = 0
        self.agents: list[int] = []
        self.faucet_claimed = 0
        self.faucet_next_at = 0


class Key:
    """An API key that is not revoked. `trades` and `cancels` say what its scopes allow."""

    __slots__ = ("agent", "cancels", "created_ts", "spec", "trades")

    def __init__(self, agent: Agent, spec: KeySpec, created_ts: int) -> None:
        self.agent = agent
        self.spec = spec
        self.created_ts = created_ts
        self.trades = TRADE in spec.scopes
        self.cancels = self.trades or CANCEL in spec.scopes


class Market:
    """One window that has not ended. `reducers` counts resting reduce-only orders: with 0, matching is shorter."""

    __slots__ = (
        "book",
        "close_at",
        "deadmen",
        "fees_cents",
        "halted",
        "id",
        "last_price",
        "open_at",
        "open_interest",
        "open_print",
        "positions",
        "reducers",
        "seq",
        "settings",
        "status",
        "symbol",
        "unusable",
        "volume",
    )

    def __init__(self, market_id: int, symbol: str, open_at: int, close_at: int, settings: Settings, seq: int) -> None:
        self.id = market_id
        self.symbol = symbol
        self.open_at = open_at
        self.close_at = close_at
        self.settings = settings
        self.seq = seq
        self.status = PENDING
        self.halted = False
        self.unusable = False
        self.book = Book()
        self.positions: dict[int, Position] = {}
        self.deadmen: dict[int, Deadman] = {}
        self.open_print: PrintFact | None = None
        self.last_price: int | None = None
        self.volume = 0
        self.open_interest = 0
        self.fees_cents = 0
        self.reducers = 0

    def mark(self) -> int | None:
        """Floor of the mid of the touch, else the last trade in this market, else None (contract, section 5)."""
        bid, ask = self.book.best
        if bid >= 0 and ask >= 0:
            return (bid + PAYOUT - ask) // 2
        return self.last_price

    @property
    def trading(self) -> bool:
        return self.status == OPEN and not self.halted


class State:
    """Everything the engine knows. `seq` and `ts` are those of the last command; `born` is the stamp of the first."""

    __slots__ = (
        "accounts",
        "agents",
        "born",
        "digests",
        "engine_version",
        "expiries",
        "fees_cents",
        "frozen",
        "frozen_reason",
        "granted_cents",
        "keys",
        "live",
        "markets",
        "names",
        "next_due",
        "next_id",
        "orders",
        "pending",
        "reference_price",
        "reference_source",
        "reference_ts",
        "seq",
        "settings",
        "symbols",
        "timers",
        "ts",
        "unprinted",
    )

    def __init__(self) -> None:
        self.seq = 0
        self.ts = 0
        self.born = 0
        self.engine_version = 0
        self.settings: Settings | None = None
        self.next_id = 0
        self.next_due = 0
        self.frozen = False
        self.frozen_reason: str | None = None
        self.accounts: dict[int, Account] = {}
        self.agents: dict[int, Agent] = {}
        self.keys: dict[str, Key] = {}
        self.names: dict[str, int] = {}
        self.digests: dict[str, int] = {}
        self.markets: dict[int, Market] = {}
        self.symbols: dict[str, int] = {}
        self.live: Market | None = None
        self.pending: Market | None = None
        # Boundaries that have passed and have no print yet, oldest first: (market that closed, market that opened).
        self.unprinted: dict[int, tuple[Market | None, Market | None]] = {}
        self.orders: dict[int, Order] = {}
        self.expiries: list[tuple[int, int]] = []
        # A heap of (moment, agent, market or 0): dead-man timers, none of them later than it falls due.
        self.timers: list[tuple[int, int, int]] = []
        self.reference_price: int | None = None
        self.reference_ts = 0
        self.reference_source = ""
        self.granted_cents = 0
        self.fees_cents = 0
