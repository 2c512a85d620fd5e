"""Messages of clients, and the replies to them. Pure: must not know the venue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from raeth.api.schemas.plain_orders import UNREADABLE, PlainOrderRequest
from raeth.errors import Code, RaethError

encode: Final = msgspec.json.Encoder().encode

REQUEST_ID_MAX: Final = 128


class Incoming(msgspec.Struct, forbid_unknown_fields=True):
    """What a client may say. Which fields an `op` takes is in `FIELDS`."""

    op: str
    request_id: str | None = None
    channels: list[str] | None = None
    from_seq: int | None = None
    api_key: str | None = None
    cancel_on_disconnect: bool | None = None
    params: msgspec.Raw = msgspec.Raw()

    def has(self, name: str) -> bool:
        """Whether a field was given; `null` is the same as absent."""
        value = getattr(self, name)
        return bytes(value) not in (b"", b"null") if name == "params" else value is not None


class PlainOrder(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message that places such an order, read and validated in one step."""

    op: Literal["submit_order"]
    params: PlainOrderRequest
    request_id: Annotated[str, Meta(min_length=1, max_length=REQUEST_ID_MAX)] | None = None


Asked = Incoming | PlainOrder

CONTROL: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "subscribe": (frozenset({"channels"}), frozenset({"from_seq"})),
    "unsubscribe": (frozenset({"channels"}), frozenset()),
    "authenticate": (frozenset({"api_key"}), frozenset({"cancel_on_disconnect"})),
    "ping": (frozenset(), frozenset()),
}
"""Control messages: the fields each one needs, and those it may have."""

ORDER_ENTRY: Final = ("submit_order", "cancel_order", "amend_order", "cancel_all", "put_quotes")

_OPTIONAL: Final = ("channels", "from_seq", "api_key", "cancel_on_disconnect", "params")

_FIELDS: Final = {
    op: (tuple(needed), tuple(name for name in _OPTIONAL if name not in needed | more))
    for op, (needed, more) in (*CONTROL.items(), *((op, (frozenset(), frozenset({"params"}))) for op in ORDER_ENTRY))
}
"""What each op needs, and what it does not take."""

_plainly: Final = msgspec.json.Decoder(PlainOrder).decode
_decode: Final = msgspec.json.Decoder(Incoming).decode
_loosely: Final = msgspec.json.Decoder().decode

CHANNELS_MAX: Final = 1_000
"""Names in one message; a frame has no room for many more."""


class Unreadable(Exception):
    """A message that cannot be understood, with what of it can be echoed."""

    def __init__(self, op: str | None, request_id: str | None, why: str) -> None:
        super().__init__(why)
        self.op = op
        self.request_id = request_id


def read(text: str) -> Asked:
    """One message of a client. Raises Unreadable."""
    return read_plain(text) or read_any(text)


def read_plain(text: str) -> PlainOrder | None:
    """A plain order. None says nothing about what else it is, or what is wrong with it."""
    if '"submit_order"' not in text:
        return None
    try:
        return _plainly(text)
    except UNREADABLE:
        return None


def read_any(text: str) -> Incoming:
    """One message of whatever kind, its `params` as they are. Raises Unreadable."""
    try:
        message = _decode(text)
    except UNREADABLE as error:
        raise _unreadable(text, _why(error)) from None
    if message.request_id is not None and not 0 < len(message.request_id) <= REQUEST_ID_MAX:
        raise Unreadable(None, None, f"request_id: 1 to {REQUEST_ID_MAX} characters")
    fields = _FIELDS.get(message.op)
    if fields is None:
        raise Unreadable(None, message.request_id, "op: unknown")
    needed, foreign = fields
    for name in foreign:
        if getattr(message, name) is not None and message.has(name):
            raise Unreadable(message.op, message.request_id, f"{name}: not a field of this op")
    for name in needed:
        if not message.has(name):
            raise Unreadable(message.op, message.request_id, f"{name}: required")
    if message.channels is not None and not 0 < len(message.channels) <= CHANNELS_MAX:
        raise Unreadable(message.op, message.request_id, "channels: at least one")
    return message


def _why(error: Exception) -> str:
    """What was wrong, without quoting the message: a decoder's own words name types and paths only."""
    return str(error)[:200] if isinstance(error, msgspec.ValidationError) else "not a JSON object"


def _unreadable(text: str, why: str) -> Unreadable:
    """Echo op and request_id where they can be made out, so that the client finds its fault."""
    try:
        found = _loosely(text)
    except UNREADABLE:
        found = None
    if not isinstance(found, dict):
        return Unreadable(None, None, why)
    op, request_id = found.get("op"), found.get("request_id")
    known = op if isinstance(op, str) and op in _FIELDS else None
    echoed = request_id if isinstance(request_id, str) and 0 < len(request_id) <= REQUEST_ID_MAX else None
    return Unreadable(known, echoed, why)


def ack(op: str, request_id: str | None, data: bytes) -> bytes:
    return b'{"type":"ack","op":%s,"request_id":%s,"data":%s}' % (encode(op), encode(request_id), data)


def reject(op: str, request_id: str | None, code: str, message: str, data: bytes) -> bytes:
    return b'{"type":"reject","op":%s,"request_id":%s,"code":%s,"message":%s,"data":%s}' % (
        encode(op),
        encode(request_id),
        encode(code),
        encode(message),
        data,
    )


def error(op: str | None, request_id: str | None, refusal: RaethError) -> bytes:
    body: dict[str, Any] = {
        "type": "error",
        "op": op,
        "request_id": request_id,
        "code": refusal.code.value,
        "message": refusal.message,
    }
    if refusal.details is not None:
        body["details"] = refusal.details
    if refusal.retry_after_ms is not None:
        body["retry_after_ms"] = refusal.retry_after_ms
    return encode(body)


def unreadable(fault: Unreadable) -> bytes:
    details = [{"field": "", "message": str(fault), "type": "invalid_message"}]
    return error(fault.op, fault.request_id, RaethError(Code.INVALID_MESSAGE, details=details))
