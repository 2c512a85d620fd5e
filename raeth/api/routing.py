"""How a call is declared and run: FastAPI documents the routes, this module executes them.

A request is judged in the contract's order: credential, budget, schema; then the endpoint runs. FastAPI reads the same
signature for the OpenAPI document, but its dependency solving, response validation and thread pool are not involved,
because they cost more than the order itself. This module must not know any single call.

    router = VenueRouter("orders")

    @router.post("/orders", access=Access.AGENT_TRADE, budget=Budget.WRITE, name="place_order",
                 summary="Place an order", response_model=OrderView, declines=[Code.FAT_FINGER])
    async def place_order(call: Call, body: OrderRequest) -> Any: ...

An endpoint's parameters are `call: Call`, at most one pydantic model (the body, optional when it has a default), at
most one `Annotated[Model, Query()]`, and one `str` for each name in the path. It returns JSON content, `Answer` or
`Response`.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fastapi.params import Query
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from raeth.api import answers, openapi
from raeth.api.access import Access, Budget
from raeth.api.budgets import GATED
from raeth.api.call import Call
from raeth.api.parsing import BodyReader, Plain, QueryReader, reject_query
from raeth.errors import Code

if TYPE_CHECKING:
    from raeth.api.exchange import Exchange
    from raeth.api.venue import Venue
    from raeth.engine.commands import Command
    from raeth.idempotency import IdemKey, Outcome

API: Final = "/api/v1"

__all__ = ["API", "Access", "Budget", "Declared", "Plan", "VenueRoute", "VenueRouter"]


Endpoint = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Declared:
    """One call as a module declares it; `create_app` binds it to a venue."""

    method: str
    path: str
    """With the prefix, for example `/api/v1/orders/{order_id}`."""
    endpoint: Endpoint
    access: Access
    budget: Budget
    name: str
    """The operationId, `verb_noun`."""
    summary: str
    tag: str
    response_model: Any = None
    status_code: int = 200
    errors: tuple[Code, ...] = ()
    """HTTP errors besides those that access, budget and schema imply."""
    declines: tuple[Code, ...] = ()
    """Codes of a REJECTED order in a 200."""
    request_examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Name → body."""
    answer_examples: Mapping[str, Any] = field(default_factory=dict)
    """Name → answer."""
    media_type: str = "application/json"
    in_schema: bool = True
    plain: Plain | None = None
    """Reads the body as it mostly is; whatever else it is the model reads."""
    at_once: bool = False
    """The endpoint needs no task: it waits for nothing, or awaits `call.as_task` before it does."""


class VenueRouter:
    """Collects the calls of one module. `prefix` is the base path of the API unless said otherwise."""

    def __init__(self, tag: str, prefix: str = API) -> None:
        self.tag = tag
        self.prefix = prefix
        self.declared: list[Declared] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        access: Access,
        budget: Budget,
        name: str,
        summary: str,
        errors: Sequence[Code] = (),
        declines: Sequence[Code] = (),
        tags: Sequence[str] = (),
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare a call; `options` are the other fields of `Declared`."""

        def declare(endpoint: Endpoint) -> Endpoint:
            assert inspect.iscoroutinefunction(endpoint), "a sync endpoint would need a thread"
            assert "_" in name and "\n" not in summary, "operationId verb_noun, summary in one line"
            self.declared.append(
                Declared(
                    method,
                    self.prefix + path,
                    endpoint,
                    access,
                    budget,
                    name,
                    summary,
                    tags[0] if tags else self.tag,
                    errors=tuple(errors),
                    declines=tuple(declines),
                    **options,
                )
            )
            return endpoint

        return declare

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.add("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.add("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.add("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.add("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.add("DELETE", path, **options)


@dataclass(slots=True)
class Plan:
    """An endpoint's parameters, taken apart once."""

    call: str | None = None
    body: str | None = None
    body_model: type[BaseModel] | None = None
    body_default: Any = None
    query: str | None = None
    query_model: type[BaseModel] | None = None
    path: tuple[str, ...] = ()


def plan_of(declared: Declared) -> Plan:
    """Which parameter takes what. Whatever does not fit the four kinds is our bug."""
    plan = Plan(path=tuple(re.findall(r"{(\w+)}", declared.path)))
    hints = typing.get_type_hints(declared.endpoint, include_extras=True)
    for name, parameter in inspect.signature(declared.endpoint).parameters.items():
        hint = hints[name]
        if hint is Call:
            plan.call = name
        elif any(isinstance(mark, Query) for mark in typing.get_args(hint)[1:]):
            plan.query, plan.query_model = name, typing.get_args(hint)[0]
        elif isinstance(hint, type) and issubclass(hint, BaseModel):
            plan.body, plan.body_model, plan.body_default = name, hint, parameter.default
        else:
            assert name in plan.path and hint is str, f"{declared.name}: what is {name}?"
    return plan


