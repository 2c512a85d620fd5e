"""The order book: price-time priority on the 1-99 grid, and nothing else.

Both sides are held as bids: a BUY at p sits at level p, a SELL at p at level 100 - p (what its owner pays for NO), so
"best" is always the highest level and one code path serves both sides; a level is also the collateral in cents that one
contract of it locks. A level is an insertion-ordered dict, which is FIFO with O(1) removal; a bit mask per side says
which levels are taken, so the next best is found at once. The book must not know of cash, fees or risk.
"""

from __future__ import annotations

from collections.abc import Iterator

from raeth.engine.types import BUY, PAYOUT, SELL, Order


class Book:
    """Resting orders of one market. `levels[side][level]` maps order id to order, `depth` is its total remaining,
    `masks[side]` has a bit for each level that is taken, `best[side]` is the highest of them, -1 if there is none."""

    __slots__ = ("best", "depth", "levels", "masks")

    def __init__(self) -> None:
        self.levels: tuple[list[dict[int, Order]], list[dict[int, Order]]] = (
            [{} for _ in range(PAYOUT)],
            [{} for _ in range(PAYOUT)],
        )
        self.depth: tuple[list[int], list[int]] = ([0] * PAYOUT, [0] * PAYOUT)
        self.masks: list[int] = [0, 0]
        self.best: list[int] = [-1, -1]

    def add(self, order: Order, level: int) -> None:
        """Rest an order at the back of `level`, its own. It must not cross: the caller has matched it first."""
        side = order.side
        queue = self.levels[side][level]
        if not queue:
            self.masks[side] |= 1 << level
            if level > self.best[side]:
                self.best[side] = level
        queue[order.id] = order
        self.depth[side][level] += order.remaining

    def remove(self, order: Order, level: int) -> None:
        """Take an order out of `level`, its own, wherever it is in its queue."""
        side = order.side
        queue = self.levels[side][level]
        del queue[order.id]
        self.depth[side][level] -= order.remaining
        if not queue:
            self._empty(side, level)

    def reduce(self, order: Order, level: int, by: int) -> None:
        """Make a resting order smaller in place; it keeps its turn. `0 < by < order.remaining`."""
        order.remaining -= by
        self.depth[order.side][level] -= by

    def fill(self, order: Order, level: int, qty: int) -> None:
        """Take `qty` from a resting order, and the order from the book when that was all of it."""
        side = order.side
        self.depth[side][level] -= qty
        left = order.remaining = order.remaining - qty
        if not left:
            queue = self.levels[side][level]
            del queue[order.id]
            if not queue:
                self._empty(side, level)

    def _empty(self, side: int, level: int) -> None:
        """The last order of a level has gone."""
        mask = self.masks[side] = self.masks[side] ^ 1 << level
        self.best[side] = mask.bit_length() - 1

    def best_bid(self) -> int | None:
        """Highest price bid for YES, or None."""
        return self.best[BUY] if self.best[BUY] >= 0 else None

    def best_ask(self) -> int | None:
        """Lowest price asked for YES, or None."""
        return PAYOUT - self.best[SELL] if self.best[SELL] >= 0 else None

    def orders(self, side: int) -> Iterator[Order]:
        """All resting orders of a side, best level first, in their queue's order."""
        mask = self.masks[side]
        while mask:
            level = mask.bit_length() - 1
            yield from self.levels[side][level].values()
            mask ^= 1 << level

    def ladder(self, side: int, depth: int = PAYOUT) -> list[tuple[int, int, int]]:
        """`(price, qty, orders)` per level, best first, at most `depth` levels."""
        rows: list[tuple[int, int, int]] = []
        mask = self.masks[side]
        while mask and len(rows) < depth:
            level = mask.bit_length() - 1
            price = level if side == BUY else PAYOUT - level
            rows.append((price, self.depth[side][level], len(self.levels[side][level])))
            mask ^= 1 << level
        return rows
