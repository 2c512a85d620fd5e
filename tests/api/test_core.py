"""What holds for every call: who may make it, how input is judged, what every answer carries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from raeth.api.access import Access, Budget
from raeth.api.app import bind, create_app
from raeth.api.budgets import MAX_METERS, Kind, bucket
from raeth.api.envelope import request_id
from raeth.api.parsing import Deadline, QueryReader
from raeth.api.routing import VenueRoute
from raeth.api.schemas.queries import OrdersQuery
from raeth.engine import commands as cmd
from raeth.errors import CATALOGUE, Code, RaethError
from raeth.sequencer import MAX_QUEUE
from raeth.store.queries import Store
from raeth.store.reader import sqlite_url
from tests.api.harness import ADMIN, LIMITS, Desk, Trader, opened_desk

UUID = "0193b2c4-7d10-8000-8000-000000200001"


def concrete(route: VenueRoute) -> str:
    return route.path_format.format(**dict.fromkeys(route.param_convertors, UUID))


async def ask(desk: Desk, route: VenueRoute, credential: str | None) -> tuple[int, str | None]:
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    response = await desk.http.request(route.declared.method, concrete(route), headers=headers)
    is_json = response.headers["content-type"] == "application/json"
    body = response.json() if is_json else {}
    return response.status_code, body.get("code") if isinstance(body, dict) else None


async def owner_token(desk: Desk, name: str = "owner-1") -> str:
    account = {"email": f"{name}@example.org", "password": "correct horse"}
    await desk.http.post("/api/v1/auth/signup", json={**account, "agent_name": name})
    answer = (await desk.http.post("/api/v1/auth/login", json=account)).json()
    desk.http.cookies.clear()
    return answer["session_token"]


DENIED = {"AUTH_MISSING", "AUTH_INVALID", "FORBIDDEN", "SCOPE_REQUIRED", "AGENT_SUSPENDED"}


async def test_every_route_lets_in_exactly_its_access_class(desk: Desk) -> None:
    trader = await desk.trader("alice")
    reader = await desk.with_key(trader, ("read",))
    canceller = await desk.with_key(trader, ("cancel",))
    owner = await owner_token(desk)
    shown = {"none": None, "all": trader.key, "read": reader.key, "cancel": canceller.key, "owner": owner, "op": ADMIN}
    agent = {"all", "read", "cancel"}
    everybody = {"none", *agent, "owner", "op"}
    allowed = {
        Access.PUBLIC: everybody,
        Access.OPTIONAL_AGENT: everybody - {"op"},
        Access.AGENT_READ: {"all", "read"},
        Access.AGENT_TRADE: {"all"},
        Access.AGENT_CANCEL: {"all", "cancel"},
        Access.AGENT_ANY: agent,
        Access.AGENT_OR_OWNER: {"all", "read", "owner"},
        Access.OWNER: {"owner"},
        Access.OPERATOR: {"op"},
    }
    walked = set()
    routes = bind(desk.venue)
    for route in sorted(routes, key=lambda r: r.declared.name == "end_session"):
        walked.add(route.access)
        for who, credential in shown.items():
            status, code = await ask(desk, route, credential)
            let_in = code not in DENIED
            assert let_in == (who in allowed[route.access]), (route.declared.name, who, status, code)
            if not let_in:
                assert who != "none" or code == "AUTH_MISSING"
                if who in agent and route.access in (Access.OWNER, Access.OPERATOR):
                    assert (status, code) == (403, "FORBIDDEN")
    assert len(routes) >= 50 and walked >= {Access.OWNER, Access.OPERATOR, Access.AGENT_TRADE, Access.PUBLIC}


async def test_everything_that_changes_the_venue_needs_a_credential(desk: Desk) -> None:
    open_writes = {
        route.declared.name
        for route in bind(desk.venue)
        if route.declared.method != "GET" and route.access in (Access.PUBLIC, Access.OPTIONAL_AGENT)
    }
    assert open_writes == {"create_account", "create_account_for_model", "create_session"}
    for route in bind(desk.venue):
        assert route.budget is not Budget.NONE or not route.path.startswith("/api")


@pytest.mark.parametrize(
    "credential", ["rk_live_x", "rk_live_0123456789abcdef_00", "rk_admin_x", "rs_x", "nonsense", "é"]
)
async def test_a_wrong_credential_opens_nothing(desk: Desk, credential: str) -> None:
    for route in bind(desk.venue):
        if route.access is Access.PUBLIC:
            continue
        headers = {"Authorization": f"Bearer {credential}".encode()}
        response = await desk.http.request(route.declared.method, concrete(route), headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, "AUTH_INVALID"), route.declared.name
        assert response.headers["www-authenticate"] == "Bearer"


# ---- order of judgement, and bodies ----


@pytest.fixture
async def alice(desk: Desk) -> Trader:
    return await desk.trader("alice")


BAD_BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b'"x"', 400),
    (b"null", 400),
    (b"qty=5&side=BUY", 400),
    (b"--x\r\nContent-Disposition: form-data; name=qty\r\n\r\n5\r\n--x--", 400),
    (b"\xff\xfe{}", 400),
    (b"\xef\xbb\xbf{}", 400),
    (b'{"qty": NaN}', 400),
    (b'{"qty": Infinity}', 400),
    (b'{"qty": 1' + b"0" * 400 + b"}", 400),
    (b'{"leverage": ' + b"[" * 30_000 + b"}", 400),
    (b'{"a":' * 10_000, 400),
    (b'{"side": "\\ud800"}', 400),
    (b'{"\\u0000": 1}', 400),
]


@pytest.mark.parametrize("raw,status", BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_what_cannot_be_read_is_a_400_and_changes_nothing(
    desk: Desk, alice: Trader, raw: bytes, status: int
) -> None:
    before = desk.sequencer.state.seq
    for path in ("/orders", "/orders/batch", "/orders/preview", "/orders/cancel"):
        if path == "/orders/cancel" and not raw:
            continue
        body = await alice.refused("BAD_REQUEST", status, "POST", path, content=raw)
        assert all(set(fault) == {"field", "message", "type"} for fault in body["details"])
    assert desk.sequencer.state.seq == before


def order(desk: Desk, **fields: Any) -> dict[str, Any]:
    whole = {"market_id": desk.symbol, "side": "BUY", "type": "LIMIT", "price": 50, "qty": 1} | fields
    return {name: value for name, value in whole.items() if value != "absent"}


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"qty": "5"}, 400, "qty"),
    ({"qty": 5.0}, 400, "qty"),
    ({"qty": True}, 400, "qty"),
    ({"qty": None}, 400, "qty"),
    ({"qty": "absent"}, 400, "qty"),
    ({"qty": [1]}, 400, "qty"),
    ({"price": "50"}, 400, "price"),
    ({"reduce_ony": True}, 400, "reduce_ony"),
    ({"side": 5}, 400, "side"),
    ({"side": "buy"}, 422, "side"),
    ({"tif": "DAY"}, 422, "tif"),
    ({"client_order_id": "no spaces"}, 422, "client_order_id"),
    ({"client_order_id": ""}, 422, "client_order_id"),
    ({"client_order_id": "x" * 129}, 422, "client_order_id"),
    ({"recv_window_ms": 5}, 422, ""),
    ({"side": "buy", "qty": "5"}, 400, "qty"),
]


@pytest.mark.parametrize("fields,status,field", WRONG)
async def test_wrong_types_are_400_and_wrong_values_422(
    desk: Desk, alice: Trader, fields: dict[str, Any], status: int, field: str
) -> None:
    code = "BAD_REQUEST" if status == 400 else "VALIDATION_FAILED"
    body = await alice.refused(code, status, "POST", "/orders", json=order(desk, **fields))
    assert all(fault["field"] for fault in body["details"])
    assert not field or [fault["field"] for fault in body["details"]] == [field]
    assert "buy" not in json.dumps(body) and "no spaces" not in json.dumps(body), "input is not echoed"


async def test_the_path_of_a_nested_fault_is_named(desk: Desk, alice: Trader) -> None:
    batch = {"orders": [order(desk), order(desk, qty="x")]}
    body = await alice.refused("BAD_REQUEST", 400, "POST", "/orders/batch", json=batch)
    assert body["details"] == [
        {"field": "orders.1.qty", "message": "Input should be a valid integer", "type": "int_type"}
    ]


async def test_credential_then_budget_then_schema(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"writes_per_minute": 1})
    async with opened_desk(tmp_path, limits=limits) as desk:
        alice = await desk.trader("alice")
        reader = await desk.with_key(alice, ("read",))
        nonsense: dict[str, Any] = {"content": b"{"}
        await reader.refused("SCOPE_REQUIRED", 403, "POST", "/orders", **nonsense)
        await alice.refused("BAD_REQUEST", 400, "POST", "/orders", **nonsense)
        await alice.refused("RATE_LIMITED", 429, "POST", "/orders", **nonsense)
        response = await desk.http.post("/api/v1/orders", content=b"{", headers={"Authorization": "Bearer rk_live_x_y"})
        assert response.json()["code"] == "AUTH_INVALID"


async def test_a_body_over_the_cap_is_413_however_it_comes(desk: Desk, alice: Trader) -> None:
    big = b'{"pad": "' + b"x" * 70_000 + b'"}'
    await alice.refused("BODY_TOO_LARGE", 413, "POST", "/orders", content=big)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    response = await alice.call("POST", "/orders", content=chunks())
    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert response.headers["connection"] == "close"
    await alice.refused("BAD_REQUEST", 400, "POST", "/orders", content=b" " * 65_536)


@pytest.mark.parametrize("length", [b"-1", b"x", b"9" * 30, b"1e3"])
async def test_a_content_length_that_is_none_is_refused(desk: Desk, alice: Trader, length: bytes) -> None:
    answer = await raw_request(desk, "/api/v1/orders", alice.key, [{"type": "http.request", "body": b""}], length)
    assert answer[0]["status"] == 413


async def test_a_body_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"body_deadline_ms": 100})
    async with opened_desk(tmp_path, limits=limits) as desk:
        alice = await desk.trader("alice")
        part = {"type": "http.request", "body": b"{", "more_body": True}
        answer = await raw_request(desk, "/api/v1/orders", alice.key, [part], b"50")
        assert answer[0]["status"] == 400
        assert (b"connection", b"close") in answer[0]["headers"]
        assert json.loads(answer[1]["body"])["details"][0]["type"] == "body_timeout"


async def test_nobody_is_answered_who_has_left(desk: Desk, alice: Trader) -> None:
    before = desk.sequencer.state.seq
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    assert await raw_request(desk, "/api/v1/orders", alice.key, messages, b"50") == []
    assert desk.sequencer.state.seq == before


async def raw_request(
    desk: Desk, path: str, key: str, messages: list[dict[str, Any]], length: bytes
) -> list[dict[str, Any]]:
    """What the application sends for exactly these messages; after them nothing comes."""
    sent: list[Any] = []
    incoming = iter(messages)

    async def receive() -> Any:
        message = next(incoming, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {key}".encode()), (b"content-length", length)]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, "scheme": "http"}
    await create_app(desk.venue)({**scope, "client": ("127.0.0.1", 1)}, receive, send)
    return sent


async def test_one_timer_ends_each_read_in_its_time() -> None:
    deadline = Deadline(0.05)

    async def forever() -> None:
        await asyncio.Event().wait()

    late = [asyncio.create_task(deadline.of(forever())) for _ in range(3)]
    quick = asyncio.create_task(deadline.of(asyncio.sleep(0.001, "done")))
    cancelled = asyncio.create_task(deadline.of(forever()))
    await asyncio.sleep(0)
    cancelled.cancel()
    results = await asyncio.gather(*late, quick, cancelled, return_exceptions=True)
    assert [type(result) for result in results[:3]] == [TimeoutError] * 3
    assert results[3] == "done" and isinstance(results[4], asyncio.CancelledError)
    assert not deadline._reading and not deadline._late


# ---- queries ----


@pytest.mark.parametrize(
    "query,status",
    [
        (b"limit=5", 200),
        (b"limit=0", 422),
        (b"limit=251", 422),
        (b"limit=abc", 400),
        (b"limit=5.0", 400),
        (b"limit=%205", 400),
        (b"limit=", 400),
        (b"limit=1&limit=2", 400),
        (b"limt=5", 400),
        (b"status=OPEN&status=FILLED", 200),
        (b"status=open", 422),
        (b"cursor=zzz", 422),
        (b"limit=%ff", 400),
        (b"a=1&" * 100, 400),
        (b"limit=" + b"9" * 5_000, 400),
    ],
)
async def test_queries_are_as_strict_as_bodies(desk: Desk, alice: Trader, query: bytes, status: int) -> None:
    response = await alice.call("GET", f"/orders?{query.decode()}")
    assert response.status_code == status, response.text


async def test_a_call_without_parameters_takes_none(desk: Desk) -> None:
    response = await desk.http.get("/api/v1/meta/version?x=1")
    assert (response.status_code, response.json()["details"][0]["field"]) == (400, "x")
    assert (await desk.http.get("/health?from=balancer")).status_code == 200


def test_a_query_is_read_by_the_types_of_its_model() -> None:
    read = QueryReader(OrdersQuery)
    assert read(b"").limit == 50
    found = read(b"limit=7&status=OPEN&market_id=BTC-1M-20261120T1031Z")
    assert (found.limit, found.status, found.market_id) == (7, ["OPEN"], "BTC-1M-20261120T1031Z")
    with pytest.raises(RaethError):
        read("limit=٣".encode())


# ---- the envelope ----


async def test_the_short_base_path_is_the_same(desk: Desk, alice: Trader) -> None:
    for base in ("/api", "/api/v1"):
        assert (await desk.http.get(f"{base}/meta/version")).status_code == 200
        response = await desk.http.post(
            f"{base}/orders", json=order(desk), headers={"Authorization": f"Bearer {alice.key}"}
        )
        assert response.json()["status"] == "OPEN"
        order_id = response.json()["order_id"]
        response = await desk.http.delete(f"{base}/orders/{order_id}", headers={"Authorization": f"Bearer {alice.key}"})
        assert response.json()["cancel_reason"] == "USER"


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/orders/", "/api/v2/orders", "/x", "//"]
)
async def test_what_is_not_there_is_a_404_in_the_envelope(desk: Desk, path: str) -> None:
    response = await desk.http.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


async def test_a_socket_is_turned_away(desk: Desk) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    app = create_app(desk.venue)
    scope = {"type": "websocket", "path": "/stream", "headers": [], "query_string": b"", "client": ("10.0.0.1", 1)}
    await app(scope, receive, send)
    assert sent == [{"type": "websocket.close"}]


async def test_another_method_is_a_404_that_names_the_right_one(desk: Desk) -> None:
    response = await desk.http.put("/api/v1/meta/version")
    assert (response.status_code, response.headers["allow"]) == (404, "GET")
    response = await desk.http.request("PUT", f"/api/v1/orders/{UUID}")
    assert (response.status_code, response.headers["allow"]) == (404, "DELETE, GET, PATCH")


@pytest.mark.parametrize(
    "given,kept", [("abc-DEF_9", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("", False)]
)
async def test_a_request_id_is_the_callers_or_ours(desk: Desk, given: str, kept: bool) -> None:
    for path in ("/api/v1/meta/version", "/api/v1/nope", "/health"):
        response = await desk.http.get(path, headers={"X-Request-ID": given})
        assert (response.headers["x-request-id"] == given) == kept


def test_our_request_ids_are_twelve_hex_digits() -> None:
    assert all(len(request_id({})) == 12 and int(request_id({}), 16) >= 0 for _ in range(100))


async def test_a_bug_is_a_500_that_tells_nothing(
    desk: Desk, alice: Trader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError("secret 12345")

    monkeypatch.setattr(desk.sequencer, "settled_now", broken)
    response = await alice.call("GET", "/account")
    assert (response.status_code, response.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "12345" not in response.text and "12345" not in caplog.text


# ---- budgets ----


async def test_budgets_are_the_agents_over_all_its_keys(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"writes_per_minute": 3, "cancels_per_minute": 2, "reads_per_minute": 4})
    async with opened_desk(tmp_path, limits=limits) as desk:
        alice, bob = await desk.trader("alice"), await desk.trader("bob")
        second = await desk.with_key(alice, ("read", "trade"))
        first = await alice.call("POST", "/orders", json=order(desk))
        assert first.headers["x-ratelimit-limit"] == "3" and first.headers["x-ratelimit-remaining"] == "2"
        await second.ask("POST", "/orders", json=order(desk))
        batch = {"orders": [order(desk), order(desk)]}
        body = await alice.refused("RATE_LIMITED", 429, "POST", "/orders/batch", json=batch)
        assert "details" not in body
        assert len(desk.sequencer.state.orders) == 2
        for _ in range(2):
            await alice.ask("POST", "/orders/cancel", json={})
        await alice.refused("RATE_LIMITED", 429, "POST", "/orders/cancel", json={})
        await bob.ask("POST", "/orders", json=order(desk))
        for _ in range(4):
            await second.ask("GET", "/account")
        response = await alice.call("GET", "/account")
        assert response.status_code == 429 and 1 <= int(response.headers["retry-after"]) <= 60
        assert int(response.headers["x-ratelimit-remaining"]) == 0


async def test_anonymous_reads_and_wrong_keys_count_against_the_address(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"anonymous_reads_per_minute": 3})
    async with opened_desk(tmp_path, limits=limits) as desk:
        alice = await desk.trader("alice")
        get = desk.http.get
        assert (await get("/api/v1/meta/version")).headers["x-ratelimit-remaining"] == "2"
        assert (await get("/api/v1/nope")).status_code == 404
        assert (await get("/api/v1/account", headers={"Authorization": "Bearer rk_live_a_b"})).status_code == 401
        assert (await get("/api/v1/account", headers={"Authorization": "Bearer rk_live_a_b"})).status_code == 429
        assert (await get("/api/v1/meta/version")).status_code == 429
        assert (await alice.call("GET", "/meta/version")).headers["x-ratelimit-limit"] == str(LIMITS.reads_per_minute)
        assert (await get("/health")).status_code == 200


def test_windows_are_bounded_in_number_and_reset() -> None:
    kind = Kind(2, window_ms=50)
    first = kind.meter("a")
    first.charge(2)
    with pytest.raises(RaethError) as refused:
        first.charge(1)
    assert refused.value.retry_after_ms is not None and refused.value.headers() == {"Retry-After": "1"}
    assert kind.meter("a") is first
    first.reset_ms = 0
    assert kind.meter("a") is not first
    for holder in range(MAX_METERS + 10):
        kind.meter(holder)
    assert len(kind._meters) == MAX_METERS


def test_addresses_count_as_one_subscriber() -> None:
    assert bucket("2001:db8::1") == bucket("2001:db8::ffff:2") != bucket("2001:db8:0:1::1")
    assert bucket("::ffff:192.0.2.1") == "192.0.2.1" == bucket("192.0.2.1")
    assert bucket("unix") == "unix"


# ---- what the venue says of itself ----


async def test_health_and_ready_and_their_pages(desk: Desk) -> None:
    health = (await desk.http.get("/health")).json()
    assert health["status"] == "ok" and health["persistence"] == {
        "backend": "sqlite", "mode": "ok", "queue_depth": 0, "last_error": None
    }  # fmt: skip
    assert (await desk.http.get("/ready")).json() == {"ready": True, "seq": health["seq"]}
    await desk.trader("alice")
    metrics = (await desk.http.get("/metrics")).text
    assert "raeth_seq " in metrics and 'raeth_persistence_mode{mode="ok"} 1.0' in metrics
    page = await desk.http.get("/status")
    assert desk.symbol in page.text and "<script" not in page.text


async def test_orders_and_answers_are_counted(desk: Desk, alice: Trader) -> None:
    await alice.place("BUY", 50, 1)
    await alice.place("BUY", 0, 1)
    metrics = (await desk.http.get("/metrics")).text
    assert 'raeth_orders_total{outcome="OPEN"} 1.0' in metrics
    assert 'raeth_orders_total{outcome="PRICE_OUT_OF_RANGE"} 1.0' in metrics
    assert 'raeth_http_requests_total{call="place_order",status="200"} 2.0' in metrics
    assert 'raeth_http_request_seconds_count{call="place_order"} 2.0' in metrics


async def test_a_journal_that_cannot_be_written_shows(desk: Desk, alice: Trader) -> None:
    desk.sequencer.health.mode = "retrying"
    desk.sequencer.health.last_error = "no space at postgresql://raeth:hunter2@db/raeth"
    health = (await desk.http.get("/health")).json()
    assert (health["status"], health["persistence"]["mode"]) == ("degraded", "retrying")
    assert "hunter2" not in json.dumps(health)
    ready = await desk.http.get("/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "SERVICE_DEGRADED")
    await alice.refused("SERVICE_DEGRADED", 503, "POST", "/orders", json=order(desk))
    assert (await desk.http.get("/status")).status_code == 200
    desk.sequencer.health.mode, desk.sequencer.health.last_error = "ok", None


async def test_too_much_waiting_is_said_and_passes(desk: Desk) -> None:
    """Backpressure: what waits is still written, nothing more is taken until half of it has been."""
    waiting = [desk.sequencer.enqueue(cmd.Tick()) for _ in range(MAX_QUEUE)]
    with pytest.raises(RaethError) as refused:
        desk.sequencer.enqueue(cmd.Tick())
    assert refused.value.code is Code.SERVICE_DEGRADED
    health = (await desk.http.get("/health")).json()
    assert (health["status"], health["persistence"]["mode"]) == ("degraded", "backpressured")
    ready = await desk.http.get("/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "SERVICE_DEGRADED")
    assert len({outcome.seq for outcome in await asyncio.gather(*waiting)}) == MAX_QUEUE
    health = (await desk.http.get("/health")).json()
    assert (health["status"], health["persistence"]["mode"]) == ("ok", "ok")
    assert (await desk.http.get("/ready")).status_code == 200


async def test_a_reference_that_grows_old_shows(desk: Desk) -> None:
    """A stale one is shown and no more; one that is down degrades the venue, which still takes orders."""
    for age_ms, reference, status in ((10_000, "STALE", "ok"), (10_001, "DOWN", "degraded")):
        await desk.advance(age_ms - 10_000 or 10_000)
        health = (await desk.http.get("/health")).json()
        assert (health["reference"]["status"], health["status"]) == (reference, status)
        assert (await desk.http.get("/ready")).status_code == 200
        metrics = (await desk.http.get("/metrics")).text
        assert f'raeth_reference_status{{status="{reference}"}} 1.0' in metrics


async def test_tables_that_cannot_be_read_are_a_503(desk: Desk, alice: Trader, tmp_path: Path) -> None:
    store, desk.venue.store = desk.venue.store, Store(sqlite_url(tmp_path / "gone" / "raeth.db"))
    try:
        await alice.refused("SERVICE_DEGRADED", 503, "GET", "/ledger")
        response = await desk.http.get("/api/v1/me", headers={"Authorization": "Bearer rs_x"})
        assert (response.status_code, response.json()["code"]) == (503, "SERVICE_DEGRADED")
    finally:
        await desk.venue.store.close()
        desk.venue.store = store


async def test_meta_publishes_catalogue_limits_and_version(desk: Desk) -> None:
    errors = await desk.read("/meta/errors")
    assert errors == {"items": [entry.published() for entry in CATALOGUE.values()], "next_cursor": None}
    limits = await desk.read("/meta/limits")
    assert limits["body_bytes"] == 65_536 and limits["risk"]["position_cap"] == 5_000
    version = await desk.read("/meta/version")
    assert (version["service"], version["api_version"]) == ("raeth", "1")


async def test_the_application_is_plain_asgi(desk: Desk) -> None:
    transport = httpx2.ASGITransport(app=create_app(desk.venue))
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as http:
        assert (await http.get("/api/v1/meta/version")).status_code == 200
        assert (await http.head("/health")).status_code == 200
        assert (await http.get("/api/v1/orders", headers={"Authorization": "Basic eDp5"})).json()[
            "code"
        ] == Code.AUTH_INVALID
