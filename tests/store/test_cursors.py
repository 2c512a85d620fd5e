"""Cursors: they come back as they went, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.errors import Code, RaethError
from raeth.store.cursors import KEY_MAX, LENGTH_MAX, decode, encode

KEYSETS = st.lists(st.integers(0, KEY_MAX), min_size=1, max_size=3).map(tuple)
NAMES = st.one_of(
    st.sampled_from(["orders", "fills", "ledger", "markets"]), st.text(max_size=300).map("orders|a={}".format)
)
"""A list's filters are part of its name, so a name may be long."""


def refused(name: str, text: str, size: int = 1) -> bool:
    with pytest.raises(RaethError) as caught:
        decode(name, text, size)
    return caught.value.code is Code.INVALID_CURSOR and caught.value.http == 422


@given(NAMES, KEYSETS)
def test_round_trip(name: str, keyset: tuple[int, ...]) -> None:
    text = encode(name, keyset)
    assert decode(name, text, len(keyset)) == keyset
    assert len(text) <= LENGTH_MAX and text.replace("-", "").replace("_", "").isalnum()


@given(NAMES, KEYSETS, st.data())
def test_a_changed_character_is_refused(name: str, keyset: tuple[int, ...], data: st.DataObject) -> None:
    text = encode(name, keyset)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda c: c != text[place]))
    assert refused(name, text[:place] + other + text[place + 1 :], len(keyset))


@given(NAMES, KEYSETS, st.data())
def test_a_cut_or_longer_text_is_refused(name: str, keyset: tuple[int, ...], data: st.DataObject) -> None:
    text = encode(name, keyset)
    assert refused(name, text[: data.draw(st.integers(0, len(text) - 1))], len(keyset))
    assert refused(name, text + data.draw(st.text(min_size=1)), len(keyset))


@given(KEYSETS)
def test_another_list_or_size_is_refused(keyset: tuple[int, ...]) -> None:
    text = encode("orders", keyset)
    assert refused("fills", text, len(keyset))
    assert refused("orders", text, len(keyset) + 1)


@given(NAMES, st.text(max_size=2 * LENGTH_MAX))
def test_any_text_is_refused(name: str, text: str) -> None:
    assert refused(name, text)


def test_a_forged_key_no_database_could_hold_is_refused() -> None:
    import msgspec

    from raeth.store import cursors

    for keyset in [(-1,), (KEY_MAX + 1,), ("x",)]:
        body = msgspec.msgpack.encode(keyset)
        raw = cursors._check("orders", body) + body
        assert refused("orders", cursors.urlsafe_b64encode(raw).rstrip(b"=").decode())
