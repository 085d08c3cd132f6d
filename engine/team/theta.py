"""The distribution θ over the teachers of a team: drawn from, learned, and reduced (AutoSKDBERT).

Everything here works on a learner's losses and the teachers' logits, whatever they come from.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.pipeline.team import AutoSKD

EPSILON = 1e-12  # against division by zero (AutoSKDBERT, section 2.4.2)
RECENT = 0.9  # share of the past in the running mean of a teacher's slope
REACH = 0.01  # length of the step in weights of the finite difference (DARTS, Liu et al. 2019, section 2.3)

Target = Callable[[Tensor], Tensor]  # the teachers' logits (n, B, …) → what teaches (1, B, …)
Update = Literal["sswo", "cr"]
Slopes = Literal["relative", "plain"]


class Learner(Protocol):
    """A student, as far as θ needs to know it."""

    def parameters(self) -> list[torch.nn.Parameter]:
        """What it is made of; those that need no gradient stay as they are."""

    def training_loss(self, batch: Any, target: Target) -> Tensor:
        """L_train of a batch, a scalar."""

    def validation_loss(self, batch: Any, target: Target) -> Tensor:
        """L_val of a batch, a scalar."""


class Theta:
    """A categorical distribution over n teachers that is learned by Adam and stays on the simplex.

    Shares sum to 1, so only differences of slopes mean something: a `relative` slope is a teacher's less the
    mean of all recent ones (ours). A `plain` one raises the drawn teacher nearly always, since a sharper
    target agrees better with the student, and θ counts little but draws.

    Args:
        size: n.
        weight_decay: Of Adam, added to the gradient.
        update: `sswo`: a step changes the drawn teacher's share alone, and the others only so that all sum to
            1; `cr`: it changes all of them.
        slopes, epsilon: As in `AutoSKD`, `epsilon` its `theta_epsilon`.

    Example:
        >>> theta = Theta(4, 1e-3, 0.0, "sswo")
        >>> slopes = torch.tensor([-1.0, -3.0, -1.0, -1.0])
        >>> theta.step(slopes, drawn=0)  # nothing to compare it with
        >>> theta.step(slopes, drawn=1)
        >>> [round(share, 4) for share in theta.shares]
        [0.2498, 0.2507, 0.2498, 0.2498]
    """

    def __init__(
        self,
        size: int,
        learning_rate: float,
        weight_decay: float,
        update: Update,
        slopes: Slopes = "relative",
        epsilon: float = AutoSKD.model_fields["theta_epsilon"].default,
    ):
        self.update, self.slopes = update, slopes
        self.kept = list(range(size))  # teachers that can be drawn
        self._recent: list[float | None] = [None] * size
        uniform = torch.full((), 1 / size, dtype=torch.float64)
        self._parameters = [torch.nn.Parameter(uniform.clone()) for _ in range(size)]
        self._adam = torch.optim.Adam(self._parameters, lr=learning_rate, eps=epsilon, weight_decay=weight_decay)

    @property
    def shares(self) -> list[float]:
        """θ, n numbers that sum to 1."""
        return [value.item() for value in self._parameters]

    def draw(self, generator: np.random.Generator) -> int:
        """A teacher by its share."""
        return int(generator.choice(len(self.shares), p=self.shares))

    def leaf(self) -> Tensor:
        """θ (n,) as a tensor of its own whose gradient can be asked for."""
        return torch.stack([value.detach() for value in self._parameters]).requires_grad_()

    def step(self, gradient: Tensor, drawn: int) -> None:
        """One step against the gradient (n,)."""
        moved = self.kept if self.update == "cr" else [drawn]
        for index in moved:
            past, now = self._recent[index], float(gradient[index])
            self._recent[index] = now if past is None else RECENT * past + (1 - RECENT) * now
        known = [slope for index in self.kept if (slope := self._recent[index]) is not None]
        usual = fmean(known) if self.slopes == "relative" else 0.0
        for index, parameter in enumerate(self._parameters):
            parameter.grad = (gradient[index] - usual).to(parameter) if index in moved else None
        self._adam.step()
        self._set(normalised(torch.tensor(self.shares, dtype=torch.float64).clamp(min=0)))

    def drop(self, count: int) -> list[int]:
        """Drops the `count` teachers with the smallest shares, which it gives; the others take theirs."""
        shares = selected(torch.tensor(self.shares, dtype=torch.float64), count)
        dropped = [index for index in self.kept if shares[index] == 0]
        self.kept = [index for index in self.kept if index not in dropped]
        self._set(shares)
        return dropped

    def _set(self, values: Tensor) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._parameters, values, strict=True):
                parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        adam = self._adam.state_dict()
        return {"shares": self.shares, "kept": self.kept, "recent": list(self._recent), "adam": adam}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self._set(torch.tensor(state["shares"], dtype=torch.float64))
        self.kept, self._recent = list(state["kept"]), list(state["recent"])
        self._adam.load_state_dict(state["adam"])


def normalised(values: Tensor) -> Tensor:
    """Values (n,) over their sum, their p-norm with p = 1 (AutoSKDBERT, equation 8)."""
    return torch.nn.functional.normalize(values, p=1, dim=0, eps=EPSILON)


def selected(theta: Tensor, count: int) -> Tensor:
    """θ (n,) without its `count` smallest shares (AutoSKDBERT, equation 8).

    Example:
        >>> selected(torch.tensor([0.1, 0.4, 0.3, 0.2]), 2)
        tensor([0.0000, 0.5714, 0.4286, 0.0000])
    """
    mask = torch.ones_like(theta)
    mask[theta.topk(count, largest=False).indices] = 0
    return normalised(theta * mask)


def target_of(theta: Tensor, drawn: int, update: Update) -> Target:
    """What teaches: θ_k times the drawn teacher's logits (SSWO), or the mixture of all by θ (CR)."""
    if update == "sswo":
        return lambda logits: (theta[drawn].to(logits) * logits[drawn]).unsqueeze(0)
    return lambda logits: torch.tensordot(theta.to(logits), logits, dims=1).unsqueeze(0)


