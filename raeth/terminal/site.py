"""The built page as static content: what a request for one of its files is answered with.

The folder is read once, into memory; a request's path is looked up in a dictionary and never reaches the file system.
Compression is done when the page is built, not while somebody waits. Must know neither the server nor what is on the
page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

DIST: Final = Path(__file__).parent / "dist"

ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}
"""What a file may lie there as besides itself, best first, and the end of its name then."""

ACCEPT_ENCODING_BYTES_MAX: Final = 256
"""Browsers send about 30; what is longer is answered as if it were not there."""

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}

_HASHED: Final = re.compile(r"/assets/.+-[A-Za-z0-9_-]{8}\.[a-z0-9]+(\.map)?").fullmatch
"""Names that change with their content, as the bundler makes them."""

FOR_GOOD: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"

# 'self' is the host the page came from, its sockets included: Chrome since 71, Firefox, Safari since 16, all older than
# the language the page is written in. So no name of a host has to be put in, least of all one that a request brings.
PAGE_POLICY: Final = (
    "default-src 'self'; connect-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

SECURITY: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""On every answer, beside the policy for content."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. `lines` are its headers, each ended with CRLF."""

    status: int
    lines: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class _Shown:
    """One file in one encoding, in both ways it can be answered with."""

    etag: bytes
    whole: Reply
    unchanged: Reply


class Site:
    """Files by path. `exists` says whether a page was built; if not, `/` says so."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """`files`: content by path within the folder, such as `assets/main-abcdefgh.js` and `….js.br`."""
        self.exists = "index.html" in files
        self._shown = {
            "/" if path == "index.html" else f"/{path}": _in_all_encodings(path, files)
            for path in files
            if not path.endswith(tuple(ENCODINGS.values()))
        }
        if not self.exists:
            self._shown = {"/": _encoded("index.html", {"identity": _MISSING.encode()}, _MISSING_POLICY)}

    @classmethod
    def read(cls, folder: Path = DIST) -> Site:
        """What lies in `folder`; hidden files are not for the public. Raises OSError if something cannot be read."""
        found = (path for path in sorted(folder.rglob("*")) if path.is_file())
        names = {path.relative_to(folder): path for path in found}
        return cls(
            {
                name.as_posix(): path.read_bytes()
                for name, path in names.items()
                if not any(part.startswith(".") for part in name.parts)
            }
        )

    @property
    def paths(self) -> frozenset[str]:
        """Everything that is answered."""
        return frozenset(self._shown)

    def answer(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> Reply | None:
        """What to say, or None if this is none of the page's business. The body is there for HEAD as well: whoever
        sends it leaves it out. Names of `headers` are lower-case."""
        encodings = self._shown.get(path)
        if encodings is None or method not in ("GET", "HEAD"):
            return None
        shown = encodings[_chosen(headers.get(b"accept-encoding", b""), tuple(encodings))]
        held = headers.get(b"if-none-match")
        return shown.unchanged if held is not None and _is_held(shown.etag, held) else shown.whole


def _in_all_encodings(path: str, files: Mapping[str, bytes]) -> dict[str, _Shown]:
    bodies = {name: files[path + end] for name, end in ENCODINGS.items() if path + end in files}
    return _encoded(path, {**bodies, "identity": files[path]}, PAGE_POLICY)


def _encoded(path: str, bodies: Mapping[str, bytes], policy: str) -> dict[str, _Shown]:
    """Tags come from the content, so that every node and every start of one has the same."""
    digest = hashlib.sha256(bodies["identity"]).hexdigest()[:20]
    kept = {"cache-control": FOR_GOOD if _HASHED(f"/{path}") else ASK_AGAIN, "vary": "Accept-Encoding"}
    told = {"content-type": TYPES.get(Path(path).suffix, "application/octet-stream")}
    secure = {**SECURITY, "content-security-policy": policy}
    shown = {}
    for name, body in bodies.items():
        etag = f'"{digest}"' if name == "identity" else f'"{digest}-{name}"'
        encoded = {} if name == "identity" else {"content-encoding": name}
        length = {"content-length": str(len(body))}
        whole = _lines({**told, **encoded, **length, "etag": etag, **kept, **secure})
        unchanged = _lines({"etag": etag, **kept, **secure})
        shown[name] = _Shown(etag.encode(), Reply(200, whole, body), Reply(304, unchanged, b""))
    return shown


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")


# ---- what the browser takes (RFC 9110, sections 12.5.3 and 13.1.2) ----

_CODING: Final = re.compile(r"\s*([a-z0-9*-]+)\s*(?:;\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?", re.I).fullmatch


@lru_cache(maxsize=64)
def _chosen(accepted: bytes, offered: tuple[str, ...]) -> str:
    """The offer that is liked best; among equals the first. If none is: uncompressed, which everybody can read."""
    weights: dict[str, float] = {}
    for part in accepted[: ACCEPT_ENCODING_BYTES_MAX + 1].decode("latin-1").split(","):
        coding = _CODING(part)
        if coding is not None and len(accepted) <= ACCEPT_ENCODING_BYTES_MAX:
            weights[coding[1].lower().removeprefix("x-")] = float(coding[2] or 1)
    other = weights.get("*", 0.0)

    def liking(name: str) -> float:
        # Uncompressed and not named, it is acceptable and no more than that.
        return weights.get(name, 0.0 if name == "identity" else other)

    best = max(offered, key=liking)
    return best if liking(best) > 0 else "identity"


def _is_held(etag: bytes, held: bytes) -> bool:
    """Whether the browser has it already. A proxy that changes the encoding marks tags as weak."""
    tags = [tag.strip().removeprefix(b"W/") for tag in held.split(b",")]
    return etag in tags or tags == [b"*"]


# ---- without a page ----

_STYLE: Final = """:root{color-scheme:light dark}
body{font:16px/1.6 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}"""

_MISSING: Final = f"""\
<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>raeth</title>
<style>{_STYLE}</style>
<h1>raeth</h1>
<p>The venue runs, but its web page has not been built: install Node.js 20.19 or newer and start it again with
<code>./scripts/serve</code>.</p>
<p>Without it: <a href="/docs">docs</a>, <a href="/status">status</a>, <a href="/llms.txt">llms.txt</a>.</p></html>
"""

_MISSING_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
