"""What must never be in a log: every secret that a test's venues gave out or were given, and whatever looks like one.

A venue's HTTP client notes what goes by; when a host is done, all that its venues wrote is searched. Databases and the
admin token's own file are where they belong; everything else in the folder is text that an operator may pass on.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import httpx2

LOOKS_LIKE_ONE: Final = re.compile(
    r"rk_live_[0-9a-f]{4,}_[0-9a-f]{8,}|rk_admin_[\w-]{16,}|\brs_[\w-]{30,}|\bwt_[\w-]{30,}|\$argon2id?\$"
)
"""Keys, admin tokens, sessions, tickets and hashes of passwords, whoever made them."""

NAMES: Final = frozenset({"api_key", "session_token", "ticket", "password"})

LEAST: Final = 8
"""Shorter ones, such as a test's wrong password, may well be in a log by chance."""

KEEPS_SECRETS: Final = ("admin_token", "raeth.db", "raeth.db-wal", "raeth.db-shm")

LARGEST_BYTES: Final = 64 * 1024 * 1024


def secret_part(text: str) -> str:
    """What of a credential is secret: a key's public id may be told."""
    return re.sub(r"^(rk_live_[0-9a-f]+_|rk_admin_|rs_|wt_)", "", text)


class Secrets:
    """All that went by."""

    def __init__(self) -> None:
        self.parts: set[str] = set()

    def note(self, *texts: str) -> None:
        self.parts |= {part for part in map(secret_part, texts) if len(part) >= LEAST}

    def note_json(self, raw: bytes) -> None:
        with contextlib.suppress(ValueError):  # a test's nonsense; what looks like a secret is searched for anyway
            self._walk(json.loads(raw))

    def _walk(self, told: Any) -> None:
        if isinstance(told, dict):
            self.note(*(value for name, value in told.items() if name in NAMES and isinstance(value, str)))
            for value in told.values():
                self._walk(value)
        elif isinstance(told, list):
            for value in told:
                self._walk(value)

    def watch(self, response: httpx2.Response) -> None:
        """An event hook of a client: what was sent, and what came of it."""
        request = response.request
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme and response.status_code < 400:
            self.note(shown)
        if request.url.path.startswith(("/api/v1/auth", "/api/v1/me", "/api/auth", "/api/me")):
            self.note_json(request.content)
            response.read()
            self.note_json(response.content)

    def found_in(self, text: str) -> list[str]:
        """The secrets in a text, shortened: a failing test's report is a log too."""
        hits = [part for part in self.parts if part in text] + LOOKS_LIKE_ONE.findall(text)
        return sorted({f"{hit[:12]}… ({len(hit)} characters)" for hit in hits})


def logs_of(folder: Path, data_dir: Path) -> Iterable[Path]:
    """What venues of this folder wrote for people, and every text in the data dir. What clients tell their users is
    none of it: `raeth bot` shows the key it signed up for."""
    yield from sorted((*folder.glob("venue-*.out"), *folder.glob("venue-*.err")))
    for path in sorted(data_dir.rglob("*")) if data_dir.is_dir() else ():
        if path.is_file() and path.name not in KEEPS_SECRETS and path.stat().st_size <= LARGEST_BYTES:
            yield path


def search(secrets: Secrets, folder: Path, data_dir: Path) -> None:
    """Raises AssertionError naming the files with secrets in them."""
    token = data_dir / "admin_token"
    if token.is_file():
        secrets.note(token.read_text().strip())
    found = {}
    for path in logs_of(folder, data_dir):
        raw = path.read_bytes()
        if raw.startswith(b"SQLite format 3\0"):  # a copy of a database keeps the same hashes as the first
            continue
        if hits := secrets.found_in(raw.decode(errors="replace")):
            found[path.name] = hits
    assert not found, f"secrets in logs: {found}"
