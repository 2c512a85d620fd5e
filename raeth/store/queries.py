"""The history reads: everything the venue can be asked about what is over, and the private tables' look-ups.

Must not know HTTP, the engine's live state, or how rows get in. Lists are newest first and go on from a keyset:
the sort key of the last row shown, so that rows which arrive meanwhile make neither holes nor doubles.
"""

from __future__ import annotations

from raeth.store.reads_accounts import AccountReads
from raeth.store.reads_house import HouseReads
from raeth.store.reads_markets import MarketReads
from raeth.store.reads_orders import OrderReads
from raeth.store.reads_standings import StandingReads


class Store(OrderReads, MarketReads, AccountReads, HouseReads, StandingReads):
    """All reads on one pool of read-only connections. `url` as `reader.database_url` gives it."""
