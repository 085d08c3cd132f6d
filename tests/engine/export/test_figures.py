"""What forms of a student are compared by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.export.figures import largest_difference, made_up_rows, rows_of, scores_of_answers
from engine.run.predictor import load_predictor
from tests.engine.run.test_predictor import ASKED, CPU
from tests.toys import ROWS, toy_task


def test_the_largest_difference() -> None:
    assert largest_difference([np.zeros(2), np.ones(2)], [np.zeros(2), np.array([1.0, 0.75])]) == 0.25
    assert largest_difference([], []) == 0
    for other in (np.zeros(3), np.zeros((2, 1))):
        with pytest.raises(ValueError, match="other shapes"):
            largest_difference([np.zeros(2)], [other])


def test_a_logit_that_is_no_number_is_no_small_difference() -> None:
    one = np.array([1.0])
    for found in ([np.array([np.nan]), one], [one, np.array([np.nan])], [one, np.array([np.inf])]):
        assert not largest_difference(found, [one, one]) <= 1e-4


@pytest.mark.parametrize("name", ROWS)
def test_rows_have_what_is_answered_alone(name: str) -> None:
    task = toy_task(name, rows=4, held_out=9)
    rows = rows_of(task)
    assert len(rows) == 9
    assert all({*row} == {*ASKED[name]} for row in rows)


@pytest.mark.parametrize("name", ["single", "tagging", "multi_label"])
def test_labels_in_another_order_are_scored_alike(name: str) -> None:
    task = toy_task(name, rows=4, held_out=9)
    gold = task.validation["validation"]["tags" if name == "tagging" else "label"][:]
    turned = len(task.labels) - 1
    answers = [[turned - tag for tag in each] if isinstance(each, list) else turned - each for each in gold]
    assert scores_of_answers(task, answers, task.labels[::-1])[task.metric] == 1
    assert scores_of_answers(task, answers, task.labels)[task.metric] < 1


@pytest.mark.parametrize("name", ROWS)
def test_made_up_rows_can_be_answered(name: str, saved) -> None:
    predictor = replace(load_predictor(saved(name), CPU), columns={})
    rows = made_up_rows(predictor, name == "pair")
    assert rows == made_up_rows(predictor, name == "pair")
    assert all({*row} == {*ASKED[name]} for row in rows)
    assert len({str(row) for row in rows}) > 1
    assert len(predictor(rows)) == len(rows)
