"""Orders: place, preview, batch, read, amend, cancel; and own fills (contract, sections 4 and 6).

An endpoint translates, submits, and shows what came of it. It must not judge: the engine declines, and what the engine
refuses is told precisely with the help of the tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from fastapi import Query

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.intake import Placed, key_of, resolve, spec_of
from raeth.api.lookup import (
    caught_up,
    find_market,
    known_market,
    market_name,
    market_now,
    now_ms,
    order_of,
    why_not_open,
)
from raeth.api.paging import before, list_name, page
from raeth.api.routing import Ordered, VenueRouter
from raeth.api.schemas.common import NAME_PATTERN
from raeth.api.schemas.order_views import (
    AmendedOrderView,
    BatchView,
    CancelView,
    FillPage,
    OrderPage,
    OrderView,
    PreviewView,
)
from raeth.api.schemas.orders import AmendRequest, BatchRequest, CancelRequest, OrderRequest
from raeth.api.schemas.plain_orders import read_plain_order
from raeth.api.schemas.queries import FillsQuery, OrdersQuery
from raeth.api.views.names import Names, iso
from raeth.api.views.orders import OrderBody, declined_amend, encode, levels, order_body, reject_details
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.exchange import Preview, preview
from raeth.engine.state import Agent
from raeth.engine.types import BUY, OPEN, PENDING, SELL, SIDES, Order
from raeth.errors import DECLINE_CODES, DECLINE_MESSAGES, Code, RaethError
from raeth.idempotency import Outcome
from raeth.store.rows import FillRow

router = VenueRouter("orders")

DECLINES: Final = tuple(code for code in Code if code in DECLINE_CODES)
LEG_ONLY: Final = (Code.STRATEGY_NOT_FILLED,)
PLACE_DECLINES: Final = tuple(code for code in DECLINES if code not in LEG_ONLY)
WRITE_ERRORS: Final = (Code.EXCHANGE_FROZEN, Code.SERVICE_DEGRADED)
NOT_OPEN: Final = (Code.ORDER_NOT_FOUND, Code.FORBIDDEN, Code.ORDER_ALREADY_FILLED, Code.ORDER_NOT_OPEN)


@router.post(
    "/orders",
    access=Access.AGENT_TRADE,
    budget=Budget.WRITE,
    name="place_order",
    summary="Place an order",
    response_model=OrderView,
    errors=(Code.IDEMPOTENCY_CONFLICT, *WRITE_ERRORS),
    declines=PLACE_DECLINES,
    at_once=True,
    plain=read_plain_order,
)
async def place_order(call: Call, body: OrderRequest) -> Ordered:
    """Always 200 once the order was judged: a declined one has `status: "REJECTED"` and the repair as numbers.

    The answer is sent when the order is durable. With a `client_order_id` the call can be repeated safely.
    """
    agent, key_id, names = call.the_agent.id, call.key_id, call.names
    found: Placed | None = market_now(call, names, body.market_id)
    if found is None:
        await call.as_task()
        found = await resolve(call, names, body.market_id)
    market, name = found
    spec = spec_of(body, market)
    key = key_of(agent, body, spec, name)

    def show(outcome: Outcome) -> bytes:
        placed = outcome.orders[0]
        return encode(order_body(names, name, placed.order, placed.replayed))

    return Ordered(call, cmd.PlaceOrder(agent, key_id, spec), (key,) if key is not None else (), show)


@router.post(
    "/orders/batch",
    access=Access.AGENT_TRADE,
    budget=Budget.WRITE,
    name="place_batch",
    summary="Place up to 15 orders in one step",
    response_model=BatchView,
    errors=(Code.IDEMPOTENCY_CONFLICT, Code.BATCH_SIZE_EXCEEDED, *WRITE_ERRORS),
    declines=DECLINES,
)
async def place_batch(call: Call, body: BatchRequest) -> dict[str, Any]:
    """Orders are judged one after the other, each with its own result, as it stood right after its turn.

    With `atomic` every leg fills in full or all are declined: the one that failed with its own code, the others
    STRATEGY_NOT_FILLED. A batch costs one write an order.
    """
    at_most(call.venue.settings.limits.batch_size, body.orders)
    await call.charge(len(body.orders) - 1)
    agent, key_id, names = call.the_agent.id, call.key_id, call.names
    atomic = body.atomic or False
    legs = [(order, *await resolve(call, names, order.market_id)) for order in body.orders]
    specs = [spec_of(order, market) for order, market, _ in legs]
    keys = [
        key
        for place, (order, _, name) in enumerate(legs)
        if (key := key_of(agent, order, specs[place], name, place, atomic)) is not None
    ]
    outcome = await call.submit(cmd.PlaceBatch(agent, key_id, tuple(specs), atomic), keys)
    results = zip(outcome.orders, legs, strict=True)
    return {"results": [order_body(names, leg[2], placed.order, placed.replayed) for placed, leg in results]}


def at_most(maximum: int, *lists: list[Any] | None) -> None:
    """Raises BATCH_SIZE_EXCEEDED when one of the lists is longer than the venue is configured to take."""
    if any(items is not None and len(items) > maximum for items in lists):
        raise RaethError(Code.BATCH_SIZE_EXCEEDED)


@router.post(
    "/orders/preview",
    access=Access.AGENT_READ,
    budget=Budget.READ,
    name="preview_order",
    summary="Say what an order would do now",
    response_model=PreviewView,
    errors=(Code.UNKNOWN_MARKET, Code.MARKET_CLOSED, Code.SERVICE_DEGRADED),
)
async def preview_order(call: Call, body: OrderRequest) -> dict[str, Any]:
    """The same plan that an order executes, computed and thrown away. Nothing changes, so keys are not looked at."""
    names = call.names
    found = await find_market(call, names, body.market_id)
    state, market = found.state, found.live
    if market is None or market.status not in (PENDING, OPEN):
        raise RaethError(Code.MARKET_CLOSED, http=409)
    agent = state.agents[call.the_agent.id]
    result = preview(state, agent, spec_of(body, market.id), now_ms(call, state))
    assert result is not None
    return preview_body(result, agent, state.seq)


def preview_body(result: Preview, agent: Agent, seq: int) -> dict[str, Any]:
    """What would be after the order; of one that would be declined, what is."""
    code, details = result.decline if result.decline is not None else (None, None)
    required = result.lock_cents - result.position.lock
    return {
        "would": "ACCEPT" if code is None else "REJECT",
        "reject_reason": code,
        "reject_message": DECLINE_MESSAGES[Code(code)] if code is not None else None,
        "reject_details": reject_details(code, details) if code is not None else None,
        "fills": levels(result.plan.fills) if result.plan is not None else [],
        "fee_cents": result.fee_cents,
        "required_cents": required,
        "free_cash_after_cents": agent.free - required,
        "position_after": result.net,
        "worst_case_loss_cents": result.lock_cents,
        "as_of_seq": seq,
    }


@router.get(
    "/orders",
    access=Access.AGENT_READ,
    budget=Budget.READ,
    name="list_orders",
    summary="List own orders, newest first",
    response_model=OrderPage,
    errors=(Code.UNKNOWN_MARKET, Code.INVALID_CURSOR),
)
async def list_orders(call: Call, query: Annotated[OrdersQuery, Query()]) -> dict[str, Any]:
    """Open ones and ended ones alike, rejected ones included. A filtered page may be short and still go on."""
    agent, names = call.the_agent.id, call.names
    market = None if query.market_id is None else await known_market(call, names, query.market_id)
    statuses = None if query.status is None else sorted(set(query.status))
    name = list_name("orders", market=market, status=statuses, client_order_id=query.client_order_id)
    found = await call.venue.store.list_orders(
        agent,
        market=market,
        statuses=statuses,
        client_order_id=query.client_order_id,
        before=before(name, query.cursor),
        limit=query.limit,
    )
    bodies = await order_bodies(call, names, found.items)
    return page(name, bodies, found.next, lambda body: body)


async def order_bodies(call: Call, names: Names, orders: Iterable[Order]) -> list[OrderBody]:
    return [order_body(names, await market_name(call, names, order.market), order) for order in orders]


async def body_of(call: Call, names: Names, order: Order) -> OrderBody:
    return order_body(names, await market_name(call, names, order.market), order)


@router.get(
    "/orders/by-client-id/{client_order_id}",
    access=Access.AGENT_READ,
    budget=Budget.READ,
    name="get_order_by_client_id",
    summary="Read the order a client_order_id stands for, as it is now",
    response_model=OrderView,
    errors=(Code.ORDER_NOT_FOUND, Code.SERVICE_DEGRADED),
)
async def get_order_by_client_id(call: Call, client_order_id: str) -> OrderBody:
    """A 404 is said only when the venue is caught up, so it proves that the key was never accepted."""
    agent, names, store = call.the_agent.id, call.names, call.venue.store
    if not re.fullmatch(NAME_PATTERN, client_order_id):
        raise RaethError(Code.ORDER_NOT_FOUND)
    order = await store.order_by_client_id(agent, client_order_id)
    if order is None:
        await caught_up(call)
        order = await store.order_by_client_id(agent, client_order_id)
    if order is None:
        raise RaethError(Code.ORDER_NOT_FOUND)
    return await body_of(call, names, order)


@router.get(
    "/orders/{order_id}",
    access=Access.AGENT_READ,
    budget=Budget.READ,
    name="get_order",
    summary="Read an order",
    response_model=OrderView,
    errors=(Code.ORDER_NOT_FOUND, Code.FORBIDDEN, Code.SERVICE_DEGRADED),
)
async def get_order(call: Call, order_id: str) -> OrderBody:
    """The order with its fills, as it is now."""
    names = call.names
    return await body_of(call, names, await order_of(call, names, order_id))


@router.patch(
    "/orders/{order_id}",
    access=Access.AGENT_TRADE,
    budget=Budget.WRITE,
    name="amend_order",
    summary="Change price or total quantity of an open order",
    response_model=AmendedOrderView,
    errors=(*NOT_OPEN, Code.AMEND_CONFLICT, *WRITE_ERRORS),
    declines=PLACE_DECLINES,
)
async def amend_order(call: Call, order_id: str, body: AmendRequest) -> OrderBody:
    """A pure decrease keeps the place in the queue and skips the risk chain, also while the venue is frozen. Anything
    else is judged like a new order and joins the back of its queue. A decline leaves the order as it was.
    """
    names = call.names
    number = order_number(names, order_id)
    command = cmd.AmendOrder(call.the_agent.id, call.key_id, number, body.price, body.qty)
    return await amended(call, names, number, await submit_on_open(call, names, order_id, command))


async def amended(call: Call, names: Names, number: int, events: list[ev.Event]) -> OrderBody:
    """What an amend of order `number` came to: the order as it is, or the decline with the untouched order."""
    for event in reversed(events):
        if isinstance(event, ev.AmendRejected):
            name = await market_name(call, names, event.order.market)
            return declined_amend(names, name, event.order, event.reason, event.details)
        if isinstance(event, ev.OrderAmended | ev.OrderReduced) and event.order.id == number:
            return await body_of(call, names, event.order)
    raise AssertionError("an amend without a result")


@router.delete(
    "/orders/{order_id}",
    access=Access.AGENT_CANCEL,
    budget=Budget.CANCEL,
    name="cancel_order",
    summary="Cancel an open order",
    response_model=OrderView,
    errors=(*NOT_OPEN, Code.SERVICE_DEGRADED),
)
async def cancel_order(call: Call, order_id: str) -> OrderBody:
    """Cancels go on while the venue is frozen and draw on a budget of their own."""
    names = call.names
    number = order_number(names, order_id)
    command = cmd.CancelOrder(call.the_agent.id, call.key_id, number)
    events = await submit_on_open(call, names, order_id, command)
    ended = next(e.order for e in reversed(events) if isinstance(e, ev.OrderEnded) and e.order.id == number)
    return await body_of(call, names, ended)


def order_number(names: Names, text: str) -> int:
    """The engine's id of an order. Raises ORDER_NOT_FOUND for what this venue cannot have made."""
    number = names.entity(text)
    if number is None:
        raise RaethError(Code.ORDER_NOT_FOUND)
    return number


