"""Weights of the terms and the training's values: those of the papers where nobody says others."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from datasets import concatenate_datasets
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.base.options import StartKind
from engine.data.task import Task
from engine.pipeline import Pipeline
from engine.pipeline.training import WITH_AUGMENTATION, Training, Weights
from tests.tasks import make_task
from tests.toys import toy_task

TASK = toy_task("single", rows=4, held_out=2)


def with_rows(task: Task, rows: int) -> Task:
    return replace(task, train=concatenate_datasets([task.train] * (rows // len(task.train))))


def test_weights_of_the_paper_are_the_defaults() -> None:
    assert Weights() == Weights(intermediate=1.0, prediction=1.0, hard_label=0.0)
    augmenting = Pipeline.model_validate({"augmentation": "random"}).weights
    assert augmenting == Weights(hard_label=0.5, augmented_prediction=1.0, augmented_hard_label=0.5)


@pytest.mark.parametrize(
    ("name", "epochs", "length", "overlap"),
    [
        ("single", 20, 64, None),
        ("pair", 20, 128, None),
        ("regression", 20, 64, None),
        ("tagging", 20, 128, None),
        ("question_answering", 30, 320, 128),
    ],
)
def test_a_tasks_values_are_those_of_the_papers(name: str, epochs: int, length: int, overlap: int | None) -> None:
    task = with_rows(toy_task(name, rows=4, held_out=2), 1000)
    resolved = Training().for_task(task, width=768)
    assert (resolved.epochs, resolved.max_length, resolved.window_overlap) == (epochs, length, overlap)
    assert resolved.learning_rate == 5e-5
    scratch = Training().for_task(task, "scratch", width=768)
    assert scratch == resolved.model_copy(update={"learning_rate": 5e-4})


@pytest.mark.parametrize(("width", "rate"), [(128, 3e-4), (312, 1e-4), (384, 1e-4), (768, 5e-5), (None, None)])
def test_a_narrow_student_learns_faster(width: int | None, rate: float | None) -> None:
    assert Training().for_task(TASK, width=width).learning_rate == rate
    assert Training(learning_rate=2e-4).for_task(TASK, width=width).learning_rate == 2e-4
    assert Training(paper=True).for_task(TASK, width=width).learning_rate == 5e-5


@pytest.mark.parametrize(("start", "rate"), [("scratch", 5e-4), ("lstm", 3e-3), ("static", 3e-3)])
def test_what_is_no_pretrained_encoder_has_a_rate_of_its_own(start: StartKind, rate: float) -> None:
    for training in (Training(), Training(paper=True)):
        assert {training.for_task(TASK, start, width=width).learning_rate for width in (64, 768)} == {rate}


@pytest.mark.parametrize("name, epochs", [("cola", 50), ("nyu-mll/glue/cola", 50), ("colada", 20), ("cola/other", 20)])
def test_cola_trains_longer(name: str, epochs: int) -> None:
    task = replace(with_rows(TASK, 1000), name=name)
    assert Training().for_task(task).epochs == epochs


@pytest.mark.parametrize("rows, batch_size, epochs", [(4, 16, 50), (300, 16, 50), (480, 16, 34), (300, 8, 27)])
def test_small_data_is_read_more_often(rows: int, batch_size: int, epochs: int) -> None:
    assert Training(batch_size=batch_size).for_task(with_rows(TASK, rows)).epochs == epochs
    assert Training(batch_size=batch_size, epochs=20).for_task(with_rows(TASK, rows)).epochs == 20


def long_texts(words: int) -> Task:
    rows = [{"text": " ".join(["word"] * words), "label": 0}] * 1000
    return make_task("classification", rows, labels=("a", "b"))


@pytest.mark.parametrize("words, tokens", [(10, 64), (60, 64), (100, 104), (900, 256)])
def test_long_texts_are_read_further(words: int, tokens: int) -> None:
    task = long_texts(words)
    assert Training().for_task(task).max_length == tokens
    assert Training(max_length=32).for_task(task).max_length == 32
    assert Training(paper=True).for_task(task).max_length == 64


@pytest.mark.parametrize("positions, tokens", [(512, 256), (128, 128), (None, 256), (32, 64)])
def test_no_further_than_the_models_can(positions: int | None, tokens: int) -> None:
    """The paper's length stays, so that a model which cannot read it is refused, as before."""
    assert Training().for_task(long_texts(900), positions=positions).max_length == tokens


def test_the_papers_values_can_be_asked_for() -> None:
    small = with_rows(TASK, 40)
    assert Training(paper=True).for_task(small).epochs == 20
    assert Training().for_task(small).epochs == 50


trainings = st.builds(
    Training,
    paper=st.booleans(),
    epochs=st.none() | st.integers(1, 90),
    early_stopping=st.integers(0, 9),
    learning_rate=st.none() | st.floats(1e-6, 1),
    max_length=st.none() | st.integers(8, 500),
    batch_size=st.integers(1, 64),
    warmup=st.floats(0, 0.99),
)


@given(trainings, st.sampled_from(get_args(StartKind)))
def test_what_was_chosen_stays(training: Training, start: StartKind) -> None:
    resolved = training.for_task(TASK, start, width=128)
    chosen = training.model_dump(exclude_none=True)
    assert {name: getattr(resolved, name) for name in chosen} == chosen
    assert all(resolved.for_task(TASK, other, width=768) == resolved for other in get_args(StartKind))


def test_weights_with_augmentation_are_weights() -> None:
    assert Weights(**WITH_AUGMENTATION).model_dump(exclude_defaults=True) == WITH_AUGMENTATION
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Weights(hard_label=-0.1)
