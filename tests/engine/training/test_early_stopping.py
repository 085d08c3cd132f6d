"""With early stopping a perfect held-out score ends the training: nothing can be better."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.base.machine import machine_for
from engine.models.load import build, for_task
from engine.pipeline.training import Training
from engine.run.fine_tuning import fine_tune
from engine.training import loop
from engine.training.state import Clock
from tests.tokenizers import wordpiece
from tests.toys import tiny_config, toy_task

STEPS = 3  # of an epoch: 24 rows
WAITING = Training(epochs=6, early_stopping=4, batch_size=8, learning_rate=1e-3, max_length=16)

Train = Callable[..., dict[str, torch.Tensor]]


@pytest.fixture(name="learn")
def _learn(options, ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains a classifier whose epochs reach these scores, with a checkpoint a step, and gives its weights."""
    monkeypatch.setattr(Clock, "checkpoint_due", lambda _: True)

    def learn(scores: list[float], training: Training = WAITING, folder: str = "a", stops: int = 0) -> dict:
        left = list(scores)

        def scored(*_: object) -> dict[str, dict[str, float]]:
            if stops and len(scores) - len(left) == stops:
                raise KeyboardInterrupt
            return {"validation": {"accuracy": left.pop(0)}}

        monkeypatch.setattr(loop, "scores_on", scored)
        task = toy_task("single", rows=24, held_out=8)
        model = build(for_task(tiny_config(layers=1), task, wordpiece()), task.kind, 0)
        work = tmp_path / folder
        fine_tune("teacher", (model, wordpiece()), task, training, 0, work, machine_for(options, ear))
        shutil.rmtree(work)
        return {name: value.clone() for name, value in model.state_dict().items()}

    return learn


@pytest.mark.parametrize("scores, epochs", [([0.5, 1.0], 2), ([1.0], 1), ([0.5, 0.9999, 0.6, 0.7, 0.8, 0.9], 6)])
def test_a_perfect_score_ends_it(scores: list[float], epochs: int, learn: Train, ear) -> None:
    learn(scores)
    assert ear.worked["teacher"] == STEPS * epochs
    said = f"teacher: stops, as nothing can be better than epoch {epochs}"
    assert (said in ear.messages) == (max(scores) == 1)


@pytest.mark.parametrize("patience", [0, 4])
def test_what_may_stop_early_says_so_when_it_begins(patience: int, learn: Train, ear) -> None:
    learn([0.5] * 6, WAITING.model_copy(update={"early_stopping": patience}))
    assert [may for (stage, *_), may in zip(ear.stages, ear.most, strict=True) if stage == "teacher"] == [patience > 0]


def test_without_early_stopping_every_epoch_is_trained(learn: Train, ear) -> None:
    learn([1.0] * 6, WAITING.model_copy(update={"early_stopping": 0}))
    assert ear.worked["teacher"] == STEPS * 6


def test_the_best_epoch_is_what_it_was(learn: Train) -> None:
    """The end alone is earlier; later epochs, none of which could be better, would have left the same weights."""
    stopped = learn([0.5, 1.0], folder="stopped")
    whole = learn([0.5, 1.0, 1.0, 1.0, 1.0, 1.0], WAITING.model_copy(update={"early_stopping": 0}), folder="whole")
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


def test_a_training_that_was_interrupted_ends_alike(learn: Train, ear) -> None:
    whole = learn([0.5, 0.75, 1.0], folder="whole")
    with pytest.raises(KeyboardInterrupt):
        learn([0.5, 0.75, 1.0], folder="cut", stops=1)
    steps = ear.worked["teacher"]
    cut = learn([0.75, 1.0], folder="cut")
    assert ear.worked["teacher"] == steps + STEPS  # its checkpoint was written after the last step of epoch 2
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
