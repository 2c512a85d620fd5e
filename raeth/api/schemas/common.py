"""The parts every schema shares: the strict base, bounded integers, ids, times.

Integers on the wire stay within ±(2^53 − 1), what every JSON reader holds exactly. `null` is the same as absent.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

SAFE_INT: Final = 2**53 - 1

TIME_MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: no time after it can be written as ISO-8601."""

NAME_PATTERN: Final = r"^[A-Za-z0-9_:.-]{1,128}$"
MARKET_PATTERN: Final = r"^[\x20-\x7e]{1,64}$"

Int = Annotated[int, Field(ge=-SAFE_INT, le=SAFE_INT)]
"""Any integer; what it may mean is the engine's to judge."""

Natural = Annotated[int, Field(ge=0, le=SAFE_INT)]

Cents = Annotated[int, Field(description="US cents.", examples=[5_500])]
Price = Annotated[int, Field(description="Cents of the YES contract, 1-99.", examples=[55])]
Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["0193b2c4-7d10-8000-8000-000000500000"])]
Time = Annotated[
    str,
    Field(
        description="ISO-8601 UTC with milliseconds, venue time.",
        json_schema_extra={"format": "date-time"},
        examples=["2026-11-20T10:30:00.123Z"],
    ),
]
Symbol = Annotated[
    str,
    Field(
        description="Name of a window; the time is its close.",
        examples=["BTC-1M-20261120T1031Z"],
    ),
]
Seq = Annotated[
    int, Field(description="Journal sequence number: the place in the venue's one total order.", examples=[8123])
]

MarketRef = Annotated[
    str,
    Field(
        pattern=MARKET_PATTERN,
        description="The market's UUID or its symbol; 1-64 printable ASCII characters.",
        examples=["BTC-1M-20261120T1031Z"],
    ),
]
ClientName = Annotated[str, Field(pattern=NAME_PATTERN, examples=["mm-7:000412"])]


class Request(BaseModel):
    """A body as a client sends it: no coercion, no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """The shape of an answer; every field is always present."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


def fault(field: str, kind: str, message: str) -> NoReturn:
    """Refuse a body for a rule that spans fields; `field` is the one to repair. Only for use in validators."""
    error: Any = PydanticCustomError(kind, message)
    raise ValidationError.from_exception_data("body", [InitErrorDetails(type=error, loc=(field,), input=None)])
