"""The HTTP door: who gets in, and what is refused before a tool is reached."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from raeth.engine import commands as cmd
from raeth.engine.types import KeySpec
from raeth.errors import CATALOGUE, Code
from raeth.mcp import http as door_module
from tests.api.harness import LIMITS, PEPPER, opened_desk
from tests.cases import case
from tests.mcp.conftest import opened_door
from tests.mcp.model import HOST, Door


def flat(response: httpx2.Response, status: int, code: Code) -> dict[str, Any]:
    """The venue's flat error body."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert set(body) - {"details"} == {"code", "message", "request_id"}
    assert body["code"] == code
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def test_a_key_opens_the_door_and_the_answer_is_one_of_the_venue(door: Door) -> None:
    trader = await door.desk.trader("opener")
    answer = await door.post(key=trader.key, **{"X-Request-ID": "my-own-name"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "my-own-name"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "mcp-session-id" not in answer.headers
    assert len(answer.json()["result"]["tools"]) == 13


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_with_or_without_the_slash(door: Door, path: str) -> None:
    trader = await door.desk.trader("slash")
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"Authorization": f"Bearer {trader.key}", "Accept": "application/json, text/event-stream"}
    answer = await door.http.post(path, json=body, headers=headers)
    assert (answer.status_code, answer.json()["id"]) == (200, 1)


async def test_no_key_is_told_where_to_read(door: Door) -> None:
    answer = await door.post()
    flat(answer, 401, Code.AUTH_MISSING)
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    (where,) = [part.split('"')[1] for part in challenge.split(", ") if part.startswith("resource_metadata=")]
    about = (await door.http.get(where)).json()
    assert about["resource"] == f"http://{HOST}/mcp/"
    assert about["bearer_methods_supported"] == ["header"]
    assert (await door.http.get(about["resource_documentation"])).status_code == 200


WRONG_KEYS: list[tuple[str, int, Code]] = [
    ("Bearer rk_live_0000000000000000_" + "0" * 64, 401, Code.AUTH_INVALID),
    ("Bearer rk_live_", 401, Code.AUTH_INVALID),
    ("Basic dXNlcjpwYXNz", 401, Code.AUTH_INVALID),
    ("Bearer", 401, Code.AUTH_INVALID),
    ("Bearer rs_nonsense", 401, Code.AUTH_INVALID),
    ("Bearer rk_admin_" + "a" * 32, 403, Code.FORBIDDEN),
    ("Bearer rk_live_" + "x" * 4000, 401, Code.AUTH_INVALID),
]


async def test_a_wrong_key_gets_the_venues_own_refusal(door: Door) -> None:
    for shown, status, code in WRONG_KEYS:
        with case(shown, status, code):
            answer = await door.post(Authorization=shown)
            flat(answer, status, code)
            assert ("www-authenticate" in answer.headers) == (status == 401)
            assert shown.split(" ")[-1] not in answer.text or shown == "Bearer"


async def test_a_revoked_key_is_out_at_once(door: Door) -> None:
    trader = await door.desk.trader("leaver")
    assert (await door.post(key=trader.key)).status_code == 200
    key_id = trader.key.split("_")[2]
    await door.desk.submit(cmd.RevokeKey(trader.account, trader.agent, key_id))
    flat(await door.post(key=trader.key), 401, Code.AUTH_REVOKED)


async def test_a_key_is_held_to_its_addresses(door: Door) -> None:
    from raeth.api.credentials import new_key

    trader = await door.desk.trader("elsewhere")
    for allowed, status in (("127.0.0.0/8", 200), ("198.51.100.0/24", 403)):
        key = new_key(PEPPER)
        spec = KeySpec(key.key_id, key.digest, "k", ("read",), None, (allowed,))
        await door.desk.submit(cmd.IssueKey(trader.account, trader.agent, spec))
        answer = await door.post(key=key.text)
        assert answer.status_code == status, answer.text
    flat(answer, 403, Code.IP_NOT_ALLOWED)


async def test_forwarded_addresses_count_for_tools_as_they_do_for_requests(door: Door) -> None:
    from raeth.api.credentials import new_key

    venue = door.desk.venue
    venue.settings = venue.settings.model_copy(update={"trusted_proxies": ["127.0.0.1/32"]})
    venue.door.__init__(venue, PEPPER, "rk_admin_x")  # type: ignore[misc]
    trader = await door.desk.trader("proxied")
    key = new_key(PEPPER)
    spec = KeySpec(key.key_id, key.digest, "k", ("read",), None, ("198.51.100.0/24",))
    await door.desk.submit(cmd.IssueKey(trader.account, trader.agent, spec))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_portfolio", "arguments": {}}}
    inside = await door.post(call, key.text, **{"X-Forwarded-For": "198.51.100.7"})
    assert inside.json()["result"]["isError"] is False
    flat(await door.post(call, key.text, **{"X-Forwarded-For": "203.0.113.1"}), 403, Code.IP_NOT_ALLOWED)


OTHER_METHODS: list[str] = ["GET", "DELETE", "PUT", "PATCH"]


async def test_there_are_no_sessions_to_listen_to_or_to_end(door: Door) -> None:
    for method in OTHER_METHODS:
        with case(method):
            answer = await door.http.request(method, "/mcp/", headers={"Accept": "text/event-stream"})
            assert answer.status_code == 405
            assert answer.headers["allow"] == "POST"


BELOW: list[str] = ["/mcp/sse", "/mcp/../mcp/x", "/mcp//", "/.well-known/oauth-protected-resource/x"]


async def test_nothing_else_is_below_it(door: Door) -> None:
    for path in BELOW:
        with case(path):
            flat(await door.http.post(path, json={}), 404, Code.NOT_FOUND)


async def test_what_only_begins_like_it_is_not_it(door: Door) -> None:
    flat(await door.http.get("/mcpx"), 404, Code.NOT_FOUND)


async def test_a_body_is_bounded_announced_or_not(door: Door) -> None:
    trader = await door.desk.trader("large")
    large = b" " * 65_537
    flat(await door.post(large, trader.key), 413, Code.BODY_TOO_LARGE)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 8_192

    headers = {"Authorization": f"Bearer {trader.key}", "Content-Type": "application/json"}
    flat(await door.http.post("/mcp/", content=pieces(), headers=headers), 413, Code.BODY_TOO_LARGE)


async def test_a_body_must_arrive_in_time(door: Door) -> None:
    trader = await door.desk.trader("slow")
    never = asyncio.Event()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await never.wait()
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", HOST.encode()), (b"authorization", f"Bearer {trader.key}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/mcp/", "headers": headers, "query_string": b""}
    scope |= {"client": ("127.0.0.1", 1), "scheme": "http", "raw_path": b"/mcp/", "http_version": "1.1"}
    async with asyncio.timeout(5):
        await door.mounted.venue(scope, receive, send)
    assert sent[0]["status"] == 400


PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"'


NONSENSE: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"jsonrpc": "2.0"}',
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"id": NaN}',
    b"[" + PING + b"}]",
    PING + b', "params": 5}',
    b'{"jsonrpc": "2.0", "id": {"a": 1}, "method": "ping"}',
    b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}',
    b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}',
    b'{"jsonrpc": "2.0", "id": 1, "result": {}}',
]


