"""What all ways of distilling are measured on: a BERT classifier teaches a smaller one by logits and hidden states.

Random weights and tokens, so that nothing is downloaded. Every way is a process of its own, which takes steps when it
is asked to, so that all ways take them in turns. Torch and transformers suffice: the peers' environments have no more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

TEMPERATURE, RATE, LABELS = 4.0, 1e-4, 2
VOCABULARY, FIRST_WORD = 30522, 1000  # as BERT's: the tokens below are no words
HEADS = 12
INTERMEDIATE = {312: 1200}  # TinyBERT's; of all others four times the width


@dataclass(frozen=True)
class Workload:
    """Sizes of the two models and of a batch, and what is computed with."""

    teacher: tuple[int, int] = (12, 768)  # layers, width
    student: tuple[int, int] = (4, 312)
    batch: int = 16
    tokens: int = 64
    precision: str = "float32"
    threads: int = 2
    steps: int = 25  # in all
    clock: str = "wall"  # or `processor`: the seconds in which this process computes, in all its threads

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Student layer → teacher layer, both from 1."""
        stride = self.teacher[0] // self.student[0]
        return [(layer, layer * stride) for layer in range(1, self.student[0] + 1)]

    def config(self, who: str, **others: bool) -> BertConfig:
        """Of the `teacher` or the `student`."""
        layers, width = getattr(self, who)
        return BertConfig(
            vocab_size=VOCABULARY,
            num_labels=LABELS,
            num_hidden_layers=layers,
            hidden_size=width,
            num_attention_heads=HEADS,
            intermediate_size=INTERMEDIATE.get(width, 4 * width),
            **others,
        )

    def models(self) -> tuple[BertForSequenceClassification, BertForSequenceClassification]:
        """Teacher, frozen, and student, both of which show their hidden states."""
        torch.manual_seed(0)
        teacher, student = (
            BertForSequenceClassification(self.config(who, output_hidden_states=True)) for who in ("teacher", "student")
        )
        return teacher.eval().requires_grad_(False), student.train()

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """Batches without padding, without end."""
        generator = torch.Generator().manual_seed(1)
        shape = self.batch, self.tokens
        while True:
            yield {
                "input_ids": torch.randint(FIRST_WORD, VOCABULARY, shape, generator=generator),
                "attention_mask": torch.ones(shape, dtype=torch.long),
                "token_type_ids": torch.zeros(shape, dtype=torch.long),
            }


class Turns:
    """Steps that are taken when they are asked for: a line on stdin says how many, a line on stdout how long each took.

    A way calls `step` before its first step and after each one; the first call says that it is ready.
    """

    def __init__(self, workload: Workload) -> None:
        self._now = {"wall": time.perf_counter, "processor": time.process_time}[workload.clock]
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # whatever else a library prints
        self._left, self._began, self._seconds = 0, 0.0, list[float]()

    def step(self) -> None:
        """A step is over; returns when the next one may begin, and ends the process when there is none."""
        now = self._now()
        if self._left:
            self._left -= 1
            self._seconds.append(now - self._began)
        if not self._left:
            print(json.dumps(self._seconds), file=self._answers, flush=True)
            asked = sys.stdin.readline()
            if not asked:
                raise SystemExit
            self._left, self._seconds = int(asked), []
        self._began = self._now()

    def before_each(self, batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        """The same batches, each when its step may begin."""
        for batch in batches:
            self.step()
            yield batch


def asked() -> tuple[str, Workload]:
    """The way and the workload that this process was started for."""
    way, sizes = sys.argv[1:]
    workload = Workload(**json.loads(sizes))
    torch.set_num_threads(workload.threads)
    torch.set_num_interop_threads(1)
    return way, workload
