"""From bytes to validated models, and from what pydantic found to the contract's two kinds of fault.

400 BAD_REQUEST is for what cannot be read (not JSON, wrong type, missing or unknown field), 422 VALIDATION_FAILED
for readable values outside the schema; when both apply, 400 wins. The caller's input is never echoed. Must not know
any single call, credentials or the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from raeth.api.call import Call
from raeth.errors import Code, RaethError

T = TypeVar("T")

DRAIN_BYTES: Final = 64 * 1024 * 1024
"""How much of a body that is too large is read and thrown away, so that its sender gets to see the 413."""

MAX_QUERY_FIELDS: Final = 64

MAX_FAULTS: Final = 20
"""Faults reported in one answer; a batch of nonsense need not come back in full."""

_MALFORMED: Final = frozenset({"json_invalid", "json_type", "missing", "extra_forbidden", "int_from_float"})
_CHOICES: Final = frozenset({"literal_error", "enum"})
_OWN_CODES: Final = frozenset(
    code.value for code in (Code.BATCH_SIZE_EXCEEDED, Code.INVALID_CURSOR, Code.VALIDATION_FAILED)
)
"""A validator of a model may raise `PydanticCustomError` with one of these as its type."""

_SAID: Final = {
    "json_invalid": "not valid JSON",
    "extra_forbidden": "unknown field",
    "missing": "required",
}


def _is_malformed(fault: Mapping[str, Any]) -> bool:
    kind: str = fault["type"]
    if kind in _MALFORMED or kind.endswith("_type"):
        return True
    return kind in _CHOICES and not isinstance(fault["input"], str)


def refusal(error: ValidationError) -> RaethError:
    """The 400 or 422 for what pydantic found, with the faulty fields by their path, `orders.0.qty`."""
    faults = error.errors(include_url=False, include_context=False)
    malformed = [fault for fault in faults if _is_malformed(fault)]
    details = [
        {
            # The name of an unknown field is the caller's input as well; it is a name, and the repair needs it.
            "field": ".".join(str(part) for part in fault["loc"])[:200],
            "message": _SAID.get(fault["type"], fault["msg"].removeprefix("Value error, ")),
            "type": fault["type"].lower(),
        }
        for fault in (malformed or faults)[:MAX_FAULTS]
    ]
    if malformed:
        return RaethError(Code.BAD_REQUEST, details=details)
    own = next((fault["type"] for fault in faults if fault["type"] in _OWN_CODES), Code.VALIDATION_FAILED)
    return RaethError(Code(own), details=details)


def bad_request(field: str, message: str, kind: str) -> RaethError:
    """A 400 about one field."""
    return RaethError(Code.BAD_REQUEST, details=[{"field": field, "message": message, "type": kind}])


def invalid(field: str, message: str, kind: str) -> RaethError:
    """A 422 about one field."""
    return RaethError(Code.VALIDATION_FAILED, details=[{"field": field, "message": message, "type": kind}])


class Deadline:
    """Ends reads that take longer than `seconds`, with one timer for all of them.

    `asyncio.timeout` would set and cancel a timer for each request, a quarter of what a request costs here.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def of(self, read: Coroutine[Any, Any, T]) -> T:
        """What `read` returns. Raises TimeoutError."""
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        self._reading[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._expire, loop)
        try:
            return await read
        except asyncio.CancelledError:
            if task in self._late and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            del self._reading[task]
            self._late.discard(task)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._timer = None
        for task, due in self._reading.items():  # in the order of their deadlines
            if due > now:
                self._timer = loop.call_at(due, self._expire, loop)
                break
            if task not in self._late:
                self._late.add(task)
                task.cancel()


Plain = Callable[[bytes], Any]
"""Reads the common form of a body faster than its model does; None for any other, and for what is wrong."""


