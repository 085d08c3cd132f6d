"""What the loop is fed: the steps of an epoch as batches of the student's inputs and teacher signals.

Decided here: how a step is cut. One step holds batch_size · gradient_accumulation examples of similar length. It is
cut into forward passes of batch_size, and each of these is dealt out to the processes, so neither the number of
processes nor the cut changes which examples a step sees.
"""

from __future__ import annotations

import math
import pickle
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from engine.base.machine import end_with_parent
from engine.data.task import KINDS
from engine.tokens.alignment import alignments
from engine.tokens.batch import Batch, label_weights, packed
from engine.tokens.order import step_batches

if TYPE_CHECKING:
    from accelerate import Accelerator

    from engine.augment.examples import Augmenter
    from engine.models.forward import Features
    from engine.pipeline.schedule import Course
    from engine.pipeline.training import Training, Weights
    from engine.signals.augmented import AugmentedSteps
    from engine.signals.signals import OnlineSignals, TeacherSignals
    from engine.signals.team import TeamSignals
    from engine.tokens.examples import Encoded

AHEAD = 3  # steps that are prepared while a GPU computes


@dataclass
class TrainingData:
    """Training examples as the student and, where there is one, the teacher see them."""

    student: Encoded
    accepted: set[str]  # names of the tensors that the student's forward takes
    signals: TeacherSignals | None = None  # None for plain fine-tuning
    teacher: Encoded | None = None  # the examples through the teacher's tokenizer; None where it is the student's
    aligned: bool = False  # whether the objective compares token by token
    augmenter: Augmenter | None = None  # None without an augmentation policy
    online: OnlineSignals | None = None  # the teacher's view of augmented examples
    augmented: AugmentedSteps | None = None  # those that are kept, with the teacher's view; None where none are
    team: TeamSignals | None = None  # the signals of a whole team on the originals; None with one teacher

    def __len__(self) -> int:
        return len(self.student)

    def batch(
        self, ids: np.ndarray, totals: dict[str, float], drawn: int | None = None, weights: Weights | None = None
    ) -> Batch:
        """The tensors of some examples, which the teacher of index `drawn` teaches; None for all. Of what the teachers
        say there is what terms with `weights` need; None: all."""
        inside = weights is None or weights.intermediate > 0
        aligned = self.aligned and (inside or KINDS[self.student.kind].per_token)
        alignment, label_alignment = alignments(self.student, self.teacher if aligned else None, ids)
        return Batch(
            self.student.inputs(ids, accepted=self.accepted),
            self.student.labels(ids),
            None if self.signals is None else self.signals.fetch(ids, inside),
            alignment,
            label_alignment,
            totals,
            self.team.fetch(ids, drawn) if self.team and (weights is None or weights.prediction > 0) else None,
            labelled=self.student.have_labels(ids),
            weights=weights,
        )

    def answered(self, batches: Sequence[Batch], step: int) -> list[Batch]:
        """The batches of a step, counted over all epochs, the augmented ones with the teacher's view of them, which is
        kept for later trainings."""
        if self.online is None:
            return list(batches)
        said = [replace(each, fetched=self.online.view(each.fetched)) if each.augmented else each for each in batches]
        if self.augmented is not None:
            self.augmented.add(step, [batch for batch in said if batch.augmented])
        return said

    def owned_by(self, training: str) -> TrainingData:
        """The same for one training, which knows again which augmented steps were made for it."""
        return self if self.augmented is None else replace(self, augmented=self.augmented.of(training))

    def settle(self) -> None:
        """Writes what is to be kept and was not written yet."""
        if self.augmented is not None:
            self.augmented.flush()

    def view(self, batch: Batch) -> Features | None:
        """The teacher's features of a batch, on the training device, values in the unit of the student's targets;
        None without a teacher."""
        signals = self.online if batch.augmented else self.signals
        if signals is None:
            return None
        features = signals.view(batch.fetched)
        if batch.team is not None and self.team is not None:
            of_logits = batch.alignment if batch.label_alignment is None else batch.label_alignment
            features = self.team.view(batch.team, features, of_logits)
        inside = self.student.unit.inside
        team = None if features.team is None else inside(features.team)
        return replace(features, logits=inside(features.logits), team=team)


class StepPlan:
    """The steps of one epoch: step number → the batches of this process, in order."""

    def __init__(
        self,
        data: TrainingData,
        training: Training,
        seed: int,
        rank: int,
        processes: int,
        epoch: int,
        course: Course | None = None,
    ):
        self.data, self.size, self.position = data, training.batch_size, (seed, epoch)
        self.rank, self.processes, self.course = rank, processes, course
        whole = self.size * training.gradient_accumulation
        self.steps = step_batches(data.student.lengths, whole, seed, epoch)  # ids, of all processes together

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> list[Batch]:
        """The batches of step `number`; a process with nothing to do gets one that weighs nothing."""
        ids = self.steps[number]
        totals = {"examples": float(len(ids)), "tokens": float(self.data.student.label_count(ids))}
        nothing = dict.fromkeys(totals, math.inf)
        drawn = None if self.data.team is None else self.data.team.draw([*self.position, number])
        step = self.position[1] * len(self) + number
        weights = None if self.course is None else self.course.at(step)
        augmenting = weights is None or weights.augmented_prediction + weights.augmented_hard_label > 0
        known = self.data.augmented
        kept = iter(known.read(step) if augmenting and known is not None else ())
        batches = []
        for start in range(0, len(ids), self.size):
            part = ids[start : start + self.size]
            own = part[self.rank :: self.processes]
            own, counts = (own, totals) if len(own) else (part[:1], nothing)
            batches.append(self.data.batch(own, counts, drawn, weights))
            if augmenting:
                made = self._augmented(own, counts, (number, start), kept)
                batches += [replace(each, weights=weights) for each in made]
        if self.data.student.words is not None:
            _count_tags(batches)
        return batches

    def _augmented(
        self, ids: np.ndarray, totals: dict[str, float], position: tuple[int, int], kept: Iterator[Batch]
    ) -> Iterator[Batch]:
        """Augmented copies of some examples, the next ones of a step that are `kept`, or made now; the same at the same
        position, whoever makes them."""
        if (augmenter := self.data.augmenter) is None:
            return
        of_all_copies = {unit: count * augmenter.copies for unit, count in totals.items()}
        for copy in range(augmenter.copies):
            generator = np.random.default_rng([*self.position, *position, copy, self.rank])
            yield replace(next(kept, None) or augmenter.batch(ids, generator), totals=of_all_copies)