async def test_nonsense_is_refused_without_internals(door: Door) -> None:
    trader = await door.desk.trader("nonsense")
    for body in NONSENSE:
        with case(body):
            answer = await door.post(body, trader.key)
            assert answer.status_code == 400, answer.text
            assert set(answer.json()["error"]) == {"code", "message"}
            harmless(answer.text)


SENSELESS: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", {}),
    ("tools/call", {"name": 5}),
    ("tools/call", {"name": "get_book", "arguments": [1]}),
    ("tools/call", {"name": "get_book", "arguments": "secret words"}),
    ("secret words", {}),
    ("resources/read", {"uri": "secret words"}),
    ("prompts/get", {"name": "secret words"}),
    ("initialize", {"protocolVersion": {}}),
]


async def test_requests_that_make_no_sense_are_refused_without_internals(door: Door) -> None:
    trader = await door.desk.trader("nonsense")
    for method, params in SENSELESS:
        with case(method, params):
            answer = await door.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, trader.key)
            assert answer.status_code < 500
            assert "error" in answer.json(), answer.text
            harmless(answer.text)


def harmless(text: str) -> None:
    for inside in ("Traceback", ".py", "pydantic", "raeth.", "input_value", "Error executing"):
        assert inside not in text, text


NAMES: list[tuple[str, str | None, int]] = [
    (HOST, None, 200),
    ("localhost:8000", None, 200),
    ("[::1]:8000", None, 200),
    ("arena.example", "https://arena.example", 200),
    ("named.example:8443", None, 200),
    ("named.example:1", None, 421),
    ("evil.example", None, 421),
    ("127.0.0.1.evil.example", None, 421),
    (HOST, "http://evil.example", 403),
    (HOST, "http://localhost:3000", 200),
    (HOST, "null", 403),
]


