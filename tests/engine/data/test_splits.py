"""Held-out rows and samples: their size, their classes, and what stays together."""

from __future__ import annotations

import random

import datasets
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.load import load_task
from engine.data.splits import held_out_size, hold_out, sample
from tests.engine.data.written import load


def test_held_out_sets_are_stratified_seeded_and_said() -> None:
    labels = ["a"] * 900 + ["b"] * 99 + ["c"]
    frame = pd.DataFrame({"text": [f"text {row}" for row in range(1000)], "label": labels})
    task = load_task(frame)
    sets = {"train": task.train, **task.held_out}
    for role in ("validation", "test"):
        assert f"no {role} set: 10 % of the rows (100) held out, stratified by label, seed 0" in task.notes
        counts = [sets[role]["label"][:].count(index) for index in range(3)]
        assert counts == pytest.approx([90, 10, 0], abs=1)
    assert {role: len(rows) for role, rows in sets.items()} == {"train": 800, "validation": 100, "test": 100}
    assert len({text for rows in sets.values() for text in rows["text"]}) == 1000  # no row is in two of them
    assert load_task(frame).fingerprint == task.fingerprint
    assert load_task(frame, seed=1).fingerprint != task.fingerprint


def test_too_few_rows_for_a_test_set() -> None:
    frame = pd.DataFrame({"text": [f"text {row}" for row in range(59)], "label": ["a", "b"] * 29 + ["a"]})
    task = load_task(frame)
    assert (list(task.held_out), len(task.validation["validation"])) == (["validation"], 19)
    assert "no labelled test set: scores are of validation, which also selects; --test names one" in task.notes
    larger = load_task(pd.concat([frame, frame.head(1)]))
    assert {split: len(rows) for split, rows in larger.held_out.items()} == {"validation": 10, "test": 10}


def test_questions_about_one_context_stay_together() -> None:
    answer = {"text": ["text"], "answer_start": [0]}
    contexts = [f"text {row // 5}" for row in range(600)]
    questions = [f"question {row}" for row in range(600)]
    rows = datasets.Dataset.from_dict({"question": questions, "context": contexts, "answers": [answer] * 600})
    task = load_task(rows)
    validation = task.validation["validation"]
    test = task.test["test"]
    assert len(validation) == len(test) == 60
    contexts = [set(rows["context"]) for rows in (task.train, validation, test)]
    assert sum(map(len, contexts)) == len(set.union(*contexts)) == 120


def test_samples_on_request() -> None:
    labels = ["a"] * 400 + ["b"] * 100
    task = load({"text": [f"text {row}" for row in range(500)], "label": labels}, max_train=50, max_validation=5)
    assert [task.train["label"][:].count(index) for index in range(2)] == [40, 10]
    assert [task.validation["validation"]["label"][:].count(index) for index in range(2)] == [4, 1]
    assert "train: a sample of 50 of 500 rows, stratified by label, seed 0" in task.notes


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    share=st.floats(0, 1),
    seed=st.integers(0, 100),
    keep_one=st.booleans(),
)
def test_stratified_sample(counts: list[int], share: float, seed: int, keep_one: bool) -> None:
    strata = [index for index, count in enumerate(counts) for _ in range(count)]
    random.Random(seed).shuffle(strata)
    size = int(share * len(strata))
    chosen = sample(len(strata), size, seed, strata, keep_one=keep_one)
    taken = [sum(strata[row] == index for row in chosen) for index in range(len(counts))]
    room = sum(counts) - (len(counts) if keep_one else 0)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(size, room)
    if keep_one:
        assert all(part < count for part, count in zip(taken, counts, strict=True))
    elif size >= len(counts):
        assert all(taken)


@given(st.integers(3, 100_000))
def test_held_out_size(rows: int) -> None:
    for sets in (1, 2):
        size = held_out_size(rows, sets)
        assert size <= min(2000, rows / 3 / sets)
        assert size >= min(50, rows // (3 * sets))


def test_a_context_larger_than_the_held_out_set_falls_back_to_rows() -> None:
    assert len(hold_out(None, ["one"] * 90, 90, 30, seed=0)) == 30


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(0, 100))
def test_groups_are_held_out_whole(counts: list[int], seed: int) -> None:
    groups = [index for index, count in enumerate(counts) for _ in range(count)]
    random.Random(seed).shuffle(groups)
    size = held_out_size(len(groups))
    chosen = hold_out(None, groups, len(groups), size, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= size
    if min(counts) <= size:
        held_out = {groups[row] for row in chosen}
        assert held_out
        assert sum(counts[index] for index in held_out) == len(chosen)
        assert all(count > size - len(chosen) for index, count in enumerate(counts) if index not in held_out)
