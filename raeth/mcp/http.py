"""The tools over streamable HTTP, as an ASGI application that a venue mounts at `/mcp`.

Every request carries the agent's key and stands alone: no sessions, so that any node can answer any request and nothing
can leak. The key is shown to the venue first, as a request of its own in the same process, and so are the calls of the
tools: with the caller's key and address, and hence its budgets, its IP allow-list and the venue's own refusals. Must
import no room of the server; the SDK of the protocol is loaded by `run`, not before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx2
from starlette.types import Receive, Scope, Send

from raeth.errors import Code, RaethError

if TYPE_CHECKING:
    from raeth.client.client import AsyncClient

PATH: Final = "/mcp"
ABOUT: Final = "/.well-known/oauth-protected-resource"
HERE: Final = "http://127.0.0.1"
"""The venue's address within this process; nothing is sent there."""

PATIENCE_S: Final = 3.0
"""How long a tool goes on when the venue says 503 or asks for a pause: longer ones are the model's to decide."""
CALLS_AT_ONCE: Final = 512
CALLS_AT_ONCE_PER_KEY: Final = 16
"""Waiting tools hold a request for up to 25 s; nobody needs many of them."""
LOAD_WITHIN_S: Final = 15.0
DEPART_S: Final = 1.0
"""What a call under way still gets when the venue goes down; an order needs a hundredth of it."""

_JSON: Final = (b"content-type", b"application/json")


class _AsCaller(httpx2.ASGITransport):
    """Calls the venue in this process on behalf of the caller of `scope`: from its address, under its request id."""

    def __init__(self, app: Any, scope: Scope) -> None:
        client = scope.get("client")
        super().__init__(app, raise_app_exceptions=False, client=tuple(client) if client else ("unknown", 0))
        passed_on = (b"x-forwarded-for", b"x-request-id")
        self._headers = [(name, value) for name, value in scope["headers"] if name in passed_on]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for name, value in self._headers:
            request.headers[name.decode()] = value.decode("latin-1")
        return await super().handle_async_request(request)


