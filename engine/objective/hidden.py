"""Intermediate objectives that compare a student's hidden states with a teacher's directly.

Decided here: each compares vectors of equal width (a projection has seen to that), gives one value per sample, looks
at no padding, computes in float32 at least, and is worth 0 where a sample has no token that counts. Layers are compared
all with all at once, by inner products or distances: no copy of the vectors is made, nor kept, for a pair of layers.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.data.task import TaskKind
from engine.models.forward import Features
from engine.objective.mapping import Projections
from engine.objective.reduction import full_precision, masked_mean

SHORTEST = 1e-8  # a vector that is shorter counts as one of this length where lengths are divided by


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference over all tokens (TinyBERT, Jiao et al. 2020).

    Equation: mean_n mean_e (student_ne − teacher_ne)², for each of S student layers with each of T teacher layers.

    Shapes: student (B, N, S, E); teacher (B, N, T, E); mask (B, N), true where a token counts. Returns: (B, S, T).

    Example:
        >>> student, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 3.0], [1.0, 1.0]]]])
        >>> mse(student, teacher, torch.ones(1, 1, dtype=torch.bool))
        tensor([[[5.0000, 1.0000]]])
    """
    return masked_mean(_distances(student, teacher).square() / teacher.shape[-1], mask)


def l2(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Euclidean distance per token, mean over tokens (Distiller, appendix B).

    Equation: mean_n ‖student_n − teacher_n‖. Its gradient at a distance of zero is taken as zero. Shapes: as for `mse`.
    """
    return masked_mean(_distances(student, teacher), mask)


def cos(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """One minus the cosine, mean over tokens (Distiller, appendix B).

    Equation: mean_n 1 − student_n·teacher_n / (‖student_n‖ ‖teacher_n‖). Shapes: as for `mse`.
    """
    return masked_mean(1 - _products(_normalised(student), _normalised(teacher)), mask)


def pkd(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared distance of the normalised first tokens (BERT-PKD, Sun et al. 2019).

    Equation: ‖ student_1/‖student_1‖ − teacher_1/‖teacher_1‖ ‖². Shapes: as for `mse`, but N of the student and of the
    teacher may differ and may be 1: only the first token is read.
    """
    squares = _distances(_normalised(student[:, 0]), _normalised(teacher[:, 0])).square()
    return squares.masked_fill(~mask[:, 0, None, None], 0)


def ce(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the two softmax distributions over the width, mean over tokens (Distiller).

    Equation: mean_n −Σ_e softmax(teacher_n)_e · log softmax(student_n)_e. Shapes: as for `mse`.
    """
    logs, targets = full_precision(student).log_softmax(-1), full_precision(teacher).softmax(-1)
    return masked_mean(-_products(logs, targets), mask)


def _normalised(vectors: Tensor) -> Tensor:
    return F.normalize(full_precision(vectors), dim=-1, eps=SHORTEST)


def _products(student: Tensor, teacher: Tensor) -> Tensor:
    """Inner products of all vectors (..., S, E) with all (..., T, E): (..., S, T)."""
    if student.shape[-2] == teacher.shape[-2] == 1:  # of which a product of matrices takes several times as long
        return (student * teacher).sum(-1, keepdim=True)
    with torch.autocast(student.device.type, enabled=False):
        return student @ teacher.mT


def _distances(student: Tensor, teacher: Tensor) -> Tensor:
    """Distances of all vectors (..., S, E) from all (..., T, E): (..., S, T)."""
    student, teacher = full_precision(student), full_precision(teacher)
    if student.shape[-2] == teacher.shape[-2] == 1:  # cdist is for many
        return torch.linalg.vector_norm(student - teacher, dim=-1, keepdim=True)
    # Of differences, never by ‖s‖² + ‖t‖² − 2·s·t: near a distance of zero nothing would be left of it in float32.
    with torch.autocast(student.device.type, enabled=False):
        return torch.cdist(student, teacher, compute_mode="donot_use_mm_for_euclid_dist")


HiddenLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
HIDDEN: dict[str, HiddenLoss] = {"ce": ce, "mse": mse, "l2": l2, "cos": cos, "pkd": pkd}
"""Kind → loss. A new one takes its spec in `engine.pipeline.components`, its function, and a line here."""


class HiddenObjective(nn.Module):
    """A loss on hidden states for every mapped pair of layers, 1-based; owns the projections."""

    reads = ("hidden",)
    notes: tuple[str, ...] = ()

    def __init__(
        self, spec: Any, kind: TaskKind, pairs: Sequence[tuple[int, int]], student_width: int, teacher_width: int
    ):
        super().__init__()
        self.pairs = tuple(pairs)
        self.loss = HIDDEN[spec.kind]
        self.first_token_only = spec.kind == "pkd"
        self.token_level = not self.first_token_only
        self.learning_rate: float | None = None
        teacher_layers = sorted({j for _, j in pairs})
        student_layers = sorted({i for i, _ in pairs})
        every_pair = self.pairs == tuple(product(student_layers, teacher_layers))
        self.groups = [(student_layers, teacher_layers)] if every_pair else [([i], [j]) for i, j in self.pairs]
        self.projections = Projections(student_layers, student_width, teacher_width, always=spec.projection == "always")

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """One value per pair of layers and sample (pairs, B), from hidden states position by position, and one mask."""
        end = 1 if self.first_token_only else None
        # Once per layer, not once per pair: where pairs share layers, they may be in several groups.
        students = {i: self.projections(i, student.hidden[i][:, :end]) for i in self.projections.layers}
        teachers, mask = {j: states[:, :end] for j, states in teacher.hidden.items()}, student.mask[:, :end]
        values = [
            self.loss(_stacked(students, rows), _stacked(teachers, columns), mask) for rows, columns in self.groups
        ]
        return torch.cat([each.flatten(1) for each in values], 1).T


def _stacked(states: Mapping[int, Tensor], layers: Sequence[int]) -> Tensor:
    if len(layers) == 1:
        return states[layers[0]].unsqueeze(2)  # not a copy
    with torch.autocast(states[layers[0]].device.type, enabled=False):  # whose rules of types know no float16 on CPUs
        return torch.stack([states[layer] for layer in layers], 2)
