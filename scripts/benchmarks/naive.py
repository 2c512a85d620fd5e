"""A neighbour for the durable order row: the exchange that is usually written with FastAPI, SQLAlchemy and SQLite.

A session per request, the book as a table, price-time matching by a query, one commit an order with a real fsync. It
makes the checks an order of the venue passes (key, body, market, size, price, position, collateral) and writes order,
fills, positions and cash; it leaves out budgets, fees, declines with numbers, streams and a journal. Nothing in it is
slow on purpose: write-ahead log, indices for every query, writers in line instead of waiting for a locked file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import ForeignKey, Index, case, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.bare import Order as OrderRequest

MAX_QTY, MAX_NOTIONAL_CENTS, POSITION_CAP = 10_000, 1_000_000, 10_000_000
GRANT_CENTS = 100_000_000_000


class Base(DeclarativeBase):
    pass


class Agent(Base):
    __tablename__ = "agents"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    key_hash: Mapped[str] = mapped_column(unique=True)
    cash_cents: Mapped[int]


class Market(Base):
    __tablename__ = "markets"
    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    market_id: Mapped[str] = mapped_column(ForeignKey("markets.id"))
    side: Mapped[str]
    tif: Mapped[str]
    price: Mapped[int]
    qty: Mapped[int]
    remaining: Mapped[int]
    status: Mapped[str]
    created_ms: Mapped[int]
    __table_args__ = (
        Index("ix_book", "market_id", "status", "side", "price", "id"),
        Index("ix_own", "agent_id", "market_id", "status"),
    )


class Position(Base):
    __tablename__ = "positions"
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    market_id: Mapped[str] = mapped_column(ForeignKey("markets.id"), primary_key=True)
    net_qty: Mapped[int] = mapped_column(default=0)
    cash_flow_cents: Mapped[int] = mapped_column(default=0)


class Trade(Base):
    __tablename__ = "trades"
    id: Mapped[int] = mapped_column(primary_key=True)
    market_id: Mapped[str]
    maker_order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    taker_order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    price: Mapped[int]
    qty: Mapped[int]
    ts_ms: Mapped[int]


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['NAIVE_DATABASE']}")
sessions = async_sessionmaker(engine, expire_on_commit=False)
writers = asyncio.Lock()


@event.listens_for(engine.sync_engine, "connect")
def _tune(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 5000", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@event.listens_for(engine.sync_engine, "begin")
def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan, openapi_url=None)


async def session_of_request() -> AsyncIterator[AsyncSession]:
    async with writers, sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(session_of_request)]


async def agent_of(session: Session, authorization: Annotated[str, Header()]) -> Agent:
    """The agent of the key."""
    found = await session.scalar(select(Agent).where(Agent.key_hash == _digest(authorization.removeprefix("Bearer "))))
    if found is None:
        raise HTTPException(401, "unknown key")
    return found


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class AgentRequest(BaseModel):
    name: str


@app.post("/agents")
async def sign_up(request: AgentRequest, session: Session) -> dict[str, str]:
    key = secrets.token_urlsafe(24)
    session.add(Agent(name=request.name, key_hash=_digest(key), cash_cents=GRANT_CENTS))
    await session.commit()
    return {"api_key": key}


@app.post("/markets")
async def list_market(session: Session) -> dict[str, str]:
    market = Market(id=secrets.token_hex(16), status="OPEN")
    session.add(market)
    await session.commit()
    return {"id": market.id}


class Fill(BaseModel):
    price: int
    qty: int


class OrderAnswer(BaseModel):
    order_id: int
    status: str
    filled_qty: int
    remaining_qty: int
    fills: list[Fill]
    reject_reason: str | None = None


@app.post("/orders")
async def place_order(
    request: OrderRequest, session: Session, agent: Annotated[Agent, Depends(agent_of)]
) -> OrderAnswer:
    price = request.price
    if request.type != "LIMIT" or price is None:
        raise HTTPException(422, "limit orders with a price only")
    position = await session.get(Position, (agent.id, request.market_id))
    if position is None:
        position = Position(agent_id=agent.id, market_id=request.market_id, net_qty=0, cash_flow_cents=0)
        session.add(position)
    reason = await _declined(session, request, price, agent, position)
    order = Order(
        agent_id=agent.id,
        market_id=request.market_id,
        side=request.side,
        tif=request.tif or "GTC",
        price=price,
        qty=request.qty,
        remaining=0 if reason else request.qty,
        status="REJECTED" if reason else "OPEN",
        created_ms=time.time_ns() // 1_000_000,
    )
    session.add(order)
    fills = [] if reason else await _match(session, order, position)
    if not reason and not order.remaining:
        order.status = "FILLED"
    elif not reason and order.tif == "IOC":
        order.status, order.remaining = "CANCELLED", 0
    await session.commit()
    filled = sum(fill.qty for fill in fills)
    return OrderAnswer(
        order_id=order.id,
        status=order.status,
        filled_qty=filled,
        remaining_qty=order.remaining,
        fills=fills,
        reject_reason=reason,
    )


async def _declined(
    session: AsyncSession, request: OrderRequest, price: int, agent: Agent, position: Position
) -> str | None:
    """Why the order may not trade, if so."""
    market = await session.get(Market, request.market_id)
    if market is None or market.status != "OPEN":
        return "MARKET_CLOSED"
    if not 1 <= request.qty <= MAX_QTY or request.qty * price > MAX_NOTIONAL_CENTS:
        return "FAT_FINGER"
    if not 1 <= price <= 99:
        return "PRICE_OUT_OF_RANGE"
    buys = Order.side == "BUY"
    own = select(
        func.coalesce(func.sum(case((buys, Order.remaining), else_=0)), 0),
        func.coalesce(func.sum(case((buys, 0), else_=Order.remaining)), 0),
        func.coalesce(func.sum(case((buys, Order.remaining * Order.price), else_=0)), 0),
        func.coalesce(func.sum(case((buys, 0), else_=Order.remaining * (100 - Order.price))), 0),
    ).where(Order.agent_id == agent.id, Order.market_id == market.id, Order.status == "OPEN")
    buying, selling, buys_cents, sells_cents = (await session.execute(own)).one()
    if request.side == "BUY":
        buying, buys_cents = buying + request.qty, buys_cents + request.qty * price
    else:
        selling, sells_cents = selling + request.qty, sells_cents + request.qty * (100 - price)
    if position.net_qty + buying > POSITION_CAP or position.net_qty - selling < -POSITION_CAP:
        return "POSITION_CAP"
    if_no = -position.cash_flow_cents + buys_cents
    if_yes = -position.cash_flow_cents - 100 * position.net_qty + sells_cents
    return "INSUFFICIENT_MARGIN" if max(0, if_no, if_yes) > agent.cash_cents else None


async def _match(session: AsyncSession, order: Order, position: Position) -> list[Fill]:
    """Take from the other side, best price first, then the oldest."""
    await session.flush()  # gives the order its id
    buy = order.side == "BUY"
    best = Order.price.asc() if buy else Order.price.desc()
    makers = await session.scalars(
        select(Order)
        .where(
            Order.market_id == order.market_id,
            Order.status == "OPEN",
            Order.side == ("SELL" if buy else "BUY"),
            Order.price <= order.price if buy else Order.price >= order.price,
            Order.agent_id != order.agent_id,
        )
        .order_by(best, Order.id)
        .limit(order.qty)  # each has at least one contract
    )
    fills = []
    for maker in makers:
        if not order.remaining:
            break
        qty = min(maker.remaining, order.remaining)
        maker.remaining -= qty
        order.remaining -= qty
        if not maker.remaining:
            maker.status = "FILLED"
        other = await session.get_one(Position, (maker.agent_id, order.market_id))
        signed = qty if buy else -qty
        position.net_qty += signed
        position.cash_flow_cents -= signed * maker.price
        other.net_qty -= signed
        other.cash_flow_cents += signed * maker.price
        session.add(
            Trade(
                market_id=order.market_id,
                maker_order_id=maker.id,
                taker_order_id=order.id,
                price=maker.price,
                qty=qty,
                ts_ms=order.created_ms,
            )
        )
        fills.append(Fill(price=maker.price, qty=qty))
    return fills
