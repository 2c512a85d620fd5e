"""Opaque cursors: where a list was left off, in a form that only this venue's lists take back.

A cursor is the keyset of the last row shown, the list's name in its checksum. The checksum is against accidents (a
cut-off copy, a cursor of another list), not against forgery: a forged one shows nothing that its reader may not see,
because every list is bound to its owner by the query and not by the cursor. Must not know what the lists hold.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final

import msgspec

from raeth.errors import Code, RaethError

Keyset = tuple[int, ...]
"""The sort key of a row, most significant first: each from 0 to 2^63 - 1."""

KEY_MAX: Final = (1 << 63) - 1
LENGTH_MAX: Final = 128
"""Longest text that can be a cursor; anything longer is refused unread."""

_CHECK_BYTES: Final = 6

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Keyset).decode


def encode(name: str, keyset: Keyset) -> str:
    """The cursor of the list `name` (for example "orders") after the row with `keyset`."""
    assert all(0 <= part <= KEY_MAX for part in keyset)
    body = _pack(keyset)
    return urlsafe_b64encode(_check(name, body) + body).rstrip(b"=").decode()


def decode(name: str, text: str, size: int = 1) -> Keyset:
    """The keyset of `size` parts behind a cursor of the list `name`. Raises `RaethError` `INVALID_CURSOR`."""
    keyset = _decode(name, text)
    if keyset is None or len(keyset) != size or not all(0 <= part <= KEY_MAX for part in keyset):
        raise RaethError(Code.INVALID_CURSOR)
    return keyset


def _decode(name: str, text: str) -> Keyset | None:
    if len(text) > LENGTH_MAX:
        return None
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        # base64 forgives stray characters and loose bits at the end; we do not.
        if check != _check(name, body) or urlsafe_b64encode(raw).rstrip(b"=") != text.encode("ascii"):
            return None
        return _unpack(body)
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError):
        return None


def _check(name: str, body: bytes) -> bytes:
    # Names carry filters and may be long; the length in front keeps name and body apart.
    bound = name.encode()
    return blake2b(b"%d:%b%b" % (len(bound), bound, body), digest_size=_CHECK_BYTES).digest()
