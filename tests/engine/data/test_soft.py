"""Soft labels of the data: where they may stand, what they become, and what is refused, with its row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.base.errors import InputError
from engine.data.load import load_task
from engine.data.soft import LEAST
from engine.data.task import SOFT, Task

TEXTS = pd.DataFrame({"text": [f"text {n}" for n in range(6)], "label": ["no", "yes"] * 3})
LOGITS = {"t_no": [1.0, -2.0] * 3, "t_yes": [0.5, 3.0] * 3}


def loaded(train: pd.DataFrame, held_out: pd.DataFrame = TEXTS, **how: Any) -> Task:
    more = held_out.assign(text=[f"other {n}" for n in range(len(held_out))])
    return load_task({"train": train, "validation": more}, **(how or {"teacher_logits": "t_"}))


def problems(*args: Any, **how: Any) -> str:
    with pytest.raises(InputError) as caught:
        loaded(*args, **how)
    return str(caught.value)


def test_a_column_for_each_label() -> None:
    task = loaded(TEXTS.assign(**LOGITS))
    assert task.train[SOFT][:2] == [[1.0, 0.5], [-2.0, 3.0]]
    assert task.soft_labels == "logits t_*"
    assert task.columns == {"text": "text", "label": "label"}
    assert SOFT not in task.validation["validation"].column_names
    assert not loaded(TEXTS, teacher_logits=None).soft_labels


def test_the_order_is_that_of_the_labels_not_of_the_columns() -> None:
    task = loaded(TEXTS.assign(t_yes=LOGITS["t_yes"], t_no=LOGITS["t_no"]))
    assert task.train[SOFT][:2] == [[1.0, 0.5], [-2.0, 3.0]]


def test_one_column_of_lists() -> None:
    task = loaded(TEXTS.assign(t_=[[1.0, 0.5], [-2, 3]] * 3))
    assert task.train[SOFT][:2] == [[1.0, 0.5], [-2.0, 3.0]]


def test_a_regression_has_one_column_of_numbers() -> None:
    rows = TEXTS.assign(label=[0.5, 1.5, 2.5] * 2, said=[0.25, 1.25, 2] * 2)
    task = loaded(rows, rows, teacher_logits="said")
    assert task.kind == "regression"
    assert task.train[SOFT][:3] == [[0.25], [1.25], [2.0]]
    assert task.validation["validation"][SOFT][:1] == [[0.25]]


def test_probabilities_become_their_logarithms() -> None:
    task = loaded(TEXTS.assign(t_no=[0.25, 1] * 3, t_yes=[0.75, 0] * 3), teacher_probabilities="t_")
    first, second = task.train[SOFT][:2]
    assert np.exp(first) == pytest.approx([0.25, 0.75])
    assert second == [0.0, math.log(LEAST)]


def test_they_stay_with_their_rows() -> None:
    """When rows are held out and sampled."""
    many = pd.DataFrame({"text": [f"text {n}" for n in range(200)], "label": ["no", "yes"] * 100})
    task = load_task(many.assign(t_no=range(200), t_yes=0), teacher_logits="t_", max_train=50)
    for rows in (task.train, *task.held_out.values()):
        assert [cell[0] for cell in rows[SOFT]] == [float(text.split()[1]) for text in rows["text"]]


def test_they_stay_with_further_texts() -> None:
    more = pd.DataFrame({"text": ["text 0", "new one", "new two"], "t_no": [7, 8, 9], "t_yes": 0.0})
    task = loaded(TEXTS.assign(**LOGITS), teacher_logits="t_", unlabelled=more)
    assert task.learned[SOFT][5:] == [[-2.0, 3.0], [8.0, 0.0], [9.0, 0.0]]
    assert task.notes[-1] == "unlabelled: 2 texts of train, labelled by their logits t_*"
    with pytest.raises(InputError, match="no column 't_yes', which --teacher-logits needs"):
        loaded(TEXTS.assign(**LOGITS), teacher_logits="t_", unlabelled=more.drop(columns="t_yes"))


@pytest.mark.parametrize(
    ("changed", "how", "message"),
    [
        ({"t_no": [1.0, None] * 3}, "logits", "train row 1: a soft label must be 2 finite numbers; got None, 3.0"),
        ({"t_no": [1.0, math.inf] * 3}, "logits", "train row 1: a soft label must be 2 finite numbers; got inf, 3.0"),
        ({"t_no": ["1", "much"] * 3}, "logits", "train row 1: a soft label must be 2 finite numbers; got much, 3.0"),
        ({"t_no": [0.5, 0.1] * 3, "t_yes": 0.5}, "probabilities", "train row 1: probabilities must be from 0 to 1"),
        ({"t_no": [0.5, 1.5] * 3, "t_yes": [0.5, -0.5] * 3}, "probabilities", "sum to 1; got 1.5, -0.5"),
        ({"t_maybe": 0.0}, "logits", "train: column 't_maybe' is of no label; got --teacher-logits; allowed: no, yes"),
    ],
)
def test_damaged_ones_are_named_with_their_row(changed: dict[str, Any], how: str, message: str) -> None:
    assert message in problems(TEXTS.assign(**{**LOGITS, **changed}), **{f"teacher_{how}": "t_"})


@pytest.mark.parametrize("lists", [[[1.0, 0.5], [1.0]], [[1.0, 0.5], ["much", 1.0]], [[1.0, 0.5], None]])
def test_damaged_lists(lists: list[Any]) -> None:
    assert "train row 1: a soft label must be 2 finite numbers" in problems(TEXTS.assign(t_=lists * 3))


def test_columns_that_are_missing() -> None:
    what = "no column 't_yes', which --teacher-logits needs"
    assert what in problems(TEXTS.assign(t_no=1.0))
    assert what in problems(TEXTS)
    assert what in problems(TEXTS.assign(**LOGITS), TEXTS.assign(t_no=1.0))  # of a held-out set all or none


def test_what_goes_with_no_such_labels() -> None:
    both = {"teacher_logits": "t_", "teacher_probabilities": "t_"}
    assert "--teacher-logits: only one of both can be" in problems(TEXTS, **both)
    numbers = TEXTS.assign(label=[0.5, 1.5, 2.5] * 2, said=0.5)
    assert "--teacher-probabilities: a regression has no classes" in problems(
        numbers, numbers, teacher_probabilities="said"
    )


def test_tokens_have_none() -> None:
    rows = pd.DataFrame({"tokens": [["Ada", "met"]] * 6, "tags": [["NAME", "O"]] * 6, "t_": 1.0})
    with pytest.raises(InputError, match="--teacher-logits: in this kind of task the teacher answers for each token"):
        load_task(rows, teacher_logits="t_")