def _count_tags(batches: Sequence[Batch]) -> None:
    """Counts the augmented tags of a step as they are: a text that is longer now has lost some, a mixed one has
    parts of them. Of several processes each counts its own."""
    augmented = [batch for batch in batches if batch.augmented and math.isfinite(batch.totals["examples"])]
    tokens = sum(float(label_weights(batch.labels).sum()) for batch in augmented)
    for batch in augmented:
        batch.totals = batch.totals | {"tokens": tokens}


def count_together(batches: Sequence[Batch], accelerator: Accelerator) -> None:
    """Counts a step's augmented tags over all processes, none of which sees those of another."""
    augmented = [batch for batch in batches if batch.augmented]
    if augmented and accelerator.num_processes > 1:
        own = [batch for batch in augmented if math.isfinite(batch.totals["examples"])]
        tokens = torch.tensor(own[0].totals["tokens"] if own else 0.0, device=accelerator.device)
        tokens = accelerator.reduce(tokens, "sum")
        for batch in own:
            batch.totals = batch.totals | {"tokens": tokens}


class Stream:
    """The steps of a whole training, one epoch behind the other: step → the batches of this process."""

    def __init__(
        self,
        data: TrainingData,
        training: Training,
        seed: int,
        epochs: int,
        accelerator: Accelerator,
        course: Course | None = None,
    ):
        self._augmenter, self._on_gpu = data.augmenter, accelerator.device.type == "cuda"
        self._epochs, self._per_epoch = epochs, steps_in_epoch(len(data), training)
        place = accelerator.process_index, accelerator.num_processes  # of the accelerator no more: it holds the models
        self._plan_of = partial(StepPlan, data, training, seed, *place, course=course)
        self._epoch, self._plan = 0, self._plan_of(0)

    def __len__(self) -> int:
        return self._epochs * self._per_epoch

    def __getitem__(self, number: int) -> list[Batch]:
        """The batches of a step, counted over all epochs."""
        epoch, step = divmod(number, self._per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._plan_of(epoch)
        return self._plan[step]

    def from_step(self, start: int) -> Iterator[list[Batch]]:
        """The steps from `start` on, made ahead by workers that augment, or for a GPU by a thread; always the same."""
        numbers = range(start, len(self))
        if self._augmenter is not None and self._augmenter.workers:
            yield from self._from_workers(numbers, self._augmenter.workers)
        elif not self._on_gpu:
            yield from map(self.__getitem__, numbers)
        else:
            with ThreadPoolExecutor(max_workers=1) as thread:
                ahead = deque(thread.submit(self._pinned, number) for number in numbers[:AHEAD])
                for number in numbers[AHEAD:]:
                    ahead.append(thread.submit(self._pinned, number))
                    yield ahead.popleft().result()
                yield from (step.result() for step in ahead)

    def _from_workers(self, numbers: range, workers: int) -> Iterator[list[Batch]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of more workers than cores, which somebody has asked for
            dataset: Any = self  # it has the two methods of a map-style dataset
            loader: DataLoader[bytes] = DataLoader(
                dataset,
                batch_size=None,
                sampler=numbers,
                num_workers=workers,
                collate_fn=packed,
                prefetch_factor=AHEAD,
                worker_init_fn=_ends_with_its_parent,
            )
            steps = iter(loader)
        for step in steps:
            batches = pickle.loads(step)  # of our own process's child
            yield [batch.pin_memory() for batch in batches] if self._on_gpu else batches

    def _pinned(self, number: int) -> list[Batch]:
        return [batch.pin_memory() for batch in self[number]]


def _ends_with_its_parent(_: int) -> None:
    """By itself a worker waits forever to hand over its last batches, for it holds the other end of that pipe, too."""
    end_with_parent()


def examples_in(batches: Sequence[Batch]) -> int:
    """Examples of a step, those of other processes too; 0 where this process had nothing to do."""
    total = batches[0].totals["examples"]
    return int(total) if math.isfinite(total) else 0


def to_answer(batches: Sequence[Batch]) -> int:
    """Augmented examples of a step about which the teacher is asked for this training, in other processes too."""
    originals = sum(not batch.augmented for batch in batches)
    asked = sum(batch.augmented and not batch.kept for batch in batches)
    return examples_in(batches) * asked // originals


def steps_in_epoch(examples: int, training: Training) -> int:
    """Optimiser steps of one epoch."""
    return math.ceil(examples / (training.batch_size * training.gradient_accumulation))


def steps_in_all(examples: int, training: Training) -> int:
    """Optimiser steps of a whole training, wherever it pauses."""
    return (training.epochs or 1) * steps_in_epoch(examples, training)
