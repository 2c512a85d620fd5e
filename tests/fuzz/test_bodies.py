"""Bodies that nobody should send, at every call that takes one: a 4xx of the catalogue, and nothing has changed.

Calls and the shapes of their bodies are taken from the application, so that a new call is covered by itself.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from raeth.api.access import Budget
from raeth.api.routing import VenueRoute
from raeth.errors import Code
from tests.fuzz.rooms import Room, full, objects, put, room
from tests.fuzz.wire import judged

__all__ = ["room"]

DEEP = 10_000
BODY_BYTES = 65_536
MARK = "\u0001here\u0001"

NO_JSON = [
    *b"NaN -NaN Infinity -Infinity nan inf 0x10 0b1 010 00 +5 5. .5 1e 1e+ --1 1_000 - True None undefined 'a'".split(),
    *rb'"a "\x41" "\u12" "\ud800" "\udc00" "\udc00\ud800" "\ud800a" [1,] {"a":1,} {a:1} {"a" 1} [1}'.split(),
    *(b"", b"\x00", b"5\x00", b'"a\x00b"', b'"a\x1fb"', b'"a\nb"', b"5 5", b"5 // five", b"/* */ 5"),
    *(b'"\xff\xfe"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b"\xef\xbb\xbf5", b"\xa05"),
    *(digits.encode() for digits in ("\u0663", "\uff15", "\u22125")),
    b"1" + b"0" * 5_000 + b"e",
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
]
"""What stands for no value in JSON, or for one too deep to read."""

NEVER_INTEGER = (
    b'"5" "" "\xd9\xa3" true false [5] [] {} {"a":5} 5.0 50.0 -0.0 0.0 5.5 5e0 1e1 1E+2 1e400 -1e400 1e-400 '
    b"9007199254740993.0 1e309 0.1e1"
).split()
NEVER_TEXT = b'5 0 -1 5.0 1e400 true false [] ["a"] {} {"a":"b"}'.split()
NEVER_BOOLEAN = b'0 1 "true" "false" "" "yes" [] [true] {} 1.0'.split()
NEVER_ARRAY = b'{} "" "a" 5 true 1.5 {"0":1}'.split()
NEVER_OBJECT = b'[] [{}] "" "a" 5 true 1.5'.split()
NEVER = {
    "integer": NEVER_INTEGER,
    "string": NEVER_TEXT,
    "boolean": NEVER_BOOLEAN,
    "array": NEVER_ARRAY,
    "object": NEVER_OBJECT,
}

FAR = [str(value).encode() for value in (2**53, -(2**53), 2**63, -(2**63) - 1, 2**64, 10**30, -(10**400), 10**4_299)]
"""Integers that no field holds."""

ODD_TEXT = [
    b'"\\u0000"',
    b'"a\\u0000b"',
    b'"\\u202e\\u2066"',
    b'"\\ufeff"',
    b'" "',
    b'"\\n"',
    b'"a\\r\\nx-evil: 1"',
    b'"../../etc/passwd"',
    b'"\\uffff\\ufffe"',
    b'"%00"',
    b'"\' OR 1=1 --"',
    b'"{{7*7}}"',
    b'"' + "𒐫é".encode() * 100 + b'"',
    b'"' + b"a" * 60_000 + b'"',
    b'"\\ud83d\\ude80"',
]
"""Text that is JSON, yet strange."""

HASHING = (Budget.SIGNUP, Budget.LOGIN)
"""Calls that may hash a password, about a tenth of a second each."""

HOMOGLYPHS = dict(zip("aceiopsxy", "асеіорѕху", strict=True))


def encoded(body: Any, at: tuple[Any, ...], value: bytes) -> bytes:
    """The body's bytes with these in the place of one value."""
    if not at:
        return value
    text = json.dumps(put(body, at, MARK)).encode()
    assert text.count(json.dumps(MARK).encode()) == 1
    return text.replace(json.dumps(MARK).encode(), value)


def with_wrong_values(body: Any, leaves: list[tuple[tuple[Any, ...], str | None]], every: int) -> Iterator[bytes]:
    """A value of a wrong kind in every place; in those of any kind only what is no JSON. Of the latter each place gets
    one in `every`, the next place the next ones: they are refused before anybody looks where they are."""
    for number, (at, kind) in enumerate(leaves):
        for value in NO_JSON[number % every :: every]:
            if value or (at and at[-1] != 0):  # nothing is a body of its own, and makes an empty list
                yield encoded(body, at, value)
        for value in NEVER.get(str(kind), ()):
            yield encoded(body, at, value)


def with_wrong_names(body: Any) -> Iterator[bytes]:
    """Names that look like a field's, and a field twice of which the last is wrong: the last one counts."""
    for at, members in objects(body):
        for name in members:
            near = [name.upper(), name + " ", " " + name, name + "\u200b", name + "\0", "", "__proto__", name + "[]"]
            near += [name.replace(letter, twin, 1) for letter, twin in HOMOGLYPHS.items() if letter in name]
            for other in near:
                yield (
                    encoded(body, at, json.dumps({**members, other: members[name]}).encode())
                    if at
                    else json.dumps({**members, other: members[name]}).encode()
                )
            twice = json.dumps(members)[:-1] + f', "{name}": {{"a": [NaN]}}}}'
            yield encoded(body, at, twice.encode())


