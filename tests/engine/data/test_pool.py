"""The pool: which texts without labels are kept, what is said of them, and what they are beside the labelled rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from engine.base.errors import InputError
from engine.data.load import identified, load_task, with_pool
from engine.data.task import KINDS, LABELLED, Task
from tests.toys import ROWS, toy_task

REVIEWS = pd.DataFrame({"text": [f"{word} food, {day}" for day in range(60) for word in ("good", "bad")]})
REVIEWS["label"] = ["yes", "no"] * 60
SETS = {"train": REVIEWS[:80], "validation": REVIEWS[80:100], "test": REVIEWS[100:]}
NEW = pd.DataFrame({"text": ["new one", "new two", "new three"]})


def texts(task: Task) -> list[str]:
    assert task.pool is not None
    return list(task.pool["text"])


def test_a_task_with_texts_without_labels() -> None:
    task, plain = load_task(SETS, unlabelled=NEW), load_task(SETS)
    assert texts(task) == list(NEW.text)
    assert (len(task.train), task.examples, plain.examples) == (80, 83, 80)
    assert task.notes[-1] == "unlabelled: 3 texts of train, for the teacher to label"
    assert task.source == plain.source


def test_the_fingerprint_is_of_both() -> None:
    plain, task = load_task(SETS), load_task(SETS, unlabelled=NEW)
    assert task.labelled.fingerprint == plain.fingerprint != task.fingerprint
    assert task.labelled.pool is None
    assert plain.labelled is plain
    assert load_task(SETS, unlabelled=NEW[::-1]).fingerprint != task.fingerprint
    assert load_task(SETS, unlabelled=NEW.assign(label="yes")).fingerprint == task.fingerprint
    by_hand = Task(**{**vars(task), "fingerprint": "", "labelled_fingerprint": ""})
    assert identified(by_hand).fingerprint == task.fingerprint
    assert identified(by_hand).labelled.fingerprint == plain.fingerprint


def test_the_fingerprint_without_such_texts_is_that_of_before() -> None:
    """Runs that are under way, and kept teachers, rely on it."""
    task = load_task(SETS)
    assert (task.fingerprint, task.source) == ("9dc5cc24f7809e6d", "9c46e61b0c9cda0b")


def test_a_label_column_is_not_read_and_said() -> None:
    task = load_task(SETS, unlabelled=NEW.assign(label=["no", "such", "class"]))
    assert task.notes[-1].endswith("for the teacher to label; column 'label' is not read")
    assert task.labels == ("no", "yes")


def test_texts_that_are_held_out_or_have_a_label_are_left_out_and_counted() -> None:
    """Whatever their labels; those that are there twice stay."""
    every = pd.concat([REVIEWS, NEW, NEW])
    task = load_task(SETS, unlabelled=every)
    assert texts(task) == [*NEW.text, *NEW.text]
    assert task.notes[-3:-1] == (
        "unlabelled: 40 texts left out (held out, word for word)",
        "unlabelled: 80 texts left out (in training with a label)",
    )
    with pytest.raises(InputError, match="--unlabelled: no text is left: all are held out, or in training"):
        load_task(SETS, unlabelled=REVIEWS)


def test_texts_are_compared_with_what_was_held_out_and_sampled() -> None:
    """A data file of which a few rows train: the others are a pool."""
    task = load_task(REVIEWS, unlabelled=REVIEWS, max_train=30)
    known = {*task.train["text"], *(text for rows in task.held_out.values() for text in rows["text"])}
    assert not known & {*texts(task)}
    assert known | {*texts(task)} == {*REVIEWS.text}


def test_pairs_are_equal_where_both_texts_are() -> None:
    pairs = pd.DataFrame({"sentence1": ["a b", "c d"] * 30, "sentence2": range(60), "label": ["x", "y"] * 30})
    pairs["sentence2"] = [f"number {n}" for n in pairs.sentence2]
    sets = {"train": pairs[:40], "validation": pairs[40:]}
    other = pd.DataFrame({"sentence1": ["a b", "a b"], "sentence2": ["number 58", "number 59"]})
    task = load_task(sets, unlabelled=other)
    assert task.pool is not None
    assert list(task.pool["text_pair"]) == ["number 59"]  # of "c d" in validation


def test_a_question_leaves_the_pool_with_a_context_that_is_held_out() -> None:
    def rows(contexts: list[str], questions: tuple[str, ...] = ("who",)) -> pd.DataFrame:
        made = [{"question": each, "context": context} for context in contexts for each in questions]
        return pd.DataFrame(made)

    def answered(contexts: list[str]) -> pd.DataFrame:
        return rows(contexts).assign(answers=[{"text": [text[:3]], "answer_start": [0]} for text in contexts])

    sets = {"train": answered(["Ada wrote.", "Bob ran."]), "validation": answered(["Cleo sang.", "Dan slept."])}
    task = load_task(sets, unlabelled=rows(["Ada wrote.", "Cleo sang.", "Eve left."], ("who", "why")))
    assert task.pool is not None
    found = list(zip(task.pool["question"], task.pool["context"], strict=True))
    assert found == [("why", "Ada wrote."), ("who", "Eve left."), ("why", "Eve left.")]
    assert "unlabelled: 2 texts left out (whose context is held out)" in task.notes


def test_a_sample_of_them() -> None:
    many = pd.DataFrame({"text": [f"text {n}" for n in range(50)]})
    task = load_task(SETS, unlabelled=many, max_unlabelled=10)
    assert len(texts(task)) == 10 == len({*texts(task)} & {*many.text})
    assert "unlabelled: a sample of 10 of 50 texts, seed 0" in task.notes
    assert texts(load_task(SETS, unlabelled=many, max_unlabelled=10)) == texts(task)
    assert texts(load_task(SETS, unlabelled=many, max_unlabelled=10, seed=1)) != texts(task)


@pytest.mark.parametrize(
    ("splits", "taken"),
    [
        ({"train": 1, "test": 2, "unsupervised": 3}, 3),
        ({"train": 1, "test": 2}, 1),
        ({"validation": 1}, 1),
        ({"a": 1, "b": 2}, None),
    ],
)
def test_which_split_is_meant(splits: dict[str, int], taken: int | None) -> None:
    source = {name: pd.DataFrame({"text": [f"of split {number}"]}) for name, number in splits.items()}
    if taken is None:
        with pytest.raises(InputError, match="--unlabelled: several splits, and none of them is called so; got a, b"):
            load_task(SETS, unlabelled=source)
    else:
        assert texts(load_task(SETS, unlabelled=source)) == [f"of split {taken}"]


def test_files_are_named_with_their_lines(tmp_path: Path) -> None:
    (file := tmp_path / "more.csv").write_text("review,text\na,one\nb,\nc,three\n")
    with pytest.raises(InputError) as caught:
        load_task(SETS, unlabelled=file)
    assert f"{file}:3: empty text in column 'text'" in str(caught.value)
    (file := tmp_path / "other.csv").write_text("review\none\n")
    with pytest.raises(InputError, match="no column 'text', which the training rows have; got review"):
        load_task(SETS, unlabelled=file)
    with pytest.raises(InputError, match="no such file or folder"):
        load_task(SETS, unlabelled=tmp_path / "none.csv")
    (file := tmp_path / "empty.csv").write_text("text\n")
    with pytest.raises(InputError, match="no rows"):
        load_task(SETS, unlabelled=file)


def test_a_number_without_texts_is_refused() -> None:
    with pytest.raises(InputError, match="--max-unlabelled: there are no unlabelled texts to draw from"):
        load_task(SETS, max_unlabelled=5)
    with pytest.raises(InputError, match="--max-unlabelled: too few rows; got 0"):
        load_task(SETS, unlabelled=NEW, max_unlabelled=0)


@pytest.mark.parametrize("name", ROWS)
def test_what_is_learned_are_both_and_it_is_known_which_is_which(name: str) -> None:
    task = toy_task(name, rows=6, held_out=2)
    assert task.learned is task.train
    fields = [field for field in ("id", *KINDS[task.kind].fields) if field in task.train.column_names]
    rows: pa.Table = task.train.with_format("arrow")[:].select(fields)
    pooled = with_pool(task, rows).learned
    assert pooled[LABELLED][:] == [True] * 6 + [False] * 6
    target, nothing = KINDS[task.kind].target, pooled[6:][KINDS[task.kind].target]
    assert pooled[:6] == {**task.train[:6], LABELLED: [True] * 6}
    assert {field: pooled[6:][field] for field in fields} == task.train.select_columns(fields)[:]
    empty: dict[str, Any] = {"tags": [0] * 99, "answers": {"text": [], "answer_start": []}}
    expected = [empty[target][: len(words)] for words in task.train["tokens"]] if target == "tags" else None
    assert nothing == (expected or [[] if name == "multi_label" else empty.get(target, 0)] * 6)


def test_many_lie_in_files(tmp_path: Path) -> None:
    """Their columns are views of what is mapped, none of memory of our own."""
    file = tmp_path / "many.jsonl"
    file.write_text(
        "".join(json.dumps({"text": f"text {number} {'and more ' * 9}"}) + "\n" for number in range(40_000))
    )
    task = load_task(SETS, unlabelled=file)
    before = pa.total_allocated_bytes()
    rows = task.learned
    assert len(rows) == 40_080
    assert pa.total_allocated_bytes() - before < 1_000_000
