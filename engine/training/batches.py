"""What the loop is fed: the steps of an epoch as batches of the student's inputs and teacher signals.

Decided here: how a step is cut. One step holds batch_size · gradient_accumulation examples of
similar length. It is cut into forward passes of batch_size, and each of these is dealt out to the
processes, so neither the number of processes nor the cut changes which examples a step sees.
"""

from __future__ import annotations

import math
import pickle
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from engine.augment.examples import Augmenter
from engine.models.forward import Features
from engine.pipeline.training import Training
from engine.signals.signals import OnlineSignals, TeacherSignals
from engine.signals.team import TeamBatch, TeamSignals
from engine.tokens.alignment import align, align_labels
from engine.tokens.examples import Encoded
from engine.tokens.order import step_batches

AHEAD = 3  # steps that are prepared while a GPU computes


@dataclass
class Batch:
    """The part of a step that one process computes in one forward pass.

    Shapes:
        inputs: tensors (B, N) for the student.
        labels: as in `Encoded.labels`.
        fetched: the host's part of the teacher signals; None without a teacher.
        alignment: (B, N, N of the teacher) or None where the tokenizers agree.
        label_alignment: the same for the logits of tagging, where they are paired word by word.
        totals: unit → count over the whole step, all passes and processes.
        team: the host's part of what a team says; None with one teacher.
        augmented: Whether these are augmented examples; `labels` of mixed ones are distributions, as
            `engine.augment.mixup.mixed_targets` gives them.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    fetched: Any
    alignment: Tensor | None
    label_alignment: Tensor | None
    totals: dict[str, float]
    team: TeamBatch | None = None
    augmented: bool = False

    def to(self, device: torch.device) -> Batch:
        """The same on the training device, without the teacher's part, which `view` moves."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in page-locked memory."""
        team = self.team and replace(self.team, fetched=[_pinned(each) for each in self.team.fetched])
        return replace(self._each(Tensor.pin_memory), fetched=_pinned(self.fetched), team=team)

    def _each(self, change: Any) -> Batch:
        return replace(
            self,
            inputs={name: change(tensor) for name, tensor in self.inputs.items()},
            labels=change(self.labels),
            alignment=None if self.alignment is None else change(self.alignment),
            label_alignment=None if self.label_alignment is None else change(self.label_alignment),
        )


@dataclass
class TrainingData:
    """Training examples as the student and, where there is one, the teacher see them.

    Args:
        student: The examples through the student's tokenizer.
        accepted: Names of the tensors that the student's forward takes.
        signals: The teacher's signals; None for plain fine-tuning.
        teacher: The examples through the teacher's tokenizer; None where it is the student's.
        aligned: Whether the objective compares token by token.
        augmenter: Makes augmented examples; None without an augmentation policy.
        online: The teacher's view of augmented examples.
        team: What the teacher and its colleagues say together of the originals; None with one teacher.
    """

    student: Encoded
    accepted: set[str]
    signals: TeacherSignals | None = None
    teacher: Encoded | None = None
    aligned: bool = False
    augmenter: Augmenter | None = None
    online: OnlineSignals | None = None
    team: TeamSignals | None = None

    def __len__(self) -> int:
        return len(self.student)

    def batch(self, ids: np.ndarray, totals: dict[str, float], drawn: int | None = None) -> Batch:
        """The tensors of some examples.

        Args:
            drawn: The member of a team that teaches them.
        """
        inputs = self.student.inputs(ids)
        length = inputs["input_ids"].shape[1]
        kept = {name: tensor for name, tensor in inputs.items() if name in self.accepted}
        fetched = alignment = label_alignment = None
        if self.signals is not None:
            fetched = self.signals.fetch(ids)
            if self.teacher is not None and self.aligned:
                seen = self.teacher.padded_length(ids)
                alignment = align(self.student, self.teacher, ids, length, seen)
                if self.student.kind == "tagging":
                    label_alignment = align_labels(self.student, self.teacher, ids, length, seen)
        team = None if self.team is None else self.team.fetch(ids, drawn)
        return Batch(kept, self.student.labels(ids), fetched, alignment, label_alignment, totals, team)

    def augmented_batch(
        self, augmenter: Augmenter, ids: np.ndarray, totals: dict[str, float], generator: np.random.Generator
    ) -> Batch:
        """The tensors of augmented forms of some examples."""
        view = augmenter.view(ids, generator)
        of_all_copies = {unit: count * augmenter.copies for unit, count in totals.items()}
        return Batch(
            view.inputs,
            view.labels,
            view.fetched,
            view.alignment,
            view.label_alignment,
            of_all_copies,
            augmented=True,
        )

    def view(self, batch: Batch) -> Features | None:
        """The teacher's features of a batch, on the training device; None without a teacher."""
        signals = self.online if batch.augmented else self.signals
        features = None if signals is None else signals.view(batch.fetched)
        if features is None or batch.team is None:
            return features
        assert self.team is not None
        alignment = batch.alignment if batch.label_alignment is None else batch.label_alignment
        if alignment is not None:
            alignment = alignment.to(features.logits.device)
        return self.team.view(batch.team, features, alignment)


def _pinned(fetched: Any) -> Any:
    """The host's part of a teacher's signals in page-locked memory."""
    if isinstance(fetched, dict):
        return {name: tensor.pin_memory() for name, tensor in fetched.items()}
    return None if fetched is None else fetched.pin_memory()


