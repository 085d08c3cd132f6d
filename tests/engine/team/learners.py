"""A small student whose losses are written out, for tests of what θ does to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.team.theta import Target


@dataclass
class Batch:
    """Shapes: inputs (B, D); logits of n members (n, B, C); labels (B,)."""

    inputs: Tensor
    logits: Tensor
    labels: Tensor


@dataclass
class TwoLayers:
    """A network of two layers that imitates its target by cross-entropy.

    Args:
        gold: Whether it is validated by gold labels.
    """

    inputs: int
    classes: int
    width: int = 8
    seed: int = 0
    gold: bool = False
    learning_rate: float = 0.05
    dtype: torch.dtype = torch.float64
    seen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self.network = torch.nn.Sequential(
            torch.nn.Linear(self.inputs, self.width), torch.nn.Tanh(), torch.nn.Linear(self.width, self.classes)
        ).to(self.dtype)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate, weight_decay=1e-4)

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self.network.parameters())

    def training_loss(self, batch: Batch, target: Target) -> Tensor:
        return distance(self.network(batch.inputs), target(batch.logits)[0])

    def validation_loss(self, batch: Batch, target: Target) -> Tensor:
        if self.gold:
            return F.cross_entropy(self.network(batch.inputs), batch.labels)
        return self.training_loss(batch, target)

    def learn(self, batch: Batch, target: Target, share: float, step: int) -> None:
        self.seen.append(step)
        self.optimizer.param_groups[0]["lr"] = self.learning_rate * share
        self.optimizer.zero_grad()
        self.training_loss(batch, target).backward()
        self.optimizer.step()

    def rate(self, share: float) -> float:
        return self.learning_rate * share

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy against the teacher's distribution, mean over the batch."""
    return -(teacher.softmax(-1) * student.log_softmax(-1)).sum(-1).mean()


def made_batch(seed: int, members: int, inputs: int = 5, classes: int = 3, size: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    labels = torch.randint(classes, (size,), generator=generator)
    return Batch(normal(size, inputs), 3 * normal(members, size, classes), labels)
