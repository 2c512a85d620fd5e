"""Budgets: how many requests whom may make in a minute (contract, section 12). Real time.

Per agent over all its keys: writes, reads, and cancels of their own, so that a throttled agent can always get out. Per
account for owners, one for the operator, per address for whoever shows no credential or a wrong one. A request counts
whatever becomes of it. Must not know what a request does.

Each process counts for itself, without waiting, unless `budgets_url` names a Redis: then `raeth.api.shared_budgets`
keeps one count for all, and a charge is followed by `agreed`. A refused credential is judged without that wait, by what
this process knows; its charge is shared all the same.

Signups, logins and the faucet are not hot, and slowapi guards those. Its decorator wraps a gate instead of the
endpoint, because the budget is judged before the schema, and around an endpoint it would run after. With Redis slowapi
would block the event loop, so there they are counted like everything else.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final

from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.requests import Request
from starlette.responses import Response

from raeth.api.access import Budget
from raeth.api.call import ANONYMOUS, OPERATOR, OWNER, Call
from raeth.api.meters import MAX_METERS, MINUTE_MS, Kind, Meter
from raeth.api.shared_budgets import Ledger
from raeth.clock import real_now_ms
from raeth.config import Settings
from raeth.errors import Code, RaethError

__all__ = ["GATED", "MAX_METERS", "MINUTE_MS", "Budgets", "Kind", "Meter", "bucket"]

OPERATOR_PER_MINUTE: Final = 6_000

DAY_MS: Final = 86_400_000


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


class SharedGates:
    """The same doors, counted by all processes together."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        limits = settings.limits
        door = [ledger.kind("door", limits.signups_per_minute)]
        signup = list(door)
        if limits.signups_per_day is not None:
            signup.append(ledger.kind("signups", limits.signups_per_day, DAY_MS))
        faucet = [ledger.kind("faucet", limits.writes_per_minute)]
        self._gates = {Budget.SIGNUP: signup, Budget.LOGIN: door, Budget.FAUCET: faucet}

    async def enter(self, call: Call, budget: Budget) -> None:
        """Count one request of the caller's address. Raises RATE_LIMITED."""
        meters = [kind.meter(bucket(call.address)) for kind in self._gates[budget]]
        for meter in meters:
            try:
                meter.charge(1)
                await meter.agreed()
            except RaethError:
                call.meter = meter
                raise
        if call.actor == ANONYMOUS:
            call.meter = meters[0]


class Budgets:
    """All budgets as one process has them. `venue_ms` is the venue's birth stamp: venues that share a Redis differ in
    it. Raises ConfigError for a `budgets_url` that cannot be used."""

    def __init__(self, settings: Settings, venue_ms: int = 0) -> None:
        limits = settings.limits
        writes, reads = limits.writes_per_minute, limits.reads_per_minute
        url = settings.budgets_url
        self.ledger = None if url is None else Ledger(url, f"raeth:{venue_ms}:")
        """The way to what other processes counted, if they count together."""
        kind = _alone if self.ledger is None else self.ledger.kind
        agent_writes = kind("writes", writes)
        self._agents = {
            Budget.READ: kind("reads", reads),
            Budget.WRITE: agent_writes,
            Budget.FAUCET: agent_writes,
            Budget.CANCEL: kind("cancels", limits.cancels_per_minute),
        }
        self._accounts = {Budget.READ: kind("owner reads", reads), Budget.WRITE: kind("owner writes", writes)}
        self._operator = kind("operator", OPERATOR_PER_MINUTE)
        self._anonymous = kind("address", limits.anonymous_reads_per_minute)
        self._gates = Gates(settings) if self.ledger is None else SharedGates(settings, self.ledger)

    async def close(self) -> None:
        """Let go of Redis. Harmless the second time."""
        if self.ledger is not None:
            await self.ledger.close()

    def spend(self, call: Call, budget: Budget) -> Meter:
        """Charge one request to whoever made it; `agreed` of a shared meter is next. Raises RATE_LIMITED."""
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
            await self.spend(call, budget).agreed()
        await self._gates.enter(call, budget)

    def spend_failure(self, call: Call) -> None:
        """A wrong credential counts against the address, so that guessing is slow. Raises RATE_LIMITED."""
        call.meter = self.of_address(call)
        call.meter.charge(1)

    def of_address(self, call: Call) -> Meter:
        """The anonymous budget of the caller's address, uncharged."""
        return self._anonymous.meter(bucket(call.address))


def _alone(_name: str, limit: int) -> Kind:
    """A budget that this process counts for itself."""
    return Kind(limit)


GATED: Final = frozenset({Budget.SIGNUP, Budget.LOGIN, Budget.FAUCET})
"""Budgets that are also counted by address."""


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
