"""The page from a real process: two workers on every address of the machine, and what is said at the start."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from raeth.terminal.site import PAGE_POLICY, Site
from tests.e2e.venue import Host, VenueProcess, hosting

WORKERS = 2


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with hosting(tmp_path_factory.mktemp("host")) as host:
        yield serving(host)


def serving(host: Host) -> VenueProcess:
    return host.serve("--workers", str(WORKERS), "--host", "0.0.0.0")


def port(venue: VenueProcess) -> int:
    found = urlsplit(venue.url).port
    assert found is not None
    return found


class Line:
    """A connection of our own: whatever is sent arrives as it is, and nothing is unpacked."""

    def __init__(self, venue: VenueProcess) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port(venue)), timeout=10)
        self._file = self._socket.makefile("rb")

    def ask(self, method: str, path: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
        lines = [f"{method} {path} HTTP/1.1", "Host: venue.example:81", *headers, "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        status = int(self._file.readline().split()[1])
        told: dict[str, str] = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            told[name.lower()] = value
        has_body = method != "HEAD" and status != 304
        return status, told, self._file.read(int(told["content-length"])) if has_body else b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def test_every_worker_serves_the_same_page_at_every_address(venue: VenueProcess) -> None:
    is_built = Site.read().exists
    tags = set()
    for _ in range(4 * WORKERS):  # each connection goes to one of them
        with httpx2.Client(base_url=f"http://127.0.0.1:{port(venue)}") as client:
            page = client.get("/", headers={"Host": "venue.example"})
        assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
        assert (page.headers["content-security-policy"] == PAGE_POLICY) == is_built
        assert "venue.example" not in str(page.headers) + page.text
        tags.add(page.headers["etag"].removesuffix('-br"').removesuffix('-gzip"'))
    assert len(tags) == 1


def test_one_connection_goes_on_after_each_kind_of_answer(venue: VenueProcess) -> None:
    line = Line(venue)
    status, told, body = line.ask("GET", "/", "Accept-Encoding: identity")
    assert status == 200 and len(body) == int(told["content-length"]) > 100 and b"<html" in body
    status, again, nothing = line.ask("GET", "/", "Accept-Encoding: identity", f"If-None-Match: {told['etag']}")
    assert (status, nothing) == (304, b"") and again["etag"] == told["etag"] and "content-length" not in again
    status, head, nothing = line.ask("HEAD", "/", "Accept-Encoding: identity")
    assert status == 200 and {**head, "x-request-id": "", "date": ""} == {**told, "x-request-id": "", "date": ""}
    for path in ("/assets/../site.py", "/assets/%2e%2e/site.py", "/..%2f..%2f..%2fetc%2fpasswd", "/.stamp", "/dist/"):
        status, told, body = line.ask("GET", path)
        assert status == 404 and told["content-type"] == "application/json" and b'"NOT_FOUND"' in body, path
    assert line.ask("GET", "/health")[0] == 200
    line.close()


def test_the_page_comes_first_in_what_to_do_next(venue: VenueProcess) -> None:
    lines = [line for line in venue.stdout.splitlines()[1:] if line.startswith("  ")]
    is_first = lines[0].startswith(f"  watch    {venue.url}/ ")
    assert is_first == Site.read().exists
    assert sum(line.startswith("  watch ") for line in lines) == is_first


def test_a_reader_that_takes_nothing_holds_up_nobody(venue: VenueProcess) -> None:
    """It asks for the page over and over and never reads: others go on, and it is given no more than fits."""
    greedy = socket.create_connection(("127.0.0.1", port(venue)), timeout=10)
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    greedy.setblocking(False)
    asked = b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n" * 100
    sent = 0
    deadline = time.monotonic() + 5
    try:
        while time.monotonic() < deadline and sent < 20_000_000:
            sent += greedy.send(asked)
    except BlockingIOError:
        pass
    assert sent < 20_000_000, "the venue stops reading when nobody reads it"
    for _ in range(4 * WORKERS):
        with httpx2.Client(base_url=f"http://127.0.0.1:{port(venue)}", timeout=5) as client:
            assert client.get("/").status_code == 200
    greedy.close()
