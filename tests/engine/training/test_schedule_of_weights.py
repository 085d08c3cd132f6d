"""Trainings whose weights change: the loss that is logged is the one that is optimised, what has no weight costs
nothing, and a kill changes nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.base.machine import Machine
from engine.models.forward import forward
from engine.objective.equation import Objective
from engine.pipeline import EMD, MSE, LayersFirst, LinearWeights, MIAlpha, Skip, Training, Weights
from engine.tokens.batch import Batch
from engine.training import loop
from engine.training.batches import StepPlan, steps_in_all
from engine.training.loop import Stage, Trainee, train
from tests.engine.training.stages import (
    CRITIC,
    NO_DROPOUT,
    QUICK,
    Plug,
    pipeline,
    same,
    stage_for,
    trained,
    without_times,
)

LAYERS: dict[str, Any] = {"intermediate": MSE(), "mapping": Skip()}
BOTH = Weights(intermediate=2.0, prediction=1.0, hard_label=0.5)
FIRST = {**LAYERS, "weights": BOTH, "schedule": LayersFirst(share=0.5)}
ANNEALED = {"weights": BOTH, "schedule": LinearWeights(prediction="falls", hard_label="rises")}
PREDICTIONS = ["prediction", "hard_label"]
THREE = QUICK.model_copy(update={"epochs": 3})  # of four steps each: the border lies within the second epoch
CUT = Training(epochs=3, batch_size=4, gradient_accumulation=2, learning_rate=2e-3)


class Spy:
    """Remembers the terms of every forward pass of a training, and which layers the student showed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.terms: list[dict[str, float]] = []
        self.shown: list[tuple[int, ...]] = []
        own, ahead = Objective.forward, forward

        def objective(*given: Any, **more: Any) -> Any:
            found = own(*given, **more)
            self.terms.append({name: value.item() for name, value in found.items()})
            return found

        def student(model: Any, inputs: Any, kind: Any, layers: Any = (), **more: Any) -> Any:
            self.shown.append(tuple(layers))
            return ahead(model, inputs, kind, layers, **more)

        monkeypatch.setattr(Objective, "forward", objective)
        monkeypatch.setattr(loop, "forward", student)


