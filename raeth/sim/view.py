"""What a strategy sees in a simulation: the engine's state as a `View`, each part built when it is looked at.

A view is good until its `decide` returns; looked at later it says so, rather than show what came after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from raeth.client.strategy import NO_ORDERS, Level, Limits, OwnOrder, Side
from raeth.engine.state import Agent, Market, Position, State
from raeth.engine.types import BUY, PAYOUT, PRICE_MAX, PRICE_MIN, SELL, Order, Settings

HISTORY_MS = 300_000
SIDE_NAMES: tuple[Side, Side] = ("BUY", "SELL")

History = Callable[[], Sequence[tuple[int, int]]]


def limits_of(rules: Settings) -> Limits:
    return Limits(
        max_order_qty=rules.max_order_qty,
        max_order_notional_cents=rules.max_order_notional_cents,
        position_cap=rules.position_cap,
        open_orders_per_market=rules.open_orders_per_market,
        fat_finger_distance=rules.fat_finger_distance,
        fat_finger_multiple=rules.fat_finger_multiple,
        reference_max_age_ms=rules.reference_max_age_ms,
        taker_rate_bps=rules.taker_rate_bps,
        maker_rebate_bps=rules.maker_rebate_bps,
        price_min=PRICE_MIN,
        price_max=PRICE_MAX,
        payout_cents=PAYOUT,
    )


class PriceMemory:
    """The index as the venue journaled it, `(ts_ms, price_cents)`, for at least the last 300 s."""

    def __init__(self) -> None:
        self._points: list[tuple[int, int]] = []
        self._recent: tuple[tuple[int, int], ...] | None = None

    def add(self, ts: int, price_cents: int) -> None:
        self._points.append((ts, price_cents))
        self._recent = None
        if len(self._points) % 4_096 == 0:
            self._trim(ts)

    def recent(self) -> tuple[tuple[int, int], ...]:
        """The last 300 s up to the newest price, oldest first; one tuple for all who look before the next."""
        if self._recent is None:
            if self._points:
                self._trim(self._points[-1][0])
            self._recent = tuple(self._points)
        return self._recent

    def _trim(self, now_ms: int) -> None:
        first = 0
        while self._points[first][0] < now_ms - HISTORY_MS:
            first += 1
        del self._points[:first]


class SimView:
    """`View` on the live market of a simulated venue, for one agent. Times are what the agent's clock shows."""

    __slots__ = (
        "_agent",
        "_asks",
        "_bids",
        "_history",
        "_live",
        "_orders",
        "_position",
        "_seq",
        "_state",
        "in_flight",
        "limits",
        "market",
        "now_ms",
    )

    def __init__(
        self,
        state: State,
        market: Market,
        agent: Agent,
        limits: Limits,
        history: History,
        now_ms: int,
        in_flight: int,
    ) -> None:
        self._state = state
        self._seq = state.seq
        self._live = market
        self._agent = agent
        self._position: Position | None = market.positions.get(agent.id)
        self._history = history
        self._bids: list[Level] | None = None
        self._asks: list[Level] | None = None
        self._orders: Mapping[str, OwnOrder] | None = None
        self.limits = limits
        self.now_ms = now_ms
        self.market = market.symbol
        self.in_flight = in_flight

    def _now(self) -> State:
        """The state, unless it has moved on."""
        state = self._state
        if state.seq != self._seq:
            raise RuntimeError(
                "this view is over: a strategy may look at it until decide returns, and keep what it saw"
            )
        return state

    @property
    def open_at_ms(self) -> int:
        return self._live.open_at

    @property
    def close_at_ms(self) -> int:
        return self._live.close_at

    @property
    def strike_cents(self) -> int | None:
        self._now()
        taken = self._live.open_print
        return None if taken is None else taken.price_cents

    @property
    def halted(self) -> bool:
        self._now()
        return self._live.halted

    @property
    def frozen(self) -> bool:
        return self._now().frozen

    @property
    def bids(self) -> Sequence[Level]:
        self._now()
        if self._bids is None:
            self._bids = list(_levels(self._live, BUY))
        return self._bids

    @property
    def asks(self) -> Sequence[Level]:
        self._now()
        if self._asks is None:
            self._asks = [(PAYOUT - level, qty) for level, qty in _levels(self._live, SELL)]
        return self._asks

    @property
    def last_trade_price(self) -> int | None:
        self._now()
        return self._live.last_price

    @property
    def reference_cents(self) -> int | None:
        return self._now().reference_price

    @property
    def reference_age_ms(self) -> int | None:
        state = self._now()
        return None if state.reference_price is None else max(0, self.now_ms - state.reference_ts)

    @property
    def reference_history(self) -> Sequence[tuple[int, int]]:
        self._now()
        return self._history()

    @property
    def net_qty(self) -> int:
        self._now()
        return self._position.net if self._position is not None else 0

    @property
    def cash_flow_cents(self) -> int:
        self._now()
        return self._position.cash_flow if self._position is not None else 0

    @property
    def cash_cents(self) -> int:
        self._now()
        return self._agent.cash

    @property
    def free_cash_cents(self) -> int:
        self._now()
        return self._agent.cash - self._agent.locked

    @property
    def orders(self) -> Mapping[str, OwnOrder]:
        self._now()
        if self._orders is None:
            position = self._position
            self._orders = NO_ORDERS if position is None else dict(map(_own, position.orders.values()))
        return self._orders


def _levels(market: Market, side: int) -> Iterator[Level]:
    """Level and quantity, best first."""
    depth, mask = market.book.depth[side], market.book.masks[side]
    while mask:
        level = mask.bit_length() - 1
        yield level, depth[level]
        mask ^= 1 << level


def _own(order: Order) -> tuple[str, OwnOrder]:
    assert order.price is not None
    name, side = str(order.id), SIDE_NAMES[order.side]
    quote = order.quote_id
    return name, OwnOrder(name, side, order.price, order.qty, order.remaining, order.client_order_id, quote)
