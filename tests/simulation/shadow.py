"""The judge: follows what became durable row by row, replays it from the first row on, and checks everything.

It is told rows by the disk at the moment they are durable, whatever the venue believes. Its own books (balances,
windows, idempotency keys, dead-man timers) are kept from events alone. Must not know how the venue runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from raeth.engine import codec, invariants, snapshot
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import apply, new_state
from raeth.engine.state import Market, State
from raeth.engine.types import EXPIRED, OPEN, REJECTED, VOID, PrintFact, Settings
from raeth.journal.base import EMPTY_HEAD, Row
from raeth.journal.chain import verify

FULL_EVERY = 20
"""Commands between two recomputations of every invariant from scratch; those of `_check_cheap` hold after each."""


class Window:
    """A window as its events tell it."""

    def __init__(self, listed: ev.MarketListed, settings: Settings) -> None:
        self.listed = listed
        self.settings = settings
        self.status = "PENDING"
        self.opened_ts: int | None = None
        self.open_print: PrintFact | None = None
        self.close_print: PrintFact | None = None


class Shadow:
    """What the journal says. Raises AssertionError, saying what is wrong, from `follow`."""

    def __init__(self, full_every: int = FULL_EVERY) -> None:
        self.state: State = new_state()
        self.head = EMPTY_HEAD
        self.full_every = full_every
        self.kinds: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.trades = 0
        self.balances: Counter[int] = Counter()
        self.granted_cents = 0
        self.windows: dict[int, Window] = {}
        self.printed: set[int] = set()
        self.orders: dict[tuple[int, str], int] = {}
        self.transfers: dict[tuple[int, str], int] = {}
        self.commands: list[tuple[int, cmd.Command]] = []
        self.deadmen: dict[tuple[int, int | None], int] = {}
        self.closed_until = 0
        """No window need be open before this stamp: there was a gap, or an operator voided one."""

    def follow(self, rows: Sequence[Row]) -> None:
        """Take rows that have just become durable."""
        self.head = verify(rows, self.head)
        for row in rows:
            command = codec.decode_command(row.command)
            before = self.state.ts
            events = apply(self.state, command, row.seq, row.ts)
            assert codec.encode_events(events) == row.events, f"seq {row.seq}: replay gives other events"
            self.kinds[type(command).__name__] += 1
            self.commands.append((row.ts, command))
            ended = self._follow_events(command, events, before, row)
            self._check_cheap()
            if ended or row.seq % self.full_every == 0:
                invariants.check(self.state)

    def bytes(self) -> bytes:
        return snapshot.dump(self.state)

    # Own books

    def _follow_events(self, command: cmd.Command, events: list[ev.Event], before_ts: int, row: Row) -> bool:
        ended = False
        rules = self.state.settings
        assert rules is not None
        gap = bool(before_ts) and row.ts - before_ts > rules.gap_ms
        for event in events:
            kind = type(event)
            if kind is ev.OrderPlaced:
                self._placed(event, row.seq)  # type: ignore[arg-type]
            elif kind is ev.Traded:
                self.trades += 1
            elif kind is ev.CashMoved:
                self._cash(event)  # type: ignore[arg-type]
            elif kind is ev.Transferred:
                self._transferred(event, row.seq)  # type: ignore[arg-type]
            elif kind is ev.MarketResolved:
                ended = True
                self._resolved(event, gap, command)  # type: ignore[arg-type]
            elif kind in _WINDOWS:
                self._window(event)
            elif kind in _DEADMEN:
                self._deadman(event)
        if gap:
            self._check_gap(before_ts, row)
        return ended

    def _deadman(self, event: ev.Event) -> None:
        if isinstance(event, ev.DeadmanFired):
            assert self.deadmen.pop((event.agent, event.market), None) == event.ts, "a dead-man timer at a wrong time"
        else:
            assert isinstance(event, ev.DeadmanSet | ev.DeadmanMoved)
            name = (event.agent, event.market)
            assert isinstance(event, ev.DeadmanSet) or name in self.deadmen, "a timer moved that nobody armed"
            self.deadmen.pop(name, None)
            if event.armed_until is not None:
                self.deadmen[name] = event.armed_until

    def _disarm(self, market: int) -> None:
        """The timers of a market end with it."""
        for name in [name for name in self.deadmen if name[1] == market]:
            del self.deadmen[name]

    def _check_gap(self, before_ts: int, row: Row) -> None:
        """Windows with a boundary in a gap are void, those that lie in it never existed (contract, section 7)."""
        for window in self.windows.values():
            for boundary in (window.listed.open_at, window.listed.close_at):
                known = window.listed.ts <= before_ts and window.status != "EXPIRED"
                assert not (known and before_ts < boundary <= row.ts), "a window outlived a gap over its boundary"
            assert window.opened_ts is None or not before_ts < window.opened_ts <= row.ts, "a window opened in a gap"

    def _placed(self, event: ev.OrderPlaced, seq: int) -> None:
        order = event.order
        if order.client_order_id is not None:
            name = (order.agent, order.client_order_id)
            assert name not in self.orders, f"seq {seq}: order {name} was done before, at seq {self.orders[name]}"
            self.orders[name] = seq
        assert order.filled + order.remaining <= order.qty or order.status == REJECTED, "filled beyond its size"

    def _cash(self, event: ev.CashMoved) -> None:
        self.balances[event.wallet] += event.amount_cents
        if event.kind in ("SIGNUP_GRANT", "FAUCET", "GRANT"):
            self.granted_cents += event.amount_cents
        assert self.balances[event.wallet] == event.balance_after_cents, "a ledger line does not follow from the others"

    def _transferred(self, event: ev.Transferred, seq: int) -> None:
        if event.client_transfer_id is not None:
            name = (event.account, event.client_transfer_id)
            assert name not in self.transfers, f"seq {seq}: transfer {name} was done at seq {self.transfers[name]}"
            self.transfers[name] = seq

    # Windows

    def _window(self, event: ev.Event) -> None:
        if isinstance(event, ev.MarketListed):
            assert event.market not in self.windows
            market = self.state.markets.get(event.market)
            rules = market.settings if market is not None else self.state.settings
            assert rules is not None
            self.windows[event.market] = Window(event, rules)
        elif isinstance(event, ev.MarketOpened):
            window = self.windows[event.market]
            others = [w for w in self.windows.values() if w.status == "OPEN"]
            assert not others, "a window opens while another one is open"
            assert window.status == "PENDING" and event.ts == window.listed.open_at, "opened late or twice"
            window.status, window.opened_ts = "OPEN", event.ts
        elif isinstance(event, ev.MarketExpired):
            window = self.windows[event.market]
            assert window.status == "OPEN" and event.ts == window.listed.close_at, "closed late or twice"
            window.status = "EXPIRED"
            self._disarm(event.market)
        elif isinstance(event, ev.Printed):
            fact = event.fact
            assert fact.boundary not in self.printed, "a boundary was printed twice"
            self.printed.add(fact.boundary)
            if event.opens is not None:
                assert self.windows[event.opens].listed.open_at == fact.boundary
                self.windows[event.opens].open_print = fact
            if event.closes is not None:
                assert self.windows[event.closes].listed.close_at == fact.boundary
                self.windows[event.closes].close_print = fact

    def _resolved(self, event: ev.MarketResolved, gap: bool, command: cmd.Command) -> None:
        window = self.windows.pop(event.market, None)
        assert window is not None, "a window was settled twice, or never listed"
        listed = window.listed
        self.outcomes[f"{event.outcome} {event.reason}"] += 1
        if event.reason == "VENUE_DOWN":
            assert gap, "void for a gap that was none"
        elif event.reason == "OPERATOR":
            assert isinstance(command, cmd.VoidMarket) and command.market == event.market
            self.closed_until = max(self.closed_until, listed.close_at)
        else:
            assert window.status == "EXPIRED", "settled before it closed"
            expected = _outcome(window)
            assert (event.outcome, event.reason) == expected, f"settled as {event.outcome}, the prints say {expected}"
        self._disarm(event.market)
        if gap:
            pending = self.state.pending
            assert pending is not None
            self.closed_until = max(self.closed_until, pending.open_at)

    # What holds after every command

    def _check_cheap(self) -> None:
        state = self.state
        cash = state.fees_cents
        for agent in state.agents.values():
            assert agent.cash >= agent.locked >= 0, "free cash below zero"
            cash += agent.cash
        for account in state.accounts.values():
            cash += account.cash
        assert cash == state.granted_cents == self.granted_cents, "money was made or lost"
        opened = 0
        for market in state.markets.values():
            opened += market.status == OPEN
            self._check_market(market)
        self._check_open(opened)
        if self.deadmen:
            name, until = min(self.deadmen.items(), key=lambda armed: armed[1])
            assert until > state.ts, f"the dead-man timer {name} did not fire at {until}, it is {state.ts}"

    def _check_market(self, market: Market) -> None:
        net, flow = 0, market.fees_cents
        for position in market.positions.values():
            net += position.net
            flow += position.cash_flow
        assert net == 0 and flow == 0, "a market's positions or cash flows do not sum to zero"
        bid, ask = market.book.best_bid(), market.book.best_ask()
        assert bid is None or ask is None or bid < ask, "the book is crossed"
        assert market.status == OPEN or market.status == "PENDING" or not (bid or ask), "orders rest in a closed window"
        if market.status == EXPIRED:
            grace = market.settings.print_grace_ms
            assert market.close_at in self.state.unprinted, "a closed window waits for no print"
            # Prints come in turn: the oldest boundary has the deadline, those behind it at most a grace more each.
            oldest = next(iter(self.state.unprinted))
            assert self.state.ts <= oldest + max(grace, self._longest_grace()), "the grace of a print has passed"

    def _longest_grace(self) -> int:
        return max(m.settings.print_grace_ms for m in self.state.markets.values())

    def _check_open(self, opened: int) -> None:
        state = self.state
        live, pending = state.live, state.pending
        assert pending is not None and pending.status == "PENDING" and pending.open_at > state.ts, "nothing pre-listed"
        if live is None:
            assert opened == 0
            first = self.windows[pending.id].listed.ts <= state.born
            assert first or state.ts < self.closed_until, "no window is open"
            return
        assert opened == 1 and live.status == OPEN and live.open_at <= state.ts < live.close_at, "not one open window"


def _outcome(window: Window) -> tuple[str, str]:
    """What the contract says the prints of a closed window mean (section 7)."""
    opens, closes = window.open_print, window.close_print
    if opens is None or opens.price_cents is None:
        return VOID, "OPEN_PRINT_UNUSABLE"
    assert closes is not None, "settled without a close print"
    if closes.price_cents is None:
        return VOID, "NO_CLOSE_PRINT"
    for fact in (opens, closes):
        assert fact.source_ts is not None and 0 <= fact.boundary - fact.source_ts <= window.settings.print_max_age_ms
        assert fact.source != "none", "a print without evidence"
    if closes.price_cents == opens.price_cents:
        return window.settings.tie_rule, "TIE"
    return ("YES", "UP") if closes.price_cents > opens.price_cents else ("NO", "DOWN")


_DEADMEN = frozenset({ev.DeadmanSet, ev.DeadmanMoved, ev.DeadmanFired})
_WINDOWS = frozenset({ev.MarketListed, ev.MarketOpened, ev.MarketExpired, ev.Printed})