async def test_only_the_venues_own_names_are_answered(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk, opened_door(desk, ("arena.example", "named.example:8443")) as door:
        trader = await desk.trader("named")
        for host, origin, status in NAMES:
            with case(host, origin):
                headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
                assert (await door.post(key=trader.key, **headers)).status_code == status


async def test_tools_draw_on_the_agents_own_budgets(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"reads_per_minute": 12})
    async with opened_desk(tmp_path, limits=limits) as desk, opened_door(desk) as door:
        trader = await desk.trader("greedy")
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_book", "arguments": {}}}
        answers = [await door.post(call, trader.key) for _ in range(5)]
        # Each call shows the key once and reads twice; the fifth is over, and over REST the agent is as well.
        assert [answer.status_code for answer in answers[:4]] == [200] * 4
        assert all(not answer.json()["result"]["isError"] for answer in answers[:4])
        body = flat(answers[4], 429, Code.RATE_LIMITED)
        assert int(answers[4].headers["retry-after"]) >= 1
        assert body["message"] == CATALOGUE[Code.RATE_LIMITED].message
        await trader.refused("RATE_LIMITED", 429, "GET", "/account")


async def test_a_budget_that_ends_within_a_tool_is_a_tool_error(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"reads_per_minute": 2})
    async with opened_desk(tmp_path, limits=limits) as desk, opened_door(desk) as door:
        trader = await desk.trader("greedy")
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_book", "arguments": {}}}
        result = (await door.post(call, trader.key)).json()["result"]
        assert result["isError"] is True
        assert result["structuredContent"]["code"] == "RATE_LIMITED"
        assert result["structuredContent"]["retry_after_s"] >= 1


async def test_one_key_cannot_hold_the_door_with_waiting_calls(door: Door) -> None:
    trader, other = await door.desk.trader("waiter"), await door.desk.trader("passer")
    wait = {"name": "wait_for", "arguments": {"event": "settlement", "timeout_s": 3}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": wait}
    waiting = [asyncio.create_task(door.post(call, trader.key)) for _ in range(door_module.CALLS_AT_ONCE_PER_KEY)]
    async with asyncio.timeout(10):
        while sum(door.mounted._calls.values()) < len(waiting):
            await asyncio.sleep(0.01)
    flat(await door.post(key=trader.key), 429, Code.RATE_LIMITED)
    assert (await door.post(key=other.key)).status_code == 200
    answers = await asyncio.gather(*waiting)
    assert all(answer.json()["result"]["structuredContent"]["happened"] is False for answer in answers)
    assert door.mounted._calls == {}
    assert (await door.post(key=trader.key)).status_code == 200


async def test_before_it_is_loaded_and_after_it_ended_it_says_so(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        trader = await desk.trader("early")
        async with opened_door(desk) as door:
            assert (await door.post(key=trader.key)).status_code == 200
            mounted = door.mounted
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(mounted.venue), base_url=f"http://{HOST}"
        ) as client:
            again = Door(desk, client, mounted)
            flat(await again.post(key=trader.key), 503, Code.SERVICE_DEGRADED)
