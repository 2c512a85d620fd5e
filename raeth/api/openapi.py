"""The documentation: `/openapi.json`, worthy of a code generator, and what `/docs` is made from.

FastAPI writes the document from the routes' signatures; what it cannot know comes from here: security, every error with
the flat body and an example a code, every decline of an order, examples of requests and answers. Errors and declines
come from the one catalogue. Must not know how a request is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.models import Schema
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from raeth.api.access import Access, Budget
from raeth.errors import CATALOGUE, Code

if TYPE_CHECKING:
    from raeth.api.routing import Declared, Plan, VenueRoute

TITLE: Final = "raeth"

ABOUT: Final = """\
An agent-first exchange for binary options on one-minute Bitcoin windows. A contract pays 100 cents if Bitcoin closes
the window above its open, else nothing; prices are integer cents of YES, 1 to 99.

- JSON in and out. No floats for money, price or quantity: `*_cents`, `price` and `qty` are integers. Unknown fields are
  errors. `null` is the same as absent.
- `POST /api/v1/auth/signup` gives an account, an agent, test cash and an API key in one call. Then
  `Authorization: Bearer rk_live_…`.
- An order the venue declines is not an HTTP error: it is 200 with `status: "REJECTED"`, the code in `reject_reason` and
  the repair as numbers in `reject_details`.
- An HTTP error has one flat body: `{"code", "message", "request_id"}`, and `details` where there is something
  structured to say. `GET /api/v1/meta/errors` lists every code with its cause and its repair.
- Every answer carries `X-Request-ID`; every `/api` answer carries `X-RateLimit-Limit`, `X-RateLimit-Remaining` and
  `X-RateLimit-Reset` (epoch milliseconds).
- `seq` is the place in the venue's one total order. What was answered is durable.
- `/api` is an alias of `/api/v1`. Lists are `{"items", "next_cursor"}`.
"""

TAGS: Final = {
    "auth": "Accounts, sessions and keys.",
    "owner": "What the person or program behind the agents can do.",
    "orders": "Placing, quoting, changing and cancelling.",
    "market data": "Windows, books, trades and settlements. No key needed.",
    "reference": "The Bitcoin price that decides. No key needed.",
    "account": "An agent's cash, positions and history.",
    "admin": "The operator.",
    "meta": "Errors, limits, version.",
    "streams": "What happens, as it happens: `/stream` for sockets, and server-sent events.",
    "health": "Whether it runs, for machines and people.",
}

SCHEMES: Final = {
    "agentKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An agent's API key, `rk_live_…`. Scopes: read, trade, cancel.",
    },
    "ownerSession": {
        "type": "http",
        "scheme": "bearer",
        "description": "The `session_token` of `POST /auth/login`.",
    },
    "ownerCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "raeth_session",
        "description": "The same session, as the HttpOnly cookie that login sets.",
    },
    "adminToken": {"type": "http", "scheme": "bearer", "description": "The operator's token, `rk_admin_…`."},
}

_AGENT: Final[list[dict[str, list[str]]]] = [{"agentKey": []}]
_OWNER: Final[list[dict[str, list[str]]]] = [{"ownerSession": []}, {"ownerCookie": []}]

SECURITY: Final[Mapping[Access, list[dict[str, list[str]]]]] = {
    Access.PUBLIC: [],
    Access.OPTIONAL_AGENT: [{}, *_AGENT],
    Access.AGENT_READ: _AGENT,
    Access.AGENT_TRADE: _AGENT,
    Access.AGENT_CANCEL: _AGENT,
    Access.AGENT_ANY: _AGENT,
    Access.AGENT_OR_OWNER: [*_AGENT, *_OWNER],
    Access.OWNER: _OWNER,
    Access.OPERATOR: [{"adminToken": []}],
}

_CREDENTIAL: Final = (Code.AUTH_INVALID, Code.AUTH_EXPIRED)
_KEY: Final = (*_CREDENTIAL, Code.AUTH_REVOKED, Code.IP_NOT_ALLOWED)

ACCESS_ERRORS: Final[Mapping[Access, tuple[Code, ...]]] = {
    Access.PUBLIC: (),
    Access.OPTIONAL_AGENT: (*_KEY, Code.FORBIDDEN),
    Access.AGENT_READ: (Code.AUTH_MISSING, *_KEY, Code.FORBIDDEN, Code.SCOPE_REQUIRED),
    Access.AGENT_TRADE: (Code.AUTH_MISSING, *_KEY, Code.FORBIDDEN, Code.SCOPE_REQUIRED, Code.AGENT_SUSPENDED),
    Access.AGENT_CANCEL: (Code.AUTH_MISSING, *_KEY, Code.FORBIDDEN, Code.SCOPE_REQUIRED),
    Access.AGENT_ANY: (Code.AUTH_MISSING, *_KEY, Code.FORBIDDEN),
    Access.AGENT_OR_OWNER: (Code.AUTH_MISSING, *_KEY, Code.FORBIDDEN, Code.SCOPE_REQUIRED, Code.NOT_FOUND),
    Access.OWNER: (Code.AUTH_MISSING, *_CREDENTIAL, Code.FORBIDDEN),
    Access.OPERATOR: (Code.AUTH_MISSING, Code.AUTH_INVALID, Code.FORBIDDEN),
}

REPAIRS: Final[Mapping[Code, dict[str, Any]]] = {
    Code.FAT_FINGER: {"max_qty": 2000, "confirm_field": "confirm_fat_finger"},
    Code.POSITION_CAP: {"position_cap": 5000, "max_qty": 120},
    Code.NO_REFERENCE_PRICE: {"retry_after_ms": 1000},
    Code.AGENT_SIDE_COOLDOWN: {"retry_after_ms": 4200, "cooldown_ends_at": "2026-11-20T10:30:16.545Z"},
    Code.PRICE_OUT_OF_RANGE: {"price_min": 1, "price_max": 99},
    Code.POST_ONLY_WOULD_CROSS: {"best_non_crossing_price": 53},
    Code.FOK_NOT_FILLABLE: {"max_qty": 4},
    Code.INSUFFICIENT_MARGIN: {"required_cents": 550, "free_cash_cents": 275, "max_qty": 5},
}
"""Numbers for the examples; the real ones are the order's."""