@pytest.mark.parametrize(("training", "passes"), [(THREE, 1), (CUT, 2)], ids=["plain", "accumulated"])
def test_layers_are_learned_first_and_alone(
    training: Training, passes: int, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(monkeypatch)
    stage = stage_for("single", machine, tmp_path, pipeline(training=training, **FIRST))
    state = train(stage, machine)
    steps = [list(terms) for terms in spy.terms]
    border = steps.index(PREDICTIONS)
    assert steps == [["intermediate"]] * border + [PREDICTIONS] * (len(steps) - border)
    assert border == 6 * passes
    assert spy.shown == [(1, 2)] * border + [()] * (len(steps) - border)
    assert [[*entry["loss"]] for entry in state.history] == [
        ["intermediate"],
        ["intermediate", *PREDICTIONS],
        PREDICTIONS,
    ]


@pytest.mark.parametrize("parts", [FIRST, ANNEALED], ids=["layers first", "linear"])
def test_what_is_logged_is_what_is_optimised(
    parts: dict[str, Any], machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy, summed = Spy(monkeypatch), []
    backward = machine.accelerator.backward

    def summing(loss: torch.Tensor) -> None:
        summed.append(loss.item())
        backward(loss)

    monkeypatch.setattr(machine.accelerator, "backward", summing)
    stage = stage_for("single", machine, tmp_path, pipeline(training=THREE, **parts))
    state = train(stage, machine)
    assert summed == pytest.approx([sum(terms.values()) for terms in spy.terms])
    for epoch, entry in enumerate(state.history):
        assert sum(entry["loss"].values()) == pytest.approx(sum(summed[4 * epoch : 4 * epoch + 4]) / 4)


def test_a_weight_is_the_naive_one_at_every_step(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without learning, a step's loss is the constant one times a share that is counted by hand."""
    still = THREE.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0})
    found = {}
    for name, parts in (("constant", {"weights": BOTH}), ("linear", ANNEALED)):
        with monkeypatch.context() as patch:
            spy = Spy(patch)
            train(
                stage_for("single", machine, tmp_path / name, pipeline(training=still, **parts), **NO_DROPOUT), machine
            )
            found[name] = spy.terms
    for step, (constant, linear) in enumerate(zip(found["constant"], found["linear"], strict=True)):
        grown = (2 * step + 1) / 24
        assert linear["hard_label"] == pytest.approx(grown * constant["hard_label"], rel=1e-5)
        assert linear["prediction"] == pytest.approx((1 - grown) * constant["prediction"], rel=1e-5)


def test_what_belongs_to_a_term_rests_while_it_has_no_weight(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is not trained with the layers, and their projections not with the predictions."""
    parts = {**FIRST, "intermediate": MSE(projection="always")}
    stage = stage_for("single", machine, tmp_path, pipeline(training=THREE, **parts))
    heads, projections, optimise = [], [], loop.optimise

    def watched(*given: Any) -> Any:
        losses = optimise(*given)
        heads.append(stage.student.classifier.weight.detach().clone())
        projections.append(torch.cat([each.detach().flatten() for each in stage.objective.parameters()]))
        return losses

    monkeypatch.setattr(loop, "optimise", watched)
    train(stage, machine)
    moved = (
        [not torch.equal(*pair) for pair in pairwise(heads)],
        [not torch.equal(*pair) for pair in pairwise(projections)],
    )
    assert moved == ([False] * 5 + [True] * 6, [True] * 5 + [False] * 6)


@pytest.mark.parametrize("plug", [Plug(0, 2), Plug(5, 6), Plug(6, 6), Plug(6, 9), Plug(7, 8)], ids=str)
@pytest.mark.parametrize(
    "parts",
    [
        {**FIRST, "intermediate": MIAlpha(critic=CRITIC, level="token", max_tokens=16), "mapping": EMD()},
        {**LAYERS, "schedule": LinearWeights(intermediate="falls", prediction="rises")},
    ],
    ids=["layers first", "linear"],
)
def test_a_kill_changes_nothing(
    parts: dict[str, Any], plug: Plug, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps 6 and 7 are those on either side of the border."""
    chosen = pipeline(training=THREE, **parts)
    expected, whole = trained(stage_for("single", machine, tmp_path / "whole", chosen), machine)
    with monkeypatch.context() as patch:
        plug.install(patch)
        with pytest.raises(KeyboardInterrupt):
            train(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    ended, state = trained(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    assert same(ended, expected)
    assert without_times(state) == without_times(whole)


def test_a_pause_changes_nothing(machine: Machine, tmp_path: Path) -> None:
    """Its border is that of all epochs, however many are trained at once."""
    chosen = pipeline(training=THREE, **FIRST)
    expected, whole = trained(stage_for("single", machine, tmp_path / "whole", chosen), machine)
    for epoch in (1, 2, None):
        stage = stage_for("single", machine, tmp_path / "cut", chosen)
        ended, state = trained(replace(stage, until_epoch=epoch), machine)
    assert same(ended, expected)
    assert state.history == whole.history


@pytest.mark.parametrize(("share", "epochs"), [(0.5, 8), (0.1, 3)])
def test_nobody_waits_for_scores_while_layers_are_learned(
    share: float, epochs: int, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "scores_on", lambda *_: {"validation": {"accuracy": 0.5}})
    training = QUICK.model_copy(update={"epochs": 12, "early_stopping": 2})
    chosen = pipeline(training=training, **{**FIRST, "schedule": LayersFirst(share=share)})
    assert train(stage_for("single", machine, tmp_path, chosen), machine).epoch == epochs


def test_tagging_and_regression_have_stages_too(machine: Machine, tmp_path: Path) -> None:
    for name in ("tagging", "regression", "question_answering"):
        stage = stage_for(name, machine, tmp_path / name, pipeline(name, THREE, **FIRST))
        state = train(stage, machine)
        assert "intermediate" not in state.history[-1]["loss"]
        assert "prediction" not in state.history[0]["loss"]


# --- what a batch holds ------------------------------------------------------------------------------


def batches_of(stage: Stage) -> list[Batch]:
    steps = [StepPlan(stage.data, stage.training, 0, 0, 1, epoch, stage.course) for epoch in range(stage.epochs)]
    return [batch for epoch in steps for number in range(len(epoch)) for batch in epoch[number]]


def test_hidden_states_are_not_even_asked_for_afterwards(machine: Machine, tmp_path: Path) -> None:
    stage = stage_for("single", machine, tmp_path, pipeline(training=THREE, **FIRST))
    asked: list[bool] = []
    fetch = stage.data.signals.fetch
    stage.data.signals.fetch = lambda ids, inside=True: (asked.append(inside), fetch(ids))[1]
    batches = batches_of(stage)
    assert asked == [batch.inside for batch in batches] == [True] * 6 + [False] * 6
    assert steps_in_all(len(stage.data), THREE) == len(batches)
    assert {batch.weights.intermediate for batch in batches} == {2.0, 0.0}


def test_without_a_schedule_a_batch_knows_no_weights(machine: Machine, tmp_path: Path) -> None:
    stage = stage_for("single", machine, tmp_path, pipeline(training=THREE, **LAYERS))
    assert {batch.weights for batch in batches_of(stage)} == {None}
    assert all(batch.inside for batch in batches_of(stage))
    trainee = Trainee(stage.student, stage.objective, "classification").eval()
    (batch, *_) = batches_of(stage)
    plain = trainee(batch, stage.data.view(batch))
    full = trainee(replace(batch, weights=stage.objective.weights), stage.data.view(batch))
    assert plain.keys() == full.keys() == {"intermediate", "prediction"}
    assert all(torch.equal(plain[name], full[name]) for name in plain)
