"""Order entry over requests: every write of an agent, each repeated in the one way that cannot do it twice.

    what            why a repetition is harmless                    when the answer was lost
    place, batch    the `client_order_id` stands for one order      the venue replays the first result
    cancel          cancelled is cancelled                          ORDER_NOT_OPEN: read it, and it was us if it says so
    amend           price and total are absolute                    read it first, so that a place in the queue is kept
    put_quotes      the quote is the whole quote                    put it again; what filled meanwhile is quoted anew
    faucet          the cool-down                                   FAUCET_COOLDOWN: the ledger shows the claim

When patience runs out and an order is still in doubt, the venue is asked for its `client_order_id`. "Never seen" does
not prove that it will not arrive yet: a request may wait in some buffer. So a key that this client made up is used up
by an order that must be declined (quantity zero); after that, whatever arrives under it is refused.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Unpack

import msgspec

from raeth.client.calls import Call, Caller, Failure, give_up, unfulfilled
from raeth.client.errors import BadAnswer, Disconnected, OrderRejected, Uncertain, VenueError
from raeth.client.models import Cancelled, FaucetClaim, LedgerEntry, Model, NotCancelled, Order, Page, Preview, Side
from raeth.client.orders import (
    Body,
    Levels,
    MarketRef,
    NewOrder,
    OrderIds,
    OrderOptions,
    amend_body,
    cancel_body,
    order_body,
    quotes_body,
)
from raeth.client.retry import Lost
from raeth.client.transport import Answer, Request, Transport, decode, quoted
from raeth.client.venue_clock import VenueClock

SETTLE_S = 3.0
"""Real seconds for which each question about an order in doubt is tried again."""


class _Results(Model, frozen=True, kw_only=True):
    results: tuple[Order, ...]


class OrderEntry(Caller):
    """The writes of an agent."""

    def __init__(
        self, transport: Transport, patience_s: float, raise_on_reject: bool, ids: OrderIds, clock: VenueClock
    ) -> None:
        super().__init__(transport, patience_s)
        self.raise_on_reject = raise_on_reject
        self._ids = ids
        self._clock = clock

    def new_client_order_id(self) -> str:
        """An id that no other order of this agent has: give it to `place` to know the order whatever happens."""
        return self._ids()

    # ---- placing ----

    async def preview(
        self, market: MarketRef, side: Side, qty: int, price: int | None = None, **options: Unpack[OrderOptions]
    ) -> Preview:
        """What an order would do if it arrived now. Changes nothing, promises nothing."""
        body = order_body(market, side, qty, price, options)
        if "recv_window_ms" in body and "timestamp_ms" not in body:
            body["timestamp_ms"] = await self._clock.now_ms()
        return await self._ask_freely(Preview, Request("POST", "/orders/preview", body))

    async def place(
        self,
        market: MarketRef,
        side: Side,
        qty: int,
        price: int | None = None,
        *,
        raise_on_reject: bool | None = None,
        **options: Unpack[OrderOptions],
    ) -> Order:
        """Place an order: LIMIT at `price` cents of YES, or MARKET without one. Returns it as it is after its arrival.

        Executed at most once, however often it had to be sent. Raises OrderRejected when the venue declines it (unless
        `raise_on_reject=False`: then the order has status REJECTED), VenueError, Disconnected (it was not placed), or
        Uncertain, which can `resolve()`.
        """
        body = order_body(market, side, qty, price, options)
        mine = "client_order_id" not in body
        if mine:
            body["client_order_id"] = self._ids()
        strict = self.raise_on_reject if raise_on_reject is None else raise_on_reject
        return judged(await self._submit(body, mine, strict), strict)

    async def buy(
        self,
        market: MarketRef,
        qty: int,
        price: int | None = None,
        *,
        raise_on_reject: bool | None = None,
        **options: Unpack[OrderOptions],
    ) -> Order:
        """Buy YES: see `place`."""
        return await self.place(market, "BUY", qty, price, raise_on_reject=raise_on_reject, **options)

    async def sell(
        self,
        market: MarketRef,
        qty: int,
        price: int | None = None,
        *,
        raise_on_reject: bool | None = None,
        **options: Unpack[OrderOptions],
    ) -> Order:
        """Sell YES, which is buying NO at 100 − price: see `place`."""
        return await self.place(market, "SELL", qty, price, raise_on_reject=raise_on_reject, **options)

    async def place_batch(self, orders: Iterable[NewOrder], atomic: bool = False) -> tuple[Order, ...]:
        """Up to 15 orders in one step, each with its own result, in the same order; with `atomic` all fill in full or
        none does. Declined legs are returned with status REJECTED, never raised."""
        bodies = [order.body() for order in orders]
        mine = [body for body in bodies if "client_order_id" not in body]
        for body in mine:
            body["client_order_id"] = self._ids()
        return await self._submit_batch(bodies, mine[0] if mine else None, atomic)

    async def put_quotes(
        self, market: MarketRef, quote_id: str, bids: Levels = (), asks: Levels = ()
    ) -> tuple[Order, ...]:
        """Replace the whole quote `quote_id` atomically: all levels POST_ONLY, bids before asks in the result. Empty on
        both sides pulls it. Declined levels are returned with status REJECTED, never raised.

        Repeated after a lost answer it says the same once more: what filled in between is quoted anew.
        """
        body = quotes_body(market, quote_id, bids, asks)
        return (await self._ask(_Results, Request("PUT", "/quotes", body))).results

    async def _submit(self, body: Body, mine: bool, strict: bool) -> Order:
        call = self._call(Request("POST", "/orders", body))
        try:
            return decode(Order, await call.answer(await self._stamp([body])))
        except (VenueError, Lost) as failure:
            fence = body if mine else None

            async def resolve() -> Order:
                (found,) = await self._settle(call, failure_, [body], fence, resolve)
                return judged(found, strict)

            failure_ = failure
            (order,) = await self._settle(call, failure, [body], fence, resolve)
            return order

    async def _submit_batch(self, bodies: list[Body], fence: Body | None, atomic: bool) -> tuple[Order, ...]:
        request: Body = {"orders": bodies, "atomic": True} if atomic else {"orders": bodies}
        call = self._call(Request("POST", "/orders/batch", request))
        try:
            return decode(_Results, await call.answer(await self._stamp(bodies))).results
        except (VenueError, Lost) as failure:
            failure_ = failure

            async def resolve() -> tuple[Order, ...]:
                return await self._settle(call, failure_, bodies, fence, resolve)

            return await self._settle(call, failure, bodies, fence, resolve)

    async def _stamp(self, bodies: Sequence[Body]) -> Callable[[], None] | None:
        """What renews `timestamp_ms` before every attempt, for those orders that have a window of arrival."""
        stamped = [body for body in bodies if "recv_window_ms" in body]
        if not stamped:
            return None
        began = time.monotonic()
        given = [body.get("timestamp_ms") for body in stamped]
        if None in given:
            await self._clock.now_ms()

        def renew() -> None:
            passed_ms = round((time.monotonic() - began) * 1000 * self._clock.speed)
            for body, told in zip(stamped, given, strict=True):
                body["timestamp_ms"] = self._clock.estimate_ms() if told is None else told + passed_ms

        return renew

    async def _settle(
        self,
        call: Call,
        failure: Failure,
        bodies: Sequence[Body],
        fence: Body | None,
        resolve: Callable[[], Awaitable[Any]],
    ) -> tuple[Order, ...]:
        """What became of orders whose call failed: they are returned, or it is certain that there are none and the
        failure is raised, or Uncertain."""
        if isinstance(failure, VenueError) and failure.http in (400, 409, 413, 422):
            raise failure  # judged before anything is done, and the same at every attempt
        if not call.in_doubt:
            raise unfulfilled(failure) from failure
        first = bodies[0]["client_order_id"]
        try:
            found = [await self._known(body) for body in bodies]
            if None in found and call.straggling and fence is not None:
                await self._fence(fence)
                found = [await self._known(body) for body in bodies]
        except (VenueError, Lost) as error:
            raise Uncertain(f"{failure}; it may have been done", first, resolve) from error
        orders = tuple(order for order in found if order is not None)
        if len(orders) == len(bodies):
            return orders
        note = f", but it may still arrive: send it again as {first!r}" if call.straggling and fence is None else ""
        raise unfulfilled(failure, note) from failure

    async def _known(self, body: Body) -> Order | None:
        """The order of this body's id as it is now, or None if there is none: the venue has never seen the id, or it
        was used up by `_fence`, now or before an earlier question was left without an answer."""
        request = Request("GET", f"/orders/by-client-id/{quoted(body['client_order_id'])}")
        try:
            order = decode(Order, await self._call(request, SETTLE_S).answer())
        except VenueError as error:
            if error.code == "ORDER_NOT_FOUND":
                return None
            raise
        return None if order.qty == 0 and body["qty"] != 0 else order

    async def _fence(self, body: Body) -> None:
        """Use up a key with an order that must be declined. If an order took it meanwhile, that is just as well."""
        harmless = {"market_id": body["market_id"], "side": body["side"], "type": "LIMIT", "price": 50, "qty": 0}
        harmless["client_order_id"] = body["client_order_id"]
        try:
            await self._call(Request("POST", "/orders", harmless), SETTLE_S).answer()
        except VenueError as error:
            if error.code != "IDEMPOTENCY_CONFLICT":
                raise

    # ---- changing ----

    async def amend(
        self,
        order_id: str,
        price: int | None = None,
        qty: int | None = None,
        *,
        raise_on_reject: bool | None = None,
    ) -> Order:
        """Change the price or the total quantity (fills included) of an open order. A pure decrease keeps its place.

        After a lost answer the order is read before the amend is sent again: one that is as asked for is returned as
        it is, so that no place in the queue is given away. Raises OrderRejected when the venue declines the change (the
        untouched order is in `.order.order`), VenueError ORDER_NOT_OPEN, ORDER_ALREADY_FILLED, AMEND_CONFLICT.
        """
        strict = self.raise_on_reject if raise_on_reject is None else raise_on_reject
        return judged(await self._amend(order_id, price, qty, strict), strict)

    async def _amend(
        self, order_id: str, price: int | None, qty: int | None, strict: bool, in_doubt: bool = False
    ) -> Order:
        path = f"/orders/{quoted(order_id)}"
        call = self._call(Request("PATCH", path, amend_body(price, qty)))
        call.in_doubt = in_doubt

        async def found() -> Answer | None:
            answer = await self._transport.attempt(Request("GET", path), self._transport.timeout_s)
            order = decode(Order, answer)
            done = (price is None or order.price == price) and (qty is None or order.qty == qty)
            return answer if done else None

        async def resolve() -> Order:
            return judged(await self._amend(order_id, price, qty, strict, True), strict)

        try:
            return decode(Order, await call.answer(found=found))
        except (VenueError, Lost) as failure:
            give_up(call, failure, resolve=resolve)

    async def cancel(self, order_id: str) -> Order:
        """Cancel an open order. Raises VenueError ORDER_ALREADY_FILLED, ORDER_NOT_OPEN, ORDER_NOT_FOUND.

        When an answer was lost and the order turns out to be cancelled by its owner, it is returned.
        """
        return await self._cancel(order_id)

    async def _cancel(self, order_id: str, in_doubt: bool = False) -> Order:
        path = f"/orders/{quoted(order_id)}"
        call = self._call(Request("DELETE", path))
        call.in_doubt = in_doubt
        try:
            return decode(Order, await call.answer())
        except (VenueError, Lost) as failure:
            if isinstance(failure, VenueError) and failure.code == "ORDER_NOT_OPEN" and call.in_doubt:
                order = await self._read(Order, path)
                if order.status == "CANCELLED" and order.cancel_reason == "USER":
                    return order
            give_up(call, failure, resolve=lambda: self._cancel(order_id, True))

    async def cancel_all(
        self,
        market: MarketRef | None = None,
        side: Side | None = None,
        quote_id: str | None = None,
        client_order_ids: Iterable[str] | None = None,
    ) -> Cancelled:
        """Cancel all resting orders that match every filter given; without any, all of the agent's."""
        return await self._cancel_many(cancel_body(market, side, quote_id, client_order_ids))

    async def cancel_orders(self, order_ids: Iterable[str]) -> Cancelled:
        """Cancel the listed orders (at most 100), each with its own result."""
        return await self._cancel_many({"order_ids": list(order_ids)})

    async def _cancel_many(self, body: Body, in_doubt: bool = False) -> Cancelled:
        call = self._call(Request("POST", "/orders/cancel", body))
        call.in_doubt = in_doubt
        try:
            answer = await call.answer()
        except (VenueError, Lost) as failure:
            give_up(call, failure, resolve=lambda: self._cancel_many(body, True))
        try:
            done = Cancelled.of(msgspec.json.decode(answer.content))
        except (msgspec.MsgspecError, TypeError) as error:
            raise BadAnswer(f"expected Cancelled: {error}") from error
        if not call.in_doubt:
            return done
        if "order_ids" in body:
            return await self._found_again(done)
        return msgspec.structs.replace(done, repeated=True)

    async def _found_again(self, done: Cancelled) -> Cancelled:
        """The result of a list whose first answer got lost: what is cancelled by its owner is what that one did."""
        results: list[Order | NotCancelled] = []
        again = 0
        for result in done.results:
            if isinstance(result, NotCancelled) and result.code == "ORDER_NOT_OPEN":
                order = await self._read(Order, f"/orders/{result.order_id}")
                if order.status == "CANCELLED" and order.cancel_reason == "USER":
                    result, again = order, again + 1
            results.append(result)
        return Cancelled(results=tuple(results), cancelled=done.cancelled + again)

    # ---- the faucet ----

    async def _claim(self) -> FaucetClaim:
        newest = (await self._read(Page[LedgerEntry], "/ledger", limit=1)).items
        since = newest[0].seq if newest else 0
        call = self._call(Request("POST", "/faucet"))

        async def entry() -> LedgerEntry | None:
            recent = (await self._read(Page[LedgerEntry], "/ledger")).items
            return next((item for item in recent if item.kind == "FAUCET" and item.seq > since), None)

        async def resolve() -> FaucetClaim:
            claimed = await entry()
            if claimed is None:
                raise Disconnected("the faucet was not claimed")
            return _claimed(claimed)

        try:
            return decode(FaucetClaim, await call.answer())
        except (VenueError, Lost) as failure:
            refused = isinstance(failure, VenueError) and failure.code in ("FAUCET_COOLDOWN", "FAUCET_CAP_REACHED")
            if refused and call.in_doubt and (claimed := await entry()) is not None:
                return _claimed(claimed)
            give_up(call, failure, resolve=resolve)


def _claimed(entry: LedgerEntry) -> FaucetClaim:
    return FaucetClaim(amount_cents=entry.amount_cents, cash_cents=entry.balance_after_cents, next_claim_at=None)


def judged(order: Order, strict: bool) -> Order:
    """The order. Raises OrderRejected if it is strict and the order was declined."""
    if strict and order.is_rejected:
        raise OrderRejected(order)
    return order
