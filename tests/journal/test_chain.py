"""The chain names the first row that is not what was written, whatever was done to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raeth.journal.base import EMPTY_HEAD, GENESIS_HASH, Head, JournalDamaged, Row
from raeth.journal.chain import chain_hash, head_of, next_row, verify

LENGTH = 12


@st.composite
def chains(draw: st.DrawFn) -> list[Row]:
    head, rows = EMPTY_HEAD, []
    for step, command, events in draw(
        st.lists(
            st.tuples(st.integers(0, 5), st.binary(max_size=8), st.binary(max_size=8)),
            min_size=LENGTH,
            max_size=LENGTH,
        )
    ):
        rows.append(next_row(head, head.ts + step, command, events))
        head = head_of(rows[-1])
    return rows


def damaged_seq(rows: list[Row], head: Head = EMPTY_HEAD) -> int:
    with pytest.raises(JournalDamaged) as caught:
        verify(rows, head)
    assert str(caught.value.seq) in str(caught.value)
    return caught.value.seq


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(chains(), st.integers(0, LENGTH))
def test_a_whole_chain_verifies_from_any_head(rows: list[Row], cut: int) -> None:
    middle = verify(rows[:cut], EMPTY_HEAD)
    assert verify(rows[cut:], middle) == head_of(rows[-1])


@given(chains(), st.integers(0, LENGTH - 1), st.sampled_from(Row._fields), st.data())
def test_a_flipped_bit_names_its_row(rows: list[Row], at: int, column: str, data: st.DataObject) -> None:
    row = rows[at]
    value = getattr(row, column)
    if isinstance(value, int):
        changed: object = value ^ 1 << data.draw(st.integers(0, 40))
    elif value:
        changed = flip(value, data.draw(st.integers(0, 8 * len(value) - 1)))
    else:
        changed = b"\0"
    rows[at] = row._replace(**{column: changed})
    assert damaged_seq(rows) == at + 1


@given(chains(), st.integers(0, LENGTH - 2))
def test_a_removed_row_is_missed(rows: list[Row], at: int) -> None:
    del rows[at]
    assert damaged_seq(rows) == at + 1


@given(chains(), st.integers(0, LENGTH - 1), st.integers(0, LENGTH - 1))
def test_swapped_contents_name_the_first_of_the_two(rows: list[Row], a: int, b: int) -> None:
    if a == b:
        return
    rows[a], rows[b] = rows[b]._replace(seq=a + 1), rows[a]._replace(seq=b + 1)
    assert damaged_seq(rows) == min(a, b) + 1


@given(chains(), st.integers(1, LENGTH))
def test_another_history_before_is_another_chain(rows: list[Row], at: int) -> None:
    head = EMPTY_HEAD if at == 1 else head_of(rows[at - 2])
    assert damaged_seq(rows[at - 1 :], head._replace(hash=flip(head.hash, 7))) == at


@pytest.mark.parametrize("column", ["ts", "command", "events"])
def test_a_column_of_another_type_is_unreadable(column: str) -> None:
    row = next_row(EMPTY_HEAD, 5, b"c", b"e")
    assert damaged_seq([row._replace(**{column: None})]) == 1
    assert damaged_seq([row._replace(**{column: "text"})]) == 1


def test_time_must_not_go_backwards_even_with_a_valid_hash() -> None:
    first = next_row(EMPTY_HEAD, 10, b"c", b"e")
    late = Row(2, 9, b"c", b"e", chain_hash(first.hash, 2, 9, b"c", b"e"))
    assert damaged_seq([first, late]) == 2


@given(st.binary(max_size=6), st.binary(max_size=6), st.integers(0, 12))
def test_moving_bytes_between_command_and_events_changes_the_hash(command: bytes, events: bytes, cut: int) -> None:
    together = command + events
    moved = together[:cut], together[cut:]
    if moved != (command, events):
        assert chain_hash(GENESIS_HASH, 1, 1, command, events) != chain_hash(GENESIS_HASH, 1, 1, *moved)


def test_the_encoding_does_not_drift() -> None:
    """Journals of the past must verify for ever."""
    assert (
        chain_hash(GENESIS_HASH, 1, 1_700_000_000_000, b'["Tick"]', b"[]").hex()
        == "61b1abc6d048734fbded8c4016e36ee87ad9668b8bd46875858517f052c23810"
    )
