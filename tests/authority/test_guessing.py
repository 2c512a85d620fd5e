"""Guessing is slow and tells nothing: budgets of an address whatever it tries, and comparisons that take one time."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from argon2 import PasswordHasher
from freezegun import freeze_time

import raeth
from raeth.clock import iso_ms, real_now_ms
from raeth.config import LimitSettings
from tests.api.harness import LIMITS, Desk, opened_desk
from tests.authority.cast import PASSWORD, bearer, person

SOURCE = Path(raeth.__file__).parent

SECRET_NAME = re.compile(r"digest|secret|token|password|pepper|hmac|ticket|signature", re.IGNORECASE)

NOT_COMPARISONS_OF_SECRETS = {
    "len(pepper) == PEPPER_BYTES",
    "digest in state.digests",  # of an e-mail address, under the pepper: a look-up by hash
    "command.email_digest in state.digests",
    "SESSIONS.c.token_hash == token_hash",  # a look-up by hash: what it takes says nothing of the token
    "TICKETS.c.ticket_hash == ticket_hash",
    "SECRETS.c.name == name",
    "name == 'ticket'",  # of a query parameter
}


@asynccontextmanager
async def venue(folder: Path, **changes: int) -> AsyncIterator[Desk]:
    limits: LimitSettings = LIMITS.model_copy(update=changes)
    async with opened_desk(folder, limits=limits) as desk:
        yield desk


@asynccontextmanager
async def seen_from(desk: Desk, address: str) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(desk.http._transport.app, client=(address, 5))  # type: ignore[attr-defined]
    async with httpx2.AsyncClient(transport=transport, base_url="http://venue") as http:
        yield http


# ---- budgets ----


async def test_passwords_are_guessed_slowly_over_as_many_accounts_as_one_likes(tmp_path: Path) -> None:
    async with venue(tmp_path, signups_per_minute=3) as desk:
        told = []
        for n in range(6):  # another account each time, a forged address, another name for the same call
            body = {"email": f"victim-{n}@example.org", "password": "password1"}
            path = ("/api/v1/auth/login", "/api/auth/login")[n % 2]
            headers = {"X-Forwarded-For": f"203.0.113.{n}", "X-Real-IP": f"203.0.113.{n}"}
            response = await desk.http.post(path, json=body, headers=headers)
            told.append(response.json()["code"])
        assert told == ["INVALID_CREDENTIALS"] * 3 + ["RATE_LIMITED"] * 3
        assert int(response.headers["retry-after"]) >= 1
        # The right password does not get past the budget either, so an answer tells nothing; another address does.
        response = await desk.http.post("/api/v1/auth/signup", json={"email": "a@example.org", "agent_name": "abc"})
        assert response.status_code == 429
        async with seen_from(desk, "198.51.100.1") as http:
            response = await http.post("/api/v1/auth/login", json={"email": "a@example.org", "password": "x"})
        assert response.status_code == 401
        with freeze_time(iso_ms(real_now_ms() + 61_000), real_asyncio=True):
            response = await desk.http.post("/api/v1/auth/login", json={"email": "a@example.org", "password": "x"})
        assert response.status_code == 401


async def test_keys_tokens_and_sessions_are_guessed_from_one_budget(tmp_path: Path) -> None:
    async with venue(tmp_path, anonymous_reads_per_minute=8, signups_per_minute=100) as desk:
        ada = await person(desk, "ada")
        guesses = [
            f"Bearer rk_live_{'0' * 16}_{'0' * 64}",
            f"Bearer {ada.api_key[:-1]}0" if ada.api_key[-1] != "0" else f"Bearer {ada.api_key[:-1]}1",
            f"Bearer rk_admin_{'0' * 43}",
            f"Bearer rs_{'0' * 43}",
            "Basic YTpi",
        ]
        paths = ["/api/v1/account", "/api/v1/admin/state", "/api/v1/me", "/api/v1/markets", "/api/v1/nowhere"]
        told = []
        for n in range(12):
            headers = {"Authorization": guesses[n % len(guesses)]}
            told.append((await desk.http.get(paths[n % len(paths)], headers=headers)).json()["code"])
        assert told == ["AUTH_INVALID"] * 8 + ["RATE_LIMITED"] * 4
        assert (await desk.http.get("/api/v1/me", headers={"Cookie": "raeth_session=rs_x"})).status_code == 429
        # Whoever has a good key at the same address is not shut out by it.
        assert (await desk.http.get("/api/v1/account", headers=bearer(ada.api_key))).status_code == 200


async def test_one_subscriber_is_one_address(tmp_path: Path) -> None:
    """A /64 is one caller's; an IPv4 address written as IPv6 is the same address."""
    async with venue(tmp_path, signups_per_minute=3) as desk:
        for group, budget in (
            (["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::3", "2001:db8:1:2:1:2:3:4"], 3),
            (["2001:db8:1:3::1"], 1),
            (["198.51.100.7", "::ffff:198.51.100.7", "::ffff:c633:6407", "198.51.100.7"], 3),
        ):
            codes = []
            for address in group:
                async with seen_from(desk, address) as http:
                    response = await http.post("/api/v1/auth/login", content=b"{")  # counts like any other
                    codes.append(response.status_code)
            assert codes == [400] * budget + [429] * (len(group) - budget), group