async def submit_on_open(call: Call, names: Names, order_id: str, command: cmd.Command) -> list[ev.Event]:
    """Do something to an open order. The engine only knows open ones: the tables tell what else it may be."""
    outcome = await call.venue.sequencer.submit(command)
    refused = outcome.refused()
    if refused is None:
        return outcome.events
    if refused.code in (Code.ORDER_NOT_OPEN, Code.FORBIDDEN):
        raise await why_not_open(call, names, order_id)
    raise call.refusal(refused)


@router.post(
    "/orders/cancel",
    access=Access.AGENT_CANCEL,
    budget=Budget.CANCEL,
    name="cancel_orders",
    summary="Cancel many orders: a list, a filter, or all",
    response_model=CancelView,
    errors=(Code.UNKNOWN_MARKET, Code.BATCH_SIZE_EXCEEDED, Code.SERVICE_DEGRADED),
)
async def cancel_orders(call: Call, body: CancelRequest) -> dict[str, Any]:
    """`{}` cancels everything the agent has resting. Listed ids that were not open say why, each in its place."""
    at_most(call.venue.settings.limits.cancel_list, body.order_ids, body.client_order_ids)
    agent, key_id, names = call.the_agent.id, call.key_id, call.names
    if body.order_ids is not None:
        return await cancel_list(call, names, list(dict.fromkeys(body.order_ids)))
    command = cmd.CancelOrders(
        agent,
        key_id,
        market=None if body.market_id is None else await known_market(call, names, body.market_id),
        side=None if body.side is None else BUY if body.side == "BUY" else SELL,
        quote_id=body.quote_id,
        client_order_ids=None if body.client_order_ids is None else tuple(body.client_order_ids),
    )
    ended = cancelled_by(agent, (await call.submit(command)).events)
    return {"results": await order_bodies(call, names, ended.values()), "cancelled": len(ended)}


