"""One request and its answer on a connection: the server's own cycle, with a short way out.

An answer that is ready as a whole leaves in one write, from prepared bytes; a body that came in with its head is taken
without waiting. What streams, and what is not ours, goes through the server's ASGI messages, which check every header.

A request is run in a task of its own, unless the application says that it need not be: then it is run at once, where
its last byte was read, and may end with a promise, which whoever keeps it calls back for. No task, no future and no
turn of the event loop lie between. Must not know calls, credentials or the venue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from raeth.api.connection import BoundedHttp

EXCHANGE: Final = "raeth.exchange"
"""Where a request's scope has it, when it came through our own server."""

_ASIDE: Final = logging.getLogger("uvicorn.access")
"""Access is logged by the API, which knows who asked; the server's own log stays off."""


@coroutine
def _pause() -> Generator[None, None, None]:
    yield


class Dates:
    """The server's default headers as bytes: it makes a new list of them every second."""

    __slots__ = ("_lines", "_made_of")

    def __init__(self) -> None:
        self._made_of: list[tuple[bytes, bytes]] | None = None
        self._lines = b""

    def lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        if headers is not self._made_of:
            self._lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
            self._made_of = headers
        return self._lines


_dates: Final = Dates()


class Exchange(RequestResponseCycle):
    """What does not differ between requests is the class's; a request sets the rest."""

    logger = logging.getLogger("uvicorn.error")
    access_logger = _ASIDE
    access_log = False
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0
    at_once = False
    promised = False
    task: asyncio.Task[None] | None = None
    _news = False
    _reader: asyncio.Future[None] | None = None

    def __init__(self, connection: BoundedHttp, scope: dict[str, Any], keep_alive: bool, expects: bool) -> None:
        # The server's own constructor is not called: these are the fields that it sets.
        self.connection = connection
        self.scope = cast(Any, scope)
        self.transport = connection.transport
        self.flow = connection.flow
        self.default_headers = connection.server_state.default_headers
        self.on_response: Callable[..., None] = connection.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects
        self.body = bytearray()

    def begin(self, app: Any) -> None:
        """Run the application: in a task, or at once if it sets `at_once` when it is called, before it begins."""
        try:
            work = self._whole(app(self.scope, self.receive, self.send))
        except Exception as error:
            work = self._whole(self._break_off("exception in the application", error))
        if self.at_once:
            self._run(work)
        else:
            self._start(work)

    @property
    def message_event(self) -> Any:  # type: ignore[override]
        """The server's bell for whoever reads the request: this is one for one reader, and is seldom waited for."""
        return self

    def set(self) -> None:
        """The request went on, or its peer is gone."""
        self._news = True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def clear(self) -> None:
        self._news = False

    async def wait(self) -> None:
        while not self._news:
            self._reader = self.connection.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    async def as_task(self) -> None:
        """Go on in a task. Whoever runs at once comes here first before it waits for anything, and before it uses what
        has to know its task, as timeouts do."""
        if self.task is None:
            await _pause()

    def promise(self) -> None:
        """The answer will come later, from nobody's task: until `keep` the request is under way."""
        self.promised = True
        self.connection.tasks.add(cast(Any, self))

    def keep(self, rest: Coroutine[Any, Any, None] | None = None) -> None:
        """The answer has been sent, or `rest` sends it."""
        self.promised = False
        self.connection.tasks.discard(cast(Any, self))
        if rest is None:
            self.scope.pop(EXCHANGE)  # type: ignore[typeddict-item]
        else:
            self.task = None
            self._run(self._whole(rest))

    def cancel(self, msg: str | None = None) -> None:
        """For the server, which has waited long enough for the promise: it holds tasks and these in one set."""
        self.connection.loop.call_soon(self._give_up)

    def _give_up(self) -> None:
        if self.promised:
            self.keep(self._break_off("not answered in time", None))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Up to its end, or to where it asks for a task."""
        try:
            if work.send(None) is not None:
                work.throw(RuntimeError("who waits needs a task"))
        except StopIteration:
            return
        except Exception:
            self.logger.exception("an answer could not be broken off")
            self.transport.abort()
            return
        self._start(work)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.task = self.connection.loop.create_task(work)
        self.connection.tasks.add(task)

    async def _whole(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever is left unsaid is said here."""
        try:
            await work
            if not (self.response_complete or self.disconnected or self.promised):
                await self._break_off("answer missing or not complete", None)
        except BaseException as error:
            await self._break_off("exception in the application", error)
        finally:
            if not self.promised:
                self.scope.pop(EXCHANGE)  # type: ignore[typeddict-item]  # the hot path makes no cycles
            if self.task is not None:
                self.connection.tasks.discard(self.task)

    async def _break_off(self, why: str, error: BaseException | None) -> None:
        """Our bug, or an order to stop that came too late for an answer."""
        self.logger.error(why, exc_info=error)
        if self.response_started:
            self.transport.close()
        else:
            if self.flow.write_paused:
                await self.as_task()
            await self.send_500_response()

    def whole_body(self) -> bytes | None:
        """The body, if all of it is here, and nobody has begun to read it; None: it must be waited for."""
        if self.more_body or self.disconnected:
            return None
        return bytes(self.body)

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Send a whole answer; while `flow.write_paused`, wait for `flow.drain` first. `headers` are lines that end
        with CRLF, `content-length` among them, all of our own making: nothing here looks for a line break in a value.
        Does nothing once the peer is gone."""
        if self.disconnected:
            return
        assert not self.response_started, "one request, one answer"
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        if b"\r\nconnection: close\r\n" in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers += b"connection: close\r\n"
        head = (STATUS_LINE[status], _dates.lines(self.default_headers), headers, b"\r\n")
        self.transport.write(b"".join(head if self.scope["method"] == "HEAD" else (*head, body)))
        if self._reader is not None:
            self.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
