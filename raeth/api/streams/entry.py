"""Order entry over a socket: the calls of section 4 and 6 with the same bodies, answers, budgets and codes.

A command has its place in the order before the next message is looked at, so a cancel sent after an order comes after
it; the replies follow when the batch is durable. An order that need not wait for anything costs no task and no turn of
the event loop, neither on its way in nor on its way out. Must not know frames or subscriptions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from raeth.api import answers
from raeth.api.access import Budget
from raeth.api.intake import key_of, resolve, spec_of
from raeth.api.lookup import known_market, market_now, why_not_open
from raeth.api.parsing import refusal
from raeth.api.routes.orders import (
    amended,
    at_most,
    body_of,
    cancelled_by,
    order_bodies,
    order_number,
)
from raeth.api.routes.quotes import pairs, quoted
from raeth.api.schemas.common import ClientName, Request, fault
from raeth.api.schemas.orders import AmendRequest, CancelRequest, OrderRef, OrderRequest, QuotesRequest
from raeth.api.streams import replies
from raeth.api.views.orders import DeclinedAmendBody, OrderBody, order_body
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import BUY, CANCEL, REJECTED, SELL, TRADE
from raeth.errors import Code, RaethError

if TYPE_CHECKING:
    from raeth.api.call import Call
    from raeth.api.streams.subscriptions import Identity
    from raeth.api.streams.wire import Rest
    from raeth.api.views.names import MarketName
    from raeth.idempotency import Outcome

encode: Final = msgspec.json.Encoder().encode

IN_FLIGHT_MAX: Final = 1_024
"""Orders of one socket that wait for their answer; beyond it the next message waits too."""


class CancelParams(Request):
    """One order, by the venue's id or by the client's."""

    order_id: OrderRef | None = None
    client_order_id: ClientName | None = None

    @model_validator(mode="after")
    def _one(self) -> CancelParams:
        if (self.order_id is None) == (self.client_order_id is None):
            fault("order_id", "one_of", "Give order_id or client_order_id")
        return self


class AmendParams(AmendRequest):
    order_id: OrderRef = Field()


class CancelAllParams(CancelRequest):
    @model_validator(mode="after")
    def _no_list(self) -> CancelAllParams:
        if self.order_ids is not None:
            fault("order_ids", "filter_only", "cancel_all takes a filter; cancel_order takes an order")
        return self


Say = Callable[[bytes], None]
Handler = Callable[..., Awaitable[None]]


class Desk:
    """Takes the orders of one socket. `say` sends a reply."""

    def __init__(self, call: Call, say: Say) -> None:
        self._call = call
        self._venue = call.venue
        self._say = say
        self._in_flight = 0
        self._room = asyncio.Event()
        self._room.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ops: dict[str, tuple[Handler, Budget, tuple[str, ...], TypeAdapter[Any]]] = {
            "submit_order": (self._submit, Budget.WRITE, (TRADE,), TypeAdapter(OrderRequest)),
            "amend_order": (self._amend, Budget.WRITE, (TRADE,), TypeAdapter(AmendParams)),
            "put_quotes": (self._quotes, Budget.WRITE, (TRADE,), TypeAdapter(QuotesRequest)),
            "cancel_order": (self._cancel, Budget.CANCEL, (CANCEL, TRADE), TypeAdapter(CancelParams)),
            "cancel_all": (self._cancel_all, Budget.CANCEL, (CANCEL, TRADE), TypeAdapter(CancelAllParams)),
        }

    def take(self, message: replies.Asked, identity: Identity) -> Rest | None:
        """Do what `message` asks for. It has its place in the order on return, or when the rest that is returned has
        been done; the reply comes later."""
        handler, budget, scopes, params = self._ops[message.op]
        key = self._venue.sequencer.state.keys.get(identity.key_id)
        meter = self._venue.budgets.of_agent(budget, identity.agent)
        within = scopes[0] in identity.scopes or scopes[-1] in identity.scopes
        if key is None or meter.shared or not within or (budget is Budget.WRITE and key.agent.suspended):
            return partial(self._take, message, identity)
        try:
            meter.charge(1)
            body = _validated(params, message)
            if message.op == "submit_order" and self._in_flight < IN_FLIGHT_MAX:
                market = market_now(self._call, self._venue.names, body.market_id)
                if market is not None:
                    self._place(message, identity, body, *market)
                    return None
        except Exception as error:
            self._fail(message, error)
            return None
        return partial(self._handle, handler, message, identity, body)

    async def _take(self, message: replies.Asked, identity: Identity) -> None:
        handler, budget, scopes, params = self._ops[message.op]
        try:
            await self._admit(identity, budget, scopes)
            body = _validated(params, message)
        except Exception as error:
            self._fail(message, error)
        else:
            await self._handle(handler, message, identity, body)

    async def _handle(self, handler: Handler, message: replies.Asked, identity: Identity, body: Any) -> None:
        try:
            await self._room.wait()
            await handler(message, identity, body)
        except Exception as error:
            self._fail(message, error)

    async def _admit(self, identity: Identity, budget: Budget, scopes: tuple[str, ...]) -> None:
        """Credential, then budget, as for a request. The key is looked up again: it may have been revoked, which is
        said once that is durable."""
        key = self._venue.sequencer.state.keys.get(identity.key_id)
        if key is None:
            key = (await self._call.settled()).keys.get(identity.key_id)
        if key is None:
            raise RaethError(Code.AUTH_REVOKED)
        if scopes[0] not in identity.scopes and scopes[-1] not in identity.scopes:
            details = {"required": list(scopes), "granted": list(identity.scopes)}
            raise await self._out_of_reach(identity, RaethError(Code.SCOPE_REQUIRED, details=details))
        if budget is Budget.WRITE and key.agent.suspended:
            raise await self._out_of_reach(identity, RaethError(Code.AGENT_SUSPENDED))
        await self._charge(budget, identity)

    async def _charge(self, budget: Budget, identity: Identity) -> None:
        meter = self._venue.budgets.of_agent(budget, identity.agent)
        meter.charge(1)
        if meter.shared:
            await meter.agreed()

    async def _out_of_reach(self, identity: Identity, error: RaethError) -> RaethError:
        """A valid credential that does not reach this call costs a read, as a request does."""
        await self._charge(Budget.READ, identity)
        return error

    # ---- replies ----

    def _fail(self, message: replies.Asked, error: BaseException) -> None:
        if not isinstance(error, RaethError):
            assert isinstance(error, Exception)
            error = answers.unexpected(self._call.request_id, error)
        self._say(replies.error(message.op, message.request_id, error))

    def _done(self, message: replies.Asked, body: Any) -> None:
        self._say(replies.ack(message.op, message.request_id, body if isinstance(body, bytes) else encode(body)))

    def _order_reply(self, message: replies.Asked, body: OrderBody) -> None:
        """An order that was judged: declined or not."""
        if body.status != REJECTED or body.reject_reason is None:
            self._done(message, body)
            return
        reason, why = body.reject_reason, body.reject_message or ""
        self._say(replies.reject(message.op, message.request_id, reason, why, encode(body)))

    # ---- queueing ----

    def _queue(self, command: cmd.Command) -> asyncio.Future[Outcome]:
        future = self._venue.sequencer.enqueue(command)
        self._depart()
        future.add_done_callback(lambda _: self._land())
        return future

    def _depart(self) -> None:
        self._in_flight += 1
        if self._in_flight >= IN_FLIGHT_MAX:
            self._room.clear()

    def _land(self) -> None:
        self._in_flight -= 1
        if self._in_flight == IN_FLIGHT_MAX - 1:
            self._room.set()

    def _later(self, message: replies.Asked, reply: Awaitable[None]) -> None:
        """Answer when the outcome is there, without keeping the next message waiting."""

        async def run() -> None:
            try:
                await reply
            except Exception as error:
                self._fail(message, error)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- the calls ----

    async def _submit(self, message: replies.Asked, identity: Identity, body: Any) -> None:
        self._place(message, identity, body, *await resolve(self._call, self._venue.names, body.market_id))

    def _place(
        self, message: replies.Asked, identity: Identity, body: Any, market: int, name: MarketName | None
    ) -> None:
        spec = spec_of(body, market)
        key = key_of(identity.agent, body, spec, name)
        command = cmd.PlaceOrder(identity.agent, identity.key_id, spec)
        self._venue.sequencer.enqueue_for(_Placing(self, message, name), command, () if key is None else (key,))
        self._depart()

    def placed(self, message: replies.Asked, name: MarketName | None, outcome: Outcome) -> None:
        """Answer an order that was judged."""
        self._land()
        try:
            refused = outcome.refused()
            if refused is not None:
                raise self._call.refusal(refused)
            placed = outcome.orders[0]
            self._order_reply(message, order_body(self._venue.names, name, placed.order, placed.replayed))
        except Exception as error:
            self._fail(message, error)

    def not_placed(self, message: replies.Asked, error: RaethError) -> None:
        """Answer an order that was not, or that nobody knows the fate of."""
        self._land()
        self._fail(message, error)

    async def _amend(self, message: replies.Asked, identity: Identity, body: AmendParams) -> None:
        names = self._venue.names
        number = order_number(names, body.order_id)
        future = self._queue(cmd.AmendOrder(identity.agent, identity.key_id, number, body.price, body.qty))

        async def reply() -> None:
            events = await self._on_open(future, body.order_id)
            answer = await amended(self._call, names, number, events)
            if isinstance(answer, DeclinedAmendBody):
                self._order_reply(message, answer)
            else:
                self._done(message, answer)

        self._later(message, reply())

    async def _cancel(self, message: replies.Asked, identity: Identity, body: CancelParams) -> None:
        names = self._venue.names
        command: cmd.Command
        if body.order_id is not None:
            number = order_number(names, body.order_id)
            command = cmd.CancelOrder(identity.agent, identity.key_id, number)
        else:
            assert body.client_order_id is not None
            command = cmd.CancelOrders(identity.agent, identity.key_id, client_order_ids=(body.client_order_id,))
        future = self._queue(command)

        async def reply() -> None:
            if body.order_id is not None:
                events = await self._on_open(future, body.order_id)
                order = next(e.order for e in reversed(events) if isinstance(e, ev.OrderEnded) and e.order.id == number)
            else:
                order = await self._ended(identity.agent, body.client_order_id or "", self._events(await future))
            self._done(message, await body_of(self._call, names, order))

        self._later(message, reply())

    async def _ended(self, agent: int, client_order_id: str, events: list[ev.Event]) -> Any:
        """The order that a cancel by the client's id ended, or why there was none."""
        ended = cancelled_by(agent, events)
        if ended:
            return next(iter(ended.values()))
        known = await self._venue.store.order_by_client_id(agent, client_order_id)
        if known is None:
            raise RaethError(Code.ORDER_NOT_FOUND)
        raise await why_not_open(self._call, self._venue.names, self._venue.names.uuid(known.id))

    async def _cancel_all(self, message: replies.Asked, identity: Identity, body: CancelAllParams) -> None:
        call, names = self._call, self._venue.names
        at_most(self._venue.settings.limits.cancel_list, body.client_order_ids)
        command = cmd.CancelOrders(
            identity.agent,
            identity.key_id,
            market=None if body.market_id is None else await known_market(call, names, body.market_id),
            side=None if body.side is None else BUY if body.side == "BUY" else SELL,
            quote_id=body.quote_id,
            client_order_ids=None if body.client_order_ids is None else tuple(body.client_order_ids),
        )
        future = self._queue(command)

        async def reply() -> None:
            ended = cancelled_by(identity.agent, self._events(await future))
            bodies = await order_bodies(call, names, ended.values())
            self._done(message, {"results": bodies, "cancelled": len(ended)})

        self._later(message, reply())

    async def _quotes(self, message: replies.Asked, identity: Identity, body: QuotesRequest) -> None:
        call, names = self._call, self._venue.names
        at_most(self._venue.settings.limits.quote_levels, body.bids, body.asks)
        market, name = await resolve(call, names, body.market_id)
        command = cmd.PutQuotes(
            identity.agent, identity.key_id, market, body.quote_id, pairs(body.bids), pairs(body.asks)
        )
        future = self._queue(command)

        async def reply() -> None:
            orders = quoted(self._events(await future))
            self._done(message, {"results": [order_body(names, name, order) for order in orders]})

        self._later(message, reply())

    def _events(self, outcome: Outcome) -> list[ev.Event]:
        refused = outcome.refused()
        if refused is not None:
            raise self._call.refusal(refused)
        return outcome.events

    async def _on_open(self, future: asyncio.Future[Outcome], order_id: str) -> list[ev.Event]:
        outcome = await future
        refused = outcome.refused()
        if refused is not None and refused.code in (Code.ORDER_NOT_OPEN, Code.FORBIDDEN):
            raise await why_not_open(self._call, self._venue.names, order_id)
        return self._events(outcome)


class _Placing:
    """Waits for the outcome of an order, to answer it where its batch ends."""

    __slots__ = ("_desk", "_message", "_name")

    def __init__(self, desk: Desk, message: replies.Asked, name: MarketName | None) -> None:
        self._desk = desk
        self._message = message
        self._name = name

    def done(self) -> bool:
        return False

    def set_result(self, outcome: Outcome, /) -> None:
        self._desk.placed(self._message, self._name, outcome)

    def set_exception(self, error: RaethError, /) -> None:
        self._desk.not_placed(self._message, error)


def _validated(params: TypeAdapter[Any], message: replies.Asked) -> Any:
    """The body, by the rules of a request's. Raises BAD_REQUEST, VALIDATION_FAILED or BATCH_SIZE_EXCEEDED."""
    if isinstance(message, replies.PlainOrder):
        return message.params
    try:
        body: BaseModel = params.validator.validate_json(bytes(message.params) if message.has("params") else b"{}")
    except ValidationError as error:
        raise refusal(error) from None
    return body
