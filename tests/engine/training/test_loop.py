"""The training loop: same seed, same student; what is logged is optimised; any cut of a step, same student."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.base.errors import InputError
from engine.base.machine import Machine, machine_for
from engine.evaluation.inference import scores_on
from engine.evaluation.intervals import scores_of
from engine.models.forward import forward
from engine.models.output import change_unit
from engine.pipeline import EMD, MSE, PKD, MIAlpha, PredictionMSE, Skip, Training, Weights
from engine.training import loop
from engine.training.batches import steps_in_epoch
from engine.training.loop import measured_best, train
from engine.training.optimiser import schedule
from engine.training.state import Clock
from tests.engine.training.stages import CRITIC, NO_DROPOUT, QUICK, pipeline, same, stage_for, trained
from tests.toys import ROWS

KINDS = [name for name in ROWS if name != "pair"]


# --- same seed, same result --------------------------------------------------------------------------


def test_the_seed_decides_everything(machine: Machine, tmp_path: Path) -> None:
    chosen = pipeline(intermediate=MIAlpha(critic=CRITIC, level="token", max_tokens=16), mapping=EMD())
    found = [
        trained(stage_for("single", machine, tmp_path / str(run), chosen, seed), machine)
        for run, seed in enumerate((0, 0, 1))
    ]
    assert same(found[0][0], found[1][0])
    assert found[0][1].history == found[1][1].history
    assert not same(found[0][0], found[2][0])


def test_the_seed_decides_the_order_and_the_dropout_too(machine: Machine, tmp_path: Path) -> None:
    ends = []
    for run, seed in enumerate((0, 1)):
        stage = stage_for("single", machine, tmp_path / str(run))
        ends.append(trained(replace(stage, seed=seed), machine)[0])
    assert not same(*ends)


def test_what_happens_before_changes_nothing(machine: Machine, tmp_path: Path) -> None:
    first = trained(stage_for("single", machine, tmp_path / "a"), machine)[0]
    stage = stage_for("single", machine, tmp_path / "b")
    torch.manual_seed(99)
    np.random.default_rng(1).random(7)
    assert same(first, trained(stage, machine)[0])


def test_every_step_draws_its_own_random_numbers(machine: Machine, tmp_path: Path) -> None:
    drawn = []
    for run, seed in enumerate((0, 1, 0)):
        stage = replace(stage_for("single", machine, tmp_path / str(run)), seed=seed)
        stage.student.register_forward_pre_hook(
            lambda model, _: drawn.append(torch.initial_seed()) if model.training else None
        )
        train(stage, machine)
    assert len(set(drawn[:16])) == 16
    assert drawn[:8] == drawn[16:]


def test_the_rate_follows_the_schedule_over_all_epochs(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(loop, "set_learning_rate", lambda _, share: seen.append(share))
    train(stage_for("single", machine, tmp_path), machine)
    assert seen == [schedule(step, 8, QUICK.warmup) for step in range(8)]
    assert seen[0] == 1.0
    assert seen[-1] == pytest.approx(1 / 8)


# --- what is optimised is what is logged -------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_the_logged_loss_is_the_objective(name: str, machine: Machine, tmp_path: Path) -> None:
    training = QUICK.model_copy(update={"epochs": 1, "batch_size": 64})
    parts = {"intermediate": MSE(), "mapping": Skip(), "weights": Weights(hard_label=0.5, intermediate=2.0)}
    stage = stage_for(name, machine, tmp_path, pipeline(name, training, **parts), **NO_DROPOUT)
    (ids,) = [np.arange(len(stage.data))]
    totals = {"examples": float(len(ids)), "tokens": float(stage.data.student.label_count(ids))}
    batch = stage.data.batch(ids, totals)
    change_unit(stage.student, stage.unit.inverse)  # as it is while it trains
    student = forward(stage.student, batch.inputs, stage.task.kind, (1, 2))
    by_hand = stage.objective(student, stage.data.view(batch), batch.labels, totals)
    change_unit(stage.student, stage.unit)
    state = train(stage, machine)
    assert [*state.history[0]["loss"]] == ["intermediate", "prediction", "hard_label"]
    for term, value in state.history[0]["loss"].items():
        assert value == pytest.approx(by_hand[term].item(), rel=1e-4), term


def test_the_state_counts(machine: Machine, tmp_path: Path, ear) -> None:
    stage = stage_for("single", machine, tmp_path)
    state = train(stage, machine)
    assert (state.epoch, state.step, state.step_in_epoch, state.examples) == (2, 8, 0, 58)
    assert steps_in_epoch(29, QUICK) == 4
    evaluation = ("evaluation", 12, 0, "examples")
    assert ear.stages == [("student", 8, 0, "steps"), evaluation, evaluation]
    assert ear.advanced == {"student": 8, "evaluation": 24}
    assert ear.finished == ["evaluation", "evaluation", "student"]
    assert [entry["epoch"] for entry in state.history] == [1, 2]
    assert state.seconds > 0
    assert [0, *state.epoch_seconds] == sorted({0, *state.epoch_seconds, round(state.seconds, 3)})
    held_out = scores_on(stage.student, stage.task, stage.held_out, machine.accelerator)
    assert scores_of(measured_best(stage, state, machine)) == held_out
    assert state.history[state.best_epoch - 1]["scores"] == held_out["validation"]


def test_the_loss_falls(machine: Machine, tmp_path: Path) -> None:
    chosen = pipeline("tagging", Training(epochs=6, batch_size=8, learning_rate=5e-3), prediction=PredictionMSE())
    stage = stage_for("tagging", machine, tmp_path, chosen, rows=64)
    losses = [entry["loss"]["prediction"] for entry in train(stage, machine).history]
    assert losses[-1] < 0.8 * losses[0]


# --- any cut of a step -------------------------------------------------------------------------------

CUTS = {
    "ce": ("single", {}),
    "mse": ("single", {"prediction": PredictionMSE()}),
    "hard labels": ("single", {"weights": Weights(prediction=0.0, hard_label=1.0)}),
    "hidden": ("single", {"intermediate": MSE(), "mapping": Skip()}),
    "first token": ("single", {"intermediate": PKD(), "mapping": Skip()}),
    "regression": ("regression", {}),
    "tagging": ("tagging", {"weights": Weights(hard_label=0.5)}),
    "question answering": ("question_answering", {"weights": Weights(hard_label=0.5)}),
}


@pytest.mark.parametrize("case", CUTS)
def test_accumulation_8x1_equals_4x2(case: str, machine: Machine, tmp_path: Path) -> None:
    name, parts = CUTS[case]
    found = []
    for size, accumulation in ((8, 1), (4, 2)):
        training = Training(epochs=1, batch_size=size, gradient_accumulation=accumulation, learning_rate=2e-3)
        stage = stage_for(name, machine, tmp_path / str(size), pipeline(name, training, **parts), **NO_DROPOUT)
        found.append(trained(stage, machine))
    (one, whole), (other, cut) = found
    assert whole.step == cut.step == 4
    assert cut.history[0]["loss"] == pytest.approx(whole.history[0]["loss"], rel=1e-4)
    # What softmax cancels has no gradient but rounding, which the optimiser blows up.
    cancelled = {key for key in one if key.endswith(("key.bias", "qa_outputs.bias"))}
    for key in one.keys() - cancelled:
        assert (one[key] - other[key]).abs().mean() < 5e-4, key  # the learning rate is 2e-3


# --- the log -----------------------------------------------------------------------------------------


def test_tensorboard(options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(Clock, "report_due", lambda _: True)
    machine = machine_for(options.model_copy(update={"tensorboard": True}))
    state = train(stage_for("single", machine, tmp_path), machine)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/prediction", "score/accuracy", "score/f1_macro"}
    losses = events.Scalars("loss/prediction")
    assert [event.step for event in losses] == [*range(1, 9)]
    assert losses[-1].value == pytest.approx(state.history[1]["loss"]["prediction"], rel=1e-5)
    assert [event.value for event in events.Scalars("score/accuracy")] == pytest.approx(
        [entry["scores"]["accuracy"] for entry in state.history]
    )


def test_a_log_without_tensorboard(options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch.utils.tensorboard", "tensorboardX"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr(torch.utils, "tensorboard", raising=False)
    machine = machine_for(options.model_copy(update={"tensorboard": True}))
    with pytest.raises(InputError, match="--tensorboard: tensorboard is not installed"):
        train(stage_for("single", machine, tmp_path), machine)


def test_no_log_unless_asked(machine: Machine, tmp_path: Path) -> None:
    train(stage_for("single", machine, tmp_path), machine)
    assert not (tmp_path / "tensorboard").exists()
