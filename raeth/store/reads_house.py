"""What the house was given and what it trades, for `GET /liquidity`. Must not know how it quotes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select

from raeth.store.reader import SCAN_ROWS, Reader
from raeth.store.tables import Base

LEDGER: Final = Base.metadata.tables["ledger"]
FILLS: Final = Base.metadata.tables["fills"]
STANDINGS: Final = Base.metadata.tables["standings"]


class HouseReads(Reader):
    async def has_grant(self, agent: int) -> bool:
        """Whether an operator, or the venue itself, ever granted cash to this agent."""
        statement = select(LEDGER.c.seq).where(LEDGER.c.wallet == agent, LEDGER.c.kind == "GRANT")
        return await self._first(statement.order_by(LEDGER.c.seq).limit(1)) is not None

    async def granted_cents(self, account: int) -> int:
        """All cash that came to an account by signup, faucet and grants."""
        row = await self._first(select(STANDINGS.c.granted_cents).where(STANDINGS.c.account == account))
        return 0 if row is None else int(row[0])

    async def fills_since(self, agent: int, since_ms: int) -> tuple[int, int]:
        """How many of an agent's newest 20 000 fills are not older than that, and their contracts."""
        newest = (
            select(FILLS.c.qty, FILLS.c.ts)
            .where(FILLS.c.agent == agent)
            .order_by(FILLS.c.trade_id.desc())
            .limit(SCAN_ROWS)
            .subquery()
        )
        sums = select(func.count(), func.coalesce(func.sum(newest.c.qty), 0)).where(newest.c.ts >= since_ms)
        row = await self._first(sums)
        assert row is not None
        return int(row[0]), int(row[1])