class Door:
    """What is mounted. `hosts` are the names (`host` or `host:port`) under which callers may reach it.

    Set `venue` to the whole application before the first request, and keep `run()` running meanwhile.
    """

    def __init__(self, hosts: Iterable[str], *, body_bytes: int = 65_536, body_deadline_ms: int = 10_000) -> None:
        self.venue: Any = None
        self._hosts = tuple(dict.fromkeys([*hosts, "localhost", "127.0.0.1", "[::1]"]))
        self._body_bytes = body_bytes
        self._body_deadline_s = body_deadline_ms / 1000
        self._handle: Any = None
        self._loaded = asyncio.Event()
        self._calls: dict[bytes, int] = {}
        self._deadlines: set[asyncio.Timeout] = set()
        self._departing = False

    # ---- the life of it ----

    async def run(self) -> None:
        """Load the protocol's SDK off the event loop and serve until cancelled."""
        try:
            server = await asyncio.to_thread(self._load)
            async with server.session_manager.run():
                self._handle = server.session_manager.handle_request
                self._loaded.set()
                await asyncio.Event().wait()
        finally:
            self._handle = None
            self._loaded.set()

    def depart(self) -> None:
        """The venue is going down: calls that only wait are cut short, so that nobody waits for them."""
        self._departing = True
        until = asyncio.get_running_loop().time() + DEPART_S
        for deadline in self._deadlines:
            deadline.reschedule(until)

    def _load(self) -> Any:
        from mcp.server.transport_security import TransportSecuritySettings

        from raeth.mcp.server import ToolServer

        names = [name for host in self._hosts for name in ((host,) if _has_port(host) else (host, f"{host}:*"))]
        server = ToolServer(self._connect)
        server.streamable_http_app(
            json_response=True,
            stateless_http=True,
            max_request_body_size=self._body_bytes,
            transport_security=TransportSecuritySettings(
                allowed_hosts=names, allowed_origins=[f"{scheme}://{name}" for name in names for scheme in _SCHEMES]
            ),
        )
        return server

    @asynccontextmanager
    async def _connect(self, context: Any) -> AsyncIterator[AsyncClient]:
        """The client of the caller: its key, its address."""
        from raeth.client.client import AsyncClient

        scope = context.request_context.request.scope
        key = _header(scope, b"authorization").split(b" ", 1)[1].strip().decode("latin-1")
        async with AsyncClient(HERE, key, patience_s=PATIENCE_S, transport=_AsCaller(self.venue, scope)) as client:
            yield client

    # ---- one request ----

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith(ABOUT):
            await self._describe(scope, send)
        elif path not in (PATH, PATH + "/"):
            await _refuse(scope, send, RaethError(Code.NOT_FOUND))
        elif scope["method"] != "POST":
            # Without sessions there is nothing to listen to and nothing to end: the protocol's word for that is 405.
            await _refuse(scope, send, RaethError(Code.NOT_FOUND, http=405), {"Allow": "POST"})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = await self._refusal(scope)
        if refused is not None:
            await _pass_on(refused, scope, send)
            return
        try:
            body = await self._body(scope, receive)
            fault = _not_a_request(body)
            if fault is not None:
                await _send(send, 400, [_JSON], fault)
                return
            handle = await self._ready()
            with self._counted(_header(scope, b"authorization")):
                await self._until_departure(handle(scope, _replay(body, receive), send))
        except RaethError as error:
            await _refuse(scope, send, error)

    async def _until_departure(self, answering: Coroutine[Any, Any, None]) -> None:
        """Let a call answer, unless the venue is going down and the call would outlast it: SERVICE_DEGRADED then."""
        try:
            async with asyncio.timeout(None) as deadline:
                self._deadlines.add(deadline)
                try:
                    await answering
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise RaethError(Code.SERVICE_DEGRADED, retry_after_ms=1000) from None

    async def _ready(self) -> Any:
        """What answers. Raises SERVICE_DEGRADED while that is still being loaded, or about to end."""
        try:
            async with asyncio.timeout(LOAD_WITHIN_S):
                await self._loaded.wait()
        except TimeoutError:
            raise RaethError(Code.SERVICE_DEGRADED, retry_after_ms=1000) from None
        if self._handle is None or self._departing:
            raise RaethError(Code.SERVICE_DEGRADED, retry_after_ms=1000)
        return self._handle

    async def _refusal(self, scope: Scope) -> httpx2.Response | None:
        """The venue's own refusal of this caller, if it has one. It counts as a read."""
        shown = _header(scope, b"authorization")
        is_key = shown[:15].lower() == b"bearer rk_live_"
        # Of a key the venue says here whether it is good; whatever else was shown, or nothing, opens no trading call.
        path = "/api/v1/meta/version" if is_key else "/api/v1/fills"
        headers = {"authorization": shown.decode("latin-1")} if shown else {}
        request = httpx2.Request("GET", HERE + path, headers=headers)
        response = await _AsCaller(self.venue, scope).handle_async_request(request)
        return None if is_key and response.status_code < 400 else response

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body. Raises BODY_TOO_LARGE, or BAD_REQUEST when it does not arrive in time."""
        announced = _header(scope, b"content-length")
        if announced.isdigit() and int(announced) > self._body_bytes:
            raise RaethError(Code.BODY_TOO_LARGE)
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_deadline_s):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise RaethError(Code.BAD_REQUEST)
                    body += message.get("body", b"")
                    if len(body) > self._body_bytes:
                        raise RaethError(Code.BODY_TOO_LARGE)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise RaethError(Code.BAD_REQUEST) from None

    def _counted(self, key: bytes) -> _Counted:
        """Count a call while it lasts. Raises RATE_LIMITED for one key's too many, SERVICE_DEGRADED for everybody's."""
        if self._calls.get(key, 0) >= CALLS_AT_ONCE_PER_KEY:
            raise RaethError(Code.RATE_LIMITED, "This key has too many tool calls under way.", retry_after_ms=1000)
        if sum(self._calls.values()) >= CALLS_AT_ONCE:
            raise RaethError(Code.SERVICE_DEGRADED, retry_after_ms=1000)
        return _Counted(self._calls, key)

    async def _describe(self, scope: Scope, send: Send) -> None:
        """RFC 9728: what protects `/mcp/`. Keys come from signing up; there is no authorization server to be named."""
        base = _base(scope)
        if scope["path"] not in (ABOUT, ABOUT + PATH, ABOUT + PATH + "/") or scope["method"] not in ("GET", "HEAD"):
            await _refuse(scope, send, RaethError(Code.NOT_FOUND))
            return
        about = {
            "resource": f"{base}{PATH}/",
            "resource_name": "raeth",
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["read", "trade", "cancel"],
            "resource_documentation": f"{base}/llms.txt",
        }
        await _send(send, 200, [_JSON], json.dumps(about).encode())


class _Counted:
    def __init__(self, calls: dict[bytes, int], key: bytes) -> None:
        self._calls, self._key = calls, key

    def __enter__(self) -> None:
        self._calls[self._key] = self._calls.get(self._key, 0) + 1

    def __exit__(self, *_: object) -> None:
        self._calls[self._key] -= 1
        if not self._calls[self._key]:
            del self._calls[self._key]


_SCHEMES: Final = ("http", "https")


def _has_port(host: str) -> bool:
    return host.rpartition("]")[2].count(":") == 1 if host.startswith("[") else host.count(":") == 1


def _header(scope: Scope, name: bytes) -> bytes:
    """The header, or nothing; of one that is there twice the first."""
    return next((value for given, value in scope["headers"] if given == name), b"")


def _base(scope: Scope) -> str:
    """The address the caller used, as far as it can be one."""
    host = _header(scope, b"host").decode("latin-1")
    sane = 0 < len(host) <= 255 and all(char.isalnum() or char in ".:-[]" for char in host) and host.isascii()
    return f"{scope.get('scheme', 'http')}://{host}" if sane else ""


def _not_a_request(body: bytes) -> bytes | None:
    """The protocol's error for a body that is no single JSON-RPC request or notification; None for one that is.

    Whatever else a client could send answers a question, and this server asks none.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return _rpc_error(-32700, "The body is not JSON.")
    well_formed = (
        isinstance(said, dict)
        and said.get("jsonrpc") == "2.0"
        and isinstance(said.get("method"), str)
        and type(said.get("id", 0)) in (int, str)
        and isinstance(said.get("params", {}), dict)
    )
    return None if well_formed else _rpc_error(-32600, "The body is not one JSON-RPC request or notification.")