async def cancel_list(call: Call, names: Names, order_ids: list[str]) -> dict[str, Any]:
    agent = call.the_agent.id
    numbers = {text: names.entity(text) for text in order_ids}
    listed = tuple(number for number in numbers.values() if number is not None)
    ended = cancelled_by(agent, (await call.submit(cmd.CancelOrders(agent, call.key_id, listed))).events)
    results: list[Any] = []
    for text, number in numbers.items():
        if number in ended:
            results.append(await body_of(call, names, ended[number]))
        else:
            why = await why_not_open(call, names, text)
            results.append({"order_id": text, "code": why.code, "message": why.message})
    return {"results": results, "cancelled": len(ended)}


def cancelled_by(agent: int, events: list[ev.Event]) -> dict[int, Order]:
    """The orders that the cancel itself ended, not those that fell due on the way: these end a command's events."""
    last = events[-1]
    assert isinstance(last, ev.OrdersCancelled)
    tail = events[len(events) - 1 - last.cancelled : -1]
    return {event.order.id: event.order for event in tail if isinstance(event, ev.OrderEnded)}


@router.get(
    "/fills",
    access=Access.AGENT_READ,
    budget=Budget.READ,
    name="list_fills",
    summary="List own fills, newest first",
    response_model=FillPage,
    errors=(Code.UNKNOWN_MARKET, Code.INVALID_CURSOR),
)
async def list_fills(call: Call, query: Annotated[FillsQuery, Query()]) -> dict[str, Any]:
    """Every execution of the agent's orders, as maker or taker."""
    agent, names = call.the_agent.id, call.names
    market = None if query.market_id is None else await known_market(call, names, query.market_id)
    name = list_name("fills", market=market)
    found = await call.venue.store.list_fills(
        agent, market=market, before=before(name, query.cursor), limit=query.limit
    )
    bodies = [await fill_view(call, names, fill) for fill in found.items]
    return page(name, bodies, found.next, lambda body: body)


async def fill_view(call: Call, names: Names, fill: FillRow) -> dict[str, Any]:
    market = await market_name(call, names, fill.market)
    assert market is not None
    return {
        "trade_id": names.uuid(fill.trade_id),
        "order_id": names.uuid(fill.order_id),
        "market_id": market.uuid,
        "symbol": market.symbol,
        "side": SIDES[fill.side],
        "price": fill.price,
        "qty": fill.qty,
        "liquidity": fill.liquidity,
        "fee_cents": fill.fee_cents,
        "ts": iso(fill.ts),
    }
