"""Ids: one integer inside, one UUID outside, and nothing that is not ours comes in."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raeth.engine.ids import N_MAX, SEQ_MAX, from_uuid, make_id, seq_of, to_uuid

BORN = 1_795_000_020_000
BIRTHS = st.integers(0, (1 << 48) - 1)
SEQS = st.one_of(st.integers(1, SEQ_MAX), st.integers(1, 1000), st.integers(SEQ_MAX - 3, SEQ_MAX))
PLACES = st.one_of(st.integers(0, N_MAX), st.sampled_from([0, 1, N_MAX]))


@given(BIRTHS, SEQS, PLACES)
def test_there_and_back(born: int, seq: int, n: int) -> None:
    entity = make_id(seq, n)
    text = to_uuid(born, entity)
    assert from_uuid(born, text) == entity
    assert seq_of(entity) == seq and entity & N_MAX == n
    assert 0 < entity < 1 << 63, "a signed 64-bit column holds it"


@given(BIRTHS, SEQS, PLACES)
def test_it_is_a_uuid_of_version_8(born: int, seq: int, n: int) -> None:
    text = to_uuid(born, make_id(seq, n))
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


@given(BIRTHS, SEQS, PLACES, SEQS, PLACES)
def test_ids_of_one_venue_sort_by_time(born: int, seq: int, n: int, other_seq: int, other_n: int) -> None:
    one, other = make_id(seq, n), make_id(other_seq, other_n)
    assert (one < other) == (to_uuid(born, one) < to_uuid(born, other))
    assert (one == other) == (to_uuid(born, one) == to_uuid(born, other))


@given(BIRTHS, BIRTHS, SEQS, PLACES)
def test_another_venue_does_not_know_it(born: int, other: int, seq: int, n: int) -> None:
    assume(born != other)
    assert from_uuid(other, to_uuid(born, make_id(seq, n))) is None


@given(st.uuids())
def test_foreign_uuids_are_refused(foreign: uuid.UUID) -> None:
    assume(str(foreign)[:13] != to_uuid(BORN, 1)[:13])
    assert from_uuid(BORN, str(foreign)) is None


@given(st.text(max_size=40))
def test_anything_else_is_refused_and_never_raises(text: str) -> None:
    assert from_uuid(BORN, text) is None


def test_the_forms_of_a_uuid_that_are_taken() -> None:
    text = to_uuid(BORN, make_id(8_123, 2))
    assert from_uuid(BORN, text.upper()) == from_uuid(BORN, text.replace("-", "")) == make_id(8_123, 2)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t[:14] + "4" + t[15:],  # another version
        lambda t: t[:19] + "c" + t[20:],  # another variant
        lambda t: "{" + t + "}",
        lambda t: "urn:uuid:" + t,
        lambda t: " " + t,
        lambda t: t[:-1],
        lambda t: t + "0",
        lambda t: t[:-1] + "g",
        lambda t: "0x" + t.replace("-", "")[2:],
        lambda t: t.replace("-", "")[:-1] + "_",
        lambda t: "+" + t.replace("-", "")[1:],
        lambda t: t[:-1] + "\N{FULLWIDTH DIGIT ONE}",
        lambda t: "",
    ],
)
def test_near_misses_are_refused(spoil: object) -> None:
    text = to_uuid(BORN, make_id(8_123, 2))
    assert from_uuid(BORN, spoil(text)) is None  # type: ignore[operator]


@pytest.mark.parametrize(("seq", "n"), [(0, 0), (SEQ_MAX + 1, 0), (1, -1), (1, N_MAX + 1)])
def test_what_has_no_id(seq: int, n: int) -> None:
    with pytest.raises(AssertionError):
        make_id(seq, n)