VALIDATION_EXAMPLE: Final[Mapping[Code, list[dict[str, str]]]] = {
    Code.BAD_REQUEST: [{"field": "qty", "message": "Input should be a valid integer", "type": "int_type"}],
    Code.VALIDATION_FAILED: [
        {"field": "side", "message": "Input should be 'BUY' or 'SELL'", "type": "literal_error"},
    ],
}


class FieldFault(BaseModel):
    """One faulty field of a request."""

    field: str = Field(description="Path of the field, `orders.0.qty`; empty for the body as a whole.")
    message: str
    type: str = Field(description="What kind of fault, for programs.")


class ErrorBody(BaseModel):
    """The body of every HTTP error."""

    code: str = Field(description="A code of the catalogue, see `GET /meta/errors`.", examples=["RATE_LIMITED"])
    message: str = Field(description="One sentence for people.")
    request_id: str = Field(description="The X-Request-ID of this answer.")
    details: dict[str, Any] | list[FieldFault] | None = Field(
        None, description="Only where there is something structured to say; a list of faulty fields for 400 and 422."
    )


def errors_of(declared: Declared, plan: Plan) -> list[Code]:
    """Every HTTP error of a call: its own, and what access, budget and schema imply."""
    codes = [*declared.errors, *ACCESS_ERRORS[declared.access]]
    if declared.budget is not Budget.NONE:
        codes.append(Code.RATE_LIMITED)
    if declared.path.startswith("/api"):
        codes.append(Code.BAD_REQUEST)
    if plan.body_model is not None or plan.query_model is not None:
        codes.append(Code.VALIDATION_FAILED)
    if plan.body_model is not None:
        codes.append(Code.BODY_TOO_LARGE)
    codes += [Code.INTERNAL_ERROR, Code.SERVICE_DEGRADED]
    return sorted(set(codes), key=list(Code).index)


_SCHEMAS: Final = "#/components/schemas/"


def _error_schemas() -> dict[str, Any]:
    """What the answers refer to: the body of every error, and what is in it, written as the framework does it."""
    _, made = models_json_schema([(ErrorBody, "serialization")], ref_template=_SCHEMAS + "{model}")
    schemas: dict[str, Any] = made["$defs"]
    return {name: jsonable_encoder(Schema(**schema), exclude_none=True) for name, schema in schemas.items()}


