"""Carries out a strategy's actions over a `LiveVenue`, in order, and says what became of each.

What the venue declines or refuses is an outcome, with the same codes and numbers as in a simulation; a lost answer is
looked for until it is found. Must not know strategies, nor when they are asked.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from raeth.client.errors import Disconnected, Uncertain, VenueError
from raeth.client.live import LiveVenue
from raeth.client.models import Cancelled, Market, Order
from raeth.client.strategy import Action, Amend, Cancel, CancelAll, OrderResult, Outcome, Place, Quotes

PATIENCE_S = 1.0
"""An action that could not be sent for longer than this was decided on a view of the past."""

ASK_AGAIN_S = 0.5

DISCONNECTED = "DISCONNECTED"
"""Reason of an action that was not done because the venue could not be reached."""

UNCERTAIN = "UNCERTAIN"
"""Reason of an action whose answer was lost for good; the next view shows what it did."""


class CarryOut:
    """The hands of one agent. `speed` is venue seconds per real second; `stop`: when done, nothing is looked for long.

    A 429 closes a budget, writes or cancels, for as long as it says: meanwhile actions that draw on it come back as
    RATE_LIMITED with `retry_after_ms` and are not sent. Cancels have a budget of their own, and an empty `Quotes`
    becomes a cancel while there are no writes, so that a throttled agent can always get out.
    """

    def __init__(self, live: LiveVenue, speed: float, stop: asyncio.Future[Any]) -> None:
        self._live = live
        self._speed = speed
        self._stop = stop
        self._open_again_s = {"writes": 0.0, "cancels": 0.0}
        self.seq = 0
        """The newest journal sequence number of an order that was answered."""
        live.patience_s = min(live.patience_s, PATIENCE_S)

    async def carry_out(self, market: Market, actions: Sequence[Action]) -> AsyncGenerator[Outcome, None]:
        """The outcome of each action, in order. Orders that follow each other are sent at once, and so are cancels;
        otherwise each action waits for the one before. Raises VenueError when the key is no good, TypeError or
        ValueError for what no strategy may send."""
        for kind, group in itertools.groupby(actions, type):
            if kind in (Place, Cancel):
                tasks = [asyncio.ensure_future(self._one(market, action)) for action in group]
                try:
                    for task in tasks:
                        yield await task
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
            else:
                for action in group:
                    yield await self._one(market, action)

    async def _one(self, market: Market, action: Action) -> Outcome:
        budget = "cancels" if isinstance(action, Cancel | CancelAll) else "writes"
        if self._left_ms(budget):
            if not (isinstance(action, Quotes) and not action.bids and not action.asks) or self._left_ms("cancels"):
                return self._limited(action, budget)
            budget = "cancels"
        try:
            return self._outcome(action, await self._send(market, action, as_cancel=budget == "cancels"))
        except VenueError as error:
            return self._refused(action, budget, error)
        except Uncertain as doubt:
            return await self._resolved(action, doubt)
        except Disconnected:
            return Outcome(action, False, DISCONNECTED)

    def _send(self, market: Market, action: Action, as_cancel: bool) -> Any:
        live = self._live
        match action:
            case Place(side, qty, price):
                options: Any = {
                    "tif": action.tif,
                    "reduce_only": action.reduce_only,
                    "slippage_cap_cents": action.slippage_cap_cents,
                    "client_order_id": action.client_order_id,
                    "expires_at_ms": action.expires_at_ms,
                    "confirm_fat_finger": action.confirm_fat_finger,
                }
                return live.place(market, side, qty, price, raise_on_reject=False, **options)
            case Cancel(order_id):
                return live.cancel(order_id)
            case CancelAll(side, quote_id):
                return live.cancel_all(market, side, quote_id)
            case Amend(order_id, price, qty):
                return live.amend(order_id, price, qty, raise_on_reject=False)
            case Quotes(quote_id, bids, asks):
                if as_cancel:
                    return live.cancel_all(market, quote_id=quote_id)
                return live.put_quotes(market, quote_id, bids, asks)
        raise TypeError(f"{action!r} is no action")

    # ---- what became of it ----

    def _outcome(self, action: Action, answer: Any) -> Outcome:
        if isinstance(answer, Cancelled):
            self._note(*(order for order in answer.results if isinstance(order, Order)))
            return Outcome(action, True, details={"cancelled": answer.cancelled})
        if isinstance(answer, Order):
            self._note(answer)
            shown = result(answer.order or answer)
            if answer.is_rejected:
                return Outcome(action, False, answer.reject_reason, answer.repair.given(), shown)
            return Outcome(action, True, order=shown)
        orders: tuple[Order, ...] = answer
        self._note(*orders)
        told = tuple(map(result, orders))
        declined = next((order for order in orders if order.is_rejected), None)
        if declined is None:
            return Outcome(action, True, orders=told)
        return Outcome(action, False, declined.reject_reason, declined.repair.given(), orders=told)

    def _note(self, *orders: Order) -> None:
        self.seq = max((self.seq, *(order.seq for order in orders)))

    async def _resolved(self, action: Action, doubt: Uncertain) -> Outcome:
        while not self._stop.done():
            try:
                return self._outcome(action, await doubt.resolve())
            except LookupError:
                break
            except Uncertain as still:
                doubt = still
                await asyncio.wait({self._stop}, timeout=ASK_AGAIN_S)
            except Disconnected:
                return Outcome(action, False, DISCONNECTED)
            except VenueError as error:
                return self._refused(action, "writes", error)
        return Outcome(action, False, UNCERTAIN)

    def _refused(self, action: Action, budget: str, error: VenueError) -> Outcome:
        """An error as an outcome. Raises those after which no action can succeed."""
        if error.http == 401 or (error.http == 403 and error.code in ("SCOPE_REQUIRED", "IP_NOT_ALLOWED")):
            raise error
        if error.code == "RATE_LIMITED":
            self._open_again_s[budget] = time.monotonic() + (error.retry_after_s or ASK_AGAIN_S)
            return self._limited(action, budget)
        return Outcome(action, False, error.code, error.details if isinstance(error.details, dict) else {})

    # ---- budgets ----

    def _left_ms(self, budget: str) -> int:
        """Venue milliseconds until there is something in a budget again; 0 when there is, as far as is known."""
        left_s = self._open_again_s[budget] - time.monotonic()
        return max(1, round(left_s * 1000 * self._speed)) if left_s > 0 else 0

    def _limited(self, action: Action, budget: str) -> Outcome:
        return Outcome(action, False, "RATE_LIMITED", {"retry_after_ms": self._left_ms(budget)})


def result(order: Order) -> OrderResult:
    """An order as a strategy is told of it."""
    return OrderResult(
        order.order_id,
        order.side,
        order.price,
        order.qty,
        order.status,
        order.filled_qty,
        order.remaining_qty,
        order.filled_notional_cents,
        order.fee_cents,
        order.reject_reason,
        order.client_order_id,
    )
