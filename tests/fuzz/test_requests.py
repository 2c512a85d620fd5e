"""Targets, queries, headers and framings that nobody should send, at every call: a refusal, never a fault of the venue.

Calls are taken from the application, so that a new call is covered by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from raeth.api.access import Access
from raeth.api.routing import VenueRoute
from raeth.errors import Code
from tests.fuzz.rooms import Room, room
from tests.fuzz.wire import REQUEST_ID, Answer, judged

__all__ = ["room"]

ENDLESS = "open_event_stream"
"""An answer that does not end has a fuzzer of its own, in test_event_streams."""
OPEN_ENDED = (Access.PUBLIC, Access.OPTIONAL_AGENT)

ODD_NAMES: tuple[str | bytes, ...] = (
    *(
        "..",
        ".",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "..%5c..",
        "%00",
        "a%00b",
        "%0a",
        "%0d%0aX-Evil:%201",
        "%ff",
        "%c0%80",
    ),
    *(
        "%ed%a0%80",
        "%",
        "%z",
        "%zz",
        "%u0041",
        "%25",
        ";",
        "a;b",
        "*",
        "'",
        "%27%20OR%201=1",
        "%3Cscript%3E",
        "%7B%7D",
        "~",
    ),
    *(
        "-1",
        "0",
        "1",
        "9" * 400,
        "1e400",
        "NaN",
        "null",
        "true",
        "[]",
        "%20",
        "+",
        "%E2%80%AE",
        "%F0%9F%9A%80",
        "x" * 5_000,
    ),
    *(
        "0193b2c4-7d10-8000-8000-00000050000",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ),
    *("BTC-1M-99999999T9999Z", "BTC-1M-20260230T1031Z", "BTC-1M-", "btc-1m", b"\xff\xfe", "é".encode()),
)
"""Path variables as they are sent; none of them names anything."""

ODD_VALUES = (
    *(
        "",
        "%20",
        "-1",
        "0",
        "-0",
        "+1",
        "1.0",
        "1e2",
        "0x10",
        "1_0",
        "01",
        "%D9%A3",
        "%EF%BC%95",
        "251",
        "9" * 19,
        "9" * 400,
    ),
    *("NaN", "Infinity", "null", "true", "[]", "%7B%7D", "%00", "%0A", "%FF", "%ED%A0%80", "%", "%zz", "x" * 10_000),
    *("..%2f..", "OPEN,FILLED", "open", "%F0%9F%9A%80", "AAAA", "A" * 128, "=" * 20, "a%26b%3Dc"),
)

ODD_CREDENTIALS: tuple[bytes, ...] = (
    *(
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"Basic cmFldGg6cmFldGg=",
        b"Digest x",
        b"rk_live_x",
        b"Bearer rk_live_",
    ),
    *(
        b"Bearer rk_admin_",
        b"Bearer rs_",
        b"Bearer \xff\xfe",
        b"Bearer a b",
        b"Bearer null",
        b"bearer bearer rk_live_x",
    ),
    *(
        b"Bearer " + b"x" * 10_000,
        b"Bearer rk_live_" + b"A" * 60,
        b"Bearer rk_live_%00",
        b"Bearer 'OR'1'='1",
        b"Bearer \t",
    ),
)


def calls(room: Room) -> list[VenueRoute]:
    found = [route for route in room.routes if route.declared.name != ENDLESS]
    assert len(found) >= 60
    return found


def whole(answer: Answer, route: VenueRoute, shown: object) -> None:
    """A documented answer: what the call says in good times, or one of its refusals."""
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"]), shown
    if answer.status < 400:
        assert answer.status == route.declared.status_code, (shown, answer.status)
    elif answer.status >= 500:
        assert (route.declared.name, answer.status) == ("get_ready", 503), (shown, answer.status, answer.body[:300])
    else:
        judged(answer, route.errors, shown)


async def ask(room: Room, route: VenueRoute, target: str | bytes, *headers: tuple[str, Any]) -> Answer:
    body = b"{}" if route._plan.body_model is not None else None
    return await room.line.request(route.declared.method, target, headers or room.credential(route), body)


async def test_no_odd_name_in_a_path_reaches_anything(room: Room) -> None:
    before = room.holds()
    for route in calls(room):
        for variable in route._plan.path:
            for name in ODD_NAMES:
                at = route.declared.path.index("{" + variable + "}")
                rest = route.declared.path[at + len(variable) + 2 :]
                front = room.filled(route, route.declared.path[:at]).encode()
                back = room.filled(route, rest).encode()
                target = front + (name if isinstance(name, bytes) else name.encode()) + back
                answer = await room.line.raw_or_none(
                    b"%s %s HTTP/1.1\r\nhost: v\r\n" % (route.declared.method.encode(), target)
                    + b"".join(b"%s: %s\r\n" % (n.encode(), v.encode()) for n, v in room.credential(route))
                    + (b"content-length: 2\r\n\r\n{}" if route._plan.body_model is not None else b"\r\n")
                )
                assert answer is not None, (route.declared.name, target)
                if answer.headers["content-type"] != "application/json":  # no request at all: the server says so itself
                    assert answer.status == 400 and isinstance(name, bytes), (route.declared.name, target, answer)
                else:
                    judged(answer, [*Code], (route.declared.name, target))
    assert room.holds() == before
    print(room.line.sent, "requests")


async def test_no_query_is_a_fault(room: Room) -> None:
    before = room.holds()
    for route in calls(room):
        if route.declared.method != "GET":
            continue
        target = room.target(route)
        model = route._plan.query_model
        names = [*(model.model_fields if model is not None else ()), "agent_id", "nonsense", "limit[]", "%00", ""]
        queries = [
            f"{name}={value}" for name in names for value in (ODD_VALUES if model is not None else ODD_VALUES[::9])
        ]
        queries += [f"{name}=1&{name}=2" for name in names] + [f"{name}" for name in names]
        queries += ["&" * 70, "a=1&" * 70, "?", "=", "&", "#", "%", "a=%zz", ";" * 70, "x" * 10_000]
        for query in queries:
            whole(await ask(room, route, f"{target}?{query}"), route, (route.declared.name, query[:200]))
    assert room.holds() == before
    print(room.line.sent, "requests")


async def test_no_odd_credential_opens_anything(room: Room) -> None:
    before = room.holds()
    for route in calls(room):
        for credential in ODD_CREDENTIALS:
            shown = (route.declared.name, credential[:60])
            answer = await ask(room, route, room.target(route), ("authorization", credential))
            if route.access in OPEN_ENDED:
                whole(answer, route, shown)
            else:
                assert answer.status == 401 and answer.code in ("AUTH_MISSING", "AUTH_INVALID"), (*shown, answer)
        for cookie in (b"", b"session=", b"=", b";;;", b"\xff", b"a=b; " * 1_000, b"raeth_session=rs_x", b'x="\\'):
            answer = await ask(room, route, room.target(route), ("cookie", cookie))
            if route.access in OPEN_ENDED:
                whole(answer, route, (route.declared.name, cookie[:60]))
            else:
                assert answer.status == 401, (route.declared.name, cookie[:60], answer)
    assert room.holds() == before
    print(room.line.sent, "requests")


async def test_every_answer_has_an_id_and_no_header_of_the_callers(room: Room) -> None:
    odd = [
        b"",
        b" ",
        b"a" * 65,
        b"a" * 10_000,
        b"a b",
        b"\xff",
        b"a\tb",
        b"<x>",
        b"../..",
        b"%00",
        b'"',
        b"good-1_A",
        b"a" * 64,
    ]
    for route in calls(room):
        if route.declared.method != "GET":
            continue
        for given in odd:
            answer = await ask(room, route, room.target(route), *room.credential(route), ("x-request-id", given))
            kept = REQUEST_ID.fullmatch(given.decode("latin-1")) is not None
            assert (answer.headers["x-request-id"] == given.decode("latin-1")) == kept, (route.declared.name, given)
            whole(answer, route, (route.declared.name, given))
    for name in (
        "host",
        "x-forwarded-for",
        "forwarded",
        "accept",
        "range",
        "if-none-match",
        "expect",
        "origin",
        "te",
        "via",
    ):
        for value in (b"", b"x" * 10_000, b"\xff\xfe", b"bytes=0-0,1-1,-99999", b"127.0.0.1, ::1, nonsense", b"*"):
            for route in [route for route in calls(room) if route.declared.name in ("get_account", "list_markets")]:
                answer = await ask(room, route, room.target(route), *room.credential(route), (name, value))
                whole(answer, route, (route.declared.name, name, value[:40]))
    print(room.line.sent, "requests")


def _framings(head: bytes) -> list[tuple[str, bytes]]:
    """Requests whose length is a lie or a puzzle; `head` has everything but that, and ends with a line's end."""
    body = b'{"a":1}'
    return [
        ("chunked without end", head + b"transfer-encoding: chunked\r\n\r\n7\r\n" + body + b"\r\n"),
        ("a chunk cut off", head + b"transfer-encoding: chunked\r\n\r\nff\r\n" + body),
        ("a chunk of no size", head + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + body + b"\r\n0\r\n\r\n"),
        ("a negative chunk", head + b"transfer-encoding: chunked\r\n\r\n-7\r\n" + body + b"\r\n0\r\n\r\n"),
        ("an endless chunk", head + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n" + body),
        ("gzip as transfer", head + b"transfer-encoding: gzip, chunked\r\n\r\n7\r\n" + body + b"\r\n0\r\n\r\n"),
        ("unknown transfer", head + b"transfer-encoding: nonsense\r\n\r\n" + body),
        (
            "chunked and a length",
            head + b"content-length: 7\r\ntransfer-encoding: chunked\r\n\r\n7\r\n" + body + b"\r\n0\r\n\r\n",
        ),
        ("two lengths", head + b"content-length: 7\r\ncontent-length: 3\r\n\r\n" + body),
        ("a list of lengths", head + b"content-length: 7, 7\r\n\r\n" + body),
        ("too long a length", head + b"content-length: 70\r\n\r\n" + body),
        ("too short a length", head + b"content-length: 3\r\n\r\n" + body),
        ("a negative length", head + b"content-length: -7\r\n\r\n" + body),
        ("a length in words", head + b"content-length: seven\r\n\r\n" + body),
        ("a signed length", head + b"content-length: +7\r\n\r\n" + body),
        ("a huge length", head + b"content-length: " + b"9" * 30 + b"\r\n\r\n" + body),
        ("no length", head + b"\r\n" + body),
        ("a bare line feed", head.replace(b"\r\n", b"\n") + b"content-length: 7\n\n" + body),
        ("a space before the colon", head + b"content-length : 7\r\n\r\n" + body),
        ("a folded header", head + b"x-a: 1\r\n  2\r\ncontent-length: 7\r\n\r\n" + body),
        ("a NUL in a header", head + b"x-a: \x00\r\ncontent-length: 7\r\n\r\n" + body),
        ("a huge header", head + b"x-a: " + b"a" * 200_000 + b"\r\ncontent-length: 7\r\n\r\n" + body),
        ("many headers", head + b"x-a: 1\r\n" * 5_000 + b"content-length: 7\r\n\r\n" + body),
    ]


@pytest.mark.timeout(300)
async def test_no_lie_about_its_length_gets_a_body_in(room: Room) -> None:
    """Some of it is no HTTP: then the server refuses in its own words, with a 400, or hangs up."""
    before, answered = room.holds(), 0
    for route in room.with_body:
        head = f"{route.declared.method} {room.target(route)} HTTP/1.1\r\nhost: venue\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in room.credential(route))
        for name, request in _framings(head.encode()):
            if name == "no length" and route._read_body is not None and route._read_body._optional:
                continue  # no body is a good one there
            await room.line.hang_up()
            answer = await room.line.raw_or_none(request, then_end=True)
            if answer is None:
                continue
            answered += 1
            shown = (name, route.declared.name, answer.status, answer.body[:200])
            if answer.headers.get("content-type") == "application/json":
                judged(answer, route.errors, shown)
            else:
                assert answer.status == 400, shown
    assert answered > room.line.sent // 2
    assert room.holds() == before
    print(room.line.sent, "requests")


async def test_a_caller_who_leaves_in_the_middle_leaves_nothing(room: Room) -> None:
    """Cut at every byte: what was not sent whole was not sent."""
    before = room.holds()
    body = b'{"market_id":"%s","side":"BUY","type":"LIMIT","price":41,"qty":1}' % room.hall.desk.symbol.encode()
    head = f"POST /api/v1/orders HTTP/1.1\r\nhost: v\r\nauthorization: Bearer {room.trader.key}\r\n"
    request = head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body
    for end in range(1, len(request)):
        _, writer = await asyncio.open_connection("127.0.0.1", room.hall.port)
        writer.write(request[:end])
        await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    health = await room.line.request("GET", "/health")
    assert health.status == 200 and room.holds() == before
    answer = await room.line.raw(request)
    assert answer.status == 200 and b'"OPEN"' in answer.body
