"""A venue and its callers as the contract describes them: everything here comes from the contract page.

Every answer passes `checked`: no floats, the headers every answer carries, the flat error body, catalogued codes.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from typing import Any

import httpx2

from tests.e2e.venue import Host, VenueProcess, ms, until

ADMIN = "rk_admin_0123456789abcdefghijABCDEFGHIJ0123456789ab"
BOUNDARY_MS = 1_767_603_600_000
"""2026-01-05T09:00:00Z, where the long window of a `Desk` opens."""
BEFORE_MS = 2_500
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ORDER_FIELDS = set(
    "order_id client_order_id market_id symbol agent_id side type tif price qty reduce_only status filled_qty "
    "remaining_qty filled_notional_cents fee_cents reject_reason reject_message reject_details cancel_reason fills "
    "created_at updated_at seq replayed".split()
)
STATUS_OF = {
    400: "BAD_REQUEST INSUFFICIENT_BALANCE",
    401: "AUTH_MISSING AUTH_INVALID AUTH_EXPIRED AUTH_REVOKED INVALID_CREDENTIALS",
    403: "FORBIDDEN SCOPE_REQUIRED IP_NOT_ALLOWED AGENT_SUSPENDED",
    404: "NOT_FOUND UNKNOWN_MARKET ORDER_NOT_FOUND",
    409: "EMAIL_TAKEN AGENT_NAME_TAKEN MARKET_CLOSED MARKET_FINAL ORDER_NOT_OPEN ORDER_ALREADY_FILLED AMEND_CONFLICT "
    "IDEMPOTENCY_CONFLICT FAUCET_CAP_REACHED",
    413: "BODY_TOO_LARGE",
    422: "VALIDATION_FAILED BATCH_SIZE_EXCEEDED INVALID_CURSOR INVALID_LEVERAGE",
    429: "RATE_LIMITED FAUCET_COOLDOWN",
    500: "INTERNAL_ERROR",
    502: "REFERENCE_UNAVAILABLE",
    503: "EXCHANGE_FROZEN FEATURE_DISABLED SERVICE_DEGRADED",
}
"""Section 3, word for word."""
DECLINES = (
    "UNKNOWN_MARKET FAT_FINGER POSITION_CAP NO_REFERENCE_PRICE AGENT_SIDE_COOLDOWN MARKET_NOT_OPEN MARKET_CLOSED "
    "MARKET_HALTED INVALID_QTY PRICE_OUT_OF_RANGE INVALID_LEVERAGE INVALID_MARGIN_MODE STALE_REQUEST ORDER_EXPIRED "
    "REDUCE_ONLY_VIOLATION POST_ONLY_WOULD_CROSS FOK_NOT_FILLABLE MARKET_NO_LIQUIDITY INSUFFICIENT_MARGIN "
    "OPEN_ORDERS_CAP STRATEGY_NOT_FILLED"
).split()
"""Section 5."""


def no_float(text: str) -> Any:
    raise AssertionError(f"a float on the wire: {text}")


def checked(response: httpx2.Response) -> httpx2.Response:
    """What holds for every answer, whatever was asked."""
    path = response.request.url.path
    shown = f"{response.request.method} {path} → {response.status_code} {response.text[:500]}"
    assert response.headers.get("x-request-id"), shown
    if path.startswith("/api"):
        for name in ("limit", "remaining", "reset"):
            assert re.fullmatch(r"\d+", response.headers.get(f"x-ratelimit-{name}", "")), (name, shown)
        assert len(response.headers["x-ratelimit-reset"]) == 13, shown
    if response.status_code >= 400:
        body = response.json()
        assert {"code", "message", "request_id"} <= set(body) <= {"code", "message", "request_id", "details"}, shown
        assert body["code"] in STATUS_OF[response.status_code].split(), shown
        assert body["request_id"] == response.headers["x-request-id"], shown
        if "details" in body:
            assert isinstance(body["details"], dict | list), shown
        if body["code"] in ("VALIDATION_FAILED",):
            assert all(set(fault) == {"field", "message", "type"} for fault in body["details"]), shown
        if response.status_code == 429:
            assert re.fullmatch(r"[1-9]\d*", response.headers["retry-after"]), shown
    elif path.startswith("/api") and not path.endswith("/meta/version"):
        walk(json.loads(response.text, parse_float=no_float), shown)
    return response


def walk(value: Any, shown: str, name: str = "") -> None:
    """Times and orders have one form wherever they appear."""
    if isinstance(value, dict):
        if "order_id" in value and "remaining_qty" in value:
            order_is_sound(value, shown)
        for key, inner in value.items():
            walk(inner, shown, key)
    elif isinstance(value, list):
        for inner in value:
            walk(inner, shown, name)
    elif isinstance(value, str) and (name in ("ts", "now", "server_time", "boundary") or name.endswith(("_at", "_ts"))):
        assert TIME.fullmatch(value), (name, value, shown)
    elif name in ("order_id", "agent_id", "account_id", "market_id", "trade_id") and value is not None:
        assert UUID.fullmatch(value), (name, value, shown)


def order_is_sound(order: dict[str, Any], shown: str) -> None:
    """The identities of an order body, section 4."""
    assert set(order) - {"order"} == ORDER_FIELDS, (ORDER_FIELDS ^ set(order), shown)
    fills, status = order["fills"], order["status"]
    assert order["filled_qty"] == sum(fill["qty"] for fill in fills), shown
    assert order["filled_notional_cents"] == sum(fill["qty"] * fill["price"] for fill in fills), shown
    assert order["fee_cents"] == sum(fill["fee_cents"] for fill in fills), shown
    assert (order["reject_reason"] is not None) == (status == "REJECTED"), shown
    assert (order["cancel_reason"] is not None) == (status == "CANCELLED"), shown
    if status == "REJECTED":
        assert order["filled_qty"] == order["remaining_qty"] == 0 and not fills, shown
        assert order["reject_reason"] in DECLINES and order["reject_message"], shown
        assert isinstance(order["reject_details"]["retryable"], bool), shown
        assert all(value is not None for value in order["reject_details"].values()), shown
    else:
        assert order["reject_message"] is None and order["reject_details"] is None, shown
        if status in ("OPEN", "PARTIALLY_FILLED"):
            assert order["remaining_qty"] == order["qty"] - order["filled_qty"] > 0, shown
            assert (order["filled_qty"] > 0) == (status == "PARTIALLY_FILLED"), shown
        if status == "FILLED":
            assert order["filled_qty"] == order["qty"] and order["remaining_qty"] == 0, shown


class Caller:
    """Somebody with a credential, or without one."""

    def __init__(self, http: httpx2.Client, credential: str | None = None) -> None:
        self.http = http
        self.headers = {"Authorization": f"Bearer {credential}"} if credential else {}

    def raw(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Paths without a leading /api are under the base path; `//x` is at the root."""
        url = path[1:] if path.startswith("//") else path if path.startswith("/api") else f"/api/v1{path}"
        headers = {**self.headers, **options.pop("headers", {})}
        answer = checked(self.http.request(method, url, headers=headers, **options))
        self.http.cookies.clear()  # callers share a connection, not a session
        return answer

    def ask(self, method: str, path: str, expect: int | str = 200, **options: Any) -> Any:
        """The body of an answer with that HTTP status, or that error code."""
        answer = self.raw(method, path, **options)
        if isinstance(expect, str):
            assert answer.status_code >= 400 and answer.json()["code"] == expect, (answer.status_code, answer.text)
        else:
            assert answer.status_code == expect, (answer.status_code, answer.text)
        return answer.json()

    def get(self, path: str, expect: int | str = 200, **params: Any) -> Any:
        return self.ask("GET", path, expect, params=params)

    def post(self, path: str, body: Any = None, expect: int | str = 200) -> Any:
        return self.ask("POST", path, expect, **({} if body is None else {"json": body}))

    def pages(self, path: str, **params: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        cursor: dict[str, Any] = {}
        for _ in range(2000):
            page = self.get(path, **params, **cursor)
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}
        raise AssertionError("a list that does not end")


