"""Mixup: two examples become one (Guo et al. 2019; Liang et al. 2021; Distiller, section 3.1).

    x̂ = λ·x + (1 − λ)·x',   ŷ = λ·y + (1 − λ)·y'

Decided here: a batch of pairs holds the first partners and behind them the second ones, row i and row n + i being
mixed with λ_i. What a model makes of them is `engine.models.forward`'s; targets are mixed as distributions, in
tagging at every token, in question answering over the positions.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.data.task import TaskKind
from engine.models.forward import blend
from engine.pipeline.augmentation import Mixup
from engine.tokens.ragged import NO_LABEL


def draw(spec: Mixup, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The partner of each of `count` examples, another one where there are two, and λ."""
    ring = generator.permutation(count)
    partners = np.empty(count, dtype=np.int64)
    partners[ring] = np.roll(ring, -1)
    return partners, generator.beta(spec.a, spec.a, count)


def mixed_targets(labels: Tensor, shares: Tensor, kind: TaskKind, classes: int, length: int) -> Tensor:
    """Targets of pairs, as distributions, from the labels of 2n examples as `Encoded.labels` gives them.

    Shapes: classification and multi-label (n, C); regression (n,) the mixed value; tagging (n, N, C), a token's
    numbers summing to the share of the partners that have a label there; question answering (n, 2, N). C is
    `classes`, N `length`.
    """
    if kind in ("regression", "multi_label"):
        return blend(labels, shares)
    if kind == "question_answering":
        return blend(F.one_hot(labels, length).float(), shares)
    hot = F.one_hot(labels.clamp(min=0), classes).float() * (labels != NO_LABEL).unsqueeze(-1)
    return blend(hot, shares)


def mixed_alignment(alignment: Tensor | None, shares: Tensor) -> Tensor | None:
    """Which teacher tokens a mixed student token meets: those of both partners' tokens.

    Shapes: (2n, N, N of the teacher) → (n, N, N of the teacher); rows sum to 1, or to 0 without a partner.
    """
    if alignment is None:
        return None
    weights = blend(alignment, shares)
    return weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
