"""One small unit a venue: where its socket is, what to send, and what its messages mean.

Adapters are pure: they hold no socket and no state. They know nothing of the index.
"""

from __future__ import annotations

from raeth.reference.venues.base import Adapter, MessageError, ReconnectRequested
from raeth.reference.venues.binance import Binance
from raeth.reference.venues.bitstamp import Bitstamp
from raeth.reference.venues.coinbase import Coinbase
from raeth.reference.venues.gemini import Gemini
from raeth.reference.venues.kraken import Kraken

ADAPTERS: dict[str, type[Adapter]] = {
    "coinbase": Coinbase,
    "kraken": Kraken,
    "bitstamp": Bitstamp,
    "gemini": Gemini,
    "binance": Binance,
}

__all__ = [
    "ADAPTERS",
    "Adapter",
    "Binance",
    "Bitstamp",
    "Coinbase",
    "Gemini",
    "Kraken",
    "MessageError",
    "ReconnectRequested",
]
