"""Intermediate objectives that compare a student's hidden states with a teacher's directly.

Decided here: each compares vectors of equal width (a projection has seen to that), gives one value per sample, looks
at no padding, computes in float32 at least, and is worth 0 where a sample has no token that counts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.data.task import TaskKind
from engine.models.forward import Features
from engine.objective.mapping import Projections
from engine.objective.reduction import full_precision, masked_mean


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference over all tokens (TinyBERT, Jiao et al. 2020).

    Equation: mean_n mean_e (student_ne − teacher_ne)².

    Shapes: student, teacher (B, N, E); mask (B, N), true where a token counts. Returns: (B,).

    Example:
        >>> mse(torch.zeros(1, 1, 2), torch.tensor([[[1.0, 3.0]]]), torch.ones(1, 1, dtype=torch.bool))
        tensor([5.])
    """
    return masked_mean((full_precision(student) - full_precision(teacher)).square().mean(-1), mask)


def l2(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Euclidean distance per token, mean over tokens (Distiller, appendix B).

    Equation: mean_n ‖student_n − teacher_n‖. Its gradient at a distance of zero is taken as zero. Shapes: as for `mse`.
    """
    return masked_mean(torch.linalg.vector_norm(full_precision(student) - full_precision(teacher), dim=-1), mask)


def cos(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """One minus the cosine, mean over tokens (Distiller, appendix B).

    Equation: mean_n 1 − student_n·teacher_n / (‖student_n‖ ‖teacher_n‖). Shapes: as for `mse`.
    """
    return masked_mean(1 - F.cosine_similarity(full_precision(student), full_precision(teacher), dim=-1), mask)


def pkd(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared distance of the normalised first tokens (BERT-PKD, Sun et al. 2019).

    Equation: ‖ student_1/‖student_1‖ − teacher_1/‖teacher_1‖ ‖². Shapes: as for `mse`, but N of the student and of the
    teacher may differ and may be 1: only the first token is read.
    """
    student_first, teacher_first = full_precision(student[:, 0]), full_precision(teacher[:, 0])
    difference = F.normalize(student_first, dim=-1) - F.normalize(teacher_first, dim=-1)
    return difference.square().sum(-1).masked_fill(~mask[:, 0], 0)


def ce(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the two softmax distributions over the width, mean over tokens (Distiller).

    Equation: mean_n −Σ_e softmax(teacher_n)_e · log softmax(student_n)_e. Shapes: as for `mse`.
    """
    target = full_precision(teacher).softmax(-1)
    return masked_mean(-(target * full_precision(student).log_softmax(-1)).sum(-1), mask)


HiddenLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
HIDDEN: dict[str, HiddenLoss] = {"ce": ce, "mse": mse, "l2": l2, "cos": cos, "pkd": pkd}
"""Kind → loss. A new one takes its spec in `engine.pipeline.components`, its function, and a line here."""


class HiddenObjective(nn.Module):
    """A loss on hidden states for every mapped pair of layers, 1-based; owns the projections."""

    def __init__(
        self, spec: Any, kind: TaskKind, pairs: Sequence[tuple[int, int]], student_width: int, teacher_width: int
    ):
        super().__init__()
        self.pairs = tuple(pairs)
        self.loss = HIDDEN[spec.kind]
        self.first_token_only = spec.kind == "pkd"
        self.token_level = not self.first_token_only
        self.learning_rate: float | None = None
        self.teacher_layers = sorted({j for _, j in pairs})
        student_layers = sorted({i for i, _ in pairs})
        self.projections = Projections(student_layers, student_width, teacher_width, always=spec.projection == "always")

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """One value per pair of layers and sample (pairs, B), from hidden states position by position, and one mask."""
        end = 1 if self.first_token_only else None
        # Once per layer, not once per pair: under emd each layer is in many pairs.
        students = {i: full_precision(self.projections(i, student.hidden[i][:, :end])) for i in self.projections.layers}
        teachers = {j: full_precision(teacher.hidden[j][:, :end]) for j in self.teacher_layers}
        return torch.stack([self.loss(students[i], teachers[j], student.mask[:, :end]) for i, j in self.pairs])