def documented(declared: Declared, plan: Plan) -> dict[str, Any]:
    """What FastAPI is told about a call beyond its signature: the `responses` and `openapi_extra` of its route."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in errors_of(declared, plan):
        status = CATALOGUE[code].status
        assert status is not None, f"{declared.name}: {code} is not an HTTP error"
        # By reference: of a model the framework would make a validator of its own for each status of each call.
        content = {"application/json": {"examples": {}, "schema": {"$ref": f"{_SCHEMAS}ErrorBody"}}}
        response = responses.setdefault(status, {"description": "", "content": content})
        response["description"] = ", ".join(filter(None, (response["description"], code.value)))
        response["content"]["application/json"]["examples"][code.value] = {
            "summary": CATALOGUE[code].when,
            "value": error_example(code),
        }
    extra: dict[str, Any] = {"security": SECURITY[declared.access], "x-access": declared.access.value}
    if declared.access is Access.AGENT_OR_OWNER:
        extra["parameters"] = [_AGENT_ID]
    return {"responses": responses, "openapi_extra": extra, "response_description": "Done."}


_AGENT_ID: Final = {
    "name": "agent_id",
    "in": "query",
    "required": False,
    "description": "Which agent; an owner must say it, a key reaches only its own.",
    "schema": {"type": "string", "format": "uuid"},
}


def error_example(code: Code) -> dict[str, Any]:
    """The flat body of a code, as its answer looks."""
    body: dict[str, Any] = {"code": code.value, "message": CATALOGUE[code].message, "request_id": "9cb4ae023baa"}
    if code in VALIDATION_EXAMPLE:
        body["details"] = VALIDATION_EXAMPLE[code]
    return body


def _answers(declared: Declared) -> dict[str, Any]:
    """Examples of the good answer: as declared, and for order entry one a decline, named by its code."""
    examples = {name: {"value": value} for name, value in declared.answer_examples.items()}
    good = next(iter([*declared.answer_examples.values(), *_examples_of(declared.response_model)]), None)
    if good is None:
        return examples
    if not examples:
        examples["success"] = {"value": good}
    for code in declared.declines:
        examples[code.value] = {"summary": CATALOGUE[code].when, "value": declined(good, code)}
    return examples


def _examples_of(model: Any) -> list[Any]:
    """The examples that a model carries itself."""
    extra = getattr(model, "model_config", {}).get("json_schema_extra")
    return list(extra.get("examples", ())) if isinstance(extra, dict) else []


def declined(good: Mapping[str, Any], code: Code) -> dict[str, Any]:
    """An answer that shows an order, as it looks when the venue declines that order with `code`."""
    if good.get("results"):
        return {**good, "results": [declined(good["results"][0], code)]}
    refused = {
        "status": "REJECTED",
        "would": "REJECT",
        "filled_qty": 0,
        "remaining_qty": 0,
        "filled_notional_cents": 0,
        "fee_cents": 0,
        "fills": [],
        "reject_reason": code.value,
        "reject_message": CATALOGUE[code].message,
        "reject_details": {"retryable": CATALOGUE[code].retryable, **REPAIRS.get(code, {})},
    }
    if code is Code.UNKNOWN_MARKET:
        refused |= {"market_id": None, "symbol": None}
    return {**good, **{name: value for name, value in refused.items() if name in good}}


def _complete(document: dict[str, Any], route: VenueRoute) -> None:
    """Put in what the framework's own writer would spoil: it drops every null, in examples too, and adds a 422."""
    declared = route.declared
    operation = document["paths"][route.path_format][declared.method.lower()]
    if Code.VALIDATION_FAILED not in route.errors:
        operation["responses"].pop("422", None)
    if examples := _answers(declared):
        content = operation["responses"][str(declared.status_code)].setdefault("content", {})
        content.setdefault(declared.media_type, {})["examples"] = examples
    if declared.request_examples:
        bodies = {name: {"value": dict(body)} for name, body in declared.request_examples.items()}
        operation["requestBody"]["content"]["application/json"]["examples"] = bodies
    schema = document["components"]["schemas"].get(getattr(declared.response_model, "__name__", ""))
    if schema is not None and (examples_of := _examples_of(declared.response_model)):
        schema["examples"] = examples_of


class Document:
    """The document of one application, made once, when it is first asked for."""

    def __init__(self, routes: Iterable[VenueRoute], version: str) -> None:
        self._routes = list(routes)
        self._version = version
        self._content: dict[str, Any] | None = None
        self._json: bytes | None = None
        self._html: str | None = None

    @property
    def content(self) -> dict[str, Any]:
        if self._content is None:
            self._content = get_openapi(
                title=TITLE,
                version=self._version,
                summary="An agent-first binary-options exchange",
                description=ABOUT,
                routes=self._routes,
                servers=[{"url": "/", "description": "This venue"}],
                tags=[{"name": name, "description": about} for name, about in TAGS.items()],
                license_info={"name": "MIT", "identifier": "MIT"},
            )
            self._content.setdefault("components", {})["securitySchemes"] = SCHEMES
            for route in self._routes:
                if route.declared.in_schema:
                    _complete(self._content, route)
            schemas = self._content["components"]["schemas"] | _error_schemas()
            for ours in ("HTTPValidationError", "ValidationError"):
                schemas.pop(ours, None)
            self._content["components"]["schemas"] = dict(sorted(schemas.items()))
        return self._content

    @property
    def json(self) -> bytes:
        if self._json is None:
            self._json = msgspec.json.encode(self.content)
        return self._json

    @property
    def html(self) -> str:
        if self._html is None:
            from raeth.api.docs_page import render

            self._html = render(self.content)
        return self._html
