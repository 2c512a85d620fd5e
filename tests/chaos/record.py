"""The journal of a venue, read beside it and executed once more: what really happened, to hold everything against.

Must not know who was told what.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import msgspec

from raeth.api.views.markets import trade_body
from raeth.api.views.names import MarketName, Names
from raeth.api.views.orders import order_body
from raeth.engine import codec, snapshot
from raeth.engine import events as ev
from raeth.engine.exchange import new_state
from raeth.engine.state import State
from raeth.engine.types import BUY, SELL, Order
from raeth.journal.base import EMPTY_HEAD, Row
from raeth.journal.chain import verify
from raeth.sequencer.replaying import replay
from raeth.store.rows import TradeRow
from tests.e2e.private_story import JournalStory
from tests.postgres import Server

PAGE = 5_000

_ROWS = "SELECT seq, ts, command, events, hash FROM journal WHERE seq > {} ORDER BY seq LIMIT {}"
_SNAPSHOTS = "SELECT seq, blob FROM snapshots ORDER BY seq"
_TABLES_SEQ = "SELECT projected_seq FROM journal_meta"


class Database(Protocol):
    """Where a venue keeps its journal."""

    def rows(self, after: int) -> list[Row]:
        """The next ones, at most `PAGE`."""
        ...

    def snapshots(self) -> dict[int, bytes]: ...

    def tables_seq(self) -> int:
        """How far the derived tables say they are."""
        ...


class Shared:
    """On a PostgreSQL."""

    def __init__(self, server: Server, url: str) -> None:
        self._server, self.url = server, url

    def rows(self, after: int) -> list[Row]:
        return [Row(*fields) for fields in self._ask(_ROWS.format("$1", "$2"), after, PAGE)]

    def snapshots(self) -> dict[int, bytes]:
        return dict(self._ask(_SNAPSHOTS))

    def tables_seq(self) -> int:
        return int(self._ask(_TABLES_SEQ)[0][0])

    def _ask(self, sql: str, *parameters: object) -> list[Any]:
        return self._server.execute(sql, *parameters, url=self.url)


class File:
    """In a SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, after: int) -> list[Row]:
        return [Row(*fields) for fields in self._ask(_ROWS.format("?", "?"), after, PAGE)]

    def snapshots(self) -> dict[int, bytes]:
        return dict(self._ask(_SNAPSHOTS))

    def tables_seq(self) -> int:
        return int(self._ask(_TABLES_SEQ)[0][0])

    def _ask(self, sql: str, *parameters: object) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, parameters).fetchall()


class Story(JournalStory):
    """What the agents have to be told, from any database."""

    def __init__(self, database: Database) -> None:
        super().__init__(Path())
        self._rows = database.rows

    def read(self) -> int:
        while rows := self._rows(self.seq):
            for row in rows:
                assert row.seq == self.seq + 1, "a hole"
                self.seq = row.seq
                for event in codec.decode_events(row.events):
                    self._tell(row.seq, event)
        return self.seq


class Window:
    """A market's life by the journal."""

    def __init__(self, listed: ev.MarketListed) -> None:
        self.symbol = listed.symbol
        self.open_at, self.close_at = listed.open_at, listed.close_at
        self.opened_ts: int | None = None
        self.expired_ts: int | None = None
        self.outcome: str | None = None
        self.why = ""
        self.resolved_ts = 0
        self.traded: list[dict[str, Any]] = []
        """As the trades channel tells them."""
        self.active: list[int] = []
        """Stamps of the commands by which orders were taken or filled in it."""


class Record:
    """The whole journal, executed. `books` and `hashes` are asked for before: they are of one moment."""

    def __init__(self) -> None:
        self.state: State = new_state()
        self.last_seq = 0
        self.placed: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        """By agent and client_order_id: the answers that belong to them."""
        self.ended: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """By order id: how orders looked when they ended before their time."""
        self.windows: dict[int, Window] = {}
        self.prints: dict[int, tuple[int, int | None]] = {}
        """By boundary: the stamp of its print, and the price."""
        self.ticks: list[tuple[int, int]] = []
        """Index ticks: stamp and source time."""
        self.stamps: list[int] = []
        self.hashes: dict[int, str] = {}
        self.orders = self.trades = 0
        self._names: Names | None = None

    def execute(self, database: Database, hashes: set[int]) -> Iterator[State]:
        """The state after each command, verified; the hash of the state at each of `hashes` is kept."""
        head = EMPTY_HEAD
        while rows := database.rows(head.seq):
            head = verify(rows, head)
            for row in rows:
                fact = replay(self.state, row)
                self.last_seq = row.seq
                self.stamps.append(row.ts)
                if self._names is None:
                    self._names = Names(self.state.born)
                for event in fact.events:
                    self._note(row.ts, event)
                if row.seq in hashes:
                    self.hashes[row.seq] = snapshot.state_hash(self.state)
                yield self.state

    def books(self, symbol: str) -> tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]]:
        """Bids and asks of a window now; empty once it has ended."""
        market = self.state.markets.get(self.state.symbols.get(symbol, 0))
        if market is None:
            return {}, {}
        bids, asks = (market.book.ladder(side) for side in (BUY, SELL))
        return {p: (qty, n) for p, qty, n in bids}, {p: (qty, n) for p, qty, n in asks}

    def _note(self, stamp: int, event: ev.Event) -> None:
        if isinstance(event, ev.OrderPlaced):
            order = event.order
            self.orders += 1
            body = self._body(order)
            self.placed[body["agent_id"], order.client_order_id or ""].append(body)
            if order.status != "REJECTED" and order.market:
                self.windows[order.market].active.append(stamp)
        elif isinstance(event, ev.OrderEnded):
            body = self._body(event.order)
            self.ended[body["order_id"]].append(body)
        elif isinstance(event, ev.Traded):
            self.trades += 1
            self._traded(stamp, event)
        elif isinstance(event, ev.IndexMoved):
            self.ticks.append((stamp, event.source_ts))
        elif isinstance(event, ev.Printed):
            self.prints[event.fact.boundary] = (stamp, event.fact.price_cents)
        else:
            self._window(event)

    def _window(self, event: ev.Event) -> None:
        if isinstance(event, ev.MarketListed):
            self.windows[event.market] = Window(event)
        elif isinstance(event, ev.MarketOpened):
            self.windows[event.market].opened_ts = event.ts
        elif isinstance(event, ev.MarketExpired):
            self.windows[event.market].expired_ts = event.ts
        elif isinstance(event, ev.MarketResolved):
            window = self.windows[event.market]
            assert window.outcome is None, f"{window.symbol} ended twice"
            window.outcome, window.why, window.resolved_ts = event.outcome, event.reason, event.ts

    def _traded(self, stamp: int, event: ev.Traded) -> None:
        assert self._names is not None
        window = self.windows[event.market]
        row = TradeRow(event.trade_id, event.price, event.qty, event.taker_side, event.ts)
        window.traded.append(trade_body(self._names, row))
        window.active.append(stamp)

    def _body(self, order: Order) -> dict[str, Any]:
        assert self._names is not None
        name: MarketName | None = None
        if order.market:
            name = self._names.learn(order.market, self.windows[order.market].symbol)
        body: dict[str, Any] = msgspec.to_builtins(order_body(self._names, name, order))
        return body
