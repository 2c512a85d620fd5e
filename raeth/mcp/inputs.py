"""What the tools take: types with their units and bounds, as a model reads them in the input schemas.

Integers are strict: "5", 5.0 and true are not numbers of contracts. Must not know any tool.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Side = Literal["BUY", "SELL"]
Tif = Literal["GTC", "IOC", "FOK", "POST_ONLY"]
MarketStatus = Literal["PENDING", "OPEN", "EXPIRED", "RESOLVED", "VOID"]
HistoryKind = Literal["orders", "fills", "ledger", "settlements"]
Event = Literal["next_window", "settlement", "order_done"]

WAIT_MAX_S = 25
"""The longest a tool call may wait: clients and proxies give up after 30 to 60 s."""

MarketRef = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Symbol or id of a window. Left out: the OPEN window."),
]
Price = Annotated[int, Field(strict=True, ge=1, le=99, description="Cents of YES, 1-99. A price of NO is 100 - price.")]
Qty = Annotated[int, Field(strict=True, ge=1, le=10_000_000, description="Contracts, 1 or more.")]
OrderId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$", description="The order_id of an earlier answer.")]
ClientOrderId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_:.-]{1,128}$",
        description="Own name of this order. Repeating a call with the same name never trades twice: it answers with "
        "the first result. A repaired order needs a new name. Left out: one is made up and answered.",
    ),
]
QuoteId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_:.-]{1,128}$", description="Own name of a quote.")]
Cursor = Annotated[str, Field(max_length=512, description="next_cursor of the answer before, for older entries.")]
Flag = Annotated[bool, Field(strict=True)]
SlippageCents = Annotated[
    int, Field(strict=True, ge=0, le=98, description="Market orders only: fill no further than the touch plus this.")
]


class Level(BaseModel):
    """One price of a quote."""

    model_config = ConfigDict(extra="forbid")

    price: Price
    qty: Qty
