"""Reads of the leaderboard. Must not know how a standing comes about, nor how it is shown."""

from __future__ import annotations

from typing import Final

from sqlalchemy import and_, not_, or_, select, text

from raeth.store.cursors import Keyset
from raeth.store.reader import LIMIT_MAX, Reader
from raeth.store.rows import Page, StandingRow
from raeth.store.tables import Base

STANDINGS: Final = Base.metadata.tables["standings"]
MARKETS: Final = Base.metadata.tables["markets"]

_ZERO: Final = 1 << 62
"""A keyset has no negative parts: a result of `x` cents is `_ZERO − x`, which also sorts the way the list does."""

_LIMIT: Final = 1 << 63


class StandingReads(Reader):
    async def list_standings(self, *, before: Keyset | None = None, limit: int = 50) -> Page[StandingRow]:
        """Accounts that traded in a window which counts, best first; the house is left out.

        By what counts of their result, then by fewer grants, then by age. Keyset `(rank, result, grants, account)`.
        """
        assert 1 <= limit <= LIMIT_MAX
        s = STANDINGS.c
        columns = [MARKETS.c.symbol if name == "last_symbol" else s[name] for name in StandingRow._fields[1:]]
        statement = select(*columns).join_from(STANDINGS, MARKETS, MARKETS.c.id == s.last_market, isouter=True)
        # Written out as the index has it: only so can the database see that the index will do.
        statement = statement.where(text("windows > 0"), not_(s.house))
        rank = 0
        if before is not None:
            rank, result, granted_cents, account = before
            ranked_cents = max(_ZERO - result, -_LIMIT)
            later = or_(s.granted_cents > granted_cents, and_(s.granted_cents == granted_cents, s.account > account))
            statement = statement.where(s.ranked_cents <= ranked_cents, or_(s.ranked_cents < ranked_cents, later))
        rows = await self._all(statement.order_by(s.ranked_cents.desc(), s.granted_cents, s.account).limit(limit + 1))
        items = [StandingRow(rank + place, *row) for place, row in enumerate(rows[:limit], 1)]
        if len(rows) <= limit:
            return Page(items, None)
        last = items[-1]
        return Page(items, (last.rank, _ZERO - last.ranked_cents, last.granted_cents, last.account))