class Agent(Caller):
    def __init__(self, desk: Desk, made: dict[str, Any]) -> None:
        super().__init__(desk.venue.http, made["api_key"])
        self.desk, self.made = desk, made
        self.id: str = made["agent_id"]
        self.account_id: str = made.get("account_id", "")

    def body(self, side: str, price: int | None, qty: int, **fields: Any) -> dict[str, Any]:
        kind: dict[str, Any] = {"type": "MARKET"} if price is None else {"type": "LIMIT", "price": price}
        return {"market_id": self.desk.market, "side": side, "qty": qty, **kind, **fields}

    def order(self, side: str, price: int | None, qty: int, **fields: Any) -> dict[str, Any]:
        """The order body of the answer, which is 200 whatever becomes of the order."""
        return self.post("/orders", self.body(side, price, qty, **fields))

    def buy(self, price: int | None, qty: int, **fields: Any) -> dict[str, Any]:
        return self.order("BUY", price, qty, **fields)

    def sell(self, price: int | None, qty: int, **fields: Any) -> dict[str, Any]:
        return self.order("SELL", price, qty, **fields)

    def rests(self, side: str, price: int, qty: int, **fields: Any) -> dict[str, Any]:
        order = self.order(side, price, qty, **fields)
        assert order["status"] == "OPEN", order
        return order

    def declined(self, code: str, side: str, price: int | None, qty: int, **fields: Any) -> dict[str, Any]:
        """The numbers of the repair."""
        order = self.order(side, price, qty, **fields)
        assert (order["status"], order["reject_reason"]) == ("REJECTED", code), order
        return order["reject_details"]

    def now(self, order: dict[str, Any]) -> dict[str, Any]:
        return self.get(f"/orders/{order['order_id']}")

    def account(self) -> dict[str, Any]:
        return self.get("/account")

    def position(self) -> dict[str, Any]:
        found = [p for p in self.get("/positions")["items"] if p["market_id"] == self.desk.market]
        return found[0] if found else {"net_qty": 0, "cash_flow_cents": 0, "locked_cents": 0}

    def open_orders(self) -> list[dict[str, Any]]:
        found = self.pages("/orders", status="OPEN", limit=250)
        return found + self.pages("/orders", status="PARTIALLY_FILLED", limit=250)


