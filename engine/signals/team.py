"""What a team says of training examples: the members' logits, each at the student's positions.

Decided here: how a policy makes of them what the student learns from. Who is drawn depends on nothing but the
place of a step, so every process, and a run that goes on, draws the same member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from engine.models.load import Features
from engine.objective.reduction import at_positions
from engine.signals.signals import TeacherSignals
from engine.tokens.alignment import align, align_labels
from engine.tokens.examples import Encoded

Combination = Literal["all", "average", "drawn"]


@dataclass(frozen=True)
class Colleague:
    """A member of a team beside the teacher.

    Args:
        encoded: The training examples through its tokenizer; None where that is the student's.
    """

    signals: TeacherSignals
    encoded: Encoded | None


@dataclass(frozen=True)
class Said:
    """The host's part of what a team says of a batch.

    Args:
        drawn: The one member that was asked; None for all.
        fetched: Of each colleague that was asked.
        alignments: (B, N of the student, N of the colleague) of each; None where the tokenizers agree.
    """

    drawn: int | None
    fetched: list[Any]
    alignments: list[Tensor | None]


@dataclass(frozen=True)
class TeamSignals:
    """A team's view of training examples.

    Args:
        student: The examples through the student's tokenizer.
        per_token: Whether there are logits for each token.
        combination: `all`: each member teaches; `average`: their mean does; `drawn`: one of them does, its
            logits scaled by its probability.
        distribution: A probability for each member, the teacher first.
    """

    colleagues: tuple[Colleague, ...]
    student: Encoded
    per_token: bool
    combination: Combination
    distribution: tuple[float, ...] = ()

    def draw(self, place: Sequence[int]) -> int | None:
        """The member that teaches at a place of the training; None where all do."""
        if self.combination != "drawn":
            return None
        chances = np.asarray(self.distribution)
        return int(np.random.default_rng(place).choice(len(chances), p=chances / chances.sum()))

    def fetch(self, ids: np.ndarray, drawn: int | None) -> Said:
        """What the host has to prepare for some examples (B,); may run in a worker process."""
        asked = self._asked(drawn)
        fetched = [colleague.signals.fetch(ids) for colleague in asked]
        return Said(drawn, fetched, [self._alignment(colleague, ids) for colleague in asked])

    def _asked(self, drawn: int | None) -> tuple[Colleague, ...]:
        """The colleagues that answer: all, the drawn one, or none where the teacher was drawn."""
        return self.colleagues if drawn is None else self.colleagues[max(drawn - 1, 0) : drawn]

    def _alignment(self, colleague: Colleague, ids: np.ndarray) -> Tensor | None:
        other = colleague.encoded
        if other is None or not self.per_token:
            return None
        lengths = self.student.padded_length(ids), other.padded_length(ids)
        pair = align_labels if self.student.kind == "tagging" else align
        return pair(self.student, other, ids, *lengths)

    def view(self, said: Said, teacher: Features, alignment: Tensor | None) -> Features:
        """The teacher's features with the logits that teach in place of its own.

        Args:
            alignment: Of the teacher's logits; on the training device.
        """
        device = teacher.logits.device
        alignments = [None if each is None else each.to(device) for each in said.alignments]
        alignment = alignment if self.per_token else None
        answers = zip(self._asked(said.drawn), said.fetched, strict=True)
        logits = [colleague.signals.view(fetched).logits for colleague, fetched in answers]
        if not said.drawn:  # nobody was drawn, or the teacher
            logits, alignments = [teacher.logits, *logits], [alignment, *alignments]
        logits = [at_positions(*pair) for pair in zip(logits, alignments, strict=True)]
        partners = [each.sum(-1) > 0 for each in alignments if each is not None]
        paired = torch.stack(partners).all(0) if partners else None
        return replace(teacher, team=self._combined(torch.stack(logits), said.drawn), paired=paired)

    def _combined(self, logits: Tensor, drawn: int | None) -> Tensor:
        if self.combination == "average":
            return logits.mean(0, keepdim=True)
        if drawn is None or self.student.kind == "regression":
            return logits  # of a target, which is no distribution, a share would be another target
        return logits * self.distribution[drawn]
