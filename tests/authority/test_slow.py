"""Peers that mean no good, at a real process: slow, silent, endless, malformed. All of them are gone in bounded time,
and an honest caller meanwhile notices nothing.

The venue's patience is set to a second, so that the tests need not wait for ten.
"""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.venue import Agent, VenueProcess, hosting, until

PATIENCE_S = 1.0
GONE_WITHIN_S = 15.0
"""Generous: the process shares a loaded machine. Without a bound a peer would stay for good."""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with hosting(tmp_path_factory.mktemp("slow")) as host:
        settings = {"RAETH_LIMITS__BODY_DEADLINE_MS": str(int(PATIENCE_S * 1000)), "RAETH_HOST": "127.0.0.1"}
        yield host.serve(**settings)


@pytest.fixture(scope="module")
def agent(venue: VenueProcess) -> Agent:
    return venue.signup("honest")


def dial(venue: VenueProcess, said: bytes = b"") -> socket.socket:
    host, _, port = venue.url.removeprefix("http://").rpartition(":")
    peer = socket.create_connection((host, int(port)), timeout=GONE_WITHIN_S)
    peer.sendall(said)
    return peer


def heard(peer: socket.socket) -> bytes:
    """All that is said until the venue ends the connection; a reset ends it too."""
    said = b""
    while True:
        try:
            piece = peer.recv(65_536)
        except ConnectionResetError:
            return said
        if not piece:
            return said
        said += piece


def one_answer(peer: socket.socket) -> bytes:
    """The next answer on a connection that stays open."""
    said = b""
    while True:
        head, found, body = said.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            return said
        piece = peer.recv(65_536)
        assert piece, "ended before it had answered"
        said += piece


def status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


HEAD = b"Host: 127.0.0.1\r\n"


def authorised(agent: Agent) -> bytes:
    return HEAD + f"Authorization: Bearer {agent.key}\r\n".encode()


def test_slow_peers_are_ended_and_others_are_served(venue: VenueProcess, agent: Agent) -> None:
    """Every way to hold a connection by saying too little, all at once; each drips a byte now and then."""
    key = authorised(agent)
    ok = b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n"
    upgrade = b"GET /stream HTTP/1.1\r\n" + HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    order = b"POST /api/v1/orders HTTP/1.1\r\n" + key + b"Content-Type: application/json\r\n"
    ways: dict[str, tuple[bytes, bytes]] = {
        "says nothing": (b"", b""),
        "request line": (b"GET /hea", b"a"),
        "headers": (b"GET /health HTTP/1.1\r\n", b"X-A: b\r\n"),
        "one header": (b"GET /health HTTP/1.1\r\nX-A: ", b"b"),
        "empty lines": (b"\r\n", b"\r\n"),
        "handshake": (upgrade, b"X-A: b\r\n"),
        "body": (order + b"Content-Length: 60000\r\n\r\n{", b" "),
        "chunks": (order + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n"),
        "model's body": (b"POST /mcp/ HTTP/1.1\r\n" + key + b"Content-Length: 60000\r\n\r\n{", b" "),
        "login": (b"POST /api/v1/auth/login HTTP/1.1\r\n" + HEAD + b"Content-Length: 99\r\n\r\n{", b" "),
        "body nobody reads": (b"GET /health HTTP/1.1\r\n" + HEAD + b"Content-Length: 60000\r\n\r\n", b" "),
        "after an answer": (ok, b"\r\n"),
        "within the next": (ok + b"GET /hea", b"a"),
    }
    before = agent.get("/orders")["items"]
    peers = {way: dial(venue, begun) for way, (begun, _) in ways.items()}
    started = time.monotonic()
    answers = dict.fromkeys(ways, b"")
    while peers and time.monotonic() < started + GONE_WITHIN_S:
        readable, _, _ = select.select(list(peers.values()), [], [], 0.1)
        for way, peer in list(peers.items()):
            try:
                piece = peer.recv(65_536) if peer in readable else None
                if piece:
                    answers[way] += piece
                elif piece is None and ways[way][1]:
                    peer.sendall(ways[way][1])
                if piece == b"":
                    raise ConnectionResetError
            except (ConnectionResetError, BrokenPipeError):
                peers.pop(way).close()
        asked = time.monotonic()
        assert agent.get("/account")["open_orders"] == 0
        assert time.monotonic() - asked < GONE_WITHIN_S
    assert not peers, f"still there after {GONE_WITHIN_S} s: {list(peers)}"
    for way in ("body", "chunks", "model's body", "login"):
        assert status(answers[way]) == 400, (way, answers[way])
    for way in ("body nobody reads", "after an answer", "within the next"):
        assert status(answers[way]) == 200, way
    assert agent.get("/orders")["items"] == before


def test_a_head_without_end_is_refused_before_it_costs_memory(venue: VenueProcess) -> None:
    def resident_kb() -> int:
        text = Path(f"/proc/{venue.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    before = resident_kb()
    for begun, piece in (
        (b"GET /health HTTP/1.1\r\nX-A: ", b"a" * 65_536),
        (b"GET /health HTTP/1.1\r\n", b"X-A: b\r\n" * 8_192),
        (b"GET /health?", b"a" * 65_536),
    ):
        with closing(dial(venue, begun)) as peer:
            sent = 0
            try:
                while sent < 64 * 1024 * 1024:
                    peer.sendall(piece)
                    sent += len(piece)
            except (ConnectionResetError, BrokenPipeError):
                pass
            assert sent < 64 * 1024 * 1024, begun
    assert resident_kb() - before < 32 * 1024


MANY = b"".join(b"X-%d: b\r\n" % n for n in range(101))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health HTTP/1.1\r\n" + HEAD + MANY + b"\r\n",
        b"GET /health?" + b"a" * 17_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"POST /api/v1/orders HTTP/1.1\r\n"
        + HEAD
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/orders HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
        b"POST /api/v1/orders HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /health HTTP/1.1\r\n" + HEAD + b"X-A : b\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HEAD + b"X-A: b\x00c\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
    ],
    ids=["headers", "address", "two lengths", "lengths that differ", "chunk", "space", "zero byte", "tls", "nonsense"],
)
def test_what_is_no_request_is_refused_in_the_flat_body(venue: VenueProcess, request_bytes: bytes) -> None:
    """Among them what two servers could read in two ways."""
    with closing(dial(venue, request_bytes)) as peer:
        said = heard(peer)
    head, _, body = said.partition(b"\r\n\r\n")
    assert status(said) in (400, 401), said
    told = json.loads(body)
    assert told.keys() == {"code", "message", "request_id"} and told["code"] in ("BAD_REQUEST", "AUTH_MISSING")
    assert b"x-content-type-options: nosniff" in head.lower() and b"x-request-id: " in head.lower()
    assert b"server:" not in head.lower()


