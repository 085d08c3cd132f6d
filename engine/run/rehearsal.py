"""What a step of each kind costs, from three kinds that are taken and timed, and parts that are timed alone.

Decided here: what a step is made of.

    step = plain step + the objective's own part + augmented examples made + augmented examples learned

A plain step compares predictions alone. An objective's own part (alignment, projections, critics, transport; forward,
backward and update) works on hidden states and knows nothing of the models behind them, so it is timed without them,
and once for mappings of as many layers. What a policy does is timed alone, too. What teacher and student do with
augmented examples is the same whatever made them, but for mixed ones: of each of the two one kind of step is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from engine.augment.policy import policy_for
from engine.base.machine import Machine
from engine.data.task import Task
from engine.models.forward import Features, faster_attention, forward
from engine.models.start import Model
from engine.objective.equation import Objective
from engine.pipeline.augmentation import Augmentation, Mixup
from engine.pipeline.pipeline import Pipeline
from engine.run.plan import RunPlan
from engine.run.prepare import objective_for, online_data
from engine.run.teacher import Teacher
from engine.run.timing import now, timed
from engine.run.untrained import untrained
from engine.signals.signals import OnlineSignals, Source
from engine.tokens.batch import Batch
from engine.training.batches import StepPlan, TrainingData
from engine.training.loop import Stage, Trainee, optimise
from engine.training.optimiser import clip_gradients, optimizer_for

STEPS = 4  # that are timed, from short texts to long ones, after one that is not
REPEATS = 3  # of a part that is timed alone, after one that is not


class Taken(NamedTuple):
    """Seconds of a step, the teacher on its originals not counted, and of the teacher on one of these."""

    step: float
    teaching: float


@dataclass
class Seen:
    """Teacher signals of batches that carry them already."""

    source: Source = "cached"

    def fetch(self, ids: Any, inside: bool = True) -> None:
        """Nothing is left to fetch."""

    def view(self, fetched: Features) -> Features:
        """What the batch carries."""
        return fetched


class Rehearsal:
    """The first steps of trainings of one student, which it changes, by one teacher.

    Args:
        plan: Any of those that will be asked about; all are for the same models and training.
        sample: Of the plan's task, as many rows as are looked at; operators learn from all of its texts.
    """

    def __init__(self, plan: RunPlan, sample: Task, teacher: Teacher, student: Model, machine: Machine):
        self.plan, self.training = plan, plan.pipeline.training
        self.teacher, self.student, self.machine = teacher, student, machine
        plain, mixing = self._of_policy(Augmentation()), self._of_policy(Augmentation(operators=(Mixup(),)))
        objective = self._objective(plain)
        # Mixup needs nothing to be ready; its policy makes way for others.
        self._augmenting = online_data(replace(mixing, task=sample), teacher, student, objective, machine)
        self.data = replace(self._augmenting, augmenter=None, online=None)
        self._numbers = self._spread()
        self._known: dict[Any, Any] = {}
        self.plain = self.taken(plain)
        self._plain_part, self._plain_made = self._part(plain), self._made(self.data)

    def seconds(self, plan: RunPlan) -> float:
        """Of a step of a plan, the teacher on its originals not counted."""
        step = self.plain.step + max(self._part(plan) - self._plain_part, 0.0)
        augmentation = plan.pipeline.augmentation
        if not augmentation.operators:
            return step
        made = max(self._made(self._augmented(augmentation)) - self._plain_made, 0.0)
        alike = "mixup" in augmentation.kinds, augmentation.copies
        return step + made + self._once(alike, partial(self._learned, augmentation, made))

    def _of_policy(self, augmentation: Augmentation) -> RunPlan:
        """The plan that learns from predictions alone."""
        pipeline = Pipeline(augmentation=augmentation, training=self.training)
        return replace(self.plan, pipeline=pipeline.for_task(self.plan.task))

    def _objective(self, plan: RunPlan) -> Objective:
        return objective_for(plan, self.teacher, self.student[0]).to(self.machine.device)

    def _augmented(self, augmentation: Augmentation) -> TrainingData:
        return self._once(augmentation.model_dump_json(), partial(self._with_policy, augmentation))

    def _with_policy(self, augmentation: Augmentation) -> TrainingData:
        with untrained(augmentation, self.plan.task, self.machine) as ready:
            policy = policy_for(ready, self.plan.task, self.machine)
        augmenter = self._augmenting.augmenter
        assert policy is not None
        assert augmenter is not None
        return replace(self._augmenting, augmenter=replace(augmenter, policy=policy, copies=augmentation.copies))

    def _once(self, kind: Any, make: Callable[[], Any]) -> Any:
        """What is made, or measured, of the first one of a kind."""
        if kind not in self._known:
            self._known[kind] = make()
        return self._known[kind]

    # --- steps ---------------------------------------------------------------------------------

    def _steps(self, data: TrainingData) -> StepPlan:
        accelerator = self.machine.accelerator
        return StepPlan(data, self.training, self.plan.seed, accelerator.process_index, accelerator.num_processes, 0)

    def _spread(self) -> list[int]:
        """Numbers of steps, evenly from the shortest texts to the longest, of which a training has as many."""
        padded = [len(ids) * self.data.student.padded_length(ids) for ids in self._steps(self.data).steps]
        order, count = np.argsort(padded, kind="stable").tolist(), min(STEPS, len(padded))
        return [order[int((number + 0.5) * len(order) / count)] for number in range(count)]

    def _made(self, data: TrainingData) -> float:
        """Seconds in which the batches of a step are made."""
        steps = self._steps(data)
        return fmean(timed(self.machine, [partial(steps.__getitem__, each) for each in (0, *self._numbers)]))

    def _learned(self, augmentation: Augmentation, made: float) -> float:
        """Seconds of a step in which teacher and student pass its augmented examples."""
        return max(self.taken(self._of_policy(augmentation)).step - self.plain.step - made, 0.0)

    def taken(self, plan: RunPlan) -> Taken:
        """The first steps of its training, as the loop takes them from signals that are there."""
        model, accelerator, objective = self.student[0], self.machine.accelerator, self._objective(plan)
        augmentation = plan.pipeline.augmentation
        data = self._for(objective, self._augmented(augmentation) if augmentation.operators else self.data)
        seen = replace(data, signals=Seen())
        stage = Stage("costs", Path(), self.plan.task, model, objective, seen, self.training, self.plan.seed, {})
        optimizer = optimizer_for(model, objective, self.training)
        trainee, optimizer = accelerator.prepare(Trainee(model, objective, self.plan.task.kind), optimizer)
        attention, steps = faster_attention(model, self.machine.device), self._steps(data)
        trainee.train()
        taught: list[tuple[float, int]] = []

        def step(number: int) -> None:
            batches = steps[number]
            started = now(self.machine)
            viewed = [each if each.augmented else self._viewed(each, data) for each in batches]
            examples = sum(len(each.labels) for each in batches if not each.augmented)
            taught.append((now(self.machine) - started, examples))
            optimise(viewed, stage, trainee, optimizer, accelerator)

        whole = timed(self.machine, [partial(step, number) for number in (self._numbers[0], *self._numbers)])
        model.set_attn_implementation(attention)
        accelerator.free_memory(trainee, optimizer)
        teaching, examples = np.sum(taught[-len(whole) :], axis=0)
        return Taken(max(fmean(whole) - teaching / len(whole), 0.0), teaching / examples)

    def _viewed(self, batch: Batch, data: TrainingData) -> Batch:
        assert data.signals is not None
        return replace(batch, fetched=data.signals.view(batch.fetched))

    # --- parts ---------------------------------------------------------------------------------

    def _part(self, plan: RunPlan) -> float:
        """Seconds of a step that a plan's objective takes by itself."""
        objective, intermediate = self._objective(plan), plan.pipeline.intermediate
        read = len(objective.needs.layers), len(objective.needs.attention)
        sizes = type(objective.mapping), len(objective.mapping.pairs), *read
        kind = intermediate.model_dump_json(exclude={"alpha"}), objective.aligned, *sizes
        return self._once(kind, partial(self._part_of, objective))

    def _part_of(self, objective: Objective) -> float:
        """Of a batch of middling length: alignment, forward, backward to the hidden states, and its own update."""
        data, ids = self._for(objective, self.data), self._middling()
        student, teacher = self._features(data, ids, objective)
        totals = {"examples": float(len(ids)), "tokens": float(data.student.label_count(ids))}
        groups = objective.train().parameter_groups(self.training.weight_decay, self.training.learning_rate or 0.0)
        optimizer = torch.optim.AdamW(groups, fused=True) if groups else None

        def act() -> None:
            batch = data.batch(ids, totals).to(self.machine.device)
            with self.machine.accelerator.autocast():
                said = batch.labels, batch.totals, batch.alignment, batch.label_alignment
                terms = objective(_leaves(student), teacher, *said)
            sum(terms.values()).backward()
            if optimizer is not None:
                clip_gradients(nn.Identity(), objective, self.training.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()

        return median(timed(self.machine, [act] * (1 + REPEATS))) * self.training.gradient_accumulation

    def _middling(self) -> np.ndarray:
        """The examples of a forward pass of middling length."""
        return self._steps(self.data).steps[self._numbers[len(self._numbers) // 2]][: self.training.batch_size]

    def _features(self, data: TrainingData, ids: np.ndarray, objective: Objective) -> tuple[Features, Features]:
        """What student and teacher show of examples."""
        batch = data.batch(ids, {}).to(self.machine.device)
        teacher = data.view(batch)
        assert teacher is not None
        with torch.no_grad(), self.machine.accelerator.autocast():
            layers, attention = objective.student_layers_used, objective.student_attention_used
            kind = self.plan.task.kind
            student = forward(self.student[0], batch.inputs, kind, layers, attention=attention)
        return student, teacher

    def _for(self, objective: Objective, data: TrainingData) -> TrainingData:
        """Data with what an objective needs."""
        assert isinstance(data.signals, OnlineSignals)
        return replace(data, aligned=objective.aligned, signals=replace(data.signals, needs=objective.needs))


def _leaves(features: Features) -> Features:
    """The same, to which gradients flow."""
    hidden = {layer: states.detach().requires_grad_() for layer, states in features.hidden.items()}
    attention = {part: vectors.detach().requires_grad_() for part, vectors in features.attention.items()}
    return replace(features, logits=features.logits.detach().requires_grad_(), hidden=hidden, attention=attention)
