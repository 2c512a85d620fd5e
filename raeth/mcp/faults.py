"""From whatever stops a tool call to a tool error: a code, one line, the fix, and when to come back.

Nothing of what the caller sent is repeated, and nothing of how this program is made is told. Must not know any tool.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from mcp_types import CallToolResult
from pydantic import ValidationError

from raeth.client.errors import BadAnswer, ClientError, Disconnected, NoOpenMarket, Uncertain, VenueError
from raeth.errors import CATALOGUE, Code
from raeth.mcp import text
from raeth.mcp.results import Failure, shown

MAX_FAULTS = 5


class ToolFault(ClientError):
    """A tool cannot do what it was asked; text for the model, none of it the caller's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(code=code, message=message)


def tool_error(failure: Failure) -> CallToolResult:
    return shown(failure, text.failure(failure), is_error=True)


def unknown_tool(names: Iterable[str]) -> CallToolResult:
    return tool_error(Failure(code="NOT_FOUND", message=f"There is no such tool. Tools: {', '.join(names)}."))


def unknown_arguments(known: Iterable[str]) -> CallToolResult:
    takes = ", ".join(known) or "no arguments"
    return tool_error(
        Failure(code="BAD_REQUEST", message=f"An argument is unknown; nothing was done. This tool takes: {takes}.")
    )


def bad_arguments(error: ValidationError) -> CallToolResult:
    """What the input schema found, by argument. The values are the caller's and stay out."""
    faults = [
        {"argument": ".".join(str(part) for part in fault["loc"] if not _is_type_tag(part)), "message": fault["msg"]}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return tool_error(
        Failure(
            code=Code.VALIDATION_FAILED.value,
            message="The arguments do not fit this tool's input schema; nothing was done.",
            faults=faults[:MAX_FAULTS],
        )
    )


def _is_type_tag(part: int | str) -> bool:
    """Pydantic names the branch of a union in a fault's path: `constrained-int` is no argument."""
    return isinstance(part, str) and not part.isidentifier()


def of_client(error: ClientError) -> CallToolResult:
    """What the venue refused, or that it could not be asked."""
    if isinstance(error, ToolFault):
        return tool_error(error.failure)
    if isinstance(error, VenueError):
        return tool_error(_refused(error))
    if isinstance(error, NoOpenMarket):
        said = str(error)
        return tool_error(
            Failure(
                code=Code.MARKET_NOT_OPEN.value,
                message=said[:1].upper() + said[1:] + ".",
                fix="Call wait_for with event next_window, then try again.",
            )
        )
    if isinstance(error, Uncertain):
        return tool_error(
            Failure(
                code="UNCERTAIN",
                message="The venue stopped answering; the call may or may not have been carried out.",
                client_order_id=error.client_order_id,
            )
        )
    if isinstance(error, Disconnected):
        return tool_error(
            Failure(code="UNREACHABLE", message="The venue cannot be reached; try again in a few seconds.")
        )
    if isinstance(error, BadAnswer):
        return tool_error(
            Failure(code="BAD_ANSWER", message="What answered does not speak as a venue of this version.")
        )
    return bug()


def bug() -> CallToolResult:
    """A bug of ours; what is known of it stays in the log."""
    return tool_error(Failure(code=Code.INTERNAL_ERROR.value, message="The tool failed."))


def _refused(error: VenueError) -> Failure:
    entry = CATALOGUE[Code(error.code)] if error.code in Code.__members__ else None
    return Failure(
        code=text.harmless(error.code, 40),
        message=text.harmless(error.message, 500),
        fix=None if entry is None else entry.fix,
        retry_after_s=None if error.retry_after_s is None else math.ceil(error.retry_after_s),
        faults=_faults(error.details),
        request_id=error.request_id,
    )


def _faults(details: Any) -> list[dict[str, str]] | None:
    if not isinstance(details, list):
        return None
    told = [fault for fault in details if isinstance(fault, dict)]
    return [
        {"argument": text.harmless(f.get("field", "")), "message": text.harmless(f.get("message", ""), 200)}
        for f in told[:MAX_FAULTS]
    ]
