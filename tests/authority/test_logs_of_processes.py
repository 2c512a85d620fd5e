"""The search of every process test's logs: that it finds what is there, and that a venue used in every way is clean.

Every host of `tests.e2e.venue` is searched at its end; these tests hold the search itself against logs with and without
secrets in them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.authority.cast import bearer, key_id
from tests.e2e.leaks import Secrets, search, secret_part
from tests.e2e.venue import Host, hosting, until

TOKEN = "rk_admin_" + "q" * 40


def served_with_all_secrets(host: Host) -> dict[str, str]:
    """Every kind of secret, issued by a real venue that logs all it can, and shown where it does not belong."""
    venue = host.serve(RAETH_ADMIN_TOKEN=TOKEN, RAETH_LOG_LEVEL="debug")
    password = "a-password-nobody-logs"
    agent = venue.signup("ada", password=password)
    login = venue.http.post("/api/v1/auth/login", json={"email": "ada@example.com", "password": password})
    session = login.json()["session_token"]
    venue.http.cookies.clear()
    second = venue.http.post(
        f"/api/v1/me/agents/{agent.id}/keys", json={"name": "second"}, headers=bearer(session)
    ).json()["api_key"]
    rotated = venue.http.post(
        f"/api/v1/me/agents/{agent.id}/keys/{key_id(second)}/rotate", headers=bearer(session)
    ).json()["api_key"]
    ticket = agent.ask("POST", "/auth/ws-ticket", 201)["ticket"]
    secrets = {
        "key": agent.key,
        "second": second,
        "rotated": rotated,
        "session": session,
        "ticket": ticket,
        "admin": TOKEN,
        "password": password,
    }
    for name, secret in secrets.items():
        if name == "password":  # nothing tells it from any other word, and nobody writes one into an address
            continue
        for path in (f"/{secret}", f"/api/v1/orders/{secret}", f"/stream?ticket={secret}", f"/mcp/?key={secret}"):
            venue.http.get(path, headers={"User-Agent": secret, "Referer": f"http://x/{secret}", "Cookie": secret})
        venue.http.get("/api/v1/sse", params={"channels": f"private.{secret}", "ticket": secret})
        venue.http.post("/mcp/", content=secret, headers=bearer(secret))
        venue.http.post("/api/v1/orders", json={secret: secret}, headers=bearer(agent.key))
    venue.admin("POST", "/broadcast", TOKEN, json={"message": "hello"})
    venue.stop()
    return secrets


def test_every_secret_of_a_venue_is_known_and_none_is_logged(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        secrets = served_with_all_secrets(host)
        assert {secret_part(secret) for secret in secrets.values()} <= host.secrets.parts, "the search knows them all"
    # The same logs with one of them written in by hand: found, whichever it is and wherever it is.
    for name, secret in secrets.items():
        for place in (tmp_path / "venue-1.err", tmp_path / "venue-1.out", host.data_dir / "notes.txt"):
            clean = place.read_bytes() if place.exists() else b""
            place.write_bytes(clean + f'{{"event": "oops", "was": "{secret_part(secret)}"}}\n'.encode())
            with pytest.raises(AssertionError, match=place.name) as caught:
                search(host.secrets, host.folder, host.data_dir)
            assert secret_part(secret) not in str(caught.value), f"the report repeats the {name}"
            place.write_bytes(clean)
    search(host.secrets, host.folder, host.data_dir)


@pytest.mark.parametrize(
    "text",
    [
        "rk_live_0123456789abcdef_" + "ab" * 32,
        "rk_admin_" + "x" * 43,
        "token=rs_" + "y" * 43,
        "/stream?ticket=wt_" + "z" * 43,
        "$argon2id$v=19$m=65536",
    ],
)
def test_what_looks_like_a_secret_is_one(tmp_path: Path, text: str) -> None:
    """Also what no client of the tests ever saw."""
    (tmp_path / "venue-1.err").write_text(f"something {text} else\n")
    with pytest.raises(AssertionError):
        search(Secrets(), tmp_path, tmp_path / "data")
    (tmp_path / "venue-1.err").write_text("a key rk_live_0123456789abcdef was revoked; rk_admin_… in admin_token\n")
    search(Secrets(), tmp_path, tmp_path / "data")


def test_the_generated_admin_token_is_in_its_file_alone(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        venue = host.serve()
        path = host.data_dir / "admin_token"
        until("the token's file", path.exists)
        assert path.stat().st_mode & 0o077 == 0 and host.data_dir.stat().st_mode & 0o077 == 0
        until("it says where the token is", lambda: str(path) in venue.stdout)
        assert path.read_text().strip() not in venue.stdout + venue.stderr
        assert secret_part(path.read_text().strip()) not in Path(f"/proc/{venue.process.pid}/cmdline").read_text()
