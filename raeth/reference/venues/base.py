"""What an adapter is, and the one way its messages are parsed.

A quote whose message carries no time of the venue's is stamped with our time of receipt: it was true no
later than that, so it can never leak a later price into an earlier print.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from raeth.reference import numbers
from raeth.reference.types import Rate, Tick

# What a message of the wrong shape can raise in `read`: it may be any JSON at all.
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class MessageError(Exception):
    """One message could not be understood, or says that the venue declined something. The feed goes on."""


class ReconnectRequested(Exception):
    """The venue asks to be connected to anew."""


class Adapter(ABC):
    """One venue's dialect. `url` is the socket's address; where a venue has two dialects it decides which."""

    name: ClassVar[str]
    default_url: ClassVar[str]

    def __init__(self, url: str | None = None) -> None:
        self.url = url or self.default_url

    @abstractmethod
    def subscriptions(self) -> list[str]:
        """Text frames to send once connected."""

    def keepalive(self) -> str | None:
        """A text frame to send now and then so that a healthy socket is never silent; None if none is needed."""
        return None

    @abstractmethod
    def read(self, message: Any, recv_ts: int) -> list[Tick | Rate]:
        """The prices in a decoded message, oldest first; [] for one that carries none.

        May raise any of the usual errors on a malformed message: `parse` turns them into MessageError.
        """

    def parse(self, raw: str | bytes, recv_ts: int) -> list[Tick | Rate]:
        """The prices in a frame. Raises MessageError for a bad one and ReconnectRequested if asked to."""
        try:
            message = numbers.decode(raw)
        except MALFORMED as error:
            raise MessageError(f"not JSON: {error}"[:200]) from None
        return self.parse_message(message, recv_ts)

    def parse_message(self, message: Any, recv_ts: int) -> list[Tick | Rate]:
        """As `parse`, for a message that `numbers.decode` has decoded already."""
        try:
            return self.read(message, recv_ts)
        except MALFORMED as error:
            raise MessageError(f"{type(error).__name__}: {error}"[:200]) from None

    def tick(self, price: object, source_ts: int, recv_ts: int) -> Tick:
        return Tick(self.name, numbers.cents(price), source_ts, recv_ts)

    def quote(self, bid: object, ask: object, source_ts: int, recv_ts: int) -> Tick:
        return Tick(self.name, numbers.mid_cents(bid, ask), source_ts, recv_ts)

    def rate(self, bid: object, ask: object, source_ts: int, recv_ts: int) -> Rate:
        return Rate(self.name, numbers.mid_rate_e8(bid, ask), source_ts, recv_ts)


def frame(**fields: Any) -> str:
    """A text frame to send."""
    return json.dumps(fields, separators=(",", ":"))
