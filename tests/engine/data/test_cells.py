"""Whole columns mean what their cells mean one by one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from engine.data.cells import (
    PIECE,
    coded,
    column_of,
    different,
    is_missing,
    is_number,
    missing,
    numbers,
    pieces,
    values_of,
)

TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(["nan", " 1.5", "+2", "1e3", "-inf", "\u2028", "\x1c "]))
ONE_TYPE = st.one_of(
    st.lists(st.one_of(st.none(), TEXTS)),
    st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40))),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False))),
    st.lists(st.one_of(st.none(), st.booleans())),
)
MIXED = st.lists(st.one_of(st.none(), TEXTS, st.integers(), st.booleans(), st.lists(st.integers(0, 3))))


@given(st.one_of(ONE_TYPE, MIXED))
def test_columns_give_their_values_back(values: list[Any]) -> None:
    column = column_of(values)
    assert values_of(column) == values
    known, codes = coded(column)
    assert [known[code] for code in codes] == values


@given(st.one_of(ONE_TYPE, MIXED))
def test_missing_cells_and_numbers(values: list[Any]) -> None:
    column = column_of(values)
    assert missing(column).tolist() == [is_missing(value) for value in values]
    found = [None if number is None else str(number) for number in numbers(column).to_pylist()]
    assert found == [str(float(value)) if is_number(value) else None for value in values]


def test_nan_is_missing_and_a_number() -> None:
    column = column_of([0.5, float("nan"), None])
    assert missing(column).tolist() == [False, True, True]
    assert numbers(column).null_count == 1


def test_columns_come_in_pieces() -> None:
    column = pa.chunked_array([[1] * (PIECE + 1), [], [2]])
    assert [len(piece) for piece in pieces(column)] == [PIECE, 1, 1]
    assert list(different(column)) == [1, 1, 2]
