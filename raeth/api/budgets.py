"""Budgets: how many requests whom may make in a minute (contract, section 12). Real time.

Per agent over all its keys: writes, reads, and cancels of their own, so that a throttled agent can always get out. Per
account for owners, one for the operator, per address for whoever shows no credential or a wrong one. A request counts
whatever becomes of it. Each process counts for itself. Must not know what a request does.

The minute is a fixed window that starts with the first request in it. The counters are our own because they sit on the
order path: one dictionary and one addition, 0.3 µs with the numbers of the headers, where the memory storage of
`limits` takes 6 µs, locks, and starts a thread every 10 ms to forget old entries. Signups, logins and the faucet are
not hot, and slowapi guards those. Its decorator wraps a gate instead of the endpoint, because the budget is judged
before the schema, and around an endpoint it would run after.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.requests import Request
from starlette.responses import Response

from raeth.api.access import Budget
from raeth.api.call import ANONYMOUS, OPERATOR, OWNER, Call
from raeth.clock import real_now_ms
from raeth.config import Settings
from raeth.errors import Code, RaethError

if TYPE_CHECKING:
    from raeth.api.answers import Header

MINUTE_MS: Final = 60_000

OPERATOR_PER_MINUTE: Final = 6_000

MAX_METERS: Final = 100_000
"""Windows of one kind kept at once; beyond it the oldest go first, whether or not they are over."""


class Meter:
    """One window of one budget: what is left of it, and until when."""

    __slots__ = ("_fixed", "limit", "reset_ms", "used")

    def __init__(self, limit: int, reset_ms: int) -> None:
        self.limit = limit
        self.reset_ms = reset_ms
        self.used = 0
        self._fixed = (b"x-ratelimit-limit", b"%d" % limit), (b"x-ratelimit-reset", b"%d" % reset_ms)

    def charge(self, cost: int) -> None:
        """Count `cost`; raises RATE_LIMITED when that is more than is left."""
        self.used += cost
        if self.used > self.limit:
            raise RaethError(Code.RATE_LIMITED, retry_after_ms=max(0, self.reset_ms - real_now_ms()))

    def headers(self) -> tuple[Header, ...]:
        left = self.limit - self.used
        return (*self._fixed, (b"x-ratelimit-remaining", b"%d" % left if left > 0 else b"0"))


class Kind:
    """One budget for many holders: `limit` requests in `window_ms`."""

    __slots__ = ("_meters", "limit", "window_ms")

    def __init__(self, limit: int, window_ms: int = MINUTE_MS) -> None:
        self.limit = limit
        self.window_ms = window_ms
        self._meters: dict[int | str, Meter] = {}

    def meter(self, holder: int | str) -> Meter:
        """The holder's window now, uncharged."""
        now_ms = real_now_ms()
        meter = self._meters.get(holder)
        # A clock that was set back must not lock anybody out for longer than a window.
        if meter is None or not now_ms < meter.reset_ms <= now_ms + self.window_ms:
            self._meters.pop(holder, None)
            meter = self._meters[holder] = Meter(self.limit, now_ms + self.window_ms)
            if len(self._meters) > MAX_METERS:
                self._meters.pop(next(iter(self._meters)))
        return meter


class Gates:
    """slowapi at the door: what one address may do, whoever it says it is."""

    def __init__(self, settings: Settings) -> None:
        limits = settings.limits
        self._limiter = Limiter(key_func=_address_key)
        self._limiter.logger.setLevel(logging.ERROR)  # it would log each refusal, and a flood must not fill the log
        per_minute = f"{limits.signups_per_minute} per minute"
        claims = f"{limits.writes_per_minute} per minute"

        async def signup(request: Request) -> Response:
            return Response()

        async def login(request: Request) -> Response:
            return Response()

        async def faucet(request: Request) -> Response:
            return Response()

        shared = self._limiter.shared_limit
        self._gates: dict[Budget, Callable[..., Awaitable[Response]]] = {
            Budget.SIGNUP: shared(per_minute, scope="door")(signup),
            Budget.LOGIN: shared(per_minute, scope="door")(login),
            Budget.FAUCET: shared(claims, scope="faucet")(faucet),
        }
        if limits.signups_per_day is not None:
            daily = shared(f"{limits.signups_per_day} per day", scope="signups")
            self._gates[Budget.SIGNUP] = daily(self._gates[Budget.SIGNUP])

    async def enter(self, call: Call, budget: Budget) -> None:
        """Count one request of the caller's address. Raises RATE_LIMITED."""
        try:
            await self._gates[budget](request=call)
        except RateLimitExceeded:
            call.meter = self._meter(call)
            wait_ms = max(0, call.meter.reset_ms - real_now_ms())
            raise RaethError(Code.RATE_LIMITED, retry_after_ms=wait_ms) from None
        if call.actor == ANONYMOUS:
            call.meter = self._meter(call)

    def _meter(self, call: Call) -> Meter:
        """slowapi's numbers in our form, for the headers."""
        item, names = call.state.view_rate_limit
        window = self._limiter.limiter.get_window_stats(item, *names)
        meter = Meter(item.amount, int(window.reset_time * 1000))
        meter.used = item.amount - window.remaining
        return meter


class Budgets:
    """All budgets of one process."""

    def __init__(self, settings: Settings) -> None:
        limits = settings.limits
        writes, reads = limits.writes_per_minute, limits.reads_per_minute
        agent_writes = Kind(writes)
        self._agents = {
            Budget.READ: Kind(reads),
            Budget.WRITE: agent_writes,
            Budget.FAUCET: agent_writes,
            Budget.CANCEL: Kind(limits.cancels_per_minute),
        }
        self._accounts = {Budget.READ: Kind(reads), Budget.WRITE: Kind(writes)}
        self._operator = Kind(OPERATOR_PER_MINUTE)
        self._anonymous = Kind(limits.anonymous_reads_per_minute)
        self._gates = Gates(settings)

    def spend(self, call: Call, budget: Budget) -> Meter:
        """Charge one request to whoever made it. Raises RATE_LIMITED."""
        if call.key is not None:
            meter = self._agents[budget].meter(call.key.agent.id)
        elif call.actor == OWNER:
            assert call.account_id is not None
            meter = self._accounts[budget].meter(call.account_id)
        elif call.actor == OPERATOR:
            meter = self._operator.meter(OPERATOR)
        else:
            meter = self.of_address(call)
        call.meter = meter
        meter.charge(1)
        return meter

    def of_agent(self, budget: Budget, agent: int) -> Meter:
        """An agent's window now, uncharged."""
        return self._agents[budget].meter(agent)

    async def enter(self, call: Call, budget: Budget) -> None:
        """The budgets that also, or only, belong to an address. Raises RATE_LIMITED."""
        if call.key is not None:
            self.spend(call, budget)
        await self._gates.enter(call, budget)

    def spend_failure(self, call: Call) -> None:
        """A wrong credential counts against the address, so that guessing is slow. Raises RATE_LIMITED."""
        call.meter = self.of_address(call)
        call.meter.charge(1)

    def of_address(self, call: Call) -> Meter:
        """The anonymous budget of the caller's address, uncharged."""
        return self._anonymous.meter(bucket(call.address))


GATED: Final = frozenset({Budget.SIGNUP, Budget.LOGIN, Budget.FAUCET})
"""Budgets that slowapi counts by address."""


def _address_key(request: Call) -> str:
    return bucket(request.address)


@lru_cache(maxsize=4096)
def bucket(address: str) -> str:
    """Whom an address counts as: itself, or for IPv6 its /64, which one subscriber has all of."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 4:
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False))
