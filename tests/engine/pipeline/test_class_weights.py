"""Class weights: what may be said, and what it makes of the classes of a task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from engine.base.errors import InputError
from engine.data.task import TASK_KINDS, Task
from engine.pipeline import Pipeline, Training
from engine.pipeline.class_weights import WEIGHTED, class_problems, class_weights_of
from engine.pipeline.read import dump_pipeline, load_pipeline
from tests.tasks import make_task
from tests.toys import ROWS, toy_task

CLASSES = (0, 0, 1, 0, 1, 0, 0, 0)
LABEL_SETS = ([0, 2], [2], [0, 2], [0, 1, 2], [0, 2], [0, 2], [0, 2], [0, 2])


def uneven(labels: tuple[str, ...] = ("ham", "spam")) -> Task:
    return make_task("classification", [{"text": "a", "label": label} for label in CLASSES], labels=labels)


def several() -> Task:
    labels = ("often", "once", "always", "never")
    return make_task("multi_label", [{"text": "a", "label": sets} for sets in LABEL_SETS], labels=labels)


def weights_of(given: Any, task: Task) -> np.ndarray:
    found = class_weights_of(Training(class_weights=given).class_weights, task)
    assert found is not None
    return found


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(2), y=np.array(CLASSES))
    np.testing.assert_allclose(weights_of("balanced", uneven()), expected)


def test_a_class_without_rows_changes_nothing_of_the_others() -> None:
    found = weights_of("balanced", uneven(("ham", "spam", "eggs")))
    np.testing.assert_allclose(found[:2], weights_of("balanced", uneven()))
    assert found[2] == 1.0


def test_each_of_several_labels_is_balanced_as_a_question_of_its_own() -> None:
    found = weights_of("balanced", several())
    for place in range(4):
        has = np.array([place in sets for sets in LABEL_SETS])
        classes = np.unique(has)
        expected = np.ones(2)  # also of what no row, or every row, has
        expected[classes.astype(int)] = compute_class_weight("balanced", classes=classes, y=has)
        np.testing.assert_allclose(found[:, place], expected)


@pytest.mark.parametrize("given", ["balanced", {"spam": 9.0}, {"ham": 0.5, "spam": 3}])
def test_the_mean_over_the_training_rows_is_1(given: Any) -> None:
    assert weights_of(given, uneven())[list(CLASSES)].mean() == pytest.approx(1.0)


@pytest.mark.parametrize("given", ["balanced", {"once": 9.0}])
def test_so_it_is_for_each_of_several_labels(given: Any) -> None:
    found = weights_of(given, several())
    having = np.array([[place in sets for place in range(4)] for sets in LABEL_SETS])
    np.testing.assert_allclose(np.where(having, found[1], found[0]).mean(0), 1.0)


def test_a_table_says_how_much_more_one_class_weighs_than_another() -> None:
    ham, spam = weights_of({"spam": 9.0}, uneven())
    assert spam / ham == pytest.approx(9.0)
    without, having = weights_of({"once": 9.0}, several())
    np.testing.assert_allclose(having / without, [1.0, 9.0, 1.0, 1.0])


def test_there_are_none_by_default() -> None:
    assert class_weights_of(Training().class_weights, uneven()) is None


# --- what may be said ---------------------------------------------------------------------------------


def test_every_form_is_the_same_pipeline() -> None:
    given: list[Any] = [{"spam": 6, "ham": 1.0}, {"ham": 1, "spam": 6}, "spam=6, ham=1", (("spam", 6.0), ("ham", 1.0))]
    pipelines = [Pipeline(training=Training(class_weights=each)) for each in given]
    assert len({each.key for each in pipelines} | {Pipeline().key}) == 2
    assert len({*pipelines}) == 1  # a study looks pipelines up
    typed = ["training.class_weights={spam=6, ham=1}", "training.class_weights=ham=1,spam=6"]
    assert [load_pipeline({}, [each]) for each in typed] == [pipelines[0]] * 2
    assert load_pipeline({}, ["training.class_weights.spam=6"]).training.class_weights == (("spam", 6.0),)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("good, fine=3,bad=1", (("bad", 1.0), ("good, fine", 3.0))),
        ("bad=1, good, fine=3", (("bad", 1.0), ("good, fine", 3.0))),
        ("a=b=3,a,b=2", (("a,b", 2.0), ("a=b", 3.0))),
    ],
)
def test_the_name_of_a_class_may_hold_commas(typed: str, found: tuple[tuple[str, float], ...]) -> None:
    assert Training(class_weights=typed).class_weights == found
    assert load_pipeline({}, [f"training.class_weights={typed}"]).training.class_weights == found


@pytest.mark.parametrize("given", ["none", "balanced", {"spam": 6.0}, {"a.b = c": 2.5}, {0: 1.0, 1: 4.0}])
@pytest.mark.parametrize("form", ["toml", "yaml", "json"])
def test_what_is_written_is_read_again(given: Any, form: Any, tmp_path: Any) -> None:
    pipeline = Pipeline(training=Training(class_weights=given))
    assert ("class_weights" in pipeline.model_dump()["training"]) == (given != "none")
    path = tmp_path / f"pipeline.{form}"
    path.write_text(dump_pipeline(pipeline, form), encoding="utf-8")
    assert load_pipeline(path) == pipeline
    assert Pipeline.model_validate(pipeline.model_dump()) == pipeline


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("balance", "unknown class weights; got 'balance'; allowed: none, balanced.*Did you mean balanced"),
        ("spam=six", "weight of 'spam'; got 'six'; allowed: a number above 0"),
        ("{spam=0, ham=-1}", "weight of 'spam'; got 0; allowed.*\n.*weight of 'ham'; got -1"),
        ("spam=6,ham", "weight of 'ham'; got 'ham'"),
        ("spam=inf", "weight of 'spam'; got inf"),
        ("{spam=true}", "weight of 'spam'; got True"),
        ("{spam={ham=1}}", "weight of 'spam'; got {'ham': 1}"),
        ("{}", "unknown class weights; got {}; allowed: none, balanced, a table"),
        ("7", "unknown class weights; got 7; allowed: none, balanced, a table"),
        ("[1, 2]", r"unknown class weights; got \[1, 2\]"),
    ],
)
def test_what_is_no_weight_is_refused(typed: str, words: str) -> None:
    with pytest.raises(InputError, match=f"(?s)--set training.class_weights: {words}"):
        load_pipeline({}, [f"training.class_weights={typed}"])


# --- what suits a task -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_only_classes_of_texts_have_weights(name: str) -> None:
    task = toy_task(name, rows=8, held_out=2)
    assert {*WEIGHTED} < {*TASK_KINDS}
    problems = class_problems("balanced", task)
    assert [task.kind.replace("_", " ") in problem.what for problem in problems] == [True] * (task.kind not in WEIGHTED)
    assert class_problems("none", task) == []


def test_a_class_that_is_none_is_refused_with_the_nearest() -> None:
    given = Training(class_weights={"spma": 6.0, "ham": 1.0, "eggs": 2.0}).class_weights
    first, second = map(str, class_problems(given, uneven()))
    assert first == "training.class_weights: unknown class; got 'eggs'; allowed: ham, spam"
    assert second.endswith("got 'spma'; allowed: ham, spam. Did you mean spam?")
