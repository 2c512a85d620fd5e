"""The SDK: what an agent needs to trade on a raeth venue, and nothing of the venue itself.

`Client` blocks, `AsyncClient` is for asyncio; both have the same methods. Names are loaded when they are first used, so
that importing this package is quick. It must not import any room of the server: it talks to any venue that keeps the
contract, over HTTP and sockets.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raeth.client.client import AsyncClient as AsyncClient
    from raeth.client.errors import BadAnswer as BadAnswer
    from raeth.client.errors import ClientError as ClientError
    from raeth.client.errors import Disconnected as Disconnected
    from raeth.client.errors import NoOpenMarket as NoOpenMarket
    from raeth.client.errors import OrderRejected as OrderRejected
    from raeth.client.errors import Stale as Stale
    from raeth.client.errors import Uncertain as Uncertain
    from raeth.client.errors import VenueError as VenueError
    from raeth.client.live import LiveVenue as LiveVenue
    from raeth.client.models import Book as Book
    from raeth.client.models import Market as Market
    from raeth.client.models import Order as Order
    from raeth.client.orders import NewOrder as NewOrder
    from raeth.client.owner import AsyncOwner as AsyncOwner
    from raeth.client.stream import Stream as Stream
    from raeth.client.sync import Client as Client
    from raeth.client.sync import Owner as Owner

_HOMES = {
    "AsyncClient": "client",
    "AsyncOwner": "owner",
    "BadAnswer": "errors",
    "Book": "models",
    "Client": "sync",
    "ClientError": "errors",
    "Disconnected": "errors",
    "LiveVenue": "live",
    "Market": "models",
    "NewOrder": "orders",
    "NoOpenMarket": "errors",
    "Order": "models",
    "OrderRejected": "errors",
    "Owner": "sync",
    "Stale": "errors",
    "Stream": "stream",
    "Uncertain": "errors",
    "VenueError": "errors",
}

__all__ = [*_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
