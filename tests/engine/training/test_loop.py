"""The training loop: same seed, same student; any cut of a step, same student; a kill, same student."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.base.errors import InputError, NonFiniteLossError, RunError
from engine.base.machine import Machine, machine_for
from engine.evaluation.inference import encode_held_out, scores_on
from engine.evaluation.intervals import scores_of
from engine.models.forward import Features, accepted_inputs, forward
from engine.models.load import build, for_task
from engine.models.output import change_unit
from engine.objective.equation import Objective
from engine.pipeline import (
    EMD,
    MSE,
    PKD,
    MIAlpha,
    Pipeline,
    PredictionCE,
    PredictionMSE,
    Skip,
    Training,
    TransformerCritic,
    Weights,
)
from engine.signals.signals import OnlineSignals
from engine.tokens.examples import encode
from engine.training import loop
from engine.training.batches import StepPlan, TrainingData, steps_in_epoch
from engine.training.loop import Stage, measured_best, train
from engine.training.optimiser import schedule, set_learning_rate
from engine.training.state import Clock, LoopState, Meter
from tests.tokenizers import wordpiece
from tests.toys import ROWS, perturb, tiny_config, toy_task

KINDS = [name for name in ROWS if name != "pair"]
QUICK = Training(epochs=2, batch_size=8, learning_rate=2e-3)
CRITIC = TransformerCritic(width=8, layers=1, feed_forward=8, heads=2)
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def pipeline(name: str = "single", training: Training = QUICK, **parts: Any) -> Pipeline:
    prediction = PredictionMSE() if name == "regression" else PredictionCE()
    return Pipeline(**({"prediction": prediction, "training": training} | parts))


def stage_for(
    name: str,
    machine: Machine,
    folder: Path,
    chosen: Pipeline | None = None,
    seed: int = 0,
    rows: int = 29,
    **config: Any,
) -> Stage:
    """A student of two layers under a random teacher of four, that runs along."""
    chosen = chosen or pipeline(name)
    task = toy_task(name, rows=rows, held_out=12)
    chosen = chosen.for_task(task)
    training = chosen.training
    teacher, student = (
        build(for_task(tiny_config(layers=layers, **config), task, wordpiece()), task.kind, number + 10 * seed)
        for number, layers in enumerate((4, 2))
    )
    perturb(teacher)
    torch.manual_seed(seed)
    sizes = {"student_layers": 2, "student_width": 16, "teacher_layers": 4, "teacher_width": 16}
    objective = Objective(chosen, task.kind, **sizes)
    examples = encode(task.train, task, wordpiece(), 32, training.window_overlap and 4)
    signals = OnlineSignals(teacher, task.kind, examples, objective.needs, machine.accelerator)
    data = TrainingData(examples, accepted_inputs(student), signals, None, objective.aligned)
    held_out = encode_held_out(task, wordpiece(), training.model_copy(update={"max_length": 32, "window_overlap": 4}))
    return Stage("student", folder, task, student, objective, data, training, seed, held_out)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def trained(stage: Stage, machine: Machine) -> tuple[dict[str, torch.Tensor], LoopState]:
    state = train(stage, machine)
    return weights(stage.student), state


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


# --- the best epoch ----------------------------------------------------------------------------------


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
    ended, state = trained(stage, machine)
    assert (state.best_epoch, state.best_score) == (best, scores[best - 1])
    assert [same(ended, after) for after in seen] == [number == best for number in (1, 2, 3)]
    paused = replace(stage, until_epoch=1), replace(state, epoch=1)
    assert measured_best(*paused, machine)["validation"].scores["accuracy"] == scores[best - 1]


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
    assert replace(state, seconds=0, waited=0) == replace(whole, seconds=0, waited=0)


# --- a kill at any moment ----------------------------------------------------------------------------


@dataclass
class Plug:
    """Pulls the plug: a checkpoint after one step, the end of the process after another."""

    saved_at: int
    pulled_at: int

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        steps = 0
        add = Meter.add

        def count(meter: Meter, losses: Any, step: int) -> None:
            nonlocal steps
            if step > self.pulled_at:
                raise KeyboardInterrupt
            steps = step
            add(meter, losses, step)

        monkeypatch.setattr(Meter, "add", count)
        monkeypatch.setattr(Clock, "checkpoint_due", lambda _: steps == self.saved_at)


@pytest.mark.parametrize("plug", [Plug(0, 2), Plug(1, 1), Plug(2, 3), Plug(4, 5), Plug(5, 7), Plug(8, 10)], ids=str)
def test_a_kill_changes_nothing(
    plug: Plug, machine: Machine, options, ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four steps an epoch; dropout, drawn tokens and the state of the transport are all at work."""
    training = QUICK.model_copy(update={"epochs": 3})
    chosen = pipeline(
        training=training, intermediate=MIAlpha(critic=CRITIC, level="token", max_tokens=16), mapping=EMD()
    )
    expected, whole = trained(stage_for("single", machine, tmp_path / "whole", chosen), machine)
    with monkeypatch.context() as patch:
        plug.install(patch)
        with pytest.raises(KeyboardInterrupt):
            train(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    assert (tmp_path / "cut" / "checkpoint.pt").exists() == (plug.saved_at > 0)
    ended, state = trained(stage_for("single", machine_for(options, ear), tmp_path / "cut", chosen), machine)
    assert [stage for stage in ear.stages if stage[0] == "student"][-1] == ("student", 12, plug.saved_at, "steps")
    assert same(ended, expected)
    assert replace(state, seconds=0, waited=0) == replace(whole, seconds=0, waited=0)


def test_a_kill_with_accumulation_changes_nothing(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(epochs=2, batch_size=4, gradient_accumulation=2, learning_rate=2e-3)
    chosen = pipeline("tagging", training, weights=Weights(hard_label=1.0))
    expected, whole = trained(stage_for("tagging", machine, tmp_path / "whole", chosen), machine)
    with monkeypatch.context() as patch:
        Plug(3, 4).install(patch)
        with pytest.raises(KeyboardInterrupt):
            train(stage_for("tagging", machine, tmp_path / "cut", chosen), machine)
    ended, state = trained(stage_for("tagging", machine, tmp_path / "cut", chosen), machine)
    assert same(ended, expected)
    assert state.history == whole.history


@dataclass
class Presses:
    """A reporter that presses Ctrl-C when a stage has advanced so often, and again when it advances further."""

    stage: str
    at: int
    times: int = 1
    advanced: int = 0
    press: Callable[[], None] = lambda: None

    def message(self, text: str) -> None: ...

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None: ...

    def finish(self, stage: str) -> None: ...

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        self.advanced += stage == self.stage
        if stage == self.stage and self.at <= self.advanced < self.at + self.times:
            self.press()


@pytest.mark.parametrize(
    ("presses", "kept"),
    [
        (Presses("student", 1), 1),
        (Presses("student", 4), 4),  # the last step of the first epoch
        (Presses("evaluation", 1), 5),  # after it: the next step is the first that can be kept
        (Presses("evaluation", 3), 12),  # after the last step of all
    ],
    ids=["a step", "the last of an epoch", "an evaluation", "the last evaluation"],
)
def test_ctrl_c_loses_no_step(presses: Presses, kept: int, machine: Machine, options, ctrl_c, tmp_path: Path) -> None:
    presses = replace(presses, press=ctrl_c)
    chosen = pipeline(training=QUICK.model_copy(update={"epochs": 3}))
    expected, whole = trained(stage_for("single", machine, tmp_path / "whole", chosen), machine)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(
            stage_for("single", machine_for(options, presses), tmp_path / "cut", chosen), machine_for(options, presses)
        )
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.load(tmp_path / "cut" / "checkpoint.pt")["state"]["step"] == kept
    ended, state = trained(stage_for("single", machine, tmp_path / "cut", chosen), machine)
    assert same(ended, expected)
    assert replace(state, seconds=0, waited=0) == replace(whole, seconds=0, waited=0)


def test_the_second_ctrl_c_ends_at_once(options, ctrl_c, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    presses = Presses("student", 2, times=2, press=ctrl_c)
    monkeypatch.setattr(Clock, "checkpoint_due", lambda _: False)  # a step that takes very long
    with pytest.raises(KeyboardInterrupt):
        train(stage_for("single", machine_for(options, presses), tmp_path), machine_for(options, presses))
    assert presses.advanced == 3
    assert not (tmp_path / "checkpoint.pt").exists()


def test_nothing_is_held_outside_of_the_main_thread(machine: Machine, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        state = threads.submit(train, stage_for("single", machine, tmp_path), machine).result()
    assert state.epoch == 2


# --- NaN ---------------------------------------------------------------------------------------------


@dataclass
class Poison:
    """Signals in which one example's logits or hidden states are not finite."""

    signals: OnlineSignals
    example: int
    where: str
    value: float
    source: str = "online"

    def fetch(self, ids: np.ndarray) -> Any:
        return ids, self.signals.fetch(ids)

    def view(self, fetched: Any) -> Features:
        ids, inner = fetched
        said = self.signals.view(inner)
        rows = torch.from_numpy(ids == self.example)
        if self.where == "logits":
            said.logits[rows] = self.value
        else:
            said.hidden[2][rows] = self.value
        return said


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where, term", [("logits", "prediction"), ("hidden", "intermediate")])
def test_the_guard_names_step_and_term(where: str, term: str, value: float, machine: Machine, tmp_path: Path) -> None:
    stage = stage_for("single", machine, tmp_path, pipeline(intermediate=MSE(), mapping=Skip()))
    poisoned = replace(stage.data, signals=Poison(stage.data.signals, 7, where, value))
    plan = StepPlan(poisoned, QUICK, 0, 0, 1, 0)
    step = next(number for number, ids in enumerate(plan.steps, start=1) if 7 in ids)
    with pytest.raises(NonFiniteLossError) as caught:
        train(replace(stage, data=poisoned), machine)
    assert (caught.value.step, caught.value.term) == (step, term)


def test_no_checkpoint_holds_nan(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "checkpoint_due", lambda _: True)
    stage = stage_for("single", machine, tmp_path)
    plan = StepPlan(stage.data, QUICK, 0, 0, 1, 0)
    poisoned = replace(stage.data, signals=Poison(stage.data.signals, plan.steps[1][0], "logits", math.nan))
    with pytest.raises(NonFiniteLossError):
        train(replace(stage, data=poisoned), machine)
    saved = torch.load(tmp_path / "checkpoint.pt")
    assert saved["state"]["step"] == 1
    assert all(value.isfinite().all() for value in saved["student"].values())


def test_a_rate_that_is_far_too_high(machine: Machine, tmp_path: Path) -> None:
    stage = stage_for("single", machine, tmp_path, pipeline(training=QUICK.model_copy(update={"learning_rate": 1e30})))
    with pytest.raises(RunError):
        train(stage, machine)


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
