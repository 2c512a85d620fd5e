"""What `raeth watch` shows at one moment: plain values, made from what a `WatchedVenue` knows. Must not know how it is
drawn.

Money is integer cents, prices cents of YES, times epoch milliseconds of venue time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from raeth.client.client import AsyncClient
from raeth.client.errors import ClientError, Stale
from raeth.client.live import LiveVenue
from raeth.client.models import Market, Trade, epoch_ms

TAPE_KEPT = 60
OUTCOMES_KEPT = 24

QUIET_S = 6.5
"""The venue says something at least every 5 s: after this long it may be gone, whatever the connection looks like."""

TapeRow = tuple[int, str, int, int]
"""`(ts_ms, taker side, price, qty)`."""

Link = Literal["CONNECTING", "LIVE", "CATCHING UP", "SILENT", "GONE"]


class Window(msgspec.Struct, frozen=True):
    """A window that is listed, open, or closed and not yet settled."""

    symbol: str
    open_at_ms: int
    close_at_ms: int
    strike_cents: int | None = None
    halted: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """How a window ended: YES, NO or VOID; None while its close print is awaited."""

    symbol: str
    close_at_ms: int
    resolution: str | None
    open_cents: int | None = None
    close_cents: int | None = None


class Resting(msgspec.Struct, frozen=True):
    """An own order in the open window."""

    side: str
    price: int
    remaining_qty: int


class Own(msgspec.Struct, frozen=True):
    """The agent whose key was given; position and orders are those in the open window."""

    name: str
    cash_cents: int
    free_cash_cents: int
    net_qty: int = 0
    if_yes_cents: int = 0
    if_no_cents: int = 0
    orders: tuple[Resting, ...] = ()
    suspended: bool = False


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a venue. Names, reasons and messages are the venue's or its operator's text, not to be trusted."""

    url: str
    now_ms: int
    link: Link
    why: str = ""
    """What is the matter with the link."""
    quiet_s: int = 0
    """Real seconds since the venue was last heard."""
    window: Window | None = None
    next_window: Window | None = None
    outcomes: tuple[Outcome, ...] = ()
    """Newest first."""
    bids: Sequence[tuple[int, int]] = ()
    asks: Sequence[tuple[int, int]] = ()
    last_trade_price: int | None = None
    tape: tuple[TapeRow, ...] = ()
    """Newest first."""
    reference_cents: int | None = None
    reference_age_ms: int | None = None
    reference_status: str = "DOWN"
    synthetic: bool = False
    history: Sequence[tuple[int, int]] = ()
    """`(ts_ms, price_cents)`, oldest first."""
    fair_cents: int | None = None
    """What YES is worth by the reference, to the nearest cent."""
    frozen: bool = False
    reason: str = ""
    """Why it is frozen."""
    broadcast: str = ""
    own: Own | None = None

    @property
    def current(self) -> bool:
        """Whether all of it is as the venue last told it."""
        return self.link == "LIVE"


