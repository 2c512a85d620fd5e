"""Client and Owner: the same calls, blocking. A thin face over AsyncClient and AsyncOwner.

Every method is the asynchronous one, run on an event loop in a background thread; its name, its arguments and its types
are taken from there, so there is nothing here to fall behind. Usable from several threads. Must not know any call.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack

from raeth.client.client import AsyncClient, ClientOptions
from raeth.client.errors import Uncertain
from raeth.client.owner import AsyncOwner, OwnerOptions

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", AsyncClient, AsyncOwner)


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="raeth-client", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def run(self, awaitable: Awaitable[T]) -> T:
        """The result; the calling thread waits for it. An interrupt cancels the call."""

        async def whole() -> T:
            return await awaitable

        if threading.current_thread() is self._thread:
            raise RuntimeError("the blocking client was called from its own event loop")
        if self._loop.is_closed():
            if isinstance(awaitable, Coroutine):
                awaitable.close()
            raise RuntimeError("this client is closed")
        future = asyncio.run_coroutine_threadsafe(whole(), self._loop)
        try:
            return future.result()
        except Uncertain as error:
            raise error.resolved_by(self.run) from error.__cause__
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Run `last`, then end the loop and its thread. Idempotent."""
        if self._loop.is_closed():
            return
        try:
            self.run(last())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)


class _Blocking(Generic[A]):
    """What Client and Owner share: an asynchronous one, and the loop it lives on."""

    def __init__(self, inner: A, loop: _Loop) -> None:
        self._inner: A = inner
        self._loop = loop
        # Whoever forgets to close gets no warnings: this runs when the object goes, at the latest at exit.
        self._close: Callable[[], Any] = weakref.finalize(self, loop.close, inner.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the background thread. Idempotent."""
        self._close()


def _of_client(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client, P], T]:
    return _blocking(method)


def _of_owner(
    method: Callable[Concatenate[AsyncOwner, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Owner, P], T]:
    return _blocking(method)


def _blocking(method: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., T]:
    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> T:
        return self._loop.run(method(self._inner, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[AsyncClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[Client, P], Iterator[T]]:
    @wraps(method)
    def call(self: Client, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        items = method(self._inner, *args, **kwargs)
        while True:
            try:
                yield self._loop.run(anext(items))
            except StopAsyncIteration:
                return

    return call


class Client(_Blocking[AsyncClient]):
    """One agent on one venue, blocking. Arguments are those of AsyncClient. Close it, or use it in a `with`."""

    def __init__(self, url: str | None = None, api_key: str | None = None, **options: Unpack[ClientOptions]) -> None:
        super().__init__(AsyncClient(url, api_key, **options), _Loop())

    @classmethod
    def signup(
        cls, url: str | None, email: str, agent_name: str, password: str | None = None, **options: Unpack[ClientOptions]
    ) -> Self:
        """See `AsyncClient.signup`."""
        loop = _Loop()
        client = cls.__new__(cls)
        _Blocking.__init__(client, _begun(loop, AsyncClient.signup(url, email, agent_name, password, **options)), loop)
        return client

    @property
    def url(self) -> str:
        return self._inner.url

    @property
    def api_key(self) -> str | None:
        return self._inner.api_key

    @property
    def agent_id(self) -> str | None:
        return self._inner.agent_id

    @property
    def agent_name(self) -> str | None:
        return self._inner.agent_name

    def new_client_order_id(self) -> str:
        """See `AsyncClient.new_client_order_id`."""
        return self._inner.new_client_order_id()

    health = _of_client(AsyncClient.health)
    now_ms = _of_client(AsyncClient.now_ms)
    meta_errors = _of_client(AsyncClient.meta_errors)
    meta_limits = _of_client(AsyncClient.meta_limits)
    meta_version = _of_client(AsyncClient.meta_version)

    series = _of_client(AsyncClient.series)
    series_context = _of_client(AsyncClient.series_context)
    markets = _of_client(AsyncClient.markets)
    market = _of_client(AsyncClient.market)
    open_market = _of_client(AsyncClient.open_market)
    book = _of_client(AsyncClient.book)
    trades = _of_client(AsyncClient.trades)
    candles = _of_client(AsyncClient.candles)
    settlement = _of_client(AsyncClient.settlement)
    agent_context = _of_client(AsyncClient.agent_context)
    reference = _of_client(AsyncClient.reference)
    reference_history = _of_client(AsyncClient.reference_history)
    leaderboard = _of_client(AsyncClient.leaderboard)
    liquidity = _of_client(AsyncClient.liquidity)

    account = _of_client(AsyncClient.account)
    positions = _of_client(AsyncClient.positions)
    ledger = _of_client(AsyncClient.ledger)
    iter_ledger = _iterating(AsyncClient.iter_ledger)
    fills = _of_client(AsyncClient.fills)
    iter_fills = _iterating(AsyncClient.iter_fills)
    faucet = _of_client(AsyncClient.faucet)
    ws_ticket = _of_client(AsyncClient.ws_ticket)

    preview = _of_client(AsyncClient.preview)
    place = _of_client(AsyncClient.place)
    buy = _of_client(AsyncClient.buy)
    sell = _of_client(AsyncClient.sell)
    place_batch = _of_client(AsyncClient.place_batch)
    put_quotes = _of_client(AsyncClient.put_quotes)
    amend = _of_client(AsyncClient.amend)
    cancel = _of_client(AsyncClient.cancel)
    cancel_orders = _of_client(AsyncClient.cancel_orders)
    cancel_all = _of_client(AsyncClient.cancel_all)
    deadman = _of_client(AsyncClient.deadman)
    orders = _of_client(AsyncClient.orders)
    iter_orders = _iterating(AsyncClient.iter_orders)
    order = _of_client(AsyncClient.order)
    order_by_client_id = _of_client(AsyncClient.order_by_client_id)


class Owner(_Blocking[AsyncOwner]):
    """One account on one venue, blocking. Get one with `Owner.login`."""

    def __init__(self, url: str | None, session_token: str | None, **options: Unpack[OwnerOptions]) -> None:
        super().__init__(AsyncOwner(url, session_token, **options), _Loop())

    @classmethod
    def login(cls, url: str | None, email: str, password: str, **options: Unpack[OwnerOptions]) -> Self:
        """See `AsyncOwner.login`."""
        loop = _Loop()
        owner = cls.__new__(cls)
        _Blocking.__init__(owner, _begun(loop, AsyncOwner.login(url, email, password, **options)), loop)
        return owner

    @property
    def account_id(self) -> str | None:
        return self._inner.account_id

    @property
    def session_token(self) -> str | None:
        return self._inner.session_token

    logout = _of_owner(AsyncOwner.logout)
    me = _of_owner(AsyncOwner.me)
    agents = _of_owner(AsyncOwner.agents)
    create_agent = _of_owner(AsyncOwner.create_agent)
    keys = _of_owner(AsyncOwner.keys)
    create_key = _of_owner(AsyncOwner.create_key)
    rotate_key = _of_owner(AsyncOwner.rotate_key)
    delete_key = _of_owner(AsyncOwner.delete_key)
    transfer = _of_owner(AsyncOwner.transfer)
    account = _of_owner(AsyncOwner.account)
    positions = _of_owner(AsyncOwner.positions)
    ledger = _of_owner(AsyncOwner.ledger)


def _begun(loop: _Loop, making: Coroutine[Any, Any, A]) -> A:
    """What the coroutine makes, on the loop; the loop ends if it fails."""
    try:
        return loop.run(making)
    except BaseException:
        loop.close(_nothing)
        raise


async def _nothing() -> None:
    pass
