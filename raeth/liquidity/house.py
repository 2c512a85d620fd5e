"""The house at work: looks at a venue over the network like any client, and lets its policy quote.

It survives whatever a client can meet (restarts, freezes, declines, throttling) and never raises but for a bug. Must
not know how the venue works inside, nor that it runs in the same process.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final, Protocol

import structlog

from raeth.client import AsyncClient, ClientError, Market, Order, VenueError
from raeth.client.models import AgentContext, Own, epoch_ms
from raeth.client.strategy import Action, Limits, Outcome, OwnOrder, Quotes, Snapshot, View
from raeth.liquidity.policy import HISTORY_MS, PASSING, QUOTE_ID, HousePolicy, State, Why
from raeth.liquidity.settings import HouseSettings

log = structlog.get_logger("raeth.liquidity")

TIMEOUT_S: Final = 1.0
"""An answer that takes longer is about a market that has moved on."""
UNREACHABLE_S: Final = 0.5
"""Pause before the next attempt when the venue did not answer."""
SUSPENDED_S: Final = 5.0
HISTORY_S: Final = HISTORY_MS // 1_000
GAP_MS: Final = 3_000
"""Own memory of prices with a longer hole is read again from the venue."""


class Eyes(Protocol):
    """Where the house sees the venue from."""

    async def look(self) -> View | None:
        """The venue now; None while no market is open. Raises ClientError."""


class Polling:
    """Asks for the one document that says everything about a market, again and again."""

    def __init__(self, client: AsyncClient, quiet_ms: int = GAP_MS) -> None:
        self._client = client
        self._quiet_ms = quiet_ms
        self._market: str | None = None
        self._prices: deque[tuple[int, int]] = deque()

    async def look(self) -> View | None:
        if self._market is None:
            found = await self._client.markets("OPEN", limit=1)
            if not found.items:
                return None
            self._market = found.items[0].symbol
        context = await self._client.agent_context(self._market)
        market, own = context.market, context.own
        if market is None or market.status != "OPEN":
            self._market = None
            return None if market is None else await self.look()
        if own is None or context.book is None:
            return None
        await self._remember(context)
        return snapshot(context, market, own, tuple(self._prices))

    async def _remember(self, context: AgentContext) -> None:
        """Add the newest price; after a hole in what was seen, read the history again."""
        reference = context.reference
        if reference is None or reference.price_cents is None or reference.source_ts is None:
            return
        ts_ms = epoch_ms(reference.source_ts)
        if not self._prices or ts_ms - self._prices[-1][0] > self._quiet_ms:
            history = await self._client.reference_history(HISTORY_S)
            self._prices = deque((epoch_ms(point.source_ts), point.price_cents) for point in history.items)
        if not self._prices or ts_ms > self._prices[-1][0]:
            self._prices.append((ts_ms, reference.price_cents))
        while self._prices[0][0] < ts_ms - HISTORY_MS:
            self._prices.popleft()


def snapshot(context: AgentContext, market: Market, own: Own, prices: tuple[tuple[int, int], ...]) -> Snapshot:
    """The document as a strategy sees it."""
    assert context.book is not None
    reference, position = context.reference, own.position
    return Snapshot(
        now_ms=epoch_ms(context.server_time),
        market=market.symbol,
        open_at_ms=market.open_at_ms,
        close_at_ms=market.close_at_ms,
        limits=limits_of(market),
        strike_cents=market.reference.open_price_cents,
        halted=market.halted,
        frozen=bool(context.frozen),
        bids=[(level.price, level.qty) for level in context.book.bids],
        asks=[(level.price, level.qty) for level in context.book.asks],
        last_trade_price=market.last_trade_price,
        reference_cents=None if reference is None else reference.price_cents,
        reference_age_ms=None if reference is None else reference.age_ms,
        reference_history=prices,
        net_qty=0 if position is None else position.net_qty,
        cash_flow_cents=0 if position is None else position.cash_flow_cents,
        cash_cents=own.cash_cents,
        free_cash_cents=own.free_cash_cents,
        orders={order.order_id: resting(order) for order in own.open_orders or ()},
    )


def limits_of(market: Market) -> Limits:
    risk, fees, geometry = market.risk, market.fees, market.geometry
    return Limits(
        max_order_qty=risk.max_order_qty,
        max_order_notional_cents=risk.max_order_notional_cents,
        position_cap=risk.position_cap,
        open_orders_per_market=risk.open_orders_per_market or 0,
        fat_finger_distance=risk.fat_finger_distance,
        fat_finger_multiple=risk.fat_finger_multiple,
        reference_max_age_ms=risk.reference_max_age_ms,
        taker_rate_bps=fees.taker_rate_bps,
        maker_rebate_bps=fees.maker_rebate_bps,
        price_min=geometry.price_min,
        price_max=geometry.price_max,
        payout_cents=geometry.payout,
    )


def resting(order: Order) -> OwnOrder:
    """An own order; the house has none that is not part of its quote."""
    assert order.price is not None
    return OwnOrder(
        order.order_id, order.side, order.price, order.qty, order.remaining_qty, order.client_order_id, QUOTE_ID
    )


class House:
    """The house market maker on one venue. `state` says what it is doing; `run` it in a task of its own.

    `granted_cents` is all the cash it was ever given, `speed` venue seconds per real second.
    """

    def __init__(self, settings: HouseSettings, *, granted_cents: int, speed: float = 1.0) -> None:
        self._policy = HousePolicy(settings, granted_cents=granted_cents, speed=speed)
        self._speed = speed
        self._trouble: Why | None = None
        self._market: str | None = None

    @property
    def state(self) -> State:
        """What it is doing, as of its last look at the venue."""
        return self._policy.state if self._trouble is None else State(self._trouble, self._market)

    async def run(self, url: str, api_key: str) -> None:
        """Quote on the venue at `url` until cancelled, or until the key is revoked."""
        wake_s = self._policy.wake_every_ms / self._speed / 1_000
        async with AsyncClient(url, api_key, timeout_s=TIMEOUT_S, patience_s=0) as client:
            eyes = Polling(client, max(GAP_MS, 4 * self._policy.wake_every_ms))
            while self._trouble != "NO_KEY":
                began = time.monotonic()
                pause_s = await self.step(client, eyes)
                await asyncio.sleep(max(pause_s, wake_s - (time.monotonic() - began), 0))

    async def step(self, client: AsyncClient, eyes: Eyes) -> float:
        """One look and what follows from it. Real seconds to wait at least before the next; raises nothing."""
        try:
            view = await eyes.look()
            if view is None:
                return self._note("NO_MARKET")
            self._market = view.market
            for action in self._policy.decide(view):
                self._policy.told(await self._do(client, view, action))
            return self._note(None)
        except VenueError as error:
            if error.http == 401:
                return self._note("NO_KEY", error)
            if error.code == "AGENT_SUSPENDED":
                return self._note("SUSPENDED", error, SUSPENDED_S)
            return self._note("UNREACHABLE", error, max(UNREACHABLE_S, error.retry_after_s or 0))
        except ClientError as error:
            return self._note("UNREACHABLE", error, UNREACHABLE_S)

    async def _do(self, client: AsyncClient, view: View, action: Action) -> Outcome:
        """Send a quote. Raises ClientError when there was no answer to it, or none that concerns the quote."""
        assert isinstance(action, Quotes), "the policy has no other action"
        try:
            orders = await client.put_quotes(view.market, action.quote_id, action.bids, action.asks)
        except VenueError as error:
            if error.code not in ("EXCHANGE_FROZEN", "RATE_LIMITED"):
                raise
            wait_ms = round((error.retry_after_s or 0) * 1_000 * self._speed)
            return Outcome(action, ok=False, reason=error.code, details={"retry_after_ms": wait_ms})
        declined = [order for order in orders if order.is_rejected]
        if not declined:
            return Outcome(action, ok=True)
        worst = max(declined, key=lambda o: (o.reject_reason not in PASSING, o.repair.retry_after_ms or 0))
        return Outcome(action, ok=False, reason=worst.reject_reason, details=worst.repair.given())

    def _note(self, trouble: Why | None, error: ClientError | None = None, pause_s: float = 0.0) -> float:
        if trouble != self._trouble and (trouble or self._trouble) != "NO_MARKET":
            log.info(
                "the house is out" if trouble else "the house is back", why=trouble, error=str(error or "") or None
            )
        self._trouble = trouble
        return pause_s


async def pull(client: AsyncClient) -> None:
    """Take away what an earlier house has resting in the open market. Raises ClientError."""
    for market in (await client.markets("OPEN")).items:
        await client.put_quotes(market, QUOTE_ID)
