"""Losses on the model's outputs: against the teacher's logits, and against the gold label.

Decided here: what the class axis is for each kind of task, and in what unit its values count.

    classification, regression   the C logits of an example     one value per example
    multi_label                  yes and no of each logit       one value per example, the mean of its C labels
    tagging                      the C logits of a token        one value per labelled token
    question_answering           the N positions, once for the  one value per example,
                                 start and once for the end     the mean of start and end

Everything is computed in float32 at least, also under mixed precision.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.data.task import KINDS, TaskKind
from engine.objective.reduction import Term, all_count, full_precision
from engine.tokens.batch import label_weights
from engine.tokens.ragged import NO_LABEL


def _only(logits: Tensor, valid: Tensor | None) -> Tensor:
    """Logits that leave classes which are not valid without probability."""
    # The lowest finite number, because minus infinity times a probability of zero is NaN.
    return logits if valid is None else logits.masked_fill(~valid, torch.finfo(logits.dtype).min)


def _log_softmax(logits: Tensor, temperature: float, valid: Tensor | None) -> Tensor:
    return _only(full_precision(logits) / temperature, valid).log_softmax(-1)


def cross_entropy(student: Tensor, teacher: Tensor, temperature: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Cross-entropy of the student's distribution against the teacher's.

    Equation: temperature² · −Σ_c softmax(teacher / temperature)_c · log softmax(student / temperature)_c
    (Hinton et al. 2015; the factor keeps the size of the gradient).

    Shapes: student, teacher (..., C) logits; valid, true where a class counts, broadcasts to them. Returns: (...).

    Example:
        >>> cross_entropy(torch.zeros(1, 2), torch.zeros(1, 2), temperature=2.0)
        tensor([2.7726])
    """
    target = _log_softmax(teacher, temperature, valid).exp()
    return -(target * _log_softmax(student, temperature, valid)).sum(-1) * temperature**2


def kl(student: Tensor, teacher: Tensor, temperature: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Kullback-Leibler divergence of the student's distribution from the teacher's.

    Equation: temperature² · Σ_c p_c · (log p_c − log q_c), p the teacher's distribution and q the student's at the
    temperature. It is the cross-entropy less the teacher's entropy, so the gradient is the same and the value is zero
    where the two agree. Shapes as for `cross_entropy`.

    Example:
        >>> kl(torch.ones(1, 3), torch.zeros(1, 3))
        tensor([0.])
    """
    log_student = _log_softmax(student, temperature, valid)
    log_teacher = _log_softmax(teacher, temperature, valid)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(-1) * temperature**2


def mse(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean squared difference of the logits (Ba and Caruana 2014; Kim et al. 2021).

    Equation: mean_c (student_c − teacher_c)², over the classes that count. Shapes as for `cross_entropy`.

    Example:
        >>> mse(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]))
        tensor([2.])
    """
    squared = (full_precision(student) - full_precision(teacher)).square()
    if valid is None:
        return squared.mean(-1)
    return squared.masked_fill(~valid, 0).sum(-1) / valid.sum(-1).clamp(min=1)


def binary_cross_entropy(student: Tensor, teacher: Tensor, temperature: float = 1.0, valid: None = None) -> Tensor:
    """Cross-entropy of the student's probability of each label against the teacher's, for labels that exclude nothing.

    Equation: temperature² · mean_c −(p_c · log q_c + (1 − p_c) · log(1 − q_c)), p = σ(teacher / temperature),
    q = σ(student / temperature). Shapes: student, teacher (..., C) logits. Returns: (...).

    Example:
        >>> binary_cross_entropy(torch.zeros(1, 3), torch.ones(1, 3))
        tensor([0.6931])
    """
    scaled, target = full_precision(student) / temperature, (full_precision(teacher) / temperature).sigmoid()
    return F.binary_cross_entropy_with_logits(scaled, target, reduction="none").mean(-1) * temperature**2


def binary_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0, valid: None = None) -> Tensor:
    """Mean over the labels of the divergence of the student's probability of each from the teacher's.

    Equation: temperature² · mean_c (p_c · log(p_c / q_c) + (1 − p_c) · log((1 − p_c) / (1 − q_c))), as above; that is
    `binary_cross_entropy` less the teacher's entropies. Shapes as there.

    Example:
        >>> binary_kl(torch.ones(1, 3), torch.ones(1, 3))
        tensor([0.])
    """
    own = binary_cross_entropy(teacher, teacher, temperature)
    return binary_cross_entropy(student, teacher, temperature) - own


