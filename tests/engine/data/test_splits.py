"""Held-out rows and samples: their size, their classes, and what stays together."""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import InputError
from engine.data.load import load_task
from engine.data.rows import Declared, Origin, RawSplit, Source
from engine.data.schema import Schema
from engine.data.splits import at_most, held_out_size, normalised, sample, training_split
from engine.data.task import KINDS, Task
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


def some(rows: int, seed: int = 0, labelled: bool = True) -> datasets.Dataset:
    """Rows with texts of their own."""
    columns: dict[str, list[Any]] = {"text": [f"text {seed} {row}" for row in range(rows)]}
    return datasets.Dataset.from_dict(columns | ({"label": ["a", "b"] * (rows // 2)} if labelled else {}))


@pytest.mark.parametrize(
    ("splits", "got", "what"),
    [
        ({"train_1": 4, "train_2": 4}, "train_1, train_2", "several training splits; name one of them train"),
        ({"test": 4, "other": 4}, "test, other", "no training split"),
    ],
)
def test_one_split_trains(splits: dict[str, int], got: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        load_task({name: some(rows) for name, rows in splits.items()})
    (problem,) = caught.value.problems
    assert (problem.what, problem.got, problem.allowed) == (what, got, ("train",))
    assert problem.place


def test_a_source_without_any_split_has_nothing_to_train_on() -> None:
    with pytest.raises(InputError, match="^films: no training split; got nothing; allowed: train$"):
        training_split(Source("films", {}))


def test_what_becomes_of_each_split() -> None:
    task = load_task(
        {
            "train": some(40),
            "train_extra": some(6, 1),
            "validation_matched": some(8, 2),
            "validation_mismatched": some(10, 3),
            "test": some(12, 4),
            "test_hidden": some(14, 5, labelled=False),
            "unsupervised": some(4, 6, labelled=False),
        }
    )
    assert len(task.train) == 40
    assert {name: len(rows) for name, rows in task.validation.items()} == {
        "validation_matched": 8,
        "validation_mismatched": 10,
    }
    assert {name: len(rows) for name, rows in task.test.items()} == {"test": 12}
    assert {name: len(rows) for name, rows in task.unlabelled.items()} == {"test_hidden": 14}
    assert "splits that are not used: train_extra, unsupervised" in task.notes


def test_a_single_set_is_called_by_its_role() -> None:
    sets = {"train": some(40), "validation_matched": some(8, 2), "test_old": some(12, 4)}
    task = load_task({**sets, "test_hidden": some(14, 5, labelled=False)})
    assert (list(task.held_out), list(task.unlabelled)) == (["validation", "test"], ["test_hidden"])
    task = load_task({**sets, "test": some(14, 5, labelled=False)})  # which is another one
    assert (list(task.held_out), list(task.unlabelled)) == (["validation", "test_old"], ["test"])


CLASSES = datasets.ClassLabel(names=["bad", "good"])
NUMBERS = datasets.Value("float64")


@pytest.mark.parametrize(
    ("kind", "training", "tests", "labelled"),
    [
        (CLASSES, [0, 1], [-1, -1], False),
        (CLASSES, [0, 1], [1, 0], True),
        (NUMBERS, [0.1, 0.2], [-1.0, -1.0], False),
        (NUMBERS, [0.1, 0.2], [-1.0, 1.0], True),
        (NUMBERS, [0.1, 0.2], [-2.0, 1.0], True),
        (NUMBERS, [0.1, 0.2], [None, float("nan")], False),
        (datasets.Value("int64"), [-1, 1], [-1, -1], True),
        (datasets.Value("string"), ["-1", "1"], ["-1", "-1"], True),
        (datasets.Value("string"), ["0.1", "0.2"], ["-1", "-1"], False),
        (datasets.Value("string"), ["a", "b"], ["", " "], False),
    ],
)
def test_minus_one_is_a_label_among_others_alone(kind: Any, training: Any, tests: Any, labelled: bool) -> None:
    """The hub's datasets say −1 where a label is kept secret."""
    kinds = datasets.Features({"text": datasets.Value("string"), "label": kind})
    columns = {
        "train": {"text": [f"text {row}" for row in range(40)], "label": training * 20},
        "test": {"text": [f"hidden {row}" for row in range(20)], "label": tests * 10},
    }
    task = load_task({split: datasets.Dataset.from_dict(rows, kinds) for split, rows in columns.items()})
    assert (list(task.test), list(task.unlabelled)) == ((["test"], []) if labelled else ([], ["test"]))


def test_rows_whose_tags_are_all_empty_have_none() -> None:
    tags = {"train": [["N", "M"]] * 40, "test": [[]] * 4}
    task = load_task(
        {
            split: datasets.Dataset.from_dict(
                {"tokens": [["some", f"{split} {row}"] for row in range(len(of))], "tags": of},
                datasets.Features({"tokens": [datasets.Value("string")], "tags": [datasets.Value("string")]}),
            )
            for split, of in tags.items()
        }
    )
    assert (list(task.test), list(task.unlabelled)) == ([], ["test"])


def test_a_test_set_that_was_named_needs_labels() -> None:
    rows = pd.DataFrame({"text": [f"text {row}" for row in range(40)], "label": ["a", "b"] * 20})
    with pytest.raises(InputError) as caught:
        load_task(rows, test=pd.DataFrame({"text": ["one", "two"], "stars": [1, 2]}))
    (problem,) = caught.value.problems
    assert (problem.place, problem.what) == ("--test", "a test set needs labels, in column 'label'")
    assert problem.got.endswith(": text, stars")


def test_what_is_mended_is_said_and_an_empty_text_of_a_benchmark_is_nobody_s_to_mend() -> None:
    answers = {"text": ["text"], "answer_start": [9]}
    rows = {"question": ["what?"] * 4, "context": [f"a text {row}" for row in range(4)], "answers": [answers] * 4}
    assert "train: 4 wrong answer_starts mended: the answer stands in its context exactly once" in load(rows).notes
    split = RawSplit(pa.table({"text": ["", "one"], "label": ["a", "b"]}), (Origin("train", 2),))
    schema, notes = Schema("classification", {"text": "text", "label": "label"}, ("a", "b")), list[str]()
    for published in (True, False):
        source = Source("films", {"train": split}, Declared("benchmarks", published=published))
        with nullcontext() if published else pytest.raises(InputError, match="empty text"):
            assert len(normalised(source, schema, split, notes)["train"]["train"]) == 2


@pytest.mark.parametrize("case", ["equal texts", "one text each", "rows"])
def test_what_is_held_out_is_its_seed_s_and_keeps_the_classes(case: str) -> None:
    texts = {"equal texts": 150, "one text each": 300, "rows": 2}[case]
    labels = (
        ["rare" if row % texts % 10 == 0 else "usual" for row in range(300)] if texts > 2 else ["rare", "usual"] * 150
    )
    frame = pd.DataFrame({"text": [f"text {row % texts}" for row in range(300)], "label": labels})
    drawn = [load_task(frame, seed=seed) for seed in (0, 0, 1, 2)]
    kept = [sorted(task.test["test"]["text"]) for task in drawn]
    assert kept[0] == kept[1]
    if texts > 2:
        assert kept[0] != kept[2] != kept[3]
    share = labels.count("rare") / 300
    for task in drawn:
        for rows in task.held_out.values():
            names = [task.labels[label] for label in rows["label"]]
            assert names.count("rare") == pytest.approx(share * len(names), abs=2)


def questions(counts: list[int]) -> datasets.Dataset:
    """So many questions about each of several contexts."""
    contexts = [f"text {number}" for number, count in enumerate(counts) for _ in range(count)]
    answers = [{"text": ["text"], "answer_start": [0]}] * len(contexts)
    names = [f"question {row}" for row in range(len(contexts))]
    return datasets.Dataset.from_dict({"question": names, "context": contexts, "answers": answers})


CONTEXTS = {  # questions about each context → rows of validation and of test
    "small ones": ([5] * 120, (60, 60)),
    "nine large ones and one of two questions": ([130] * 9 + [2], (130, 130)),
    "nine large ones and one of a single question": ([1] + [150] * 9, (150, 150)),
    "contexts of three questions": ([3] * 20, (15, 15)),
}


@pytest.mark.parametrize("case", CONTEXTS)
@pytest.mark.parametrize("seed", range(5))
def test_questions_about_one_context_stay_together(case: str, seed: int) -> None:
    counts, expected = CONTEXTS[case]
    task = load_task(questions(counts), seed=seed)
    sets = (task.validation["validation"], task.test["test"])
    sizes = [len(rows) for rows in sets]
    assert sizes == pytest.approx(expected, abs=min(2, min(counts)))
    assert min(sizes) >= 10
    contexts = [set(rows["context"]) for rows in (task.train, *sets)]
    assert sum(map(len, contexts)) == len(set.union(*contexts)) == len(counts)
    for role, size in (("test", sizes[1]), ("validation", sizes[0])):
        share = f"{100 * size / sum(counts):.0f} % of the rows ({size})"
        assert f"no {role} set: {share} held out, by context, seed {seed}" in task.notes


def test_contexts_that_are_too_large_are_split_and_it_is_said() -> None:
    task = load_task(questions([100, 100]))
    assert [len(rows) for rows in task.held_out.values()] == [33, 33]
    for split in ("test", "validation"):
        manner = "row by row (its contexts are too large to be held out whole)"
        assert f"no {split} set: 16 % of the rows (33) held out, {manner}, seed 0" in task.notes
        assert f"33 of 33 {split} rows have a context that training has too: their score flatters" in task.notes


@pytest.mark.parametrize("counts", [[60, 70, 70], [12, 94, 94]], ids=["too many rows", "too few rows"])
def test_whole_contexts_far_from_what_is_wanted_are_not_held_out(counts: list[int]) -> None:
    """33 rows are; of the first only 60 are a context of less than twice as many, of the others only 12."""
    drawn = [load_task(questions(counts), seed=seed).test["test"]["question"][:] for seed in (0, 0, 1)]
    assert [len(rows) for rows in drawn] == [33] * 3
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_handful_of_rows_is_too_few_to_hold_any_out() -> None:
    with pytest.raises(InputError) as caught:
        load_task(pd.DataFrame({"text": ["one", "two"], "label": ["a", "b"]}))
    assert str(caught.value) == (
        "train: too few rows to hold out a validation set; got 2 rows. Give a validation set, or more rows."
    )
    task = load({"text": ["one", "two"], "label": ["a", "b"]})
    assert len(task.train) == 2


NOTHING_TO_LEARN: dict[str, tuple[dict[str, list[Any]], str]] = {
    "one row": ({"text": ["one"], "label": [0.5]}, "too few training rows; got 1; allowed: at least 2"),
    "one class": (
        {"text": ["one", "two"], "label": ["a"] * 2},
        "only one class in training: nothing to learn; got 'a'",
    ),
    "one tag": ({"tokens": [["a"]] * 2, "tags": [["N"]] * 2}, "only one tag in training: nothing to learn; got 'N'"),
    "one number": (
        {"text": ["one", "two"], "label": [0.5] * 2},
        "all targets are equal, so there is no correlation; got 0.5 in 2 rows",
    ),
}


@pytest.mark.parametrize("case", NOTHING_TO_LEARN)
def test_rows_from_which_nothing_can_be_learned(case: str) -> None:
    columns, expected = NOTHING_TO_LEARN[case]
    with pytest.raises(InputError) as caught:
        load(columns)
    assert f"train: {expected}" in str(caught.value).splitlines()


def test_what_is_unusual_about_the_classes_is_said_and_of_tags_their_shares_alone() -> None:
    names = datasets.ClassLabel(names=["bad", "good", "fair", "odd"])
    kinds = datasets.Features({"text": datasets.Value("string"), "label": names})
    rows = datasets.Dataset.from_dict({"text": [f"text {row}" for row in range(10)], "label": [0] * 8 + [1] * 2}, kinds)
    notes = load_task({"train": rows, "validation": rows.select(range(8))}).notes
    assert "4 classes: bad (80 %), good (20 %), fair (0 %), odd (0 %)" in notes
    assert "classes without a training row: fair, odd" in notes
    assert "validation has one class only, bad: its score says little" in notes
    assert any(note.startswith("always answering bad has an accuracy of about 0.80; ") for note in notes)
    tagged = load({"tokens": [["a", "b", "c", "d"]] * 2, "tags": [["N", "N", "N", "M"]] * 2}).notes
    assert "2 tags: M (25 %), N (75 %)" in tagged


def test_classes_keep_their_shares_however_small_they_are() -> None:
    labels = [f"pair {row // 2}" for row in range(2000)] + ["large"] * 2000
    task = load_task(pd.DataFrame({"text": [f"text {row}" for row in range(4000)], "label": labels}))
    large = task.labels.index("large")
    for rows in (task.train, task.validation["validation"], task.test["test"]):
        assert sum(label == large for label in rows["label"]) / len(rows) == pytest.approx(0.5, abs=0.04)
    assert set(task.train["label"]) == set(range(len(task.labels)))


REPEATED: dict[str, dict[str, list[Any]]] = {
    "texts": {"text": [f"text {row % 380}" for row in range(400)], "label": ["a", "b", "c", "d"] * 100},
    "pairs": {
        "premise": [f"text {row % 10}" for row in range(400)],
        "hypothesis": [f"text {row % 380}" for row in range(400)],
        "label": ["a", "b"] * 200,
    },
    "numbers": {"text": [f"text {row % 380}" for row in range(400)], "label": [row / 3 for row in range(400)]},
    "tags": {"tokens": [["text", str(row % 380)] for row in range(400)], "tags": [["N", "M"]] * 400},
}
"""400 rows each, of which 40 stand twice."""


@pytest.mark.parametrize("case", REPEATED)
def test_equal_texts_are_on_one_side(case: str) -> None:
    task = load_task(pd.DataFrame(REPEATED[case]))
    fields = [field for field in KINDS[task.kind].fields if field in task.train.column_names]
    sets = [{str(row) for row in zip(*(rows[field] for field in fields), strict=True)} for rows in sets_of(task)]
    assert len(set.union(*sets)) == sum(map(len, sets)) == 380
    assert [len(rows) for rows in task.held_out.values()] == pytest.approx([50, 50], abs=1)
    for split in ("test", "validation"):
        (note,) = (note for note in task.notes if note.startswith(f"no {split} set"))
        assert note.endswith("equal texts on one side, seed 0")
    assert not any("flatter" in note for note in task.notes)


def test_a_class_of_one_repeated_text_is_split_by_rows_if_nothing_else_is_there() -> None:
    task = load_task(pd.DataFrame({"text": ["good", "bad"] * 100, "label": ["good", "bad"] * 100}))
    assert [task.train["label"][:].count(index) for index in range(2)] == pytest.approx([67, 67], abs=1)
    note = "stratified by label, row by row (too many texts are equal), seed 0"
    assert f"no test set: 16 % of the rows (33) held out, {note}" in task.notes
    assert "33 of 33 test rows are also in training, word for word: their score flatters" in task.notes


def test_rows_that_train_and_report_are_counted() -> None:
    rows = pd.DataFrame({"text": [f"text {row}" for row in range(200)], "label": ["a", "b"] * 100})
    other = pd.DataFrame({"text": ["text 7", "another"], "label": ["a", "a"]})
    notes = {
        150: load_task(rows, test=rows).notes,  # the other 50 validate
        20: load_task(rows, test=rows, max_train=20).notes,
    }
    for count, found in notes.items():
        assert f"{count} of 200 test rows are also in training, word for word: their score flatters" in found
    task = load_task({"train": rows, "validation_new": other, "validation_old": rows.head(10), "test": other.tail(1)})
    assert [note for note in task.notes if "flatter" in note] == [
        "1 of 2 validation_new rows is also in training, word for word: its score flatters",
        "10 of 10 validation_old rows are also in training, word for word: their score flatters",
    ]


@pytest.mark.parametrize("case", REPEATED)
def test_every_kind_of_rows_is_counted(case: str) -> None:
    rows = pd.DataFrame(REPEATED[case])
    first = next(iter(REPEATED[case]))
    changed = rows.assign(**{first: [other[::-1] if row % 2 else other for row, other in enumerate(rows[first])]})
    task = load_task({"train": rows, "validation": rows, "test": changed})
    assert "400 of 400 validation rows are also in training, word for word: their score flatters" in task.notes
    assert "200 of 400 test rows are also in training, word for word: their score flatters" in task.notes


def sets_of(task: Task) -> list[datasets.Dataset]:
    """The rows of training and of each held-out set."""
    return [task.train, *task.held_out.values()]


def test_samples_on_request() -> None:
    labels = ["a"] * 400 + ["b"] * 100
    task = load({"text": [f"text {row}" for row in range(500)], "label": labels}, max_train=50, max_validation=5)
    assert [task.train["label"][:].count(index) for index in range(2)] == [40, 10]
    assert [task.validation["validation"]["label"][:].count(index) for index in range(2)] == [4, 1]
    assert "train: a sample of 50 of 500 rows, stratified by label, seed 0" in task.notes
    rows = {"text": [f"text {row}" for row in range(500)], "label": labels}
    drawn = [load(rows, max_train=50, seed=seed).train["text"][:] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert not any("sample" in note for note in load(rows, max_train=500).notes)


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=6), share=st.floats(0, 1), seed=st.integers(0, 100))
def test_stratified_sample(counts: list[int], share: float, seed: int) -> None:
    strata = [index for index, count in enumerate(counts) for _ in range(count)]
    random.Random(seed).shuffle(strata)
    size = int(share * len(strata))
    chosen = sample(len(strata), size, seed, strata)
    taken = [sum(strata[row] == index for row in chosen) for index in range(len(counts))]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == size
    if size >= len(counts):
        assert all(taken)


def test_at_most_so_many_rows() -> None:
    labels = [0] * 80 + [1] * 20
    rows = datasets.Dataset.from_dict({"text": [str(row) for row in range(100)], "label": labels})
    assert at_most(rows, 100, 0, "classification") is rows
    drawn = at_most(rows, 10, 0, "classification")
    assert [drawn["label"][:].count(label) for label in (0, 1)] == [8, 2]
    assert drawn["text"][:] == at_most(rows, 10, 0, "classification")["text"][:]
    assert drawn["text"][:] != at_most(rows, 10, 1, "classification")["text"][:]
    targets = datasets.Dataset.from_dict({"text": rows["text"][:], "label": [row / 100 for row in range(100)]})
    assert len(set(at_most(targets, 99, 0, "regression")["text"][:])) == 99
    assert len(at_most(datasets.Dataset.from_dict({"tokens": [["a"]] * 9}), 5, 0, "tagging")) == 5


@pytest.mark.parametrize("strata", [None, [0] * 90 + [1, 2, 3, 4, 5] * 2], ids=["no classes", "classes"])
def test_a_sample_is_its_seed_s(strata: list[int] | None) -> None:
    first, again, other = (sample(100, 20, seed, strata) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    np.random.seed(0)  # noqa: NPY002 - nothing is drawn from numpy's own generator
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    sample(100, 20, 3, strata)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize("rare", [1, 3, 12, 40])
@pytest.mark.parametrize("seed", range(5))
def test_every_class_has_a_row_from_as_many_rows_as_classes(rare: int, seed: int) -> None:
    strata = [*range(1, rare + 1)] + [0] * 300
    random.Random(seed).shuffle(strata)
    for size in (rare + 1, rare + 2, 2 * rare + 5):
        chosen = sample(len(strata), size, seed, strata)
        assert len(set(chosen)) == size
        assert {strata[row] for row in chosen} == set(range(rare + 1))
    assert len(sample(len(strata), rare, seed, strata)) == rare


def test_no_row_is_drawn_twice_where_classes_are_rare() -> None:
    strata = [index for index, rows in enumerate((19, 2, 1, 1, 5)) for _ in range(rows)]
    for seed in range(20):
        random.Random(seed).shuffle(strata)
        for size in range(1, len(strata)):
            assert len(set(sample(len(strata), size, seed, strata))) == size


@given(st.integers(3, 100_000))
def test_held_out_size(rows: int) -> None:
    for sets in (1, 2):
        size = held_out_size(rows, sets)
        assert size <= min(2000, rows / 3 / sets)
        assert size >= min(50, rows // (3 * sets))
        assert isinstance(size, int)
    assert held_out_size(rows) == held_out_size(rows, 1)