class Ordered:
    """What an endpoint returns that has nothing left to do but to show what comes of a command.

    `show` makes the content of the outcome once it is durable. It cannot wait, and nobody waits for it: on a connection
    of ours the answer is written where the batch ends, by this object."""

    __slots__ = ("_call", "_exchange", "_route", "_show", "command", "keys")

    def __init__(self, call: Call, command: Command, keys: Sequence[IdemKey], show: Callable[[Outcome], bytes]) -> None:
        self._call = call
        self._show = show
        self.command = command
        self.keys = keys

    def content(self, outcome: Outcome) -> bytes:
        """Raises what the engine refused."""
        return self._show(self._call.done(outcome))

    def promised_by(self, route: VenueRoute, exchange: Exchange) -> None:
        """Put the command in order; what comes of it is the answer. Raises SERVICE_DEGRADED."""
        self._route = route
        self._exchange = exchange
        route.venue.sequencer.enqueue_for(self, self.command, self.keys)
        exchange.promise()

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return not self._exchange.promised

    def set_result(self, outcome: Outcome, /) -> None:
        route = self._route
        try:
            rest = answers.send_answer(self._call, self.content(outcome), route.declared.status_code, route.tally)
        except Exception as error:
            self.set_exception(error)
        else:
            self._exchange.keep(rest)

    def set_exception(self, error: Exception, /) -> None:
        self._exchange.keep(answers.send_error(self._call, error, self._route.tally))


class VenueRoute(APIRoute):
    """One call, documented by FastAPI and run by us."""

    def __init__(self, declared: Declared, venue: Venue) -> None:
        plan = plan_of(declared)
        super().__init__(
            declared.path,
            declared.endpoint,
            methods=[declared.method],
            response_model=declared.response_model,
            status_code=declared.status_code,
            tags=[declared.tag],
            summary=declared.summary,
            name=declared.name,
            operation_id=declared.name,
            include_in_schema=declared.in_schema,
            **openapi.documented(declared, plan),
        )
        self.declared = declared
        self.access = declared.access
        self.budget = declared.budget
        self.venue = venue
        self.tally = venue.metrics.tally(declared.name)
        self.is_static = not plan.path
        self.errors = openapi.errors_of(declared, plan)
        self._gated = declared.budget in GATED
        assert not declared.at_once or not (self._gated or declared.access is Access.AGENT_OR_OWNER), "these wait"
        self._plan = plan
        self._is_api = declared.path.startswith(API)
        limits = venue.settings.limits
        self._read_body = (
            BodyReader(plan.body_model, plan.body_default, limits.body_bytes, limits.body_deadline_ms, declared.plain)
            if plan.body_model is not None
            else None
        )
        self._read_query = QueryReader(plan.query_model) if plan.query_model is not None else None
        self.app = self.run

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Another method on the same path is no match at all: it ends as the 404 of any unknown call."""
        match, child = super().matches(scope)
        return (Match.NONE, {}) if match is Match.PARTIAL else (match, child)

    def run(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Judge a request and answer it, whatever happens. The envelope has prepared the scope."""
        call = Call(scope, receive, send, self.venue)
        if call.exchange is not None:
            call.exchange.at_once = self.declared.at_once
        return self._run(call)

    async def _run(self, call: Call) -> None:
        try:
            answer = await self._judged(call)
            if type(answer) is Ordered:
                if call.exchange is not None:
                    answer.promised_by(self, call.exchange)
                    return
                answer = answer.content(await self.venue.sequencer.enqueue(answer.command, answer.keys))
            rest = answers.send_answer(call, answer, self.declared.status_code, self.tally)
        except Exception as error:
            rest = answers.send_error(call, error, self.tally)
        if rest is not None:
            await rest

    async def _judged(self, call: Call) -> Any:
        """Credential, budget, schema, endpoint: the order of contract section 3."""
        venue, plan = self.venue, self._plan
        if not venue.door.admit_now(call, self.access):
            await call.as_task()
            await venue.door.admit(call, self.access)
        if self._gated:
            await venue.budgets.enter(call, self.budget)
        elif self.budget is not Budget.NONE:
            meter = venue.budgets.spend(call, self.budget)
            if meter.shared:
                await call.as_task()
                await meter.agreed()
        query: bytes = call.scope["query_string"]
        if self.access is Access.AGENT_OR_OWNER:
            query = await venue.door.choose_agent(call, query)
        arguments: dict[str, Any] = dict(call.scope["path_params"]) if plan.path else {}
        if plan.query is not None and self._read_query is not None:
            arguments[plan.query] = self._read_query(query)
        elif query and self._is_api:
            reject_query(query)
        if plan.body is not None and self._read_body is not None:
            raw = self._read_body.whole(call)
            if raw is None:
                await call.as_task()
                raw = await self._read_body.read(call)
            arguments[plan.body] = self._read_body.validated(raw)
        if plan.call is not None:
            arguments[plan.call] = call
        return await self.declared.endpoint(**arguments)
