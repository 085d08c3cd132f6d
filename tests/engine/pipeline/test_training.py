"""Weights of the terms and the training's values: those of the papers where nobody says others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.pipeline import Pipeline
from engine.pipeline.training import WITH_AUGMENTATION, Training, Weights
from tests.toys import toy_task

TASK = toy_task("single", rows=4, held_out=2)


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
    task = toy_task(name, rows=4, held_out=2)
    resolved = Training().for_task(task)
    assert (resolved.epochs, resolved.max_length, resolved.window_overlap) == (epochs, length, overlap)
    assert resolved.learning_rate == 5e-5
    assert Training().for_task(task, from_scratch=True) == resolved.model_copy(update={"learning_rate": 5e-4})


@pytest.mark.parametrize("name, epochs", [("cola", 50), ("nyu-mll/glue/cola", 50), ("colada", 20), ("cola/other", 20)])
def test_cola_trains_longer(name: str, epochs: int) -> None:
    task = replace(toy_task("single", rows=4, held_out=2), name=name)
    assert Training().for_task(task).epochs == epochs


trainings = st.builds(
    Training,
    epochs=st.none() | st.integers(1, 90),
    learning_rate=st.none() | st.floats(1e-6, 1),
    max_length=st.none() | st.integers(8, 500),
    batch_size=st.integers(1, 64),
    warmup=st.floats(0, 0.99),
)


@given(trainings, st.booleans())
def test_what_was_chosen_stays(training: Training, from_scratch: bool) -> None:
    resolved = training.for_task(TASK, from_scratch)
    chosen = training.model_dump(exclude_none=True)
    assert {name: getattr(resolved, name) for name in chosen} == chosen
    assert resolved.for_task(TASK, not from_scratch) == resolved


def test_weights_with_augmentation_are_weights() -> None:
    assert Weights(**WITH_AUGMENTATION).model_dump(exclude_defaults=True) == WITH_AUGMENTATION
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Weights(hard_label=-0.1)
