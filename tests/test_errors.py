"""The catalogue is complete, says something useful everywhere, and the committed page comes from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raeth import errors
from raeth.errors import CATALOGUE, DECLINE_CODES, DECLINE_MESSAGES, REJECTED, STREAM, Code, RaethError

ROOT = Path(__file__).resolve().parent.parent

# Written out from the contract (sections 3, 5 and 11), so that a slip in the catalogue shows.
BY_PLACE: dict[str, str] = {
    "400": "BAD_REQUEST INSUFFICIENT_BALANCE",
    "401": "AUTH_MISSING AUTH_INVALID AUTH_EXPIRED AUTH_REVOKED INVALID_CREDENTIALS",
    "403": "FORBIDDEN SCOPE_REQUIRED IP_NOT_ALLOWED AGENT_SUSPENDED",
    "404": "NOT_FOUND UNKNOWN_MARKET ORDER_NOT_FOUND",
    "409": "EMAIL_TAKEN AGENT_NAME_TAKEN MARKET_CLOSED MARKET_FINAL ORDER_NOT_OPEN ORDER_ALREADY_FILLED "
    "AMEND_CONFLICT IDEMPOTENCY_CONFLICT FAUCET_CAP_REACHED",
    "413": "BODY_TOO_LARGE",
    "422": "VALIDATION_FAILED BATCH_SIZE_EXCEEDED INVALID_CURSOR INVALID_LEVERAGE",
    "429": "RATE_LIMITED FAUCET_COOLDOWN",
    "500": "INTERNAL_ERROR",
    "502": "REFERENCE_UNAVAILABLE",
    "503": "EXCHANGE_FROZEN FEATURE_DISABLED SERVICE_DEGRADED",
    "200/REJECTED": "UNKNOWN_MARKET FAT_FINGER POSITION_CAP NO_REFERENCE_PRICE AGENT_SIDE_COOLDOWN MARKET_NOT_OPEN "
    "MARKET_CLOSED MARKET_HALTED INVALID_QTY PRICE_OUT_OF_RANGE INVALID_LEVERAGE INVALID_MARGIN_MODE STALE_REQUEST "
    "ORDER_EXPIRED REDUCE_ONLY_VIOLATION POST_ONLY_WOULD_CROSS FOK_NOT_FILLABLE MARKET_NO_LIQUIDITY "
    "INSUFFICIENT_MARGIN OPEN_ORDERS_CAP STRATEGY_NOT_FILLED",
    "ws": "INVALID_MESSAGE UNSUPPORTED_CHANNEL UNAUTHENTICATED",
}


def test_every_code_stands_where_the_contract_puts_it() -> None:
    expected = {(place, code) for place, codes in BY_PLACE.items() for code in codes.split()}
    actual = {(place, entry.code.value) for entry in CATALOGUE.values() for place in entry.http}
    assert actual == expected


def test_declines_are_listed_in_the_order_of_judgement() -> None:
    declines = [entry.code.value for entry in CATALOGUE.values() if entry.is_decline]
    assert declines == BY_PLACE["200/REJECTED"].split()
    assert set(DECLINE_MESSAGES) == DECLINE_CODES == set(declines)


@pytest.mark.parametrize("code", list(Code))
def test_entries_are_complete_and_plain(code: Code) -> None:
    entry = CATALOGUE[code]
    assert code == code.name == entry.code
    assert entry.http
    for text in (entry.message, entry.when, entry.fix):
        assert text == text.strip()
        assert text.endswith((".", ".)"))
        assert "\n" not in text
    assert "{" not in entry.message, "messages are sentences, not templates"
    assert set(entry.published()) == {"code", "http", "when", "fix", "retryable"}


def test_the_committed_page_is_the_catalogue() -> None:
    assert (ROOT / "docs" / "errors.md").read_text("utf-8") == errors.as_markdown(), "run python -m raeth.errors"


def test_the_readme_table_is_the_catalogue() -> None:
    readme = ROOT / "README.md"
    if readme.exists():
        text = readme.read_text("utf-8")
        assert errors.readme_with_table(text) == text, "run python -m raeth.errors"


def test_the_readme_table_is_replaced_between_its_marks() -> None:
    text = "head\n<!-- error table: begin -->\nold\n<!-- error table: end -->\ntail\n"
    done = errors.readme_with_table(text)
    assert done.startswith("head\n") and done.endswith("-->\ntail\n")
    assert errors.as_table() in done and "old\n" not in done
    assert errors.readme_with_table(done) == done
    assert errors.readme_with_table("no marks") == "no marks"


def test_an_error_is_one_flat_body() -> None:
    assert RaethError("NOT_FOUND").body("r1") == {
        "code": "NOT_FOUND",
        "message": CATALOGUE[Code.NOT_FOUND].message,
        "request_id": "r1",
    }
    full = RaethError(Code.INSUFFICIENT_BALANCE, "Too little.", details={"wallet": "master"})
    assert (full.http, full.headers()) == (400, {})
    assert full.body("r2")["details"] == {"wallet": "master"}


@pytest.mark.parametrize(("wait_ms", "header"), [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")])
def test_waiting_out_retry_after_is_always_enough(wait_ms: int, header: str) -> None:
    assert RaethError(Code.RATE_LIMITED, retry_after_ms=wait_ms).headers() == {"Retry-After": header}


@pytest.mark.parametrize("code", list(Code))
def test_the_status_follows_the_catalogue(code: Code) -> None:
    entry = CATALOGUE[code]
    if entry.http == (REJECTED,):
        with pytest.raises(ValueError, match="declines an order"):
            RaethError(code)
        assert RaethError(code, http=409).http == 409
    elif entry.http == (STREAM,):
        assert RaethError(code).http == 400
    else:
        assert str(RaethError(code).http) in entry.http


def test_an_unknown_code_is_our_bug() -> None:
    with pytest.raises(ValueError, match="NO_SUCH_CODE"):
        RaethError("NO_SUCH_CODE")
