"""Sums over rows: of sets of labels they give scikit-learn's scores, of any draw of the rows, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from engine.data.task import Task
from engine.evaluation.class_sums import marked, of_classes, of_sets, share, telling_rows
from engine.evaluation.intervals import exact, measure
from engine.evaluation.scores import constant_set, scores, trivial_score
from engine.evaluation.scores import of_classes as table_of
from tests.tasks import METRICS, make_task

LABELS = ("a", "b", "c", "d")
SETS = st.lists(st.integers(0, 3), unique=True, max_size=4).map(sorted)


def several(gold: list[list[int]], metric: str = "f1_micro") -> Task:
    task = make_task("multi_label", [{"text": "a", "label": labels} for labels in gold], labels=LABELS)
    return replace(task, metrics=tuple(sorted(METRICS["multi_label"], key=lambda name: name != metric)), metric=metric)


def of_sklearn(gold: list[list[int]], answers: list[list[int]]) -> dict[str, float]:
    """Labels that no row has and no answer names count in neither mean."""
    true, given = (marked(sets, len(LABELS)).toarray().astype(int) for sets in (gold, answers))
    seen = np.flatnonzero((true + given).any(axis=0))
    f1 = {
        name: metrics.f1_score(true, given, labels=seen, average=name, zero_division=0) if len(seen) else 0.0
        for name in ("micro", "macro")
    }
    return {"f1_micro": f1["micro"], "f1_macro": f1["macro"], "subset_accuracy": metrics.accuracy_score(true, given)}


@given(st.lists(st.tuples(SETS, SETS), min_size=1, max_size=20))
def test_scores_of_sets_are_those_of_scikit_learn(rows: list[tuple[list[int], list[int]]]) -> None:
    gold, answers = [[0], *[gold for gold, _ in rows]], [[], *[given for _, given in rows]]
    task, expected = several(gold), of_sklearn(gold, answers)
    assert scores(task, task.train, answers) == pytest.approx(expected)
    assert exact(task, task.train, answers) == pytest.approx(expected)


@given(st.lists(st.tuples(SETS, SETS), min_size=2, max_size=9), st.data())
def test_a_draw_scores_as_its_rows_do(rows: list[tuple[list[int], list[int]]], data: st.DataObject) -> None:
    gold, answers = map(list, zip(*rows, strict=True))
    drawn = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=len(rows), max_size=len(rows)))
    of_rows, found = of_sets(several([[0], *gold]), gold, answers)
    sums = np.bincount(drawn, minlength=len(rows))[None].astype(float) @ of_rows
    expected = of_sklearn([gold[row] for row in drawn], [answers[row] for row in drawn])
    assert found["f1_micro"](sums)[0] == pytest.approx(expected["f1_micro"])
    assert found["subset_accuracy"](sums)[0] == pytest.approx(expected["subset_accuracy"])


def test_a_label_that_a_draw_misses_counts_as_in_all_rows() -> None:
    of_rows, found = of_sets(several([[0], [1]]), [[0], [1], [1]], [[0], [1], []])
    assert found["f1_macro"](np.array([[1.0, 0, 0]]) @ of_rows)[0] == pytest.approx((1 + 2 / 3) / 2)


def test_classes_have_the_accuracy_of_their_rows() -> None:
    task = make_task("classification", [{"text": "a", "label": 1}], labels=LABELS)
    of_rows, found = of_classes(task, [0, 1, 1], [0, 1, 2])
    assert found["accuracy"](np.ones((1, 3)) @ of_rows)[0] == pytest.approx(2 / 3)


def test_nothing_divided_by_nothing_is_nothing() -> None:
    assert share(np.array([0.0, 1.0]), np.array([0.0, 2.0])).tolist() == [0.0, 0.5]


def test_rows_that_tell() -> None:
    gold = [[0, 1], [0], [], [0]]
    task = several(gold)
    assert telling_rows(task, gold, "f1_micro") == 3
    assert telling_rows(task, gold, "f1_macro") == 1  # of b
    assert telling_rows(task, [[], []], "f1_macro") == 2


def test_an_interval_holds_its_score_and_narrows_with_the_rows() -> None:
    dice, widths = np.random.default_rng(0), []
    for rows in (40, 640):
        gold = [np.flatnonzero(dice.random(4) < 0.4).tolist() for _ in range(rows)]
        answers = [[label for label in range(4) if (label in labels) != (dice.random() < 0.2)] for labels in gold]
        task = several(gold)
        found = measure(task, task.train, answers)
        for name in METRICS["multi_label"][:2]:
            low, high = found.intervals[name]
            assert low < found.scores[name] < high
        widths.append(np.ptp(found.intervals["f1_micro"]))
    assert 2.5 < widths[0] / widths[1] < 6


@pytest.mark.parametrize(
    ("metric", "answer"), [("f1_micro", [0, 1]), ("f1_macro", [0, 1, 2, 3]), ("subset_accuracy", [1])]
)
def test_the_trivial_answer_is_the_best_that_is_always_given(metric: str, answer: list[int]) -> None:
    task = several([[0, 1], [0], [1], [1], [0, 2, 1], []], metric)
    assert constant_set(task) == answer
    assert trivial_score(task, task.train) == pytest.approx(of_sklearn(task.train["label"][:], [answer] * 6)[metric])


def test_each_label_has_a_line_and_there_is_no_matrix() -> None:
    task = several([[0, 1], [0], []])
    table, matrix = table_of(task, task.train, [[0], [1], []])
    assert table[0] == {"label": "a", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "rows": 2}
    assert table[1] == {"label": "b", "precision": 0.0, "recall": 0.0, "f1": 0.0, "rows": 1}
    assert [line["rows"] for line in table] == [2, 1, 0, 0]
    assert matrix == []
