"""`/llms.txt`, `/llms-full.txt` and `/skill.md`: what a model needs to trade here from nothing, as plain text.

The prose lies in `texts/`; every number and name in it comes from the catalogue of codes, the OpenAPI document and the
settings in force, when it is first asked for, so nothing can go stale. `<<limits.writes_per_minute>>` is a setting,
`<<seconds …>>` and `<<dollars …>>` one with its unit, a single word one of `_words`.

`python -m raeth.api.llms` writes the skill into `docs/`. Must not know how a request is judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from raeth.api import guide, llms_calls
from raeth.api.openapi import Document
from raeth.config import ROOT, Settings
from raeth.errors import CATALOGUE, REJECTED

TEXTS: Final = Path(__file__).with_name("texts")
SKILL_FILE: Final = ROOT / "docs" / "skills" / "raeth" / "SKILL.md"
SKILL_BASE: Final = "http://127.0.0.1:8000"

KINDS: Final = ("short", "full", "skill")

_PLACE: Final = re.compile(r"<<(?:(seconds|dollars) )?([a-z_]+(?:\.[a-z_]+)?)>>")
_ADDRESS: Final = frozenset({"base", "ws"})
"""Places that are filled for each request."""

_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?){0,12}"
    r"|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)

_made: WeakKeyDictionary[Document, dict[str, str]] = WeakKeyDictionary()


def base_url(host: str | None, scheme: str, fallback: str) -> str:
    """The address to write into the text: the one that was asked for, if it can be one."""
    if host is not None and len(host) <= 255 and _HOST.fullmatch(host):
        return f"{scheme}://{host}"
    return fallback


def written(kind: str, document: Document, settings: Settings, base: str) -> str:
    """The text of this kind (of `KINDS`), with the venue's address in it."""
    texts = _made.setdefault(document, {})
    if kind not in texts:
        make = {"short": short, "full": full, "skill": skill}[kind]
        texts[kind] = make(document.content, settings)
    return addressed(texts[kind], base)


def addressed(text: str, base: str) -> str:
    """`text` for whoever reaches the venue at `base`, `http://…` or `https://…`."""
    return text.replace("<<base>>", base).replace("<<ws>>", "ws" + base.removeprefix("http"))


def skill(_document: Mapping[str, Any], _settings: Settings) -> str:
    return _text("skill.md")


def short(document: Mapping[str, Any], settings: Settings) -> str:
    """One page: what this is, the first trade, the rules, the doors."""
    words = _words(document, settings)

    def fill(place: re.Match[str]) -> str:
        unit, name = place.groups()
        if name in _ADDRESS:
            return place[0]
        if name in words:
            return _PLACE.sub(fill, words[name])
        section, _, field = name.partition(".")
        value = getattr(getattr(settings, section), field)
        return _UNITS[unit](value) if unit else str(value)

    return _PLACE.sub(fill, _text("llms.md"))


def full(document: Mapping[str, Any], settings: Settings) -> str:
    """Everything: the one page, then every call, schema, stream message and code."""
    parts = [llms_calls.calls(document), llms_calls.schemas(document), _streams(settings), _codes()]
    return "\n".join([short(document, settings), *(line for part in parts for line in part)])


def _text(name: str) -> str:
    return (TEXTS / name).read_text("utf-8")


def _dollars(cents: int) -> str:
    return f"{cents} cents (${cents // 100:,}.{cents % 100:02d})"


def _seconds(ms: int) -> str:
    return f"{ms // 1000} s" if ms % 1000 == 0 else f"{ms} ms"


_UNITS: Final = {"seconds": _seconds, "dollars": _dollars}


def _words(document: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    schemas = document["components"]["schemas"]
    trade = "trade_house.sh" if settings.house.enabled else "trade_alone.sh"
    return {
        "summary": document["info"]["summary"],
        "version": document["info"]["version"],
        "first_trade": (_text("start.sh") + _text(trade)).rstrip(),
        "faucet": _FAUCET if settings.faucet.enabled else "there is no faucet here.",
        "order_fields": _order_fields(schemas["OrderRequest"]),
        "order_statuses": ", ".join(schemas["OrderView"]["properties"]["status"]["enum"]),
        "declines": ", ".join(entry.code for entry in CATALOGUE.values() if REJECTED in entry.http),
        "channels": ", ".join(guide.CHANNELS),
    }


_FAUCET: Final = (
    "`POST /faucet` gives <<dollars faucet.amount_cents>> every <<seconds faucet.cooldown_ms>>, in all at most\n"
    "  <<dollars faucet.account_cap_cents>> an account."
)


def _order_fields(schema: Mapping[str, Any]) -> str:
    """`side` (BUY | SELL), `tif`? (GTC | …), …: what may be left out has a question mark."""
    told = []
    for name, about in schema["properties"].items():
        options = [option for option in about.get("anyOf", [about]) if "enum" in option]
        choice = f" ({llms_calls.kind(options[0])})" if options else ""
        told.append(f"`{name}`{'' if name in schema['required'] else '?'}{choice}")
    return ", ".join(told)


def _streams(s: Settings) -> list[str]:
    limits = s.limits
    lines = [
        "## Stream",
        "",
        "WebSocket `/stream`, one JSON object a text frame. Public without a credential; private with `?ticket=` (from",
        "POST /auth/ws-ticket), an `Authorization` header, or `authenticate` as the first message. SSE",
        "`GET /api/v1/sse?channels=a,b` has the same events; `Last-Event-ID` resumes the private channel.",
        "",
        f"Limits: {limits.sockets_per_agent} streams an agent, {limits.sockets_per_key} a key, "
        f"{limits.subscriptions_per_socket} channels a stream, {limits.control_messages_per_minute} control messages a "
        f"minute, {limits.frame_bytes} bytes a frame. Orders draw on the same budget of writes.",
        "",
        "You send `{op, request_id?, ...}`:",
        "",
        *(f"- `{op}` {fields + ': ' if fields else ''}{about}" for op, (fields, about) in guide.OPS.items()),
        "",
        "You get:",
        "",
        *(f"- `{form}` {about}" for form, about in guide.MESSAGES),
        "",
        "Channels:",
        "",
        *(f"- `{name}` {about}" for name, about in guide.CHANNELS.items()),
        "",
    ]
    return lines


def _codes() -> list[str]:
    lines = [
        "## Codes",
        "",
        "Where: `200/REJECTED` is a declined order, a number an HTTP status, `ws` the stream. Retry: whether the same",
        "request can succeed later although nothing is repaired.",
        "",
    ]
    for entry in CATALOGUE.values():
        retry = "retry" if entry.retryable else "no retry"
        lines += [
            f"### {entry.code} ({', '.join(entry.http)}; {retry})",
            f"When: {entry.when}",
            f"Fix: {entry.fix}",
            "",
        ]
    return lines


if __name__ == "__main__":
    SKILL_FILE.parent.mkdir(parents=True, exist_ok=True)
    SKILL_FILE.write_text(addressed(_text("skill.md"), SKILL_BASE), "utf-8")
