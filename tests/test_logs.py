"""Whatever is logged, by whichever logger, comes out as JSON without a secret in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from raeth.logs import REDACTED, configure_logging, redact, redact_text

SECRET = "s3cr3tVALUE"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    out = io.StringIO()
    configure_logging("info", out)
    yield out
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        f"key rk_live_ab12_{SECRET} used",
        f"rk_admin_{SECRET}",
        f"rk_session_{SECRET}, next",
        f"GET /stream?x=wt_{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"bearer {SECRET}",
        f"GET /stream?ticket={SECRET}&x=1",
        f'{{"password": "{SECRET}"}}',
        f"{{'api_key': '{SECRET} {SECRET}'}}",
        f"session={SECRET}; path=/",
        f"session_token={SECRET}",
        f"postgresql://raeth:{SECRET}@db/raeth",
        f"postgresql://:{SECRET}@db/raeth",
    ],
)
def test_text_loses_its_secrets(text: str) -> None:
    assert SECRET not in redact_text(text)
    assert REDACTED in redact_text(text)


@pytest.mark.parametrize(
    "text",
    ["order accepted", "12:30:00 session started", "http://127.0.0.1:8000/api/v1/orders?limit=5", "work_live_on"],
)
def test_plain_text_stays(text: str) -> None:
    assert redact_text(text) == text


def test_values_are_cleaned_at_any_depth() -> None:
    class Thing:
        def __repr__(self) -> str:
            return f"Thing(api_key={SECRET!r})"

    value = {"a": [{"password": SECRET, "n": 1}], "b": Thing(), "Authorization": SECRET, "token_count": 3, "c": None}
    cleaned = redact(value)
    assert SECRET not in json.dumps(cleaned)
    assert cleaned["a"][0]["n"] == 1 and cleaned["token_count"] == 3 and cleaned["c"] is None


def test_every_logger_ends_in_the_same_clean_json(stream: io.StringIO) -> None:
    structlog.get_logger("raeth.test").info("accepted", seq=7, headers={"cookie": SECRET})
    logging.getLogger("uvicorn.error").warning("got %s", f"rk_live_{SECRET}", extra={"color_message": SECRET})
    logging.getLogger("uvicorn.access").info('"GET /x?ticket=%s"', SECRET)
    logging.getLogger("anything").error("broken", extra={"password": SECRET})
    structlog.get_logger().debug("unheard")
    try:
        raise RuntimeError(f"bad key rk_admin_{SECRET}")
    except RuntimeError:
        structlog.get_logger().exception("failed")
    assert SECRET not in stream.getvalue()
    told = lines(stream)
    assert told[0]["event"] == "accepted" and len(told) == 5
    assert told[0]["seq"] == 7 and told[0]["level"] == "info" and told[0]["logger"] == "raeth.test"
    assert told[0]["ts"].endswith("Z")
    assert "RuntimeError" in told[4]["exception"]
    assert "color_message" not in told[1]


def test_configuring_twice_does_not_say_things_twice(stream: io.StringIO) -> None:
    configure_logging("error", stream)
    logging.getLogger("x").info("unheard")
    logging.getLogger("x").error("once")
    assert [line["event"] for line in lines(stream)] == ["once"]
