"""AsyncClient: every call of a venue as a method, for asyncio.

Reads and writes translate and decode; what makes an order safe to repeat is in `entry`. Must not know how a request is
retried, nor anything of the server.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack

from raeth.client import windows
from raeth.client.entry import OrderEntry
from raeth.client.models import (
    Account,
    AgentContext,
    Book,
    Candle,
    CodeEntry,
    Deadman,
    FaucetClaim,
    Fill,
    Health,
    LedgerEntry,
    Liquidity,
    Market,
    Order,
    Page,
    Position,
    Reference,
    ReferencePoint,
    Series,
    SeriesContext,
    Settlement,
    Standing,
    Ticket,
    Trade,
    Version,
)
from raeth.client.orders import MarketRef, OrderIds, market_id
from raeth.client.transport import Request, Transport, quoted
from raeth.client.venue_clock import VenueClock

if TYPE_CHECKING:
    import httpx2

    from raeth.client.stream import Stream

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 5.0
PATIENCE_S = 10.0
SERIES = "BTC-1M"

Text = str | Sequence[str] | None


class ClientOptions(TypedDict, total=False):
    """What a client may be given besides address and key: see `AsyncClient`."""

    raise_on_reject: bool
    timeout_s: float
    patience_s: float
    transport: httpx2.AsyncBaseTransport | None


class AsyncClient(OrderEntry):
    """One agent on one venue (or nobody in particular: market data needs no key).

    `url` and `api_key` default to `RAETH_URL` and `RAETH_API_KEY` of the environment. `timeout_s` bounds one attempt,
    `patience_s` the time in which a call that got no answer is tried again, both in real seconds. With
    `raise_on_reject=False` a declined order is returned instead of raised. `transport` replaces the network, for
    example `httpx2.ASGITransport(app)`.

    Use it as an async context manager, or call `aclose()`. Safe for concurrent tasks of one event loop.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        raise_on_reject: bool = True,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        url = url or os.environ.get("RAETH_URL") or DEFAULT_URL
        self.api_key = api_key if api_key is not None else os.environ.get("RAETH_API_KEY")
        self.agent_id: str | None = None
        self.agent_name: str | None = None
        super().__init__(
            Transport(url, self.api_key, timeout_s, transport),
            patience_s,
            raise_on_reject,
            OrderIds(),
            self._new_clock(),
        )

    def _new_clock(self) -> VenueClock:
        async def now_ms() -> int:
            return (await self.health()).now_ms

        async def speed() -> float:
            return (await self.meta_version()).speed

        return VenueClock(now_ms, speed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await self._transport.aclose()

    @classmethod
    async def signup(
        cls, url: str | None, email: str, agent_name: str, password: str | None = None, **options: Unpack[ClientOptions]
    ) -> Self:
        """Make an account with one agent and some test cash, and return a client that is ready to trade.

        Keep `.api_key`: the venue never shows it again. With a `password` (8 characters or more) the owner can log in.
        `options` are those of the constructor. Raises VenueError EMAIL_TAKEN, AGENT_NAME_TAKEN.
        """
        from raeth.client.owner import sign_up

        made = await sign_up(url or os.environ.get("RAETH_URL") or DEFAULT_URL, email, agent_name, password, options)
        client = cls(url, made.api_key, **options)
        client.agent_id, client.agent_name = made.agent_id, made.agent_name
        return client

    # ---- the venue ----

    async def health(self) -> Health:
        """How the venue is doing. Degraded is an answer, not an error."""
        return await self._read(Health, "/health")

    async def now_ms(self) -> int:
        """Venue time in epoch milliseconds, asked for at most every half minute and carried forward in between."""
        return await self._clock.now_ms()

    async def meta_errors(self) -> Page[CodeEntry]:
        """Every code with its cause and its repair."""
        return await self._read(Page[CodeEntry], "/meta/errors")

    async def meta_limits(self) -> dict[str, Any]:
        """Budgets, maxima, and the rules of risk, fees and faucet."""
        return await self._read(dict[str, Any], "/meta/limits")

    async def meta_version(self) -> Version:
        return await self._read(Version, "/meta/version")

    # ---- market data ----

    async def series(self) -> Page[Series]:
        return await self._read(Page[Series], "/series")

    async def series_context(self, slug: str = SERIES) -> SeriesContext:
        """The window before, this one and the next. Raises VenueError REFERENCE_UNAVAILABLE while the feed is down."""
        return await self._read(SeriesContext, f"/series/{quoted(slug)}/context")

    async def markets(
        self, status: Text = None, *, series: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Page[Market]:
        """OPEN ones first, then the other live ones by close, then those that ended, newest first."""
        return await self._read(
            Page[Market], "/markets", status=several(status), series=series, limit=limit, cursor=cursor
        )

    async def market(self, market: MarketRef) -> Market:
        """A market as it is now, by UUID, symbol, or an earlier look at it."""
        return await self._read(Market, f"/markets/{name_of(market)}")

    async def open_market(
        self, wait: bool = True, *, least_left_s: float = 0, timeout_s: float | None = None
    ) -> Market:
        """The market that can be traded now, with at least `least_left_s` of venue time to its close.

        With `wait` it waits for one, also on a venue that has just started and has only a pre-listed window, for
        `timeout_s` real seconds or for as long as it takes. Raises NoOpenMarket.
        """
        return await windows.open_market(self, wait=wait, least_left_s=least_left_s, timeout_s=timeout_s)

    async def book(self, market: MarketRef, depth: int | None = None) -> Book:
        """Resting orders by price, best first; `depth` price levels a side (1-99)."""
        return await self._read(Book, f"/markets/{name_of(market)}/book", depth=depth)

    async def trades(self, market: MarketRef, *, limit: int | None = None, cursor: str | None = None) -> Page[Trade]:
        return await self._read(Page[Trade], f"/markets/{name_of(market)}/trades", limit=limit, cursor=cursor)

    async def candles(
        self,
        market: MarketRef,
        interval_ms: int | None = None,
        *,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Candle]:
        """`interval_ms`: 1000, 5000 (if not given), 10000 or 60000."""
        path = f"/markets/{name_of(market)}/candles"
        return await self._read(Page[Candle], path, interval_ms=interval_ms, limit=limit, cursor=cursor)

    async def settlement(self, market: MarketRef) -> Settlement:
        """The evidence of an outcome; before it is known, what there is of it."""
        return await self._read(Settlement, f"/markets/{name_of(market)}/settlement")

    async def agent_context(self, market: MarketRef) -> AgentContext:
        """Everything needed to decide about a market, in one document. Degrades to None part by part."""
        return await self._read(AgentContext, f"/markets/{name_of(market)}/agent-context")

    async def reference(self) -> Reference:
        return await self._read(Reference, "/reference/btc")

    async def reference_history(self, seconds: int | None = None) -> Page[ReferencePoint]:
        """Moves of the reference price, oldest first; `seconds` of venue time back (900 if not given)."""
        return await self._read(Page[ReferencePoint], "/reference/btc/history", seconds=seconds)

    async def leaderboard(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Standing]:
        """Accounts by what they made of their grants, the best one first. Names were chosen by strangers."""
        return await self._read(Page[Standing], "/leaderboard", limit=limit, cursor=cursor)

    async def liquidity(self) -> Liquidity:
        """The house market maker: its rules, its bounds, its quote now."""
        return await self._read(Liquidity, "/liquidity")

    # ---- the own account ----

    async def account(self) -> Account:
        """Cash, collateral and limits of the agent."""
        account = await self._read(Account, "/account")
        self.agent_id, self.agent_name = account.agent_id, account.agent_name
        return account

    async def positions(self) -> Page[Position]:
        """All unresolved markets the agent has something in, by close."""
        return await self._read(Page[Position], "/positions")

    async def ledger(self, *, limit: int | None = None, cursor: str | None = None) -> Page[LedgerEntry]:
        """Every movement of the agent's cash, newest first."""
        return await self._read(Page[LedgerEntry], "/ledger", limit=limit, cursor=cursor)

    def iter_ledger(self) -> AsyncIterator[LedgerEntry]:
        """The whole ledger, newest first, page by page."""
        return pages(lambda cursor: self.ledger(limit=PAGE, cursor=cursor))

    async def faucet(self) -> FaucetClaim:
        """Claim test cash. Raises VenueError FAUCET_COOLDOWN, FAUCET_CAP_REACHED, EXCHANGE_FROZEN."""
        return await self._claim()

    async def orders(
        self,
        *,
        market: MarketRef | None = None,
        status: Text = None,
        client_order_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Order]:
        """Own orders, newest first; `status` may be several."""
        return await self._read(
            Page[Order],
            "/orders",
            market_id=None if market is None else market_id(market),
            status=several(status),
            client_order_id=client_order_id,
            limit=limit,
            cursor=cursor,
        )

    async def order(self, order_id: str) -> Order:
        """An order with its fills, as it is now. Raises VenueError ORDER_NOT_FOUND, FORBIDDEN."""
        return await self._read(Order, f"/orders/{quoted(order_id)}")

    async def order_by_client_id(self, client_order_id: str) -> Order:
        """The same by its `client_order_id`. ORDER_NOT_FOUND: the venue has not seen it."""
        return await self._read(Order, f"/orders/by-client-id/{quoted(client_order_id)}")

    def iter_orders(self, *, market: MarketRef | None = None, status: Text = None) -> AsyncIterator[Order]:
        """All own orders that match, newest first, page by page."""
        return pages(lambda cursor: self.orders(market=market, status=status, limit=PAGE, cursor=cursor))

    async def fills(
        self, *, market: MarketRef | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Page[Fill]:
        """Own fills, newest first."""
        where = None if market is None else market_id(market)
        return await self._read(Page[Fill], "/fills", market_id=where, limit=limit, cursor=cursor)

    def iter_fills(self, *, market: MarketRef | None = None) -> AsyncIterator[Fill]:
        """All own fills, newest first, page by page."""
        return pages(lambda cursor: self.fills(market=market, limit=PAGE, cursor=cursor))

    async def ws_ticket(self) -> Ticket:
        """A ticket that admits one socket of this agent within a minute."""
        return await self._ask_freely(Ticket, Request("POST", "/auth/ws-ticket"))

    async def deadman(self, timeout_ms: int, market: MarketRef | None = None) -> Deadman:
        """Have all resting orders (of one market) cancelled unless this is called again within `timeout_ms`
        (1000-60000; 0 disarms)."""
        body: dict[str, Any] = {"timeout_ms": timeout_ms}
        if market is not None:
            body["scope"] = market_id(market)
        return await self._ask(Deadman, Request("POST", "/deadman", body), lambda: self.deadman(timeout_ms, market))

    def stream(self, **options: Any) -> Stream:
        """A socket to the venue: channels, and order entry over it. `async with client.stream() as stream: …`.

        `options` are those of `raeth.client.stream.Stream`. It lives on after `aclose()`; close both.
        """
        from raeth.client.stream import Stream

        return Stream(self, **options)


PAGE = 250


def several(values: Text) -> list[str] | None:
    return [values] if isinstance(values, str) else None if values is None else list(values)


def name_of(market: MarketRef) -> str:
    return quoted(market_id(market))


async def pages(read: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """The items of a list, page by page."""
    cursor: str | None = None
    while True:
        page = await read(cursor)
        for item in page.items:
            yield item
        cursor = page.next_cursor
        if cursor is None:
            return