class WatchedVenue(LiveVenue):
    """A `LiveVenue` that also keeps what is of interest to somebody who looks on: trades, outcomes, announcements."""

    def __init__(self, client: AsyncClient) -> None:
        super().__init__(client)
        self._tapes: dict[str, deque[TapeRow]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.reason = ""
        self.broadcast = ""
        self.heard_s = time.monotonic()
        self._outcomes_known = False
        self.stream.on_ts = self._heard

    def _heard(self, ts: str) -> None:
        self.heard_s = time.monotonic()
        self._note_ts(ts)

    def take(self, event: Any) -> None:
        """See `Sink`."""
        super().take(event)
        # A message that breaks its form is left out here too: a new snapshot was asked for.
        with contextlib.suppress(msgspec.ValidationError, KeyError, TypeError, ValueError):
            self._look(event.channel, event.type == "snapshot", event.data)

    def _look(self, channel: str, snapshot: bool, data: Any) -> None:
        if channel.startswith("trades."):
            told = msgspec.convert(data["trades"][::-1] if snapshot else [data], list[Trade])
            tape = self._tapes.setdefault(channel.removeprefix("trades."), deque(maxlen=TAPE_KEPT))
            if snapshot:
                tape.clear()
            tape.extend((trade.ts_ms, trade.taker_side, trade.price, trade.qty) for trade in told)
        elif channel == "markets":
            self._tapes = {market_id: tape for market_id, tape in self._tapes.items() if market_id in self.markets}
            if snapshot:
                self._in_background(self._load_outcomes())
            else:
                self._note_outcome(msgspec.convert(data["market"], Market))
        elif channel == "venue":
            if snapshot or data["event"] in ("FROZEN", "UNFROZEN"):
                self.reason = data.get("reason") or ""
            elif data["event"] == "BROADCAST":
                self.broadcast = data["message"] or ""

    def _note_outcome(self, market: Market) -> None:
        if market.status not in ("EXPIRED", "RESOLVED", "VOID"):
            return
        prints = market.reference
        self.outcomes[market.symbol] = Outcome(
            market.symbol, market.close_at_ms, market.resolution, prints.open_price_cents, prints.close_price_cents
        )
        while len(self.outcomes) > OUTCOMES_KEPT:
            del self.outcomes[min(self.outcomes, key=lambda symbol: self.outcomes[symbol].close_at_ms)]

    async def _load_outcomes(self) -> None:
        """Those of a time when nobody looked."""
        try:
            for market in (await self.client.markets(["EXPIRED", "RESOLVED", "VOID"], limit=OUTCOMES_KEPT)).items:
                self._note_outcome(market)
        except ClientError:
            pass  # those to come are told anyway
        self._outcomes_known = True
        self._ring()

    async def settled_down(self, timeout_s: float) -> None:
        """Until everything that is shown has come once. Raises Stale after `timeout_s`, or what ended the stream."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    seen = self.version
                    if self.fresh and self._outcomes_known and self._trades_known() and self._prices_known():
                        return
                    await self.changed(seen)
        except TimeoutError:
            raise Stale(f"not current within {timeout_s:g} s: {self.stream.why}") from None

    def _trades_known(self) -> bool:
        market = self.market
        return market is None or self.stream.synced(f"trades.{market.id}")

    def _prices_known(self) -> bool:
        return self.reference.price_cents is None or bool(self.reference_history)

    # ---- the scene ----

    def scene(self) -> Scene:
        """Everything as of now."""
        market, upcoming, reference, now_ms = self.market, self.next_market, self.reference, self.now_ms()
        history = tuple(self.reference_history)
        window = window_of(market) if market is not None else None
        link, why = self._link()
        return Scene(
            url=self.client.url,
            now_ms=now_ms,
            link=link,
            why=why,
            quiet_s=int(time.monotonic() - self.heard_s),
            window=window,
            next_window=window_of(upcoming) if upcoming is not None else None,
            outcomes=tuple(sorted(self.outcomes.values(), key=lambda one: -one.close_at_ms)),
            bids=tuple(self.book.bids),
            asks=tuple(self.book.asks),
            last_trade_price=self.last_trade_price,
            tape=tuple(reversed(self._tapes.get(market.id, ()))) if market is not None else (),
            reference_cents=reference.price_cents,
            reference_age_ms=reference.age_ms,
            reference_status=reference.status,
            synthetic=reference.synthetic,
            history=history,
            fair_cents=fair_cents(window, reference.price_cents, reference.status, history, now_ms),
            frozen=self.frozen,
            reason=self.reason,
            broadcast=self.broadcast,
            own=self._own(market),
        )

    def _link(self) -> tuple[Link, str]:
        if not self.stream.connected:
            return "GONE", self.stream.why
        if time.monotonic() - self.heard_s > QUIET_S:
            return "SILENT", ""
        return ("LIVE", "") if self.fresh else ("CATCHING UP", "")

    def _own(self, market: Market | None) -> Own | None:
        if self.client.api_key is None or not self.mirror.synced:
            return None
        held = self.position
        orders = [order for order in self.orders.values() if market is not None and order.market_id == market.id]
        return Own(
            self.client.agent_name or "?",
            self.cash_cents,
            self.free_cash_cents,
            held.net_qty,
            held.payoff_if_yes_cents,
            held.payoff_if_no_cents,
            tuple(Resting(order.side, order.price or 0, order.remaining_qty) for order in orders),
            self.mirror.suspended,
        )


def window_of(market: Market) -> Window:
    return Window(
        market.symbol,
        epoch_ms(market.open_at),
        epoch_ms(market.close_at),
        market.reference.open_price_cents,
        market.halted,
    )


def fair_cents(
    window: Window | None, price_cents: int | None, status: str, history: Sequence[tuple[int, int]], now_ms: int
) -> int | None:
    """What YES is worth now; None while that cannot be said."""
    if window is None or window.strike_cents is None or price_cents is None or status != "LIVE":
        return None
    from raeth.liquidity.pricing import EwmaVolatility, fair_value_cents

    sigma = EwmaVolatility.of(history).per_sqrt_s
    if sigma is None:
        return None
    return round(fair_value_cents(price_cents, window.strike_cents, window.close_at_ms - now_ms, sigma))
