"""The search on images: it asks for logits, and not where they come from (AutoSKDBERT, appendix B)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F
from transformers import ResNetConfig, ResNetForImageClassification

from engine.objective.prediction import cross_entropy
from engine.team.phases import Search
from engine.team.theta import Target, Theta, target_of

BATCH, TRAINED, EPOCHS = 64, 1400, 6


def network(widths: list[int], seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = ResNetConfig(
        num_channels=1,
        embedding_size=widths[0],
        hidden_sizes=widths,
        depths=[1] * len(widths),
        layer_type="basic",
        num_labels=10,
    )
    return ResNetForImageClassification(config)


@dataclass
class Images:
    """Shapes: pixels (B, 1, 16, 16); labels (B,); logits of the members (n, B, 10)."""

    pixels: Tensor
    labels: Tensor
    logits: Tensor | None = None

    def some(self, ids: np.ndarray) -> Images:
        logits = None if self.logits is None else self.logits[:, ids]
        return Images(self.pixels[ids], self.labels[ids], logits)


class ImageStudent:
    gold = False

    def __init__(self, widths: list[int], rate: float = 3e-3):
        self.network, self.peak = network(widths, seed=0), rate
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=rate, weight_decay=1e-4)

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self.network.parameters())

    def training_loss(self, batch: Images, target: Target) -> Tensor:
        return self._loss(self.network.eval(), batch, target)

    validation_loss = training_loss

    def learn(self, batch: Images, target: Target, share: float, step: int) -> None:
        self.optimizer.param_groups[0]["lr"] = self.rate(share)
        self.optimizer.zero_grad()
        self._loss(self.network.train(), batch, target).backward()
        self.optimizer.step()

    def _loss(self, model: torch.nn.Module, batch: Images, target: Target) -> Tensor:
        return cross_entropy(model(batch.pixels).logits, target(batch.logits)[0]).mean()

    def rate(self, share: float) -> float:
        return self.peak * share

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


@torch.no_grad()
def answers(model: torch.nn.Module, images: Images) -> Tensor:
    return model.eval()(images.pixels).logits


def accuracy(model: torch.nn.Module, images: Images) -> float:
    return float((answers(model, images).argmax(-1) == images.labels).float().mean())


def batches(images: Images, epochs: int) -> list[Images]:
    random = np.random.default_rng(0)
    order = [random.permutation(len(images.labels)) for _ in range(epochs)]
    cuts = [ids[at : at + BATCH] for ids in order for at in range(0, len(ids), BATCH)]
    return [images.some(ids) for ids in cuts]


def test_small_image_classifiers_are_distilled(tmp_path: Path) -> None:
    digits = load_digits()
    pixels = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
    pixels = F.interpolate(pixels, size=16, mode="bilinear")
    labels = torch.from_numpy(digits.target)
    train, held_out = (Images(pixels[part], labels[part]) for part in (slice(TRAINED), slice(TRAINED, None)))
    team = [network([24, 48], 1), network([16, 32], 2), network([24, 48], 3)]  # the last one stays random
    for member in team[:2]:
        optimizer = torch.optim.Adam(member.parameters(), lr=3e-3)
        for batch in batches(train, EPOCHS):
            optimizer.zero_grad()
            F.cross_entropy(member.train()(batch.pixels).logits, batch.labels).backward()
            optimizer.step()
    assert min(accuracy(member, held_out) for member in team[:2]) > 0.85
    assert accuracy(team[2], held_out) < 0.3
    train.logits = torch.stack([answers(member, train) for member in team])

    halves = [train.some(np.arange(half, TRAINED, 2)) for half in range(2)]
    streams = [batches(half, 2 * EPOCHS) for half in halves]
    steps = len(streams[0])
    found = Search(
        student=ImageStudent([16, 32]),
        batches=lambda step: (streams[0][step], streams[1][step]),
        theta=Theta(len(team), 1e-3, 1e-3, "sswo"),
        steps=steps,
        dropped=1,
        candidates=1,
        second_order=False,
        warmup=0.1,
        seed=0,
        folder=tmp_path,
        checkpoint_seconds=3600,
        report=lambda step, shares: None,
    ).run(keep=False)
    assert found.dropped == [2]

    (shares,) = found.candidates
    student, random, stream = ImageStudent([16, 32]), np.random.default_rng(0), batches(train, EPOCHS)
    assert accuracy(student.network, held_out) < 0.3
    for step, batch in enumerate(stream):
        drawn = int(random.choice(len(team), p=shares))
        student.learn(batch, target_of(torch.tensor(shares), drawn, "sswo"), 1.0, step)
    assert accuracy(student.network, held_out) > 0.85