class StepPlan:
    """The steps of one epoch: step number → the batches of this process, in order.

    Attributes:
        steps: Ids of the examples of each step, of all processes together.
    """

    def __init__(
        self, data: TrainingData, training: Training, seed: int, epoch: int, accelerator: Accelerator
    ):
        self.data, self.size, self.place = data, training.batch_size, (seed, epoch)
        self.rank, self.processes = accelerator.process_index, accelerator.num_processes
        whole = self.size * training.gradient_accumulation
        self.steps = step_batches(data.student.lengths, whole, seed, epoch)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> list[Batch]:
        """The batches of step `number`; a process with nothing to do gets one that weighs nothing."""
        ids = self.steps[number]
        totals = {"examples": float(len(ids)), "tokens": float(self.data.student.label_count(ids))}
        nothing = dict.fromkeys(totals, math.inf)
        drawn = None if self.data.team is None else self.data.team.draw([*self.place, number])
        batches = []
        for start in range(0, len(ids), self.size):
            part = ids[start : start + self.size]
            own = part[self.rank :: self.processes]
            own, counts = (own, totals) if len(own) else (part[:1], nothing)
            batches.append(self.data.batch(own, counts, drawn))
            batches += self._augmented(own, counts, (number, start))
        return batches

    def _augmented(self, ids: np.ndarray, totals: dict[str, float], place: tuple[int, int]) -> list[Batch]:
        """Augmented copies of some examples; the same for the same place, whoever makes them."""
        augmenter = self.data.augmenter
        if augmenter is None:
            return []
        return [
            self.data.augmented_batch(
                augmenter, ids, totals, np.random.default_rng([*self.place, *place, copy, self.rank])
            )
            for copy in range(augmenter.copies)
        ]


class Stream:
    """The steps of a whole training, one epoch behind the other: step → the batches of this process.

    Args:
        epochs: How many there are.
    """

    def __init__(
        self, data: TrainingData, training: Training, seed: int, epochs: int, accelerator: Accelerator
    ):
        self.data, self.training, self.seed, self.accelerator = data, training, seed, accelerator
        self.epochs, self.per_epoch = epochs, steps_in_epoch(len(data), training)
        self.on_gpu = accelerator.device.type == "cuda"
        self._last = StepPlan(data, training, seed, 0, accelerator)
        self._epoch = 0

    def __len__(self) -> int:
        return self.epochs * self.per_epoch

    def epoch(self, number: int) -> StepPlan:
        """The steps of one epoch."""
        if number != self._epoch:
            self._last = StepPlan(self.data, self.training, self.seed, number, self.accelerator)
            self._epoch = number
        return self._last

    def __getitem__(self, number: int) -> list[Batch]:
        """The batches of a step, counted over all epochs."""
        epoch, step = divmod(number, self.per_epoch)
        return self.epoch(epoch)[step]

    def from_step(self, start: int) -> Iterator[list[Batch]]:
        """The steps from `start` on; where texts are augmented, and for a GPU, prepared ahead of time.

        Worker processes augment, otherwise a thread serves; a step is the same whoever prepares it.
        """
        if self.data.augmenter is not None and self.data.augmenter.workers:
            yield from self._from_workers(start, self.data.augmenter.workers)
            return
        if not self.on_gpu:
            yield from map(self.__getitem__, range(start, len(self)))
            return
        with ThreadPoolExecutor(max_workers=1) as thread:
            ahead: deque[Future[list[Batch]]] = deque()
            for number in range(start, len(self)):
                ahead.append(thread.submit(self._pinned, number))
                if len(ahead) > AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _from_workers(self, start: int, workers: int) -> Iterator[list[Batch]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of more workers than cores, which somebody has asked for
            loader: DataLoader[bytes] = DataLoader(
                self,  # type: ignore[arg-type]  # it has the two methods of a map-style dataset
                batch_size=None,
                sampler=range(start, len(self)),
                num_workers=workers,
                collate_fn=_packed,
                prefetch_factor=AHEAD,
            )
            steps = iter(loader)
        for packed in steps:
            batches = pickle.loads(packed)  # of our own process's child
            yield [batch.pin_memory() for batch in batches] if self.on_gpu else batches

    def _pinned(self, number: int) -> list[Batch]:
        return [batch.pin_memory() for batch in self[number]]


class _Packer(pickle.Pickler):
    """Packs tensors as arrays.

    As they are, they would go through shared memory, one file each, which takes as long as making them.
    """

    def reducer_override(self, value: Any) -> Any:
        return (torch.from_numpy, (value.numpy(),)) if isinstance(value, Tensor) else NotImplemented


def _packed(batches: list[Batch]) -> bytes:
    buffer = BytesIO()
    _Packer(buffer, pickle.HIGHEST_PROTOCOL).dump(batches)
    return buffer.getvalue()


def examples_in(batches: Sequence[Batch]) -> int:
    """Examples of a step, those of other processes too; 0 where this process had nothing to do."""
    total = batches[0].totals["examples"]
    return int(total) if math.isfinite(total) else 0


def steps_in_epoch(examples: int, training: Training) -> int:
    """Optimiser steps of one epoch."""
    return math.ceil(examples / (training.batch_size * training.gradient_accumulation))
