"""The one catalogue of codes: every way the venue can say no, with its cause and its repair.

The enum, the OpenAPI examples, `docs/errors.md`, `GET /meta/errors` and the tests all come from here
(contract, sections 3, 5 and 11); the prose lies in `errors.toml` beside this file. This module must know
neither HTTP frameworks nor the engine: the engine writes the same codes as plain strings, and `Code` is a
`StrEnum`, so the two compare equal.

    Exception
    ├── RaethError                  what a caller is told: a code, an HTTP status, one sentence
    └── raeth.config.ConfigError    what an operator is told when the process cannot start; it has no code

Run `python -m raeth.errors` to write `docs/errors.md` (and the table in the README) anew.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

REJECTED = "200/REJECTED"
"""In `Entry.http`: an order body with `status: "REJECTED"`, which is not an HTTP error."""

STREAM = "ws"
"""In `Entry.http`: an error message on the stream; no HTTP response carries the code."""


class Code(StrEnum):
    """Every code of the venue, in the order of the documentation. The value is the name."""

    # Orders: the risk chain, then the engine, in the order in which they judge.
    UNKNOWN_MARKET = "UNKNOWN_MARKET"
    FAT_FINGER = "FAT_FINGER"
    POSITION_CAP = "POSITION_CAP"
    NO_REFERENCE_PRICE = "NO_REFERENCE_PRICE"
    AGENT_SIDE_COOLDOWN = "AGENT_SIDE_COOLDOWN"
    MARKET_NOT_OPEN = "MARKET_NOT_OPEN"
    MARKET_CLOSED = "MARKET_CLOSED"
    MARKET_HALTED = "MARKET_HALTED"
    INVALID_QTY = "INVALID_QTY"
    PRICE_OUT_OF_RANGE = "PRICE_OUT_OF_RANGE"
    INVALID_LEVERAGE = "INVALID_LEVERAGE"
    INVALID_MARGIN_MODE = "INVALID_MARGIN_MODE"
    STALE_REQUEST = "STALE_REQUEST"
    ORDER_EXPIRED = "ORDER_EXPIRED"
    REDUCE_ONLY_VIOLATION = "REDUCE_ONLY_VIOLATION"
    POST_ONLY_WOULD_CROSS = "POST_ONLY_WOULD_CROSS"
    FOK_NOT_FILLABLE = "FOK_NOT_FILLABLE"
    MARKET_NO_LIQUIDITY = "MARKET_NO_LIQUIDITY"
    INSUFFICIENT_MARGIN = "INSUFFICIENT_MARGIN"
    OPEN_ORDERS_CAP = "OPEN_ORDERS_CAP"
    STRATEGY_NOT_FILLED = "STRATEGY_NOT_FILLED"
    # 400
    BAD_REQUEST = "BAD_REQUEST"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    # 401
    AUTH_MISSING = "AUTH_MISSING"
    AUTH_INVALID = "AUTH_INVALID"
    AUTH_EXPIRED = "AUTH_EXPIRED"
    AUTH_REVOKED = "AUTH_REVOKED"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    # 403
    FORBIDDEN = "FORBIDDEN"
    SCOPE_REQUIRED = "SCOPE_REQUIRED"
    IP_NOT_ALLOWED = "IP_NOT_ALLOWED"
    AGENT_SUSPENDED = "AGENT_SUSPENDED"
    # 404
    NOT_FOUND = "NOT_FOUND"
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND"
    # 409
    EMAIL_TAKEN = "EMAIL_TAKEN"
    AGENT_NAME_TAKEN = "AGENT_NAME_TAKEN"
    MARKET_FINAL = "MARKET_FINAL"
    ORDER_NOT_OPEN = "ORDER_NOT_OPEN"
    ORDER_ALREADY_FILLED = "ORDER_ALREADY_FILLED"
    AMEND_CONFLICT = "AMEND_CONFLICT"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    FAUCET_CAP_REACHED = "FAUCET_CAP_REACHED"
    # 413
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    # 422
    VALIDATION_FAILED = "VALIDATION_FAILED"
    BATCH_SIZE_EXCEEDED = "BATCH_SIZE_EXCEEDED"
    INVALID_CURSOR = "INVALID_CURSOR"
    # 429
    RATE_LIMITED = "RATE_LIMITED"
    FAUCET_COOLDOWN = "FAUCET_COOLDOWN"
    # 5xx
    INTERNAL_ERROR = "INTERNAL_ERROR"
    REFERENCE_UNAVAILABLE = "REFERENCE_UNAVAILABLE"
    EXCHANGE_FROZEN = "EXCHANGE_FROZEN"
    FEATURE_DISABLED = "FEATURE_DISABLED"
    SERVICE_DEGRADED = "SERVICE_DEGRADED"
    # Streams
    INVALID_MESSAGE = "INVALID_MESSAGE"
    UNSUPPORTED_CHANNEL = "UNSUPPORTED_CHANNEL"
    UNAUTHENTICATED = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class Entry:
    """One code of the catalogue.

    `http` lists where the code appears: `"200/REJECTED"`, a status such as `"409"`, or `"ws"`.
    `retryable` is true when the same request can succeed later although the caller repairs nothing
    (for a declined order: under a new `client_order_id`, and with a fresh `timestamp_ms` if it had one).
    `message` is the default sentence of an answer; it never repeats the caller's input.
    """

    code: Code
    http: tuple[str, ...]
    retryable: bool
    message: str
    when: str
    fix: str

    @property
    def is_decline(self) -> bool:
        """True when an order can be declined with this code."""
        return REJECTED in self.http

    @property
    def status(self) -> int | None:
        """The HTTP status when the code is an HTTP error; None for codes that only decline or only stream."""
        return next((int(where) for where in self.http if where.isdigit()), None)

    def published(self) -> dict[str, Any]:
        """The entry as `GET /meta/errors` shows it (contract, section 3)."""
        return {
            "code": self.code.value,
            "http": list(self.http),
            "when": self.when,
            "fix": self.fix,
            "retryable": self.retryable,
        }


def _load_catalogue() -> dict[Code, Entry]:
    """Read the prose beside this module; a code without an entry, or an entry without a code, is our bug."""
    rows: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    assert list(rows) == [code.value for code in Code], (
        "errors.toml and Code must list the same codes in the same order"
    )
    return {
        code: Entry(
            code=code,
            http=tuple(rows[code]["http"]),
            retryable=rows[code]["retryable"],
            message=rows[code]["message"],
            when=rows[code]["when"],
            fix=rows[code]["fix"],
        )
        for code in Code
    }


CATALOGUE: dict[Code, Entry] = _load_catalogue()
"""Every code with its entry, in the order of the documentation."""

DECLINE_MESSAGES: dict[Code, str] = {code: entry.message for code, entry in CATALOGUE.items() if entry.is_decline}
"""One plain sentence a decline code, for `reject_message`; the numbers go into `reject_details`."""

DECLINE_CODES: frozenset[Code] = frozenset(DECLINE_MESSAGES)
"""The codes that can appear as an order's `reject_reason`."""


