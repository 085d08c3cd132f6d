"""Weights of the terms and the training's values: those of the papers where nobody says others."""

from __future__ import annotations

from engine.pipeline import Pipeline, Weights


def test_weights_of_the_paper_are_the_defaults() -> None:
    assert Weights() == Weights(intermediate=1.0, prediction=1.0, hard_label=0.0)
    augmenting = Pipeline.model_validate({"augmentation": "random"}).weights
    assert augmenting == Weights(hard_label=0.5, augmented_prediction=1.0, augmented_hard_label=0.5)