async def test_a_forwarded_address_counts_from_a_configured_proxy_only(tmp_path: Path) -> None:
    """Otherwise callers choose whose budget they use up, or use none up at all."""
    async with venue(tmp_path, anonymous_reads_per_minute=3) as desk:

        async def codes(peer: str, *forwarded: str) -> list[int]:
            async with seen_from(desk, peer) as http:
                return [
                    (await http.get("/api/v1/series", headers={"X-Forwarded-For": f})).status_code for f in forwarded
                ]

        assert await codes("192.0.2.1", "1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4") == [200, 200, 200, 429]
        desk.venue.settings = desk.venue.settings.model_copy(update={"trusted_proxies": ["10.0.0.0/8"]})
        desk.venue.door.__init__(desk.venue, desk.venue.pepper, "rk_admin_x")  # type: ignore[misc]
        assert await codes("192.0.2.1", "1.1.1.5") == [429], "not one of ours"
        assert await codes("10.0.0.1", "1.1.1.1", "1.1.1.1", "1.1.1.1", "1.1.1.1", "1.1.1.2") == [200] * 3 + [429, 200]
        # What the caller wrote before the proxy's own entry changes nothing.
        assert await codes("10.0.0.1", "9.9.9.9, 1.1.1.1", "127.0.0.1, 10.0.0.3, 1.1.1.1") == [429, 429]
        assert await codes("10.0.0.1", "1.1.1.1, 10.0.0.2") == [429], "two proxies of ours in a row"


# ---- what an answer tells ----


class Counting(PasswordHasher):
    """The venue's own hasher, and how often it was at work."""

    work = 0

    def verify(self, *arguments: Any, **options: Any) -> Any:
        self.work += 1
        return super().verify(*arguments, **options)


async def test_an_unknown_address_is_a_wrong_password(tmp_path: Path) -> None:
    """The same answer to the byte, after the same work: one verification of a hash with the same parameters."""
    async with venue(tmp_path, signups_per_minute=1_000) as desk:
        hasher = desk.venue.passwords._hasher = Counting()
        for name, password in (("ada", PASSWORD), ("keyless", None)):
            body = {"email": f"{name}@example.org", "agent_name": name, "password": password}
            assert (await desk.http.post("/api/v1/auth/signup", json=body)).status_code == 201
        told = set()
        for email in ("ada@example.org", "nobody@example.org", "keyless@example.org", "not an address", ""):
            hasher.work = 0
            body = {"email": email, "password": "not the password"}
            headers = {"X-Request-ID": "same"}
            response = await desk.http.post("/api/v1/auth/login", json=body, headers=headers)
            told.add((response.status_code, response.content, response.headers.get("set-cookie")))
            assert hasher.work == 1, email
        assert len(told) == 1
        nobody, identity = desk.venue.passwords._nobody, await desk.venue.store.identity_by_email("ada@example.org")
        assert nobody is not None and identity is not None and identity.password_hash is not None
        assert nobody.split("$")[1:4] == identity.password_hash.split("$")[1:4], "the same parameters"


@pytest.mark.parametrize("room", ["api", "store", "engine", "mcp"])
def test_no_secret_is_compared_byte_by_byte(room: str) -> None:
    """Wherever the source compares something that is called like a secret, it is `hmac.compare_digest`."""
    found = []
    for path in sorted((SOURCE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops):
                text = ast.unparse(node)
                if SECRET_NAME.search(text) and text not in NOT_COMPARISONS_OF_SECRETS:
                    found.append(f"{path.name}:{node.lineno}: {text}")
    assert found == []


def test_each_kind_of_credential_is_compared_in_constant_time() -> None:
    tree = ast.parse((SOURCE / "api" / "credentials.py").read_text())
    functions = {
        n.name: ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for name in ("_check_key", "_admit_key", "_admit_operator"):
        assert "hmac.compare_digest(" in functions[name], name
    # Sessions and tickets are found by a hash of 256 random bits: how far two hashes agree tells nothing of the words.
    assert "token_hash(token)" in functions["_admit_session"]
    people = (SOURCE / "api" / "streams" / "people.py").read_text()
    assert "token_hash(ticket)" in people