class RaethError(Exception):
    """The one exception at the edge: a refusal with a code of the catalogue.

    `http` overrides the status of the catalogue. Without it, a code that only streams carry counts as 400;
    a code that only declines orders is refused with `ValueError`, because a decline is an answer and not an
    exception. `details` is an object, or the list of faulty fields of a validation failure; it must never
    hold the caller's input. `retry_after_ms` (at least 0, real time) becomes the `Retry-After` header.
    """

    def __init__(
        self,
        code: Code | str,
        message: str | None = None,
        http: int | None = None,
        details: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        entry = CATALOGUE[Code(code)]
        status = http if http is not None else entry.status
        if status is None:
            if STREAM not in entry.http:
                raise ValueError(f"{entry.code} declines an order; it is not an HTTP error")
            status = 400
        assert retry_after_ms is None or retry_after_ms >= 0
        self.code: Code = entry.code
        self.message: str = message if message is not None else entry.message
        self.http: int = status
        self.details = details
        self.retry_after_ms = retry_after_ms
        super().__init__(f"{self.code}: {self.message}")

    def body(self, request_id: str) -> dict[str, Any]:
        """The flat error body of every REST answer (contract, section 3)."""
        body: dict[str, Any] = {"code": self.code.value, "message": self.message, "request_id": request_id}
        if self.details is not None:
            body["details"] = self.details
        return body

    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds, rounded up so that waiting it out is always enough; else nothing."""
        if self.retry_after_ms is None:
            return {}
        return {"Retry-After": str(max(1, -(-self.retry_after_ms // 1000)))}


def as_table() -> str:
    """The error table as Markdown, one row a code."""
    rows = ["| code | HTTP | retry | when | what to do |", "|---|---|---|---|---|"]
    for entry in CATALOGUE.values():
        retry = "yes" if entry.retryable else "no"
        when, fix = (text.replace("|", "\\|") for text in (entry.when, entry.fix))
        rows.append(f"| `{entry.code}` | {', '.join(entry.http)} | {retry} | {when} | {fix} |")
    return "\n".join(rows) + "\n"


def as_markdown() -> str:
    """The whole documentation page `docs/errors.md`."""
    return _PAGE_HEAD + "\n" + as_table()


_PAGE_HEAD = """\
# Error codes

<!-- Generated by `python -m raeth.errors` from the catalogue in the source. Do not edit. -->

A refusal over HTTP is a 4xx or 5xx with one flat body: `{"code", "message", "request_id"}`, and `details` where
there is something structured to say. An order the venue declines is not an HTTP error: it is 200 with the order,
`status: "REJECTED"`, the code as `reject_reason` and the repair as numbers in `reject_details`. In the table this is
`200/REJECTED`; `ws` marks codes that only the stream sends. On the stream any other code can appear too, with the same
meaning.

*retry* says whether the same request can succeed later although the caller repairs nothing. A declined order goes out
again under a new `client_order_id`; after a 5xx or an answer that got lost, use the same one: it cannot execute twice.
`GET /api/v1/meta/errors` serves this table as JSON.
"""

_README_MARKS = ("<!-- error table: begin -->\n", "<!-- error table: end -->")


def readme_with_table(readme: str) -> str:
    """`readme` with the text between the two error table marks replaced; unchanged if it has none."""
    begin, end = _README_MARKS
    before, found, rest = readme.partition(begin)
    if not found or end not in rest:
        return readme
    return before + begin + as_table() + end + rest.partition(end)[2]


def _write_docs(root: Path) -> None:
    (root / "docs" / "errors.md").write_text(as_markdown(), "utf-8")
    readme = root / "README.md"
    if readme.exists():
        readme.write_text(readme_with_table(readme.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    _write_docs(Path(__file__).resolve().parent.parent)