def whole(body: Any) -> Iterator[bytes]:
    """Bodies wrong as a whole; the text of the right one is in some of them."""
    text = json.dumps(body).encode()
    yield from b'[] null true false 0 -0 5 5.0 "" "a" [null] [[]] [{}] { } }{ {}{} NaN - " \xff \x00'.split()
    yield from (b" ", b"\n\n", b"\t", b"a=b&c=d", b"<a/>", b"--x\r\n", text[:-1], text[1:], text + b"x", text + text)
    yield from (text + b"\x00", b"\x00" + text, b"\xef\xbb\xbf" + text, text + b"]", b"[" + text + b"]", text + b",")
    yield from (json.dumps(body).encode(codec) for codec in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"))
    yield gzip.compress(text)
    yield json.dumps(json.dumps(body)).encode()
    yield text.replace(b'"', b"'")
    yield text.replace(b"{", b'{"__class__": 1, ', 1)
    yield b"{" + b"," * 1_000 + b"}"
    yield b" " * BODY_BYTES
    yield b"[" * BODY_BYTES


async def refused(room: Room, route: VenueRoute, body: bytes, headers: list[tuple[str, str]] | None = None) -> str:
    """The code with which a call refuses a body."""
    kind = [("content-type", "application/json")] if headers is None else headers
    answer = await room.line.request(route.declared.method, room.target(route), [*room.credential(route), *kind], body)
    return judged(answer, route.errors, (route.declared.name, body[:200]))


def shapes(room: Room) -> Iterator[tuple[VenueRoute, Any, list[tuple[tuple[Any, ...], str | None]]]]:
    for route in room.with_body:
        model = route._plan.body_model
        assert model is not None
        body, leaves = full(model)
        assert isinstance(body, dict) and leaves[0] == ((), "object")
        yield route, body, leaves


@pytest.mark.timeout(300)
async def test_a_value_of_the_wrong_kind_is_a_400_in_every_place(room: Room, request: pytest.FixtureRequest) -> None:
    every = 1 if request.config.getoption("--long") else 4
    before = room.holds()
    for route, body, leaves in shapes(room):
        for wrong in with_wrong_values(body, leaves, every):
            assert await refused(room, route, wrong) == "BAD_REQUEST", (route.declared.name, wrong[:300])
        assert room.holds() == before, route.declared.name
    print(room.line.sent, "requests")


@pytest.mark.timeout(300)
async def test_a_name_that_only_looks_right_is_a_400(room: Room) -> None:
    before = room.holds()
    for route, body, _ in shapes(room):
        for wrong in with_wrong_names(body):
            assert await refused(room, route, wrong) == "BAD_REQUEST", (route.declared.name, wrong[:300])
        assert room.holds() == before, route.declared.name
    print(room.line.sent, "requests")


@pytest.mark.timeout(300)
async def test_a_body_wrong_as_a_whole_is_a_400(room: Room) -> None:
    before = room.holds()
    for route, body, _ in shapes(room):
        for wrong in whole(body):
            assert await refused(room, route, wrong) == "BAD_REQUEST", (route.declared.name, wrong[:300])
        if not (route._read_body is not None and route._read_body._optional):
            assert await refused(room, route, b"") == "BAD_REQUEST"
        for size in (BODY_BYTES + 1, 3 * BODY_BYTES):
            assert await refused(room, route, b" " * size) == "BODY_TOO_LARGE"
        assert room.holds() == before, route.declared.name
    print(room.line.sent, "requests")


async def test_no_content_type_or_encoding_makes_nonsense_readable(room: Room) -> None:
    kinds: list[list[tuple[str, str]]] = [
        [],
        [("content-type", "")],
        [("content-type", "text/plain")],
        [("content-type", "application/xml")],
        [("content-type", "application/x-www-form-urlencoded")],
        [("content-type", "multipart/form-data; boundary=x")],
        [("content-type", "application/json; charset=utf-16")],
        [("content-type", "application/json"), ("content-type", "text/html")],
        [("content-type", "application/json"), ("content-encoding", "gzip")],
        [("content-type", "application/json"), ("content-encoding", "br, gzip, deflate")],
        [("content-type", "x" * 8_000)],
    ]
    before = room.holds()
    for route, body, _ in shapes(room):
        text = json.dumps(body).encode()
        for kind in kinds:
            for wrong in (
                gzip.compress(text),
                json.dumps(body).encode("utf-16"),
                b"a=b&c=d",
                b'--x\r\n\r\n{"a":1}\r\n',
            ):
                assert await refused(room, route, wrong, kind) == "BAD_REQUEST", (route.declared.name, kind)
        assert room.holds() == before, route.declared.name
    print(room.line.sent, "requests")


async def test_integers_that_no_field_holds_are_refused(room: Room) -> None:
    before = room.holds()
    for route, body, leaves in shapes(room):
        for at, kind in leaves:
            for value in FAR if kind == "integer" else ():
                assert await refused(room, route, encoded(body, at, value)) in (
                    "BAD_REQUEST",
                    "VALIDATION_FAILED",
                    "INVALID_LEVERAGE",
                )
        assert room.holds() == before, route.declared.name
    print(room.line.sent, "requests")


@pytest.mark.timeout(300)
async def test_strange_text_is_refused_or_taken_as_it_is_and_never_a_fault(room: Room) -> None:
    """Reasons and messages are free text, so this may change the venue; its invariants are looked at in the end."""
    for route, body, leaves in shapes(room):
        for at, kind in leaves:
            odd = ODD_TEXT[::5] if route.budget in HASHING else ODD_TEXT
            for value in (*odd, *(FAR + NEVER_INTEGER if kind is None else ())):
                if kind not in ("string", None):
                    continue
                for text in (encoded(body, at, value), json.dumps({at[-1]: 0}).encode().replace(b"0", value)):
                    answer = await room.line.request(
                        route.declared.method, room.target(route), room.credential(route), text
                    )
                    if answer.status >= 500:
                        assert answer.code == Code.EXCHANGE_FROZEN.value, (route.declared.name, text[:200], answer.body)
                    elif answer.status >= 400:
                        judged(answer, route.errors, (route.declared.name, text[:200]))
    print(room.line.sent, "requests")
