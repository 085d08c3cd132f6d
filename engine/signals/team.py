"""The signals of a team on training examples: its members' logits, each at the student's positions.

Decided here: what each kind of team makes of them. Which member is drawn depends on nothing but the position of a
step, so every process, and a run that goes on, draws the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.models.forward import Features
from engine.objective.reduction import at_positions
from engine.signals.signals import TeacherSignals
from engine.tokens.alignment import align_labels
from engine.tokens.examples import Encoded

Combination = Literal["all", "average", "drawn"]


@dataclass(frozen=True)
class MemberSignals:
    """A member of a team beside the teacher."""

    signals: TeacherSignals
    encoded: Encoded | None  # the training examples through its tokenizer; None where that is the student's


class TeamBatch(NamedTuple):
    """The host's part of a team's signals on a batch."""

    drawn: int | None  # index of the one teacher that teaches; None for all
    fetched: list[Any]  # of each member that teaches
    alignments: list[Tensor | None]  # (B, N of the student, N of the member) of each; None where the tokenizers agree


@dataclass(frozen=True)
class TeamSignals:
    """A team's view of training examples."""

    members: tuple[MemberSignals, ...]
    student: Encoded  # the examples through the student's tokenizer
    per_token: bool  # whether there are logits for each token
    combination: Combination  # all teach, or their mean does, or one
    distribution: tuple[float, ...] = ()  # where one is drawn: the teacher's probability, then that of each member
    scaled: bool = False  # whether the drawn one's logits are multiplied by its probability

    def draw(self, position: Sequence[int]) -> int | None:
        """Index of the teacher that is drawn at a position of the training, 0 for the first; None where all teach."""
        if self.combination != "drawn":
            return None
        chances = np.asarray(self.distribution)
        return int(np.random.default_rng(position).choice(len(chances), p=chances / chances.sum()))

    def fetch(self, ids: np.ndarray, drawn: int | None) -> TeamBatch:
        """What the host has to prepare for some examples (B,); may run in a worker process."""
        teaching = self._teaching(drawn)
        fetched = [member.signals.fetch(ids) for member in teaching]
        others = [member.encoded if self.per_token else None for member in teaching]
        alignments = [None if other is None else align_labels(self.student, other, ids) for other in others]
        return TeamBatch(drawn, fetched, alignments)

    def _teaching(self, drawn: int | None) -> tuple[MemberSignals, ...]:
        """The members that teach: all, the drawn one, or none where the teacher was drawn."""
        return self.members if drawn is None else self.members[max(drawn - 1, 0) : drawn]

    def view(self, batch: TeamBatch, teacher: Features, alignment: Tensor | None) -> Features:
        """The teacher's features with the logits that teach in place of its own, which `alignment` is of."""
        drawn, device = batch.drawn, teacher.logits.device
        members = zip(self._teaching(drawn), batch.fetched, strict=True)
        logits, alignments = [member.signals.view(own).logits for member, own in members], batch.alignments
        if not drawn:  # nobody was drawn, or the teacher
            alignments = [alignment if self.per_token else None, *alignments]
            logits = [teacher.logits, *logits]
        alignments = [None if each is None else each.to(device) for each in alignments]
        logits = [at_positions(*pair) for pair in zip(logits, alignments, strict=True)]
        partners = [each.sum(-1) > 0 for each in alignments if each is not None]
        paired = torch.stack(partners).all(0) if partners else None
        return replace(teacher, team=self._combined(torch.stack(logits), drawn), paired=paired)

    def _combined(self, logits: Tensor, drawn: int | None) -> Tensor:
        if self.combination == "average":
            return logits.mean(0, keepdim=True)
        return logits if drawn is None or not self.scaled else logits * self.distribution[drawn]