PredictionLoss = Callable[..., Tensor]
PREDICTION: dict[str, Callable[[Any], PredictionLoss]] = {
    "ce": lambda spec: partial(cross_entropy, temperature=spec.temperature),
    "mse": lambda _: mse,
    "kl": lambda spec: partial(kl, temperature=spec.temperature),
}
"""Kind → spec → loss(student logits, teacher logits, valid)."""
INDEPENDENT: dict[str, Callable[[Any], PredictionLoss]] = PREDICTION | {
    "ce": lambda spec: partial(binary_cross_entropy, temperature=spec.temperature),
    "kl": lambda spec: partial(binary_kl, temperature=spec.temperature),
}
"""The same where each label is answered by itself."""


def prediction_loss(spec: Any, kind: TaskKind) -> PredictionLoss:
    """The loss that a spec means on a task of a kind."""
    return (INDEPENDENT if KINDS[kind].independent else PREDICTION)[spec.kind](spec)


def relabelled_loss(kind: TaskKind) -> PredictionLoss:
    """The hard-label loss where the label is what the teacher says."""
    losses: dict[TaskKind, PredictionLoss] = {"regression": mse, "multi_label": binary_cross_entropy}
    return losses.get(kind, cross_entropy)


def prediction_term(
    loss: PredictionLoss, kind: TaskKind, student: Tensor, teacher: Tensor, mask: Tensor, labels: Tensor
) -> Term:
    """The prediction loss in the form of a task.

    Shapes:
        student, teacher: (B, C), or (B, N, C) for tagging and (B, N, 2) for question answering.
        mask: (B, N), true where the student's token is real and has a partner.
        labels: as in `hard_label_term`; only tagging reads where a label stands, and of mixed examples how much of it.
    """
    if kind == "question_answering":
        values = loss(student.transpose(1, 2), teacher.transpose(1, 2), valid=mask.unsqueeze(1))
        return Term(values.mean(-1), mask.any(-1), "examples")
    values = loss(student, teacher)
    if kind == "tagging":
        weights = label_weights(labels)
        return Term(values * weights, mask & (weights > 0), "tokens")
    return all_count(values)


def hard_label_term(
    kind: TaskKind,
    logits: Tensor,
    mask: Tensor,
    labels: Tensor,
    labelled: Tensor | None = None,
    class_weights: Tensor | None = None,
) -> Term:
    """The loss against the gold label: cross-entropy, of several labels binary, or the squared error for regression.

    Shapes:
        logits: (B, C), or (B, N, C) for tagging and (B, N, 2) for question answering.
        mask: (B, N), true where the student's token is real.
        labels: (B,) classes or targets; (B, N) tags; (B, 2) positions of start and end; `NO_LABEL` where there is none.
            Of mixed examples distributions: (B, C), (B, N, C) and (B, 2, N); a token whose numbers sum to less than 1
            counts for less. Of several labels (B, C), 1 where an example has a label and 0 where not; of mixed examples
            anything between.
        labelled: (B,), true where an example has a label; `None` where all have.
        class_weights: (C,), what the loss of an example of a class is multiplied by, of a mixed one the part of each
            class; of several labels (2, C), that of not having a label and that of having it. `None`: 1.
    """
    logits = full_precision(logits)
    weights = None if class_weights is None else class_weights.to(logits)
    term = _hard_label_term(kind, logits, mask, labels, weights)
    if labelled is None:
        return term
    return replace(term, mask=term.mask & labelled.reshape(-1, *[1] * (term.mask.ndim - 1)))


def _hard_label_term(
    kind: TaskKind, logits: Tensor, mask: Tensor, labels: Tensor, class_weights: Tensor | None
) -> Term:
    if kind == "multi_label":
        targets = labels.to(logits.dtype)
        without, having = (None, None) if class_weights is None else class_weights
        ratio = None if without is None else having / without
        losses = F.binary_cross_entropy_with_logits(logits, targets, without, pos_weight=ratio, reduction="none")
        return all_count(losses.mean(-1))
    if kind == "regression":
        return all_count((logits.squeeze(-1) - labels.to(logits.dtype)).square())
    if kind == "question_answering":
        logits = _only(logits, mask.unsqueeze(-1))  # the N positions are the classes, and already axis 1
    elif kind == "tagging":
        logits = logits.transpose(1, 2)
    mixed = labels.is_floating_point()
    targets = labels.transpose(1, 2) if mixed and labels.ndim == 3 else labels  # their classes on axis 1
    values = F.cross_entropy(logits, targets, class_weights, ignore_index=NO_LABEL, reduction="none")
    if kind == "question_answering":
        return Term(values.mean(-1), mask.any(-1), "examples")
    counts = labels.sum(-1) > 0 if mixed else labels != NO_LABEL
    return Term(values, counts, "tokens" if kind == "tagging" else "examples")
