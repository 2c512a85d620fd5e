"""The yardstick: a FastAPI endpoint that validates the same body and does nothing; and one that has not even a body."""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict


class Order(BaseModel):
    """The fields of an order as the venue takes them, with the same strictness."""

    model_config = ConfigDict(strict=True, extra="forbid")

    market_id: str
    side: Literal["BUY", "SELL"]
    type: Literal["LIMIT", "MARKET"]
    tif: Literal["GTC", "IOC", "FOK", "POST_ONLY"] | None = None
    price: int | None = None
    qty: int
    slippage_cap_cents: int | None = None
    reduce_only: bool | None = None
    client_order_id: str | None = None
    timestamp_ms: int | None = None
    recv_window_ms: int | None = None
    expires_at_ms: int | None = None
    stp: Literal["CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"] | None = None
    confirm_fat_finger: bool | None = None


app = FastAPI(openapi_url=None)


@app.post("/orders")
async def place_order(order: Order) -> dict[str, bool]:
    return {"ok": True}


@app.get("/nothing")
async def nothing() -> dict[str, bool]:
    return {"ok": True}
