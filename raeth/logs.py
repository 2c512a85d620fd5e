"""Logs: one JSON object a line on stderr, with everything that looks like a secret taken out.

Our own loggers, the standard library's and the server's (uvicorn) all end in the same handler, so nothing can
slip past the redaction. This module must know neither settings nor requests: whoever logs says what happened.

    log = structlog.get_logger()
    log.info("order accepted", seq=8123)
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"

_SECRET_NAMES = re.compile(
    r"pass(word|wd)?$|secret|token|ticket|cookie|authorization|api_?key$|pepper|credential", re.I
)
_MAX_DEPTH = 8

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Keys and sessions of every kind, whatever follows the prefix.
    (re.compile(r"\b(?:rk_[a-z]+|rs|wt)_[^\s\"',;&<>)\]}]+"), REDACTED),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.I), r"\1 " + REDACTED),
    # name=value and "name": "value", as in addresses, cookies, headers and printed mappings.
    (
        re.compile(
            r"""\b((?:[a-z0-9]+_)*(?:password|passwd|secret|token|ticket|cookie|session|api_?key|pepper)["']?\s*[:=]\s*)"""
            r"""("[^"]*"|'[^']*'|[^\s"',;&]+)""",
            re.I,
        ),
        r"\1" + REDACTED,
    ),
    # The password in scheme://user:password@host.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+@", re.I), r"\1" + REDACTED + "@"),
)


def redact_text(text: str) -> str:
    """`text` with keys, bearers, session tokens, tickets and passwords replaced."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any, depth: int = 0) -> Any:
    """`value` fit for a log: strings cleaned, secretly named entries dropped, foreign objects printed and cleaned."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {
            redact_text(str(name)): REDACTED if _is_secret(name, entry) else redact(entry, depth + 1)
            for name, entry in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(entry, depth + 1) for entry in value]
    return redact_text(repr(value))


def _is_secret(name: Any, entry: Any) -> bool:
    # Numbers and flags under such a name are counts and switches, not secrets.
    return bool(_SECRET_NAMES.search(str(name))) and not (entry is None or isinstance(entry, bool | int | float))


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The structlog processor; it must run last before rendering, when tracebacks are text already."""
    cleaned: EventDict = redact(event)
    return cleaned


def configure_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """Send every logger of the process through one redacting JSON handler.

    `level` is debug, info, warning or error; `stream` is stderr unless a test gives another. Calling it again
    replaces what was there. Start uvicorn with `log_config=None`, or it installs its own handlers afterwards.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _drop_terminal_colours,
                redact_event,
                structlog.processors.JSONRenderer(serializer=json.dumps, ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Eight lines at a first start that tell nobody anything; statements whose parameters may be e-mail addresses; a
    # line for every request that this process makes of itself, or that a model makes; and one for every socket.
    for name in ("alembic", "aiosqlite", "httpx2", "mcp", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _drop_terminal_colours(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's own copy of the message for terminals
    return event
