"""A student of a dataset, as the search for θ trains it, and the two halves of the training set."""

import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.base.machine import Machine
from engine.models.forward import Features
from engine.models.output import change_unit
from engine.objective.equation import Objective, hard_label_only, outputs_only
from engine.pipeline.components import Prediction, PredictionCE
from engine.pipeline.team import AutoSKD
from engine.pipeline.training import Weights
from engine.run.hard_labels import class_weights_in
from engine.run.plan import RunPlan
from engine.team.theta import Target
from engine.tokens.examples import Encoded
from engine.tokens.order import Batches, step_batches
from engine.training.batches import Batch, TrainingData
from engine.training.loop import Trainee
from engine.training.optimiser import clip_gradients, set_learning_rate, step_seed

HALVES = 1  # beside the seed, of the random numbers that halve the training set


class TextStudent:
    """A student with its objective, whose teacher's logits are whatever a target makes of the team's.

    Its methods are those of `engine.team.phases.Student`. Losses for θ are computed without dropout, so that its
    gradient is that of one function. `data` are all training examples, with every member's logits.
    """

    def __init__(
        self, plan: RunPlan, student: PreTrainedModel, objective: Objective, data: TrainingData, machine: Machine
    ):
        spec, training, kind = plan.pipeline.team, plan.pipeline.training, plan.task.kind
        assert isinstance(spec, AutoSKD)
        assert training.learning_rate is not None
        self.peak, self.max_grad_norm, self.seed = training.learning_rate, training.max_grad_norm, plan.seed
        self.data, self.machine = data, machine
        self.gold = spec.validation == "hard_label"
        self.rounded = machine.precision == "bf16"  # fp16 would need its loss scaled
        self.exact = spec.second_order  # a finite difference would drown in the rounding of bf16
        change_unit(student, data.student.unit.inverse)
        self.student, self.objective = student, objective
        self.trainee = Trainee(student, objective, kind).to(machine.device)
        weights = Weights(prediction=plan.pipeline.weights.prediction)
        agreement = _agreement(plan.pipeline.prediction_for(kind))
        gold = hard_label_only(kind, class_weights_in(plan))
        measure = gold if self.gold else outputs_only(kind, agreement, weights)
        self.validator = Trainee(student, measure, kind).to(machine.device)
        own = {"params": list(student.parameters()), "weight_decay": spec.student_weight_decay}
        beside = objective.parameter_groups(spec.student_weight_decay, self.peak)
        self.optimizer = torch.optim.Adam([own, *beside], lr=self.peak, fused=True)
        self._seen: list[tuple[Batch, Features]] = []

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self.trainee.parameters())

    def training_loss(self, batch: Batch, target: Target) -> Tensor:
        return self._loss(self.trainee.eval(), batch, target, self.exact)

    def validation_loss(self, batch: Batch, target: Target) -> Tensor:
        return self._loss(self.validator.eval(), batch, target, self.exact)

    def learn(self, batch: Batch, target: Target, share: float, step: int) -> None:
        torch.manual_seed(step_seed(self.seed, step, 0))
        set_learning_rate(self.optimizer, share)
        self._loss(self.trainee.train(), batch, target).backward()
        clip_gradients(self.student, self.objective, self.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def rate(self, share: float) -> float:
        return self.peak * share

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.trainee.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainee.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _loss(self, trainee: torch.nn.Module, batch: Batch, target: Target, exact: bool = False) -> Tensor:
        features = self._view(batch)
        assert features.team is not None
        features = replace(features, team=target(features.team))
        with self.machine.accelerator.autocast() if self.rounded and not exact else nullcontext():
            terms = trainee(batch.to(self.machine.device), features)
        return torch.stack(list(terms.values())).sum()

    def _view(self, batch: Batch) -> Features:
        """What the team says of a batch; a step asks several times for the same two."""
        for seen, features in self._seen:
            if seen is batch:
                return features
        found = self.data.view(batch)
        assert found is not None
        self._seen = [*self._seen[-1:], (batch, found)]
        return found


def _agreement(prediction: Prediction) -> Prediction:
    """The loss by which θ is judged: cross-entropy, whatever the student learns by.

    θ stands inside the target. The divergence and the squared error are least where the target says least, and so
    reward the smallest share and the member that knows nothing.
    """
    return PredictionCE(temperature=getattr(prediction, "temperature", 1.0))


class Halves:
    """The batches of a search, of `size` examples: one half of the labelled rows for the student, the other for θ."""

    def __init__(self, data: TrainingData, size: int, seed: int):
        self.data, self.size, self.seed = data, size, seed
        self.parts = halved(data.student, seed)
        self._epochs: dict[int, tuple[int, Batches]] = {}

    def __call__(self, step: int) -> tuple[Batch, Batch]:
        """The batches of a step, counted over all epochs."""
        return self._batch(0, step), self._batch(1, step)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def examples(self, steps: int) -> int:
        """Examples in the batches of so many steps, repetitions counted."""
        return sum(len(self._ids(half, step)) for step in range(steps) for half in range(2))

    def _ids(self, half: int, step: int) -> np.ndarray:
        part = self.parts[half]
        epoch, number = divmod(step, math.ceil(len(part) / self.size))
        if self._epochs.get(half, (-1,))[0] != epoch:
            batches = step_batches(self.data.student.lengths[part], self.size, self.seed + half, epoch)
            self._epochs[half] = epoch, batches
        return part[self._epochs[half][1][number]]

    def _batch(self, half: int, step: int) -> Batch:
        ids = self._ids(half, step)
        totals = {"examples": float(len(ids)), "tokens": float(self.data.student.label_count(ids))}
        return self.data.batch(ids, totals)


def halved(examples: Encoded, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the examples of either half, of those with labels; all windows of a row are in the same one."""
    labelled = np.ones(len(examples), dtype=bool) if examples.labelled is None else examples.labelled
    rows = np.unique(examples.rows[labelled])
    chosen = np.random.default_rng([seed, HALVES]).permutation(rows)[: math.ceil(len(rows) / 2)]
    first = np.isin(examples.rows, chosen)
    return np.flatnonzero(first), np.flatnonzero(~first & labelled)
