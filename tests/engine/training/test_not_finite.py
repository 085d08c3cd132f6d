"""A loss that is not finite ends a training, which says where, and never reaches a checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.base.errors import NonFiniteLossError, RunError
from engine.base.machine import Machine
from engine.models.forward import Features
from engine.pipeline import MSE, Skip
from engine.signals.signals import OnlineSignals
from engine.training.batches import StepPlan
from engine.training.loop import train
from engine.training.state import Clock
from tests.engine.training.stages import QUICK, pipeline, stage_for


@dataclass
class Poison:
    """Signals in which one example's logits or hidden states are not finite."""

    signals: OnlineSignals
    example: int
    where: str
    value: float
    source: str = "online"

    def fetch(self, ids: np.ndarray, inside: bool = True) -> Any:
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
