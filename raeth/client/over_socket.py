"""Order entry over a stream, in the place of the requests it stands for.

So retries, replays, doubts and errors are those of the client, whichever way an order goes. Must not know connections
or channels.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final, Protocol

import msgspec

from raeth.client.calls import Call
from raeth.client.channels import Message
from raeth.client.entry import OrderEntry
from raeth.client.errors import ClientError, VenueError
from raeth.client.link import MAX_FRAME_OUT
from raeth.client.retry import Lost
from raeth.client.transport import Answer, Request, Transport

IN_FLIGHT: Final = 512
"""Requests that may wait for their answers at once; further ones wait for their turn."""

ENVELOPE: Final = 256
"""Bytes of a frame that are not its `params`, at most."""

_PLAIN: Final = {
    ("POST", "/orders"): "submit_order",
    ("PUT", "/quotes"): "put_quotes",
    ("POST", "/orders/cancel"): "cancel_all",
}


class Exchange(Protocol):
    """One request on the present connection, or the next one, and its reply. Raises VenueError or Lost."""

    def __call__(self, op: str, within_s: float, *, params: dict[str, Any]) -> Awaitable[Message]: ...


class SocketTransport(Transport):
    """Takes requests; those without a message of their own, or too large for one, go over HTTP."""

    def __init__(self, exchange: Exchange, http: Transport) -> None:
        # Not super().__init__(): it would open a pool of connections; there are the stream's and that of `http`.
        self._exchange = exchange
        self._over_http = http
        self.url = http.url
        self.timeout_s = http.timeout_s
        self._turns = asyncio.Semaphore(IN_FLIGHT)

    async def aclose(self) -> None:
        """Nothing of its own is open."""

    async def attempt(self, request: Request, timeout_s: float) -> Answer:
        """Send once. Raises VenueError or Lost; a whole attempt takes `timeout_s` real seconds at most."""
        message = as_message(request)
        if message is None or len(msgspec.json.encode(message[1])) > MAX_FRAME_OUT - ENVELOPE:
            return await self._over_http.attempt(request, timeout_s)
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Lost(f"{IN_FLIGHT} requests are still without an answer", sent=False) from None
        op, params = message
        try:
            reply = await self._exchange(op, timeout_s - (time.monotonic() - began), params=params)
        except (VenueError, Lost):
            raise
        except ClientError:  # the stream has ended, and what was sent over it before is still to be found out
            return await self._over_http.attempt(request, timeout_s)
        finally:
            self._turns.release()
        return Answer(200, {}, msgspec.json.encode(reply.data))


class SocketOrderEntry(OrderEntry):
    """Order entry that begins nothing new once its stream has ended, but still finds out what became of the rest."""

    def check_stream(self) -> None:
        """Raises what ended the stream."""
        raise NotImplementedError

    def _call(self, request: Request, patience_s: float | None = None) -> Call:
        # Reads, and calls with a patience of their own, serve to find out what became of an earlier request.
        if patience_s is None and request.method != "GET":
            self.check_stream()
        return super()._call(request, patience_s)


def as_message(request: Request) -> tuple[str, dict[str, Any]] | None:
    """The `op` and `params` that a request is over the socket, None if it is none."""
    method, path, body, _params = request
    op = _PLAIN.get((method, path))
    if op is not None:
        return None if "order_ids" in body else (op, body)  # the socket takes no lists of orders
    parent, _, order_id = path.rpartition("/")
    if parent != "/orders":
        return None
    if method == "DELETE":
        return "cancel_order", {"order_id": order_id}
    if method == "PATCH":
        return "amend_order", {"order_id": order_id, **body}
    return None
