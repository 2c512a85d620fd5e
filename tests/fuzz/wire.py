"""Requests as bytes over a socket of their own, for what no HTTP client would send, and the answers taken apart."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from raeth.errors import CATALOGUE, Code

ANSWER_WITHIN_S: Final = 20.0
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a flat error body, which this must be."""
        shown = (self.status, self.headers, self.body[:500])
        assert self.headers["content-type"] == "application/json", shown
        said = json.loads(self.body)
        assert {"code", "message", "request_id"} <= set(said) <= {"code", "message", "request_id", "details"}, shown
        assert str(self.status) in CATALOGUE[Code(said["code"])].http, shown
        assert said["request_id"] == self.headers["x-request-id"], shown
        if said["code"] == "VALIDATION_FAILED":
            assert all(set(fault) == {"field", "message", "type"} for fault in said["details"]), shown
        return said["code"]


class Line:
    """One connection that is kept while the venue keeps it, and opened again when it does not."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.sent = 0

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    async def hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def request(
        self,
        method: str,
        target: str | bytes,
        headers: Iterable[tuple[str, str | bytes]] = (),
        body: bytes | None = None,
    ) -> Answer:
        """One exchange; `body` gets its Content-Length."""
        lines = [b"%s %s HTTP/1.1" % (method.encode(), _bytes(target)), b"host: venue"]
        lines += [b"%s: %s" % (name.encode(), _bytes(value)) for name, value in headers]
        if body is not None:
            lines.append(b"content-length: %d" % len(body))
        return await self.raw(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))

    async def raw(self, data: bytes, *, then_end: bool = False) -> Answer:
        """What is answered to these bytes. With `then_end` nothing more will be sent."""
        answer = await self.raw_or_none(data, then_end=then_end)
        assert answer is not None, f"no answer to {data[:300]!r}"
        return answer

    async def raw_or_none(self, data: bytes, *, then_end: bool = False) -> Answer | None:
        """Like `raw`; None when the venue hangs up without a word."""
        self.sent += 1
        async with asyncio.timeout(ANSWER_WITHIN_S):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
            reader, writer = self._streams
            try:
                writer.write(data)
                if then_end:
                    writer.write_eof()
                answer = await _read(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                answer = None
        if answer is None or then_end or answer.headers.get("connection") == "close" or reader.at_eof():
            await self.hang_up()
        return answer


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in filter(None, head[1:]):
        name, _, value = line.partition(":")
        assert TOKEN.fullmatch(name.encode()), line
        headers[name.lower()] = value.strip()
    status = int(head[0].split(" ")[1])
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read() if headers.get("connection") == "close" else b""
    return Answer(status, headers, body)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def judged(answer: Answer, documented: Iterable[Code], shown: object) -> str:
    """The code of a refusal that this call may give: in the flat body, of the catalogue, and no fault of the venue."""
    assert 400 <= answer.status < 500, (shown, answer.status, answer.body[:500])
    code = answer.code
    assert Code(code) in {*documented, Code.NOT_FOUND}, (shown, code)
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"]), shown
    return code


def told(answer: Answer) -> Any:
    return json.loads(answer.body)