class BodyReader:
    """Reads one request's body within its bounds of size and time, and validates it."""

    def __init__(
        self, model: type[BaseModel], default: Any, max_bytes: int, deadline_ms: int, plain: Plain | None = None
    ) -> None:
        self._plain = plain
        self._validate = TypeAdapter(model).validator.validate_json
        self._default = default
        self._optional = default is not inspect.Parameter.empty
        self._max_bytes = max_bytes
        self._deadline = Deadline(deadline_ms / 1000)

    def whole(self, call: Call) -> bytes | None:
        """The body, if all of it came in with the head and it is not too large: nobody has to wait for it."""
        raw = None if call.exchange is None else call.exchange.whole_body()
        return raw if raw is not None and len(raw) <= self._max_bytes else None

    def validated(self, raw: bytes) -> Any:
        """The model, or what stands for a plain one. Raises BAD_REQUEST or VALIDATION_FAILED."""
        if self._plain is not None and (body := self._plain(raw)) is not None:
            return body
        if not raw and self._optional:
            return self._default
        try:
            return self._validate(raw)
        except ValidationError as error:
            raise refusal(error) from None

    async def read(self, call: Call) -> bytes:
        """The body once it is there. Raises BODY_TOO_LARGE, or BAD_REQUEST when it takes too long."""
        length = call.raw_headers.get(b"content-length")
        if length is not None and not (length.isdigit() and len(length) < 19 and int(length) <= self._max_bytes):
            await self._drain(call)
            raise RaethError(Code.BODY_TOO_LARGE)
        try:
            return await self._deadline.of(self._collect(call))
        except TimeoutError:
            call.must_close = True
            raise bad_request("", "the body did not arrive in time", "body_timeout") from None

    async def _collect(self, call: Call) -> bytes:
        receive = call.receive
        message = await receive()
        body: bytes = message.get("body", b"")
        chunks = [body]
        size = len(body)
        while message.get("more_body", False):
            if size > self._max_bytes:
                break
            message = await receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if size > self._max_bytes:
            call.must_close = True
            if message.get("more_body", False):
                await self._throw_away(call)
            raise RaethError(Code.BODY_TOO_LARGE)
        return body if len(chunks) == 1 else b"".join(chunks)

    async def _drain(self, call: Call) -> None:
        """Most clients read the answer only after they have sent everything."""
        call.must_close = True
        if b"expect" in call.raw_headers:
            return  # waiting for permission to send: the answer is the refusal
        with contextlib.suppress(TimeoutError):
            await self._deadline.of(self._throw_away(call))

    async def _throw_away(self, call: Call) -> None:
        left = DRAIN_BYTES
        while left > 0:
            message = await call.receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return


class QueryReader:
    """Validates a query string with the same strict model rules as a body: `limit=5.0` is not an integer."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._validate = TypeAdapter(model).validator.validate_json
        self._kinds: dict[str, tuple[type, bool]] = {}
        for name, info in model.model_fields.items():
            self._kinds[info.alias or name] = _kind_of(info.annotation)

    def __call__(self, query_string: bytes) -> Any:
        found: dict[str, Any] = {}
        for name, text in pairs(query_string):
            kind, is_list = self._kinds.get(name, (str, False))
            value = _plain(kind, text)
            if is_list:
                found.setdefault(name, []).append(value)
            elif name in found:
                raise bad_request(name, "given more than once", "duplicate")
            else:
                found[name] = value
        try:
            return self._validate(msgspec.json.encode(found))
        except ValidationError as error:
            raise refusal(error) from None


def pairs(query_string: bytes) -> Sequence[tuple[str, str]]:
    """The names and values of a query string. Raises BAD_REQUEST if it cannot be read."""
    if not query_string:
        return ()
    try:
        return parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS, errors="strict"
        )
    except ValueError:
        raise bad_request("", "the query string cannot be read", "query_invalid") from None


def reject_query(query_string: bytes) -> None:
    """For calls that take no query: whatever is there was meant for something else."""
    if found := pairs(query_string):
        raise bad_request(found[0][0][:200], "unknown query parameter", "extra_forbidden")


def _plain(kind: type, text: str) -> Any:
    if kind is int and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if kind is bool and text in ("true", "false"):
        return text == "true"
    return text


def _kind_of(annotation: Any) -> tuple[type, bool]:
    """What the text of a parameter stands for: `(int | bool | str, whether it may repeat)`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _kind_of(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(annotation) if part is not type(None)]
        return _kind_of(inner[0]) if len(inner) == 1 else (str, False)
    if origin in (list, tuple):
        return _kind_of(typing.get_args(annotation)[0])[0], True
    return (annotation, False) if annotation in (int, bool) else (str, False)