def gradient(
    learner: Learner, theta: Tensor, target: Target, train: Any, validation: Any, rate: float, second_order: bool
) -> Tensor:
    """Gradient of L_val(w − α ∇_w L_train(w, θ), θ) with respect to θ (AutoSKDBERT, equation 7).

    First order takes w − α ∇_w L_train for a constant. Second order adds how it depends on θ, by a finite
    difference of ∇_θ L_train in the direction of ∇_w L_val (DARTS, Liu et al. 2019, equation 8).

    Args:
        theta: On which `target` depends.
        train: A batch for w; `validation` one for θ.
        rate: α, the student's learning rate.

    Shapes: theta, Returns: (n,).
    """
    weights = [weight for weight in learner.parameters() if weight.requires_grad]
    downhill = torch.autograd.grad(learner.training_loss(train, target), weights, allow_unused=True)
    with _moved(weights, downhill, -rate):
        if not second_order:
            return _by_theta(learner, learner.validation_loss, validation, target, theta)
        loss = learner.validation_loss(validation, target)
        found, *uphill = torch.autograd.grad(loss, [theta, *weights], allow_unused=True)
    direct = torch.zeros_like(theta) if found is None else found
    length = float(torch.nn.utils.get_total_norm([each for each in uphill if each is not None]))
    if length == 0:
        return direct
    reach = REACH / length
    sides = []
    for sign in (1, -1):
        with _moved(weights, uphill, sign * reach):
            sides.append(_by_theta(learner, learner.training_loss, train, target, theta))
    return direct - rate * (sides[0] - sides[1]) / (2 * reach)


def _by_theta(
    learner: Learner, loss: Callable[[Any, Target], Tensor], batch: Any, target: Target, theta: Tensor
) -> Tensor:
    """Gradient of a loss with respect to θ alone; nothing is kept for the student's."""
    weights = [weight.requires_grad_(False) for weight in learner.parameters() if weight.requires_grad]
    try:
        value = loss(batch, target)
        return torch.autograd.grad(value, theta)[0] if value.requires_grad else torch.zeros_like(theta)
    finally:
        for weight in weights:
            weight.requires_grad_(True)


@contextmanager
def _moved(weights: Sequence[torch.nn.Parameter], direction: Sequence[Tensor | None], step: float) -> Iterator[None]:
    """Weights a step away; afterwards they are what they were, for other tensors stood in their index."""
    before = [weight.data for weight in weights]
    try:
        for weight, along in zip(weights, direction, strict=True):
            if along is not None:
                weight.data = torch.add(weight.data, along, alpha=step)
        yield
    finally:
        for weight, old in zip(weights, before, strict=True):
            weight.data = old
