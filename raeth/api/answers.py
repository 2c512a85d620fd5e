"""The one place where an answer, good or bad, becomes bytes and headers.

Every response carries X-Request-ID and the security headers; every `/api` response carries the X-RateLimit headers.
Errors have one flat body, and an unexpected exception becomes INTERNAL_ERROR with nothing of the request in it. Must
not know any single call.
"""

from __future__ import annotations

import time
import traceback
from bisect import bisect_left
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from raeth.api.call import Answer, Call
from raeth.errors import Code, RaethError
from raeth.journal.base import JournalUnavailable
from raeth.terminal.site import Reply

log = structlog.get_logger("raeth.api")

Header = tuple[bytes, bytes]

LATENCY_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

SECURITY: Final[tuple[Header, ...]] = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
"""On every response. JSON is never framed, sniffed or kept."""

_COMMON: Final = b"x-request-id: %b\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in SECURITY) + b"%b"
"""The headers of every answer, as lines; last those of the budget."""

_CONTENT: Final = b"content-type: %b\r\ncontent-length: %d\r\n" + _COMMON

PAGE_POLICY: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
"""For the pages for people: no script, no other host."""

encode: Final = msgspec.json.Encoder().encode


class Tally:
    """Counts of one call by status, and how long it took. Plain numbers: metrics read them when they are asked."""

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.seconds = 0.0

    def note(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.seconds += seconds


def page(html: str) -> Answer:
    """A self-contained page for people."""
    return Answer(html.encode(), headers=PAGE_POLICY, media_type="text/html; charset=utf-8")


def send_answer(call: Call, answer: Any, status: int, tally: Tally) -> Coroutine[Any, Any, None] | None:
    """Send what an endpoint returned: JSON content, an `Answer`, or a Starlette `Response`. What has to be awaited of
    it is returned."""
    headers: Mapping[str, str] | None = None
    media_type = b"application/json"
    if type(answer) is bytes:
        body = answer
    elif isinstance(answer, Answer):
        status, headers, media_type = answer.status, answer.headers, answer.media_type.encode("latin-1")
        body = answer.content if isinstance(answer.content, bytes) else encode(answer.content)
    elif isinstance(answer, Response):
        answer.raw_headers.extend(_pairs(_COMMON % (call.request_id.encode(), _budget_lines(call))))
        tally.note(answer.status_code, time.perf_counter() - call.started)
        return _respond(call, answer)
    else:
        body = encode(answer)
    return _send(call, status, body, media_type, headers, tally)


async def send_reply(call: Call, reply: Reply, tally: Tally) -> None:
    """Send what is ready as a whole, its headers too, but for the request's name."""
    lines = b"x-request-id: %b\r\n" % call.request_id.encode() + reply.lines
    seconds = time.perf_counter() - call.started
    tally.note(reply.status, seconds)
    if call.venue.logs_access:
        _log(call, reply.status, seconds)
    exchange = call.exchange
    if exchange is None or exchange.flow.write_paused:
        await _send_slowly(call, reply.status, lines, reply.body)
    else:
        exchange.answer(reply.status, lines, reply.body)


async def send_error(call: Call, error: Exception, tally: Tally) -> None:
    """Send the flat body of a refusal; anything that is not one is our bug, and a 500."""
    if isinstance(error, ClientDisconnect):
        return
    refusal = error if isinstance(error, RaethError) else unexpected(call.request_id, error)
    headers = refusal.headers()
    if refusal.http == 401:
        headers["WWW-Authenticate"] = "Bearer"
    elif refusal.code is Code.NOT_FOUND and call.allowed_methods:
        headers["Allow"] = ", ".join(call.allowed_methods)
    if call.must_close:
        headers["Connection"] = "close"
    if call.meter is None and call.is_api:
        call.meter = call.venue.budgets.of_address(call)
    if call.meter is not None and call.meter.shared:
        await call.as_task()
        await call.meter.known()
    rest = _send(call, refusal.http, encode(refusal.body(call.request_id)), b"application/json", headers, tally)
    if rest is not None:
        await rest


DATABASE_AWAY: Final = (OperationalError, PoolTimeout, JournalUnavailable)
"""The tables cannot be read now: not our bug, and worth another try."""


def unexpected(request_id: str, error: Exception) -> RaethError:
    """What to say of an exception that is no refusal: the tables are away, or we have a bug."""
    if isinstance(error, DATABASE_AWAY):
        log.warning("tables not readable", request_id=request_id, kind=type(error).__name__)
        return RaethError(Code.SERVICE_DEGRADED)
    # The message of an exception may quote the request; where it happened and what kind it was does not.
    log.error(
        "unexpected error",
        request_id=request_id,
        kind=type(error).__name__,
        why=str(error) if isinstance(error, AssertionError) else None,
        where="".join(traceback.format_tb(error.__traceback__)),
    )
    return RaethError(Code.INTERNAL_ERROR)


def _budget_lines(call: Call) -> bytes:
    meter = call.meter
    return meter.lines() if meter is not None and call.is_api else b""


def _pairs(lines: bytes) -> list[Header]:
    """Header lines as the pairs of an ASGI message."""
    found = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in found]


def _send(
    call: Call, status: int, body: bytes, media_type: bytes, extra: Mapping[str, str] | None, tally: Tally
) -> Coroutine[Any, Any, None] | None:
    lines = _CONTENT % (media_type, len(body), call.request_id.encode(), _budget_lines(call))
    if extra:
        lines += _lines_of(extra)
    seconds = time.perf_counter() - call.started
    tally.note(status, seconds)
    if call.venue.logs_access:
        _log(call, status, seconds)
    exchange = call.exchange
    if exchange is None or exchange.flow.write_paused:
        return _send_slowly(call, status, lines, body)
    exchange.answer(status, lines, body)
    return None


def _log(call: Call, status: int, seconds: float) -> None:
    log.debug(
        "request",
        request_id=call.request_id,
        method=call.scope["method"],
        path=call.scope["path"],
        status=status,
        ms=round(seconds * 1000, 3),
        actor=call.actor,
    )


async def _send_slowly(call: Call, status: int, lines: bytes, body: bytes) -> None:
    exchange = call.exchange
    if exchange is not None:
        await exchange.as_task()
        await exchange.flow.drain()
        exchange.answer(status, lines, body)
    else:  # another server than ours
        await call.raw_send({"type": "http.response.start", "status": status, "headers": _pairs(lines)})
        await call.raw_send({"type": "http.response.body", "body": body})


async def _respond(call: Call, response: Response) -> None:
    await response(call.scope, call.receive, call.raw_send)


def _lines_of(extra: Mapping[str, str]) -> bytes:
    """An answer's own headers. A line break in one would be a header, or a body, of somebody else's choosing."""
    lines = [f"{name.lower()}: {value}" for name, value in extra.items()]
    assert not any(sign in line for line in lines for sign in "\r\n\0")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
