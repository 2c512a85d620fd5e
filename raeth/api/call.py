"""One request and what the door found out about it: the first parameter of every endpoint.

FastAPI treats a parameter annotated with a subclass of Request as the request itself, so endpoints stay plain
functions that it can document. This module must not know how credentials are checked or what a route does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from raeth.api.exchange import EXCHANGE, Exchange
from raeth.clock import iso_ms
from raeth.engine.commands import Command
from raeth.engine.events import Refused
from raeth.engine.state import Account, Agent, Key, State
from raeth.errors import Code, RaethError

if TYPE_CHECKING:
    from raeth.api.budgets import Meter
    from raeth.api.venue import Venue
    from raeth.api.views.names import Names
    from raeth.idempotency import IdemKey, Outcome
    from raeth.sequencer import Writes

ANONYMOUS = "anonymous"
AGENT = "agent"
OWNER = "owner"
OPERATOR = "operator"


class Call(Request):
    """A request that was let in. What is None was not shown, or the route does not ask for it."""

    actor: str = ANONYMOUS
    """`anonymous`, `agent`, `owner` or `operator`."""
    agent: Agent | None = None
    """Whose request it is, or, for an owner's read, the agent asked about. Do not keep it over an `await`."""
    key: Key | None = None
    """The agent's API key; None for owners, operators and anonymous callers."""
    account_id: int | None = None
    """The engine id of the owner's or the agent's account."""
    meter: Meter | None = None
    """The budget this request drew on; its numbers become the X-RateLimit headers."""
    session_hash: str | None = None
    """Of the owner's session, so that it can be ended."""
    must_close: bool = False
    """The connection is no longer in step: part of the body was not read."""
    allowed_methods: tuple[str, ...] = ()
    """For a 404: what the path would answer to."""

    _stream_consumed = False
    _is_disconnected = False
    _form = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, venue: Venue) -> None:
        # The framework's own constructors are not called: these, and the three above, are the fields that they set.
        self.scope = scope
        self._receive = receive
        self._send = self.raw_send = send
        self.exchange: Exchange | None = scope.get(EXCHANGE)
        """The request on its connection, if it came through our own server."""
        self.started = time.perf_counter()
        self.venue = venue
        self.request_id: str = scope["raeth.request_id"]
        path: str = scope["path"]
        self.is_api = path.startswith("/api/") or path == "/api"
        self.raw_headers: dict[bytes, bytes] = scope["raeth.headers"]

    @property
    def names(self) -> Names:
        """The public forms of the venue's ids."""
        return self.venue.names

    @property
    def address(self) -> str:
        """Where the request comes from; a forwarded address counts only from a trusted proxy."""
        return self.venue.door.address_of(self)

    # ---- who ----

    @property
    def the_agent(self) -> Agent:
        """The agent, on routes whose access class guarantees one."""
        assert self.agent is not None
        return self.agent

    @property
    def key_id(self) -> str:
        """The public id of the API key, on routes that only an API key opens."""
        assert self.key is not None
        return self.key.spec.key_id

    async def account(self) -> Account:
        """The account as it is now, on routes whose access class guarantees one."""
        assert self.account_id is not None
        account = (await self.settled()).accounts.get(self.account_id)
        if account is None:
            account = (await self.latest()).accounts.get(self.account_id)
        if account is None:  # a session outlived a journal that was replaced
            raise RaethError(Code.NOT_FOUND)
        return account

    async def charge(self, cost: int) -> None:
        """Draw `cost` more on the budget of this request. Raises RATE_LIMITED when that is too much."""
        if cost > 0 and self.meter is not None:
            self.meter.charge(cost)
            await self.meter.agreed()

    # ---- what is true, and what to do ----

    async def settled(self) -> State:
        """The state with nothing uncommitted in it and venue time up to date. Raises SERVICE_DEGRADED."""
        sequencer = self.venue.sequencer
        return sequencer.settled_now() or await sequencer.settled()

    async def latest(self) -> State:
        """`settled`, once this node knows all that any node has committed: before it says that something is not there.
        Raises SERVICE_DEGRADED."""
        await self.venue.sequencer.catch_up()
        return await self.settled()

    async def as_task(self) -> None:
        """Before a call that is `at_once` waits for anything: from here on it runs in a task of its own."""
        if self.exchange is not None:
            await self.exchange.as_task()

    async def submit(self, command: Command, keys: Sequence[IdemKey] = (), writes: Writes = ()) -> Outcome:
        """Do it; durable on return. Raises what the engine refused, IDEMPOTENCY_CONFLICT or SERVICE_DEGRADED."""
        return self.done(await self.venue.sequencer.enqueue(command, keys, writes))

    def done(self, outcome: Outcome) -> Outcome:
        """What came of a command. Raises what the engine refused."""
        refused = outcome.refused()
        if refused is not None:
            raise self.refusal(refused)
        return outcome

    def refusal(self, refused: Refused) -> RaethError:
        """The engine's refusal as an HTTP error. A wait it names becomes Retry-After, in real time."""
        details: dict[str, Any] = dict(refused.details or {})
        if refused.code == Code.VALIDATION_FAILED:
            faults = [{"field": n, "message": f"at most {v}", "type": "limit_reached"} for n, v in details.items()]
            return RaethError(Code.VALIDATION_FAILED, details=faults)
        if "wallet" in details:
            wallet = details["wallet"]
            details["wallet"] = "master" if wallet == self.account_id else self.names.uuid(wallet)
        details.update({name: iso_ms(value) for name, value in details.items() if name.endswith("_at")})
        wait_ms = details.get("retry_after_ms")
        retry_after_ms = None if wait_ms is None else int(wait_ms / self.venue.clock.speed)
        return RaethError(Code(refused.code), details=details or None, retry_after_ms=retry_after_ms)


class Answer:
    """An answer with a status or headers of its own. Most endpoints return the content alone.

    `content` is encoded as JSON with msgspec, unless it is bytes already; `media_type` says what the bytes are.
    """

    __slots__ = ("content", "headers", "media_type", "status")

    def __init__(
        self,
        content: Any,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> None:
        self.content = content
        self.status = status
        self.headers = headers
        self.media_type = media_type
