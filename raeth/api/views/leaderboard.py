"""The leaderboard as JSON, for whoever asks and for the stream that shows it after every settlement.

Needs no request: `first_page(venue)` is one indexed read of at most 50 rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from raeth.api.paging import before, list_name, page
from raeth.api.views.names import Names, iso
from raeth.store.rows import StandingRow

if TYPE_CHECKING:
    from raeth.api.venue import Venue

PAGE_ROWS: Final = 50
"""The default `limit` of every list."""

_NAME: Final = list_name("leaderboard")


async def first_page(venue: Venue) -> dict[str, Any]:
    """What `GET /leaderboard` answers without parameters."""
    return await leaderboard_page(venue, None, PAGE_ROWS)


async def leaderboard_page(venue: Venue, cursor: str | None, limit: int) -> dict[str, Any]:
    """At most `limit` rows after `cursor`. Raises INVALID_CURSOR."""
    keyset = before(_NAME, cursor, size=4)
    as_of_seq = venue.sequencer.durable_seq  # before the read, which then shows at least as much
    found = await venue.store.list_standings(before=keyset, limit=limit)
    body = page(_NAME, found.items, found.next, lambda row: standing_body(venue.names, row))
    return body | {"as_of_seq": as_of_seq}


def standing_body(names: Names, row: StandingRow) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "account_id": names.uuid(row.account),
        "agent_id": names.agent(row.agent),
        "name": row.name,
        "pnl_cents": row.ranked_cents,
        "uncounted_cents": row.uncounted_cents,
        "granted_cents": row.granted_cents,
        "drawdown_cents": row.drawdown_cents,
        "volume_contracts": row.volume,
        "notional_cents": row.notional_cents,
        "windows": row.windows,
        "decided": row.decided,
        "hits": row.hits,
        "hit_rate_bps": row.hits * 10_000 // row.decided if row.decided else None,
        "last_window": row.last_symbol,
        "updated_at": iso(row.updated_ts),
        "seq": row.seq,
    }