def test_an_honest_connection_stays_as_it_was(venue: VenueProcess, agent: Agent) -> None:
    """Several requests on one connection, a head in two pieces, requests one behind the other."""
    ask = b"GET /api/v1/account HTTP/1.1\r\n" + authorised(agent) + b"\r\n"
    with closing(dial(venue)) as peer:
        for cut in (1, 5, len(ask) - 3, len(ask)):
            peer.sendall(ask[:cut])
            peer.sendall(ask[cut:])
            assert status(one_answer(peer)) == 200
        peer.sendall(ask * 5 + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert heard(peer).count(b"HTTP/1.1 200") == 6


def test_a_socket_that_only_listens_is_no_slow_peer(venue: VenueProcess, agent: Agent) -> None:
    """The patience is for heads: an open stream says nothing for as long as it likes."""
    from websockets.sync.client import connect

    where = venue.url.replace("http", "ws")
    with (
        connect(f"{where}/stream", additional_headers={"Authorization": f"Bearer {agent.key}"}) as wire,
        venue.http.stream("GET", "/api/v1/sse", params={"channels": "venue"}) as response,
    ):
        wire.send(json.dumps({"op": "subscribe", "channels": ["venue", f"private.{agent.id}"]}))
        asked = time.monotonic()
        kinds: list[str] = []
        while time.monotonic() < asked + 2 * PATIENCE_S or "heartbeat" not in kinds:
            kinds.append(json.loads(wire.recv(timeout=GONE_WITHIN_S))["type"])
        assert kinds.count("snapshot") == 2
        assert any("heartbeat" in line for line in response.iter_lines()), "the event stream lives as well"


def test_many_silent_peers_do_not_keep_honest_ones_out(venue: VenueProcess, agent: Agent) -> None:
    peers = [dial(venue, b"GET /hea" if n % 2 else b"") for n in range(400)]
    try:
        assert agent.get("/account")["agent_id"] == agent.id
        assert agent.ask("POST", "/orders/cancel", json={})["cancelled"] == 0
        until("all of them are gone", lambda: open_sockets(venue) < 50, GONE_WITHIN_S)
    finally:
        for peer in peers:
            peer.close()


def open_sockets(venue: VenueProcess) -> int:
    count = 0
    for path in Path(f"/proc/{venue.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed between two looks
            count += "socket:" in str(path.readlink())
    return count


def test_a_venue_out_of_descriptors_comes_back_by_itself(venue: VenueProcess, agent: Agent) -> None:
    """Silent peers take all the connections the system gives. Who is connected trades on, and newcomers get in again
    without anybody's help."""
    pid = venue.process.pid
    loaded = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"Authorization": f"Bearer {agent.key}", "Accept": "application/json, text/event-stream"}
    until("models get in", lambda: venue.http.post("/mcp/", json=loaded, headers=headers).status_code == 200)
    assert agent.get("/account")["agent_id"] == agent.id
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    few = len(list(Path(f"/proc/{pid}/fd").iterdir())) + 40
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, before[1]))
    peers: list[socket.socket] = []
    try:
        peers += [dial(venue) for _ in range(120)]
        assert agent.ask("POST", "/orders/cancel", json={})["cancelled"] == 0
        newcomer = until("a newcomer gets in", lambda: served(venue, agent), GONE_WITHIN_S)
        assert newcomer == 200
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for peer in peers:
            peer.close()


def served(venue: VenueProcess, agent: Agent) -> int | None:
    """What a new connection is answered; None while there is no answer."""
    ask = b"GET /api/v1/account HTTP/1.1\r\n" + authorised(agent) + b"Connection: close\r\n\r\n"
    with closing(dial(venue, ask)) as peer:
        said = heard(peer)
    return status(said) if said else None
