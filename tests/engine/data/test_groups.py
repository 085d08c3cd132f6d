"""Groups of rows, and what is held out of them."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import groups
from engine.data.groups import groups_of, hold_out, known_rows


@given(
    st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=12), min_size=1, max_size=6),
    st.floats(0, 0.5),
    st.integers(0, 100),
)
def test_groups_are_held_out_whole(classes: list[list[int]], share: float, seed: int) -> None:
    groups_by_class = [(group, index) for index, counts in enumerate(classes) for group in counts]
    rows = [(number, of) for number, (count, of) in enumerate(groups_by_class) for _ in range(count)]
    random.Random(seed).shuffle(rows)
    groups, strata = np.array(rows).T
    size = int(share * len(rows))
    held_out = hold_out(groups, size, seed, strata)
    assert not set(groups[held_out]) & set(groups[~held_out])
    assert set(strata[~held_out]) == set(strata)  # each class keeps a group
    assert held_out.sum() <= 2 * size


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.floats(0, 0.5), st.integers(0, 100))
def test_rows_that_differ_give_the_size_and_the_shares(counts: list[int], share: float, seed: int) -> None:
    strata = np.repeat(np.arange(len(counts)), counts)
    movable = sum(count for count in counts if count > 1)
    size = int(share * movable)
    held_out = hold_out(np.arange(len(strata)), size, seed, strata)
    assert held_out.sum() == size
    for index, count in enumerate(counts):
        taken = (strata[held_out] == index).sum()
        assert abs(taken - (count * size / movable if count > 1 else 0)) < 1


def test_every_group_and_class_has_its_turn() -> None:
    groups, strata = np.arange(90) // 3, np.arange(90) // 6
    turns = [set(groups[hold_out(groups, 9, seed, strata)]) for seed in range(100)]
    assert set.union(*turns) == set(range(30))
    assert len(set(map(frozenset, turns))) > 50


def test_a_text_that_is_too_frequent_stays_and_empties_no_class() -> None:
    groups = np.array([0] * 900 + list(range(1, 1101)))
    strata = np.array([0] * 900 + [0] * 100 + [1] * 1000)
    held_out = hold_out(groups, 200, 0, strata)
    assert not held_out[:900].any()
    assert abs(np.bincount(strata[held_out]) - [200 / 11, 2000 / 11]).max() <= 1


def test_tags_and_answers_have_their_groups() -> None:
    tokens = pa.table({"tokens": [["a", "b"], ["a b"], ["a", "b"], []], "tags": [[0, 1], [0], [1, 1], []]})
    assert groups_of(tokens, "tagging").tolist() == [0, 1, 0, 2]
    asked = pa.table({"question": ["who", "who", "when"], "context": ["x", "y", "x"]})
    assert groups_of(asked, "question_answering").tolist() == [0, 1, 0]
    pairs = pa.table({"text": ["a", "a", "ab", "a"], "text_pair": ["b", "c", "", "b"]})
    assert groups_of(pairs, "regression").tolist() == [0, 1, 2, 0]
    parts = {"train": pairs.slice(1), "validation": pairs.slice(0, 1), "test": pairs.slice(1, 1)}
    found = list(known_rows({**parts, "other": pa.table({"text": ["c"], "text_pair": ["a"]})}, "regression"))
    assert found == [
        f"1 of 1 {split} rows is also in training, word for word: its score flatters"
        for split in ("validation", "test")
    ]


texts = st.lists(st.sampled_from(["a", "b", "ab", "", "naïve"]), max_size=12)


@given(texts, texts, st.integers(1, 5))
def test_groups_and_known_rows_are_those_of_a_loop(train: list[str], held_out: list[str], piece: int) -> None:
    numbers: dict[str, int] = {}
    expected = [numbers.setdefault(text, len(numbers)) for text in train]
    known = sum(text in numbers for text in held_out)
    rows = pa.table({"text": pa.array(train, pa.string())})
    parts = {"train": rows, "test": pa.table({"text": pa.array(held_out, pa.string())}), "validation": rows.slice(0, 0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "PIECE", piece)
        found = groups_of(rows, "classification")
        notes = list(known_rows(parts, "classification"))
    assert (found.tolist(), found.dtype) == (expected, np.int32)
    assert [int(note.split()[0]) for note in notes] == ([known] if known else [])
