"""The optimiser: fused AdamW, warm-up and linear decay, clipping, and the seed of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from engine.objective.equation import Objective
    from engine.pipeline.training import Training


def optimizer_for(student: nn.Module, objective: Objective, training: Training) -> torch.optim.Optimizer:
    """Fused AdamW; biases and norms do not decay (Devlin et al. 2019)."""
    rate = training.learning_rate
    assert rate is not None, "the training is resolved for its task"
    parameters = [p for p in student.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        *objective.parameter_groups(training.weight_decay, rate),
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
    set_learning_rate(optimizer, 1.0)  # so that every group has its peak from the beginning
    return optimizer


def schedule(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at a step: linear rise, then linear fall.

    It is transformers' `get_linear_schedule_with_warmup` without its first and its last step, at which the
    rate is 0 and nothing would be learned. It follows from the number of the step, so nothing of it is saved.

    Example:
        >>> [round(schedule(step, 10, 0.2), 2) for step in (0, 1, 2, 9)]
        [0.5, 1.0, 0.89, 0.11]
    """
    rising = max(1, round(warmup * total))
    return min((step + 1) / rising, (total - step) / (total + 1 - rising))


def step_seed(seed: int, step: int, process: int) -> int:
    """Seed of the random numbers of one step in one process."""
    return int(np.random.SeedSequence([seed, step, process]).generate_state(1)[0])


def set_learning_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Sets every group to a share of its peak, the rate that it was made with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("peak", group["lr"]) * share


def clip_gradients(student: nn.Module, objective: nn.Module, largest: float) -> None:
    """Limits the gradient's norm, of both apart: critics that have just begun to learn would hold the student back."""
    for part in (student, objective):
        if parameters := list(part.parameters()):
            torch.nn.utils.clip_grad_norm_(parameters, largest)
