"""Signup, sessions, agents, keys, transfers, and every way a credential can fail (contract, section 2)."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import httpx2
import pytest
from freezegun import freeze_time

from raeth.api.credentials import digest_of, load_admin_token, load_pepper, new_key, token_hash
from raeth.api.routes.auth import RESERVED, SESSION_MS
from raeth.api.venue import PASSWORDS_WAITING
from raeth.clock import iso_ms, real_now_ms
from raeth.engine import commands as cmd
from raeth.engine.types import KeySpec
from tests.api.harness import LIMITS, PEPPER, Desk, Trader, opened_desk
from tests.api.test_core import order
from tests.cases import case

PASSWORD = "correct horse"
ROOMY = LIMITS.model_copy(update={"signups_per_minute": 1_000})


class Owner:
    """A person who signed up and logged in."""

    def __init__(self, desk: Desk, signup: dict[str, Any], token: str) -> None:
        self.desk = desk
        self.signup = signup
        self.token = token

    async def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.desk.http.request(method, "/api/v1" + path, headers=headers, **options)

    async def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        response = await self.call(method, path, **options)
        assert response.status_code == status, response.text
        return response.json()

    async def refused(self, code: str, status: int, method: str, path: str, **options: Any) -> Any:
        body = await self.ask(method, path, status, **options)
        assert body["code"] == code, body
        return body

    async def with_key(self, **fields: Any) -> dict[str, Any]:
        agent = self.signup["agent_id"]
        return await self.ask("POST", f"/me/agents/{agent}/keys", 201, json={"name": "k", **fields})


@pytest.fixture
async def desk(tmp_path: Path) -> Any:
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        yield desk


async def sign_up(desk: Desk, name: str, password: str | None = PASSWORD, status: int = 201) -> dict[str, Any]:
    body = {"email": f"{name}@example.org", "agent_name": name} | ({"password": password} if password else {})
    response = await desk.http.post("/api/v1/auth/signup", json=body)
    assert response.status_code == status, response.text
    return response.json()


async def owner(desk: Desk, name: str = "ada-1") -> Owner:
    signup = await sign_up(desk, name)
    login = {"email": f"{name}@example.org", "password": PASSWORD}
    answer = (await desk.http.post("/api/v1/auth/login", json=login)).json()
    desk.http.cookies.clear()
    return Owner(desk, signup, answer["session_token"])


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def code_of(desk: Desk, key: str, path: str = "/account", method: str = "GET", **headers: str) -> tuple[int, Any]:
    response = await desk.http.request(method, "/api/v1" + path, headers={**bearer(key), **headers})
    return response.status_code, response.json().get("code")


# ---- signup and login ----


async def test_one_call_gives_an_agent_that_can_trade(desk: Desk) -> None:
    answer = await sign_up(desk, "ada-1", None)
    assert answer["scopes"] == ["read", "trade"] and answer["testnet_cash_cents"] == 100_000
    response = await desk.http.post("/api/v1/orders", json=order(desk), headers=bearer(answer["api_key"]))
    assert response.json()["status"] == "OPEN" and response.json()["agent_id"] == answer["agent_id"]


async def test_the_alias_is_the_same_call(desk: Desk) -> None:
    body = {"email": "m@example.org", "agent_name": "model-1", "password": None}
    answer = await desk.http.post("/api/auth/mcp-signup", json=body)
    assert answer.status_code == 201 and answer.json()["agent_name"] == "model-1"


async def test_names_and_addresses_are_taken_once(desk: Desk) -> None:
    await sign_up(desk, "ada-1")
    for email, name, code in [
        (" ADA-1@example.org ", "other", "EMAIL_TAKEN"),
        ("new@example.org", "ADA-1", "AGENT_NAME_TAKEN"),
        ("new@example.org", "House", "AGENT_NAME_TAKEN"),
        ("new@example.org", "master", "AGENT_NAME_TAKEN"),
    ]:
        response = await desk.http.post("/api/v1/auth/signup", json={"email": email, "agent_name": name})
        assert (response.status_code, response.json()["code"]) == (409, code)
    assert {"house", "admin", "master"} <= RESERVED


async def test_of_two_signups_at_once_one_wins(desk: Desk) -> None:
    bodies = [{"email": "x@example.org", "agent_name": f"x-{n}", "password": PASSWORD} for n in range(4)]
    answers = await asyncio.gather(*(desk.http.post("/api/v1/auth/signup", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    identity = await desk.venue.store.identity_by_email("x@example.org")
    winner = next(answer.json() for answer in answers if answer.status_code == 201)
    assert identity is not None and winner["account_id"] == next(
        text for text in [winner["account_id"]] if desk.sequencer.state.accounts[identity.account]
    )


WRONG_SIGNUPS: list[tuple[dict[str, Any], int]] = [
    ({"email": "no-at"}, 422),
    ({"email": "a@b c"}, 422),
    ({"email": "@x"}, 422),
    ({"email": 5}, 400),
    ({"email": "x" * 250 + "@example.org"}, 422),
    ({"agent_name": "ab"}, 422),
    ({"agent_name": "-abc"}, 422),
    ({"agent_name": "a" * 33}, 422),
    ({"agent_name": "abc\n"}, 422),
    ({"password": "short"}, 422),
    ({"password": "é" * 513}, 422),
    ({"passwort": "12345678"}, 400),
]


async def test_a_signup_is_checked(desk: Desk) -> None:
    for fields, status in WRONG_SIGNUPS:
        with case(fields, status):
            body = {"email": "a@example.org", "agent_name": "abc"} | fields
            response = await desk.http.post("/api/v1/auth/signup", json=body)
            assert response.status_code == status, response.text
            assert not desk.sequencer.state.accounts


async def test_no_secret_is_kept(desk: Desk, tmp_path: Path) -> None:
    person = await owner(desk)
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("raeth.db*"))
    for secret in (person.signup["api_key"].rpartition("_")[2], person.token, PASSWORD):
        assert secret.encode() not in kept
    assert token_hash(person.token).encode() in kept


async def test_wrong_logins_all_look_alike(desk: Desk) -> None:
    await sign_up(desk, "ada-1")
    await sign_up(desk, "nopass", None)
    bodies = set()
    for email, password in [
        ("ada-1@example.org", "wrong one"),
        ("nobody@example.org", PASSWORD),
        ("nopass@example.org", "nobody has this one"),
        ("nopass@example.org", ""),
    ]:
        response = await desk.http.post("/api/v1/auth/login", json={"email": email, "password": password})
        assert (response.status_code, response.json()["code"]) == (401, "INVALID_CREDENTIALS")
        bodies.add(response.json()["message"])
    assert len(bodies) == 1


async def test_a_session_is_a_cookie_too_and_logout_ends_it(desk: Desk) -> None:
    signup = await sign_up(desk, "ada-1")
    login = {"email": "Ada-1@Example.org", "password": PASSWORD}
    response = await desk.http.post("/api/v1/auth/login", json=login)
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" in cookie
    desk.http.cookies.set("raeth_session", response.json()["session_token"])  # the test's client speaks no TLS
    assert (await desk.http.get("/api/v1/me")).json()["account_id"] == signup["account_id"]
    assert (await desk.http.get("/api/v1/account")).status_code == 400, "an owner must say which agent"
    assert (await desk.http.get("/api/v1/meta/version")).status_code == 200
    assert (await desk.http.post("/api/v1/auth/logout")).json() == {"ended": True}
    desk.http.cookies.set("raeth_session", response.json()["session_token"])
    assert (await desk.http.get("/api/v1/me")).json()["code"] == "AUTH_INVALID"
    desk.http.cookies.clear()
    assert (await desk.http.get("/api/v1/me")).json()["code"] == "AUTH_MISSING"


async def test_no_more_passwords_wait_than_can_be_hashed_soon(desk: Desk) -> None:
    passwords = desk.venue.passwords
    hashing = [asyncio.create_task(passwords.hash("p" * 8)) for _ in range(PASSWORDS_WAITING)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (await sign_up(desk, "ada-1", status=503))["code"] == "SERVICE_DEGRADED"
    await sign_up(desk, "ada-2", None)
    for task in hashing[1:]:
        task.cancel()
    assert (await hashing[0]).startswith("$argon2id$")
    passwords._pool.shutdown(cancel_futures=True)


async def test_the_cookie_is_found_beside_those_of_other_programs(desk: Desk) -> None:
    person = await owner(desk)
    desk.http.cookies.clear()
    cookies = {"Cookie": f'theirs={{"a": 1}}; raeth_session={person.token}; odd'}
    assert (await desk.http.get("/api/v1/me", headers=cookies)).status_code == 200


FROM_PAGES: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"Origin": "http://venue"}, True),
    ({"Origin": "https://venue"}, True),  # a proxy may have taken the TLS off
    ({"Origin": "http://venue:3000"}, False),
    ({"Origin": "null"}, False),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "https://public.name"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-site", "Origin": "http://venue"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
]


async def test_a_cookie_changes_nothing_for_a_page_of_another_origin(desk: Desk) -> None:
    person = await owner(desk)
    agents = 1
    for headers, allowed in FROM_PAGES:
        with case(headers):
            sent = {"Cookie": f"raeth_session={person.token}", **headers}
            read = await desk.http.get("/api/v1/me", headers=sent)
            assert read.status_code == 200, "what it answers the browser keeps"
            response = await desk.http.post("/api/v1/me/agents", json={"name": f"ada-{agents + 1}"}, headers=sent)
            assert response.status_code == (201 if allowed else 403)
            agents += allowed
            assert len((await person.ask("GET", "/me"))["agents"]) == agents
            assert (await desk.http.post("/api/v1/auth/login", json={}, headers=sent)).status_code == 400


async def test_a_session_ends_in_real_time(desk: Desk) -> None:
    person = await owner(desk)
    desk.clock.advance(10 * SESSION_MS)  # venue time does not matter
    await person.ask("GET", "/me")
    with freeze_time(iso_ms(real_now_ms() + SESSION_MS), real_asyncio=True):
        await person.refused("AUTH_EXPIRED", 401, "GET", "/me")


async def test_signups_and_logins_of_an_address_are_limited(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"signups_per_minute": 3, "signups_per_day": 2})
    async with opened_desk(tmp_path, limits=limits) as desk:
        response = await desk.http.post("/api/v1/auth/login", content=b"{")
        assert response.status_code == 400, "the budget counts what fails"
        assert (response.headers["x-ratelimit-limit"], response.headers["x-ratelimit-remaining"]) == ("3", "2")
        await sign_up(desk, "ada-1", None)
        await sign_up(desk, "ada-2", None)
        for path in ("/api/v1/auth/login", "/api/v1/auth/signup", "/api/v1/auth/mcp-signup"):
            response = await desk.http.post(path, content=b"{")
            assert (response.status_code, response.json()["code"]) == (429, "RATE_LIMITED")
            assert int(response.headers["retry-after"]) >= 1
        with freeze_time(iso_ms(real_now_ms() + 61_000), real_asyncio=True):
            assert (await desk.http.post("/api/v1/auth/login", content=b"{")).status_code == 400
            response = await desk.http.post("/api/v1/auth/signup", content=b"{")
            assert response.status_code == 429 and int(response.headers["retry-after"]) > 3_600


# ---- keys ----


async def test_a_key_is_issued_listed_rotated_and_revoked(desk: Desk) -> None:
    person = await owner(desk)
    agent = person.signup["agent_id"]
    issued = await person.with_key(scopes=["cancel"], allowed_ips=["127.0.0.1", "10.0.0.1/8"])
    assert issued["scopes"] == ["cancel"] and issued["allowed_ips"] == ["127.0.0.1/32", "10.0.0.0/8"]
    listed = await person.ask("GET", f"/me/agents/{agent}/keys")
    assert [key["name"] for key in listed["items"]] == ["k", "signup"] and "api_key" not in str(listed)
    assert await code_of(desk, issued["api_key"]) == (403, "SCOPE_REQUIRED")
    rotated = await person.ask("POST", f"/me/agents/{agent}/keys/{issued['key_id']}/rotate", 201)
    assert rotated["scopes"] == ["cancel"] and rotated["key_id"] != issued["key_id"]
    assert await code_of(desk, issued["api_key"]) == (401, "AUTH_REVOKED")
    response = await desk.http.post("/api/v1/orders/cancel", json={}, headers=bearer(rotated["api_key"]))
    assert response.json()["cancelled"] == 0
    gone = await person.ask("DELETE", f"/me/agents/{agent}/keys/{rotated['key_id']}")
    assert gone["key_id"] == rotated["key_id"]
    assert await code_of(desk, rotated["api_key"], "/orders/cancel", "POST") == (401, "AUTH_REVOKED")
    forged = rotated["api_key"][:-1] + ("0" if rotated["api_key"][-1] != "0" else "1")
    assert await code_of(desk, forged) == (401, "AUTH_INVALID"), "only who has the secret learns that it was revoked"
    await person.refused("NOT_FOUND", 404, "DELETE", f"/me/agents/{agent}/keys/{rotated['key_id']}")
    await person.refused("NOT_FOUND", 404, "POST", f"/me/agents/{agent}/keys/nonsense/rotate")


async def test_a_key_expires_in_real_time(desk: Desk) -> None:
    person = await owner(desk)
    soon = real_now_ms() + 60_000
    first = await person.with_key(expires_at=iso_ms(soon))
    second = await person.with_key(expires_at_ms=soon)
    assert first["expires_at"] == second["expires_at"] == iso_ms(soon)
    assert await code_of(desk, first["api_key"]) == (200, None)
    with freeze_time(iso_ms(soon + 1), real_asyncio=True):
        assert await code_of(desk, first["api_key"]) == (401, "AUTH_EXPIRED")
        assert await code_of(desk, second["api_key"]) == (401, "AUTH_EXPIRED")


WRONG_KEY_REQUESTS: list[tuple[dict[str, Any], int]] = [
    ({"name": ""}, 422),
    ({"scopes": []}, 422),
    ({"scopes": ["read", "read"]}, 422),
    ({"scopes": ["admin"]}, 422),
    ({"scopes": "read"}, 400),
    ({"allowed_ips": ["nonsense"]}, 422),
    ({"expires_at": "2020-01-01T00:00:00Z"}, 422),
    ({"expires_at": "2099-01-01T00:00:00"}, 422),
    ({"expires_at": 5}, 400),
    ({"expires_at_ms": 5}, 422),
    ({"expires_at_ms": 253_402_300_800_000}, 422),
    ({"expires_at": "9999-12-31T23:59:59-01:00"}, 422),
    ({"expires_at": "2099-01-01T00:00:00Z", "expires_at_ms": 4_000_000_000_000}, 422),
]


async def test_a_key_request_is_checked(desk: Desk) -> None:
    person = await owner(desk)
    for fields, status in WRONG_KEY_REQUESTS:
        with case(fields, status):
            body = {"name": "k"} | fields
            code = "BAD_REQUEST" if status == 400 else "VALIDATION_FAILED"
            await person.refused(code, status, "POST", f"/me/agents/{person.signup['agent_id']}/keys", json=body)


async def test_keys_and_agents_have_caps(desk: Desk) -> None:
    person = await owner(desk)
    for _ in range(19):
        await person.with_key()
    path = f"/me/agents/{person.signup['agent_id']}/keys"
    body = await person.refused("VALIDATION_FAILED", 422, "POST", path, json={"name": "k"})
    assert body["details"] == [{"field": "keys_per_agent", "message": "at most 20", "type": "limit_reached"}]
    page = await person.ask("GET", path, params={"limit": 15})
    rest = await person.ask("GET", path, params={"limit": 15, "cursor": page["next_cursor"]})
    ids = [key["key_id"] for key in page["items"] + rest["items"]]
    assert len(set(ids)) == 20 and rest["next_cursor"] is None and rest["items"][-1]["name"] == "signup"
    await person.refused("INVALID_CURSOR", 422, "GET", path, params={"cursor": "x"})
    for n in range(9):
        made = await person.ask("POST", "/me/agents", 201, json={"name": f"ada-1-{n}"})
        assert made["cash_cents"] == 0
    await person.refused("VALIDATION_FAILED", 422, "POST", "/me/agents", json={"name": "one-more"})
    await person.refused("AGENT_NAME_TAKEN", 409, "POST", "/me/agents", json={"name": "Admin"})
    listed = await person.ask("GET", "/me/agents")
    assert len(listed["items"]) == 10 and listed["items"][0]["name"] == "ada-1-8"
    assert len((await person.ask("GET", "/me"))["agents"]) == 10


async def test_addresses_are_held_against_the_key(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        person = await owner(desk)
        inside = await person.with_key(allowed_ips=["127.0.0.0/8"])
        outside = await person.with_key(allowed_ips=["198.51.100.0/24", "2001:db8::/32"])
        forwarded = {"X-Forwarded-For": "198.51.100.7"}
        assert await code_of(desk, inside["api_key"], **forwarded) == (200, None), "nobody trusts this header"
        assert await code_of(desk, outside["api_key"], **forwarded) == (403, "IP_NOT_ALLOWED")
        trusting = desk.venue.settings.model_copy(update={"trusted_proxies": ["127.0.0.1/32", "10.0.0.0/8"]})
        desk.venue.settings = trusting
        desk.venue.door.__init__(desk.venue, PEPPER, "rk_admin_x")  # type: ignore[misc]
        for hops, allowed in [
            ("198.51.100.7", True),
            ("2001:db8::5", True),
            ("198.51.100.7, 10.1.1.1", True),
            ("198.51.100.7, 203.0.113.9, 10.1.1.1", False),
            ("203.0.113.9", False),
            ("nonsense", False),
            ("", False),
        ]:
            status, _ = await code_of(desk, outside["api_key"], **{"X-Forwarded-For": hops})
            assert (status == 200) == allowed, hops


async def test_an_owner_reaches_only_its_own(desk: Desk) -> None:
    ada, eve = await owner(desk), await owner(desk, "eve-1")
    theirs = ada.signup["agent_id"]
    key = await ada.with_key()
    await eve.refused("FORBIDDEN", 403, "GET", f"/me/agents/{theirs}/keys")
    await eve.refused("FORBIDDEN", 403, "POST", f"/me/agents/{theirs}/keys", json={"name": "k"})
    await eve.refused("FORBIDDEN", 403, "DELETE", f"/me/agents/{theirs}/keys/{key['key_id']}")
    await eve.refused("FORBIDDEN", 403, "POST", f"/me/agents/{theirs}/keys/{key['key_id']}/rotate")
    await eve.refused("FORBIDDEN", 403, "GET", "/account", params={"agent_id": theirs})
    await eve.refused("NOT_FOUND", 404, "GET", "/account", params={"agent_id": "nonsense"})
    await eve.refused("NOT_FOUND", 404, "GET", "/me/agents/nonsense/keys")
    await eve.refused("BAD_REQUEST", 400, "GET", "/account")
    own = await ada.ask("GET", "/account", params={"agent_id": theirs})
    assert own["cash_cents"] == 100_000
    assert await code_of(desk, eve.signup["api_key"], f"/account?agent_id={theirs}") == (403, "FORBIDDEN")
    assert await code_of(desk, key["api_key"], f"/account?agent_id={theirs}") == (200, None)


# ---- transfers ----


async def test_cash_moves_between_the_wallets_of_an_account(desk: Desk) -> None:
    person = await owner(desk)
    first = person.signup["agent_id"]
    second = (await person.ask("POST", "/me/agents", 201, json={"name": "ada-2"}))["agent_id"]

    async def move(source: str, target: str, cents: int, status: int = 200, **more: Any) -> Any:
        body = {"from": source, "to": target, "amount_cents": cents} | more
        return await person.ask("POST", "/me/transfers", status, json=body)

    done = await move(first, "master", 30_000, client_transfer_id="t-1")
    assert (done["from"], done["to"], done["replayed"]) == (first, "master", False)
    again = await move(first, "master", 30_000, client_transfer_id="t-1")
    assert again == done | {"replayed": True}
    conflict = await move(first, "master", 30_001, 409, client_transfer_id="t-1")
    assert conflict["code"] == "IDEMPOTENCY_CONFLICT"
    await move("master", second, 10_000)
    me = await person.ask("GET", "/me")
    assert me["master"]["cash_cents"] == 20_000 and me["email"] == "ada-1@example.org"
    assert {agent["name"]: agent["cash_cents"] for agent in me["agents"]} == {"ada-1": 70_000, "ada-2": 10_000}
    for source, wallet in (("master", "master"), (second, second)):
        target = first if source == "master" else "master"
        short = await move(source, target, 99_999_999, 400)
        assert short["code"] == "INSUFFICIENT_BALANCE" and short["details"]["wallet"] == wallet
    eve = await owner(desk, "eve-1")
    assert (await move(first, eve.signup["agent_id"], 1, 403))["code"] == "FORBIDDEN"
    assert (await move(first, "0193b2c4-7d10-8000-8000-000000200001", 1, 404))["code"] == "NOT_FOUND"
    for body in ({"to": first}, {"amount_cents": 0}, {"amount_cents": -5}, {"from": "somebody"}):
        whole = {"from": first, "to": "master", "amount_cents": 1} | body
        await person.refused("VALIDATION_FAILED", 422, "POST", "/me/transfers", json=whole)
    await desk.submit(cmd.Freeze("ops", "test"))
    assert (await move(first, "master", 1, 503))["code"] == "EXCHANGE_FROZEN"
    assert (await move(first, "master", 30_000, client_transfer_id="t-1"))["replayed"], "a replay changes nothing"


async def test_locked_cash_does_not_move(desk: Desk) -> None:
    person = await owner(desk)
    await desk.http.post("/api/v1/orders", json=order(desk, qty=1_000), headers=bearer(person.signup["api_key"]))
    body = {"from": person.signup["agent_id"], "to": "master", "amount_cents": 60_000}
    short = await person.refused("INSUFFICIENT_BALANCE", 400, "POST", "/me/transfers", json=body)
    assert short["details"]["free_cash_cents"] == 50_000


# ---- tickets, and what lies under the credentials ----


async def test_a_ticket_names_its_agent_and_ends_soon(desk: Desk) -> None:
    alice = await desk.trader("alice")
    answer = await alice.ask("POST", "/auth/ws-ticket", 201)
    row = await desk.venue.store.ticket(token_hash(answer["ticket"]))
    assert row is not None and (row.agent, row.claim) == (alice.agent, None)
    assert 0 < row.expires_real_ms - real_now_ms() <= 60_000


async def test_the_pepper_is_made_once(desk: Desk) -> None:
    first = await load_pepper(desk.sequencer, desk.venue.store)
    assert len(first) == 32 and await load_pepper(desk.sequencer, desk.venue.store) == first


def test_the_admin_token_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "admin-token"
    token = load_admin_token(path)
    assert token.startswith("rk_admin_") and len(token) > 40 and load_admin_token(path) == token
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_keys_are_random_and_only_their_digest_is_kept() -> None:
    first, second = new_key(PEPPER), new_key(PEPPER)
    assert first.key_id != second.key_id and first.digest not in first.text
    assert first.digest == digest_of(PEPPER, first.text.rpartition("_")[2].encode()) != digest_of(b"x" * 32, b"")


async def test_a_suspended_agent_reads_and_cancels(desk: Desk) -> None:
    alice: Trader = await desk.trader("alice")
    await desk.submit(cmd.SuspendAgent("ops", alice.agent, "test"))
    await alice.refused("AGENT_SUSPENDED", 403, "POST", "/orders", json=order(desk))
    await alice.ask("GET", "/account")
    await alice.ask("POST", "/orders/cancel", json={})


async def test_a_key_issued_behind_the_doors_back_works(desk: Desk) -> None:
    alice = await desk.trader("alice")
    key = new_key(PEPPER)
    spec = KeySpec(key.key_id, key.digest, "k", ("read",))
    pending = asyncio.ensure_future(desk.sequencer.submit(cmd.IssueKey(alice.account, alice.agent, spec)))
    await asyncio.sleep(0)
    assert (await code_of(desk, key.text))[0] in (200, 401)
    await pending
    assert await code_of(desk, key.text) == (200, None)
