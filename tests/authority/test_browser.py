"""What a browser is told: cookies, origins, and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.api.harness import Desk, opened_desk
from tests.authority.cast import PASSWORD, ROOMY, Person, bearer, person
from tests.authority.test_routes import TABLE


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path, limits=ROOMY) as desk:
        yield desk


async def cookie_of(desk: Desk, base: str, client: str = "127.0.0.1", **headers: str) -> str:
    transport = httpx2.ASGITransport(desk.http._transport.app, client=(client, 5))  # type: ignore[attr-defined]
    async with httpx2.AsyncClient(transport=transport, base_url=base) as http:
        body = {"email": "ada@example.org", "password": PASSWORD}
        response = await http.post("/api/v1/auth/login", json=body, headers=headers)
    assert response.status_code == 200, response.text
    return str(response.headers["set-cookie"])


async def test_the_sessions_cookie(desk: Desk) -> None:
    """Never readable by a page, never sent by another site, and Secure but where nothing leaves the machine."""
    body = {"email": "ada@example.org", "agent_name": "ada", "password": PASSWORD}
    assert (await desk.http.post("/api/v1/auth/signup", json=body)).status_code == 201
    local = "http://127.0.0.1:8000"
    for base, client, headers, secure in (
        (local, "127.0.0.1", {}, False),
        ("https://arena.example", "203.0.113.9", {}, True),
        ("http://arena.example", "127.0.0.1", {}, True),
        (local, "127.0.0.1", {"X-Forwarded-Proto": "https"}, True),
        (local, "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, True),
        (local, "127.0.0.1", {"Via": "1.1 edge"}, True),
    ):
        cookie = await cookie_of(desk, base, client, **headers)
        parts = {part.strip().partition("=")[0] for part in cookie.split(";")}
        assert {"raeth_session", "HttpOnly", "SameSite", "Path", "Max-Age"} <= parts and "Domain" not in parts
        assert "SameSite=Strict" in cookie and ("Secure" in parts) == secure, (base, client, headers)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://venue:81", "http://venue.evil.example", "x"])
async def test_a_page_of_another_origin_writes_nothing_with_the_cookie(desk: Desk, origin: str) -> None:
    ada = await person(desk, "ada")
    before = desk.sequencer.state.seq
    cookie = {"Cookie": f"raeth_session={ada.session}", "Origin": origin}
    # Among them the kinds of body a page can send to another site without asking first.
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        headers = {**cookie, "Content-Type": content_type}
        response = await desk.http.post("/api/v1/me/agents", content=b'{"name": "another"}', headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")
    assert desk.sequencer.state.seq == before
    # A bearer is nothing a browser adds by itself.
    headers = {**bearer(ada.session), "Origin": origin}
    assert (await desk.http.post("/api/v1/me/agents", json={"name": "another"}, headers=headers)).status_code == 201


async def test_the_cookie_is_nobody_on_an_event_stream(desk: Desk) -> None:
    ada = await person(desk, "ada")
    headers = {"Cookie": f"raeth_session={ada.session}"}
    response = await desk.http.get(f"/api/v1/sse?channels=private.{ada.agent_id}", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "AUTH_MISSING")


async def test_every_answer_carries_the_headers_and_none_opens_to_other_origins(desk: Desk) -> None:
    ada = await person(desk, "ada")
    names = {"order_id": "x", "client_order_id": "x", "market_id": desk.symbol, "agent_id": "x", "key_id": "x"}
    pages = 0
    for route in TABLE:
        method, path = route.split()
        path = path.format(**names, slug="x")
        for headers in ({}, bearer(ada.api_key), bearer(ada.session), {"Origin": "http://evil.example"}):
            for verb in (method, "OPTIONS", "TRACE"):
                asked = {**headers, "Origin": "http://evil.example", "Access-Control-Request-Method": method}
                if verb == method:
                    asked = headers
                if path == "/api/v1/auth/logout" and headers == bearer(ada.session):
                    continue
                response = await desk.http.request(verb, path, headers=asked)
                told = {name.lower() for name in response.headers}
                assert response.headers["x-content-type-options"] == "nosniff", route
                assert response.headers["cache-control"] == "no-store", route
                assert not {name for name in told if name.startswith("access-control-")}, route
                assert "strict-transport-security" not in told, "TLS is the proxy's, and so is this promise"
                assert not {"server", "x-powered-by"} & told
                assert verb == method or response.status_code == 404, (verb, route)
                if response.headers["content-type"].startswith("text/html"):
                    pages += 1
                    policy = response.headers["content-security-policy"]
                    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
                    assert "script-src" not in policy and "unsafe-eval" not in policy
                    assert response.headers["referrer-policy"] == "no-referrer"
                    assert response.headers["x-frame-options"] == "DENY"
                    assert "<script" not in response.text.lower()
    assert pages >= 2


async def test_what_others_wrote_is_text_on_a_page(desk: Desk) -> None:
    """Names are of a few characters; an operator's words are not, and stay words."""
    response = await desk.http.post(
        "/api/v1/admin/freeze",
        json={"reason": "<script>alert(1)</script><img src=x onerror=alert(1)>"},
        headers=bearer("rk_admin_" + "a" * 32),
    )
    assert response.status_code == 200
    for path in ("/status", "/docs"):
        page = (await desk.http.get(path)).text
        assert "<script" not in page and "<img" not in page


async def test_a_host_that_was_made_up_is_not_repeated(desk: Desk) -> None:
    for host in ("evil.example/<b>", "evil example", "evil.example\tx", '"onload="x'):
        for path in ("/llms.txt", "/skill.md", "/docs", "/status"):
            text = (await desk.http.get(path, headers={"Host": host})).text
            assert host not in text, (path, host)


async def test_names_cannot_be_markup(desk: Desk) -> None:
    ada: Person = await person(desk, "ada")
    for name in ("<b>x</b>", "a'b\"c", "a&amp;b", "../../x", "x\r\nSet-Cookie: a=b", "ａｄｍｉｎ", "аdmin"):
        await ada.ask("POST", "/me/agents", 422, json={"name": name})
        response = await desk.http.get("/api/v1/series", headers={"X-Request-ID": name.encode("utf-8")})
        assert response.headers["x-request-id"] != name
