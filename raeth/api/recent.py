"""What happened lately, kept in memory for the calls that are asked for it all the time: trades and moves of the index.

What nobody asks for is not kept. The tables bring what was before the first question; from then on the sequencer's
facts do. Must not know who asks, nor how anything is shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from raeth.engine.events import IndexMoved, Traded
from raeth.engine.state import State
from raeth.sequencer import Committed, Sequencer
from raeth.store.queries import Store
from raeth.store.rows import TradeRow

TRADES: Final = 20
"""Trades kept of each market."""

MOVES_MS: Final = 300_000
"""Venue time over which moves of the index are kept; at most four a second."""

MOVES_MAX: Final = 5_000

Move = tuple[int, int]
"""`(ts_ms, price_cents)`."""


class Recent:
    """Of one node. Reads wait for the tables only the first time, and after facts were missed."""

    def __init__(self, sequencer: Sequencer, store: Store) -> None:
        self._sequencer = sequencer
        self._store = store
        self._seq = sequencer.state.seq
        self._era = 0
        """Counts the times when facts were missed."""
        self._trades: dict[int, deque[TradeRow]] = {}
        self._complete: set[int] = set()
        """Markets whose trades before the first question are there, too."""
        self._moves: deque[Move] | None = None
        self._moves_complete = False
        sequencer.listeners.append(self.hear)

    async def trades(self, market: int) -> Sequence[TradeRow]:
        """The newest trades of a market, newest first, at least those of the state as it is now."""
        self._look(self._sequencer.state)
        if market not in self._complete:
            await self._load_trades(market)
        return list(reversed(self._trades.get(market, ())))

    async def moves(self, now_ms: int) -> Sequence[Move]:
        """The moves of the index in the last `MOVES_MS` of venue time, oldest first."""
        self._look(self._sequencer.state)
        if not self._moves_complete:
            await self._load_moves(now_ms)
        moves = self._moves if self._moves is not None else ()
        return [move for move in moves if move[0] >= now_ms - MOVES_MS]

    def hear(self, facts: list[Committed]) -> None:
        """The sequencer's listener."""
        before, self._seq = self._seq, max(self._seq, facts[-1].seq)
        if facts[0].seq > before + 1:
            self._forget()
        trades, moves = self._trades, self._moves
        if not trades and moves is None:
            return
        for fact in facts:
            for event in fact.events if fact.seq > before else ():
                kind = type(event)
                if kind is Traded:
                    kept = trades.get(event.market)  # type: ignore[attr-defined]
                    if kept is not None:
                        kept.append(_trade(event))  # type: ignore[arg-type]
                elif kind is IndexMoved and moves is not None:
                    moves.append((event.ts, event.price_cents))  # type: ignore[attr-defined]
                    while moves[0][0] < event.ts - MOVES_MS:  # type: ignore[attr-defined]
                        moves.popleft()

    # ---- what was before ----

    async def _load_trades(self, market: int) -> None:
        era = self._era
        self._trades.setdefault(market, deque(maxlen=TRADES))
        found = (await self._store.market_trades(market, limit=TRADES)).items
        known = {trade.trade_id: trade for trade in (*found, *self._trades.get(market, ()))}
        self._trades[market] = deque((known[trade_id] for trade_id in sorted(known)), maxlen=TRADES)
        if era == self._era:
            self._complete.add(market)
        live = self._sequencer.state.markets
        for ended in [other for other in self._trades if other not in live and other != market]:
            self._complete.discard(ended)
            del self._trades[ended]

    async def _load_moves(self, now_ms: int) -> None:
        era = self._era
        if self._moves is None:
            self._moves = deque(maxlen=MOVES_MAX)
        found = [(tick.ts, tick.price_cents) for tick in await self._store.reference_history(now_ms - MOVES_MS)]
        last = found[-1][0] if found else 0
        self._moves = deque((*found, *(move for move in self._moves or () if move[0] > last)), maxlen=MOVES_MAX)
        self._moves_complete = era == self._era

    def _look(self, state: State) -> None:
        """A state that was built anew may hold what no listener was told."""
        if state.seq > self._seq and self._sequencer.durable_seq >= state.seq:
            self._forget()
            self._seq = state.seq

    def _forget(self) -> None:
        self._era += 1
        self._complete.clear()
        self._trades.clear()
        self._moves, self._moves_complete = None, False


def _trade(event: Traded) -> TradeRow:
    return TradeRow(event.trade_id, event.price, event.qty, event.taker_side, event.ts)
