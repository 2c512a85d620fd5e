"""Sections 1, 3 and 10: what holds for every call."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

import httpx2
import pytest

from tests.contract.desk import ADMIN, DECLINES, STATUS_OF, Agent, Caller, Desk

REQUEST_IDS = ["a", "abc-DEF_123", "x" * 64]
BAD_REQUEST_IDS = ["x" * 65, "with space", "semi;colon", "dot.ted", "ü".encode(), ""]


@pytest.fixture(scope="module")
def agent(desk: Desk) -> Agent:
    return desk.signup()


@pytest.mark.parametrize("path", ["//health", "/markets", "/nowhere", "/account", "//openapi.json", "//nowhere"])
def test_request_id_is_the_callers_or_twelve_hex_digits(desk: Desk, path: str) -> None:
    for sent in REQUEST_IDS:
        assert desk.anyone.raw("GET", path, headers={"X-Request-ID": sent}).headers["x-request-id"] == sent
    seen = set()
    for bad in [*BAD_REQUEST_IDS, None]:
        answer = desk.anyone.raw("GET", path, headers={"X-Request-ID": bad} if bad is not None else {})
        assert re.fullmatch(r"[0-9a-f]{12}", answer.headers["x-request-id"]), bad
        seen.add(answer.headers["x-request-id"])
    assert len(seen) == len(BAD_REQUEST_IDS) + 1


def test_rate_limit_headers_on_every_api_answer(desk: Desk, agent: Agent) -> None:
    """`checked` looks at them; here are the answers on which they are easily forgotten."""
    big = b'{"a":"' + b"x" * 70_000 + b'"}'
    nobody = Caller(desk.venue.http, "rk_live_unknown_unknown")
    expected: list[tuple[Caller, str, str, int, dict[str, Any]]] = [
        (desk.anyone, "GET", "/markets", 200, {}),
        (desk.anyone, "GET", "/api/markets", 200, {}),
        (desk.anyone, "GET", "/nowhere", 404, {}),
        (desk.anyone, "GET", "/api/nowhere", 404, {}),
        (desk.anyone, "GET", "/api", 404, {}),
        (desk.anyone, "PUT", "/markets", 404, {}),
        (desk.anyone, "GET", "/account", 401, {}),
        (nobody, "GET", "/account", 401, {}),
        (nobody, "GET", "/markets", 401, {}),
        (agent, "POST", "/orders", 413, {"content": big}),
        (desk.anyone, "POST", "/auth/signup", 413, {"content": big}),
        (agent, "POST", "/orders", 400, {"content": b"{"}),
        (agent, "POST", "/orders", 422, {"json": agent.body("BUY", 50, 1, tif="GTX")}),
        (agent, "GET", "/admin/state", 403, {}),
        (desk.admin, "GET", "/admin/state", 200, {}),
        (desk.admin, "GET", "/account", 403, {}),
        (agent, "GET", f"/orders/{uuid.uuid4()}", 404, {}),
        (desk.anyone, "GET", "/markets/none/book", 404, {}),
    ]
    for caller, method, path, status, options in expected:
        answer = caller.raw(method, path, **options)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        away = int(answer.headers["x-ratelimit-reset"]) - time.time() * 1000
        assert -2_000 < away <= 61_000, "the reset is in real time, in milliseconds"
        assert int(answer.headers["x-ratelimit-remaining"]) < int(answer.headers["x-ratelimit-limit"])


def test_api_is_an_alias_of_api_v1(desk: Desk, agent: Agent) -> None:
    assert agent.get("/api/orders") == agent.get("/api/v1/orders")
    placed = agent.post("/api/orders", agent.body("BUY", 2, 1, client_order_id="alias"))
    assert agent.post("/api/v1/orders", agent.body("BUY", 2, 1, client_order_id="alias"))["replayed"]
    assert agent.ask("DELETE", f"/api/orders/{placed['order_id']}")["cancel_reason"] == "USER"


def test_a_symbol_is_accepted_wherever_a_market_id_is(desk: Desk, agent: Agent) -> None:
    market = desk.anyone.get(f"/markets/{desk.market}")
    symbol = market["symbol"]
    assert re.fullmatch(r"BTC-1M-\d{8}T\d{4}Z", symbol)
    close = market["close_at"]
    assert symbol == f"BTC-1M-{close[:10].replace('-', '')}T{close[11:16].replace(':', '')}Z", "the close names it"
    for tail in ("", "/book", "/trades", "/candles", "/agent-context", "/settlement"):
        assert desk.anyone.raw("GET", f"/markets/{symbol}{tail}").status_code == 200, tail
    order = agent.post("/orders", agent.body("BUY", 3, 1) | {"market_id": symbol})
    assert (order["market_id"], order["symbol"]) == (desk.market, symbol)
    assert agent.get("/orders", market_id=symbol)["items"][0]["order_id"] == order["order_id"]
    assert agent.post("/orders/preview", agent.body("BUY", 3, 1) | {"market_id": symbol})["would"] == "ACCEPT"
    quote = {"market_id": symbol, "quote_id": "s", "bids": [{"price": 2, "qty": 1}], "asks": []}
    assert agent.ask("PUT", "/quotes", json=quote)["results"][0]["market_id"] == desk.market
    assert agent.post("/orders/cancel", {"market_id": symbol})["cancelled"] == 2
    assert desk.admin.post(f"/admin/markets/{symbol}/halt", {"reason": "look"})["halted"]
    assert not desk.admin.post(f"/admin/markets/{symbol}/resume", {})["halted"]


INTEGERS = ["qty", "price", "slippage_cap_cents", "timestamp_ms", "recv_window_ms", "expires_at_ms"]


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("literal", ['"5"', "5.0", "5e0", "true", "false", "NaN", "Infinity", "[5]", '{"a":5}', '""'])
def test_what_is_not_an_integer(desk: Desk, agent: Agent, field: str, literal: str) -> None:
    body = {"market_id": f'"{desk.market}"', "side": '"BUY"', "type": '"LIMIT"', "price": "5", "qty": "1"}
    body[field] = literal
    text = "{" + ",".join(f'"{name}":{value}' for name, value in body.items()) + "}"
    agent.ask("POST", "/orders", "BAD_REQUEST", content=text)


@pytest.mark.parametrize("field", ["reduce_only", "confirm_fat_finger"])
@pytest.mark.parametrize("value", ["true", 1, 0, 1.0, "yes", []])
def test_what_is_not_a_boolean(desk: Desk, agent: Agent, field: str, value: Any) -> None:
    agent.post("/orders", agent.body("BUY", 5, 1, **{field: value}), "BAD_REQUEST")


@pytest.mark.parametrize("field", ["market_id", "side", "type", "tif", "client_order_id", "stp"])
@pytest.mark.parametrize("value", [1, True, ["BUY"], {}])
def test_what_is_not_a_string(desk: Desk, agent: Agent, field: str, value: Any) -> None:
    agent.post("/orders", agent.body("BUY", 5, 1) | {field: value}, "BAD_REQUEST")


@pytest.mark.parametrize("missing", ["market_id", "side", "type", "qty"])
def test_a_required_field_is_missing(desk: Desk, agent: Agent, missing: str) -> None:
    body = agent.body("BUY", 5, 1)
    absent = agent.post("/orders", {k: v for k, v in body.items() if k != missing}, "BAD_REQUEST")
    null = agent.post("/orders", body | {missing: None}, "BAD_REQUEST")
    assert [fault["field"] for fault in absent["details"]] == [missing] == [f["field"] for f in null["details"]]


@pytest.mark.parametrize("name", ["reduceonly", "reduce_Only", "quantity", "clientOrderId", "post_only", "", " qty"])
def test_unknown_fields_never_trade(desk: Desk, agent: Agent, name: str) -> None:
    agent.post("/orders", agent.body("BUY", 5, 1) | {name: None}, "BAD_REQUEST")
    agent.post("/orders", agent.body("BUY", 5, 1) | {name: True}, "BAD_REQUEST")
    assert agent.open_orders() == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'"x"', b"5", b"{} {}", b'{"a":1,}', b"\xff\xfe", b'{"side":"\xff"}', b"side=BUY"],
)
def test_bodies_that_are_not_json_objects(desk: Desk, agent: Agent, content: bytes) -> None:
    for path in ("/orders", "/orders/batch", "/orders/preview"):
        agent.ask("POST", path, "BAD_REQUEST", content=content)


VALUES: list[dict[str, Any]] = [
    {"side": "HOLD"},
    {"side": "buy"},
    {"type": "STOP"},
    {"tif": "GTX"},
    {"tif": ""},
    {"stp": "NONE"},
    {"price": None},
    {"client_order_id": ""},
    {"client_order_id": "x" * 129},
    {"client_order_id": "sp ace"},
    {"client_order_id": "sla/sh"},
    {"client_order_id": "new\n"},
    {"timestamp_ms": 1},
    {"recv_window_ms": 1000},
    {"timestamp_ms": 1, "recv_window_ms": 0},
    {"timestamp_ms": 1, "recv_window_ms": 60_001},
    {"timestamp_ms": None, "recv_window_ms": 5},
    {"type": "MARKET"},
    {"type": "MARKET", "price": None, "tif": "POST_ONLY"},
    {"type": "MARKET", "price": None, "slippage_cap_cents": -1},
    {"slippage_cap_cents": 1},
]


@pytest.mark.parametrize("change", VALUES, ids=str)
def test_right_types_with_wrong_values(desk: Desk, agent: Agent, change: dict[str, Any]) -> None:
    body = agent.body("BUY", 5, 1) | change
    answer = agent.post("/orders", body, "VALIDATION_FAILED")
    assert answer["details"], "an array of faults"
    agent.post("/orders/preview", body, "VALIDATION_FAILED")
    agent.post("/orders/batch", {"orders": [agent.body("BUY", 5, 1), body]}, "VALIDATION_FAILED")
    agent.post("/orders", body | {"unknown": 1}, "BAD_REQUEST")
    agent.post("/orders", body | {"qty": "1"}, "BAD_REQUEST")
    assert agent.open_orders() == []


def test_null_is_the_same_as_absent(desk: Desk, agent: Agent) -> None:
    names = "tif slippage_cap_cents reduce_only client_order_id timestamp_ms recv_window_ms expires_at_ms stp"
    nulls = dict.fromkeys([*names.split(), "confirm_fat_finger", "leverage", "margin_mode"])
    order = agent.buy(4, 1, **nulls)
    assert (order["status"], order["tif"], order["reduce_only"]) == ("OPEN", "GTC", False)
    market = agent.post("/orders", agent.body("BUY", None, 1) | {"price": None})
    assert market["reject_reason"] == "MARKET_NO_LIQUIDITY"
    assert agent.post("/orders/cancel", {"order_ids": None, "market_id": None, "side": None})["cancelled"] == 1


def test_client_order_ids_of_every_allowed_kind(desk: Desk, agent: Agent) -> None:
    for key in ("a", "A-z_0:9.", "x" * 128):
        assert agent.buy(2, 1, client_order_id=key)["client_order_id"] == key
        assert agent.get(f"/orders/by-client-id/{key}")["status"] == "OPEN"
        assert len(agent.get("/orders", client_order_id=key)["items"]) == 1
    agent.post("/orders/cancel", {})


def test_input_is_never_echoed(desk: Desk, agent: Agent) -> None:
    secret = "hunter2hunter2"
    sent: list[tuple[str, Any]] = [
        ("/orders", agent.body("BUY", 5, 1) | {"side": secret}),
        ("/orders", agent.body("BUY", 5, 1) | {"qty": secret}),
        ("/orders", agent.body("BUY", 5, 1) | {"client_order_id": secret + "!"}),
        ("/orders", agent.body("BUY", 5, 1) | {"market_id": {"x": secret}}),
        ("/auth/signup", {"email": secret, "agent_name": "ok-name"}),
        ("/auth/signup", {"email": "a@example.com", "agent_name": secret + "!!"}),
        ("/auth/login", {"email": f"{secret}@example.com", "password": secret}),
        ("/auth/login", {"email": 5, "password": secret}),
    ]
    for path, body in sent:
        assert secret not in agent.raw("POST", path, json=body).text, path
    assert secret not in agent.raw("POST", "/orders", content="{" + secret).text
    assert secret not in agent.raw("GET", "/orders", params={"cursor": secret}).text
    assert secret not in agent.raw("GET", "/orders", params={"status": secret}).text


def test_bodies_over_64_kib(desk: Desk, agent: Agent) -> None:
    def body(size: int) -> bytes:
        return b'{"x":"' + b"y" * (size - 8) + b'"}'

    agent.ask("POST", "/orders", "BAD_REQUEST", content=body(65_536))
    agent.ask("POST", "/orders", "BODY_TOO_LARGE", content=body(65_537))
    chunks = (b" " * 1000 for _ in range(70))
    agent.ask("POST", "/orders", "BODY_TOO_LARGE", content=chunks)


@pytest.mark.parametrize(
    "path", ["/nowhere", "//nowhere", "/series/none", "/series/none/context", "/orders/x/y", "/admin/x"]
)
def test_paths_that_do_not_exist(desk: Desk, path: str) -> None:
    (desk.admin if path.startswith("/admin") else desk.anyone).get(path, "NOT_FOUND")


@pytest.mark.parametrize("market", [str(uuid.UUID(int=0)), "BTC-1M-20200101T0000Z", "x", "%20"])
@pytest.mark.parametrize("tail", ["", "/book", "/trades", "/candles", "/agent-context", "/settlement"])
def test_unknown_markets(desk: Desk, market: str, tail: str) -> None:
    desk.anyone.get(f"/markets/{market}{tail}", "UNKNOWN_MARKET")


LISTS = ["/orders", "/fills", "/ledger", "/markets", "/markets/{m}/trades", "/markets/{m}/candles"]


@pytest.mark.parametrize("path", LISTS)
def test_lists_refuse_bad_limits_and_cursors(desk: Desk, agent: Agent, path: str) -> None:
    path = path.format(m=desk.market)
    page = agent.get(path, limit=250)
    assert {"items", "next_cursor"} <= set(page)
    for limit in (0, -1, 251, 10**30):
        assert agent.raw("GET", path, params={"limit": limit}).status_code in (400, 422), limit
    assert agent.raw("GET", path, params={"limit": "ten"}).status_code in (400, 422)
    for cursor in ("x", "", "AAAA", "====", "0", "-1", "null", "é", "x" * 300, "eyJhIjoxfQ"):
        answer = agent.raw("GET", path, params={"cursor": cursor})
        assert (answer.status_code, answer.json().get("code")) == (422, "INVALID_CURSOR"), (cursor, answer.text)


def test_short_lists_come_whole(desk: Desk, agent: Agent) -> None:
    for path in ("/series", "/positions", "/meta/errors", "/reference/btc/history"):
        assert agent.get(path)["next_cursor"] is None


def test_pages_have_no_holes_while_the_list_grows(desk: Desk) -> None:
    agent = desk.signup()
    for n in range(8):
        orders = [agent.body("BUY", 1 + n % 5, 1, client_order_id=f"page-{n}-{k}") for k in range(8)]
        agent.post("/orders/batch", {"orders": orders})
    first = agent.get("/orders")
    assert len(first["items"]) == 50 and first["next_cursor"], "the default limit"
    whole = agent.get("/orders", limit=250)
    assert len(whole["items"]) == 64 and whole["next_cursor"] is None
    keys = [order["client_order_id"] for order in whole["items"]]
    assert keys == [f"page-{n}-{k}" for n in reversed(range(8)) for k in reversed(range(8))], "newest first"
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for step in range(30):
        page = agent.get("/orders", limit=5, **cursor)
        seen += [order["client_order_id"] for order in page["items"]]
        agent.buy(1, 1, client_order_id=f"late-{step}")
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == keys
    some = agent.get("/orders", limit=5, status="OPEN")["next_cursor"]
    answer = agent.raw("GET", "/orders", params={"limit": 5, "status": "CANCELLED", "cursor": some})
    assert answer.status_code in (200, 422)
    agent.post("/orders/cancel", {})
    assert len(agent.pages("/orders", status="CANCELLED", limit=7)) == len(agent.pages("/orders"))
    assert agent.get("/orders", status="OPEN") == {"items": [], "next_cursor": None}


def test_exactly_one_page_ends_without_a_cursor(desk: Desk) -> None:
    agent = desk.signup()
    for key in "abc":
        agent.buy(1, 1, client_order_id=key)
    page = agent.get("/orders", limit=3)
    assert len(page["items"]) == 3 and (
        page["next_cursor"] is None or agent.get("/orders", limit=3, cursor=page["next_cursor"])["items"] == []
    )
    agent.post("/orders/cancel", {})


def test_the_catalogue_holds_every_code_of_the_contract(desk: Desk) -> None:
    catalogue = desk.anyone.get("/meta/errors")
    assert catalogue["next_cursor"] is None
    entries = {entry["code"]: entry for entry in catalogue["items"]}
    assert len(entries) == len(catalogue["items"])
    for entry in entries.values():
        assert set(entry) == {"code", "http", "when", "fix", "retryable"}
        assert isinstance(entry["retryable"], bool) and entry["when"] and entry["fix"]
    for status, codes in STATUS_OF.items():
        for code in codes.split():
            assert str(status) in entries[code]["http"], code
    for code in DECLINES:
        assert "200/REJECTED" in entries[code]["http"], code
    for code in ("INVALID_MESSAGE", "UNSUPPORTED_CHANNEL", "UNAUTHENTICATED"):
        assert code in entries


def test_health_ready_metrics_and_meta(desk: Desk) -> None:
    health = desk.anyone.get("//health")
    assert set(health) >= set("status service now version persistence reference frozen seq".split())
    assert set(health["persistence"]) == {"backend", "mode", "queue_depth", "last_error"}
    assert (health["status"], health["frozen"], health["persistence"]["mode"]) == ("ok", False, "ok")
    assert desk.anyone.raw("GET", "//ready").status_code == 200
    metrics = desk.anyone.raw("GET", "//metrics")
    assert metrics.headers["content-type"].startswith("text/plain") and "# TYPE" in metrics.text
    for path in ("//status", "//docs"):
        assert desk.anyone.raw("GET", path).headers["content-type"].startswith("text/html")
    limits = desk.anyone.get("/meta/limits")
    expected = {"batch_size": 15, "cancel_list": 100, "open_orders_per_market": 200, "body_bytes": 65_536}
    assert {name: limits[name] for name in expected} == expected
    assert desk.anyone.raw("GET", "/meta/version").json()["version"] == health["version"]


def test_venue_time_is_recorded_time_in_a_replay(desk: Desk) -> None:
    assert desk.now_ms() < time.time() * 1000 - 86_400_000
    assert desk.anyone.get("/reference/btc")["status"] == "LIVE"


def test_reads_say_at_which_seq_they_are_true(desk: Desk, agent: Agent) -> None:
    order = agent.buy(1, 1)
    reads = [agent.account(), agent.get("/positions"), agent.get(f"/markets/{desk.market}")]
    reads += [agent.get(f"/markets/{desk.market}/book")]
    assert [read["seq"] >= order["seq"] for read in reads] == [True] * 4
    cancelled = agent.ask("DELETE", f"/orders/{order['order_id']}")
    assert cancelled["seq"] > order["seq"]


# OpenAPI


def faults_of(document: dict[str, Any], schema: Any, value: Any, where: str) -> list[str]:
    """A small validator for the JSON Schema that the document uses."""
    if schema is True or schema == {}:
        return []
    if "$ref" in schema:
        return faults_of(document, document["components"]["schemas"][schema["$ref"].split("/")[-1]], value, where)
    found: list[str] = []
    for inner in schema.get("allOf", []):
        found += faults_of(document, inner, value, where)
    for union in ("anyOf", "oneOf"):
        if union in schema and all(faults_of(document, inner, value, where) for inner in schema[union]):
            found.append(f"{where}: none of the {union}: {value!r}")
    names = {
        "object": dict, "array": list, "string": str, "null": type(None), "boolean": bool, "integer": int,
        "number": (int, float),
    }  # fmt: skip
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind] if kind else []
    is_bool = isinstance(value, bool)
    if kinds and not any(isinstance(value, names[k]) and (k == "boolean" or not is_bool) for k in kinds):
        return [*found, f"{where}: {value!r} is not {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} not in enum")
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not const")
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{where}: {value!r} !~ {schema['pattern']}")
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9):
            found.append(f"{where}: length {len(value)}")
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{where}: {value} out of range")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9):
            found.append(f"{where}: {len(value)} items")
        prefix = schema.get("prefixItems", [])
        for n, inner in enumerate(value):
            found += faults_of(
                document, prefix[n] if n < len(prefix) else schema.get("items", {}), inner, f"{where}[{n}]"
            )
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, inner in value.items():
            if name in properties:
                found += faults_of(document, properties[name], inner, f"{where}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{where}: {name} is unknown")
    return found


@pytest.fixture(scope="module")
def document(desk: Desk) -> dict[str, Any]:
    return desk.anyone.get("//openapi.json")


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, op) for path, methods in document["paths"].items() for method, op in methods.items()]


def test_openapi_names_operations_verb_noun_and_once(document: dict[str, Any]) -> None:
    ids = [op["operationId"] for _, _, op in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in ids), ids
    assert "HTTPValidationError" not in str(document) and "ValidationError" not in document["components"]["schemas"]


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    faults: list[str] = []
    seen = 0
    for path, method, op in operations(document):
        holders = [("request", op.get("requestBody", {})), *op["responses"].items()]
        for status, holder in holders:
            for media in holder.get("content", {}).values():
                examples = {name: ex["value"] for name, ex in media.get("examples", {}).items()}
                if "example" in media:
                    examples["example"] = media["example"]
                for name, value in examples.items():
                    seen += 1
                    faults += faults_of(document, media["schema"], value, f"{method} {path} {status} {name}")
    for name, schema in document["components"]["schemas"].items():
        for value in schema.get("examples", []):
            seen += 1
            faults += faults_of(document, schema, value, name)
    assert seen > 100 and faults == []


def test_every_decline_and_every_error_has_an_example(document: dict[str, Any]) -> None:
    orders = document["paths"]["/api/v1/orders"]["post"]["responses"]["200"]["content"]["application/json"]["examples"]
    shown = {ex["value"]["reject_reason"] for ex in orders.values()}
    missing = set(DECLINES) - shown - {"STRATEGY_NOT_FILLED"}
    assert not missing
    batch = document["paths"]["/api/v1/orders/batch"]["post"]["responses"]["200"]["content"]["application/json"]
    assert set(DECLINES) <= set(batch["examples"])
    examples: dict[str, set[str]] = {}
    for _, _, op in operations(document):
        for status, answer in op["responses"].items():
            if int(status) >= 400:
                for ex in answer["content"]["application/json"].get("examples", {}).values():
                    examples.setdefault(status, set()).add(ex["value"]["code"])
    for status, codes in STATUS_OF.items():
        assert set(codes.split()) - {"FEATURE_DISABLED"} <= examples.get(str(status), set()), status


def test_real_answers_fit_the_document(desk: Desk, agent: Agent, document: dict[str, Any]) -> None:
    order = agent.buy(1, 1)
    reads = ["/account", "/positions", "/ledger", "/orders", "/fills", "/markets", "/series", "/reference/btc"]
    reads += ["/reference/btc/history", "/meta/errors", "/meta/limits", "/meta/version"]
    for path in [*reads, "/orders/{order_id}", "/markets/{market_id}", "/markets/{market_id}/book"]:
        url = path.format(order_id=order["order_id"], market_id=desk.market)
        schema = document["paths"][f"/api/v1{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert faults_of(document, schema, agent.raw("GET", url).json(), path) == []
    for path in ("/markets/{market_id}/agent-context", "/markets/{market_id}/settlement", "/series/{slug}/context"):
        schema = document["paths"][f"/api/v1{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        url = path.format(market_id=desk.market, slug="BTC-1M")
        assert faults_of(document, schema, agent.get(url), path) == []
    agent.post("/orders/cancel", {})


def test_operators_reach_admin_and_nothing_else(desk: Desk, agent: Agent) -> None:
    wrong = Caller(desk.venue.http, ADMIN[:-1] + "x")
    assert wrong.raw("GET", "/admin/state").status_code == 401
    desk.anyone.get("/admin/state", "AUTH_MISSING")
    agent.get("/admin/state", "FORBIDDEN")
    for method, path in [("GET", "/account"), ("POST", "/orders"), ("GET", "/me"), ("GET", "/orders")]:
        answer = desk.admin.raw(method, path, **({"json": agent.body("BUY", 5, 1)} if method == "POST" else {}))
        assert answer.status_code == 403, (path, answer.text)


def test_a_plain_client_gets_what_the_page_promises(desk: Desk) -> None:
    with httpx2.Client(base_url=desk.venue.url) as http:
        answer = http.post("/api/v1/auth/signup", content=b'{"email":"Plain@Example.com","agent_name":"plain-one"}')
        assert answer.status_code == 201 and answer.json()["api_key"].startswith("rk_live_")