def _rpc_error(code: int, message: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}).encode()


def _replay(body: bytes, receive: Receive) -> Any:
    """A `receive` that hands out a body already read."""
    told = False

    async def again() -> Any:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _refuse(scope: Scope, send: Send, error: RaethError, extra: Mapping[str, str] | None = None) -> None:
    """The flat body of every refusal of the venue."""
    told = {**error.headers(), **(extra or {})}
    headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    body = error.body(_header(scope, b"x-request-id").decode("latin-1"))
    await _send(send, error.http, [_JSON, *headers], json.dumps(body).encode())


async def _pass_on(response: httpx2.Response, scope: Scope, send: Send) -> None:
    """The venue's refusal as it is, and for a 401 where to read what is asked for."""
    headers = [_JSON]
    if "retry-after" in response.headers:
        headers.append((b"retry-after", response.headers["retry-after"].encode()))
    if response.status_code == 401:
        challenge = f'Bearer realm="raeth", resource_metadata="{_base(scope)}{ABOUT}{PATH}"'
        headers.append((b"www-authenticate", challenge.encode()))
    if response.status_code < 400:  # somebody opened a call here that was thought to be closed
        await _refuse(scope, send, RaethError(Code.AUTH_INVALID))
        return
    await _send(send, response.status_code, headers, await response.aread())
