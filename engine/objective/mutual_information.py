"""mi_alpha: minus Poole's interpolated lower bound on the mutual information of hidden states.

Decided here: how the bound is computed so that float32 cannot push it over its own cap, and what a sample is. At
sequence level it is an example (the masked mean of a tower's vectors, over each side's own tokens, so that nothing
need be aligned), at token level a token; the negatives of a sample are all others of its micro-batch.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.data.task import KINDS, TaskKind
from engine.models.forward import Features
from engine.objective.critics import CRITIC, StackedLinear
from engine.objective.reduction import full_precision, masked_mean
from engine.pipeline.components import MIAlpha


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _log_count(count: int, dtype: torch.dtype) -> float:
    """log K, rounded down: in float32 the nearest number to log 64 is greater than log 64."""
    nearest = torch.tensor(math.log(count), dtype=dtype)
    if nearest.item() > math.log(count):
        nearest = torch.nextafter(nearest, nearest.new_tensor(-math.inf))
    return nearest.item()


def _shortfall(scores: Tensor, log_baseline: Tensor, alpha: float) -> Tensor:
    """How far each sample of y stays below log K; never negative at α = 1. See `bound_per_sample`.

    Two quantities of column b matter: s, the score of the joint pair, and r, the log of the mean of e^score over the
    other K − 1 rows. All K rows sum to e^s · (1 + (K−1)·e^(r−s)), therefore

        log K − joint  =  log(α·(1 + (K−1)·e^(r−s)) + (1−α)·K·e^(log q − s))
        marginal − 1   =  expm1(−log(α + (1−α)·e^(log q − r)))

    so that at α = 1 the first is never negative and the second exactly 0, for scores of any size.
    """
    count = scores.shape[-1]
    joint = scores.diagonal(dim1=-2, dim2=-1)
    diagonal = torch.eye(count, dtype=torch.bool, device=scores.device)
    # Left out by masking: subtracting the joint pair from the total underflows once it dominates.
    others = scores.masked_fill(diagonal, -math.inf).logsumexp(-2)
    log_q = log_baseline + _log(1 - alpha)
    zero = torch.zeros_like(joint)
    all_rows = torch.logaddexp(zero, others - joint)
    joint_term = torch.logaddexp(all_rows + _log(alpha), log_q + math.log(count) - joint)
    marginal_term = torch.logaddexp(zero + _log(alpha), log_q + math.log(count - 1) - others)
    return joint_term + torch.expm1(-marginal_term)


def bound_per_sample(scores: Tensor, log_baseline: Tensor, alpha: float) -> Tensor:
    """The interpolated bound on the mutual information of x and y, one value per sample of y.

    Equation, with m = mean e^f over the samples of x (Poole et al. 2019, section 2; the logarithm
    that Distiller prints in the second expectation is a misprint):
    I_α = 1 + E_p(x,y)[f − log(α·m + (1−α)·q(y))] − E_p(x)p(y)[e^f / (α·m + (1−α)·q(y))].
    In the first expectation m is over all K rows, in the second over the K − 1 that are negatives.

    Shapes:
        scores: (..., K, K), scores[a, b] = f(x_a, y_b); the joint pairs are the diagonal.
        log_baseline: (..., K), log q(y_b).
        alpha: 0 to 1. At 1 it is InfoNCE (no value above log K, in any precision), at 0 TUBA (no cap); between
            them the mean is at most 1 + log(K/α).
        Returns: (..., K), nats, float32 at least; their mean is the bound. All 0 at K = 1, without a negative.

    Example:
        >>> joint_pairs_win = torch.eye(4) * 100
        >>> bound_per_sample(joint_pairs_win, torch.zeros(4), alpha=1.0) <= math.log(4)
        tensor([True, True, True, True])
    """
    scores, log_baseline = full_precision(scores), full_precision(log_baseline)
    if scores.shape[-1] < 2:
        return 0 * (scores.diagonal(dim1=-2, dim2=-1) + log_baseline)
    return _log_count(scores.shape[-1], scores.dtype) - _shortfall(scores, log_baseline, alpha)


class MutualInformation(nn.Module):
    """mi_alpha for every mapped pair of layers; owns the critics.

    The log baseline log q(y) is one linear map on the vector that the teacher's tower gives anyway: it must know y as
    well as the critic does, and so costs nothing more. The pairs are 1-based; `kind` decides a level left open.
    """

    first_token_only = False
    reads = ("hidden",)
    notes: tuple[str, ...] = ()

    def __init__(
        self, spec: MIAlpha, kind: TaskKind, pairs: Sequence[tuple[int, int]], student_width: int, teacher_width: int
    ):
        super().__init__()
        self.alpha, self.max_tokens = spec.alpha, spec.max_tokens
        self.learning_rate: float | None = spec.critic.learning_rate
        self.token_level = spec.level == "token" or (spec.level == "auto" and KINDS[kind].per_token)
        self.student_layers = sorted({i for i, _ in pairs})
        self.teacher_layers = sorted({j for _, j in pairs})
        self.rows = [self.student_layers.index(i) for i, _ in pairs]
        self.columns = [self.teacher_layers.index(j) for _, j in pairs]
        build = CRITIC[spec.critic.kind]
        self.student_towers = build(spec.critic, student_width, len(self.student_layers))
        self.teacher_towers = build(spec.critic, teacher_width, len(self.teacher_layers))
        self.log_baselines = StackedLinear(len(self.teacher_layers), spec.critic.width, 1)

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """Minus the bound, one value per pair of layers and example (pairs, B).

        At token level student and teacher are given position by position, with one common mask, and all examples
        carry the mean over the drawn tokens.
        """
        chosen = self._draw(student.mask) if self.token_level else None
        xs = _vectors(self.student_towers, student, self.student_layers, chosen)
        ys = _vectors(self.teacher_towers, teacher, self.teacher_layers, chosen)
        with torch.autocast(xs.device.type, enabled=False):
            log_q = self.log_baselines(ys).squeeze(-1)
            scores = xs[self.rows] @ ys[self.columns].mT / math.sqrt(xs.shape[-1])
            values = -bound_per_sample(scores, log_q[self.columns], self.alpha)
        if self.token_level:
            return (values.sum(1, keepdim=True) / max(values.shape[1], 1)).expand(-1, len(student.mask))
        return values.masked_fill(~(student.mask.any(1) & teacher.mask.any(1)), 0)

    def _draw(self, mask: Tensor) -> Tensor:
        """Indices, into the flattened batch, of at most `max_tokens` tokens that count."""
        # Drawn on the CPU; in training from torch's global generator, which the loop seeds anew at each step. A loss
        # that is only asked for, as the search for θ asks several times in a step, is one function of the weights.
        generator = None if self.training else torch.Generator().manual_seed(0)
        valid = mask.flatten().nonzero().squeeze(1)
        return valid[torch.randperm(len(valid), generator=generator)[: self.max_tokens].to(valid.device)]


def _vectors(towers: nn.Module, side: Features, layers: list[int], chosen: Tensor | None) -> Tensor:
    """What a critic knows of each sample of one side, layer by layer: (layers, K, width)."""
    with torch.autocast(side.mask.device.type, enabled=False):  # whose rules of types know no float16 on CPUs
        hidden = torch.stack([side.hidden[i] for i in layers])
    outputs = full_precision(towers(hidden, side.mask))
    if chosen is not None:
        return outputs.flatten(1, 2)[:, chosen]
    means = masked_mean(outputs.flatten(0, 1), side.mask.repeat(len(layers), 1))
    return means.unflatten(0, outputs.shape[:2])
