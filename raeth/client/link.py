"""One WebSocket to the venue, kept open: whatever ends a connection, another one follows after a back-off.

Notices silence (the venue beats every 5 s, so nothing for 12 s means that the connection is dead, whatever the machine
believes of it). Must not know channels or orders: frames in, frames out, and when a connection begins and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from functools import cache
from typing import Protocol

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from raeth.client.channels import Message, decode
from raeth.client.errors import ClientError, Disconnected, VenueError
from raeth.client.retry import Lost

SILENCE_S = 12.0
"""Nothing at all for this long: the connection is dead. Heartbeats come every 5 s (contract, section 11)."""

OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
PING_S = 10.0
"""The venue's frames prove one direction of the connection, answers to these pings the other."""

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0
REFUSED_PAUSE_S = 1.0
"""The least pause after the venue has shown this client out, for too many connections say."""

MAX_FRAME_IN = 16 * 1024 * 1024
"""Bytes. A snapshot of a full book by order is well below a megabyte; a larger frame ends the connection."""

MAX_FRAME_OUT = 16 * 1024
"""Bytes the venue takes in one frame (contract, section 12)."""

GOING_AWAY, SERVICE_RESTART, TRY_LATER = 1001, 1012, 1013
POLICY = 1008

_HOPELESS = {401: "AUTH_INVALID", 403: "FORBIDDEN", 404: "NOT_FOUND"}
_AUTH = frozenset({"AUTH_MISSING", "AUTH_INVALID", "AUTH_EXPIRED", "AUTH_REVOKED", "IP_NOT_ALLOWED"})
"""Errors after which trying again with the same key is no use."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

_random = random.SystemRandom()


class Owner(Protocol):
    """Whose connection it is. None of these may wait."""

    def opened(self) -> None:
        """A connection is there, and nothing was sent on it yet."""

    def heard(self, message: Message) -> None: ...

    def lost(self) -> None:
        """The connection is gone: there will be no answer to what was sent on it."""

    def failed(self, error: ClientError) -> None:
        """There will be no further connection."""


class Pauses:
    """Pauses between attempts: they double up to a ceiling, each drawn from the upper half of its span."""

    def __init__(self, first_s: float = FIRST_PAUSE_S, longest_s: float = LONGEST_PAUSE_S) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._span_s = first_s

    def next_s(self, least_s: float = 0.0) -> float:
        span_s = max(self._span_s, least_s)
        self._span_s = min(self._span_s * 2, self._longest_s)
        return span_s * (0.5 + 0.5 * _random.random()) if least_s == 0 else least_s + span_s * _random.random()

    def reset(self) -> None:
        self._span_s = self._first_s


class Link:
    """Run `run()` in a task. `url` is that of the socket (`ws://…/stream`); times are real seconds."""

    def __init__(
        self, url: str, headers: Mapping[str, str], owner: Owner, *, silence_s: float = SILENCE_S, pauses: Pauses
    ) -> None:
        self._url = url
        self._headers = dict(headers)
        self._owner = owner
        self._silence_s = silence_s
        self._pauses = pauses
        self._socket: ClientConnection | None = None
        self._open = asyncio.Event()
        self._told: VenueError | None = None
        self._refusal: VenueError | None = None
        self._failure: ClientError | None = None
        self.connects = 0
        """Connections so far."""
        self.why = "not connected yet"
        """What ended the last connection."""

    # ---- what others may ask of it ----

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    async def wait_open(self) -> None:
        """Until there is a connection. Raises what made the link give up."""
        await self._open.wait()
        if self._failure is not None:
            raise self._failure

    def refused(self, error: VenueError) -> None:
        """The venue does not want the present connection."""
        self._refusal = error
        self.drop(str(error))

    def settled(self) -> None:
        """The present connection works: the next pause is a short one again."""
        self._pauses.reset()

    async def send(self, frame: bytes) -> None:
        """Send one text frame as soon as there is a connection; at once, if there is one.

        Raises Lost, whose `sent` says whether the venue may have it, and what made the link give up."""
        assert len(frame) <= MAX_FRAME_OUT, "the venue would end the connection"
        await self.wait_open()
        socket = self._socket
        assert socket is not None, "open without a connection"
        try:
            await socket.send(frame, text=True)
        except ConnectionClosed as error:
            raise Lost(f"the connection ended: {error}", sent=True) from None

    def drop(self, why: str) -> None:
        """End the present connection at once; another one follows."""
        self.why = why
        if self._socket is not None:
            self._socket.transport.abort()

    # ---- running ----

    async def run(self) -> None:
        """Until cancelled, or until there is no point in another attempt (then the owner was told)."""
        try:
            while True:
                await self._session()
                least_s = 0.0
                if self._refusal is not None:
                    if self._refusal.code in _AUTH:
                        return self._give_up(self._refusal)
                    least_s = self._refusal.retry_after_s or REFUSED_PAUSE_S
                    self._refusal = None
                await asyncio.sleep(self._pauses.next_s(least_s))
        except ClientError as error:
            self._give_up(error)
        except asyncio.CancelledError:
            self._give_up(Disconnected("the stream was closed"))
            raise
        except Exception as error:  # a fault of ours or of the owner's: whoever waits for the stream must learn of it
            failure = ClientError(f"the stream broke: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._give_up(failure)

    def _give_up(self, error: ClientError) -> None:
        self._failure = error
        self._open.set()  # whoever waits for a connection learns that there will be none
        self._owner.failed(error)

    async def _session(self) -> None:
        """One connection, from its first attempt to its end. What ends it is in `why`."""
        try:
            socket = await connect(
                self._url,
                additional_headers=self._headers,
                user_agent_header="raeth-client/1",
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=PING_S,
                ping_timeout=self._silence_s,
                max_size=MAX_FRAME_IN,
                # A proxy of the environment cannot reach what listens on this machine only.
                proxy=None if any(f"//{host}" in self._url for host in _LOOPBACK) else True,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            self.why = f"the venue answered HTTP {status} to the handshake"
            if status in _HOPELESS:
                raise VenueError(_HOPELESS[status], status, self.why) from None
            return
        except InvalidURI as error:
            raise ClientError(str(error)) from None
        except (OSError, WebSocketException, TimeoutError) as error:
            self.why = f"{type(error).__name__}: {error}"
            return
        self._socket = socket
        self.connects += 1
        self.why = ""
        self._told = None
        try:
            self._owner.opened()
            self._open.set()
            await self._read(socket)
        except ConnectionClosed as error:
            self.why = self.why or f"the connection ended: {error}"
            if error.rcvd is not None and error.rcvd.code == POLICY:
                self._refusal = self._told or VenueError("FORBIDDEN", 0, self.why)
        except msgspec.MsgspecError as error:
            self.why = f"a frame that is no message: {error}"
        except TimeoutError:
            self.why = f"nothing heard for {self._silence_s:g} s"
        finally:
            self._open.clear()
            self._socket = None
            self._owner.lost()
            await _end(socket)

    async def _read(self, socket: ClientConnection) -> None:
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(self._silence_s) as limit:
            while True:
                message = decode(await socket.recv(decode=False))
                limit.reschedule(now() + self._silence_s)
                if message.type == "error" and message.request_id is None:
                    self._told = error_of(message)
                elif message.type == "resync_required":
                    self.why = f"the venue asks to start over: {message.reason}"
                self._owner.heard(message)


async def _end(socket: ClientConnection) -> None:
    """Close politely where there is still somebody, else at once; never wait longer than CLOSE_TIMEOUT_S."""
    if socket.transport.is_closing():
        return
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close()
    socket.transport.abort()


def error_of(message: Message) -> VenueError:
    """The exception an `error` message stands for; `http` is what the same refusal has over HTTP, 0 if it has none."""
    retry_after_s = None if message.retry_after_ms is None else message.retry_after_ms / 1000
    http = _http_status(message.code)
    return VenueError(message.code, http, message.message, message.request_id, message.details, retry_after_s)


@cache
def _http_status(code: str) -> int:
    from raeth.errors import CATALOGUE, Code

    return CATALOGUE[Code(code)].status or 0 if code in Code.__members__ else 0
