"""Rows in normal form: what makes one unusable, and that it is named."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import InputError
from engine.data.cells import column_of
from engine.data.checks import MAX_CHARACTERS, normalise
from engine.data.load import load_task
from engine.data.rows import MAX_EXAMPLES, Findings, Origin, RawSplit
from engine.data.schema import Schema
from tests.engine.data.written import GOOD, load


def test_all_problems_come_at_once_and_are_counted(tmp_path: Path) -> None:
    empty = '{"text": "", "label": 1}\n'
    (tmp_path / "train.jsonl").write_text(GOOD + empty * 40 + '{"text": "a"}\n')
    (tmp_path / "validation.jsonl").write_text(GOOD + '{"text": "a", "label": 5}\n')
    with pytest.raises(InputError) as caught:
        load_task(tmp_path)
    problems = [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert problems[:2] == [
        "train.jsonl:10: empty text in column 'text'; got ''",
        "train.jsonl:11: empty text in column 'text'; got ''",
    ]
    assert problems[MAX_EXAMPLES] == "train.jsonl: empty text in column 'text': 40 rows in all, the first 5 shown"
    assert problems[MAX_EXAMPLES + 1 :] == [
        "train.jsonl:50: no label in column 'label'; got nothing",
        "validation.jsonl:10: label in column 'label' does not occur in training; got 5; allowed: 0, 1",
        "42 rows cannot be used. Mend them, or leave them out of the data.",
    ]


@pytest.mark.parametrize("kind", [None, "regression"])
def test_an_empty_cell_is_nothing_and_a_row_counts_once(kind: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n" + "fine,1\npoor,0\n" * 9 + ",\n", "utf-8")
    with pytest.raises(InputError) as caught:
        load_task(tmp_path / "rows.csv", kind=kind)
    first, second, last = map(str, caught.value.problems)
    assert first.endswith("rows.csv:20: empty text in column 'text'; got nothing")
    assert second.endswith("; got nothing")
    assert last == "1 row cannot be used. Mend it, or leave it out of the data."


def test_rows_of_objects_are_named_by_split_and_number() -> None:
    frame = pd.DataFrame({"text": ["a", "b", ""], "label": ["x", "y", "x"]})
    with pytest.raises(InputError, match=r"^train row 2: empty text"):
        load_task(frame)


def test_an_id_stands_once() -> None:
    answer = {"text": ["Ada"], "answer_start": [0]}
    rows = {"id": ["p", "q", "p"], "question": ["?"] * 3, "context": ["Ada"] * 3, "answers": [answer] * 3}
    with pytest.raises(InputError, match="train row 2: an id that stands twice; got 'p', also in train row 0"):
        load_task(datasets.Dataset.from_dict(rows))


# --- rows of one split -------------------------------------------------------------------------------


def normal(
    schema: Schema, published: bool = False, **columns: list[Any]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """The normal form of columns, what is wrong with them, and the notes."""
    table = pa.table({name: column_of(values) for name, values in columns.items()})
    split = RawSplit(table, (Origin("train", len(table)),))
    findings, notes = Findings(), []  # type: ignore[var-annotated]
    rows = normalise(split, schema, findings, notes=notes, published=published)
    return rows.to_pydict(), [str(problem) for problem in findings.problems], notes


CLASSES = Schema("classification", {"text": "text", "label": "label"}, ("bad", "good"), False)
DECLARED = replace(CLASSES, fixed_labels=True)
NUMBERS = Schema("regression", {"text": "text", "label": "score"}, (), False)
ANSWERS = Schema("question_answering", {"question": "q", "context": "c", "answers": "a"}, (), False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.tuples(texts, st.sampled_from(["bad", "good", "ugly", None])), min_size=1, max_size=8))
def test_a_row_is_in_normal_form_or_named(rows: list[tuple[str, str | None]]) -> None:
    made, problems, _ = normal(CLASSES, text=[text for text, _ in rows], label=[label for _, label in rows])
    good = {row for row, (text, label) in enumerate(rows) if text.strip() and label in CLASSES.labels}
    named = {int(found[1]) for found in re.finditer(r"train row (\d+):", "\n".join(problems))}
    for row, (text, label) in enumerate(rows):
        assert (row in named) == (row not in good) or len(problems) > MAX_EXAMPLES
        if row in good:
            assert (made["text"][row], CLASSES.labels[made["label"][row]]) == (text, label)


def test_published_rows_may_be_empty_but_need_their_labels() -> None:
    rows = {"text": ["a", "", "b"], "label": ["bad", "good", None]}
    assert [problem.split(":")[0] for problem in normal(CLASSES, **rows)[1]] == ["train row 1", "train row 2"]
    assert [problem.split(":")[0] for problem in normal(CLASSES, published=True, **rows)[1]] == ["train row 2"]


def test_declared_classes_may_be_given_by_name_or_index() -> None:
    made, problems, _ = normal(DECLARED, text=list("abcd"), label=["good", 1, 0, "bad"])
    assert (made["label"], problems) == ([1, 1, 0, 0], [])
    _, problems, _ = normal(DECLARED, text=list("abc"), label=[-1, 2, 0])
    assert ["no label" in problems[0], "none of the declared ones" in problems[1]] == [True, True]
    _, problems, _ = normal(CLASSES, text=list("ab"), label=[1, "bad"])
    assert "does not occur in training" in problems[0]


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "", "high"])
def test_a_target_is_a_finite_number(value: Any) -> None:
    made, problems, _ = normal(NUMBERS, text=list("abc"), score=[0.5, value, -2])
    assert len(problems) == 1
    assert problems[0].startswith("train row 1: ")
    assert (made["label"][0], made["label"][2]) == (0.5, -2.0)


def test_texts_of_a_million_characters_and_no_more() -> None:
    rows = {"text": ["a" * MAX_CHARACTERS, "a" * (MAX_CHARACTERS + 1)], "label": ["bad", "good"]}
    (problem,) = normal(CLASSES, **rows)[1]
    assert problem.startswith("train row 1: text in column 'text' is too long")


@given(before=st.text("ab .", max_size=8), answer=st.text("xyz", min_size=1, max_size=3), start=st.integers(-3, 12))
def test_a_wrong_start_is_mended_where_the_answer_stands_once(before: str, answer: str, start: int) -> None:
    context = f"{before}{answer}"
    rows = {"q": ["Who?"], "c": [context], "a": [{"text": [answer], "answer_start": [start]}]}
    made, problems, notes = normal(ANSWERS, **rows)
    assert not problems
    assert made["answers"] == [{"text": [answer], "answer_start": [len(before)]}]
    assert len(notes) == (start != len(before))
    twice = {**rows, "c": [f"{context} {context}"]}
    starts = {len(before), len(f"{context} {before}")}
    assert bool(normal(ANSWERS, **twice)[1]) == (start not in starts)


def questions(**marks: list[Any]) -> dict[str, list[Any]]:
    answers = [{"text": ["Ada"], "answer_start": [0]}] * 40
    contexts = [f"Ada came, {row}" for row in range(40)]
    return {"question": ["Who?"] * 40, "context": contexts, "answers": answers, **marks}


@pytest.mark.parametrize("pair", [(1, 0), ("1", "0"), (1.0, 0.0), (True, False), (" True", "false"), (1, None)])
def test_a_question_is_marked_as_impossible_by_a_truth_value(pair: tuple[Any, Any]) -> None:
    task = load(questions(is_impossible=[*pair] * 20))
    assert [answers["text"] for answers in task.train["answers"][:]] == [[], ["Ada"]] * 20


def test_a_mark_that_is_no_truth_value_is_named_with_its_row() -> None:
    with pytest.raises(InputError) as caught:
        load(questions(is_impossible=["0", "yes", "2", ""] + ["1"] * 36))
    first, second, *_, closing = map(str, caught.value.problems)
    allowed = "allowed: true, false, 1, 0, nothing"
    assert first == f"train row 1: column 'is_impossible' must hold true or false; got 'yes'; {allowed}"
    assert second == f"train row 2: column 'is_impossible' must hold true or false; got '2'; {allowed}"
    assert closing.startswith("4 rows cannot be used")  # two of training, and the same two of validation


def test_a_column_of_that_name_means_nothing_to_other_tasks() -> None:
    rows = {"text": [f"a{row}" for row in range(40)], "label": ["x", "y"] * 20, "is_impossible": ["perhaps"] * 40}
    assert load(rows).kind == "classification"
