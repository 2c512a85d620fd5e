"""The page as static content: headers, encodings, what is kept, what is not there; and what was really built."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.api.app import create_app
from raeth.terminal.site import DIST, TYPES, Site
from tests.api.harness import Desk, opened_desk
from tests.authority.cast import bearer, person

SCRIPT = b"let page;" * 500
FILES = {
    "index.html": b"<!doctype html><title>raeth</title>" + b" " * 2000,
    "index.html.gz": gzip.compress(b"<!doctype html><title>raeth</title>" + b" " * 2000),
    "index.html.br": b"as brotli has it",
    "favicon.svg": b"<svg/>",
    "assets/index-Ab3_x-9Z.js": SCRIPT,
    "assets/index-Ab3_x-9Z.js.gz": gzip.compress(SCRIPT),
    "assets/index-Ab3_x-9Z.js.br": b"as brotli has it too",
    "assets/plain.css": b"a{}",
    "assets/not-a-hash.css": b"b{}",
    "assets/other-vCbpdZUZ.strange": b"?",
}
SCRIPT_PATH = "/assets/index-Ab3_x-9Z.js"
BUDGET_BYTES = 200_000
"""Of all that the page consists of, as a browser gets it."""

REQUIRED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "vary": "Accept-Encoding",
}

built = pytest.mark.skipif(not (DIST / "index.html").exists(), reason="NOT TESTED: the page is not built")


def rules(policy: str) -> dict[str, list[str]]:
    return {name: sources for name, *sources in (part.split() for part in policy.split(";"))}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path) as desk:
        yield desk


def browser(desk: Desk, files: dict[str, bytes] | None = None) -> httpx2.AsyncClient:
    app: Any = create_app(desk.venue, site=Site(FILES if files is None else files))
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://venue")
    client.headers["accept-encoding"] = "identity"
    return client


@dataclass
class Sent:
    headers: dict[str, str]
    body: bytes


def answered(path: str, headers: dict[bytes, bytes], files: dict[str, bytes] | None = None) -> Sent:
    """What the site says to a GET of a path that it has."""
    reply = Site(FILES if files is None else files).answer("GET", path, headers)
    assert reply is not None and reply.lines.endswith(b"\r\n")
    pairs = [line.split(": ", 1) for line in reply.lines.decode().split("\r\n")[:-1]]
    assert len(dict(pairs)) == len(pairs)
    return Sent(dict(pairs), reply.body)


async def raw(client: httpx2.AsyncClient, path: str, method: str = "GET", **headers: str) -> httpx2.Response:
    """The answer with the body as it came: these are not real brotli."""
    async with client.stream(method, path, headers=headers) as response:
        body = b"".join([part async for part in response.aiter_raw()])
    response.extensions["sent"] = body
    return response


# ---- over HTTP, from the whole application ----


async def test_the_page_and_its_files(desk: Desk) -> None:
    async with browser(desk) as client:
        page = await client.get("/")
        assert page.status_code == 200 and page.content == FILES["index.html"]
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        script = await client.get(SCRIPT_PATH)
        assert script.content == SCRIPT
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
        for path, kind in (("/favicon.svg", "image/svg+xml"), ("/assets/not-a-hash.css", "text/css; charset=utf-8")):
            other = await client.get(path)
            assert other.headers["content-type"] == kind and other.headers["cache-control"] == "no-cache", path
        assert (await client.get("/assets/other-vCbpdZUZ.strange")).headers[
            "content-type"
        ] == "application/octet-stream"
        assert (await client.get("/?utm=x#/trade")).content == page.content
        named = await client.get("/", headers={"X-Request-ID": "mine-1"})
        assert named.headers["x-request-id"] == "mine-1"
        for response in (page, script, other):
            assert re.fullmatch("[0-9a-f]{12}", response.headers["x-request-id"])
            assert not {"x-ratelimit-limit", "set-cookie", "server"} & {name.lower() for name in response.headers}


@pytest.mark.parametrize("files", [FILES, {}], ids=["built", "missing"])
async def test_the_policy_of_every_file(desk: Desk, files: dict[str, bytes]) -> None:
    site = Site(files)
    async with browser(desk, files) as client:
        for path in site.paths:
            held = {"If-None-Match": (await client.get(path)).headers["etag"]}
            for headers in ({}, held):
                response = await client.get(path, headers=headers)
                assert response.status_code == (304 if headers else 200)
                assert REQUIRED.items() <= dict(response.headers).items(), path
                assert "camera=()" in response.headers["permissions-policy"]
                policy = rules(response.headers["content-security-policy"])
                assert "unsafe" not in response.headers["content-security-policy"]
                none = ["'none'"]
                assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == none
                if files:
                    assert policy["default-src"] == policy["connect-src"] == ["'self'"]
                    assert policy["object-src"] == none and policy["img-src"] == ["'self'", "data:"]
                else:
                    assert policy["default-src"] == none


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        (None, None),
        ("", None),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.0, gzip;q=0.000", None),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br ; q=1.0 , gzip", "br"),
        ("identity, br;q=0.5", None),
        ("identity;q=0.4, gzip;q=0.5", "gzip"),
        ("*", "br"),
        ("*;q=0", None),
        ("*;q=0.1, br;q=0", "gzip"),
        ("deflate, zstd", None),
        ("identity;q=0", None),  # nothing it would take is there: what everybody can read
        ("br;q=2, gzip;q=nan", None),
        ("br\tgzip;;q=1", None),
        ("br," * 1000, None),
    ],
)
def test_the_encoding_is_the_one_liked_best(accepted: str | None, encoding: str | None) -> None:
    headers = {} if accepted is None else {b"accept-encoding": accepted.encode()}
    sent = answered(SCRIPT_PATH, headers)
    assert sent.headers.get("content-encoding") == encoding
    assert sent.body == FILES[SCRIPT_PATH[1:] + {"br": ".br", "gzip": ".gz", None: ""}[encoding]]
    small = answered("/favicon.svg", headers)
    assert "content-encoding" not in small.headers and small.body == FILES["favicon.svg"]


async def test_encodings_over_http(desk: Desk) -> None:
    async with browser(desk) as client:
        for encoding, end in (("br", ".br"), ("gzip", ".gz"), ("identity", "")):
            response = await raw(client, SCRIPT_PATH, **{"Accept-Encoding": encoding})
            assert response.headers.get("content-encoding", "identity") == encoding
            assert response.extensions["sent"] == FILES[SCRIPT_PATH[1:] + end]
            assert int(response.headers["content-length"]) == len(response.extensions["sent"])
        assert (await client.get("/", headers={"Accept-Encoding": "gzip"})).content == FILES["index.html"]


@given(
    st.text(st.characters(codec="latin-1"))
    | st.from_regex(r"(br|gzip|identity|\*)(;q=[01](\.[0-9]{1,4})?)?", fullmatch=True)
)
def test_no_list_of_encodings_breaks_it(accepted: str) -> None:
    sent = answered(SCRIPT_PATH, {b"accept-encoding": accepted.encode("latin-1")})
    assert sent.body in [body for name, body in FILES.items() if SCRIPT_PATH[1:] in name]


async def test_what_the_browser_holds_is_not_sent_again(desk: Desk) -> None:
    async with browser(desk) as client:
        tags = set()
        for encoding in ("identity", "gzip", "br"):
            for path in ("/", SCRIPT_PATH):
                asked = {"Accept-Encoding": encoding}
                first = await raw(client, path, **asked)
                tag = first.headers["etag"]
                assert re.fullmatch(r'"[^"]+"', tag) and tag not in tags
                tags.add(tag)
                for held in (tag, f"W/{tag}", f'"x", {tag}', f'W/"y" ,W/{tag}', "*"):
                    again = await raw(client, path, **asked, **{"If-None-Match": held})
                    assert again.status_code == 304 and again.extensions["sent"] == b"", held
                    assert again.headers["etag"] == tag and "content-length" not in again.headers
                    assert again.headers["cache-control"] == first.headers["cache-control"]
                for other in ('"x"', tag.strip('"'), "", "W/", '"*"'):
                    assert (await raw(client, path, **asked, **{"If-None-Match": other})).status_code == 200, other
    assert len(tags) == 6, "of each encoding its own"


def test_all_nodes_give_the_same_tags_and_another_content_another() -> None:
    def tag(files: dict[str, bytes]) -> str:
        return answered("/", {}, files).headers["etag"]

    assert tag(FILES) == tag(dict(reversed(FILES.items())))
    assert tag(FILES) != tag({**FILES, "index.html": b"another"})


async def test_head_is_get_without_the_body(desk: Desk) -> None:
    async with browser(desk) as client:
        for path in ("/", SCRIPT_PATH, "/favicon.svg"):
            got = await raw(client, path, **{"Accept-Encoding": "gzip", "X-Request-ID": "x"})
            head = await raw(client, path, "HEAD", **{"Accept-Encoding": "gzip", "X-Request-ID": "x"})
            assert head.status_code == 200 and dict(head.headers) == dict(got.headers)


UNKNOWN = [
    "/index.html",
    "//",
    "/assets",
    "/assets/",
    "/assets/index-00000000.js",
    "/assets/index-Ab3_x-9Z.js.br",
    "/assets/index-Ab3_x-9Z.js/",
    "/ASSETS/index-Ab3_x-9Z.js",
    "/assets/../site.py",
    "/assets/..%2fsite.py",
    "/assets/%2e%2e/%2e%2e/site.py",
    "/assets/..\\site.py",
    "/assets/%00",
    "/assets/index-Ab3_x-9Z.js%00.css",
    "/..%2f..%2fetc/passwd",
    "/.stamp",
    "/assets/.hidden",
    "/node_modules/x",
    "/favicon.ico",
]


async def test_whatever_else_is_asked_for_is_not_there(desk: Desk) -> None:
    async with browser(desk) as client:
        for path in UNKNOWN:
            # The path as it stands there: the client would tidy it up.
            url = httpx2.URL("http://venue/").copy_with(raw_path=path.encode())
            for method in ("GET", "HEAD"):
                response = await client.request(method, url)
                assert response.status_code == 404, path
                assert response.headers["content-type"] == "application/json"
            body = (await client.get(url)).json()
            assert set(body) == {"code", "message", "request_id"} and body["code"] == "NOT_FOUND"
        for path in ("/", SCRIPT_PATH):
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
                response = await client.request(method, path)
                assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND"), (method, path)


async def test_the_page_takes_nothing_away_from_the_api(desk: Desk) -> None:
    """A file under a name of the API would not be seen, and a credential changes nothing about the page."""
    ada = await person(desk, "ada")
    shadows = {**FILES, "health": b"x", "api/v1/orders": b"x", "docs": b"x", "mcp/x": b"x"}
    async with browser(desk, shadows) as client:
        assert (await client.get("/health")).json()["service"] == "raeth"
        assert (await client.get("/docs")).text.startswith("<!doctype html>")
        assert (await client.get("/api/v1/orders")).status_code == 401
        assert "x-ratelimit-limit" in (await client.get("/api/v1/orders")).headers
        for headers in ({}, bearer(ada.api_key), bearer("nonsense"), {"Cookie": "raeth_session=x"}, {"Origin": "x"}):
            response = await client.get("/", headers=headers)
            assert response.content == FILES["index.html"]
        told = (await client.get("/metrics")).text
        assert "web_page" in told, "counted like any answer"
        document = (await client.get("/openapi.json")).json()
        assert not {"/", "/assets", SCRIPT_PATH} & document["paths"].keys(), "and no call"


async def test_without_a_page_one_line_says_what_is_missing(desk: Desk) -> None:
    assert not Site({}).exists and not Site({"assets/half.js": b"x"}).exists and Site(FILES).exists
    for files in ({}, {"assets/half.js": b"x"}):
        async with browser(desk, files) as client:
            page = await client.get("/")
            assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
            assert "has not been built" in page.text and "Node.js" in page.text
            for path in ("/docs", "/status", "/llms.txt"):
                assert f'href="{path}"' in page.text
                assert (await client.get(path)).status_code == 200
            assert page.headers["cache-control"] == "no-cache"
            assert (await client.get("/assets/half.js")).status_code == 404
            assert "<script" not in page.text and 'style="' not in page.text


# ---- the folder ----


def test_the_folder_is_read_once_and_hidden_files_are_not_for_the_public(tmp_path: Path) -> None:
    for name, body in {**FILES, ".stamp": b"1", ".vite/manifest.json": b"{}", "assets/.x.js": b"x"}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    site = Site.read(tmp_path)
    assert site.paths == {"/", "/favicon.svg", SCRIPT_PATH, "/assets/plain.css", "/assets/not-a-hash.css"} | {
        "/assets/other-vCbpdZUZ.strange"
    }
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.unlink()
    reply = site.answer("GET", "/", {})
    assert reply is not None and reply.body == FILES["index.html"]
    assert not Site.read(tmp_path).exists and not Site.read(tmp_path / "nowhere").exists


# ---- what was built ----


@built
def test_the_built_page_needs_no_other_host() -> None:
    """Addresses of namespaces name, and are never asked; messages may name the place where they are explained."""
    allowed = {"www.w3.org"}
    for path in DIST.rglob("*"):
        if path.is_file() and path.suffix in (".html", ".js", ".css", ".svg", ".json", ".webmanifest"):
            text = path.read_text()
            hosts = set(re.findall(r"(?:https?|wss?)://([A-Za-z0-9.-]+)", text))
            assert hosts <= allowed, (path.name, hosts)
            assert not re.search(r"""(?:src|href)=["']?//|url\(["']?//|@import\s+["']//""", text), path.name


