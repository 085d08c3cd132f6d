"""Small trainings, which the tests of the loop share: a student of two layers under a random teacher of four."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.base.machine import Machine
from engine.evaluation.inference import encode_held_out
from engine.models.forward import accepted_inputs
from engine.models.load import build, for_task
from engine.objective.equation import Objective
from engine.pipeline import Pipeline, PredictionCE, PredictionMSE, Training, TransformerCritic
from engine.signals.signals import OnlineSignals
from engine.tokens.examples import encode
from engine.training.batches import TrainingData
from engine.training.loop import Stage, train
from engine.training.state import Clock, LoopState, Meter
from tests.tokenizers import wordpiece
from tests.toys import perturb, tiny_config, toy_task

QUICK = Training(epochs=2, batch_size=8, learning_rate=2e-3)
CRITIC = TransformerCritic(width=8, layers=1, feed_forward=8, heads=2)
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def pipeline(name: str = "single", training: Training = QUICK, **parts: Any) -> Pipeline:
    prediction = PredictionMSE() if name == "regression" else PredictionCE()
    return Pipeline(**({"prediction": prediction, "training": training} | parts))


def without_times(state: LoopState) -> LoopState:
    """What must be equal of two trainings, however long they took."""
    assert len(state.epoch_seconds) == len(state.history)
    return replace(state, seconds=0.0, waited=0.0, epoch_seconds=[])


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
    chosen = chosen.for_task(task, width=16)
    training = chosen.training
    teacher, student = (
        build(for_task(tiny_config(layers=layers, **config), task, wordpiece()), task.kind, number + 10 * seed)
        for number, layers in enumerate((4, 2))
    )
    perturb(teacher)
    torch.manual_seed(seed)
    sizes = {"student_layers": 2, "student_width": 16, "teacher_layers": 4, "teacher_width": 16}
    sizes |= {"student_heads": 2, "teacher_heads": 2}
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
