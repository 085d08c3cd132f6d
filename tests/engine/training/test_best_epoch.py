"""Which epoch of a training stays, and when it stops because none is better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.base.machine import Machine, machine_for
from engine.evaluation.inference import scores_on
from engine.evaluation.intervals import scores_of
from engine.pipeline import Training
from engine.tokens.examples import encode
from engine.training import loop, used_rows
from engine.training.loop import measured_best, train
from engine.training.optimiser import schedule, set_learning_rate
from tests.engine.training.stages import QUICK, Plug, pipeline, same, stage_for, trained, weights, without_times
from tests.tokenizers import wordpiece
from tests.toys import toy_task


@pytest.mark.parametrize("scores, best", [((0.2, 0.9, 0.5), 2), ((0.4, 0.4, 0.4), 1), ((-0.3, -0.2, -0.1), 3)])
def test_the_best_epoch_is_kept(
    scores: tuple[float, ...], best: int, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = QUICK.model_copy(update={"epochs": 3})
    stage = stage_for("single", machine, tmp_path, pipeline(training=training))
    seen = []

    def scored(student: torch.nn.Module, *_: object) -> dict:
        seen.append(weights(student))
        return {"validation": {"accuracy": scores[len(seen) - 1], "f1_macro": 0.0}}

    monkeypatch.setattr(loop, "scores_on", scored)
    monkeypatch.setattr(used_rows, "MOST", 0.0)  # all rows are seen while it trains
    ended, state = trained(stage, machine)
    assert (state.best_epoch, state.best_score) == (best, scores[best - 1])
    assert [same(ended, after) for after in seen] == [number == best for number in (1, 2, 3)]
    assert measured_best(stage, state, machine, paused=True)["validation"].scores["accuracy"] == scores[best - 1]


@pytest.mark.parametrize("role", ["validation", "test"])
def test_only_the_first_held_out_set_decides(role: str, machine: Machine, tmp_path: Path) -> None:
    stage = stage_for("single", machine, tmp_path)
    other = toy_task("single", rows=12, held_out=1, seed=5)
    task = replace(stage.task, **{role: {**getattr(stage.task, role), "other": other.train}})
    held_out = {**stage.held_out, "other": encode(other.train, other, wordpiece(), 32)}
    plain = train(replace(stage, folder=tmp_path / "plain"), machine)
    stage = replace(stage_for("single", machine, tmp_path / "both"), task=task, held_out=held_out)
    state = train(stage, machine)
    assert state.history == plain.history
    found = measured_best(stage, state, machine)
    assert [*found] == ["validation", "other"]
    assert scores_of(found) == scores_on(stage.student, task, held_out, machine.accelerator)


# --- early stopping ----------------------------------------------------------------------------------

STANDING_STILL = Training(epochs=6, batch_size=8, learning_rate=1e-12)


@pytest.mark.parametrize("patience, epochs", [(0, 6), (1, 2), (2, 3), (9, 6)])
def test_it_stops_when_the_score_does_not_rise(
    patience: int, epochs: int, options, ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch stays the best one; the schedule is that of all epochs."""
    seen = []

    def set_and_noted(optimizer: torch.optim.Optimizer, share: float) -> None:
        seen.append(share)
        set_learning_rate(optimizer, share)

    monkeypatch.setattr(loop, "set_learning_rate", set_and_noted)
    training = STANDING_STILL.model_copy(update={"early_stopping": patience})
    stage = stage_for("single", machine_for(options, ear), tmp_path, pipeline(training=training))
    state = train(stage, machine_for(options, ear))
    assert (state.epoch, state.step, state.best_epoch) == (epochs, 4 * epochs, 1)
    assert seen == [schedule(step, 24, training.warmup) for step in range(4 * epochs)]
    assert not stage.paused(state)
    assert ("student: stops, as nothing was better than epoch 1" in ear.messages) == (epochs < 6)


@pytest.mark.parametrize("scores, epochs", [((0.1, 0.2, 0.2, 0.3, 0.1, 0.1), 6), ((0.2, 0.1, 0.3, 0.3, 0.3), 5)])
def test_a_better_epoch_gives_it_more_time(
    scores: tuple[float, ...], epochs: int, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list(scores)
    monkeypatch.setattr(loop, "scores_on", lambda *_: {"validation": {"accuracy": left.pop(0), "f1_macro": 0.0}})
    training = STANDING_STILL.model_copy(update={"early_stopping": 2})
    assert train(stage_for("single", machine, tmp_path, pipeline(training=training)), machine).epoch == epochs


@pytest.mark.parametrize("until_epoch", [None, 1, 3])
def test_a_kill_or_a_pause_does_not_postpone_the_stop(
    until_epoch: int | None, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = pipeline(training=STANDING_STILL.model_copy(update={"early_stopping": 2}))
    expected, whole = trained(stage_for("single", machine, tmp_path / "whole", chosen), machine)
    stage = stage_for("single", machine, tmp_path / "cut", chosen)
    if until_epoch is None:
        with monkeypatch.context() as patch:
            Plug(7, 9).install(patch)
            with pytest.raises(KeyboardInterrupt):
                train(stage, machine)
    else:
        state = train(replace(stage, until_epoch=until_epoch), machine)
        assert stage.paused(state) == (until_epoch == 1)
        assert (tmp_path / "cut" / "checkpoint.pt").exists() == (until_epoch == 1)
    ended, state = trained(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    assert same(ended, expected)
    assert without_times(state) == without_times(whole)
