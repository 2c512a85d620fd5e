"""Query strings of the lists and reads, as strict as bodies: an unknown parameter is an error."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from raeth.api.schemas.common import ClientName, MarketRef, Request
from raeth.api.schemas.markets import MarketStatus
from raeth.api.schemas.order_views import OrderStatus

Limit = Annotated[int, Field(ge=1, le=250, description="Items in the answer.")]
CursorText = Annotated[str, Field(description="`next_cursor` of the page before, unchanged.")]
Slug = Annotated[str, Field(min_length=1, max_length=64, examples=["BTC-1M"])]


INTERVALS_MS: Final = (1_000, 5_000, 10_000, 60_000)


def _is_interval(value: int) -> int:
    if value not in INTERVALS_MS:
        raise PydanticCustomError("interval", "Must be one of 1000, 5000, 10000, 60000")
    return value


Interval = Annotated[
    int,
    AfterValidator(_is_interval),
    Field(description="Length of a candle in milliseconds.", json_schema_extra={"enum": list(INTERVALS_MS)}),
]


class PageQuery(Request):
    limit: Limit = 50
    cursor: CursorText | None = None


class OrdersQuery(PageQuery):
    market_id: MarketRef | None = None
    status: list[OrderStatus] | None = Field(None, description="May be given more than once.")
    client_order_id: ClientName | None = None


class FillsQuery(PageQuery):
    market_id: MarketRef | None = None


class MarketsQuery(PageQuery):
    status: list[MarketStatus] | None = Field(None, description="May be given more than once.")
    series: Slug | None = None


class BookQuery(Request):
    depth: Annotated[int, Field(ge=1, le=99)] = Field(99, description="Price levels a side.")


class CandlesQuery(PageQuery):
    interval_ms: Interval = 5_000


class HistoryQuery(Request):
    seconds: Annotated[int, Field(ge=1, le=3_600)] = Field(900, description="How far back, in venue seconds.")
