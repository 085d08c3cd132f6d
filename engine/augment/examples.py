"""Augmented examples as tensors: what a policy makes of training examples, seen by student and teacher.

Decided here: a batch of augmented examples is tokenised as the originals are, one example for each original. In
question answering an original is a window: its piece of the context is augmented, with the answer where the piece
holds it whole. The teacher's view of augmented examples is always computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from datasets.table import InMemoryTable
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from engine.augment.mixup import mixed_alignment, mixed_targets
from engine.augment.policy import Policy
from engine.data.task import Task
from engine.models.forward import SHARES
from engine.tokens.alignment import alignments
from engine.tokens.batch import Batch
from engine.tokens.examples import Encoded, encode
from engine.tokens.windows import Windows, answer_spans


@dataclass(frozen=True)
class Tokenisation:
    """How the texts of a model are tokenised: to at most `max_length` tokens."""

    tokenizer: PreTrainedTokenizerBase
    max_length: int


@dataclass(frozen=True)
class Augmenter:
    """Makes augmented examples of the training examples of a task."""

    task: Task
    policy: Policy
    copies: int  # augmented examples made of each original one
    examples: Encoded  # the originals through the student's tokenizer
    student: Tokenisation
    teacher: Tokenisation | None  # None where its tokens are the student's
    accepted: set[str]  # names of the tensors that the student's forward takes
    teacher_accepted: set[str]
    aligned: bool  # whether logits are compared token by token
    workers: int = 0  # processes that make them ahead of the training

    def batch(self, ids: np.ndarray, generator: np.random.Generator) -> Batch:
        """Augmented forms of some examples (B,)."""
        made = self.policy(self.originals(ids), self.task.kind, generator)
        rows = Dataset(InMemoryTable(pa.Table.from_pylist(made.rows)), fingerprint="augmented")
        student = self._encoded(rows, self.student)
        teacher = None if self.teacher is None else self._encoded(rows, self.teacher)
        every = np.arange(len(made.rows))
        batch = Batch(
            student.inputs(every, accepted=self.accepted),
            student.labels(every),
            (student if teacher is None else teacher).inputs(every, accepted=self.teacher_accepted),
            *alignments(student, teacher if self.aligned else None, every),
            augmented=True,
            labelled=student.have_labels(every),
        )
        return batch if made.shares is None else self._mixed(batch, torch.from_numpy(made.shares).float())

    def _mixed(self, batch: Batch, shares: Tensor) -> Batch:
        length = batch.inputs["input_ids"].shape[1]
        return replace(
            batch,
            inputs=batch.inputs | {SHARES: shares},
            labels=mixed_targets(batch.labels, shares, self.task.kind, self.task.outputs, length),
            fetched=batch.fetched | {SHARES: shares},
            alignment=mixed_alignment(batch.alignment, shares),
            label_alignment=mixed_alignment(batch.label_alignment, shares),
            labelled=None if batch.labelled is None else torch.stack(batch.labelled.chunk(2)).all(0),
        )

    def originals(self, ids: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        """The rows of some examples; where these are windows, with their piece of the context, or text."""
        columns = self.examples.source[self.examples.rows[np.asarray(ids)].tolist()]
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        if (windows := self.examples.windows) is None:
            return rows
        edges = zip(windows.starts[ids], windows.ends[ids], strict=True)
        if self.task.kind != "question_answering":
            return [{**row, "text": row["text"][start:end]} for row, (start, end) in zip(rows, edges, strict=True)]
        return [_piece(row, int(start), int(end)) for row, (start, end) in zip(rows, edges, strict=True)]

    def _encoded(self, rows: Dataset, tokenisation: Tokenisation) -> Encoded:
        windows = None
        if self.task.kind == "question_answering":
            ends = np.array([len(context) for context in rows["context"]])
            windows = Windows(np.arange(len(rows)), np.zeros_like(ends), ends)
        return encode(rows, self.task, tokenisation.tokenizer, tokenisation.max_length, None, windows)


def _piece(row: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    first, last = answer_spans([row["answers"]])[0].tolist()
    answers: dict[str, list[Any]] = {"text": [], "answer_start": []}
    if start <= first and last <= end:
        answers = {"text": [row["context"][first:last]], "answer_start": [first - start]}
    return {**row, "context": row["context"][start:end], "answers": answers}