class Desk:
    """One running venue with a market that stays open for an hour."""

    _names = itertools.count(1)

    def __init__(self, host: Host, venue: VenueProcess) -> None:
        self.host, self.venue = host, venue
        self.anyone = Caller(venue.http)
        self.admin = Caller(venue.http, ADMIN)
        self.agents: list[Agent] = []
        self.sessions: dict[str, Caller] = {}
        self.market = ""

    def wait_open(self, within_s: float = 10) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            items = self.anyone.get("/markets", status="OPEN")["items"]
            return items[0] if items else None

        market = until("an OPEN market", found, within_s)
        self.market = market["id"]
        return market

    def at(self, venue: VenueProcess) -> None:
        """The same data, served by another process."""
        self.venue = venue
        for caller in (self.anyone, self.admin, *self.agents):
            caller.http = venue.http

    def signup(self, **fields: Any) -> Agent:
        name = f"tester-{next(self._names)}"
        body = {"email": f"{name}@example.com", "agent_name": name, **fields}
        agent = Agent(self, self.anyone.post("/auth/signup", body, 201))
        self.agents.append(agent)
        return agent

    def owner(self, agents: int = 1, **fields: Any) -> tuple[Caller, list[Agent]]:
        """An account with a session and so many agents, each with a key and a share of the cash."""
        first = self.signup(password="correct horse battery", **fields)
        login = {"email": f"{first.made['agent_name']}@example.com", "password": "correct horse battery"}
        session = Caller(self.venue.http, self.anyone.post("/auth/login", login)["session_token"])
        self.sessions[first.account_id] = session
        all_agents = [first]
        share = first.made["testnet_cash_cents"] // agents
        for number in range(2, agents + 1):
            name = f"{first.made['agent_name']}.{number}"
            made = session.post("/me/agents", {"name": name}, 201)
            key = session.post(f"/me/agents/{made['agent_id']}/keys", {"name": "trading"}, 201)
            session.post("/me/transfers", {"from": first.id, "to": made["agent_id"], "amount_cents": share})
            other = Agent(self, {**made, **key, "account_id": first.account_id})
            self.agents.append(other)
            all_agents.append(other)
        return session, all_agents

    def calm(self) -> None:
        """An empty book and a last trade at 50, so that no price of the next test is far from the mark."""
        for agent in self.agents:
            agent.post("/orders/cancel", {})
        self.agents.clear()
        one, two = self.signup(), self.signup()
        one.rests("SELL", 50, 1, confirm_fat_finger=True)
        assert two.buy(50, 1, confirm_fat_finger=True)["status"] == "FILLED"

    def book(self, **params: Any) -> tuple[list[list[int]], list[list[int]]]:
        book = self.anyone.get(f"/markets/{self.market}/book", **params)
        return book["bids"], book["asks"]

    def now_ms(self) -> int:
        return ms(self.anyone.ask("GET", "//health")["now"])


def leave(desk: Desk, agent: Agent, cash: int) -> None:
    """The agent, of an account made by `Desk.owner`, with exactly that much."""
    more = agent.account()["free_cash_cents"] - cash
    desk.sessions[agent.account_id].post("/me/transfers", {"from": agent.id, "to": "master", "amount_cents": more})
    assert agent.account()["free_cash_cents"] == cash


def taker_fee(fills: Iterable[tuple[int, int]], rate_bps: int = 700) -> int:
    """Section 8: θ·p·(1−p) a contract, an order's total rounded up to a cent."""
    exact = sum(rate_bps * price * (100 - price) * qty for price, qty in fills)
    return -(-exact // 1_000_000)


def maker_fee(fills: Iterable[tuple[int, int]], rate_bps: int = 700, rebate_bps: int = 2500) -> int:
    """The maker's share of the taker's fee, an order's total rounded down; as a fee it is negative."""
    exact = sum(rate_bps * price * (100 - price) * qty for price, qty in fills)
    return -(exact * rebate_bps // 10_000_000_000)


def collateral(n: int, c: int, buys: Iterable[tuple[int, int]] = (), sells: Iterable[tuple[int, int]] = ()) -> int:
    b = sum(price * qty for price, qty in buys)
    s = sum((100 - price) * qty for price, qty in sells)
    return max(0, -c + b, -c - 100 * n + s)
