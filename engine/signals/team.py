"""What a team says of training examples: the members' logits, each at the student's positions.

Decided here: what each kind of team makes of them. Who is drawn depends on nothing but the place of a
step, so every process, and a run that goes on, draws the same member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from engine.models.forward import Features
from engine.objective.reduction import at_positions
from engine.signals.signals import TeacherSignals
from engine.tokens.alignment import align, align_labels
from engine.tokens.examples import Encoded

Combination = Literal["all", "average", "drawn"]


@dataclass(frozen=True)
class MemberSignals:
    """A member of a team beside the teacher.

    Args:
        encoded: The training examples through its tokenizer; None where that is the student's.
    """

    signals: TeacherSignals
    encoded: Encoded | None


@dataclass(frozen=True)
class TeamBatch:
    """The host's part of what a team says of a batch.

    Args:
        drawn: The one member that was asked; None for all.
        fetched: Of each member that was asked.
        alignments: (B, N of the student, N of the member) of each; None where the tokenizers agree.
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

    members: tuple[MemberSignals, ...]
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

    def fetch(self, ids: np.ndarray, drawn: int | None) -> TeamBatch:
        """What the host has to prepare for some examples (B,); may run in a worker process."""
        asked = self._asked(drawn)
        fetched = [member.signals.fetch(ids) for member in asked]
        return TeamBatch(drawn, fetched, [self._alignment(member, ids) for member in asked])

    def _asked(self, drawn: int | None) -> tuple[MemberSignals, ...]:
        """The members that answer: all, the drawn one, or none where the teacher was drawn."""
        return self.members if drawn is None else self.members[max(drawn - 1, 0) : drawn]

    def _alignment(self, member: MemberSignals, ids: np.ndarray) -> Tensor | None:
        other = member.encoded
        if other is None or not self.per_token:
            return None
        lengths = self.student.padded_length(ids), other.padded_length(ids)
        pair = align_labels if self.student.kind == "tagging" else align
        return pair(self.student, other, ids, *lengths)

    def view(self, fetched: TeamBatch, teacher: Features, alignment: Tensor | None) -> Features:
        """The teacher's features with the logits that teach in place of its own.

        Args:
            alignment: Of the teacher's logits; on the training device.
        """
        device = teacher.logits.device
        alignments = [None if each is None else each.to(device) for each in fetched.alignments]
        alignment = alignment if self.per_token else None
        answers = zip(self._asked(fetched.drawn), fetched.fetched, strict=True)
        logits = [member.signals.view(own).logits for member, own in answers]
        if not fetched.drawn:  # nobody was drawn, or the teacher
            logits, alignments = [teacher.logits, *logits], [alignment, *alignments]
        logits = [at_positions(*pair) for pair in zip(logits, alignments, strict=True)]
        partners = [each.sum(-1) > 0 for each in alignments if each is not None]
        paired = torch.stack(partners).all(0) if partners else None
        return replace(teacher, team=self._combined(torch.stack(logits), fetched.drawn), paired=paired)

    def _combined(self, logits: Tensor, drawn: int | None) -> Tensor:
        if self.combination == "average":
            return logits.mean(0, keepdim=True)
        if drawn is None or self.student.kind == "regression":
            return logits  # of a target, which is no distribution, a share would be another target
        return logits * self.distribution[drawn]
