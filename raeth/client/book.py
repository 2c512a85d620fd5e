"""A market's order book kept from the `book.<market>` channel: a snapshot, then new totals at a price.

Pure: it is given the data of events and does no I/O. Must not know connections: whether an event is the next one
is judged by the stream, by `channel_seq`; here only what a book cannot be is noticed (crossed, a level off the grid).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Level = tuple[int, int]
"""`(price, qty)`: cents of the YES contract, contracts."""


class BookSide:
    """The levels of one side by price, and a best-first list that is made when it is asked for."""

    __slots__ = ("_best_is_high", "_levels", "_sorted")

    def __init__(self, best_is_high: bool) -> None:
        self._best_is_high = best_is_high
        self._levels: dict[int, tuple[int, int]] = {}
        self._sorted: list[Level] | None = None

    def replace(self, levels: Iterable[Sequence[int]]) -> None:
        """Forget what was; `levels` are `[price, qty, orders]`."""
        self._levels = {}
        self.update(levels)

    def update(self, levels: Iterable[Sequence[int]]) -> None:
        """Set new totals at some prices; a `qty` of 0 removes the level. Raises ValueError for a negative one."""
        for price, qty, orders in levels:
            if qty > 0:
                self._levels[price] = (qty, orders)
            elif qty == 0:
                self._levels.pop(price, None)
            else:
                raise ValueError(f"a level of {qty} contracts at {price}")
        self._sorted = None

    @property
    def levels(self) -> list[Level]:
        """`(price, qty)`, best first. The list is kept until the side changes: treat it as read-only."""
        if self._sorted is None:
            self._sorted = [(price, self._levels[price][0]) for price in self._prices()]
        return self._sorted

    @property
    def best(self) -> int | None:
        if not self._levels:
            return None
        return max(self._levels) if self._best_is_high else min(self._levels)

    def with_orders(self) -> list[list[int]]:
        """`[price, qty, orders]`, best first: the form of `GET /markets/{id}/book`."""
        return [[price, *self._levels[price]] for price in self._prices()]

    def _prices(self) -> list[int]:
        return sorted(self._levels, reverse=self._best_is_high)


class LocalBook:
    """The book as of `seq`. Prices in cents of the YES contract, quantities in contracts."""

    __slots__ = ("_asks", "_bids", "market_id", "seq", "synced")

    def __init__(self, market_id: str) -> None:
        self.market_id = market_id
        self.seq = 0
        """The journal sequence number of the newest change it holds; 0 before the first snapshot."""
        self.synced = False
        """Whether a snapshot came, and every change since."""
        self._bids = BookSide(best_is_high=True)
        self._asks = BookSide(best_is_high=False)

    @property
    def bids(self) -> list[Level]:
        """`(price, qty)`, best (highest) first. Read-only."""
        return self._bids.levels

    @property
    def asks(self) -> list[Level]:
        """`(price, qty)`, best (lowest) first. Read-only."""
        return self._asks.levels

    @property
    def best_bid(self) -> int | None:
        return self._bids.best

    @property
    def best_ask(self) -> int | None:
        return self._asks.best

    @property
    def mid_x2(self) -> int | None:
        """Twice the mid of the touch, which is an integer of cents; None while a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else bid + ask

    @property
    def crossed(self) -> bool:
        """Never true of the venue's book: changes were lost or misread."""
        bid, ask = self.best_bid, self.best_ask
        return bid is not None and ask is not None and bid >= ask

    def levels(self) -> tuple[list[list[int]], list[list[int]]]:
        """Bids and asks as `GET /markets/{id}/book` shows them: `[price, qty, orders]`, best first."""
        return self._bids.with_orders(), self._asks.with_orders()

    def snapshot(self, data: Mapping[str, Any], seq: int) -> None:
        """Begin anew from a whole book."""
        self._bids.replace(data["bids"])
        self._asks.replace(data["asks"])
        self.seq = seq
        self.synced = True

    def delta(self, data: Mapping[str, Any], seq: int) -> None:
        """New totals at some prices. What comes before a snapshot, or is older than the book, is left out."""
        if not self.synced or seq < self.seq:
            return
        self._bids.update(data["bids"])
        self._asks.update(data["asks"])
        self.seq = seq

    def lost(self) -> None:
        """Changes are missing: what it shows is old until the next snapshot."""
        self.synced = False
