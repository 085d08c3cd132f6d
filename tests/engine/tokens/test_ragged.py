"""Rows of different lengths: they come back as they went, padded ones as a naive loop pads them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tokens.ragged import NO_LABEL, Ragged

values = st.integers(-(2**31), 2**31) | st.integers(-100, 100)
rows = st.lists(st.lists(values, max_size=6), min_size=1, max_size=8)


def ragged(lists: list[list[int]]) -> Ragged:
    flat = np.array([value for row in lists for value in row], dtype=np.int64)
    return Ragged.of(flat, np.array([len(row) for row in lists], dtype=np.int64))


@given(rows)
def test_rows_come_back(lists: list[list[int]]) -> None:
    kept = ragged(lists)
    assert [kept[index].tolist() for index in range(len(lists))] == lists
    assert kept.lengths.tolist() == [len(row) for row in lists]
    assert {kept[index].dtype for index in range(len(lists))} == {np.dtype(np.int64)}


@given(rows, st.data())
def test_padding_is_that_of_the_loop(lists: list[list[int]], data: st.DataObject) -> None:
    """Any rows in any order, some of them twice; cut or filled up to a width, which is the longest by default."""
    ids = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=6))
    width = data.draw(st.none() | st.integers(0, 8))
    columns = max((len(lists[index]) for index in ids), default=0) if width is None else width
    expected = np.full((len(ids), columns), NO_LABEL)
    for position, index in enumerate(ids):
        for column, value in enumerate(lists[index][:columns]):
            expected[position, column] = value
    padded = ragged(lists).padded(ids, width, fill=NO_LABEL)
    assert padded.dtype == np.int64
    np.testing.assert_array_equal(padded, expected)


@pytest.mark.parametrize(
    ("extremes", "dtype"),
    [
        ((0, 255), np.uint8),
        ((0, 256), np.uint16),
        ((NO_LABEL, 128), np.int16),
        ((0, 30_000), np.uint16),
        ((-1, 40_000), np.int32),
        ((0, 2**33), np.uint64),
    ],
)
def test_the_smallest_type_that_holds_all_values(extremes: tuple[int, int], dtype: type) -> None:
    kept = ragged([[extremes[0]], [extremes[1]]])
    assert kept.values.dtype == dtype
    assert kept.padded([1, 0]).ravel().tolist() == [*reversed(extremes)]


def test_many_rows_have_offsets_beyond_the_type_of_their_values() -> None:
    kept = ragged([[1] * 200] * 300)
    assert kept.values.dtype == np.uint8
    assert kept.padded([299]).sum() == 200


def test_no_rows() -> None:
    kept = Ragged.of(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    assert kept.lengths.tolist() == []
    assert kept.padded([]).shape == (0, 0)
