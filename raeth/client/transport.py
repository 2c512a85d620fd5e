"""One request, one answer: the connection pool, and what can come of a single attempt.

An attempt ends with an `Answer`, with the venue's refusal (VenueError), or without an answer (Lost). It must not know
orders, nor try anything twice.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import quote

import msgspec

from raeth.client.errors import BadAnswer, VenueError
from raeth.client.retry import Lost

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

API = "/api/v1"
CONNECTIONS = 64
KEEP_ALIVE_S = 4.0
"""Shorter than servers keep idle connections (5 s is common), so that one is seldom used just as it is closed."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Params = Mapping[str, str | int | Sequence[str] | None]


class Request(NamedTuple):
    """What to ask. `path` without the API's prefix, unless it stands outside of it."""

    method: str
    path: str
    body: Any = None
    params: Params | None = None


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes


class _Refusal(msgspec.Struct):
    code: str
    message: str = ""
    request_id: str | None = None
    details: Any = None


class Transport:
    """Requests of one credential to one venue, over one pool of connections that are kept alive."""

    def __init__(
        self, url: str, bearer: str | None, timeout_s: float, transport: httpx2.AsyncBaseTransport | None
    ) -> None:
        import httpx2

        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        headers = {"User-Agent": "raeth-client/1", "Accept": "application/json"}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        address = httpx2.URL(self.url)
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"not the address of a venue: {url!r}")
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 3.0)),
            limits=httpx2.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE_S
            ),
            transport=transport,
            # Reading the system's certificates takes longer than a hundred requests, and plain HTTP needs none.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if address.scheme == "http" else True,
            # A proxy of the environment cannot reach what listens on this machine only.
            trust_env=address.host not in _LOOPBACK,
        )
        self._borrowed = transport is not None
        self._lost = (httpx2.TransportError, httpx2.DecodingError)
        self._unsent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)

    async def aclose(self) -> None:
        """Close the pool; a transport that the caller brought is the caller's to close."""
        if not self._borrowed:
            await self._http.aclose()

    async def attempt(self, request: Request, timeout_s: float) -> Answer:
        """Send once. Raises VenueError or Lost; a whole attempt takes `timeout_s` real seconds at most."""
        method, path, body, params = request
        content = None if body is None else msgspec.json.encode(body)
        given = None if params is None else {name: value for name, value in params.items() if value is not None}
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._http.request(
                    method,
                    path if path.startswith(("/health", "/ready")) else API + path,
                    content=content,
                    params=given,
                    headers=_JSON if content is not None else None,
                )
        except TimeoutError:
            raise Lost(f"{method} {path}: no answer within {timeout_s:.1f} s", sent=True) from None
        except self._unsent as error:
            raise Lost(f"{method} {path}: {_said(error)}", sent=False) from error
        except self._lost as error:
            raise Lost(f"{method} {path}: {_said(error)}", sent=True) from error
        answer = Answer(response.status_code, response.headers, response.content)
        if 200 <= answer.status < 300:
            return answer
        raise refusal(answer)


def quoted(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


_JSON = {"Content-Type": "application/json"}


def _said(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def refusal(answer: Answer) -> VenueError:
    """The error an answer stands for. One that is not the venue's own, from a gateway say, gets the code `HTTP_<n>`."""
    after = answer.headers.get("retry-after", "")
    retry_after_s = float(after) if after.isascii() and after.isdigit() else None
    try:
        told = msgspec.json.decode(answer.content, type=_Refusal)
    except msgspec.MsgspecError:
        told = _Refusal(
            f"HTTP_{answer.status}", "The answer is not one of a venue's.", answer.headers.get("x-request-id")
        )
    return VenueError(told.code, answer.status, told.message, told.request_id, told.details, retry_after_s)


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def decode(kind: type[T], answer: Answer) -> T:
    """The typed body of an answer. Raises BadAnswer."""
    try:
        value: T = _decoder(cast(Hashable, kind)).decode(answer.content)
    except msgspec.MsgspecError as error:
        raise BadAnswer(f"expected {getattr(kind, '__name__', kind)}: {error}") from error
    return value
