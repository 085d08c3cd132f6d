"""The table of kinds and what a task says of itself."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, pstdev

import pytest
import transformers

from engine.data.task import KINDS, NO_UNIT, TASK_KINDS, Unit, texts_of
from engine.pipeline.pipeline import Pipeline
from tests.tasks import make_task
from tests.toys import ROWS, toy_task


def test_the_table_has_every_kind_and_no_other() -> None:
    assert tuple(KINDS) == TASK_KINDS


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_a_kind_names_fields_heads_and_tags_that_there_are(kind: str) -> None:
    facts = KINDS[kind]  # type: ignore[index]
    assert facts.target == facts.columns["label"]
    assert facts.target not in facts.fields
    assert set(facts.texts) <= set(facts.fields)
    assert facts.columns.keys() <= {"text", "text_pair", "label"}
    assert hasattr(transformers, f"Bert{facts.head}")
    assert facts.hub_tag.replace("-", "_").endswith(("classification", "answering"))


@pytest.mark.parametrize("name", ROWS)
def test_rows_have_the_fields_of_their_kind(name: str) -> None:
    task = toy_task(name, rows=6, held_out=2)
    facts = KINDS[task.kind]
    assert {*facts.texts, facts.target} <= set(task.train.column_names)
    assert ("text_pair" in task.train.column_names) == task.pair
    assert set(task.train.column_names) <= {*facts.fields, facts.target, "id"}


@pytest.mark.parametrize(
    ("name", "outputs", "token_level"),
    [
        ("single", 3, False),
        ("pair", 2, False),
        ("regression", 1, False),
        ("tagging", 3, True),
        ("question_answering", 2, True),
    ],
)
def test_the_shape_of_the_logits(name: str, outputs: int, token_level: bool) -> None:
    task = toy_task(name, rows=6, held_out=2)
    assert (task.outputs, task.token_level) == (outputs, token_level)


def test_every_text_of_the_training_rows_and_no_other() -> None:
    pairs = [{"text": "a b", "text_pair": "c", "label": 0}, {"text": "d", "text_pair": "e f", "label": 1}]
    other = [{"text": "held", "text_pair": "out", "label": 0}]
    assert sorted(texts_of(make_task("classification", pairs, other, labels=("x", "y")))) == ["a b", "c", "d", "e f"]
    tagged = [{"tokens": ["Rome", "fell", "."], "tags": [0, 1, 0]}]
    assert [*texts_of(make_task("tagging", tagged, labels=("X", "Y")))] == ["Rome fell ."]
    asked = [{"id": "0", "question": "Who?", "context": "Ada.", "answers": {"text": ["Ada"], "answer_start": [0]}}]
    assert [*texts_of(make_task("question_answering", asked))] == ["Who?", "Ada."]


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_what_stands_at_words_cannot_be_translated(kind: str) -> None:
    pipeline = Pipeline.model_validate({"augmentation": "back_translation"})
    refused = "augmentation.operators" in {problem.place for problem in pipeline.problems_with(kind)}  # type: ignore[arg-type]
    assert refused == (kind in ("tagging", "question_answering"))


# --- the unit of values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, unit",
    [
        ((10.0, 30.0), Unit(20.0, 10.0)),
        ((7.0, 7.0), Unit(7.0, 1.0)),
        ((0.1, 0.1, 0.1), Unit(0.1, 1.0)),
        ((3, 4, 5), None),
    ],
)
def test_values_are_learned_with_mean_0_and_deviation_1(values: tuple[float, ...], unit: Unit | None) -> None:
    task = make_task("regression", [{"text": "a", "label": float(value)} for value in values])
    assert unit is None or task.unit == pytest.approx(unit)
    inside = [task.unit.inside(value) for value in values]
    assert fmean(inside) == pytest.approx(0)
    assert pstdev(inside) == pytest.approx(0 if min(values) == max(values) else 1)
    assert [task.unit.inverse.inside(value) for value in inside] == pytest.approx(values)


@pytest.mark.parametrize("name", [name for name in ROWS if name != "regression"])
def test_classes_have_no_unit(name: str) -> None:
    assert toy_task(name, rows=4, held_out=2).unit == NO_UNIT


def test_rows_without_values_have_no_unit() -> None:
    """Those that are to be answered."""
    task = toy_task("regression", rows=4, held_out=2)
    assert replace(task, train=task.train.remove_columns("label")).unit == NO_UNIT


def test_a_notebook_shows_its_sets_and_what_was_made_of_it() -> None:
    task = replace(toy_task("single", rows=8, held_out=4), name="a <b>", notes=("a split was made",))
    page = task._repr_html_()
    assert "<strong>a &lt;b&gt;: classification, metric accuracy</strong>" in page
    assert "<td>train</td><td>8</td><td>text, label</td>" in page
    assert "<td>validation</td><td>4</td>" in page
    assert page.endswith("<p>a split was made</p>")
