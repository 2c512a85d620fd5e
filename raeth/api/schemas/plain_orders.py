"""The order as most are sent, read and validated in one step where the schema would take several times as long.

It may only say yes: whatever it does not take is left to the schema, `OrderRequest`, which judges and explains.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from raeth.api.schemas.common import MARKET_PATTERN, NAME_PATTERN, SAFE_INT
from raeth.api.schemas.orders import Side, Stp, Tif
from raeth.engine.commands import OrderSpec
from raeth.engine.types import BUY, CANCEL_MAKER, GTC, LIMIT, SELL

Int = Annotated[int, Meta(ge=-SAFE_INT, le=SAFE_INT)]


def _whole(pattern: str) -> str:
    """A schema's pattern for Python's engine, whose `$` leaves room for a line feed."""
    return pattern.removesuffix("$") + r"\Z"


class PlainOrderRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What most orders look like: a limit order without the seldom fields. All that this takes the schema of
    `OrderRequest` takes too, and means the same by it."""

    market_id: Annotated[str, Meta(pattern=_whole(MARKET_PATTERN))]
    side: Side
    type: Literal["LIMIT"]
    price: Int
    qty: Int
    tif: Tif | None = None
    reduce_only: bool | None = None
    client_order_id: Annotated[str, Meta(pattern=_whole(NAME_PATTERN))] | None = None
    expires_at_ms: Int | None = None
    stp: Stp | None = None
    confirm_fat_finger: bool | None = None

    leverage: ClassVar[None] = None
    margin_mode: ClassVar[None] = None

    def spec(self, market: int) -> OrderSpec:
        """What the engine is asked for: what `intake.spec_of` makes of the schema's model."""
        return OrderSpec(
            market,
            BUY if self.side == "BUY" else SELL,
            LIMIT,
            self.tif or GTC,
            self.price,
            self.qty,
            None,
            self.reduce_only or False,
            self.client_order_id,
            None,
            None,
            self.expires_at_ms,
            self.stp or CANCEL_MAKER,
            self.confirm_fat_finger or False,
            True,
            True,
        )


_decode: Final = msgspec.json.Decoder(PlainOrderRequest).decode

UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding raises for what it does not take."""


def read_plain_order(raw: bytes) -> PlainOrderRequest | None:
    """The body of a plain order; None for anything else."""
    try:
        return _decode(raw)
    except UNREADABLE:
        return None
