"""Server-sent events under queries and headers of every kind: a stream, or a refusal that the call documents.

The other calls' fuzzer leaves this one out, for its answer does not end.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.lab import CREDENTIALS, Lab

pytestmark = pytest.mark.timeout(1_800)  # for --long; ordinarily it is seconds

WAIT_S = 20.0


def ask(lab: Lab, target: str, headers: list[tuple[str, bytes]]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and what came first of the body; then we hang up."""
    lines = [b"GET " + target.encode("latin-1") + b" HTTP/1.1", b"Host: venue"]
    lines += [name.encode() + b": " + value for name, value in headers]
    with socket.create_connection(("127.0.0.1", urlsplit(lab.url).port), timeout=WAIT_S) as line:
        line.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        got = b""
        while b"\r\n\r\n" not in got:
            more = line.recv(65_536)
            assert more, (target, headers, "hung up")
            got += more
        head, body = got.split(b"\r\n\r\n", 1)
        fields = dict(field.lower().split(": ", 1) for field in head.decode("latin-1").split("\r\n")[1:])
        size = int(fields.get("content-length", "1"))
        while len(body) < size:
            more = line.recv(65_536)
            assert more, (target, headers, "hung up")
            body += more
        return int(head.split(b" ")[1]), fields, body


@pytest.mark.parametrize("who", CREDENTIALS)
def test_any_query_is_a_stream_or_a_documented_refusal(request: pytest.FixtureRequest, lab: Lab, who: str) -> None:
    document = lab.desk.anyone.ask("GET", "//openapi.json")
    responses = document["paths"]["/api/v1/sse"]["get"]["responses"]
    credential = [(name, value.encode()) for name, value in lab.callers[who].headers.items()]
    subjects = [lab.symbol, lab.pending, lab.agent.id, lab.other.id, "", "\0", "nothing", "*", "../..", "é" * 200]
    names = st.one_of(
        st.sampled_from(["markets", "venue", "feed.btc", "leaderboard", "markets", "", " venue ", "MARKETS"]),
        st.builds("{}.{}".format, st.sampled_from(["book", "l3", "trades", "private"]), st.sampled_from(subjects)),
        st.text(max_size=20),
    )
    channels = st.lists(names, max_size=6).map(lambda found: quote(",".join(found), safe=",."))
    odd = st.binary(max_size=20).map(quote_from_bytes) | st.sampled_from(
        ["%", "%zz", "%ff", "%00", "a" * 9_000, "&" * 80]
    )
    queries = st.one_of(
        *[channels.map("?channels={}".format)] * 3,
        channels.map("?channels={}".format),
        st.builds("?channels={}&channels={}".format, channels, channels),
        st.builds("?channels={}&ticket={}".format, channels, odd),
        st.builds("?channels={}&{}=1".format, channels, odd.filter(bool)),
        odd.map("?channels={}".format),
        odd.map("?{}".format),
    )
    value = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
    marks = value | st.builds("{}.{}".format, *[st.integers(-5, 10**19)] * 2) | st.integers(-5, 10**19).map(str)
    last = st.none() | marks.map(str.strip)
    statuses: Counter[Any] = Counter()

    @settings(
        max_examples=3_000 if request.config.getoption("--long") else 100,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(queries, last)
    def run(query: str, mark: str | None) -> None:
        headers = credential + ([] if mark is None else [("Last-Event-ID", mark.encode("latin-1"))])
        status, fields, body = ask(lab, "/api/v1/sse" + query, headers)
        shown = (query, mark, status, body[:300])
        if status == 200:
            assert fields["content-type"].startswith("text/event-stream"), shown
            statuses[200] += 1
            return
        assert fields["content-type"] == "application/json" and status < 500, shown
        code = body.decode().split('"code":"', 1)[1].split('"', 1)[0]
        assert code in responses[str(status)]["content"]["application/json"]["examples"], shown
        statuses[code] += 1

    run()
    print(f"{who}: {dict(statuses)}")
    lab.still_serves()
    assert lab.faults() == []
