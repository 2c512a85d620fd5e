"""What a simulation leaves behind: fills, orders, books, windows and equity, as rows, arrays and files.

While it runs only references are kept (an order is a live object and tells its end by itself); rows are made when they
are asked for. Money is integer cents in every form, times are epoch milliseconds, ids the engine's integers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from raeth.engine import events as ev
from raeth.engine.state import Market
from raeth.engine.types import SIDES, Order, PrintFact

if TYPE_CHECKING:
    import pyarrow

Cell = int | str | None
Row = tuple[Cell, ...]

FILLS: Final = (
    *("ts_ms", "market", "trade_id", "agent", "order_id", "liquidity", "side", "price", "qty", "fee_cents"),
    "counterparty",
)
ORDERS: Final = (
    *("created_ms", "updated_ms", "market", "agent", "order_id", "client_order_id", "quote_id", "side", "type", "tif"),
    *("price", "qty", "status", "filled_qty", "notional_cents", "fee_cents", "reject_reason", "cancel_reason"),
)
WINDOWS: Final = (
    *("market", "open_at_ms", "close_at_ms", "strike_cents", "strike_source_ms", "close_cents", "close_source_ms"),
    *("resolution", "reason", "volume", "open_interest", "fees_cents"),
)
PRINTS: Final = ("boundary_ms", "price_cents", "source_ms", "source", "rule", "reason", "ts_ms")
RESULTS: Final = ("close_at_ms", "market", "agent", "resolution", "net_qty", "cash_flow_cents", "pnl_cents")


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of integers and text; None where there is nothing."""

    columns: tuple[str, ...]
    rows: list[Row]

    def dicts(self) -> list[dict[str, Cell]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def arrays(self) -> dict[str, np.ndarray]:
        """A column an array: int64 where every cell is an integer, else objects with None for what is missing."""
        found = {}
        for name, cells in zip(self.columns, self._cells(), strict=True):
            whole = all(type(cell) is int for cell in cells)
            found[name] = np.array(cells, dtype=np.int64 if whole else object)
        return found

    def to_csv(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(self.rows)

    def to_arrow(self) -> pyarrow.Table:
        """int64 and string columns. Needs the extra `research`."""
        import pyarrow

        columns = {}
        for name, cells in zip(self.columns, self._cells(), strict=True):
            is_text = any(isinstance(cell, str) for cell in cells)
            columns[name] = pyarrow.array(cells, type=pyarrow.string() if is_text else pyarrow.int64())
        return pyarrow.table(columns)

    def _cells(self) -> Sequence[Sequence[Cell]]:
        return list(zip(*self.rows, strict=True)) if self.rows else [()] * len(self.columns)


@dataclass(slots=True)
class Ended:
    """A window that is over. The market object keeps the positions it ended with."""

    market: Market
    outcome: str
    reason: str
    close: PrintFact | None
    fees_cents: int
    open_interest: int


@dataclass(slots=True)
class Records:
    """What is gathered while a simulation runs. Lists that are None are not wanted."""

    names: dict[int, str] = field(default_factory=dict)
    markets: dict[int, Market] = field(default_factory=dict)
    closes: dict[int, PrintFact] = field(default_factory=dict)
    trades: list[ev.Traded] | None = None
    orders: list[Order] | None = None
    prints: list[PrintFact] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    books: list[Row] = field(default_factory=list)
    equity: list[Row] = field(default_factory=list)
    book_depth: int = 1

    def book_columns(self) -> tuple[str, ...]:
        levels = [
            f"{side}_{what}_{level}"
            for level in range(1, self.book_depth + 1)
            for side in ("bid", "ask")
            for what in ("price", "qty")
        ]
        return ("ts_ms", "market", "reference_cents", "strike_cents", "last_trade_price", *levels)

    def table(self, name: str) -> Table:
        """One of `fills`, `orders`, `books`, `prints`, `windows`, `results`, `equity`."""
        made: dict[str, tuple[tuple[str, ...], Iterator[Row]]] = {
            "fills": (FILLS, self._fills()),
            "orders": (ORDERS, self._orders()),
            "books": (self.book_columns(), iter(self.books)),
            "prints": (PRINTS, self._prints()),
            "windows": (WINDOWS, self._windows()),
            "results": (RESULTS, self._results()),
            "equity": (("ts_ms", *self.names.values()), iter(self.equity)),
        }
        if name not in made:
            raise ValueError(f"no table {name!r}; there are {', '.join(made)}")
        columns, rows = made[name]
        return Table(columns, list(rows))

    def _fills(self) -> Iterator[Row]:
        """Two rows a trade: the taker's, then the maker's."""
        for t in self.trades or ():
            symbol = self.markets[t.market].symbol
            taker, maker = self.names[t.taker_agent], self.names[t.maker_agent]
            mine, other = SIDES[t.taker_side], SIDES[1 - t.taker_side]
            yield (
                *(t.ts, symbol, t.trade_id, taker, t.taker_order, "TAKER"),
                *(mine, t.price, t.qty, t.taker_fee_cents, maker),
            )
            yield (
                *(t.ts, symbol, t.trade_id, maker, t.maker_order, "MAKER"),
                *(other, t.price, t.qty, t.maker_fee_cents, taker),
            )

    def _orders(self) -> Iterator[Row]:
        for o in self.orders or ():
            market = self.markets.get(o.market)
            yield (
                *(o.created_ts, o.updated_ts, market.symbol if market else None, self.names[o.agent], o.id),
                *(o.client_order_id, o.quote_id, SIDES[o.side], o.type, o.tif, o.price, o.qty, o.status, o.filled),
                *(o.notional, o.fee_cents, o.reject_reason, o.cancel_reason),
            )

    def _prints(self) -> Iterator[Row]:
        for p in self.prints:
            yield p.boundary, p.price_cents, p.source_ts, p.source, p.rule, p.reason, p.ts

    def _windows(self) -> Iterator[Row]:
        for end in self.ended:
            market, strike, close = end.market, end.market.open_print, end.close
            yield (
                *(market.symbol, market.open_at, market.close_at),
                *((strike.price_cents, strike.source_ts) if strike else (None, None)),
                *((close.price_cents, close.source_ts) if close else (None, None)),
                *(end.outcome, end.reason, market.volume, end.open_interest, end.fees_cents),
            )

    def _results(self) -> Iterator[Row]:
        """Per window and agent with a position entry: what it ended with, and what its cash moved by."""
        for end in self.ended:
            market = end.market
            for agent, position in market.positions.items():
                pnl = pnl_cents(position.net, position.cash_flow, end.outcome)
                name = self.names[agent]
                yield market.close_at, market.symbol, name, end.outcome, position.net, position.cash_flow, pnl


TABLES: Final = ("fills", "orders", "books", "prints", "windows", "results", "equity")


def pnl_cents(net: int, cash_flow_cents: int, outcome: str) -> int:
    """What a market's end moves an agent's cash by: nothing if it is void (contract, section 8)."""
    if outcome == "VOID":
        return 0
    return cash_flow_cents + (100 * net if outcome == "YES" else 0)


@dataclass(frozen=True, slots=True)
class Result:
    """A simulation as of when `run` returned. `chain_head` vouches for every command and event, `state_hash` for the
    venue's state; both are equal for equal seeds, on any machine."""

    records: Records
    seed: int
    commands: int
    orders_entered: int
    """Orders that were judged, declined ones and quote levels included."""
    trades: int
    windows_resolved: int
    windows_void: int
    start_ms: int
    end_ms: int
    cash_cents: dict[str, int]
    equity_cents: dict[str, int]
    started_with_cents: dict[str, int]
    chain_head: str
    state_hash: str
    wall_s: float

    @property
    def pnl_cents(self) -> dict[str, int]:
        """What each agent's marked equity has moved by, in cents."""
        return {name: self.equity_cents[name] - start for name, start in self.started_with_cents.items()}

    def table(self, name: str) -> Table:
        """`fills`, `orders`, `books`, `prints`, `windows`, `results` (window by agent) or `equity`."""
        return self.records.table(name)

    def to_csv(self, directory: str | Path) -> list[Path]:
        """Write every table as `<name>.csv` into `directory`, which is made if need be; the files written."""
        found = []
        for name in TABLES:
            found.append(_directory(directory) / f"{name}.csv")
            self.table(name).to_csv(found[-1])
        return found

    def to_parquet(self, directory: str | Path) -> list[Path]:
        """As `to_csv`, into `<name>.parquet`. Needs the extra `research`; ImportError without it."""
        import pyarrow.parquet

        found = []
        for name in TABLES:
            found.append(_directory(directory) / f"{name}.parquet")
            pyarrow.parquet.write_table(self.table(name).to_arrow(), found[-1])
        return found


def _directory(path: str | Path) -> Path:
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def book_row(ts: int, market: Market, reference_cents: int | None, depth: int) -> Row:
    """Time, market, prices, and the best `depth` levels of both sides; None where a side has fewer."""
    strike = market.open_print
    row: list[Any] = [ts, market.symbol, reference_cents, strike.price_cents if strike else None, market.last_price]
    bids, asks = market.book.ladder(0, depth), market.book.ladder(1, depth)
    for level in range(depth):
        for side in (bids, asks):
            row += side[level][:2] if level < len(side) else (None, None)
    return tuple(row)