@built
def test_the_built_page_keeps_its_policy_and_its_names() -> None:
    html = (DIST / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", html), "nothing inline"
    site = Site.read()
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', html))
    linked = named - {"/status", "/docs", "/llms.txt"}
    assert linked and linked <= site.paths, "the page names what is there"
    for path in site.paths - {"/"}:
        assert Path(path).suffix in TYPES, path
    for path in DIST.rglob("*"):
        if path.is_file() and path.stat().st_size >= 2048 and path.suffix in (".js", ".css", ".html", ".svg"):
            packed = path.with_name(path.name + ".gz")
            assert gzip.decompress(packed.read_bytes()) == path.read_bytes(), path.name
            assert path.with_name(path.name + ".br").exists(), path.name


@built
def test_all_of_the_built_page_is_small() -> None:
    site = Site.read()
    for encodings in ("br", "gzip"):
        replies = [site.answer("GET", path, {b"accept-encoding": encodings.encode()}) for path in site.paths]
        assert sum(len(reply.body) for reply in replies if reply is not None) < BUDGET_BYTES, encodings


@built
def test_the_terms_of_what_is_in_the_page_come_with_it() -> None:
    terms = (DIST / "licenses.txt").read_text()
    for name in ("preact", "@preact/signals", "uplot"):
        assert re.search(rf"^## {name} - ", terms, re.MULTILINE | re.IGNORECASE), name
